//! Rules by the levels of their filters, so that a decision costs what the topic has levels, not
//! what the list has rules. Held against the slow and obvious way by a property test. Never
//! recurses.

use super::pattern::{Level, level};
use super::{Effect, Rights, Subject};
use std::collections::BTreeMap;

/// Stands for no rule: greater than every index.
pub(super) const NONE: u32 = u32::MAX;

/// The first rule of each kind that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) deny_read: u32,
    pub(super) deny_write: u32,
    pub(super) allow_read: u32,
    pub(super) allow_write: u32,
    pub(super) allow_subscribe: u32,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            deny_read: NONE,
            deny_write: NONE,
            allow_read: NONE,
            allow_write: NONE,
            allow_subscribe: NONE,
        }
    }
}

impl Found {
    /// Takes in a rule that matches.
    pub(super) fn add(&mut self, effect: Effect, rule: u32) {
        let (rights, read, write) = match effect {
            Effect::Deny(rights) => (rights, &mut self.deny_read, &mut self.deny_write),
            Effect::Allow(rights) => (rights, &mut self.allow_read, &mut self.allow_write),
        };
        if rights.has(Rights::READ) {
            *read = rule.min(*read);
        }
        if rights.has(Rights::WRITE) {
            *write = rule.min(*write);
        }
        if effect == Effect::Allow(Rights::SUBSCRIBE) {
            self.allow_subscribe = rule.min(self.allow_subscribe);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.deny_read = self.deny_read.min(other.deny_read);
        self.deny_write = self.deny_write.min(other.deny_write);
        self.allow_read = self.allow_read.min(other.allow_read);
        self.allow_write = self.allow_write.min(other.allow_write);
        self.allow_subscribe = self.allow_subscribe.min(other.allow_subscribe);
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    text: BTreeMap<Box<str>, u32>,
    plus: Option<u32>,
    client: Option<u32>,
    user: Option<u32>,
    /// Rules that end here.
    here: Found,
    /// Rules that end in `#` below here.
    below: Found,
}

/// Rules by filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RuleTree {
    nodes: Vec<Node>,
    /// Whether one of them is a `subscribe` rule.
    pub(super) has_subscribe: bool,
}

impl Default for RuleTree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], has_subscribe: false }
    }
}

impl RuleTree {
    /// Adds a rule; with `names`, `%c` and `%u` stand for names. `false` if a level mixes a name
    /// with text: such a rule is not taken.
    pub(super) fn insert(&mut self, filter: &str, effect: Effect, rule: u32, names: bool) -> bool {
        self.has_subscribe |= effect == Effect::Allow(Rights::SUBSCRIBE);
        let read = |text| if names { level(text) } else { Level::Text(text) };
        if filter.split('/').any(|text| read(text) == Level::Mixed) {
            return false;
        }
        let mut at = 0;
        for text in filter.split('/') {
            if text == "#" {
                self.nodes[at].below.add(effect, rule);
                return true;
            }
            let next = u32::try_from(self.nodes.len()).unwrap_or(NONE);
            let node = &mut self.nodes[at];
            let child = match read(text) {
                Level::Client => *node.client.get_or_insert(next),
                Level::User => *node.user.get_or_insert(next),
                Level::Text("+") => *node.plus.get_or_insert(next),
                Level::Text(text) => *node.text.entry(text.into()).or_insert(next),
                Level::Mixed => return false,
            };
            if child == next {
                self.nodes.push(Node::default());
            }
            at = child as usize;
        }
        self.nodes[at].here.add(effect, rule);
        true
    }

    /// The first rule of each kind that matches the topic, or covers the filter.
    pub(super) fn find(&self, wanted: &str, subject: Subject<'_>) -> Found {
        let mut found = Found::default();
        let dollar = wanted.starts_with('$');
        let mut open: Vec<(u32, Option<&str>)> = vec![(0, Some(wanted))];
        while let Some((at, rest)) = open.pop() {
            let node = &self.nodes[at as usize];
            // Wildcards do not match a first level with `$` [MQTT-4.7.2-1], and neither do names.
            let plain = !(dollar && at == 0);
            if plain {
                found.merge(&node.below);
            }
            let Some(rest) = rest else {
                found.merge(&node.here);
                continue;
            };
            let (level, rest) = match rest.split_once('/') {
                Some((level, rest)) => (level, Some(rest)),
                None => (rest, None),
            };
            if level == "#" {
                continue;
            }
            if let Some(child) = node.text.get(level) {
                open.push((*child, rest));
            }
            if !plain {
                continue;
            }
            let client = node.client.filter(|_| level == subject.client_id);
            let user = node.user.filter(|_| Some(level) == subject.username);
            open.extend([node.plus, client, user].into_iter().flatten().map(|child| (child, rest)));
        }
        found
    }
}
