//! `journal_backlog` (DESIGN §5.1): publishers are not read while more bytes than that wait for the
//! disk, and are read again when half of them are durable; nobody else notices.

mod support;

use halyard_core::conf::BrokerConfig;
use halyard_core::packet::{Connect, Packet, QoS, Version};
use support::{Net, Raw, connect, publish};

const PAYLOAD: [u8; 1000] = [7; 1000];

/// A session that sleeps and gets what is published on `a`, and two publishers.
fn world(backlog: u64) -> (Net, Raw, Raw) {
    let broker =
        BrokerConfig { persistence: true, journal_backlog: backlog, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let sleeper = net.open(0, Version::V4);
    let connect = Connect { clean_start: false, ..connect("sleeper", Version::V4) };
    net.send(sleeper, &Packet::Connect(connect));
    net.subscribe(sleeper, "a", QoS::AtLeastOnce);
    net.drop_connection(sleeper);
    let one = net.client(0, "one", Version::V5);
    let other = net.client(0, "other", Version::V4);
    net.disk_stalled = true;
    (net, one, other)
}

fn say(net: &mut Net, raw: Raw, topic: &str, id: u16) {
    net.send(raw, &Packet::Publish(publish(topic, QoS::AtLeastOnce, id, &PAYLOAD)));
}

fn is_paused(net: &Net, raw: Raw) -> bool {
    net.paused.contains(&raw.conn.0)
}

#[test]
fn publishers_pause_above_the_backlog_and_resume_when_it_is_stored() {
    let (mut net, one, other) = world(10_000);
    for id in 1..=9 {
        say(&mut net, one, "a", id);
        assert!(!is_paused(&net, one), "after {id} messages");
    }
    for id in 10..=11 {
        say(&mut net, one, "a", id);
    }
    assert!(is_paused(&net, one));
    assert!(!is_paused(&net, other), "who publishes nothing is read");
    assert_eq!(net.read(one), [] as [String; 0], "nothing is acknowledged that is not stored");
    say(&mut net, other, "b", 1);
    assert!(is_paused(&net, other), "whoever publishes waits");
    net.answer_for_disk();
    assert!(!is_paused(&net, one) && !is_paused(&net, other));
    assert_eq!(net.read(one).len(), 11);
    say(&mut net, one, "a", 12);
    assert!(!is_paused(&net, one));
}

#[test]
fn a_paused_publisher_outlives_its_keep_alive() {
    let (mut net, one, _) = world(500);
    say(&mut net, one, "a", 1);
    assert!(is_paused(&net, one));
    net.pass(100_000);
    assert!(net.closed.is_empty(), "{:?}", net.closed);
    net.answer_for_disk();
    assert!(!is_paused(&net, one));
    assert_eq!(net.read(one).len(), 1);
}

#[test]
fn what_is_not_stored_at_all_pauses_nobody() {
    let (mut net, one, _) = world(500);
    for id in 1..=20 {
        say(&mut net, one, "nobody", id);
    }
    assert!(!is_paused(&net, one));
}
