//! Properties of `topic` (§4.7): the tree and the topic map answer as the obvious rule does,
//! whatever was subscribed, stored and removed before, and a rebuilt or cloned one answers alike.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use halyard_core::topic::{
    ParsedFilter, Scan, TopicFilter, TopicLimits, TopicMap, TopicName, Tree, matches, split_share,
    validate_filter, validate_name,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Levels that are easily confused: neighbours of `/` in the order, `$`, empty, beyond ASCII.
const LEVELS: [&str; 12] = ["", "a", "b", "a-", "a0", "$", "$SYS", "é", "日本", "!", "ab", " "];

fn name() -> impl Strategy<Value = String> {
    vec(select(&LEVELS[..]), 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("not empty", |name| !name.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => select(&LEVELS[..]), 2 => Just("+")];
    (vec(level, 0..5), prop::bool::weighted(0.3))
        .prop_map(|(mut levels, hash)| {
            if hash || levels.is_empty() {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("not empty", |filter| !filter.is_empty())
}

/// Names with few levels and letters, so that filters often meet them.
fn small_name() -> impl Strategy<Value = String> {
    vec(select(&["a", "b", "a-", ""][..]), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("not empty", |name| !name.is_empty())
}

fn small_filter() -> impl Strategy<Value = String> {
    vec(select(&["a", "b", "+", "a-", ""][..]), 1..5)
        .prop_flat_map(|levels| {
            let plain = levels.join("/");
            prop_oneof![Just(plain.clone()), Just(format!("{plain}/#")), Just("#".to_owned())]
        })
        .prop_filter("not empty", |filter| !filter.is_empty())
}

#[derive(Clone, Debug)]
enum Change {
    Insert(String, u64, u8),
    Remove(String, u64),
    /// Removes the nth subscription there is.
    RemoveNth(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    // One filter is crowded, so that its list crosses the threshold of the index both ways.
    let filter = || prop_oneof![2 => filter(), 2 => small_filter(), 3 => Just("a/+".to_owned())];
    prop_oneof![
        4 => (filter(), 0..40u64, any::<u8>()).prop_map(|(f, k, v)| Change::Insert(f, k, v)),
        1 => (filter(), 0..40u64).prop_map(|(f, k)| Change::Remove(f, k)),
        2 => any::<prop::sample::Index>().prop_map(Change::RemoveNth),
    ]
}

/// The obvious tree: a list in the order of subscribing.
#[derive(Clone, Default)]
struct Model(Vec<(String, u64, u8)>);

impl Model {
    fn place(&self, filter: &str, key: u64) -> Option<usize> {
        self.0.iter().position(|(f, k, _)| f == filter && *k == key)
    }

    fn insert(&mut self, filter: &str, key: u64, value: u8) -> Option<u8> {
        if let Some(i) = self.place(filter, key) {
            return Some(std::mem::replace(&mut self.0[i].2, value));
        }
        self.0.push((filter.to_owned(), key, value));
        None
    }

    /// By filter, then in the order of subscribing.
    fn entries(&self) -> Vec<(String, u64, u8)> {
        let mut entries = self.0.clone();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries
    }

    fn remove(&mut self, filter: &str, key: u64) -> Option<u8> {
        self.place(filter, key).map(|i| self.0.remove(i).2)
    }
}

fn apply(change: &Change, tree: &mut Tree<u64, u8>, model: &mut Model) {
    let before = tree.generation();
    let changed = match change {
        Change::Insert(filter, key, value) => {
            assert_eq!(tree.insert(filter, *key, *value), model.insert(filter, *key, *value));
            assert_eq!(tree.get(filter, *key), Some(*value));
            true
        }
        Change::Remove(filter, key) => {
            let removed = tree.remove(filter, *key);
            assert_eq!(removed, model.remove(filter, *key));
            removed.is_some()
        }
        Change::RemoveNth(_) if model.0.is_empty() => false,
        Change::RemoveNth(index) => {
            let (filter, key, value) = index.get(&model.0).clone();
            assert_eq!(tree.remove(&filter, key), Some(value));
            assert_eq!(tree.get(&filter, key), None);
            model.remove(&filter, key);
            true
        }
    };
    assert_eq!(tree.generation() != before, changed);
    assert_eq!(tree.len(), model.0.len() as u64);
}

fn matched(tree: &Tree<u64, u8>, name: &str) -> Vec<(u64, u8)> {
    let mut found = Vec::new();
    tree.for_each_match(name, |key, value| found.push((key, value)));
    found
}

fn sorted(mut found: Vec<(u64, u8)>) -> Vec<(u64, u8)> {
    found.sort_unstable();
    found
}

fn entries(tree: &Tree<u64, u8>) -> Vec<(String, u64, u8)> {
    tree.entries_in_order()
}

fn rebuilt(tree: &Tree<u64, u8>, seed: u64) -> Tree<u64, u8> {
    let mut copy = Tree::new(seed);
    tree.for_each(|filter, key, value| assert_eq!(copy.insert(filter, key, value), None));
    copy
}

/// The names of `map` that match, found in calls of `limit` looks.
fn scan(map: &TopicMap<u32>, filter: &str, limit: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut looks = 0;
        let end = map.for_each_match_from(filter, after.as_deref(), limit, |name, _| {
            looks += 1;
            found.push(name.to_owned());
            ControlFlow::Continue(())
        });
        assert!(looks <= limit);
        match end {
            Scan::Done => return found,
            Scan::More { after: name } => {
                assert!(after.as_deref().is_none_or(|last| last < name), "no progress");
                after = Some(name.to_owned());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_is_generated_is_valid(name in name(), filter in filter()) {
        let limits = TopicLimits::default();
        prop_assert_eq!(validate_name(&name, &limits), Ok(()));
        prop_assert_eq!(validate_filter(&filter, &limits), Ok(()));
        // Only a name without wildcards is also a filter, which then matches itself alone.
        prop_assert!(matches(&name, &name));
        prop_assert_eq!(validate_name(&filter, &limits).is_err(), filter.contains(['+', '#']));
    }

    #[test]
    fn any_text_is_judged_alike_by_all(text in "[a+#/$é\0]{0,12}|\\$share/[a+#/]{0,8}") {
        let limits = TopicLimits { max_levels: 4, max_bytes: 10 };
        prop_assert_eq!(TopicName::parse(&text, &limits).err(), validate_name(&text, &limits).err());
        let filter = TopicFilter::parse(&text, &limits);
        prop_assert_eq!(filter.as_ref().err().copied(), validate_filter(&text, &limits).err());
        if let Ok(name) = TopicName::parse(&text, &limits) {
            prop_assert_eq!(filter.as_ref().map(TopicFilter::as_str), Ok(name.as_str()));
        }
        match ParsedFilter::parse(&text, &limits) {
            Ok(parsed) => {
                prop_assert_eq!(parsed.full(), text.clone());
                let split = split_share(&text).unwrap().map(|(share, _)| share.boxed());
                prop_assert_eq!(split, parsed.share);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn the_tree_is_the_oracle(
        filters in vec(prop_oneof![filter(), small_filter()], 0..40),
        names in vec(prop_oneof![name(), small_name()], 1..20),
        seed: u64,
    ) {
        let mut tree = Tree::new(seed);
        let filters: BTreeSet<String> = filters.into_iter().collect();
        for (key, filter) in (0..).zip(&filters) {
            tree.insert(filter, key, 0);
        }
        for name in names.iter().chain(&filters).filter(|name| !name.contains(['+', '#'])) {
            let wanted = (0..).zip(&filters).filter(|(_, filter)| matches(filter, name));
            let wanted: Vec<(u64, u8)> = wanted.map(|(key, _)| (key, 0)).collect();
            prop_assert_eq!(sorted(matched(&tree, name)), wanted, "{}", name);
        }
    }

    #[test]
    fn history_decides_the_order_and_nothing_else(
        first in vec(change(), 0..160),
        then in vec(change(), 0..80),
        names in vec(prop_oneof![name(), small_name(), Just("a/b".to_owned())], 1..8),
    ) {
        let (mut tree, mut model) = (Tree::new(1), Model::default());
        first.iter().for_each(|change| apply(change, &mut tree, &mut model));
        prop_assert_eq!(entries(&tree), model.entries());

        let (mut copy, mut copy_model) = (rebuilt(&tree, 99), model.clone());
        let (mut twin, mut twin_model) = (tree.clone(), model.clone());
        for change in &then {
            apply(change, &mut tree, &mut model);
            apply(change, &mut copy, &mut copy_model);
            apply(change, &mut twin, &mut twin_model);
        }
        prop_assert_eq!(entries(&tree), model.entries());
        for other in [&copy, &twin, &rebuilt(&tree, 7)] {
            prop_assert_eq!(entries(other), model.entries());
            prop_assert_eq!(other.footprint(), tree.footprint());
            for name in &names {
                prop_assert_eq!(matched(other, name), matched(&tree, name), "{}", name);
            }
        }
        for name in &names {
            let wanted = model.0.iter().filter(|(filter, ..)| matches(filter, name));
            let wanted = wanted.map(|&(_, key, value)| (key, value)).collect();
            prop_assert_eq!(sorted(matched(&tree, name)), sorted(wanted));
        }
    }

    #[test]
    fn an_emptied_tree_holds_nothing(changes in vec(change(), 0..120), later in vec(change(), 0..60)) {
        let (mut tree, mut model) = (Tree::new(5), Model::default());
        changes.iter().for_each(|change| apply(change, &mut tree, &mut model));
        let (kept, footprint) = (model.clone(), tree.footprint());
        later.iter().for_each(|change| apply(change, &mut tree, &mut model));
        for (filter, key, _) in entries(&tree) {
            if kept.place(&filter, key).is_none() {
                tree.remove(&filter, key);
            }
        }
        for (filter, key, value) in &kept.0 {
            tree.insert(filter, *key, *value);
        }
        prop_assert_eq!(tree.footprint(), footprint);
        for (filter, key, _) in entries(&tree) {
            tree.remove(&filter, key);
        }
        prop_assert_eq!((tree.footprint(), tree.len()), (0, 0));
    }

    #[test]
    fn the_topic_map_is_the_sorted_oracle(
        names in vec(prop_oneof![name(), small_name()], 0..60),
        filters in vec(prop_oneof![filter(), small_filter()], 1..10),
        limit in 1..9u32,
    ) {
        let mut map = TopicMap::new();
        let mut model = BTreeMap::new();
        for (value, name) in (0..).zip(&names) {
            prop_assert_eq!(map.insert(name, value), model.insert(name.clone(), value));
        }
        prop_assert!(map.iter().map(|(name, value)| (name.to_owned(), *value)).eq(model.clone()));
        for filter in filters.iter().chain(&names) {
            let wanted: Vec<String> =
                model.keys().filter(|name| matches(filter, name)).cloned().collect();
            prop_assert_eq!(scan(&map, filter, u32::MAX), wanted.clone(), "{}", filter);
            prop_assert_eq!(scan(&map, filter, limit), wanted, "{}", filter);
        }
    }

    #[test]
    fn a_cursor_stands_changes_between_its_steps(
        names in vec(small_name(), 1..40),
        filter in small_filter(),
        changes in vec((small_name(), any::<bool>()), 0..40),
        drop_current: bool,
    ) {
        let mut map = TopicMap::new();
        let mut model = BTreeSet::new();
        for name in names {
            map.insert(&name, 0u32);
            model.insert(name);
        }
        let mut changes = changes.into_iter();
        let mut after: Option<String> = None;
        loop {
            let found = map.next_match(&filter, after.as_deref()).map(|(name, _)| name.to_owned());
            let behind = |name: &&String| after.as_ref().is_none_or(|after| *name > after);
            let wanted = model.iter().filter(behind).find(|name| matches(&filter, name));
            prop_assert_eq!(found.as_ref(), wanted);
            let Some(found) = found else { break };
            let drop = drop_current.then(|| (found.clone(), false));
            for (name, insert) in changes.next().into_iter().chain(drop) {
                if insert {
                    prop_assert_eq!(map.insert(&name, 0).is_none(), model.insert(name));
                } else {
                    prop_assert_eq!(map.remove(&name).is_some(), model.remove(&name));
                }
            }
            after = Some(found);
        }
        let text: u64 = model.iter().map(|name| name.len() as u64).sum();
        let mut one = TopicMap::new();
        one.insert("x", ());
        prop_assert_eq!(map.footprint(), text + (one.footprint() - 1) * map.len());
    }
}
