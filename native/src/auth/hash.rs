//! Hashing of passwords: whether one is right, and the hash of a new one. Slow on purpose; never
//! called on a shard's thread. Knows no user and no file.

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use halyard_core::auth::PasswordHash;
use ring::digest;
use ring::hmac;
use ring::pbkdf2;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// What Mosquitto 2.1 writes, too: 46 MiB, one pass.
const ARGON2_MEMORY_KIB: u32 = 47_104;
const ARGON2_PASSES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// How a new password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Argon2id,
    Pbkdf2Sha512 {
        iterations: u32,
    },
    /// For brokers that know nothing else: one SHA-512 is no work for whoever tries passwords.
    Sha512,
    ScramSha256 {
        iterations: u32,
    },
}

/// Whether `password` is the one that was hashed.
pub(crate) fn verify(hash: &PasswordHash, password: &[u8]) -> bool {
    match hash {
        PasswordHash::Argon2id { memory_kib, passes, lanes, salt, hash } => {
            let mut found = Zeroizing::new(vec![0; hash.len()]);
            let done = argon2id((*memory_kib, *passes, *lanes), password, salt, &mut found);
            done.is_some() && is_same(&found, hash)
        }
        PasswordHash::Pbkdf2Sha512 { iterations, salt, hash } => {
            let Some(iterations) = NonZeroU32::new(*iterations) else { return false };
            let algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
            pbkdf2::verify(algorithm, iterations, salt, password, hash).is_ok()
        }
        PasswordHash::Sha512 { salt, hash } => is_same(sha512(password, salt).as_ref(), hash),
        PasswordHash::ScramSha256 { iterations, salt, stored_key, .. } => {
            let keys = scram_keys(password, salt, *iterations);
            keys.is_some_and(|keys| is_same(&keys.stored_key, stored_key))
        }
    }
}

/// The hash of a new password, with a new salt.
pub(crate) fn create(method: Method, password: &[u8]) -> Result<PasswordHash, String> {
    let mut salt = vec![0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| "the system gives no random numbers")?;
    let salt = salt.into_boxed_slice();
    let failed = "the password cannot be hashed";
    match method {
        Method::Argon2id => {
            let mut hash = vec![0; HASH_BYTES];
            let cost = (ARGON2_MEMORY_KIB, ARGON2_PASSES, 1);
            argon2id(cost, password, &salt, &mut hash).ok_or(failed)?;
            let (memory_kib, passes, lanes) = cost;
            Ok(PasswordHash::Argon2id { memory_kib, passes, lanes, salt, hash: hash.into() })
        }
        Method::Pbkdf2Sha512 { iterations } => {
            let mut hash = vec![0; 64];
            let count = NonZeroU32::new(iterations).ok_or("0 iterations are none")?;
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, count, &salt, password, &mut hash);
            Ok(PasswordHash::Pbkdf2Sha512 { iterations, salt, hash: hash.into() })
        }
        Method::Sha512 => {
            let hash = sha512(password, &salt).as_ref().into();
            Ok(PasswordHash::Sha512 { salt, hash })
        }
        Method::ScramSha256 { iterations } => {
            let keys = scram_keys(password, &salt, iterations).ok_or("0 iterations are none")?;
            let ScramKeys { stored_key, server_key, .. } = keys;
            Ok(PasswordHash::ScramSha256 { iterations, salt, stored_key, server_key })
        }
    }
}

/// The keys that SCRAM makes of a password (RFC 5802 §3).
pub(crate) struct ScramKeys {
    pub(crate) client_key: Zeroizing<[u8; 32]>,
    pub(crate) stored_key: [u8; 32],
    pub(crate) server_key: [u8; 32],
}

/// `None` for 0 iterations.
pub(crate) fn scram_keys(password: &[u8], salt: &[u8], iterations: u32) -> Option<ScramKeys> {
    let mut salted = Zeroizing::new([0; 32]);
    let iterations = NonZeroU32::new(iterations)?;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut *salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let client_key = Zeroizing::new(array(hmac::sign(&key, b"Client Key").as_ref()));
    let stored_key = array(digest::digest(&digest::SHA256, &*client_key).as_ref());
    let server_key = array(hmac::sign(&key, b"Server Key").as_ref());
    Some(ScramKeys { client_key, stored_key, server_key })
}

/// The 32 bytes of a SHA-256.
pub(crate) fn array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}

/// In a time that does not depend on where they differ.
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

fn sha512(password: &[u8], salt: &[u8]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA512);
    context.update(password);
    context.update(salt);
    context.finish()
}

fn argon2id(cost: (u32, u32, u32), password: &[u8], salt: &[u8], out: &mut [u8]) -> Option<()> {
    let (memory_kib, passes, lanes) = cost;
    let params = Params::new(memory_kib, passes, lanes, Some(out.len())).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password, salt, out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_created_is_verified_and_nothing_else() {
        for method in [
            Method::Argon2id,
            Method::Pbkdf2Sha512 { iterations: 1000 },
            Method::Sha512,
            Method::ScramSha256 { iterations: 4096 },
        ] {
            let hash = create(method, b"pass").unwrap();
            assert_eq!(PasswordHash::parse(&hash.to_string()), Ok(hash.clone()));
            assert!(verify(&hash, b"pass"), "{method:?}");
            for wrong in [&b"Pass"[..], b"", b"pass ", &[0; 65_536]] {
                assert!(!verify(&hash, wrong), "{method:?}");
            }
        }
        assert!(create(Method::Pbkdf2Sha512 { iterations: 0 }, b"pass").is_err());
    }

    #[test]
    fn the_formats_of_mosquitto_are_verified() {
        // Salt "saltsalt", password "pass", by Python's hashlib.
        for text in TEXTS {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(verify(&hash, b"pass"), "{text}");
            assert!(!verify(&hash, b"pass2"), "{text}");
        }
    }

    const TEXTS: [&str; 2] = [
        "$6$c2FsdHNhbHQ=$S+zd8+eSDAEv3JeQJhxX+ymc6ZBTMpU71JRn1ccmuhf/+Ua0YIaQkJI8FwQDcV7ooqulMYdCw6BIZ3UVYIQqkA==",
        "$7$101$c2FsdHNhbHQ=$2lkFH6Ai+HsUVS1FkK7TVSvVpmrVrk3G3LWKeCPBtsszjlnlQJhE77btzcBuI5XbEq0lowC3BCLolRId+gF3Ow==",
    ];
}
