//! QoS 2 from a client (MQTT 5.0 §4.3.3, 3.1.1 §4.3.3): whatever is repeated, before or after a
//! reconnect, a message is published once and every packet is answered.

mod sim_support;

use halyard_core::packet::Packet;
use halyard_core::sim::World;
use sim_support::*;

/// A subscriber with QoS 2, and what it has received.
fn listen(world: &mut World) {
    world.client("s").connect().subscribe("t/#");
    world.run_until_idle();
}

fn dup<'a>(payload: &'a str, packet_id: u16) -> Packet<'a> {
    let mut packet = publish("t/1", payload, Q2, packet_id);
    packet.dup = true;
    Packet::Publish(packet)
}

#[test]
fn a_publish_repeated_before_pubrel_is_answered_each_time_and_delivered_once() {
    for version in [V3, V4, V5] {
        let mut world = World::new(1);
        listen(&mut world);
        enter(&mut world, "p", connect("p", version, None));
        assert_eq!(talk(&mut world, "p", &[say_publish("t/1", "x", Q2, 7)]), ["PUBREC 7"]);
        for _ in 0..3 {
            assert_eq!(talk(&mut world, "p", &[dup("x", 7)]), ["PUBREC 7"], "{version}");
        }
        assert_eq!(talk(&mut world, "p", &[pubrel(7)]), ["PUBCOMP 7"]);
        assert_eq!(world.client("s").take_lines(), ["t/1 x"], "{version}");
        // The identifier is free again.
        assert_eq!(talk(&mut world, "p", &[say_publish("t/1", "y", Q2, 7)]), ["PUBREC 7"]);
        assert_eq!(world.client("s").take_lines(), ["t/1 y"], "{version}");
        check(&world);
    }
}

#[test]
fn a_publish_repeated_after_a_reconnect_is_not_delivered_again() {
    for version in [V3, V4, V5] {
        let mut world = World::new(2);
        listen(&mut world);
        enter(&mut world, "p", connect("p", version, Some(60)));
        talk(&mut world, "p", &[say_publish("t/1", "x", Q2, 7)]);
        for _ in 0..3 {
            let present = if version == V3 { "CONNACK" } else { "CONNACK present" };
            assert_eq!(come_back(&mut world, "p", connect("p", version, Some(60))), [present]);
            assert_eq!(talk(&mut world, "p", &[dup("x", 7)]), ["PUBREC 7"]);
        }
        assert_eq!(talk(&mut world, "p", &[pubrel(7)]), ["PUBCOMP 7"]);
        assert_eq!(world.client("s").take_lines(), ["t/1 x"], "{version}");
        check(&world);
    }
}

#[test]
fn a_pubrel_after_a_reconnect_is_answered() {
    let mut world = World::new(3);
    listen(&mut world);
    enter(&mut world, "p", connect("p", V5, Some(60)));
    talk(&mut world, "p", &[say_publish("t/1", "x", Q2, 7)]);
    come_back(&mut world, "p", connect("p", V5, Some(60)));
    assert_eq!(talk(&mut world, "p", &[pubrel(7)]), ["PUBCOMP 7"]);
    // Now it is unknown, and 5.0 says so.
    assert_eq!(talk(&mut world, "p", &[pubrel(7)]), ["PUBCOMP 7 0x92"]);
    assert_eq!(talk(&mut world, "p", &[pubrel(9)]), ["PUBCOMP 9 0x92"]);
    check(&world);
}

#[test]
fn a_pubrel_for_an_unknown_identifier_is_answered_in_3_1_1() {
    let mut world = World::new(4);
    enter(&mut world, "p", connect("p", V4, None));
    assert_eq!(talk(&mut world, "p", &[pubrel(9)]), ["PUBCOMP 9"]);
}

#[test]
fn a_new_session_forgets_received_identifiers() {
    let mut world = World::new(5);
    listen(&mut world);
    enter(&mut world, "p", connect("p", V5, Some(60)));
    talk(&mut world, "p", &[say_publish("t/1", "x", Q2, 7)]);
    come_back(&mut world, "p", connect("p", V5, None));
    assert_eq!(talk(&mut world, "p", &[say_publish("t/1", "y", Q2, 7)]), ["PUBREC 7"]);
    assert_eq!(world.client("s").take_lines(), ["t/1 x", "t/1 y"]);
}

#[test]
fn the_receiver_gets_a_message_once_however_often_the_wire_breaks() {
    for at_byte in 0..60 {
        let mut world = World::new(at_byte);
        world
            .client("s")
            .session(600)
            .with(|options| {
                options.reconnect = Some(halyard_core::client::Backoff { min_ms: 10, max_ms: 100 });
            })
            .connect()
            .subscribe("t/#");
        world.client("p").connect();
        world.run_until_idle();
        world.cut_link("s", at_byte);
        for payload in ["1", "2", "3"] {
            world.client("p").publish("t/1", payload, Q2);
        }
        world.run_for_ms(2_000);
        assert_eq!(world.client("s").take_lines(), ["t/1 1", "t/1 2", "t/1 3"], "{at_byte}");
        check(&world);
    }
}

#[test]
fn the_sender_publishes_once_however_often_the_wire_breaks() {
    for at_byte in 0..60 {
        let mut world = World::new(at_byte);
        listen(&mut world);
        world
            .client("p")
            .session(600)
            .with(|options| {
                options.reconnect = Some(halyard_core::client::Backoff { min_ms: 10, max_ms: 100 });
            })
            .connect();
        world.run_until_idle();
        world.cut_link("p", at_byte);
        for payload in ["1", "2", "3"] {
            world.client("p").publish("t/1", payload, Q2);
        }
        world.run_for_ms(2_000);
        assert_eq!(world.client("s").take_lines(), ["t/1 1", "t/1 2", "t/1 3"], "{at_byte}");
        check(&world);
    }
}
