//! What the broker tells its observer about clients who are over a limit of their own: once for an
//! episode, not once for a message.

mod support;

use halyard_core::codec::encode;
use halyard_core::conf::ListenerConfig;
use halyard_core::engine::{
    Config, ConnectionId, Engine, Event, Input, Observer, Outcome, Peer, Water,
};
use halyard_core::packet::{Packet, QoS, Version};
use halyard_core::time::{Instant, WallClock};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use support::{broker_of, connect, publish};

#[derive(Clone, Debug, Default)]
struct Notices(Rc<RefCell<Vec<String>>>);

impl Observer for Notices {
    fn event(&mut self, _now: Instant, event: &Event<'_>) {
        let notice = match event {
            Event::Dropping { client_id, outcome: Outcome::QueueFull } => {
                format!("{client_id}: full")
            }
            Event::Dropping { client_id, outcome } => format!("{client_id}: {outcome:?}"),
            Event::OverReceiveMaximum { client_id, receive_maximum } => {
                format!("{client_id}: over {receive_maximum}")
            }
            _ => return,
        };
        self.0.borrow_mut().push(notice);
    }
}

/// An engine with its observer's notes.
struct Watched {
    engine: Engine<Notices>,
    notices: Notices,
    now: Instant,
    conns: u64,
}

impl Watched {
    fn new(text: &str) -> Self {
        let config = Config::single(broker_of(text), vec![ListenerConfig::default()]);
        let notices = Notices::default();
        let engine = Engine::new(Arc::new(config), 1, Instant::ZERO, WallClock(0), notices.clone());
        Self { engine, notices, now: Instant::ZERO, conns: 0 }
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input, &mut Vec::new());
        while let Some((_, bytes)) = self.engine.take_output() {
            self.engine.recycle(bytes);
        }
    }

    fn send(&mut self, conn: ConnectionId, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        encode(packet, Version::V5, &mut bytes);
        self.input(Input::Bytes { conn, chunk: &bytes });
    }

    fn client(&mut self, name: &str) -> ConnectionId {
        self.conns += 1;
        let conn = ConnectionId(self.conns);
        self.input(Input::opened(conn, Peer::Local, 0, self.now));
        let mut hello = connect(name, Version::V5);
        hello.clean_start = false;
        hello.properties.session_expiry_interval = Some(3600);
        self.send(conn, &Packet::Connect(hello));
        conn
    }

    fn publish(&mut self, conn: ConnectionId, qos: QoS, id: u16) {
        self.send(conn, &Packet::Publish(publish("t", qos, id, b"x")));
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now.plus_secs(secs);
        self.input(Input::Turn { wall: WallClock(self.now.0 / 1000) });
    }

    /// What was noted since the last call.
    fn noted(&self) -> Vec<String> {
        self.notices.0.take()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_full_queue_is_told_once_until_it_was_not_full_for_a_minute() {
    let mut net = Watched::new("max_queued_messages 1\nmax_inflight_messages 1");
    let reader = net.client("reader");
    net.send(reader, &Packet::Subscribe(support::subscribe("t", QoS::AtLeastOnce)));
    let writer = net.client("writer");
    for id in 1..=2 {
        net.publish(writer, QoS::AtLeastOnce, id);
    }
    assert_eq!(net.noted(), NOTHING, "one in flight, one waits");
    for id in 3..=9 {
        net.publish(writer, QoS::AtLeastOnce, id);
        net.pass(50);
    }
    assert_eq!(net.noted(), ["reader: full"], "dropped every 50 seconds");
    assert_eq!(net.engine.stats().drops.queue_full, 7);
    net.pass(60);
    net.publish(writer, QoS::AtLeastOnce, 10);
    assert_eq!(net.noted(), ["reader: full"]);
}

#[test]
fn a_client_that_reads_too_slowly_is_told_once() {
    let mut net = Watched::new("");
    let reader = net.client("reader");
    net.send(reader, &Packet::Subscribe(support::subscribe("t", QoS::AtLeastOnce)));
    let writer = net.client("writer");
    net.input(Input::Water { conn: reader, level: Water::High });
    for _ in 0..5 {
        net.publish(writer, QoS::AtMostOnce, 0);
    }
    assert_eq!(net.engine.stats().drops.slow_consumer, 5);
    assert_eq!(net.noted(), ["reader: SlowConsumer"]);
}

#[test]
fn a_client_over_its_receive_maximum_that_may_is_told_once_in_a_connection() {
    let mut net = Watched::new("max_inflight_messages 2\nreceive_maximum_action warn");
    let eager = net.client("eager");
    for id in 1..=6 {
        net.publish(eager, QoS::ExactlyOnce, id);
    }
    net.publish(eager, QoS::AtLeastOnce, 7);
    assert_eq!(net.engine.stats().receive_maximum_exceeded, 5);
    assert_eq!(net.noted(), ["eager: over 2"]);
    let again = net.client("eager");
    for id in 11..=13 {
        net.publish(again, QoS::ExactlyOnce, id);
    }
    assert_eq!(net.noted(), ["eager: over 2"], "a new connection");
}
