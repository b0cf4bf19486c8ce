//! Hostile input over real sockets against the real binary, with its resident memory measured. Which
//! entry of the list each test answers is in `hostile_list.rs`.

use halyard_core::packet::Packet;
use halyard_core::packet::PacketId;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Stream;
use halyard_tests::connect;
use halyard_tests::request;
use halyard_tests::wait_until;
use std::io::Read;
use std::io::Write;

const OPEN: &str = "allow_anonymous true\nlistener 0 127.0.0.1\n";
const MIB: u64 = 1 << 20;

/// Bytes of resident memory of the broker.
fn resident(broker: &Broker) -> u64 {
    broker.resident_bytes()
}

/// A client that others must not notice.
fn witness(broker: &Broker) -> Client {
    let mut client = broker.connect();
    client.connect("witness", Version::V5);
    client.subscribe("witness", QoS::AtMostOnce);
    client
}

/// It still gets what it publishes.
fn still_served(client: &mut Client) {
    client.publish("witness", b"here");
    client.receive().with(|packet| assert!(matches!(packet, Packet::Publish(_)), "{packet:?}"));
}

fn acknowledged<'a>(topic: &'a str, id: u16, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: PacketId::new(id),
        properties: PublishProperties::default(),
        payload,
    })
}

#[test]
fn what_is_no_connect_is_closed_without_a_word() {
    let broker = Broker::spawn(OPEN);
    let mut witness = witness(&broker);
    let before = resident(&broker);
    let mut openings: Vec<Vec<u8>> = (0..=15u8).map(|kind| vec![kind << 4, 0]).collect();
    openings.remove(1);
    openings.extend((2..=15u8).map(|kind| vec![kind << 4 | 2, 0xFF, 0xFF, 0xFF, 0x7F]));
    openings.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    openings.push([&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[7; 500]].concat());
    openings.push(b"\x10\x80\x80\x80\x80\x01".to_vec());
    openings.push(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n".to_vec());
    openings.push(vec![0xFF; 5000]);
    for opening in &openings {
        let mut client = broker.connect();
        client.send_bytes(opening);
        assert!(client.until_closed().is_empty(), "{opening:02X?}");
    }
    still_served(&mut witness);
    let grown = resident(&broker).saturating_sub(before);
    assert!(grown < 4 * MIB, "{grown}");
}

#[test]
fn announced_packets_take_no_memory_and_end_in_time() {
    const COUNT: u64 = 500;
    let broker = Broker::spawn(&format!(
        "{OPEN}max_packet_size 268435455\nmax_connect_size 268435455\npacket_timeout 1\n\
         connect_timeout 1\n"
    ));
    let mut witness = witness(&broker);
    let before = resident(&broker);
    let mut clients = Vec::new();
    for n in 0..COUNT {
        let mut client = broker.connect();
        if n % 2 == 0 {
            client.connect(&format!("c{n}"), Version::V5);
            client.send_bytes(&[0x30, 0xFA, 0xFF, 0xFF, 0x7F, 0, 1, b't']);
        } else {
            client.send_bytes(&[0x10, 0xFA, 0xFF, 0xFF, 0x7F, 0, 4, b'M', b'Q', b'T', b'T', 5]);
        }
        clients.push(client);
    }
    still_served(&mut witness);
    let grown = resident(&broker).saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes for {COUNT} announced packets of 256 MB");
    for (n, client) in clients.iter_mut().enumerate() {
        let last = client.until_closed();
        assert_eq!(last.len(), usize::from(n % 2 == 0));
        if let Some(last) = last.first() {
            last.with(|packet| {
                let Packet::Disconnect(disconnect) = packet else { panic!("{packet:?}") };
                assert_eq!(disconnect.reason, ReasonCode::MalformedPacket);
            });
        }
    }
    still_served(&mut witness);
}

/// A byte at a time, never a whole packet.
fn trickle(mut stream: Stream, bytes: &[u8]) -> usize {
    let mut sent = 0;
    for byte in bytes.iter().cycle() {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        sent += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(sent < 1000, "the broker still listens after {sent} bytes");
    }
    sent
}

#[test]
fn who_is_slow_to_connect_is_not_waited_for() {
    let broker = Broker::spawn(&format!(
        "{OPEN}listener 0 127.0.0.1\nprotocol websockets\nconnect_timeout 1\n"
    ));
    let mut witness = witness(&broker);
    let mut silent = broker.connect();
    let mut silent_ws = Client::new(Stream::tcp(broker.ws()));
    let mut half_ws = Client::new(Stream::tcp(broker.ws()));
    half_ws.send_bytes(b"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\n");
    let mut half = broker.connect();
    half.send_bytes(&[0x10, 20, 0, 4, b'M', b'Q']);
    let (mqtt, ws) = (broker.mqtt(), broker.ws());
    std::thread::scope(|scope| {
        // CONNECT with a user name of 60,000 bytes, of which one comes every 20 ms.
        let mut bytes = vec![0x10, 0xEC, 0xD4, 0x03, 0, 4];
        bytes.extend(b"MQTT\x04\x82\0\0\0\x01c\xEA\x60");
        bytes.extend([b'u'; 2000]);
        let slow = scope.spawn(move || trickle(Stream::tcp(mqtt), &bytes));
        let slow_ws = scope.spawn(move || trickle(Stream::tcp(ws), b"GET /aaaaaaaaaaaaaaaaa"));
        for client in [&mut silent, &mut half, &mut silent_ws, &mut half_ws] {
            assert!(client.until_closed().is_empty());
        }
        for sent in [slow.join(), slow_ws.join()] {
            assert!(sent.expect("no panic") > 5);
        }
    });
    still_served(&mut witness);
}

#[test]
fn a_subscriber_that_never_reads_takes_bounded_memory() {
    const MESSAGES: u32 = 3000;
    let broker = Broker::spawn(&format!("{OPEN}max_queued_bytes 4000000\n"));
    let mut witness = witness(&broker);
    let mut deaf = broker.connect();
    deaf.connect("deaf", Version::V5);
    deaf.subscribe("flood/#", QoS::AtLeastOnce);
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V5);
    let before = resident(&broker);
    // 120 MB at each QoS, none of which is ever read.
    let body = vec![0x5A; 40_000];
    for n in 0..MESSAGES {
        publisher.publish("flood/0", &body);
        publisher.send(&acknowledged("flood/1", 1 + u16::try_from(n % 10).unwrap_or(0), &body));
        publisher.receive().with(|packet| assert!(matches!(packet, Packet::Puback(_))));
        if n % 500 == 0 {
            still_served(&mut witness);
        }
    }
    let grown = resident(&broker).saturating_sub(before);
    assert!(grown < 24 * MIB, "{grown}");
    // What it reads in the end is whole packets in order, and the queue's worth of them.
    let mut buffer = [0; 65_536];
    let read = deaf.stream().read(&mut buffer).expect("something to read");
    assert!(read > 0);
    still_served(&mut witness);
}

#[test]
fn hoarding_sessions_share_what_they_hoard_and_expire() {
    const SESSIONS: u64 = 500;
    const MESSAGES: u64 = 200;
    const BODY: u64 = 10_000;
    let broker = Broker::spawn(&format!("{OPEN}listener 0 127.0.0.1\nprotocol http_api\n"));
    let http = broker.addresses("http")[0];
    for n in 0..SESSIONS {
        let mut client = broker.connect();
        let name = format!("hoard-{n}");
        let mut hello = connect(&name, Version::V5);
        hello.properties.session_expiry_interval = Some(4);
        client.send_connect(&hello);
        client.receive();
        client.subscribe("hoard", QoS::AtLeastOnce);
        client.disconnect();
    }
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V5);
    let before = resident(&broker);
    let body = vec![0x5A; usize::try_from(BODY).expect("small")];
    for _ in 0..MESSAGES {
        publisher.send(&acknowledged("hoard", 1, &body));
        publisher.receive().with(|packet| assert!(matches!(packet, Packet::Puback(_))));
    }
    // 1 GB if each session had its own copy.
    let grown = resident(&broker).saturating_sub(before);
    let bound = MESSAGES * BODY + SESSIONS * MESSAGES * 128 + 8 * MIB;
    assert!(grown < bound, "{grown} of at most {bound}");
    wait_until("the end of all hoarding sessions", || {
        let page = request(http, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        String::from_utf8_lossy(&page.body).contains("\nhalyard_clients_total 1\n").then_some(())
    });
}

#[test]
fn a_long_http_head_is_refused_before_it_is_held() {
    let broker = Broker::spawn(&format!("{OPEN}protocol websockets\n"));
    let before = resident(&broker);
    for _ in 0..3 {
        let mut stream = Stream::tcp(broker.ws());
        stream.write_all(b"GET /mqtt HTTP/1.1\r\nX: ").expect("open");
        // It may be closed before all has gone out.
        _ = stream.write_all(&[b'a'; 300_000]);
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let grown = resident(&broker).saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown}");
}
