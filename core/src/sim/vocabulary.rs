//! The words in which tests, scenarios and the page say what clients do:
//! `world.client("a").connect().subscribe("t/#")`. Each word is put in order behind those before
//! it; nothing happens until the world runs.

use super::station::{App, Op, Outgoing, Raw, Received, Side, Station};
use super::world::World;
use crate::client::{CleanStart, Options, PublishError, WillMessage};
use crate::codec;
use crate::engine::{AdminCommand, AdminReply, Input, Stats};
use crate::packet::{Packet, QoS, ReasonCode, SubscriptionOptions, Version};
use crate::time::Instant;
use std::sync::Arc;

/// A client of a world, to tell it what to do or to ask what it saw.
#[derive(Debug)]
pub struct ClientHandle<'w> {
    world: &'w mut World,
    station: usize,
}

/// A client of a world that speaks packet by packet.
#[derive(Debug)]
pub struct RawHandle<'w> {
    world: &'w mut World,
    station: usize,
}

impl World {
    /// The client of this name, made at its first mention: 5.0, Clean Start at first, no Keep
    /// Alive, no reconnects. Its name is its Client Identifier.
    pub fn client(&mut self, name: &str) -> ClientHandle<'_> {
        let known = self.stations.iter().position(|station| station.name == name);
        let station = known.unwrap_or_else(|| {
            let options = Options { keep_alive: 0, ..Options::new(Version::V5, name) };
            let seed = self.rng.next_u64();
            self.add_station(name, Side::Client(Box::new(App::new(options, seed))))
        });
        ClientHandle { world: self, station }
    }

    /// The raw client of this name, made at its first mention; its connection opens at once. It is
    /// no MQTT client: it sends what it is told and notes what it gets.
    pub fn raw(&mut self, name: &str) -> RawHandle<'_> {
        let known = self.stations.iter().position(|station| station.name == name);
        let station = known.unwrap_or_else(|| {
            let station = self.add_station(name, Side::Raw(Raw::new(Version::V5)));
            self.dial(station);
            station
        });
        RawHandle { world: self, station }
    }

    pub(super) fn add_station(&mut self, name: &str, side: Side) -> usize {
        // A client is served by the shard that owns its session.
        let shards = u16::try_from(self.nodes.len()).unwrap_or(1);
        let node = usize::from(crate::engine::shard_of(name, shards).0);
        self.stations.push(Station {
            name: name.to_owned(),
            node,
            listener: 0,
            wire: None,
            stalled_until: None,
            side,
        });
        self.stations.len() - 1
    }

    /// The counters of the first engine.
    pub fn stats(&self) -> Stats {
        self.nodes.first().map(|node| node.engine.stats()).unwrap_or_default()
    }

    /// The counters of each engine.
    pub fn all_stats(&self) -> Vec<Stats> {
        self.nodes.iter().map(|node| node.engine.stats()).collect()
    }

    /// Bytes that the engine holds for clients.
    pub fn footprint(&self) -> u64 {
        self.nodes.iter().map(|node| node.engine.footprint()).sum()
    }

    /// The hash of all engine state.
    pub fn state_hash(&self) -> u64 {
        self.nodes.iter().fold(0, |hash: u64, node| {
            hash.rotate_left(17).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ node.engine.state_hash()
        })
    }

    /// When the engine wants its next turn.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.nodes.iter().filter_map(|node| node.engine.next_timeout()).min()
    }

    /// Replaces the engine by its restored snapshot, now.
    pub fn restore_engine(&mut self) {
        for node in 0..self.nodes.len() {
            self.restore(node);
        }
    }

    /// A command of the administrator.
    pub fn admin(&mut self, command: AdminCommand) -> Option<AdminReply> {
        if command == AdminCommand::Shutdown {
            self.oracle.stopping();
        }
        self.input(0, Input::Admin { request: 1, command });
        self.turn(0);
        self.nodes[0].answers.pop().map(|(_, reply)| reply)
    }

    /// All engines go on under other rights, and the oracle with them.
    pub(super) fn set_rights(&mut self, rights: &super::rights::Rights) {
        self.oracle.set_rights(Some(rights.clone()));
        self.reload(|config| rights.apply(config));
    }

    /// Everybody may do everything from now on; who is known stays known.
    pub(super) fn lift_rights(&mut self) {
        self.oracle.set_rights(None);
        self.reload(|config| config.broker.access = None);
    }

    /// Every engine goes on under another configuration, in a turn of its driver.
    fn reload(&mut self, change: impl Fn(&mut crate::engine::Config)) {
        for node in 0..self.nodes.len() {
            self.reconfigure_one(node, &change);
            self.turn(node);
        }
    }

    /// All engines go on under another configuration.
    pub fn reconfigure(&mut self, change: impl Fn(&mut crate::engine::Config)) {
        for node in 0..self.nodes.len() {
            self.reconfigure_one(node, &change);
        }
    }

    fn reconfigure_one(&mut self, node: usize, change: &impl Fn(&mut crate::engine::Config)) {
        let mut config = (*self.nodes[node].config).clone();
        change(&mut config);
        let config = Arc::new(config);
        self.nodes[node].config = Arc::clone(&config);
        self.input(node, Input::Reconfigured(config));
    }
}

impl ClientHandle<'_> {
    fn app(&self) -> &App {
        match &self.world.stations[self.station].side {
            Side::Client(app) => app,
            Side::Raw(_) => panic!("{} is a raw client", self.world.stations[self.station].name),
        }
    }

    fn app_mut(&mut self) -> &mut App {
        let station = &mut self.world.stations[self.station];
        match &mut station.side {
            Side::Client(app) => app,
            Side::Raw(_) => panic!("{} is a raw client", station.name),
        }
    }

    fn op(self, op: Op) -> Self {
        let station = self.station;
        let mut this = self;
        this.app_mut().ops.push_back(op);
        this.world.work(station);
        this
    }

    /// Changes the options, for the connections to come. What the client knew of a session is gone.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        let seed = self.world.rng.next_u64();
        let app = self.app_mut();
        change(&mut app.options);
        app.client = crate::client::Client::new(app.options.clone(), seed);
        self
    }

    /// Speaks this version.
    #[must_use]
    pub fn version(self, version: Version) -> Self {
        self.with(|options| options.version = version)
    }

    /// Keeps its session for so many seconds (5.0), or for good (3.x).
    #[must_use]
    pub fn session(self, seconds: u32) -> Self {
        self.with(|options| {
            options.session_expiry_interval = Some(seconds);
            options.clean_start = CleanStart::Never;
        })
    }

    /// Has a Will.
    #[must_use]
    pub fn will(self, topic: &str, payload: &str, delay: Option<u32>) -> Self {
        self.with(|options| {
            options.will = Some(WillMessage {
                topic: topic.into(),
                payload: payload.into(),
                qos: QoS::AtLeastOnce,
                delay_interval: delay,
                ..WillMessage::default()
            });
        })
    }

    /// Comes in by this listener.
    #[must_use]
    pub fn listener(self, listener: u16) -> Self {
        self.world.stations[self.station].listener = listener;
        self
    }

    /// Connects.
    pub fn connect(self) -> Self {
        self.world.with_client(self.station, |client, _, sink| client.connect(sink));
        self
    }

    /// Subscribes with QoS 2.
    pub fn subscribe(self, filter: &str) -> Self {
        self.subscribe_qos(filter, QoS::ExactlyOnce)
    }

    /// Subscribes with this QoS.
    pub fn subscribe_qos(self, filter: &str, qos: QoS) -> Self {
        self.subscribe_with(filter, SubscriptionOptions::new(qos), None)
    }

    /// Subscribes with these options, and a Subscription Identifier.
    pub fn subscribe_with(
        self,
        filter: &str,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) -> Self {
        self.op(Op::Subscribe { filters: vec![(filter.to_owned(), options)], identifier })
    }

    /// Subscribes to several filters by one packet, with QoS 2.
    pub fn subscribe_all(self, filters: &[&str]) -> Self {
        let options = SubscriptionOptions::new(QoS::ExactlyOnce);
        let filters = filters.iter().map(|filter| ((*filter).to_owned(), options)).collect();
        self.op(Op::Subscribe { filters, identifier: None })
    }

    /// Unsubscribes.
    pub fn unsubscribe(self, filter: &str) -> Self {
        self.op(Op::Unsubscribe { filters: vec![filter.to_owned()] })
    }

    /// Publishes.
    pub fn publish(self, topic: &str, payload: &str, qos: QoS) -> Self {
        let (topic, payload) = (topic.to_owned(), payload.as_bytes().to_vec());
        self.send(Outgoing { topic, payload, qos, ..Outgoing::default() })
    }

    /// Publishes a retained message with QoS 1.
    pub fn retain(self, topic: &str, payload: &str) -> Self {
        let (topic, payload) = (topic.to_owned(), payload.as_bytes().to_vec());
        let qos = QoS::AtLeastOnce;
        self.send(Outgoing { topic, payload, qos, retain: true, ..Outgoing::default() })
    }

    /// Publishes this message.
    pub fn send(self, message: Outgoing) -> Self {
        self.op(Op::Publish(message))
    }

    /// Says DISCONNECT, after all it was told before.
    pub fn disconnect(self) -> Self {
        self.disconnect_with(ReasonCode::Success, None)
    }

    /// Says DISCONNECT with this reason and Session Expiry Interval.
    pub fn disconnect_with(self, reason: ReasonCode, expiry: Option<u32>) -> Self {
        self.op(Op::Disconnect { reason, expiry })
    }

    /// Closes the connection without a word; the client keeps its session.
    pub fn drop_connection(self) -> Self {
        let (world, station) = (self.world, self.station);
        let conn = world.stations[station].wire;
        world.drop_transport(station);
        if conn.is_some() {
            world.with_client(station, |client, now, sink| {
                client.handle(now, crate::client::Input::TransportClosed, sink);
            });
        }
        ClientHandle { world, station }
    }

    /// Reads nothing for so long.
    pub fn stall_ms(self, millis: u64) -> Self {
        let until = self.world.now().plus_millis(millis);
        self.world.stations[self.station].stalled_until = Some(until);
        self
    }

    /// Crashes and forgets all it knew of its session.
    pub fn forget(self) -> Self {
        self.world.forget(self.station);
        self
    }

    /// Takes the messages received since the last call.
    pub fn take_received(mut self) -> Vec<Received> {
        core::mem::take(&mut self.app_mut().received)
    }

    /// Takes the messages received since the last call, as `topic payload` lines.
    pub fn take_lines(self) -> Vec<String> {
        let line = |message: Received| {
            format!("{} {}", message.topic, String::from_utf8_lossy(&message.payload))
        };
        self.take_received().into_iter().map(line).collect()
    }

    /// Whether the server has accepted its connection.
    pub fn is_connected(self) -> bool {
        self.app().client.is_connected()
    }

    /// Session Present of each CONNACK so far.
    pub fn connects(self) -> Vec<bool> {
        self.app().connects.clone()
    }

    /// Why the server refused it.
    pub fn refused(self) -> Option<ReasonCode> {
        self.app().refused
    }

    /// The reason in the server's last DISCONNECT.
    pub fn disconnect_reason(self) -> Option<ReasonCode> {
        self.app().disconnects.last().and_then(|(reason, _)| *reason)
    }

    /// The codes of each SUBACK so far.
    pub fn granted(self) -> Vec<Vec<ReasonCode>> {
        self.app().granted.clone()
    }

    /// The codes of each UNSUBACK so far.
    pub fn unsubscribed(self) -> Vec<Vec<ReasonCode>> {
        self.app().unsubscribed.clone()
    }

    /// What became of QoS 1 and 2 messages: number of the publication, reason.
    pub fn published(self) -> Vec<(u64, ReasonCode)> {
        self.app().published.clone()
    }

    /// Messages that the client gave up, and why.
    pub fn dropped(self) -> Vec<(u64, PublishError)> {
        self.app().dropped.clone()
    }

    /// What the client refused to do, and why.
    pub fn refusals(self) -> Vec<String> {
        self.app().refusals.clone()
    }

    /// The Client Identifier that the server assigned.
    pub fn assigned_id(self) -> Option<String> {
        self.app().assigned_id.clone()
    }

    /// What the server said in CONNACK.
    pub fn server(self) -> crate::client::ServerInfo {
        self.app().client.server().clone()
    }
}

impl RawHandle<'_> {
    fn raw_mut(&mut self) -> &mut Raw {
        let station = &mut self.world.stations[self.station];
        match &mut station.side {
            Side::Raw(raw) => raw,
            Side::Client(_) => panic!("{} is no raw client", station.name),
        }
    }

    /// Sends a packet; a CONNECT sets the version for all that follows.
    pub fn say(mut self, packet: &Packet<'_>) -> Self {
        let raw = self.raw_mut();
        if let Packet::Connect(connect) = packet {
            raw.version = connect.version;
            raw.decoder.set_version(connect.version);
        }
        let mut bytes = Vec::new();
        codec::encode(packet, raw.version, &mut bytes);
        self.send(&bytes)
    }

    /// Sends bytes, whatever they are.
    pub fn send(self, bytes: &[u8]) -> Self {
        if let Some(conn) = self.world.stations[self.station].wire {
            if let Some(wire) = self.world.wires.get_mut(&conn) {
                wire.client_backlog.extend_from_slice(bytes);
            }
            self.world.write_client(conn, self.station);
        }
        self
    }

    /// Comes in by this listener, by a new connection.
    pub fn listener(self, listener: u16) -> Self {
        self.world.stations[self.station].listener = listener;
        self.reopen()
    }

    /// Closes its connection, if there is one, and opens another.
    pub fn reopen(mut self) -> Self {
        self.world.drop_transport(self.station);
        let raw = self.raw_mut();
        *raw = Raw::new(raw.version);
        self.world.dial(self.station);
        self
    }

    /// Closes its connection.
    pub fn close(self) -> Self {
        self.world.drop_transport(self.station);
        self
    }

    /// Reads nothing for so long.
    pub fn stall_ms(self, millis: u64) -> Self {
        let until = self.world.now().plus_millis(millis);
        self.world.stations[self.station].stalled_until = Some(until);
        self
    }

    /// Takes the packets received since the last call, as lines.
    pub fn take(mut self) -> Vec<String> {
        core::mem::take(&mut self.raw_mut().lines)
    }

    /// Takes the messages received since the last call.
    pub fn take_received(mut self) -> Vec<Received> {
        core::mem::take(&mut self.raw_mut().received)
    }

    /// Whether the server has closed its connection.
    pub fn is_closed(mut self) -> bool {
        self.raw_mut().closed
    }
}
