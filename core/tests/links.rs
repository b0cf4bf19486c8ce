//! Shards joined by links behave as one broker: interest, retained messages, shared subscriptions,
//! credit.

mod support;

use halyard_core::packet::{Packet, QoS, Version};
use support::{Net, publish};

const V5: Version = Version::V5;

#[test]
fn a_message_reaches_subscribers_on_every_shard_once() {
    let mut net = Net::new(3);
    let publisher = net.client(0, "p", V5);
    let subscribers = [net.client(0, "a", V5), net.client(1, "b", V5), net.client(2, "c", V5)];
    for subscriber in subscribers {
        net.subscribe(subscriber, "t/+", QoS::ExactlyOnce);
        net.subscribe(subscriber, "t/#", QoS::AtMostOnce);
        net.read(subscriber);
    }
    net.send(publisher, &Packet::Publish(publish("t/1", QoS::AtLeastOnce, 1, b"x")));
    assert_eq!(net.read(publisher), ["puback 1 0x00"]);
    for subscriber in subscribers {
        assert_eq!(net.read(subscriber), ["publish t/1 q1 id1 x"], "{subscriber:?}");
    }
    for subscriber in subscribers {
        net.unsubscribe(subscriber, "t/+");
        net.unsubscribe(subscriber, "t/#");
        net.read(subscriber);
    }
    net.send(publisher, &Packet::Publish(publish("t/1", QoS::AtLeastOnce, 2, b"y")));
    assert_eq!(net.read(publisher), ["puback 2 0x10"], "nobody is interested any more");
}

#[test]
fn a_subscription_that_was_acknowledged_gets_what_is_published_after_its_hand_over() {
    let mut net = Net::new(2);
    let (publisher, subscriber) = (net.client(0, "p", V5), net.client(1, "s", V5));
    net.links_stalled = true;
    net.subscribe(subscriber, "t", QoS::AtMostOnce);
    // Links are handed over before the SUBACK is written, and drained before what was read is
    // handled: so whoever acts on the SUBACK acts after the interest is known.
    net.deliver_links();
    assert_eq!(net.read(subscriber), ["suback [0]"]);
    net.send(publisher, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"x")));
    net.deliver_links();
    assert_eq!(net.read(subscriber), ["publish t q0 x"]);
}

#[test]
fn retained_messages_are_the_same_on_all_shards() {
    let mut net = Net::new(3);
    let publisher = net.client(0, "p", V5);
    let other = net.client(2, "q", V5);
    let mut retained = publish("t", QoS::AtMostOnce, 0, b"1");
    retained.retain = true;
    net.send(publisher, &Packet::Publish(retained.clone()));
    retained.payload = b"2";
    net.send(other, &Packet::Publish(retained.clone()));
    for shard in 0..3 {
        let subscriber = net.client(shard, "s", V5);
        net.subscribe(subscriber, "#", QoS::AtMostOnce);
        assert_eq!(net.read(subscriber), ["suback [0]", "publish t q0 retain 2"]);
    }
    retained.payload = b"";
    net.send(publisher, &Packet::Publish(retained));
    assert!(net.stats().iter().all(|stats| stats.retained == 0));
}

#[test]
fn the_last_writer_wins_however_the_links_are_delayed() {
    let mut net = Net::new(2);
    let (a, b) = (net.client(0, "a", V5), net.client(1, "b", V5));
    net.links_stalled = true;
    let mut message = publish("t", QoS::AtMostOnce, 0, b"from a");
    message.retain = true;
    net.send(a, &Packet::Publish(message.clone()));
    message.payload = b"from b";
    net.send(b, &Packet::Publish(message.clone()));
    net.deliver_links();
    net.links_stalled = false;
    let seen: Vec<_> = (0..2)
        .map(|shard| {
            let subscriber = net.client(shard, "s", V5);
            net.subscribe(subscriber, "t", QoS::AtMostOnce);
            net.read(subscriber).pop()
        })
        .collect();
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn tombstones_end_when_all_counters_were_exchanged() {
    let mut net = Net::new(3);
    let before: Vec<u64> = net.engines.iter().map(|engine| engine.footprint()).collect();
    let publisher = net.client(0, "p", V5);
    let mut message = publish("t", QoS::AtMostOnce, 0, b"x");
    message.retain = true;
    net.send(publisher, &Packet::Publish(message.clone()));
    message.payload = b"";
    net.send(publisher, &Packet::Publish(message));
    net.drop_connection(publisher);
    net.pass(5);
    let after: Vec<u64> = net.engines.iter().map(|engine| engine.footprint()).collect();
    assert_eq!(after, before);
    assert!(net.engines.iter().all(|engine| engine.next_timeout().is_none()));
}

#[test]
fn a_shared_subscription_is_balanced_over_the_shards() {
    let mut net = Net::new(3);
    let publisher = net.client(0, "p", V5);
    let members = [
        net.client(0, "a", V5),
        net.client(1, "b", V5),
        net.client(1, "c", V5),
        net.client(2, "d", V5),
    ];
    for member in members {
        net.subscribe(member, "$share/g/t/#", QoS::AtMostOnce);
        net.read(member);
    }
    for _ in 0..400 {
        net.send(publisher, &Packet::Publish(publish("t/1", QoS::AtMostOnce, 0, b"x")));
    }
    let counts: Vec<usize> = members.iter().map(|member| net.read(*member).len()).collect();
    assert_eq!(counts, [100, 100, 100, 100]);
}

#[test]
fn a_message_for_a_member_that_left_goes_to_another_shard() {
    let mut net = Net::new(3);
    let publisher = net.client(0, "p", V5);
    let (leaving, staying) = (net.client(1, "a", V5), net.client(2, "b", V5));
    net.subscribe(leaving, "$share/g/t", QoS::AtLeastOnce);
    net.subscribe(staying, "$share/g/t", QoS::AtLeastOnce);
    net.read(leaving);
    net.read(staying);
    net.links_stalled = true;
    for id in 1..=4 {
        net.send(publisher, &Packet::Publish(publish("t", QoS::AtLeastOnce, id, b"x")));
    }
    net.drop_connection(leaving);
    net.deliver_links();
    assert_eq!(net.read(staying).len(), 4);
}

#[test]
fn publishers_are_held_while_a_link_is_full_and_nothing_is_lost() {
    let mut net = Net::new(2);
    let (publisher, subscriber) = (net.client(0, "p", V5), net.client(1, "s", V5));
    net.subscribe(subscriber, "t", QoS::AtMostOnce);
    net.read(subscriber);
    net.links_stalled = true;
    static PAYLOAD: [u8; 100_000] = [b'x'; 100_000];
    let mut sent = 0;
    while net.paused.is_empty() {
        net.send(publisher, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, &PAYLOAD)));
        sent += 1;
        assert!(sent < 1000, "the backlog is bounded");
    }
    net.deliver_links();
    net.turn();
    net.deliver_links();
    assert_eq!(net.paused, Vec::<u64>::new());
    let received = net.stats()[1].publish_sent_qos0 + net.stats()[1].drops.slow_consumer;
    assert_eq!(received, sent);
}
