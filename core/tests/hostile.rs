//! Hostile input against the whole engine: what no other test of the core asks for. Each test names
//! the entries of the list in `tests/tests/hostile_list.rs` that it answers. Nothing here needs a
//! socket; what does is in `tests/tests/hostile.rs`.

mod support;

use halyard_core::codec::encode;
use halyard_core::conf::BrokerConfig;
use halyard_core::engine::{CloseReason, Input};
use halyard_core::packet::{
    Packet, QoS, ReasonCode, Subscribe, SubscribeFilter, SubscriptionOptions, UserProperties,
    Version, Will, WillProperties,
};
use support::{Net, connect, id, publish};

const V4: Version = Version::V4;
const V5: Version = Version::V5;

/// A packet of this first byte and body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    halyard_core::codec::primitives::encode_varint(u32::try_from(body.len()).unwrap(), &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

/// A string or binary field.
fn field(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

/// Properties with their length.
fn properties(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let len = u32::try_from(content.len()).unwrap();
    halyard_core::codec::primitives::encode_varint(len, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn bytes_of(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes);
    bytes
}

fn subscribe_many(filters: &[String]) -> Packet<'_> {
    Packet::Subscribe(Subscribe {
        packet_id: id(7),
        subscription_identifier: None,
        user_properties: UserProperties::EMPTY,
        filters: filters
            .iter()
            .map(|filter| SubscribeFilter {
                filter,
                options: SubscriptionOptions::new(QoS::AtMostOnce),
            })
            .collect(),
    })
}

/// Every packet that a client may send, with all that it may carry.
fn client_packets(version: Version) -> Vec<Vec<u8>> {
    let mut hello = connect("cut", version);
    hello.username = Some("user");
    hello.password = Some(b"secret");
    hello.will = Some(Will {
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "will/topic",
        payload: b"gone",
        properties: WillProperties::default(),
    });
    let filters = ["a/+".to_owned(), "$share/g/b/#".to_owned()];
    let acks = [0x40, 0x50, 0x62, 0x70].map(|first| packet(first, &[0, 1]));
    let mut packets = vec![
        bytes_of(&Packet::Connect(hello), version),
        bytes_of(&Packet::Publish(publish("a/b", QoS::ExactlyOnce, 1, b"payload")), version),
        bytes_of(&subscribe_many(&filters), version),
        packet(0xC0, &[]),
        packet(0xE0, &[]),
    ];
    packets.extend(acks);
    if version == V5 {
        let expiry = [&[0x11][..], &[0, 0, 0, 9]].concat();
        let user = [&[0x26][..], &field(b"name"), &field(b"value")].concat();
        let all = [expiry.as_slice(), &user].concat();
        packets.push(packet(0xE0, &[&[0x04][..], &properties(&all)].concat()));
        packets.push(packet(
            0xF0,
            &[&[0x19][..], &properties(&[&[0x15][..], &field(b"M")].concat())].concat(),
        ));
    }
    packets
}

/// Entry 9: every packet cut at every byte, with a Remaining Length that says so, or that lies.
#[test]
fn a_packet_cut_at_any_byte_ends_its_connection_at_most() {
    for version in [V4, V5] {
        for whole in client_packets(version) {
            let (first, body) = (whole[0], &whole[2..]);
            assert!(whole[1] < 0x80, "a Remaining Length of one byte");
            for cut in 0..body.len() {
                let honest = packet(first, &body[..cut]);
                let mut lying = whole.clone();
                lying[1] = u8::try_from(cut).unwrap();
                for bytes in [honest, lying, whole[..cut + 2].to_vec()] {
                    let mut net = Net::new(1);
                    let raw = if first == 0x10 {
                        net.open(0, version)
                    } else {
                        net.client(0, "cut", version)
                    };
                    net.send_bytes(raw, &bytes);
                    net.pass(61);
                    let stats = &net.stats()[0];
                    assert!(stats.connections_open <= 1, "{bytes:02X?}");
                    let witness = net.client(0, "witness", version);
                    net.send_bytes(witness, &[0xC0, 0]);
                    assert_eq!(net.read(witness), ["pingresp"], "after {bytes:02X?}");
                }
            }
        }
    }
}

/// Entries 3, 5 and 6: what a peer announces is not what is held.
#[test]
fn an_announced_packet_takes_what_was_received_and_ends_in_time() {
    let broker = BrokerConfig { max_packet_size: 268_435_455, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let raws: Vec<_> = (0..100).map(|n| net.client(0, &format!("c{n}"), V5)).collect();
    let before = net.engines[0].footprint();
    for raw in &raws {
        net.send_bytes(*raw, &[0x30, 0xFA, 0xFF, 0xFF, 0x7F, 0, 1, b't']);
    }
    let grown = net.engines[0].footprint() - before;
    // The bytes that came, and a timer for the rest of them.
    assert!(grown <= 100 * (8 + 32), "{grown}");
    net.pass(61);
    assert_eq!(net.stats()[0].connections_open, 0);
    assert!(net.closed.values().all(|reason| *reason == CloseReason::PacketTimeout));
    assert_eq!(net.read(raws[0]), ["disconnect 0x81"]);
}

/// Entry 14: a Client Identifier over the limit.
#[test]
fn a_client_identifier_over_the_limit_is_refused_with_its_code() {
    let broker = BrokerConfig { max_client_id_bytes: 8, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    for (version, answer) in [(V5, "connack 0x85"), (V4, "connack 0x85")] {
        let raw = net.open(0, version);
        net.send(raw, &Packet::Connect(connect("123456789", version)));
        // 3.1.1 calls it 0x02; the reader of the test translates.
        assert_eq!(net.read(raw), [answer]);
        assert!(net.closed.contains_key(&raw.conn.0));
    }
    net.client(0, "12345678", V5);
}

/// Entry 16: User Properties are bounded in number, and cost no more than their bytes.
#[test]
fn user_properties_are_bounded_in_number() {
    let one = [&[0x26][..], &field(b"n"), &field(b"v")].concat();
    let of = |count: usize| {
        let body = [&field(b"t")[..], &properties(&one.repeat(count))].concat();
        packet(0x30, &body)
    };
    let mut net = Net::new(1);
    let raw = net.client(0, "p", V5);
    net.send_bytes(raw, &of(1000));
    assert_eq!(net.closed.get(&raw.conn.0), None);
    net.send_bytes(raw, &of(10_000));
    let answer = net.read(raw);
    assert!(answer == ["disconnect 0x97"] || answer == ["disconnect 0x95"], "{answer:?}");
    // In CONNECT as well.
    let hello =
        [&field(b"MQTT")[..], &[5, 2, 0, 0], &properties(&one.repeat(10_000)), &field(b"c")];
    let raw = net.open(0, V5);
    net.send_bytes(raw, &packet(0x10, &hello.concat()));
    let answer = net.read(raw);
    assert!(answer == ["connack 0x97"] || answer == ["connack 0x95"], "{answer:?}");
}

/// Entry 22: a storm of takeovers leaves one session, one connection and no bytes behind.
#[test]
fn a_storm_of_takeovers_leaves_nothing_behind() {
    let mut net = Net::new(1);
    let mut footprint = 0;
    for round in 0..2000 {
        net.now = net.now.plus_millis(200);
        let raw = net.open(0, V5);
        net.send(raw, &Packet::Connect(connect("same", V5)));
        net.subscribe(raw, &format!("t/{}", round % 3), QoS::AtLeastOnce);
        net.unsubscribe(raw, &format!("t/{}", round % 2));
        net.turn();
        net.read(raw);
        if round == 100 {
            footprint = net.engines[0].footprint();
        }
    }
    let stats = &net.stats()[0];
    assert_eq!((stats.connections_open, stats.clients_total, stats.takeovers), (1, 1, 1999));
    assert!(net.engines[0].footprint() <= footprint + 64, "{footprint}");
    assert!(stats.subscriptions <= 1);
}

/// Entry 27: topics and filters of 65,535 levels.
#[test]
fn a_topic_of_slashes_is_refused_wherever_it_stands() {
    let slashes = "/".repeat(65_535);
    for unlimited in [false, true] {
        let broker = BrokerConfig {
            max_topic_levels: if unlimited { 0 } else { 128 },
            ..BrokerConfig::default()
        };
        let mut net = Net::with(1, broker);
        let raw = net.client(0, "p", V5);
        net.subscribe(raw, &slashes, QoS::AtMostOnce);
        let answer = net.read(raw);
        assert_eq!(answer, [if unlimited { "suback [0]" } else { "suback [8f]" }]);
        let mut retained = publish(&slashes, QoS::AtLeastOnce, 1, b"x");
        retained.retain = true;
        net.send(raw, &Packet::Publish(retained));
        let answer = net.read(raw);
        if unlimited {
            assert_eq!(answer.len(), 2, "it goes round: {}", answer.len());
        } else {
            assert_eq!(answer, ["disconnect 0x90"]);
        }
        let mut hello = connect("w", V5);
        hello.will = Some(Will {
            qos: QoS::AtMostOnce,
            retain: true,
            topic: &slashes,
            payload: b"gone",
            properties: WillProperties::default(),
        });
        let raw = net.open(0, V5);
        net.send(raw, &Packet::Connect(hello));
        let answer = if unlimited { "connack 0x00" } else { "connack 0x90" };
        assert_eq!(net.read(raw)[0], answer);
        net.drop_connection(raw);
    }
}

/// Entry 29: the same QoS 2 identifier again and again, and all there are, never released.
#[test]
fn qos_2_that_is_never_released_takes_constant_memory() {
    let mut net = Net::new(1);
    let raw = net.client(0, "p", V5);
    let mut same = publish("t", QoS::ExactlyOnce, 1, b"x");
    net.send(raw, &Packet::Publish(same.clone()));
    net.read(raw);
    let footprint = net.engines[0].footprint();
    same.dup = true;
    let many = bytes_of(&Packet::Publish(same), V5).repeat(1000);
    for _ in 0..1000 {
        net.send_bytes(raw, &many);
        assert_eq!(net.read(raw).len(), 1000);
        net.turn();
    }
    assert!(net.engines[0].footprint() <= footprint);
    // One more identifier at a time: the Receive Maximum of 20 is the end.
    for number in 2..=21 {
        net.send(raw, &Packet::Publish(publish("t", QoS::ExactlyOnce, number, b"x")));
    }
    assert_eq!(net.read(raw).last().map(String::as_str), Some("disconnect 0x93"));
    // 3.1.1 knows no Receive Maximum: all identifiers, at a few bytes each.
    let raw = net.client(0, "q", V4);
    let before = net.engines[0].footprint();
    for number in (1..=u16::MAX).rev() {
        net.send(raw, &Packet::Publish(publish("t", QoS::ExactlyOnce, number, b"x")));
    }
    assert_eq!(net.read(raw).len(), 65_535);
    assert!(net.engines[0].footprint() - before <= 65_535 * 8);
}

/// Entry 32: a flood of retained messages meets its limits.
#[test]
fn a_flood_of_retained_messages_meets_its_limits() {
    let broker = BrokerConfig {
        max_retained_messages: 10,
        max_retained_bytes: 2_000,
        ..BrokerConfig::default()
    };
    let mut net = Net::with(1, broker);
    let raw = net.client(0, "p", V5);
    let retain = |net: &mut Net, topic: &str, payload: &[u8]| {
        let mut packet = publish(topic, QoS::AtLeastOnce, 1, payload);
        packet.retain = true;
        net.send(raw, &Packet::Publish(packet));
        net.read(raw).remove(0)
    };
    for number in 0..10 {
        assert_eq!(retain(&mut net, &format!("t/{number}"), b"x"), "puback 1 0x10");
    }
    assert_eq!(retain(&mut net, "t/10", b"x"), "puback 1 0x97");
    assert_eq!(retain(&mut net, "t/0", &[0; 4000]), "puback 1 0x97");
    // What replaces, or clears, is always taken.
    assert_eq!(retain(&mut net, "t/0", b"y"), "puback 1 0x10");
    assert_eq!(retain(&mut net, "t/1", b""), "puback 1 0x10");
    assert_eq!(retain(&mut net, "t/10", b"x"), "puback 1 0x10");
    assert_eq!(net.stats()[0].drops.retained_quota, 2);
    for reserved in ["$SYS/x", "$SYS", "$CONTROL/dynamic-security/v1"] {
        assert_eq!(retain(&mut net, reserved, b"x"), "puback 1 0x87");
    }
    assert_eq!(net.stats()[0].retained, 10);
}

/// Entry 33: the ends of every interval.
#[test]
fn the_ends_of_every_interval_overflow_nothing() {
    let mut net = Net::new(1);
    net.now = net.now.plus_secs(u64::from(u32::MAX));
    for expiry in [0, 1, u32::MAX - 1, u32::MAX] {
        for delay in [0, 1, u32::MAX] {
            for keep_alive in [0, 1, u16::MAX] {
                let mut hello = connect("ends", V5);
                hello.keep_alive = keep_alive;
                hello.properties.session_expiry_interval = Some(expiry);
                hello.will = Some(Will {
                    qos: QoS::AtLeastOnce,
                    retain: true,
                    topic: "will",
                    payload: b"gone",
                    properties: WillProperties {
                        delay_interval: Some(delay),
                        message_expiry_interval: Some(u32::MAX),
                        ..WillProperties::default()
                    },
                });
                let raw = net.open(0, V5);
                net.send(raw, &Packet::Connect(hello));
                for message in [0, u32::MAX] {
                    let mut packet = publish("t", QoS::AtLeastOnce, 1, b"x");
                    packet.retain = true;
                    packet.properties.message_expiry_interval = Some(message);
                    net.send(raw, &Packet::Publish(packet));
                }
                net.drop_connection(raw);
                net.turn();
            }
        }
    }
    // The last wait of 136 years ends.
    net.pass(u64::from(u32::MAX));
    net.pass(u64::from(u32::MAX));
    assert_eq!(net.stats()[0].connections_open, 0);
    let broker = BrokerConfig { max_keepalive: 60, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    for (version, keep_alive, answer) in [
        (V5, 0, "connack 0x00 keepalive60"),
        (V5, u16::MAX, "connack 0x00 keepalive60"),
        (V4, 0, "connack 0x85"),
        (V4, 61, "connack 0x85"),
        (V4, 60, "connack 0x00"),
    ] {
        let raw = net.open(0, version);
        let mut hello = connect("k", version);
        hello.keep_alive = keep_alive;
        net.send(raw, &Packet::Connect(hello));
        assert_eq!(net.read(raw), [answer], "{keep_alive}");
        net.drop_connection(raw);
    }
}

/// Entry 34: a payload that says it is UTF-8 and is not.
#[test]
fn a_payload_that_is_not_what_it_says_passes_unchanged() {
    let mut net = Net::new(1);
    let raw = net.client(0, "p", V5);
    net.subscribe(raw, "t", QoS::AtMostOnce);
    net.read(raw);
    let mut packet = publish("t", QoS::AtLeastOnce, 1, &[0xFF, 0xC0, 0x80]);
    packet.properties.payload_format_utf8 = Some(true);
    net.send(raw, &Packet::Publish(packet));
    let got = net.raw_packets(raw);
    assert!(got[0].contains("payload: [255, 192, 128]"), "{got:?}");
    assert!(got[1].starts_with("Puback"), "{got:?}");
}

/// Entry 36: shared subscriptions that are none.
#[test]
fn a_shared_subscription_that_is_none_is_refused_by_itself() {
    let mut net = Net::new(1);
    let raw = net.client(0, "s", V5);
    for filter in ["$share//f", "$share/a+/f", "$share/a#/f", "$share/g", "$share/g/", "$share"] {
        net.subscribe(raw, filter, QoS::AtMostOnce);
        let got = net.read(raw);
        // `$share` alone is a plain filter under the letter of 4.8.2; nothing can be published to it.
        assert!(got == ["suback [8f]"] || filter == "$share", "{filter}: {got:?}");
    }
    let mut options = SubscriptionOptions::new(QoS::AtMostOnce);
    options.no_local = true;
    net.send(
        raw,
        &Packet::Subscribe(Subscribe {
            packet_id: id(1),
            subscription_identifier: None,
            user_properties: UserProperties::EMPTY,
            filters: vec![SubscribeFilter { filter: "$share/g/f", options }],
        }),
    );
    assert_eq!(net.read(raw), ["disconnect 0x82"]);
}

/// Entry 36: a shared subscription leaves the plain one beside it what it was promised.
#[test]
fn a_shared_subscription_takes_no_retained_message_from_a_plain_one() {
    let mut net = Net::new(1);
    let raw = net.client(0, "s", V5);
    let mut kept = publish("f", QoS::AtMostOnce, 0, b"kept");
    kept.retain = true;
    net.send(raw, &Packet::Publish(kept));
    let filters = ["f".to_owned(), "$share/g/f".to_owned()];
    net.send(raw, &subscribe_many(&filters));
    net.turn();
    assert_eq!(net.read(raw), ["suback [0, 0]", "publish f q0 retain kept"]);
}

/// Entry 38: filters that are asked for again and again beside many replays under way.
#[test]
fn a_repeated_subscription_finds_its_replay_however_many_there_are() {
    let mut net = Net::new(1);
    let raw = net.client(0, "s", V5);
    let mut kept = publish("r", QoS::AtMostOnce, 0, b"x");
    kept.retain = true;
    net.send(raw, &Packet::Publish(kept));
    let mut filters: Vec<String> = (0..10_000).map(|n| format!("long/prefix/{n}/+")).collect();
    filters.extend(std::iter::repeat_n("long/prefix/9999/+".to_owned(), 10_000));
    filters.push("+".into());
    net.send(raw, &subscribe_many(&filters[..9_999]));
    net.send(raw, &subscribe_many(&filters[9_999..]));
    net.pass(1);
    let got = net.read(raw);
    assert_eq!(got.len(), 2, "{}", got.len());
    assert!(got[1].ends_with("97]"), "the one over the limit");
}

/// Entry 38: a hundred thousand filters meet the limit, and cost what their number is.
#[test]
fn a_storm_of_subscriptions_meets_its_limit() {
    let mut net = Net::new(1);
    let keeper = net.client(0, "keeper", V5);
    let mut kept = publish("r", QoS::AtMostOnce, 0, b"x");
    kept.retain = true;
    net.send(keeper, &Packet::Publish(kept));
    let raw = net.client(0, "s", V5);
    for part in 0..10 {
        let filters: Vec<String> = (0..10_000).map(|n| format!("{part}/{n}/+")).collect();
        net.send(raw, &subscribe_many(&filters));
        let answer = net.read(raw).remove(0);
        let refused = answer.matches("97").count();
        assert_eq!(refused, if part == 0 { 0 } else { 10_000 });
    }
    let stats = &net.stats()[0];
    assert_eq!((stats.subscriptions, stats.subscriptions_refused), (10_000, 90_000));
    net.drop_connection(raw);
    assert_eq!(net.stats()[0].subscriptions, 0);
}

/// Entry 31: what only a server sends.
#[test]
fn what_only_a_server_sends_ends_the_connection() {
    for first in [0x20, 0x90, 0xB0, 0xD0] {
        for version in [V4, V5] {
            let mut net = Net::new(1);
            let raw = net.client(0, "c", version);
            net.send_bytes(raw, &packet(first, &[0, 0]));
            let answer = net.read(raw);
            assert_eq!(answer.is_empty(), version == V4, "{answer:?}");
            assert!(net.closed.contains_key(&raw.conn.0));
        }
    }
}

/// Entries 17 and 42: a connection that is closed takes nothing more.
#[test]
fn nothing_is_taken_from_a_connection_that_was_closed() {
    let mut net = Net::new(1);
    let raw = net.client(0, "c", V5);
    net.send_bytes(raw, &[0x00, 0x00]);
    net.read(raw);
    let packet = bytes_of(&Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"x")), V5);
    net.input(0, Input::Bytes { conn: raw.conn, chunk: &packet });
    assert_eq!(net.read(raw), [] as [String; 0]);
    assert_eq!(net.stats()[0].publish_received_qos1, 0);
    assert!(matches!(net.closed[&raw.conn.0], CloseReason::Malformed(_)));
    assert_eq!(ReasonCode::MalformedPacket.as_u8(), 0x81);
}
