//! Counting messages by topic, for whoever looks at the topic tree: only while somebody looks, and
//! for so many topics at most. Nobody looking costs a message one comparison.

use super::Broker;
use crate::engine::{TopicPage, TopicRow};
use crate::state::state;
use crate::time::Instant;
use core::ops::Bound::{Included, Unbounded};
use std::collections::BTreeMap;

/// How long counting goes on after somebody asked.
const LEASE_SECS: u64 = 60;
/// Bytes of the longest topic that is counted apart.
const TOPIC_BYTES_MAX: usize = 1024;

/// What was published since somebody asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    since: Instant,
    until: Instant,
    /// By topic, with NUL for `/`: NUL is in no topic, and so what is below a level follows it.
    topics: BTreeMap<Box<str>, Seen>,
    uncounted: u64,
}

state!(Watch { since, until, topics, uncounted });

/// What was published to one topic.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    messages: u64,
    bytes: u64,
}

state!(Seen { messages, bytes });

impl Watch {
    #[cold]
    pub(super) fn count(&mut self, topic: &str, bytes: u64, max_topics: u32) {
        let name = topic.replace('/', "\0");
        let full = self.topics.len() >= max_topics as usize || name.len() > TOPIC_BYTES_MAX;
        if full && !self.topics.contains_key(&*name) {
            self.uncounted += 1;
            return;
        }
        let seen = self.topics.entry(name.into()).or_default();
        seen.messages += 1;
        seen.bytes += bytes;
    }

    pub(super) fn footprint(&self) -> u64 {
        self.topics.keys().map(|name| 64 + name.len() as u64).sum()
    }

    /// The levels below `parent` and behind `after`, `limit` at most.
    fn page(
        &self,
        now: Instant,
        parent: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> TopicPage {
        let prefix = parent.map_or_else(String::new, |parent| parent.replace('/', "\0") + "\0");
        let mut page = TopicPage {
            counted_micros: now.0.saturating_sub(self.since.0),
            uncounted: self.uncounted,
            ..TopicPage::default()
        };
        for (name, seen) in self.topics.range::<str, _>((Included(prefix.as_str()), Unbounded)) {
            let Some(below) = name.strip_prefix(&prefix) else { break };
            let (level, rest) = match below.split_once('\0') {
                Some((level, rest)) => (level, Some(rest)),
                None => (below, None),
            };
            if after.is_some_and(|after| level <= after) {
                continue;
            }
            if page.rows.last().is_none_or(|row| row.level != level) {
                if page.rows.len() == limit {
                    page.more = true;
                    break;
                }
                page.rows.push(TopicRow { level: level.into(), ..TopicRow::default() });
            }
            if let Some(row) = page.rows.last_mut() {
                row.messages += seen.messages;
                row.bytes += seen.bytes;
                row.topics += 1;
                row.is_topic |= rest.is_none();
            }
        }
        page
    }
}

impl Broker {
    /// Counts from now on, for a while, and tells what was counted.
    pub(super) fn watch_topics(
        &mut self,
        now: Instant,
        parent: Option<&str>,
        after: Option<String>,
        limit: usize,
    ) -> TopicPage {
        let start = || Box::new(Watch { since: now, ..Watch::default() });
        let watch = self.watch.get_or_insert_with(start);
        watch.until = now.plus_secs(LEASE_SECS);
        watch.page(now, parent, after.as_deref(), limit)
    }

    /// Forgets what was counted once nobody has asked for a while.
    pub(super) fn end_watch(&mut self, now: Instant) {
        if self.watch.as_ref().is_some_and(|watch| watch.until <= now) {
            self.watch = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(topics: &[&str]) -> Watch {
        let mut watch = Watch::default();
        for topic in topics {
            watch.count(topic, 10, 5);
        }
        watch
    }

    fn levels(page: &TopicPage) -> Vec<(&str, u64, u64, bool)> {
        let row = |row: &'_ TopicRow| (row.messages, row.topics, row.is_topic);
        page.rows.iter().map(|r| (r.level.as_str(), row(r).0, row(r).1, row(r).2)).collect()
    }

    #[test]
    fn a_level_sums_what_is_below_it() {
        let watch = watch(&["a/b", "a", "a/b/c", "a!", "/x", "a/b"]);
        let top = watch.page(Instant::ZERO, None, None, 10);
        assert_eq!(levels(&top), [("", 1, 1, false), ("a", 4, 3, true), ("a!", 1, 1, true)]);
        let below = watch.page(Instant::ZERO, Some("a"), None, 10);
        assert_eq!(levels(&below), [("b", 3, 2, true)]);
        assert_eq!(below.rows[0].bytes, 30);
        let first = watch.page(Instant::ZERO, None, None, 1);
        assert!(first.more);
        let next = watch.page(Instant::ZERO, None, Some(""), 10);
        assert_eq!(levels(&next), [("a", 4, 3, true), ("a!", 1, 1, true)]);
    }

    #[test]
    fn topics_are_bounded_and_the_rest_is_counted() {
        let long = "x".repeat(TOPIC_BYTES_MAX + 1);
        let watch = watch(&["1", "2", "3", "4", &long, "5", "6", "1"]);
        assert_eq!((watch.topics.len(), watch.uncounted), (5, 2));
        assert_eq!(watch.page(Instant::ZERO, None, None, 10).uncounted, 2);
    }
}
