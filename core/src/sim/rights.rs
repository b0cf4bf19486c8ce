//! Users and rights of a simulated broker: drawn from a seed, written as the files that the engine is
//! given, and judged here by a list that is walked from end to end. Shares nothing with `access` but
//! the format of its file and the rule of what matches what.

use crate::access::{Access, parse};
use crate::auth::{Authority, Parsed, encode_base64};
use crate::engine::Config;
use crate::rng::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Users that there may be.
const USERS: [&str; 3] = ["u0", "u1", "u2"];
/// Clients that a run has at most.
const CLIENTS: u32 = 5;
/// What rules are about.
const FILTERS: [&str; 12] =
    ["t/#", "t/1", "t/2", "t/+", "t/a/b", "t/+/b", "r/#", "r/1", "s/#", "s/1", "t/u0", "#"];
/// What rules for everybody are about.
const PATTERNS: [&str; 8] = ["t/%u", "t/%c", "t/a/+", "r/%u", "r/2", "s/#", "t/#", "#"];

/// Whom a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Nameless,
    User(&'static str),
    Everybody,
}

/// A line of an access list.
#[derive(Clone, Copy, Debug)]
struct Line {
    whom: Whom,
    denies: bool,
    read: bool,
    write: bool,
    filter: &'static str,
}

/// Who is known and who may do what.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    lines: Vec<Line>,
    /// Known users, each with the number of his password.
    users: BTreeMap<&'static str, u8>,
    /// `check_retain_source`.
    pub(super) checks_source: bool,
}

/// The User Name of a client; some have none.
pub(super) fn user_of(client_id: &str) -> Option<&'static str> {
    match client_id {
        "c0" | "c3" => Some(USERS[0]),
        "c1" => Some(USERS[1]),
        "c4" => Some(USERS[2]),
        _ => None,
    }
}

impl Rights {
    /// Users that are all known, and rights that leave something to be done.
    pub(super) fn draw(plan: &mut Rng) -> Self {
        let users = USERS.into_iter().zip(1..).collect();
        let mut rights = Self { lines: Vec::new(), users, checks_source: plan.chance(500) };
        rights.draw_lines(plan);
        rights
    }

    /// What holds after a reload: other rights, and sometimes other users.
    pub(super) fn change(&mut self, plan: &mut Rng) {
        if plan.chance(800) {
            self.draw_lines(plan);
        }
        for user in USERS {
            match plan.below(10) {
                0 => drop(self.users.remove(user)),
                1 => *self.users.entry(user).or_insert(0) += 1,
                2..6 => drop(self.users.entry(user).or_insert(1)),
                _ => {}
            }
        }
        self.checks_source = plan.chance(500);
    }

    /// What holds in the end: everybody is let in and may publish everything, so that all that is
    /// still under way gets through, but not everybody may read everything.
    pub(super) fn settle(&mut self, plan: &mut Rng) {
        self.draw_lines(plan);
        self.lines.retain(|line| line.denies && line.read);
        self.lines.iter_mut().for_each(|line| line.write = false);
        for whom in all() {
            self.lines.push(Line { whom, denies: false, read: true, write: true, filter: "#" });
        }
        for user in USERS {
            self.users.entry(user).or_insert(1);
        }
    }

    fn draw_lines(&mut self, plan: &mut Rng) {
        self.lines.clear();
        for whom in all() {
            let filters: &[&'static str] =
                if whom == Whom::Everybody { &PATTERNS } else { &FILTERS };
            if whom != Whom::Everybody && plan.chance(500) {
                self.lines.push(Line { whom, denies: false, read: true, write: true, filter: "#" });
            }
            for _ in 0..plan.below(5) {
                let filter = plan.pick(filters).copied().unwrap_or("#");
                let denies = plan.chance(350) && filter != "#";
                let (read, write) = [(true, true), (true, false), (false, true)]
                    [usize::try_from(plan.below(3)).unwrap_or(0)];
                self.lines.push(Line { whom, denies, read, write, filter });
            }
        }
    }

    /// Whether a client may do something with a topic.
    pub(super) fn may(&self, client_id: &str, access: Access, topic: &str) -> bool {
        let user = user_of(client_id);
        let own = user.map_or(Whom::Nameless, Whom::User);
        let covers = |line: &&Line| {
            let right = if access == Access::Write { line.write } else { line.read };
            let filter = line.filter.replace("%c", client_id);
            let filter = user.map_or_else(|| filter.clone(), |user| filter.replace("%u", user));
            right && !filter.contains('%') && crate::topic::matches(&filter, topic)
        };
        for whom in [own, Whom::Everybody] {
            let lines = || self.lines.iter().filter(move |line| line.whom == whom).filter(covers);
            if lines().count() > 0 {
                return lines().all(|line| !line.denies);
            }
        }
        false
    }

    /// Whether some client may not publish to a topic.
    pub(super) fn keeps_somebody_from(&self, topic: &str) -> bool {
        (0..CLIENTS).any(|client| !self.may(&format!("c{client}"), Access::Write, topic))
    }

    /// Whether a client may connect: its user is known, or it has none.
    pub(super) fn knows(&self, client_id: &str) -> bool {
        user_of(client_id).is_none_or(|user| self.users.contains_key(user))
    }

    /// Puts them into a configuration, as files would.
    pub(super) fn apply(&self, config: &mut Config) {
        let parsed = parse("acl", self.text().as_bytes());
        debug_assert!(parsed.is_valid(), "{:?}", parsed.diagnostics);
        config.broker.access = Some(Arc::new(parsed.list));
        config.broker.check_retain_source = self.checks_source;
        let authority = Some(Arc::new(self.authority()));
        config.listeners.iter_mut().for_each(|listener| listener.authority.clone_from(&authority));
    }

    fn authority(&self) -> Authority {
        let line = |(name, number): (&&str, &u8)| {
            let salt = encode_base64(&[*number; 12], true);
            format!("{name}:$7$101${salt}$c2FsdHNhbHRzYWx0c2FsdA==\n")
        };
        let text: String = self.users.iter().map(line).collect();
        let Parsed { users, .. } = crate::auth::parse("users", text.as_bytes());
        Authority { users: Some(Arc::new(users)), tokens: None }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // What stands above the first user is about clients without a name.
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        lines.sort_by_key(|line| line.whom != Whom::Nameless);
        for line in lines {
            let word = match (line.denies, line.read, line.write) {
                (true, true, true) => "deny",
                (true, true, false) => "readdeny",
                (true, ..) => "writedeny",
                (false, true, false) => "read",
                (false, false, true) => "write",
                (false, ..) => "readwrite",
            };
            let keyword = if line.whom == Whom::Everybody { "pattern" } else { "topic" };
            if let Whom::User(name) = line.whom {
                let _ = writeln!(text, "user {name}");
            }
            let _ = writeln!(text, "{keyword} {word} {}", line.filter);
        }
        text
    }
}

fn all() -> impl Iterator<Item = Whom> {
    let users = USERS.into_iter().map(Whom::User);
    [Whom::Nameless].into_iter().chain(users).chain([Whom::Everybody])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Subject;

    /// The judge must know the rules before it judges: both lists say the same.
    #[test]
    fn the_slow_list_and_the_compiled_one_agree() {
        let mut plan = Rng::new(7);
        let mut rights = Rights::draw(&mut plan);
        let (mut allowed, mut denied) = (0, 0);
        for _ in 0..300 {
            rights.change(&mut plan);
            if plan.chance(300) {
                rights.settle(&mut plan);
            }
            let list = parse("acl", rights.text().as_bytes()).list;
            for client in 0..CLIENTS {
                let client_id = format!("c{client}");
                let subject = Subject { client_id: &client_id, username: user_of(&client_id) };
                for topic in ["t/1", "t/2", "t/a/b", "t/c1", "t/u0", "r/1", "r/2", "s/1"] {
                    for access in [Access::Read, Access::Write] {
                        let may = rights.may(&client_id, access, topic);
                        let decision = list.decide(subject, access, topic);
                        assert_eq!(may, decision.is_allowed(), "{rights:?} {decision}");
                        *(if may { &mut allowed } else { &mut denied }) += 1;
                    }
                }
            }
        }
        assert!(allowed > 3_000 && denied > 3_000, "{allowed} {denied}");
    }
}
