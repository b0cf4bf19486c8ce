//! Enhanced authentication (MQTT 5.0 §4.12): AUTH goes back and forth before CONNACK and after it,
//! with one method, and fails closed.

mod support;

use halyard_core::auth::{Authority, Credential, Denial, Grant, Question, Verdict, parse};
use halyard_core::engine::{AuthRequest, Config, Input};
use halyard_core::packet::Version;
use halyard_core::packet::{Auth, Connect, Disconnect, Packet, QoS, ReasonCode, UserProperties};
use std::sync::Arc;
use support::*;

const V5: Version = Version::V5;
const SCRAM: &str = "SCRAM-SHA-256";

fn house() -> Net {
    let key = halyard_core::auth::encode_base64(&[1; 32], true);
    let text = format!("ann:SCRAM-SHA-256$4096:c2FsdA==${key}:{key}\n");
    let parsed = parse("users", text.as_bytes());
    assert!(parsed.is_valid());
    let mut net = Net::new(1);
    let mut config = Config::clone(&net.config(0));
    config.listeners[0].allow_anonymous = false;
    config.listeners[0].authority =
        Some(Arc::new(Authority { users: Some(Arc::new(parsed.users)), tokens: None }));
    net.reconfigure(config);
    net
}

fn hello(method: &'static str) -> Connect<'static> {
    let mut packet = connect("c", V5);
    packet.properties.authentication_method = Some(method);
    packet.properties.authentication_data = Some(b"first");
    packet
}

fn auth(reason: ReasonCode, method: &'static str, data: &'static [u8]) -> Packet<'static> {
    Packet::Auth(Auth {
        reason,
        method: Some(method),
        data: Some(data),
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    })
}

fn more(data: &'static [u8]) -> Packet<'static> {
    auth(ReasonCode::ContinueAuthentication, SCRAM, data)
}

fn granted(net: &Net, user: &str, data: &[u8]) -> Verdict {
    let authority = net.config(0).listeners[0].authority.clone().unwrap();
    let fingerprint = authority.users.as_ref().unwrap().get("ann").unwrap().fingerprint;
    let credential = Credential::User(fingerprint);
    let grant = Grant { username: Some(user.into()), credential, expires: None, rights: None };
    Verdict::Granted { grant: Arc::new(grant), data: data.into() }
}

/// What the engine asks; there is one question.
fn question(net: &mut Net) -> AuthRequest {
    let question = net.questions.pop().unwrap();
    assert!(net.questions.is_empty());
    question
}

fn answer(net: &mut Net, raw: Raw, request: u32, verdict: Verdict) {
    net.input(0, Input::Authenticated { conn: raw.conn, request, verdict });
}

fn challenge() -> Verdict {
    Verdict::Continue { data: b"challenge"[..].into() }
}

/// A connection whose CONNECT was answered by a challenge.
fn challenged(net: &mut Net) -> Raw {
    let raw = net.open(0, V5);
    net.send(raw, &Packet::Connect(hello(SCRAM)));
    let first = question(net);
    let Question::Begin { method, data } = &first.question else { panic!() };
    assert_eq!((&**method, &**data), (SCRAM, &b"first"[..]));
    answer(net, raw, first.request, challenge());
    assert_eq!(net.read(raw), ["auth 0x18 SCRAM-SHA-256 challenge"]);
    assert!(!net.paused.contains(&raw.conn.0));
    raw
}

/// A client that was let in by an exchange.
fn entered(net: &mut Net) -> Raw {
    let raw = challenged(net);
    net.send(raw, &more(b"proof"));
    let second = question(net);
    let Question::Continue { data } = &second.question else { panic!() };
    assert_eq!(&**data, b"proof");
    let verdict = granted(net, "ann", b"final");
    answer(net, raw, second.request, verdict);
    assert_eq!(net.read(raw), ["connack 0x00 SCRAM-SHA-256 final"]);
    raw
}

#[test]
fn an_exchange_ends_in_connack_with_its_last_word() {
    let mut net = house();
    let raw = entered(&mut net);
    net.send(raw, &Packet::Pingreq);
    assert_eq!(net.read(raw), ["pingresp"]);
}

#[test]
fn a_method_that_is_not_offered_is_refused() {
    let mut net = house();
    for method in ["PLAIN", "", "SCRAM-SHA-1"] {
        let raw = net.open(0, V5);
        net.send(raw, &Packet::Connect(hello(method)));
        assert_eq!(net.read(raw), ["connack 0x8c"], "{method}");
        assert!(net.closed.contains_key(&raw.conn.0));
    }
    assert!(net.questions.is_empty());
}

#[test]
fn an_exchange_may_be_refused_at_any_point() {
    let mut net = house();
    let raw = net.open(0, V5);
    net.send(raw, &Packet::Connect(hello(SCRAM)));
    let first = question(&mut net);
    answer(&mut net, raw, first.request, Verdict::Denied(Denial::Credentials));
    assert_eq!(net.read(raw), ["connack 0x86"]);
    let raw = challenged(&mut net);
    net.send(raw, &more(b"wrong"));
    let second = question(&mut net);
    answer(&mut net, raw, second.request, Verdict::Denied(Denial::Credentials));
    assert_eq!(net.read(raw), ["connack 0x86"]);
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn the_method_stays_the_same_during_an_exchange() {
    let mut net = house();
    let raw = challenged(&mut net);
    net.send(raw, &auth(ReasonCode::ContinueAuthentication, "PLAIN", b"x"));
    assert_eq!(net.read(raw), ["connack 0x82"]);
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn only_auth_and_disconnect_may_come_before_connack() {
    let mut net = house();
    let raw = challenged(&mut net);
    net.send(raw, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"x")));
    assert_eq!(net.read(raw), ["connack 0x82"]);
    let raw = challenged(&mut net);
    net.send(raw, &auth(ReasonCode::ReAuthenticate, SCRAM, b"x"));
    assert_eq!(net.read(raw), ["connack 0x82"]);
    let raw = challenged(&mut net);
    net.send(raw, &Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
    assert_eq!(net.read(raw), Vec::<String>::new());
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn an_exchange_that_the_client_does_not_end_is_ended() {
    let mut net = house();
    let raw = challenged(&mut net);
    net.pass(11);
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn a_client_proves_itself_anew_while_all_else_goes_on() {
    let mut net = house();
    let raw = entered(&mut net);
    net.send(raw, &auth(ReasonCode::ReAuthenticate, SCRAM, b"again"));
    let first = question(&mut net);
    assert!(matches!(&first.question, Question::Begin { data, .. } if &**data == b"again"));
    net.send(raw, &Packet::Pingreq);
    assert_eq!(net.read(raw), ["pingresp"]);
    answer(&mut net, raw, first.request, challenge());
    assert_eq!(net.read(raw), ["auth 0x18 SCRAM-SHA-256 challenge"]);
    net.send(raw, &more(b"proof"));
    let second = question(&mut net);
    let verdict = granted(&net, "ann", b"done");
    answer(&mut net, raw, second.request, verdict);
    assert_eq!(net.read(raw), ["auth 0x00 SCRAM-SHA-256 done"]);
    net.send(raw, &Packet::Pingreq);
    assert_eq!(net.read(raw), ["pingresp"]);
}

#[test]
fn a_renewal_that_fails_ends_the_connection() {
    let mut net = house();
    let raw = entered(&mut net);
    net.send(raw, &auth(ReasonCode::ReAuthenticate, SCRAM, b"again"));
    let first = question(&mut net);
    answer(&mut net, raw, first.request, Verdict::Denied(Denial::Credentials));
    assert_eq!(net.read(raw), ["disconnect 0x87"]);
    // So does one as somebody else.
    let raw = entered(&mut net);
    net.send(raw, &auth(ReasonCode::ReAuthenticate, SCRAM, b"again"));
    let first = question(&mut net);
    let verdict = granted(&net, "bob", b"");
    answer(&mut net, raw, first.request, verdict);
    assert_eq!(net.read(raw), ["disconnect 0x87"]);
}

#[test]
fn a_renewal_keeps_the_method_and_an_auth_that_nothing_asked_for_is_an_error() {
    let mut net = house();
    let raw = entered(&mut net);
    net.send(raw, &auth(ReasonCode::ReAuthenticate, "PLAIN", b"x"));
    assert_eq!(net.read(raw), ["disconnect 0x82"]);
    let raw = entered(&mut net);
    net.send(raw, &more(b"x"));
    assert_eq!(net.read(raw), ["disconnect 0x82"]);
    let raw = entered(&mut net);
    net.send(raw, &auth(ReasonCode::ReAuthenticate, SCRAM, b"x"));
    net.send(raw, &auth(ReasonCode::ReAuthenticate, SCRAM, b"x"));
    assert_eq!(net.read(raw), ["disconnect 0x82"]);
}

#[test]
fn auth_before_connect_closes_without_a_word() {
    let mut net = house();
    let raw = net.open(0, V5);
    net.send(raw, &more(b"x"));
    assert_eq!(net.read(raw), Vec::<String>::new());
    assert!(net.closed.contains_key(&raw.conn.0));
}
