//! The judge judged: runs that MQTT allows are not blamed, and runs that look nearly the same and
//! break a promise are. A publisher `p` and a subscriber `s` speak a few packets by hand.

use super::Oracle;
use crate::codec::encode;
use crate::conf::BrokerConfig;
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
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut config = crate::sim::default_config();
        change(&mut config.broker);
        let oracle = Oracle::new(&config);
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
        self.connect_with(conn, client, |_| {})
    }

    fn connect_with(
        &mut self,
        conn: u64,
        client: &str,
        change: impl FnOnce(&mut ConnectNote),
    ) -> &mut Self {
        self.say_connect(conn, client, change);
        let session_present = self.oracle.live.contains_key(client);
        let (conn, client_id) = (ConnectionId(conn), client.to_owned());
        self.see(Seen::Connected { conn, client_id, session_present })
    }

    fn say_connect(&mut self, conn: u64, client: &str, change: impl FnOnce(&mut ConnectNote)) {
        let mut note = ConnectNote {
            version: Version::V4,
            client_id: client.to_owned(),
            keep_alive: 0,
            clean_start: false,
            expiry: u32::MAX,
            receive_maximum: u16::MAX,
            maximum_packet_size: u32::MAX,
            will: None,
        };
        change(&mut note);
        self.input(conn, Note::Connect(Box::new(note)));
    }

    fn close(&mut self, conn: u64, reason: CloseReason) -> &mut Self {
        self.see(Seen::Closed { conn: ConnectionId(conn), reason })
    }

    fn lose(&mut self, conn: u64) -> &mut Self {
        self.close(conn, CloseReason::TransportLost(TransportEnd::Broken))
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
            properties: 0,
        };
        self.input(PUBLISHER, Note::Publish(note))
    }

    fn drop(&mut self, outcome: Outcome) -> &mut Self {
        self.say(AtMostOnce, outcome)
    }

    fn say(&mut self, qos: QoS, outcome: Outcome) -> &mut Self {
        let (client_id, topic) = ("s".to_owned(), TOPIC.to_owned());
        self.see(Seen::Delivery { client_id, topic, qos, outcome })
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

/// `s` is away and its queue has taken as many messages as are given.
fn away(queued: u32, change: impl FnOnce(&mut BrokerConfig)) -> Story {
    let mut story = Story::with(change);
    story.connect(2, "s").subscribe(2, AtLeastOnce).lose(2);
    for number in 1..=queued {
        story.publish(number, false, None).say(AtLeastOnce, Outcome::Queued);
    }
    story
}

#[test]
fn a_queue_is_full_only_with_as_many_messages_as_it_may_hold() {
    for queued in 0..=3 {
        let mut story = away(queued, |broker| broker.max_queued_messages = 3);
        story.publish(9, false, None).say(AtLeastOnce, Outcome::QueueFull);
        if queued == 3 { story.blameless() } else { story.blamed_for("QueueFull") }
    }
    let mut story = away(3, |broker| broker.max_queued_messages = 0);
    story.publish(9, false, None).say(AtLeastOnce, Outcome::QueueFull).blamed_for("QueueFull");
}

#[test]
fn a_queue_is_full_only_with_as_many_bytes_as_it_may_hold() {
    // Topic and payload of each are six bytes.
    for (queued, is_full) in [(0, false), (2, false), (3, true)] {
        let mut story = away(queued, |broker| broker.max_queued_bytes = 20);
        story.publish(9, false, None).say(AtLeastOnce, Outcome::QueueFull);
        if is_full { story.blameless() } else { story.blamed_for("QueueFull") }
    }
}

#[test]
fn what_was_sent_or_expired_fills_no_queue() {
    let mut story = away(0, |broker| broker.max_queued_messages = 1);
    story.publish(1, false, Some(1)).say(AtLeastOnce, Outcome::Queued);
    story.now.0 += 1_000_000;
    story.publish(2, false, None).say(AtLeastOnce, Outcome::QueueFull).blamed_for("QueueFull");

    let mut story = away(1, |broker| broker.max_queued_messages = 1);
    story.connect(3, "s").deliver(3, 1, AtLeastOnce);
    story.publish(2, false, None).say(AtLeastOnce, Outcome::QueueFull).blamed_for("QueueFull");
}

#[test]
fn a_message_is_too_large_only_if_it_is() {
    // Header 2, topic 3, packet identifier 2, properties 1, payload 5.
    for (limit, is_large) in [(11, true), (12, true), (13, false), (u32::MAX, false)] {
        let mut story = Story::new();
        story.connect_with(2, "s", |connect| {
            (connect.version, connect.maximum_packet_size) = (Version::V5, limit);
        });
        story.subscribe(2, AtLeastOnce).publish(1, false, None);
        story.say(AtLeastOnce, Outcome::TooLarge);
        if is_large { story.blameless() } else { story.blamed_for("TooLarge") }
    }
}

#[test]
fn what_leaves_a_queue_as_too_large_excuses_only_what_is_too_large() {
    let mut story = away(2, |_| {});
    story.connect_with(3, "s", |connect| {
        (connect.version, connect.maximum_packet_size) = (Version::V5, 12);
    });
    story.say(AtLeastOnce, Outcome::TooLarge).say(AtLeastOnce, Outcome::TooLarge).blameless();

    let mut story = away(2, |_| {});
    story.connect_with(3, "s", |connect| {
        (connect.version, connect.maximum_packet_size) = (Version::V5, 110);
    });
    story.say(AtLeastOnce, Outcome::TooLarge).blamed_for("none is over 110 bytes");
    story.oracle.finish(story.now);
    story.blamed_for("got (0, 1) 0 times");
}

#[test]
fn only_qos_0_is_dropped_for_who_is_away_and_only_while_he_is() {
    let mut story = away(0, |_| {});
    story.publish(1, false, None).say(AtLeastOnce, Outcome::Offline).blamed_for("Offline");
    let mut story = away(0, |broker| broker.queue_qos0_messages = true);
    story.publish(1, false, None).drop(Outcome::Offline).blamed_for("Offline");
    let mut story = away(0, |_| {});
    story.connect(3, "s").publish(1, false, None).drop(Outcome::Offline).blamed_for("Offline");
}

#[test]
fn a_keep_alive_ends_only_after_one_and_a_half_times_its_silence() {
    for (silence_us, is_lawful) in [(2_999_998, false), (3_000_000, true)] {
        let mut story = Story::new();
        story.connect_with(2, "s", |connect| connect.keep_alive = 2);
        story.input(2, Note::Other(crate::packet::PacketType::Pingreq));
        story.now.0 += silence_us - 1;
        story.close(2, CloseReason::KeepAliveTimeout);
        if is_lawful { story.blameless() } else { story.blamed_for("the engine closed #2") }
    }
    let mut story = Story::new();
    story.connect(2, "s").now.0 += 1_000_000_000;
    story.close(2, CloseReason::KeepAliveTimeout).blamed_for("the engine closed #2");
}

#[test]
fn a_packet_is_given_up_only_after_its_time() {
    for (silence_us, is_lawful) in [(59_999_998, false), (60_000_000, true)] {
        let mut story = Story::new();
        story.connect(2, "s").now.0 += silence_us - 2;
        story.close(2, CloseReason::PacketTimeout);
        if is_lawful { story.blameless() } else { story.blamed_for("the engine closed #2") }
    }
}

#[test]
fn nobody_is_taken_over_without_another_connect_of_his_name() {
    let mut story = Story::new();
    story.connect(2, "s").say_connect(3, "other", |_| {});
    story.close(2, CloseReason::TakenOver).blamed_for("the engine closed #2");

    let mut story = Story::new();
    story.connect(2, "s").say_connect(3, "s", |_| {});
    story.lose(3).close(2, CloseReason::TakenOver).blamed_for("the engine closed #2");

    let mut story = Story::new();
    story.connect(2, "s").say_connect(3, "s", |_| {});
    story.close(2, CloseReason::TakenOver).blameless();
}

#[test]
fn nobody_said_goodbye_who_did_not() {
    let goodbye = CloseReason::ClientDisconnected(ReasonCode::Success);
    let mut story = Story::new();
    story.connect(2, "s").close(2, goodbye.clone()).blamed_for("the engine closed #2");
    let mut story = Story::new();
    story.connect(2, "s");
    story.input(2, Note::Disconnect { reason: ReasonCode::Success, expiry: None });
    story.close(2, goodbye).blameless();
    let mut story = Story::new();
    story.connect(2, "s").close(2, CloseReason::ShuttingDown).blamed_for("the engine closed #2");
}
