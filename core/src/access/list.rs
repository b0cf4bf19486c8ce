//! A compiled access list and how it decides, in Mosquitto's order: the rules of the user (or those
//! of clients without one), denials first; then the patterns, denials first; then denied.

use super::pattern;
use super::tree::{Found, NONE, RuleTree};
use super::{Access, Decision, Effect, Reason, Rule, Subject, Verdict, Who};
use std::collections::BTreeMap;

/// The rules of one file, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessList {
    file: Box<str>,
    rules: Vec<Rule>,
    users: BTreeMap<Box<str>, RuleTree>,
    anonymous: RuleTree,
    patterns: RuleTree,
    /// Patterns that mix a name with other text on one level.
    mixed: Vec<u32>,
    /// Patterns that deny and hold a name: the ones that a name with `/` or `$` may not escape.
    denying: Vec<u32>,
    has_patterns: bool,
}

impl AccessList {
    /// Compiles rules, in the order of the file that messages call `file`.
    pub fn new(file: &str, rules: Vec<Rule>) -> Self {
        let mut list = Self {
            file: file.into(),
            rules: Vec::new(),
            users: BTreeMap::new(),
            anonymous: RuleTree::default(),
            patterns: RuleTree::default(),
            mixed: Vec::new(),
            denying: Vec::new(),
            has_patterns: false,
        };
        for (rule, index) in rules.iter().zip(0..NONE) {
            list.insert(rule, index);
        }
        list.rules = rules;
        list
    }

    fn insert(&mut self, rule: &Rule, index: u32) {
        let Rule { effect, filter, .. } = rule;
        match &rule.who {
            Who::Anonymous => self.anonymous.insert(filter, *effect, index, false),
            Who::User(name) => {
                self.users.entry(name.clone()).or_default().insert(filter, *effect, index, false)
            }
            Who::Everybody => {
                self.has_patterns = true;
                if matches!(effect, Effect::Deny(_)) && pattern::is_used(filter) {
                    self.denying.push(index);
                }
                let taken = self.patterns.insert(filter, *effect, index, true);
                if !taken {
                    self.mixed.push(index);
                }
                taken
            }
        };
    }

    /// The file, as messages call it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether `subject` may read or write `topic`, which carries the mount point. Subscribing
    /// without `acl_check_subscribe` is decided, too.
    pub fn decide(&self, subject: Subject<'_>, access: Access, topic: &str) -> Decision<'_> {
        if access == Access::Subscribe {
            return self.decide_subscribe(subject, topic, false);
        }
        let pick = |found: &Found| match access {
            Access::Write => (found.deny_write, found.allow_write),
            Access::Read | Access::Subscribe => (found.deny_read, found.allow_read),
        };
        if let Some(tree) = self.tree_of(subject)
            && let Some(decision) = self.first(pick(&tree.find(topic, subject)))
        {
            return decision;
        }
        if !self.has_patterns {
            return self.deny(Reason::NoRule { file: &self.file });
        }
        if pattern::is_unsafe(subject) {
            return self.deny(Reason::UnsafeName { file: &self.file });
        }
        self.first(pick(&self.find_pattern(subject, topic)))
            .unwrap_or_else(|| self.deny(Reason::NoRule { file: &self.file }))
    }

    /// Whether `subject` may subscribe to `filter`, which carries the mount point but no `$share`.
    /// Refused is what a denial covers; where `subscribe` rules hold for him, what none of those
    /// covers; and if `strict`, what no right to read covers.
    pub fn decide_subscribe(
        &self,
        subject: Subject<'_>,
        filter: &str,
        strict: bool,
    ) -> Decision<'_> {
        let tree = self.tree_of(subject);
        let own = tree.is_some_and(|tree| tree.has_subscribe);
        let gated = own || self.patterns.has_subscribe;
        let pick = |found: &Found| {
            let read = if gated { NONE } else { found.allow_read };
            (found.deny_read, found.allow_subscribe.min(read))
        };
        if let Some(tree) = tree
            && let Some(decision) = self.first(pick(&tree.find(filter, subject)))
        {
            return decision;
        }
        let file = &*self.file;
        let is_unsafe = self.has_patterns && pattern::is_unsafe(subject);
        if self.has_patterns
            && !is_unsafe
            && let Some(decision) = self.first(pick(&self.find_pattern(subject, filter)))
        {
            return decision;
        }
        match (gated || strict, is_unsafe) {
            (true, true) => self.deny(Reason::UnsafeName { file }),
            (true, false) => self.deny(Reason::NoRule { file }),
            (false, _) => {
                Decision { verdict: Verdict::Allow, reason: Reason::CheckedAtDelivery { file } }
            }
        }
    }

    fn tree_of(&self, subject: Subject<'_>) -> Option<&RuleTree> {
        match subject.username {
            None => Some(&self.anonymous),
            Some(name) => self.users.get(name),
        }
    }

    fn find_pattern(&self, subject: Subject<'_>, wanted: &str) -> Found {
        let mut found = self.patterns.find(wanted, subject);
        let escaping: &[u32] = if pattern::is_odd(subject) { &self.denying } else { &[] };
        for index in self.mixed.iter().chain(escaping) {
            let rule = &self.rules[*index as usize];
            if pattern::matches(rule, subject, wanted) {
                found.add(rule.effect, *index);
            }
        }
        found
    }

    /// A denial that matches comes before everything that allows.
    fn first(&self, (deny, allow): (u32, u32)) -> Option<Decision<'_>> {
        let (verdict, index) = match (deny, allow) {
            (NONE, NONE) => return None,
            (NONE, index) => (Verdict::Allow, index),
            (index, _) => (Verdict::Deny, index),
        };
        let rule = self.rules.get(index as usize)?;
        Some(Decision { verdict, reason: Reason::Rule { file: &self.file, rule } })
    }

    const fn deny<'a>(&self, reason: Reason<'a>) -> Decision<'a> {
        Decision { verdict: Verdict::Deny, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn list(text: &str) -> AccessList {
        let parsed = parse("acl", text.as_bytes());
        assert!(parsed.is_valid(), "{:?}", parsed.diagnostics);
        parsed.list
    }

    fn said(list: &AccessList, user: &str, client: &str, access: Access, topic: &str) -> String {
        let username = (!user.is_empty()).then_some(user);
        list.decide(Subject { client_id: client, username }, access, topic).to_string()
    }

    const LIST: &str = "\
topic read anon/#
user roger
topic foo/bar
topic write out/#
topic deny out/secret
topic readdeny foo/bar/hidden
pattern readwrite own/%u/#
pattern read client/%c
pattern deny own/+/locked
";

    #[test]
    fn each_decision_names_its_rule() {
        let acl = list(LIST);
        for (user, access, topic, expected) in [
            ("", Access::Read, "anon/x", "allowed: acl:1: topic read anon/#"),
            ("", Access::Write, "anon/x", "denied: acl: no rule gives the right"),
            ("roger", Access::Read, "anon/x", "denied: acl: no rule gives the right"),
            ("roger", Access::Write, "foo/bar", "allowed: acl:3: topic readwrite foo/bar"),
            ("roger", Access::Write, "out/secret", "denied: acl:5: topic deny out/secret"),
            ("roger", Access::Write, "out", "allowed: acl:4: topic write out/#"),
            (
                "roger",
                Access::Read,
                "foo/bar/hidden",
                "denied: acl:6: topic readdeny foo/bar/hidden",
            ),
            ("roger", Access::Read, "own/roger/a", "allowed: acl:7: pattern readwrite own/%u/#"),
            ("roger", Access::Read, "own/roger/locked", "denied: acl:9: pattern deny own/+/locked"),
            ("", Access::Read, "own/roger/a", "denied: acl: no rule gives the right"),
            ("mary", Access::Read, "client/c1", "allowed: acl:8: pattern read client/%c"),
            ("mary", Access::Read, "client/c2", "denied: acl: no rule gives the right"),
        ] {
            assert_eq!(said(&acl, user, "c1", access, topic), expected, "{user} {access} {topic}");
        }
    }

    #[test]
    fn a_wild_name_is_kept_from_all_patterns() {
        let acl = list("user u\ntopic read t\npattern read p/%c\npattern read all/#\n");
        for name in ["+", "#", "a+", "x#y"] {
            let expected = "denied: acl: a name with + or # is kept from all patterns";
            assert_eq!(said(&acl, "u", name, Access::Read, "p/a"), expected);
            assert_eq!(said(&acl, "u", name, Access::Read, "all/x"), expected);
            assert_eq!(said(&acl, name, "c", Access::Read, "all/x"), expected);
        }
        assert_eq!(said(&acl, "u", "+", Access::Read, "t"), "allowed: acl:2: topic read t");
    }

    #[test]
    fn subscriptions_are_refused_where_a_denial_covers_them() {
        let acl = list("user u\ntopic read a/#\ntopic deny a/x/#\npattern deny secret/#\n");
        for (filter, allowed) in [
            ("a/#", true),
            ("#", true),
            ("a/x", false),
            ("a/x/+", false),
            ("secret/y", false),
            ("other", true),
        ] {
            let decision = acl.decide_subscribe(user("u"), filter, false);
            assert_eq!(decision.is_allowed(), allowed, "{filter}: {decision}");
        }
    }

    #[test]
    fn strict_subscriptions_need_a_right_that_covers_them() {
        let acl = list("user u\ntopic read a/#\ntopic write b\n");
        for (filter, allowed) in [("a/#", true), ("a/+/b", true), ("#", false), ("b", false)] {
            let decision = acl.decide_subscribe(user("u"), filter, true);
            assert_eq!(decision.is_allowed(), allowed, "{filter}: {decision}");
        }
    }

    #[test]
    fn subscribe_rules_hold_alone_for_those_who_have_one() {
        let acl = list("user u\ntopic read a/#\ntopic subscribe a/+\nuser v\ntopic read a/#\n");
        for (name, filter, allowed) in [
            ("u", "a/+", true),
            ("u", "a/b", true),
            ("u", "a/#", false),
            ("v", "a/#", true),
            ("v", "#", true),
        ] {
            let decision = acl.decide_subscribe(user(name), filter, false);
            assert_eq!(decision.is_allowed(), allowed, "{name} {filter}: {decision}");
        }
    }

    const fn user(name: &str) -> Subject<'_> {
        Subject { client_id: "c", username: Some(name) }
    }

    #[test]
    fn an_empty_list_denies_everything() {
        let acl = list("# nothing\n\n");
        assert!(said(&acl, "", "c", Access::Read, "a").starts_with("denied"));
        assert!(said(&acl, "u", "c", Access::Write, "a").starts_with("denied"));
        assert!(!acl.decide_subscribe(user("u"), "a", true).is_allowed());
    }
}
