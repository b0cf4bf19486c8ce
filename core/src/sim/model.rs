//! What the oracle knows of sessions and messages: what each session is owed, what it got, which
//! exchanges are open. Plain data with slow and obvious rules; it never asks the engine.

use super::watch::{ConnectNote, WillNote};
use crate::packet::{QoS, RetainHandling, SubscriptionOptions};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// A message of a simulated publisher: who published it, and the how manieth of his it is; 0 is his
/// Will.
pub(super) type MessageId = (u32, u32);

/// The payload that says which message it is.
pub(super) fn payload_of((publisher, number): MessageId, len: usize) -> Vec<u8> {
    let mut payload = format!("m{publisher}-{number};").into_bytes();
    payload.resize(payload.len().max(len), b'.');
    payload
}

/// The message that a payload says it is.
pub(super) fn message_of(payload: &[u8]) -> Option<MessageId> {
    let end = payload.iter().position(|byte| *byte == b';')?;
    let text = core::str::from_utf8(&payload[..end]).ok()?;
    let (publisher, number) = text.strip_prefix('m')?.split_once('-')?;
    Some((publisher.parse().ok()?, number.parse().ok()?))
}

/// A message that reached the engine.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) qos: QoS,
    pub(super) len: usize,
    /// Bytes of its properties, but for its expiry.
    pub(super) properties: usize,
    pub(super) expires: Option<Instant>,
    /// Until when it was the retained message of its topic, if it ever was.
    pub(super) retained_until: Option<Instant>,
    /// When it reached the engine last.
    pub(super) at: Instant,
    /// Groups it went to, and whether somebody may have lost it lawfully.
    pub(super) groups: BTreeSet<String>,
    pub(super) group_received: u32,
    pub(super) group_excused: bool,
    pub(super) arrivals: u32,
}

/// How a message may look at a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) qos: QoS,
    pub(super) ids: Vec<u32>,
    pub(super) retain: bool,
}

/// One sending of a message to a session: whenever its publisher repeats it, there is another.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    /// Its place among all that arrived at the broker.
    pub(super) arrival: u64,
    pub(super) looks: Looks,
    pub(super) expires: Option<Instant>,
    /// The engine has said what becomes of it here.
    pub(super) decided: bool,
    /// The engine said that this session does not get it.
    pub(super) dropped: bool,
    /// The connection that it was sent on last.
    pub(super) sent_on: Option<u64>,
}

impl Copy {
    /// Whether it looks so and was neither sent nor lost.
    fn waits(&self, looks: &Looks, now: Instant) -> bool {
        self.is_kept(now) && self.sent_on.is_none() && self.looks == *looks
    }

    pub(super) fn is_kept(&self, now: Instant) -> bool {
        !self.dropped && self.expires.is_none_or(|at| now < at)
    }
}

/// What a session is owed of one message.
#[derive(Clone, Debug, Default)]
pub(super) struct Owed {
    /// In the order of their arrival.
    pub(super) copies: Vec<Copy>,
    pub(super) received: u32,
    /// Of these, without DUP.
    pub(super) fresh: u32,
    /// Of these, with QoS 2.
    pub(super) exact: u32,
    /// Some copy may have been dropped where a queue was full; which one was not told.
    pub(super) excused: bool,
}

impl Owed {
    /// How often it may be received.
    pub(super) fn expected(&self) -> u32 {
        let copies = self.copies.iter().filter(|copy| !copy.dropped);
        u32::try_from(copies.count()).unwrap_or(u32::MAX)
    }

    /// Whether the engine may send it so: a copy of it waits, or one was sent before and is repeated.
    pub(super) fn may_send(&self, looks: &Looks, dup: bool, now: Instant) -> bool {
        let sent_before = |copy: &Copy| dup && copy.sent_on.is_some() && copy.looks == *looks;
        self.excused || self.copies.iter().any(|copy| copy.waits(looks, now) || sent_before(copy))
    }

    /// The engine sends it anew: that is the oldest copy that waits.
    pub(super) fn send(&mut self, looks: &Looks, conn: u64, now: Instant) -> Option<u64> {
        let copy = self.copies.iter_mut().find(|copy| copy.waits(looks, now))?;
        copy.sent_on = Some(conn);
        Some(copy.arrival)
    }

    /// The engine repeats a copy that it sent on an earlier connection.
    pub(super) fn resend(&mut self, arrival: u64, conn: u64) {
        if let Some(copy) = self.copies.iter_mut().find(|copy| copy.arrival == arrival) {
            copy.sent_on = Some(conn);
        }
    }

    /// The copy that comes first by this connection. What went out on another one and was lost with
    /// it is not what an application gets here.
    pub(super) fn first_by(&self, conn: u64, qos: QoS) -> Option<u64> {
        let sent = |copy: &&Copy| copy.sent_on == Some(conn) && copy.looks.qos == qos;
        self.copies.iter().find(sent).map(|copy| copy.arrival)
    }
}

/// A subscription.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub(super) options: SubscriptionOptions,
    pub(super) identifier: u32,
}

/// Retained messages asked for by a SUBSCRIBE.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    pub(super) filter: String,
    pub(super) subscription: Subscription,
    pub(super) conn: u64,
    pub(super) at: Instant,
    /// What was retained then.
    pub(super) owed: Vec<MessageId>,
}

/// An exchange from the engine to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) message: Option<MessageId>,
    pub(super) qos: QoS,
    pub(super) released: bool,
    /// QoS 1: it may be over without a word, because its message may not be repeated.
    pub(super) given_up: bool,
    pub(super) sent_on: u64,
    /// Which copy of the message it is, by its arrival; a retained one has none.
    pub(super) copy: Option<u64>,
}

/// When a Will is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WillDue {
    /// Not while the connection stands.
    No,
    At(Instant),
}

/// A session, from its beginning to its end.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) client_id: String,
    pub(super) connect: ConnectNote,
    pub(super) attached: Option<u64>,
    pub(super) ended: bool,
    pub(super) expiry: u32,
    pub(super) expires: Option<Instant>,
    pub(super) will: Option<WillNote>,
    pub(super) will_due: WillDue,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    /// Shared subscriptions it ever had: full filter.
    pub(super) shared_ever: BTreeSet<String>,
    pub(super) replays: Vec<Replay>,
    pub(super) owed: BTreeMap<MessageId, Owed>,
    /// What was queued and is not in `owed`: messages of groups, and such that nobody judges. Topic,
    /// QoS, length.
    pub(super) queued: Vec<(String, QoS, usize)>,
    /// QoS 2 identifiers from the client.
    pub(super) incoming: BTreeSet<u16>,
    pub(super) flights: BTreeMap<u16, Flight>,
    /// Last first delivery per publisher, topic, QoS published and delivered.
    pub(super) order: BTreeMap<(u32, String, u8, u8), u64>,
}

impl Session {
    pub(super) fn new(client_id: &str, connect: ConnectNote) -> Self {
        Self {
            client_id: client_id.to_owned(),
            connect,
            attached: None,
            ended: false,
            expiry: 0,
            expires: None,
            will: None,
            will_due: WillDue::No,
            subscriptions: BTreeMap::new(),
            shared_ever: BTreeSet::new(),
            replays: Vec::new(),
            owed: BTreeMap::new(),
            queued: Vec::new(),
            incoming: BTreeSet::new(),
            flights: BTreeMap::new(),
            order: BTreeMap::new(),
        }
    }

    /// Whether a new connection would find it.
    pub(super) fn is_alive(&self, now: Instant) -> bool {
        let kept = self.attached.is_some() || self.expiry > 0;
        !self.ended && kept && self.expires.is_none_or(|at| now < at)
    }

    /// How a message to `topic` shall look here, if a subscription matches; overlapping ones
    /// joined.
    pub(super) fn looks(
        &self,
        topic: &str,
        qos: QoS,
        retain: bool,
        by_itself: bool,
    ) -> Option<Looks> {
        let mut found: Option<Looks> = None;
        for (filter, subscription) in &self.subscriptions {
            let options = subscription.options;
            let not_me = options.no_local && by_itself;
            if filter.starts_with("$share/") || not_me || !crate::topic::matches(filter, topic) {
                continue;
            }
            let looks =
                found.get_or_insert(Looks { qos: QoS::AtMostOnce, ids: Vec::new(), retain: false });
            looks.qos = looks.qos.max(options.qos.min(qos));
            looks.retain |= retain && options.retain_as_published;
            if subscription.identifier > 0 && self.connect.version.is_v5() {
                looks.ids.push(subscription.identifier);
            }
        }
        if let Some(looks) = &mut found {
            looks.ids.sort_unstable();
        }
        found
    }

    /// How many copies of a retained message its SUBSCRIBE packets may have asked for.
    pub(super) fn replays_of(&self, topic: &str) -> u32 {
        let matching = self.replays.iter().filter(|one| crate::topic::matches(&one.filter, topic));
        u32::try_from(matching.count()).unwrap_or(u32::MAX)
    }

    /// Whether `looks` is that of a retained message that a SUBSCRIBE asked for.
    pub(super) fn is_replay(&self, message: &Message, looks: &Looks) -> bool {
        let Some(until) = message.retained_until else { return false };
        looks.retain
            && self.replays.iter().any(|replay| {
                let identifier = replay.subscription.identifier;
                let ids: &[u32] = if identifier > 0 { &[identifier] } else { &[] };
                until >= replay.at
                    && crate::topic::matches(&replay.filter, &message.topic)
                    && looks.qos == replay.subscription.options.qos.min(message.qos)
                    && (looks.ids == ids || !self.connect.version.is_v5())
            })
    }

    /// Whether a SUBSCRIBE with these options is owed retained messages.
    pub(super) fn wants_retained(&self, filter: &str, options: SubscriptionOptions) -> bool {
        match options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => !self.subscriptions.contains_key(filter),
            RetainHandling::DoNotSend => false,
        }
    }
}
