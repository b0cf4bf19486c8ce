//! Where the broker asks the access lists: at every PUBLISH, Will and SUBSCRIBE, and again at each
//! delivery, so that a right that was revoked is gone at once. The lists decide (`access`); a Session
//! remembers what they said, by topic, for as long as neither changes. Never asks about a QoS 2
//! exchange past PUBREC: that one is completed.

use super::memory::Memory;
use super::{Broker, Outlet};
use crate::access::{Access, AccessList, Cache, Decision, Reason, Subject, is_reserved};
use crate::engine::{Config, DeliverySeen, Event, Outcome};
use crate::message::{Message, Origin};
use crate::packet::{Publish, QoS};
use crate::session::{Delivery, InFlightState, Session, SessionKey};
use crate::time::Instant;
use std::sync::Arc;

/// Whether any listener has an access list.
pub(super) fn is_on(config: &Config) -> bool {
    config.broker.access.is_some() || config.listeners.iter().any(|one| one.access.is_some())
}

/// Who decides about a client.
#[derive(Clone, Copy)]
pub(super) enum Judge<'a> {
    /// Nobody: everything is allowed.
    Nobody,
    List(&'a AccessList),
    /// The list of a listener that there is no more: nothing is allowed.
    Gone,
}

impl<'a> Judge<'a> {
    /// Who decides about clients of a listener.
    pub(super) fn of_listener(config: &'a Config, listener: u16) -> Self {
        let found = config.listeners.get(usize::from(listener));
        let own = found.and_then(|one| one.access.as_deref());
        match own.or(config.broker.access.as_deref()) {
            Some(list) => Self::List(list),
            None if found.is_none() && is_on(config) => Self::Gone,
            None => Self::Nobody,
        }
    }

    /// Who decides about a client: the list of its token, if it brought one.
    fn of(config: &'a Config, session: &'a Session) -> Self {
        match &session.claims {
            Some(claims) => Self::List(&claims.list),
            None => Self::of_listener(config, session.listener),
        }
    }

    pub(super) fn decide(self, who: Subject<'_>, access: Access, topic: &str) -> Decision<'a> {
        match self {
            Self::Nobody => Decision::NO_LIST,
            Self::List(list) => list.decide(who, access, topic),
            Self::Gone => Decision::LISTENER_GONE,
        }
    }
}

fn subject(session: &Session) -> Subject<'_> {
    Subject { client_id: &session.client_id, username: session.username.as_deref() }
}

/// What the access list says of a client; not remembered.
pub(super) fn decide<'a>(
    config: &'a Config,
    session: &'a Session,
    access: Access,
    topic: &str,
) -> Decision<'a> {
    Judge::of(config, session).decide(subject(session), access, topic)
}

/// Asks whether members of shared subscriptions may read a message on `topic`.
pub(super) fn reading<'a>(
    is_on: bool,
    config: &'a Config,
    topic: &'a str,
) -> impl Fn(&Session) -> bool + 'a {
    move |session| !is_on || decide(config, session, Access::Read, topic).is_allowed()
}

/// Whether a client may do something with a topic, which carries the mount point.
#[inline]
fn is_allowed(
    config: &Config,
    epoch: u64,
    session: &mut Session,
    memory: &mut Memory,
    access: Access,
    topic: &str,
) -> bool {
    if let Some(known) = session.access.get(epoch, access, topic) {
        return known;
    }
    let allowed = decide(config, session, access, topic).is_allowed();
    memory.kept(session.access.put(epoch, access, topic, allowed));
    allowed
}

impl Broker {
    /// Whether the access lists deny a message on `topic` to a subscriber; if so it is counted and
    /// reported.
    #[inline]
    pub(super) fn is_unreadable(
        &mut self,
        key: SessionKey,
        topic: &str,
        qos: QoS,
        outlet: &mut impl Outlet,
    ) -> bool {
        if !self.access_on {
            return false;
        }
        let Some(session) = self.sessions.get_mut(key.slot) else { return false };
        let (config, memory) = (&self.config, &mut self.memory);
        if is_allowed(config, self.access_epoch, session, memory, Access::Read, topic) {
            return false;
        }
        self.stats.drops.denied_read += 1;
        if outlet.wants_deliveries() {
            let decision = decide(&self.config, session, Access::Read, topic);
            denied(session, topic, qos, decision, outlet);
        }
        true
    }

    /// Whether a client may not publish this, which carries the mount point; if so it is counted and
    /// reported.
    pub(super) fn is_unwritable(
        &mut self,
        key: SessionKey,
        publish: &Publish<'_>,
        outlet: &mut impl Outlet,
    ) -> bool {
        if !self.access_on {
            return false;
        }
        let Some(session) = self.sessions.get_mut(key.slot) else { return false };
        let (config, memory) = (&self.config, &mut self.memory);
        let topic = publish.topic;
        if is_allowed(config, self.access_epoch, session, memory, Access::Write, topic) {
            return false;
        }
        self.stats.drops.denied_write += 1;
        let decision = decide(&self.config, session, Access::Write, publish.topic);
        report(session, Access::Write, publish.topic, Some(publish), decision, outlet);
        true
    }

    /// Refuses a PUBLISH below `$SYS` or `$CONTROL`, unless it is one that an access list may allow.
    pub(super) fn is_reserved_for(
        &mut self,
        key: SessionKey,
        publish: &Publish<'_>,
        outlet: &mut impl Outlet,
    ) -> bool {
        if !is_reserved(publish.topic, false) {
            return false;
        }
        let Some(session) = self.sessions.get(key.slot) else { return true };
        let is_listed = matches!(Judge::of(&self.config, session), Judge::List(_));
        if !is_reserved(publish.topic, is_listed) {
            return false;
        }
        self.stats.drops.forbidden += 1;
        let (topic, decision) = (publish.topic, Decision::RESERVED);
        report(session, Access::Write, topic, Some(publish), decision, outlet);
        true
    }

    /// Says so if the Will of a new connection could not be published as things stand. It is kept:
    /// what counts is the right at the time when it is due.
    pub(super) fn note_will(&self, key: SessionKey, outlet: &mut impl Outlet) {
        let Some(session) = self.session(key).filter(|_| self.access_on) else { return };
        let Some(will) = &session.will else { return };
        let decision = decide(&self.config, session, Access::Write, &will.message.topic);
        if !decision.is_allowed() {
            report(session, Access::Write, &will.message.topic, None, decision, outlet);
        }
    }

    /// Whether a Will that is due may not be published any more; if so it is counted and reported.
    pub(super) fn is_will_denied(
        &mut self,
        key: SessionKey,
        topic: &str,
        outlet: &mut impl Outlet,
    ) -> bool {
        let Some(session) = self.session(key).filter(|_| self.access_on) else { return false };
        let decision = decide(&self.config, session, Access::Write, topic);
        if decision.is_allowed() {
            return false;
        }
        report(session, Access::Write, topic, None, decision, outlet);
        self.stats.drops.denied_write += 1;
        true
    }

    /// Whether a client may not subscribe to `filter`, which carries the mount point; if so it is
    /// reported.
    pub(super) fn is_subscription_denied(
        &self,
        key: SessionKey,
        filter: &str,
        outlet: &mut impl Outlet,
    ) -> bool {
        let Some(session) = self.session(key).filter(|_| self.access_on) else { return false };
        let strict = self.config.broker.acl_check_subscribe;
        let decision = match Judge::of(&self.config, session) {
            Judge::Nobody => return false,
            Judge::List(list) => list.decide_subscribe(subject(session), filter, strict),
            Judge::Gone => Decision::LISTENER_GONE,
        };
        if decision.is_allowed() {
            return false;
        }
        report(session, Access::Subscribe, filter, None, decision, outlet);
        true
    }

    /// Who published a message that is to be retained, for `check_retain_source`.
    pub(super) fn origin_of(&self, key: SessionKey) -> Option<Box<Origin>> {
        // Nobody can say later what a token allowed.
        let session = self.session(key).filter(|session| session.claims.is_none())?;
        Some(Box::new(Origin {
            client_id: Arc::clone(&session.client_id),
            username: session.username.clone(),
            listener: Arc::clone(&session.listener_name),
        }))
    }

    /// Passes over the retained message that a new subscription is owed next, if the client may not
    /// read it or its publisher may not publish it any more.
    pub(super) fn skip_retained(
        &mut self,
        key: SessionKey,
        message: &Message,
        outlet: &mut impl Outlet,
    ) -> bool {
        if !self.access_on {
            return false;
        }
        let skipped = self.is_unreadable(key, &message.topic, message.qos, outlet)
            || self.is_origin_denied(key, message, outlet);
        if skipped
            && let Some(session) = self.session_mut(key)
            && let Some(cursor) = session.replays.values_mut().next()
        {
            cursor.after = Some(message.topic.clone());
        }
        skipped
    }

    fn is_origin_denied(
        &mut self,
        key: SessionKey,
        message: &Message,
        outlet: &mut impl Outlet,
    ) -> bool {
        if !self.config.broker.check_retain_source {
            return false;
        }
        let Some(origin) = &message.origin else { return false };
        let listener = self.config.listener_named(&origin.listener, 0);
        let who = Subject { client_id: &origin.client_id, username: origin.username.as_deref() };
        let judge = Judge::of_listener(&self.config, listener);
        if judge.decide(who, Access::Write, &message.topic).is_allowed() {
            return false;
        }
        self.stats.drops.denied_read += 1;
        if let Some(session) = self.session(key) {
            let decision = Decision::denied(Reason::PublisherLost);
            denied(session, &message.topic, message.qos, decision, outlet);
        }
        true
    }

    /// Takes the first message off the queue if the client may not read it any more; one of a shared
    /// subscription goes to a member who may.
    pub(super) fn drop_queued(
        &mut self,
        now: Instant,
        key: SessionKey,
        outlet: &mut impl Outlet,
    ) -> bool {
        if !self.access_on {
            return false;
        }
        let Some(front) = self.session(key).and_then(|session| session.queue.front()) else {
            return false;
        };
        let (message, qos) = (Arc::clone(&front.message), front.qos);
        if !self.is_unreadable(key, &message.topic, qos, outlet) {
            return false;
        }
        let Some(session) = self.sessions.get_mut(key.slot) else { return true };
        let taken = session.queue.pop();
        self.durable.dropped(session, 0);
        if let Some(Delivery { group: Some(group), .. }) = taken {
            self.redistribute(now, &group, message, outlet);
        }
        true
    }

    /// Takes its message from the next exchange of an earlier connection if the client may not read
    /// it any more and has not said PUBREC.
    pub(super) fn withhold_unsent(&mut self, key: SessionKey, outlet: &mut impl Outlet) -> bool {
        if !self.access_on {
            return false;
        }
        let unsent = self.session(key).and_then(|session| session.outgoing.next_unsent());
        let Some(entry) = unsent else { return false };
        let (InFlightState::Publish1(delivery) | InFlightState::Publish2(delivery)) = &entry.state
        else {
            return false;
        };
        let (id, message, qos) = (entry.id, Arc::clone(&delivery.message), delivery.qos);
        if !self.is_unreadable(key, &message.topic, qos, outlet) {
            return false;
        }
        self.give_up(key, id);
        true
    }

    /// The lists or the names of a client have changed: what it was allowed is looked up anew.
    pub(super) fn forget_access(session: &mut Session) {
        session.access = Cache::default();
    }
}

fn denied(
    session: &Session,
    topic: &str,
    qos: QoS,
    decision: Decision<'_>,
    outlet: &mut impl Outlet,
) {
    if outlet.wants_deliveries() {
        outlet.delivery(&DeliverySeen {
            client_id: &session.client_id,
            topic,
            qos,
            outcome: Outcome::Denied,
            decision: Some(decision),
        });
    }
}

fn report(
    session: &Session,
    access: Access,
    topic: &str,
    publish: Option<&Publish<'_>>,
    decision: Decision<'_>,
    outlet: &mut impl Outlet,
) {
    let client_id = &session.client_id;
    outlet.event(&Event::Denied { client_id, access, topic, publish, decision });
}
