//! Raw clients on linked engines: what the tests of single packets are written with.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use halyard_core::codec::{Decoder, Limits, Role, encode};
use halyard_core::conf::{BrokerConfig, ListenerConfig, ServerConfig, Source, parse};
use halyard_core::engine::{
    AdminCommand, AdminReply, AuthRequest, CloseReason, Config, ConnectionId, Effect, Engine,
    Input, LinkMessage, Peer, ShardId, Stats, TransportEnd, Water, recover,
};
use halyard_core::journal::{Image, Lsn};
use halyard_core::packet::{
    Ack, Connect, ConnectProperties, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode,
    Subscribe, SubscribeFilter, SubscriptionOptions, Unsubscribe, UserProperties, Version,
};
use halyard_core::time::{Instant, WallClock};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Engines joined by links, and what their connections received.
pub struct Net {
    pub engines: Vec<Engine>,
    configs: Vec<Arc<Config>>,
    pub now: Instant,
    links: VecDeque<(ShardId, ShardId, LinkMessage)>,
    received: BTreeMap<u64, Vec<u8>>,
    pub closed: BTreeMap<u64, CloseReason>,
    pub paused: Vec<u64>,
    /// What the engines want to know of clients.
    pub questions: Vec<AuthRequest>,
    next: u64,
    /// Whether link messages wait until [`Net::deliver_links`].
    pub links_stalled: bool,
    pub answers: Vec<AdminReply>,
    /// What the records so far amount to, with `persistence`.
    pub image: Image<Box<[u8]>>,
    /// Whether nothing becomes durable until [`Net::answer_for_disk`].
    pub disk_stalled: bool,
    /// The wall clock when the process began.
    pub began: WallClock,
}

/// A raw connection to one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    pub shard: usize,
    pub conn: ConnectionId,
    pub version: Version,
}

pub fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

pub fn publish<'a>(topic: &'a str, qos: QoS, packet_id: u16, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: PacketId::new(packet_id),
        properties: PublishProperties::default(),
        payload,
    }
}

pub fn subscribe(filter: &str, qos: QoS) -> Subscribe<'_> {
    Subscribe {
        packet_id: id(60_000),
        subscription_identifier: None,
        user_properties: UserProperties::EMPTY,
        filters: vec![SubscribeFilter { filter, options: SubscriptionOptions::new(qos) }],
    }
}

pub fn connect(client_id: &str, version: Version) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
        bridge: false,
    }
}

fn configuration(text: &str) -> ServerConfig {
    let parsed = parse(&Source::new("a.conf", text), &mut |_| Err("no folders here".into()));
    assert!(parsed.is_valid(), "{:?}", parsed.diagnostics);
    parsed.config
}

/// What these lines of a configuration file make of the broker.
pub fn broker_of(text: &str) -> BrokerConfig {
    configuration(text).broker
}

/// What these lines make of a listener.
pub fn listener_of(text: &str) -> ListenerConfig {
    let text = format!("allow_anonymous true\nlistener 1883\n{text}\n");
    configuration(&text).listeners.remove(0).engine
}

impl Net {
    pub fn new(shards: u16) -> Self {
        Self::with(shards, BrokerConfig::default())
    }

    pub fn with(shards: u16, broker: BrokerConfig) -> Self {
        let configs: Vec<Arc<Config>> = (0..shards)
            .map(|shard| {
                Arc::new(Config {
                    broker: BrokerConfig { sys_interval_secs: 0, ..broker.clone() },
                    listeners: vec![ListenerConfig::default()],
                    shard: ShardId(shard),
                    shards,
                })
            })
            .collect();
        let engines = configs
            .iter()
            .map(|config| {
                let seed = u64::from(config.shard.0);
                Engine::new(Arc::clone(config), seed, Instant::ZERO, WallClock(0), ())
            })
            .collect();
        let mut net = Self {
            engines,
            configs,
            now: Instant::ZERO,
            links: VecDeque::new(),
            received: BTreeMap::new(),
            closed: BTreeMap::new(),
            paused: Vec::new(),
            questions: Vec::new(),
            next: 0,
            links_stalled: false,
            answers: Vec::new(),
            image: Image::new(),
            disk_stalled: false,
            began: WallClock(0),
        };
        if broker.persistence {
            net.restart();
        }
        net.turn();
        net
    }

    /// The process is killed, and another begins with what was handed to the store, before its first
    /// turn.
    pub fn restart(&mut self) {
        (self.began, self.now) = (self.wall(), Instant::ZERO);
        let config = Arc::clone(&self.configs[0]);
        let recovered = recover(&mut self.image, &config, 5, self.now, self.began, |_| ());
        self.engines = recovered.expect("an image that fits").engines;
        self.links.clear();
        self.received.clear();
    }

    fn wall(&self) -> WallClock {
        WallClock(self.began.0 + self.now.0 / 1000)
    }

    /// Hands the records over; they are durable at once, unless the disk is stalled.
    fn store(&mut self, shard: usize) {
        let Some(batch) = self.engines[shard].take_records() else { return };
        let number = u16::try_from(shard).unwrap();
        let applied = self.image.apply(number, &batch.bytes, |body, _| body.into());
        applied.expect("records that fit what came before");
        if !self.disk_stalled {
            self.durable(shard, batch.lsn);
        }
    }

    fn durable(&mut self, shard: usize, lsn: Lsn) {
        let mut effects = Vec::new();
        self.engines[shard].handle(self.now, Input::Durable { lsn }, &mut effects);
        self.follow(shard, effects);
    }

    /// The disk has taken everything.
    pub fn answer_for_disk(&mut self) {
        self.disk_stalled = false;
        for shard in 0..self.engines.len() {
            self.durable(shard, Lsn(u64::MAX));
        }
    }

    /// One input to one engine, with all that follows from it.
    pub fn input(&mut self, shard: usize, input: Input<'_>) {
        let mut effects = Vec::new();
        self.engines[shard].handle(self.now, input, &mut effects);
        self.follow(shard, effects);
        if !self.links_stalled {
            self.deliver_links();
        }
    }

    fn follow(&mut self, shard: usize, effects: Vec<Effect>) {
        self.store(shard);
        for effect in effects {
            match effect {
                Effect::Link { peer, message } => {
                    let own = ShardId(u16::try_from(shard).unwrap());
                    self.links.push_back((own, peer, message));
                }
                Effect::Close { conn, reason } => {
                    self.closed.insert(conn.0, reason);
                }
                Effect::PauseRead { conn } => self.paused.push(conn.0),
                Effect::ResumeRead { conn } => self.paused.retain(|known| *known != conn.0),
                Effect::Authenticate(request) => self.questions.push(*request),
                Effect::Answer { reply, .. } => self.answers.push(reply),
            }
        }
        while let Some((conn, bytes)) = self.engines[shard].take_output() {
            self.received.entry(conn.0).or_default().extend_from_slice(&bytes);
            self.engines[shard].recycle(bytes);
        }
    }

    /// Hands over every message on the links, and those that follow.
    pub fn deliver_links(&mut self) {
        while let Some((from, to, message)) = self.links.pop_front() {
            let mut effects = Vec::new();
            let shard = usize::from(to.0);
            self.engines[shard].handle(self.now, Input::Link { peer: from, message }, &mut effects);
            self.follow(shard, effects);
        }
    }

    pub fn turn(&mut self) {
        for shard in 0..self.engines.len() {
            self.input(shard, Input::Turn { wall: self.wall() });
        }
    }

    /// Lets time pass, with a turn at each time-out on the way.
    pub fn pass(&mut self, secs: u64) {
        let end = self.now.plus_secs(secs);
        loop {
            let due = self.engines.iter().filter_map(Engine::next_timeout).min();
            match due {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            self.turn();
        }
        self.now = end;
        self.turn();
    }

    pub fn open(&mut self, shard: usize, version: Version) -> Raw {
        self.open_on(shard, 0, version)
    }

    /// A connection on the listener with this index.
    pub fn open_on(&mut self, shard: usize, listener: u16, version: Version) -> Raw {
        self.next += 1;
        let conn = ConnectionId(self.next);
        self.input(shard, Input::opened(conn, Peer::Local, listener, self.now));
        Raw { shard, conn, version }
    }

    /// A connected client of this name; CONNACK has been read.
    pub fn client(&mut self, shard: usize, client_id: &str, version: Version) -> Raw {
        let raw = self.open(shard, version);
        self.send(raw, &Packet::Connect(connect(client_id, version)));
        assert_eq!(self.closed.get(&raw.conn.0), None);
        self.read(raw);
        raw
    }

    pub fn send(&mut self, raw: Raw, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        encode(packet, raw.version, &mut bytes);
        self.send_bytes(raw, &bytes);
    }

    pub fn send_bytes(&mut self, raw: Raw, chunk: &[u8]) {
        self.input(raw.shard, Input::Bytes { conn: raw.conn, chunk });
    }

    pub fn subscribe(&mut self, raw: Raw, filter: &str, qos: QoS) {
        self.send(raw, &Packet::Subscribe(subscribe(filter, qos)));
    }

    pub fn unsubscribe(&mut self, raw: Raw, filter: &str) {
        self.send(
            raw,
            &Packet::Unsubscribe(Unsubscribe {
                packet_id: id(60_001),
                user_properties: UserProperties::EMPTY,
                filters: vec![filter],
            }),
        );
    }

    pub fn ack(&mut self, raw: Raw, packet: fn(Ack<'static>) -> Packet<'static>, packet_id: u16) {
        self.send(raw, &packet(Ack::new(id(packet_id), ReasonCode::Success)));
    }

    /// The backlog of a connection crosses a mark.
    pub fn water(&mut self, raw: Raw, high: bool) {
        let level = if high { Water::High } else { Water::Low };
        self.input(raw.shard, Input::Water { conn: raw.conn, level });
    }

    pub fn drop_connection(&mut self, raw: Raw) {
        self.input(raw.shard, Input::Closed { conn: raw.conn, cause: TransportEnd::Broken });
    }

    /// What the connection received since the last call, one text a packet.
    pub fn read(&mut self, raw: Raw) -> Vec<String> {
        let bytes = self.received.remove(&raw.conn.0).unwrap_or_default();
        lines(&bytes, raw.version)
    }

    /// What the connection received since the last call, each packet in full.
    pub fn raw_packets(&mut self, raw: Raw) -> Vec<String> {
        self.measured_packets(raw).into_iter().map(|(_, packet)| packet).collect()
    }

    /// The same, with the length of each.
    pub fn measured_packets(&mut self, raw: Raw) -> Vec<(usize, String)> {
        let bytes = self.received.remove(&raw.conn.0).unwrap_or_default();
        let mut decoder = Decoder::new(Role::Client);
        decoder.set_version(raw.version);
        let mut rest = bytes.as_slice();
        let mut packets = Vec::new();
        while !rest.is_empty() {
            let (consumed, frame) = decoder.decode(rest, &Limits::default()).unwrap();
            packets.extend(frame.map(|frame| (consumed, format!("{:?}", frame.packet))));
            rest = &rest[consumed..];
        }
        packets
    }

    /// The Packet Identifiers of the SUBACK and UNSUBACK packets that the connection received.
    pub fn packet_ids(&mut self, raw: Raw) -> Vec<u16> {
        let id_of = |text: &String| {
            let (_, rest) = text.split_once("packet_id: PacketId(")?;
            rest.split(')').next()?.parse().ok()
        };
        self.raw_packets(raw).iter().filter_map(id_of).collect()
    }

    /// The properties of the last PUBLISH that the connection received.
    pub fn properties(&mut self, raw: Raw) -> String {
        let bytes = self.received.remove(&raw.conn.0).unwrap_or_default();
        let mut decoder = Decoder::new(Role::Client);
        decoder.set_version(raw.version);
        let mut rest = bytes.as_slice();
        let mut text = String::new();
        while !rest.is_empty() {
            let (consumed, frame) = decoder.decode(rest, &Limits::default()).unwrap();
            if let Some(Packet::Publish(publish)) = frame.map(|frame| frame.packet) {
                let own = &publish.properties;
                let users: Vec<String> = own
                    .user_properties
                    .iter()
                    .map(|(name, value)| format!("{name}:{value}"))
                    .collect();
                text = format!(
                    "format={:?} expiry={:?} response={} correlation={:?} content={} user={}",
                    own.payload_format_utf8.unwrap_or_default(),
                    own.message_expiry_interval.unwrap_or_default(),
                    own.response_topic.unwrap_or_default(),
                    own.correlation_data.unwrap_or_default(),
                    own.content_type.unwrap_or_default(),
                    users.join(","),
                );
            }
            rest = &rest[consumed..];
        }
        text
    }

    pub fn config(&self, shard: usize) -> Arc<Config> {
        Arc::clone(&self.configs[shard])
    }

    /// The configuration of a single engine changes.
    pub fn reconfigure(&mut self, config: Config) {
        let config = Arc::new(config);
        self.configs[0] = Arc::clone(&config);
        self.input(0, Input::Reconfigured(config));
    }

    /// The configurations of all engines change.
    pub fn reconfigure_all(&mut self, change: impl Fn(&mut Config)) {
        for shard in 0..self.engines.len() {
            let mut config = Config::clone(&self.configs[shard]);
            change(&mut config);
            self.configs[shard] = Arc::new(config);
            let config = Arc::clone(&self.configs[shard]);
            self.input(shard, Input::Reconfigured(config));
        }
    }

    /// From now on this access list holds.
    pub fn access(&mut self, text: &str) {
        let parsed = halyard_core::access::parse("acl", text.as_bytes());
        assert!(parsed.is_valid(), "{:?}", parsed.diagnostics);
        let list = Arc::new(parsed.list);
        self.reconfigure_all(|config| config.broker.access = Some(Arc::clone(&list)));
    }

    pub fn admin(&mut self, shard: usize, command: AdminCommand) -> AdminReply {
        self.input(shard, Input::Admin { request: 1, command });
        self.answers.pop().expect("every command is answered")
    }

    pub fn shut_down(&mut self) {
        self.input(0, Input::Admin { request: 1, command: AdminCommand::Shutdown });
    }

    pub fn stats(&self) -> Vec<Stats> {
        self.engines.iter().map(Engine::stats).collect()
    }
}

/// The packets of these bytes, in short.
pub fn lines(bytes: &[u8], version: Version) -> Vec<String> {
    let mut decoder = Decoder::new(Role::Client);
    decoder.set_version(version);
    let mut rest = bytes;
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let (consumed, frame) = decoder.decode(rest, &Limits::default()).unwrap();
        if let Some(frame) = frame {
            packets.push(describe(&frame.packet));
        }
        rest = &rest[consumed..];
    }
    packets
}

/// A packet in short.
fn describe(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => {
            let id = publish.packet_id.map_or_else(String::new, |id| format!(" id{id}"));
            let (dup, retain) = (publish.dup, publish.retain);
            let flags = [(dup, " dup"), (retain, " retain")];
            let flags: String = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
            let payload = String::from_utf8_lossy(publish.payload);
            let ids = &publish.properties.subscription_identifiers;
            let ids = if ids.is_empty() { String::new() } else { format!(" sub{ids:?}") };
            let alias = publish.properties.topic_alias;
            let alias = alias.map_or_else(String::new, |alias| format!(" alias{alias}"));
            format!("publish {} q{}{id}{flags}{ids}{alias} {payload}", publish.topic, publish.qos)
        }
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            let name = packet.packet_type().name().to_lowercase();
            format!("{name} {} {:#04x}", ack.packet_id, ack.reason.as_u8())
        }
        Packet::Suback(suback) => {
            let codes: Vec<u8> = suback.reasons.iter().map(|code| code.as_u8()).collect();
            format!("suback {codes:x?}")
        }
        Packet::Unsuback(unsuback) => {
            let codes: Vec<u8> = unsuback.reasons.iter().map(|code| code.as_u8()).collect();
            format!("unsuback {codes:x?}")
        }
        Packet::Connack(connack) => {
            let mut text = format!("connack {:#04x}", connack.reason.as_u8());
            let properties = &connack.properties;
            if connack.session_present {
                text += " present";
            }
            if properties.assigned_client_identifier.is_some() {
                text += " assigned";
            }
            if let Some(secs) = properties.server_keep_alive {
                text += &format!(" keepalive{secs}");
            }
            if let Some(qos) = properties.maximum_qos {
                text += &format!(" maxqos{qos}");
            }
            if let Some(method) = properties.authentication_method {
                let data = String::from_utf8_lossy(properties.authentication_data.unwrap_or(b""));
                text += &format!(" {method} {data}");
            }
            if properties.retain_available == Some(false) {
                text += " noretain";
            }
            text
        }
        Packet::Disconnect(disconnect) => {
            format!("disconnect {:#04x}", disconnect.reason.as_u8())
        }
        Packet::Auth(auth) => {
            let data = String::from_utf8_lossy(auth.data.unwrap_or_default());
            format!("auth {:#04x} {} {data}", auth.reason.as_u8(), auth.method.unwrap_or_default())
        }
        other => other.packet_type().name().to_lowercase(),
    }
}
