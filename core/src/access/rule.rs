//! One rule of an access list as plain data: whom it is about, what it gives or takes, and where it
//! was written. Decides nothing.

use core::fmt;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To get a message: checked at every delivery.
    Read,
    /// To publish a message, a Will included.
    Write,
    /// To subscribe to a filter.
    Subscribe,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Subscribe => "subscribe",
        })
    }
}

/// Who wants to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Client Identifier: `%c`.
    pub client_id: &'a str,
    /// User Name: `%u`.
    pub username: Option<&'a str>,
}

/// A set of kinds of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// [`Access::Read`].
    pub const READ: Self = Self(1);
    /// [`Access::Write`].
    pub const WRITE: Self = Self(2);
    /// Both.
    pub const READ_WRITE: Self = Self(3);
    /// [`Access::Subscribe`].
    pub const SUBSCRIBE: Self = Self(4);

    /// Whether all of `other` are among them.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a rule does. A right to read that is taken away covers SUBSCRIBE, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Gives.
    Allow(Rights),
    /// Takes away, whatever another rule of the same kind gives.
    Deny(Rights),
}

impl Effect {
    /// The effect that an access list calls by this word.
    pub const fn of_word(word: &str) -> Option<Self> {
        Some(match word.as_bytes() {
            b"deny" => Self::Deny(Rights::READ_WRITE),
            b"read" => Self::Allow(Rights::READ),
            b"readdeny" => Self::Deny(Rights::READ),
            b"readwrite" => Self::Allow(Rights::READ_WRITE),
            b"subscribe" => Self::Allow(Rights::SUBSCRIBE),
            b"write" => Self::Allow(Rights::WRITE),
            b"writedeny" => Self::Deny(Rights::WRITE),
            _ => return None,
        })
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow(Rights::READ) => "read",
            Self::Allow(Rights::WRITE) => "write",
            Self::Allow(Rights::SUBSCRIBE) => "subscribe",
            Self::Allow(_) => "readwrite",
            Self::Deny(Rights::READ) => "readdeny",
            Self::Deny(Rights::WRITE) => "writedeny",
            Self::Deny(_) => "deny",
        }
    }
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Clients without a User Name: `topic` lines above the first `user`.
    Anonymous,
    /// The user of this name.
    User(Box<str>),
    /// Everybody: a `pattern`, with `%c` and `%u` in its filter.
    Everybody,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The line of the file, from 1.
    pub line: u32,
    /// Whom it is about.
    pub who: Who,
    /// What it does.
    pub effect: Effect,
    /// The Topic Filter it is about.
    pub filter: Box<str>,
}

impl fmt::Display for Rule {
    /// The rule as a line of a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyword = if self.who == Who::Everybody { "pattern" } else { "topic" };
        write!(f, "{keyword} {} {}", self.effect.word(), self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for word in ["deny", "read", "readdeny", "readwrite", "subscribe", "write", "writedeny"] {
            assert_eq!(Effect::of_word(word).unwrap().word(), word);
        }
        assert_eq!(Effect::of_word("READ"), None);
        assert_eq!(Effect::of_word(""), None);
    }
}
