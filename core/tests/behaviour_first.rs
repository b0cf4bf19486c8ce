//! The first behaviour: a message goes through the engine and comes out, at each QoS.

use halyard_core::codec::{Decoder, Limits, Role, encode};
use halyard_core::conf::{BrokerConfig, ListenerConfig};
use halyard_core::engine::{Config, ConnectionId, Effect, Engine, Input, Peer};
use halyard_core::packet::{
    Ack, Connect, ConnectProperties, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode,
    Subscribe, SubscribeFilter, SubscriptionOptions, UserProperties, Version,
};
use halyard_core::time::{Instant, WallClock};
use std::sync::Arc;

fn bytes(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, version, &mut out);
    out
}

fn connect(client_id: &str, version: Version) -> Vec<u8> {
    let packet = Packet::Connect(Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
        bridge: false,
    });
    bytes(&packet, version)
}

fn drain(engine: &mut Engine, conn: ConnectionId, version: Version) -> Vec<String> {
    let mut all = Vec::new();
    while let Some((to, output)) = engine.take_output() {
        if to == conn {
            all.extend(output);
        }
    }
    let mut decoder = Decoder::new(Role::Client);
    decoder.set_version(version);
    let mut rest = all.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (consumed, frame) = decoder.decode(rest, &Limits::default()).unwrap();
        if let Some(frame) = frame {
            found.push(format!("{:?}", frame.packet));
        }
        rest = &rest[consumed..];
    }
    found
}

#[test]
fn a_message_reaches_its_subscriber_at_each_qos() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let config = Config::single(BrokerConfig::default(), vec![ListenerConfig::default()]);
        let mut engine = Engine::new(Arc::new(config), 1, Instant::ZERO, WallClock(0), ());
        let mut effects: Vec<Effect> = Vec::new();
        let now = Instant::ZERO;
        engine.handle(now, Input::Turn { wall: WallClock(0) }, &mut effects);
        let (a, b) = (ConnectionId(1), ConnectionId(2));
        for (conn, name) in [(a, "a"), (b, "b")] {
            engine.handle(now, Input::opened(conn, Peer::Local, 0, now), &mut effects);
            let chunk = connect(name, version);
            engine.handle(now, Input::Bytes { conn, chunk: &chunk }, &mut effects);
        }
        assert!(drain(&mut engine, a, version)[0].contains("Success"));
        let subscribe = Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).unwrap(),
            subscription_identifier: None,
            user_properties: UserProperties::EMPTY,
            filters: vec![SubscribeFilter {
                filter: "t/+",
                options: SubscriptionOptions::new(QoS::ExactlyOnce),
            }],
        });
        let chunk = bytes(&subscribe, version);
        engine.handle(now, Input::Bytes { conn: b, chunk: &chunk }, &mut effects);
        assert!(drain(&mut engine, b, version)[0].starts_with("Suback"));
        for (qos, answer) in [
            (QoS::AtMostOnce, None),
            (QoS::AtLeastOnce, Some("Puback")),
            (QoS::ExactlyOnce, Some("Pubrec")),
        ] {
            let publish = Packet::Publish(Publish {
                dup: false,
                qos,
                retain: false,
                topic: "t/1",
                packet_id: (qos != QoS::AtMostOnce).then(|| PacketId::new(7).unwrap()),
                properties: PublishProperties::default(),
                payload: b"hello",
            });
            let chunk = bytes(&publish, version);
            // One byte at a time must be the same.
            for byte in &chunk {
                engine.handle(now, Input::Bytes { conn: a, chunk: &[*byte] }, &mut effects);
            }
            let before = engine.state_hash();
            let restored = Engine::<()>::restore(engine_config(), &engine.snapshot(), ()).unwrap();
            assert_eq!(restored.state_hash(), before);
            let mut copy = engine.clone();
            assert_eq!(drain(&mut copy, b, version).len(), 1, "{version} {qos}");
            let answers = drain(&mut engine, a, version);
            assert_eq!(answers.first().map(|text| &text[..6]), answer);
        }
        let ack = |packet: fn(Ack<'static>) -> Packet<'static>, id: u16| {
            bytes(&packet(Ack::new(PacketId::new(id).unwrap(), ReasonCode::Success)), version)
        };
        for chunk in [ack(Packet::Puback, 1), ack(Packet::Pubrec, 2), ack(Packet::Pubcomp, 2)] {
            engine.handle(now, Input::Bytes { conn: b, chunk: &chunk }, &mut effects);
        }
        assert!(effects.is_empty(), "{effects:?}");
        assert_eq!(engine.stats().publish_sent_qos2, 1);
    }
}

fn engine_config() -> Arc<Config> {
    Arc::new(Config::single(BrokerConfig::default(), vec![ListenerConfig::default()]))
}
