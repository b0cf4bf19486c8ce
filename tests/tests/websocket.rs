//! MQTT over WebSocket (MQTT 5.0 §6, RFC 6455) and the HTTP beside it, as a browser and as an
//! attacker would speak them.

use halyard_core::packet::Packet;
use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Frame;
use halyard_tests::Stream;
use halyard_tests::WebSocket;
use halyard_tests::frame;
use halyard_tests::handshake;
use halyard_tests::request;
use std::net::SocketAddr;

const CONFIG: &str = "allow_anonymous true\nmax_packet_size 100000\nlistener 0 127.0.0.1\n\
                      protocol websockets\nlog_type all\n";
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01w";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const PINGREQ: &[u8] = b"\xc0\x00";
const PINGRESP: &[u8] = b"\xd0\x00";

/// A WebSocket whose client is connected.
fn connected(broker: &Broker) -> WebSocket {
    let mut socket = WebSocket::open(broker.ws());
    socket.send_raw(&frame(0x82, CONNECT));
    assert_eq!(socket.next_frame(), Some(binary(CONNACK)));
    socket
}

fn binary(payload: &[u8]) -> Frame {
    Frame { first: 0x82, payload: payload.to_vec() }
}

#[test]
fn a_message_of_each_size_goes_both_ways() {
    let broker = Broker::spawn(CONFIG);
    let mut client = Client::new(WebSocket::open(broker.ws()));
    client.connect("sizes", Version::V5);
    client.subscribe("t", QoS::AtMostOnce);
    for size in [0, 1, 100, 120, 121, 125, 126, 1000, 65_000, 65_535, 65_536, 99_000] {
        let body: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[0]).collect();
        client.publish("t", &body);
        client.receive().with(|packet| match packet {
            Packet::Publish(publish) => assert!(publish.payload == body, "{size}"),
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn frames_and_packets_need_not_be_aligned() {
    let broker = Broker::spawn(CONFIG);
    // Byte by byte, with the header of the frame cut, too.
    let mut socket = WebSocket::open(broker.ws());
    for byte in frame(0x82, CONNECT) {
        socket.send_raw(&[byte]);
    }
    assert_eq!(socket.next_frame(), Some(binary(CONNACK)));
    // A frame for each byte of a packet.
    for byte in PINGREQ {
        socket.send_raw(&frame(0x82, &[*byte]));
    }
    assert_eq!(socket.next_frame(), Some(binary(PINGRESP)));
    // One message in fragments, one of them empty, with a Ping between them.
    let fragments =
        [frame(0x02, &[0xC0]), frame(0x89, b"?"), frame(0x00, b""), frame(0x80, &[0x00])];
    socket.send_raw(&fragments.concat());
    let answers = [socket.next_frame(), socket.next_frame()];
    let pong = Frame { first: 0x8A, payload: b"?".to_vec() };
    assert_eq!(answers, [Some(pong), Some(binary(PINGRESP))]);
    // Many packets in one frame: one frame in answer, as one write.
    socket.send_raw(&frame(0x82, &PINGREQ.repeat(100)));
    let mut answered = Vec::new();
    while answered.len() < 200 {
        answered.extend(socket.next_frame().expect("an answer").payload);
    }
    assert_eq!(answered, PINGRESP.repeat(100));
}

#[test]
fn frames_may_come_right_behind_the_handshake() {
    let broker = Broker::spawn(CONFIG);
    let mut client = Client::new(Stream::tcp(broker.ws()));
    let hello = handshake("/x", broker.ws(), "Sec-WebSocket-Protocol: mqtt\r\n");
    let early = [hello.as_bytes(), &frame(0x82, CONNECT), &frame(0x82, PINGREQ)].concat();
    let (first, second) = early.split_at(hello.len() + 5);
    client.send_bytes(first);
    client.send_bytes(second);
    let mut received = Vec::new();
    while !received.ends_with(PINGRESP) {
        let mut buffer = [0; 1000];
        let len = std::io::Read::read(client.stream(), &mut buffer).unwrap();
        assert!(len > 0, "closed after {received:?}");
        received.extend_from_slice(&buffer[..len]);
    }
}

#[test]
fn what_is_no_mqtt_over_websocket_is_closed_with_the_right_code() {
    let broker = Broker::spawn(CONFIG);
    let mut unmasked = frame(0x82, PINGREQ);
    unmasked[1] &= 0x7F;
    let mut too_large = vec![0x82, 0xFF];
    too_large.extend(2_000_000_u64.to_be_bytes());
    too_large.extend([0; 4]);
    let cases: [(&[u8], u16, &str); 8] = [
        (&frame(0x81, b"hello"), 1003, "text frame"),
        (&unmasked, 1002, "not masked"),
        (&too_large, 1009, "over the limit"),
        (&frame(0xC2, PINGREQ), 1002, "reserved"),
        (&frame(0x83, PINGREQ), 1002, "opcode 3"),
        (&frame(0x80, PINGREQ), 1002, "continuation"),
        (&frame(0x09, b"?"), 1002, "fragmented"),
        // PUBLISH with QoS 3: the WebSocket is fine, the MQTT is not.
        (&frame(0x82, b"\x36\x05\x00\x01t\x00\x01"), 1002, "protocol error"),
    ];
    for (bytes, code, cause) in cases {
        let mut socket = connected(&broker);
        socket.send_raw(bytes);
        assert_eq!(socket.close_code(), Some(code), "{cause}");
        broker.wait_for_line(&["Client w [127.0.0.1:", cause]);
    }
    connected(&broker);
}

#[test]
fn closing_is_answered_and_ends_the_client() {
    let broker = Broker::spawn(CONFIG);
    let mut socket = connected(&broker);
    socket.send_raw(&frame(0x88, &1000_u16.to_be_bytes()));
    assert_eq!(socket.close_code(), Some(1000));
    broker.wait_for_line(&["Client w [127.0.0.1:", "closed its connection"]);
    // After DISCONNECT the server closes [MQTT-3.14.4-1].
    let mut socket = connected(&broker);
    socket.send_raw(&frame(0x82, b"\xe0\x00"));
    assert_eq!(socket.close_code(), Some(1000));
    // The server's own end.
    let mut socket = connected(&broker);
    broker.signal("TERM");
    assert_eq!(socket.close_code(), Some(1001));
}

#[test]
fn a_handshake_needs_a_subprotocol_of_mqtt() {
    let broker = Broker::spawn(CONFIG);
    for protocol in ["mqtt", "mqttv3.1", "chat, mqtt"] {
        let field = format!("Sec-WebSocket-Protocol: {protocol}\r\n");
        assert!(WebSocket::open_with(broker.ws(), "/any/path?x", &field).is_ok(), "{protocol}");
    }
    for field in ["", "Sec-WebSocket-Protocol: chat\r\n"] {
        let refused = WebSocket::open_with(broker.ws(), "/", field).unwrap_err();
        assert_eq!(refused.status, 400, "{refused:?}");
        let text = String::from_utf8(refused.body).unwrap();
        assert!(text.contains("\"mqtt\""), "{text}");
    }
    broker.wait_for_line(&["HTTP request from 127.0.0.1:", "refused: 400"]);
}

#[test]
fn websockets_origin_is_kept() {
    let broker = Broker::spawn(&format!("{CONFIG}websockets_origin https://app.example\n"));
    let open = |origin: &str| {
        let more = format!("Sec-WebSocket-Protocol: mqtt\r\nOrigin: {origin}\r\n");
        WebSocket::open_with(broker.ws(), "/mqtt", &more).map_or_else(|r| r.status, |_| 101)
    };
    assert_eq!(open("https://app.example"), 101);
    assert_eq!(open("https://evil.example"), 403);
}

fn get(address: SocketAddr, path: &str, more: &str) -> halyard_tests::Response {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n"))
}

#[test]
fn the_broker_without_configuration_serves_pages_health_and_metrics() {
    let broker = Broker::local();
    for address in broker.addresses("ws") {
        let page = get(address, "/", "");
        assert_eq!(page.status, 200);
        assert!(page.head.contains("Content-Type: text/html"), "{}", page.head);
        assert!(String::from_utf8_lossy(&page.body).contains("Halyard"));
        assert_eq!(get(address, "/health", "").body, b"{\"status\":\"ok\"}\n");
        assert_eq!(get(address, "/no/such/file", "").status, 404);
        let upgrade = get(address, "/mqtt", "");
        assert_eq!(upgrade.status, 426);
        assert!(upgrade.head.contains("\r\nUpgrade: websocket\r\n"), "{}", upgrade.head);
        let post = request(address, &format!("POST / HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        assert_eq!(post.status, 405);
        assert!(post.head.contains("\r\nAllow: GET, HEAD\r\n"), "{}", post.head);
        let head = request(address, &format!("HEAD / HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
    let mut client = Client::new(WebSocket::open(broker.ws()));
    client.connect("counted", Version::V5);
    let metrics = get(broker.ws(), "/metrics", "");
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("\nhalyard_clients_connected 1\n"), "{text}");
}

#[test]
fn the_broker_without_configuration_answers_to_this_machine_alone() {
    let broker = Broker::local();
    let address = broker.ws();
    let host =
        |host: &str| request(address, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    assert_eq!(host("localhost"), 200);
    assert_eq!(host("[::1]:9001"), 200);
    assert_eq!(host("rebound.example"), 403);
    assert_eq!(request(address, "GET / HTTP/1.0\r\n\r\n").status, 403);
    let origin = |origin: &str| {
        let more = format!("Sec-WebSocket-Protocol: mqtt\r\nOrigin: {origin}\r\n");
        WebSocket::open_with(address, "/mqtt", &more).map_or_else(|r| r.status, |_| 101)
    };
    assert_eq!(origin("http://localhost:3000"), 101);
    assert_eq!(origin("http://127.0.0.1"), 101);
    assert_eq!(origin("https://evil.example"), 403);
    assert_eq!(origin("null"), 403);
}

#[test]
fn a_listener_for_websockets_serves_nothing_else() {
    let broker = Broker::spawn(CONFIG);
    for path in ["/", "/metrics", "/health", "/mqtt"] {
        assert_eq!(get(broker.ws(), path, "").status, 426, "{path}");
    }
    assert_eq!(request(broker.ws(), "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n").status, 405);
    assert_eq!(request(broker.ws(), "\x10\x0c\x00\x04MQTT").status, 400);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(request(broker.ws(), &long).status, 431);
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for() {
    let broker = Broker::spawn(&format!("{CONFIG}connect_timeout 1\n"));
    let mut silent = Client::new(Stream::tcp(broker.ws()));
    let mut slow = Client::new(Stream::tcp(broker.ws()));
    slow.send_bytes(b"GET / HTTP/1.1\r\nHost: ");
    let mut mute = Client::new(WebSocket::open(broker.ws()));
    assert!(silent.until_closed().is_empty());
    assert!(slow.until_closed().is_empty());
    broker.wait_for_line(&["Connection from 127.0.0.1:", "no HTTP request in time"]);
    assert!(mute.until_closed().is_empty());
    broker.wait_for_line(&["Client <unknown>", "no CONNECT in time"]);
}
