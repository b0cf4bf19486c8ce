//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0 §3.8 to §3.11): each filter is judged by itself and gets a
//! code of its own.

use super::{Broker, Grant, Outlet, Pressure, Subscriber, Violation};
use crate::engine::Event;
use crate::journal::Op;
use crate::packet::{
    Packet, QoS, ReasonCode, RetainHandling, Suback, Subscribe, SubscribeFilter, Unsuback,
    Unsubscribe, UserProperties, Version,
};
use crate::session::{RetainedCursor, SessionKey, Subscription};
use crate::time::Instant;
use crate::topic::ParsedFilter;
use std::sync::Arc;

/// What a 3.1 client is answered: its SUBACK has no word for a refusal, and is positive then (3.1,
/// SUBSCRIBE). The observer and the counter know better.
fn positive(reason: ReasonCode, wanted: &SubscribeFilter<'_>) -> ReasonCode {
    if reason.is_error() { ReasonCode::granted(wanted.options.qos) } else { reason }
}

impl Broker {
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        key: SessionKey,
        subscribe: &Subscribe<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Violation> {
        let Some(session) = self.session(key) else { return Ok(()) };
        let (version, client_id) = (session.version, Arc::clone(&session.client_id));
        let identifier = subscribe.subscription_identifier.unwrap_or(0);
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        for wanted in &subscribe.filters {
            let reason = self.subscribe_one(key, wanted, identifier, outlet);
            if reason == ReasonCode::TopicFilterInvalid && version != Version::V5 {
                return Err(Violation::new(
                    reason,
                    "no valid Topic Filter [MQTT-4.7.1-2], [MQTT-4.7.1-3]",
                ));
            }
            if reason.is_error() {
                self.stats.subscriptions_refused += 1;
            }
            let filter = wanted.filter;
            outlet.event(&Event::Subscribed { client_id: &client_id, filter, reason });
            reasons.push(if version == Version::V3 { positive(reason, wanted) } else { reason });
        }
        let Some(slot) = self.connection_of(key) else { return Ok(()) };
        self.promise(key, outlet);
        outlet.send(
            slot,
            &Packet::Suback(Suback {
                packet_id: subscribe.packet_id,
                reasons,
                reason_string: None,
                user_properties: UserProperties::EMPTY,
            }),
        );
        if self.is_store_behind() {
            self.hold_for_store(key, outlet);
        }
        self.pump(now, key, outlet);
        Ok(())
    }

    fn subscribe_one(
        &mut self,
        key: SessionKey,
        wanted: &SubscribeFilter<'_>,
        identifier: u32,
        outlet: &mut impl Outlet,
    ) -> ReasonCode {
        let Ok(parsed) = ParsedFilter::parse(wanted.filter, &self.topic_limits()) else {
            return ReasonCode::TopicFilterInvalid;
        };
        let max_subscriptions = self.config.broker.max_subscriptions_per_client;
        let Some(session) = self.session(key) else { return ReasonCode::UnspecifiedError };
        let listener = self.config.listeners.get(usize::from(session.listener));
        let max_qos = listener.and_then(|l| QoS::from_bits(l.max_qos)).unwrap_or(QoS::ExactlyOnce);
        let (filter, full) = mounted(&parsed, session.mount.as_deref());
        let is_new = !session.subscriptions.contains_key(&*full);
        let full_up = max_subscriptions > 0
            && session.subscriptions.len() as u64 >= u64::from(max_subscriptions);
        let grows = is_new && (full_up || self.pressure() >= Pressure::Growth);
        if grows || self.is_full_for(key) {
            return ReasonCode::QuotaExceeded;
        }
        if self.is_subscription_denied(key, &filter, outlet) {
            return ReasonCode::NotAuthorized;
        }
        let mut options = wanted.options;
        options.qos = options.qos.min(max_qos);
        let subscription = Subscription { options, identifier };
        self.insert_subscription(key, &parsed, &filter, &full, subscription);
        if is_new {
            self.memory.subscribed(&full);
            self.stats.subscriptions += 1;
            self.stats.shared_subscriptions += u64::from(parsed.share.is_some());
            if parsed.share.is_none() {
                let kept = self.session(key).is_some_and(|session| session.recorded.kept);
                self.want(&filter, kept, outlet);
            }
        }
        let owed = match options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        let Some(session) = self.sessions.get_mut(key.slot) else {
            return ReasonCode::UnspecifiedError;
        };
        session.subscriptions.insert(full.as_str().into(), subscription);
        let bits = options.bits();
        self.durable.of(session, |session| Op::Subscribed {
            session,
            filter: &full,
            options: bits,
            identifier,
        });
        if parsed.share.is_some() {
            self.announce_group(&full, outlet);
        } else {
            session.replays.remove(&*filter);
        }
        // No retained messages for shared subscriptions (§4.8.2).
        if owed && parsed.share.is_none() && self.retained_any() {
            let cursor = RetainedCursor { after: None, subscription };
            if let Some(session) = self.session_mut(key) {
                session.replays.insert(filter.into(), cursor);
            }
        }
        ReasonCode::granted(options.qos)
    }

    fn retained_any(&self) -> bool {
        self.stats.retained > 0
    }

    fn insert_subscription(
        &mut self,
        key: SessionKey,
        parsed: &ParsedFilter,
        filter: &str,
        full: &str,
        subscription: Subscription,
    ) {
        let Subscription { options, identifier } = subscription;
        if parsed.share.is_none() {
            self.tree.insert(filter, Subscriber::Session(key), Grant { options, identifier });
            return;
        }
        let (group, is_new) = self.groups.join(full, filter, key, subscription);
        if is_new {
            self.tree.insert(filter, Subscriber::Group(group), Grant::default());
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        key: SessionKey,
        unsubscribe: &Unsubscribe<'_>,
        outlet: &mut impl Outlet,
    ) {
        let Some(session) = self.session(key) else { return };
        let client_id = Arc::clone(&session.client_id);
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            let reason = self.unsubscribe_one(key, filter, outlet);
            outlet.event(&Event::Unsubscribed { client_id: &client_id, filter, reason });
            reasons.push(reason);
        }
        let Some(slot) = self.connection_of(key) else { return };
        self.promise(key, outlet);
        outlet.send(
            slot,
            &Packet::Unsuback(Unsuback {
                packet_id: unsubscribe.packet_id,
                reasons,
                reason_string: None,
                user_properties: UserProperties::EMPTY,
            }),
        );
        if self.is_store_behind() {
            self.hold_for_store(key, outlet);
        }
    }

    /// Filters are compared character by character [MQTT-3.10.4-1].
    fn unsubscribe_one(
        &mut self,
        key: SessionKey,
        filter: &str,
        outlet: &mut impl Outlet,
    ) -> ReasonCode {
        let Ok(parsed) = ParsedFilter::parse(filter, &self.topic_limits()) else {
            return ReasonCode::TopicFilterInvalid;
        };
        let Some(session) = self.sessions.get_mut(key.slot) else {
            return ReasonCode::UnspecifiedError;
        };
        let (filter, full) = mounted(&parsed, session.mount.as_deref());
        if session.subscriptions.remove(&*full).is_none() {
            return ReasonCode::NoSubscriptionExisted;
        }
        self.durable.of(session, |session| Op::Unsubscribed { session, filter: &full });
        if parsed.share.is_none() {
            session.replays.remove(&*filter);
        }
        self.stats.subscriptions -= 1;
        if parsed.share.is_some() {
            self.stats.shared_subscriptions -= 1;
            if let Some((filter, group)) = self.groups.leave(&full, key) {
                self.tree.remove(&filter, Subscriber::Group(group));
            }
            self.announce_group(&full, outlet);
        } else {
            let kept = self.session(key).is_some_and(|session| session.recorded.kept);
            self.unwant(&filter, kept, outlet);
            self.tree.remove(&filter, Subscriber::Session(key));
        }
        ReasonCode::Success
    }
}

/// The inner filter and the whole one, under the mount point.
fn mounted(parsed: &ParsedFilter, mount: Option<&str>) -> (String, String) {
    let inner = parsed.filter.as_str();
    let filter = mount.map_or_else(|| inner.to_owned(), |mount| [mount, inner].concat());
    let full = match &parsed.share {
        None => filter.clone(),
        Some(share) => ["$share/", share.as_str(), "/", &filter].concat(),
    };
    (filter, full)
}
