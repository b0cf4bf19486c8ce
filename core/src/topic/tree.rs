//! The subscription tree (§4.7): filters in, and for a Topic Name every subscriber whose filter
//! matches it. Must never recurse on the depth of a topic, nor let its order depend on a hash.
//!
//! A node is a prefix of filters. Its `+` and `#` children are plain fields; the others are found
//! in one table for the whole tree by (node, interned level). Matching walks level by level with
//! the set of nodes that the name's levels so far lead to: one hash of text per level, none below
//! the last node, and a level that no filter has can only meet wildcards. So the cost grows with
//! the levels of the name and the filters that match or begin to match it, not with their number.

use core::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;
use smallvec::{SmallVec, smallvec};

use super::levels::Levels;
use super::slots::{NONE, Slots};
use super::subscribers::Subscribers;
use crate::map::Keyed;

/// The node of the empty prefix; never freed.
const ROOT: u32 = 0;
/// Stands in [`Node::level`] for `+` and `#`; interned levels never reach it.
const PLUS: u32 = u32::MAX;
const HASH: u32 = u32::MAX - 1;

/// What accounting counts for a node, a level (and its text), an entry: a formula, alike on every
/// machine.
const NODE_BYTES: u64 = 72;
const LEVEL_BYTES: u64 = 48;
const ENTRY_BYTES: u64 = 32;

#[derive(Clone, Debug)]
struct Node<K, V> {
    parent: u32,
    /// Its last level: an interned one, [`PLUS`] or [`HASH`].
    level: u32,
    plus: u32,
    hash: u32,
    /// Children in the table.
    literals: u32,
    subscribers: Subscribers<K, V>,
}

impl<K: Copy + Eq + Hash, V: Copy> Node<K, V> {
    fn new(parent: u32, level: u32) -> Self {
        let subscribers = Subscribers::new();
        Self { parent, level, plus: NONE, hash: NONE, literals: 0, subscribers }
    }

    fn is_needless(&self) -> bool {
        let childless = self.literals == 0 && self.plus == NONE && self.hash == NONE;
        childless && self.subscribers.is_empty()
    }
}

/// Subscriptions: (filter, key) to value. Filters are valid Topic Filters without `$share/…/`;
/// the caller has judged them and keeps the number of levels in bounds.
///
/// Which filters match, and nothing else, decides the order in which they answer; the subscribers
/// of one filter answer in the order of subscribing. A key that subscribes again keeps its place.
/// So inserting all entries, in the order of [`for_each`](Self::for_each), into an empty tree makes
/// one that answers everything in the same order as this one, now and after the same further
/// changes.
#[derive(Clone, Debug)]
pub struct Tree<K, V> {
    nodes: Slots<Node<K, V>>,
    levels: Levels,
    /// Literal children, by (parent, level).
    children: HashTable<u32>,
    keyed: Keyed,
    entries: u64,
    seed: u64,
    generation: u64,
}

impl<K: Copy + Eq + Hash, V: Copy> Tree<K, V> {
    /// An empty tree; `seed` keys its hashes and shows in nothing.
    pub fn new(seed: u64) -> Self {
        let mut nodes = Slots::new();
        nodes.add(Node::new(NONE, NONE));
        Self {
            nodes,
            levels: Levels::new(seed),
            children: HashTable::new(),
            keyed: Keyed::new(seed),
            entries: 0,
            seed,
            generation: 0,
        }
    }

    /// Subscribes `key` to `filter`; gives the value it had there.
    pub fn insert(&mut self, filter: &str, key: K, value: V) -> Option<V> {
        self.generation += 1;
        let mut at = ROOT;
        for level in filter.split('/') {
            at = self.step(at, level).unwrap_or_else(|| self.grow(at, level));
        }
        let old = self.nodes[at].subscribers.insert(&self.keyed, key, value);
        self.entries += u64::from(old.is_none());
        old
    }

    /// Ends the subscription of `key` to `filter`; gives its value.
    pub fn remove(&mut self, filter: &str, key: K) -> Option<V> {
        let at = self.locate(filter)?;
        let value = self.nodes[at].subscribers.remove(&self.keyed, key)?;
        self.generation += 1;
        self.entries -= 1;
        self.prune(at);
        if self.is_empty() && self.nodes.peak() > 64 {
            // Nothing refers to a slot any more: give the memory back.
            *self = Self { generation: self.generation, ..Self::new(self.seed) };
        }
        Some(value)
    }

    /// The value of `key` at exactly `filter`.
    pub fn get(&self, filter: &str, key: K) -> Option<V> {
        self.nodes[self.locate(filter)?].subscribers.get(&self.keyed, key)
    }

    /// Calls `f` for each (filter, key) whose filter matches `name`; a key comes once for each of
    /// its matching filters. Filters come in an order that only they and the name decide, the
    /// subscribers of one filter in the order of subscribing. Allocates nothing while fewer than
    /// 64 prefixes of filters match prefixes of `name`.
    pub fn for_each_match(&self, name: &str, mut f: impl FnMut(K, V)) {
        // [MQTT-4.7.2-1]
        let dollar = name.starts_with('$');
        let mut reached: SmallVec<[u32; 64]> = smallvec![ROOT];
        if !dollar {
            self.hand_out(self.nodes[ROOT].hash, &mut f);
        }
        // `reached[front..]` are the nodes of the levels so far.
        let mut front = 0;
        for level in name.as_bytes().split(|&byte| byte == b'/') {
            let end = reached.len();
            let has_literals = |&at: &u32| self.nodes[at].literals > 0;
            let literal = match reached[front..].iter().any(has_literals) {
                true => self.levels.find(level),
                false => None,
            };
            for i in front..end {
                let at = reached[i];
                let child = literal.and_then(|id| self.child(at, id));
                let plus = if dollar && at == ROOT { NONE } else { self.nodes[at].plus };
                for node in [child.unwrap_or(NONE), plus] {
                    if node != NONE {
                        reached.push(node);
                        // `a/#` matches `a` and all below.
                        self.hand_out(self.nodes[node].hash, &mut f);
                    }
                }
            }
            if reached.len() == end {
                return;
            }
            front = end;
        }
        for &at in &reached[front..] {
            self.hand_out(at, &mut f);
        }
    }

    /// Goes up with each change: a match cached at this number is right as long as it stands.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Subscriptions.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether it has no subscription.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, by formula: a function of the subscriptions alone, alike on every machine.
    pub fn footprint(&self) -> u64 {
        let nodes = (self.nodes.live() - 1) * NODE_BYTES;
        let levels = self.levels.len() * LEVEL_BYTES + self.levels.bytes();
        nodes + levels + self.len() * ENTRY_BYTES
    }

    /// Calls `f` for every subscription: by filter, ascending, then in the order of subscribing.
    /// Sorts all filters first.
    pub fn for_each(&self, mut f: impl FnMut(&str, K, V)) {
        for (filter, node) in self.filters() {
            self.hand_out(node, &mut |key, value| f(&filter, key, value));
        }
    }

    /// What [`for_each`](Self::for_each) gives, as a list: what a copy is rebuilt from.
    pub fn entries_in_order(&self) -> Vec<(String, K, V)> {
        let mut entries = Vec::new();
        self.for_each(|filter, key, value| entries.push((filter.to_owned(), key, value)));
        entries
    }

    /// All filters with their nodes, ascending.
    fn filters(&self) -> Vec<(String, u32)> {
        let has_subscribers = |(_, node): &(u32, &Node<K, V>)| !node.subscribers.is_empty();
        let nodes = self.nodes.iter().filter(has_subscribers);
        let mut filters: Vec<_> = nodes.map(|(id, _)| (self.spell(id), id)).collect();
        filters.sort_unstable();
        filters
    }

    #[inline]
    fn hand_out(&self, node: u32, f: &mut impl FnMut(K, V)) {
        if node != NONE {
            self.nodes[node].subscribers.each(f);
        }
    }

    #[inline]
    fn edge(keyed: &Keyed, parent: u32, level: u32) -> u64 {
        let mut hasher = keyed.build_hasher();
        hasher.write_u64(u64::from(parent) << 32 | u64::from(level));
        hasher.finish()
    }

    /// The child of `parent` by an interned level.
    #[inline]
    fn child(&self, parent: u32, level: u32) -> Option<u32> {
        if self.nodes[parent].literals == 0 {
            return None;
        }
        let is_it = |&id: &u32| self.nodes[id].parent == parent && self.nodes[id].level == level;
        self.children.find(Self::edge(&self.keyed, parent, level), is_it).copied()
    }

    /// The child of `at` by one level of a filter.
    fn step(&self, at: u32, level: &str) -> Option<u32> {
        let some = |id: u32| (id != NONE).then_some(id);
        match level {
            "+" => some(self.nodes[at].plus),
            "#" => some(self.nodes[at].hash),
            _ => self.child(at, self.levels.find(level.as_bytes())?),
        }
    }

    /// The node of exactly `filter`.
    fn locate(&self, filter: &str) -> Option<u32> {
        filter.split('/').try_fold(ROOT, |at, level| self.step(at, level))
    }

    /// Makes the child of `at` by one level of a filter.
    fn grow(&mut self, at: u32, level: &str) -> u32 {
        let number = match level {
            "+" => PLUS,
            "#" => HASH,
            _ => self.levels.acquire(level),
        };
        let id = self.nodes.add(Node::new(at, number));
        match number {
            PLUS => self.nodes[at].plus = id,
            HASH => self.nodes[at].hash = id,
            _ => {
                self.nodes[at].literals += 1;
                let (nodes, keyed) = (&self.nodes, &self.keyed);
                let hash = |&id: &u32| Self::edge(keyed, nodes[id].parent, nodes[id].level);
                self.children.insert_unique(hash(&id), id, hash);
            }
        }
        id
    }

    /// Frees `at` and what is above it, as far as nothing needs it.
    fn prune(&mut self, mut at: u32) {
        while at != ROOT && self.nodes[at].is_needless() {
            let Node { parent, level, .. } = self.nodes[at];
            match level {
                PLUS => self.nodes[parent].plus = NONE,
                HASH => self.nodes[parent].hash = NONE,
                _ => {
                    self.nodes[parent].literals -= 1;
                    let hash = Self::edge(&self.keyed, parent, level);
                    if let Ok(entry) = self.children.find_entry(hash, |&other| other == at) {
                        entry.remove();
                    }
                    self.levels.release(level);
                }
            }
            // Freed slots keep their value: leave one that owns nothing.
            self.nodes[at] = Node::new(NONE, NONE);
            self.nodes.free(at);
            at = parent;
        }
    }

    /// The filter of a node.
    fn spell(&self, node: u32) -> String {
        let mut levels: Vec<&str> = Vec::new();
        let mut at = node;
        while at != ROOT {
            levels.push(match self.nodes[at].level {
                PLUS => "+",
                HASH => "#",
                level => self.levels.text(level),
            });
            at = self.nodes[at].parent;
        }
        levels.reverse();
        levels.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(tree: &Tree<u64, u8>, name: &str) -> Vec<u64> {
        let mut keys = Vec::new();
        tree.for_each_match(name, |key, _| keys.push(key));
        keys
    }

    #[test]
    fn a_subscription_is_set_replaced_and_ended() {
        let mut tree = Tree::new(3);
        assert_eq!(tree.insert("a/+", 1, 10), None);
        assert_eq!(tree.insert("a/+", 1, 11), Some(10));
        assert_eq!((tree.get("a/+", 1), tree.get("a/b", 1), tree.len()), (Some(11), None, 1));
        let before = tree.generation();
        assert_eq!(tree.remove("a/+", 2), None);
        assert_eq!(tree.remove("a/#", 1), None);
        assert_eq!(tree.generation(), before, "nothing changed");
        assert_eq!(tree.remove("a/+", 1), Some(11));
        assert!(tree.generation() > before && tree.is_empty());
    }

    #[test]
    fn wildcards_dollar_topics_and_parents() {
        let mut tree = Tree::new(3);
        let filters = ["#", "+/#", "a/#", "a/+", "+/b", "a", "a/b", "$SYS/#", "+", "/+", "a/+/#"];
        for (key, filter) in (0..).zip(filters) {
            tree.insert(filter, key, 0);
        }
        let sorted = |name| {
            let mut keys = matched(&tree, name);
            keys.sort_unstable();
            keys
        };
        assert_eq!(sorted("a"), [0, 1, 2, 5, 8]);
        assert_eq!(sorted("a/b"), [0, 1, 2, 3, 4, 6, 10]);
        assert_eq!(sorted("$SYS/x"), [7]);
        assert_eq!(sorted("$SYS"), [7]);
        assert_eq!(sorted("/x"), [0, 1, 9]);
        assert_eq!(sorted("never/interned"), [0, 1]);
    }

    #[test]
    fn a_crowd_on_one_filter_keeps_its_order() {
        let mut tree = Tree::new(3);
        for key in 0..100_000 {
            tree.insert("a/b", key, 0);
        }
        for key in (0..100_000).rev().filter(|key| key % 1000 != 7) {
            assert_eq!(tree.remove("a/b", key), Some(0));
        }
        tree.insert("a/b", 5, 0);
        let expected: Vec<u64> = (0..100).map(|i| i * 1000 + 7).chain([5]).collect();
        assert_eq!(matched(&tree, "a/b"), expected);
        for key in expected {
            tree.remove("a/b", key);
        }
        assert_eq!((tree.footprint(), tree.len()), (0, 0));
    }

    #[test]
    fn nothing_is_left_behind() {
        let mut tree = Tree::new(3);
        tree.insert("stays/+", 0, 0);
        let (footprint, nodes, levels) = (tree.footprint(), tree.nodes.live(), tree.levels.len());
        let filter = |i: u64| format!("stays/{i}/+/{}/#", i % 7);
        for i in 0..1000 {
            tree.insert(&filter(i), i, 0);
        }
        for i in 0..1000 {
            assert_eq!(tree.remove(&filter(i), i), Some(0));
        }
        assert_eq!((tree.footprint(), tree.nodes.live()), (footprint, nodes));
        assert_eq!((tree.levels.len(), tree.children.len()), (levels, 1));
        tree.remove("stays/+", 0);
        assert_eq!((tree.footprint(), tree.nodes.peak(), tree.children.capacity()), (0, 1, 0));
    }

    #[test]
    fn a_hundred_thousand_filters_take_300_bytes_each() {
        let mut tree = Tree::new(3);
        for i in 0..100_000u64 {
            tree.insert(&format!("plant/hall-{}/device-{i:06}/temperature", i % 40), i, 0u64);
        }
        assert!(tree.footprint() <= 300 * tree.len(), "{}", tree.footprint() / tree.len());
    }

    #[test]
    fn depth_costs_no_stack() {
        let mut tree = Tree::new(3);
        let name = "/".repeat(65_535);
        let filters = [name.clone(), format!("{}#", &name[1..]), format!("{}+", &name[..65_534])];
        for (key, filter) in (0..).zip(&filters) {
            tree.insert(filter, key, 0);
        }
        assert_eq!(matched(&tree, &name), [1, 0]);
        assert_eq!(matched(&tree, &name[1..]), [1, 2]);
        let spelled: Vec<u64> = tree.entries_in_order().iter().map(|&(_, key, _)| key).collect();
        assert_eq!(spelled, [1, 2, 0], "by filter");
        tree.for_each(|filter, key, _| assert_eq!(filter, filters[key as usize]));
        let copy = tree.clone();
        for (key, filter) in (0..).zip(&filters) {
            assert_eq!(tree.remove(filter, key), Some(0));
        }
        assert_eq!((tree.footprint(), copy.len()), (0, 3));
    }
}
