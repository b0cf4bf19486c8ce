//! A subscription of a Session, and the cursor that walks the retained messages it asked for.

use crate::packet::SubscriptionOptions;
use crate::state::{RestoreError, Sink, Source, State, state};

/// A subscription (MQTT 5.0 §4.7, §3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Options, with the QoS that was granted.
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier; 0 = none.
    pub(crate) identifier: u32,
}

state!(Subscription { options, identifier });

impl State for SubscriptionOptions {
    fn save(&self, to: &mut dyn Sink) {
        self.bits().save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Self::from_bits(u8::load(from)?).ok_or_else(|| from.error("subscription options"))
    }
}

/// Retained messages still owed to a new subscription [MQTT-3.3.1-9]. A Session holds them by
/// filter, with mount point: a repeated SUBSCRIBE finds its own at once however many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetainedCursor {
    /// The last topic that was sent.
    pub(crate) after: Option<Box<str>>,
    pub(crate) subscription: Subscription,
}

state!(RetainedCursor { after, subscription });

impl RetainedCursor {
    pub(crate) fn footprint(&self, filter: &str) -> u64 {
        64 + filter.len() as u64 + self.after.as_ref().map_or(0, |name| name.len() as u64)
    }
}
