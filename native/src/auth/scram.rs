//! SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding, both sides, as steps over bytes. It
//! lives with the verification and not in the core: so the engine sees opaque Authentication Data, and
//! no nonce, key or proof can get into its state. A server step costs a few hashes and no password is
//! ever known to it, so that it runs on the shard itself.

use super::hash;
use halyard_core::auth::Credential;
use halyard_core::auth::Grant;
use halyard_core::auth::PasswordHash;
use halyard_core::auth::Users;
use halyard_core::auth::decode_base64;
use halyard_core::auth::encode_base64;
use ring::digest;
use ring::hmac;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use std::fmt;
use std::sync::Arc;

/// Bytes of the longest message that is read.
const MESSAGE_BYTES_MAX: usize = 4096;
/// What a user who does not exist seems to have where nobody has keys: iterations, and salt bytes.
const USUAL: (u32, usize) = (4096, 16);
/// Users of the file, from its top, that make the salts of those who do not exist: more than one, for
/// each knows what stands on his own line.
const DECOY_USERS: usize = 8;
/// The most that a client does for a server that asks for them.
const ITERATIONS_MAX: u32 = 10_000_000;

/// A nonce of printable characters.
pub(crate) fn nonce() -> Option<String> {
    let mut bytes = [0; 18];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(encode_base64(&bytes, false))
}

/// The server's side, between the first message of the client and its proof.
pub(crate) struct Server {
    name: Box<str>,
    /// The GS2 header, as the client must repeat it.
    header: Box<str>,
    nonce: Box<str>,
    /// `client-first-message-bare,server-first-message`
    messages: String,
    /// Keys and line of the user, if he exists.
    user: Option<([u8; 32], [u8; 32], u64)>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// The user whom a first message names.
pub(crate) fn name_of(first: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(first).ok().filter(|text| text.len() <= MESSAGE_BYTES_MAX)?;
    let bare = text.splitn(3, ',').nth(2)?;
    unescaped(bare.split(',').next()?.strip_prefix("n=")?)
}

/// What those are told who do not exist, or have no keys: a salt as the others have it, and for each
/// name always the same one, over restarts too. It hangs on nothing but the first lines of the file.
pub(crate) struct Decoy {
    key: hmac::Key,
    iterations: u32,
    salt_bytes: usize,
}

impl Decoy {
    /// Goes through all users: for once after a file was read.
    pub(crate) fn of(users: &Users) -> Self {
        let mut lines: Vec<_> = users.iter().map(|(_, user)| (user.line, &user.hash)).collect();
        lines.sort_unstable_by_key(|(line, _)| *line);
        let usual = lines.iter().find_map(|(_, hash)| match hash {
            PasswordHash::ScramSha256 { iterations, salt, .. } => Some((*iterations, salt.len())),
            _ => None,
        });
        let (iterations, salt_bytes) = usual.unwrap_or(USUAL);
        let mut context = digest::Context::new(&digest::SHA256);
        for (_, hash) in lines.iter().take(DECOY_USERS) {
            context.update(hash.to_string().as_bytes());
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, context.finish().as_ref());
        Self { key, iterations, salt_bytes: salt_bytes.min(32) }
    }

    fn salt(&self, name: &str) -> Vec<u8> {
        let tag = hmac::sign(&self.key, name.as_bytes());
        tag.as_ref().iter().take(self.salt_bytes).copied().collect()
    }
}

impl Server {
    /// Answers the first message; `None` if it is none. Who does not exist is told a salt as well.
    pub(crate) fn begin(
        users: &Users,
        decoy: &Decoy,
        first: &[u8],
        nonce: &str,
    ) -> Option<(Self, Vec<u8>)> {
        let name = name_of(first)?;
        let text = std::str::from_utf8(first).ok()?;
        let mut parts = text.splitn(3, ',');
        let (flag, authzid, bare) = (parts.next()?, parts.next()?, parts.next()?);
        // Channel binding is not offered; a client that could do it may say so.
        if flag != "n" && flag != "y" {
            return None;
        }
        let acts_for = authzid.strip_prefix("a=").map(unescaped);
        if !authzid.is_empty() && acts_for.is_none_or(|own| own.as_deref() != Some(&*name)) {
            return None;
        }
        let theirs = bare.split(',').nth(1)?.strip_prefix("r=").filter(|theirs| {
            !theirs.is_empty() && theirs.bytes().all(|byte| byte.is_ascii_graphic())
        })?;
        let (user, salt, iterations) = match users.get(&name).map(|user| (&user.hash, user)) {
            Some((
                PasswordHash::ScramSha256 { iterations, salt, stored_key, server_key },
                user,
            )) => {
                let keys = (*stored_key, *server_key, user.fingerprint);
                (Some(keys), salt.to_vec(), *iterations)
            }
            _ => (None, decoy.salt(&name), decoy.iterations),
        };
        let nonce = format!("{theirs}{nonce}");
        let answer = format!("r={nonce},s={},i={iterations}", encode_base64(&salt, true));
        let header = format!("{flag},{authzid},");
        let messages = format!("{bare},{answer}");
        let server =
            Self { name: name.into(), header: header.into(), nonce: nonce.into(), messages, user };
        Some((server, answer.into_bytes()))
    }

    /// The user that it is about.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Checks the proof; gives who it is, and the last message.
    pub(crate) fn finish(self, proof: &[u8]) -> Option<(Arc<Grant>, Vec<u8>)> {
        let text =
            std::str::from_utf8(proof).ok().filter(|text| text.len() <= MESSAGE_BYTES_MAX)?;
        let (without, proof) = text.rsplit_once(",p=")?;
        let mut parts = without.split(',');
        let (binding, nonce) =
            (parts.next()?.strip_prefix("c=")?, parts.next()?.strip_prefix("r=")?);
        let is_ours = decode_base64(binding)? == self.header.as_bytes()
            && hash::is_same(nonce.as_bytes(), self.nonce.as_bytes());
        let proof = decode_base64(proof).filter(|proof| proof.len() == 32)?;
        let messages = format!("{},{without}", self.messages);
        // A user who does not exist is checked all the same, against keys that nobody has.
        let (stored_key, server_key, fingerprint) = self.user.unwrap_or(([0; 32], [0; 32], 0));
        let signature = signed(&stored_key, &messages);
        let mut client_key = [0; 32];
        for (key, (a, b)) in client_key.iter_mut().zip(signature.iter().zip(&proof)) {
            *key = a ^ b;
        }
        let found = digest::digest(&digest::SHA256, &client_key);
        if !hash::is_same(found.as_ref(), &stored_key) || !is_ours || self.user.is_none() {
            return None;
        }
        let credential = Credential::User(fingerprint);
        let grant =
            Grant { username: Some(self.name.into()), credential, expires: None, rights: None };
        let last = format!("v={}", encode_base64(&signed(&server_key, &messages), true));
        Some((Arc::new(grant), last.into_bytes()))
    }
}

/// The client's side.
pub(crate) struct Client {
    password: zeroize::Zeroizing<Vec<u8>>,
    nonce: String,
    bare: String,
    /// What the server has to say in the end.
    expected: Option<String>,
}

impl Client {
    /// The first message, and what follows from it.
    pub(crate) fn begin(name: &str, password: &[u8], nonce: String) -> (Self, Vec<u8>) {
        let bare = format!("n={},r={nonce}", name.replace('=', "=3D").replace(',', "=2C"));
        let first = format!("n,,{bare}").into_bytes();
        let password = zeroize::Zeroizing::new(password.to_vec());
        (Self { password, nonce, bare, expected: None }, first)
    }

    /// The proof for the server's challenge; `None` if it is no challenge of ours.
    pub(crate) fn prove(&mut self, challenge: &[u8]) -> Option<Vec<u8>> {
        let challenge = std::str::from_utf8(challenge).ok()?;
        let mut parts = challenge.split(',');
        let nonce = parts.next()?.strip_prefix("r=")?;
        let salt = decode_base64(parts.next()?.strip_prefix("s=")?)?;
        let iterations: u32 = parts.next()?.strip_prefix("i=")?.parse().ok()?;
        if !nonce.starts_with(&self.nonce) || nonce == self.nonce || iterations > ITERATIONS_MAX {
            return None;
        }
        let keys = hash::scram_keys(&self.password, &salt, iterations)?;
        let without = format!("c={},r={nonce}", encode_base64(b"n,,", true));
        let messages = format!("{},{challenge},{without}", self.bare);
        let mut proof = signed(&keys.stored_key, &messages);
        for (byte, key) in proof.iter_mut().zip(keys.client_key.iter()) {
            *byte ^= key;
        }
        let signature = signed(&keys.server_key, &messages);
        self.expected = Some(format!("v={}", encode_base64(&signature, true)));
        Some(format!("{without},p={}", encode_base64(&proof, true)).into_bytes())
    }

    /// Whether the server knows the password, too.
    pub(crate) fn is_servers(&self, last: &[u8]) -> bool {
        self.expected.as_ref().is_some_and(|expected| hash::is_same(expected.as_bytes(), last))
    }
}

fn signed(key: &[u8], messages: &str) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hash::array(hmac::sign(&key, messages.as_bytes()).as_ref())
}

/// `=2C` is a comma and `=3D` an equals sign; nothing else begins with one.
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        out.push(sign);
        out.push_str(rest);
    }
    Some(out).filter(|out| !out.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use halyard_core::auth::parse;

    const THEIRS: &str = "rOprNGfwEbeRWgbNEkqO";
    const OURS: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const PROOF: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn users() -> Users {
        let salt = decode_base64("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = hash::scram_keys(b"pencil", &salt, 4096).unwrap();
        let hash = PasswordHash::ScramSha256 {
            iterations: 4096,
            salt: salt.into(),
            stored_key: keys.stored_key,
            server_key: keys.server_key,
        };
        parse("users", format!("user:{hash}\na,b=c:{hash}\n").as_bytes()).users
    }

    fn decoy() -> Decoy {
        Decoy::of(&users())
    }

    #[test]
    fn the_example_of_rfc_7677_goes_through_on_both_sides() {
        let (mut client, first) = Client::begin("user", b"pencil", THEIRS.into());
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (server, challenge) = Server::begin(&users(), &decoy(), &first, OURS).unwrap();
        assert_eq!(String::from_utf8_lossy(&challenge), CHALLENGE);
        let proof = client.prove(&challenge).unwrap();
        assert_eq!(String::from_utf8_lossy(&proof), PROOF);
        let (grant, last) = server.finish(&proof).unwrap();
        assert_eq!(grant.username.as_deref(), Some("user"));
        assert_eq!(String::from_utf8_lossy(&last), LAST);
        assert!(client.is_servers(&last) && !client.is_servers(b"v=x"));
    }

    #[test]
    fn a_wrong_password_and_an_unknown_user_fail_at_the_same_step() {
        for (name, password) in [("user", "pen"), ("nobody", "pencil")] {
            let (mut client, first) = Client::begin(name, password.as_bytes(), THEIRS.into());
            let (server, challenge) = Server::begin(&users(), &decoy(), &first, OURS).unwrap();
            let again = Server::begin(&users(), &decoy(), &first, OURS).unwrap().1;
            assert_eq!(challenge, again, "a salt that changes would tell");
            let proof = client.prove(&challenge).unwrap();
            assert!(server.finish(&proof).is_none(), "{name}");
        }
    }

    #[test]
    fn a_stranger_is_told_the_same_after_a_restart_and_more_users() {
        let salt = decode_base64("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let line = |name: &str, password: &str| {
            let keys = hash::scram_keys(password.as_bytes(), &salt, 10_000).unwrap();
            let (stored_key, server_key) = (keys.stored_key, keys.server_key);
            let salt = salt.clone().into();
            let hash =
                PasswordHash::ScramSha256 { iterations: 10_000, salt, stored_key, server_key };
            format!("{name}:{hash}\n")
        };
        let mut file: String = (0..8).map(|n| line(&format!("user{n}"), "pencil")).collect();
        let told = |file: &str| {
            let users = parse("users", file.as_bytes()).users;
            let first = format!("n,,n=nobody,r={THEIRS}");
            let (_, told) =
                Server::begin(&users, &Decoy::of(&users), first.as_bytes(), OURS).unwrap();
            String::from_utf8(told).unwrap()
        };
        let before = told(&file);
        assert!(before.ends_with(",i=10000"), "{before}");
        assert_eq!(
            before.split("s=").nth(1).unwrap().len(),
            "W22ZaJ0SNY7soEsUEjb6gQ==,i=10000".len()
        );
        file.push_str(&line("added", "x"));
        assert_eq!(told(&file), before);
        assert_ne!(told(&line("other", "secret")), before);
    }

    #[test]
    fn names_with_commas_and_equals_signs_are_escaped() {
        let (mut client, first) = Client::begin("a,b=c", b"pencil", THEIRS.into());
        assert_eq!(first, b"n,,n=a=2Cb=3Dc,r=rOprNGfwEbeRWgbNEkqO");
        let (server, challenge) = Server::begin(&users(), &decoy(), &first, OURS).unwrap();
        assert_eq!(server.name(), "a,b=c");
        assert!(server.finish(&client.prove(&challenge).unwrap()).is_some());
    }

    #[test]
    fn messages_that_are_none_are_refused() {
        for first in [
            "",
            "n",
            "n,,",
            "n,,n=user",
            "n,,n=user,r=",
            "n,,n=,r=x",
            "n,,n=a=b,r=x",
            "n,,m=x,n=user,r=x",
            "p=tls-unique,,n=user,r=x",
            "n,a=other,n=user,r=x",
            "n,x,n=user,r=x",
            "n,,n=user,r=\u{7}",
        ] {
            assert!(Server::begin(&users(), &decoy(), first.as_bytes(), OURS).is_none(), "{first}");
        }
        let first = format!("n,,n=user,r={THEIRS}");
        for proof in [
            "".to_owned(),
            PROOF.replace("biws", "eSws"),
            PROOF.replace("rOpr", "rOpx"),
            PROOF.replace("p=dHzb", "p=dHza"),
            PROOF.replace(",p=", ",q="),
            "c=biws,p=AAAA".to_owned(),
        ] {
            let (server, _) = Server::begin(&users(), &decoy(), first.as_bytes(), OURS).unwrap();
            assert!(server.finish(proof.as_bytes()).is_none(), "{proof}");
        }
        let (mut client, _) = Client::begin("user", b"pencil", THEIRS.into());
        for challenge in ["", "r=other,s=AAAA,i=1", "r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=1"] {
            assert!(client.prove(challenge.as_bytes()).is_none(), "{challenge}");
        }
    }
}
