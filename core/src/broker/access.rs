//! Where the broker asks the access lists: at every PUBLISH, Will and SUBSCRIBE, and again at each
//! delivery, so that a right that was revoked is gone at once. The lists decide (`access`); a Session
//! remembers what they said, by topic, for as long as neither changes. Never asks about a QoS 2
//! exchange past PUBREC: that one is completed.

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

/// The access list for clients of a listener.
pub(super) fn list(config: &Config, listener: u16) -> Option<&AccessList> {
    let own = config.listeners.get(usize::from(listener)).and_then(|one| one.access.as_deref());
    own.or(config.broker.access.as_deref())
}

/// The access list for a client: that of its token, if it brought one.
fn list_of<'a>(config: &'a Config, session: &'a Session) -> Option<&'a AccessList> {
    match &session.claims {
        Some(claims) => Some(&claims.list),
        None => list(config, session.listener),
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
    list_of(config, session)
        .map_or(Decision::NO_LIST, |list| list.decide(subject(session), access, topic))
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
    access: Access,
    topic: &str,
) -> bool {
    if let Some(known) = session.access.get(epoch, access, topic) {
        return known;
    }
    let allowed = decide(config, session, access, topic).is_allowed();
    session.access.put(epoch, access, topic, allowed);
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
        if is_allowed(&self.config, self.access_epoch, session, Access::Read, topic) {
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
        if is_allowed(&self.config, self.access_epoch, session, Access::Write, publish.topic) {
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
        let is_listed = list_of(&self.config, session).is_some();
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

    /// Takes away a Will that the client's own token denies. Those rights end with the connection and
    /// stand in no record: after a restart nothing would keep such a Will back.
    pub(super) fn strip_will(&mut self, key: SessionKey, outlet: &mut impl Outlet) {
        let Some(session) = self.session(key).filter(|session| session.claims.is_some()) else {
            return;
        };
        let Some(topic) = session.will.as_ref().map(|will| will.message.topic.clone()) else {
            return;
        };
        if self.is_will_denied(key, &topic, outlet)
            && let Some(session) = self.session_mut(key)
        {
            session.will = None;
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
        let Some(list) = list_of(&self.config, session) else { return false };
        let strict = self.config.broker.acl_check_subscribe;
        let decision = list.decide_subscribe(subject(session), filter, strict);
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
            listener: session.listener,
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
        let Some(list) = list(&self.config, origin.listener) else { return false };
        let who = Subject { client_id: &origin.client_id, username: origin.username.as_deref() };
        if list.decide(who, Access::Write, &message.topic).is_allowed() {
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

    /// Ends the next exchange of an earlier connection if the client may not read its message any
    /// more and has not said PUBREC.
    pub(super) fn drop_unsent(&mut self, key: SessionKey, outlet: &mut impl Outlet) -> bool {
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
        if let Some(session) = self.sessions.get_mut(key.slot) {
            session.outgoing.drop_unsent();
            self.durable.acked(session, id);
        }
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
