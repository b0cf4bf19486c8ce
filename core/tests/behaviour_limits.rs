//! Limits on one client or user: rates, takeovers, sessions. Each refusal has its counter.

mod support;

use halyard_core::conf::BrokerConfig;
use halyard_core::packet::{Packet, QoS, Version};
use support::{Net, Raw, connect, publish};

const V4: Version = Version::V4;
const V5: Version = Version::V5;

fn with(change: impl FnOnce(&mut BrokerConfig)) -> Net {
    let mut broker = BrokerConfig::default();
    change(&mut broker);
    Net::with(1, broker)
}

fn hello(net: &mut Net, name: &str, user: Option<&str>, session: u32) -> (Raw, String) {
    let raw = net.open(0, V5);
    let mut connect = connect(name, V5);
    connect.username = user;
    connect.clean_start = false;
    connect.properties.session_expiry_interval = Some(session);
    net.send(raw, &Packet::Connect(connect));
    let answer = net.read(raw).remove(0);
    (raw, answer)
}

#[test]
fn who_sends_more_than_his_rate_is_not_read_for_a_while_and_loses_nothing() {
    let mut net = with(|broker| broker.max_message_rate = 10);
    let raw = net.open(0, V5);
    let mut hello = connect("fast", V5);
    hello.keep_alive = 2;
    net.send(raw, &Packet::Connect(hello));
    net.read(raw);
    let other = net.client(0, "other", V5);
    // CONNECT was the first of ten.
    net.send_bytes(raw, &[0xC0, 0].repeat(9));
    assert!(net.paused.is_empty());
    net.send_bytes(raw, &[0xC0, 0].repeat(50));
    assert_eq!(net.paused, [raw.conn.0]);
    assert_eq!(net.read(raw).len(), 59);
    assert_eq!(net.stats()[0].throttled, 1);
    // Its Keep Alive of two seconds rests meanwhile, and nobody else is concerned.
    net.pass(4);
    assert_eq!(net.paused, [raw.conn.0]);
    net.send_bytes(other, &[0xC0, 0]);
    assert_eq!(net.read(other), ["pingresp"]);
    net.pass(1);
    assert!(net.paused.is_empty(), "50 over, at 10 a second");
    assert!(!net.closed.contains_key(&raw.conn.0));
    net.send_bytes(raw, &[0xC0, 0]);
    assert_eq!(net.read(raw), ["pingresp"]);
    // Then it counts again.
    net.pass(4);
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn acknowledgements_are_no_messages_but_their_bytes_count() {
    let mut net = with(|broker| {
        broker.max_message_rate = 1;
        broker.max_byte_rate = 1_000;
    });
    let raw = net.client(0, "acks", V5);
    for _ in 0..50 {
        net.send_bytes(raw, &[0x70, 2, 0, 9]);
    }
    assert!(net.paused.is_empty());
    let body = vec![0; 2_000];
    net.send(raw, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, &body)));
    assert_eq!(net.paused, [raw.conn.0]);
    net.pass(2);
    assert!(net.paused.is_empty());
    assert_eq!(net.stats()[0].acks_received, 50);
}

#[test]
fn who_is_blocked_and_too_fast_is_read_again_when_both_are_over() {
    let mut net = with(|broker| broker.max_message_rate = 10);
    let raw = net.client(0, "both", V5);
    net.water(raw, true);
    net.send_bytes(raw, &[0xC0, 0].repeat(29));
    net.pass(5);
    assert_eq!(net.paused, [raw.conn.0], "still blocked");
    net.water(raw, false);
    assert!(net.paused.is_empty());
    net.send_bytes(raw, &[0xC0, 0].repeat(30));
    net.water(raw, true);
    net.water(raw, false);
    assert_eq!(net.paused, [raw.conn.0], "still too fast");
    net.pass(3);
    assert!(net.paused.is_empty());
}

#[test]
fn a_rate_does_not_move_the_deadline_of_connect() {
    let mut net = with(|broker| broker.max_byte_rate = 1);
    let raw = net.open(0, V5);
    net.send_bytes(raw, &[0x10, 100, 0, 4, b'M', b'Q', b'T', b'T', 5]);
    net.pass(9);
    net.send_bytes(raw, &[0; 5]);
    net.pass(2);
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn two_clients_of_one_name_do_not_chase_each_other_without_end() {
    let mut net = with(|broker| broker.max_takeover_rate = 3);
    net.client(0, "same", V5);
    for (version, answer) in [
        (V5, "connack 0x00"),
        (V5, "connack 0x00"),
        (V4, "connack 0x00"),
        (V5, "connack 0x9f"),
        (V4, "connack 0x88"),
    ] {
        let raw = net.open(0, version);
        net.send(raw, &Packet::Connect(connect("same", version)));
        assert_eq!(net.read(raw), [answer]);
    }
    let stats = &net.stats()[0];
    assert_eq!((stats.takeovers, stats.takeovers_refused, stats.clients_connected), (3, 2, 1));
    // Others are let in, and in the next second it, too.
    net.client(0, "else", V5);
    net.pass(1);
    net.client(0, "same", V5);
}

#[test]
fn a_user_has_no_more_sessions_than_he_may() {
    let mut net = with(|broker| broker.max_sessions_per_user = 2);
    let (_, first) = hello(&mut net, "a", Some("ann"), 600);
    let (second, answer) = hello(&mut net, "b", Some("ann"), 0);
    assert_eq!([first.as_str(), &answer], ["connack 0x00"; 2]);
    assert_eq!(hello(&mut net, "c", Some("ann"), 600).1, "connack 0x97");
    // His own sessions he may resume, others have their own count, strangers none.
    assert_eq!(hello(&mut net, "a", Some("ann"), 600).1, "connack 0x00 present");
    assert_eq!(hello(&mut net, "d", Some("bob"), 600).1, "connack 0x00");
    assert_eq!(hello(&mut net, "e", None, 600).1, "connack 0x00");
    assert_eq!(net.stats()[0].user_sessions_refused, 1);
    net.drop_connection(second);
    assert_eq!(hello(&mut net, "c", Some("ann"), 600).1, "connack 0x00");
    assert_eq!(hello(&mut net, "f", Some("ann"), 600).1, "connack 0x97");
}

#[test]
fn a_limit_on_sessions_that_comes_later_counts_those_there_are() {
    let mut net = with(|_| {});
    for name in ["a", "b", "c"] {
        hello(&mut net, name, Some("ann"), 600);
    }
    let mut config = (*net.config(0)).clone();
    config.broker.max_sessions_per_user = 4;
    net.reconfigure(config);
    assert_eq!(hello(&mut net, "d", Some("ann"), 600).1, "connack 0x00");
    assert_eq!(hello(&mut net, "e", Some("ann"), 600).1, "connack 0x97");
}

#[test]
fn rates_and_counts_outlive_a_snapshot() {
    let mut net = with(|broker| {
        broker.max_message_rate = 10;
        broker.max_sessions_per_user = 1;
        broker.max_takeover_rate = 1;
    });
    let (raw, _) = hello(&mut net, "a", Some("ann"), 600);
    net.send_bytes(raw, &[0xC0, 0].repeat(39));
    let saved = net.engines[0].snapshot();
    let config = net.config(0);
    net.engines[0] = halyard_core::engine::Engine::restore(config, &saved, ()).unwrap();
    assert_eq!(net.engines[0].snapshot(), saved);
    net.pass(2);
    assert_eq!(net.paused, [raw.conn.0]);
    net.pass(1);
    assert!(net.paused.is_empty());
    assert_eq!(hello(&mut net, "b", Some("ann"), 600).1, "connack 0x97");
}

#[test]
fn output_timeout_ends_who_does_not_read() {
    for (secs, keep_alive, patience) in [(5, 0, 5), (5, 10, 45), (0, 0, 0)] {
        let mut net =
            with(|broker| *broker = support::broker_of(&format!("output_timeout {secs}")));
        let raw = net.open(0, V5);
        let mut hello = connect("sleeper", V5);
        hello.keep_alive = keep_alive;
        net.send(raw, &Packet::Connect(hello));
        net.read(raw);
        net.water(raw, true);
        if patience == 0 {
            net.pass(10_000);
            assert!(!net.closed.contains_key(&raw.conn.0), "no limit");
            continue;
        }
        net.pass(patience - 1);
        assert!(!net.closed.contains_key(&raw.conn.0), "{secs} s, Keep Alive {keep_alive} s");
        net.pass(1);
        assert!(net.closed.contains_key(&raw.conn.0), "{secs} s, Keep Alive {keep_alive} s");
        assert_eq!(net.read(raw), ["disconnect 0x97"]);
        assert_eq!(net.stats()[0].slow_closed, 1);
    }
}
