//! Values by Topic Name, asked by filter in resumable steps: the store of retained messages
//! (§3.3.1.3). Must never walk all names for a filter that only some can match, and never hold a
//! place in the map between two steps.
//!
//! Names lie in one ordered map (bytewise), which for this question is a trie laid flat: all names
//! below a prefix are neighbours. A scan looks at one name; where it does not match, the filter
//! tells the least name that still could, and the scan goes there at once. So it passes over what
//! a walk in a trie would not enter, in O(log n) each time, and a name is all it takes to resume.

use std::collections::BTreeMap;

use core::ops::Bound::{Excluded, Included, Unbounded};
use core::ops::ControlFlow;

/// What accounting counts for a name beside its text: a formula, alike on every machine.
const NAME_BYTES: u64 = 64;

/// Topic Names, each with a `T`. Its order is that of the names' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMap<T> {
    names: BTreeMap<Box<str>, T>,
    bytes: u64,
}

/// How far a scan has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<'a> {
    /// Nothing is left.
    Done,
    /// To go on, scan again after this name. It may have gone from the map by then.
    More {
        /// The last name looked at.
        after: &'a str,
    },
}

impl<T> Default for TopicMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TopicMap<T> {
    /// An empty map.
    pub const fn new() -> Self {
        Self { names: BTreeMap::new(), bytes: 0 }
    }

    /// Stores `value` under `name`; gives the one it had.
    pub fn insert(&mut self, name: &str, value: T) -> Option<T> {
        if let Some(stored) = self.names.get_mut(name) {
            return Some(core::mem::replace(stored, value));
        }
        self.bytes += name.len() as u64;
        self.names.insert(name.into(), value)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.names.get(name)
    }

    /// The value of `name`, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.names.get_mut(name)
    }

    /// Takes `name` out, with all that was held for it.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        let value = self.names.remove(name)?;
        self.bytes -= name.len() as u64;
        Some(value)
    }

    /// Names.
    pub fn len(&self) -> u64 {
        self.names.len() as u64
    }

    /// Whether it has no name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Bytes held by formula, the values not counted.
    pub fn footprint(&self) -> u64 {
        self.len() * NAME_BYTES + self.bytes
    }

    /// All names with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.names.iter().map(|(name, value)| (&**name, value))
    }

    /// The first name after `after` (or of all) that matches `filter`. Unbounded where names only
    /// begin to match: see [`for_each_match_from`](Self::for_each_match_from).
    pub fn next_match(&self, filter: &str, after: Option<&str>) -> Option<(&str, &T)> {
        let mut found = None;
        self.for_each_match_from(filter, after, u32::MAX, |name, value| {
            found = Some((name, value));
            ControlFlow::Break(())
        });
        found
    }

    /// Calls `f` for the names after `after` (or all) that match `filter` (valid, without
    /// `$share/…/`), in order, until `f` breaks or `limit` names (at least one) were looked at,
    /// matching or not: that is the bound on the work of one call.
    pub fn for_each_match_from<'a>(
        &'a self,
        filter: &str,
        after: Option<&str>,
        limit: u32,
        mut f: impl FnMut(&'a str, &'a T) -> ControlFlow<()>,
    ) -> Scan<'a> {
        let (least, _) = split_run(filter);
        let start = match after {
            Some(after) if after >= least => Excluded(after),
            _ => Included(least),
        };
        let mut names = self.names.range::<str, _>((start, Unbounded));
        let mut goal = String::new();
        let mut last = None;
        for _ in 0..limit.max(1) {
            let Some((name, value)) = names.next() else { return Scan::Done };
            match judge(filter, name, &mut goal) {
                Step::Match if f(name, value).is_break() => return Scan::More { after: name },
                Step::Match | Step::Next => {}
                Step::Seek => {
                    names = self.names.range::<str, _>((Included(goal.as_str()), Unbounded));
                }
                Step::End => return Scan::Done,
            }
            last = Some(name);
        }
        last.map_or(Scan::Done, |name| Scan::More { after: name })
    }
}

/// What to do at a name.
enum Step {
    /// It matches.
    Match,
    /// It does not; the next one may.
    Next,
    /// Neither it nor any before the goal does.
    Seek,
    /// Neither it nor any behind it does.
    End,
}

/// Splits off the literal levels a filter begins with; the rest begins with a wildcard, if there
/// is one.
fn split_run(filter: &str) -> (&str, Option<&str>) {
    let mut end = 0;
    for level in filter.split('/') {
        if matches!(level, "+" | "#") {
            return (&filter[..end.max(1) - 1], Some(&filter[end..]));
        }
        end += level.len() + 1;
    }
    (filter, None)
}

/// Compares a name with a filter; with [`Step::Seek`], `goal` is the least name that may match.
///
/// The filter is read as runs of literal levels and wildcards between them. Whatever matches lies
/// below the levels that matched so far, so the goal is there, or behind all of it.
fn judge(filter: &str, name: &str, goal: &mut String) -> Step {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return seek(goal, &["%"]); // '$' + 1 [MQTT-4.7.2-1]
    }
    let mut wanted = Some(filter);
    // Where the unmatched rest of the name begins; `None` after its last level.
    let mut at = Some(0);
    let mut after_plus = false;
    while let Some(pattern) = wanted {
        if pattern == "#" {
            return Step::Match;
        }
        let Some(start) = at else {
            // The name ends where the filter goes on.
            return if after_plus { Step::Next } else { seek(goal, &[name, "/"]) };
        };
        let rest = &name[start..];
        if pattern == "+" || pattern.starts_with("+/") {
            wanted = pattern.get(2..);
            at = rest.find('/').map(|len| start + len + 1);
            after_plus = true;
            continue;
        }
        let (run, tail) = split_run(pattern);
        match rest.strip_prefix(run) {
            Some("") => at = None,
            Some(more) if more.starts_with('/') && tail.is_some() => {
                at = Some(start + run.len() + 1);
            }
            _ => return miss(name, start, run, tail.is_some(), goal),
        }
        wanted = tail;
        after_plus = false;
    }
    match at {
        None => Step::Match,
        // Only after a `+`: the name goes on where the filter ends.
        Some(start) => behind(name, start, goal),
    }
}

/// At `start` the name must have the levels `run`, and more levels if `more`; it has not.
fn miss(name: &str, start: usize, run: &str, more: bool, goal: &mut String) -> Step {
    let (below, rest) = name.split_at(start);
    if rest < run {
        return seek(goal, &[below, run]);
    }
    let longer = || rest.bytes().lt(run.bytes().chain([b'/']));
    if more && longer() {
        return seek(goal, &[below, run, "/"]);
    }
    behind(name, start, goal)
}

/// Behind all names that share the levels before `start`.
fn behind(name: &str, start: usize, goal: &mut String) -> Step {
    match start.checked_sub(1) {
        None => Step::End,
        // '/' + 1 in place of the `/` in front of `start`.
        Some(slash) => seek(goal, &[&name[..slash], "0"]),
    }
}

fn seek(goal: &mut String, parts: &[&str]) -> Step {
    goal.clear();
    goal.extend(parts.iter().copied());
    Step::Seek
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(names: &[&str]) -> TopicMap<usize> {
        let mut map = TopicMap::new();
        for (i, name) in names.iter().enumerate() {
            map.insert(name, i);
        }
        map
    }

    fn matched<'a>(map: &'a TopicMap<usize>, filter: &str) -> Vec<&'a str> {
        let mut names = Vec::new();
        let end = map.for_each_match_from(filter, None, u32::MAX, |name, _| {
            names.push(name);
            ControlFlow::Continue(())
        });
        assert_eq!(end, Scan::Done);
        names
    }

    #[test]
    fn values_are_stored_changed_and_taken() {
        let mut map = TopicMap::new();
        assert_eq!((map.insert("a/b", 1), map.insert("a/b", 2)), (None, Some(1)));
        assert_eq!((map.get("a/b"), map.get("a")), (Some(&2), None));
        *map.get_mut("a/b").unwrap() += 1;
        assert_eq!((map.len(), map.footprint()), (1, NAME_BYTES + 3));
        assert_eq!((map.remove("a/b"), map.remove("a/b")), (Some(3), None));
        assert_eq!((map.is_empty(), map.footprint()), (true, 0));
    }

    #[test]
    fn filters_find_their_names_in_order() {
        let names = ["a", "a-", "a-/b", "a/", "a/b", "a/b/c", "a0", "$SYS/x", "b/b", "/a", "é/b"];
        let map = map(&names);
        assert_eq!(matched(&map, "a/#"), ["a", "a/", "a/b", "a/b/c"]);
        assert_eq!(matched(&map, "+/b"), ["a-/b", "a/b", "b/b", "é/b"]);
        assert_eq!(matched(&map, "a/+"), ["a/", "a/b"]);
        assert_eq!(matched(&map, "+"), ["a", "a-", "a0"]);
        assert_eq!(matched(&map, "+/+/c"), ["a/b/c"]);
        assert_eq!(matched(&map, "$SYS/#"), ["$SYS/x"]);
        assert_eq!(matched(&map, "#").len(), names.len() - 1);
        assert_eq!(matched(&map, "a/b"), ["a/b"]);
        assert_eq!(matched(&map, "/+"), ["/a"]);
        assert!(matched(&map, "a/b/c/d").is_empty());
    }

    #[test]
    fn a_scan_resumes_after_a_name_that_has_gone() {
        let mut map = map(&["s/1/t", "s/2/t", "s/3/t", "s/3/u"]);
        assert_eq!(map.next_match("s/+/t", None), Some(("s/1/t", &0)));
        map.remove("s/1/t");
        map.insert("s/1/t0", 9);
        assert_eq!(map.next_match("s/+/t", Some("s/1/t")), Some(("s/2/t", &1)));
        map.remove("s/2/t");
        assert_eq!(map.next_match("s/+/t", Some("s/2/t")), Some(("s/3/t", &2)));
        assert_eq!(map.next_match("s/+/t", Some("s/3/t")), None);
    }

    #[test]
    fn a_call_looks_at_no_more_names_than_it_may() {
        let map = map(&["a/x", "b/x", "c/x", "d/y"]);
        let all = |_: &str, _: &usize| ControlFlow::Continue(());
        let mut after = None;
        let mut calls = 0;
        while let Scan::More { after: name } = map.for_each_match_from("+/y", after, 1, all) {
            (after, calls) = (Some(name), calls + 1);
        }
        assert_eq!((after, calls), (Some("d/y"), 4));
    }

    #[test]
    fn what_cannot_match_is_passed_over() {
        let mut map = TopicMap::new();
        for i in 0..1000 {
            for j in 0..20 {
                map.insert(&format!("s/{i}/{j:02}/value"), ());
            }
            map.insert(&format!("t/{i}"), ());
        }
        let mut found = 0;
        let end = map.for_each_match_from("s/+/10/+", None, 3001, |_, ()| {
            found += 1;
            ControlFlow::Continue(())
        });
        assert_eq!((end, found), (Scan::Done, 1000), "three looks for each of 1000 branches");
        let none = |_: &str, _: &()| ControlFlow::Break(());
        assert_eq!(map.for_each_match_from("s/7/10/value/x", None, 2, none), Scan::Done);
    }

    #[test]
    fn depth_costs_no_stack() {
        let name = "/".repeat(65_535);
        let map = map(&[&name, &name[1..]]);
        assert_eq!(matched(&map, "#").len(), 2);
        assert_eq!(matched(&map, &format!("{}+", "+/".repeat(65_535))), [&name]);
        assert_eq!(matched(&map, &format!("{}#", "/".repeat(65_534))).len(), 2);
    }
}
