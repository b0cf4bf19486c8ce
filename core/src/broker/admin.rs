//! Answers to the administrator from what the broker knows: sessions, queues, retained messages, the
//! topic tree. Every answer is a page of bounded work; nothing is held between two.

use super::access::Judge;
use super::publish::is_reserved;
use super::{Broker, Outlet};
use crate::access::{Access, Subject};
use crate::engine::{
    ADMIN_PAGE_ROWS, AdminCommand, AdminRefusal, AdminReply, ClientDetail, ClientRow, DecisionRow,
    MessageRow, SubscriptionRow,
};
use crate::message::Message;
use crate::packet::QoS;
use crate::session::{Delivery, InFlightState, Session};
use crate::state::Opaque;
use crate::time::Instant;
use crate::topic;
use core::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

/// Retained messages that one command clears at most: each is a message to all subscribers.
const CLEARED_MAX: u32 = 100;

fn rows(limit: u32) -> usize {
    limit.clamp(1, ADMIN_PAGE_ROWS) as usize
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Broker {
    /// Obeys a command that needs no connection.
    pub(crate) fn admin(
        &mut self,
        now: Instant,
        command: AdminCommand,
        outlet: &mut impl Outlet,
    ) -> AdminReply {
        match command {
            AdminCommand::Clients { from, limit } => self.list_clients(from, limit),
            AdminCommand::Subscriptions { client_id, after, limit } => {
                self.of_client(&client_id, |session| subscriptions(session, after, limit))
            }
            AdminCommand::Queue { client_id, skip, limit } => {
                self.of_client(&client_id, |session| queue(session, now, skip, limit))
            }
            AdminCommand::InFlight { client_id, skip, limit } => {
                self.of_client(&client_id, |session| inflight(session, now, skip, limit))
            }
            AdminCommand::Retained { filter, after, limit } => {
                if topic::validate_filter(&filter, &self.topic_limits()).is_err() {
                    return AdminReply::Refused(AdminRefusal::TopicFilter);
                }
                let (rows, next) = self.retained.page(now, &filter, after.as_deref(), rows(limit));
                AdminReply::Retained { rows, next }
            }
            AdminCommand::ClearRetained { filter, limit } => {
                self.clear_retained(now, &filter, limit, outlet)
            }
            AdminCommand::Topics { parent, after, limit } => {
                let limit = rows(limit);
                AdminReply::Topics(self.watch_topics(now, parent.as_deref(), after, limit))
            }
            AdminCommand::Publish { topic, payload, qos, retain } => {
                match self.publish_for_admin(now, &topic, payload, qos, retain, outlet) {
                    Ok(()) => AdminReply::Done,
                    Err(refusal) => AdminReply::Refused(refusal),
                }
            }
            AdminCommand::Explain { client_id, username, listener, access, topic } => {
                self.explain(&client_id, username.as_deref(), listener, access, &topic)
            }
            AdminCommand::LogLine { topic, text } => {
                let topic = ["$SYS/broker/log/", topic].concat();
                let payload = text.into_bytes();
                let message = self.own_message(now, &topic, payload, QoS::ExactlyOnce, false);
                self.publish_message(now, message, None, outlet);
                AdminReply::Done
            }
            // These are the engine's.
            AdminCommand::Shutdown
            | AdminCommand::Disconnect { .. }
            | AdminCommand::Client { .. }
            | AdminCommand::Stats => AdminReply::Done,
        }
    }

    /// A page of sessions: it looks at so many slots, however many of them are in use.
    fn list_clients(&self, from: u32, limit: u32) -> AdminReply {
        let end = self.sessions.slots();
        let to = end.min(from.saturating_add(limit.clamp(1, ADMIN_PAGE_ROWS)));
        let rows = (from..to).filter_map(|slot| self.sessions.get(slot)).map(client_row).collect();
        AdminReply::Clients { rows, next: (to < end).then_some(to) }
    }

    fn of_client(&self, client_id: &str, page: impl FnOnce(&Session) -> AdminReply) -> AdminReply {
        let session = self.find(client_id).and_then(|(key, _)| self.session(key));
        session.map_or(AdminReply::NoSuchClient, page)
    }

    /// A session, with the slot of its connection and the client's Receive Maximum.
    pub(crate) fn client_detail(
        &self,
        now: Instant,
        client_id: &str,
    ) -> Option<(ClientDetail, Option<(u32, u16)>)> {
        let (key, _) = self.find(client_id)?;
        let session = self.session(key)?;
        let detail = ClientDetail {
            row: client_row(session),
            connection: None,
            session_expiry_interval: session.expiry_interval,
            expires_in_secs: session.expires.map(|at| at.since(now).as_secs()),
            mount_point: session.mount.as_deref().map(Into::into),
            queued_bytes: session.queue.bytes(),
            incoming: count(session.incoming.len()),
            will_topic: session.will.as_ref().map(|will| will.message.topic.to_string()),
            footprint: session.footprint(),
        };
        let attached = session.attached.as_ref();
        Some((detail, attached.map(|attached| (attached.slot, attached.receive_maximum))))
    }

    /// What the access list says of a client: of its session as it is, or of whom it would be.
    fn explain(
        &self,
        client_id: &str,
        username: Option<&str>,
        listener: Option<u16>,
        access: Access,
        topic: &str,
    ) -> AdminReply {
        let session = self.find(client_id).and_then(|(key, _)| self.session(key));
        if session.is_none() && username.is_none() && listener.is_none() {
            return AdminReply::NoSuchClient;
        }
        let own = session.and_then(|session| session.username.as_deref());
        let username = username.or(own);
        let listener = listener.or_else(|| session.map(|session| session.listener)).unwrap_or(0);
        let mount = session.and_then(|session| session.mount.as_deref()).unwrap_or("");
        let topic = [mount, topic].concat();
        let subject = Subject { client_id, username };
        let decision = Judge::of_listener(&self.config, listener).decide(subject, access, &topic);
        AdminReply::Decision(DecisionRow {
            allowed: decision.is_allowed(),
            text: decision.to_string(),
            line: decision.line(),
        })
    }

    fn clear_retained(
        &mut self,
        now: Instant,
        filter: &str,
        limit: u32,
        outlet: &mut impl Outlet,
    ) -> AdminReply {
        if topic::validate_filter(filter, &self.topic_limits()).is_err() {
            return AdminReply::Refused(AdminRefusal::TopicFilter);
        }
        let limit = limit.clamp(1, CLEARED_MAX);
        let (found, next) = self.retained.page(now, filter, None, limit as usize);
        for row in &found {
            let message = self.own_message(now, &row.topic, Vec::new(), QoS::AtMostOnce, true);
            self.publish_message(now, message, None, outlet);
        }
        AdminReply::Cleared { cleared: count(found.len()), more: next.is_some() }
    }

    fn publish_for_admin(
        &mut self,
        now: Instant,
        name: &str,
        payload: Vec<u8>,
        qos: QoS,
        retain: bool,
        outlet: &mut impl Outlet,
    ) -> Result<(), AdminRefusal> {
        let broker = &self.config.broker;
        if topic::validate_name(name, &self.topic_limits()).is_err() {
            return Err(AdminRefusal::TopicName);
        }
        if is_reserved(name) {
            return Err(AdminRefusal::Reserved);
        }
        let limit = u64::from(broker.message_size_limit);
        if limit > 0 && payload.len() as u64 > limit {
            return Err(AdminRefusal::TooLarge);
        }
        if retain && !broker.retain_available {
            return Err(AdminRefusal::Retain);
        }
        if self.is_full_for_publish(qos, retain) {
            self.stats.drops.store_full += 1;
            return Err(AdminRefusal::StoreFull);
        }
        let message = self.own_message(now, name, payload, qos, retain);
        let refused = self.stats.drops.retained_quota;
        self.publish_message(now, message, None, outlet);
        if self.stats.drops.retained_quota > refused { Err(AdminRefusal::Retain) } else { Ok(()) }
    }

    /// A message that no client published.
    fn own_message(
        &mut self,
        now: Instant,
        topic: &str,
        payload: Vec<u8>,
        qos: QoS,
        retain: bool,
    ) -> Arc<Message> {
        Arc::new(Message {
            number: self.message_number(),
            topic: topic.into(),
            payload: Opaque(payload.into()),
            qos,
            retain,
            received: now,
            properties: None,
            origin: None,
        })
    }
}

fn client_row(session: &Session) -> ClientRow {
    ClientRow {
        client_id: (*session.client_id).into(),
        username: session.username.as_deref().map(Into::into),
        connected: session.attached.is_some(),
        version: session.version,
        listener: session.listener,
        subscriptions: count(session.subscriptions.len()),
        queued: count(session.queue.len()),
        inflight: count(session.outgoing.len()),
    }
}

fn subscriptions(session: &Session, after: Option<String>, limit: u32) -> AdminReply {
    let start = after.as_deref().map_or(Unbounded, Excluded);
    let mut found = session.subscriptions.range::<str, _>((start, Unbounded));
    let rows = found.by_ref().take(rows(limit)).map(|(filter, subscription)| SubscriptionRow {
        filter: filter.to_string(),
        options: subscription.options,
        identifier: subscription.identifier,
    });
    let rows = rows.collect();
    AdminReply::Subscriptions { rows, more: found.next().is_some() }
}

fn queue(session: &Session, now: Instant, skip: u32, limit: u32) -> AdminReply {
    let mut found = session.queue.iter().skip(skip as usize);
    let rows = found.by_ref().take(rows(limit)).map(|delivery| message_row(delivery, now));
    let rows = rows.collect();
    AdminReply::Messages { rows, more: found.next().is_some() }
}

fn inflight(session: &Session, now: Instant, skip: u32, limit: u32) -> AdminReply {
    let mut found = session.outgoing.iter().skip(skip as usize);
    let row = |exchange: &crate::session::InFlight| {
        let packet_id = Some(exchange.id.0.get());
        match &exchange.state {
            InFlightState::Publish1(delivery) => {
                MessageRow { packet_id, waits_for: "puback", ..message_row(delivery, now) }
            }
            InFlightState::Publish2(delivery) => {
                MessageRow { packet_id, waits_for: "pubrec", ..message_row(delivery, now) }
            }
            InFlightState::Released => MessageRow {
                packet_id,
                waits_for: "pubcomp",
                topic: None,
                qos: QoS::ExactlyOnce,
                retain: false,
                payload_bytes: 0,
                age_secs: 0,
            },
        }
    };
    let rows = found.by_ref().take(rows(limit)).map(row).collect();
    AdminReply::Messages { rows, more: found.next().is_some() }
}

fn message_row(delivery: &Delivery, now: Instant) -> MessageRow {
    MessageRow {
        packet_id: None,
        waits_for: "",
        topic: Some(delivery.message.topic.to_string()),
        qos: delivery.qos,
        retain: delivery.retain,
        payload_bytes: delivery.message.payload.0.len() as u64,
        age_secs: now.since(delivery.message.received).as_secs(),
    }
}
