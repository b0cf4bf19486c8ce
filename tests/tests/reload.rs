//! Reloads of the real binary: nobody waits for one, what it cannot change is named, and what is no
//! file does not hold it up.

use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Setup;
use halyard_tests::wait_until;
use std::fs;
use std::path::Path;
use std::process::Command;

const CONFIG: &str = "allow_anonymous true\nlistener 0 127.0.0.1\n";

fn make_pipe(path: &Path) {
    _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
}

fn count(broker: &Broker, text: &str) -> usize {
    broker.log().iter().filter(|line| line.contains(text)).count()
}

#[test]
fn clients_are_served_while_a_configuration_is_read() {
    let broker = Broker::spawn(CONFIG);
    let path = broker.folder().join("halyard.conf");
    let mut client = broker.connect();
    client.connect("here", Version::V5);
    // It is read for as long as nobody writes into it.
    make_pipe(&path);
    broker.signal("HUP");
    broker.wait_for_line(&["Reloading config."]);
    for _ in 0..20 {
        client.ping();
    }
    broker.connect().connect("newcomer", Version::V5);
    // A second wish meanwhile is done afterwards.
    broker.signal("HUP");
    client.ping();
    assert_eq!(count(&broker, "Config reloaded."), 0);
    fs::write(&path, format!("{CONFIG}max_keepalive 7\n")).expect("the broker reads");
    broker.wait_for_line(&["Config reloaded."]);
    wait_until("the second reload", || (count(&broker, "Reloading config.") == 2).then_some(()));
    fs::write(&path, CONFIG).expect("the broker reads again");
    wait_until("its end", || (count(&broker, "Config reloaded.") == 2).then_some(()));
    client.ping();
    assert_eq!(broker.stop(), Some(0));
}

#[test]
fn a_broker_ends_while_a_configuration_is_read() {
    let broker = Broker::spawn(CONFIG);
    make_pipe(&broker.folder().join("halyard.conf"));
    broker.signal("HUP");
    broker.wait_for_line(&["Reloading config."]);
    assert_eq!(broker.stop(), Some(0));
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    for option in ["password_file", "acl_file", "jwt_key_file"] {
        let broker = Setup::default().config(CONFIG).start();
        let path = broker.folder().join("halyard.conf");
        let pipe = broker.folder().join("pipe");
        make_pipe(&pipe);
        fs::write(&path, format!("{CONFIG}{option} {}\n", pipe.display())).unwrap();
        broker.signal("HUP");
        broker.wait_for_line(&["Config not reloaded"]);
        broker.wait_for_line(&["pipe", "error", option, "regular file"]);
        broker.connect().connect("still-here", Version::V5);
    }
}

#[test]
fn options_that_take_a_restart_are_named_and_stay() {
    let config = "allow_anonymous true\nauth_queue 100\nlistener 0 127.0.0.1\nmount_point a/\n";
    let broker = Broker::spawn(config);
    let path = broker.folder().join("halyard.conf");
    let mut client = broker.connect();
    client.connect("before", Version::V5);
    client.subscribe("#", halyard_core::packet::QoS::AtMostOnce);
    let changed = "allow_anonymous true\nauth_queue 200\nauth_cache_size 7\nset_tcp_nodelay false\n\
                   persistence true\nmax_keepalive 9\nlistener 0 127.0.0.1\nmount_point b/\n";
    fs::write(&path, changed).unwrap();
    broker.signal("HUP");
    let line = broker.wait_for_line(&["Changed, but that takes a restart: "]);
    for name in ["set_tcp_nodelay", "persistence"] {
        assert!(line.contains(name), "{name}: {line}");
    }
    for name in ["max_keepalive", "auth_queue", "auth_cache_size"] {
        assert!(!line.contains(name), "{name}: {line}");
    }
    broker.wait_for_line(&["mount_point was changed, but that takes a restart"]);
    broker.wait_for_line(&["Config reloaded."]);
    // A new client is under the mount point of before, where the other is.
    let mut new = broker.connect();
    new.connect("after", Version::V5);
    new.publish("topic", b"x");
    client.receive().with(|packet| {
        assert_eq!(packet.packet_type(), halyard_core::packet::PacketType::Publish);
    });
    // What holds is no change.
    fs::write(&path, config).unwrap();
    broker.signal("HUP");
    wait_until("the reload", || (count(&broker, "Config reloaded.") == 2).then_some(()));
    assert_eq!(count(&broker, "that takes a restart: "), 1);
}
