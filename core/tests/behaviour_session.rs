//! Sessions (MQTT 5.0 §4.1, §3.1.2.4, §3.1.2.11): what is kept, for how long, and who gets it.

mod sim_support;

use halyard_core::client::CleanStart;
use halyard_core::engine::AdminCommand;
use halyard_core::packet::{Packet, ReasonCode};
use halyard_core::sim::World;
use sim_support::*;

#[test]
fn a_session_ends_when_its_interval_has_run_out() {
    let mut world = World::new(1);
    world.client("s").session(5).connect().subscribe("t");
    world.run_until_idle();
    world.client("s").disconnect();
    world.run_for_ms(4_000);
    world.client("s").connect();
    world.run_until_idle();
    world.client("s").disconnect();
    world.run_for_ms(6_000);
    assert_eq!(world.stats().clients_total, 0);
    world.client("s").connect();
    world.run_until_idle();
    assert_eq!(world.client("s").connects(), [false, true, false]);
    check(&world);
}

#[test]
fn disconnect_may_change_the_interval_but_not_from_zero() {
    let mut world = World::new(2);
    world.client("s").session(5).connect();
    world.run_until_idle();
    world.client("s").disconnect_with(ReasonCode::Success, Some(60));
    world.run_for_ms(30_000);
    assert_eq!(world.stats().clients_total, 1);
    world.run_for_ms(31_000);
    assert_eq!(world.stats().clients_total, 0);

    enter(&mut world, "x", connect("x", V5, None));
    let packet = halyard_core::packet::Disconnect {
        session_expiry_interval: Some(60),
        ..halyard_core::packet::Disconnect::new(ReasonCode::Success)
    };
    assert_eq!(talk(&mut world, "x", &[Packet::Disconnect(packet)]), ["DISCONNECT 0x82"]);
    assert!(world.raw("x").is_closed());
}

#[test]
fn clean_start_ends_the_session_of_before() {
    for version in [V3, V4, V5] {
        let mut world = World::new(3);
        world.client("s").version(version).session(600).connect().subscribe("t");
        world.run_until_idle();
        world.client("s").disconnect();
        world.client("p").connect().publish("t", "x", Q1);
        world.run_until_idle();
        world.client("s").with(|options| options.clean_start = CleanStart::Always).connect();
        world.run_until_idle();
        assert_eq!(world.client("s").take_lines(), [] as [&str; 0]);
        assert_eq!(world.client("s").connects(), [false, false]);
        assert_eq!(world.stats().subscriptions, 0);
    }
}

#[test]
fn a_second_connection_takes_the_session_over() {
    let mut world = World::new(4);
    assert_eq!(enter(&mut world, "one", connect("x", V5, Some(60))), ["CONNACK"]);
    talk(&mut world, "one", &[subscribe(1, &[("t", Q1)])]);
    assert_eq!(enter(&mut world, "two", connect("x", V5, Some(60))), ["CONNACK present"]);
    assert_eq!(world.raw("one").take(), ["DISCONNECT 0x8E"]);
    assert!(world.raw("one").is_closed());
    world.client("p").connect().publish("t", "x", Q1);
    world.run_until_idle();
    assert_eq!(world.raw("two").take(), ["PUBLISH t 'x' q1 #1"]);
    // 3.1.1 has no word for it.
    assert_eq!(enter(&mut world, "three", connect("y", V4, None)), ["CONNACK"]);
    assert_eq!(enter(&mut world, "four", connect("y", V4, None)), ["CONNACK"]);
    assert_eq!(world.raw("three").take(), [] as [&str; 0]);
    assert!(world.raw("three").is_closed());
    assert_eq!(world.stats().takeovers, 2);
    check(&world);
}

#[test]
fn a_session_of_3_1_1_is_kept_for_good_or_as_configured() {
    let mut world = World::new(5);
    world.client("s").version(V4).session(0).connect().subscribe("t");
    world.run_until_idle();
    world.client("s").disconnect();
    world.run_for_ms(1_000_000_000);
    assert_eq!(world.stats().clients_total, 1);

    let mut world = world_with(|broker| broker.persistent_client_expiration_secs = Some(60));
    world.client("s").version(V4).session(0).connect().subscribe("t");
    world.run_until_idle();
    world.client("s").disconnect();
    world.run_for_ms(59_000);
    assert_eq!(world.stats().clients_total, 1);
    world.run_for_ms(2_000);
    assert_eq!(world.stats().clients_total, 0);
}

#[test]
fn an_empty_client_identifier_gets_one() {
    let mut world = World::new(6);
    for name in ["a", "b"] {
        world.client(name).with(|options| options.client_id.clear()).connect();
    }
    world.run_until_idle();
    let (a, b) = (world.client("a").assigned_id(), world.client("b").assigned_id());
    assert!(a.as_deref().is_some_and(|id| id.starts_with("auto-")), "{a:?}");
    assert_ne!(a, b);
    // 3.1.1: only with Clean Session.
    assert_eq!(enter(&mut world, "x", connect("", V4, None)), ["CONNACK"]);
    assert_eq!(enter(&mut world, "y", connect("", V4, Some(0))), ["CONNACK 0x85"]);
}

#[test]
fn the_administrator_disconnects_a_client_and_stops_the_server() {
    let mut world = World::new(7);
    world.client("a").connect();
    world.client("b").connect();
    world.run_until_idle();
    world.admin(AdminCommand::Disconnect { client_id: "a".into() });
    world.run_until_idle();
    assert_eq!(world.client("a").disconnect_reason(), Some(ReasonCode::AdministrativeAction));
    assert!(world.client("b").is_connected());
    world.admin(AdminCommand::Shutdown);
    world.run_until_idle();
    assert_eq!(world.client("b").disconnect_reason(), Some(ReasonCode::ServerShuttingDown));
}

#[test]
fn a_broker_without_a_store_forgets_sessions_at_a_restart() {
    let mut world = World::new(8);
    world.client("s").session(600).connect().subscribe("t");
    world.run_until_idle();
    world.restart_broker();
    world.run_for_ms(1_000);
    world.client("s").connect();
    world.run_until_idle();
    assert_eq!(world.client("s").connects(), [false, false]);
}

#[test]
fn the_server_shortens_a_keep_alive() {
    let mut world = world_with(|broker| broker.max_keepalive = 30);
    world.client("s").with(|options| options.keep_alive = 600).connect();
    world.run_until_idle();
    assert_eq!(world.client("s").server().keep_alive, 30);
    // 3.1.1 cannot be told.
    let mut packet = connect("x", V4, None);
    packet.keep_alive = 600;
    assert_eq!(enter(&mut world, "x", packet), ["CONNACK 0x85"]);
}

#[test]
fn silence_of_one_and_a_half_keep_alives_ends_a_connection() {
    let mut world = World::new(9);
    let mut packet = connect("x", V5, None);
    packet.keep_alive = 10;
    enter(&mut world, "x", packet);
    world.run_for_ms(14_900);
    assert!(!world.raw("x").is_closed());
    assert_eq!(talk(&mut world, "x", &[Packet::Pingreq]), ["PINGRESP"]);
    world.run_for_ms(14_900);
    assert_eq!(world.raw("x").take(), [] as [&str; 0]);
    world.run_for_ms(200);
    assert_eq!(world.raw("x").take(), ["DISCONNECT 0x8D"]);
    assert!(world.raw("x").is_closed());
    assert_eq!(world.stats().keep_alive_timeouts, 1);
}

#[test]
fn a_half_open_peer_is_found_out_by_the_keep_alive() {
    let mut world = World::new(10);
    world.client("s").with(|options| options.keep_alive = 10).connect();
    world.run_until_idle();
    let never =
        halyard_core::sim::Cut { after_bytes: 0, client_learns_us: None, server_learns_us: None };
    world.cut("s", never);
    world.run_for_ms(14_000);
    assert_eq!(world.stats().clients_connected, 1);
    world.run_for_ms(25_000);
    assert_eq!(world.stats().clients_connected, 0);
    assert!(!world.client("s").is_connected());
    check(&world);
}
