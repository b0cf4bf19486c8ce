//! The clients of a world: a `core::client` with an application behind it that does what it is
//! told and keeps what it received, or a raw one that speaks packet by packet.

use super::network::Conditions;
use super::wire::Wire;
use super::world::World;
use crate::client::{CleanStart, Client, DisconnectCause, Event, Input, Options, PublishError};
use crate::codec::{Decoder, Limits, Role};
use crate::packet::{
    Packet, Publish, QoS, ReasonCode, SubscribeFilter, SubscriptionOptions, UserProperties,
    UserPropertiesBuf, Version,
};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// A message as an application received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS it came with.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// DUP.
    pub dup: bool,
    /// Subscription Identifiers.
    pub subscription_ids: Vec<u32>,
    /// Message Expiry Interval, seconds.
    pub expiry: Option<u32>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
    /// Content Type.
    pub content_type: Option<String>,
    /// User Properties.
    pub user_properties: UserPropertiesBuf,
    /// When.
    pub at: Instant,
}

impl Received {
    fn of(publish: &Publish<'_>, at: Instant) -> Self {
        let properties = &publish.properties;
        Self {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            subscription_ids: properties.subscription_identifiers.to_vec(),
            expiry: properties.message_expiry_interval,
            response_topic: properties.response_topic.map(Into::into),
            correlation_data: properties.correlation_data.map(Into::into),
            content_type: properties.content_type.map(Into::into),
            user_properties: properties.user_properties.to_buf(),
            at,
        }
    }
}

/// What an application wants done, in order.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Subscribe { filters: Vec<(String, SubscriptionOptions)>, identifier: Option<u32> },
    Unsubscribe { filters: Vec<String> },
    Publish(Outgoing),
    Disconnect { reason: ReasonCode, expiry: Option<u32> },
}

/// A message to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Message Expiry Interval, seconds.
    pub expiry: Option<u32>,
    /// Topic Alias.
    pub alias: Option<core::num::NonZeroU16>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
    /// Content Type.
    pub content_type: Option<String>,
    /// User Properties.
    pub user_properties: UserPropertiesBuf,
}

impl Outgoing {
    fn packet(&self) -> Publish<'_> {
        Publish {
            dup: false,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: None,
            properties: crate::packet::PublishProperties {
                message_expiry_interval: self.expiry,
                topic_alias: self.alias,
                response_topic: self.response_topic.as_deref(),
                correlation_data: self.correlation_data.as_deref(),
                content_type: self.content_type.as_deref(),
                user_properties: self.user_properties.as_ref(),
                ..Default::default()
            },
            payload: &self.payload,
        }
    }
}

/// What a client told its application, owned.
#[derive(Clone, Debug)]
enum Told {
    OpenTransport,
    CloseTransport,
    Connected { session_present: bool, assigned_id: Option<String> },
    Refused(ReasonCode),
    Message(Received),
    Published { token: u64, reason: ReasonCode },
    Dropped { token: u64, cause: PublishError },
    Subscribed(Vec<ReasonCode>),
    Unsubscribed(Vec<ReasonCode>),
    Disconnected { reason: Option<ReasonCode>, text: String, protocol: bool },
    Nothing,
}

impl Told {
    fn of(event: &Event<'_>, now: Instant) -> Self {
        match event {
            Event::OpenTransport => Self::OpenTransport,
            Event::CloseTransport => Self::CloseTransport,
            Event::Connected(connack) => Self::Connected {
                session_present: connack.session_present,
                assigned_id: connack.properties.assigned_client_identifier.map(Into::into),
            },
            Event::Refused(connack) => Self::Refused(connack.reason),
            Event::Message(publish) => Self::Message(Received::of(publish, now)),
            Event::Published { token, reason } => {
                Self::Published { token: token.0, reason: *reason }
            }
            Event::PublishDropped { token, cause } => {
                Self::Dropped { token: token.0, cause: *cause }
            }
            Event::Subscribed(suback) => Self::Subscribed(suback.reasons.clone()),
            Event::Unsubscribed(unsuback) => Self::Unsubscribed(unsuback.reasons.clone()),
            Event::Disconnected(cause) => Self::Disconnected {
                reason: match cause {
                    DisconnectCause::Server(packet) => Some(packet.reason),
                    _ => None,
                },
                text: cause.to_string(),
                protocol: matches!(cause, DisconnectCause::Protocol { .. }),
            },
            Event::Auth(_) | Event::ReconnectAt(_) | Event::Stopped => Self::Nothing,
        }
    }
}

/// A client with its application.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) name: String,
    pub(super) node: usize,
    pub(super) listener: u16,
    pub(super) wire: Option<u64>,
    /// Until when it reads nothing.
    pub(super) stalled_until: Option<Instant>,
    pub(super) side: Side,
}

#[derive(Debug)]
pub(super) enum Side {
    Client(Box<App>),
    Raw(Raw),
}

/// The application behind a `core::client`.
#[derive(Debug)]
pub(super) struct App {
    pub(super) options: Options,
    pub(super) client: Client,
    pub(super) ops: VecDeque<Op>,
    /// Subscriptions to make anew whenever the server has lost the session.
    pub(super) wants: BTreeMap<String, (SubscriptionOptions, Option<u32>)>,
    pub(super) keeps_wants: bool,
    /// The session of its last connection, by the oracle's number.
    pub(super) session: Option<usize>,
    pub(super) received: Vec<Received>,
    pub(super) connects: Vec<bool>,
    pub(super) assigned_id: Option<String>,
    pub(super) refused: Option<ReasonCode>,
    pub(super) published: Vec<(u64, ReasonCode)>,
    pub(super) dropped: Vec<(u64, PublishError)>,
    pub(super) granted: Vec<Vec<ReasonCode>>,
    pub(super) unsubscribed: Vec<Vec<ReasonCode>>,
    pub(super) disconnects: Vec<(Option<ReasonCode>, String)>,
    pub(super) refusals: Vec<String>,
}

impl App {
    pub(super) fn new(options: Options, seed: u64) -> Self {
        Self {
            client: Client::new(options.clone(), seed),
            options,
            ops: VecDeque::new(),
            wants: BTreeMap::new(),
            keeps_wants: false,
            session: None,
            received: Vec::new(),
            connects: Vec::new(),
            assigned_id: None,
            refused: None,
            published: Vec::new(),
            dropped: Vec::new(),
            granted: Vec::new(),
            unsubscribed: Vec::new(),
            disconnects: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// What it still has to do, for people.
    pub(super) fn state(&self) -> String {
        format!(
            "connected {}, {} in flight, {} queued, {} held, to do {:?}",
            self.client.is_connected(),
            self.client.inflight(),
            self.client.queued().0,
            self.client.held(),
            self.ops
        )
    }

    /// Whether all it wanted has been done.
    pub(super) fn is_settled(&self) -> bool {
        let quiet = self.client.inflight() == 0 && self.client.queued().0 == 0;
        self.ops.is_empty()
            && self.client.held() == 0
            && quiet
            && (self.client.is_connected() || self.client.is_idle())
    }
}

/// A client that says exactly what it is told, byte for byte.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) version: Version,
    pub(super) decoder: Decoder,
    pub(super) lines: Vec<String>,
    pub(super) received: Vec<Received>,
    pub(super) bytes_received: u64,
    pub(super) closed: bool,
}

impl Raw {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            decoder: Decoder::new(Role::Client),
            lines: Vec::new(),
            received: Vec::new(),
            bytes_received: 0,
            closed: false,
        }
    }

    fn read(&mut self, mut chunk: &[u8], now: Instant) {
        self.bytes_received += chunk.len() as u64;
        while !chunk.is_empty() {
            match self.decoder.decode(chunk, &Limits::default()) {
                Ok((used, frame)) => {
                    if let Some(frame) = frame {
                        self.lines.push(super::describe(&frame.packet));
                        if let Packet::Publish(publish) = &frame.packet {
                            self.received.push(Received::of(publish, now));
                        }
                    }
                    chunk = &chunk[used..];
                }
                Err(error) => {
                    self.lines.push(format!("not MQTT: {error}"));
                    return;
                }
            }
        }
    }
}

impl Station {
    /// When a timer of its own is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let client = match &self.side {
            Side::Client(app) => app.client.next_timeout(),
            Side::Raw(_) => None,
        };
        match (client, self.stalled_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl World {
    /// A timer of a client is due.
    pub(super) fn wake(&mut self, station: usize) {
        let now = self.clock.now();
        if self.stations[station].stalled_until.is_some_and(|until| until <= now) {
            self.unstall(station);
        }
        self.with_client(station, |client, now, sink| client.handle(now, Input::Timeout, sink));
    }

    /// Lets a client read again.
    pub(super) fn unstall(&mut self, station: usize) {
        self.stations[station].stalled_until = None;
        if let Some(conn) = self.stations[station].wire {
            self.read(station, conn);
        }
    }

    /// The transport of a client is open.
    pub(super) fn opened(&mut self, station: usize) {
        self.with_client(station, |client, now, sink| {
            client.handle(now, Input::TransportOpened, sink);
        });
        if let Some(conn) = self.stations[station].wire {
            self.write_client(conn, station);
        }
    }

    /// A client reads what has arrived.
    pub(super) fn read(&mut self, station: usize, conn: u64) {
        let now = self.clock.now();
        while let Some(wire) = self.wires.get_mut(&conn)
            && !wire.client_done
            && wire.client_open
        {
            let stalled = self.stations[station].stalled_until.is_some();
            if wire.to_client.has_arrived() {
                if stalled {
                    return;
                }
                let chunk = wire.to_client.read(&self.conditions, &mut self.rng);
                match &mut self.stations[station].side {
                    Side::Raw(raw) => raw.read(&chunk, now),
                    Side::Client(_) => self.with_client(station, |client, now, sink| {
                        client.handle(now, Input::Bytes(&chunk), sink);
                    }),
                }
                self.write_server(conn);
            } else if wire.to_client.ended(now).is_some() {
                self.hang_up(conn);
                self.stations[station].wire = None;
                match &mut self.stations[station].side {
                    Side::Raw(raw) => raw.closed = true,
                    Side::Client(_) => self.with_client(station, |client, now, sink| {
                        client.handle(now, Input::TransportClosed, sink);
                    }),
                }
                return;
            } else {
                return;
            }
        }
    }

    /// Closes the client's end of a connection, after what it still has to say.
    pub(super) fn hang_up(&mut self, conn: u64) {
        let now = self.clock.now();
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.client_done = true;
        wire.to_client.abandon();
        if !wire.is_open(now) {
            // Given up before it got through.
            self.wires.remove(&conn);
            return;
        }
        wire.flush_client(now, &self.conditions, &mut self.rng);
        self.write_server(conn);
        self.forget_if_over(conn);
    }

    /// Opens a connection for a client.
    pub(super) fn dial(&mut self, station: usize) {
        let conn = self.next_conn;
        self.next_conn += 1;
        let one = &mut self.stations[station];
        one.wire = Some(conn);
        let at = self.conditions.latency(self.clock.now(), &mut self.rng);
        self.wires.insert(conn, Wire::new(station, one.node, one.listener, at));
    }

    /// Moves a client's output to its connection.
    pub(super) fn write_client(&mut self, conn: u64, station: usize) {
        let now = self.clock.now();
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        let is_current = self.stations[station].wire == Some(conn) && !wire.client_done;
        if let Side::Client(app) = &mut self.stations[station].side
            && is_current
        {
            wire.client_backlog.extend(app.client.take_output());
        }
        if wire.client_open {
            wire.flush_client(now, &self.conditions, &mut self.rng);
        }
    }

    /// Calls the client of a station, and does what it then asks for.
    pub(super) fn with_client(
        &mut self,
        station: usize,
        call: impl FnOnce(&mut Client, Instant, &mut dyn FnMut(Event<'_>)),
    ) {
        let now = self.clock.now();
        // What an application does about one event must not hide where the next came from.
        let conn = self.stations[station].wire;
        let Side::Client(app) = &mut self.stations[station].side else { return };
        let mut told = Vec::new();
        call(&mut app.client, now, &mut |event| told.push(Told::of(&event, now)));
        for one in told {
            if let (Told::Message(message), Some(conn)) = (&one, conn) {
                self.oracle.received(conn, message);
            }
            self.told(station, conn, one);
        }
        if let Some(conn) = self.stations[station].wire {
            self.write_client(conn, station);
        }
    }

    fn told(&mut self, station: usize, conn: Option<u64>, told: Told) {
        match &told {
            Told::OpenTransport => self.dial(station),
            Told::CloseTransport if self.stations[station].wire == conn => {
                self.drop_transport(station);
            }
            Told::Connected { session_present, .. } => {
                let session = conn.and_then(|conn| self.oracle.session_number(conn));
                let Side::Client(app) = &mut self.stations[station].side else { return };
                let known = core::mem::replace(&mut app.session, session);
                if *session_present && app.keeps_wants && known.is_some() && known != session {
                    // The CONNACK without Session Present was lost, so the client takes another
                    // session for its own and no packet can tell it: a hole in the protocol. It
                    // starts anew, lest its old identifiers be taken for new ones.
                    self.forget(station);
                    return self.with_client(station, |client, _, sink| client.connect(sink));
                }
            }
            _ => {}
        }
        self.note_told(station, told);
    }

    fn note_told(&mut self, station: usize, told: Told) {
        let name = self.stations[station].name.clone();
        let Side::Client(app) = &mut self.stations[station].side else { return };
        match told {
            Told::Connected { session_present, assigned_id } => {
                app.connects.push(session_present);
                app.assigned_id = assigned_id.or_else(|| app.assigned_id.take());
                let lost = !session_present || app.options.version == Version::V3;
                if app.keeps_wants && lost {
                    for (filter, (options, identifier)) in app.wants.clone() {
                        let filters = vec![(filter, options)];
                        app.ops.push_front(Op::Subscribe { filters, identifier });
                    }
                }
                self.work(station);
            }
            Told::Refused(reason) => app.refused = Some(reason),
            Told::Message(message) => app.received.push(message),
            Told::Published { token, reason } => app.published.push((token, reason)),
            Told::Dropped { token, cause } => app.dropped.push((token, cause)),
            Told::Subscribed(reasons) => app.granted.push(reasons),
            Told::Unsubscribed(reasons) => app.unsubscribed.push(reasons),
            Told::Disconnected { reason, text, protocol } => {
                if protocol {
                    self.oracle.blame(format!("the server broke the protocol to {name}: {text}"));
                }
                app.disconnects.push((reason, text));
            }
            Told::OpenTransport | Told::CloseTransport | Told::Nothing => {}
        }
    }

    /// Does what an application wants, as far as it can be done now.
    pub(super) fn work(&mut self, station: usize) {
        loop {
            let now = self.clock.now();
            let Side::Client(app) = &mut self.stations[station].side else { return };
            let Some(op) = app.ops.front() else { break };
            if !app.client.is_connected() && !matches!(op, Op::Publish(_)) {
                break;
            }
            let Some(op) = app.ops.pop_front() else { break };
            let refusal = match &op {
                Op::Publish(message) => {
                    app.client.publish(now, &message.packet()).err().map(|e| e.to_string())
                }
                Op::Subscribe { filters, identifier } => {
                    for (filter, options) in filters {
                        app.wants.insert(filter.clone(), (*options, *identifier));
                    }
                    let filters: Vec<_> = filters
                        .iter()
                        .map(|(filter, options)| SubscribeFilter { filter, options: *options })
                        .collect();
                    let none = UserProperties::EMPTY;
                    let sent = app.client.subscribe(now, &filters, *identifier, none);
                    sent.err().map(|e| e.to_string())
                }
                Op::Unsubscribe { filters } => {
                    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
                    for filter in &filters {
                        app.wants.remove(*filter);
                    }
                    let sent = app.client.unsubscribe(now, &filters, UserProperties::EMPTY);
                    sent.err().map(|e| e.to_string())
                }
                Op::Disconnect { reason, expiry } => {
                    let (reason, expiry) = (*reason, *expiry);
                    self.say_goodbye(station, reason, expiry);
                    break;
                }
            };
            if let (Some(text), Side::Client(app)) = (refusal, &mut self.stations[station].side) {
                app.refusals.push(text);
            }
        }
        if let Some(conn) = self.stations[station].wire {
            self.write_client(conn, station);
        }
    }

    pub(super) fn say_goodbye(&mut self, station: usize, reason: ReasonCode, expiry: Option<u32>) {
        let now = self.clock.now();
        let Side::Client(app) = &mut self.stations[station].side else { return };
        if let Err(error) = app.client.disconnect(now, reason, expiry) {
            app.refusals.push(error.to_string());
            return;
        }
        self.drop_transport(station);
    }

    /// Closes the transport of a client after what it has written.
    pub(super) fn drop_transport(&mut self, station: usize) {
        let Some(conn) = self.stations[station].wire else { return };
        self.write_client(conn, station);
        self.stations[station].wire = None;
        self.hang_up(conn);
    }

    /// The client loses its memory: a new one with a new session takes its place.
    pub(super) fn forget(&mut self, station: usize) {
        self.drop_transport(station);
        let seed = self.rng.next_u64();
        let Side::Client(app) = &mut self.stations[station].side else { return };
        if app.options.clean_start == CleanStart::Never {
            app.options.clean_start = CleanStart::First;
        }
        app.client = Client::new(app.options.clone(), seed);
    }

    /// The conditions of the network.
    pub const fn conditions(&self) -> &Conditions {
        &self.conditions
    }
}
