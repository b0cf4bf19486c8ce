//! The client's messages on one connection: quotas, queues, aliases, acknowledgements and limits
//! both ways (MQTT 5.0 §3.3, §4.3, §4.6, §4.9).

mod client_support;

use client_support::{Script, ack, connack, id, message};
use halyard_core::client::{Acks, Options};
use halyard_core::packet::{
    Ack, Connack, ConnackProperties, Packet, Publish, PublishProperties, QoS, ReasonCode, Suback,
    SubscribeFilter, SubscriptionOptions, Unsuback, UserProperties, Version,
};
use std::num::NonZeroU16;

const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

fn options() -> Options {
    Options { keep_alive: 0, ..Options::new(Version::V5, "c") }
}

fn connected_with(options: Options, properties: ConnackProperties<'_>) -> Script {
    let mut script = Script::new(options);
    script.connect(&Connack { properties, ..connack(false) });
    script.sent();
    script.events();
    script
}

#[test]
fn each_qos_runs_its_course() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let mut script = Script::connected(Options { version, ..options() });
        assert_eq!(script.publish("t", "a", Q0), "Written");
        assert_eq!(script.publish("t", "b", Q1), "InFlight(PacketId(1))");
        assert_eq!(script.publish("t", "c", Q2), "InFlight(PacketId(2))");
        assert_eq!(script.sent(), ["t:a q0", "t:b q1 #1", "t:c q2 #2"]);
        script.say(Packet::Puback(ack(1)));
        script.say(Packet::Pubrec(ack(2)));
        assert_eq!(script.sent(), ["PUBREL 2"]);
        script.say(Packet::Pubcomp(ack(2)));
        assert_eq!(script.events(), ["published 1 Success", "published 2 Success"]);
        assert_eq!(script.client.inflight(), 0);
    }
}

#[test]
fn a_refused_message_is_done() {
    let mut script = Script::connected(options());
    script.publish("t", "a", Q1);
    script.publish("t", "b", Q2);
    script.say(Packet::Puback(Ack::new(id(1), ReasonCode::NotAuthorized)));
    script.say(Packet::Pubrec(Ack::new(id(2), ReasonCode::QuotaExceeded)));
    assert_eq!(script.events(), ["published 0 NotAuthorized", "published 1 QuotaExceeded"]);
    assert_eq!(script.sent(), ["t:a q1 #1", "t:b q2 #2"], "no PUBREL");
}

#[test]
fn the_receive_maximum_of_the_server_is_kept_and_order_with_it() {
    let properties = ConnackProperties { receive_maximum: Some(2), ..Default::default() };
    let mut script = connected_with(options(), properties);
    for payload in ["a", "b", "c", "d"] {
        script.publish("t", payload, Q1);
    }
    assert_eq!(script.sent(), ["t:a q1 #1", "t:b q1 #2"]);
    assert_eq!(script.client.queued().0, 2);
    script.say(Packet::Puback(ack(1)));
    assert_eq!(script.sent(), ["t:c q1 #3"]);
    assert_eq!(script.publish("t", "e", Q1), "Queued");
    script.say(Packet::Puback(ack(2)));
    script.say(Packet::Puback(ack(3)));
    assert_eq!(script.sent(), ["t:d q1 #4", "t:e q1 #5"]);
}

#[test]
fn a_pubrec_keeps_its_place_until_pubcomp() {
    let mut script = Script::connected(Options { max_inflight: 1, ..options() });
    script.publish("t", "a", Q2);
    script.publish("t", "b", Q2);
    script.say(Packet::Pubrec(ack(1)));
    assert_eq!(script.sent(), ["t:a q2 #1", "PUBREL 1"]);
    script.say(Packet::Pubcomp(ack(1)));
    assert_eq!(script.sent(), ["t:b q2 #2"]);
}

#[test]
fn the_queue_is_bounded_and_says_so() {
    let limits = Options { max_inflight: 1, queue_messages: 2, queue_bytes: 1_000, ..options() };
    let mut script = Script::connected(limits);
    let big = "x".repeat(900);
    assert_eq!(script.publish("t", "a", Q1), "InFlight(PacketId(1))");
    assert_eq!(script.publish("t", &big, Q1), "Queued");
    assert_eq!(script.publish("t", &big, Q1), "QueueFull", "bytes");
    assert_eq!(script.publish("t", "c", Q1), "Queued");
    assert_eq!(script.publish("t", "d", Q1), "QueueFull", "count");
    assert_eq!(script.publish("t", "e", Q0), "Written", "QoS 0 does not wait");
}

#[test]
fn messages_wait_for_the_connection_in_order() {
    let mut script = Script::new(options());
    assert_eq!(script.publish("t", "a", Q0), "Queued");
    assert_eq!(script.publish("t", "b", Q1), "Queued");
    script.connect(&connack(false));
    assert_eq!(script.sent(), ["CONNECT 'c' clean=true", "t:a q0", "t:b q1 #1"]);
    assert_eq!(script.events(), ["open", "connected present=false", "published 0 Success"]);
    let mut refusing = Script::new(Options { queue_qos0: false, ..options() });
    assert_eq!(refusing.publish("t", "a", Q0), "Offline");
}

#[test]
fn a_flood_of_unsent_qos0_is_refused() {
    let mut script = Script::connected(Options { output_limit: 10, ..options() });
    assert_eq!(script.publish("t", "0123456789", Q0), "Written");
    assert_eq!(script.publish("t", "x", Q0), "OutputFull");
    script.sent();
    assert_eq!(script.publish("t", "x", Q0), "Written");
}

#[test]
fn the_servers_limits_are_kept() {
    let properties = ConnackProperties {
        maximum_qos: Some(Q1),
        retain_available: Some(false),
        maximum_packet_size: Some(40),
        ..Default::default()
    };
    let mut script = connected_with(options(), properties);
    assert_eq!(script.publish("t", "x", Q2), "QosNotSupported");
    assert_eq!(script.publish("t", &"x".repeat(40), Q0), "TooLarge");
    assert_eq!(script.publish("t", &"x".repeat(40), Q1), "TooLarge");
    let retained = Publish { retain: true, ..message("t", b"x", Q0, None) };
    assert!(script.client.publish(script.now, &retained).is_err());
    assert!(script.sent().is_empty());
    assert_eq!(
        script.publish("t", "x", Q1),
        "InFlight(PacketId(1))",
        "no identifier was lost to a refusal"
    );
}

#[test]
fn bad_topics_and_properties_are_refused() {
    let mut script = Script::connected(options());
    for topic in ["", "a/+", "#", "a\0b", &"x".repeat(70_000)] {
        assert_eq!(script.publish(topic, "x", Q0), "TopicInvalid");
    }
    let long = "x".repeat(70_000);
    let properties = PublishProperties { content_type: Some(&long), ..Default::default() };
    let publish = Publish { properties, ..message("t", b"x", Q0, None) };
    assert!(script.client.publish(script.now, &publish).is_err());
}

#[test]
fn aliases_of_our_own_shorten_the_second_message() {
    let properties = ConnackProperties { topic_alias_maximum: Some(1), ..Default::default() };
    let mut script = connected_with(Options { assign_aliases: 8, ..options() }, properties);
    for topic in ["a", "a", "b"] {
        script.publish(topic, "x", Q0);
    }
    script.publish("a", "y", Q1);
    assert_eq!(script.sent(), ["a:x q0 alias 1", ":x q0 alias 1", "b:x q0", ":y q1 #1 alias 1"]);
}

#[test]
fn a_given_alias_is_checked() {
    let with_alias = |topic, alias| {
        let topic_alias = NonZeroU16::new(alias);
        let properties = PublishProperties { topic_alias, ..Default::default() };
        Publish { properties, ..message(topic, b"x", Q0, None) }
    };
    let properties = ConnackProperties { topic_alias_maximum: Some(2), ..Default::default() };
    let mut script = connected_with(options(), properties);
    let now = script.now;
    assert!(script.client.publish(now, &with_alias("", 1)).is_err(), "unknown");
    assert!(script.client.publish(now, &with_alias("t", 3)).is_err(), "above the maximum");
    assert!(script.client.publish(now, &with_alias("t", 2)).is_ok());
    assert!(script.client.publish(now, &with_alias("", 2)).is_ok());
    assert_eq!(script.sent(), ["t:x q0 alias 2", ":x q0 alias 2"]);
}

#[test]
fn no_alias_goes_to_a_server_that_allows_none() {
    for topic_alias_maximum in [None, Some(0)] {
        let properties = ConnackProperties { topic_alias_maximum, ..Default::default() };
        let mut script = connected_with(Options { assign_aliases: 8, ..options() }, properties);
        for qos in [Q0, Q0, Q1] {
            script.publish("t", "x", qos);
        }
        let properties =
            PublishProperties { topic_alias: NonZeroU16::new(1), ..Default::default() };
        let aliased = Publish { properties, ..message("t", b"x", Q0, None) };
        assert!(script.client.publish(script.now, &aliased).is_err());
        assert_eq!(script.sent(), ["t:x q0", "t:x q0", "t:x q1 #1"]);
    }
}

#[test]
fn aliases_of_the_server_are_resolved() {
    let mut script = Script::connected(Options { topic_alias_maximum: Some(4), ..options() });
    for topic in ["t", "", "u", ""] {
        let topic_alias = NonZeroU16::new(3);
        let properties = PublishProperties { topic_alias, ..Default::default() };
        let publish = Publish { properties, ..message(topic, b"x", Q0, None) };
        script.say(Packet::Publish(publish));
    }
    let topics: Vec<_> = script.events().iter().map(|line| line[..1].to_owned()).collect();
    assert_eq!(topics, ["t", "t", "u", "u"]);
}

#[test]
fn a_repeated_qos2_message_is_handed_on_once() {
    let mut script = Script::connected(options());
    for dup in [false, true, true] {
        let publish = Publish { dup, ..message("t", b"x", Q2, Some(9)) };
        script.say(Packet::Publish(publish));
    }
    assert_eq!(script.events(), ["t:x q2 #9"]);
    assert_eq!(script.sent(), ["PUBREC 9", "PUBREC 9", "PUBREC 9"]);
    script.say(Packet::Pubrel(ack(9)));
    script.say(Packet::Pubrel(ack(9)));
    assert_eq!(script.sent(), ["PUBCOMP 9", "PUBCOMP 9 PacketIdentifierNotFound"]);
    script.say(Packet::Publish(message("t", b"y", Q2, Some(9))));
    assert_eq!(script.events(), ["t:y q2 #9"]);
}

#[test]
fn manual_answers_leave_in_the_order_of_receipt() {
    let mut script = Script::connected(Options { acks: Acks::Manual, ..options() });
    script.say(Packet::Publish(message("t", b"x", Q1, Some(1))));
    script.say(Packet::Publish(message("t", b"y", Q2, Some(2))));
    script.say(Packet::Publish(message("t", b"z", Q1, Some(3))));
    let now = script.now;
    script.client.ack(now, id(3), ReasonCode::Success).expect("waits");
    script.client.ack(now, id(2), ReasonCode::NotAuthorized).expect("waits");
    assert!(script.sent().is_empty());
    assert!(script.client.ack(now, id(2), ReasonCode::Success).is_err(), "answered already");
    script.client.ack(now, id(1), ReasonCode::Success).expect("waits");
    assert_eq!(script.sent(), ["PUBACK 1", "PUBREC 2 NotAuthorized", "PUBACK 3"]);
    assert_eq!(script.client.held(), 0, "a refused QoS 2 message is over");
}

#[test]
fn more_than_our_receive_maximum_ends_the_connection() {
    let limits = Options { acks: Acks::Manual, receive_maximum: Some(2), ..options() };
    let mut script = Script::connected(limits);
    for value in 1..=3 {
        script.say(Packet::Publish(message("t", b"x", Q1, Some(value))));
    }
    assert_eq!(script.sent(), ["DISCONNECT ReceiveMaximumExceeded"]);
    let limits = Options { receive_maximum: Some(2), ..options() };
    let mut script = Script::connected(limits);
    for value in 1..=9 {
        script.say(Packet::Publish(message("t", b"x", Q1, Some(value))));
    }
    assert!(script.client.is_connected(), "each was answered at once");
}

#[test]
fn requests_are_answered_and_share_the_identifiers() {
    let mut script = Script::connected(options());
    let now = script.now;
    script.publish("t", "x", Q1);
    let filter = SubscribeFilter { filter: "a/#", options: SubscriptionOptions::new(Q1) };
    let none = UserProperties::EMPTY;
    let subscribe = script.client.subscribe(now, &[filter], None, none).expect("connected");
    let unsubscribe = script.client.unsubscribe(now, &["b"], none).expect("connected");
    assert_eq!(script.sent(), ["t:x q1 #1", "SUBSCRIBE 2 a/#", "UNSUBSCRIBE 3 b"]);
    let reasons = vec![ReasonCode::GrantedQoS1];
    script.say(Packet::Suback(Suback {
        packet_id: subscribe,
        reasons: reasons.clone(),
        reason_string: None,
        user_properties: none,
    }));
    script.say(Packet::Unsuback(Unsuback {
        packet_id: unsubscribe,
        reasons: vec![ReasonCode::Success],
        reason_string: None,
        user_properties: none,
    }));
    assert_eq!(script.events(), ["subscribed 2", "unsubscribed 3"]);
    assert!(script.client.subscribe(now, &[], None, none).is_err());
    let mut offline = Script::new(options());
    assert!(offline.client.subscribe(now, &[filter], None, none).is_err());
}

#[test]
fn identifiers_come_round_without_a_clash() {
    let mut script = Script::connected(Options { max_inflight: 3, ..options() });
    script.publish("t", "stays", Q2);
    for _ in 0..70_000_u32 {
        script.publish("t", "x", Q1);
        let bytes = script.client.take_output();
        let at = bytes.len() - 4;
        let taken = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert_ne!(taken, 1, "in use since the start");
        script.say(Packet::Puback(ack(taken)));
    }
    assert_eq!(script.client.inflight(), 1);
}

#[test]
fn an_acknowledgement_out_of_turn_ends_the_connection() {
    for packet in [Packet::Puback(ack(1)), Packet::Pubcomp(ack(1))] {
        let mut script = Script::connected(options());
        script.publish("t", "x", Q2);
        script.say(packet);
        assert_eq!(script.sent().last().map(String::as_str), Some("DISCONNECT ProtocolError"));
    }
    let mut script = Script::connected(options());
    script.say(Packet::Puback(ack(7)));
    script.say(Packet::Pubrec(ack(7)));
    assert_eq!(script.sent(), ["PUBREL 7 PacketIdentifierNotFound"]);
    assert!(script.client.is_connected());
}
