//! `memory_limit`: what is given up first, and next, as the limit comes near; what was acknowledged
//! never is, and who comes for his messages makes room again. `docs/limits.md` is this, in words.

mod support;

use halyard_core::conf::BrokerConfig;
use halyard_core::packet::{Packet, QoS, Version};
use support::{Net, Raw, connect, publish};

const V4: Version = Version::V4;
const V5: Version = Version::V5;
const LIMIT: u64 = 10_000_000;

fn limited(change: impl FnOnce(&mut BrokerConfig)) -> Net {
    let mut broker = BrokerConfig {
        memory_limit: LIMIT,
        max_queued_messages: 0,
        max_inflight_messages: 0,
        queue_qos0_messages: true,
        ..BrokerConfig::default()
    };
    change(&mut broker);
    Net::with(1, broker)
}

/// Connects with a Session that stays; what it is told.
fn enter(net: &mut Net, name: &str, version: Version) -> (Raw, String) {
    let raw = net.open(0, version);
    let mut hello = connect(name, version);
    hello.clean_start = false;
    if version == V5 {
        hello.properties.session_expiry_interval = Some(6000);
    }
    net.send(raw, &Packet::Connect(hello));
    let mut answers = net.read(raw);
    (raw, if answers.is_empty() { String::new() } else { answers.remove(0) })
}

/// An absent subscriber to `hoard/#`, and a publisher.
fn hoarder(net: &mut Net) -> Raw {
    let (raw, _) = enter(net, "hoarder", V5);
    net.subscribe(raw, "hoard/#", QoS::ExactlyOnce);
    net.drop_connection(raw);
    let publisher = net.client(0, "publisher", V5);
    net.turn();
    publisher
}

#[test]
fn what_a_client_was_allowed_of_late_counts_for_as_long_as_it_is_remembered() {
    let mut net = Net::new(1);
    net.access("topic #\n");
    let raw = net.client(0, "c", V5);
    let before = net.engines[0].footprint();
    for number in 0..100 {
        let topic = format!("a/topic/of/its/own/{number}");
        net.send(raw, &Packet::Publish(publish(&topic, QoS::AtMostOnce, 0, b"")));
    }
    let grown = net.engines[0].footprint() - before;
    // At most 32 topics of at most 128 bytes, each with 24 bytes of its own.
    assert!((32 * 24..32 * 152).contains(&grown), "{grown}");
    net.access("topic #\n");
    net.send(raw, &Packet::Publish(publish("one", QoS::AtMostOnce, 0, b"")));
    assert!(net.engines[0].footprint() - before < 100);
    net.drop_connection(raw);
    net.pass(1);
    assert!(net.engines[0].footprint() < before);
}

/// Publishes a message of this share of the limit, in parts per thousand, at QoS 1.
fn fill(net: &mut Net, publisher: Raw, parts: u64) -> String {
    let body = vec![0; usize::try_from(LIMIT / 1000 * parts).unwrap()];
    net.send(publisher, &Packet::Publish(publish("hoard/1", QoS::AtLeastOnce, 1, &body)));
    net.turn();
    net.read(publisher).remove(0)
}

fn say(net: &mut Net, raw: Raw, packet: &Packet<'_>) -> String {
    net.send(raw, packet);
    net.read(raw).join(", ")
}

#[test]
fn things_are_given_up_in_order_and_what_was_acknowledged_is_not() {
    let mut net = limited(|_| {});
    let publisher = hoarder(&mut net);
    // Up to 70 %: everything.
    for _ in 0..6 {
        assert_eq!(fill(&mut net, publisher, 100), "puback 1 0x00");
    }
    net.send(publisher, &Packet::Publish(publish("hoard/0", QoS::AtMostOnce, 0, b"x")));
    assert_eq!(net.stats()[0].drops.memory, 0);
    // From 70 %: QoS 0 waits for nobody.
    assert_eq!(fill(&mut net, publisher, 120), "puback 1 0x00");
    net.send(publisher, &Packet::Publish(publish("hoard/0", QoS::AtMostOnce, 0, b"x")));
    assert_eq!(net.stats()[0].drops.memory, 1);
    net.subscribe(publisher, "still/#", QoS::AtMostOnce);
    assert_eq!(net.read(publisher), ["suback [0]"]);
    // From 80 %: nothing new that stays.
    assert_eq!(fill(&mut net, publisher, 100), "puback 1 0x00");
    net.subscribe(publisher, "more/#", QoS::AtMostOnce);
    assert_eq!(net.read(publisher), ["suback [97]"]);
    let mut retained = publish("kept", QoS::AtLeastOnce, 2, b"x");
    retained.retain = true;
    assert_eq!(say(&mut net, publisher, &Packet::Publish(retained)), "puback 2 0x97");
    assert_eq!(enter(&mut net, "early", V5).1, "connack 0x00");
    // From 90 %: no new Session.
    assert_eq!(fill(&mut net, publisher, 90), "puback 1 0x00");
    assert_eq!(enter(&mut net, "late", V5).1, "connack 0x97");
    assert_eq!(enter(&mut net, "late", V4).1, "connack 0x88");
    assert_eq!(net.stats()[0].sessions_refused, 2);
    // From 95 %: no new QoS 1 or 2.
    assert_eq!(fill(&mut net, publisher, 50), "puback 1 0x00");
    assert_eq!(fill(&mut net, publisher, 1), "puback 1 0x97");
    let two = Packet::Publish(publish("hoard/2", QoS::ExactlyOnce, 7, b"x"));
    assert_eq!(say(&mut net, publisher, &two), "pubrec 7 0x97");
    assert!(net.engines[0].footprint() < LIMIT);
    // Who comes for his messages is let in, gets all of them, and there is room again.
    let (hoarder, answer) = enter(&mut net, "hoarder", V5);
    assert_eq!(answer, "connack 0x00 present");
    net.pass(1);
    net.read(hoarder);
    assert_eq!(net.stats()[0].publish_sent_qos1, 10, "every one that was acknowledged");
    for id in 1..=10 {
        net.ack(hoarder, Packet::Puback, id);
    }
    net.pass(2);
    assert_eq!(fill(&mut net, publisher, 1), "puback 1 0x00");
    assert_eq!(enter(&mut net, "late", V5).1, "connack 0x00");
}

#[test]
fn an_exchange_of_qos_2_that_was_begun_is_completed() {
    let mut net = limited(|_| {});
    let publisher = hoarder(&mut net);
    let two = publish("hoard/2", QoS::ExactlyOnce, 9, b"x");
    assert_eq!(say(&mut net, publisher, &Packet::Publish(two.clone())), "pubrec 9 0x00");
    while fill(&mut net, publisher, 50) == "puback 1 0x00" {}
    let again = Packet::Publish(halyard_core::packet::Publish { dup: true, ..two });
    assert_eq!(say(&mut net, publisher, &again), "pubrec 9 0x00");
    net.ack(publisher, Packet::Pubrel, 9);
    assert_eq!(net.read(publisher), ["pubcomp 9 0x00"]);
}

#[test]
fn a_publisher_of_3_1_1_is_not_read_and_never_told_what_is_not_so() {
    let mut net = limited(|_| {});
    let publisher = hoarder(&mut net);
    let old = net.client(0, "old", V4);
    let one = Packet::Publish(publish("hoard/1", QoS::AtLeastOnce, 5, b"x"));
    assert_eq!(say(&mut net, old, &one), "puback 5 0x00");
    for _ in 0..9 {
        fill(&mut net, publisher, 102);
    }
    assert_eq!(say(&mut net, old, &one), "puback 5 0x00");
    assert_eq!(net.paused, [old.conn.0], "it is no longer read");
    fill(&mut net, publisher, 50);
    // What was read before is not acknowledged.
    assert_eq!(say(&mut net, old, &one), "");
    assert!(net.closed.contains_key(&old.conn.0));
    // Another is read again when there is room.
    let (hoarder, _) = enter(&mut net, "hoarder", V5);
    net.pass(1);
    let count = net.read(hoarder).len();
    for id in 1..=u16::try_from(count).unwrap() {
        net.ack(hoarder, Packet::Puback, id);
    }
    net.pass(2);
    let old = net.client(0, "old", V4);
    assert_eq!(say(&mut net, old, &one), "puback 5 0x00");
    assert!(!net.paused.contains(&old.conn.0));
}

#[test]
fn slow_readers_go_unless_something_acknowledged_would_be_lost() {
    let mut net = limited(|_| {});
    let publisher = hoarder(&mut net);
    let (stays, _) = enter(&mut net, "stays", V5);
    let clean = net.client(0, "clean", V5);
    let owed = net.client(0, "owed", V5);
    net.subscribe(owed, "owed", QoS::AtLeastOnce);
    net.send(publisher, &Packet::Publish(publish("owed", QoS::AtLeastOnce, 3, b"x")));
    net.read(publisher);
    for raw in [stays, clean, owed] {
        net.water(raw, true);
    }
    while net.stats()[0].drops.memory == 0 {
        fill(&mut net, publisher, 40);
    }
    assert!(net.closed.contains_key(&stays.conn.0) && net.closed.contains_key(&clean.conn.0));
    assert!(!net.closed.contains_key(&owed.conn.0), "its message was acknowledged");
    assert_eq!(net.stats()[0].memory_closed, 2);
    assert_eq!(net.read(clean), ["connack 0x00", "disconnect 0x97"][1..]);
}

#[test]
fn what_expired_makes_room() {
    let mut net = limited(|_| {});
    let publisher = hoarder(&mut net);
    let body = vec![0; 1_000_000];
    for _ in 0..9 {
        let mut packet = publish("hoard/1", QoS::AtLeastOnce, 1, &body);
        packet.properties.message_expiry_interval = Some(60);
        net.send(publisher, &Packet::Publish(packet));
        net.turn();
    }
    fill(&mut net, publisher, 60);
    net.read(publisher);
    assert_eq!(fill(&mut net, publisher, 1), "puback 1 0x97");
    net.pass(61);
    assert_eq!(fill(&mut net, publisher, 1), "puback 1 0x00");
    assert_eq!(net.stats()[0].drops.expired, 9);
}

#[test]
fn a_message_counts_once_however_many_wait_for_it() {
    let mut net = limited(|_| {});
    for n in 0..200 {
        let (raw, _) = enter(&mut net, &format!("h{n}"), V5);
        net.subscribe(raw, "hoard/#", QoS::AtLeastOnce);
        net.drop_connection(raw);
    }
    let publisher = net.client(0, "publisher", V5);
    for _ in 0..6 {
        assert_eq!(fill(&mut net, publisher, 100), "puback 1 0x00");
    }
    let footprint = net.engines[0].footprint();
    assert!(footprint < LIMIT / 10 * 7, "{footprint}");
}

#[test]
fn the_count_is_never_below_what_is_held() {
    let mut net = limited(|broker| broker.memory_limit = 1_000_000);
    for n in 0..2000 {
        let (raw, answer) = enter(&mut net, &format!("client-{n}"), V5);
        if answer != "connack 0x00" {
            break;
        }
        net.subscribe(raw, &format!("some/filter/{n}/+"), QoS::AtLeastOnce);
        net.send_bytes(raw, &[0x30, 100, 0, 10]);
    }
    assert!(net.stats()[0].sessions_refused > 0);
    let footprint = net.engines[0].footprint();
    assert!(footprint <= 1_000_000, "{footprint}");
    assert!(footprint >= 500_000, "{footprint}: the estimate is not twice the truth");
}

#[test]
fn no_limit_means_none() {
    let mut net = limited(|broker| broker.memory_limit = 0);
    let publisher = hoarder(&mut net);
    for _ in 0..20 {
        assert_eq!(fill(&mut net, publisher, 100), "puback 1 0x00");
    }
}
