//! What a broker with `persistence` does at its end and at its next start: wills, expiries and rights
//! of sessions that were connected, or slept, when the process ended (DESIGN §5.4, §8).

mod support;

use halyard_core::auth::{Authority, Credential, Grant, Verdict};
use halyard_core::conf::BrokerConfig;
use halyard_core::engine::{Input, recover_and_forget};
use halyard_core::packet::{
    Connect, Packet, Publish, PublishProperties, QoS, UserProperties, Version, Will, WillProperties,
};
use halyard_core::time::{Instant, WallClock};
use std::sync::Arc;
use support::*;

fn kept() -> Net {
    Net::with(1, BrokerConfig { persistence: true, ..BrokerConfig::default() })
}

/// A CONNECT for a session that is kept, and resumed if there is one.
fn resume(client_id: &str, expiry: u32) -> Connect<'_> {
    let mut packet = Connect { clean_start: false, ..connect(client_id, Version::V5) };
    packet.properties.session_expiry_interval = Some(expiry);
    packet
}

fn will(topic: &str, delay: u32) -> Will<'_> {
    Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        payload: b"gone",
        properties: WillProperties {
            delay_interval: Some(delay),
            payload_format_utf8: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: UserProperties::EMPTY,
        },
    }
}

/// Connects; gives the connection and what it was told.
fn enter(net: &mut Net, packet: Connect<'_>) -> (Raw, Vec<String>) {
    let raw = net.open(0, packet.version);
    net.send(raw, &Packet::Connect(packet));
    let heard = net.read(raw);
    (raw, heard)
}

/// A session that is kept and hears of every will.
fn watch(net: &mut Net) -> Raw {
    let (watcher, _) = enter(net, resume("watcher", 100_000));
    net.subscribe(watcher, "will/#", QoS::AtLeastOnce);
    net.read(watcher);
    watcher
}

/// Acknowledges what comes until nothing more does; gives it.
fn take(net: &mut Net, raw: Raw, mut heard: Vec<String>) -> Vec<String> {
    let mut taken = Vec::new();
    loop {
        net.turn();
        heard.extend(net.read(raw));
        heard.retain(|line| line.starts_with("publish"));
        if heard.is_empty() {
            return taken;
        }
        for line in heard.drain(..) {
            let id = line.split(" id").nth(1).and_then(|rest| rest.split(' ').next());
            net.ack(raw, Packet::Puback, id.and_then(|id| id.parse().ok()).expect("QoS 1"));
            taken.push(line);
        }
    }
}

/// How many wills wait for the watcher, who comes for them.
fn wills(net: &mut Net) -> usize {
    let (watcher, heard) = enter(net, resume("watcher", 100_000));
    assert_eq!(heard[0], "connack 0x00 present");
    take(net, watcher, heard).len()
}

#[test]
fn a_delayed_will_outlives_an_orderly_end_and_is_cancelled_by_a_return() {
    for returns in [false, true] {
        let mut net = kept();
        watch(&mut net);
        let (at_once, later) = (will("will/once", 0), will("will/later", 10));
        enter(&mut net, Connect { will: Some(at_once), ..resume("once", 600) });
        enter(&mut net, Connect { will: Some(later), ..resume("later", 600) });
        net.shut_down();
        net.restart();
        net.turn();
        assert_eq!(wills(&mut net), 1, "the one without delay");
        if returns {
            enter(&mut net, resume("later", 600));
        }
        net.pass(30);
        assert_eq!(wills(&mut net), usize::from(!returns));
    }
}

#[test]
fn a_will_that_is_due_at_a_start_is_not_cancelled_by_who_returns_before_its_turn() {
    let mut net = kept();
    watch(&mut net);
    let names: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    for name in &names {
        enter(&mut net, Connect { will: Some(will("will/c", 0)), ..resume(name, 600) });
    }
    net.restart();
    net.turn();
    for name in &names {
        let (_, heard) = enter(&mut net, resume(name, 600));
        assert_eq!(heard[0], "connack 0x00 present");
    }
    assert_eq!(wills(&mut net), 200);
}

#[test]
fn a_session_that_ran_out_while_nothing_ran_is_not_resumed_before_its_turn() {
    let mut net = kept();
    let names: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    for name in &names {
        let (raw, _) = enter(&mut net, resume(name, 5));
        net.drop_connection(raw);
    }
    // Time passes while there is no process.
    net.now = net.now.plus_secs(60);
    net.restart();
    net.turn();
    for name in &names {
        let (_, heard) = enter(&mut net, resume(name, 5));
        assert_eq!(heard, ["connack 0x00"], "{name}");
    }
}

#[test]
fn after_a_clock_that_was_set_back_nothing_outlives_its_interval() {
    let mut net = kept();
    net.began = WallClock(1_800_000_000_000);
    net.turn();
    let (raw, _) = enter(&mut net, resume("c", 100));
    let packet = Publish { retain: true, ..publish("t", QoS::AtLeastOnce, 1, b"x") };
    let properties =
        PublishProperties { message_expiry_interval: Some(50), ..PublishProperties::default() };
    net.send(raw, &Packet::Publish(Publish { properties, ..packet }));
    net.drop_connection(raw);
    net.began = WallClock(1_000_000);
    net.restart();
    net.pass(49);
    assert_eq!(net.stats()[0].retained, 1);
    net.pass(2);
    assert_eq!(net.stats()[0].retained, 0);
    net.pass(50);
    let (_, heard) = enter(&mut net, resume("c", 100));
    assert_eq!(heard, ["connack 0x00"]);
}

/// Lets a client in that a token gives these rights.
fn enter_by_token(net: &mut Net, mut packet: Connect<'_>, rights: &str) -> (Raw, Vec<String>) {
    packet.username = Some("ann");
    packet.password = Some(b"token");
    let (raw, _) = enter(net, packet);
    let question = net.questions.pop().expect("a listener that asks");
    let authority = net.config(0).listeners[0].authority.clone().expect("an authority");
    let fingerprint = authority.users.as_ref().and_then(|users| users.get("ann"));
    let fingerprint = fingerprint.expect("a user").fingerprint;
    let grant = Grant {
        username: Some("ann".into()),
        credential: Credential::User(fingerprint),
        expires: None,
        rights: Some(rights.into()),
    };
    let verdict = Verdict::Granted { grant: Arc::new(grant), data: Box::default() };
    let request = question.request;
    net.input(0, Input::Authenticated { conn: raw.conn, request, verdict });
    let heard = net.read(raw);
    (raw, heard)
}

#[test]
fn what_a_token_allowed_holds_for_its_sleeping_session_after_a_start() {
    for (rights_then, expected) in [("pattern readwrite news\n", 1), ("pattern write news\n", 0)] {
        let mut net = kept();
        // What clients without a name may do, and who comes without a token.
        net.access("topic read will/#\ntopic write news\nuser ann\ntopic deny #\n");
        let salt = halyard_core::auth::encode_base64(&[1; 12], true);
        let line = format!("ann:$7$101${salt}$c2FsdHNhbHRzYWx0c2FsdA==\n");
        let users = halyard_core::auth::parse("users", line.as_bytes()).users;
        let authority = Arc::new(Authority { users: Some(Arc::new(users)), tokens: None });
        net.reconfigure_all(|config| config.listeners[0].authority = Some(Arc::clone(&authority)));
        watch(&mut net);
        let rights = "pattern readwrite news\npattern write will/ann\n";
        let packet = Connect { will: Some(will("will/ann", 0)), ..resume("ann", 600) };
        let (ann, heard) = enter_by_token(&mut net, packet, rights);
        assert_eq!(heard[0], "connack 0x00");
        net.subscribe(ann, "news", QoS::AtLeastOnce);
        assert_eq!(net.read(ann), ["suback [1]"]);
        net.restart();
        net.turn();
        assert_eq!(wills(&mut net), 1, "the token allowed it");
        let publisher = net.client(0, "pub", Version::V5);
        net.send(publisher, &Packet::Publish(publish("news", QoS::AtLeastOnce, 1, b"x")));
        assert_eq!(net.read(publisher), ["puback 1 0x00"]);
        let (ann, heard) = enter_by_token(&mut net, resume("ann", 600), rights_then);
        assert_eq!(take(&mut net, ann, heard).len(), expected, "checked when it is delivered");
    }
}

#[test]
fn who_sends_on_while_his_answers_wait_for_the_disk_is_not_read() {
    let mut net = kept();
    let (raw, _) = enter(&mut net, resume("c", 600));
    net.disk_stalled = true;
    net.subscribe(raw, "t", QoS::AtLeastOnce);
    let pings = [0xC0, 0].repeat(2048);
    let mut rounds = 0;
    while net.paused.is_empty() {
        net.send_bytes(raw, &pings);
        rounds += 1;
        assert!(rounds < 1000, "megabytes of answers are kept");
    }
    net.answer_for_disk();
    assert_eq!(net.paused, [] as [u64; 0]);
    assert_eq!(net.read(raw).len(), 1 + rounds * 2048);
}

#[test]
fn who_subscribes_on_and_on_waits_for_the_disk_as_publishers_do() {
    let broker = BrokerConfig::default();
    let mut net =
        Net::with(1, BrokerConfig { persistence: true, journal_backlog: 65_536, ..broker });
    let (raw, _) = enter(&mut net, resume("c", 600));
    net.disk_stalled = true;
    let filter = "f".repeat(500);
    let mut rounds = 0;
    while net.paused.is_empty() {
        net.subscribe(raw, &filter, QoS::AtLeastOnce);
        net.unsubscribe(raw, &filter);
        rounds += 1;
        assert!(rounds < 1000, "megabytes of records wait");
    }
    net.answer_for_disk();
    assert_eq!(net.paused, [] as [u64; 0]);
}

#[test]
fn a_start_does_not_hold_messages_twice() {
    let mut net = kept();
    let (sleeper, _) = enter(&mut net, resume("sleeper", 600));
    net.subscribe(sleeper, "t/#", QoS::AtLeastOnce);
    net.drop_connection(sleeper);
    let publisher = net.client(0, "pub", Version::V5);
    for number in 0..500 {
        let packet = publish("t/a", QoS::AtLeastOnce, 1, &[7; 20_000]);
        net.send(publisher, &Packet::Publish(Publish { retain: number < 100, ..packet }));
        net.read(publisher);
    }
    let config = net.config(0);
    let (mut image, wall) = (net.image.clone(), WallClock(5_000_000));
    let mut engines = Vec::new();
    let used = allocation_counter::measure(|| {
        let made = recover_and_forget(&mut image, &config, 1, Instant::ZERO, wall, |_| ());
        engines = made.expect("an image that fits").engines;
    });
    let held = engines[0].footprint();
    assert!(held > 10_000_000, "{held} bytes of messages");
    assert!(used.bytes_max < 2_000_000, "{} bytes while {held} changed hands", used.bytes_max);
    // Nothing is missing for it.
    let whole = engines[0].image();
    net.restart();
    let mut kept = net.engines[0].image();
    assert_eq!(whole.messages.len(), kept.messages.len());
    for (number, held) in &whole.messages {
        let other = kept.messages.remove(number).expect("the same messages");
        assert_eq!((&held.body, held.uses), (&other.body, other.uses));
    }
}

#[test]
fn a_message_on_its_way_between_shards_keeps_what_is_left_of_its_expiry() {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut net = Net::with(3, BrokerConfig { persistence: true, ..BrokerConfig::default() });
        let name = |shard: usize, net: &Net| {
            let config = net.config(shard);
            (0..).map(|n| format!("n{n}")).find(|name| config.owns(name)).expect("a name")
        };
        let (here, there) = (name(from, &net), name(to, &net));
        let sleeper = net.open(to, Version::V5);
        net.send(sleeper, &Packet::Connect(resume(&there, 600)));
        net.subscribe(sleeper, "t", QoS::AtLeastOnce);
        net.drop_connection(sleeper);
        let publisher = net.client(from, &here, Version::V5);
        net.links_stalled = true;
        let properties = PublishProperties {
            message_expiry_interval: Some(100),
            ..PublishProperties::default()
        };
        let packet = Publish { properties, ..publish("t", QoS::AtLeastOnce, 1, b"x") };
        net.send(publisher, &Packet::Publish(packet));
        assert_eq!(net.read(publisher), ["puback 1 0x00"]);
        net.now = net.now.plus_secs(60);
        net.restart();
        net.links_stalled = false;
        net.turn();
        let sleeper = net.open(to, Version::V5);
        net.send(sleeper, &Packet::Connect(resume(&there, 600)));
        let text = net.properties(sleeper);
        assert!(text.contains("expiry=40"), "from {from} to {to}: {text}");
    }
}
