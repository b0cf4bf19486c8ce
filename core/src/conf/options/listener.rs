//! Options of one listener. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;
use super::Special;
use crate::conf::Protocol;
use crate::conf::SocketDomain;

pub(super) const SECTION: Section = Section {
    title: "Listeners",
    intro: "A `listener` line begins a listener; the options below it, to the next `listener` line or to the end of the file, are its own. A file without a listener gives one on loopback, port 1883, for anonymous clients.",
    options: OPTIONS,
};

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::listener(
        "accept_protocol_versions",
        Kind::Words(&["3", "4", "5"]),
        |listener, value| {
            let engine = &mut listener.listener.engine;
            engine.accept_v31 = value.has("3");
            engine.accept_v311 = value.has("4");
            engine.accept_v5 = value.has("5");
        },
    )
    .within(Scope::OwnListener)
    .default("3, 4, 5")
    .reloaded()
    .help("The versions that are spoken: 3 = MQTT 3.1, 4 = MQTT 3.1.1, 5 = MQTT 5.0."),
    OptionSpec::listener("admin_api", Kind::Bool, |listener, value| {
        listener.listener.admin.enabled = value.bool();
    })
    .within(Scope::OwnListener)
    .default("false")
    .reloaded()
    .help("Ours. Serves the admin API below `/api/v1` (described by `/api/v1/openapi.json`); the listener needs `protocol http_api`, and `admin_token_file` unless it is on loopback or a Unix socket."),
    OptionSpec::listener("admin_max_body_size", Kind::int(1024, 16_777_216), |listener, value| {
        listener.listener.admin.body_bytes_max = value.u32();
    })
    .within(Scope::OwnListener)
    .unit("bytes")
    .default("65536")
    .reloaded()
    .help("Ours. The largest body of a request to the admin API."),
    OptionSpec::listener("admin_token_file", Kind::Path, |listener, value| {
        listener.listener.admin.token_file = Some(value.text());
    })
    .within(Scope::OwnListener)
    .repeat(Repeat::Once)
    .reloaded()
    .help("Ours. A file whose first line is the token that requests to the admin API must carry (`Authorization: Bearer TOKEN`), 16 characters at least."),
    OptionSpec::special("bind_address", Scope::General, Kind::Text(255), Special::BindAddress)
        .repeat(Repeat::Once)
        .reloaded()
        .help("Deprecated: write `listener PORT ADDRESS`. The address of the default listener, on port 1883 unless `port` says otherwise."),
    OptionSpec::listener("bind_interface", Kind::Text(64), |listener, value| {
        listener.listener.bind_interface = Some(value.text());
    })
    .repeat(Repeat::Once)
    .reloaded()
    .help("Listens on the addresses of this network interface only."),
    OptionSpec::listener("enable_proxy_protocol", Kind::int(1, 2), |listener, value| {
        listener.tls.proxy = Some(value.u8());
    })
    .within(Scope::OwnListener)
    .reloaded()
    .help("Expects a header of the PROXY protocol, version 1 or 2, before everything else; the address that it names counts in logs and limits. Only proxies in `proxy_protocol_trusted` are believed, others are refused."),
    OptionSpec::listener("http_dir", Kind::Path, |listener, value| {
        listener.listener.http_dir = Some(value.text());
    })
    .within(Scope::OwnListener)
    .repeat(Repeat::Once)
    .reloaded()
    .help("A folder of files that the listener serves over HTTP: with `protocol http_api` in the place of the broker's own page, with `websockets` besides. They are read at the start and at a reload, 64 MiB and 10,000 files at most; what begins with a dot, and links that lead elsewhere, are left out."),
    OptionSpec::special("listener", Scope::General, Kind::Listener, Special::Listener)
        .repeat(Repeat::Every)
        .reloaded()
        .help("`listener PORT [ADDRESS]` listens on this TCP port, at this address or host name or else at all addresses. `listener 0 /PATH` listens on a Unix socket. `listener 0 IP` (ours) lets the system choose a port."),
    OptionSpec::listener("max_connections", Kind::limit(super::INT_MAX), |listener, value| {
        listener.listener.max_connections = value.limit();
    })
    .default("-1")
    .reloaded()
    .help("Connections at a time; -1 or 0 = no limit."),
    OptionSpec::listener("max_qos", Kind::int(0, 2), |listener, value| {
        listener.listener.engine.max_qos = value.u8();
    })
    .also(&["maximum_qos"])
    .default("2")
    .reloaded()
    .help("The highest QoS of a client's messages; 5.0 clients are told."),
    OptionSpec::listener("max_topic_alias", Kind::int(0, 65_535), |listener, value| {
        listener.listener.engine.max_topic_alias = value.u16();
    })
    .within(Scope::OwnListener)
    .default("10")
    .reloaded()
    .help("Topic Aliases that a 5.0 client may set; 0 = none."),
    OptionSpec::listener("max_topic_alias_broker", Kind::int(0, 65_535), |listener, value| {
        listener.listener.engine.max_topic_alias_broker = value.u16();
    })
    .within(Scope::OwnListener)
    .default("10")
    .reloaded()
    .help("Topic Aliases that the broker sets towards a 5.0 client, if the client allows as many; 0 = none."),
    OptionSpec::listener("mount_point", Kind::TopicPrefix, |listener, value| {
        listener.listener.engine.mount_point = Some(value.text());
    })
    .within(Scope::OwnListener)
    .help("Stands before every topic of the listener's clients, in both directions, without their seeing it. It usually ends in `/`."),
    OptionSpec::special("port", Scope::General, Kind::int(1, 65_535), Special::Port)
        .reloaded()
        .help("Deprecated: write `listener PORT`. The port of the default listener."),
    OptionSpec::listener(
        "protocol",
        Kind::Word(&["mqtt", "websockets", "http_api"]),
        |listener, value| {
            listener.listener.protocol = match value.word() {
                "websockets" => Protocol::Websockets,
                "http_api" => Protocol::HttpApi,
                _ => Protocol::Mqtt,
            };
        },
    )
    .default("mqtt")
    .reloaded()
    .help("What the listener speaks: MQTT; MQTT over WebSocket, at any path; or HTTP with the page, `/metrics` and `/health`."),
    OptionSpec::listener("proxy_protocol_trusted", Kind::Network, |listener, value| {
        listener.tls.proxy_trusted.extend(value.network());
    })
    .within(Scope::OwnListener)
    .repeat(Repeat::Every)
    .reloaded()
    .help("Ours. A network that PROXY headers are accepted from, as `10.0.0.0/8` or one address; without a line, this machine alone (loopback and Unix sockets)."),
    OptionSpec::listener("proxy_protocol_v2_require_tls", Kind::Bool, |listener, value| {
        listener.tls.proxy_requires_tls = value.bool();
    })
    .within(Scope::OwnListener)
    .default("false")
    .reloaded()
    .help("Refuses connections that did not reach the proxy over TLS."),
    OptionSpec::listener("socket_domain", Kind::Word(&["ipv4", "ipv6"]), |listener, value| {
        listener.listener.socket_domain = Some(match value.word() {
            "ipv6" => SocketDomain::Ipv6,
            _ => SocketDomain::Ipv4,
        });
    })
    .reloaded()
    .help("Listens on addresses of this family only; without it on both."),
    OptionSpec::listener("use_username_as_clientid", Kind::Bool, |listener, value| {
        listener.listener.engine.use_username_as_clientid = value.bool();
    })
    .default("false")
    .reloaded()
    .help("Takes the User Name as the Client Identifier, so that a user has one session; a client without a User Name is refused."),
    OptionSpec::harmless(
        "websockets_headers_size",
        Kind::int(0, 65_535),
        "the head of an HTTP request has a limit of its own",
    )
    .also(&["packet_buffer_size"])
    .unit("bytes")
    .default("4096")
    .help("Size of a buffer in Mosquitto."),
    OptionSpec::harmless(
        "websockets_log_level",
        Kind::int(0, super::INT_MAX),
        "`log_type websockets` logs what WebSocket clients do",
    )
    .default("0")
    .help("The log level of the library that Mosquitto may be built with."),
    OptionSpec::listener("websockets_origin", Kind::Text(1024), |listener, value| {
        listener.listener.websockets_origin.push(value.text());
    })
    .within(Scope::OwnListener)
    .repeat(Repeat::Every)
    .reloaded()
    .help("Accepts WebSocket connections of pages of this origin (`https://example.org`) only; one line for each. Connections without `Origin`, which no browser makes, are accepted anyway."),
];
