//! What a configuration amounts to: every option with the value that holds, for the broker and for
//! each listener. Names files and never what is in them, so that no secret is shown.

use crate::settings::Settings;
use halyard_core::access::AccessList;
use halyard_core::conf::BrokerConfig;
use halyard_core::conf::CertificateName;
use halyard_core::conf::Listener;
use halyard_core::conf::LogConfig;
use halyard_core::conf::LogDestination;
use halyard_core::conf::LogFormat;
use halyard_core::conf::LogType;
use halyard_core::conf::Protocol;
use halyard_core::conf::ServerConfig;
use halyard_core::conf::SocketDomain;
use halyard_core::conf::SyncMode;

/// An option and its value.
pub(super) type Row = (&'static str, String);

const NONE: &str = "none";
const NO_LIMIT: &str = "no limit";

/// What holds for the broker as a whole.
pub(super) fn broker(settings: &Settings) -> Vec<Row> {
    let config = &settings.config;
    let mut rows = process(config);
    rows.extend(sessions(&config.broker));
    rows.extend(limits(&config.broker));
    rows.extend(access(config));
    rows.extend(log(&config.log));
    rows.extend(store(config));
    rows.sort_unstable();
    rows
}

/// What holds for a listener.
pub(super) fn listener(settings: &Settings, listener: &Listener) -> Vec<Row> {
    let mut rows = clients(settings, listener);
    rows.extend(transport(listener));
    rows.extend(tls(listener));
    rows.sort_unstable();
    rows
}

fn process(config: &ServerConfig) -> Vec<Row> {
    vec![
        ("max_tls_handshakes", limit(config.max_tls_handshakes)),
        ("pid_file", text(config.pid_file.as_deref())),
        ("set_tcp_nodelay", config.set_tcp_nodelay.to_string()),
        ("tls_handshake_timeout", limit(config.tls_handshake_timeout_secs)),
        ("user", config.user.clone().unwrap_or_else(|| "mosquitto, or nobody".into())),
    ]
}

fn sessions(broker: &BrokerConfig) -> Vec<Row> {
    let seconds = |secs: Option<u64>| secs.map_or_else(none, |secs| format!("{secs}s"));
    let minutes = broker.retain_expiry_secs.map(|secs| secs / 60);
    vec![
        ("allow_zero_length_clientid", broker.allow_zero_length_clientid.to_string()),
        ("auto_id_prefix", broker.auto_id_prefix.clone()),
        ("clientid_owner", word(broker.sessions_have_owners, "user", NONE)),
        ("clientid_prefixes", text(broker.clientid_prefixes.as_deref())),
        ("persistent_client_expiration", seconds(broker.persistent_client_expiration_secs)),
        ("queue_qos0_messages", broker.queue_qos0_messages.to_string()),
        ("receive_maximum_action", word(broker.receive_maximum_enforced, "disconnect", "warn")),
        ("retain_available", broker.retain_available.to_string()),
        ("retain_expiry_interval", minutes.map_or_else(none, |minutes| minutes.to_string())),
        ("sys_interval", broker.sys_interval_secs.to_string()),
        ("upgrade_outgoing_qos", broker.upgrade_outgoing_qos.to_string()),
    ]
}

fn limits(broker: &BrokerConfig) -> Vec<Row> {
    vec![
        ("connect_timeout", limit(broker.connect_timeout_secs)),
        ("global_max_clients", most(broker.max_clients)),
        ("global_max_connections", most(broker.max_connections)),
        ("max_byte_rate", limit(broker.max_byte_rate)),
        ("max_client_id_length", broker.max_client_id_bytes.to_string()),
        ("max_connect_rate", limit(broker.max_connect_rate)),
        ("max_connect_rate_per_address", limit(broker.max_connect_rate_per_address)),
        ("max_connect_size", broker.max_connect_size.to_string()),
        ("max_connections_per_address", most(broker.max_connections_per_address)),
        ("max_inflight_bytes", limit(broker.max_inflight_bytes)),
        ("max_inflight_messages", limit(broker.max_inflight_messages)),
        ("max_keepalive", limit(broker.max_keepalive)),
        ("max_message_rate", limit(broker.max_message_rate)),
        ("max_packet_size", broker.max_packet_size.to_string()),
        ("max_pipelined_bytes", broker.max_pipelined_bytes.to_string()),
        ("max_properties", broker.max_properties.to_string()),
        ("max_queued_bytes", limit(broker.max_queued_bytes)),
        ("max_queued_messages", limit(broker.max_queued_messages)),
        ("max_retained_bytes", limit(broker.max_retained_bytes)),
        ("max_retained_messages", limit(broker.max_retained_messages)),
        ("max_sessions_per_user", limit(broker.max_sessions_per_user)),
        ("max_subscriptions_per_client", limit(broker.max_subscriptions_per_client)),
        ("max_takeover_rate", limit(broker.max_takeover_rate)),
        ("max_topic_levels", limit(broker.max_topic_levels)),
        ("max_user_properties", broker.max_user_properties.to_string()),
        ("memory_limit", limit(broker.memory_limit)),
        ("message_size_limit", limit(broker.message_size_limit)),
        ("output_high_water", broker.output_high_water.to_string()),
        ("output_low_water", broker.output_low_water.to_string()),
        ("full_disk_timeout", limit(broker.full_disk_timeout_secs)),
        ("output_timeout", limit(broker.output_timeout_secs)),
        ("packet_timeout", limit(broker.packet_timeout_secs)),
        ("topic_watch_max", broker.topic_watch_max.to_string()),
        ("turn_budget", broker.turn_budget_bytes.to_string()),
    ]
}

fn access(config: &ServerConfig) -> Vec<Row> {
    let auth = &config.auth;
    let threads = || "half of the processors".to_owned();
    vec![
        ("acl_check_subscribe", config.broker.acl_check_subscribe.to_string()),
        ("auth_cache_size", auth.cache_entries.to_string()),
        ("auth_cache_time", auth.cache_secs.to_string()),
        ("auth_failures_per_address", limit(auth.failures_per_address)),
        ("auth_failures_per_user", limit(auth.failures_per_user)),
        ("auth_queue", auth.queue.to_string()),
        ("auth_threads", auth.threads.map_or_else(threads, |count| count.to_string())),
        ("check_retain_source", config.broker.check_retain_source.to_string()),
        ("jwt_acl_claim", auth.jwt_acl_claim.clone()),
        ("jwt_audience", text(auth.jwt_audience.as_deref())),
        ("jwt_issuer", text(auth.jwt_issuer.as_deref())),
        ("jwt_username_claim", auth.jwt_username_claim.clone()),
    ]
}

fn log(log: &LogConfig) -> Vec<Row> {
    const TYPES: [(LogType, &str); 8] = [
        (LogType::Error, "error"),
        (LogType::Warning, "warning"),
        (LogType::Notice, "notice"),
        (LogType::Information, "information"),
        (LogType::Debug, "debug"),
        (LogType::Subscribe, "subscribe"),
        (LogType::Unsubscribe, "unsubscribe"),
        (LogType::Websockets, "websockets"),
    ];
    let types = TYPES.iter().filter(|(kind, _)| log.types.has(*kind)).map(|(_, name)| *name);
    let destinations = log.destinations.iter().map(|destination| match destination {
        LogDestination::File(path) => format!("file {path}"),
        LogDestination::Stderr => "stderr".into(),
        LogDestination::Stdout => "stdout".into(),
        LogDestination::Syslog => "syslog".into(),
        LogDestination::Topic => "topic".into(),
    });
    let seconds = || "seconds since 1970".to_owned();
    vec![
        ("connection_messages", log.connection_messages.to_string()),
        ("log_dest", list(destinations)),
        (
            "log_facility",
            log.facility.map_or_else(|| "daemon".into(), |facility| facility.to_string()),
        ),
        ("log_format", word(log.format == LogFormat::Json, "json", "text")),
        ("log_timestamp", log.timestamp.to_string()),
        ("log_timestamp_format", log.timestamp_format.clone().unwrap_or_else(seconds)),
        ("log_type", list(types.map(str::to_owned))),
    ]
}

fn store(config: &ServerConfig) -> Vec<Row> {
    let store = &config.store;
    let here = || ". (where the broker is started)".to_owned();
    let sync = match store.sync {
        SyncMode::Always => "always",
        SyncMode::Interval => "interval",
        SyncMode::Never => "never",
    };
    vec![
        ("journal_backlog", config.broker.journal_backlog.to_string()),
        ("persistence", config.broker.persistence.to_string()),
        ("persistence_allow_shared", store.allow_shared.to_string()),
        ("persistence_location", store.location.clone().unwrap_or_else(here)),
        ("persistence_segment_size", store.segment_size.to_string()),
        ("persistence_sync", sync.into()),
        ("persistence_sync_interval", store.sync_interval_millis.to_string()),
    ]
}

fn clients(settings: &Settings, listener: &Listener) -> Vec<Row> {
    let (engine, broker) = (&listener.engine, &settings.config.broker);
    let versions = [(3, engine.accept_v31), (4, engine.accept_v311), (5, engine.accept_v5)];
    let versions = versions.iter().filter(|one| one.1).map(|one| one.0.to_string());
    let list_of = |list: &AccessList| format!("{} ({} rules)", list.file(), list.rules().len());
    let empty = engine.allow_zero_length_clientid.unwrap_or(broker.allow_zero_length_clientid);
    let prefix = engine.auto_id_prefix.as_ref().unwrap_or(&broker.auto_id_prefix);
    vec![
        ("accept_protocol_versions", list(versions)),
        ("acl_file", access_list(settings, listener).map_or_else(none, list_of)),
        ("allow_anonymous", engine.allow_anonymous.to_string()),
        ("allow_zero_length_clientid", empty.to_string()),
        ("auto_id_prefix", prefix.clone()),
        ("jwt_key_file", text(listener.jwt_key_file.as_deref())),
        ("listener_allow_anonymous", engine.allow_anonymous.to_string()),
        ("listener_auto_id_prefix", prefix.clone()),
        ("max_qos", engine.max_qos.to_string()),
        ("max_topic_alias", engine.max_topic_alias.to_string()),
        ("max_topic_alias_broker", engine.max_topic_alias_broker.to_string()),
        ("mount_point", text(engine.mount_point.as_deref())),
        ("password_file", text(listener.password_file.as_deref())),
        ("use_username_as_clientid", engine.use_username_as_clientid.to_string()),
    ]
}

fn transport(listener: &Listener) -> Vec<Row> {
    let protocol = match listener.protocol {
        Protocol::Mqtt => "mqtt",
        Protocol::Websockets => "websockets",
        Protocol::HttpApi | Protocol::LocalHttp => "http_api",
    };
    let domain = match listener.socket_domain {
        None => "ipv4 and ipv6",
        Some(SocketDomain::Ipv4) => "ipv4",
        Some(SocketDomain::Ipv6) => "ipv6",
    };
    let admin = &listener.admin;
    let proxy = listener.proxy.as_ref();
    let trusted = match proxy {
        Some(proxy) if !proxy.trusted.is_empty() => list(proxy.trusted.iter()),
        _ => "this machine".into(),
    };
    let version = proxy.map_or_else(none, |proxy| proxy.version.to_string());
    let by_tls = proxy.is_some_and(|proxy| proxy.require_tls);
    let origins = match listener.websockets_origin.as_slice() {
        [] => "any".into(),
        some => list(some.iter()),
    };
    vec![
        ("admin_api", admin.enabled.to_string()),
        ("admin_max_body_size", admin.body_bytes_max.to_string()),
        ("admin_token_file", text(admin.token_file.as_deref())),
        ("bind_interface", text(listener.bind_interface.as_deref())),
        ("enable_proxy_protocol", version),
        ("http_dir", text(listener.http_dir.as_deref())),
        ("max_connections", most(listener.max_connections)),
        ("protocol", protocol.into()),
        ("proxy_protocol_trusted", trusted),
        ("proxy_protocol_v2_require_tls", by_tls.to_string()),
        ("socket_domain", domain.into()),
        ("websockets_origin", origins),
    ]
}

fn tls(listener: &Listener) -> Vec<Row> {
    let tls = listener.tls.as_ref();
    let file = |path: Option<&String>| text(path.map(String::as_str));
    let by_proxy = listener.proxy.as_ref().is_some_and(|proxy| proxy.require_certificate);
    let required = tls.is_some_and(|tls| tls.require_certificate) || by_proxy;
    let dateless = tls.is_some_and(|tls| tls.ignores_client_dates);
    let lowest = tls.map(|tls| word(tls.only_tls13, "tlsv1.3", "tlsv1.2"));
    let suites = |own: Option<&String>| own.map_or_else(|| "all".to_owned(), Clone::clone);
    let named = |name| (listener.certificate_name == Some(name)).to_string();
    vec![
        ("cafile", file(tls.and_then(|tls| tls.cafile.as_ref()))),
        ("capath", file(tls.and_then(|tls| tls.capath.as_ref()))),
        ("certfile", file(tls.map(|tls| &tls.certfile))),
        ("ciphers", suites(tls.and_then(|tls| tls.ciphers.as_ref()))),
        ("ciphers_tls1.3", suites(tls.and_then(|tls| tls.ciphers_tls13.as_ref()))),
        ("crlfile", file(tls.and_then(|tls| tls.crlfile.as_ref()))),
        ("disable_client_cert_date_checks", dateless.to_string()),
        ("keyfile", file(tls.map(|tls| &tls.keyfile))),
        ("require_certificate", required.to_string()),
        ("tls_version", lowest.unwrap_or_else(|| "no TLS".into())),
        ("use_identity_as_username", named(CertificateName::CommonName)),
        ("use_subject_as_username", named(CertificateName::Subject)),
    ]
}

/// The list that decides for the clients of a listener.
pub(super) fn access_list<'a>(
    settings: &'a Settings,
    listener: &'a Listener,
) -> Option<&'a AccessList> {
    let own = listener.engine.access.as_deref();
    own.or(settings.config.broker.access.as_deref())
}

fn none() -> String {
    NONE.into()
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or(NONE).to_owned()
}

fn word(is: bool, yes: &str, no: &str) -> String {
    if is { yes } else { no }.to_owned()
}

fn list(values: impl Iterator<Item = impl ToString>) -> String {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    if values.is_empty() { NONE.into() } else { values.join(", ") }
}

/// A number of which 0 means no limit.
fn limit(number: impl Into<u64>) -> String {
    match number.into() {
        0 => NO_LIMIT.into(),
        number => number.to_string(),
    }
}

fn most(number: Option<u32>) -> String {
    number.map_or_else(|| NO_LIMIT.into(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use halyard_core::conf::Status;
    use halyard_core::conf::options;

    #[test]
    fn every_option_that_is_honoured_is_shown() {
        let settings = Settings::local(ServerConfig::no_arguments());
        let mut rows = broker(&settings);
        rows.extend(listener(&settings, &settings.config.listeners[0]));
        // These are how the file is read, or stand in the headline of a listener.
        let others = ["bind_address", "include_dir", "listener", "per_listener_settings", "port"];
        for option in options().filter(|option| option.status == Status::Supported) {
            let shown = rows.iter().any(|(name, value)| *name == option.name && !value.is_empty());
            // Ours: 1 is the only value there is.
            let is_known = others.contains(&option.name) || option.name == "worker_threads";
            assert!(shown || is_known, "{}", option.name);
        }
    }
}
