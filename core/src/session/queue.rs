//! Messages that wait for their turn in a Session, in order. Full means full: the new message is
//! the one that is not taken; what is queued stays.

use crate::message::Message;
use crate::packet::{QoS, SubscriptionIds};
use crate::state::state;
use crate::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;

/// A message on its way to one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    /// The granted QoS or the message's, whichever is lower.
    pub(crate) qos: QoS,
    /// RETAIN as the subscriber shall see it.
    pub(crate) retain: bool,
    /// Subscription Identifiers of the subscriptions that matched [MQTT-3.3.4-3].
    pub(crate) subscription_ids: SubscriptionIds,
    /// The shared subscription that chose this Session, if one did: `$share/name/filter` with mount
    /// point.
    pub(crate) group: Option<Arc<str>>,
}

state!(Delivery { message, qos, retain, subscription_ids, group });

/// How much a queue takes; 0 = no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
}

/// The queue of a Session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    deliveries: VecDeque<Delivery>,
    bytes: u64,
    at_most_once: u32,
}

state!(Queue { deliveries, bytes, at_most_once });

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What waits, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter()
    }

    /// Whether a QoS 0 message waits, which a new one must not overtake [MQTT-4.6.0-5].
    pub(crate) const fn holds_at_most_once(&self) -> bool {
        self.at_most_once > 0
    }

    /// Appends `delivery`; `false`, and nothing changed, if that is over `limits`.
    pub(crate) fn push(&mut self, delivery: Delivery, limits: QueueLimits) -> bool {
        let weight = delivery.message.weight();
        let full = limits.messages > 0 && self.deliveries.len() >= limits.messages as usize
            || limits.bytes > 0 && self.bytes.saturating_add(weight) > limits.bytes;
        if full {
            return false;
        }
        self.bytes += weight;
        self.at_most_once += u32::from(delivery.qos == QoS::AtMostOnce);
        self.deliveries.push_back(delivery);
        true
    }

    pub(crate) fn front(&self) -> Option<&Delivery> {
        self.deliveries.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.pop_front()?;
        self.forget(&delivery);
        if self.deliveries.is_empty() {
            self.deliveries = VecDeque::new();
        }
        Some(delivery)
    }

    /// Drops what expired, telling the place of each among those that are left; returns how many.
    pub(crate) fn purge_expired(&mut self, now: Instant, mut gone: impl FnMut(u32)) -> u64 {
        let before = self.deliveries.len();
        let mut kept = VecDeque::with_capacity(before);
        for delivery in core::mem::take(&mut self.deliveries) {
            if delivery.message.is_expired(now) {
                self.forget(&delivery);
                gone(u32::try_from(kept.len()).unwrap_or(u32::MAX));
            } else {
                kept.push_back(delivery);
            }
        }
        self.deliveries = kept;
        (before - self.deliveries.len()) as u64
    }

    /// Empties it, in order.
    pub(crate) fn drain(&mut self) -> VecDeque<Delivery> {
        self.bytes = 0;
        self.at_most_once = 0;
        core::mem::take(&mut self.deliveries)
    }

    /// Its messages, in order.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.deliveries.iter().map(|delivery| &*delivery.message)
    }

    pub(crate) fn footprint(&self) -> u64 {
        self.bytes + 64 * self.deliveries.len() as u64
    }

    fn forget(&mut self, delivery: &Delivery) {
        self.bytes -= delivery.message.weight();
        self.at_most_once -= u32::from(delivery.qos == QoS::AtMostOnce);
    }
}
