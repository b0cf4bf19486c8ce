//! Listeners that a reload opens and closes, and limits that it takes over.

use halyard_core::packet::{Connect, Packet, ReasonCode, Version};
use halyard_tests::{Broker, Client, Setup, Stream, connect, wait_until};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

const OPEN: &str = "allow_anonymous true\nuser root\nlog_type all\n";

/// Puts this configuration in place, and waits until the reload has said `said` once more than before.
fn reload(broker: &Broker, config: &str, said: &str) {
    let text = config.replace("@DIR@", &broker.folder().display().to_string());
    fs::write(broker.folder().join("halyard.conf"), text).unwrap();
    let count = || broker.log().iter().filter(|line| line.contains(said)).count();
    let before = count();
    broker.signal("HUP");
    wait_until("the reload", || (count() > before).then_some(()));
}

fn socket(broker: &Broker) -> PathBuf {
    broker.folder().join("socket")
}

fn reason(client: &mut Client) -> ReasonCode {
    client.receive().with(|packet| match packet {
        Packet::Disconnect(end) => end.reason,
        Packet::Connack(connack) => connack.reason,
        Packet::Puback(ack) => ack.reason,
        other => panic!("{other:?}"),
    })
}

#[test]
fn an_added_listener_opens_and_a_removed_one_closes_and_ends_its_clients() {
    open_and_close(&format!("{OPEN}listener 0 127.0.0.1\n"));
}

/// With a store, listeners of the start listen later than they are bound.
#[test]
fn an_added_listener_opens_with_a_store_too() {
    let store = "persistence true\npersistence_location @DIR@\n";
    open_and_close(&format!("{OPEN}{store}listener 0 127.0.0.1\n"));
}

fn open_and_close(tcp: &str) {
    let both = format!("{tcp}listener 0 @DIR@/socket\n");
    let broker = Broker::spawn(tcp);
    let mut stays = broker.connect();
    stays.connect("stays", Version::V5);
    for round in 0..3 {
        reload(&broker, &both, "Config reloaded.");
        broker.wait_for_line(&["Opening unix listen socket on path "]);
        let mut goes = Client::new(Stream::unix(&socket(&broker)));
        goes.connect("goes", Version::V5);
        let mut early = Client::new(Stream::unix(&socket(&broker)));
        // The same again changes nothing.
        reload(&broker, &both, "Config reloaded.");
        goes.ping();
        reload(&broker, tcp, "Config reloaded.");
        assert_eq!(reason(&mut goes), ReasonCode::AdministrativeAction, "round {round}");
        assert!(goes.until_closed().is_empty() && early.until_closed().is_empty());
        wait_until("the end of the socket", || (!socket(&broker).exists()).then_some(()));
        stays.ping();
    }
    broker.wait_for_line(&["Closing listen socket on path ", "its clients are disconnected"]);
    assert_eq!(broker.stop(), Some(0));
}

#[test]
fn a_listener_that_cannot_be_opened_changes_nothing_and_is_named() {
    let broker = Broker::spawn(&format!("{OPEN}listener 0 127.0.0.1\nlistener 0 @DIR@/socket\n"));
    let mut client = Client::new(Stream::unix(&socket(&broker)));
    client.connect("c", Version::V5);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = format!(
        "{OPEN}max_keepalive 50\nlistener 0 127.0.0.1\nlistener 0 @DIR@/other\nlistener {port} \
         127.0.0.1\n"
    );
    reload(&broker, &config, "Config not reloaded");
    broker.wait_for_line(&["not reloaded", &format!("127.0.0.1:{port}"), "halyard.conf:7"]);
    client.ping();
    assert!(socket(&broker).exists());
    let mut again = broker.connect();
    let mut hello = connect("k", Version::V5);
    hello.keep_alive = 1000;
    again.send_connect(&hello);
    again.receive().with(|packet| match packet {
        Packet::Connack(connack) => assert_eq!(connack.properties.server_keep_alive, None),
        other => panic!("{other:?}"),
    });
    drop(taken);
    reload(&broker, &config, "Config reloaded.");
    Client::new(Stream::unix(&broker.folder().join("other"))).connect("o", Version::V5);
}

#[test]
fn an_address_that_a_removed_listener_still_has_is_said_to_take_a_restart() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let broker = Broker::spawn(&format!("{OPEN}listener {free} 127.0.0.1\n"));
    let moved = format!("{OPEN}listener {free} 127.0.0.1\nprotocol websockets\n");
    reload(&broker, &moved, "Config not reloaded");
    broker.wait_for_line(&["not reloaded", "still has that address", "restart"]);
    broker.connect().connect("still-here", Version::V4);
}

#[test]
fn limits_of_failed_logins_are_taken_over() {
    let listener = "listener 0 127.0.0.1\nuser root\npassword_file @DIR@/passwd\n";
    let strict = format!("{listener}auth_failures_per_user 1\nauth_failures_per_address 0\n");
    let setup = Setup::default().config(&strict).file("passwd", &user("ann"));
    let broker = setup.start();
    let login = |password: &[u8]| {
        let mut client = broker.connect();
        let mut packet = hello("c", "ann");
        packet.password = Some(password);
        client.send_connect(&packet);
        reason(&mut client)
    };
    assert_eq!(login(b"wrong"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(login(b"wrong"), ReasonCode::ConnectionRateExceeded);
    let lenient = format!("{listener}auth_failures_per_user 0\nauth_failures_per_address 0\n");
    reload(&broker, &lenient, "Config reloaded.");
    for _ in 0..3 {
        assert_eq!(login(b"wrong"), ReasonCode::BadUserNameOrPassword);
    }
    assert_eq!(login(b"pass"), ReasonCode::Success);
}

/// "pass", for the user of this name; as cheap as Mosquitto's.
fn user(name: &str) -> String {
    let hash = "$7$101$c2FsdHNhbHQ=$2lkFH6Ai+HsUVS1FkK7TVSvVpmrVrk3G3LWKeCPBtsszjlnlQJhE77btzcBuI5X\
                bEq0lowC3BCLolRId+gF3Ow==";
    format!("{name}:{hash}\n")
}

fn hello<'a>(name: &'a str, user: &'a str) -> Connect<'a> {
    let mut packet = connect(name, Version::V5);
    packet.username = Some(user);
    packet.password = Some(b"pass");
    packet
}
