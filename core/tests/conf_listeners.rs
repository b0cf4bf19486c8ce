//! Which listeners a file makes, which lines belong to which of them, and who may connect: the order
//! rules of Mosquitto.

mod conf_support;

use conf_support::quiet;
use conf_support::read;
use conf_support::read_with;
use conf_support::said;
use halyard_core::conf::Address;
use halyard_core::conf::Protocol;
use halyard_core::conf::ServerConfig;

fn any(port: u16) -> Address {
    Address::Any { port }
}

fn host(host: &str, port: u16) -> Address {
    Address::Host { host: host.into(), port }
}

fn addresses(config: &ServerConfig) -> Vec<Address> {
    config.listeners.iter().map(|listener| listener.address.clone()).collect()
}

fn anonymous(config: &ServerConfig) -> Vec<bool> {
    config.listeners.iter().map(|listener| listener.engine.allow_anonymous).collect()
}

#[test]
fn without_arguments_there_are_mqtt_and_http_on_loopback() {
    let config = ServerConfig::no_arguments();
    assert!(config.local_only);
    assert_eq!(
        addresses(&config),
        [Address::Loopback { port: 1883 }, Address::Loopback { port: 9001 }]
    );
    let protocols: Vec<Protocol> = config.listeners.iter().map(|l| l.protocol).collect();
    assert_eq!(protocols, [Protocol::Mqtt, Protocol::LocalHttp]);
    assert_eq!(anonymous(&config), [true, true]);
    let config = ServerConfig::port_only(2000);
    assert_eq!(addresses(&config), [Address::Loopback { port: 2000 }]);
    assert_eq!(anonymous(&config), [true]);
}

#[test]
fn a_file_without_a_listener_is_local_only() {
    let config = quiet("max_keepalive 60\n");
    assert_eq!(addresses(&config), [Address::Loopback { port: 1883 }]);
    assert!(config.local_only && anonymous(&config) == [true]);
    assert!(quiet("allow_anonymous true").local_only);
}

#[test]
fn a_local_only_file_may_refuse_anonymous_clients() {
    let parsed = read("allow_anonymous false");
    assert!(parsed.is_valid());
    assert_eq!(anonymous(&parsed.config), [false]);
    assert!(said(&parsed)[0].starts_with("a.conf:1: warning: allow_anonymous: every client"));
}

#[test]
fn any_listener_makes_anonymous_clients_unwelcome() {
    for text in ["listener 1883", "port 1883", "bind_address 127.0.0.1"] {
        let parsed = read(text);
        assert!(parsed.is_valid(), "{text}");
        assert_eq!(anonymous(&parsed.config), [false], "{text}");
        assert!(!parsed.config.local_only);
        assert!(said(&parsed)[0].contains("every client will be refused"), "{text}");
    }
}

#[test]
fn a_listener_for_http_needs_no_clients() {
    let config = quiet("listener 9001 127.0.0.1\nprotocol http_api");
    assert_eq!(anonymous(&config), [false], "its WebSocket is for whom the lines name");
}

#[test]
fn the_word_of_a_listener_stands_above_that_of_the_broker() {
    let config = read(
        "listener 1883\nlistener 1884\nlistener_allow_anonymous false\nlistener 1885\n\
         listener_allow_anonymous true\nallow_anonymous true\n",
    )
    .config;
    assert_eq!(anonymous(&config), [true, false, true]);
    let config = quiet("listener 1883\nlistener_allow_anonymous true");
    assert_eq!(anonymous(&config), [true]);
}

#[test]
fn addresses_are_ports_hosts_and_paths() {
    for (value, address) in [
        ("1883", any(1883)),
        ("1883 127.0.0.1", host("127.0.0.1", 1883)),
        ("1883 ::1", host("::1", 1883)),
        ("1883 [::1]", host("::1", 1883)),
        ("1883 broker.example", host("broker.example", 1883)),
        ("0 127.0.0.1", host("127.0.0.1", 0)),
        ("0 localhost", host("localhost", 0)),
        ("0 /run/m.sock", Address::Unix { path: "/run/m.sock".into() }),
        ("0 m.sock", Address::Unix { path: "m.sock".into() }),
    ] {
        let config = quiet(&format!("allow_anonymous true\nlistener {value}\n"));
        assert_eq!(addresses(&config), [address], "{value}");
        assert_eq!(config.listeners[0].place, "a.conf:2");
    }
}

#[test]
fn options_belong_to_the_listener_above_them() {
    let config = quiet(
        "allow_anonymous true\nlistener 1883\nmax_connections 1\nlistener 1884\n\
         protocol websockets\nmax_connections 2\n",
    );
    let limits: Vec<_> = config.listeners.iter().map(|l| (l.protocol, l.max_connections)).collect();
    assert_eq!(limits, [(Protocol::Mqtt, Some(1)), (Protocol::Websockets, Some(2))]);
}

#[test]
fn port_and_bind_address_make_one_default_listener() {
    for (text, address) in [
        ("port 1884", host("127.0.0.1", 1884)),
        ("port 1884\nmax_connections 1", host("127.0.0.1", 1884)),
    ] {
        let text = format!("allow_anonymous true\nbind_address 127.0.0.1\n{text}");
        assert_eq!(addresses(&quiet(&text)), [address], "{text}");
    }
    let config = quiet("allow_anonymous true\nport 1884\nbind_address ::1\nlistener 1885");
    assert_eq!(addresses(&config), [host("::1", 1884), any(1885)]);
    assert_eq!(addresses(&quiet("allow_anonymous true\nport 1884")), [any(1884)]);
    assert_eq!(addresses(&quiet("allow_anonymous true\nbind_address ::1")), [host("::1", 1883)]);
}

#[test]
fn an_option_above_all_listeners_makes_a_default_listener() {
    let parsed = read("max_connections 5\nallow_anonymous true");
    assert_eq!(addresses(&parsed.config), [Address::Loopback { port: 1883 }]);
    assert_eq!(parsed.config.listeners[0].max_connections, Some(5));
    assert_eq!(
        said(&parsed),
        [
            "a.conf:1: warning: max_connections: it belongs to a listener, and there is none above it \
          in this file: it makes a default listener on port 1883; move it below a `listener` line"
        ]
    );
    let parsed = read("max_connections 5\nallow_anonymous true\nlistener 1884");
    assert_eq!(addresses(&parsed.config), [any(1883), any(1884)]);
}

#[test]
fn per_listener_settings_come_first_and_stay() {
    let config = quiet(
        "per_listener_settings true\nlistener 1883\nallow_anonymous true\n\
         allow_zero_length_clientid false\nauto_id_prefix a-\nlistener 1884\nallow_anonymous true\n",
    );
    assert_eq!(anonymous(&config), [true, true]);
    let engine = &config.listeners[0].engine;
    assert_eq!(engine.allow_zero_length_clientid, Some(false));
    assert_eq!(engine.auto_id_prefix.as_deref(), Some("a-"));
    assert_eq!(config.listeners[1].engine.auto_id_prefix, None);
    assert!(config.broker.allow_zero_length_clientid);

    let parsed = read("per_listener_settings true\nallow_anonymous true\nlistener 1883");
    assert_eq!(anonymous(&parsed.config), [false]);
    assert!(!parsed.is_valid());

    let parsed = read("allow_anonymous true\nper_listener_settings true");
    assert_eq!(
        said(&parsed),
        [
            "a.conf:2: error: per_listener_settings: it comes too late: a.conf:1 set for all listeners \
          what would belong to one; make it the first option of the file"
        ]
    );
    assert!(!read("per_listener_settings true\nper_listener_settings false").is_valid());
    assert!(read("allow_anonymous true\nper_listener_settings false").is_valid());
}

#[test]
fn included_files_are_read_in_their_order_and_begin_anew() {
    let parsed = read_with(
        "allow_anonymous true\nlistener 1883\ninclude_dir /etc/x\nmax_connections 9\n",
        &[
            ("x/b.conf", "listener 1\n"),
            ("x/B.conf", "listener 2\n"),
            ("x/a.conf", "listener 3\n"),
            ("x/00.conf", "mount_point a/\n"),
        ],
    );
    assert_eq!(addresses(&parsed.config), [any(1883), any(3), any(2), any(1)]);
    assert_eq!(parsed.config.listeners[0].max_connections, Some(9));
    assert_eq!(
        said(&parsed),
        [
            "x/00.conf:1: error: mount_point: it belongs to a listener, and there is none above it in \
          this file; move it below a `listener` line"
        ]
    );
}

#[test]
fn an_included_file_includes_no_other() {
    let parsed = read_with("include_dir x", &[("x/a.conf", "\ninclude_dir y")]);
    assert_eq!(
        said(&parsed),
        [
            "x/a.conf:2: error: include_dir: only the main file may include others; move the line to \
          the main file"
        ]
    );
    let parsed = read("include_dir x");
    assert_eq!(
        said(&parsed),
        [
            "a.conf:1: error: include_dir: the folder \"x\" cannot be read: no x in a test; create it, \
          or remove the line"
        ]
    );
}

#[test]
fn two_listeners_at_one_address_are_an_error() {
    let parsed = read("allow_anonymous true\nlistener 1883\nlistener 1883");
    assert_eq!(
        said(&parsed),
        [
            "a.conf:3: error: listener: a.conf:2 listens there already; choose another port, or remove \
          one of them"
        ]
    );
    quiet("allow_anonymous true\nlistener 1883 127.0.0.1\nlistener 1883 ::1\n");
    quiet("allow_anonymous true\nlistener 0 127.0.0.1\nlistener 0 127.0.0.1\n");
    assert!(!read("listener 0 /a\nlistener 0 /a").is_valid());
}

#[test]
fn each_listener_has_its_own_access_list_with_per_listener_settings() {
    let config = quiet(
        "per_listener_settings true\nlistener 1883\nallow_anonymous true\nacl_file /a\nlistener \
         1884\nallow_anonymous true\n",
    );
    assert_eq!(config.acl_file, None);
    let files: Vec<_> = config.listeners.iter().map(|one| one.acl_file.as_deref()).collect();
    assert_eq!(files, [Some("/a"), None]);
}
