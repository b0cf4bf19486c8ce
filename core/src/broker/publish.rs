//! PUBLISH from a client (MQTT 5.0 §3.3, §4.3): whether it may be published, once; then it is
//! retained, routed and acknowledged.

use super::{Broker, Outlet, Violation};
use crate::engine::Event;
use crate::journal::Op;
use crate::message::Message;
use crate::packet::{Ack, Packet, PacketId, Publish, QoS, ReasonCode};
use crate::session::{Arrival, SessionKey};
use crate::time::Instant;
use crate::topic;
use std::borrow::Cow;
use std::sync::Arc;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Published {
    /// It had subscribers.
    Routed,
    /// Nobody was subscribed.
    Unmatched,
    /// It was not taken, for this reason.
    Refused(ReasonCode),
}

/// Whether clients may not publish to `topic`.
pub(super) fn is_reserved(topic: &str) -> bool {
    crate::access::is_reserved(topic, false)
}

impl Broker {
    /// A PUBLISH whose Topic Alias has been resolved.
    pub(super) fn publish(
        &mut self,
        now: Instant,
        key: SessionKey,
        publish: &Publish<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Violation> {
        self.count_received(publish);
        self.check_publish(key, publish)?;
        if self.refuse_as_full(key, publish, outlet) {
            return Ok(());
        }
        let Some(id) = publish.packet_id else {
            self.accept(now, key, publish, outlet);
            return Ok(());
        };
        if self.refuse_for_memory(key, publish, id, outlet)? {
            return Ok(());
        }
        if publish.qos == QoS::ExactlyOnce {
            return self.publish_exactly_once(now, key, id, publish, outlet);
        }
        if self.is_over_quota(key) {
            self.exceed_quota(key, outlet)?;
        }
        let published = self.accept(now, key, publish, outlet);
        self.acknowledge(key, id, published, Packet::Puback, outlet);
        Ok(())
    }

    fn publish_exactly_once(
        &mut self,
        now: Instant,
        key: SessionKey,
        id: PacketId,
        publish: &Publish<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Violation> {
        let quota = self.receive_quota(key);
        let Some(session) = self.sessions.get_mut(key.slot) else { return Ok(()) };
        let mut arrival = session.incoming.receive(id, quota);
        if arrival == Arrival::OverQuota {
            self.exceed_quota(key, outlet)?;
        }
        let Some(session) = self.sessions.get_mut(key.slot) else { return Ok(()) };
        if arrival == Arrival::OverQuota {
            arrival = session.incoming.receive(id, None);
        }
        let published = match arrival {
            Arrival::OverQuota => return Err(OVER_QUOTA),
            Arrival::Repeated => Published::Routed,
            Arrival::New => {
                self.durable.of(session, |session| Op::Received { session, id });
                self.accept(now, key, publish, outlet)
            }
        };
        if let Published::Refused(_) = published
            && let Some(session) = self.sessions.get_mut(key.slot)
            && session.version.is_v5()
        {
            // PUBREC with an error ends the exchange: no PUBREL will come [MQTT-4.3.3-9].
            session.incoming.release(id);
            self.durable.of(session, |session| Op::Released { session, id });
        }
        self.acknowledge(key, id, published, Packet::Pubrec, outlet);
        Ok(())
    }

    /// The Receive Maximum that this client was told: only 5.0 clients are told one.
    fn receive_quota(&self, key: SessionKey) -> Option<u16> {
        let max = self.config.broker.max_inflight_messages;
        let v5 = self.session(key).is_some_and(|session| session.version.is_v5());
        (v5 && max > 0).then_some(max)
    }

    /// A client sends more than its Receive Maximum allows: an error, or counted and told once.
    #[cold]
    fn exceed_quota(&mut self, key: SessionKey, outlet: &mut impl Outlet) -> Result<(), Violation> {
        self.stats.receive_maximum_exceeded += 1;
        if self.config.broker.receive_maximum_enforced {
            return Err(OVER_QUOTA);
        }
        let receive_maximum = self.config.broker.max_inflight_messages;
        if let Some(session) = self.sessions.get_mut(key.slot)
            && session.incoming.begins_to_exceed()
        {
            let client_id = &session.client_id;
            outlet.event(&Event::OverReceiveMaximum { client_id, receive_maximum });
        }
        Ok(())
    }

    fn is_over_quota(&self, key: SessionKey) -> bool {
        self.receive_quota(key)
            .is_some_and(|quota| self.session(key).is_some_and(|s| s.incoming.is_full(quota)))
    }

    fn check_publish(&self, key: SessionKey, publish: &Publish<'_>) -> Result<(), Violation> {
        let limits = self.topic_limits();
        if topic::validate_name(publish.topic, &limits).is_err() {
            return Err(Violation::new(
                ReasonCode::TopicNameInvalid,
                "no valid Topic Name: empty, wildcard, $share or too many levels [MQTT-3.3.2-2]",
            ));
        }
        let listener = self.session(key).map_or(0, |session| session.listener);
        let listener = self.config.listeners.get(usize::from(listener));
        if listener.is_some_and(|listener| publish.qos.bits() > listener.max_qos) {
            return Err(Violation::new(
                ReasonCode::QoSNotSupported,
                "QoS over the Maximum QoS of the listener [MQTT-3.2.2-11]",
            ));
        }
        if publish.retain && !self.config.broker.retain_available {
            return Err(Violation::new(
                ReasonCode::RetainNotSupported,
                "RETAIN where retained messages are off [MQTT-3.2.2-14]",
            ));
        }
        let response = publish.properties.response_topic;
        if response.is_some_and(|name| topic::validate_name(name, &limits).is_err()) {
            return Err(Violation::new(
                ReasonCode::ProtocolError,
                "the Response Topic is no valid Topic Name [MQTT-3.3.2-14]",
            ));
        }
        Ok(())
    }

    /// Takes a message in, or says why not.
    fn accept(
        &mut self,
        now: Instant,
        key: SessionKey,
        publish: &Publish<'_>,
        outlet: &mut impl Outlet,
    ) -> Published {
        if self.is_reserved_for(key, publish, outlet) {
            return Published::Refused(ReasonCode::NotAuthorized);
        }
        let limit = self.config.broker.message_size_limit;
        if limit > 0 && publish.payload.len() as u64 > u64::from(limit) {
            self.stats.drops.over_size_limit += 1;
            return Published::Refused(ReasonCode::ImplementationSpecificError);
        }
        let (mount, v5) = match self.session(key) {
            Some(session) => (session.mount.clone(), session.version.is_v5()),
            None => (None, false),
        };
        let topic = match &mount {
            None => Cow::Borrowed(publish.topic),
            Some(mount) => Cow::Owned([mount, publish.topic].concat()),
        };
        let mounted;
        let publish = if mount.is_some() {
            mounted = Publish { topic: &topic, ..publish.clone() };
            &mounted
        } else {
            publish
        };
        if self.is_unwritable(key, publish, outlet) {
            return Published::Refused(ReasonCode::NotAuthorized);
        }
        self.count_topic(&topic, publish.payload.len());
        let mut stored = None;
        let mut stamp = None;
        if publish.retain {
            let number = self.message_number();
            let mut message = Message::of_publish(number, &topic, publish, now);
            message.origin = self.origin_of(key);
            let message = Arc::clone(stored.insert(Arc::new(message)));
            stamp = self.retain(now, &message);
            if stamp.is_none() {
                self.stats.drops.retained_quota += 1;
                if v5 {
                    return Published::Refused(ReasonCode::QuotaExceeded);
                }
            }
        }
        let routed = self.route(now, &topic, publish, Some(key), stamp, &mut stored, outlet);
        self.hold_if_over(key, outlet);
        if routed { Published::Routed } else { Published::Unmatched }
    }

    /// Counts a message by topic, if somebody looks.
    #[inline]
    fn count_topic(&mut self, topic: &str, bytes: usize) {
        if let Some(watch) = &mut self.watch {
            watch.count(topic, bytes as u64, self.config.broker.topic_watch_max);
        }
    }

    /// The stored form of a message, made at the first need.
    pub(super) fn store(
        &mut self,
        stored: &mut Option<Arc<Message>>,
        topic: &str,
        publish: &Publish<'_>,
        now: Instant,
    ) -> Arc<Message> {
        let message = stored.get_or_insert_with(|| {
            self.next_message += 1;
            let message = Message::of_publish(self.next_message, topic, publish, now);
            self.memory.stored(message.weight());
            Arc::new(message)
        });
        Arc::clone(message)
    }

    /// Publishes a message of the broker's own, or of a client that is gone.
    pub(super) fn publish_message(
        &mut self,
        now: Instant,
        message: Arc<Message>,
        publisher: Option<SessionKey>,
        outlet: &mut impl Outlet,
    ) {
        self.count_topic(&message.topic, message.payload.0.len());
        let mut stamp = None;
        if message.retain {
            stamp = self.retain(now, &message);
            self.stats.drops.retained_quota += u64::from(stamp.is_none());
        }
        let publish = message.publish(now);
        let mut stored = Some(Arc::clone(&message));
        self.route(now, &message.topic, &publish, publisher, stamp, &mut stored, outlet);
    }

    fn acknowledge(
        &self,
        key: SessionKey,
        id: PacketId,
        published: Published,
        packet: fn(Ack<'static>) -> Packet<'static>,
        outlet: &mut impl Outlet,
    ) {
        let Some(slot) = self.connection_of(key) else { return };
        let reason = match published {
            Published::Routed => ReasonCode::Success,
            Published::Unmatched => ReasonCode::NoMatchingSubscribers,
            Published::Refused(reason) => reason,
        };
        self.promise(key, outlet);
        outlet.send(slot, &packet(Ack::new(id, reason)));
    }

    fn count_received(&mut self, publish: &Publish<'_>) {
        let bytes = publish.payload.len() as u64;
        let stats = &mut self.stats;
        let (count, total) = match publish.qos {
            QoS::AtMostOnce => {
                (&mut stats.publish_received_qos0, &mut stats.publish_received_bytes_qos0)
            }
            QoS::AtLeastOnce => {
                (&mut stats.publish_received_qos1, &mut stats.publish_received_bytes_qos1)
            }
            QoS::ExactlyOnce => {
                (&mut stats.publish_received_qos2, &mut stats.publish_received_bytes_qos2)
            }
        };
        *count += 1;
        *total += bytes;
    }
}

const OVER_QUOTA: Violation = Violation::new(
    ReasonCode::ReceiveMaximumExceeded,
    "more unacknowledged PUBLISH than the Receive Maximum [MQTT-3.3.4-9]",
);
