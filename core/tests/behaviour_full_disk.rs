//! A disk without room: what is new is refused in each version's words, what is known goes on.

mod sim_support;

use halyard_core::engine::{AdminCommand, AdminRefusal, AdminReply, DiskState};
use halyard_core::packet::{Connect, Packet, Publish};
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
    assert_eq!(world.stats().drops.store_full, 2);
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
fn a_publisher_of_3_1_1_is_not_read_until_there_is_room() {
    let mut world = kept_world();
    world.disk(DiskState::Full);
    // What is behind the PUBLISH waits with it, in order.
    let packets = [say_publish("t", "x", Q1, 10), Packet::Pingreq];
    let lines = talk(&mut world, "four", &packets).join(" ");
    assert_eq!(lines, "");
    let lines = talk(&mut world, "four", &[say_publish("t", "y", Q2, 11)]).join(" ");
    assert_eq!(lines, "");
    world.run_for_ms(100_000);
    assert!(!world.raw("four").is_closed());
    world.disk(DiskState::Room);
    let lines = talk(&mut world, "four", &[]).join(" ");
    let order = ["PUBACK", "PINGRESP", "PUBREC"].map(|packet| lines.find(packet).expect(&lines));
    assert!(order.is_sorted(), "{lines}");
    let lines = talk(&mut world, "four", &[Packet::Pingreq]).join(" ");
    assert!(lines.contains("PINGRESP"), "{lines}");
    assert_eq!(world.stats().drops.store_full, 0);
    check(&world);
}

#[test]
fn full_disk_timeout_ends_the_wait_of_a_publisher_of_3_1_1() {
    for secs in [0, 30] {
        let mut world = world_with(|broker| {
            broker.persistence = true;
            broker.full_disk_timeout_secs = secs;
        });
        enter(&mut world, "kept", connect("kept", V5, Some(100_000)));
        talk(&mut world, "kept", &[subscribe(1, &[("t", Q1)])]);
        enter(&mut world, "four", Connect { clean_start: true, ..connect("four", V4, None) });
        world.disk(DiskState::Full);
        talk(&mut world, "four", &[say_publish("t", "x", Q1, 10)]);
        world.run_for_ms(29_000);
        assert!(!world.raw("four").is_closed());
        world.run_for_ms(2_000);
        assert_eq!(world.raw("four").is_closed(), secs == 30, "full_disk_timeout {secs}");
        world.run_for_ms(1_000_000);
        assert_eq!(world.raw("four").is_closed(), secs == 30, "full_disk_timeout {secs}");
        check(&world);
    }
}

#[test]
fn a_publisher_of_3_1_1_that_has_waited_long_is_closed_unanswered() {
    let mut world = kept_world();
    world.disk(DiskState::Full);
    let lines = talk(&mut world, "four", &[say_publish("t", "x", Q1, 10)]).join(" ");
    assert_eq!(lines, "");
    world.run_for_ms(121_000);
    assert!(world.raw("four").is_closed());
    assert_eq!(world.stats().drops.store_full, 1);
    // And it does not come back to life.
    world.disk(DiskState::Room);
    assert_eq!(talk(&mut world, "five", &[]).join(" "), "");
    check(&world);
}

#[test]
fn what_leaves_no_trace_on_the_disk_is_taken() {
    let mut world = world_with(|broker| {
        broker.persistence = true;
        broker.queue_qos0_messages = true;
    });
    enter(&mut world, "kept", connect("kept", V5, Some(1000)));
    talk(&mut world, "kept", &[subscribe(1, &[("kept/#", Q1)])]);
    for (name, version) in [("five", V5), ("four", V4)] {
        enter(&mut world, name, Connect { clean_start: true, ..connect(name, version, None) });
        talk(&mut world, name, &[subscribe(1, &[("live", Q2)])]);
    }
    world.disk(DiskState::Full);
    for (name, qos) in [("five", Q1), ("five", Q2), ("four", Q1), ("four", Q2)] {
        let lines = talk(&mut world, name, &[say_publish("live", "x", qos, 5)]).join(" ");
        let answered = lines.contains("PUBACK") || lines.contains("PUBREC");
        assert!(answered && !lines.contains("97"), "{name} {qos:?}: {lines}");
        talk(&mut world, name, &[pubrel(5)]);
    }
    let lines = talk(&mut world, "five", &[say_publish("kept/1", "x", Q1, 6)]).join(" ");
    assert!(lines.contains("97"), "{lines}");
    // QoS 0 waits for nobody now.
    world.raw("kept").close();
    world.run_until_idle();
    talk(&mut world, "five", &[say_publish("kept/1", "x", Q0, 0)]);
    assert_eq!(world.stats().drops.offline, 1);
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
