//! The client's connection: CONNECT and its answers, Keep Alive, time-outs, reconnects, AUTH, and
//! a server that breaks the protocol (MQTT 5.0 §3.1, §3.2, §3.12, §3.14, §4.12, §4.13).

mod client_support;

use client_support::{Script, connack, message};
use halyard_core::client::{Acks, Backoff, CleanStart, Input, Options};
use halyard_core::packet::{
    Auth, Connack, ConnackProperties, Disconnect, Packet, QoS, ReasonCode, SubscribeFilter,
    SubscriptionOptions, UserProperties, Version,
};

const BACKOFF: Backoff = Backoff { min_ms: 100, max_ms: 1_000 };

fn options(version: Version) -> Options {
    Options { keep_alive: 10, reconnect: Some(BACKOFF), ..Options::new(version, "c") }
}

fn refusal(reason: ReasonCode) -> Packet<'static> {
    Packet::Connack(Connack { reason, ..connack(false) })
}

#[test]
fn every_version_connects_and_says_goodbye() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let mut script = Script::new(options(version));
        script.connect(&connack(false));
        assert_eq!(script.sent(), ["CONNECT 'c' clean=true"]);
        assert_eq!(script.events(), ["open", "connected present=false"]);
        script.client.disconnect(script.now, ReasonCode::Success, None).expect("allowed");
        assert_eq!(script.sent(), ["DISCONNECT Success"]);
        assert!(script.client.is_idle());
        assert_eq!(script.client.next_timeout(), None);
        // Whatever comes after it is not answered, and nothing more is sent.
        script.say(Packet::Pingresp);
        script.say(Packet::Publish(message("t", b"x", QoS::AtLeastOnce, Some(1))));
        assert_eq!(script.publish("t", "x", QoS::AtMostOnce), "Queued");
        assert!(script.client.disconnect(script.now, ReasonCode::Success, None).is_ok());
        script.wait_ms(100_000);
        script.input(Input::TransportClosed);
        script.wait_ms(100_000);
        assert_eq!(script.sent(), [""; 0]);
        assert_eq!(script.events(), [""; 0]);
    }
}

#[test]
fn a_client_does_not_say_goodbye_with_the_reasons_of_servers() {
    for (reason, is_allowed) in [
        (ReasonCode::ServerShuttingDown, false),
        (ReasonCode::SessionTakenOver, false),
        (ReasonCode::UseAnotherServer, false),
        (ReasonCode::DisconnectWithWill, true),
        (ReasonCode::UnspecifiedError, true),
    ] {
        let mut script = Script::connected(options(Version::V5));
        let said = script.client.disconnect(script.now, reason, None);
        assert_eq!((said.is_ok(), script.sent().len()), (is_allowed, usize::from(is_allowed)));
    }
}

#[test]
fn a_ping_goes_out_after_silence_and_its_answer_is_awaited() {
    let mut script = Script::connected(options(Version::V4));
    script.wait_ms(9_000);
    assert!(script.sent().is_empty());
    script.wait_ms(1_000);
    assert_eq!(script.sent(), ["PINGREQ"]);
    script.say(Packet::Pingresp);
    script.wait_ms(10_000);
    assert_eq!(script.sent(), ["PINGREQ"]);
    script.wait_ms(10_000);
    assert_eq!(script.events(), ["close", "disconnected: no PINGRESP in time", "reconnect"]);
}

#[test]
fn publishing_alone_does_not_hide_a_dead_server() {
    let mut script = Script::connected(options(Version::V4));
    for _ in 0..10 {
        script.wait_ms(1_000);
        script.publish("t", "x", QoS::AtMostOnce);
    }
    assert!(script.sent().contains(&"PINGREQ".to_owned()));
}

#[test]
fn the_server_keep_alive_counts() {
    let mut script = Script::new(options(Version::V5));
    let properties = ConnackProperties { server_keep_alive: Some(3), ..Default::default() };
    script.connect(&Connack { properties, ..connack(false) });
    script.sent();
    script.wait_ms(3_000);
    assert_eq!(script.sent(), ["PINGREQ"]);
    let mut off = Script::connected(Options { keep_alive: 0, ..options(Version::V5) });
    assert_eq!(off.client.next_timeout(), None);
    off.wait_ms(1_000_000);
    assert!(off.sent().is_empty());
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let mut script = Script::new(options(Version::V5));
    script.input(Input::Timeout);
    script.input(Input::TransportOpened);
    assert!(script.sent().is_empty(), "nothing before connect()");
    let mut script = Script::new(Options { connect_timeout_ms: 500, ..options(Version::V5) });
    script.connect(&connack(false));
    script.break_and_reopen();
    script.events();
    script.wait_ms(500);
    assert_eq!(script.events(), ["close", "disconnected: no CONNACK in time", "reconnect"]);
}

#[test]
fn a_refusal_that_cannot_change_stops_the_client() {
    for (reason, last) in [
        (ReasonCode::BadUserNameOrPassword, "stopped"),
        (ReasonCode::NotAuthorized, "stopped"),
        (ReasonCode::ServerUnavailable, "reconnect"),
    ] {
        for version in [Version::V4, Version::V5] {
            let mut script = Script::new(options(version));
            let Packet::Connack(answer) = refusal(reason) else { return };
            script.connect(&answer);
            let events = script.events();
            assert_eq!(events[1], format!("refused {reason:?}"));
            assert_eq!(events.last().map(String::as_str), Some(last));
        }
    }
}

#[test]
fn a_takeover_does_not_start_a_fight() {
    let mut script = Script::connected(options(Version::V5));
    script.say(Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver)));
    let events = script.events();
    assert_eq!(
        events,
        ["close", "disconnected: the server disconnected: Session taken over", "stopped"]
    );
    let mut script = Script::connected(options(Version::V5));
    script.say(Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown)));
    assert_eq!(script.events().last().map(String::as_str), Some("reconnect"));
}

#[test]
fn an_assigned_identifier_is_kept_for_the_reconnect() {
    let mut script = Script::new(Options { client_id: String::new(), ..options(Version::V5) });
    let properties =
        ConnackProperties { assigned_client_identifier: Some("auto-7"), ..Default::default() };
    script.connect(&Connack { properties, ..connack(false) });
    assert_eq!(script.client.client_id(), "auto-7");
    script.sent();
    script.break_and_reopen();
    assert_eq!(script.sent(), ["CONNECT 'auto-7' clean=false"]);
}

#[test]
fn clean_start_is_asked_as_often_as_wanted() {
    for (clean_start, expected) in [
        (CleanStart::Always, ["true", "true"]),
        (CleanStart::First, ["true", "false"]),
        (CleanStart::Never, ["false", "false"]),
    ] {
        let mut script = Script::new(Options { clean_start, ..options(Version::V5) });
        script.connect(&connack(false));
        assert_eq!(script.sent(), [format!("CONNECT 'c' clean={}", expected[0])]);
        script.break_and_reopen();
        assert_eq!(script.sent(), [format!("CONNECT 'c' clean={}", expected[1])]);
    }
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_and_left() {
    let malformed = Script::connected(options(Version::V5));
    let wrong: [(&[u8], ReasonCode); 5] = [
        (&[0x20, 3, 0, 0, 0], ReasonCode::ProtocolError),
        (&[0xC0, 0], ReasonCode::ProtocolError),
        (&[0x00, 0], ReasonCode::MalformedPacket),
        (&[0x30, 6, 0, 0, 3, 0x23, 0, 1], ReasonCode::TopicAliasInvalid),
        (&[0x30, 7, 0, 1, b't', 3, 0x23, 0, 1], ReasonCode::TopicAliasInvalid),
    ];
    for (bytes, reason) in wrong {
        let mut script = Script::connected(options(Version::V5));
        script.client = malformed.client.clone();
        script.input(Input::Bytes(bytes));
        let events = script.events();
        assert_eq!(events.first().map(String::as_str), Some("close"), "{bytes:?}");
        assert!(events[1].starts_with("disconnected: "), "{events:?}");
        assert_eq!(script.client.output().first(), Some(&0xE0));
        assert_eq!(script.client.output().get(2), Some(&reason.as_u8()), "{events:?}");
    }
}

#[test]
fn session_present_after_clean_start_is_refused() {
    let mut script = Script::new(options(Version::V5));
    script.connect(&connack(true));
    assert_eq!(script.events()[1], "close");
}

#[test]
fn an_oversized_packet_is_refused_with_its_reason() {
    let mut script =
        Script::connected(Options { maximum_packet_size: Some(64), ..options(Version::V5) });
    let payload = [b'x'; 100];
    script.say(Packet::Publish(message("t", &payload, QoS::AtMostOnce, None)));
    assert_eq!(script.client.output().get(2), Some(&ReasonCode::PacketTooLarge.as_u8()));
}

#[test]
fn an_authentication_goes_back_and_forth() {
    let method = Some("M".to_owned());
    let auth_options = Options {
        authentication_method: method,
        acks: Acks::Manual,
        connect_timeout_ms: 60_000,
        ..options(Version::V5)
    };
    let mut script = Script::new(auth_options);
    let challenge = |reason| {
        Packet::Auth(Auth {
            reason,
            method: Some("M"),
            data: Some(b"?"),
            reason_string: None,
            user_properties: UserProperties::EMPTY,
        })
    };
    script.input(Input::TransportClosed);
    script.connect(&connack(false));
    script.break_and_reopen();
    script.sent();
    script.events();
    // Nothing but AUTH and DISCONNECT goes out before CONNACK.
    let none = UserProperties::EMPTY;
    let filter =
        SubscribeFilter { filter: "t", options: SubscriptionOptions::new(QoS::AtMostOnce) };
    assert!(script.client.subscribe(script.now, &[filter], None, none).is_err());
    assert!(script.client.unsubscribe(script.now, &["t"], none).is_err());
    assert_eq!(script.publish("t", "x", QoS::AtLeastOnce), "Queued");
    script.now = script.now.plus_secs(12);
    script.input(Input::Timeout);
    assert_eq!(script.sent(), [""; 0], "no PINGREQ either");
    script.say(challenge(ReasonCode::ContinueAuthentication));
    assert_eq!(script.events(), ["auth ContinueAuthentication Some([63])"]);
    let continued = ReasonCode::ContinueAuthentication;
    script.client.auth(script.now, continued, Some(b"!")).expect("has a method");
    assert_eq!(script.sent(), ["AUTH ContinueAuthentication Some([33])"]);
    assert!(script.client.auth(script.now, ReasonCode::ReAuthenticate, None).is_err());
    script.say(Packet::Connack(connack(false)));
    assert_eq!(script.sent(), ["t:x q1 #1"], "now it does");
    script.client.auth(script.now, ReasonCode::ReAuthenticate, Some(b"!")).expect("connected");
    assert_eq!(script.sent(), ["AUTH ReAuthenticate Some([33])"]);
    let mut without = Script::connected(options(Version::V5));
    without.say(challenge(ReasonCode::ContinueAuthentication));
    assert_eq!(without.events().first().map(String::as_str), Some("close"));
}

#[test]
fn two_clients_of_one_seed_do_the_same() {
    let run = || {
        let mut script = Script::new(options(Version::V5));
        script.connect(&connack(false));
        for _ in 0..5 {
            script.break_and_reopen();
        }
        script.now
    };
    assert_eq!(run(), run());
}
