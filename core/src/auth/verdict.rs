//! What a driver is asked about a client, and its answer. Plain data.

use super::Secret;
use crate::state::{RestoreError, Sink, Source, State};
use crate::time::WallClock;
use std::sync::Arc;

/// What is to be verified.
#[derive(Clone, Debug)]
pub enum Question {
    /// User Name and Password of a CONNECT; the password may be absent.
    Password(Option<Secret>),
    /// Enhanced authentication begins, in CONNECT or anew.
    Begin {
        /// The Authentication Method.
        method: Box<str>,
        /// The Authentication Data.
        data: Box<[u8]>,
    },
    /// It goes on: the client's answer to [`Verdict::Continue`].
    Continue {
        /// The Authentication Data.
        data: Box<[u8]>,
    },
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is who it says.
    Granted {
        /// Who it is.
        grant: Arc<Grant>,
        /// Authentication Data for the client; empty = none.
        data: Box<[u8]>,
    },
    /// The client is to answer this first.
    Continue {
        /// Authentication Data for the client.
        data: Box<[u8]>,
    },
    /// It is not let in.
    Denied(Denial),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// User and password do not belong together, or one of them does not exist: nobody is told
    /// which.
    Credentials,
    /// Too many are waiting to be verified.
    Busy,
    /// Too many failures from where it comes from.
    TooManyFailures,
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The User Name that holds.
    pub username: Option<Arc<str>>,
    /// What proved it.
    pub credential: Credential,
    /// When the proof ends, and the connection with it.
    pub expires: Option<WallClock>,
    /// What it may do, as lines of an access list, in place of the listener's; `None` = what that
    /// one says.
    pub rights: Option<Arc<str>>,
}

/// What proved who somebody is, as far as it can be taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credential {
    /// Nothing: a client that was let in without.
    #[default]
    None,
    /// The transport: a certificate.
    Identity,
    /// The line of a password file with this fingerprint.
    User(u64),
    /// A token, signed by the key with this fingerprint.
    Token(u64),
}

impl Credential {
    /// Whether it says for certain who somebody is.
    pub const fn is_proof(self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether a new configuration can take it back.
    pub const fn is_revocable(self) -> bool {
        matches!(self, Self::User(_) | Self::Token(_))
    }
}

impl State for Credential {
    fn save(&self, to: &mut dyn Sink) {
        match self {
            Self::None => 0u8.save(to),
            Self::Identity => 1u8.save(to),
            Self::User(fingerprint) => {
                2u8.save(to);
                fingerprint.save(to);
            }
            Self::Token(fingerprint) => {
                3u8.save(to);
                fingerprint.save(to);
            }
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Ok(match u8::load(from)? {
            0 => Self::None,
            1 => Self::Identity,
            2 => Self::User(State::load(from)?),
            3 => Self::Token(State::load(from)?),
            _ => return Err(from.error("credential")),
        })
    }
}

impl State for Grant {
    fn save(&self, to: &mut dyn Sink) {
        self.username.save(to);
        self.credential.save(to);
        self.expires.map(|expires| expires.0).save(to);
        self.rights.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let (username, credential) = (State::load(from)?, State::load(from)?);
        let expires: Option<u64> = State::load(from)?;
        let expires = expires.map(WallClock);
        Ok(Self { username, credential, expires, rights: State::load(from)? })
    }
}
