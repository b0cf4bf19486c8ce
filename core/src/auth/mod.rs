//! Who a client is: users and the hashes of their passwords as data, what a driver is asked to
//! verify, and what it may answer. Verifies nothing itself, for that takes time, and keeps no password:
//! what is secret is wiped when it is dropped, and never part of saved state.
//!
//! ```text
//!  text --file--> Users + faults --> Authority (in the configuration of a listener)
//!  CONNECT, AUTH --> Effect::Authenticate{Question} --driver--> Input::Authenticated{Verdict}
//! ```

mod base64;
mod file;
mod hash;
mod secret;
mod token;
mod verdict;

pub use base64::{decode as decode_base64, encode as encode_base64};
pub use file::{Fault, Parsed, parse};
pub use hash::PasswordHash;
pub use secret::Secret;
pub use token::{TokenKey, TokenKind, TokenRules};
pub use verdict::{Credential, Denial, Grant, Question, Verdict};

use core::ops::Bound;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A user of a password file.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The line, from 1.
    pub line: u32,
    /// His password, hashed.
    pub hash: PasswordHash,
    /// Tells this line from any other: what a connection remembers of it, in place of a password.
    pub fingerprint: u64,
}

/// The users of one password file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Users {
    by_name: BTreeMap<Box<str>, User>,
}

impl Users {
    /// The user of this name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    /// All users, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.by_name.iter().map(|(name, user)| (&**name, user))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Some user, always the same one for the same name: whose hash stands in for that of a user who
    /// does not exist, so that the answer takes as long. Found as fast as a user who does.
    pub fn stand_in(&self, name: &str) -> Option<&User> {
        let behind = self.by_name.range::<str, _>((Bound::Included(name), Bound::Unbounded)).next();
        behind.or_else(|| self.by_name.first_key_value()).map(|(_, user)| user)
    }
}

/// What a listener can tell a client by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Authority {
    /// The users of its password file.
    pub users: Option<Arc<Users>>,
    /// What tokens in the place of a password are checked against.
    pub tokens: Option<Arc<TokenRules>>,
}

impl Authority {
    /// Whether there is a way to answer [`Question::Begin`] with this method.
    pub fn offers(&self, method: &str) -> bool {
        let scram = |user: &User| matches!(user.hash, PasswordHash::ScramSha256 { .. });
        method == SCRAM_SHA_256
            && self.users.as_ref().is_some_and(|users| users.by_name.values().any(scram))
    }

    /// Whether what somebody was let in by still holds.
    pub fn upholds(&self, username: Option<&str>, credential: Credential) -> bool {
        match credential {
            Credential::None | Credential::Identity => true,
            Credential::User(fingerprint) => {
                let user =
                    self.users.as_ref().zip(username).and_then(|(users, name)| users.get(name));
                user.is_some_and(|user| user.fingerprint == fingerprint)
            }
            Credential::Token(fingerprint) => {
                let keys = self.tokens.iter().flat_map(|tokens| &tokens.keys);
                keys.into_iter().any(|key| key.fingerprint == fingerprint)
            }
        }
    }
}

/// The one method of enhanced authentication that there is (RFC 7677).
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
