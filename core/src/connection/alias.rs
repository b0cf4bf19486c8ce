//! Topic Aliases of one connection, each way (MQTT 5.0 §3.3.2.3.4). They end with the connection
//! [MQTT-3.3.2-7] and are never passed on from one to another.

use crate::state::{RestoreError, Sink, Source, State, state};
use core::num::NonZeroU16;
use std::collections::BTreeMap;

/// Aliases that the client set.
#[derive(Clone, Debug, Default)]
pub(crate) struct IncomingAliases {
    topics: BTreeMap<u16, Box<str>>,
    maximum: u16,
}

state!(IncomingAliases { topics, maximum });

/// Why an alias was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AliasError {
    /// Above the Topic Alias Maximum that we told [MQTT-3.3.2-9].
    OverMaximum,
    /// It stands for nothing yet.
    Unknown,
}

impl IncomingAliases {
    /// Takes aliases up to `maximum`.
    pub(crate) fn allow(&mut self, maximum: u16) {
        self.maximum = maximum;
    }

    /// The topic of a PUBLISH: `topic`, noted under `alias`, or what `alias` stands for.
    pub(crate) fn resolve<'a>(
        &'a mut self,
        topic: &'a str,
        alias: NonZeroU16,
    ) -> Result<&'a str, AliasError> {
        let alias = alias.get();
        if alias > self.maximum {
            return Err(AliasError::OverMaximum);
        }
        if topic.is_empty() {
            return self.topics.get(&alias).map(|topic| &**topic).ok_or(AliasError::Unknown);
        }
        match self.topics.get_mut(&alias) {
            Some(known) if **known == *topic => {}
            Some(known) => *known = topic.into(),
            None => {
                self.topics.insert(alias, topic.into());
            }
        }
        Ok(topic)
    }

    pub(crate) fn footprint(&self) -> u64 {
        self.topics.values().map(|topic| 24 + topic.len() as u64).sum()
    }
}

/// Aliases that the broker set: the first topics of a connection get one each, until the client's
/// Topic Alias Maximum, or ours, is reached [MQTT-3.1.2-26].
#[derive(Clone, Debug, Default)]
pub(crate) struct OutgoingAliases {
    table: Option<BTreeMap<Box<str>, u16>>,
    maximum: u16,
}

impl OutgoingAliases {
    /// Sets aliases up to `maximum`; 0 sets none [MQTT-3.1.2-27].
    pub(crate) fn allow(&mut self, maximum: u16) {
        self.maximum = maximum;
        self.table = (maximum > 0).then(BTreeMap::new);
    }

    pub(crate) const fn is_used(&self) -> bool {
        self.table.is_some()
    }

    /// The alias for `topic`, and whether the client knows it already.
    pub(crate) fn alias(&mut self, topic: &str) -> Option<(NonZeroU16, bool)> {
        let table = self.table.as_mut()?;
        if let Some(alias) = table.get(topic) {
            return NonZeroU16::new(*alias).map(|alias| (alias, true));
        }
        let next = u16::try_from(table.len() + 1).ok().filter(|next| *next <= self.maximum)?;
        table.insert(topic.into(), next);
        NonZeroU16::new(next).map(|alias| (alias, false))
    }

    pub(crate) fn footprint(&self) -> u64 {
        let topics = self.table.iter().flat_map(|table| table.keys());
        topics.map(|topic| 24 + topic.len() as u64).sum()
    }
}

impl State for OutgoingAliases {
    fn save(&self, to: &mut dyn Sink) {
        self.maximum.save(to);
        self.table.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Ok(Self { maximum: State::load(from)?, table: State::load(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stands_for_the_last_topic_it_was_set_to() {
        let mut aliases = IncomingAliases::default();
        aliases.allow(2);
        let (one, three) = (NonZeroU16::new(1).unwrap(), NonZeroU16::new(3).unwrap());
        assert_eq!(aliases.resolve("", one), Err(AliasError::Unknown));
        assert_eq!(aliases.resolve("a", one), Ok("a"));
        assert_eq!(aliases.resolve("", one), Ok("a"));
        assert_eq!(aliases.resolve("b", one), Ok("b"));
        assert_eq!(aliases.resolve("", one), Ok("b"));
        assert_eq!(aliases.resolve("a", three), Err(AliasError::OverMaximum));
    }

    #[test]
    fn outgoing_aliases_stop_at_the_maximum() {
        let mut aliases = OutgoingAliases::default();
        assert_eq!(aliases.alias("a"), None);
        aliases.allow(1);
        let one = NonZeroU16::new(1).unwrap();
        assert_eq!(aliases.alias("a"), Some((one, false)));
        assert_eq!(aliases.alias("a"), Some((one, true)));
        assert_eq!(aliases.alias("b"), None);
    }
}
