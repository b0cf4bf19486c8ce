//! Links between the shards of one broker (DESIGN: share-nothing engines joined by reliable, ordered
//! queues): who wants what, messages on their way to other shards, retained messages on all of
//! them, and credit so that no queue grows without bound. A link never blocks and never drops;
//! draining one never waits for anything.

use super::outbox::Outbox;
use super::sys::Report;
use super::{Broker, Outlet, Pressure, Subscriber, TimerKey};
use crate::engine::ShardId;
use crate::message::Message;
use crate::session::SessionKey;
use crate::state::{RestoreError, Sink, Source, State, state};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes on the way to one peer above which publishers are not read.
const BACKLOG_HIGH: u64 = 4 << 20;
/// Bytes below which they are read again.
const BACKLOG_LOW: u64 = 1 << 20;
/// What a message takes beside its own bytes.
const OVERHEAD: u64 = 64;
/// What the grant of a peer says if some of its subscribers outlive the process.
pub(super) const KEPT: u32 = 1;
/// Seconds between exchanges of counters while a tombstone lives.
const CLOCK_SECS: u64 = 1;

/// A message from one shard to another. Every one carries the sender's Lamport counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkMessage {
    clock: u64,
    body: Body,
}

impl LinkMessage {
    /// The message that was published, if this is one.
    pub(crate) fn published(&self) -> Option<&Message> {
        match &self.body {
            Body::Publish(forward, _) => Some(&forward.message),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The sender has subscribers for this filter, or no longer has; and whether some of them
    /// outlive the process.
    Interest { filter: Box<str>, wanted: bool, kept: bool },
    /// So many members of a shared subscription are connected, or wait, at the sender.
    Members { group: Box<str>, online: u32, waiting: u32 },
    /// A message, and its number if it is kept until it is stored; else 0.
    Publish(Forward, u64),
    /// The sender has stored what it made of the receiver's messages up to this number.
    Stored { seq: u64 },
    /// So many bytes have been handled.
    Credit { bytes: u64 },
    /// The numbers of the sender, for `$SYS`.
    Numbers(Box<Report>),
    /// The counter, and whether the sender wants the receiver's.
    Clock { answer: bool },
}

/// A published message on its way to another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) message: Arc<Message>,
    /// Whether it goes to plain subscriptions.
    pub(super) plain: bool,
    /// Set if it is to be retained, or clears what was.
    pub(super) stamp: Option<Stamp>,
    /// Shared subscriptions for which the receiver was chosen.
    pub(super) groups: Vec<Box<str>>,
    /// Shards that had no member left.
    pub(super) tried: Vec<ShardId>,
}

state!(Forward { message, plain, stamp, groups, tried });

/// When and where a retained message was set or cleared: the greater one holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) counter: u64,
    pub(super) shard: ShardId,
}

impl Stamp {
    /// As it is written down.
    pub(super) const fn op(self) -> (u64, u16) {
        (self.counter, self.shard.0)
    }
}

state!(Stamp { counter, shard });

impl State for ShardId {
    fn save(&self, to: &mut dyn Sink) {
        self.0.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        u16::load(from).map(Self)
    }
}

/// What a shard knows of one peer.
#[derive(Clone, Debug, Default)]
struct Link {
    /// Bytes sent and not yet credited.
    outstanding: u64,
    /// Bytes handled and not yet credited to the peer.
    owed: u64,
    /// The greatest counter heard.
    heard: u64,
    /// What may not be lost.
    outbox: Outbox,
}

state!(Link { outstanding, owed, heard, outbox });

/// All links of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    clock: u64,
    peers: BTreeMap<ShardId, Link>,
    /// Local plain subscriptions by filter: how many, and how many of sessions that are kept.
    interest: BTreeMap<Box<str>, (u32, u32)>,
    /// Topics that were cleared, until no older retained message can come.
    tombstones: BTreeMap<Box<str>, Stamp>,
    /// Publishers that are not read until there is credit.
    held: BTreeSet<SessionKey>,
    clock_due: Option<Instant>,
}

state!(Links { clock, peers, interest, tombstones, held, clock_due });

impl Links {
    pub(super) fn new(own: ShardId, shards: u16) -> Self {
        let peers = (0..shards).map(ShardId).filter(|peer| *peer != own);
        Self { peers: peers.map(|peer| (peer, Link::default())).collect(), ..Self::default() }
    }

    pub(super) fn is_single(&self) -> bool {
        self.peers.is_empty()
    }

    pub(super) fn peers(&self) -> Vec<ShardId> {
        self.peers.keys().copied().collect()
    }

    fn is_over(&self, limit: u64) -> bool {
        self.peers.values().any(|link| link.outstanding > limit)
    }

    pub(super) fn footprint(&self) -> u64 {
        let names = self.interest.keys().chain(self.tombstones.keys());
        let kept = self.peers.values().map(|link| link.outbox.footprint()).sum::<u64>();
        names.map(|name| 48 + name.len() as u64).sum::<u64>() + kept
    }

    /// What is kept for a peer.
    pub(super) fn outbox(&mut self, peer: ShardId) -> Option<&mut Outbox> {
        self.peers.get_mut(&peer).map(|link| &mut link.outbox)
    }

    /// What is kept for each peer.
    pub(super) fn outboxes(&mut self) -> impl Iterator<Item = &mut Outbox> {
        self.peers.values_mut().map(|link| &mut link.outbox)
    }

    /// What is kept for each peer.
    pub(super) fn all_outboxes(&self) -> impl Iterator<Item = &Outbox> {
        self.peers.values().map(|link| &link.outbox)
    }

    /// What is kept for each peer, by peer.
    pub(super) fn by_peer(&self) -> impl Iterator<Item = (ShardId, &Outbox)> {
        self.peers.iter().map(|(peer, link)| (*peer, &link.outbox))
    }

    /// Stamps from now on are greater than `counter`.
    pub(super) fn go_on_after(&mut self, counter: u64) {
        self.clock = self.clock.max(counter);
    }

    /// Every topic that was cleared, and its stamp.
    pub(super) fn tombstones(&self) -> impl Iterator<Item = (&str, Stamp)> {
        self.tombstones.iter().map(|(topic, stamp)| (&**topic, *stamp))
    }

    /// The stamp under which `topic` was cleared.
    pub(super) fn tombstone(&self, topic: &str) -> Option<Stamp> {
        self.tombstones.get(topic).copied()
    }
}

impl Broker {
    pub(super) fn link(&mut self, peer: ShardId, body: Body, outlet: &mut impl Outlet) {
        self.links.clock += 1;
        outlet.link(peer, LinkMessage { clock: self.links.clock, body });
    }

    fn link_all(&mut self, body: &Body, outlet: &mut impl Outlet) {
        for peer in self.links.peers() {
            self.link(peer, body.clone(), outlet);
        }
    }

    /// Stamp of a retained message that is set or cleared here and now.
    pub(super) fn stamp(&mut self) -> Stamp {
        self.links.clock += 1;
        Stamp { counter: self.links.clock, shard: self.config.shard }
    }

    /// A plain subscription to `filter` begins; the first is announced.
    pub(super) fn want(&mut self, filter: &str, kept: bool, outlet: &mut impl Outlet) {
        if self.links.is_single() {
            return;
        }
        let (all, of_kept) = self.links.interest.entry(filter.into()).or_insert((0, 0));
        *all += 1;
        *of_kept += u32::from(kept);
        if *all == 1 || kept && *of_kept == 1 {
            let body = Body::Interest { filter: filter.into(), wanted: true, kept };
            self.link_all(&body, outlet);
        }
    }

    /// A plain subscription to `filter` ends; the last is withdrawn.
    pub(super) fn unwant(&mut self, filter: &str, kept: bool, outlet: &mut impl Outlet) {
        let Some((all, of_kept)) = self.links.interest.get_mut(filter) else { return };
        *all -= 1;
        *of_kept -= u32::from(kept);
        let (wanted, last_kept) = (*all > 0, kept && *of_kept == 0);
        if !wanted {
            self.links.interest.remove(filter);
        }
        if !wanted || last_kept {
            let body = Body::Interest { filter: filter.into(), wanted, kept: false };
            self.link_all(&body, outlet);
        }
    }

    /// Members of a shared subscription came, went, or changed their state.
    pub(super) fn announce_group(&mut self, group: &str, outlet: &mut impl Outlet) {
        if self.links.is_single() {
            return;
        }
        let (online, waiting) = self.groups.count(group, &self.sessions);
        self.link_all(&Body::Members { group: group.into(), online, waiting }, outlet);
    }

    /// Announces all groups of a Session, whose connection came or went.
    pub(super) fn announce_groups_of(&mut self, key: SessionKey, outlet: &mut impl Outlet) {
        if self.links.is_single() {
            return;
        }
        let Some(session) = self.session(key) else { return };
        let shared: Vec<Box<str>> = session
            .subscriptions
            .keys()
            .filter(|filter| filter.starts_with("$share/"))
            .cloned()
            .collect();
        for group in shared {
            self.announce_group(&group, outlet);
        }
    }

    /// Tells a peer the numbers of this shard.
    pub(super) fn tell_numbers(&mut self, peer: ShardId, report: Report, outlet: &mut impl Outlet) {
        self.link(peer, Body::Numbers(Box::new(report)), outlet);
    }

    /// Sends a message to a peer; `kept` says that a Session that outlives the process may get it.
    pub(super) fn forward(
        &mut self,
        peer: ShardId,
        forward: Forward,
        kept: bool,
        outlet: &mut impl Outlet,
    ) {
        let seq = self.keep_for(peer, &forward, kept);
        if let Some(link) = self.links.peers.get_mut(&peer) {
            link.outstanding += forward.message.weight() + OVERHEAD;
        }
        self.link(peer, Body::Publish(forward, seq), outlet);
    }

    /// Sends a message that is kept already to its peer once more.
    pub(super) fn forward_again(
        &mut self,
        peer: ShardId,
        forward: Forward,
        seq: u64,
        outlet: &mut impl Outlet,
    ) {
        self.link(peer, Body::Publish(forward, seq), outlet);
    }

    /// Stops reading from a publisher while a link has too much on its way, or the journal, or memory
    /// runs out.
    pub(super) fn hold_if_over(&mut self, key: SessionKey, outlet: &mut impl Outlet) {
        let journal = self.is_store_behind();
        let links = !self.links.is_single() && self.links.is_over(BACKLOG_HIGH);
        if !journal && !links && !self.holds_for_memory(key) {
            return;
        }
        if let Some(slot) = self.connection_of(key) {
            self.links.held.insert(key);
            outlet.hold(slot);
        }
    }

    /// Handles a message from another shard.
    pub(crate) fn linked(
        &mut self,
        now: Instant,
        peer: ShardId,
        message: LinkMessage,
        outlet: &mut impl Outlet,
    ) {
        let Some(link) = self.links.peers.get_mut(&peer) else { return };
        link.heard = link.heard.max(message.clock);
        self.links.clock = self.links.clock.max(message.clock);
        match message.body {
            Body::Interest { filter, wanted: true, kept } => {
                let identifier = if kept { KEPT } else { 0 };
                let grant = super::Grant { identifier, ..super::Grant::default() };
                self.tree.insert(&filter, Subscriber::Peer(peer), grant);
            }
            Body::Interest { filter, wanted: false, .. } => {
                self.tree.remove(&filter, Subscriber::Peer(peer));
            }
            Body::Members { group, online, waiting } => {
                self.members_at(peer, &group, online, waiting);
            }
            Body::Publish(forward, seq) => {
                if let Some(link) = self.links.peers.get_mut(&peer) {
                    link.owed += forward.message.weight() + OVERHEAD;
                }
                if self.is_news(peer, seq) {
                    self.forwarded(now, forward, outlet);
                }
            }
            Body::Stored { seq } => self.peer_stored(peer, seq),
            Body::Credit { bytes } => self.credited(peer, bytes, outlet),
            Body::Numbers(report) => self.heard_numbers(peer, report),
            Body::Clock { answer } => {
                if answer {
                    self.link(peer, Body::Clock { answer: false }, outlet);
                }
            }
        }
        self.bury(now);
    }

    fn members_at(&mut self, peer: ShardId, group: &str, online: u32, waiting: u32) {
        let Some((_, filter)) = group["$share/".len().min(group.len())..].split_once('/') else {
            return;
        };
        let filter = filter.to_owned();
        let (at, exists) = self.groups.set_peer(group, &filter, peer, online, waiting);
        if exists {
            self.tree.insert(&filter, Subscriber::Group(at), super::Grant::default());
        } else {
            self.tree.remove(&filter, Subscriber::Group(at));
        }
    }

    fn credited(&mut self, peer: ShardId, bytes: u64, outlet: &mut impl Outlet) {
        if let Some(link) = self.links.peers.get_mut(&peer) {
            link.outstanding = link.outstanding.saturating_sub(bytes);
        }
        self.release_held(outlet);
    }

    /// Reads from publishers again, if there is nothing to hold them for.
    pub(super) fn release_held(&mut self, outlet: &mut impl Outlet) {
        let low = self.config.broker.journal_backlog / 2;
        let held_back = self.links.is_over(BACKLOG_LOW)
            || self.durable.backlog() > low
            || self.pressure() > Pressure::Growth;
        if self.links.held.is_empty() || held_back {
            return;
        }
        for key in core::mem::take(&mut self.links.held) {
            if let Some(slot) = self.connection_of(key)
                && !self.durable.holds(key)
            {
                outlet.release(slot);
            }
        }
    }

    /// Whether a client is not read for a reason that has nothing to do with its own answers.
    pub(super) fn is_held(&self, key: SessionKey) -> bool {
        self.links.held.contains(&key)
    }

    /// A message of another shard: kept if it is newer, delivered to whom it is meant for.
    fn forwarded(&mut self, now: Instant, forward: Forward, outlet: &mut impl Outlet) {
        let Forward { message, plain, stamp, groups, tried } = forward;
        if let Some(stamp) = stamp {
            self.retain_stamped(now, &message, stamp);
        }
        let unserved = self.route_forwarded(now, &message, plain, &groups, outlet);
        for group in unserved {
            self.pass_to_another_shard(&message, group, &tried, outlet);
        }
    }

    /// The members are gone: another shard that has some gets the message, each at most once.
    pub(super) fn pass_to_another_shard(
        &mut self,
        message: &Arc<Message>,
        group: Box<str>,
        tried: &[ShardId],
        outlet: &mut impl Outlet,
    ) {
        let mut tried = tried.to_vec();
        tried.push(self.config.shard);
        let Some(peer) = self.groups.other_shard(&group, &tried) else {
            self.stats.drops.session_ended += 1;
            return;
        };
        let forward = Forward {
            message: Arc::clone(message),
            plain: false,
            stamp: None,
            groups: vec![group],
            tried,
        };
        self.forward(peer, forward, true, outlet);
    }

    /// A retained topic was cleared under `stamp`; peers may not have heard of it yet.
    pub(super) fn tombstone(&mut self, now: Instant, topic: &str, stamp: Stamp) {
        if self.links.is_single() {
            return;
        }
        let known = self.links.tombstones.entry(topic.into()).or_default();
        *known = stamp.max(*known);
        if self.links.clock_due.is_none() {
            let due = now.plus_secs(CLOCK_SECS);
            self.links.clock_due = Some(due);
            self.timers.arm(due, TimerKey::Clock);
        }
    }

    /// Forgets tombstones older than anything that can still come.
    fn bury(&mut self, _: Instant) {
        if self.links.tombstones.is_empty() {
            return;
        }
        let heard = self.links.peers.values().map(|link| link.heard).min().unwrap_or(u64::MAX);
        let (own, retained, durable) = (self.config.shard, &self.retained, &mut self.durable);
        self.links.tombstones.retain(|topic, stamp| {
            let stays = stamp.counter >= heard;
            if !stays && stamp.shard == own && !retained.has(topic) && durable.keeps(topic) {
                durable.cleared(topic, None);
            }
            stays
        });
    }

    /// The timer of the counters.
    pub(super) fn exchange_clocks(&mut self, now: Instant, outlet: &mut impl Outlet) {
        self.links.clock_due = None;
        if self.links.tombstones.is_empty() {
            return;
        }
        self.link_all(&Body::Clock { answer: true }, outlet);
        let due = now.plus_secs(CLOCK_SECS);
        self.links.clock_due = Some(due);
        self.timers.arm(due, TimerKey::Clock);
    }

    /// Gives the peers their credit, once a turn.
    pub(super) fn give_credit(&mut self, outlet: &mut impl Outlet) {
        for peer in self.links.peers() {
            let Some(link) = self.links.peers.get_mut(&peer) else { continue };
            let bytes = core::mem::take(&mut link.owed);
            if bytes > 0 {
                self.link(peer, Body::Credit { bytes }, outlet);
            }
        }
    }

    /// Whether credit waits to be given.
    pub(super) fn owes_credit(&self) -> bool {
        self.links.peers.values().any(|link| link.owed > 0)
    }
}
