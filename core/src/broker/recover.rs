//! An image becomes the state of an engine again (DESIGN §5.4). Sessions come back without
//! connection; what ran out meanwhile is due at once, by the timers that everything else uses.

use super::link::{Forward, Stamp};
use super::{Broker, Grant, Outlet, Subscriber, TimerKey};
use crate::access::Claims;
use crate::engine::ShardId;
use crate::journal::{
    BadRecord, DeliveryImage, ForwardImage, Held, RetainedImage, SessionImage, ShardImage,
    decode_message,
};
use crate::message::Message;
use crate::packet::SubscriptionOptions;
use crate::session::{
    Delivery, InFlightState, Incoming, Outgoing, PendingWill, QueueLimits, Session, SessionKey,
    Subscription,
};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

type Bodies = BTreeMap<u64, Held<Box<[u8]>>>;

/// Messages made so far, so that each is made once.
#[derive(Debug)]
struct Made<'i> {
    messages: BTreeMap<u64, Arc<Message>>,
    bodies: &'i mut Bodies,
    /// Whether a body goes when its message was made.
    forget: bool,
}

const NO_LIMIT: QueueLimits = QueueLimits { messages: 0, bytes: 0 };

impl Broker {
    /// Takes in what this shard must remember, and announces its subscriptions to the others.
    pub(crate) fn adopt(
        &mut self,
        now: Instant,
        image: &mut ShardImage<Box<[u8]>>,
        forget: bool,
        outlet: &mut impl Outlet,
    ) -> Result<(), BadRecord> {
        let mut made = Made { messages: BTreeMap::new(), bodies: &mut image.messages, forget };
        for (number, session) in &image.sessions {
            self.adopt_session(now, *number, session, &mut made, outlet)?;
        }
        self.durable.go_on_after(image.sessions.last_key_value().map_or(0, |(last, _)| *last));
        let own = u64::from(self.config.shard.0);
        let last = made.bodies.keys().rfind(|number| **number >> 48 == own);
        self.next_message = last.copied().unwrap_or(0).max(self.next_message);
        for (topic, entry) in &image.retained {
            self.adopt_retained(now, topic, entry, &mut made)?;
        }
        for (topic, stamp) in &image.tombstones {
            self.tombstone(now, topic, of_op(*stamp));
        }
        for (peer, mark) in &image.marks {
            if let Some(outbox) = self.links.outbox(ShardId(*peer)) {
                outbox.mark = *mark;
            }
        }
        for (peer, kept) in &image.outbox {
            for one in kept {
                let forward = self.forward_of(now, one, &mut made)?;
                if let Some(outbox) = self.links.outbox(ShardId(*peer)) {
                    outbox.sent = one.seq;
                    outbox.kept.push_back((one.seq, forward));
                }
            }
        }
        Ok(())
    }

    /// Retained messages of another shard: every shard holds all of them.
    pub(crate) fn adopt_retained_of(
        &mut self,
        now: Instant,
        image: &mut ShardImage<Box<[u8]>>,
    ) -> Result<(), BadRecord> {
        let mut made =
            Made { messages: BTreeMap::new(), bodies: &mut image.messages, forget: false };
        for (topic, entry) in &image.retained {
            self.adopt_retained(now, topic, entry, &mut made)?;
        }
        Ok(())
    }

    /// The numbers and stamps of this engine go on behind those of before.
    pub(crate) fn go_on_after(&mut self, peer: ShardId, sent: u64, counter: u64) {
        self.links.go_on_after(counter);
        if let Some(outbox) = self.links.outbox(peer) {
            outbox.sent = sent.max(outbox.sent);
        }
    }

    /// What is kept for other shards and was not handled there.
    pub(crate) fn hand_over_again(
        &mut self,
        handled: impl Fn(ShardId) -> u64,
        outlet: &mut impl Outlet,
    ) {
        for peer in self.links.peers() {
            let handled = handled(peer);
            let Some(outbox) = self.links.outbox(peer) else { continue };
            let rest: Vec<(u64, Forward)> =
                outbox.kept.iter().filter(|(seq, _)| *seq > handled).cloned().collect();
            for (seq, forward) in rest {
                self.forward_again(peer, forward, seq, outlet);
            }
        }
    }

    /// When a wall-clock time is, or was as far as the clock of this process goes back.
    fn instant(&self, wall: u64) -> Instant {
        self.durable.instant(wall)
    }

    fn message(
        &self,
        now: Instant,
        number: u64,
        made: &mut Made<'_>,
    ) -> Result<Arc<Message>, BadRecord> {
        if let Some(message) = made.messages.get(&number) {
            return Ok(Arc::clone(message));
        }
        let held = made.bodies.get_mut(&number).ok_or(BadRecord { what: "message", at: 0 })?;
        let received = self.instant(held.received).min(now);
        let message = decode_message(&held.body, number, received, held.interval)?;
        let message = Arc::new(message);
        if made.forget {
            held.body = Box::default();
        }
        made.messages.insert(number, Arc::clone(&message));
        Ok(message)
    }

    fn delivery_of(
        &self,
        now: Instant,
        image: &DeliveryImage,
        made: &mut Made<'_>,
    ) -> Result<Delivery, BadRecord> {
        Ok(Delivery {
            message: self.message(now, image.message, made)?,
            qos: image.qos,
            retain: image.retain,
            subscription_ids: image.ids.clone(),
            group: image.group.as_deref().map(Into::into),
        })
    }

    fn forward_of(
        &self,
        now: Instant,
        image: &ForwardImage,
        made: &mut Made<'_>,
    ) -> Result<Forward, BadRecord> {
        Ok(Forward {
            message: self.message(now, image.message, made)?,
            plain: image.plain,
            stamp: image.stamp.map(of_op),
            groups: image.groups.clone(),
            tried: image.tried.iter().map(|shard| ShardId(*shard)).collect(),
        })
    }

    fn adopt_retained(
        &mut self,
        now: Instant,
        topic: &str,
        entry: &RetainedImage,
        made: &mut Made<'_>,
    ) -> Result<(), BadRecord> {
        let stamp = of_op(entry.stamp);
        let known = self.retained.stamp(topic);
        if known.is_some_and(|known| known > stamp) {
            return Ok(());
        }
        let message = self.message(now, entry.message, made)?;
        let expires = entry.expires.map(|at| self.instant(at));
        self.retained_is(message, expires, stamp);
        Ok(())
    }

    fn adopt_session(
        &mut self,
        now: Instant,
        number: u64,
        image: &SessionImage,
        made: &mut Made<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), BadRecord> {
        let mut session = Session::new(0, (*image.client_id).into(), image.version);
        session.listener = self.config.listener_named(&image.listener, 0);
        session.listener_name = match self.config.listener_name(session.listener) {
            Some(name) => Arc::clone(name),
            None => (*image.listener).into(),
        };
        session.claims = image.rights.as_deref().map(|rights| Claims::new(&rights.into()));
        self.access_on |= session.claims.is_some();
        session.username = image.username.clone();
        session.is_owned = image.is_owned;
        session.mount = image.mount.as_deref().map(Into::into);
        session.expiry_interval = image.expiry;
        session.expires = image.expires.map(|at| self.instant(at));
        session.will_due = image.will_due.map(|at| self.instant(at));
        if let Some(will) = &image.will {
            let message = decode_message(&will.body, 0, now, will.interval)?;
            session.will = Some(Box::new(PendingWill { message, delay_secs: will.delay }));
        }
        if image.expiry > 0 {
            (session.recorded.number, session.recorded.kept) = (number, true);
        } else {
            session.recorded.will = number;
        }
        session.incoming = Incoming::recovered(image.incoming.iter().copied());
        let mut flights = Vec::new();
        for flight in &image.inflight {
            let state = match &flight.delivery {
                None => InFlightState::Released,
                Some(delivery) => InFlightState::of(self.delivery_of(now, delivery, made)?),
            };
            flights.push((flight.id, state));
        }
        session.outgoing = Outgoing::recovered(flights);
        for delivery in &image.queue {
            let delivery = self.delivery_of(now, delivery, made)?;
            session.queue.push(delivery, NO_LIMIT);
        }
        let key = self.settle_in(session);
        for (filter, (options, identifier)) in &image.subscriptions {
            let options = SubscriptionOptions::from_bits(*options);
            let options = options.ok_or(BadRecord { what: "subscription options", at: 0 })?;
            self.subscribe_again(
                key,
                filter,
                Subscription { options, identifier: *identifier },
                outlet,
            );
        }
        self.announce_groups_of(key, outlet);
        Ok(())
    }

    /// Gives a Session its place and its timers.
    fn settle_in(&mut self, mut session: Session) -> SessionKey {
        self.generation = self.generation.wrapping_add(1);
        session.generation = self.generation;
        let (client_id, expires) = (Arc::clone(&session.client_id), session.expires);
        let will_due = session.will_due;
        let slot = self.sessions.insert(session);
        let key = SessionKey { slot, generation: self.generation };
        self.by_client_id.insert(client_id, key);
        self.stats.clients_total += 1;
        if let Some(at) = expires {
            self.timers.arm(at, TimerKey::SessionExpiry(key));
        }
        if let Some(at) = will_due {
            self.timers.arm(at, TimerKey::Will(key));
        }
        key
    }

    fn subscribe_again(
        &mut self,
        key: SessionKey,
        full: &str,
        subscription: Subscription,
        outlet: &mut impl Outlet,
    ) {
        let Subscription { options, identifier } = subscription;
        self.stats.subscriptions += 1;
        let shared = full.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
        if let Some((_, filter)) = shared {
            self.stats.shared_subscriptions += 1;
            let (group, is_new) = self.groups.join(full, filter, key, subscription);
            if is_new {
                self.tree.insert(filter, Subscriber::Group(group), Grant::default());
            }
        } else {
            self.tree.insert(full, Subscriber::Session(key), Grant { options, identifier });
            self.want(full, true, outlet);
        }
        if let Some(session) = self.session_mut(key) {
            session.subscriptions.insert(full.into(), subscription);
        }
    }
}

const fn of_op((counter, shard): (u64, u16)) -> Stamp {
    Stamp { counter, shard: ShardId(shard) }
}
