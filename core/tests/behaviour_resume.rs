//! A resumed session (MQTT 5.0 §4.4): what was not acknowledged is sent again, with DUP and the same
//! Packet Identifier, in the order of before; PUBREL that is owed likewise; expiry does not break an
//! exchange that has begun.

mod sim_support;

use halyard_core::packet::{Packet, Version};
use halyard_core::sim::World;
use sim_support::*;

/// A raw subscriber `s` that keeps its session.
fn subscribed(world: &mut World, version: Version) {
    enter(world, "s", connect("s", version, Some(600)));
    talk(world, "s", &[subscribe(1, &[("t/#", Q2)])]);
}

fn back(world: &mut World, version: Version) -> Vec<String> {
    let mut lines = come_back(world, "s", connect("s", version, Some(600)));
    lines.remove(0);
    lines
}

#[test]
fn what_was_not_acknowledged_comes_again_with_dup_and_the_same_identifier_in_order() {
    for version in [V3, V4, V5] {
        let mut world = World::new(1);
        subscribed(&mut world, version);
        world.client("p").connect();
        world.client("p").publish("t/1", "a", Q1).publish("t/2", "b", Q2).publish("t/1", "c", Q1);
        world.run_until_idle();
        assert_eq!(
            world.raw("s").take(),
            ["PUBLISH t/1 'a' q1 #1", "PUBLISH t/2 'b' q2 #2", "PUBLISH t/1 'c' q1 #3"]
        );
        for _ in 0..2 {
            assert_eq!(
                back(&mut world, version),
                [
                    "PUBLISH t/1 'a' q1 #1 dup",
                    "PUBLISH t/2 'b' q2 #2 dup",
                    "PUBLISH t/1 'c' q1 #3 dup"
                ]
            );
        }
        assert_eq!(talk(&mut world, "s", &[puback(1), puback(3)]), [] as [&str; 0]);
        assert_eq!(back(&mut world, version), ["PUBLISH t/2 'b' q2 #2 dup"]);
        check(&world);
    }
}

#[test]
fn a_pubrel_that_is_owed_comes_again_with_the_same_identifier() {
    for version in [V3, V4, V5] {
        let mut world = World::new(2);
        subscribed(&mut world, version);
        world.client("p").connect().publish("t/1", "a", Q2);
        world.run_until_idle();
        world.raw("s").take();
        assert_eq!(talk(&mut world, "s", &[pubrec(1)]), ["PUBREL 1"]);
        for _ in 0..2 {
            assert_eq!(back(&mut world, version), ["PUBREL 1"], "{version}");
        }
        assert_eq!(talk(&mut world, "s", &[pubcomp(1)]), [] as [&str; 0]);
        assert_eq!(back(&mut world, version), [] as [&str; 0]);
    }
}

#[test]
fn a_repeated_pubrec_is_answered_again() {
    let mut world = World::new(3);
    subscribed(&mut world, V5);
    world.client("p").connect().publish("t/1", "a", Q2);
    world.run_until_idle();
    world.raw("s").take();
    assert_eq!(talk(&mut world, "s", &[pubrec(1), pubrec(1)]), ["PUBREL 1", "PUBREL 1"]);
    assert_eq!(talk(&mut world, "s", &[pubcomp(1)]), [] as [&str; 0]);
    assert_eq!(talk(&mut world, "s", &[pubrec(1)]), ["PUBREL 1 0x92"]);
}

#[test]
fn expiry_does_not_end_an_exchange_that_has_begun() {
    let mut world = World::new(4);
    subscribed(&mut world, V5);
    enter(&mut world, "p", connect("p", V5, None));
    let mut packet = publish("t/1", "a", Q2, 1);
    packet.properties.message_expiry_interval = Some(2);
    talk(&mut world, "p", &[Packet::Publish(packet.clone())]);
    packet.packet_id = Some(id(2));
    talk(&mut world, "p", &[Packet::Publish(packet)]);
    assert_eq!(
        world.raw("s").take(),
        ["PUBLISH t/1 'a' q2 #1 expiry 2", "PUBLISH t/1 'a' q2 #2 expiry 2"]
    );
    assert_eq!(talk(&mut world, "s", &[pubrec(1)]), ["PUBREL 1"]);
    world.run_for_ms(10_000);
    // One is past PUBREC: the PUBREL must come. The other was sent, so its identifier is in use
    // at the client: it comes again, too.
    assert_eq!(back(&mut world, V5), ["PUBREL 1", "PUBLISH t/1 'a' q2 #2 dup expiry 0"]);
    assert_eq!(talk(&mut world, "s", &[pubcomp(1), pubrec(2)]), ["PUBREL 2"]);
    assert_eq!(talk(&mut world, "s", &[pubcomp(2)]), [] as [&str; 0]);
}

#[test]
fn queued_messages_follow_what_is_repeated_in_order() {
    let mut world = world_with(|broker| broker.max_inflight_messages = 2);
    subscribed(&mut world, V4);
    world.client("p").connect();
    for payload in ["1", "2", "3", "4", "5"] {
        world.client("p").publish("t/1", payload, Q1);
    }
    world.run_until_idle();
    assert_eq!(world.raw("s").take(), ["PUBLISH t/1 '1' q1 #1", "PUBLISH t/1 '2' q1 #2"]);
    assert_eq!(back(&mut world, V4), ["PUBLISH t/1 '1' q1 #1 dup", "PUBLISH t/1 '2' q1 #2 dup"]);
    let next = talk(&mut world, "s", &[puback(1), puback(2)]);
    assert_eq!(next, ["PUBLISH t/1 '3' q1 #3", "PUBLISH t/1 '4' q1 #4"]);
    check(&world);
}

#[test]
fn messages_of_an_absence_are_delivered_at_the_return() {
    for version in [V3, V4, V5] {
        let mut world = World::new(5);
        world.client("s").version(version).session(600).connect().subscribe("t/#");
        world.client("p").connect();
        world.run_until_idle();
        world.client("s").disconnect();
        world.run_until_idle();
        for (payload, qos) in [("0", Q0), ("1", Q1), ("2", Q2)] {
            world.client("p").publish("t/1", payload, qos);
        }
        world.run_until_idle();
        assert_eq!(world.client("s").take_lines(), [] as [&str; 0]);
        world.client("s").connect();
        world.run_until_idle();
        assert_eq!(world.client("s").take_lines(), ["t/1 1", "t/1 2"], "{version}");
        check(&world);
    }
}

#[test]
fn a_snapshot_in_the_middle_changes_nothing() {
    let mut world = World::new(6);
    subscribed(&mut world, V5);
    world.client("p").connect().publish("t/1", "a", Q2).publish("t/1", "b", Q1);
    world.run_until_idle();
    world.restore_engine();
    world.raw("s").take();
    assert_eq!(talk(&mut world, "s", &[pubrec(1)]), ["PUBREL 1"]);
    world.restore_engine();
    assert_eq!(back(&mut world, V5), ["PUBREL 1", "PUBLISH t/1 'b' q1 #2 dup"]);
    check(&world);
}
