//! SUBSCRIBE, UNSUBSCRIBE, filters and shared subscriptions, statement by statement (MQTT 5.0 §3.8
//! to §3.11, §4.7, §4.8; MQTT 3.1.1 likewise).

mod support;

use halyard_core::conf::BrokerConfig;
use halyard_core::engine::CloseReason;
use halyard_core::packet::{
    Ack, Packet, QoS, ReasonCode, Subscribe, SubscribeFilter, SubscriptionOptions, Unsubscribe,
    UserProperties, Version,
};
use support::{Net, Raw, connect, id, publish};

const ALL: [Version; 3] = [Version::V3, Version::V4, Version::V5];
const V5: Version = Version::V5;

fn send(net: &mut Net, raw: Raw, topic: &str, payload: &[u8]) {
    net.send(raw, &Packet::Publish(publish(topic, QoS::AtMostOnce, 0, payload)));
}

fn subscribe_all(net: &mut Net, raw: Raw, filters: &[(&str, QoS)]) -> Vec<String> {
    let filters = filters
        .iter()
        .map(|(filter, qos)| SubscribeFilter { filter, options: SubscriptionOptions::new(*qos) });
    net.send(
        raw,
        &Packet::Subscribe(Subscribe {
            packet_id: id(77),
            subscription_identifier: None,
            user_properties: UserProperties::EMPTY,
            filters: filters.collect(),
        }),
    );
    net.read(raw)
}

fn subscribe_with(net: &mut Net, raw: Raw, filter: &str, options: SubscriptionOptions, sub: u32) {
    net.send(
        raw,
        &Packet::Subscribe(Subscribe {
            packet_id: id(77),
            subscription_identifier: (sub > 0).then_some(sub),
            user_properties: UserProperties::EMPTY,
            filters: vec![SubscribeFilter { filter, options }],
        }),
    );
    net.read(raw);
}

fn persistent(net: &mut Net, name: &str) -> Raw {
    persistent_as(net, name, V5)
}

fn persistent_as(net: &mut Net, name: &str, version: Version) -> Raw {
    let raw = net.open(0, version);
    let mut packet = connect(name, version);
    packet.clean_start = false;
    packet.properties.session_expiry_interval = version.is_v5().then_some(1000);
    net.send(raw, &Packet::Connect(packet));
    raw
}

#[test]
fn each_filter_gets_its_code_in_order() {
    for version in ALL {
        let mut net = Net::new(1);
        let s = net.client(0, "s", version);
        let filters =
            [("a", QoS::ExactlyOnce), ("b/#", QoS::AtMostOnce), ("+/c", QoS::AtLeastOnce)];
        assert_eq!(subscribe_all(&mut net, s, &filters), ["suback [2, 0, 1]"]);
    }
    let mut net = Net::new(1);
    let s = net.client(0, "s", V5);
    let filters = [
        ("a/#/b", QoS::AtMostOnce),
        ("ok", QoS::AtLeastOnce),
        ("a+", QoS::AtMostOnce),
        ("$share//x", QoS::AtMostOnce),
        ("$share/g", QoS::AtMostOnce),
        ("$share/a+/x", QoS::AtMostOnce),
    ];
    assert_eq!(subscribe_all(&mut net, s, &filters), ["suback [8f, 1, 8f, 8f, 8f, 8f]"]);
    send(&mut net, s, "ok", b"x");
    assert_eq!(net.read(s), ["publish ok q0 x"]);
}

#[test]
fn an_invalid_filter_ends_a_connection_of_3_1_1() {
    let mut net = Net::new(1);
    let s = net.client(0, "s", Version::V4);
    subscribe_all(&mut net, s, &[("a/#/b", QoS::AtMostOnce)]);
    assert!(matches!(net.closed[&s.conn.0], CloseReason::Violation { .. }));
}

#[test]
fn wildcards_match_as_the_standard_says() {
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        for (filter, yes, no) in [
            (
                "sensors/#",
                vec!["sensors", "sensors/a", "sensors/a/b"],
                vec!["sensor", "$sensors/a"],
            ),
            ("sport/+", vec!["sport/", "sport/x"], vec!["sport", "sport/x/y"]),
            ("+/+", vec!["/finance", "a/b"], vec!["finance", "$SYS2/a"]),
            ("#", vec!["a", "/", "a/b"], vec!["$x", "$x/y"]),
            ("$x/#", vec!["$x", "$x/y"], vec!["x"]),
            ("Ä/b", vec!["Ä/b"], vec!["A\u{308}/b", "ä/b"]),
        ] {
            let s = net.client(0, "s", version);
            subscribe_all(&mut net, s, &[(filter, QoS::AtMostOnce)]);
            for topic in &yes {
                send(&mut net, p, topic, b"x");
                assert_eq!(net.read(s), [format!("publish {topic} q0 x")], "{filter}");
            }
            for topic in no {
                send(&mut net, p, topic, b"x");
                assert_eq!(net.read(s), Vec::<String>::new(), "{filter} {topic}");
            }
        }
    }
}

#[test]
fn the_qos_is_the_lower_of_the_published_and_the_granted() {
    for version in ALL {
        for granted in 0..=2u8 {
            for sent in 0..=2u8 {
                let mut net = Net::new(1);
                let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
                let qos = |bits| QoS::from_bits(bits).unwrap();
                subscribe_all(&mut net, s, &[("t", qos(granted))]);
                net.send(p, &Packet::Publish(publish("t", qos(sent), u16::from(sent > 0), b"x")));
                let expected = format!("publish t q{}", granted.min(sent));
                assert!(net.read(s)[0].starts_with(&expected));
            }
        }
    }
}

#[test]
fn overlapping_subscriptions_give_one_message_with_the_highest_qos_and_all_identifiers() {
    let mut net = Net::new(1);
    let (p, s) = (net.client(0, "p", V5), net.client(0, "s", V5));
    subscribe_with(&mut net, s, "t/#", SubscriptionOptions::new(QoS::AtMostOnce), 9);
    subscribe_with(&mut net, s, "t/+", SubscriptionOptions::new(QoS::ExactlyOnce), 3);
    subscribe_with(&mut net, s, "t/x", SubscriptionOptions::new(QoS::AtLeastOnce), 0);
    net.send(p, &Packet::Publish(publish("t/x", QoS::ExactlyOnce, 1, b"x")));
    assert_eq!(net.read(s), ["publish t/x q2 id1 sub[3, 9] x"]);
}

#[test]
fn a_subscription_to_the_same_filter_replaces_the_old_one() {
    let mut net = Net::new(1);
    let (p, s) = (net.client(0, "p", V5), net.client(0, "s", V5));
    subscribe_with(&mut net, s, "t", SubscriptionOptions::new(QoS::ExactlyOnce), 1);
    subscribe_with(&mut net, s, "t", SubscriptionOptions::new(QoS::AtMostOnce), 2);
    net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"x")));
    assert_eq!(net.read(s), ["publish t q0 sub[2] x"]);
    assert_eq!(net.stats()[0].subscriptions, 1);
}

#[test]
fn no_local_keeps_own_messages_away() {
    let mut net = Net::new(1);
    let (a, b) = (net.client(0, "a", V5), net.client(0, "b", V5));
    let mut options = SubscriptionOptions::new(QoS::AtMostOnce);
    options.no_local = true;
    subscribe_with(&mut net, a, "t", options, 0);
    send(&mut net, a, "t", b"own");
    send(&mut net, b, "t", b"other");
    assert_eq!(net.read(a), ["publish t q0 other"]);
}

#[test]
fn unsubscribe_compares_filters_character_by_character() {
    for version in ALL {
        let mut net = Net::new(1);
        let s = net.client(0, "s", version);
        subscribe_all(&mut net, s, &[("a/+", QoS::AtMostOnce), ("b", QoS::AtMostOnce)]);
        net.send(
            s,
            &Packet::Unsubscribe(Unsubscribe {
                packet_id: id(9),
                user_properties: UserProperties::EMPTY,
                filters: vec!["a/b", "b", "a/#"],
            }),
        );
        let expected = if version.is_v5() { "unsuback [11, 0, 11]" } else { "unsuback []" };
        assert_eq!(net.read(s), [expected]);
        send(&mut net, s, "a/b", b"x");
        send(&mut net, s, "b", b"x");
        assert_eq!(net.read(s), ["publish a/b q0 x"]);
    }
}

#[test]
fn what_was_started_before_unsubscribe_is_completed() {
    for version in ALL {
        let mut net = Net::new(1);
        let (p, s) = (net.client(0, "p", version), persistent_as(&mut net, "s", version));
        subscribe_all(&mut net, s, &[("t", QoS::ExactlyOnce)]);
        net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 1, b"x")));
        net.unsubscribe(s, "t");
        net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 2, b"y")));
        let answer = if version.is_v5() { "unsuback [0]" } else { "unsuback []" };
        assert_eq!(net.read(s), ["publish t q2 id1 x", answer]);
        net.drop_connection(s);
        let s = persistent_as(&mut net, "s", version);
        assert_eq!(net.read(s)[1..], ["publish t q2 id1 dup x"]);
        net.ack(s, Packet::Pubrec, 1);
        net.ack(s, Packet::Pubcomp, 1);
        assert_eq!(net.read(s), ["pubrel 1 0x00"]);
    }
}

#[test]
fn subscriptions_live_with_the_session() {
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        let open = |net: &mut Net| {
            let raw = net.open(0, version);
            let mut packet = connect("s", version);
            packet.clean_start = false;
            packet.properties.session_expiry_interval = version.is_v5().then_some(100);
            net.send(raw, &Packet::Connect(packet));
            raw
        };
        let s = open(&mut net);
        subscribe_all(&mut net, s, &[("t", QoS::ExactlyOnce)]);
        net.drop_connection(s);
        net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"x")));
        net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 2, b"z")));
        send(&mut net, p, "t", b"lost");
        let s = open(&mut net);
        assert_eq!(net.read(s)[1..], ["publish t q1 id1 x", "publish t q2 id2 z"]);
        send(&mut net, p, "t", b"y");
        assert_eq!(net.read(s), ["publish t q0 y"]);
    }
}

#[test]
fn qos_0_is_queued_for_offline_clients_only_if_wanted() {
    let broker = BrokerConfig { queue_qos0_messages: true, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let (p, s) = (net.client(0, "p", V5), persistent(&mut net, "s"));
    subscribe_all(&mut net, s, &[("t", QoS::AtMostOnce)]);
    net.drop_connection(s);
    send(&mut net, p, "t", b"1");
    let s = persistent(&mut net, "s");
    assert_eq!(net.read(s)[1..], ["publish t q0 1"]);
}

#[test]
fn a_shared_subscription_gives_each_message_to_one_member() {
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        let members: Vec<Raw> =
            ["a", "b", "c"].iter().map(|name| net.client(0, name, version)).collect();
        for member in &members {
            subscribe_all(&mut net, *member, &[("$share/g/t/+", QoS::AtMostOnce)]);
        }
        for _ in 0..30 {
            send(&mut net, p, "t/x", b"x");
        }
        for member in members {
            assert_eq!(net.read(member), ["publish t/x q0 x"; 10]);
        }
    }
}

#[test]
fn a_shared_subscription_keeps_to_the_granted_qos() {
    for version in ALL {
        for granted in 0..=2u8 {
            let mut net = Net::new(1);
            let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
            let qos = QoS::from_bits(granted).unwrap();
            let suback = subscribe_all(&mut net, s, &[("$share/g/t", qos)]);
            assert_eq!(suback, [format!("suback [{granted}]")]);
            net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 1, b"x")));
            let delivered = net.read(s);
            assert!(delivered[0].starts_with(&format!("publish t q{granted}")), "{delivered:?}");
        }
    }
}

#[test]
fn groups_and_plain_subscriptions_are_apart() {
    let mut net = Net::new(1);
    let (p, s) = (net.client(0, "p", V5), net.client(0, "s", V5));
    let filters = ["t", "$share/g/t", "$share/h/t"].map(|filter| (filter, QoS::AtMostOnce));
    subscribe_all(&mut net, s, &filters);
    send(&mut net, p, "t", b"x");
    assert_eq!(net.read(s).len(), 3);
    let mut retained = publish("r", QoS::AtMostOnce, 0, b"x");
    retained.retain = true;
    net.send(p, &Packet::Publish(retained));
    assert_eq!(
        subscribe_all(&mut net, s, &[("$share/g/r", QoS::AtMostOnce)]),
        ["suback [0]"],
        "no retained messages for shared subscriptions"
    );
}

#[test]
fn a_member_that_is_not_connected_is_passed_over() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let (away, here) = (persistent(&mut net, "away"), net.client(0, "here", V5));
    for member in [away, here] {
        subscribe_all(&mut net, member, &[("$share/g/t", QoS::AtLeastOnce)]);
    }
    net.drop_connection(away);
    for number in 1..=4 {
        net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, number, b"x")));
    }
    assert_eq!(net.read(here).len(), 4);
}

#[test]
fn when_a_member_ends_qos_1_goes_to_another_and_a_started_qos_2_does_not() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let leaving = net.open(0, V5);
    let mut packet = connect("leaving", V5);
    packet.properties.receive_maximum = Some(2);
    net.send(leaving, &Packet::Connect(packet));
    subscribe_all(&mut net, leaving, &[("$share/g/t", QoS::ExactlyOnce)]);
    for (number, qos) in
        [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce), (3, QoS::ExactlyOnce), (4, QoS::AtLeastOnce)]
    {
        let payload = [b'0' + u8::try_from(number).unwrap()];
        net.send(p, &Packet::Publish(publish("t", qos, number, &payload)));
    }
    assert_eq!(net.read(leaving), ["publish t q1 id1 1", "publish t q2 id2 2"]);
    let staying = net.client(0, "staying", V5);
    subscribe_all(&mut net, staying, &[("$share/g/t", QoS::ExactlyOnce)]);
    net.drop_connection(leaving);
    assert_eq!(
        net.read(staying),
        ["publish t q1 id1 1", "publish t q2 id2 3", "publish t q1 id3 4"],
        "what was never sent goes to another at either QoS"
    );
}

#[test]
fn a_started_qos_2_waits_for_its_member() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let (away, here) = (persistent(&mut net, "away"), net.client(0, "here", V5));
    subscribe_all(&mut net, away, &[("$share/g/t", QoS::ExactlyOnce)]);
    net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 1, b"x")));
    net.read(away);
    net.drop_connection(away);
    subscribe_all(&mut net, here, &[("$share/g/t", QoS::ExactlyOnce)]);
    assert_eq!(net.read(here), Vec::<String>::new());
    let away = persistent(&mut net, "away");
    assert_eq!(net.read(away)[1..], ["publish t q2 id1 dup x"]);
}

#[test]
fn what_a_member_refuses_goes_to_nobody_else() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let (a, b) = (net.client(0, "a", V5), net.client(0, "b", V5));
    for member in [a, b] {
        subscribe_all(&mut net, member, &[("$share/g/t", QoS::ExactlyOnce)]);
    }
    net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"x")));
    net.send(a, &Packet::Puback(Ack::new(id(1), ReasonCode::UnspecifiedError)));
    net.read(a);
    net.drop_connection(a);
    assert_eq!(net.read(b), Vec::<String>::new());
}

#[test]
fn subscriptions_are_bounded() {
    let broker = BrokerConfig { max_subscriptions_per_client: 2, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let s = net.client(0, "s", V5);
    let filters = ["a", "b", "c", "a"].map(|filter| (filter, QoS::AtMostOnce));
    assert_eq!(subscribe_all(&mut net, s, &filters), ["suback [0, 0, 97, 0]"]);
    let deep = "/".repeat(200);
    assert_eq!(subscribe_all(&mut net, s, &[(&deep, QoS::AtMostOnce)]), ["suback [8f]"]);
}

#[test]
fn a_mount_point_is_invisible_to_its_clients() {
    let mut net = Net::new(1);
    let mut config = (*net.config(0)).clone();
    let mut mounted = config.listeners[0].clone();
    mounted.mount_point = Some("house/".into());
    config.listeners.push(mounted);
    net.reconfigure(config);
    let outside = net.client(0, "outside", V5);
    let inside = net.open_on(0, 1, V5);
    net.send(inside, &Packet::Connect(connect("inside", V5)));
    net.read(inside);
    subscribe_all(&mut net, outside, &[("#", QoS::AtMostOnce)]);
    subscribe_all(&mut net, inside, &[("#", QoS::AtMostOnce)]);
    send(&mut net, inside, "t", b"1");
    send(&mut net, outside, "t", b"2");
    send(&mut net, outside, "house/t", b"3");
    assert_eq!(net.read(inside), ["publish t q0 1", "publish t q0 3"]);
    assert_eq!(
        net.read(outside),
        ["publish house/t q0 1", "publish t q0 2", "publish house/t q0 3"]
    );
}

#[test]
fn sys_topics_are_retained_and_hidden_from_a_leading_wildcard() {
    let mut net = Net::new(1);
    let mut config = (*net.config(0)).clone();
    config.broker.sys_interval_secs = 10;
    net.reconfigure(config);
    net.pass(11);
    let s = net.client(0, "s", V5);
    assert_eq!(subscribe_all(&mut net, s, &[("#", QoS::AtMostOnce)]), ["suback [0]"]);
    let found = subscribe_all(&mut net, s, &[("$SYS/broker/clients/#", QoS::AtMostOnce)]);
    assert!(
        found.contains(&"publish $SYS/broker/clients/total q0 retain 0".to_owned()),
        "{found:?}"
    );
    let found = subscribe_all(&mut net, s, &[("$SYS/broker/load/#", QoS::AtMostOnce)]);
    assert!(found.len() > 20, "{found:?}");
}

#[test]
fn a_slow_reader_loses_qos_0_alone_and_nobody_waits() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let (slow, fast) = (net.client(0, "slow", V5), net.client(0, "fast", V5));
    for raw in [slow, fast] {
        subscribe_all(&mut net, raw, &[("t", QoS::AtLeastOnce)]);
    }
    net.water(slow, true);
    assert_eq!(net.paused, [slow.conn.0]);
    send(&mut net, p, "t", b"0");
    net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"1")));
    assert_eq!(net.read(fast), ["publish t q0 0", "publish t q1 id1 1"]);
    assert_eq!(net.read(slow), Vec::<String>::new());
    assert_eq!(net.stats()[0].drops.slow_consumer, 1);
    net.water(slow, false);
    assert_eq!(net.read(slow), ["publish t q1 id1 1"]);
    assert!(net.paused.is_empty());
    net.water(slow, true);
    net.pass(121);
    assert!(net.closed.contains_key(&slow.conn.0), "not for ever");
}

#[test]
fn a_long_replay_goes_on_over_several_turns() {
    let broker = BrokerConfig { turn_budget_bytes: 2000, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let p = net.client(0, "p", V5);
    let topics: Vec<String> = (0..500).map(|number| format!("t/{number:03}")).collect();
    for topic in &topics {
        let mut packet = publish(topic, QoS::AtMostOnce, 0, b"0123456789");
        packet.retain = true;
        net.send(p, &Packet::Publish(packet));
    }
    let s = net.client(0, "s", V5);
    net.turn();
    let mut seen = subscribe_all(&mut net, s, &[("#", QoS::AtMostOnce)]);
    assert!(seen.len() < 200, "one turn is bounded");
    for _ in 0..50 {
        net.turn();
        seen.extend(net.read(s));
    }
    let expected: Vec<String> =
        topics.iter().map(|topic| format!("publish {topic} q0 retain 0123456789")).collect();
    assert_eq!(seen[1..], expected);
}

#[test]
fn nothing_is_left_of_sessions_that_ended() {
    let mut net = Net::new(1);
    let before = net.engines[0].footprint();
    for round in 0..3 {
        let (a, b) = (net.client(0, "a", V5), persistent(&mut net, "b"));
        for raw in [a, b] {
            let filters = ["x/#", "+/y", "$share/g/x/y"].map(|filter| (filter, QoS::ExactlyOnce));
            subscribe_all(&mut net, raw, &filters);
        }
        for number in 1..=10 {
            net.send(a, &Packet::Publish(publish("x/y", QoS::ExactlyOnce, number, b"x")));
        }
        net.drop_connection(a);
        net.drop_connection(b);
        net.pass(1001);
        assert_eq!(net.engines[0].footprint(), before, "round {round}");
        assert_eq!(net.engines[0].next_timeout(), None);
    }
}

#[test]
fn answers_carry_the_identifier_of_their_request() {
    for version in ALL {
        let mut net = Net::new(1);
        let s = net.client(0, "s", version);
        net.subscribe(s, "a", QoS::AtMostOnce);
        net.unsubscribe(s, "b");
        assert_eq!(net.packet_ids(s), [60_000, 60_001]);
    }
}

#[test]
fn overlapping_subscriptions_of_3_1_1_give_one_message() {
    let mut net = Net::new(1);
    let (p, s) = (net.client(0, "p", Version::V4), net.client(0, "s", Version::V4));
    let filters = [("t/#", QoS::AtMostOnce), ("t/+", QoS::ExactlyOnce), ("t/x", QoS::AtLeastOnce)];
    subscribe_all(&mut net, s, &filters);
    net.send(p, &Packet::Publish(publish("t/x", QoS::ExactlyOnce, 1, b"x")));
    assert_eq!(net.read(s), ["publish t/x q2 id1 x"]);
}

#[test]
fn a_subscription_of_3_1_1_is_replaced_and_gets_retained_messages_again() {
    for version in [Version::V3, Version::V4] {
        let mut net = Net::new(1);
        let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
        let mut retained = publish("t", QoS::AtLeastOnce, 1, b"r");
        retained.retain = true;
        net.send(p, &Packet::Publish(retained));
        subscribe_all(&mut net, s, &[("t", QoS::AtLeastOnce)]);
        let again = subscribe_all(&mut net, s, &[("t", QoS::AtMostOnce)]);
        assert_eq!(again, ["suback [0]", "publish t q0 retain r"]);
        net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 2, b"x")));
        assert_eq!(net.read(s), ["publish t q0 x"]);
    }
}

#[test]
fn refusals_of_3_1_1_are_0x80() {
    let broker = BrokerConfig { max_subscriptions_per_client: 1, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let s = net.client(0, "s", Version::V4);
    let filters = [("a", QoS::AtMostOnce), ("b", QoS::AtMostOnce)];
    assert_eq!(subscribe_all(&mut net, s, &filters), ["suback [0, 80]"]);
}

#[test]
fn refusals_of_3_1_are_answered_with_the_qos_that_was_asked_for() {
    let broker = BrokerConfig { max_subscriptions_per_client: 1, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let (p, s) = (net.client(0, "p", Version::V3), net.client(0, "s", Version::V3));
    let filters = [("a", QoS::AtLeastOnce), ("b", QoS::ExactlyOnce), ("c", QoS::AtMostOnce)];
    assert_eq!(subscribe_all(&mut net, s, &filters), ["suback [1, 2, 0]"]);
    assert_eq!(net.stats()[0].subscriptions_refused, 2);
    for topic in ["a", "b", "c"] {
        net.send(p, &Packet::Publish(publish(topic, QoS::AtMostOnce, 0, b"x")));
    }
    assert_eq!(net.read(s), ["publish a q0 x"], "what was refused is not delivered");
}
