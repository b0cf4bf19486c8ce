//! What must outlive the process (DESIGN §5.1, §5.2): the records of the turn in hand, what of them
//! is durable, and which frames have to wait for it. With persistence off every Session has the
//! number 0 and nothing is written down. Decides nothing about MQTT; never sees a disk.

use super::{Broker, Outlet};
use crate::access::Claims;
use crate::journal::{
    AttachedOp, DeliveryOp, FORMAT, Op, StampOp, WillOp, encode_body, put_message,
};
use crate::message::Message;
use crate::packet::PacketId;
use crate::session::{Delivery, Session, SessionKey};
use crate::state::{Opaque, RestoreError, Sink, Source, State};
use crate::time::{Instant, WallClock};
use std::collections::{BTreeSet, VecDeque};

/// The wall clock is followed in steps of at least so much, microseconds, so that one instant keeps
/// one wall-clock time while the clocks drift.
const STEP_US: u64 = 100_000;

/// Records of an engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    /// Whether there is a journal.
    on: bool,
    /// The records of this turn.
    ops: Vec<u8>,
    /// The number of the last batch that was taken.
    lsn: u64,
    /// Up to which all are durable.
    durable: u64,
    /// Batches taken and not durable: number and bytes.
    handed: VecDeque<(u64, u64)>,
    backlog: u64,
    /// The number of the last Session that was written down.
    sessions: u64,
    /// The message that was put last in this turn.
    last_put: u64,
    /// Wall clock at [`Instant::ZERO`], microseconds.
    origin_us: u64,
    /// Whether the disk has no room.
    full: bool,
    /// Clients that are not read until what they were answered is durable.
    held: BTreeSet<SessionKey>,
}

impl State for Durable {
    fn save(&self, to: &mut dyn Sink) {
        self.on.save(to);
        Opaque(self.ops.as_slice().into()).save(to);
        self.lsn.save(to);
        self.durable.save(to);
        self.handed.save(to);
        self.backlog.save(to);
        self.sessions.save(to);
        self.last_put.save(to);
        self.origin_us.save(to);
        self.full.save(to);
        self.held.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Ok(Self {
            on: State::load(from)?,
            ops: Opaque::load(from)?.0.into(),
            lsn: State::load(from)?,
            durable: State::load(from)?,
            handed: State::load(from)?,
            backlog: State::load(from)?,
            sessions: State::load(from)?,
            last_put: State::load(from)?,
            origin_us: State::load(from)?,
            full: State::load(from)?,
            held: State::load(from)?,
        })
    }
}

impl Durable {
    pub(crate) fn new(on: bool, now: Instant, wall: WallClock) -> Self {
        let mut durable = Self { on, ..Self::default() };
        durable.follow(now, wall);
        durable
    }

    /// Whether there is a journal.
    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.on
    }

    /// Whether the disk has no room for anything new.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.full
    }

    /// The disk has room, or has none.
    pub(crate) const fn set_full(&mut self, full: bool) {
        self.full = full && self.on;
    }

    /// Takes over the numbers of sessions that an earlier process gave.
    pub(super) const fn go_on_after(&mut self, sessions: u64) {
        self.sessions = sessions;
    }

    /// When the wall clock shows `wall` milliseconds; the start of the process if that was before.
    pub(super) const fn instant(&self, wall: u64) -> Instant {
        Instant(wall.saturating_mul(1000).saturating_sub(self.origin_us))
    }

    pub(super) fn follow(&mut self, now: Instant, wall: WallClock) {
        let origin = wall.0.saturating_mul(1000).saturating_sub(now.0);
        if origin.abs_diff(self.origin_us) >= STEP_US {
            self.origin_us = origin;
        }
    }

    /// Milliseconds of the wall clock at `at`.
    pub(super) const fn wall(&self, at: Instant) -> u64 {
        self.origin_us.saturating_add(at.0) / 1000
    }

    /// Writes a step down.
    pub(super) fn step(&mut self, op: &Op<'_>) {
        self.begin();
        op.encode(&mut self.ops);
    }

    fn begin(&mut self) {
        if self.ops.is_empty() {
            self.ops.push(FORMAT);
        }
    }

    /// Writes a step of a Session down, if it outlives the process.
    #[inline]
    pub(super) fn of<'o>(&mut self, session: &mut Session, op: impl FnOnce(u64) -> Op<'o>) {
        if session.recorded.number > 0 {
            session.recorded.lsn = self.lsn + 1;
            let op = op(session.recorded.number);
            self.step(&op);
        }
    }

    /// Writes a message down, before its use.
    pub(super) fn put(&mut self, message: &Message) {
        if self.last_put == message.number {
            return;
        }
        self.last_put = message.number;
        self.begin();
        let received = self.wall(message.received);
        put_message(&mut self.ops, received, message);
    }

    /// A message waits for a Session.
    #[inline]
    pub(super) fn queued(&mut self, session: &mut Session, delivery: &Delivery) {
        if session.recorded.number > 0 {
            self.put(&delivery.message);
            let delivery = delivery_op(delivery);
            self.of(session, |session| Op::Queued { session, delivery });
        }
    }

    /// A message goes straight out to a Session.
    #[inline]
    pub(super) fn sent(&mut self, session: &mut Session, id: PacketId, delivery: &Delivery) {
        if session.recorded.number > 0 {
            self.put(&delivery.message);
            let delivery = delivery_op(delivery);
            self.of(session, |session| Op::Sent { session, id, delivery });
        }
    }

    /// An exchange with a client is over.
    #[inline]
    pub(super) fn acked(&mut self, session: &mut Session, id: PacketId) {
        self.of(session, |session| Op::Acked { session, id });
    }

    /// A message that waits is gone.
    #[inline]
    pub(super) fn dropped(&mut self, session: &mut Session, at: u32) {
        self.of(session, |session| Op::Dropped { session, at });
    }

    /// A Session has a new connection.
    pub(super) fn attached(&mut self, session: &mut Session) {
        if !self.on {
            return;
        }
        let recorded = session.recorded;
        if session.expiry_interval == 0 && recorded.number > 0 {
            self.step(&Op::Ended { session: recorded.number });
            session.recorded.number = 0;
        }
        let kept = session.expiry_interval > 0;
        if kept && recorded.number == 0 {
            self.sessions += 1;
            session.recorded.number = self.sessions;
            session.recorded.kept = true;
        } else if !kept && session.will.is_some() {
            self.sessions += 1;
            session.recorded.will = self.sessions;
        }
        let number = session.recorded.number.max(session.recorded.will);
        if number == 0 {
            return;
        }
        session.recorded.lsn = self.lsn + 1;
        let body = session.will.as_ref().map(|will| encode_body(&will.message));
        let will = session.will.as_ref().zip(body.as_ref()).map(|(will, body)| WillOp {
            delay: will.delay_secs,
            interval: will.message.interval(),
            body,
        });
        self.step(&Op::Attached(AttachedOp {
            session: number,
            client_id: &session.client_id,
            username: session.username.as_deref(),
            is_owned: session.is_owned,
            version: session.version,
            listener: &session.listener_name,
            mount: session.mount.as_deref(),
            expiry: session.expiry_interval,
            rights: session.claims.as_ref().map(Claims::text),
            will,
        }));
    }

    /// The connection of a Session is over, and the Session goes on.
    pub(super) fn detached(&mut self, session: &mut Session) {
        let (expiry, has_will) = (session.expiry_interval, session.will.is_some());
        let expires = session.expires.map(|at| self.wall(at));
        let will_due = session.will_due.map(|at| self.wall(at));
        self.of(session, |session| Op::Detached { session, expiry, expires, will_due, has_will });
    }

    /// A Session is over.
    pub(super) fn ended(&mut self, session: &Session) {
        for session in [session.recorded.number, session.recorded.will] {
            if session > 0 {
                self.step(&Op::Ended { session });
            }
        }
    }

    /// The Will of a Session was published.
    pub(super) fn will_gone(&mut self, session: &mut Session) {
        for number in [session.recorded.number, session.recorded.will] {
            if number > 0 {
                session.recorded.lsn = self.lsn + 1;
                self.step(&Op::WillGone { session: number });
            }
        }
    }

    /// Whether what is retained for this topic is written down: not what the broker says of itself.
    pub(super) fn keeps(&self, topic: &str) -> bool {
        self.on && !super::publish::is_reserved(topic)
    }

    /// A topic of this shard is cleared.
    pub(super) fn cleared(&mut self, topic: &str, stamp: Option<StampOp>) {
        if self.keeps(topic) {
            self.step(&Op::Cleared { topic, stamp });
        }
    }

    /// The batch that must be durable before anything may be promised that was done so far: all of
    /// it.
    pub(super) const fn last(&self) -> u64 {
        if self.ops.is_empty() { self.lsn } else { self.lsn + 1 }
    }

    /// The batch that must be durable before `session` may be promised what it was told last.
    #[inline]
    pub(super) fn required(&self, session: &Session) -> u64 {
        let building = if self.ops.is_empty() { 0 } else { self.lsn + 1 };
        session.recorded.lsn.max(building)
    }

    /// Up to which batch all are durable.
    #[inline]
    pub(crate) const fn durable(&self) -> u64 {
        self.durable
    }

    /// Takes the records of this turn: their number, and the bytes.
    pub(crate) fn take(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.ops.is_empty() {
            return None;
        }
        self.lsn += 1;
        self.last_put = 0;
        let bytes = core::mem::take(&mut self.ops);
        self.handed.push_back((self.lsn, bytes.len() as u64));
        self.backlog += bytes.len() as u64;
        Some((self.lsn, bytes))
    }

    /// Everything up to `lsn` is durable.
    fn advance(&mut self, lsn: u64) {
        self.durable = self.durable.max(lsn.min(self.lsn));
        while let Some((first, bytes)) = self.handed.front()
            && *first <= self.durable
        {
            self.backlog -= bytes;
            self.handed.pop_front();
        }
    }

    /// Whether a client is not read until what it was answered is durable.
    pub(super) fn holds(&self, key: SessionKey) -> bool {
        self.held.contains(&key)
    }

    /// Bytes that are not durable.
    pub(super) fn backlog(&self) -> u64 {
        self.backlog + self.ops.len() as u64
    }

    pub(super) fn footprint(&self) -> u64 {
        self.ops.len() as u64 + 16 * self.handed.len() as u64
    }
}

pub(super) fn delivery_op(delivery: &Delivery) -> DeliveryOp<'_> {
    DeliveryOp {
        message: delivery.message.number,
        qos: delivery.qos,
        retain: delivery.retain,
        ids: delivery.subscription_ids.clone(),
        group: delivery.group.as_deref(),
    }
}

impl Broker {
    /// Everything up to `lsn` of this engine is durable.
    pub(crate) fn durable(&mut self, lsn: u64, outlet: &mut impl Outlet) {
        self.durable.advance(lsn);
        self.note_stored();
        self.release_for_store(outlet);
        self.release_held(outlet);
    }

    /// Whether more waits for the disk than `journal_backlog` allows.
    pub(super) fn is_store_behind(&self) -> bool {
        self.durable.on && self.durable.backlog() > self.config.broker.journal_backlog
    }

    /// Stops reading from a client, whatever it sends, until the store has caught up.
    pub(crate) fn hold_for_store(&mut self, key: SessionKey, outlet: &mut impl Outlet) {
        if let Some(slot) = self.connection_of(key) {
            self.durable.held.insert(key);
            outlet.hold(slot);
        }
    }

    /// Who still has too many answers waiting is held again when he sends on.
    fn release_for_store(&mut self, outlet: &mut impl Outlet) {
        if self.durable.backlog() > self.config.broker.journal_backlog / 2 {
            return;
        }
        for key in core::mem::take(&mut self.durable.held) {
            if let Some(slot) = self.connection_of(key)
                && !self.is_held(key)
            {
                outlet.release(slot);
            }
        }
    }

    /// What is written to the connection of a Session from now on waits for the Session's records.
    #[inline]
    pub(super) fn promise(&self, key: SessionKey, outlet: &mut impl Outlet) {
        if !self.durable.on {
            return;
        }
        let Some(session) = self.session(key) else { return };
        let (lsn, Some(attached)) = (self.durable.required(session), &session.attached) else {
            return;
        };
        if lsn > self.durable.durable {
            outlet.withhold(attached.slot, lsn);
        }
    }
}
