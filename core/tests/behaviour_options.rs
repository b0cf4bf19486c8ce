//! Options of the configuration that are about what clients are told and given: each changes what it
//! names. What the parser makes of their lines is shown in `conf_options.rs`.

mod support;

use core::num::NonZeroU16;
use halyard_core::conf::BrokerConfig;
use halyard_core::packet::{Packet, QoS, ReasonCode, Version};
use support::{Net, connect, publish};

const V5: Version = Version::V5;

#[test]
fn max_inflight_bytes_bounds_what_is_on_its_way_to_a_client() {
    let broker = BrokerConfig { max_inflight_bytes: 100, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
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
    let broker = BrokerConfig { allow_zero_length_clientid: false, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    for version in [Version::V4, V5] {
        let raw = net.open(0, version);
        net.send(raw, &Packet::Connect(connect("", version)));
        assert_eq!(net.read(raw), ["connack 0x85"]);
        assert!(net.closed.contains_key(&raw.conn.0));
    }
}

#[test]
fn an_assigned_client_identifier_begins_with_the_prefix() {
    let broker = BrokerConfig { auto_id_prefix: "plant-7-".into(), ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let assigned = |net: &mut Net| {
        let raw = net.open(0, V5);
        net.send(raw, &Packet::Connect(connect("", V5)));
        net.raw_packets(raw).remove(0)
    };
    let text = assigned(&mut net);
    assert!(text.contains("assigned_client_identifier: Some(\"plant-7-"), "{text}");
    net.reconfigure_all(|config| config.listeners[0].auto_id_prefix = Some("door-".into()));
    let text = assigned(&mut net);
    assert!(
        text.contains("assigned_client_identifier: Some(\"door-"),
        "the listener's own: {text}"
    );
}

#[test]
fn retained_messages_end_after_the_retain_expiry_interval() {
    let broker = BrokerConfig { retain_expiry_secs: Some(60), ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
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
        net.reconfigure_all(|config| config.listeners[0].max_topic_alias = max);
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
    for max in 0..=2 {
        let mut net = Net::new(1);
        net.reconfigure_all(|config| config.listeners[0].max_topic_alias_broker = max);
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
