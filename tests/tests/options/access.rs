//! Options about who may connect and as whom.

use super::PAGES;
use super::enter;
use super::metric;
use super::reason;
use halyard_core::packet::Connect;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Setup;
use halyard_tests::connect;
use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

const OK: ReasonCode = ReasonCode::Success;
const BAD: ReasonCode = ReasonCode::BadUserNameOrPassword;

const CONFIG: &str = "user root\nlistener 0 127.0.0.1\nlistener 0 127.0.0.1\nprotocol http_api\n\
                      password_file @DIR@/passwd\n";

/// Password "pass", hashed as cheaply as Mosquitto does.
const PASS: &str = "$7$101$c2FsdHNhbHQ=$2lkFH6Ai+HsUVS1FkK7TVSvVpmrVrk3G3LWKeCPBtsszjlnlQJhE77btzcBuI5XbEq0lowC3BCLolRId+gF3Ow==";

/// A broker that knows ann and bob.
fn house(lines: &str) -> Broker {
    let users = format!("ann:{PASS}\nbob:{PASS}\n");
    Setup::default().config(&format!("{lines}{CONFIG}")).file("passwd", &users).start()
}

fn hello<'a>(client_id: &'a str, user: &'a str, password: &'a str) -> Connect<'a> {
    Connect {
        username: Some(user),
        password: Some(password.as_bytes()),
        ..connect(client_id, Version::V5)
    }
}

fn login(broker: &Broker, user: &str, password: &str) -> ReasonCode {
    enter(broker.mqtt(), &hello("c", user, password)).1
}

fn hashed(broker: &Broker) -> u64 {
    metric(broker, "halyard_passwords_hashed_total ")
}

#[test]
fn without_auth_cache_size_or_auth_cache_time_every_login_is_hashed() {
    for (lines, expected) in [
        ("", 1),
        ("auth_cache_size 0\n", 5),
        ("auth_cache_time 0\n", 5),
        ("auth_cache_size 2\n", 1),
    ] {
        let broker = house(lines);
        for _ in 0..5 {
            assert_eq!(login(&broker, "ann", "pass"), OK);
        }
        assert_eq!(hashed(&broker), expected, "{lines}");
    }
}

#[test]
fn auth_failures_per_address_bounds_guesses_whatever_the_name() {
    let broker = house("auth_failures_per_address 3\nauth_failures_per_user 0\n");
    assert_eq!(login(&broker, "bob", "pass"), OK);
    for user in ["ann", "eve", "mallory"] {
        assert_eq!(login(&broker, user, "guess"), BAD);
    }
    assert_eq!(login(&broker, "ann", "pass"), ReasonCode::ConnectionRateExceeded);
    assert_eq!(login(&broker, "bob", "pass"), OK, "he is known from before");
}

#[test]
fn auth_threads_is_how_many_hash_at_a_time() {
    let threads = |broker: &Broker| {
        let tasks = fs::read_dir(format!("/proc/{}/task", broker.pid())).expect("it runs");
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
        tasks.flatten().filter_map(name).filter(|name| name.trim() == "password").count()
    };
    let broker = house("auth_threads 2\nauth_cache_size 0\nauth_failures_per_user 0\n");
    assert_eq!(threads(&broker), 0, "none before it is needed");
    let mut clients = Vec::new();
    for number in 0..40 {
        let mut client = broker.connect();
        client.send_connect(&hello(&format!("c{number}"), "ann", "pass"));
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(reason(&client.receive()), OK);
    }
    assert!((1..=2).contains(&threads(&broker)), "{}", threads(&broker));
}

#[test]
fn clientid_owner_says_whose_a_session_is() {
    for (lines, second) in
        [("clientid_owner user\n", ReasonCode::NotAuthorized), ("clientid_owner none\n", OK)]
    {
        let broker = house(lines);
        let (mut ann, in_order) = enter(broker.mqtt(), &hello("same", "ann", "pass"));
        assert_eq!(in_order, OK);
        let (_bob, answer) = enter(broker.mqtt(), &hello("same", "bob", "pass"));
        assert_eq!(answer, second, "{lines}");
        if second == OK {
            assert_eq!(reason(&ann.receive()), ReasonCode::SessionTakenOver);
        } else {
            ann.ping();
        }
    }
}

#[test]
fn clientid_prefixes_keeps_others_out() {
    let broker =
        Broker::spawn("clientid_prefixes plant-\nallow_anonymous true\nlistener 0 127.0.0.1\n");
    let answer = |client_id| enter(broker.mqtt(), &connect(client_id, Version::V5)).1;
    assert_eq!((answer("plant-1"), answer("garden-1")), (OK, ReasonCode::NotAuthorized));
}

#[test]
fn per_listener_settings_gives_each_listener_its_own() {
    let config = "user root\nper_listener_settings true\nlistener 0 127.0.0.1\n\
                  allow_anonymous false\npassword_file @DIR@/passwd\nlistener 0 127.0.0.1\n\
                  allow_anonymous true\n";
    let users = format!("ann:{PASS}\n");
    let broker = Setup::default().config(config).file("passwd", &users).start();
    let [closed, open] = broker.addresses("mqtt")[..] else { panic!("{:?}", broker.log()) };
    let anonymous = |address| enter(address, &connect("c", Version::V5)).1;
    assert!(anonymous(closed).is_error());
    assert_eq!(anonymous(open), OK);
    let guess = |address| enter(address, &hello("c", "ann", "guess")).1;
    assert_eq!((guess(closed), guess(open)), (BAD, OK), "the open one knows no passwords");
}

#[test]
fn listener_allow_anonymous_is_the_word_of_its_listener() {
    let config = "user root\nallow_anonymous false\npassword_file @DIR@/passwd\n\
                  listener 0 127.0.0.1\nlistener 0 127.0.0.1\nlistener_allow_anonymous true\n";
    let users = format!("ann:{PASS}\n");
    let broker = Setup::default().config(config).file("passwd", &users).start();
    let answers: Vec<ReasonCode> = broker
        .addresses("mqtt")
        .into_iter()
        .map(|address| enter(address, &connect("c", Version::V5)).1)
        .collect();
    assert!(answers[0].is_error() && answers[1] == OK, "{answers:?}");
}

#[test]
fn allow_zero_length_clientid_false_refuses_a_client_without_a_name() {
    let config = "allow_anonymous true\nlistener 0 127.0.0.1\nallow_zero_length_clientid false\n";
    let broker = Broker::spawn(config);
    let (_, answer) = enter(broker.mqtt(), &connect("", Version::V5));
    assert_eq!(answer, ReasonCode::ClientIdentifierNotValid);
}

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

fn base64url(bytes: &[u8]) -> String {
    let text = halyard_core::auth::encode_base64(bytes, false);
    text.replace('+', "-").replace('/', "_")
}

/// A token with these claims that ends in an hour, by OpenSSL.
fn token(claims: &str) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
    let end = (now + Duration::from_secs(3600)).as_secs();
    let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = base64url(format!(r#"{{"exp":{end},{claims}}}"#).as_bytes());
    let signed = format!("{header}.{claims}");
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", JWT_SECRET, "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().expect("a pipe").write_all(signed.as_bytes()).expect("it reads");
    let tag = child.wait_with_output().expect("it ends").stdout;
    format!("{signed}.{}", base64url(&tag))
}

fn with_tokens(lines: &str) -> Broker {
    let config = format!("user root\nlistener 0 127.0.0.1\njwt_key_file @DIR@/key\n{lines}{PAGES}");
    Setup::default().config(&config).file("key", JWT_SECRET).start()
}

#[test]
fn jwt_issuer_and_jwt_audience_are_asked_for() {
    let right = token(r#""sub":"ann","iss":"https://a.example","aud":["x","mqtt"]"#);
    for (lines, claims) in [
        ("jwt_issuer https://a.example\n", r#""sub":"ann","iss":"https://b.example""#),
        ("jwt_issuer https://a.example\n", r#""sub":"ann""#),
        ("jwt_audience mqtt\n", r#""sub":"ann","aud":"http""#),
        ("jwt_audience mqtt\n", r#""sub":"ann""#),
    ] {
        let broker = with_tokens(lines);
        assert_eq!(login(&broker, "ann", &right), OK, "{lines}");
        assert_eq!(login(&broker, "ann", &token(claims)), BAD, "{lines}");
    }
}

#[test]
fn jwt_username_claim_is_who_the_client_is() {
    let broker = with_tokens("jwt_username_claim name\n");
    let token = token(r#""sub":"ann","name":"bob""#);
    assert_eq!((login(&broker, "bob", &token), login(&broker, "ann", &token)), (OK, BAD));
}

#[test]
fn jwt_acl_claim_is_what_it_may_do() {
    let broker = with_tokens("jwt_acl_claim rights\n");
    let token = token(r##""sub":"ann","acl":{"all":["#"]},"rights":{"all":["own/#"]}"##);
    let (mut client, answer) = enter(broker.mqtt(), &hello("c", "ann", &token));
    assert_eq!(answer, OK);
    client.subscribe("#", QoS::AtMostOnce);
    client.publish("other/t", b"denied");
    client.publish("own/t", b"x");
    let received = client.receive();
    assert!(received.bytes().windows(5).any(|text| text == b"own/t"), "{received:?}");
}
