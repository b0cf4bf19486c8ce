//! What an administrator asks: pages of bounded size over any number of sessions, and numbers that
//! one shard publishes for all.

mod support;

use halyard_core::engine::{AdminCommand, AdminRefusal, AdminReply, Config, Input};
use halyard_core::packet::{Packet, QoS, Version};
use std::collections::BTreeSet;
use std::sync::Arc;
use support::{Net, publish};

const V5: Version = Version::V5;

#[test]
fn a_page_of_clients_is_bounded_and_the_pages_give_everybody_once() {
    let mut net = Net::new(1);
    for n in 0..2_500 {
        net.client(0, &format!("c{n}"), V5);
    }
    let mut names = BTreeSet::new();
    let (mut from, mut pages) = (0, 0);
    loop {
        let reply = net.admin(0, AdminCommand::Clients { from, limit: u32::MAX });
        let AdminReply::Clients { rows, next } = reply else { panic!("{reply:?}") };
        assert!(rows.len() <= 1000, "{}", rows.len());
        pages += 1;
        for row in rows {
            assert!(row.connected && names.insert(row.client_id));
        }
        let Some(next) = next else { break };
        from = next;
    }
    assert_eq!((names.len(), pages), (2_500, 3));
}

#[test]
fn retained_messages_that_one_shard_clears_are_gone_on_all() {
    let mut net = Net::new(3);
    for n in 0..150 {
        let topic = format!("r/{n}");
        let payload = b"x".to_vec();
        let command = AdminCommand::Publish { topic, payload, qos: QoS::AtMostOnce, retain: true };
        assert!(matches!(net.admin(n % 3, command), AdminReply::Done));
    }
    let mut cleared = Vec::new();
    loop {
        let command = AdminCommand::ClearRetained { filter: "r/+".into(), limit: 1000 };
        let AdminReply::Cleared { cleared: count, more } = net.admin(1, command) else { panic!() };
        cleared.push(count);
        if !more {
            break;
        }
    }
    assert_eq!(cleared.iter().sum::<u32>(), 150);
    assert!(cleared.iter().all(|count| *count <= 100), "{cleared:?}");
    assert!(net.stats().iter().all(|stats| stats.retained == 0));
}

#[test]
fn what_no_client_may_do_the_administrator_may_not_either() {
    let mut net = Net::new(1);
    let mut ask = |topic: &str| {
        let (topic, payload) = (topic.to_owned(), Vec::new());
        let command = AdminCommand::Publish { topic, payload, qos: QoS::AtMostOnce, retain: false };
        match net.admin(0, command) {
            AdminReply::Refused(refusal) => Some(refusal),
            _ => None,
        }
    };
    assert_eq!(ask("$SYS/broker/version"), Some(AdminRefusal::Reserved));
    assert_eq!(ask("a/+"), Some(AdminRefusal::TopicName));
    assert_eq!(ask("a/b"), None);
}

#[test]
fn topics_are_counted_while_somebody_looks_and_forgotten_behind_him() {
    let mut net = Net::new(1);
    let publisher = net.client(0, "p", V5);
    let look = || AdminCommand::Topics { parent: None, after: None, limit: 10 };
    let seen = |net: &mut Net| {
        let AdminReply::Topics(page) = net.admin(0, look()) else { panic!() };
        page.rows.first().map(|row| row.messages)
    };
    let say = |net: &mut Net| {
        net.send(publisher, &Packet::Publish(publish("a/b", QoS::AtMostOnce, 0, b"x")));
    };
    say(&mut net);
    assert_eq!(seen(&mut net), None, "nobody had looked");
    say(&mut net);
    say(&mut net);
    assert_eq!(seen(&mut net), Some(2));
    net.pass(59);
    net.turn();
    assert_eq!(seen(&mut net), Some(2));
    net.pass(61);
    net.turn();
    assert_eq!(seen(&mut net), None);
}

#[test]
fn one_shard_publishes_the_numbers_of_all() {
    let mut net = Net::new(3);
    for shard in 0..3 {
        let mut config = Config::clone(&net.config(shard));
        config.broker.sys_interval_secs = 1;
        net.input(shard, Input::Reconfigured(Arc::new(config)));
    }
    let watcher = net.client(2, "watcher", V5);
    net.subscribe(watcher, "$SYS/broker/clients/connected", QoS::AtMostOnce);
    net.client(0, "a", V5);
    net.client(1, "b", V5);
    net.client(1, "c", V5);
    net.pass(4);
    let last = net.read(watcher).pop();
    assert_eq!(last.as_deref(), Some("publish $SYS/broker/clients/connected q0 4"));
    net.pass(4);
    assert_eq!(net.read(watcher), [] as [&str; 0], "shards do not contradict each other");
}

#[test]
fn a_round_of_numbers_looks_at_so_many_sessions_a_turn() {
    let mut net = Net::new(1);
    for n in 0..2_500 {
        net.client(0, &format!("c{n}"), V5);
    }
    let mut config = Config::clone(&net.config(0));
    config.broker.sys_interval_secs = 1;
    net.input(0, Input::Reconfigured(Arc::new(config)));
    net.now = net.now.plus_secs(2);
    let mut turns = 0;
    while net.stats()[0].memory_bytes == 0 {
        net.turn();
        turns += 1;
    }
    assert_eq!(turns, 3);
    let held = net.stats()[0].memory_bytes;
    assert!((2_500 * 200..2_500 * 2_000).contains(&held), "{held}");
}

#[test]
fn without_rounds_of_sys_what_sessions_hold_is_counted_when_asked_for() {
    // The net runs with `sys_interval 0`.
    let mut net = Net::new(1);
    let mut sessions = Vec::new();
    for n in 0..1_500 {
        let raw = net.client(0, &format!("c{n}"), V5);
        sessions.push(raw);
    }
    for raw in [sessions[0], sessions[1_400]] {
        net.subscribe(raw, "t", QoS::AtLeastOnce);
    }
    let publisher = net.client(0, "publisher", V5);
    net.send(publisher, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"12345")));
    assert_eq!(net.stats()[0].queued, 0, "nobody asked");
    let AdminReply::Stats(first) = net.admin(0, AdminCommand::Stats) else { panic!() };
    assert_eq!(first.queued, 0, "a thousand sessions a turn");
    net.turn();
    let AdminReply::Stats(next) = net.admin(0, AdminCommand::Stats) else { panic!() };
    assert_eq!((next.queued, next.queued_bytes >= 10), (2, true));
    assert!(next.memory_bytes > 1_500 * 50, "{}", next.memory_bytes);
}
