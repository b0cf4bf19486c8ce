//! Retained messages (MQTT 5.0 §3.3.1.3, §3.8.3.1): what a new or repeated subscription gets, in
//! which form, and when a retained message ends.

mod sim_support;

use halyard_core::packet::{QoS, RetainHandling, SubscriptionOptions};
use halyard_core::sim::{Outgoing, World};
use sim_support::*;

fn options(qos: QoS, handling: RetainHandling) -> SubscriptionOptions {
    SubscriptionOptions { retain_handling: handling, ..SubscriptionOptions::new(qos) }
}

#[test]
fn a_retained_message_has_retain_the_lower_qos_and_the_subscription_identifier() {
    let mut world = World::new(1);
    world.client("p").connect().retain("t/1", "x");
    world.run_until_idle();
    for (granted, expected) in [(Q0, Q0), (Q1, Q1), (Q2, Q1)] {
        let name = format!("s{granted}");
        let with = SubscriptionOptions::new(granted);
        world.client(&name).connect().subscribe_with("t/+", with, Some(77));
        world.run_until_idle();
        let received = world.client(&name).take_received();
        assert_eq!(received.len(), 1);
        assert!(received[0].retain);
        assert_eq!(received[0].qos, expected);
        assert_eq!(received[0].subscription_ids, [77]);
    }
}

#[test]
fn a_live_message_has_retain_only_where_it_is_asked_for_as_published() {
    let mut world = World::new(2);
    let as_published =
        SubscriptionOptions { retain_as_published: true, ..SubscriptionOptions::new(Q1) };
    world.client("a").connect().subscribe("t/1");
    world.client("b").connect().subscribe_with("t/1", as_published, None);
    world.run_until_idle();
    world.client("p").connect().retain("t/1", "x").publish("t/1", "y", Q1);
    world.run_until_idle();
    let flags = |received: Vec<halyard_core::sim::Received>| -> Vec<bool> {
        received.iter().map(|message| message.retain).collect()
    };
    assert_eq!(flags(world.client("a").take_received()), [false, false]);
    assert_eq!(flags(world.client("b").take_received()), [true, false]);
}

#[test]
fn retain_handling_decides_on_a_resumed_session() {
    let mut world = World::new(3);
    world.client("p").connect().retain("t/1", "x");
    world.run_until_idle();
    for (handling, first, again) in [
        (RetainHandling::SendAtSubscribe, 1, 1),
        (RetainHandling::SendIfNew, 1, 0),
        (RetainHandling::DoNotSend, 0, 0),
    ] {
        let name = format!("s{}", handling as u8);
        let with = options(Q1, handling);
        world.client(&name).session(600).connect().subscribe_with("t/1", with, None);
        world.run_until_idle();
        assert_eq!(world.client(&name).take_lines().len(), first, "{handling:?} at first");
        // On the same connection, and on the next.
        for round in 0..2 {
            world.client(&name).subscribe_with("t/1", with, None);
            world.run_until_idle();
            let got = world.client(&name).take_lines().len();
            assert_eq!(got, again, "{handling:?} again, round {round}");
            world.client(&name).drop_connection().connect();
            world.run_until_idle();
            assert_eq!(world.client(&name).take_lines().len(), 0, "no SUBSCRIBE, nothing");
        }
        assert_eq!(world.client(&name).connects(), [false, true, true]);
        // After an UNSUBSCRIBE it is a new one.
        world.client(&name).unsubscribe("t/1").subscribe_with("t/1", with, None);
        world.run_until_idle();
        assert_eq!(world.client(&name).take_lines().len(), first, "{handling:?} anew");
    }
}

#[test]
fn the_last_message_is_kept_and_an_empty_one_clears() {
    let mut world = World::new(4);
    world.client("s").connect().subscribe("t/1");
    world.run_until_idle();
    world.client("p").connect().retain("t/1", "old").retain("t/1", "new");
    world.run_until_idle();
    world.client("a").connect().subscribe("#");
    world.run_until_idle();
    assert_eq!(world.client("a").take_lines(), ["t/1 new"]);
    world.client("p").retain("t/1", "");
    world.run_until_idle();
    // The clearing message goes to subscribers like any other.
    assert_eq!(world.client("s").take_lines(), ["t/1 old", "t/1 new", "t/1 "]);
    world.client("b").connect().subscribe("#");
    world.run_until_idle();
    assert_eq!(world.client("b").take_lines(), [] as [&str; 0]);
    assert_eq!(world.stats().retained, 0);
}

#[test]
fn a_retained_message_expires_and_tells_what_is_left() {
    let mut world = World::new(5);
    world.client("p").connect().send(Outgoing {
        topic: "t/1".into(),
        payload: b"x".to_vec(),
        retain: true,
        expiry: Some(10),
        ..Outgoing::default()
    });
    world.run_until_idle();
    world.run_for_ms(4_000);
    world.client("a").connect().subscribe("t/1");
    world.run_until_idle();
    assert_eq!(world.client("a").take_received()[0].expiry, Some(6));
    world.run_for_ms(7_000);
    world.client("b").connect().subscribe("t/1");
    world.run_until_idle();
    assert_eq!(world.client("b").take_lines(), [] as [&str; 0]);
    assert_eq!(world.stats().retained, 0);
}

#[test]
fn all_retained_messages_come_however_small_the_turn() {
    let mut world = world_with(|broker| {
        broker.turn_budget_bytes = 100;
        broker.max_inflight_messages = 3;
    });
    world.client("p").connect();
    for number in 0..200 {
        world.client("p").retain(&format!("t/{number}"), "x");
    }
    world.run_until_idle();
    world.client("s").connect().subscribe("t/+");
    world.run_until_idle();
    let mut got = world.client("s").take_lines();
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 200);
    check(&world);
}

#[test]
fn a_shared_subscription_gets_no_retained_messages() {
    let mut world = World::new(6);
    world.client("p").connect().retain("t/1", "x");
    world.run_until_idle();
    world.client("s").connect().subscribe("$share/g/t/1");
    world.run_until_idle();
    assert_eq!(world.client("s").take_lines(), [] as [&str; 0]);
}
