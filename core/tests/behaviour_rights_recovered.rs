//! Rights behind a restart: sessions, wills and retained messages go by the list of the listener that
//! their client came in by, wherever it now stands in the configuration, or by what its token said.

mod support;

use halyard_core::access;
use halyard_core::auth::{Authority, Credential, Grant, Verdict};
use halyard_core::codec::encode;
use halyard_core::conf::{BrokerConfig, ListenerConfig};
use halyard_core::engine::{
    Config, ConnectionId, Effect, Engine, Input, Peer, Recovered, Stats, TransportEnd, recover,
};
use halyard_core::journal::Image;
use halyard_core::packet::{
    Packet, QoS, Subscribe, SubscribeFilter, SubscriptionOptions, UserProperties, Version, Will,
    WillProperties,
};
use halyard_core::time::{Instant, WallClock};
use std::sync::Arc;
use support::{connect, id, publish};

const V5: Version = Version::V5;

/// A broker with a store that takes everything at once.
struct House {
    engine: Engine,
    image: Image<Box<[u8]>>,
    now: Instant,
    conns: u64,
}

fn listener(name: &str, acl: Option<&str>) -> ListenerConfig {
    let list = acl.map(|text| Arc::new(access::parse("acl", text.as_bytes()).list));
    ListenerConfig { name: name.into(), access: list, ..ListenerConfig::default() }
}

fn config(listeners: Vec<ListenerConfig>) -> Config {
    let broker =
        BrokerConfig { sys_interval_secs: 0, persistence: true, ..BrokerConfig::default() };
    Config::single(broker, listeners)
}

impl House {
    fn new(config: &Config) -> Self {
        Self::recovered(Image::new(), config)
    }

    fn recovered(mut image: Image<Box<[u8]>>, config: &Config) -> Self {
        let made = recover(&mut image, config, 1, Instant::ZERO, WallClock(1_000_000), |_| ());
        let Recovered { mut engines, .. } = made.unwrap();
        let engine = engines.remove(0);
        let mut house = Self { engine, image, now: Instant::ZERO, conns: 0 };
        house.turn();
        house
    }

    /// The process dies, and another one starts with this configuration.
    fn restart(self, config: &Config) -> Self {
        Self::recovered(self.image, config)
    }

    /// The packets that came of it, in short.
    fn input(&mut self, input: Input<'_>) -> Vec<String> {
        let mut effects = Vec::new();
        self.engine.handle(self.now, input, &mut effects);
        for effect in effects {
            if let Effect::Authenticate(request) = effect {
                let grant = Grant {
                    username: request.username.as_deref().map(Into::into),
                    credential: Credential::Identity,
                    expires: None,
                    rights: Some("pattern read t/#\npattern write t/#\n".into()),
                };
                let (conn, request) = (request.conn, request.request);
                let verdict = Verdict::Granted { grant: Arc::new(grant), data: Box::default() };
                let mut effects = Vec::new();
                let input = Input::Authenticated { conn, request, verdict };
                self.engine.handle(self.now, input, &mut effects);
            }
        }
        while let Some(batch) = self.engine.take_records() {
            self.image.apply(0, &batch.bytes, |body, _| body.into()).unwrap();
            let lsn = batch.lsn;
            self.engine.handle(self.now, Input::Durable { lsn }, &mut Vec::new());
        }
        assert_eq!(self.image.shards[0], self.engine.image());
        let mut lines = Vec::new();
        while let Some((conn, bytes)) = self.engine.take_output() {
            for line in support::lines(&bytes, V5) {
                lines.push(format!("{} {line}", conn.0));
            }
        }
        lines
    }

    fn turn(&mut self) -> Vec<String> {
        self.input(Input::Turn { wall: WallClock(1_000_000 + self.now.0 / 1000) })
    }

    fn pass(&mut self, secs: u64) -> Vec<String> {
        self.now = self.now.plus_secs(secs);
        self.turn()
    }

    fn say(&mut self, conn: u64, packet: &Packet<'_>) -> Vec<String> {
        let mut bytes = Vec::new();
        encode(packet, V5, &mut bytes);
        self.input(Input::Bytes { conn: ConnectionId(conn), chunk: &bytes })
    }

    /// A client with a Session that stays, and perhaps a Will that waits for five seconds.
    fn enter(&mut self, at: u16, name: &str, user: Option<&str>, will: Option<&str>) -> u64 {
        self.conns += 1;
        let conn = self.conns;
        self.input(Input::opened(ConnectionId(conn), Peer::Local, at, self.now));
        let mut hello = connect(name, V5);
        hello.clean_start = false;
        hello.username = user;
        hello.properties.session_expiry_interval = Some(1000);
        hello.will = will.map(|topic| Will {
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            payload: b"gone",
            properties: WillProperties { delay_interval: Some(5), ..WillProperties::default() },
        });
        let lines = self.say(conn, &Packet::Connect(hello));
        assert!(lines[0].starts_with(&format!("{conn} connack 0x00")), "{lines:?}");
        conn
    }

    fn subscribe(&mut self, conn: u64, filter: &str) -> Vec<String> {
        let options = SubscriptionOptions::new(QoS::AtLeastOnce);
        let filters = [SubscribeFilter { filter, options }];
        let packet = Subscribe {
            packet_id: id(1),
            subscription_identifier: None,
            filters: filters.into_iter().collect(),
            user_properties: UserProperties::EMPTY,
        };
        self.say(conn, &Packet::Subscribe(packet))
    }

    fn publish(&mut self, conn: u64, topic: &str, retain: bool) -> Vec<String> {
        let mut packet = publish(topic, QoS::AtMostOnce, 0, b"x");
        packet.retain = retain;
        self.say(conn, &Packet::Publish(packet))
    }

    fn lose(&mut self, conn: u64) {
        let (conn, cause) = (ConnectionId(conn), TransportEnd::Broken);
        self.input(Input::Closed { conn, cause });
    }

    fn stats(&self) -> Stats {
        self.engine.stats()
    }
}

const ALL: &str = "topic #\n";
const NOTHING: &str = "user nobody\ntopic #\n";

/// What clients of the listener `8883` left behind: a subscription to `t/#`, a retained message and a
/// Will that waits.
fn left_behind() -> House {
    let mut house =
        House::new(&config(vec![listener("1883", Some(NOTHING)), listener("8883", Some(ALL))]));
    let reader = house.enter(1, "reader", None, None);
    house.subscribe(reader, "t/#");
    let writer = house.enter(1, "writer", None, Some("t/will"));
    house.publish(writer, "r/1", true);
    house
}

#[test]
fn listeners_in_another_order_keep_their_clients_rights() {
    let config = config(vec![listener("8883", Some(ALL)), listener("1883", Some(NOTHING))]);
    let mut house = left_behind().restart(&config);
    let watcher = house.enter(0, "watcher", None, None);
    assert_eq!(
        house.subscribe(watcher, "#"),
        [format!("{watcher} suback [1]"), format!("{watcher} publish r/1 q0 retain x")]
    );
    assert_eq!(house.pass(6), [format!("{watcher} publish t/will q0 gone")]);
    assert_eq!(house.stats().drops.denied_read, 0);
    // The reader could read that one: as QoS 0 it does not wait for it.
    assert_eq!(house.stats().drops.offline, 1);
}

#[test]
fn clients_of_a_listener_that_is_gone_have_no_rights() {
    let mut house = left_behind().restart(&config(vec![listener("1883", Some(ALL))]));
    let watcher = house.enter(0, "watcher", None, None);
    // The retained message: its publisher has lost the right to it.
    assert_eq!(house.subscribe(watcher, "#"), [format!("{watcher} suback [1]")]);
    assert_eq!(house.pass(6), [""; 0]);
    assert_eq!((house.stats().drops.denied_write, house.stats().drops.denied_read), (1, 1));
    assert_eq!(house.publish(watcher, "t/1", false), [format!("{watcher} publish t/1 q0 x")]);
    assert_eq!(house.stats().drops.denied_read, 2);
    // Whoever comes back has the rights of where he comes in.
    let reader = house.enter(0, "reader", None, None);
    assert_eq!(house.publish(watcher, "t/2", false).len(), 2);
    house.lose(reader);
}

#[test]
fn without_any_list_a_listener_that_is_gone_takes_nothing_away() {
    let mut house = House::new(&config(vec![listener("1883", None), listener("8883", None)]));
    house.enter(1, "writer", None, Some("t/will"));
    let mut house = house.restart(&config(vec![listener("1883", None)]));
    let watcher = house.enter(0, "watcher", None, None);
    house.subscribe(watcher, "#");
    assert_eq!(house.pass(6), [format!("{watcher} publish t/will q0 gone")]);
}

#[test]
fn saved_state_finds_listeners_by_their_names_too() {
    let house = left_behind();
    let bytes = house.engine.snapshot();
    let other = config(vec![listener("8883", Some(ALL)), listener("1883", Some(NOTHING))]);
    let mut engine: Engine = Engine::restore(Arc::new(other), &bytes, ()).unwrap();
    let input = Input::Closed { conn: ConnectionId(2), cause: TransportEnd::Broken };
    engine.handle(house.now, input, &mut Vec::new());
    let (now, wall) = (house.now.plus_secs(6), WallClock(1_006_000));
    engine.handle(now, Input::Turn { wall }, &mut Vec::new());
    assert_eq!((engine.stats().drops.denied_write, engine.stats().wills_published), (0, 1));
}

/// A listener that asks for tokens, and has no list of its own.
fn token_house() -> Config {
    let authority = Some(Arc::new(Authority::default()));
    config(vec![ListenerConfig { authority, ..listener("1883", None) }])
}

#[test]
fn rights_that_a_token_brought_hold_behind_a_restart() {
    let config = token_house();
    let mut house = House::new(&config);
    let reader = house.enter(0, "reader", Some("u"), Some("other/will"));
    house.subscribe(reader, "#");
    house.enter(0, "writer", Some("u"), Some("t/will"));
    let mut house = house.restart(&config);
    let watcher = house.enter(0, "watcher", None, None);
    house.subscribe(watcher, "#");
    for topic in ["t/1", "other/1"] {
        house.publish(watcher, topic, false);
    }
    assert_eq!(house.stats().drops.denied_read, 1);
    // The Will that the token allows is published, and the other is not.
    assert_eq!(house.pass(6), [format!("{watcher} publish t/will q0 gone")]);
    assert_eq!(house.stats().drops.denied_write, 1);
}
