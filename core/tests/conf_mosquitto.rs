//! Files that Mosquitto's users have: Debian's own, and the example of Mosquitto's distribution in
//! its structure.

mod conf_support;

use conf_support::quiet;
use conf_support::read;
use conf_support::read_with;
use conf_support::said;
use halyard_core::conf::Address;
use halyard_core::conf::LogDestination;
use halyard_core::conf::include_order;
use halyard_core::conf::is_included;

/// `/etc/mosquitto/mosquitto.conf` of Debian 12.
const DEBIAN: &str = "\
# Place your local configuration in /etc/mosquitto/conf.d/
#
# A full description of the configuration file is at
# /usr/share/doc/mosquitto/examples/mosquitto.conf.example

pid_file /run/mosquitto/mosquitto.pid

persistence true
persistence_location /var/lib/mosquitto/

log_dest file /var/log/mosquitto/mosquitto.log

include_dir /etc/mosquitto/conf.d
";

#[test]
fn the_file_of_debian_is_taken_as_it_is() {
    let parsed = read_with(DEBIAN, &[]);
    assert!(said(&parsed).is_empty(), "{:?}", said(&parsed));
    assert!(parsed.config.broker.persistence);
    assert_eq!(parsed.config.store.location.as_deref(), Some("/var/lib/mosquitto/"));
}

#[test]
fn the_file_of_debian_starts_with_a_line_in_conf_d() {
    let local = "persistence false\nlistener 1883\nallow_anonymous true\n";
    let parsed = read_with(DEBIAN, &[("/etc/mosquitto/conf.d/local.conf", local)]);
    assert!(parsed.is_valid(), "{:?}", said(&parsed));
    let config = parsed.config;
    assert_eq!(config.pid_file.as_deref(), Some("/run/mosquitto/mosquitto.pid"));
    assert_eq!(
        config.log.destinations,
        [LogDestination::File("/var/log/mosquitto/mosquitto.log".into())]
    );
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].address, Address::Any { port: 1883 });
    assert_eq!(config.listeners[0].place, "/etc/mosquitto/conf.d/local.conf:2");
    assert!(config.listeners[0].engine.allow_anonymous);
}

#[test]
fn a_usual_file_is_read_without_a_word() {
    let config = quiet(
        "# =================================================================\r\n\
         # General configuration\r\n\
         #listener 1883\r\n\
         allow_anonymous true\r\n\
         per_listener_settings false\r\n\
         max_inflight_messages 40\r\n\
         max_queued_messages 0\r\n\
         \r\n\
         listener 1883 0.0.0.0\r\n\
         listener 9001\r\n\
         protocol websockets\r\n\
         log_dest stdout\r\n\
         log_type error\r\n\
         log_type warning\r\n\
         connection_messages true\r\n",
    );
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.broker.max_queued_messages, 0);
}

#[test]
fn a_file_in_another_encoding_is_read_where_it_matters() {
    assert!(read(b"# gr\xFC\xDFe\nsys_interval 5\n").is_valid());
    let parsed = read(b"pid_file /gr\xFC\xDFe\n");
    assert_eq!(said(&parsed), ["a.conf:1: error: the line is not UTF-8; save the file as UTF-8"]);
}

#[test]
fn include_dir_takes_conf_files_in_the_order_of_their_letters() {
    let mut names = ["b.conf", "A.conf", "01.conf", "a.conf", "B.conf", "00.conf"];
    names.sort_by(|a, b| include_order(a, b));
    assert_eq!(names, ["00.conf", "01.conf", "A.conf", "a.conf", "B.conf", "b.conf"]);
    assert!(include_order("a", "ab").is_lt() && include_order("a", "a").is_eq());
    assert!(is_included("a.conf"));
    for name in [".conf", "a.conf~", "README", "a.CONF"] {
        assert!(!is_included(name), "{name}");
    }
}
