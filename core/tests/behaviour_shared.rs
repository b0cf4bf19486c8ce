//! Shared subscriptions (MQTT 5.0 §4.8.2): one member gets a message, in turn; what a member that
//! leaves had not acknowledged, and what was refused.

mod sim_support;

use halyard_core::packet::{Ack, Packet, ReasonCode};
use halyard_core::sim::World;
use sim_support::*;

#[test]
fn messages_are_spread_evenly_and_each_goes_to_one() {
    let mut world = World::new(1);
    for name in ["a", "b", "c"] {
        world.client(name).connect().subscribe("$share/g/t/#");
    }
    world.client("plain").connect().subscribe("t/#");
    world.client("other").connect().subscribe("$share/h/t/1");
    world.client("p").connect();
    world.run_until_idle();
    for number in 0..30 {
        world.client("p").publish("t/1", &number.to_string(), Q1);
    }
    world.run_until_idle();
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        let lines = world.client(name).take_lines();
        assert_eq!(lines.len(), 10, "{name}");
        all.extend(lines);
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 30);
    assert_eq!(world.client("plain").take_lines().len(), 30);
    assert_eq!(world.client("other").take_lines().len(), 30);
    check(&world);
}

#[test]
fn a_plain_and_a_shared_subscription_of_one_client_give_two_deliveries() {
    let mut world = World::new(2);
    world.client("s").connect().subscribe("t").subscribe("$share/g/t");
    world.run_until_idle();
    world.client("p").connect().publish("t", "x", Q1);
    world.run_until_idle();
    assert_eq!(world.client("s").take_lines(), ["t x", "t x"]);
}

/// Two members, `a` raw and without a session to keep; `a` gets the first message.
fn two_members(world: &mut World) {
    enter(world, "a", connect("a", V5, None));
    talk(world, "a", &[subscribe(1, &[("$share/g/t", Q2)])]);
    world.client("p").connect();
    world.run_until_idle();
}

fn joins(world: &mut World) {
    world.client("b").connect().subscribe("$share/g/t");
    world.run_until_idle();
}

#[test]
fn a_leaving_members_qos_1_goes_to_another_its_qos_2_does_not() {
    let mut world = World::new(3);
    two_members(&mut world);
    world.client("p").publish("t", "one", Q1).publish("t", "two", Q2);
    world.run_until_idle();
    assert_eq!(world.raw("a").take(), ["PUBLISH t 'one' q1 #1", "PUBLISH t 'two' q2 #2"]);
    joins(&mut world);
    world.raw("a").close();
    world.run_until_idle();
    assert_eq!(world.client("b").take_lines(), ["t one"]);
    check(&world);
}

#[test]
fn what_was_never_sent_goes_to_another_at_either_qos() {
    let mut world = world_with(|broker| broker.max_inflight_messages = 1);
    two_members(&mut world);
    for (payload, qos) in [("1", Q2), ("2", Q2), ("3", Q1)] {
        world.client("p").publish("t", payload, qos);
    }
    world.run_until_idle();
    assert_eq!(world.raw("a").take(), ["PUBLISH t '1' q2 #1"]);
    joins(&mut world);
    world.raw("a").close();
    world.run_until_idle();
    assert_eq!(world.client("b").take_lines(), ["t 2", "t 3"]);
    check(&world);
}

#[test]
fn a_refusal_is_never_given_to_another() {
    let mut world = World::new(4);
    two_members(&mut world);
    world.client("p").publish("t", "one", Q1).publish("t", "two", Q2);
    world.run_until_idle();
    world.raw("a").take();
    joins(&mut world);
    let no = |packet: fn(Ack<'static>) -> Packet<'static>, number| {
        packet(Ack::new(id(number), ReasonCode::ImplementationSpecificError))
    };
    let said = talk(&mut world, "a", &[no(Packet::Puback, 1), no(Packet::Pubrec, 2)]);
    assert_eq!(said, [] as [&str; 0]);
    world.raw("a").close();
    world.run_until_idle();
    assert_eq!(world.client("b").take_lines(), [] as [&str; 0]);
    assert_eq!(world.stats().drops.refused, 2);
    check(&world);
}

#[test]
fn members_that_are_connected_come_first() {
    let mut world = World::new(5);
    world.client("away").session(600).connect().subscribe("$share/g/t");
    world.client("here").connect().subscribe("$share/g/t");
    world.client("p").connect();
    world.run_until_idle();
    world.client("away").disconnect();
    world.run_until_idle();
    for number in 0..4 {
        world.client("p").publish("t", &number.to_string(), Q1);
    }
    world.run_until_idle();
    assert_eq!(world.client("here").take_lines().len(), 4);
    // Nobody else left: it waits for the one who is away.
    world.client("here").disconnect();
    world.run_until_idle();
    world.client("p").publish("t", "late", Q1);
    world.run_until_idle();
    world.client("away").connect();
    world.run_until_idle();
    assert_eq!(world.client("away").take_lines(), ["t late"]);
    check(&world);
}

#[test]
fn an_unacknowledged_message_stays_with_a_session_that_goes_on() {
    let mut world = World::new(6);
    enter(&mut world, "a", connect("a", V5, Some(600)));
    talk(&mut world, "a", &[subscribe(1, &[("$share/g/t", Q2)])]);
    world.client("p").connect().publish("t", "one", Q1);
    world.run_until_idle();
    world.raw("a").take();
    joins(&mut world);
    let lines = come_back(&mut world, "a", connect("a", V5, Some(600)));
    assert_eq!(lines, ["CONNACK present", "PUBLISH t 'one' q1 #1 dup"]);
    assert_eq!(world.client("b").take_lines(), [] as [&str; 0]);
    check(&world);
}
