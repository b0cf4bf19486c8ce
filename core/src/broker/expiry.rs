//! What ends by time: sessions, delayed wills, retained messages.

use super::{Broker, Outlet, TimerKey};
use crate::engine::SessionEnd;
use crate::time::Instant;

impl Broker {
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
