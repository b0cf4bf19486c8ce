//! What JSON Web Tokens (RFC 7519) are checked against, as data: keys, each good for one algorithm, and
//! which claims say what. Checks nothing.

use super::Secret;
use core::fmt;

/// The keys of one file and what tokens have to say.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRules {
    /// The keys, of which one must have signed.
    pub keys: Vec<TokenKey>,
    /// The claim that is the User Name.
    pub username_claim: Box<str>,
    /// The claim that says what the client may do.
    pub acl_claim: Box<str>,
    /// What `iss` must be; `None` = anything.
    pub issuer: Option<Box<str>>,
    /// What `aud` must name; `None` = anything.
    pub audience: Option<Box<str>>,
}

/// A key.
#[derive(Clone)]
pub struct TokenKey {
    /// The key itself.
    pub kind: TokenKind,
    /// Tells this key from any other: what a connection remembers of it.
    pub fingerprint: u64,
}

/// A key, by its algorithm.
#[derive(Clone)]
pub enum TokenKind {
    /// HMAC with SHA-256: a shared secret.
    Hs256(Secret),
    /// RSASSA-PKCS1-v1_5 with SHA-256: an RSAPublicKey in DER.
    Rs256(Box<[u8]>),
    /// ECDSA with P-256 and SHA-256: an uncompressed point.
    Es256(Box<[u8]>),
}

impl TokenKind {
    /// As a token's header calls it (RFC 7518 §3.1).
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Hs256(secret) => secret.expose(),
            Self::Rs256(key) | Self::Es256(key) => key,
        }
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for TokenKey {
    /// Its algorithm alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.algorithm())
    }
}
