//! Will Messages (MQTT 5.0 §3.1.2.5, §3.1.3.2.2): published once, at the end of the connection,
//! after their delay, or with the Session, whichever the standard says comes first.

use super::{Broker, Outlet};
use crate::engine::Event;
use crate::session::{Session, SessionKey};
use crate::time::Instant;
use std::sync::Arc;

impl Broker {
    /// The server stops: a Will is due whatever its delay, unless the store remembers it.
    pub(crate) fn publish_will_now(
        &mut self,
        now: Instant,
        key: SessionKey,
        outlet: &mut impl Outlet,
    ) {
        let is_remembered = |session: &Session| {
            let is_delayed = session.will.as_ref().is_some_and(|will| will.delay_secs > 0);
            is_delayed && session.recorded.number > 0
        };
        if !self.session(key).is_some_and(is_remembered) {
            self.publish_will(now, key, outlet);
        }
    }

    /// Sessions without a connection whose Will is delayed.
    pub(crate) fn delayed_wills(&self) -> Vec<SessionKey> {
        let waits = |(slot, session): (u32, &Session)| {
            let key = SessionKey { slot, generation: session.generation };
            session.will_due.map(|_| key)
        };
        self.sessions.iter().filter_map(waits).collect()
    }

    /// Publishes the Will of a Session, if it still has one, and forgets it.
    pub(super) fn publish_will(&mut self, now: Instant, key: SessionKey, outlet: &mut impl Outlet) {
        let number = self.message_number();
        let Some(session) = self.sessions.get_mut(key.slot) else { return };
        if session.generation != key.generation {
            return;
        }
        let Some(will) = session.will.take() else { return };
        self.durable.will_gone(session);
        let client_id = Arc::clone(&session.client_id);
        let mut message = will.message;
        message.number = number;
        message.received = now;
        if message.retain {
            message.origin = self.origin_of(key);
        }
        if self.is_will_denied(key, &message.topic, outlet) {
            return;
        }
        self.stats.wills_published += 1;
        outlet.event(&Event::WillPublished { client_id: &client_id, topic: &message.topic });
        self.publish_message(now, Arc::new(message), Some(key), outlet);
    }
}
