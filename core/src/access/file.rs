//! The text of an access list, read as Mosquitto reads it: spaces and no tabs between words, `#`
//! for a comment in the first column alone, no access means both. It goes on after an error, so that
//! all of them are found at once. Opens no file.

use super::{AccessList, Effect, Rule, Who, pattern};
use crate::topic::{TopicLimits, validate_filter};
use core::fmt;

/// Diagnostics of one file at most.
const DIAGNOSTICS_MAX: usize = 100;

/// One thing that a person should know about his access list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the file is not taken.
    pub severity: Severity,
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// Whether a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is not.
    Error,
    /// It is, and means perhaps something else than its writer thinks.
    Warning,
}

impl fmt::Display for Diagnostic {
    /// `acl:12: error: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {severity}: {}", self.file, self.line, self.what)
    }
}

/// An access list that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The list; not to be used if there is an error.
    pub list: AccessList,
    /// Errors and warnings, in the order of the lines.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Whether the list may be used.
    pub fn is_valid(&self) -> bool {
        self.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error)
    }
}

/// Reads an access list; `file` is its name in messages.
pub fn parse(file: &str, text: &[u8]) -> Parsed {
    let mut reader = Reader { file, user: Who::Anonymous, rules: Vec::new(), found: Vec::new() };
    for (bytes, line) in text.split(|&byte| byte == b'\n').zip(1..) {
        if bytes.first() != Some(&b'#') {
            reader.line(line, bytes);
        }
        if reader.found.len() >= DIAGNOSTICS_MAX {
            reader.error(line, "too much is wrong; the rest was not read".into());
            break;
        }
    }
    Parsed { list: AccessList::new(file, reader.rules), diagnostics: reader.found }
}

struct Reader<'a> {
    file: &'a str,
    user: Who,
    rules: Vec<Rule>,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn line(&mut self, line: u32, bytes: &[u8]) {
        let Ok(text) = core::str::from_utf8(bytes) else {
            return self.error(line, "the line is not UTF-8; save the file as UTF-8".into());
        };
        // The white space of C, which Mosquitto takes off the end.
        let text = text.trim_end_matches([' ', '\t', '\r', '\x0B', '\x0C']);
        let (word, rest) = first_word(text);
        match word {
            "" => {}
            "pattern" => self.rule(line, Who::Everybody, rest),
            "topic" => self.rule(line, self.user.clone(), rest),
            "user" => self.user(line, rest),
            _ => self.error(line, unknown(word)),
        }
    }

    fn user(&mut self, line: u32, name: &str) {
        let name = name.trim_start_matches(' ');
        if name.is_empty() {
            return self.error(
                line,
                "there is no name behind `user`; rules for clients without a User Name stand above \
                 the first `user`"
                    .into(),
            );
        }
        self.user = Who::User(name.into());
    }

    fn rule(&mut self, line: u32, who: Who, rest: &str) {
        let (access, filter) = first_word(rest);
        let filter = filter.trim_start_matches(' ');
        let (effect, filter) = if filter.is_empty() {
            if access.is_empty() {
                return self.error(line, "there is no topic; write `topic read a/b`".into());
            }
            if Effect::of_word(access).is_some() {
                let what = format!(
                    "this is the topic {access:?} with the right to read and write; if that is not \
                     meant, write a topic behind it"
                );
                self.warn(line, what);
            }
            (Effect::of_word("readwrite"), access)
        } else {
            (Effect::of_word(access), filter)
        };
        let Some(effect) = effect else {
            let what = format!(
                "{access:?} is no access; write read, write, readwrite, deny, readdeny, writedeny or \
                 subscribe before a topic with spaces"
            );
            return self.error(line, what);
        };
        let limits = TopicLimits { max_levels: 0, ..TopicLimits::DEFAULT };
        if let Err(error) = validate_filter(filter, &limits) {
            return self.error(line, format!("the topic {filter:?} {error}"));
        }
        match (&who, pattern::is_used(filter)) {
            (Who::Everybody, false) => self.warn(
                line,
                format!("the pattern {filter:?} has no %c and no %u: it holds for everybody"),
            ),
            (Who::Anonymous | Who::User(_), true) => self.warn(
                line,
                format!("%c and %u in {filter:?} are plain text; only a `pattern` puts names in"),
            ),
            _ => {}
        }
        self.rules.push(Rule { line, who, effect, filter: filter.into() });
    }

    fn error(&mut self, line: u32, what: String) {
        self.found.push(Diagnostic {
            severity: Severity::Error,
            file: self.file.into(),
            line,
            what,
        });
    }

    fn warn(&mut self, line: u32, what: String) {
        self.found.push(Diagnostic {
            severity: Severity::Warning,
            file: self.file.into(),
            line,
            what,
        });
    }
}

/// The first word and what follows its one space.
fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(' ');
    text.split_once(' ').unwrap_or((text, ""))
}

fn unknown(word: &str) -> String {
    let right = if word.starts_with('#') {
        "a comment has its `#` in the first column of the line"
    } else if word.starts_with('\u{FEFF}') {
        "save the file without a byte order mark"
    } else if word.contains('\t') {
        "write spaces instead of tabs"
    } else {
        "a line begins with topic, user or pattern"
    };
    format!("{word:?} means nothing here; {right}")
}

#[cfg(test)]
mod tests {
    use super::super::Rights;
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        parse("acl", text.as_bytes()).diagnostics.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_are_read_as_mosquitto_reads_them() {
        let text =
            "#c\n\ntopic  a b/c\r\n  topic   read  a b \nuser  a b\ntopic write x \t\npattern %u";
        let parsed = parse("acl", text.as_bytes());
        let rule =
            |line, who, effect, filter: &str| Rule { line, who, effect, filter: filter.into() };
        assert_eq!(parsed.diagnostics.len(), 1, "{:?}", parsed.diagnostics);
        let expected = [
            rule(4, Who::Anonymous, Effect::Allow(Rights::READ), "a b"),
            rule(6, Who::User("a b".into()), Effect::Allow(Rights::WRITE), "x"),
            rule(7, Who::Everybody, Effect::Allow(Rights::READ_WRITE), "%u"),
        ];
        assert_eq!(parsed.list.rules(), expected);
        assert!(errors(text)[0].starts_with("acl:3: error: \"a\" is no access"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            ("user", "acl:1: error: there is no name behind `user`"),
            ("user   ", "acl:1: error: there is no name behind `user`"),
            ("topic", "acl:1: error: there is no topic"),
            ("\ntopic read a/#/b", "acl:2: error: the topic \"a/#/b\""),
            ("topic wrte a", "acl:1: error: \"wrte\" is no access"),
            (" # x", "acl:1: error: \"#\" means nothing here; a comment"),
            ("topic\tread a", "acl:1: error: \"topic\\tread\" means nothing here; write spaces"),
            ("\u{FEFF}topic a", "means nothing here; save the file without"),
            ("users roger", "a line begins with topic, user or pattern"),
            ("topic read $share/g/a", "acl:1: error: the topic"),
            ("topic deny", "acl:1: warning: this is the topic \"deny\""),
            ("topic read %c/a", "acl:1: warning: %c and %u"),
            ("pattern read a", "acl:1: warning: the pattern \"a\" has no %c"),
        ] {
            let found = errors(text);
            assert_eq!(found.len(), 1, "{text:?}: {found:?}");
            assert!(found[0].contains(expected), "{text:?}: {found:?}");
        }
        assert!(!parse("acl", b"topic \xFF").is_valid());
        assert_eq!(errors(&"x\n".repeat(1000)).len(), DIAGNOSTICS_MAX + 1);
    }
}
