//! What a listener or the configuration allows: versions, Maximum QoS, retained messages, mount
//! points, anonymity; and a malformed packet, which ends its own connection and no other.

mod sim_support;

use halyard_core::conf::ListenerConfig;
use halyard_core::packet::{Packet, QoS};
use halyard_core::sim::World;
use sim_support::*;

#[test]
fn a_listener_speaks_the_versions_it_accepts() {
    let mut world = world_of(|config| {
        config.listeners[0].accept_v31 = false;
        config.listeners[0].accept_v5 = false;
    });
    assert_eq!(enter(&mut world, "a", connect("a", V4, None)), ["CONNACK"]);
    assert_eq!(enter(&mut world, "b", connect("b", V5, None)), ["CONNACK 0x84"]);
    assert_eq!(enter(&mut world, "c", connect("c", V3, None)), ["CONNACK 0x84"]);
    assert!(world.raw("b").is_closed() && world.raw("c").is_closed());
}

#[test]
fn a_maximum_qos_is_told_and_enforced() {
    let mut world = world_of(|config| config.listeners[0].max_qos = 1);
    world.client("s").connect();
    world.run_until_idle();
    assert_eq!(world.client("s").server().maximum_qos, QoS::AtLeastOnce);
    enter(&mut world, "p", connect("p", V5, None));
    assert_eq!(talk(&mut world, "p", &[say_publish("t", "x", Q2, 1)]), ["DISCONNECT 0x9B"]);
    let mut hello = connect("w", V5, None);
    let mut last = will("t", 0);
    last.qos = Q2;
    hello.will = Some(last);
    assert_eq!(enter(&mut world, "w", hello), ["CONNACK 0x9B"]);
}

#[test]
fn retained_messages_may_be_off() {
    let mut world = world_with(|broker| broker.retain_available = false);
    world.client("s").connect();
    world.run_until_idle();
    assert!(!world.client("s").server().retain_available);
    enter(&mut world, "p", connect("p", V5, None));
    let mut packet = publish("t", "x", Q1, 1);
    packet.retain = true;
    assert_eq!(talk(&mut world, "p", &[Packet::Publish(packet)]), ["DISCONNECT 0x9A"]);
    let mut hello = connect("w", V5, None);
    let mut last = will("t", 0);
    last.retain = true;
    hello.will = Some(last);
    assert_eq!(enter(&mut world, "w", hello), ["CONNACK 0x9A"]);
}

#[test]
fn a_mount_point_keeps_the_clients_of_a_listener_apart() {
    let mut world = world_of(|config| {
        config.listeners.push(ListenerConfig {
            mount_point: Some("house/".into()),
            ..ListenerConfig::default()
        });
    });
    world.client("in").listener(1).connect().subscribe("t/#").subscribe("$share/g/s");
    world.client("out").connect().subscribe("house/#").subscribe("t/#");
    world.run_until_idle();
    world.client("p").listener(1).will("t/will", "gone", None).connect();
    world.client("p").publish("t/1", "x", Q1).publish("s", "y", Q1).retain("t/r", "z");
    world.client("q").connect().publish("house/t/2", "o", Q1).publish("t/3", "n", Q1);
    world.run_until_idle();
    let mut got = world.client("in").take_lines();
    got.sort();
    assert_eq!(got, ["s y", "t/1 x", "t/2 o", "t/r z"]);
    let mut got = world.client("out").take_lines();
    got.sort();
    assert_eq!(got, ["house/s y", "house/t/1 x", "house/t/2 o", "house/t/r z", "t/3 n"]);
    world.cut_link("p", 0);
    world.run_until_idle();
    assert_eq!(world.client("in").take_lines(), ["t/will gone"]);
    assert_eq!(world.client("out").take_lines(), ["house/t/will gone"]);
    world.client("late").listener(1).connect().subscribe("#");
    world.run_until_idle();
    assert_eq!(world.client("late").take_lines(), ["t/r z"]);
}

#[test]
fn a_stranger_is_refused_where_nobody_may_be_anonymous() {
    let mut world = world_of(|config| config.listeners[0].allow_anonymous = false);
    assert_eq!(enter(&mut world, "a", connect("a", V5, None)), ["CONNACK 0x87"]);
    assert_eq!(enter(&mut world, "b", connect("b", V4, None)), ["CONNACK 0x87"]);
}

#[test]
fn what_is_malformed_ends_its_own_connection_and_no_other() {
    let broken: [(&[u8], &str); 6] = [
        (&[0x30, 0x02, 0x00, 0x05], "DISCONNECT 0x81"),
        (&[0x36, 0x05, 0x00, 0x01, b't', 0x00, 0x01], "DISCONNECT 0x81"),
        (&[0x00, 0x00], "DISCONNECT 0x81"),
        (&[0x82, 0x03, 0x00, 0x01, 0x00], "DISCONNECT 0x82"),
        (&[0xFF, 0x00], "DISCONNECT 0x81"),
        (&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], "DISCONNECT 0x81"),
    ];
    let mut world = World::new(1);
    world.client("s").connect().subscribe("t");
    world.client("p").connect();
    world.run_until_idle();
    for (number, (bytes, answer)) in broken.iter().enumerate() {
        let name = format!("x{number}");
        enter(&mut world, &name, connect(&name, V5, None));
        world.raw(&name).send(bytes);
        world.run_until_idle();
        assert_eq!(world.raw(&name).take(), [*answer], "{bytes:02X?}");
        assert!(world.raw(&name).is_closed());
        world.client("p").publish("t", &name, Q1);
        world.run_until_idle();
        assert_eq!(world.client("s").take_lines(), [format!("t {name}")]);
    }
    // Before CONNECT there is nothing to say to it.
    world.raw("junk").send(b"GET / HTTP/1.1\r\n\r\n");
    world.run_until_idle();
    assert_eq!(world.raw("junk").take(), [] as [&str; 0]);
    assert!(world.raw("junk").is_closed());
    assert_eq!(world.stats().clients_connected, 2);
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let mut world = World::new(2);
    world.raw("mute");
    world.run_for_ms(9_900);
    assert!(!world.raw("mute").is_closed());
    world.run_for_ms(300);
    assert!(world.raw("mute").is_closed());
    // Nor for the rest of a packet.
    enter(&mut world, "half", connect("half", V5, None));
    world.raw("half").send(&[0x30, 0x20, 0x00]);
    world.run_for_ms(59_000);
    assert!(!world.raw("half").is_closed());
    world.run_for_ms(2_000);
    assert!(world.raw("half").is_closed());
}

#[test]
fn a_method_of_authentication_that_is_not_there_is_refused() {
    let mut world = World::new(3);
    let mut hello = connect("a", V5, None);
    hello.properties.authentication_method = Some("SCRAM");
    assert_eq!(enter(&mut world, "a", hello), ["CONNACK 0x8C"]);
    enter(&mut world, "b", connect("b", V5, None));
    let auth = halyard_core::packet::Auth {
        reason: halyard_core::packet::ReasonCode::ReAuthenticate,
        method: Some("SCRAM"),
        data: None,
        reason_string: None,
        user_properties: halyard_core::packet::UserProperties::EMPTY,
    };
    assert_eq!(talk(&mut world, "b", &[Packet::Auth(auth)]), ["DISCONNECT 0x82"]);
}
