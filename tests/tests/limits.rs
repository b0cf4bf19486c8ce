//! Limits on connections and on what clients send, on the real binary: who is over them is refused,
//! waits or is slowed down, is counted, and nobody else notices.

use halyard_core::packet::Packet;
use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Stream;
use halyard_tests::request;
use std::net::SocketAddr;

const OPEN: &str = "allow_anonymous true\nlistener 0 127.0.0.1\n";
const PAGES: &str = "listener 0 127.0.0.1\nprotocol http_api\n";

/// The number on the page of metrics behind `name`.
fn metric(broker: &Broker, name: &str) -> u64 {
    let http = broker.addresses("http")[0];
    let page = request(http, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} in {text}"))
}

/// Another address of this machine.
fn connect_from(from: &str, to: SocketAddr) -> Client {
    Client::new(Stream::tcp_from(from.parse().expect("an address"), to))
}

#[test]
fn one_address_has_its_share_of_connections_alone() {
    let broker = Broker::spawn(&format!("{OPEN}max_connections_per_address 2\n"));
    let address = broker.mqtt();
    let mut first = connect_from("127.0.0.2", address);
    first.connect("first", Version::V5);
    let mut second = connect_from("127.0.0.2", address);
    second.connect("second", Version::V5);
    assert!(connect_from("127.0.0.2", address).until_closed().is_empty());
    broker.wait_for_line(&["from 127.0.0.2", "denied: max_connections_per_address exceeded"]);
    let mut other = connect_from("127.0.0.3", address);
    other.connect("other", Version::V5);
    first.ping();
    drop(second);
    halyard_tests::wait_until("a free place", || {
        let mut client = connect_from("127.0.0.2", address);
        client.send_connect(&halyard_tests::connect("again", Version::V5));
        client.try_receive()
    });
}

#[test]
fn who_connects_too_often_is_closed_and_others_are_not() {
    let broker = Broker::spawn(&format!("{OPEN}{PAGES}max_connect_rate_per_address 5\n"));
    let address = broker.mqtt();
    let mut refused = 0;
    for n in 0..50 {
        let mut client = connect_from("127.0.0.2", address);
        client.send_connect_if_open(&halyard_tests::connect(&format!("c{n}"), Version::V4));
        refused += u32::from(client.try_receive().is_none());
    }
    assert!(refused >= 20, "{refused} of 50 refused");
    connect_from("127.0.0.3", address).connect("other", Version::V5);
    let label = "halyard_listener_denied_total{listener=\"0\"";
    let http = broker.addresses("http")[0];
    let page = request(http, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let line = text.lines().find(|line| line.starts_with(label)).expect("a line");
    assert!(line.contains("max_connect_rate_per_address"), "{line}");
    assert!(line.ends_with(&format!(" {refused}")), "{line} {refused}");
}

#[test]
fn connections_over_the_rate_wait_and_none_is_lost() {
    let broker = Broker::spawn(&format!("{OPEN}{PAGES}max_connect_rate 40\n"));
    let mut clients: Vec<Client> = (0..80).map(|_| broker.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.connect(&format!("c{n}"), Version::V4);
    }
    for client in &mut clients {
        client.ping();
    }
    assert!(metric(&broker, "halyard_accept_rests_total") > 0);
}

#[test]
fn a_flood_of_a_client_over_its_rate_is_slowed_down_and_complete() {
    let broker = Broker::spawn(&format!("{OPEN}{PAGES}max_message_rate 1000\n"));
    let mut witness = broker.connect();
    witness.connect("witness", Version::V5);
    witness.subscribe("t", QoS::AtMostOnce);
    let mut flood = broker.connect();
    flood.connect("flood", Version::V5);
    flood.send_bytes(&[0xC0, 0].repeat(2000));
    for _ in 0..20 {
        witness.publish("t", b"x");
        witness.receive().with(|packet| assert!(matches!(packet, Packet::Publish(_))));
    }
    for _ in 0..2000 {
        flood.receive().with(|packet| assert!(matches!(packet, Packet::Pingresp)));
    }
    flood.ping();
    assert!(metric(&broker, "halyard_throttled_total") > 0);
}

/// Fills the broker with whatever can be kept, from many clients, four times over.
fn hoard(broker: &Broker) {
    let body = vec![0x5A; 20_000];
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V5);
    for n in 0..200 {
        let name = format!("hoarder-{n}");
        let mut client = broker.connect();
        let mut hello = halyard_tests::connect(&name, Version::V5);
        hello.properties.session_expiry_interval = Some(600);
        client.send_connect(&hello);
        let accepted = client.receive().with(|packet| match packet {
            Packet::Connack(connack) => !connack.reason.is_error(),
            other => panic!("{other:?}"),
        });
        if accepted {
            client.subscribe(&format!("hoard/{n}/#"), QoS::AtLeastOnce);
            client.disconnect();
        }
        for m in 0..50u16 {
            let topic = format!("hoard/{}/{m}", n % 20);
            publisher.send(&Packet::Publish(halyard_core::packet::Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: m % 5 == 0,
                topic: &topic,
                packet_id: halyard_core::packet::PacketId::new(m + 1),
                properties: Default::default(),
                payload: &body,
            }));
            publisher.receive();
        }
    }
}

#[test]
fn resident_memory_follows_the_memory_limit() {
    const LIMIT: u64 = 50_000_000;
    let broker = Broker::spawn(&format!("{OPEN}{PAGES}memory_limit {LIMIT}\n"));
    let mut witness = broker.connect();
    witness.connect("witness", Version::V5);
    witness.subscribe("t", QoS::AtMostOnce);
    let before = broker.resident_bytes();
    hoard(&broker);
    let grown = broker.resident_bytes() - before;
    assert!(grown > LIMIT / 2, "{grown}: the limit was reached");
    assert!(grown < LIMIT / 3 * 4 + (16 << 20), "{grown} over a limit of {LIMIT}");
    assert!(metric(&broker, "halyard_memory_accounted") <= LIMIT);
    assert!(metric(&broker, "halyard_dropped_messages_total{cause=\"memory\"}") > 0);
    witness.publish("t", b"x");
    witness.receive().with(|packet| assert!(matches!(packet, Packet::Publish(_))));
}
