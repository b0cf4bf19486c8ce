//! The image: what the records so far amount to, rebuilt by applying them in order (DESIGN §5.4,
//! §5.6). Plain data, generic over how the bytes of a message are held: whole at recovery, by their
//! place in a file while folding. It decides nothing about MQTT; a step that does not fit what came
//! before is an error, never a guess.

use super::record::{BadRecord, DeliveryOp, ForwardOp, Op, StampOp, for_each_op};
use crate::packet::{PacketId, QoS, SubscriptionIds, Version};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What all shards must remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image<M> {
    /// How many processes have begun on this journal.
    pub epoch: u32,
    /// The seed of the hashes of the last one.
    pub key: u64,
    /// When the last one began, milliseconds of the wall clock.
    pub wall: u64,
    /// By shard.
    pub shards: Vec<ShardImage<M>>,
}

/// What one shard must remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardImage<M> {
    /// By the number of the session.
    pub sessions: BTreeMap<u64, SessionImage>,
    /// Every message that something names, by its number.
    pub messages: BTreeMap<u64, Held<M>>,
    /// Retained messages that were set on this shard, by topic.
    pub retained: BTreeMap<Box<str>, RetainedImage>,
    /// Topics that were cleared on this shard while an older message may live elsewhere.
    pub tombstones: BTreeMap<Box<str>, StampOp>,
    /// By shard: messages that it has not stored.
    pub outbox: BTreeMap<u16, VecDeque<ForwardImage>>,
    /// By shard: the last of its messages that was handled.
    pub marks: BTreeMap<u16, u64>,
    /// Messages that nothing may name any more.
    idle: Vec<u64>,
}

impl<M> Default for ShardImage<M> {
    fn default() -> Self {
        Self {
            sessions: BTreeMap::new(),
            messages: BTreeMap::new(),
            retained: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            outbox: BTreeMap::new(),
            marks: BTreeMap::new(),
            idle: Vec::new(),
        }
    }
}

/// A message and how often it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held<M> {
    /// Its bytes, or their place.
    pub body: M,
    /// When it was received, milliseconds of the wall clock.
    pub received: u64,
    /// Message Expiry Interval from then on, seconds.
    pub interval: Option<u32>,
    /// How many deliveries, retained messages and forwards name it.
    pub uses: u32,
}

/// A session, or the Will of one that ends with its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionImage {
    /// Client Identifier.
    pub client_id: Box<str>,
    /// User Name.
    pub username: Option<Box<str>>,
    /// Whether it belongs to this user alone.
    pub is_owned: bool,
    /// Version of the last connection.
    pub version: Version,
    /// The name of the listener of the last connection.
    pub listener: Box<str>,
    /// `mount_point`.
    pub mount: Option<Box<str>>,
    /// Session Expiry Interval; 0 = it is kept for its Will alone.
    pub expiry: u32,
    /// Rights that its token brought, as lines of an access list.
    pub rights: Option<Box<str>>,
    /// Whether a connection is attached.
    pub attached: bool,
    /// When it expires.
    pub expires: Option<u64>,
    /// When its Will is due.
    pub will_due: Option<u64>,
    /// Its Will.
    pub will: Option<WillImage>,
    /// By filter: options byte and Subscription Identifier.
    pub subscriptions: BTreeMap<Box<str>, (u8, u32)>,
    /// QoS 2 identifiers received and not released.
    pub incoming: BTreeSet<PacketId>,
    /// Exchanges to the client, in order.
    pub inflight: VecDeque<FlightImage>,
    /// What waits, in order.
    pub queue: VecDeque<DeliveryImage>,
}

/// A Will Message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WillImage {
    /// Will Delay Interval.
    pub delay: u32,
    /// Message Expiry Interval.
    pub interval: Option<u32>,
    /// The message.
    pub body: Box<[u8]>,
}

/// An exchange to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightImage {
    /// Packet Identifier.
    pub id: PacketId,
    /// What is sent; `None` once PUBREC was received.
    pub delivery: Option<DeliveryImage>,
}

/// A message on its way to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryImage {
    /// Number of the message.
    pub message: u64,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Subscription Identifiers.
    pub ids: SubscriptionIds,
    /// The shared subscription that chose the session.
    pub group: Option<Box<str>>,
}

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedImage {
    /// Number of the message.
    pub message: u64,
    /// When it expires.
    pub expires: Option<u64>,
    /// Its stamp.
    pub stamp: StampOp,
}

/// A message for another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardImage {
    /// Its number among those for that shard.
    pub seq: u64,
    /// Number of the message.
    pub message: u64,
    /// Whether it goes to plain subscriptions.
    pub plain: bool,
    /// Set if it is to be retained.
    pub stamp: Option<StampOp>,
    /// Shared subscriptions that it goes to.
    pub groups: Vec<Box<str>>,
    /// Shards that had no member left.
    pub tried: Vec<u16>,
}

impl DeliveryImage {
    fn of(op: DeliveryOp<'_>) -> Self {
        let DeliveryOp { message, qos, retain, ids, group } = op;
        Self { message, qos, retain, ids, group: group.map(Into::into) }
    }

    /// The step that makes it.
    pub(super) fn op(&self) -> DeliveryOp<'_> {
        DeliveryOp {
            message: self.message,
            qos: self.qos,
            retain: self.retain,
            ids: self.ids.clone(),
            group: self.group.as_deref(),
        }
    }
}

impl<M: Clone> Image<M> {
    /// An image of nothing.
    pub const fn new() -> Self {
        Self { epoch: 0, key: 0, wall: 0, shards: Vec::new() }
    }

    /// Applies a batch of a shard. `hold` gets the bytes of each new message and where they end in
    /// the batch, and says how they are held.
    ///
    /// # Errors
    /// If the bytes are no batch, or do not fit what came before.
    pub fn apply(
        &mut self,
        shard: u16,
        batch: &[u8],
        hold: impl FnMut(&[u8], u64) -> M,
    ) -> Result<(), BadRecord> {
        self.apply_part(shard, batch, hold)?;
        self.sweep();
        Ok(())
    }

    /// Applies a batch of a base, in which messages are named by later batches only; call
    /// [`Self::sweep`] behind the last.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_part(
        &mut self,
        shard: u16,
        batch: &[u8],
        mut hold: impl FnMut(&[u8], u64) -> M,
    ) -> Result<(), BadRecord> {
        for_each_op(batch, |op, at| {
            if let Op::Start { epoch, shards, wall, key } = op {
                (self.epoch, self.wall, self.key) = (epoch, wall, key);
                self.repartition(shards.max(1));
                return Ok(());
            }
            let one = self.shards.get_mut(usize::from(shard));
            let one = one.ok_or(BadRecord { what: "shard of this start", at })?;
            one.step(op, at, &mut hold).ok_or(BadRecord { what: "step that fits the others", at })
        })
    }

    /// As [`Self::apply_part`] for a journal of which parts are lost: takes the steps that fit, and
    /// says how many do not.
    pub(super) fn apply_what_fits(
        &mut self,
        shard: u16,
        batch: &[u8],
        mut hold: impl FnMut(&[u8], u64) -> M,
    ) -> u64 {
        let mut misfits = 0;
        let read = for_each_op(batch, |op, at| {
            if let Op::Start { epoch, shards, wall, key } = op {
                (self.epoch, self.wall, self.key) = (epoch, wall, key);
                self.repartition(shards.max(1));
                return Ok(());
            }
            while self.shards.len() <= usize::from(shard) {
                self.shards.push(ShardImage::default());
            }
            let Some(one) = self.shards.get_mut(usize::from(shard)) else { return Ok(()) };
            if let Op::Sent { session, id, .. } | Op::Started { session, id } = &op {
                // The exchange before by this identifier is over, or it would not be used again.
                let _ = one.delivery_step(Op::Acked { session: *session, id: *id });
            }
            misfits += u64::from(one.step(op, at, &mut hold).is_none());
            Ok(())
        });
        misfits + u64::from(read.is_err())
    }

    /// Ends older sessions of clients that have two, because the end of the first was lost.
    pub(super) fn end_doubles(&mut self) {
        for shard in &mut self.shards {
            let mut seen = BTreeSet::new();
            let newest_first = shard.sessions.iter().rev();
            let old = newest_first.filter(|(_, one)| !seen.insert(one.client_id.clone()));
            let old: Vec<_> = old.map(|(session, _)| *session).collect();
            for session in old {
                let _ = shard.session_step(Op::Ended { session });
            }
        }
        self.sweep();
    }

    /// Forgets the messages that nothing names.
    pub fn sweep(&mut self) {
        for shard in &mut self.shards {
            shard.sweep();
        }
    }
}

impl<M> ShardImage<M> {
    fn sweep(&mut self) {
        for number in core::mem::take(&mut self.idle) {
            if self.messages.get(&number).is_some_and(|held| held.uses == 0) {
                self.messages.remove(&number);
            }
        }
    }

    /// Takes one step; `None` if it does not fit.
    fn step(&mut self, op: Op<'_>, at: u64, hold: &mut impl FnMut(&[u8], u64) -> M) -> Option<()> {
        match op {
            Op::Put { number, received, interval, body } => {
                if let Entry::Vacant(entry) = self.messages.entry(number) {
                    entry.insert(Held { body: hold(body, at), received, interval, uses: 0 });
                    self.idle.push(number);
                }
            }
            Op::Retained { topic, message, expires, stamp } => {
                self.name(message)?;
                let entry = RetainedImage { message, expires, stamp };
                if let Some(old) = self.retained.insert(topic.into(), entry) {
                    self.unname(old.message);
                }
                self.tombstones.remove(topic);
            }
            Op::Cleared { topic, stamp } => {
                if let Some(old) = self.retained.remove(topic) {
                    self.unname(old.message);
                }
                match stamp {
                    Some(stamp) => drop(self.tombstones.insert(topic.into(), stamp)),
                    None => drop(self.tombstones.remove(topic)),
                }
            }
            Op::Forward(forward) => self.forward(&forward)?,
            Op::Mark { from, seq } => {
                let mark = self.marks.entry(from).or_insert(0);
                *mark = seq.max(*mark);
            }
            Op::Stored { to, seq } => self.stored(to, seq),
            op => return self.session_step(op),
        }
        Some(())
    }

    fn session_step(&mut self, op: Op<'_>) -> Option<()> {
        match op {
            Op::Attached(attached) => self.attached(&attached),
            Op::Detached { session, expiry, expires, will_due, has_will } => {
                let session = self.sessions.get_mut(&session)?;
                session.attached = false;
                (session.expiry, session.expires) = (expiry, expires);
                session.will_due = will_due;
                session.will = session.will.take().filter(|_| has_will);
            }
            Op::Ended { session } => {
                let session = self.sessions.remove(&session)?;
                let sent = session.inflight.iter().filter_map(|flight| flight.delivery.as_ref());
                for delivery in sent.chain(&session.queue) {
                    self.unname(delivery.message);
                }
            }
            Op::Subscribed { session, filter, options, identifier } => {
                let session = self.sessions.get_mut(&session)?;
                session.subscriptions.insert(filter.into(), (options, identifier));
            }
            Op::Unsubscribed { session, filter } => {
                self.sessions.get_mut(&session)?.subscriptions.remove(filter)?;
            }
            Op::Received { session, id } => {
                self.sessions.get_mut(&session)?.incoming.insert(id);
            }
            Op::Released { session, id } => {
                self.sessions.get_mut(&session)?.incoming.remove(&id);
            }
            Op::WillGone { session } => {
                let session = self.sessions.get_mut(&session)?;
                (session.will, session.will_due) = (None, None);
            }
            op => return self.delivery_step(op),
        }
        Some(())
    }

    fn delivery_step(&mut self, op: Op<'_>) -> Option<()> {
        match op {
            Op::Queued { session, delivery } => {
                self.name(delivery.message)?;
                self.sessions.get_mut(&session)?.queue.push_back(DeliveryImage::of(delivery));
            }
            Op::Sent { session, id, delivery } => {
                self.name(delivery.message)?;
                let delivery = Some(DeliveryImage::of(delivery));
                let session = self.sessions.get_mut(&session)?;
                session.inflight.push_back(FlightImage { id, delivery });
            }
            Op::Started { session, id } => {
                let session = self.sessions.get_mut(&session)?;
                let delivery = Some(session.queue.pop_front()?);
                session.inflight.push_back(FlightImage { id, delivery });
            }
            Op::Dropped { session, at } => {
                let session = self.sessions.get_mut(&session)?;
                let gone = session.queue.remove(usize::try_from(at).ok()?)?;
                self.unname(gone.message);
            }
            Op::Acked { session, id } => {
                let session = self.sessions.get_mut(&session)?;
                let at = session.inflight.iter().position(|flight| flight.id == id)?;
                if let Some(delivery) = session.inflight.remove(at)?.delivery {
                    self.unname(delivery.message);
                }
            }
            Op::PubrecSeen { session, id } => {
                let session = self.sessions.get_mut(&session)?;
                match session.inflight.iter_mut().find(|flight| flight.id == id) {
                    None => session.inflight.push_back(FlightImage { id, delivery: None }),
                    Some(flight) => {
                        if let Some(delivery) = flight.delivery.take() {
                            self.unname(delivery.message);
                        }
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn attached(&mut self, op: &super::record::AttachedOp<'_>) {
        let will = op.will.map(|will| WillImage {
            delay: will.delay,
            interval: will.interval,
            body: will.body.into(),
        });
        let old = self.sessions.remove(&op.session);
        let (subscriptions, incoming, inflight, queue) = match old {
            Some(old) => (old.subscriptions, old.incoming, old.inflight, old.queue),
            None => Default::default(),
        };
        let session = SessionImage {
            client_id: op.client_id.into(),
            username: op.username.map(Into::into),
            is_owned: op.is_owned,
            version: op.version,
            listener: op.listener.into(),
            mount: op.mount.map(Into::into),
            expiry: op.expiry,
            rights: op.rights.map(Into::into),
            attached: true,
            expires: None,
            will_due: None,
            will,
            subscriptions,
            incoming,
            inflight,
            queue,
        };
        self.sessions.insert(op.session, session);
    }

    fn forward(&mut self, op: &ForwardOp<'_>) -> Option<()> {
        self.name(op.message)?;
        let outbox = self.outbox.entry(op.to).or_default();
        outbox.push_back(ForwardImage {
            seq: op.seq,
            message: op.message,
            plain: op.plain,
            stamp: op.stamp,
            groups: op.groups.iter().map(|group| (*group).into()).collect(),
            tried: op.tried.clone(),
        });
        Some(())
    }

    fn stored(&mut self, to: u16, seq: u64) {
        while let Some(first) = self.outbox.get(&to).and_then(VecDeque::front)
            && first.seq <= seq
        {
            let message = first.message;
            self.outbox.get_mut(&to).and_then(VecDeque::pop_front);
            self.unname(message);
        }
        if self.outbox.get(&to).is_some_and(VecDeque::is_empty) {
            self.outbox.remove(&to);
        }
    }

    pub(super) fn name(&mut self, message: u64) -> Option<()> {
        self.messages.get_mut(&message)?.uses += 1;
        Some(())
    }

    fn unname(&mut self, message: u64) {
        if let Some(held) = self.messages.get_mut(&message) {
            held.uses = held.uses.saturating_sub(1);
            if held.uses == 0 {
                self.idle.push(message);
            }
        }
    }
}
