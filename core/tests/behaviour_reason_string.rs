//! Why a client is refused or sent away is told to it too, in the Reason String of CONNACK and
//! DISCONNECT: where it wants to know, where it fits, and where it helps nobody to get in.

mod support;

use halyard_core::conf::BrokerConfig;
use halyard_core::packet::{ConnectProperties, Packet, QoS, Version};
use support::{Net, Raw, connect, publish};

/// A client that sends a second CONNECT, and the DISCONNECT it gets.
fn farewell(properties: ConnectProperties<'_>) -> String {
    let mut net = Net::new(1);
    let raw = net.open(0, Version::V5);
    let packet = Packet::Connect(halyard_core::packet::Connect {
        properties,
        ..connect("twice", Version::V5)
    });
    net.send(raw, &packet);
    net.read(raw);
    net.send(raw, &packet);
    last(&mut net, raw)
}

fn last(net: &mut Net, raw: Raw) -> String {
    net.raw_packets(raw).pop().expect("a last packet")
}

#[test]
fn a_disconnect_says_why() {
    let packet = farewell(ConnectProperties::default());
    assert!(packet.contains("a second CONNECT [MQTT-3.1.0-2]\""), "{packet}");
}

/// The CONNACK for a retained Will where there are no retained messages.
fn refusal(properties: ConnectProperties<'_>) -> String {
    let mut net = Net::with(1, BrokerConfig { retain_available: false, ..Default::default() });
    let raw = net.open(0, Version::V5);
    let will = halyard_core::packet::Will {
        topic: "gone",
        payload: b"",
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: Default::default(),
    };
    let packet =
        halyard_core::packet::Connect { will: Some(will), properties, ..connect("w", Version::V5) };
    net.send(raw, &Packet::Connect(packet));
    last(&mut net, raw)
}

#[test]
fn a_refusing_connack_says_why() {
    let connack = refusal(ConnectProperties::default());
    assert!(connack.contains("RetainNotSupported"), "{connack}");
    assert!(connack.contains("reason_string: Some(\""), "{connack}");
}

#[test]
fn mqtt_3_2_2_19_the_reason_string_goes_where_the_connack_would_be_too_large() {
    let small = ConnectProperties { maximum_packet_size: Some(20), ..ConnectProperties::default() };
    let connack = refusal(small);
    assert!(connack.contains("RetainNotSupported"), "{connack}");
    assert!(connack.contains("reason_string: None"), "{connack}");
}

#[test]
fn a_client_that_is_taken_over_learns_it() {
    let mut net = Net::new(1);
    let old = net.client(0, "one", Version::V5);
    net.client(0, "one", Version::V5);
    let packet = last(&mut net, old);
    assert!(packet.contains("reason_string: Some(\"session taken over"), "{packet}");
}

#[test]
fn mqtt_3_1_2_29_no_reason_string_for_who_asked_for_none() {
    let properties =
        ConnectProperties { request_problem_information: false, ..ConnectProperties::default() };
    let packet = farewell(properties);
    assert!(packet.contains("ProtocolError"), "{packet}");
    assert!(packet.contains("reason_string: None"), "{packet}");
}

#[test]
fn mqtt_3_14_2_3_the_reason_string_goes_where_the_packet_would_be_too_large() {
    let properties =
        ConnectProperties { maximum_packet_size: Some(30), ..ConnectProperties::default() };
    let packet = farewell(properties);
    assert!(packet.contains("ProtocolError"), "{packet}");
    assert!(packet.contains("reason_string: None"), "{packet}");
}

#[test]
fn malformed_bytes_are_named_to_their_sender() {
    let mut net = Net::new(1);
    let raw = net.client(0, "m", Version::V5);
    // A PUBLISH with QoS 3.
    net.send_bytes(raw, &[0x36, 5, 0, 1, b't', 0, 0]);
    let packet = last(&mut net, raw);
    assert!(packet.contains("MQTT-3.3.1-4"), "{packet}");
}

#[test]
fn clients_of_3_1_1_are_closed_without_a_word() {
    let mut net = Net::new(1);
    let raw = net.client(0, "m", Version::V4);
    net.send(raw, &Packet::Publish(publish("a/+", QoS::AtMostOnce, 0, b"x")));
    assert!(net.raw_packets(raw).is_empty());
    assert!(net.closed.contains_key(&raw.conn.0));
}
