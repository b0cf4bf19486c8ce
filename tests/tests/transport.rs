//! The transports: one message over TCP and WebSocket, both ways, with the subprotocol that the
//! standard asks for.

use halyard_core::codec::encode;
use halyard_core::packet::{Packet, Publish, PublishProperties};
use halyard_core::packet::{QoS, Version};
use halyard_tests::{Broker, Stream, WebSocket, frame, handshake};
use std::io::{Read, Write};

const CONFIG: &str = "listener 0 127.0.0.1\nlistener 0 127.0.0.1\nprotocol websockets\n\
                      allow_anonymous true\n";

#[test]
fn a_message_goes_over_tcp_and_websocket() {
    let broker = Broker::spawn(CONFIG);
    let mut stream = Stream::tcp(broker.ws());
    let offer = "Sec-WebSocket-Protocol: other, mqtt\r\n";
    stream.write_all(handshake("/mqtt", broker.ws(), offer).as_bytes()).expect("it is open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("sec-websocket-protocol: mqtt\r\n"), "{head}");

    let mut subscriber = broker.connect();
    subscriber.connect("tcp", Version::V5);
    subscriber.subscribe("t", QoS::AtMostOnce);
    let mut socket = WebSocket::open(broker.ws());
    let mut bytes = Vec::new();
    encode(&Packet::Connect(halyard_tests::connect("web", Version::V5)), Version::V5, &mut bytes);
    let publish = Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        properties: PublishProperties::default(),
        payload: b"over the web",
    });
    encode(&publish, Version::V5, &mut bytes);
    // One frame holds two packets, and the second goes on in the next frame.
    let (first, second) = bytes.split_at(bytes.len() - 5);
    socket.send_raw(&frame(0x82, first));
    socket.send_raw(&frame(0x82, second));
    subscriber.receive().with(|packet| match packet {
        Packet::Publish(publish) => assert_eq!(publish.payload, b"over the web"),
        other => panic!("{other:?}"),
    });
    assert_eq!(broker.stop(), Some(0));
}
