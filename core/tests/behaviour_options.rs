//! Options of the configuration that are about what clients are told and given: each changes what it
//! names. What the parser makes of their lines is shown in `conf_options.rs`.

mod support;

use core::num::NonZeroU16;
use halyard_core::engine::CloseReason;
use halyard_core::packet::{Packet, QoS, ReasonCode, Version};
use support::{Net, Raw, broker_of, connect, listener_of, publish};

const V5: Version = Version::V5;

#[test]
fn max_inflight_bytes_bounds_what_is_on_its_way_to_a_client() {
    let mut net = Net::with(1, broker_of("max_inflight_bytes 100"));
    let (p, s) = (net.client(0, "p", V5), net.client(0, "s", V5));
    net.subscribe(s, "t", QoS::AtLeastOnce);
    net.read(s);
    let payload = [b'x'; 60];
    for number in 1..=4 {
        net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, number, &payload)));
    }
    net.send(p, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"at most once")));
    let first = net.read(s);
    let waited = first.iter().filter(|text| text.contains(" q1 ")).count();
    assert!((1..=2).contains(&waited), "the third is over the limit: {first:?}");
    assert!(first.iter().any(|text| text.ends_with("at most once")), "QoS 0 does not count");
    let mut delivered = waited;
    for number in 1..=4 {
        net.ack(s, Packet::Puback, number);
        delivered += net.read(s).len();
    }
    assert_eq!(delivered, 4);
}

#[test]
fn an_empty_client_identifier_may_be_refused() {
    let mut net = Net::with(1, broker_of("allow_zero_length_clientid false"));
    for version in [Version::V4, V5] {
        let raw = net.open(0, version);
        net.send(raw, &Packet::Connect(connect("", version)));
        assert_eq!(net.read(raw), ["connack 0x85"]);
        assert!(net.closed.contains_key(&raw.conn.0));
    }
}

#[test]
fn an_assigned_client_identifier_begins_with_the_prefix() {
    let mut net = Net::with(1, broker_of("auto_id_prefix plant-7-"));
    let assigned = |net: &mut Net| {
        let raw = net.open(0, V5);
        net.send(raw, &Packet::Connect(connect("", V5)));
        net.raw_packets(raw).remove(0)
    };
    let text = assigned(&mut net);
    assert!(text.contains("assigned_client_identifier: Some(\"plant-7-"), "{text}");
    net.reconfigure_all(|config| {
        config.listeners[0] = listener_of("listener_auto_id_prefix door-");
    });
    let text = assigned(&mut net);
    assert!(
        text.contains("assigned_client_identifier: Some(\"door-"),
        "the listener's own: {text}"
    );
}

#[test]
fn retained_messages_end_after_the_retain_expiry_interval() {
    let mut net = Net::with(1, broker_of("retain_expiry_interval 1"));
    let p = net.client(0, "p", V5);
    for (topic, expiry) in [("kept", None), ("short", Some(10)), ("long", Some(1000))] {
        let mut packet = publish(topic, QoS::AtMostOnce, 0, b"x");
        packet.retain = true;
        packet.properties.message_expiry_interval = expiry;
        net.send(p, &Packet::Publish(packet));
    }
    for (secs, left) in [(9, 3), (2, 2), (48, 2), (2, 0)] {
        net.pass(secs);
        assert_eq!(net.stats()[0].retained, left, "after {secs} s more");
    }
}

#[test]
fn max_topic_alias_is_told_and_kept() {
    for (max, told) in [(0, "topic_alias_maximum: None"), (2, "topic_alias_maximum: Some(2)")] {
        let mut net = Net::new(1);
        let text = format!("max_topic_alias {max}");
        net.reconfigure_all(|config| config.listeners[0] = listener_of(&text));
        let raw = net.open(0, V5);
        net.send(raw, &Packet::Connect(connect("p", V5)));
        let connack = net.raw_packets(raw).remove(0);
        assert!(connack.contains(told), "{connack}");
        let mut packet = publish("t", QoS::AtMostOnce, 0, b"x");
        packet.properties.topic_alias = NonZeroU16::new(max + 1);
        net.send(raw, &Packet::Publish(packet));
        let code = ReasonCode::TopicAliasInvalid.as_u8();
        assert_eq!(net.read(raw), [format!("disconnect {code:#04x}")]);
    }
}

#[test]
fn max_topic_alias_broker_bounds_the_aliases_to_a_client() {
    for max in 0..=2_u16 {
        let mut net = Net::new(1);
        let text = format!("max_topic_alias_broker {max}");
        net.reconfigure_all(|config| config.listeners[0] = listener_of(&text));
        let p = net.client(0, "p", V5);
        let s = net.open(0, V5);
        let mut packet = connect("s", V5);
        packet.properties.topic_alias_maximum = Some(10);
        net.send(s, &Packet::Connect(packet));
        net.subscribe(s, "#", QoS::AtMostOnce);
        net.read(s);
        for topic in ["a", "b", "c", "a", "b", "c"] {
            net.send(p, &Packet::Publish(publish(topic, QoS::AtMostOnce, 0, b"x")));
        }
        let aliased = net.read(s).iter().filter(|text| text.contains(" alias")).count();
        assert_eq!(aliased, usize::from(max) * 2);
    }
}

#[test]
fn upgrade_outgoing_qos_sends_at_the_qos_of_the_subscription() {
    for (text, sent) in
        [("upgrade_outgoing_qos false", "q0"), ("upgrade_outgoing_qos true", "q1 id1")]
    {
        let mut net = Net::with(1, broker_of(text));
        let (p, s) = (net.client(0, "p", V5), net.client(0, "s", V5));
        net.subscribe(s, "t", QoS::AtLeastOnce);
        net.read(s);
        net.send(p, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"x")));
        assert_eq!(net.read(s), [format!("publish t {sent} x")], "{text}");
    }
}

/// A client with a Session of an hour; gives what CONNACK said.
fn enter(net: &mut Net, client_id: &str, session: u32) -> (Raw, String) {
    let raw = net.open(0, V5);
    let mut packet = connect(client_id, V5);
    packet.clean_start = false;
    packet.properties.session_expiry_interval = Some(session);
    net.send(raw, &Packet::Connect(packet));
    let said = net.read(raw).join(" ");
    (raw, said)
}

#[test]
fn global_max_clients_counts_sessions_with_and_without_a_connection() {
    let mut net = Net::with(1, broker_of("global_max_clients 2"));
    let (gone, said) = enter(&mut net, "gone", 3600);
    assert_eq!(said, "connack 0x00");
    net.drop_connection(gone);
    let (here, said) = enter(&mut net, "here", 0);
    assert_eq!(said, "connack 0x00");
    assert_eq!(enter(&mut net, "third", 0).1, "connack 0x97");
    assert_eq!(enter(&mut net, "gone", 3600).1, "connack 0x00 present", "it has its place");
    net.drop_connection(here);
    assert_eq!(enter(&mut net, "third", 0).1, "connack 0x00");
}

#[test]
fn persistent_client_expiration_ends_a_session_that_wanted_to_stay() {
    let mut net = Net::with(1, broker_of("persistent_client_expiration 2h"));
    let (wants_ever, _) = enter(&mut net, "for-ever", u32::MAX);
    let (wants_less, _) = enter(&mut net, "an-hour", 3600);
    net.drop_connection(wants_ever);
    net.drop_connection(wants_less);
    for (secs, left) in [(3599, 2), (2, 1), (3597, 1), (3, 0)] {
        net.pass(secs);
        assert_eq!(net.stats()[0].clients_total, left, "{secs} s later");
    }
}

#[test]
fn max_client_id_length_is_kept() {
    let mut net = Net::with(1, broker_of("max_client_id_length 8"));
    net.client(0, "12345678", V5);
    assert_eq!(enter(&mut net, "123456789", 0).1, "connack 0x85");
}

#[test]
fn max_properties_bounds_the_properties_of_one_packet() {
    // PUBLISH at QoS 0 to "t" with so many User Properties of 7 bytes.
    let packet = |count: u8| {
        let properties = [0x26, 0, 1, b'n', 0, 1, b'v'].repeat(count.into());
        let mut body = vec![0, 1, b't', 0x80 | (properties.len() & 0x7F) as u8];
        body.push((properties.len() >> 7) as u8);
        body.extend(&properties);
        let mut packet = vec![0x30, 0x80 | (body.len() & 0x7F) as u8, (body.len() >> 7) as u8];
        packet.extend(&body);
        packet
    };
    let mut net = Net::with(1, broker_of("max_properties 32"));
    let raw = net.client(0, "p", V5);
    net.send_bytes(raw, &packet(32));
    assert_eq!(net.closed.get(&raw.conn.0), None);
    net.send_bytes(raw, &packet(33));
    assert!(net.closed.contains_key(&raw.conn.0), "{:?}", net.read(raw));
}

#[test]
fn max_user_properties_bounds_the_user_properties_of_one_packet() {
    let mut net = Net::with(1, broker_of("max_user_properties 2"));
    for (count, is_taken) in [(2, true), (3, false)] {
        let raw = net.client(0, "p", V5);
        let pairs = [0x26, 0, 1, b'n', 0, 1, b'v'].repeat(count);
        let mut packet = vec![0x30, 4 + pairs.len() as u8, 0, 1, b't', pairs.len() as u8];
        packet.extend(&pairs);
        net.send_bytes(raw, &packet);
        assert_eq!(net.closed.contains_key(&raw.conn.0), !is_taken, "{count} of 2");
    }
}

#[test]
fn turn_budget_bounds_what_one_turn_sends_of_what_is_stored() {
    let payload = [b'x'; 1000];
    let first_turn = |text: &str| {
        let mut net = Net::with(1, broker_of(text));
        let p = net.client(0, "p", V5);
        for number in 0..50 {
            let topic = format!("t/{number:02}");
            let mut packet = publish(&topic, QoS::AtMostOnce, 0, &payload);
            packet.retain = true;
            net.send(p, &Packet::Publish(packet));
        }
        let s = net.client(0, "s", V5);
        net.turn();
        net.subscribe(s, "t/#", QoS::AtMostOnce);
        let first = net.read(s).len();
        net.pass(1);
        (first, net.read(s).len())
    };
    let (first, later) = first_turn("turn_budget 4096");
    assert!((2..=7).contains(&first) && first + later == 51, "{first} and {later}");
    assert_eq!(first_turn("turn_budget 65536"), (51, 0));
}

#[test]
fn receive_maximum_action_says_what_becomes_of_a_client_over_it() {
    for action in ["disconnect", "warn"] {
        let text = format!("max_inflight_messages 2\nreceive_maximum_action {action}");
        let mut net = Net::with(1, broker_of(&text));
        let raw = net.client(0, "p", V5);
        for number in 1..=3 {
            net.send(raw, &Packet::Publish(publish("t", QoS::ExactlyOnce, number, b"x")));
        }
        let said = net.read(raw).join(", ");
        let is_closed = net.closed.contains_key(&raw.conn.0);
        assert_eq!(is_closed, action == "disconnect", "{action}: {said}");
        assert_eq!(said.contains("disconnect 0x93"), is_closed, "{action}: {said}");
        assert_eq!(said.contains("pubrec 3"), !is_closed, "{action}: {said}");
        assert_eq!(net.stats()[0].receive_maximum_exceeded, 1, "{action}");
    }
}

#[test]
fn journal_backlog_holds_publishers_until_the_disk_has_caught_up() {
    let mut net = Net::with(1, broker_of("persistence true\njournal_backlog 65536"));
    let (keeper, _) = enter(&mut net, "keeper", 3600);
    net.subscribe(keeper, "t", QoS::AtLeastOnce);
    let publisher = net.client(0, "publisher", V5);
    net.disk_stalled = true;
    let payload = [b'x'; 10_000];
    for number in 1..=10 {
        assert_eq!(net.paused, [] as [u64; 0], "after {number} messages");
        net.send(publisher, &Packet::Publish(publish("t", QoS::AtLeastOnce, number, &payload)));
        if !net.paused.is_empty() {
            break;
        }
    }
    assert_eq!(net.paused, [publisher.conn.0]);
    assert_eq!(net.read(publisher), [] as [&str; 0], "nothing is acknowledged yet");
    net.answer_for_disk();
    assert_eq!(net.paused, [] as [u64; 0]);
    assert!(net.read(publisher).len() >= 6);
}

#[test]
fn accept_protocol_versions_refuses_the_others() {
    let mut net = Net::new(1);
    net.reconfigure_all(|config| config.listeners[0] = listener_of("accept_protocol_versions 3 5"));
    for (version, is_spoken) in [(Version::V3, true), (Version::V4, false), (V5, true)] {
        let raw = net.open(0, version);
        net.send(raw, &Packet::Connect(connect("c", version)));
        let reason = net.closed.get(&raw.conn.0);
        assert_eq!(reason.is_none(), is_spoken, "{version:?}: {reason:?}");
        assert!(is_spoken || !matches!(reason, Some(CloseReason::PacketTimeout)));
    }
}
