//! The judge judged: runs that MQTT allows are not blamed, and runs that look nearly the same and
//! break a promise are. A publisher `p` and a subscriber `s` speak a few packets by hand.

use super::Oracle;
use crate::codec::encode;
use crate::engine::{CloseReason, ConnectionId, Outcome, TransportEnd};
use crate::packet::{
    Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode, SubscriptionOptions, Version,
};
use crate::sim::model::payload_of;
use crate::sim::station::Received;
use crate::sim::watch::{ConnectNote, Note, PublishNote, Seen};
use crate::time::Instant;

const PUBLISHER: u64 = 1;
const TOPIC: &str = "t";

/// What happens, step by step, and the oracle that sees it.
struct Story {
    oracle: Oracle,
    now: Instant,
    next_id: u16,
}

impl Story {
    fn new() -> Self {
        let oracle = Oracle::new(&crate::sim::default_config());
        let mut story = Self { oracle, now: Instant(1), next_id: 1 };
        story.connect(PUBLISHER, "p");
        story
    }

    fn see(&mut self, seen: Seen) -> &mut Self {
        self.now.0 += 1;
        self.oracle.see(self.now, seen);
        self
    }

    fn input(&mut self, conn: u64, note: Note) -> &mut Self {
        self.see(Seen::In { conn: ConnectionId(conn), note })
    }

    fn connect(&mut self, conn: u64, client: &str) -> &mut Self {
        let session_present = self.oracle.live.contains_key(client);
        let note = ConnectNote {
            version: Version::V4,
            clean_start: false,
            expiry: u32::MAX,
            receive_maximum: u16::MAX,
            maximum_packet_size: u32::MAX,
            will: None,
        };
        self.input(conn, Note::Connect(Box::new(note)));
        let (conn, client_id) = (ConnectionId(conn), client.to_owned());
        self.see(Seen::Connected { conn, client_id, session_present })
    }

    fn lose(&mut self, conn: u64) -> &mut Self {
        let reason = CloseReason::TransportLost(TransportEnd::Broken);
        self.see(Seen::Closed { conn: ConnectionId(conn), reason })
    }

    fn subscribe(&mut self, conn: u64, qos: QoS) -> &mut Self {
        let filters = vec![(TOPIC.to_owned(), SubscriptionOptions::new(qos))];
        self.input(conn, Note::Subscribe { identifier: 0, filters });
        let reason = ReasonCode::from_u8(qos.bits()).unwrap_or(ReasonCode::Success);
        self.see(Seen::Subscribed { client_id: "s".into(), filter: TOPIC.into(), reason })
    }

    /// The message `number` reaches the broker with QoS 1.
    fn publish(&mut self, number: u32, dup: bool, expiry: Option<u32>) -> &mut Self {
        let note = PublishNote {
            topic: TOPIC.to_owned(),
            payload: payload_of((0, number), 0),
            qos: AtLeastOnce,
            retain: false,
            dup,
            id: u16::try_from(number).ok(),
            alias: None,
            ids: Vec::new(),
            expiry,
        };
        self.input(PUBLISHER, Note::Publish(note))
    }

    fn drop(&mut self, outcome: Outcome) -> &mut Self {
        let (client_id, topic) = ("s".to_owned(), TOPIC.to_owned());
        self.see(Seen::Delivery { client_id, topic, qos: AtMostOnce, outcome })
    }

    /// The broker sends it.
    fn send(&mut self, conn: u64, number: u32, qos: QoS) -> &mut Self {
        let payload = payload_of((0, number), 0);
        let packet_id = (qos != AtMostOnce).then(|| PacketId::new(self.next_id)).flatten();
        self.next_id += 1;
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic: TOPIC,
            packet_id,
            properties: PublishProperties::default(),
            payload: &payload,
        };
        let (version, mut bytes) = (Version::V4, Vec::new());
        encode(&Packet::Publish(publish), version, &mut bytes);
        self.see(Seen::Out { conn: ConnectionId(conn), version, bytes })
    }

    /// The broker sends it and it gets there.
    fn deliver(&mut self, conn: u64, number: u32, qos: QoS) -> &mut Self {
        self.send(conn, number, qos);
        let received = Received {
            topic: TOPIC.to_owned(),
            payload: payload_of((0, number), 0),
            qos,
            retain: false,
            dup: false,
            subscription_ids: Vec::new(),
            expiry: None,
            response_topic: None,
            correlation_data: None,
            content_type: None,
            user_properties: Default::default(),
            at: self.now,
        };
        self.oracle.received(conn, &received);
        self
    }

    #[track_caller]
    fn blamed_for(&self, words: &str) {
        let violations = self.oracle.violations();
        assert!(violations.iter().any(|one| one.contains(words)), "{violations:?}");
    }

    #[track_caller]
    fn blameless(&self) {
        assert_eq!(self.oracle.violations(), <[String; 0]>::default());
    }
}

use QoS::{AtLeastOnce, AtMostOnce};

#[test]
fn a_copy_lost_as_qos_0_does_not_make_its_repetition_late() {
    let mut story = Story::new();
    story.connect(2, "s").subscribe(2, AtMostOnce);
    story.publish(1, false, None).send(2, 1, AtMostOnce);
    story.lose(2).connect(3, "s").subscribe(3, AtLeastOnce);
    story.publish(2, false, None).deliver(3, 2, AtLeastOnce);
    story.publish(1, true, None).deliver(3, 1, AtLeastOnce);
    story.blameless();
}

#[test]
fn a_copy_dropped_for_an_absent_client_does_not_make_its_repetition_late() {
    let mut story = Story::new();
    story.connect(2, "s").subscribe(2, AtMostOnce).lose(2);
    story.publish(1, false, None).drop(Outcome::Offline);
    story.connect(3, "s").subscribe(3, AtMostOnce);
    story.publish(2, false, None).deliver(3, 2, AtMostOnce);
    story.publish(1, true, None).deliver(3, 1, AtMostOnce);
    story.blameless();
}

#[test]
fn a_first_delivery_after_a_younger_message_is_blamed() {
    let mut story = Story::new();
    story.connect(2, "s").subscribe(2, AtLeastOnce);
    story.publish(1, false, None).publish(2, false, None);
    story.deliver(2, 2, AtLeastOnce).deliver(2, 1, AtLeastOnce);
    story.blamed_for("got (0, 1), arrival 1, after 2");
}

#[test]
fn a_repetition_by_the_publisher_does_not_excuse_that_the_first_copy_came_late() {
    let mut story = Story::new();
    story.connect(2, "s").subscribe(2, AtLeastOnce);
    story.publish(1, false, None).publish(2, false, None).publish(1, true, None);
    story.deliver(2, 2, AtLeastOnce).deliver(2, 1, AtLeastOnce);
    story.blamed_for("got (0, 1), arrival 1, after 2");
}

#[test]
fn more_copies_than_arrived_are_blamed_when_they_are_sent() {
    let mut story = Story::new();
    story.connect(2, "s").subscribe(2, AtLeastOnce).publish(1, false, None);
    story.deliver(2, 1, AtLeastOnce).send(2, 1, AtLeastOnce);
    story.blamed_for("expected");
}

#[test]
fn what_expired_or_was_said_to_be_dropped_must_not_be_sent() {
    let mut story = Story::new();
    story.connect(2, "s").subscribe(2, AtMostOnce).publish(1, false, Some(1));
    story.now.0 += 1_000_000;
    story.send(2, 1, AtMostOnce);
    story.blamed_for("expected");

    let mut story = Story::new();
    story.connect(2, "s").subscribe(2, AtMostOnce).publish(1, false, None);
    story.drop(Outcome::SlowConsumer).send(2, 1, AtMostOnce);
    story.blamed_for("expected");
}
