//! One hashed password: the formats of Mosquitto's password files, and the keys of SCRAM in the form
//! that PostgreSQL gave them, as data. Reads and writes the text; computes nothing. A file cannot make
//! the broker work without end: what it may ask for has a limit.

use super::base64;
use core::fmt;

/// The most that a line may ask for: 1 GiB, and some seconds.
const ARGON2_MEMORY_KIB_MAX: u32 = 1 << 20;
const ARGON2_PASSES_MAX: u32 = 100;
const ARGON2_LANES_MAX: u32 = 64;
const ITERATIONS_MAX: u32 = 10_000_000;
/// Bytes of a salt or hash.
const BYTES_MAX: usize = 512;

/// A hashed password.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// `$argon2id$v=19$m=47104,t=1,p=1$SALT$HASH` (RFC 9106)
    Argon2id {
        /// Memory, KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
        /// Salt.
        salt: Box<[u8]>,
        /// Hash.
        hash: Box<[u8]>,
    },
    /// `$7$ITERATIONS$SALT$HASH`: PBKDF2 with HMAC-SHA-512.
    Pbkdf2Sha512 {
        /// Iterations.
        iterations: u32,
        /// Salt.
        salt: Box<[u8]>,
        /// Hash.
        hash: Box<[u8]>,
    },
    /// `$6$SALT$HASH`: SHA-512 of password and salt, once.
    Sha512 {
        /// Salt.
        salt: Box<[u8]>,
        /// Hash.
        hash: Box<[u8]>,
    },
    /// `SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER` (RFC 5802 §3)
    ScramSha256 {
        /// Iterations.
        iterations: u32,
        /// Salt.
        salt: Box<[u8]>,
        /// StoredKey.
        stored_key: [u8; 32],
        /// ServerKey.
        server_key: [u8; 32],
    },
}

impl PasswordHash {
    /// Reads what stands behind `user:` on a line; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(rest) = text.strip_prefix("$argon2id$") {
            return argon2id(rest).ok_or(
                "no argon2id hash: $argon2id$v=19$m=…,t=…,p=…$salt$hash in base64 without padding",
            )?;
        }
        if let Some(rest) = text.strip_prefix("$7$") {
            return pbkdf2(rest).ok_or("no $7$ hash: $7$iterations$salt$hash in base64")?;
        }
        if let Some(rest) = text.strip_prefix("$6$") {
            return sha512(rest).ok_or("no $6$ hash: $6$salt$hash in base64");
        }
        if let Some(rest) = text.strip_prefix("SCRAM-SHA-256$") {
            return scram(rest).ok_or(
                "no SCRAM keys: SCRAM-SHA-256$iterations:salt$stored-key:server-key in base64",
            )?;
        }
        Err(match text {
            "" => "no password",
            _ if text.starts_with('$') => "this kind of hash is not known",
            _ => "the password is not hashed; `halyard passwd -U FILE` hashes all of a file",
        })
    }

    /// What a person would call it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Argon2id { .. } => "argon2id",
            Self::Pbkdf2Sha512 { .. } => "sha512-pbkdf2",
            Self::Sha512 { .. } => "sha512",
            Self::ScramSha256 { .. } => "scram-sha-256",
        }
    }
}

type Checked = Option<Result<PasswordHash, &'static str>>;

fn argon2id(text: &str) -> Checked {
    let mut parts = text.split('$');
    if parts.next()? != "v=19" {
        return None;
    }
    let mut parameters = parts.next()?.split(',');
    let mut parameter = |name| parameters.next()?.strip_prefix(name).and_then(number);
    let (memory_kib, passes, lanes) = (parameter("m=")?, parameter("t=")?, parameter("p=")?);
    let (salt, hash) = (bytes(parts.next()?, 8)?, bytes(parts.next()?, 4)?);
    if parameters.next().is_some() || parts.next().is_some() {
        return None;
    }
    if passes == 0 || lanes == 0 || memory_kib < lanes.saturating_mul(8) {
        return None;
    }
    let too_much = memory_kib > ARGON2_MEMORY_KIB_MAX
        || passes > ARGON2_PASSES_MAX
        || lanes > ARGON2_LANES_MAX;
    if too_much {
        return Some(Err("argon2id with more than m=1048576, t=100 or p=64 is not accepted"));
    }
    Some(Ok(PasswordHash::Argon2id { memory_kib, passes, lanes, salt, hash }))
}

fn pbkdf2(text: &str) -> Checked {
    let mut parts = text.split('$');
    let iterations = number(parts.next()?).filter(|count| *count > 0)?;
    let (salt, hash) = (bytes(parts.next()?, 1)?, bytes(parts.next()?, 16)?);
    if parts.next().is_some() {
        return None;
    }
    if iterations > ITERATIONS_MAX {
        return Some(Err("more than 10000000 iterations are not accepted"));
    }
    Some(Ok(PasswordHash::Pbkdf2Sha512 { iterations, salt, hash }))
}

fn sha512(text: &str) -> Option<PasswordHash> {
    let (salt, hash) = text.split_once('$')?;
    let hash = bytes(hash, 64).filter(|hash| hash.len() == 64)?;
    Some(PasswordHash::Sha512 { salt: bytes(salt, 1)?, hash })
}

fn scram(text: &str) -> Checked {
    let (parameters, keys) = text.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    let key = |text| <[u8; 32]>::try_from(base64::decode(text)?).ok();
    let iterations = number(iterations).filter(|count| *count > 0)?;
    let (salt, stored_key, server_key) = (bytes(salt, 1)?, key(stored)?, key(server)?);
    if iterations > ITERATIONS_MAX {
        return Some(Err("more than 10000000 iterations are not accepted"));
    }
    Some(Ok(PasswordHash::ScramSha256 { iterations, salt, stored_key, server_key }))
}

fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn bytes(text: &str, min: usize) -> Option<Box<[u8]>> {
    let bytes = base64::decode(text)?;
    (min..=BYTES_MAX).contains(&bytes.len()).then(|| bytes.into())
}

impl fmt::Display for PasswordHash {
    /// As it stands in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |bytes: &[u8]| base64::encode(bytes, false);
        let padded = |bytes: &[u8]| base64::encode(bytes, true);
        match self {
            Self::Argon2id { memory_kib, passes, lanes, salt, hash } => {
                let (salt, hash) = (plain(salt), plain(hash));
                write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
            }
            Self::Pbkdf2Sha512 { iterations, salt, hash } => {
                write!(f, "$7${iterations}${}${}", padded(salt), padded(hash))
            }
            Self::Sha512 { salt, hash } => write!(f, "$6${}${}", padded(salt), padded(hash)),
            Self::ScramSha256 { iterations, salt, stored_key, server_key } => {
                let keys = (padded(stored_key), padded(server_key));
                write!(f, "SCRAM-SHA-256${iterations}:{}${}:{}", padded(salt), keys.0, keys.1)
            }
        }
    }
}

impl fmt::Debug for PasswordHash {
    /// Its kind alone: whoever has the hash can try passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_read_and_written_as_it_was() {
        let salt = base64::encode(&[7; 12], true);
        let hash = base64::encode(&[9; 64], true);
        let key = base64::encode(&[3; 32], true);
        let (plain_salt, plain_hash) = (salt.trim_end_matches('='), hash.trim_end_matches('='));
        for text in [
            format!("$7$101${salt}${hash}"),
            format!("$6${salt}${hash}"),
            format!("$argon2id$v=19$m=47104,t=1,p=1${plain_salt}${plain_hash}"),
            format!("SCRAM-SHA-256$4096:{salt}${key}:{key}"),
        ] {
            let parsed = PasswordHash::parse(&text).unwrap();
            assert_eq!(parsed.to_string(), text);
            assert!(!format!("{parsed:?}").contains('$'));
        }
    }

    #[test]
    fn a_hash_that_is_none_says_so() {
        let hash = base64::encode(&[9; 64], true);
        for (text, part) in [
            ("", "no password"),
            ("secret", "halyard passwd -U"),
            ("$5$a$b", "not known"),
            ("$7$101$c2FsdA==", "no $7$ hash"),
            ("$7$0$c2FsdA==$c2FsdHNhbHRzYWx0c2FsdA==", "no $7$ hash"),
            ("$7$-1$c2FsdA==$c2FsdHNhbHRzYWx0c2FsdA==", "no $7$ hash"),
            ("$7$99999999$c2FsdA==$c2FsdHNhbHRzYWx0c2FsdA==", "10000000"),
            ("$6$c2FsdA==$c2FsdA==", "no $6$ hash"),
            ("$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ", "no argon2id hash"),
            ("$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ", "no argon2id hash"),
            ("$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ", "m=1048576"),
            ("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ$", "no argon2id hash"),
            ("SCRAM-SHA-256$4096:c2FsdA==$c2FsdA==:c2FsdA==", "no SCRAM keys"),
        ] {
            let error = PasswordHash::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(PasswordHash::parse(&format!("$6$c2FsdA==${hash}:x")).is_err());
    }
}
