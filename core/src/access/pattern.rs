//! `%c` and `%u` in the filter of a `pattern`. A name is put in as it is, in one pass, and a name
//! that would add levels or wildcards never widens a rule.

use super::{Effect, Rule, Subject};
use crate::topic;

/// What stands on one level of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level<'a> {
    /// `%c`
    Client,
    /// `%u`
    User,
    /// Text, or a wildcard.
    Text(&'a str),
    /// A name amid other text, which no tree can hold.
    Mixed,
}

/// Reads one level of a pattern.
pub(super) fn level(text: &str) -> Level<'_> {
    match text {
        "%c" => Level::Client,
        "%u" => Level::User,
        _ if text.contains("%c") || text.contains("%u") => Level::Mixed,
        _ => Level::Text(text),
    }
}

/// Whether a name in the place of `%c` or `%u` decides what the filter means.
pub(super) fn is_used(filter: &str) -> bool {
    filter.contains("%c") || filter.contains("%u")
}

/// Whether a client of this name is kept from all patterns, as Mosquitto does it.
pub(super) fn is_unsafe(subject: Subject<'_>) -> bool {
    let wild = |name: &str| name.contains(['+', '#']);
    wild(subject.client_id) || subject.username.is_some_and(wild)
}

/// Whether a name of the client is more than one level, or begins like a `$` topic: no tree finds it.
pub(super) fn is_odd(subject: Subject<'_>) -> bool {
    let odd = |name: &str| name.starts_with('$') || name.contains('/');
    odd(subject.client_id) || subject.username.is_some_and(odd)
}

/// Whether `rule`, a pattern, is about `wanted` for this client: the names are put in and the whole
/// filter is compared. A name with `/` never gives a right, but what is denied stays denied.
pub(super) fn matches(rule: &Rule, subject: Subject<'_>, wanted: &str) -> bool {
    let Some(filter) = put_in(&rule.filter, subject) else { return false };
    if matches!(rule.effect, Effect::Allow(_)) {
        let widened = filter.split('/').count() != rule.filter.split('/').count();
        let dollar = filter.starts_with('$') && !rule.filter.starts_with('$');
        if widened || dollar {
            return false;
        }
    }
    covers(&filter, wanted)
}

/// The filter with the names in it; `None` if it needs a User Name and there is none.
fn put_in(filter: &str, subject: Subject<'_>) -> Option<String> {
    let mut out = String::with_capacity(filter.len() + subject.client_id.len());
    let mut rest = filter;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("%c") {
            out.push_str(subject.client_id);
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("%u") {
            out.push_str(subject.username?);
            rest = behind;
        } else {
            out.push('%');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Some(out)
}

/// Whether every topic that matches `wanted` matches `filter`; `wanted` may be a Topic Name.
pub(super) fn covers(filter: &str, wanted: &str) -> bool {
    if !wanted.contains(['+', '#']) {
        return topic::matches(filter, wanted);
    }
    if wanted.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut levels, mut wanted) = (filter.split('/'), wanted.split('/'));
    loop {
        match (levels.next(), wanted.next()) {
            (Some("#"), _) | (None, None) => return true,
            (_, Some("#")) => return false,
            (Some("+"), Some(_)) => {}
            (Some(text), Some(level)) if text == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Rights, Who};
    use super::*;

    fn rule(effect: Effect, filter: &str) -> Rule {
        Rule { line: 1, who: Who::Everybody, effect, filter: filter.into() }
    }

    const fn client<'a>(client_id: &'a str, username: Option<&'a str>) -> Subject<'a> {
        Subject { client_id, username }
    }

    #[test]
    fn names_are_put_in_once() {
        let who = client("c", Some("%c%u"));
        assert_eq!(put_in("a/%u/x%c-%/%d", who).unwrap(), "a/%c%u/xc-%/%d");
        assert_eq!(put_in("a/%u", client("c", None)), None);
        assert_eq!(put_in("%c", client("", None)).unwrap(), "");
    }

    #[test]
    fn a_name_with_levels_gives_nothing_and_takes_what_it_names() {
        let (allow, deny) = (Effect::Allow(Rights::READ), Effect::Deny(Rights::READ));
        let who = client("a/b", None);
        assert!(!matches(&rule(allow, "x/%c"), who, "x/a/b"));
        assert!(matches(&rule(deny, "x/%c"), who, "x/a/b"));
        assert!(matches(&rule(allow, "x/%c"), client("a", None), "x/a"));
        let sys = client("$SYS", None);
        assert!(!matches(&rule(allow, "%c/#"), sys, "$SYS/broker"));
        assert!(matches(&rule(deny, "%c/#"), sys, "$SYS/broker"));
    }

    #[test]
    fn a_filter_covers_what_is_narrower() {
        for (filter, wanted, expected) in [
            ("#", "a/+/#", true),
            ("a/#", "a", true),
            ("a/#", "a/#", true),
            ("a/#", "#", false),
            ("+/b", "a/b", true),
            ("+/b", "+/b", true),
            ("a/b", "+/b", false),
            ("a/+", "a/#", false),
            ("a/+/#", "a/+", true),
            ("#", "$SYS/#", false),
            ("+/#", "$SYS/#", false),
            ("$SYS/#", "$SYS/a/+", true),
            ("a", "b", false),
        ] {
            assert_eq!(covers(filter, wanted), expected, "{filter} {wanted}");
        }
    }
}
