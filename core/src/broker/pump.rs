//! What a Session sends when it may: exchanges of before first, in order [MQTT-4.6.0-1], then its
//! queue, then retained messages for new subscriptions; as far as the client's quota, its
//! connection and the turn's budget allow. Resumable at any point.

use super::deliver::{fits, observe, outgoing};
use super::retained::Found;
use super::{Broker, Outlet, Room};
use crate::engine::Outcome;
use crate::journal::Op;
use crate::packet::{Ack, Packet, PacketId, QoS, ReasonCode};
use crate::session::{Attached, Delivery, InFlightState, SessionKey};
use crate::time::Instant;
use std::sync::Arc;

/// What a search without result takes of the turn's budget, bytes.
const SEARCH_COST: u64 = 1024;
/// What the end of a search takes of it: thousands of filters that match nothing are work, too.
const SEARCH_END_COST: u64 = 128;

/// Whether the pump goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Again,
    Stop,
}

impl Broker {
    /// Sends what may be sent now.
    pub(super) fn pump(&mut self, now: Instant, key: SessionKey, outlet: &mut impl Outlet) {
        loop {
            let Some(session) = self.session(key) else { return };
            let Some(attached) = session.attached.clone() else { return };
            if !session.has_work() {
                return;
            }
            match outlet.has_pump_room(attached.slot) {
                Room::Blocked => return,
                Room::Yes if self.budget > 0 => {}
                Room::Yes | Room::NextTurn => return self.wait_for_turn(key, outlet),
            }
            let step = if session.outgoing.has_unsent() {
                self.resend(now, key, &attached, outlet)
            } else if session.queue.is_empty() {
                self.replay(now, key, &attached, outlet)
            } else {
                self.drain_queue(now, key, &attached, outlet)
            };
            if step == Step::Stop {
                return;
            }
        }
    }

    /// Puts the Session among those that go on in the next turn, unless its connection is blocked
    /// and will say so when it is not.
    pub(super) fn wait_for_turn(&mut self, key: SessionKey, outlet: &mut impl Outlet) {
        let Some(session) = self.session_mut(key) else { return };
        let Some(attached) = &session.attached else { return };
        if session.pending || outlet.has_pump_room(attached.slot) == Room::Blocked {
            return;
        }
        session.pending = true;
        self.pending.push_back(key);
    }

    /// The backlog of a connection is gone.
    pub(crate) fn unblocked(&mut self, now: Instant, key: SessionKey, outlet: &mut impl Outlet) {
        self.pump(now, key, outlet);
    }

    /// Takes up one exchange of an earlier connection: PUBLISH with DUP, or PUBREL
    /// [MQTT-4.4.0-1], [MQTT-3.3.1-1].
    fn resend(
        &mut self,
        now: Instant,
        key: SessionKey,
        attached: &Attached,
        outlet: &mut impl Outlet,
    ) -> Step {
        if self.withhold_unsent(key, outlet) {
            return Step::Again;
        }
        let Some(session) = self.sessions.get_mut(key.slot) else { return Step::Stop };
        let Some(entry) = session.outgoing.next_unsent() else { return Step::Stop };
        let id = entry.id;
        let (InFlightState::Publish1(delivery) | InFlightState::Publish2(delivery)) = &entry.state
        else {
            session.outgoing.sent_again();
            self.promise(key, outlet);
            outlet.send(attached.slot, &Packet::Pubrel(Ack::new(id, ReasonCode::Success)));
            return Step::Again;
        };
        if !session.outgoing.has_resend_quota(attached.receive_maximum) {
            return Step::Stop;
        }
        let publish = delivery.message.publish(now);
        let ids = &delivery.subscription_ids;
        if !fits(session, attached, &publish, delivery.qos, ids) {
            self.stats.drops.too_large += 1;
            observe(outlet, session, publish.topic, delivery.qos, Outcome::TooLarge);
            self.give_up(key, id);
            return Step::Again;
        }
        let mut packet = outgoing(session, &publish, delivery.qos, delivery.retain, ids);
        packet.dup = true;
        packet.packet_id = Some(id);
        self.budget = self.budget.saturating_sub(delivery.message.weight());
        outlet.publish(attached.slot, &packet, false);
        session.outgoing.sent_again();
        Step::Again
    }

    /// The next exchange of an earlier connection ends without its message: that of QoS 2 by PUBREL.
    pub(super) fn give_up(&mut self, key: SessionKey, id: PacketId) {
        let Some(session) = self.sessions.get_mut(key.slot) else { return };
        if session.outgoing.give_up_unsent() {
            self.durable.of(session, |session| Op::PubrecSeen { session, id });
        } else {
            self.durable.acked(session, id);
        }
    }

    fn drain_queue(
        &mut self,
        now: Instant,
        key: SessionKey,
        attached: &Attached,
        outlet: &mut impl Outlet,
    ) -> Step {
        if self.drop_queued(now, key, outlet) {
            return Step::Again;
        }
        let max_bytes = self.config.broker.max_inflight_bytes;
        let Some(session) = self.sessions.get_mut(key.slot) else { return Step::Stop };
        let Some(front) = session.queue.front() else { return Step::Stop };
        let outcome = if front.message.is_expired(now) {
            self.stats.drops.expired += 1;
            Outcome::Expired
        } else if front.qos != QoS::AtMostOnce
            && !session.outgoing.has_quota(attached.receive_maximum, max_bytes)
        {
            return Step::Stop;
        } else {
            let publish = front.message.publish(now);
            if fits(session, attached, &publish, front.qos, &front.subscription_ids) {
                Outcome::Sent
            } else {
                self.stats.drops.too_large += 1;
                Outcome::TooLarge
            }
        };
        let Some(delivery) = session.queue.pop() else { return Step::Stop };
        observe(outlet, session, &delivery.message.topic, delivery.qos, outcome);
        if outcome == Outcome::Sent {
            self.send_stored(now, key, attached, delivery, true, outlet);
        } else {
            self.durable.dropped(session, 0);
        }
        Step::Again
    }

    /// Sends one stored message for the first time.
    fn send_stored(
        &mut self,
        now: Instant,
        key: SessionKey,
        attached: &Attached,
        delivery: Delivery,
        was_queued: bool,
        outlet: &mut impl Outlet,
    ) {
        let Some(session) = self.sessions.get_mut(key.slot) else { return };
        let message = Arc::clone(&delivery.message);
        let publish = message.publish(now);
        let (qos, ids) = (delivery.qos, &delivery.subscription_ids);
        let mut packet = outgoing(session, &publish, qos, delivery.retain, ids);
        if qos == QoS::AtMostOnce {
            if was_queued {
                self.durable.dropped(session, 0);
            }
        } else {
            let id = session.outgoing.next_id();
            if was_queued {
                self.durable.of(session, |session| Op::Started { session, id });
            } else {
                self.durable.sent(session, id, &delivery);
            }
            session.outgoing.start(id, delivery);
            packet.packet_id = Some(id);
        }
        self.budget = self.budget.saturating_sub(message.weight() + 8);
        if qos == QoS::ExactlyOnce {
            self.promise(key, outlet);
        }
        outlet.publish(attached.slot, &packet, false);
    }

    /// Sends the next retained message that a new subscription is owed [MQTT-3.3.1-9]; read when it
    /// is sent, so that it is never older than what was published since.
    fn replay(
        &mut self,
        now: Instant,
        key: SessionKey,
        attached: &Attached,
        outlet: &mut impl Outlet,
    ) -> Step {
        let max_bytes = self.config.broker.max_inflight_bytes;
        let Some(session) = self.sessions.get_mut(key.slot) else { return Step::Stop };
        let quota = session.outgoing.has_quota(attached.receive_maximum, max_bytes);
        let Some((filter, cursor)) = session.replays.iter_mut().next() else { return Step::Stop };
        let granted = cursor.subscription.options.qos;
        let message = match self.retained.next_match(filter, cursor.after.as_deref()) {
            Found::Message(message) => message,
            Found::GoOnAfter(name) => {
                cursor.after = Some(name);
                self.budget = self.budget.saturating_sub(SEARCH_COST);
                return Step::Again;
            }
            Found::End => {
                session.replays.pop_first();
                self.budget = self.budget.saturating_sub(SEARCH_END_COST);
                return Step::Again;
            }
        };
        if self.skip_retained(key, &message, outlet) {
            self.budget = self.budget.saturating_sub(SEARCH_COST);
            return Step::Again;
        }
        let Some(session) = self.sessions.get_mut(key.slot) else { return Step::Stop };
        let Some(cursor) = session.replays.values_mut().next() else { return Step::Stop };
        let qos = granted.min(message.qos);
        if qos != QoS::AtMostOnce && !quota {
            return Step::Stop;
        }
        cursor.after = Some(message.topic.clone());
        let identifier = cursor.subscription.identifier;
        let delivery = Delivery {
            message,
            qos,
            retain: true,
            subscription_ids: (identifier > 0).then_some(identifier).into_iter().collect(),
            group: None,
        };
        self.budget = self.budget.saturating_sub(8);
        if delivery.message.is_expired(now) {
            return Step::Again;
        }
        let publish = delivery.message.publish(now);
        if !fits(session, attached, &publish, qos, &delivery.subscription_ids) {
            self.stats.drops.too_large += 1;
            observe(outlet, session, publish.topic, qos, Outcome::TooLarge);
            return Step::Again;
        }
        observe(outlet, session, publish.topic, qos, Outcome::Sent);
        self.send_stored(now, key, attached, delivery, false, outlet);
        Step::Again
    }
}
