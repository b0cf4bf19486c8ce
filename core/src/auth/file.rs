//! The text of a password file, `user:hash` on each line, to [`Users`]. A line that is no such line
//! makes the file void: half a file would lock people out, or let them in. It goes on after a fault,
//! so that all of them are found at once. Opens no file, and repeats no line in a message.

use super::{PasswordHash, User, Users};
use crate::state::{Hasher, Sink as _};
use core::fmt;
use std::collections::btree_map::Entry;

/// Faults of one file at most.
const FAULTS_MAX: usize = 100;
/// Bytes of the longest User Name.
const NAME_BYTES_MAX: usize = 65_535;

/// Something about a line of a password file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether the file may not be used.
    pub is_error: bool,
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for Fault {
    /// `passwords:3: error: password_file: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error { "error" } else { "warning" };
        let Self { file, line, what, .. } = self;
        write!(f, "{file}:{line}: {severity}: password_file: {what}")
    }
}

/// A password file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The users; not to be used if there is an error.
    pub users: Users,
    /// Errors and warnings, in the order of the lines.
    pub faults: Vec<Fault>,
}

impl Parsed {
    /// Whether the users may be used.
    pub fn is_valid(&self) -> bool {
        !self.faults.iter().any(|fault| fault.is_error)
    }
}

/// Reads the text of the file that messages call `file`.
pub fn parse(file: &str, text: &[u8]) -> Parsed {
    let mut parsed = Parsed { users: Users::default(), faults: Vec::new() };
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    for (line, bytes) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if bytes.first() == Some(&b'#') {
            continue;
        }
        if let Err((is_error, what)) = take(&mut parsed.users, line, bytes) {
            parsed.faults.push(Fault { is_error, file: file.to_owned(), line, what: what.into() });
        }
        if parsed.faults.len() == FAULTS_MAX {
            let what = "too much is wrong; the rest was not read".to_owned();
            parsed.faults.push(Fault { is_error: true, file: file.to_owned(), line, what });
            break;
        }
    }
    parsed
}

fn take(users: &mut Users, line: u32, bytes: &[u8]) -> Result<(), (bool, &'static str)> {
    let error = |what| (true, what);
    let text = core::str::from_utf8(bytes).map_err(|_| error("the line is not UTF-8"))?;
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(());
    }
    let (name, encoded) = text
        .split_once(':')
        .ok_or_else(|| error("the line is not `user:hash`: there is no colon"))?;
    let (name, encoded) = (name.trim_ascii(), encoded.trim_ascii());
    if name.is_empty() {
        return Err(error("there is no user name before the colon"));
    }
    if name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Err(error("no MQTT client can have this user name"));
    }
    let hash = PasswordHash::parse(encoded).map_err(error)?;
    match users.by_name.entry(name.into()) {
        Entry::Vacant(place) => {
            place.insert(User { line, hash, fingerprint: fingerprint(name, encoded) });
            Ok(())
        }
        Entry::Occupied(_) => {
            Err((false, "the user stands on a line above, which holds; remove one of them"))
        }
    }
}

fn fingerprint(name: &str, encoded: &str) -> u64 {
    let mut hasher = Hasher::default();
    hasher.bytes(name.as_bytes());
    hasher.bytes(b":");
    hasher.bytes(encoded.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$7$101$c2FsdHNhbHQ=$c2FsdHNhbHRzYWx0c2FsdA==";

    #[test]
    fn users_are_read_with_their_lines() {
        let text = format!("# people\nann:{HASH}\r\n\n  bob : {HASH}  \nann:{HASH}");
        let parsed = parse("p", text.as_bytes());
        assert!(parsed.is_valid());
        assert_eq!(parsed.users.len(), 2);
        assert_eq!(parsed.users.get("ann").unwrap().line, 2);
        assert_eq!(parsed.users.get("bob").unwrap().line, 4);
        assert_ne!(
            parsed.users.get("ann").unwrap().fingerprint,
            parsed.users.get("bob").unwrap().fingerprint
        );
        let faults: Vec<String> = parsed.faults.iter().map(ToString::to_string).collect();
        let said = "p:5: warning: password_file: the user stands on a line above, which holds; \
                    remove one of them";
        assert_eq!(faults, [said]);
    }

    #[test]
    fn a_line_that_is_none_voids_the_file_and_is_not_repeated() {
        for line in ["ann", ":hash", "ann:", "ann:secret", "ann:$9$x", " :", "a\0b:$6$x"] {
            let parsed = parse("p", format!("x:{HASH}\n{line}").as_bytes());
            assert!(!parsed.is_valid(), "{line}");
            assert_eq!(parsed.faults[0].line, 2);
            assert!(!parsed.faults[0].what.contains("secret"));
        }
        assert!(!parse("p", b"\xFF:x").is_valid());
    }

    #[test]
    fn a_file_that_is_none_ends_soon() {
        let parsed = parse("p", "x\n".repeat(5000).as_bytes());
        assert_eq!(parsed.faults.len(), FAULTS_MAX + 1);
    }

    #[test]
    fn an_empty_file_has_no_users() {
        let parsed = parse("p", b"");
        assert!(parsed.is_valid() && parsed.users.is_empty());
        assert!(parsed.users.stand_in("ann").is_none());
    }
}
