//! Flow and limits (MQTT 5.0 §4.9, §3.3.2.3.4, §3.1.2.11): Receive Maximum both ways, Topic Aliases
//! both ways, Maximum Packet Size, Message Expiry, queues and slow readers.

mod sim_support;

use core::num::NonZeroU16;
use halyard_core::packet::{Packet, QoS, ReasonCode};
use halyard_core::sim::{Conditions, Outgoing, World};
use sim_support::*;

#[test]
fn no_more_is_in_flight_than_the_client_allows() {
    let mut world = World::new(1);
    let mut hello = connect("s", V5, None);
    hello.properties.receive_maximum = Some(2);
    enter(&mut world, "s", hello);
    talk(&mut world, "s", &[subscribe(1, &[("t", Q2)])]);
    world.client("p").connect();
    for payload in ["1", "2", "3", "4"] {
        world.client("p").publish("t", payload, Q2);
    }
    world.run_until_idle();
    assert_eq!(world.raw("s").take(), ["PUBLISH t '1' q2 #1", "PUBLISH t '2' q2 #2"]);
    // PUBREC frees nothing, PUBCOMP does, and so does a PUBREC that refuses.
    assert_eq!(talk(&mut world, "s", &[pubrec(1)]), ["PUBREL 1"]);
    assert_eq!(talk(&mut world, "s", &[pubcomp(1)]), ["PUBLISH t '3' q2 #3"]);
    let no = halyard_core::packet::Ack::new(id(2), ReasonCode::UnspecifiedError);
    assert_eq!(talk(&mut world, "s", &[Packet::Pubrec(no)]), ["PUBLISH t '4' q2 #4"]);
    // QoS 0 does not count.
    world.client("p").publish("t", "5", Q0);
    world.run_until_idle();
    assert_eq!(world.raw("s").take(), ["PUBLISH t '5' q0"]);
    check(&world);
}

#[test]
fn a_client_over_our_receive_maximum_is_disconnected() {
    let mut world = world_with(|broker| broker.max_inflight_messages = 2);
    let hello = enter(&mut world, "p", connect("p", V5, None));
    assert_eq!(hello, ["CONNACK"]);
    let said = talk(
        &mut world,
        "p",
        &[say_publish("t", "1", Q2, 1), say_publish("t", "2", Q2, 2), say_publish("t", "1", Q2, 1)],
    );
    assert_eq!(said, ["PUBREC 1 0x10", "PUBREC 2 0x10", "PUBREC 1"]);
    assert_eq!(talk(&mut world, "p", &[say_publish("t", "3", Q2, 3)]), ["DISCONNECT 0x93"]);
    assert!(world.raw("p").is_closed());
    // 3.1.1 was told no maximum.
    enter(&mut world, "q", connect("q", V4, None));
    for number in 1..10 {
        let said = talk(&mut world, "q", &[say_publish("t", "x", Q2, number)]);
        assert_eq!(said, [format!("PUBREC {number}")]);
    }
}

#[test]
fn aliases_of_a_client_stand_for_topics() {
    let mut world = World::new(2);
    world.client("s").connect().subscribe("t/#");
    enter(&mut world, "p", connect("p", V5, None));
    let aliased = |topic: &'static str, alias, payload: &'static str| {
        let mut packet = publish(topic, payload, Q0, 0);
        packet.properties.topic_alias = NonZeroU16::new(alias);
        Packet::Publish(packet)
    };
    talk(
        &mut world,
        "p",
        &[aliased("t/1", 1, "a"), aliased("", 1, "b"), aliased("t/2", 1, "c"), aliased("", 1, "d")],
    );
    assert_eq!(world.client("s").take_lines(), ["t/1 a", "t/1 b", "t/2 c", "t/2 d"]);
    assert_eq!(talk(&mut world, "p", &[aliased("", 2, "x")]), ["DISCONNECT 0x82"]);
    // Aliases end with the connection.
    come_back(&mut world, "p", connect("p", V5, None));
    assert_eq!(talk(&mut world, "p", &[aliased("", 1, "x")]), ["DISCONNECT 0x82"]);
    come_back(&mut world, "p", connect("p", V5, None));
    assert_eq!(talk(&mut world, "p", &[aliased("t/1", 11, "x")]), ["DISCONNECT 0x94"]);
    assert_eq!(world.client("s").take_lines(), [] as [&str; 0]);
}

#[test]
fn the_broker_assigns_aliases_as_far_as_the_client_allows() {
    let mut world = World::new(3);
    let mut hello = connect("s", V5, None);
    hello.properties.topic_alias_maximum = Some(1);
    enter(&mut world, "s", hello);
    talk(&mut world, "s", &[subscribe(1, &[("t/#", Q0)])]);
    world.client("p").connect();
    world.run_until_idle();
    for (topic, payload) in [("t/1", "a"), ("t/1", "b"), ("t/2", "c"), ("t/1", "d")] {
        world.client("p").publish(topic, payload, Q0);
    }
    world.run_until_idle();
    assert_eq!(
        world.raw("s").take(),
        ["PUBLISH t/1~1 'a' q0", "PUBLISH ~1 'b' q0", "PUBLISH t/2 'c' q0", "PUBLISH ~1 'd' q0"]
    );
    world.client("none").connect().subscribe("t/#");
    world.run_until_idle();
    world.client("p").publish("t/1", "e", Q0);
    world.run_until_idle();
    assert_eq!(world.client("none").take_lines(), ["t/1 e"]);
}

#[test]
fn what_is_over_the_clients_maximum_packet_size_is_not_sent_and_counted() {
    let mut world = World::new(4);
    world
        .client("s")
        .with(|options| options.maximum_packet_size = Some(50))
        .session(600)
        .connect()
        .subscribe("t");
    world.client("p").connect();
    world.run_until_idle();
    let large = "x".repeat(60);
    world.client("p").publish("t", &large, Q2).publish("t", "small", Q1);
    world.run_until_idle();
    assert_eq!(world.client("s").take_lines(), ["t small"]);
    assert_eq!(world.stats().drops.too_large, 1);
    // In its absence nobody knows what it will allow; at its return it counts as completed.
    world.client("s").disconnect();
    world.run_until_idle();
    world.client("p").publish("t", &large, Q2).publish("t", "next", Q1);
    world.run_until_idle();
    world.client("s").connect();
    world.run_until_idle();
    assert_eq!(world.client("s").take_lines(), ["t next"]);
    assert_eq!(world.stats().drops.too_large, 2);
    check(&world);
}

#[test]
fn a_packet_over_our_maximum_ends_the_connection() {
    let mut world = world_with(|broker| broker.max_packet_size = 100);
    world.client("s").connect();
    world.run_until_idle();
    assert_eq!(world.client("s").server().maximum_packet_size, 100);
    enter(&mut world, "p", connect("p", V5, None));
    let large = "x".repeat(200);
    assert_eq!(talk(&mut world, "p", &[say_publish("t", &large, Q0, 0)]), ["DISCONNECT 0x95"]);
}

#[test]
fn message_expiry_counts_down_and_ends_what_waits() {
    let mut world = World::new(5);
    world.client("s").session(600).connect().subscribe("t");
    world.client("p").connect();
    world.run_until_idle();
    world.client("s").disconnect();
    world.run_until_idle();
    for (payload, seconds) in [("short", Some(5)), ("long", Some(60)), ("ever", None)] {
        world.client("p").send(Outgoing {
            topic: "t".into(),
            payload: payload.as_bytes().to_vec(),
            qos: QoS::AtLeastOnce,
            expiry: seconds,
            ..Outgoing::default()
        });
    }
    world.run_until_idle();
    world.run_for_ms(10_000);
    world.client("s").connect();
    world.run_until_idle();
    let got = world.client("s").take_received();
    let got: Vec<_> = got
        .iter()
        .map(|one| (String::from_utf8_lossy(&one.payload).into_owned(), one.expiry))
        .collect();
    assert_eq!(got, [("long".to_owned(), Some(50)), ("ever".to_owned(), None)]);
    assert_eq!(world.stats().drops.expired, 1);
}

#[test]
fn a_full_queue_drops_the_new_message_for_that_subscriber_alone() {
    let mut world = world_with(|broker| broker.max_queued_messages = 2);
    world.client("s").session(600).connect().subscribe("t");
    world.client("other").connect().subscribe("t");
    world.client("p").connect();
    world.run_until_idle();
    world.client("s").disconnect();
    world.run_until_idle();
    for payload in ["1", "2", "3", "4"] {
        world.client("p").publish("t", payload, Q1);
    }
    world.run_until_idle();
    assert_eq!(world.client("other").take_lines().len(), 4);
    assert_eq!(world.stats().drops.queue_full, 2);
    let reasons: Vec<_> = world.client("p").published().into_iter().map(|(_, r)| r).collect();
    assert_eq!(reasons, [ReasonCode::Success; 4]);
    world.client("s").connect();
    world.run_until_idle();
    assert_eq!(world.client("s").take_lines(), ["t 1", "t 2"]);
    check(&world);
}

#[test]
fn a_queue_is_bounded_in_bytes() {
    let mut world = world_with(|broker| broker.max_queued_bytes = 1_000);
    world.client("s").session(600).connect().subscribe("t");
    world.run_until_idle();
    world.client("s").disconnect();
    world.client("p").connect();
    world.run_until_idle();
    let payload = "x".repeat(300);
    for _ in 0..10 {
        world.client("p").publish("t", &payload, Q1);
    }
    world.run_until_idle();
    let dropped = world.stats().drops.queue_full;
    assert!((7..10).contains(&dropped), "{dropped}");
    check(&world);
}

#[test]
fn a_slow_reader_loses_qos_0_keeps_qos_1_and_holds_up_nobody() {
    let mut world = world_with(|broker| {
        broker.output_high_water = 2_000;
        broker.output_low_water = 500;
        broker.max_inflight_messages = 0;
        broker.max_queued_messages = 0;
    });
    world.set_conditions(Conditions { window_bytes: 1_000, ..Conditions::default() });
    world.client("slow").connect().subscribe("t");
    world.client("fast").connect().subscribe("t");
    world.client("p").with(|options| options.max_inflight = 1).connect();
    world.run_until_idle();
    world.client("slow").stall_ms(30_000);
    for number in 0..200 {
        world.client("p").publish("t", &format!("{number}{}", ".".repeat(100)), Q1);
        world.client("p").publish("t", "zero", Q0);
        world.run_for_ms(50);
    }
    assert_eq!(world.client("fast").take_lines().len(), 400);
    assert!(world.stats().drops.slow_consumer > 100, "{:?}", world.stats().drops);
    world.run_for_ms(40_000);
    let lines = world.client("slow").take_lines();
    let counted = lines.iter().filter(|line| !line.ends_with("zero")).count();
    assert_eq!(counted, 200);
    assert!(lines.len() < 300, "{}", lines.len());
    assert!(world.client("slow").is_connected());
    check(&world);
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let mut world = world_with(|broker| {
        broker.output_high_water = 2_000;
        broker.output_low_water = 500;
        broker.max_inflight_messages = 0;
    });
    world.set_conditions(Conditions { window_bytes: 1_000, ..Conditions::default() });
    enter(&mut world, "slow", connect("slow", V5, None));
    talk(&mut world, "slow", &[subscribe(1, &[("t", Q1)])]);
    world.raw("slow").stall_ms(1_000_000_000);
    world.client("p").connect();
    for number in 0..100 {
        world.client("p").publish("t", &format!("{number}{}", ".".repeat(100)), Q1);
    }
    world.run_for_ms(60_000);
    assert_eq!(world.stats().clients_connected, 2);
    world.run_for_ms(120_000);
    assert_eq!(world.stats().clients_connected, 1);
    assert_eq!(world.stats().slow_closed, 1);
}

#[test]
fn a_payload_over_the_limit_is_refused_and_the_connection_stays() {
    let mut world = world_with(|broker| broker.message_size_limit = 10);
    world.client("s").connect().subscribe("t");
    enter(&mut world, "p", connect("p", V5, None));
    let said = talk(
        &mut world,
        "p",
        &[
            say_publish("t", "0123456789", Q1, 1),
            say_publish("t", "0123456789A", Q1, 2),
            say_publish("t", "0123456789A", Q2, 3),
        ],
    );
    assert_eq!(said, ["PUBACK 1", "PUBACK 2 0x83", "PUBREC 3 0x83"]);
    // The refused exchange is over: its identifier is free.
    assert_eq!(talk(&mut world, "p", &[say_publish("t", "x", Q2, 3)]), ["PUBREC 3"]);
    assert_eq!(world.client("s").take_lines(), ["t 0123456789", "t x"]);
    assert_eq!(world.stats().drops.over_size_limit, 2);
}
