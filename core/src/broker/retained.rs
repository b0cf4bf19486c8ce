//! Retained messages (MQTT 5.0 §3.3.1.3): one a topic, replaced, cleared by an empty payload,
//! ended by expiry, bounded in number and bytes.

use super::link::Stamp;
use super::{Broker, Pressure, TimerKey};
use crate::engine::RetainedRow;
use crate::journal::Op;
use crate::message::Message;
use crate::state::{RestoreError, Sink, Source, State};
use crate::time::Instant;
use crate::topic::{Scan, TopicMap};
use core::ops::ControlFlow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names that one search may look at.
const STEPS: u32 = 256;

/// Names that one page of a listing may look at, and bytes of each payload in it.
const PAGE_STEPS: u32 = 4096;
const PAGE_PAYLOAD_BYTES: usize = 1024;

/// What a search for the next retained message gave.
pub(super) enum Found {
    Message(Arc<Message>),
    GoOnAfter(Box<str>),
    End,
}

#[derive(Clone, Debug)]
struct Entry {
    message: Arc<Message>,
    expires: Option<Instant>,
    stamp: Stamp,
}

/// The retained messages of an engine.
#[derive(Clone, Debug, Default)]
pub(super) struct Retained {
    by_topic: TopicMap<Entry>,
    expiries: BTreeSet<(Instant, Box<str>)>,
    bytes: u64,
    armed: Option<Instant>,
}

impl Retained {
    /// The first message whose topic matches `filter` and comes after `after`, or the place to go
    /// on from if that takes too long.
    pub(super) fn next_match(&self, filter: &str, after: Option<&str>) -> Found {
        let mut found = None;
        let scan = self.by_topic.for_each_match_from(filter, after, STEPS, |_, entry| {
            found = Some(Arc::clone(&entry.message));
            ControlFlow::Break(())
        });
        match (found, scan) {
            (Some(message), _) => Found::Message(message),
            (None, Scan::More { after }) => Found::GoOnAfter(after.into()),
            (None, Scan::Done) => Found::End,
        }
    }

    /// The next messages whose topics match `filter`, and the topic to go on behind.
    pub(super) fn page(
        &self,
        now: Instant,
        filter: &str,
        after: Option<&str>,
        limit: usize,
    ) -> (Vec<RetainedRow>, Option<String>) {
        let mut rows = Vec::new();
        let scan = self.by_topic.for_each_match_from(filter, after, PAGE_STEPS, |topic, entry| {
            let Entry { message, expires, .. } = entry;
            let payload = &message.payload.0;
            rows.push(RetainedRow {
                topic: topic.into(),
                qos: message.qos,
                payload_bytes: payload.len() as u64,
                payload: payload[..payload.len().min(PAGE_PAYLOAD_BYTES)].to_vec(),
                age_secs: now.since(message.received).as_secs(),
                expires_in_secs: expires.map(|at| at.since(now).as_secs()),
            });
            if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let next = match scan {
            Scan::More { after } => Some(after.into()),
            Scan::Done => None,
        };
        (rows, next)
    }

    /// The stamp of the message for this topic.
    pub(super) fn stamp(&self, topic: &str) -> Option<Stamp> {
        self.by_topic.get(topic).map(|entry| entry.stamp)
    }

    /// Whether there is a message for this topic.
    pub(super) fn has(&self, topic: &str) -> bool {
        self.by_topic.get(topic).is_some()
    }

    /// Every message, with its expiry and stamp.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Message, Option<Instant>, Stamp)> {
        self.by_topic.iter().map(|(_, entry)| (&*entry.message, entry.expires, entry.stamp))
    }

    pub(super) fn footprint(&self) -> u64 {
        self.bytes + self.by_topic.footprint() + 32 * self.expiries.len() as u64
    }

    fn insert(&mut self, message: Arc<Message>, expires: Option<Instant>, stamp: Stamp) {
        self.remove(&Box::<str>::from(&*message.topic));
        let topic = message.topic.clone();
        self.bytes += message.weight();
        if let Some(at) = expires {
            self.expiries.insert((at, topic.clone()));
        }
        self.by_topic.insert(&topic, Entry { message, expires, stamp });
    }

    fn remove(&mut self, topic: &str) -> Option<Stamp> {
        let entry = self.by_topic.remove(topic)?;
        self.bytes -= entry.message.weight();
        if let Some(at) = entry.expires {
            self.expiries.remove(&(at, topic.into()));
        }
        Some(entry.stamp)
    }

    /// Whether `message` takes more than what is kept for its topic.
    fn grows_by(&self, message: &Message) -> bool {
        let old = self.by_topic.get(&message.topic).map(|entry| entry.message.weight());
        old.is_none_or(|old| message.weight() > old)
    }

    /// Whether `message` would fit, as a new one or in place of the old.
    fn has_room(&self, message: &Message, max_messages: u64, max_bytes: u64) -> bool {
        let old = self.by_topic.get(&message.topic).map(|entry| entry.message.weight());
        let messages = self.by_topic.len() + u64::from(old.is_none());
        let bytes = self.bytes - old.unwrap_or(0) + message.weight();
        (max_messages == 0 || messages <= max_messages) && (max_bytes == 0 || bytes <= max_bytes)
    }
}

impl State for Retained {
    fn save(&self, to: &mut dyn Sink) {
        u32::try_from(self.by_topic.len()).unwrap_or(u32::MAX).save(to);
        for (_, entry) in self.by_topic.iter() {
            entry.message.save(to);
            entry.expires.save(to);
            entry.stamp.save(to);
        }
        self.armed.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let mut retained = Self::default();
        for _ in 0..u32::load(from)? {
            let message = Arc::<Message>::load(from)?;
            retained.insert(message, State::load(from)?, State::load(from)?);
        }
        retained.armed = State::load(from)?;
        Ok(retained)
    }
}

impl Broker {
    /// Keeps `message` for its topic, or clears the topic if the payload is empty
    /// [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-7]: the stamp under which other shards shall do
    /// the same. `None`: over the limits, nothing changed.
    pub(super) fn retain(&mut self, now: Instant, message: &Arc<Message>) -> Option<Stamp> {
        let broker = &self.config.broker;
        let (messages, bytes) = (broker.max_retained_messages, broker.max_retained_bytes);
        let keeps = !message.payload.0.is_empty();
        let grows = keeps && self.retained.grows_by(message);
        if keeps && !self.retained.has_room(message, messages, bytes)
            || grows && self.pressure() >= Pressure::Growth
        {
            return None;
        }
        let stamp = self.stamp();
        self.retain_stamped(now, message, stamp);
        Some(stamp)
    }

    /// The same for a message that was stamped here or on another shard; an older one changes
    /// nothing.
    pub(super) fn retain_stamped(&mut self, now: Instant, message: &Arc<Message>, stamp: Stamp) {
        let known = self.retained.by_topic.get(&message.topic).map(|entry| entry.stamp);
        if known.max(self.links.tombstone(&message.topic)).is_some_and(|known| known > stamp) {
            return;
        }
        self.record_retained(message, stamp);
        if message.payload.0.is_empty() {
            self.retained.remove(&message.topic);
            self.tombstone(now, &message.topic, stamp);
        } else {
            let bound = self.config.broker.retain_expiry_secs.map(|secs| now.plus_secs(secs));
            let expires = match (message.expires(), bound) {
                (Some(own), Some(bound)) => Some(own.min(bound)),
                (own, bound) => own.or(bound),
            };
            self.retained.insert(Arc::clone(message), expires, stamp);
            if stamp.shard == self.config.shard && self.durable.keeps(&message.topic) {
                self.durable.put(message);
                let expires = expires.map(|at| self.durable.wall(at));
                let (topic, message) = (&*message.topic, message.number);
                self.durable.step(&Op::Retained { topic, message, expires, stamp: stamp.op() });
            }
        }
        self.retained_changed();
    }

    /// Only the shard on which a topic was set or cleared remembers that beyond the process; what
    /// it remembers of an earlier time goes.
    fn record_retained(&mut self, message: &Message, stamp: Stamp) {
        if !self.durable.is_on() {
            return;
        }
        let own = self.config.shard;
        let topic = &*message.topic;
        if stamp.shard == own {
            if message.payload.0.is_empty() {
                // Written down even if there was nothing: an earlier clearing may not be durable.
                let kept = (!self.links.is_single()).then_some(stamp.op());
                self.durable.cleared(topic, kept);
            }
            return;
        }
        let set = self.retained.by_topic.get(topic).map(|entry| entry.stamp);
        let known = set.max(self.links.tombstone(topic));
        if known.is_some_and(|known| known.shard == own) {
            self.durable.cleared(topic, None);
        }
    }

    /// A retained message of an earlier process.
    pub(super) fn retained_is(
        &mut self,
        message: Arc<Message>,
        expires: Option<Instant>,
        stamp: Stamp,
    ) {
        self.retained.insert(message, expires, stamp);
        self.retained_changed();
    }

    fn retained_changed(&mut self) {
        self.stats.retained = self.retained.by_topic.len();
        self.stats.retained_bytes = self.retained.bytes;
        self.arm_retained();
    }

    pub(super) fn expire_retained(&mut self, now: Instant) {
        self.retained.armed = None;
        while let Some((at, topic)) = self.retained.expiries.first() {
            if *at > now {
                break;
            }
            let topic = topic.clone();
            if let Some(stamp) = self.retained.remove(&topic) {
                if stamp.shard == self.config.shard {
                    let kept = (!self.links.is_single()).then_some(stamp.op());
                    self.durable.cleared(&topic, kept);
                }
                self.tombstone(now, &topic, stamp);
            }
            self.stats.drops.expired += 1;
        }
        self.retained_changed();
    }

    fn arm_retained(&mut self) {
        let first = self.retained.expiries.first().map(|(at, _)| *at);
        if first == self.retained.armed {
            return;
        }
        if let Some(at) = self.retained.armed {
            self.timers.disarm(at, TimerKey::Retained);
        }
        if let Some(at) = first {
            self.timers.arm(at, TimerKey::Retained);
        }
        self.retained.armed = first;
    }
}
