//! The end of a connection (MQTT 5.0 §3.14, §4.13) and what it means for the Session: it goes on,
//! expires later, or ends now; its Will is published, delayed or dropped.

use super::{Broker, Next, Outlet, Subscriber, TimerKey, Violation};
use crate::engine::{Event, SessionEnd};
use crate::packet::{Disconnect, ReasonCode};
use crate::session::{InFlightState, NEVER, Session, SessionKey};
use crate::time::Instant;

/// How a connection ended, as far as the Will is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By DISCONNECT 0x00: no Will [MQTT-3.1.2-10].
    Normal,
    /// In any other way: the Will is due [MQTT-3.1.2-8].
    Lost,
}

impl Broker {
    pub(super) fn disconnect(
        &mut self,
        now: Instant,
        key: SessionKey,
        disconnect: &Disconnect<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<Next, Violation> {
        let bound = self.config.broker.persistent_client_expiration_secs;
        if let (Some(asked), Some(session)) =
            (disconnect.session_expiry_interval, self.session_mut(key))
        {
            if session.expiry_interval == 0 && asked > 0 {
                return Err(Violation::new(
                    ReasonCode::ProtocolError,
                    "a Session Expiry Interval in DISCONNECT where CONNECT had none [MQTT-3.14.2-2]",
                ));
            }
            let bound = bound.map_or(NEVER, |secs| u32::try_from(secs).unwrap_or(NEVER));
            session.expiry_interval = asked.min(bound);
        }
        let ending = match disconnect.reason {
            ReasonCode::Success => Ending::Normal,
            _ => Ending::Lost,
        };
        let slot = self.connection_of(key);
        self.detach(now, key, ending, outlet);
        // It is closed once that is durable: then the client may rely on it.
        let last = self.durable.last();
        if last > self.durable.durable()
            && let Some(slot) = slot
        {
            outlet.withhold(slot, last);
        }
        Ok(Next::Disconnected(disconnect.reason))
    }

    /// The connection of a Session is over.
    pub(crate) fn detach(
        &mut self,
        now: Instant,
        key: SessionKey,
        ending: Ending,
        outlet: &mut impl Outlet,
    ) {
        let Some(session) = self.session_mut(key) else { return };
        if session.attached.take().is_none() {
            return;
        }
        session.replays.clear();
        Self::forget_access(session);
        if ending == Ending::Normal {
            session.will = None;
        }
        let expiry = session.expiry_interval;
        let delay = session.will.as_ref().map(|will| will.delay_secs);
        self.stats.clients_connected -= 1;
        if expiry > 0 {
            self.announce_groups_of(key, outlet);
        }
        match delay {
            Some(secs) if secs > 0 && expiry > 0 => {
                let due = now.plus_secs(u64::from(secs.min(expiry)));
                if let Some(session) = self.session_mut(key) {
                    session.will_due = Some(due);
                }
                self.timers.arm(due, TimerKey::Will(key));
            }
            Some(_) => self.publish_will(now, key, outlet),
            None => {}
        }
        if expiry == 0 {
            self.end_session(now, key, SessionEnd::Closed, outlet);
        } else if expiry != NEVER {
            let due = now.plus_secs(u64::from(expiry));
            if let Some(session) = self.session_mut(key) {
                session.expires = Some(due);
            }
            self.timers.arm(due, TimerKey::SessionExpiry(key));
        }
        if let Some(session) = self.sessions.get_mut(key.slot)
            && session.generation == key.generation
        {
            self.durable.detached(session);
        }
    }

    /// Ends a Session: its Will is published at the latest now (§3.1.3.2.2), its subscriptions go,
    /// and what a shared subscription gave it goes to another member where the standard lets it.
    pub(super) fn end_session(
        &mut self,
        now: Instant,
        key: SessionKey,
        cause: SessionEnd,
        outlet: &mut impl Outlet,
    ) {
        if self.session(key).is_none() {
            return;
        }
        self.disarm_session(key);
        self.publish_will(now, key, outlet);
        let Some(mut session) = self.sessions.remove(key.slot) else { return };
        self.by_client_id.remove(&session.client_id);
        self.stats.clients_total -= 1;
        self.user_left(session.username.as_deref());
        self.durable.ended(&session);
        self.drop_subscriptions(key, &session, outlet);
        outlet.event(&Event::SessionEnded { client_id: &session.client_id, cause });
        self.pass_on(now, &mut session, outlet);
    }

    fn drop_subscriptions(&mut self, key: SessionKey, session: &Session, outlet: &mut impl Outlet) {
        for full in session.subscriptions.keys() {
            self.stats.subscriptions -= 1;
            if full.starts_with("$share/") {
                self.stats.shared_subscriptions -= 1;
                if let Some((filter, group)) = self.groups.leave(full, key) {
                    self.tree.remove(&filter, Subscriber::Group(group));
                }
                self.announce_group(full, outlet);
            } else {
                self.tree.remove(full, Subscriber::Session(key));
                self.unwant(full, session.recorded.kept, outlet);
            }
        }
    }

    /// QoS 1 that was not acknowledged and whatever was never sent goes to another member of its
    /// group; a QoS 2 exchange that was started is dropped [MQTT-4.8.2-4], [MQTT-4.8.2-5].
    fn pass_on(&mut self, now: Instant, session: &mut Session, outlet: &mut impl Outlet) {
        let mut left = Vec::new();
        for entry in session.outgoing.drain() {
            match entry.state {
                InFlightState::Publish1(delivery) => left.push(delivery),
                InFlightState::Publish2(_) => self.stats.drops.session_ended += 1,
                InFlightState::Released => {}
            }
        }
        left.extend(session.queue.drain());
        for delivery in left {
            match delivery.group {
                Some(group) => self.redistribute(now, &group, delivery.message, outlet),
                None => self.stats.drops.session_ended += 1,
            }
        }
    }

    /// Takes back the timers of a Session that is resumed or ends.
    pub(super) fn disarm_session(&mut self, key: SessionKey) {
        let Some(session) = self.session_mut(key) else { return };
        let (expires, will_due) = (session.expires.take(), session.will_due.take());
        if let Some(at) = expires {
            self.timers.disarm(at, TimerKey::SessionExpiry(key));
        }
        if let Some(at) = will_due {
            self.timers.disarm(at, TimerKey::Will(key));
        }
    }
}
