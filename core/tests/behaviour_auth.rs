//! Who is let in (MQTT 5.0 §3.1, §5.4): what a CONNECT is asked, what waits meanwhile, whose a
//! Session is, and what a new configuration takes back.

mod support;

use halyard_core::auth::{Authority, Credential, Denial, Grant, Parsed, Question, Verdict, parse};
use halyard_core::conf::{BrokerConfig, ListenerConfig};
use halyard_core::engine::{Config, Input, Peer};
use halyard_core::packet::{Packet, QoS, ReasonCode, Version};
use halyard_core::time::WallClock;
use std::sync::Arc;
use support::*;

const V4: Version = Version::V4;
const V5: Version = Version::V5;

/// An authority whose users are these, each with this number for a password.
fn authority(users: &[(&str, u8)]) -> Arc<Authority> {
    let line = |(name, number): &(&str, u8)| {
        let salt = halyard_core::auth::encode_base64(&[*number; 12], true);
        format!("{name}:$7$101${salt}$c2FsdHNhbHRzYWx0c2FsdA==\n")
    };
    let text: String = users.iter().map(line).collect();
    let Parsed { users, faults } = parse("users", text.as_bytes());
    assert_eq!(faults, []);
    Arc::new(Authority { users: Some(Arc::new(users)), tokens: None })
}

fn configured(net: &mut Net, change: impl FnOnce(&mut BrokerConfig, &mut ListenerConfig)) {
    let mut config = Config::clone(&net.config(0));
    change(&mut config.broker, &mut config.listeners[0]);
    net.reconfigure(config);
}

/// A single engine whose listener knows ann and bob and nobody else.
fn closed_house() -> Net {
    let mut net = Net::new(1);
    configured(&mut net, |_, listener| {
        listener.allow_anonymous = false;
        listener.authority = Some(authority(&[("ann", 1), ("bob", 2)]));
    });
    net
}

/// Sends a CONNECT with user and password.
fn ask(net: &mut Net, client_id: &str, user: &str, version: Version) -> Raw {
    let raw = net.open(0, version);
    let mut packet = connect(client_id, version);
    packet.username = Some(user);
    packet.password = Some(b"the password");
    if version == V5 {
        packet.clean_start = false;
        packet.properties.session_expiry_interval = Some(1000);
    }
    net.send(raw, &Packet::Connect(packet));
    raw
}

fn grant(net: &Net, user: &str) -> Verdict {
    let authority = net.config(0).listeners[0].authority.clone().unwrap();
    let fingerprint = authority.users.as_ref().unwrap().get(user).unwrap().fingerprint;
    let credential = Credential::User(fingerprint);
    let grant = Grant { username: Some(user.into()), credential, expires: None, rights: None };
    Verdict::Granted { grant: Arc::new(grant), data: Box::default() }
}

fn answer(net: &mut Net, raw: Raw, request: u32, verdict: Verdict) {
    net.input(0, Input::Authenticated { conn: raw.conn, request, verdict });
}

/// A client of this user that was let in.
fn enter(net: &mut Net, client_id: &str, user: &str) -> Raw {
    let raw = ask(net, client_id, user, V5);
    let verdict = grant(net, user);
    answer(net, raw, 1, verdict);
    assert_eq!(net.read(raw).len(), 1);
    assert!(!net.closed.contains_key(&raw.conn.0));
    raw
}

#[test]
fn a_client_with_a_name_waits_for_the_verdict_and_what_it_sent_meanwhile_comes_after() {
    let mut net = closed_house();
    let raw = ask(&mut net, "c", "ann", V5);
    let mut question = net.questions.pop().unwrap();
    assert_eq!(question.username.as_deref(), Some("ann"));
    assert_eq!(&*question.client_id, "c");
    let Question::Password(Some(password)) = &mut question.question else { panic!() };
    assert_eq!(password.expose(), b"the password");
    assert_eq!(net.paused, [raw.conn.0]);
    net.subscribe(raw, "t", QoS::AtMostOnce);
    net.send(raw, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"x")));
    assert_eq!(net.read(raw), Vec::<String>::new());
    let verdict = grant(&net, "ann");
    answer(&mut net, raw, question.request, verdict);
    assert_eq!(net.read(raw), ["connack 0x00", "suback [0]", "publish t q0 x"]);
    assert_eq!(net.paused, Vec::<u64>::new());
}

#[test]
fn what_was_pipelined_in_the_bytes_of_connect_comes_after_it_too() {
    let mut net = closed_house();
    let raw = net.open(0, V4);
    let mut bytes = Vec::new();
    let mut hello = connect("c", V4);
    hello.username = Some("ann");
    hello.password = Some(b"p");
    halyard_core::codec::encode(&Packet::Connect(hello), V4, &mut bytes);
    halyard_core::codec::encode(&Packet::Pingreq, V4, &mut bytes);
    net.send_bytes(raw, &bytes);
    assert_eq!(net.read(raw), Vec::<String>::new());
    let verdict = grant(&net, "ann");
    answer(&mut net, raw, 1, verdict);
    assert_eq!(net.read(raw), ["connack 0x00", "pingresp"]);
}

#[test]
fn what_is_behind_a_refused_connect_is_not_processed() {
    let mut net = closed_house();
    let watcher = enter(&mut net, "w", "bob");
    net.subscribe(watcher, "#", QoS::AtMostOnce);
    net.read(watcher);
    let raw = ask(&mut net, "c", "ann", V5);
    net.send(raw, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"x")));
    answer(&mut net, raw, 1, Verdict::Denied(Denial::Credentials));
    assert_eq!(net.read(raw), ["connack 0x86"]);
    assert_eq!(net.read(watcher), Vec::<String>::new());
}

#[test]
fn too_much_behind_a_connect_that_waits_is_refused() {
    let mut net = closed_house();
    configured(&mut net, |broker, _| broker.max_pipelined_bytes = 100);
    let raw = ask(&mut net, "c", "ann", V5);
    net.send(raw, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, &[0; 50])));
    assert!(!net.closed.contains_key(&raw.conn.0));
    net.send(raw, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, &[0; 50])));
    assert_eq!(net.read(raw), ["connack 0x97"]);
    assert!(net.closed.contains_key(&raw.conn.0));
    let verdict = grant(&net, "ann");
    answer(&mut net, raw, 1, verdict);
    assert_eq!(net.stats()[0].clients_connected, 0);
    assert_eq!(net.stats()[0].pipelined_refused, 1);
}

#[test]
fn each_denial_has_its_code_in_every_version_and_closes() {
    for (denial, v5, v4) in [
        (Denial::Credentials, "connack 0x86", "connack 0x86"),
        (Denial::Busy, "connack 0x89", "connack 0x88"),
        (Denial::TooManyFailures, "connack 0x9f", "connack 0x88"),
    ] {
        for (version, said) in [(V5, v5), (V4, v4)] {
            let mut net = closed_house();
            let raw = ask(&mut net, "c", "ann", version);
            answer(&mut net, raw, 1, Verdict::Denied(denial));
            assert_eq!(net.read(raw), [said], "{denial:?} {version:?}");
            assert!(net.closed.contains_key(&raw.conn.0));
        }
    }
}

#[test]
fn an_unknown_user_and_a_wrong_password_are_told_the_same() {
    let mut net = closed_house();
    let mut told = Vec::new();
    for user in ["ann", "nobody"] {
        let raw = ask(&mut net, "c", user, V5);
        answer(&mut net, raw, 1, Verdict::Denied(Denial::Credentials));
        told.push((net.raw_packets(raw), format!("{:?}", net.closed[&raw.conn.0])));
    }
    assert_eq!(told[0], told[1]);
}

#[test]
fn no_password_is_in_a_snapshot() {
    let mut net = closed_house();
    ask(&mut net, "c", "ann", V5);
    let holds = |net: &Net| {
        let snapshot = net.engines[0].snapshot();
        snapshot.windows(8).any(|window| window == b"password")
    };
    assert!(!holds(&net));
    enter(&mut net, "d", "ann");
    assert!(!holds(&net));
    // Half a CONNECT, with the whole password in it.
    let raw = net.open(0, V4);
    let mut hello = connect("e", V4);
    hello.username = Some("ann");
    hello.password = Some(b"the password, and more");
    let mut bytes = Vec::new();
    halyard_core::codec::encode(&Packet::Connect(hello), V4, &mut bytes);
    net.send_bytes(raw, &bytes[..bytes.len() - 3]);
    assert!(!holds(&net));
}

#[test]
fn a_waiting_connect_survives_a_snapshot() {
    let mut net = closed_house();
    let raw = ask(&mut net, "c", "ann", V5);
    net.send(raw, &Packet::Pingreq);
    let bytes = net.engines[0].snapshot();
    let restored = halyard_core::engine::Engine::restore(net.config(0), &bytes, ()).unwrap();
    assert_eq!(restored.state_hash(), net.engines[0].state_hash());
    assert_eq!(restored.snapshot(), bytes);
    net.engines[0] = restored;
    let verdict = grant(&net, "ann");
    answer(&mut net, raw, 1, verdict);
    assert_eq!(net.read(raw), ["connack 0x00", "pingresp"]);
}

#[test]
fn a_client_without_a_name_is_let_in_where_anonymous_clients_are() {
    let mut net = closed_house();
    let refused = net.open(0, V5);
    net.send(refused, &Packet::Connect(connect("c", V5)));
    assert_eq!(net.read(refused), ["connack 0x87"]);
    configured(&mut net, |_, listener| listener.allow_anonymous = true);
    let welcome = net.open(0, V5);
    net.send(welcome, &Packet::Connect(connect("c", V5)));
    assert_eq!(net.read(welcome), ["connack 0x00"]);
    assert_eq!(net.questions.len(), 0);
    // Who says a name is asked for it all the same.
    let named = ask(&mut net, "d", "eve", V5);
    assert_eq!(net.questions.len(), 1);
    answer(&mut net, named, 1, Verdict::Denied(Denial::Credentials));
    assert_eq!(net.read(named), ["connack 0x86"]);
}

#[test]
fn a_password_without_a_name_and_a_name_without_a_password_are_asked_about() {
    let mut net = closed_house();
    let raw = net.open(0, V5);
    let mut hello = connect("c", V5);
    hello.password = Some(b"p");
    net.send(raw, &Packet::Connect(hello));
    let question = net.questions.pop().unwrap();
    assert_eq!(question.username, None);
    let raw = net.open(0, V5);
    let mut hello = connect("c", V5);
    hello.username = Some("");
    net.send(raw, &Packet::Connect(hello));
    let question = net.questions.pop().unwrap();
    assert_eq!(question.username.as_deref(), Some(""));
    assert!(matches!(question.question, Question::Password(None)));
}

#[test]
fn a_name_that_the_transport_proved_needs_no_password_and_stands_above_the_one_in_connect() {
    let mut net = closed_house();
    configured(&mut net, |_, listener| listener.use_username_as_clientid = true);
    let conn = halyard_core::engine::ConnectionId(9000);
    let identity = Some("cert".into());
    let accepted = net.now;
    net.input(0, Input::Opened { conn, peer: Peer::Local, listener: 0, identity, accepted });
    let raw = Raw { shard: 0, conn, version: V5 };
    let mut hello = connect("c", V5);
    hello.username = Some("somebody");
    net.send(raw, &Packet::Connect(hello));
    assert_eq!(net.read(raw), ["connack 0x00"]);
    assert_eq!(net.questions.len(), 0);
    let again = ask(&mut net, "x", "ann", V5);
    let verdict = grant(&net, "ann");
    answer(&mut net, again, 1, verdict);
    assert!(!net.closed.contains_key(&conn.0), "ann's identifier is ann, not cert");
}

#[test]
fn a_session_belongs_to_the_user_that_made_it() {
    let mut net = closed_house();
    let ann = enter(&mut net, "c", "ann");
    net.subscribe(ann, "t", QoS::AtLeastOnce);
    net.read(ann);
    for clean_start in [false, true] {
        let bob = net.open(0, V5);
        let mut hello = connect("c", V5);
        hello.username = Some("bob");
        hello.clean_start = clean_start;
        net.send(bob, &Packet::Connect(hello));
        let verdict = grant(&net, "bob");
        answer(&mut net, bob, 1, verdict);
        assert_eq!(net.read(bob), ["connack 0x87"]);
    }
    net.send(ann, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"still here")));
    assert_eq!(net.read(ann), ["publish t q0 still here"]);
    // Nor when she is away, nor for somebody without a name.
    net.drop_connection(ann);
    configured(&mut net, |_, listener| listener.allow_anonymous = true);
    let nobody = net.open(0, V5);
    net.send(nobody, &Packet::Connect(connect("c", V5)));
    assert_eq!(net.read(nobody), ["connack 0x87"]);
    let back = ask(&mut net, "c", "ann", V5);
    let verdict = grant(&net, "ann");
    answer(&mut net, back, 1, verdict);
    assert_eq!(net.read(back), ["connack 0x00 present"]);
}

#[test]
fn the_same_user_takes_his_session_over_and_anybody_an_anonymous_one() {
    let mut net = closed_house();
    let first = enter(&mut net, "c", "ann");
    enter(&mut net, "c", "ann");
    assert_eq!(net.read(first), ["disconnect 0x8e"]);
    configured(&mut net, |_, listener| listener.allow_anonymous = true);
    let nobody = net.client(0, "d", V5);
    enter(&mut net, "d", "bob");
    assert_eq!(net.read(nobody), ["disconnect 0x8e"]);
}

#[test]
fn clientid_owner_none_lets_anybody_take_over_as_mosquitto_does() {
    let mut net = closed_house();
    configured(&mut net, |broker, _| broker.sessions_have_owners = false);
    let ann = enter(&mut net, "c", "ann");
    enter(&mut net, "c", "bob");
    assert_eq!(net.read(ann), ["disconnect 0x8e"]);
}

#[test]
fn client_identifiers_may_have_to_begin_in_one_way() {
    let mut net = Net::new(1);
    configured(&mut net, |broker, _| broker.clientid_prefixes = Some("plant-".into()));
    for (client_id, said) in [("plant-1", "connack 0x00"), ("plan", "connack 0x87")] {
        let raw = net.open(0, V5);
        net.send(raw, &Packet::Connect(connect(client_id, V5)));
        assert_eq!(net.read(raw), [said]);
    }
}

#[test]
fn a_new_configuration_disconnects_whose_line_is_gone_or_another() {
    let mut net = closed_house();
    configured(&mut net, |_, listener| listener.allow_anonymous = true);
    let clients = ["ann", "bob"].map(|user| enter(&mut net, user, user));
    let nobody = net.client(0, "n", V5);
    configured(&mut net, |_, listener| {
        listener.authority = Some(authority(&[("ann", 1), ("bob", 9), ("eve", 3)]));
    });
    assert_eq!(net.read(clients[0]), Vec::<String>::new());
    assert_eq!(net.read(clients[1]), ["disconnect 0x98"]);
    assert!(net.closed.contains_key(&clients[1].conn.0));
    configured(&mut net, |_, listener| {
        listener.authority = Some(authority(&[("eve", 3)]));
        listener.allow_anonymous = false;
    });
    assert_eq!(net.read(clients[0]), ["disconnect 0x98"]);
    assert_eq!(net.read(nobody), ["disconnect 0x98"]);
    assert_eq!(net.stats()[0].clients_connected, 0);
}

#[test]
fn a_name_that_nobody_had_to_prove_does_not_outlive_the_first_list_of_users() {
    let mut net = Net::new(1);
    let (named, nameless) = (ask(&mut net, "c", "ann", V5), net.client(0, "d", V5));
    assert_eq!((net.read(named), net.read(nameless)), (vec!["connack 0x00".into()], vec![]));
    configured(&mut net, |_, listener| listener.authority = Some(authority(&[("ann", 1)])));
    assert_eq!(net.read(named), ["disconnect 0x98"]);
    assert_eq!(net.read(nameless), Vec::<String>::new());
    assert!(!net.closed.contains_key(&nameless.conn.0), "allow_anonymous still holds");
}

#[test]
fn a_verdict_about_a_line_that_was_changed_meanwhile_does_not_hold() {
    let mut net = closed_house();
    let raw = ask(&mut net, "c", "ann", V5);
    let verdict = grant(&net, "ann");
    configured(&mut net, |_, listener| listener.authority = Some(authority(&[("ann", 7)])));
    answer(&mut net, raw, 1, verdict);
    assert_eq!(net.read(raw), ["connack 0x86"]);
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut net = closed_house();
    let raw = ask(&mut net, "c", "ann", V5);
    let verdict = grant(&net, "ann");
    answer(&mut net, raw, 7, verdict.clone());
    assert_eq!(net.read(raw), Vec::<String>::new());
    answer(&mut net, raw, 1, verdict.clone());
    assert_eq!(net.read(raw), ["connack 0x00"]);
    answer(&mut net, raw, 1, Verdict::Denied(Denial::Credentials));
    assert_eq!(net.read(raw), Vec::<String>::new());
    let gone = ask(&mut net, "d", "ann", V5);
    net.drop_connection(gone);
    answer(&mut net, gone, 1, verdict);
    assert_eq!(net.stats()[0].clients_connected, 1);
}

#[test]
fn a_verdict_that_never_comes_ends_with_the_time_for_connect() {
    let mut net = closed_house();
    let raw = ask(&mut net, "c", "ann", V5);
    net.pass(9);
    assert!(!net.closed.contains_key(&raw.conn.0));
    net.pass(2);
    assert!(net.closed.contains_key(&raw.conn.0));
    assert_eq!(net.read(raw), Vec::<String>::new());
}

#[test]
fn the_time_for_connect_counts_from_the_accept_whatever_waits() {
    let mut net = closed_house();
    let raw = net.open(0, V5);
    net.pass(8);
    let mut hello = connect("c", V5);
    (hello.username, hello.password) = (Some("ann"), Some(&b"the password"[..]));
    net.send(raw, &Packet::Connect(hello));
    net.pass(1);
    assert!(!net.closed.contains_key(&raw.conn.0));
    net.pass(2);
    assert!(net.closed.contains_key(&raw.conn.0));
    // Who gets in has the whole of his Keep Alive from then on.
    let raw = net.open(0, V5);
    net.pass(8);
    let mut hello = connect("c", V5);
    hello.keep_alive = 10;
    (hello.username, hello.password) = (Some("ann"), Some(&b"the password"[..]));
    net.send(raw, &Packet::Connect(hello));
    let verdict = grant(&net, "ann");
    answer(&mut net, raw, 1, verdict);
    net.pass(14);
    assert!(!net.closed.contains_key(&raw.conn.0));
}

#[test]
fn a_transport_that_was_to_say_who_the_client_is_and_did_not_is_refused() {
    for version in [V4, V5] {
        let mut net = closed_house();
        let raw = Raw { shard: 0, conn: halyard_core::engine::ConnectionId(77), version };
        let (conn, accepted) = (raw.conn, net.now);
        let identity = Some("".into());
        net.input(0, Input::Opened { conn, peer: Peer::Local, listener: 0, identity, accepted });
        let mut hello = connect("c", version);
        (hello.username, hello.password) = (Some("ann"), Some(&b"the password"[..]));
        net.send(raw, &Packet::Connect(hello));
        // In 3.x that is 5 on the wire.
        assert_eq!(net.read(raw), ["connack 0x87"]);
        assert!(net.closed.contains_key(&raw.conn.0));
        assert!(net.questions.is_empty());
    }
}

#[test]
fn a_client_whose_certificate_is_revoked_is_disconnected() {
    let mut net = closed_house();
    let raw = enter(&mut net, "c", "ann");
    net.input(0, Input::Revoked { conn: raw.conn });
    assert_eq!(net.read(raw), ["disconnect 0x87"]);
    net.input(0, Input::Revoked { conn: raw.conn });
}

#[test]
fn clients_of_a_listener_that_is_gone_are_disconnected() {
    let mut net = closed_house();
    let raw = enter(&mut net, "c", "ann");
    let early = net.open(0, V5);
    configured(&mut net, |_, listener| listener.name = "another".into());
    assert_eq!(net.read(raw), ["disconnect 0x98"]);
    assert!(net.closed.contains_key(&raw.conn.0) && net.closed.contains_key(&early.conn.0));
}

#[test]
fn a_proof_that_ends_ends_the_connection() {
    let mut net = closed_house();
    net.pass(100);
    let raw = ask(&mut net, "c", "ann", V5);
    let Verdict::Granted { grant, data } = grant(&net, "ann") else { panic!() };
    let grant = Grant { expires: Some(WallClock(160_000)), ..Grant::clone(&grant) };
    answer(
        &mut net,
        raw,
        1,
        Verdict::Granted { grant: Arc::new(grant.clone()), data: data.clone() },
    );
    assert_eq!(net.read(raw), ["connack 0x00"]);
    net.pass(59);
    assert_eq!(net.read(raw), Vec::<String>::new());
    net.pass(2);
    assert_eq!(net.read(raw), ["disconnect 0x87"]);
    // And one that has ended does not hold.
    let late = ask(&mut net, "d", "ann", V5);
    answer(&mut net, late, 1, Verdict::Granted { grant: Arc::new(grant), data });
    assert_eq!(net.read(late), ["connack 0x86"]);
}

#[test]
fn a_shutdown_while_a_client_waits_says_nothing_before_connack() {
    let mut net = closed_house();
    let raw = ask(&mut net, "c", "ann", V5);
    net.shut_down();
    assert_eq!(net.read(raw), Vec::<String>::new());
    assert!(net.closed.contains_key(&raw.conn.0));
    assert_eq!(ReasonCode::ServerShuttingDown.as_u8(), 0x8B);
}

#[test]
fn rights_that_a_token_brought_stand_in_place_of_the_listeners() {
    let mut net = closed_house();
    let raw = ask(&mut net, "c", "ann", V5);
    let Verdict::Granted { grant: plain, data } = grant(&net, "ann") else { panic!() };
    let rights = "pattern read news/#\npattern write box/%c\npattern write news/%u\n";
    let with = Grant { rights: Some(rights.into()), ..Grant::clone(&plain) };
    answer(&mut net, raw, 1, Verdict::Granted { grant: Arc::new(with), data: data.clone() });
    net.read(raw);
    net.subscribe(raw, "#", QoS::AtMostOnce);
    net.read(raw);
    let talk = |net: &mut Net, raw: Raw| {
        for topic in ["news/ann", "box/c", "box/d", "news/bob"] {
            net.send(raw, &Packet::Publish(publish(topic, QoS::AtLeastOnce, 7, b"")));
        }
        let said = net.read(raw);
        said.iter().map(|line| line.split(" q0").next().unwrap_or_default().to_owned()).collect()
    };
    let expected =
        ["publish news/ann", "puback 7 0x00", "puback 7 0x00", "puback 7 0x87", "puback 7 0x87"];
    let said: Vec<String> = talk(&mut net, raw);
    assert_eq!(said, expected);
    let bytes = net.engines[0].snapshot();
    net.engines[0] = halyard_core::engine::Engine::restore(net.config(0), &bytes, ()).unwrap();
    assert_eq!(net.engines[0].snapshot(), bytes);
    let said: Vec<String> = talk(&mut net, raw);
    assert_eq!(said, expected);
    // The next proof says nothing of rights, and the listener has no list.
    let again = ask(&mut net, "c", "ann", V5);
    answer(&mut net, again, 1, Verdict::Granted { grant: plain, data });
    net.send(again, &Packet::Publish(publish("box/d", QoS::AtLeastOnce, 7, b"")));
    assert_eq!(net.read(again)[1..], ["publish box/d q0 ", "puback 7 0x00"]);
}
