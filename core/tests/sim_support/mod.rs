//! Short words for the packets that raw clients say in behaviour tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use halyard_core::conf::BrokerConfig;
use halyard_core::engine::Config;
use halyard_core::packet::{
    Ack, Connect, ConnectProperties, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode,
    Subscribe, SubscribeFilter, SubscriptionOptions, UserProperties, Version, Will, WillProperties,
};
use halyard_core::sim::{self, World};

pub const V3: Version = Version::V3;
pub const V4: Version = Version::V4;
pub const V5: Version = Version::V5;
pub const Q0: QoS = QoS::AtMostOnce;
pub const Q1: QoS = QoS::AtLeastOnce;
pub const Q2: QoS = QoS::ExactlyOnce;

/// A world whose broker is configured so.
pub fn world_with(change: impl FnOnce(&mut BrokerConfig)) -> World {
    world_of(|config| change(&mut config.broker))
}

/// A world whose engine is configured so.
pub fn world_of(change: impl FnOnce(&mut Config)) -> World {
    let mut config = sim::default_config();
    change(&mut config);
    World::with_config(1, config)
}

/// CONNECT without Keep Alive. `session`: seconds to keep it (5.0), or not to begin anew (3.x).
pub fn connect(client_id: &str, version: Version, session: Option<u32>) -> Connect<'_> {
    Connect {
        version,
        clean_start: session.is_none(),
        keep_alive: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties {
            session_expiry_interval: session.filter(|_| version.is_v5()),
            ..ConnectProperties::default()
        },
        bridge: false,
    }
}

pub fn will(topic: &'static str, delay: u32) -> Will<'static> {
    Will {
        qos: Q1,
        retain: false,
        topic,
        payload: b"gone",
        properties: WillProperties {
            delay_interval: (delay > 0).then_some(delay),
            ..WillProperties::default()
        },
    }
}

pub fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not 0")
}

pub fn publish<'a>(topic: &'a str, payload: &'a str, qos: QoS, packet_id: u16) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: PacketId::new(packet_id),
        properties: PublishProperties::default(),
        payload: payload.as_bytes(),
    }
}

pub fn say_publish<'a>(topic: &'a str, payload: &'a str, qos: QoS, id: u16) -> Packet<'a> {
    Packet::Publish(publish(topic, payload, qos, id))
}

pub fn subscribe<'a>(packet_id: u16, filters: &[(&'a str, QoS)]) -> Packet<'a> {
    Packet::Subscribe(Subscribe {
        packet_id: id(packet_id),
        subscription_identifier: None,
        user_properties: UserProperties::EMPTY,
        filters: filters
            .iter()
            .map(|(filter, qos)| SubscribeFilter {
                filter,
                options: SubscriptionOptions::new(*qos),
            })
            .collect(),
    })
}

fn ok(value: u16) -> Ack<'static> {
    Ack::new(id(value), ReasonCode::Success)
}

pub fn puback(value: u16) -> Packet<'static> {
    Packet::Puback(ok(value))
}

pub fn pubrec(value: u16) -> Packet<'static> {
    Packet::Pubrec(ok(value))
}

pub fn pubrel(value: u16) -> Packet<'static> {
    Packet::Pubrel(ok(value))
}

pub fn pubcomp(value: u16) -> Packet<'static> {
    Packet::Pubcomp(ok(value))
}

/// Lets a raw client connect and gives what it is told.
pub fn enter(world: &mut World, name: &str, connect: Connect<'_>) -> Vec<String> {
    world.raw(name).say(&Packet::Connect(connect));
    world.run_until_idle();
    world.raw(name).take()
}

/// Lets a raw client say packets and gives what comes back to it.
pub fn talk(world: &mut World, name: &str, packets: &[Packet<'_>]) -> Vec<String> {
    for packet in packets {
        world.raw(name).say(packet);
    }
    world.run_until_idle();
    world.raw(name).take()
}

/// The connection of a raw client breaks and it comes back.
pub fn come_back(world: &mut World, name: &str, connect: Connect<'_>) -> Vec<String> {
    world.raw(name).close();
    world.run_until_idle();
    world.raw(name).reopen();
    enter(world, name, connect)
}

/// No promise was broken.
pub fn check(world: &World) {
    assert_eq!(world.violations(), [] as [String; 0]);
}
