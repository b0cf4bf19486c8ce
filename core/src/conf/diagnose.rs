//! Diagnostics: what is wrong with which line and what would be right, and names that are near to a
//! misspelt one. Never prints, and never shows a control character of the input.

use super::options::find;
use super::options::options;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// One thing that a person should know about his configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether the start fails.
    pub severity: Severity,
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The option; empty where a line has none.
    pub option: String,
    /// What is wrong.
    pub what: String,
    /// What would be right; empty where there is nothing to do.
    pub right: String,
}

/// Whether the start fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

impl fmt::Display for Diagnostic {
    /// `mosquitto.conf:12: error: max_qos: "3" is out of range; write a number from 0 to 2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {severity}: ", self.file, self.line)?;
        if !self.option.is_empty() {
            write!(f, "{}: ", self.option)?;
        }
        f.write_str(&self.what)?;
        if !self.right.is_empty() {
            write!(f, "; {}", self.right)?;
        }
        Ok(())
    }
}

/// What is wrong and what would be right, without its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) what: Cow<'static, str>,
    pub(super) right: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(
        what: impl Into<Cow<'static, str>>,
        right: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { what: what.into(), right: right.into() }
    }
}

/// Characters of the input that a message shows at most.
const SHOWN_CHARS_MAX: usize = 60;

/// `text` as a message shows it: in quotes, escaped, and not longer than a line.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARS_MAX {
            shown.push('\u{2026}');
            break;
        }
        match character {
            '"' | '\\' => shown.extend(['\\', character]),
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown.push('"');
    shown
}

/// What to do about a line whose name is not in the table.
pub(super) fn advise(name: &str) -> String {
    if name.starts_with('#') {
        return "a comment has its `#` in the first column of the line".into();
    }
    if let Some((own, value)) = name.split_once(['=', ':'])
        && let Some(option) = find(own)
    {
        let value = if value.is_empty() { "VALUE" } else { value };
        return format!("write `{} {}`", option.name, quoted(value).trim_matches('"'));
    }
    match nearest(name) {
        Some(near) => format!("did you mean {near}?"),
        None => "docs/configuration.md lists the options; a comment begins with `#`".into(),
    }
}

/// Bytes of the longest name that is compared; no option's is as long.
const NAME_BYTES_MAX: usize = 48;

/// The option whose name is the most like `name`, if one is like it at all.
fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    let allowed = (name.len() / 3).clamp(1, 4);
    options()
        .flat_map(|option| std::iter::once(&option.name).chain(option.aliases))
        .filter(|known| known.len().abs_diff(name.len()) <= allowed)
        .map(|known| (distance(name.as_bytes(), known.as_bytes()), *known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a` (optimal string
/// alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(x != y);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_find_their_option() {
        for (typed, meant) in [
            ("max_queued_message", "max_queued_messages"),
            ("max_qeued_messages", "max_queued_messages"),
            ("Listener", "listener"),
            ("listner", "listener"),
            ("allow-anonymous", "allow_anonymous"),
            ("allow_anonymus", "allow_anonymous"),
            ("prot", "port"),
            ("log_dst", "log_dest"),
        ] {
            assert_eq!(nearest(typed), Some(meant), "{typed}");
        }
        assert_eq!(nearest("banana"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"x".repeat(5000)), None);
    }

    #[test]
    fn other_habits_are_recognised() {
        assert_eq!(advise("allow_anonymous=true"), "write `allow_anonymous true`");
        assert_eq!(advise("port:"), "write `port VALUE`");
        assert_eq!(advise("#"), "a comment has its `#` in the first column of the line");
    }

    #[test]
    fn shown_input_is_short_and_printable() {
        assert_eq!(quoted("a\u{1b}[31m\"b\\"), "\"a\\u{1b}[31m\\\"b\\\\\"");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), SHOWN_CHARS_MAX + 3);
    }
}
