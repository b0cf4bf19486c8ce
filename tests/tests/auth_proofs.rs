//! Proofs at the real binary: SCRAM-SHA-256 step by step (RFC 5802), also renewed within a connection,
//! and tokens by public keys, which others than the broker's own code have made.

use halyard_core::auth::{decode_base64, encode_base64};
use halyard_core::packet::{Auth, Connect, Packet, ReasonCode, UserProperties, Version};
use halyard_tests::{Broker, Client, Setup, Stream, connect, run};
use rcgen::KeyPair;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use ring::{digest, hmac, pbkdf2};
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::Command;

const CONFIG: &str = "user root\nlog_type all\nlistener 0 127.0.0.1\n";
const SCRAM: &str = "SCRAM-SHA-256";

/// The client's side of one exchange.
struct Exchange {
    password: &'static str,
    bare: String,
    signature: Vec<u8>,
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

impl Exchange {
    fn new(user: &str, password: &'static str) -> Self {
        Self { password, bare: format!("n={user},r=clientnonce"), signature: Vec::new() }
    }

    fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.bare).into_bytes()
    }

    fn proof(&mut self, challenge: &[u8]) -> Vec<u8> {
        let challenge = String::from_utf8(challenge.to_vec()).unwrap();
        let [nonce, salt, iterations] = challenge.split(',').collect::<Vec<_>>()[..] else {
            panic!("{challenge}")
        };
        assert!(nonce.starts_with("r=clientnonce") && nonce != "r=clientnonce", "{nonce}");
        let salt = decode_base64(salt.strip_prefix("s=").unwrap()).unwrap();
        let count: NonZeroU32 = iterations.strip_prefix("i=").unwrap().parse().unwrap();
        let mut salted = [0; 32];
        let password = self.password.as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, count, &salt, password, &mut salted);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let without = format!("c=biws,{nonce}");
        let messages = format!("{},{challenge},{without}", self.bare);
        let proof: Vec<u8> = sign(stored_key.as_ref(), messages.as_bytes())
            .iter()
            .zip(&client_key)
            .map(|(signature, key)| signature ^ key)
            .collect();
        self.signature = sign(&sign(&salted, b"Server Key"), messages.as_bytes());
        format!("{without},p={}", encode_base64(&proof, true)).into_bytes()
    }

    fn is_servers(&self, last: &[u8]) -> bool {
        last == format!("v={}", encode_base64(&self.signature, true)).as_bytes()
    }
}

fn auth(client: &mut Client, reason: ReasonCode, data: &[u8]) {
    client.send(&Packet::Auth(Auth {
        reason,
        method: Some(SCRAM),
        data: Some(data),
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    }));
}

/// What the broker answers: its reason and its Authentication Data.
fn answer(client: &mut Client) -> (&'static str, ReasonCode, Vec<u8>) {
    let data = |data: Option<&[u8]>| data.unwrap_or_default().to_vec();
    client.receive().with(|packet| match packet {
        Packet::Auth(auth) => ("AUTH", auth.reason, data(auth.data)),
        Packet::Connack(connack) => {
            ("CONNACK", connack.reason, data(connack.properties.authentication_data))
        }
        Packet::Disconnect(disconnect) => ("DISCONNECT", disconnect.reason, Vec::new()),
        other => panic!("{other:?}"),
    })
}

/// Connects as this user by an exchange.
fn enter(broker: &Broker, client_id: &str, user: &str, password: &'static str) -> Client {
    let mut client = Client::new(Stream::tcp(broker.mqtt()));
    let mut exchange = Exchange::new(user, password);
    let first = exchange.first();
    let mut hello: Connect<'_> = connect(client_id, Version::V5);
    hello.properties.authentication_method = Some(SCRAM);
    hello.properties.authentication_data = Some(&first);
    client.send_connect(&hello);
    let (kind, reason, challenge) = answer(&mut client);
    assert_eq!((kind, reason), ("AUTH", ReasonCode::ContinueAuthentication));
    auth(&mut client, ReasonCode::ContinueAuthentication, &exchange.proof(&challenge));
    let (kind, reason, last) = answer(&mut client);
    assert_eq!((kind, reason), ("CONNACK", ReasonCode::Success));
    assert!(exchange.is_servers(&last), "the broker knows the password, too");
    client
}

/// Proves a user anew, and gives the broker's verdict.
fn renew(client: &mut Client, user: &str, password: &'static str) -> (&'static str, ReasonCode) {
    let mut exchange = Exchange::new(user, password);
    auth(client, ReasonCode::ReAuthenticate, &exchange.first());
    let (kind, reason, challenge) = answer(client);
    if reason != ReasonCode::ContinueAuthentication {
        return (kind, reason);
    }
    // All else goes on meanwhile.
    client.ping();
    auth(client, ReasonCode::ContinueAuthentication, &exchange.proof(&challenge));
    let (kind, reason, last) = answer(client);
    assert!(kind != "AUTH" || exchange.is_servers(&last));
    (kind, reason)
}

#[test]
fn a_client_renews_its_proof_by_scram_and_only_as_itself() {
    let mut users = String::new();
    for (user, password) in [("ann", "of ann"), ("bob", "of bob")] {
        let args = ["passwd", "-c", "-H", "scram-sha-256", "-b", "-", user, password];
        users += &run(&args).stdout;
    }
    let config = format!("{CONFIG}password_file @DIR@/passwd\n");
    let broker = Setup::default().config(&config).file("passwd", &users).start();
    let mut ann = enter(&broker, "a", "ann", "of ann");
    for _ in 0..2 {
        assert_eq!(renew(&mut ann, "ann", "of ann"), ("AUTH", ReasonCode::Success));
        ann.ping();
    }
    let refused = ("DISCONNECT", ReasonCode::NotAuthorized);
    // Bob is known, and his password right; but Ann's session is not his.
    assert_eq!(renew(&mut ann, "bob", "of bob"), refused);
    assert!(ann.until_closed().is_empty());
    let mut ann = enter(&broker, "a", "ann", "of ann");
    assert_eq!(renew(&mut ann, "ann", "of bob"), refused);
    assert!(ann.until_closed().is_empty());
    enter(&broker, "b", "bob", "of bob").ping();
}

fn base64url(bytes: &[u8]) -> String {
    encode_base64(bytes, false).replace('+', "-").replace('/', "_")
}

/// A folder of this test's own.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("halyard-proofs-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn openssl(words: &str, folder: &PathBuf) {
    let mut command = Command::new("openssl");
    let output = command.args(words.split(' ')).current_dir(folder).output().expect("openssl");
    assert!(output.status.success(), "{words}: {output:?}");
}

/// What is signed of a token for `user`.
fn unsigned(algorithm: &str, user: &str) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    let claims = format!(r#"{{"sub":"{user}","exp":4102444800}}"#);
    format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()))
}

fn rs256(user: &str, key: &str, folder: &PathBuf) -> String {
    let text = unsigned("RS256", user);
    fs::write(folder.join("text"), &text).unwrap();
    openssl(&format!("dgst -sha256 -sign {key} -out signature text"), folder);
    format!("{text}.{}", base64url(&fs::read(folder.join("signature")).unwrap()))
}

fn es256(user: &str, key: &KeyPair) -> String {
    let text = unsigned("ES256", user);
    let random = SystemRandom::new();
    let document = key.serialize_der();
    let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &random);
    let signature = signer.unwrap().sign(&random, text.as_bytes()).unwrap();
    format!("{text}.{}", base64url(signature.as_ref()))
}

fn login(broker: &Broker, user: &str, token: &str) -> ReasonCode {
    let mut client = Client::new(Stream::tcp(broker.mqtt()));
    let mut hello = connect(user, Version::V5);
    hello.username = Some(user);
    hello.password = Some(token.as_bytes());
    client.send_connect(&hello);
    answer(&mut client).1
}

#[test]
fn tokens_of_rsa_and_p_256_keys_are_passwords() {
    let folder = folder();
    for name in ["own", "foreign"] {
        openssl(&format!("genrsa -out {name}.key 2048"), &folder);
    }
    openssl("rsa -in own.key -pubout -out own.pub", &folder);
    let (own, foreign) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let rsa = fs::read_to_string(folder.join("own.pub")).unwrap();
    let keys = format!("{rsa}{}", own.public_key_pem());
    let config = format!("{CONFIG}jwt_key_file @DIR@/keys\n");
    let broker = Setup::default().config(&config).file("keys", &keys).start();
    let good = [("RS256", rs256("ann", "own.key", &folder)), ("ES256", es256("ann", &own))];
    for (algorithm, token) in &good {
        assert_eq!(login(&broker, "ann", token), ReasonCode::Success, "{algorithm}");
        assert_eq!(login(&broker, "bob", token), ReasonCode::BadUserNameOrPassword);
        let (_, signature) = token.rsplit_once('.').unwrap();
        let moved = format!("{}.{signature}", unsigned(algorithm, "eve"));
        assert_eq!(login(&broker, "eve", &moved), ReasonCode::BadUserNameOrPassword);
    }
    for token in [rs256("ann", "foreign.key", &folder), es256("ann", &foreign)] {
        assert_eq!(login(&broker, "ann", &token), ReasonCode::BadUserNameOrPassword);
    }
    fs::remove_dir_all(folder).unwrap();
}
