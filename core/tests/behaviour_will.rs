//! Wills (MQTT 5.0 §3.1.2.5, §3.1.3.2.2): published once, when the connection ends in any way but
//! DISCONNECT 0x00; delayed, cancelled or with the session, whichever the standard says.

mod sim_support;

use halyard_core::packet::ReasonCode;
use halyard_core::sim::{Cut, World};
use sim_support::*;

fn watched(seed: u64) -> World {
    let mut world = World::new(seed);
    world.client("w").connect().subscribe("will/#");
    world.run_until_idle();
    world
}

#[test]
fn a_broken_connection_publishes_the_will() {
    for version in [V3, V4, V5] {
        let mut world = watched(1);
        world.client("s").version(version).will("will/s", "gone", None).connect();
        world.run_until_idle();
        world.cut_link("s", 0);
        world.run_until_idle();
        assert_eq!(world.client("w").take_lines(), ["will/s gone"], "{version}");
        check(&world);
    }
}

#[test]
fn disconnect_forgets_the_will_unless_it_asks_for_it() {
    let mut world = watched(2);
    world.client("s").will("will/s", "gone", None).connect();
    world.run_until_idle();
    world.client("s").disconnect();
    world.run_until_idle();
    assert_eq!(world.client("w").take_lines(), [] as [&str; 0]);
    world.client("s").connect();
    world.run_until_idle();
    world.client("s").disconnect_with(ReasonCode::DisconnectWithWill, None);
    world.run_until_idle();
    assert_eq!(world.client("w").take_lines(), ["will/s gone"]);
    check(&world);
}

#[test]
fn a_delayed_will_waits_and_a_return_cancels_it() {
    let mut world = watched(3);
    world.client("s").session(600).will("will/s", "gone", Some(10)).connect();
    world.run_until_idle();
    world.client("s").drop_connection();
    world.run_for_ms(9_000);
    assert_eq!(world.client("w").take_lines(), [] as [&str; 0]);
    world.client("s").connect();
    world.run_for_ms(30_000);
    assert_eq!(world.client("w").take_lines(), [] as [&str; 0]);
    world.client("s").drop_connection();
    world.run_for_ms(9_000);
    assert_eq!(world.client("w").take_lines(), [] as [&str; 0]);
    world.run_for_ms(2_000);
    assert_eq!(world.client("w").take_lines(), ["will/s gone"]);
    world.run_for_ms(700_000);
    assert_eq!(world.client("w").take_lines(), [] as [&str; 0], "once");
    check(&world);
}

#[test]
fn the_end_of_the_session_publishes_a_delayed_will() {
    let mut world = watched(4);
    world.client("s").session(5).will("will/s", "gone", Some(60)).connect();
    world.run_until_idle();
    world.client("s").drop_connection();
    world.run_for_ms(4_000);
    assert_eq!(world.client("w").take_lines(), [] as [&str; 0]);
    world.run_for_ms(2_000);
    assert_eq!(world.client("w").take_lines(), ["will/s gone"]);
    // And so does a new session in its place.
    world.client("s").session(600).connect();
    world.run_until_idle();
    world.client("s").drop_connection();
    world.run_until_idle();
    enter(&mut world, "x", connect("s", V5, None));
    assert_eq!(world.client("w").take_lines(), ["will/s gone"]);
    check(&world);
}

#[test]
fn a_takeover_publishes_the_will_without_delay_but_cancels_a_delayed_one() {
    for (delay, expected) in [(0, vec!["will/s gone"]), (10, vec![])] {
        let mut world = watched(5);
        let mut first = connect("s", V5, Some(600));
        first.will = Some(will("will/s", delay));
        enter(&mut world, "one", first);
        enter(&mut world, "two", connect("s", V5, Some(600)));
        world.run_for_ms(30_000);
        assert_eq!(world.client("w").take_lines(), expected, "delay {delay}");
        check(&world);
    }
}

#[test]
fn silence_publishes_the_will() {
    let mut world = watched(6);
    world
        .client("s")
        .will("will/s", "gone", None)
        .with(|options| options.keep_alive = 10)
        .connect();
    world.run_until_idle();
    world.cut("s", Cut { after_bytes: 0, client_learns_us: None, server_learns_us: None });
    world.run_for_ms(12_000);
    assert_eq!(world.client("w").take_lines(), [] as [&str; 0]);
    world.run_for_ms(5_000);
    assert_eq!(world.client("w").take_lines(), ["will/s gone"]);
    check(&world);
}

#[test]
fn a_retained_will_stays() {
    let mut world = watched(7);
    world
        .client("s")
        .will("will/s", "gone", None)
        .with(|options| {
            if let Some(will) = &mut options.will {
                will.retain = true;
            }
        })
        .connect();
    world.run_until_idle();
    world.cut_link("s", 0);
    world.run_until_idle();
    world.client("late").connect().subscribe("will/s");
    world.run_until_idle();
    let got = world.client("late").take_received();
    assert_eq!((got.len(), got[0].retain), (1, true));
}

#[test]
fn a_server_that_stops_publishes_wills_first() {
    let mut world = watched(8);
    world.client("s").session(600).will("will/s", "gone", Some(60)).connect();
    world.run_until_idle();
    world.admin(halyard_core::engine::AdminCommand::Shutdown);
    world.run_until_idle();
    assert_eq!(world.client("w").take_lines(), ["will/s gone"]);
    assert_eq!(world.client("w").disconnect_reason(), Some(ReasonCode::ServerShuttingDown));
}
