//! Topic Aliases of one connection, both ways (MQTT 5.0 §3.3.2.3.4). Never outlives the
//! connection, and never grows beyond the agreed maximum.

use crate::map::Map;
use core::num::NonZeroU16;

/// Aliases that one side assigned.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases {
    maximum: u16,
    /// Alias - 1 -> topic; empty where there is none.
    topics: Vec<Box<str>>,
    /// The reverse, for those that `pick` assigned.
    picked: Map<Box<str>, NonZeroU16>,
}

/// How an outgoing topic is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The topic alone.
    Full,
    /// The topic, and an alias for the next time.
    Both(NonZeroU16),
    /// The alias alone.
    Alias(NonZeroU16),
}

impl Aliases {
    /// Forgets everything; `maximum` holds for the new connection.
    pub(super) fn reset(&mut self, maximum: u16) {
        self.maximum = maximum;
        self.topics.clear();
        self.picked.clear();
    }

    /// The highest alias allowed.
    pub(super) const fn maximum(&self) -> u16 {
        self.maximum
    }

    /// The topic behind `alias`.
    pub(super) fn topic(&self, alias: NonZeroU16) -> Option<&str> {
        let topic = self.topics.get(usize::from(alias.get()) - 1)?;
        (!topic.is_empty()).then_some(topic)
    }

    /// Lets `alias` stand for `topic` from now on; `false` if it is above the maximum.
    pub(super) fn set(&mut self, alias: NonZeroU16, topic: &str) -> bool {
        if alias.get() > self.maximum {
            return false;
        }
        let index = usize::from(alias.get()) - 1;
        if self.topics.len() <= index {
            self.topics.resize(index + 1, Box::default());
        }
        if *self.topics[index] != *topic {
            self.picked.remove(&self.topics[index]);
            self.topics[index] = topic.into();
        }
        true
    }

    /// How to write an outgoing topic: the first `of_own_accord` topics get an alias each. What is
    /// to be [`Written::Both`] must be handed to [`Self::assign`] once it is written.
    pub(super) fn pick(&self, topic: &str, of_own_accord: u16) -> Written {
        let limit = usize::from(of_own_accord.min(self.maximum));
        if limit == 0 {
            return Written::Full;
        }
        if let Some(alias) = self.picked.get(topic) {
            return Written::Alias(*alias);
        }
        let free = if self.topics.len() < limit {
            u16::try_from(self.topics.len() + 1).ok().and_then(NonZeroU16::new)
        } else {
            None
        };
        free.map_or(Written::Full, Written::Both)
    }

    /// The server has been told that `alias` stands for `topic`.
    pub(super) fn assign(&mut self, alias: NonZeroU16, topic: &str) {
        if self.set(alias, topic) {
            self.picked.insert(topic.into(), alias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(value: u16) -> NonZeroU16 {
        NonZeroU16::new(value).unwrap_or(NonZeroU16::MIN)
    }

    #[test]
    fn the_first_topics_get_an_alias() {
        let mut aliases = Aliases::default();
        aliases.reset(2);
        assert_eq!(aliases.pick("a", 9), Written::Both(alias(1)));
        aliases.assign(alias(1), "a");
        assert_eq!(aliases.pick("b", 9), Written::Both(alias(2)));
        aliases.assign(alias(2), "b");
        assert_eq!(aliases.pick("c", 9), Written::Full);
        assert_eq!(aliases.pick("a", 9), Written::Alias(alias(1)));
        aliases.reset(2);
        assert_eq!(aliases.topic(alias(1)), None);
    }

    #[test]
    fn an_alias_above_the_maximum_is_refused() {
        let mut aliases = Aliases::default();
        aliases.reset(5);
        assert!(aliases.set(alias(5), "x"));
        assert!(!aliases.set(alias(6), "x"));
        assert_eq!(aliases.topic(alias(5)), Some("x"));
        assert_eq!(aliases.topic(alias(4)), None);
    }
}
