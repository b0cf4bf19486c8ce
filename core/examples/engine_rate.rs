//! How many messages a second the engine alone carries on one core: no sockets, no system calls.
//! `cargo run --release -p halyard-core --example engine_rate`
#![allow(clippy::disallowed_types, reason = "it measures")]

use halyard_core::codec::encode;
use halyard_core::conf::{BrokerConfig, ListenerConfig};
use halyard_core::engine::{Config, ConnectionId, Effect, Engine, Input, Peer};
use halyard_core::packet::*;
use halyard_core::time::{Instant, WallClock};
use std::sync::Arc;

const PAIRS: u64 = 50;
const BATCH: u16 = 64;

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, Version::V4, &mut out);
    out
}

fn connect(engine: &mut Engine, conn: ConnectionId, effects: &mut Vec<Effect>) {
    let client_id = format!("c{}", conn.0);
    let packet = Packet::Connect(Connect {
        version: Version::V4,
        clean_start: true,
        keep_alive: 0,
        client_id: &client_id,
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
        bridge: false,
    });
    let opened = Input::opened(conn, Peer::Local, 0, Instant::ZERO);
    engine.handle(Instant::ZERO, opened, effects);
    engine.handle(Instant::ZERO, Input::Bytes { conn, chunk: &bytes(&packet) }, effects);
}

fn run(qos: QoS) -> f64 {
    let broker = BrokerConfig {
        max_inflight_messages: 0,
        max_queued_messages: 0,
        sys_interval_secs: 0,
        ..BrokerConfig::default()
    };
    let config = Config::single(broker, vec![ListenerConfig::default()]);
    let mut engine = Engine::new(Arc::new(config), 1, Instant::ZERO, WallClock(0), ());
    let mut effects = Vec::new();
    let mut batches = Vec::new();
    for pair in 0..PAIRS {
        let topic = format!("bench/{pair}/data");
        let (publisher, subscriber) = (ConnectionId(pair), ConnectionId(PAIRS + pair));
        connect(&mut engine, publisher, &mut effects);
        connect(&mut engine, subscriber, &mut effects);
        let subscribe = Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).unwrap(),
            subscription_identifier: None,
            user_properties: UserProperties::EMPTY,
            filters: vec![SubscribeFilter {
                filter: &topic,
                options: SubscriptionOptions::new(qos),
            }],
        });
        engine.handle(
            Instant::ZERO,
            Input::Bytes { conn: subscriber, chunk: &bytes(&subscribe) },
            &mut effects,
        );
        let mut batch = Vec::new();
        for id in 1..=BATCH {
            let packet_id = (qos != QoS::AtMostOnce).then(|| PacketId::new(id).unwrap());
            batch.extend(bytes(&Packet::Publish(Publish {
                dup: false,
                qos,
                retain: false,
                topic: &topic,
                packet_id,
                properties: PublishProperties::default(),
                payload: &[7; 64],
            })));
        }
        batches.push(batch);
    }
    let started = std::time::Instant::now();
    let mut count = 0u64;
    let mut acks = Vec::new();
    let seconds = std::env::args().nth(1).map_or(2.0, |text| text.parse().unwrap());
    while started.elapsed().as_secs_f64() < seconds {
        engine.handle(Instant::ZERO, Input::Turn { wall: WallClock(0) }, &mut effects);
        for pair in 0..PAIRS {
            engine.handle(
                Instant::ZERO,
                Input::Bytes { conn: ConnectionId(pair), chunk: &batches[pair as usize] },
                &mut effects,
            );
            count += u64::from(BATCH);
        }
        read_output(&mut engine, qos, &mut acks, &mut effects);
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// Takes what the subscribers were sent, and acknowledges it for them.
fn read_output(engine: &mut Engine, qos: QoS, acks: &mut Vec<u8>, effects: &mut Vec<Effect>) {
    while let Some((conn, output)) = engine.take_output() {
        if conn.0 >= PAIRS && qos == QoS::AtLeastOnce {
            acks.clear();
            let frame = 2 + 2 + format!("bench/{}/data", conn.0 - PAIRS).len() + 2 + 64;
            if output.len() % frame != 0 {
                continue;
            }
            for at in (0..output.len()).step_by(frame) {
                let id = at + frame - 66;
                acks.extend_from_slice(&[0x40, 2, output[id], output[id + 1]]);
            }
            engine.handle(Instant::ZERO, Input::Bytes { conn, chunk: acks }, effects);
        }
        engine.recycle(output);
    }
}

fn main() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        println!("QoS {qos}: {:.2} M messages/s", run(qos) / 1e6);
    }
}
