//! The broker proper: sessions, subscriptions, routing, retained messages, wills. It dispatches
//! here and decides in the sibling named after the packet family; it never sees bytes, and reaches
//! connections only through [`Outlet`].

mod access;
mod acknowledge;
mod admin;
mod authenticate;
mod connect;
mod deliver;
mod disconnect;
mod durable;
mod expiry;
mod full;
mod image;
mod limits;
mod link;
mod memory;
mod outbox;
mod publish;
mod pump;
mod recover;
mod retained;
mod shared;
mod stats;
mod subscribe;
mod sys;
mod timers;
mod watch;
mod will;

pub(crate) use authenticate::Door;
pub(crate) use connect::Applicant;
pub(crate) use disconnect::Ending;
pub(crate) use durable::Durable;
pub use link::LinkMessage;
pub(crate) use memory::Pressure;
pub use stats::{Counter, CounterKind, Drops, Stats};
pub(crate) use timers::{TimerKey, Timers};

use crate::arena::Arena;
use crate::engine::{CloseReason, Config, DeliverySeen, Event, ShardId};
use crate::map::{Map, map};
use crate::packet::{Packet, Publish, ReasonCode};
use crate::rng::Rng;
use crate::session::{Session, SessionKey};
use crate::state::{RestoreError, Sink, Source, State};
use crate::time::{Instant, WallClock};
use crate::topic::{TopicLimits, Tree};
use deliver::Target;
use link::Links;
use retained::Retained;
use shared::Groups;
use std::collections::VecDeque;
use std::sync::Arc;

/// How the broker reaches connections and observers; the engine implements it.
pub(crate) trait Outlet {
    /// Writes a packet that is no PUBLISH.
    fn send(&mut self, slot: u32, packet: &Packet<'_>);

    /// A new message is about to be published to subscribers: nothing encoded before is shared.
    fn new_message(&mut self);

    /// Writes a PUBLISH. `shareable` says that since the last [`Self::new_message`] every PUBLISH
    /// of the same version, QoS and RETAIN is the same but for its Packet Identifier.
    fn publish(&mut self, slot: u32, publish: &Publish<'_>, shareable: bool);

    /// Whether live messages may be written to the connection.
    fn has_room(&self, slot: u32) -> bool;

    /// Whether stored messages may be written to the connection in this turn.
    fn has_pump_room(&self, slot: u32) -> Room;

    /// Closes the connection after what was written; the broker has let go of it.
    fn close(&mut self, slot: u32, reason: CloseReason);

    /// What is written from now on waits until the batch `lsn` is durable.
    fn withhold(&mut self, slot: u32, lsn: u64);

    /// Stops reading from the connection until [`Self::release`], for want of credit on a link.
    fn hold(&mut self, slot: u32);

    /// Reads from the connection again.
    fn release(&mut self, slot: u32);

    /// Hands a message to another shard.
    fn link(&mut self, peer: ShardId, message: LinkMessage);

    /// When the timer of the connection is due.
    fn timer_of(&self, slot: u32) -> Option<Instant>;

    /// Reports an event.
    fn event(&mut self, event: &Event<'_>);

    /// Whether [`Self::delivery`] is of use.
    fn wants_deliveries(&self) -> bool;

    /// Reports what became of a message at a subscriber.
    fn delivery(&mut self, seen: &DeliverySeen<'_>);
}

/// Whether a connection takes more stored messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Yes.
    Yes,
    /// Not before the next turn.
    NextTurn,
    /// Not before its backlog has gone.
    Blocked,
}

/// A breach of the protocol that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The code for DISCONNECT.
    pub(crate) code: ReasonCode,
    /// What was wrong, with the clause.
    pub(crate) detail: &'static str,
}

impl Violation {
    pub(crate) const fn new(code: ReasonCode, detail: &'static str) -> Self {
        Self { code, detail }
    }
}

/// What follows for the connection that a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It goes on.
    Continue,
    /// The client said DISCONNECT; the Session has been let go of.
    Disconnected(ReasonCode),
}

/// Who is subscribed, as the subscription tree holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subscriber {
    /// A Session.
    Session(SessionKey),
    /// A shared subscription.
    Group(u32),
    /// Sessions of another shard.
    Peer(ShardId),
}

/// What the subscription tree holds beside the subscriber: options byte and Subscription
/// Identifier (0 = none).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) options: crate::packet::SubscriptionOptions,
    pub(crate) identifier: u32,
}

/// The state of all sessions of one engine.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    pub(crate) config: Arc<Config>,
    pub(crate) timers: Timers,
    pub(crate) stats: Stats,
    pub(crate) wall: WallClock,
    pub(crate) started: Instant,
    sessions: Arena<Session>,
    by_client_id: Map<Arc<str>, SessionKey>,
    generation: u32,
    tree: Tree<Subscriber, Grant>,
    groups: Groups,
    retained: Retained,
    links: Links,
    pub(crate) durable: Durable,
    rng: Rng,
    seed: u64,
    next_message: u64,
    /// Sessions that have more to send than their turn allowed.
    pending: VecDeque<SessionKey>,
    /// Bytes that stored messages may still take in this turn.
    budget: u64,
    /// Numbers each fan-out; with a Session's mark it finds overlapping subscriptions.
    fan_out: u64,
    targets: Vec<Target>,
    forwards: Vec<deliver::Outward>,
    /// Whether the message in hand goes to several subscribers, so that frames are worth sharing.
    sharing: bool,
    sys: sys::Sys,
    /// Messages by topic, while somebody looks at them.
    watch: Option<Box<watch::Watch>>,
    takeovers: limits::Takeovers,
    users: limits::Users,
    /// Whether there is an access list at all.
    access_on: bool,
    /// Counts the configurations, so that no Session remembers a right of an old one.
    access_epoch: u64,
    pub(crate) memory: memory::Memory,
}

impl Broker {
    pub(crate) fn new(config: Arc<Config>, seed: u64, now: Instant, wall: WallClock) -> Self {
        let mut rng = Rng::new(seed);
        let key = rng.next_u64();
        let mut broker = Self {
            timers: Timers::default(),
            stats: Stats::default(),
            wall,
            started: now,
            sessions: Arena::default(),
            by_client_id: map(key),
            generation: 0,
            tree: Tree::new(key),
            groups: Groups::new(key),
            retained: Retained::default(),
            links: Links::new(config.shard, config.shards),
            durable: Durable::new(config.broker.persistence, now, wall),
            rng,
            seed: key,
            // Numbers of messages are those of their shard.
            next_message: u64::from(config.shard.0) << 48,
            pending: VecDeque::new(),
            budget: 0,
            fan_out: 0,
            targets: Vec::new(),
            forwards: Vec::new(),
            sharing: false,
            sys: sys::Sys::default(),
            watch: None,
            takeovers: limits::Takeovers::default(),
            users: None,
            access_on: access::is_on(&config),
            access_epoch: 0,
            memory: memory::Memory::default(),
            config,
        };
        broker.arm_sys(now);
        broker
    }

    /// Handles a packet of a connected client.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        key: SessionKey,
        packet: &Packet<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<Next, Violation> {
        match packet {
            Packet::Publish(publish) => self.publish(now, key, publish, outlet)?,
            Packet::Puback(ack) => self.puback(now, key, ack, outlet)?,
            Packet::Pubrec(ack) => self.pubrec(now, key, ack, outlet)?,
            Packet::Pubrel(ack) => self.pubrel(key, ack, outlet),
            Packet::Pubcomp(ack) => self.pubcomp(now, key, ack, outlet)?,
            Packet::Subscribe(subscribe) => self.subscribe(now, key, subscribe, outlet)?,
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(key, unsubscribe, outlet),
            Packet::Pingreq => {
                if let Some(slot) = self.connection_of(key) {
                    outlet.send(slot, &Packet::Pingresp);
                }
            }
            Packet::Disconnect(disconnect) => return self.disconnect(now, key, disconnect, outlet),
            Packet::Auth(_) => {
                return Err(Violation::new(
                    ReasonCode::ProtocolError,
                    "AUTH without an Authentication Method in CONNECT [MQTT-4.12.0-7]",
                ));
            }
            Packet::Connect(_)
            | Packet::Connack(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp => {
                return Err(Violation::new(
                    ReasonCode::ProtocolError,
                    "a packet that only a server sends, or a second CONNECT [MQTT-3.1.0-2]",
                ));
            }
        }
        Ok(Next::Continue)
    }

    /// A turn begins: budgets start anew and what had to wait goes on.
    pub(crate) fn turn(&mut self, now: Instant, wall: WallClock, outlet: &mut impl Outlet) {
        self.wall = wall;
        self.durable.follow(now, wall);
        self.budget = u64::from(self.config.broker.turn_budget_bytes);
        self.give_credit(outlet);
        self.tell_stored(outlet);
        self.end_watch(now);
        self.go_on_with_sys(now, outlet);
        for _ in 0..self.pending.len() {
            let Some(key) = self.pending.pop_front() else { break };
            if let Some(session) = self.session_mut(key) {
                session.pending = false;
                self.pump(now, key, outlet);
            }
        }
    }

    /// Whether something waits for the next turn.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.owes_credit() || self.owes_sys() || self.owes_stored()
    }

    /// The configuration changes for all that comes.
    pub(crate) fn reconfigure(&mut self, config: Arc<Config>, now: Instant) {
        if config.broker.max_sessions_per_user == 0 {
            self.users = None;
        }
        let brought = |(_, session): (u32, &Session)| session.claims.is_some();
        self.access_on = access::is_on(&config) || self.sessions.iter().any(brought);
        self.access_epoch += 1;
        for (_, session) in self.sessions.iter_mut() {
            session.listener = config.listener_named(&session.listener_name, session.listener);
        }
        self.config = config;
        self.arm_sys(now);
    }

    /// The connection of the client with this Client Identifier, and its Session.
    pub(crate) fn find(&self, client_id: &str) -> Option<(SessionKey, Option<u32>)> {
        let key = *self.by_client_id.get(client_id)?;
        Some((key, self.connection_of(key)))
    }

    fn session(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(key.slot).filter(|session| session.generation == key.generation)
    }

    fn session_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(key.slot).filter(|session| session.generation == key.generation)
    }

    fn connection_of(&self, key: SessionKey) -> Option<u32> {
        Some(self.session(key)?.attached.as_ref()?.slot)
    }

    /// Whether the client of a Session asked for Reason Strings: Request Problem Information.
    fn wants_reasons(&self, key: SessionKey) -> bool {
        let attached = self.session(key).and_then(|session| session.attached.as_ref());
        attached.is_some_and(|attached| attached.problem_information)
    }

    fn topic_limits(&self) -> TopicLimits {
        TopicLimits { max_levels: self.config.broker.max_topic_levels, ..TopicLimits::default() }
    }

    fn message_number(&mut self) -> u64 {
        self.next_message += 1;
        self.next_message
    }

    /// Bytes held for clients, by formulae of lengths; a message counts once however many wait for it.
    pub(crate) fn footprint(&self) -> u64 {
        let sessions = self.sessions.iter();
        sessions.map(|(_, session)| session.footprint() - session.body_bytes()).sum::<u64>()
            + self.bodies()
            + self.shared_footprint()
    }

    /// What is held and belongs to no session, but for the bodies of messages.
    fn shared_footprint(&self) -> u64 {
        self.tree.footprint()
            + self.groups.footprint()
            + self.retained.footprint()
            + self.links.footprint()
            + self.durable.footprint()
            + self.timers.footprint()
            + self.watch.as_ref().map_or(0, |watch| watch.footprint())
    }

    pub(crate) fn save(&self, to: &mut dyn Sink) {
        self.timers.save(to);
        self.stats.save(to);
        self.wall.save(to);
        self.started.save(to);
        self.sessions.save(to);
        self.generation.save(to);
        self.groups.save(to);
        self.retained.save(to);
        self.links.save(to);
        self.durable.save(to);
        self.rng.state().save(to);
        self.seed.save(to);
        self.access_epoch.save(to);
        self.next_message.save(to);
        self.pending.save(to);
        self.budget.save(to);
        self.fan_out.save(to);
        self.sys.save(to);
        self.watch.save(to);
        self.takeovers.save(to);
        self.memory.save(to);
        self.save_tree(to);
    }

    pub(crate) fn load(config: Arc<Config>, from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let timers = Timers::load(from)?;
        let stats = Stats::load(from)?;
        let wall = State::load(from)?;
        let started = State::load(from)?;
        let mut sessions: Arena<Session> = State::load(from)?;
        for (_, session) in sessions.iter_mut() {
            session.listener = config.listener_named(&session.listener_name, session.listener);
        }
        let generation = State::load(from)?;
        let groups = Groups::load(from)?;
        let retained = Retained::load(from)?;
        let links = State::load(from)?;
        let durable = State::load(from)?;
        let rng = Rng::new(u64::load(from)?);
        let seed = u64::load(from)?;
        let access_epoch = State::load(from)?;
        let mut by_client_id = map(seed);
        for (slot, session) in sessions.iter() {
            let key = SessionKey { slot, generation: session.generation };
            by_client_id.insert(Arc::clone(&session.client_id), key);
        }
        Ok(Self {
            access_on: access::is_on(&config)
                || sessions.iter().any(|(_, session)| session.claims.is_some()),
            access_epoch,
            config,
            timers,
            stats,
            wall,
            started,
            sessions,
            by_client_id,
            generation,
            groups: groups.keyed(seed),
            retained,
            links,
            durable,
            rng,
            seed,
            next_message: State::load(from)?,
            pending: State::load(from)?,
            budget: State::load(from)?,
            fan_out: State::load(from)?,
            targets: Vec::new(),
            forwards: Vec::new(),
            sharing: false,
            sys: State::load(from)?,
            watch: State::load(from)?,
            takeovers: State::load(from)?,
            users: None,
            memory: State::load(from)?,
            tree: load_tree(seed, from)?,
        })
    }

    fn save_tree(&self, to: &mut dyn Sink) {
        u32::try_from(self.tree.len()).unwrap_or(u32::MAX).save(to);
        self.tree.for_each(|filter, subscriber, grant| {
            Box::<str>::from(filter).save(to);
            match subscriber {
                Subscriber::Session(key) => {
                    0u8.save(to);
                    key.save(to);
                }
                Subscriber::Group(group) => {
                    1u8.save(to);
                    group.save(to);
                }
                Subscriber::Peer(shard) => {
                    2u8.save(to);
                    shard.save(to);
                }
            }
            grant.options.save(to);
            grant.identifier.save(to);
        });
    }
}

/// Puts the subscriptions back in the order that gives the same order of matches.
fn load_tree(seed: u64, from: &mut Source<'_>) -> Result<Tree<Subscriber, Grant>, RestoreError> {
    let mut tree = Tree::new(seed);
    for _ in 0..u32::load(from)? {
        let filter = Box::<str>::load(from)?;
        let subscriber = match u8::load(from)? {
            0 => Subscriber::Session(State::load(from)?),
            1 => Subscriber::Group(State::load(from)?),
            2 => Subscriber::Peer(State::load(from)?),
            _ => return Err(from.error("subscriber")),
        };
        let grant = Grant { options: State::load(from)?, identifier: State::load(from)? };
        tree.insert(&filter, subscriber, grant);
    }
    Ok(tree)
}
