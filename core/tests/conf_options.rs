//! Every supported option sets what its row says, defaults are Mosquitto's, and what is not
//! supported is said: a table of lines and of what they change.

mod conf_support;

use conf_support::quiet;
use conf_support::read;
use conf_support::said;
use halyard_core::conf::BrokerConfig;
use halyard_core::conf::CertificateName;
use halyard_core::conf::Kind;
use halyard_core::conf::Listener;
use halyard_core::conf::LogDestination;
use halyard_core::conf::LogFormat;
use halyard_core::conf::LogType;
use halyard_core::conf::LogTypes;
use halyard_core::conf::Protocol;
use halyard_core::conf::ProxyConfig;
use halyard_core::conf::Scope;
use halyard_core::conf::ServerConfig;
use halyard_core::conf::SocketDomain;
use halyard_core::conf::Status;
use halyard_core::conf::SyncMode;
use halyard_core::conf::TlsConfig;
use halyard_core::conf::options;

type Change<T> = fn(&mut T);

const BROKER: &[(&str, Change<BrokerConfig>)] = &[
    ("acl_check_subscribe true", |b| b.acl_check_subscribe = true),
    ("allow_zero_length_clientid false", |b| b.allow_zero_length_clientid = false),
    ("auto_id_prefix x y", |b| b.auto_id_prefix = "x y".into()),
    ("clientid_owner none", |b| b.sessions_have_owners = false),
    ("clientid_prefixes a b", |b| b.clientid_prefixes = Some("a b".into())),
    ("check_retain_source false", |b| b.check_retain_source = false),
    ("connect_timeout 3", |b| b.connect_timeout_secs = 3),
    ("global_max_clients 7", |b| b.max_clients = Some(7)),
    ("global_max_clients -1", |_| {}),
    ("global_max_connections 8", |b| b.max_connections = Some(8)),
    ("global_max_connections 0", |_| {}),
    ("journal_backlog 65536", |b| b.journal_backlog = 65_536),
    ("max_client_id_length 23", |b| b.max_client_id_bytes = 23),
    ("max_connect_size 4096", |b| b.max_connect_size = 4096),
    ("max_inflight_bytes 9", |b| b.max_inflight_bytes = 9),
    ("max_inflight_messages 1", |b| b.max_inflight_messages = 1),
    ("max_inflight_messages -1", |b| b.max_inflight_messages = 0),
    ("max_keepalive 600", |b| b.max_keepalive = 600),
    ("max_packet_size 20", |b| b.max_packet_size = 20),
    ("max_pipelined_bytes 65536", |b| b.max_pipelined_bytes = 65_536),
    ("max_properties 64", |b| b.max_properties = 64),
    ("max_queued_bytes 10", |b| b.max_queued_bytes = 10),
    ("max_queued_messages 11", |b| b.max_queued_messages = 11),
    ("max_queued_messages -1", |b| b.max_queued_messages = 0),
    ("max_retained_bytes 12", |b| b.max_retained_bytes = 12),
    ("max_retained_messages 13", |b| b.max_retained_messages = 13),
    ("max_subscriptions_per_client 14", |b| b.max_subscriptions_per_client = 14),
    ("max_topic_levels 15", |b| b.max_topic_levels = 15),
    ("max_user_properties 16", |b| b.max_user_properties = 16),
    ("memory_limit 0", |_| {}),
    ("message_size_limit 17", |b| b.message_size_limit = 17),
    ("output_high_water 100000", |b| b.output_high_water = 100_000),
    ("output_low_water 1", |b| b.output_low_water = 1),
    ("full_disk_timeout 17", |b| b.full_disk_timeout_secs = 17),
    ("output_timeout 17", |b| b.output_timeout_secs = 17),
    ("packet_timeout 18", |b| b.packet_timeout_secs = 18),
    ("persistent_client_expiration 2w", |b| {
        b.persistent_client_expiration_secs = Some(14 * 86_400);
    }),
    ("queue_qos0_messages true", |b| b.queue_qos0_messages = true),
    ("receive_maximum_action warn", |b| b.receive_maximum_enforced = false),
    ("retain_available false", |b| b.retain_available = false),
    ("retain_expiry_interval 2", |b| b.retain_expiry_secs = Some(120)),
    ("max_byte_rate 5", |b| b.max_byte_rate = 5),
    ("max_connect_rate 5", |b| b.max_connect_rate = 5),
    ("max_connect_rate_per_address 5", |b| b.max_connect_rate_per_address = 5),
    ("max_connections_per_address 5", |b| b.max_connections_per_address = Some(5)),
    ("max_message_rate 5", |b| b.max_message_rate = 5),
    ("memory_limit 5000000", |b| b.memory_limit = 5_000_000),
    ("max_sessions_per_user 5", |b| b.max_sessions_per_user = 5),
    ("max_takeover_rate 5", |b| b.max_takeover_rate = 5),
    ("sys_interval 0", |b| b.sys_interval_secs = 0),
    ("topic_watch_max 50", |b| b.topic_watch_max = 50),
    ("turn_budget 65536", |b| b.turn_budget_bytes = 65_536),
    ("upgrade_outgoing_qos 1", |b| b.upgrade_outgoing_qos = true),
];

const SERVER: &[(&str, Change<ServerConfig>)] = &[
    ("auth_cache_size 0", |s| s.auth.cache_entries = 0),
    ("auth_cache_time 60", |s| s.auth.cache_secs = 60),
    ("auth_failures_per_address 5", |s| s.auth.failures_per_address = 5),
    ("auth_failures_per_user 0", |s| s.auth.failures_per_user = 0),
    ("auth_queue 7", |s| s.auth.queue = 7),
    ("auth_threads 3", |s| s.auth.threads = Some(3)),
    ("acl_file /etc/acl", |s| s.acl_file = Some("/etc/acl".into())),
    ("connection_messages false", |s| s.log.connection_messages = false),
    ("jwt_acl_claim rights", |s| s.auth.jwt_acl_claim = "rights".into()),
    ("jwt_audience mqtt", |s| s.auth.jwt_audience = Some("mqtt".into())),
    ("jwt_issuer https://a.example", |s| s.auth.jwt_issuer = Some("https://a.example".into())),
    ("jwt_key_file /etc/k", |s| s.listeners[0].jwt_key_file = Some("/etc/k".into())),
    ("jwt_username_claim name", |s| s.auth.jwt_username_claim = "name".into()),
    ("log_dest none", |s| s.log.destinations.clear()),
    ("log_dest stdout unbuffered\nlog_dest syslog", |s| {
        s.log.destinations = vec![LogDestination::Stdout, LogDestination::Syslog];
    }),
    ("log_dest stdout\nlog_dest none\nlog_dest file /var/log/a b.log", |s| {
        s.log.destinations = vec![LogDestination::File("/var/log/a b.log".into())];
    }),
    ("log_dest topic", |s| s.log.destinations = vec![LogDestination::Topic]),
    ("log_facility 3", |s| s.log.facility = Some(3)),
    ("log_format json", |s| s.log.format = LogFormat::Json),
    ("log_timestamp false", |s| s.log.timestamp = false),
    ("log_timestamp_format %Y-%m-%dT%H:%M:%S", |s| {
        s.log.timestamp_format = Some("%Y-%m-%dT%H:%M:%S".into());
    }),
    ("log_type none", |s| s.log.types = LogTypes::NONE),
    ("log_type all", |s| s.log.types = LogTypes::ALL),
    ("log_type error\nlog_type subscribe", |s| {
        s.log.types = LogTypes::NONE.with(LogType::Error).with(LogType::Subscribe);
    }),
    ("password_file /etc/a b", |s| s.listeners[0].password_file = Some("/etc/a b".into())),
    ("persistence_allow_shared true", |s| s.store.allow_shared = true),
    ("persistence_location /a b", |s| s.store.location = Some("/a b".into())),
    ("persistence_sync interval", |s| s.store.sync = SyncMode::Interval),
    ("persistence_sync never", |s| s.store.sync = SyncMode::Never),
    ("persistence_segment_size 1048576", |s| s.store.segment_size = 1_048_576),
    ("persistence_sync_interval 20", |s| s.store.sync_interval_millis = 20),
    ("max_tls_handshakes 9", |s| s.max_tls_handshakes = 9),
    ("tls_handshake_timeout 5", |s| s.tls_handshake_timeout_secs = 5),
    ("pid_file /run/a b.pid", |s| s.pid_file = Some("/run/a b.pid".into())),
    ("set_tcp_nodelay false", |s| s.set_tcp_nodelay = false),
    ("user root", |s| s.user = Some("root".into())),
    ("worker_threads 1", |_| {}),
    ("persistence true", |s| s.broker.persistence = true),
    ("retained_persistence false", |_| {}),
];

const LISTENER: &[(&str, Change<Listener>)] = &[
    ("accept_protocol_versions 4, 5", |l| l.engine.accept_v31 = false),
    ("accept_protocol_versions 3", |l| {
        l.engine.accept_v311 = false;
        l.engine.accept_v5 = false;
    }),
    ("protocol http_api\nadmin_api true\nadmin_token_file /t\nadmin_max_body_size 2048", |l| {
        l.protocol = Protocol::HttpApi;
        l.admin.enabled = true;
        l.admin.token_file = Some("/t".into());
        l.admin.body_bytes_max = 2048;
    }),
    ("bind_interface eth0", |l| l.bind_interface = Some("eth0".into())),
    ("listener_allow_anonymous true", |_| {}),
    ("listener_auto_id_prefix l-", |l| l.engine.auto_id_prefix = Some("l-".into())),
    ("max_connections 5", |l| l.max_connections = Some(5)),
    ("max_connections -1", |_| {}),
    ("max_qos 1", |l| l.engine.max_qos = 1),
    ("maximum_qos 0", |l| l.engine.max_qos = 0),
    ("max_topic_alias 0", |l| l.engine.max_topic_alias = 0),
    ("max_topic_alias_broker 65535", |l| l.engine.max_topic_alias_broker = 65_535),
    ("mount_point site/", |l| l.engine.mount_point = Some("site/".into())),
    ("protocol http_api\nhttp_dir /srv/a b", |l| {
        l.protocol = Protocol::HttpApi;
        l.http_dir = Some("/srv/a b".into());
    }),
    ("protocol websockets", |l| l.protocol = Protocol::Websockets),
    ("protocol http_api", |l| l.protocol = Protocol::HttpApi),
    ("socket_domain ipv6", |l| l.socket_domain = Some(SocketDomain::Ipv6)),
    ("use_username_as_clientid true", |l| l.engine.use_username_as_clientid = true),
    ("protocol websockets\nwebsockets_origin https://a.example\nwebsockets_origin null", |l| {
        l.protocol = Protocol::Websockets;
        l.websockets_origin = vec!["https://a.example".into(), "null".into()];
    }),
    ("certfile /c d.pem\nkeyfile k", |l| l.tls = Some(tls(|_| {}))),
    ("certfile /c d.pem\nkeyfile k\ncafile a\ncapath p\nrequire_certificate true", |l| {
        l.tls = Some(tls(|tls| {
            (tls.cafile, tls.capath) = (Some("a".into()), Some("p".into()));
            tls.require_certificate = true;
        }));
    }),
    ("certfile /c d.pem\nkeyfile k\ncafile a\nrequire_certificate true\ncrlfile r", |l| {
        l.tls = Some(tls(|tls| {
            (tls.cafile, tls.crlfile) = (Some("a".into()), Some("r".into()));
            tls.require_certificate = true;
        }));
    }),
    (
        "certfile /c d.pem\nkeyfile k\ncafile a\nrequire_certificate true\n\
         disable_client_cert_date_checks true",
        |l| {
            l.tls = Some(tls(|tls| {
                tls.cafile = Some("a".into());
                (tls.require_certificate, tls.ignores_client_dates) = (true, true);
            }));
        },
    ),
    ("certfile /c d.pem\nkeyfile k\ntls_version tlsv1.3\nciphers A:B\nciphers_tls1.3 C", |l| {
        l.tls = Some(tls(|tls| {
            tls.only_tls13 = true;
            (tls.ciphers, tls.ciphers_tls13) = (Some("A:B".into()), Some("C".into()));
        }));
    }),
    (
        "certfile /c d.pem\nkeyfile k\ncafile a\nrequire_certificate true\n\
         use_identity_as_username true",
        |l| with_name(l, CertificateName::CommonName),
    ),
    (
        "certfile /c d.pem\nkeyfile k\ncafile a\nrequire_certificate true\n\
         use_subject_as_username true",
        |l| with_name(l, CertificateName::Subject),
    ),
    ("enable_proxy_protocol 1\nproxy_protocol_trusted 10.0.0.0/8", |l| {
        l.proxy = Some(proxy(1, false, &["10.0.0.0/8"]));
    }),
    (
        "enable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n\
         proxy_protocol_trusted 10.1.2.3\nproxy_protocol_trusted ::1",
        |l| l.proxy = Some(proxy(2, true, &["10.1.2.3/32", "::1/128"])),
    ),
];

fn tls(change: fn(&mut TlsConfig)) -> TlsConfig {
    let mut tls = TlsConfig {
        certfile: "/c d.pem".into(),
        keyfile: "k".into(),
        cafile: None,
        capath: None,
        crlfile: None,
        require_certificate: false,
        ignores_client_dates: false,
        only_tls13: false,
        ciphers: None,
        ciphers_tls13: None,
    };
    change(&mut tls);
    tls
}

fn with_name(listener: &mut Listener, name: CertificateName) {
    listener.certificate_name = Some(name);
    listener.tls = Some(tls(|tls| {
        tls.cafile = Some("a".into());
        tls.require_certificate = true;
    }));
}

fn proxy(version: u8, require_tls: bool, trusted: &[&str]) -> ProxyConfig {
    let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
    ProxyConfig { version, require_tls, require_certificate: false, trusted }
}

#[test]
fn an_empty_file_is_local_only() {
    let mut config = quiet("");
    assert!(config.local_only);
    config.listeners[0].place = "no configuration".into();
    assert_eq!(config, ServerConfig::port_only(1883));
    assert_eq!(config.broker, BrokerConfig::default());
}

#[test]
fn options_of_the_broker_set_their_field() {
    for (text, change) in BROKER {
        let mut expected = BrokerConfig::default();
        change(&mut expected);
        assert_eq!(quiet(text).broker, expected, "{text}");
    }
}

#[test]
fn options_of_the_server_set_their_field() {
    for (text, change) in SERVER {
        let mut expected = quiet("");
        change(&mut expected);
        assert_eq!(quiet(text), expected, "{text}");
    }
}

#[test]
fn options_of_a_listener_set_their_field() {
    let base = quiet("allow_anonymous true\nlistener 1883\n").listeners.remove(0);
    for (text, change) in LISTENER {
        let mut expected = base.clone();
        change(&mut expected);
        let config = quiet(&format!("allow_anonymous true\nlistener 1883\n{text}\n"));
        assert_eq!(config.listeners, [expected], "{text}");
    }
}

#[test]
fn every_supported_option_is_in_a_table_above() {
    let lines: Vec<&str> = BROKER
        .iter()
        .map(|row| row.0)
        .chain(SERVER.iter().map(|row| row.0))
        .chain(LISTENER.iter().map(|row| row.0))
        .flat_map(str::lines)
        .collect();
    // These change the reading itself and have tests of their own.
    let others = [
        "allow_anonymous",
        "bind_address",
        "include_dir",
        "listener",
        "per_listener_settings",
        "port",
    ];
    for option in options().filter(|option| option.status == Status::Supported) {
        let is_tested = lines.iter().any(|line| line.split(' ').next() == Some(option.name));
        assert!(is_tested || others.contains(&option.name), "{}", option.name);
    }
}

/// A value that the option's type takes and that is not its default.
fn another_value(kind: Kind, default: &str) -> String {
    match kind {
        Kind::Bool => (default != "true").to_string(),
        Kind::Int { min, max, .. } => (max.min(min + 1)).to_string(),
        Kind::Word(words) => (*words.iter().find(|word| **word != default).unwrap_or(&"")).into(),
        _ => "/some/text".into(),
    }
}

#[test]
fn what_is_not_honoured_is_said_and_its_default_is_not() {
    for option in options() {
        let above = match option.scope {
            Scope::Listener | Scope::OwnListener => "allow_anonymous true\nlistener 1883\n",
            _ => "\n\n",
        };
        let value = another_value(option.kind, option.default);
        let parsed = read(format!("{above}{} {value}", option.name.replace('*', "x")));
        let said = said(&parsed);
        match option.status {
            Status::Supported => continue,
            Status::Harmless(why) => {
                assert!(parsed.is_valid(), "{said:?}");
                assert!(said[0].contains("a.conf:") && said[0].contains(why), "{said:?}");
            }
            Status::NotYet(what) => {
                assert!(!parsed.is_valid(), "{}", option.name);
                assert!(said[0].contains("it is not supported yet; "), "{said:?}");
                assert!(said[0].ends_with(what), "{said:?}");
            }
            Status::Refused(why) => {
                assert!(!parsed.is_valid(), "{}", option.name);
                let is_above_missing = matches!(option.scope, Scope::Bridge | Scope::Plugin);
                assert!(said[0].ends_with(why) || is_above_missing, "{said:?}");
            }
        }
        assert_eq!(said.len(), 1, "{said:?}");
        if !option.default.is_empty() {
            quiet(&format!("{above}{} {}", option.name, option.default));
        }
    }
}

#[test]
fn defaults_are_what_the_table_says() {
    let without = quiet("");
    for option in options().filter(|option| option.status == Status::Supported) {
        let is_of_the_broker = matches!(option.scope, Scope::General | Scope::Security);
        if is_of_the_broker && !option.default.is_empty() {
            let with = quiet(&format!("{} {}", option.name, option.default));
            assert_eq!(with, without, "{}", option.name);
        }
    }
    let without = quiet("allow_anonymous true\nlistener 1883");
    for option in options().filter(|option| option.status == Status::Supported) {
        let is_of_a_listener = matches!(option.scope, Scope::Listener | Scope::OwnListener);
        if is_of_a_listener && !option.default.is_empty() {
            let text =
                format!("allow_anonymous true\nlistener 1883\n{} {}", option.name, option.default);
            assert_eq!(quiet(&text), without, "{}", option.name);
        }
    }
}
