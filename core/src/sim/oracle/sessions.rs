//! Sessions as the oracle sees them: when one begins, what it subscribes to, when it ends and what
//! becomes of its Will. It decides what each is owed only by what was said on the wire.

use super::Oracle;
use crate::engine::{CloseReason, SessionEnd};
use crate::packet::{QoS, ReasonCode};
use crate::sim::model::{Replay, Session, Subscription, WillDue};
use crate::sim::watch::PublishNote;
use crate::time::Instant;

impl Oracle {
    pub(super) fn connected(&mut self, conn: u64, client_id: &str, session_present: bool) {
        let now = self.now;
        let Some(connect) = self.conns.get(&conn).and_then(|one| one.connect.clone()) else {
            return self.blame(format!("#{conn} is connected without CONNECT"));
        };
        let alive = self.live_session(client_id).is_some_and(|session| session.is_alive(now));
        if self.rights.as_ref().is_some_and(|rights| !rights.knows(client_id)) {
            self.blame(format!("{client_id} was let in, and nobody knows him"));
        }
        let present = alive && !connect.clean_start;
        if present != session_present {
            self.blame(format!("{client_id}: Session Present {session_present}, not {present}"));
        }
        if !session_present {
            if let Some(old) = self.live_session(client_id) {
                old.ended = true;
            }
            let session = Session::new(client_id, connect.clone());
            self.sessions.push(session);
            self.live.insert(client_id.to_owned(), self.sessions.len() - 1);
        }
        let index = self.live.get(client_id).copied();
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.session = index;
        }
        let Some(session) = self.live_session(client_id) else { return };
        session.attached = Some(conn);
        session.expiry = connect.expiry;
        session.expires = None;
        session.will = connect.will.clone();
        session.will_due = WillDue::No;
        session.connect = connect;
    }

    pub(super) fn closed(&mut self, conn: u64, reason: &CloseReason) {
        let now = self.now;
        let tolerated = self.may_close(conn, reason);
        if let Some(one) = self.conns.get_mut(&conn) {
            one.closed = true;
        }
        let session = self.session_of(conn);
        let judged = session.is_some();
        if let Some(session) = session
            && session.attached == Some(conn)
        {
            let normal = *reason == CloseReason::ClientDisconnected(ReasonCode::Success);
            session.detach(now, normal);
        }
        let slow = matches!(reason, CloseReason::Violation { code: ReasonCode::QuotaExceeded, .. });
        let retired = self.is_dismissed(reason);
        if !tolerated && !slow && !retired && judged && !self.stopping {
            self.blame(format!("the engine closed #{conn}: {reason}"));
        }
    }

    pub(super) fn session_ended(&mut self, client_id: &str, cause: SessionEnd) {
        self.current = None;
        let now = self.now;
        let Some(index) = self.live.remove(client_id) else {
            return self.blame(format!("a session of {client_id} ended that was none"));
        };
        let session = &mut self.sessions[index];
        session.ended = true;
        let lawful = match cause {
            SessionEnd::Closed => session.expiry == 0,
            SessionEnd::Expired => session.expires.is_some_and(|at| at <= now),
            SessionEnd::CleanStart => true,
        };
        let will_is_left = session.will.is_some();
        let shared = session.shared_ever.clone();
        let (members, subscriptions) =
            (client_id.to_owned(), core::mem::take(&mut session.subscriptions));
        if !lawful {
            self.blame(format!("the session of {client_id} ended too early ({cause:?})"));
        }
        if will_is_left {
            self.blame(format!("the session of {client_id} ended and left its will"));
        }
        for full in subscriptions.keys().filter(|full| full.starts_with("$share/")) {
            self.leave(full, &members);
        }
        // What it had been given by a group may be lost with it where the exchange was started.
        for message in self.messages.values_mut() {
            let started = message.qos == QoS::ExactlyOnce;
            if started && message.groups.iter().any(|group| shared.contains(group)) {
                message.group_excused = true;
            }
        }
    }

    fn leave(&mut self, full: &str, client_id: &str) {
        let Some(members) = self.groups.get_mut(full) else { return };
        members.remove(client_id);
        if members.is_empty() {
            self.groups.remove(full);
            for message in self.messages.values_mut() {
                message.group_excused |= message.groups.contains(full);
            }
        }
    }

    pub(super) fn will(&mut self, client_id: &str) {
        let stopping = self.stopping;
        let Some(session) = self.live_session(client_id) else {
            return self.blame(format!("a will of {client_id}, who has no session"));
        };
        let Some(will) = session.will.take() else {
            return self.blame(format!("a second will of {client_id}, or one he does not have"));
        };
        if session.attached.is_some() && !stopping {
            self.blame(format!("the will of {client_id}, who is connected"));
        }
        if !self.may_publish(client_id, &will.topic) {
            self.blame(format!("the will of {client_id}, who may not publish it"));
        }
        let note = PublishNote {
            topic: will.topic,
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
            dup: false,
            id: None,
            alias: None,
            ids: Vec::new(),
            expiry: None,
            properties: 0,
        };
        self.arrives(client_id, &note);
    }

    pub(super) fn subscribed(&mut self, client_id: &str, filter: &str, reason: ReasonCode) {
        if reason.is_error() {
            return;
        }
        let now = self.now;
        let retained = self.retained.clone();
        let Some(conn) = self.live_session(client_id).and_then(|session| session.attached) else {
            return self.blame(format!("{client_id} subscribed without a connection"));
        };
        let (asked, identifier) = match self.conns.get(&conn) {
            Some(one) => (one.asked.clone(), one.identifier),
            None => return,
        };
        let Some((_, mut options)) = asked.into_iter().find(|(name, _)| name == filter) else {
            return self.blame(format!("{client_id} did not ask for {filter}"));
        };
        options.qos = options.qos.min(QoS::from_bits(reason.as_u8()).unwrap_or_default());
        let subscription = Subscription { options, identifier };
        let Some(session) = self.live_session(client_id) else { return };
        let is_shared = filter.starts_with("$share/");
        if !is_shared && session.wants_retained(filter, options) {
            let matching = retained.iter();
            let matching = matching.filter(|(topic, _)| crate::topic::matches(filter, topic));
            for old in session.replays.iter_mut().filter(|old| old.filter == filter) {
                old.owed.clear();
            }
            session.replays.push(Replay {
                filter: filter.to_owned(),
                subscription,
                conn,
                at: now,
                owed: matching.map(|(_, id)| *id).collect(),
            });
        } else {
            for old in session.replays.iter_mut().filter(|old| old.filter == filter) {
                old.owed.clear();
            }
        }
        session.subscriptions.insert(filter.to_owned(), subscription);
        if is_shared {
            session.shared_ever.insert(filter.to_owned());
            self.groups.entry(filter.to_owned()).or_default().insert(client_id.to_owned());
        }
    }

    pub(super) fn unsubscribed(&mut self, client_id: &str, filter: &str) {
        let Some(session) = self.live_session(client_id) else { return };
        session.subscriptions.remove(filter);
        for old in session.replays.iter_mut().filter(|old| old.filter == filter) {
            old.owed.clear();
        }
        if filter.starts_with("$share/") {
            self.leave(filter, client_id);
        }
    }
}

impl Session {
    /// Its connection is over.
    pub(super) fn detach(&mut self, now: Instant, normal: bool) {
        if self.attached.take().is_none() {
            return;
        }
        if normal {
            self.will = None;
        }
        let after = |secs: u32| now.plus_secs(u64::from(secs));
        if let Some(will) = &self.will {
            self.will_due = WillDue::At(after(will.delay_secs.min(self.expiry)));
        }
        self.expires = (self.expiry != u32::MAX).then(|| after(self.expiry));
    }
}
