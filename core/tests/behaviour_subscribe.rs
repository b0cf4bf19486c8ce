//! Subscriptions (MQTT 5.0 §3.8 to §3.11, §3.3.4, §4.7): codes filter by filter, overlapping ones,
//! No Local, `$`-topics, and what an UNSUBSCRIBE ends.

mod sim_support;

use halyard_core::packet::{ReasonCode, SubscriptionOptions};
use halyard_core::sim::World;
use sim_support::*;

#[test]
fn each_filter_gets_a_code_of_its_own() {
    let mut world = world_with(|broker| broker.max_subscriptions_per_client = 3);
    enter(&mut world, "s", connect("s", V5, None));
    let packet = subscribe(5, &[("a", Q0), ("b/#/c", Q1), ("c", Q2), ("$share/g", Q1), ("d", Q1)]);
    assert_eq!(talk(&mut world, "s", &[packet]), ["SUBACK 5 00 8F 02 8F 01"]);
    assert_eq!(talk(&mut world, "s", &[subscribe(6, &[("e", Q0), ("a", Q2)])]), ["SUBACK 6 97 02"]);
    assert_eq!(world.stats().subscriptions, 3);
}

#[test]
fn a_listener_bounds_the_granted_qos() {
    let mut world = world_of(|config| config.listeners[0].max_qos = 1);
    enter(&mut world, "s", connect("s", V5, None));
    assert_eq!(talk(&mut world, "s", &[subscribe(1, &[("a", Q2), ("b", Q0)])]), ["SUBACK 1 01 00"]);
}

#[test]
fn overlapping_subscriptions_give_one_delivery_with_the_highest_qos_and_all_identifiers() {
    let mut world = World::new(1);
    let with = SubscriptionOptions::new;
    world
        .client("s")
        .connect()
        .subscribe_with("t/+", with(Q0), Some(30))
        .subscribe_with("t/1", with(Q1), Some(10))
        .subscribe_with("#", with(Q0), None)
        .subscribe_with("t/#", with(Q2), Some(20));
    world.client("old").version(V4).connect().subscribe_qos("t/+", Q0).subscribe_qos("t/1", Q1);
    world.run_until_idle();
    world.client("p").connect().publish("t/1", "x", Q2);
    world.run_until_idle();
    let got = world.client("s").take_received();
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].qos, got[0].subscription_ids.as_slice()), (Q2, &[10, 20, 30][..]));
    let got = world.client("old").take_received();
    assert_eq!((got.len(), got[0].qos), (1, Q1));
    check(&world);
}

#[test]
fn no_local_spares_the_publisher_alone() {
    let mut world = World::new(2);
    let mute = SubscriptionOptions { no_local: true, ..SubscriptionOptions::new(Q1) };
    for name in ["a", "b"] {
        world.client(name).connect().subscribe_with("t", mute, None);
    }
    world.run_until_idle();
    world.client("a").publish("t", "x", Q1);
    world.run_until_idle();
    assert_eq!(world.client("a").take_lines(), [] as [&str; 0]);
    assert_eq!(world.client("b").take_lines(), ["t x"]);
    // A subscription without No Local beside it still counts.
    world.client("a").subscribe_qos("#", Q0).publish("t", "y", Q1);
    world.run_until_idle();
    assert_eq!(world.client("a").take_lines(), ["t y"]);
    check(&world);
}

#[test]
fn a_repeated_subscription_replaces_the_old_one() {
    let mut world = World::new(3);
    let with = SubscriptionOptions::new;
    world.client("s").connect().subscribe_with("t", with(Q2), Some(1)).subscribe_with(
        "t",
        with(Q0),
        Some(2),
    );
    world.run_until_idle();
    world.client("p").connect().publish("t", "x", Q2);
    world.run_until_idle();
    let got = world.client("s").take_received();
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].qos, got[0].subscription_ids.as_slice()), (Q0, &[2][..]));
    assert_eq!(world.stats().subscriptions, 1);
}

#[test]
fn topics_of_the_server_are_not_matched_by_a_leading_wildcard() {
    let mut world = world_with(|broker| broker.sys_interval_secs = 1);
    world.client("all").connect().subscribe("#").subscribe("+/broker/version");
    world.client("sys").connect().subscribe("$SYS/broker/version");
    world.run_for_ms(3_000);
    assert_eq!(world.client("all").take_lines(), [] as [&str; 0]);
    assert_eq!(world.client("sys").take_lines().len(), 1);
    // Nobody else may publish there.
    enter(&mut world, "p", connect("p", V5, None));
    let said = talk(&mut world, "p", &[say_publish("$SYS/broker/version", "mine", Q1, 1)]);
    assert_eq!(said, ["PUBACK 1 0x87"]);
}

#[test]
fn the_wildcard_includes_the_parent() {
    let mut world = World::new(4);
    world.client("s").connect().subscribe("sensors/#");
    world.run_until_idle();
    world.client("p").connect().publish("sensors", "x", Q0).publish("sensors/", "y", Q0);
    world.client("p").publish("sensor", "z", Q0);
    world.run_until_idle();
    assert_eq!(world.client("s").take_lines(), ["sensors x", "sensors/ y"]);
}

#[test]
fn nothing_published_after_an_unsuback_is_delivered_but_what_was_begun_is_completed() {
    let mut world = world_with(|broker| broker.max_inflight_messages = 1);
    enter(&mut world, "s", connect("s", V5, None));
    talk(&mut world, "s", &[subscribe(1, &[("t", Q2)])]);
    world.client("p").connect().publish("t", "1", Q2).publish("t", "2", Q1);
    world.run_until_idle();
    assert_eq!(world.raw("s").take(), ["PUBLISH t '1' q2 #1"]);
    let bye = halyard_core::packet::Unsubscribe {
        packet_id: id(2),
        user_properties: halyard_core::packet::UserProperties::EMPTY,
        filters: vec!["t", "never"],
    };
    let said = talk(&mut world, "s", &[halyard_core::packet::Packet::Unsubscribe(bye)]);
    assert_eq!(said, ["UNSUBACK 2 00 11"]);
    world.client("p").publish("t", "3", Q1);
    world.run_until_idle();
    assert_eq!(world.raw("s").take(), [] as [&str; 0]);
    assert_eq!(talk(&mut world, "s", &[pubrec(1)]), ["PUBREL 1"]);
    assert_eq!(talk(&mut world, "s", &[pubcomp(1)]), ["PUBLISH t '2' q1 #2"]);
    assert_eq!(talk(&mut world, "s", &[puback(2)]), [] as [&str; 0]);
    check(&world);
}

#[test]
fn a_publisher_learns_that_nobody_listens() {
    let mut world = World::new(5);
    enter(&mut world, "p", connect("p", V5, None));
    assert_eq!(talk(&mut world, "p", &[say_publish("t", "x", Q1, 1)]), ["PUBACK 1 0x10"]);
    world.client("s").connect().subscribe("t");
    world.run_until_idle();
    assert_eq!(talk(&mut world, "p", &[say_publish("t", "x", Q1, 2)]), ["PUBACK 2"]);
}

#[test]
fn an_invalid_filter_of_a_3_1_1_client_ends_its_connection_alone() {
    let mut world = World::new(6);
    world.client("other").connect();
    enter(&mut world, "s", connect("s", V4, None));
    assert_eq!(talk(&mut world, "s", &[subscribe(1, &[("a/#/b", Q0)])]), [] as [&str; 0]);
    assert!(world.raw("s").is_closed());
    assert!(world.client("other").is_connected());
}

#[test]
fn a_request_gets_its_response() {
    let mut world = World::new(7);
    world.client("server").connect().subscribe("request");
    world.client("client").connect().subscribe("reply/client");
    world.run_until_idle();
    world.client("client").send(halyard_core::sim::Outgoing {
        topic: "request".into(),
        payload: b"?".to_vec(),
        response_topic: Some("reply/client".into()),
        correlation_data: Some(vec![1, 2, 3]),
        content_type: Some("text/plain".into()),
        ..Default::default()
    });
    world.run_until_idle();
    let request = world.client("server").take_received().remove(0);
    assert_eq!(request.content_type.as_deref(), Some("text/plain"));
    world.client("server").send(halyard_core::sim::Outgoing {
        topic: request.response_topic.unwrap_or_default(),
        payload: b"!".to_vec(),
        correlation_data: request.correlation_data,
        ..Default::default()
    });
    world.run_until_idle();
    let response = world.client("client").take_received().remove(0);
    assert_eq!(response.correlation_data, Some(vec![1, 2, 3]));
    assert_eq!(world.client("client").granted(), [vec![ReasonCode::GrantedQoS2]]);
}
