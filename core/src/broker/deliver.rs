//! Fan-out (MQTT 5.0 §3.3.4, §4.6): who gets a message, once each, and how it reaches him: written
//! at once, queued, or dropped for him alone with a counter. Nobody waits for anybody.

use super::durable::Durable;
use super::link::{Forward, Stamp};
use super::shared::Choice;
use super::{Broker, Grant, Outlet, Pressure, Subscriber, access};
use crate::codec;
use crate::engine::{DeliverySeen, Event, Outcome, ShardId};
use crate::message::Message;
use crate::packet::{Publish, QoS, SubscriptionIds, Version};
use crate::session::{Attached, Delivery, QueueLimits, Session, SessionKey};
use crate::time::Instant;
use std::sync::Arc;

/// One Session that a message goes to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    session: SessionKey,
    qos: QoS,
    retain_as_published: bool,
    ids: SubscriptionIds,
    group: Option<u32>,
}

impl Target {
    fn new(session: SessionKey, grant: Grant, group: Option<u32>) -> Self {
        let mut ids = SubscriptionIds::new();
        if grant.identifier > 0 {
            ids.push(grant.identifier);
        }
        let Grant { options, .. } = grant;
        let retain_as_published = options.retain_as_published;
        Self { session, qos: options.qos, retain_as_published, ids, group }
    }

    /// Another subscription of the same Session matches.
    fn join(&mut self, grant: Grant) {
        self.qos = self.qos.max(grant.options.qos);
        self.retain_as_published |= grant.options.retain_as_published;
        if grant.identifier > 0 {
            self.ids.push(grant.identifier);
            self.ids.sort_unstable();
        }
    }
}

/// Another shard that a message goes to, the shared subscriptions it goes to there, and whether a
/// Session that outlives the process may get it.
pub(super) type Outward = (ShardId, Vec<Box<str>>, bool);

/// Whom a message is meant for.
struct Scope<'a> {
    /// Who published it, if that is a Session of this shard.
    publisher: Option<SessionKey>,
    /// Whether it was published on this shard, which then decides for the others too.
    origin: bool,
    /// Whether it goes to plain subscriptions.
    plain: bool,
    /// Shared subscriptions for which this shard was chosen by the origin.
    groups: &'a [Box<str>],
}

impl Broker {
    /// Delivers a message to all who subscribed, here and on other shards; `false` if nobody did.
    /// `topic` carries the mount point; `stored` is made when the first subscriber needs the message
    /// to be kept; `stamp` says that all shards shall retain it.
    #[expect(clippy::too_many_arguments, reason = "one message, spelled out")]
    pub(super) fn route(
        &mut self,
        now: Instant,
        topic: &str,
        publish: &Publish<'_>,
        publisher: Option<SessionKey>,
        stamp: Option<Stamp>,
        stored: &mut Option<Arc<Message>>,
        outlet: &mut impl Outlet,
    ) -> bool {
        let mut targets = core::mem::take(&mut self.targets);
        targets.clear();
        let mut forwards = core::mem::take(&mut self.forwards);
        forwards.clear();
        let mut scope = Scope { publisher, origin: true, plain: true, groups: &[] };
        self.collect(topic, publish.qos, &mut scope, &mut targets, &mut forwards, outlet);
        outlet.new_message();
        self.sharing = targets.len() > 1;
        for target in &targets {
            self.deliver(now, topic, publish, target, stored, outlet);
        }
        let any = !targets.is_empty() || !forwards.is_empty();
        self.targets = targets;
        if stamp.is_some() {
            self.forward_to_all(&mut forwards);
        }
        for (peer, groups, kept) in forwards.drain(..) {
            let message = self.store(stored, topic, publish, now);
            let tried = Vec::new();
            let forward = Forward { message, plain: true, stamp, groups, tried };
            self.forward(peer, forward, kept, outlet);
        }
        self.forwards = forwards;
        any
    }

    /// A retained message goes to every shard, wanted or not.
    fn forward_to_all(&self, forwards: &mut Vec<Outward>) {
        for peer in self.links.peers() {
            if forwards.iter().all(|(known, ..)| *known != peer) {
                forwards.push((peer, Vec::new(), false));
            }
        }
    }

    /// Delivers a message of another shard to whom it is meant for; gives the shared subscriptions
    /// that have no member here any more.
    pub(super) fn route_forwarded(
        &mut self,
        now: Instant,
        message: &Arc<Message>,
        plain: bool,
        groups: &[Box<str>],
        outlet: &mut impl Outlet,
    ) -> Vec<Box<str>> {
        let mut targets = core::mem::take(&mut self.targets);
        targets.clear();
        let mut scope = Scope { publisher: None, origin: false, plain, groups };
        let mut none = Vec::new();
        self.collect(&message.topic, message.qos, &mut scope, &mut targets, &mut none, outlet);
        outlet.new_message();
        self.sharing = targets.len() > 1;
        let mut stored = Some(Arc::clone(message));
        let publish = message.publish(now);
        for target in &targets {
            self.deliver(now, &message.topic, &publish, target, &mut stored, outlet);
        }
        let served = |group: &str| {
            let at = self.groups.find(group);
            at.is_some() && targets.iter().any(|target| target.group == at)
        };
        let unserved = groups.iter().filter(|group| !served(group)).cloned().collect();
        self.targets = targets;
        unserved
    }

    /// Lists the sessions that match, overlapping subscriptions joined: the highest QoS, all
    /// Subscription Identifiers [MQTT-3.3.4-2], [MQTT-3.3.4-3].
    fn collect(
        &mut self,
        topic: &str,
        qos: QoS,
        scope: &mut Scope<'_>,
        targets: &mut Vec<Target>,
        forwards: &mut Vec<Outward>,
        outlet: &mut impl Outlet,
    ) {
        self.fan_out += 1;
        let fan_out = self.fan_out;
        let (sessions, groups, tree) = (&mut self.sessions, &mut self.groups, &self.tree);
        let may_read = access::reading(self.access_on, &self.config, topic);
        tree.for_each_match(topic, |subscriber, grant| {
            let (key, grant, group) = match subscriber {
                Subscriber::Session(_) if !scope.plain => return,
                Subscriber::Session(key) => (key, grant, None),
                Subscriber::Peer(_) if !scope.origin => return,
                Subscriber::Peer(peer) => {
                    add_outward(forwards, peer, None, grant.identifier == super::link::KEPT);
                    return;
                }
                Subscriber::Group(group) => {
                    if !scope.origin && !groups.is_named(group, scope.groups) {
                        return;
                    }
                    let room = |slot| outlet.has_room(slot);
                    match groups.choose(group, qos, scope.origin, sessions, room, &may_read) {
                        Some(Choice::Member(key, grant)) => (key, grant, Some(group)),
                        Some(Choice::Shard(peer, name)) => {
                            add_outward(forwards, peer, Some(name), true);
                            return;
                        }
                        None => return,
                    }
                }
            };
            let Some(session) = sessions.get_mut(key.slot) else { return };
            if grant.options.no_local && scope.publisher == Some(key) {
                observe(outlet, session, topic, grant.options.qos, Outcome::NoLocal);
                return;
            }
            // A shared subscription is a delivery of its own beside a plain one.
            if group.is_none() && session.mark.0 == fan_out {
                targets[session.mark.1 as usize].join(grant);
                return;
            }
            if group.is_none() {
                session.mark = (fan_out, u32::try_from(targets.len()).unwrap_or(u32::MAX));
            }
            targets.push(Target::new(key, grant, group));
        });
    }

    fn deliver(
        &mut self,
        now: Instant,
        topic: &str,
        publish: &Publish<'_>,
        target: &Target,
        stored: &mut Option<Arc<Message>>,
        outlet: &mut impl Outlet,
    ) {
        let upgrade = self.config.broker.upgrade_outgoing_qos;
        let qos = if upgrade { target.qos } else { target.qos.min(publish.qos) };
        let max_bytes = self.config.broker.max_inflight_bytes;
        if self.is_unreadable(target.session, topic, qos, outlet) {
            return;
        }
        let Some(session) = self.sessions.get_mut(target.session.slot) else { return };
        let retain = publish.retain && target.retain_as_published;
        let Some(attached) = session.attached.clone() else {
            self.deliver_offline(now, topic, publish, target, qos, retain, stored, outlet);
            return;
        };
        if !fits(session, &attached, publish, qos, &target.ids) {
            self.stats.drops.too_large += 1;
            observe(outlet, session, topic, qos, Outcome::TooLarge);
            return;
        }
        let room = outlet.has_room(attached.slot);
        if qos == QoS::AtMostOnce {
            if !room {
                self.stats.drops.slow_consumer += 1;
                tell_drop(now, session, Outcome::SlowConsumer, outlet);
                observe(outlet, session, topic, qos, Outcome::SlowConsumer);
                return;
            }
            if !session.queue.holds_at_most_once() {
                let packet = outgoing(session, publish, qos, retain, &target.ids);
                outlet.publish(
                    attached.slot,
                    &packet,
                    self.sharing && shareable(session, &target.ids),
                );
                observe(outlet, session, topic, qos, Outcome::Sent);
                return;
            }
        } else if room
            && session.queue.is_empty()
            && !session.outgoing.has_unsent()
            && session.outgoing.has_quota(attached.receive_maximum, max_bytes)
        {
            let delivery = self.delivery(now, topic, publish, target, qos, retain, stored);
            let Some(session) = self.sessions.get_mut(target.session.slot) else { return };
            let mut packet = outgoing(session, publish, qos, retain, &target.ids);
            let id = session.outgoing.next_id();
            self.durable.sent(session, id, &delivery);
            session.outgoing.start(id, delivery);
            packet.packet_id = Some(id);
            if qos == QoS::ExactlyOnce {
                self.promise(target.session, outlet);
            }
            let Some(session) = self.sessions.get(target.session.slot) else { return };
            outlet.publish(attached.slot, &packet, self.sharing && shareable(session, &target.ids));
            observe(outlet, session, topic, qos, Outcome::Sent);
            return;
        }
        self.enqueue(now, topic, publish, target, qos, retain, stored, outlet);
        if !room {
            self.wait_for_turn(target.session, outlet);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one delivery, spelled out")]
    fn deliver_offline(
        &mut self,
        now: Instant,
        topic: &str,
        publish: &Publish<'_>,
        target: &Target,
        qos: QoS,
        retain: bool,
        stored: &mut Option<Arc<Message>>,
        outlet: &mut impl Outlet,
    ) {
        let waits = self.config.broker.queue_qos0_messages && !self.durable.is_full();
        if qos == QoS::AtMostOnce && !waits {
            self.stats.drops.offline += 1;
            if let Some(session) = self.sessions.get(target.session.slot) {
                observe(outlet, session, topic, qos, Outcome::Offline);
            }
            return;
        }
        self.enqueue(now, topic, publish, target, qos, retain, stored, outlet);
    }

    #[expect(clippy::too_many_arguments, reason = "one delivery, spelled out")]
    fn enqueue(
        &mut self,
        now: Instant,
        topic: &str,
        publish: &Publish<'_>,
        target: &Target,
        qos: QoS,
        retain: bool,
        stored: &mut Option<Arc<Message>>,
        outlet: &mut impl Outlet,
    ) {
        if qos == QoS::AtMostOnce && self.pressure() >= Pressure::AtMostOnce {
            self.stats.drops.memory += 1;
            if let Some(session) = self.sessions.get(target.session.slot) {
                observe(outlet, session, topic, qos, Outcome::QueueFull);
            }
            return;
        }
        let delivery = self.delivery(now, topic, publish, target, qos, retain, stored);
        let limits = self.queue_limits();
        let Some(session) = self.sessions.get_mut(target.session.slot) else { return };
        let mut taken = session.queue.push(delivery.clone(), limits);
        if !taken {
            let expired = purge_expired(now, session, &mut self.durable);
            self.stats.drops.expired += expired;
            taken = expired > 0 && session.queue.push(delivery.clone(), limits);
        }
        if taken {
            self.durable.queued(session, &delivery);
        } else {
            self.stats.drops.queue_full += 1;
            tell_drop(now, session, Outcome::QueueFull, outlet);
        }
        let outcome = if taken { Outcome::Queued } else { Outcome::QueueFull };
        observe(outlet, session, topic, qos, outcome);
    }

    fn queue_limits(&self) -> QueueLimits {
        QueueLimits {
            messages: self.config.broker.max_queued_messages,
            bytes: self.config.broker.max_queued_bytes,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one delivery, spelled out")]
    fn delivery(
        &mut self,
        now: Instant,
        topic: &str,
        publish: &Publish<'_>,
        target: &Target,
        qos: QoS,
        retain: bool,
        stored: &mut Option<Arc<Message>>,
    ) -> Delivery {
        self.memory.delivery();
        Delivery {
            message: self.store(stored, topic, publish, now),
            qos,
            retain,
            subscription_ids: target.ids.clone(),
            group: target.group.and_then(|at| self.groups.name(at)),
        }
    }

    /// Gives a message of a shared subscription whose member is gone to another member; with none
    /// left it is dropped.
    pub(super) fn redistribute(
        &mut self,
        now: Instant,
        group: &str,
        message: Arc<Message>,
        outlet: &mut impl Outlet,
    ) {
        let Some(group) = self.groups.find(group) else {
            self.stats.drops.session_ended += 1;
            return;
        };
        let room = |slot| outlet.has_room(slot);
        let may_read = access::reading(self.access_on, &self.config, &message.topic);
        let chosen = self.groups.choose(group, message.qos, true, &self.sessions, room, may_read);
        let (session, grant) = match chosen {
            Some(Choice::Member(session, grant)) => (session, grant),
            Some(Choice::Shard(peer, name)) => {
                let (groups, tried) = (vec![name], Vec::new());
                let forward = Forward { message, plain: false, stamp: None, groups, tried };
                self.forward(peer, forward, true, outlet);
                return;
            }
            None => {
                self.stats.drops.session_ended += 1;
                return;
            }
        };
        let target = Target::new(session, grant, Some(group));
        self.sharing = false;
        let mut stored = Some(Arc::clone(&message));
        let publish = message.publish(now);
        self.deliver(now, &message.topic, &publish, &target, &mut stored, outlet);
    }
}

/// Notes that a message goes to another shard.
fn add_outward(forwards: &mut Vec<Outward>, peer: ShardId, group: Option<Box<str>>, kept: bool) {
    match forwards.iter_mut().find(|(known, ..)| *known == peer) {
        Some((_, groups, also)) => {
            groups.extend(group);
            *also |= kept;
        }
        None => forwards.push((peer, group.into_iter().collect(), kept)),
    }
}

/// Drops what expired in the queue of a Session, and writes that down; how many.
pub(super) fn purge_expired(now: Instant, session: &mut Session, durable: &mut Durable) -> u64 {
    let mut gone = Vec::new();
    let expired = session.queue.purge_expired(now, |at| gone.push(at));
    for at in gone {
        durable.dropped(session, at);
    }
    expired
}

/// The PUBLISH for one subscriber: its QoS, RETAIN and identifiers, without the mount point.
pub(super) fn outgoing<'a>(
    session: &Session,
    publish: &Publish<'a>,
    qos: QoS,
    retain: bool,
    ids: &SubscriptionIds,
) -> Publish<'a> {
    let mut packet = publish.clone();
    packet.dup = false;
    packet.qos = qos;
    packet.retain = retain;
    packet.packet_id = None;
    packet.properties.topic_alias = None;
    packet.properties.subscription_identifiers = ids.clone();
    if let Some(mount) = &session.mount {
        packet.topic = packet.topic.strip_prefix(&**mount).unwrap_or(packet.topic);
    }
    packet
}

fn shareable(session: &Session, ids: &SubscriptionIds) -> bool {
    session.mount.is_none() && (ids.is_empty() || !session.version.is_v5())
}

/// Whether the client takes a packet as large as this one would be [MQTT-3.1.2-24].
pub(super) fn fits(
    session: &Session,
    attached: &Attached,
    publish: &Publish<'_>,
    qos: QoS,
    ids: &SubscriptionIds,
) -> bool {
    if attached.maximum_packet_size == u32::MAX || session.version != Version::V5 {
        return true;
    }
    let mut packet = outgoing(session, publish, qos, false, ids);
    packet.packet_id = (qos != QoS::AtMostOnce).then(|| crate::packet::PacketId::new(1)).flatten();
    codec::publish_len(&packet, session.version) <= attached.maximum_packet_size
}

/// Reports that messages for a Session begin to be dropped, if this is the first of them.
fn tell_drop(now: Instant, session: &mut Session, outcome: Outcome, outlet: &mut impl Outlet) {
    if session.begins_to_drop(now) {
        outlet.event(&Event::Dropping { client_id: &session.client_id, outcome });
    }
}

pub(super) fn observe(
    outlet: &mut impl Outlet,
    session: &Session,
    topic: &str,
    qos: QoS,
    outcome: Outcome,
) {
    if outlet.wants_deliveries() {
        outlet.delivery(&DeliverySeen {
            client_id: &session.client_id,
            topic,
            qos,
            outcome,
            decision: None,
        });
    }
}
