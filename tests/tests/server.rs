//! The server as clients meet it: its listeners, its limits, what it does with bad input and slow
//! readers, and how it ends.

use halyard_core::packet::Packet;
use halyard_core::packet::PacketType;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Received;
use halyard_tests::Setup;
use halyard_tests::Stream;
use halyard_tests::WebSocket;
use halyard_tests::connect;
use halyard_tests::wait_until;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

const OPEN: &str = "allow_anonymous true\nlistener 0 127.0.0.1\n";

#[test]
fn without_a_configuration_it_listens_on_loopback_alone() {
    let broker = Broker::local();
    for scheme in ["mqtt", "ws"] {
        let addresses = broker.addresses(scheme);
        assert!(addresses.iter().any(|address| address.is_ipv4()), "{addresses:?}");
        assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
    }
    for address in broker.addresses("mqtt") {
        Client::new(Stream::tcp(address)).connect("loopback", Version::V5);
    }
    assert_eq!(broker.stop(), Some(0));
}

#[test]
fn clients_on_all_kinds_of_listeners_meet() {
    let broker = Broker::spawn(
        "allow_anonymous true\nuser root\nlistener 0 127.0.0.1\nlistener 0 ::1\n\
         listener 0 @DIR@/socket\nlistener 0 127.0.0.1\nprotocol websockets\n",
    );
    let [v4, v6] = broker.addresses("mqtt")[..] else { panic!("{:?}", broker.log()) };
    assert!(v4.is_ipv4() && v6.is_ipv6());
    let mut subscriber = Client::new(WebSocket::open(broker.ws()));
    subscriber.connect("ws", Version::V5);
    subscriber.subscribe("from/#", QoS::AtMostOnce);
    let streams = [
        ("v4", Stream::tcp(v4)),
        ("v6", Stream::tcp(v6)),
        ("unix", Stream::unix(&broker.folder().join("socket"))),
    ];
    for (name, stream) in streams {
        let mut client = Client::new(stream);
        client.connect(name, Version::V4);
        client.publish(&format!("from/{name}"), name.as_bytes());
        assert_eq!(payload(&subscriber.receive()), name.as_bytes());
        client.disconnect();
    }
    let socket = broker.folder().join("socket");
    broker.signal("TERM");
    wait_until("the socket to be removed", || (!socket.exists()).then_some(()));
}

fn payload(received: &Received) -> Vec<u8> {
    received.with(|packet| match packet {
        Packet::Publish(publish) => publish.payload.to_vec(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn packets_may_be_cut_anywhere_and_come_in_crowds() {
    let broker = Broker::spawn(OPEN);
    let mut subscriber = broker.connect();
    subscriber.connect("subscriber", Version::V4);
    subscriber.subscribe("t", QoS::AtMostOnce);
    let mut publisher = broker.connect();
    for byte in b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01p" {
        publisher.send_bytes(&[*byte]);
    }
    assert_eq!(publisher.receive().bytes(), b"\x20\x02\x00\x00");
    for byte in b"\x30\x05\x00\x01tab" {
        publisher.send_bytes(&[*byte]);
    }
    assert_eq!(payload(&subscriber.receive()), b"ab");
    let crowd: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| [b"\x30\x07\x00\x01t".as_slice(), &n.to_be_bytes()].concat())
        .collect();
    publisher.send_bytes(&crowd);
    for n in 0..20_000_u32 {
        assert_eq!(payload(&subscriber.receive()), n.to_be_bytes());
    }
}

#[test]
fn a_malformed_packet_closes_its_connection_alone_and_is_logged() {
    let broker = Broker::spawn(OPEN);
    let mut witness = broker.connect();
    witness.connect("witness", Version::V5);
    witness.subscribe("ok", QoS::AtMostOnce);

    let mut bad = broker.connect();
    bad.connect("bad-one", Version::V5);
    // PUBLISH with QoS 3 [MQTT-3.3.1-4].
    bad.send_bytes(b"\x36\x06\x00\x01t\x00\x01\x00");
    let last = bad.until_closed();
    last[0].with(|packet| {
        let Packet::Disconnect(disconnect) = packet else { panic!("{packet:?}") };
        assert_eq!(disconnect.reason, ReasonCode::MalformedPacket);
    });
    assert_eq!(last.len(), 1);
    let Stream::Tcp(socket) = bad.stream() else { panic!("TCP") };
    let address = socket.local_addr().unwrap().to_string();
    let line = broker.wait_for_line(&["bad-one", &address, "protocol error"]);
    assert!(line.contains("QoS") || line.contains("MQTT-3.3.1-4"), "{line}");

    // No MQTT at all: closed without a word.
    let mut noise = broker.connect();
    noise.send_bytes(b"GET / HTTP/1.1\r\n\r\n");
    assert!(noise.until_closed().is_empty());
    broker.wait_for_line(&["<unknown>", "protocol error"]);

    let mut other = broker.connect();
    other.connect("other", Version::V4);
    other.publish("ok", b"still here");
    assert_eq!(payload(&witness.receive()), b"still here");
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answers() {
    let broker = Broker::spawn(OPEN);
    let mut client = broker.connect();
    client.send_bytes(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01h\xc0\x00");
    client.stream().finish();
    assert_eq!(client.receive().bytes(), b"\x20\x02\x00\x00");
    assert_eq!(client.until_closed().len(), 1, "PINGRESP");
    broker.wait_for_line(&["Client h ", "closed its connection"]);
}

#[test]
fn a_reader_who_sleeps_loses_nothing_that_was_promised_and_holds_nobody_up() {
    let broker = Broker::spawn(&format!("{OPEN}max_inflight_messages 1000\n"));
    let mut sleeper = broker.connect();
    sleeper.connect("sleeper", Version::V4);
    sleeper.subscribe("big", QoS::AtLeastOnce);
    let mut awake = broker.connect();
    awake.connect("awake", Version::V4);
    awake.subscribe("small", QoS::AtMostOnce);
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V4);

    const COUNT: u8 = 100;
    for n in 0..COUNT {
        let body = vec![n; 100_000];
        let mut packet = vec![0x32];
        encode_length(2 + 3 + 2 + body.len(), &mut packet);
        packet.extend([0, 3]);
        packet.extend(b"big");
        packet.extend([0, n + 1]);
        packet.extend(&body);
        publisher.send_bytes(&packet);
        assert_eq!(publisher.receive().bytes(), [0x40, 2, 0, n + 1]);
        publisher.publish("small", &[n]);
        assert_eq!(payload(&awake.receive()), [n]);
    }
    for n in 0..COUNT {
        let received = sleeper.receive();
        let id = received.with(|packet| match packet {
            Packet::Publish(publish) => publish.packet_id.expect("QoS 1").get(),
            other => panic!("{other:?}"),
        });
        assert_eq!(payload(&received), vec![n; 100_000]);
        let [high, low] = id.to_be_bytes();
        sleeper.send_bytes(&[0x40, 2, high, low]);
    }
}

fn encode_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        let digit = (length & 0x7F) as u8;
        length >>= 7;
        out.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            return;
        }
    }
}

#[test]
fn a_termination_says_goodbye_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let mut broker =
            Broker::spawn(&format!("{OPEN}listener 0 127.0.0.1\nprotocol websockets\n"));
        let mut v5 = broker.connect();
        v5.connect("v5", Version::V5);
        let mut v3 = broker.connect();
        v3.connect("v3", Version::V4);
        let mut ws = Client::new(WebSocket::open(broker.ws()));
        ws.connect("ws", Version::V5);
        let mut half = broker.connect();
        half.send_bytes(b"\x10");
        broker.signal(signal);
        for last in [v5.until_closed(), ws.until_closed()] {
            last[0].with(|packet| {
                let Packet::Disconnect(disconnect) = packet else { panic!("{packet:?}") };
                assert_eq!(disconnect.reason, ReasonCode::ServerShuttingDown);
            });
        }
        assert!(v3.until_closed().is_empty());
        assert!(half.until_closed().is_empty());
        drop((v5, v3, ws, half));
        assert_eq!(broker.wait().code(), Some(0));
    }
}

#[test]
fn wills_are_published_before_the_end() {
    let broker = Broker::spawn(OPEN);
    let mut mourner = broker.connect();
    mourner.connect("mourner", Version::V5);
    mourner.subscribe("will", QoS::AtMostOnce);
    let mut client = broker.connect();
    let mut connect = connect("mortal", Version::V4);
    connect.will = Some(halyard_core::packet::Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "will",
        payload: b"gone",
        properties: Default::default(),
    });
    client.send_connect(&connect);
    client.receive();
    broker.signal("TERM");
    let last = mourner.until_closed();
    assert_eq!(payload(&last[0]), b"gone");
    assert_eq!(last[1].with(|packet| packet.packet_type()), PacketType::Disconnect);
}

#[test]
fn connections_over_a_limit_are_refused_and_others_stay() {
    let config = "allow_anonymous true\nglobal_max_connections 3\nlistener 0 127.0.0.1\n\
                  max_connections 2\nlistener 0 127.0.0.1\n";
    let broker = Broker::spawn(config);
    let [first, second] = broker.addresses("mqtt")[..] else { panic!("{:?}", broker.log()) };
    let mut open = Vec::new();
    for (n, address) in [first, first, second].into_iter().enumerate() {
        let mut client = Client::new(Stream::tcp(address));
        client.connect(&format!("c{n}"), Version::V4);
        open.push(client);
    }
    for (address, option) in [(first, "max_connections"), (second, "global_max_connections")] {
        assert!(Client::new(Stream::tcp(address)).until_closed().is_empty());
        broker.wait_for_line(&["denied", &format!(": {option} exceeded")]);
    }
    for client in &mut open {
        client.ping();
    }
    open.pop();
    wait_until("a free place", || {
        let mut client = Client::new(Stream::tcp(second));
        client.send_connect(&connect("late", Version::V4));
        client.try_receive()
    });
}

#[test]
fn at_the_limit_of_open_files_it_serves_on_and_accepts_again_later() {
    let broker = Setup::default().config(OPEN).shell("ulimit -n 64").start();
    let mut clients: Vec<Client> = Vec::new();
    for n in 0..20 {
        let mut client = broker.connect();
        client.connect(&format!("early-{n}"), Version::V4);
        clients.push(client);
    }
    // More than can be open; they wait in the system's queue.
    let mut waiting: Vec<Client> = (0..40).map(|_| broker.connect()).collect();
    for (n, client) in waiting.iter_mut().enumerate() {
        client.send_connect(&connect(&format!("late-{n}"), Version::V4));
    }
    let line = broker.wait_for_line(&["Warning: No more connections can be accepted"]);
    assert!(line.contains("64 files") && line.contains("LimitNOFILE"), "{line}");
    clients[0].subscribe("t", QoS::AtMostOnce);
    clients[1].publish("t", b"served");
    assert_eq!(payload(&clients[0].receive()), b"served");
    drop(clients);
    for mut client in waiting {
        client.receive();
        client.ping();
    }
    broker.wait_for_line(&["Accepting connections again."]);
}

#[test]
fn a_connection_that_breaks_off_loses_its_client_alone() {
    let broker = Broker::spawn(OPEN);
    let mut subscriber = broker.connect();
    subscriber.connect("subscriber", Version::V4);
    subscriber.subscribe("#", QoS::AtMostOnce);
    for n in 0..50 {
        let mut stream = TcpStream::connect(broker.mqtt()).unwrap();
        stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x").unwrap();
        // Unread data when the socket closes: the system sends a reset.
        if n % 2 == 0 {
            stream.read_exact(&mut [0; 1]).unwrap();
        }
        drop(stream);
    }
    subscriber.publish("alive", b"");
    assert_eq!(payload(&subscriber.receive()), b"");
    broker.wait_for_line(&["Client x "]);
}
