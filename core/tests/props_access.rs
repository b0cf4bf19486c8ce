//! Compiled access lists against the slow and obvious way: for each decision walk through all rules
//! in the order of the file, as Mosquitto does, with names put in as text.

use halyard_core::access::{
    Access, AccessList, Effect, Rights, Rule, Subject, Verdict, Who, parse,
};
use halyard_core::topic;
use proptest::prelude::*;

/// What a rule says of an access; `None` if nothing.
fn says(effect: Effect, access: Access) -> Option<Verdict> {
    let right = match access {
        Access::Read => Rights::READ,
        Access::Write => Rights::WRITE,
        Access::Subscribe => Rights::SUBSCRIBE,
    };
    match effect {
        Effect::Allow(rights) if rights.has(right) => Some(Verdict::Allow),
        Effect::Deny(rights) if rights.has(right) => Some(Verdict::Deny),
        _ => None,
    }
}

fn is_about(rule: &Rule, subject: Subject<'_>, topic: &str) -> bool {
    match &rule.who {
        Who::Anonymous => subject.username.is_none() && topic::matches(&rule.filter, topic),
        Who::User(name) => subject.username == Some(name) && topic::matches(&rule.filter, topic),
        Who::Everybody => {
            if rule.filter.contains("%u") && subject.username.is_none() {
                return false;
            }
            let user = subject.username.unwrap_or("");
            // One pass: a name that looks like a place for a name is put in as it is.
            let filter: String = rule
                .filter
                .split("%c")
                .map(|part| part.replace("%u", user))
                .collect::<Vec<_>>()
                .join(subject.client_id);
            let is_grant = matches!(rule.effect, Effect::Allow(_));
            let widened = filter.matches('/').count() > rule.filter.matches('/').count()
                || filter.starts_with('$') && !rule.filter.starts_with('$');
            !(is_grant && widened) && topic::matches(&filter, topic)
        }
    }
}

/// The rules of a kind: a denial that matches, or else the first that allows.
fn first<'a>(
    rules: impl Iterator<Item = &'a Rule> + Clone,
    subject: Subject<'_>,
    access: Access,
    topic: &str,
) -> Option<(Verdict, u32)> {
    let matching = rules.filter(|rule| is_about(rule, subject, topic));
    let said = matching.filter_map(|rule| Some((says(rule.effect, access)?, rule.line)));
    let mut said: Vec<(Verdict, u32)> = said.collect();
    said.sort_by_key(|(verdict, line)| (*verdict == Verdict::Allow, *line));
    said.first().copied()
}

fn oracle(list: &AccessList, subject: Subject<'_>, access: Access, topic: &str) -> (Verdict, u32) {
    let patterns = list.rules().iter().filter(|rule| rule.who == Who::Everybody);
    let own = list.rules().iter().filter(|rule| rule.who != Who::Everybody);
    if let Some(found) = first(own, subject, access, topic) {
        return found;
    }
    let wild = |name: &str| name.contains(['+', '#']);
    if wild(subject.client_id) || subject.username.is_some_and(wild) {
        return (Verdict::Deny, 0);
    }
    first(patterns, subject, access, topic).unwrap_or((Verdict::Deny, 0))
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "+", "%c", "%u", "x%u", "%c%u", "$S", "%", "%d"])
}

fn filter() -> impl Strategy<Value = String> {
    (prop::collection::vec(level(), 1..4), any::<bool>()).prop_map(|(levels, hash)| {
        let mut text = levels.join("/");
        if hash {
            text += "/#";
        }
        if text.is_empty() { "#".into() } else { text }
    })
}

fn line() -> impl Strategy<Value = String> {
    let words =
        ["read", "write", "readwrite", "deny", "readdeny", "writedeny", "subscribe"].to_vec();
    let word = prop::sample::select(words);
    let users = prop::sample::select(vec!["user u", "user v/w", "user a", "user +"]);
    prop_oneof![
        3 => (word.clone(), filter()).prop_map(|(word, filter)| format!("topic {word} {filter}")),
        4 => (word, filter()).prop_map(|(word, filter)| format!("pattern {word} {filter}")),
        2 => users.prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["u", "a", "b", "v/w", "a/b", "+", "x#", "", "$S", "%c", "%u"])
}

fn topic_name() -> impl Strategy<Value = String> {
    let levels = vec!["a", "b", "u", "", "xa", "xu", "au", "$S", "v", "w", "%c", "%u", "%", "+"];
    prop::collection::vec(prop::sample::select(levels), 1..5).prop_map(|levels| {
        let text = levels.join("/").replace('+', "p");
        if text.is_empty() { "a".into() } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_compiled_list_decides_as_its_rules_do_one_by_one(
        lines in prop::collection::vec(line(), 0..12),
        client_id in name(),
        username in prop::option::of(name()),
        topics in prop::collection::vec(topic_name(), 1..8),
    ) {
        let parsed = parse("acl", lines.join("\n").as_bytes());
        prop_assert!(parsed.is_valid(), "{:?}", parsed.diagnostics);
        let subject = Subject { client_id, username };
        for topic in &topics {
            for access in [Access::Read, Access::Write] {
                let decision = parsed.list.decide(subject, access, topic);
                let expected = oracle(&parsed.list, subject, access, topic);
                let got = (decision.verdict, decision.line());
                prop_assert_eq!(got, expected, "{} {}: {}", access, topic, decision);
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_fail(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let parsed = parse("acl", &text);
        for diagnostic in &parsed.diagnostics {
            prop_assert!(diagnostic.line >= 1 && !diagnostic.what.is_empty());
        }
    }

    #[test]
    fn what_a_strict_subscription_allows_every_delivery_allows(
        lines in prop::collection::vec(line(), 0..12),
        client_id in name(),
        username in prop::option::of(name()),
        wanted in filter(),
        topics in prop::collection::vec(topic_name(), 1..8),
    ) {
        let lines: Vec<_> = lines.iter().filter(|line| !line.contains("subscribe")).collect();
        let lines: Vec<_> = lines.iter().filter(|line| !line.contains("deny")).collect();
        let text = lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n");
        let list = parse("acl", text.as_bytes()).list;
        let subject = Subject { client_id, username };
        if list.decide_subscribe(subject, &wanted, true).is_allowed() {
            for topic in topics.iter().filter(|topic| topic::matches(&wanted, topic)) {
                let decision = list.decide(subject, Access::Read, topic);
                prop_assert!(decision.is_allowed(), "{} {}: {}", wanted, topic, decision);
            }
        }
    }
}
