//! What ends by time: sessions, delayed wills, retained messages.

use super::{Broker, Outlet, TimerKey};
use crate::engine::SessionEnd;
use crate::time::Instant;

impl Broker {
    /// Does what is due for a Session whose timers wait behind many others: who comes back must not
    /// find a Session that has run out, nor take back a Will that is due.
    pub(super) fn catch_up(&mut self, now: Instant, client_id: &str, outlet: &mut impl Outlet) {
        let Some(key) = self.by_client_id.get(client_id).copied() else { return };
        let Some(session) = self.session_mut(key) else { return };
        if session.expires.is_some_and(|at| at <= now) {
            self.stats.clients_expired += 1;
            self.end_session(now, key, SessionEnd::Expired, outlet);
        } else if let Some(at) = session.will_due.take_if(|at| *at <= now) {
            self.timers.disarm(at, TimerKey::Will(key));
            self.publish_will(now, key, outlet);
        }
    }

    /// A timer of the broker fired.
    pub(crate) fn timer(&mut self, now: Instant, timer: TimerKey, outlet: &mut impl Outlet) {
        match timer {
            TimerKey::SessionExpiry(key) => {
                if let Some(session) = self.session_mut(key) {
                    session.expires = None;
                    self.stats.clients_expired += 1;
                    self.end_session(now, key, SessionEnd::Expired, outlet);
                }
            }
            TimerKey::Will(key) => {
                if let Some(session) = self.session_mut(key) {
                    session.will_due = None;
                    self.publish_will(now, key, outlet);
                }
            }
            TimerKey::Retained => self.expire_retained(now),
            TimerKey::Sys => self.publish_sys(now, outlet),
            TimerKey::Clock => self.exchange_clocks(now, outlet),
            // The turn that it begins does it.
            TimerKey::Connection(_) | TimerKey::Memory => {}
        }
    }
}
