//! A disk without room: what is new is refused in each version's words, what is known goes on.

mod sim_support;

use halyard_core::engine::{AdminCommand, AdminRefusal, AdminReply, DiskState};
use halyard_core::packet::{Packet, Publish};
use sim_support::*;

fn kept_world() -> halyard_core::sim::World {
    let mut world = world_with(|broker| broker.persistence = true);
    for (name, version) in [("five", V5), ("four", V4)] {
        enter(&mut world, name, connect(name, version, Some(1000)));
    }
    talk(&mut world, "five", &[subscribe(1, &[("t", Q2)])]);
    talk(&mut world, "four", &[say_publish("other", "first", Q2, 9)]);
    world
}

#[test]
fn publishers_are_told_and_what_is_known_goes_on() {
    let mut world = kept_world();
    world.disk(DiskState::Full);
    let lines = talk(&mut world, "five", &[say_publish("t", "x", Q1, 5)]).join(" ");
    assert!(lines.contains("PUBACK") && lines.contains("97"), "{lines}");
    let lines = talk(&mut world, "five", &[say_publish("t", "x", Q2, 6)]).join(" ");
    assert!(lines.contains("PUBREC") && lines.contains("97"), "{lines}");
    // A known identifier is answered as before, in 3.1.1 too.
    let again = Publish { dup: true, ..publish("other", "first", Q2, 9) };
    let lines = talk(&mut world, "four", &[Packet::Publish(again)]).join(" ");
    assert!(lines.contains("PUBREC"), "{lines}");
    let lines = talk(&mut world, "four", &[pubrel(9)]).join(" ");
    assert!(lines.contains("PUBCOMP"), "{lines}");
    // What 3.1.1 has no word for ends the connection, without an acknowledgement.
    let lines = talk(&mut world, "four", &[say_publish("t", "x", Q1, 10)]).join(" ");
    assert!(!lines.contains("PUBACK") && world.raw("four").is_closed(), "{lines}");
    assert_eq!(world.stats().drops.store_full, 3);
    world.disk(DiskState::Room);
    let lines = talk(&mut world, "five", &[say_publish("t", "x", Q1, 5)]).join(" ");
    assert!(lines.contains("PUBACK") && !lines.contains("97"), "{lines}");
    check(&world);
}

#[test]
fn what_an_administrator_publishes_is_refused_as_anybodys_is() {
    let mut world = kept_world();
    world.disk(DiskState::Full);
    let publish = |qos, retain| AdminCommand::Publish {
        topic: "t".into(),
        payload: b"x".to_vec(),
        qos,
        retain,
    };
    for (qos, retain, refused) in [(Q0, false, false), (Q0, true, true), (Q1, false, true)] {
        let reply = world.admin(publish(qos, retain));
        let is_refused = matches!(reply, Some(AdminReply::Refused(AdminRefusal::StoreFull)));
        assert_eq!(is_refused, refused, "{qos:?} {retain}: {reply:?}");
    }
    check(&world);
}

#[test]
fn new_sessions_wills_and_subscriptions_are_refused() {
    let mut world = kept_world();
    world.disk(DiskState::Full);
    let lines = talk(&mut world, "five", &[subscribe(2, &[("u", Q1)])]).join(" ");
    assert!(lines.contains("SUBACK") && lines.contains("97"), "{lines}");
    let lines = enter(&mut world, "new", connect("new", V5, Some(10))).join(" ");
    assert!(lines.contains("CONNACK") && lines.contains("97"), "{lines}");
    let mut with_will = connect("will", V5, None);
    with_will.will = Some(will("w", 0));
    let lines = enter(&mut world, "will", with_will).join(" ");
    assert!(lines.contains("97"), "{lines}");
    let lines = come_back(&mut world, "five", connect("five", V5, Some(1000))).join(" ");
    assert!(lines.contains("CONNACK") && !lines.contains("97"), "{lines}");
    let lines = enter(&mut world, "clean", connect("clean", V5, None)).join(" ");
    assert!(lines.contains("CONNACK") && !lines.contains("97"), "{lines}");
    check(&world);
}
