//! Bridges and plug-ins, which are known by name and refused. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;
use super::Special;
use super::Status;

pub(super) const PLUGINS: Section = Section {
    title: "Plug-ins",
    intro: "Mosquitto's plug-ins are C libraries for Mosquitto itself and cannot be loaded; the dynamic security plug-in is one of them.",
    options: PLUGIN_OPTIONS,
};

pub(super) const SECTION: Section = Section {
    title: "Bridges",
    intro: "Bridges are not supported. The options are known, so that a start says what it refuses; those below a `connection` line are covered by its error.",
    options: OPTIONS,
};

const NO_BRIDGE: &str = "bridges are not supported; remove the `connection` and its options";
const NO_PLUGIN: &str =
    "Mosquitto's plug-ins cannot be loaded; remove the line and the plug-in's options";

const fn plugin(name: &'static str) -> OptionSpec {
    let mut option = OptionSpec::special(name, Scope::General, Kind::Path, Special::Plugin);
    option.status = Status::Refused(NO_PLUGIN);
    option.repeat(Repeat::Every)
}

const fn plugin_option(name: &'static str, kind: Kind) -> OptionSpec {
    OptionSpec::refused(name, Scope::Plugin, kind, NO_PLUGIN).repeat(Repeat::Every)
}

const fn bridge(name: &'static str, kind: Kind) -> OptionSpec {
    OptionSpec::refused(name, Scope::Bridge, kind, NO_BRIDGE)
}

const fn connection() -> OptionSpec {
    let kind = Kind::Text(1024);
    let mut option = OptionSpec::special("connection", Scope::General, kind, Special::Connection);
    option.status = Status::Refused(NO_BRIDGE);
    option.repeat(Repeat::Every)
}

const TEXT: Kind = Kind::Text(65_535);
const NUMBER: Kind = Kind::limit(super::INT_MAX);
const VERSIONS: Kind = Kind::Word(&["mqttv31", "mqttv311", "mqttv50"]);

const PLUGIN_OPTIONS: &[OptionSpec] = &[
    plugin_option("auth_opt_*", TEXT).help("An option of the plug-in above."),
    plugin("auth_plugin").help("Loads a plug-in."),
    plugin("global_plugin").help("Loads a plug-in for all listeners."),
    plugin("plugin").help("Loads a plug-in."),
    plugin("plugin_load").help("Loads a plug-in under a name."),
    plugin_option("plugin_opt_*", TEXT).help("An option of the plug-in above."),
    plugin("plugin_use").help("Uses a plug-in for the listener above."),
];

const OPTIONS: &[OptionSpec] = &[
    bridge("address", TEXT).also(&["addresses"]).help("Where the other broker is."),
    bridge("bridge_alpn", TEXT).help("The protocol that TLS names."),
    bridge("bridge_attempt_unsubscribe", Kind::Bool)
        .help("Whether topics that are not bridged any more are unsubscribed."),
    bridge("bridge_bind_address", TEXT).help("The address to connect from."),
    bridge("bridge_cafile", Kind::Path).help("Certificates of the authorities."),
    bridge("bridge_capath", Kind::Path).help("A folder of such certificates."),
    bridge("bridge_certfile", Kind::Path).help("The bridge's certificate."),
    bridge("bridge_ciphers", TEXT).help("Cipher suites of TLS 1.2."),
    bridge("bridge_ciphers_tls1.3", TEXT).help("Cipher suites of TLS 1.3."),
    bridge("bridge_identity", TEXT).help("The identity of a pre-shared key."),
    bridge("bridge_insecure", Kind::Bool).help("Whether the other broker's name is not checked."),
    bridge("bridge_keyfile", Kind::Path).help("The key of the bridge's certificate."),
    bridge("bridge_max_packet_size", NUMBER).help("The largest packet."),
    bridge("bridge_max_topic_alias", NUMBER).help("Topic Aliases."),
    bridge("bridge_outgoing_retain", Kind::Bool).help("Whether RETAIN is kept."),
    bridge("bridge_protocol_version", VERSIONS).help("The version of MQTT."),
    bridge("bridge_psk", TEXT).help("A pre-shared key."),
    bridge("bridge_receive_maximum", NUMBER).help("The Receive Maximum."),
    bridge("bridge_reload_type", Kind::Word(&["lazy", "immediate"])).help("What a reload does."),
    bridge("bridge_require_ocsp", Kind::Bool).help("Whether OCSP is needed."),
    bridge("bridge_session_expiry_interval", NUMBER).help("The Session Expiry Interval."),
    bridge("bridge_tcp_keepalive", TEXT).help("Keep alive of TCP."),
    bridge("bridge_tcp_user_timeout", NUMBER).help("A time-out of TCP."),
    bridge("bridge_tls_use_os_certs", Kind::Bool).help("Whether the system's authorities hold."),
    bridge("bridge_tls_version", TEXT).help("The version of TLS."),
    bridge("cleansession", Kind::Bool).help("Whether the remote session ends with the connection."),
    connection().help("Begins a bridge to another broker."),
    bridge("idle_timeout", NUMBER).help("When a lazy bridge disconnects."),
    bridge("keepalive_interval", NUMBER).help("The Keep Alive."),
    bridge("local_cleansession", Kind::Bool)
        .help("Whether the local session ends with the connection."),
    bridge("local_clientid", TEXT).help("The Client Identifier here."),
    bridge("local_password", TEXT).help("The password here."),
    bridge("local_username", TEXT).help("The User Name here."),
    bridge("notification_topic", TEXT).help("Where the bridge's state is published."),
    bridge("notifications", Kind::Bool).help("Whether the bridge's state is published."),
    bridge("notifications_local_only", Kind::Bool).help("Whether it is published here alone."),
    bridge("remote_clientid", TEXT).also(&["clientid"]).help("The Client Identifier there."),
    bridge("remote_password", TEXT).also(&["password"]).help("The password there."),
    bridge("remote_username", TEXT).also(&["username"]).help("The User Name there."),
    bridge("restart_timeout", TEXT).help("The time before a new attempt."),
    bridge("round_robin", Kind::Bool).help("Whether the first address is preferred."),
    bridge("start_type", Kind::Word(&["automatic", "lazy", "once"])).help("When it connects."),
    bridge("threshold", NUMBER).help("Messages that wake a lazy bridge."),
    bridge("topic", TEXT).repeat(Repeat::Every).help("What is passed on."),
    bridge("try_private", Kind::Bool).help("Whether the other broker is told that it is a bridge."),
];
