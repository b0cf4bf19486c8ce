//! PUBLISH, its acknowledgements and its properties, statement by statement (MQTT 5.0 §3.3 to
//! §3.7, §4.3 to §4.6, §4.9; MQTT 3.1.1 likewise).

mod support;

use core::num::NonZeroU16;
use halyard_core::conf::BrokerConfig;
use halyard_core::packet::{
    Ack, Packet, QoS, ReasonCode, RetainHandling, Subscribe, SubscribeFilter, SubscriptionOptions,
    UserProperties, UserPropertiesBuf, Version,
};
use support::{Net, Raw, connect, id, publish};

const ALL: [Version; 3] = [Version::V3, Version::V4, Version::V5];
const V5: Version = Version::V5;

/// Subscribes with all options; gives what follows the SUBACK.
fn subscribe(
    net: &mut Net,
    raw: Raw,
    filter: &str,
    identifier: u32,
    set: impl Fn(&mut SubscriptionOptions),
) -> Vec<String> {
    let mut options = SubscriptionOptions::new(QoS::ExactlyOnce);
    set(&mut options);
    net.send(
        raw,
        &Packet::Subscribe(Subscribe {
            packet_id: id(1),
            subscription_identifier: (identifier > 0).then_some(identifier),
            user_properties: UserProperties::EMPTY,
            filters: vec![SubscribeFilter { filter, options }],
        }),
    );
    net.read(raw).into_iter().skip(1).collect()
}

fn retain(net: &mut Net, raw: Raw, topic: &str, payload: &[u8]) {
    let mut packet = publish(topic, QoS::AtMostOnce, 0, payload);
    packet.retain = true;
    net.send(raw, &Packet::Publish(packet));
}

/// A client with a Session of 1,000 s.
fn persistent(net: &mut Net, name: &str, version: Version, receive_maximum: Option<u16>) -> Raw {
    let raw = net.open(0, version);
    let mut packet = connect(name, version);
    packet.clean_start = false;
    if version.is_v5() {
        packet.properties.session_expiry_interval = Some(1000);
        packet.properties.receive_maximum = receive_maximum;
    }
    net.send(raw, &Packet::Connect(packet));
    raw
}

#[test]
fn each_qos_has_its_answer() {
    for version in ALL {
        let mut net = Net::new(1);
        let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
        net.subscribe(s, "#", QoS::ExactlyOnce);
        net.read(s);
        net.send(p, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"0")));
        net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 5, b"1")));
        net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 6, b"2")));
        net.ack(p, Packet::Pubrel, 6);
        assert_eq!(net.read(p), ["puback 5 0x00", "pubrec 6 0x00", "pubcomp 6 0x00"]);
        assert_eq!(
            net.read(s),
            ["publish t q0 0", "publish t q1 id1 1", "publish t q2 id2 2"],
            "DUP is 0 and the identifiers are the server's"
        );
    }
}

#[test]
fn dup_is_not_passed_on() {
    for version in ALL {
        let mut net = Net::new(1);
        let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
        net.subscribe(s, "#", QoS::AtLeastOnce);
        net.read(s);
        let mut packet = publish("t", QoS::AtLeastOnce, 5, b"x");
        packet.dup = true;
        net.send(p, &Packet::Publish(packet));
        assert_eq!(net.read(s), ["publish t q1 id1 x"]);
    }
}

#[test]
fn a_qos_1_identifier_is_free_again_after_its_puback() {
    for version in ALL {
        let mut net = Net::new(1);
        let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
        net.subscribe(s, "#", QoS::AtMostOnce);
        net.read(s);
        for _ in 0..3 {
            let mut packet = publish("t", QoS::AtLeastOnce, 5, b"x");
            packet.dup = true;
            net.send(p, &Packet::Publish(packet));
            let answer = net.read(p);
            assert!(answer.len() == 1 && answer[0].starts_with("puback 5"), "{answer:?}");
        }
        assert_eq!(net.read(s).len(), 3, "each is a new message");
    }
}

#[test]
fn a_repeated_qos_2_publish_is_acknowledged_and_delivered_once() {
    for version in ALL {
        let mut net = Net::new(1);
        let s = net.client(0, "s", version);
        net.subscribe(s, "#", QoS::AtMostOnce);
        net.read(s);
        let p = persistent(&mut net, "p", version, None);
        net.read(p);
        let mut packet = publish("t", QoS::ExactlyOnce, 5, b"x");
        for _ in 0..5 {
            net.send(p, &Packet::Publish(packet.clone()));
            packet.dup = true;
        }
        assert_eq!(net.read(p), ["pubrec 5 0x00"; 5]);
        net.drop_connection(p);
        let p = persistent(&mut net, "p", version, None);
        net.read(p);
        net.send(p, &Packet::Publish(packet.clone()));
        assert_eq!(net.read(p), ["pubrec 5 0x00"], "across a reconnect too");
        net.ack(p, Packet::Pubrel, 5);
        assert_eq!(net.read(p), ["pubcomp 5 0x00"]);
        assert_eq!(net.read(s), ["publish t q0 x"]);
        net.send(p, &Packet::Publish(packet));
        assert_eq!(net.read(s), ["publish t q0 x"], "after PUBCOMP it is a new message");
    }
}

#[test]
fn a_pubrel_for_an_unknown_identifier_is_answered() {
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        net.ack(p, Packet::Pubrel, 9);
        let expected = if version.is_v5() { "pubcomp 9 0x92" } else { "pubcomp 9 0x00" };
        assert_eq!(net.read(p), [expected]);
    }
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_order_on_resumption_only() {
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        let s = persistent(&mut net, "s", version, None);
        net.subscribe(s, "#", QoS::ExactlyOnce);
        net.read(s);
        for (number, qos) in
            [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::AtLeastOnce]
                .into_iter()
                .enumerate()
        {
            let payload = [b"a", b"b", b"c", b"d"][number];
            let packet_id = u16::try_from(number).unwrap() + 1;
            net.send(p, &Packet::Publish(publish("t", qos, packet_id, payload)));
        }
        net.read(s);
        net.ack(s, Packet::Pubrec, 2);
        assert_eq!(net.read(s), ["pubrel 2 0x00"]);
        net.pass(100);
        assert_eq!(net.read(s), Vec::<String>::new(), "never while the connection lasts");
        net.drop_connection(s);
        let s = persistent(&mut net, "s", version, None);
        assert_eq!(
            net.read(s)[1..],
            [
                "publish t q1 id1 dup a",
                "pubrel 2 0x00",
                "publish t q2 id3 dup c",
                "publish t q1 id4 dup d"
            ]
        );
        net.ack(s, Packet::Pubrec, 2);
        assert_eq!(net.read(s), ["pubrel 2 0x00"], "PUBREL again, not PUBLISH");
        net.ack(s, Packet::Pubcomp, 2);
        net.ack(s, Packet::Puback, 1);
        net.ack(s, Packet::Puback, 4);
        net.ack(s, Packet::Pubrec, 3);
        net.ack(s, Packet::Pubcomp, 3);
        net.drop_connection(s);
        let s = persistent(&mut net, "s", version, None);
        assert_eq!(net.read(s).len(), 1, "nothing is left");
    }
}

#[test]
fn a_refused_publish_is_not_sent_again() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let s = persistent(&mut net, "s", V5, None);
    net.subscribe(s, "#", QoS::ExactlyOnce);
    net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"x")));
    net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 2, b"x")));
    let refusal = ReasonCode::QuotaExceeded;
    net.send(s, &Packet::Puback(Ack::new(id(1), refusal)));
    net.send(s, &Packet::Pubrec(Ack::new(id(2), refusal)));
    net.drop_connection(s);
    net.read(s);
    let s = persistent(&mut net, "s", V5, None);
    assert_eq!(net.read(s), ["connack 0x00 present"]);
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_is_a_protocol_error() {
    for (qos, wrong) in [
        (QoS::AtLeastOnce, Packet::Pubrec as fn(Ack<'static>) -> Packet<'static>),
        (QoS::ExactlyOnce, Packet::Puback),
        (QoS::ExactlyOnce, Packet::Pubcomp),
    ] {
        let mut net = Net::new(1);
        let (p, s) = (net.client(0, "p", V5), net.client(0, "s", V5));
        net.subscribe(s, "#", QoS::ExactlyOnce);
        net.send(p, &Packet::Publish(publish("t", qos, 1, b"x")));
        net.read(s);
        net.ack(s, wrong, 1);
        assert_eq!(net.read(s), ["disconnect 0x82"]);
    }
}

#[test]
fn acknowledgements_for_unknown_identifiers_change_nothing() {
    let mut net = Net::new(1);
    let s = net.client(0, "s", V5);
    net.ack(s, Packet::Puback, 3);
    net.ack(s, Packet::Pubcomp, 3);
    assert_eq!(net.read(s), Vec::<String>::new());
    net.ack(s, Packet::Pubrec, 3);
    assert_eq!(net.read(s), ["pubrel 3 0x92"]);
    assert_eq!(net.stats()[0].unknown_acks, 3);
}

#[test]
fn the_receive_maximum_of_the_client_is_respected() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let s = persistent(&mut net, "s", V5, Some(2));
    net.subscribe(s, "#", QoS::ExactlyOnce);
    net.read(s);
    for number in 1..=5 {
        let qos = if number % 2 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        net.send(p, &Packet::Publish(publish("t", qos, number, b"x")));
    }
    assert_eq!(net.read(s), ["publish t q1 id1 x", "publish t q2 id2 x"]);
    net.send(p, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"0")));
    net.send(s, &Packet::Pingreq);
    assert_eq!(net.read(s), ["publish t q0 0", "pingresp"], "only QoS 1 and 2 wait");
    net.ack(s, Packet::Pubrec, 2);
    assert_eq!(net.read(s), ["pubrel 2 0x00"], "PUBREC frees nothing");
    net.ack(s, Packet::Pubcomp, 2);
    assert_eq!(net.read(s), ["publish t q1 id3 x"]);
    net.send(s, &Packet::Puback(Ack::new(id(1), ReasonCode::UnspecifiedError)));
    assert_eq!(net.read(s), ["publish t q2 id4 x"]);
    net.drop_connection(s);
    let s = persistent(&mut net, "s", V5, Some(1));
    assert_eq!(net.read(s)[1..], ["publish t q1 id3 dup x"], "on resumption as well");
}

#[test]
fn exceeding_our_receive_maximum_ends_the_connection() {
    let broker = BrokerConfig { max_inflight_messages: 2, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let p = net.client(0, "p", V5);
    for number in [1, 2, 2] {
        net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, number, b"x")));
    }
    assert_eq!(net.read(p).len(), 3, "a repetition does not count twice");
    net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 3, b"x")));
    assert_eq!(net.read(p), ["disconnect 0x93"]);
}

#[test]
fn the_receive_maximum_starts_anew_with_each_connection() {
    let broker = BrokerConfig { max_inflight_messages: 1, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let p = persistent(&mut net, "p", V5, None);
    net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 1, b"x")));
    net.drop_connection(p);
    let p = persistent(&mut net, "p", V5, None);
    net.read(p);
    net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 2, b"x")));
    assert_eq!(net.read(p), ["pubrec 2 0x10"]);
}

#[test]
fn retained_messages_are_set_replaced_and_cleared() {
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        retain(&mut net, p, "t", b"1");
        retain(&mut net, p, "t", b"2");
        net.send(p, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"3")));
        net.send(p, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"")));
        let s = net.client(0, "s", version);
        net.subscribe(s, "t", QoS::ExactlyOnce);
        assert_eq!(net.read(s)[1..], ["publish t q0 retain 2"]);
        retain(&mut net, p, "t", b"");
        assert_eq!(net.read(s), ["publish t q0 "], "the empty message is delivered as any other");
        assert_eq!((net.stats()[0].retained, net.stats()[0].retained_bytes), (0, 0));
        let late = net.client(0, "late", version);
        net.subscribe(late, "t", QoS::ExactlyOnce);
        assert_eq!(net.read(late).len(), 1);
    }
}

#[test]
fn a_retained_message_outlives_the_session_that_published_it() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", Version::V4);
    retain(&mut net, p, "t", b"1");
    net.drop_connection(p);
    assert_eq!(net.stats()[0].retained, 1);
}

#[test]
fn retain_handling_decides_what_a_subscription_gets() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    retain(&mut net, p, "t", b"1");
    let s = persistent(&mut net, "s", V5, None);
    net.read(s);
    let kept = ["publish t q0 retain sub[7] 1"];
    let none: [&str; 0] = [];
    let handling = |handling| move |o: &mut SubscriptionOptions| o.retain_handling = handling;
    let never = handling(RetainHandling::DoNotSend);
    let if_new = handling(RetainHandling::SendIfNew);
    let always = handling(RetainHandling::SendAtSubscribe);
    assert_eq!(subscribe(&mut net, s, "t", 7, never), none);
    assert_eq!(subscribe(&mut net, s, "t", 7, if_new), none);
    assert_eq!(subscribe(&mut net, s, "t", 7, always), kept);
    net.drop_connection(s);
    let s = persistent(&mut net, "s", V5, None);
    net.read(s);
    assert_eq!(subscribe(&mut net, s, "t", 7, if_new), none, "it exists since the last connection");
    assert_eq!(subscribe(&mut net, s, "t", 7, always), kept);
    net.unsubscribe(s, "t");
    net.read(s);
    assert_eq!(subscribe(&mut net, s, "t", 7, if_new), kept);
}

#[test]
fn retain_as_published_keeps_the_flag() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let (plain, kept) = (net.client(0, "a", V5), net.client(0, "b", V5));
    subscribe(&mut net, plain, "t", 0, |_| {});
    subscribe(&mut net, kept, "t", 0, |o| o.retain_as_published = true);
    retain(&mut net, p, "t", b"1");
    net.send(p, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"2")));
    assert_eq!(net.read(plain), ["publish t q0 1", "publish t q0 2"]);
    assert_eq!(net.read(kept), ["publish t q0 retain 1", "publish t q0 2"]);
}

#[test]
fn properties_reach_the_subscriber_unaltered() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let online = net.client(0, "online", V5);
    net.subscribe(online, "t", QoS::AtLeastOnce);
    let offline = persistent(&mut net, "offline", V5, None);
    net.subscribe(offline, "t", QoS::AtLeastOnce);
    net.drop_connection(offline);
    net.read(online);
    let mut users = UserPropertiesBuf::new();
    for (name, value) in [("b", "1"), ("a", "2"), ("b", "3")] {
        assert!(users.push(name, value));
    }
    let mut packet = publish("t", QoS::AtLeastOnce, 1, b"x");
    packet.retain = true;
    packet.properties.payload_format_utf8 = Some(true);
    packet.properties.message_expiry_interval = Some(100);
    packet.properties.response_topic = Some("reply/to");
    packet.properties.correlation_data = Some(b"\x00\x01");
    packet.properties.content_type = Some("text/plain");
    packet.properties.user_properties = users.as_ref();
    net.send(p, &Packet::Publish(packet));
    let expected = |expiry: u32| {
        format!(
            "format=true expiry={expiry} response=reply/to correlation=[0, 1] content=text/plain \
                 user=b:1,a:2,b:3"
        )
    };
    assert_eq!(net.properties(online), expected(100));
    net.pass(30);
    let offline = persistent(&mut net, "offline", V5, None);
    assert_eq!(net.properties(offline), expected(70), "what is left of the expiry");
    let late = net.client(0, "late", V5);
    net.subscribe(late, "t", QoS::AtMostOnce);
    assert_eq!(net.properties(late), expected(70));
}

#[test]
fn an_expired_message_is_not_delivered_but_a_started_exchange_is_completed() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let s = persistent(&mut net, "s", V5, Some(1));
    net.subscribe(s, "t", QoS::ExactlyOnce);
    net.read(s);
    let mut packet = publish("t", QoS::ExactlyOnce, 1, b"x");
    packet.properties.message_expiry_interval = Some(10);
    net.send(p, &Packet::Publish(packet.clone()));
    packet.packet_id = Some(id(2));
    net.send(p, &Packet::Publish(packet.clone()));
    assert_eq!(net.read(s), ["publish t q2 id1 x"]);
    net.pass(11);
    net.drop_connection(s);
    let s = persistent(&mut net, "s", V5, Some(1));
    assert_eq!(net.read(s)[1..], ["publish t q2 id1 dup x"], "sending had started");
    net.ack(s, Packet::Pubrec, 1);
    net.ack(s, Packet::Pubcomp, 1);
    assert_eq!(net.read(s), ["pubrel 1 0x00"], "the second one had not");
    assert_eq!(net.stats()[0].drops.expired, 1);
    net.ack(p, Packet::Pubrel, 1);
    assert_eq!(net.read(p).last().map(String::as_str), Some("pubcomp 1 0x00"));
}

#[test]
fn a_retained_message_expires() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let mut packet = publish("t", QoS::AtMostOnce, 0, b"x");
    packet.retain = true;
    packet.properties.message_expiry_interval = Some(10);
    net.send(p, &Packet::Publish(packet));
    assert_eq!(net.stats()[0].retained, 1);
    net.pass(11);
    assert_eq!(net.stats()[0].retained, 0);
}

#[test]
fn topic_aliases_of_the_client_hold_for_its_connection() {
    let mut net = Net::new(1);
    let s = net.client(0, "s", V5);
    net.subscribe(s, "#", QoS::AtMostOnce);
    net.read(s);
    let p = persistent(&mut net, "p", V5, None);
    for alias in 1..=10 {
        let mut packet = publish("long/topic", QoS::AtMostOnce, 0, b"1");
        packet.properties.topic_alias = NonZeroU16::new(alias);
        net.send(p, &Packet::Publish(packet.clone()));
        packet.topic = "";
        net.send(p, &Packet::Publish(packet));
    }
    assert_eq!(net.read(s), ["publish long/topic q0 1"; 20], "without an alias of another");
    net.drop_connection(p);
    net.read(p);
    let p = persistent(&mut net, "p", V5, None);
    net.read(p);
    let mut packet = publish("", QoS::AtMostOnce, 0, b"1");
    packet.properties.topic_alias = NonZeroU16::new(1);
    net.send(p, &Packet::Publish(packet.clone()));
    assert_eq!(net.read(p), ["disconnect 0x82"], "it did not survive");
    let p = net.client(0, "q", V5);
    packet.topic = "t";
    packet.properties.topic_alias = NonZeroU16::new(11);
    net.send(p, &Packet::Publish(packet));
    assert_eq!(net.read(p), ["disconnect 0x94"]);
}

#[test]
fn topic_aliases_of_the_server_stay_within_what_the_client_allows() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let s = net.open(0, V5);
    let mut packet = connect("s", V5);
    packet.properties.topic_alias_maximum = Some(1);
    net.send(s, &Packet::Connect(packet));
    net.subscribe(s, "#", QoS::AtMostOnce);
    let without = net.client(0, "without", V5);
    net.subscribe(without, "#", QoS::AtMostOnce);
    net.read(s);
    net.read(without);
    for topic in ["a", "b", "a", "b"] {
        net.send(p, &Packet::Publish(publish(topic, QoS::AtMostOnce, 0, b"x")));
    }
    assert_eq!(
        net.read(s),
        ["publish a q0 alias1 x", "publish b q0 x", "publish  q0 alias1 x", "publish b q0 x"]
    );
    assert_eq!(net.read(without).join(" ").matches("alias").count(), 0);
}

#[test]
fn what_is_larger_than_the_client_takes_is_not_sent() {
    let mut net = Net::new(1);
    let p = net.client(0, "p", V5);
    let s = net.open(0, V5);
    let mut packet = connect("s", V5);
    packet.properties.maximum_packet_size = Some(60);
    net.send(s, &Packet::Connect(packet));
    net.subscribe(s, "#", QoS::AtLeastOnce);
    net.read(s);
    let large = [b'x'; 100];
    net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, &large)));
    net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 2, b"small")));
    assert_eq!(net.read(s), ["publish t q1 id1 small"], "as if it had been delivered");
    assert_eq!(net.stats()[0].drops.too_large, 1);
    retain(&mut net, p, "r", &large);
    net.subscribe(s, "r", QoS::AtMostOnce);
    assert_eq!(net.read(s), ["suback [0]"]);
}

#[test]
fn order_is_kept_for_each_topic_and_qos() {
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        let s = persistent(&mut net, "s", version, Some(1));
        net.subscribe(s, "#", QoS::ExactlyOnce);
        net.read(s);
        let payloads: Vec<String> = (0..60).map(|number| number.to_string()).collect();
        for (number, payload) in (1u16..).zip(&payloads) {
            let packet = publish("t", QoS::AtLeastOnce, number, payload.as_bytes());
            net.send(p, &Packet::Publish(packet));
        }
        let mut seen = Vec::new();
        loop {
            let packets = net.read(s);
            if packets.is_empty() {
                break;
            }
            for text in packets {
                let mut words = text.split(' ');
                let packet_id = words.nth(3).unwrap()[2..].parse().unwrap();
                seen.push(words.next_back().unwrap().to_owned());
                net.ack(s, Packet::Puback, packet_id);
            }
        }
        assert_eq!(seen, payloads);
    }
}

#[test]
fn acknowledgements_leave_in_the_order_of_what_they_answer() {
    let order = [7, 3, 9, 1, 300, 2];
    let expected = |name: &str| order.map(|number| format!("{name} {number} 0x00"));
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        for number in order {
            net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, number, b"x")));
        }
        let pubacks = net.read(p);
        for number in order {
            net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, number, b"x")));
        }
        let pubrecs = net.read(p);
        if version.is_v5() {
            // Nobody subscribes, and 5.0 says so.
            let told = |name: &str| order.map(|number| format!("{name} {number} 0x10"));
            assert_eq!((pubacks, pubrecs), (told("puback").to_vec(), told("pubrec").to_vec()));
        } else {
            assert_eq!(
                (pubacks, pubrecs),
                (expected("puback").to_vec(), expected("pubrec").to_vec())
            );
        }
        for number in order {
            net.ack(p, Packet::Pubrel, number);
        }
        assert_eq!(net.read(p), expected("pubcomp"));
    }
}

#[test]
fn pubrels_leave_in_the_order_of_the_pubrecs() {
    for version in ALL {
        let mut net = Net::new(1);
        let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
        net.subscribe(s, "#", QoS::ExactlyOnce);
        for number in 1..=4 {
            net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, number, b"x")));
        }
        assert_eq!(net.read(s).len(), 5);
        for number in [3, 1, 4, 2] {
            net.ack(s, Packet::Pubrec, number);
        }
        assert_eq!(net.read(s), [3, 1, 4, 2].map(|number| format!("pubrel {number} 0x00")));
    }
}

#[test]
fn every_topic_is_ordered_at_every_qos() {
    for (version, qos) in ALL.into_iter().flat_map(|version| {
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| (version, qos))
    }) {
        let mut net = Net::new(1);
        let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
        net.subscribe(s, "#", QoS::ExactlyOnce);
        net.read(s);
        let topics = ["a", "b", "c/d"];
        for number in 1..=90u16 {
            let packet_id = if qos == QoS::AtMostOnce { 0 } else { number };
            let topic = topics[usize::from(number) % 3];
            let payload = number.to_string();
            net.send(p, &Packet::Publish(publish(topic, qos, packet_id, payload.as_bytes())));
            if qos == QoS::ExactlyOnce {
                net.ack(p, Packet::Pubrel, number);
            }
        }
        let mut seen: [Vec<u16>; 3] = Default::default();
        loop {
            let packets = net.read(s);
            if packets.is_empty() {
                break;
            }
            for text in packets {
                let words: Vec<&str> = text.split(' ').collect();
                if words[0] == "pubrel" {
                    net.ack(s, Packet::Pubcomp, words[1].parse().unwrap());
                    continue;
                }
                let topic = topics.iter().position(|topic| *topic == words[1]).unwrap();
                seen[topic].push(words.last().unwrap().parse().unwrap());
                match qos {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce => net.ack(s, Packet::Puback, words[3][2..].parse().unwrap()),
                    QoS::ExactlyOnce => net.ack(s, Packet::Pubrec, words[3][2..].parse().unwrap()),
                }
            }
        }
        for (remainder, numbers) in (0..3).zip(seen) {
            let sent: Vec<u16> = (1..=90).filter(|number| number % 3 == remainder).collect();
            assert_eq!(numbers, sent, "{version:?} {qos:?}");
        }
    }
}

#[test]
fn a_retained_message_keeps_its_qos() {
    for version in ALL {
        let mut net = Net::new(1);
        let p = net.client(0, "p", version);
        let mut packet = publish("t", QoS::AtLeastOnce, 1, b"x");
        packet.retain = true;
        net.send(p, &Packet::Publish(packet));
        for (granted, expected) in [
            (QoS::ExactlyOnce, "publish t q1 id1 retain x"),
            (QoS::AtMostOnce, "publish t q0 retain x"),
        ] {
            let s = net.client(0, "s", version);
            net.subscribe(s, "t", granted);
            assert_eq!(net.read(s)[1..], [expected]);
        }
    }
}

#[test]
fn no_packet_identifier_is_used_twice_at_a_time() {
    for version in ALL {
        let broker = BrokerConfig { max_inflight_messages: 0, ..BrokerConfig::default() };
        let mut net = Net::with(1, broker);
        let (p, s) = (net.client(0, "p", version), net.client(0, "s", version));
        net.subscribe(s, "#", QoS::AtLeastOnce);
        net.read(s);
        // One message stays unacknowledged while the identifiers come round.
        net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"first")));
        net.read(s);
        for round in 0..66_000u32 {
            net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"x")));
            let text = net.read(s).pop().unwrap();
            let packet_id: u16 = text.split(' ').nth(3).unwrap()[2..].parse().unwrap();
            assert_ne!(packet_id, 1, "round {round}");
            net.ack(s, Packet::Puback, packet_id);
            net.read(p);
        }
    }
}

#[test]
fn reserved_and_oversized_messages_are_refused() {
    let broker = BrokerConfig {
        message_size_limit: 10,
        max_retained_messages: 1,
        ..BrokerConfig::default()
    };
    let mut net = Net::with(1, broker);
    let p = net.client(0, "p", V5);
    net.send(p, &Packet::Publish(publish("$SYS/x", QoS::AtLeastOnce, 1, b"x")));
    net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 2, &[0; 11])));
    net.send(p, &Packet::Publish(publish("$CONTROL/x", QoS::ExactlyOnce, 3, b"x")));
    retain(&mut net, p, "a", b"x");
    let mut packet = publish("b", QoS::AtLeastOnce, 4, b"x");
    packet.retain = true;
    net.send(p, &Packet::Publish(packet));
    assert_eq!(net.read(p), ["puback 1 0x87", "puback 2 0x83", "pubrec 3 0x87", "puback 4 0x97"]);
    // A PUBREC that refuses ends the exchange: the identifier is free.
    net.send(p, &Packet::Publish(publish("t", QoS::ExactlyOnce, 3, b"x")));
    assert_eq!(net.read(p), ["pubrec 3 0x10"]);
    let old = net.client(0, "q", Version::V4);
    net.send(old, &Packet::Publish(publish("$SYS/x", QoS::AtLeastOnce, 1, b"x")));
    assert_eq!(net.read(old), ["puback 1 0x00"], "3.1.1 has no way to say so");
}

#[test]
fn a_bad_topic_ends_the_connection() {
    for version in ALL {
        for topic in ["a/+", "#", "$share/g/t"] {
            let mut net = Net::new(1);
            let p = net.client(0, "p", version);
            let mut bytes = vec![0x30, 0];
            bytes.extend([0, u8::try_from(topic.len()).unwrap()]);
            bytes.extend(topic.bytes());
            if version.is_v5() {
                bytes.push(0);
            }
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
            net.send_bytes(p, &bytes);
            assert!(net.closed.contains_key(&p.conn.0));
            let expected: &[&str] = if version.is_v5() { &["disconnect 0x90"] } else { &[] };
            assert_eq!(net.read(p), expected, "{topic}");
        }
    }
}

#[test]
fn queues_are_bounded_and_say_so() {
    let broker = BrokerConfig { max_queued_messages: 3, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let p = net.client(0, "p", V5);
    let s = persistent(&mut net, "s", V5, None);
    net.subscribe(s, "#", QoS::AtLeastOnce);
    net.drop_connection(s);
    net.read(s);
    for number in 1..=5 {
        let payload = [b'0' + u8::try_from(number).unwrap()];
        net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, number, &payload)));
    }
    net.send(p, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"zero")));
    assert_eq!(net.read(p), (1..=5).map(|n| format!("puback {n} 0x00")).collect::<Vec<_>>());
    let drops = net.stats()[0].drops;
    assert_eq!((drops.queue_full, drops.offline), (2, 1));
    let s = persistent(&mut net, "s", V5, None);
    assert_eq!(
        net.read(s)[1..],
        ["publish t q1 id1 1", "publish t q1 id2 2", "publish t q1 id3 3"],
        "what was queued stays, the new ones were not taken"
    );
}

#[test]
fn text_never_makes_a_packet_too_large() {
    // Acknowledgements carry no text at all; the Reason String of DISCONNECT goes where it has no
    // room, or where the client did not ask for it.
    for (wanted, limit) in [(false, 64), (true, 64), (false, 20), (true, 20), (true, 1000)] {
        let mut net = Net::new(1);
        let raw = net.open(0, V5);
        let mut packet = connect("c", V5);
        packet.properties.request_problem_information = wanted;
        packet.properties.maximum_packet_size = Some(limit);
        net.send(raw, &Packet::Connect(packet));
        net.subscribe(raw, "a/#/b", QoS::AtMostOnce);
        net.unsubscribe(raw, "x");
        net.send(raw, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"x")));
        net.send(raw, &Packet::Publish(publish("$SYS/t", QoS::AtLeastOnce, 1, b"x")));
        net.send(raw, &Packet::Publish(publish("t", QoS::ExactlyOnce, 2, b"x")));
        net.ack(raw, Packet::Pubrel, 2);
        net.ack(raw, Packet::Pubrel, 9);
        net.ack(raw, Packet::Pubrec, 9);
        net.send_bytes(raw, &[0x82, 4, 0, 1, 0, 0]);
        let packets = net.measured_packets(raw);
        assert_eq!(packets.len(), 10);
        for (len, packet) in packets {
            assert!(len <= limit as usize, "{len} bytes: {packet}");
            let may_explain = wanted && limit >= 64 && packet.starts_with("Disconnect");
            assert_eq!(packet.contains("reason_string: Some"), may_explain, "{packet}");
            assert!(!packet.contains("UserProperties { section: [3"), "{packet}");
        }
    }
}
