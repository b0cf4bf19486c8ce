//! Access lists: what is checked when, and what a client is told. A right that is revoked is gone at
//! once, wherever a message waits; each place is a test of its own.

mod support;

use halyard_core::conf::BrokerConfig;
use halyard_core::packet::{Connect, Packet, QoS, Version, Will, WillProperties};
use support::{Net, Raw, connect, publish};

const ALL: &str = "topic #\npattern readwrite #\n";

/// A client with a User Name, and a Session that outlives its connection.
fn user<'a>(client_id: &'a str, username: &'a str) -> Connect<'a> {
    let mut packet = connect(client_id, Version::V5);
    packet.username = Some(username);
    packet.clean_start = false;
    packet.properties.session_expiry_interval = Some(1000);
    packet
}

fn join(net: &mut Net, shard: usize, packet: &Connect<'_>) -> Raw {
    let (raw, rest) = resume(net, shard, packet);
    assert_eq!(rest, [""; 0]);
    raw
}

/// A client that comes back, and what it gets at once.
fn resume(net: &mut Net, shard: usize, packet: &Connect<'_>) -> (Raw, Vec<String>) {
    let raw = net.open(shard, packet.version);
    net.send(raw, &Packet::Connect(packet.clone()));
    assert_eq!(net.closed.get(&raw.conn.0), None);
    let mut packets = net.read(raw);
    assert!(packets[0].starts_with("connack 0x00"), "{packets:?}");
    packets.remove(0);
    (raw, packets)
}

fn send(net: &mut Net, from: Raw, topic: &str, qos: QoS, retain: bool) {
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { 1 };
    let mut packet = publish(topic, qos, packet_id, b"x");
    packet.retain = retain;
    net.send(from, &Packet::Publish(packet));
}

/// Only `keeper` may read `t/…` any more, and nobody may write it.
const REVOKED: &str = "user keeper\ntopic read t/#\n";

#[test]
fn a_publish_that_is_denied_is_answered_with_0x87_and_reaches_nobody() {
    for (qos, answer) in [(QoS::AtLeastOnce, "puback"), (QoS::ExactlyOnce, "pubrec")] {
        let mut net = Net::new(1);
        net.access("user a\ntopic write t/yes\nuser keeper\ntopic read t/#\n");
        let keeper = join(&mut net, 0, &user("k", "keeper"));
        net.subscribe(keeper, "t/#", QoS::AtMostOnce);
        net.read(keeper);
        let a = join(&mut net, 0, &user("a", "a"));
        send(&mut net, a, "t/no", qos, true);
        assert_eq!(net.read(a), [format!("{answer} 1 0x87")]);
        assert_eq!(net.read(keeper), [""; 0]);
        send(&mut net, a, "t/yes", qos, false);
        assert_eq!(net.read(a), [format!("{answer} 1 0x00")]);
        assert_eq!(net.read(keeper), ["publish t/yes q0 x"]);
        let stats = &net.stats()[0];
        assert_eq!((stats.drops.denied_write, stats.retained), (1, 0));
    }
}

#[test]
fn a_3_1_1_client_is_acknowledged_and_its_message_dropped() {
    for (qos, answer) in [(QoS::AtLeastOnce, "puback 1 0x00"), (QoS::ExactlyOnce, "pubrec 1 0x00")]
    {
        let mut net = Net::new(1);
        net.access("user keeper\ntopic read t/#\n");
        let keeper = join(&mut net, 0, &user("k", "keeper"));
        net.subscribe(keeper, "t/#", QoS::AtMostOnce);
        net.read(keeper);
        let a = net.client(0, "a", Version::V4);
        send(&mut net, a, "t/no", qos, false);
        assert_eq!(net.read(a), [answer]);
        if qos == QoS::ExactlyOnce {
            net.ack(a, Packet::Pubrel, 1);
            assert_eq!(net.read(a), ["pubcomp 1 0x00"]);
        }
        assert_eq!(net.read(keeper), [""; 0]);
        assert_eq!(net.stats()[0].drops.denied_write, 1);
    }
}

#[test]
fn subscribing_is_granted_and_each_delivery_checked() {
    let mut net = Net::new(1);
    net.access("user a\ntopic read t/yes\nuser b\ntopic write t/#\n");
    let (a, b) = (join(&mut net, 0, &user("a", "a")), join(&mut net, 0, &user("b", "b")));
    net.subscribe(a, "#", QoS::AtMostOnce);
    assert_eq!(net.read(a), ["suback [0]"]);
    for topic in ["t/no", "t/yes"] {
        send(&mut net, b, topic, QoS::AtMostOnce, false);
    }
    assert_eq!(net.read(a), ["publish t/yes q0 x"]);
    assert_eq!(net.stats()[0].drops.denied_read, 1);
}

#[test]
fn a_subscription_is_refused_filter_by_filter_where_a_denial_covers_it() {
    let acl = "user a\ntopic read t/#\ntopic deny t/secret/#\n";
    for (version, refusal) in [(Version::V4, "suback [80]"), (Version::V5, "suback [87]")] {
        let mut net = Net::new(1);
        net.access(acl);
        let mut packet = connect("a", version);
        packet.username = Some("a");
        let a = join(&mut net, 0, &packet);
        for (filter, answer) in [
            ("t/#", "suback [0]"),
            ("t/secret/x", refusal),
            ("$share/g/t/secret/#", refusal),
            ("elsewhere", "suback [0]"),
        ] {
            net.subscribe(a, filter, QoS::AtMostOnce);
            assert_eq!(net.read(a), [answer], "{filter}");
        }
        assert_eq!(net.stats()[0].subscriptions, 2);
        // Unsubscribing needs no right.
        net.unsubscribe(a, "elsewhere");
        assert!(net.read(a)[0].starts_with("unsuback"));
    }
}

#[test]
fn acl_check_subscribe_refuses_what_no_right_to_read_covers() {
    let mut net = Net::with(1, BrokerConfig { acl_check_subscribe: true, ..Default::default() });
    net.access("user a\ntopic read t/#\n");
    let a = join(&mut net, 0, &user("a", "a"));
    let cases = [
        ("t/+", "suback [0]"),
        ("#", "suback [87]"),
        ("$share/g/t/x", "suback [0]"),
        ("$share/g/u", "suback [87]"),
    ];
    for (filter, answer) in cases {
        net.subscribe(a, filter, QoS::AtMostOnce);
        assert_eq!(net.read(a), [answer], "{filter}");
    }
}

#[test]
fn a_subscribe_rule_is_all_that_its_user_may_subscribe_to() {
    let mut net = Net::new(1);
    net.access("user a\ntopic read #\ntopic subscribe t/+\n");
    let a = join(&mut net, 0, &user("a", "a"));
    for (filter, answer) in [("t/x", "suback [0]"), ("t/#", "suback [87]"), ("u", "suback [87]")] {
        net.subscribe(a, filter, QoS::AtMostOnce);
        assert_eq!(net.read(a), [answer], "{filter}");
    }
}

#[test]
fn a_client_with_wildcards_in_its_name_widens_no_pattern() {
    let mut net = Net::new(1);
    net.access("user b\ntopic write own/#\npattern readwrite own/%c/#\n");
    let b = join(&mut net, 0, &user("b", "b"));
    for name in ["+", "#", "a/b", "x/#"] {
        let a = join(&mut net, 0, &user(name, "a"));
        net.subscribe(a, "own/#", QoS::AtMostOnce);
        net.read(a);
        for topic in ["own/other/1", "own/a/b/1", "own/+", "own/x"] {
            if !topic.contains('+') {
                send(&mut net, b, topic, QoS::AtMostOnce, false);
                send(&mut net, a, topic, QoS::AtLeastOnce, false);
                assert_eq!(net.read(a), ["puback 1 0x87"], "{name} {topic}");
            }
        }
    }
}

#[test]
fn a_shared_subscription_gives_each_message_to_a_member_who_may_read_it() {
    for shards in [1, 3] {
        let mut net = Net::new(shards);
        net.access("user may\ntopic read t\nuser b\ntopic write t\n");
        let may = join(&mut net, 0, &user("may", "may"));
        let other = usize::from(shards - 1);
        let not = join(&mut net, other, &user("not", "not"));
        for raw in [may, not] {
            net.subscribe(raw, "$share/g/t", QoS::AtLeastOnce);
            net.read(raw);
        }
        let b = join(&mut net, 0, &user("b", "b"));
        for _ in 0..4 {
            send(&mut net, b, "t", QoS::AtMostOnce, false);
        }
        assert_eq!(net.read(may), ["publish t q0 x"; 4], "{shards} shards");
        assert_eq!(net.read(not), [""; 0]);
    }
}

#[test]
fn only_a_rule_for_it_opens_the_state_of_a_bridge_and_nothing_else_below_sys() {
    let mut net = Net::new(1);
    net.access("topic #\ntopic $SYS/#\npattern write $SYS/broker/connection/%c/state\n");
    let mut packet = connect("b1", Version::V5);
    packet.username = Some("u");
    let bridge = join(&mut net, 0, &packet);
    let anybody = net.client(0, "c", Version::V5);
    for (raw, topic, answer) in [
        (bridge, "$SYS/broker/connection/b1/state", "0x10"),
        (bridge, "$SYS/broker/connection/b2/state", "0x87"),
        (anybody, "$SYS/broker/uptime", "0x87"),
        (anybody, "$CONTROL/x", "0x87"),
    ] {
        send(&mut net, raw, topic, QoS::AtLeastOnce, false);
        assert_eq!(net.read(raw), [format!("puback 1 {answer}")], "{topic}");
    }
}

#[test]
fn a_listener_with_a_list_of_its_own_goes_by_that_one() {
    let mut net = Net::new(1);
    net.access("topic deny #\n");
    net.reconfigure_all(|config| {
        let own = halyard_core::access::parse("own", b"topic #\n").list;
        config.listeners.push(config.listeners[0].clone());
        config.listeners[1].access = Some(own.into());
    });
    for (listener, answer) in [(0, "puback 1 0x87"), (1, "puback 1 0x10")] {
        let raw = net.open_on(0, listener, Version::V5);
        net.send(raw, &Packet::Connect(connect("c", Version::V5)));
        net.read(raw);
        send(&mut net, raw, "t", QoS::AtLeastOnce, false);
        assert_eq!(net.read(raw), [answer]);
    }
}

// What waits when a right is revoked: one test a place.

#[test]
fn revoked_a_live_delivery_stops() {
    let mut net = Net::new(1);
    net.access(ALL);
    let a = join(&mut net, 0, &user("a", "a"));
    net.subscribe(a, "t/#", QoS::AtMostOnce);
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", QoS::AtMostOnce, false);
    assert_eq!(net.read(a).len(), 2);
    net.access("user b\ntopic write t/#\n");
    send(&mut net, b, "t/1", QoS::AtMostOnce, false);
    assert_eq!(net.read(a), [""; 0]);
    assert_eq!(net.stats()[0].drops.denied_read, 1);
}

#[test]
fn revoked_a_right_to_publish_is_gone_for_those_who_are_connected() {
    let mut net = Net::new(1);
    net.access(ALL);
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", QoS::AtLeastOnce, false);
    assert_eq!(net.read(b), ["puback 1 0x10"]);
    net.access(REVOKED);
    send(&mut net, b, "t/1", QoS::AtLeastOnce, false);
    assert_eq!(net.read(b), ["puback 1 0x87"]);
}

#[test]
fn revoked_a_retained_message_is_not_delivered() {
    let mut net = Net::new(1);
    net.access(ALL);
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", QoS::AtMostOnce, true);
    // The reader's right, and then the writer's.
    net.access("user b\ntopic write t/#\n");
    let a = join(&mut net, 0, &user("a", "a"));
    net.subscribe(a, "t/#", QoS::AtMostOnce);
    assert_eq!(net.read(a), ["suback [0]"]);
    net.access("user keeper\ntopic read t/#\n");
    let keeper = join(&mut net, 0, &user("k", "keeper"));
    net.subscribe(keeper, "t/#", QoS::AtMostOnce);
    assert_eq!(net.read(keeper), ["suback [0]"]);
    assert_eq!(net.stats()[0].drops.denied_read, 2);
    net.reconfigure_all(|config| config.broker.check_retain_source = false);
    net.subscribe(keeper, "t/#", QoS::AtMostOnce);
    assert_eq!(net.read(keeper), ["suback [0]", "publish t/1 q0 retain x"]);
}

#[test]
fn revoked_the_source_of_a_retained_message_is_known_on_every_shard() {
    let mut net = Net::new(3);
    net.access(ALL);
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", QoS::AtMostOnce, true);
    net.access("user keeper\ntopic read t/#\n");
    for shard in 0..3 {
        let name = format!("k{shard}");
        let keeper = join(&mut net, shard, &user(&name, "keeper"));
        net.subscribe(keeper, "t/#", QoS::AtMostOnce);
        assert_eq!(net.read(keeper), ["suback [0]"], "shard {shard}");
    }
}

#[test]
fn revoked_a_queued_message_is_not_replayed() {
    let mut net = Net::new(1);
    net.access(ALL);
    let a = join(&mut net, 0, &user("a", "a"));
    net.subscribe(a, "t/#", QoS::ExactlyOnce);
    net.drop_connection(a);
    let b = join(&mut net, 0, &user("b", "b"));
    for (topic, qos) in [("t/1", QoS::AtLeastOnce), ("t/2", QoS::ExactlyOnce)] {
        send(&mut net, b, topic, qos, false);
    }
    net.access("user a\ntopic read t/2\n");
    let (_, packets) = resume(&mut net, 0, &user("a", "a"));
    assert_eq!(packets, ["publish t/2 q2 id1 x"]);
    assert_eq!(net.stats()[0].drops.denied_read, 1);
}

/// A client with a message of this QoS in flight, which it lost its right to read.
fn revoked_in_flight(qos: QoS) -> (Net, Raw, Vec<String>) {
    let mut net = Net::new(1);
    net.access(ALL);
    let a = join(&mut net, 0, &user("a", "a"));
    net.subscribe(a, "t/#", qos);
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", qos, false);
    assert_eq!(net.read(a).len(), 2);
    net.drop_connection(a);
    net.access(REVOKED);
    let (a, packets) = resume(&mut net, 0, &user("a", "a"));
    net.turn();
    assert_eq!(net.read(a), [""; 0]);
    assert_eq!(net.stats()[0].drops.denied_read, 1);
    net.access(ALL);
    (net, a, packets)
}

#[test]
fn revoked_an_exchange_of_qos_1_in_flight_is_not_taken_up_again() {
    let (mut net, a, packets) = revoked_in_flight(QoS::AtLeastOnce);
    assert_eq!(packets, [""; 0]);
    // The quota is whole.
    let c = join(&mut net, 0, &user("c", "c"));
    send(&mut net, c, "t/1", QoS::AtLeastOnce, false);
    assert_eq!(net.read(a).len(), 1);
}

#[test]
fn revoked_an_exchange_of_qos_2_in_flight_ends_without_its_message_and_keeps_its_identifier() {
    let (mut net, a, packets) = revoked_in_flight(QoS::ExactlyOnce);
    // The client may hold the identifier: another message under it would be taken for this one.
    assert_eq!(packets, ["pubrel 1 0x00"]);
    let c = join(&mut net, 0, &user("c", "c"));
    send(&mut net, c, "t/1", QoS::ExactlyOnce, false);
    assert_eq!(net.read(a), ["publish t/1 q2 id2 x"]);
    // It may also be that it never heard of it (0x92).
    net.ack(a, Packet::Pubcomp, 1);
    assert!(!net.closed.contains_key(&a.conn.0));
    assert_eq!(net.stats()[0].unknown_acks, 0);
}

#[test]
fn revoked_a_qos_2_exchange_past_pubrec_is_completed() {
    let mut net = Net::new(1);
    net.access(ALL);
    let a = join(&mut net, 0, &user("a", "a"));
    net.subscribe(a, "t/#", QoS::ExactlyOnce);
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", QoS::ExactlyOnce, false);
    net.read(a);
    net.ack(a, Packet::Pubrec, 1);
    assert_eq!(net.read(a), ["pubrel 1 0x00"]);
    net.drop_connection(a);
    net.access(REVOKED);
    let (a, packets) = resume(&mut net, 0, &user("a", "a"));
    assert_eq!(packets, ["pubrel 1 0x00"]);
    net.ack(a, Packet::Pubcomp, 1);
    assert_eq!(net.stats()[0].drops.denied_read, 0);
    // And the publisher's own: it had published before.
    assert_eq!(net.read(b), ["pubrec 1 0x00"]);
    net.ack(b, Packet::Pubrel, 1);
    assert_eq!(net.read(b), ["pubcomp 1 0x00"]);
}

fn with_will<'a>(client_id: &'a str, username: &'a str, delay: u32) -> Connect<'a> {
    let mut packet = user(client_id, username);
    packet.will = Some(Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t/will",
        payload: b"gone",
        properties: WillProperties { delay_interval: Some(delay), ..WillProperties::default() },
    });
    packet
}

#[test]
fn revoked_a_will_is_not_published() {
    for delay in [0, 10] {
        let mut net = Net::new(1);
        net.access(ALL);
        let keeper = join(&mut net, 0, &user("k", "keeper"));
        net.subscribe(keeper, "t/#", QoS::AtMostOnce);
        net.read(keeper);
        let a = join(&mut net, 0, &with_will("a", "a", delay));
        let b = join(&mut net, 0, &with_will("b", "b", delay));
        net.access("user keeper\ntopic read t/#\nuser b\ntopic write t/will\n");
        net.drop_connection(a);
        net.pass(u64::from(delay) + 1);
        assert_eq!(net.read(keeper), [""; 0]);
        assert_eq!(net.stats()[0].drops.denied_write, 1);
        net.drop_connection(b);
        net.pass(u64::from(delay) + 1);
        assert_eq!(net.read(keeper), ["publish t/will q0 gone"]);
    }
}

#[test]
fn a_will_that_may_not_be_published_does_not_keep_its_client_out() {
    let mut net = Net::new(1);
    net.access(REVOKED);
    let keeper = join(&mut net, 0, &user("k", "keeper"));
    net.subscribe(keeper, "t/#", QoS::AtMostOnce);
    net.read(keeper);
    let a = join(&mut net, 0, &with_will("a", "a", 0));
    net.drop_connection(a);
    assert_eq!(net.read(keeper), [""; 0]);
    assert_eq!((net.stats()[0].drops.denied_write, net.stats()[0].wills_published), (1, 0));
}

#[test]
fn revoked_what_waits_for_one_member_of_a_group_goes_to_another() {
    let mut net = Net::new(1);
    net.access(ALL);
    let a = join(&mut net, 0, &user("a", "a"));
    net.subscribe(a, "$share/g/t/#", QoS::AtLeastOnce);
    net.drop_connection(a);
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", QoS::AtLeastOnce, false);
    let keeper = join(&mut net, 0, &user("k", "keeper"));
    net.subscribe(keeper, "$share/g/t/#", QoS::AtLeastOnce);
    net.read(keeper);
    net.access(REVOKED);
    let a = join(&mut net, 0, &user("a", "a"));
    net.turn();
    assert_eq!(net.read(a), [""; 0]);
    assert_eq!(net.read(keeper), ["publish t/1 q1 id1 x"]);
}

#[test]
fn revoked_a_shared_delivery_is_not_made_by_the_last_member() {
    let mut net = Net::new(1);
    net.access(ALL);
    let a = join(&mut net, 0, &user("a", "a"));
    net.subscribe(a, "$share/g/t/#", QoS::AtLeastOnce);
    net.read(a);
    net.access("user b\ntopic write t/#\n");
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", QoS::AtLeastOnce, false);
    assert_eq!(net.read(a), [""; 0]);
    assert_eq!(net.stats()[0].drops.denied_read, 1);
}

#[test]
fn a_right_that_is_given_back_holds_for_the_next_message() {
    let mut net = Net::new(1);
    net.access(REVOKED);
    let a = join(&mut net, 0, &user("a", "a"));
    net.subscribe(a, "t/#", QoS::AtMostOnce);
    net.read(a);
    net.access(ALL);
    let b = join(&mut net, 0, &user("b", "b"));
    send(&mut net, b, "t/1", QoS::AtMostOnce, false);
    assert_eq!(net.read(a), ["publish t/1 q0 x"]);
    net.reconfigure_all(|config| config.broker.access = None);
    send(&mut net, b, "t/2", QoS::AtMostOnce, false);
    assert_eq!(net.read(a), ["publish t/2 q0 x"]);
}
