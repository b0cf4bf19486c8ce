//! Limits that are asked before a Session is made or taken over: how many a user may have
//! (`max_sessions_per_user`), and how often one Client Identifier may be taken over
//! (`max_takeover_rate`). It counts and says no; it changes no Session.

use super::Broker;
use super::Pressure;
use super::connect::Refusal;
use crate::packet::ReasonCode;
use crate::session::SessionKey;
use crate::state::state;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Takeovers in the present second, by Client Identifier: never more than there were takeovers.
#[derive(Clone, Debug, Default)]
pub(super) struct Takeovers {
    second: u64,
    counts: BTreeMap<Arc<str>, u32>,
}

state!(Takeovers { second, counts });

/// Sessions of each user. `None` while nobody asks, and after a start: then they are counted.
pub(super) type Users = Option<BTreeMap<Box<str>, u32>>;

impl Broker {
    /// Whether a CONNECT of this client may go on to claim its Session.
    pub(super) fn check_session_limits(
        &mut self,
        now: Instant,
        client_id: &Arc<str>,
        username: Option<&str>,
    ) -> Result<(), Refusal> {
        let present = self.by_client_id.get(&**client_id).copied();
        if present.is_some_and(|key| self.connection_of(key).is_some()) {
            self.check_takeovers(now, client_id)?;
        }
        if present.is_none() && self.pressure() >= Pressure::Sessions {
            self.stats.sessions_refused += 1;
            let detail = "memory_limit is near: no new session";
            return Err(Refusal::new(ReasonCode::QuotaExceeded, detail));
        }
        let user_before = present.and_then(|key| self.session(key)?.username.as_deref());
        if user_before == username {
            return Ok(());
        }
        self.check_user(username)
    }

    fn check_takeovers(&mut self, now: Instant, client_id: &Arc<str>) -> Result<(), Refusal> {
        let max = self.config.broker.max_takeover_rate;
        if max == 0 {
            return Ok(());
        }
        let second = now.0 / 1_000_000;
        if self.takeovers.second != second {
            self.takeovers = Takeovers { second, counts: BTreeMap::new() };
        }
        let count = self.takeovers.counts.entry(Arc::clone(client_id)).or_default();
        if *count >= max {
            self.stats.takeovers_refused += 1;
            let detail = "the Client Identifier is taken over more often than max_takeover_rate";
            return Err(Refusal::new(ReasonCode::ConnectionRateExceeded, detail));
        }
        *count += 1;
        Ok(())
    }

    fn check_user(&mut self, username: Option<&str>) -> Result<(), Refusal> {
        let max = self.config.broker.max_sessions_per_user;
        let Some(name) = username.filter(|_| max > 0) else { return Ok(()) };
        let users = self.users.get_or_insert_with(|| {
            let mut users = BTreeMap::new();
            for name in self.sessions.iter().filter_map(|(_, session)| session.username.as_deref())
            {
                *users.entry(name.into()).or_default() += 1;
            }
            users
        });
        if users.get(name).is_some_and(|count| *count >= max) {
            self.stats.user_sessions_refused += 1;
            let detail = "the user has as many sessions as max_sessions_per_user allows";
            return Err(Refusal::new(ReasonCode::QuotaExceeded, detail));
        }
        Ok(())
    }

    /// The user of a Session is another than `before`: at its first connection and perhaps later.
    pub(super) fn user_changed(&mut self, before: Option<&str>, key: SessionKey) {
        if self.users.is_none() {
            return;
        }
        let after = self.session(key).and_then(|session| session.username.clone());
        if before == after.as_deref() {
            return;
        }
        self.user_left(before);
        if let (Some(users), Some(name)) = (&mut self.users, after) {
            *users.entry(name).or_default() += 1;
        }
    }

    /// A Session of this user has ended.
    pub(super) fn user_left(&mut self, name: Option<&str>) {
        if let (Some(users), Some(name)) = (&mut self.users, name)
            && let Some(count) = users.get_mut(name)
        {
            *count -= 1;
            if *count == 0 {
                users.remove(name);
            }
        }
    }
}
