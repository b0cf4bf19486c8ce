//! CONNECT, CONNACK, DISCONNECT, Keep Alive, wills and sessions, statement by statement
//! (MQTT 5.0 §3.1, §3.2, §3.14, §4.1; MQTT 3.1.1 §3.1, §3.2, §3.14).

mod support;

use halyard_core::conf::BrokerConfig;
use halyard_core::engine::CloseReason;
use halyard_core::packet::{
    Disconnect, Packet, QoS, ReasonCode, UserPropertiesBuf, Version, Will, WillProperties,
};
use support::{Net, Raw, connect, publish};

const ALL: [Version; 3] = [Version::V3, Version::V4, Version::V5];

fn will(topic: &'static str, qos: QoS, retain: bool) -> Will<'static> {
    Will { qos, retain, topic, payload: b"gone", properties: WillProperties::default() }
}

/// A client whose will goes to `w`, with a delay and a Session Expiry Interval in 5.0.
fn mortal(net: &mut Net, name: &str, delay: u32, expiry: u32) -> Raw {
    let raw = net.open(0, Version::V5);
    let mut packet = connect(name, Version::V5);
    let mut last = will("w", QoS::AtMostOnce, false);
    last.properties.delay_interval = Some(delay);
    packet.will = Some(last);
    packet.properties.session_expiry_interval = Some(expiry);
    packet.clean_start = false;
    net.send(raw, &Packet::Connect(packet));
    net.read(raw);
    raw
}

fn watcher(net: &mut Net) -> Raw {
    let raw = net.client(0, "watcher", Version::V5);
    net.subscribe(raw, "w", QoS::AtMostOnce);
    net.read(raw);
    raw
}

fn reconnect(net: &mut Net, name: &str, version: Version, clean: bool, expiry: u32) -> Vec<String> {
    let raw = net.open(0, version);
    let mut packet = connect(name, version);
    packet.clean_start = clean;
    packet.properties.session_expiry_interval = version.is_v5().then_some(expiry);
    net.send(raw, &Packet::Connect(packet));
    let answer = net.read(raw);
    net.drop_connection(raw);
    answer
}

#[test]
fn the_first_packet_is_connect() {
    for version in ALL {
        let mut net = Net::new(1);
        let raw = net.open(0, version);
        net.send(raw, &Packet::Pingreq);
        assert!(matches!(net.closed[&raw.conn.0], CloseReason::Malformed(_)));
        assert_eq!(net.read(raw), Vec::<String>::new());
    }
}

#[test]
fn a_second_connect_is_a_protocol_error() {
    for version in ALL {
        let mut net = Net::new(1);
        let raw = net.client(0, "c", version);
        net.send(raw, &Packet::Connect(connect("c", version)));
        assert!(net.closed.contains_key(&raw.conn.0));
        let expected: &[&str] = if version.is_v5() { &["disconnect 0x82"] } else { &[] };
        assert_eq!(net.read(raw), expected);
    }
}

#[test]
fn an_unknown_protocol_level_is_refused() {
    let mut net = Net::new(1);
    let raw = net.open(0, Version::V4);
    net.send_bytes(raw, b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x00\x00\x01c");
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn a_version_that_the_listener_does_not_speak_is_refused() {
    let mut net = Net::new(1);
    let mut config = (*net.config(0)).clone();
    config.listeners[0].accept_v311 = false;
    config.listeners[0].accept_v5 = false;
    net.reconfigure(config);
    let (four, five) = (net.open(0, Version::V4), net.open(0, Version::V5));
    net.send(four, &Packet::Connect(connect("c", Version::V4)));
    net.send(five, &Packet::Connect(connect("c", Version::V5)));
    assert_eq!(net.read(four), ["connack 0x84"]);
    assert_eq!(net.read(five), ["connack 0x84"]);
    assert!(net.closed.len() == 2);
}

#[test]
fn clean_start_discards_the_session() {
    for version in ALL {
        let mut net = Net::new(1);
        assert_eq!(reconnect(&mut net, "c", version, false, 100), ["connack 0x00"]);
        let present = match version {
            Version::V3 => "connack 0x00",
            _ => "connack 0x00 present",
        };
        assert_eq!(reconnect(&mut net, "c", version, false, 100), [present]);
        assert_eq!(reconnect(&mut net, "c", version, true, 100), ["connack 0x00"]);
        assert_eq!(net.stats()[0].clients_total, u64::from(version.is_v5()));
    }
}

#[test]
fn a_session_ends_with_its_connection_or_when_its_interval_has_passed() {
    let mut net = Net::new(1);
    reconnect(&mut net, "short", Version::V5, true, 0);
    assert_eq!(net.stats()[0].clients_total, 0);
    reconnect(&mut net, "long", Version::V5, true, 10);
    net.pass(9);
    assert_eq!(net.stats()[0].clients_total, 1);
    net.pass(2);
    assert_eq!((net.stats()[0].clients_total, net.stats()[0].clients_expired), (0, 1));
}

#[test]
fn a_session_does_not_expire_while_its_client_is_connected() {
    let mut net = Net::new(1);
    reconnect(&mut net, "c", Version::V5, true, 10);
    let raw = net.open(0, Version::V5);
    let mut packet = connect("c", Version::V5);
    packet.clean_start = false;
    packet.properties.session_expiry_interval = Some(10);
    net.send(raw, &Packet::Connect(packet));
    net.pass(100);
    assert_eq!(net.stats()[0].clients_total, 1);
    net.drop_connection(raw);
    net.pass(11);
    assert_eq!(net.stats()[0].clients_total, 0);
}

#[test]
fn disconnect_may_change_the_session_expiry_interval_but_not_from_zero() {
    let mut net = Net::new(1);
    let bye = |expiry| {
        let mut packet = Disconnect::new(ReasonCode::Success);
        packet.session_expiry_interval = Some(expiry);
        Packet::Disconnect(packet)
    };
    let raw = net.client(0, "zero", Version::V5);
    net.send(raw, &bye(10));
    assert_eq!(net.read(raw), ["disconnect 0x82"]);
    let raw = net.open(0, Version::V5);
    let mut packet = connect("c", Version::V5);
    packet.properties.session_expiry_interval = Some(1000);
    net.send(raw, &Packet::Connect(packet));
    net.send(raw, &bye(5));
    net.pass(6);
    assert_eq!(net.stats()[0].clients_total, 0);
}

#[test]
fn takeover_disconnects_the_old_connection() {
    for version in ALL {
        let mut net = Net::new(1);
        let old = net.client(0, "c", version);
        let new = net.client(0, "c", version);
        let expected: &[&str] = if version.is_v5() { &["disconnect 0x8e"] } else { &[] };
        assert_eq!(net.read(old), expected);
        assert_eq!(net.closed[&old.conn.0], CloseReason::TakenOver);
        net.send(new, &Packet::Pingreq);
        assert_eq!(net.read(new), ["pingresp"]);
        assert_eq!(net.stats()[0].clients_connected, 1);
    }
}

#[test]
fn an_empty_client_identifier_is_assigned_or_refused() {
    let mut net = Net::new(1);
    let (a, b) = (net.open(0, Version::V5), net.open(0, Version::V5));
    for raw in [a, b] {
        net.send(raw, &Packet::Connect(connect("", Version::V5)));
        assert_eq!(net.read(raw), ["connack 0x00 assigned"]);
    }
    assert_eq!(net.stats()[0].clients_connected, 2, "the identifiers differ");
    let raw = net.open(0, Version::V4);
    net.send(raw, &Packet::Connect(connect("", Version::V4)));
    assert_eq!(net.read(raw), ["connack 0x00"]);
    let raw = net.open(0, Version::V4);
    let mut packet = connect("", Version::V4);
    packet.clean_start = false;
    net.send(raw, &Packet::Connect(packet));
    assert_eq!(net.read(raw), ["connack 0x85"]);
    assert!(net.closed.contains_key(&raw.conn.0));
    let raw = net.open(0, Version::V3);
    net.send(raw, &Packet::Connect(connect("", Version::V3)));
    assert_eq!(net.read(raw), ["connack 0x85"]);
}

#[test]
fn client_identifiers_of_any_characters_and_length_are_allowed() {
    for version in ALL {
        let mut net = Net::new(1);
        for name in
            ["0", "abcdefghijklmnopqrstuvw", "ABCXYZ019", "a name/with +#", &"x".repeat(300)]
        {
            net.client(0, name, version);
        }
        assert_eq!(net.stats()[0].clients_connected, 5);
    }
}

#[test]
fn nothing_after_a_refused_connect_is_processed() {
    let mut net = Net::with(1, BrokerConfig { retain_available: false, ..BrokerConfig::default() });
    let raw = net.open(0, Version::V5);
    let mut bytes = Vec::new();
    let mut packet = connect("c", Version::V5);
    packet.will = Some(will("w", QoS::AtMostOnce, true));
    halyard_core::codec::encode(&Packet::Connect(packet), Version::V5, &mut bytes);
    halyard_core::codec::encode(&Packet::Pingreq, Version::V5, &mut bytes);
    net.send_bytes(raw, &bytes);
    assert_eq!(net.read(raw), ["connack 0x9a"]);
    net.send(raw, &Packet::Pingreq);
    assert_eq!(net.read(raw), Vec::<String>::new());
    assert_eq!(net.stats()[0].clients_total, 0);
}

#[test]
fn a_will_over_the_maximum_qos_is_refused() {
    let mut net = Net::new(1);
    let mut config = (*net.config(0)).clone();
    config.listeners[0].max_qos = 1;
    net.reconfigure(config);
    let raw = net.open(0, Version::V5);
    let mut packet = connect("c", Version::V5);
    packet.will = Some(will("w", QoS::ExactlyOnce, false));
    net.send(raw, &Packet::Connect(packet));
    assert_eq!(net.read(raw), ["connack 0x9b"]);
}

#[test]
fn an_authentication_method_is_refused_where_none_is_configured() {
    let mut net = Net::new(1);
    let raw = net.open(0, Version::V5);
    let mut packet = connect("c", Version::V5);
    packet.properties.authentication_method = Some("SCRAM-SHA-256");
    net.send(raw, &Packet::Connect(packet));
    assert_eq!(net.read(raw), ["connack 0x8c"]);
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn auth_without_a_method_in_connect_is_a_protocol_error() {
    let mut net = Net::new(1);
    let raw = net.client(0, "c", Version::V5);
    let auth = halyard_core::packet::Auth {
        reason: ReasonCode::ReAuthenticate,
        method: Some("x"),
        data: None,
        reason_string: None,
        user_properties: halyard_core::packet::UserProperties::EMPTY,
    };
    net.send(raw, &Packet::Auth(auth));
    assert_eq!(net.read(raw), ["disconnect 0x82"]);
}

#[test]
fn anonymous_clients_are_refused_where_they_are_not_allowed() {
    for (version, code) in [(Version::V4, "connack 0x87"), (Version::V5, "connack 0x87")] {
        let mut net = Net::new(1);
        let mut config = (*net.config(0)).clone();
        config.listeners[0].allow_anonymous = false;
        net.reconfigure(config);
        let raw = net.open(0, version);
        net.send(raw, &Packet::Connect(connect("c", version)));
        assert_eq!(net.read(raw), [code]);
        assert!(net.closed.contains_key(&raw.conn.0));
    }
}

#[test]
fn the_keep_alive_ends_a_silent_connection_after_one_and_a_half_times() {
    for version in ALL {
        let mut net = Net::new(1);
        let watching = watcher(&mut net);
        let raw = net.open(0, version);
        let mut packet = connect("c", version);
        packet.keep_alive = 10;
        packet.will = Some(will("w", QoS::AtMostOnce, false));
        net.send(raw, &Packet::Connect(packet));
        net.read(raw);
        net.pass(14);
        net.send(raw, &Packet::Pingreq);
        net.pass(14);
        assert!(!net.closed.contains_key(&raw.conn.0));
        net.pass(2);
        assert_eq!(net.closed[&raw.conn.0], CloseReason::KeepAliveTimeout);
        let expected: &[&str] =
            if version.is_v5() { &["pingresp", "disconnect 0x8d"] } else { &["pingresp"] };
        assert_eq!(net.read(raw), expected);
        assert_eq!(net.read(watching), ["publish w q0 gone"], "as if the network had failed");
    }
}

#[test]
fn a_server_keep_alive_replaces_a_longer_one() {
    let mut net = Net::with(1, BrokerConfig { max_keepalive: 60, ..BrokerConfig::default() });
    let raw = net.open(0, Version::V5);
    let mut packet = connect("c", Version::V5);
    packet.keep_alive = 1000;
    net.send(raw, &Packet::Connect(packet));
    assert_eq!(net.read(raw), ["connack 0x00 keepalive60"]);
    net.pass(91);
    assert_eq!(net.closed[&raw.conn.0], CloseReason::KeepAliveTimeout);
    let raw = net.open(0, Version::V4);
    net.send(raw, &Packet::Connect(connect("c", Version::V4)));
    assert_eq!(net.read(raw), ["connack 0x85"], "3.x cannot be told");
}

#[test]
fn a_connection_without_connect_is_closed_in_time() {
    let mut net = Net::new(1);
    let raw = net.open(0, Version::V5);
    net.send_bytes(raw, b"\x10");
    net.pass(11);
    assert_eq!(net.closed[&raw.conn.0], CloseReason::ConnectTimeout);
}

#[test]
fn an_unfinished_packet_is_not_waited_for_without_end() {
    let mut net = Net::new(1);
    let raw = net.client(0, "c", Version::V5);
    net.send_bytes(raw, b"\x30\x7f");
    net.pass(61);
    assert_eq!(net.closed[&raw.conn.0], CloseReason::PacketTimeout);
}

#[test]
fn a_busy_stream_that_is_always_cut_in_a_packet_goes_on() {
    let mut net = Net::new(1);
    let raw = net.client(0, "c", Version::V5);
    for _ in 0..20 {
        net.send_bytes(raw, b"\xc0");
        net.pass(10);
        net.send_bytes(raw, b"\x00\xc0");
        net.pass(10);
        net.send_bytes(raw, b"\x00");
    }
    assert!(!net.closed.contains_key(&raw.conn.0));
    assert_eq!(net.read(raw).len(), 40);
}

#[test]
fn the_will_is_published_when_the_connection_is_lost() {
    for version in ALL {
        for (qos, expected) in
            [(QoS::AtMostOnce, "publish w q0 gone"), (QoS::ExactlyOnce, "publish w q2 id1 gone")]
        {
            let mut net = Net::new(1);
            let watching = net.client(0, "watcher", version);
            net.subscribe(watching, "w", QoS::ExactlyOnce);
            net.read(watching);
            let raw = net.open(0, version);
            let mut packet = connect("c", version);
            packet.will = Some(will("w", qos, false));
            net.send(raw, &Packet::Connect(packet));
            net.drop_connection(raw);
            assert_eq!(net.read(watching), [expected]);
            assert_eq!(net.stats()[0].retained, 0);
        }
    }
}

#[test]
fn a_retained_will_is_retained() {
    for version in ALL {
        let mut net = Net::new(1);
        let raw = net.open(0, version);
        let mut packet = connect("c", version);
        packet.will = Some(will("w", QoS::AtLeastOnce, true));
        net.send(raw, &Packet::Connect(packet));
        net.drop_connection(raw);
        let late = net.client(0, "late", version);
        net.subscribe(late, "w", QoS::AtMostOnce);
        assert_eq!(net.read(late), ["suback [0]", "publish w q0 retain gone"]);
    }
}

#[test]
fn a_client_without_a_will_leaves_none() {
    for version in ALL {
        let mut net = Net::new(1);
        let watching = net.client(0, "watcher", Version::V5);
        net.subscribe(watching, "#", QoS::ExactlyOnce);
        net.read(watching);
        let raw = net.client(0, "c", version);
        net.drop_connection(raw);
        net.pass(1000);
        assert_eq!(net.read(watching), Vec::<String>::new());
    }
}

#[test]
fn a_will_that_was_published_is_forgotten() {
    for version in ALL {
        let mut net = Net::new(1);
        let watching = watcher(&mut net);
        let raw = net.open(0, version);
        let mut packet = connect("c", version);
        packet.clean_start = false;
        packet.properties.session_expiry_interval = version.is_v5().then_some(100);
        packet.will = Some(will("w", QoS::AtMostOnce, false));
        net.send(raw, &Packet::Connect(packet));
        net.drop_connection(raw);
        assert_eq!(net.read(watching), ["publish w q0 gone"]);
        reconnect(&mut net, "c", version, false, 100);
        net.pass(1000);
        assert_eq!(net.read(watching), Vec::<String>::new(), "neither at once nor with the end");
    }
}

#[test]
fn the_properties_of_a_will_go_with_it_in_their_order() {
    let mut net = Net::new(1);
    let watching = watcher(&mut net);
    let mut users = UserPropertiesBuf::new();
    for (name, value) in [("b", "1"), ("a", "2"), ("b", "3")] {
        assert!(users.push(name, value));
    }
    let raw = net.open(0, Version::V5);
    let mut packet = connect("c", Version::V5);
    let mut last = will("w", QoS::AtMostOnce, false);
    last.properties.payload_format_utf8 = Some(true);
    last.properties.message_expiry_interval = Some(100);
    last.properties.response_topic = Some("reply/to");
    last.properties.correlation_data = Some(b"\x00\x01");
    last.properties.content_type = Some("text/plain");
    last.properties.user_properties = users.as_ref();
    packet.will = Some(last);
    net.send(raw, &Packet::Connect(packet));
    net.drop_connection(raw);
    assert_eq!(
        net.properties(watching),
        "format=true expiry=100 response=reply/to correlation=[0, 1] content=text/plain \
         user=b:1,a:2,b:3"
    );
}

#[test]
fn a_refusal_says_nothing_of_a_session_that_exists() {
    for version in [Version::V4, Version::V5] {
        let mut net = Net::new(1);
        reconnect(&mut net, "c", version, false, 100);
        assert_eq!(reconnect(&mut net, "c", version, false, 100), ["connack 0x00 present"]);
        net.reconfigure_all(|config| config.listeners[0].allow_anonymous = false);
        assert_eq!(reconnect(&mut net, "c", version, false, 100), ["connack 0x87"]);
    }
}

#[test]
fn no_response_information_is_given() {
    for asked in [false, true] {
        let mut net = Net::new(1);
        let raw = net.open(0, Version::V5);
        let mut packet = connect("c", Version::V5);
        packet.properties.request_response_information = asked;
        net.send(raw, &Packet::Connect(packet));
        let packets = net.raw_packets(raw);
        assert!(packets[0].contains("response_information: None"), "{packets:?}");
    }
}

#[test]
fn a_connect_of_the_wrong_form_is_not_answered_in_3_1_1() {
    for bytes in [
        &b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x00\x00\x01c"[..],
        b"\x10\x0d\x00\x04MQTT\x04\x1e\x00\x00\x00\x01c",
        b"\x10\x0d\x00\x04MQTT\x04\x82\x00\x00\x00\x01c",
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01\xff",
    ] {
        let mut net = Net::new(1);
        let raw = net.open(0, Version::V4);
        net.send_bytes(raw, bytes);
        assert!(matches!(net.closed[&raw.conn.0], CloseReason::Malformed(_)), "{bytes:02x?}");
        assert_eq!(net.read(raw), Vec::<String>::new());
    }
}

#[test]
fn nothing_follows_the_disconnect_of_the_server() {
    let mut net = Net::new(1);
    let (raw, other) = (net.client(0, "c", Version::V5), net.client(0, "d", Version::V5));
    net.subscribe(raw, "#", QoS::AtMostOnce);
    net.read(raw);
    net.send(raw, &Packet::Connect(connect("c", Version::V5)));
    net.send(raw, &Packet::Pingreq);
    net.send(other, &Packet::Publish(publish("t", QoS::AtMostOnce, 0, b"x")));
    assert_eq!(net.read(raw), ["disconnect 0x82"]);
}

#[test]
fn disconnect_deletes_the_will_unless_it_asks_for_it() {
    for version in ALL {
        let mut net = Net::new(1);
        let watching = watcher(&mut net);
        let raw = net.open(0, version);
        let mut packet = connect("c", version);
        packet.will = Some(will("w", QoS::AtMostOnce, false));
        net.send(raw, &Packet::Connect(packet));
        net.send(raw, &Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        assert_eq!(net.read(watching), Vec::<String>::new());
        assert!(net.closed.contains_key(&raw.conn.0), "the server closes");
    }
    let mut net = Net::new(1);
    let watching = watcher(&mut net);
    let raw = mortal(&mut net, "c", 0, 0);
    net.send(raw, &Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWill)));
    assert_eq!(net.read(watching), ["publish w q0 gone"]);
}

#[test]
fn a_delayed_will_waits_and_is_cancelled_by_the_client_that_returns() {
    let mut net = Net::new(1);
    let watching = watcher(&mut net);
    let raw = mortal(&mut net, "c", 10, 100);
    net.drop_connection(raw);
    net.pass(9);
    assert_eq!(net.read(watching), Vec::<String>::new());
    let raw = mortal(&mut net, "c", 10, 100);
    net.pass(20);
    assert_eq!(net.read(watching), Vec::<String>::new(), "cancelled");
    net.drop_connection(raw);
    net.pass(11);
    assert_eq!(net.read(watching), ["publish w q0 gone"]);
    net.pass(200);
    assert_eq!(net.read(watching), Vec::<String>::new(), "once");
}

#[test]
fn a_delayed_will_is_published_at_the_end_of_the_session_at_the_latest() {
    let mut net = Net::new(1);
    let watching = watcher(&mut net);
    let raw = mortal(&mut net, "c", 1000, 10);
    net.drop_connection(raw);
    net.pass(11);
    assert_eq!(net.read(watching), ["publish w q0 gone"]);
    let raw = mortal(&mut net, "d", 1000, 1000);
    net.drop_connection(raw);
    reconnect(&mut net, "d", Version::V5, true, 0);
    assert_eq!(net.read(watching), ["publish w q0 gone"], "Clean Start ends the session");
}

#[test]
fn wills_with_a_bad_topic_are_refused() {
    for (topic, code) in [("a/+", "connack 0x90"), ("$SYS/x", "connack 0x87")] {
        let mut net = Net::new(1);
        let raw = net.open(0, Version::V5);
        let mut packet = connect("c", Version::V5);
        packet.will = Some(will(topic, QoS::AtMostOnce, false));
        net.send(raw, &Packet::Connect(packet));
        assert_eq!(net.read(raw), [code]);
    }
}

#[test]
fn a_ping_is_answered() {
    for version in ALL {
        let mut net = Net::new(1);
        let raw = net.client(0, "c", version);
        net.send(raw, &Packet::Pingreq);
        assert_eq!(net.read(raw), ["pingresp"]);
    }
}

#[test]
fn connack_tells_what_the_server_does_not_do() {
    let broker = BrokerConfig { retain_available: false, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let mut config = (*net.config(0)).clone();
    config.listeners[0].max_qos = 1;
    net.reconfigure(config);
    let raw = net.open(0, Version::V5);
    net.send(raw, &Packet::Connect(connect("c", Version::V5)));
    assert_eq!(net.read(raw), ["connack 0x00 maxqos1 noretain"]);
    net.subscribe(raw, "t", QoS::ExactlyOnce);
    assert_eq!(net.read(raw), ["suback [1]"], "it still accepts SUBSCRIBE with QoS 2");
    net.send(raw, &Packet::Publish(publish("t", QoS::ExactlyOnce, 1, b"")));
    assert_eq!(net.read(raw), ["disconnect 0x9b"]);
    let raw = net.client(0, "d", Version::V5);
    let mut retained = publish("t", QoS::AtMostOnce, 0, b"x");
    retained.retain = true;
    net.send(raw, &Packet::Publish(retained));
    assert_eq!(net.read(raw), ["disconnect 0x9a"]);
}

#[test]
fn a_shutdown_says_so_and_publishes_wills() {
    let mut net = Net::new(1);
    let watching = watcher(&mut net);
    let raw = mortal(&mut net, "c", 100, 100);
    net.shut_down();
    assert_eq!(net.read(watching), ["publish w q0 gone", "disconnect 0x8b"]);
    assert_eq!(net.read(raw), ["disconnect 0x8b"]);
    assert_eq!(net.closed[&raw.conn.0], CloseReason::ShuttingDown);
}

#[test]
fn a_refusal_without_a_code_in_3_1_1_is_silent() {
    let broker = BrokerConfig { retain_available: false, ..BrokerConfig::default() };
    let mut net = Net::with(1, broker);
    let raw = net.open(0, Version::V4);
    let mut packet = connect("c", Version::V4);
    packet.will = Some(will("w", QoS::AtMostOnce, true));
    net.send(raw, &Packet::Connect(packet));
    assert_eq!(net.read(raw), Vec::<String>::new());
    assert!(net.closed.contains_key(&raw.conn.0));
}

#[test]
fn a_client_without_room_for_its_connack_is_refused_and_nothing_changes() {
    let mut net = Net::new(1);
    let raw = net.open(0, Version::V5);
    net.send(raw, &Packet::Connect(connect("s", Version::V5)));
    let needed = u32::try_from(net.measured_packets(raw)[0].0).unwrap();
    assert!(needed > 8, "a PUBLISH would fit where CONNACK does not");
    for limit in 1..=needed + 1 {
        let mut net = Net::new(1);
        let first = mortal(&mut net, "s", 0, 1000);
        net.subscribe(first, "t", QoS::AtLeastOnce);
        net.read(first);
        net.drop_connection(first);
        let p = net.client(0, "p", Version::V5);
        net.send(p, &Packet::Publish(publish("t", QoS::AtLeastOnce, 1, b"")));
        let raw = net.open(0, Version::V5);
        let mut packet = connect("s", Version::V5);
        packet.clean_start = false;
        packet.properties.session_expiry_interval = Some(1000);
        packet.properties.maximum_packet_size = Some(limit);
        net.send(raw, &Packet::Connect(packet.clone()));
        let answer = net.read(raw);
        if limit >= needed {
            assert_eq!(answer[1..], ["publish t q1 id1 "], "{limit}");
            continue;
        }
        let expected: &[&str] = if limit < 5 { &[] } else { &["connack 0x95"] };
        assert_eq!(answer, expected, "{limit}");
        assert!(net.closed[&raw.conn.0].to_string().contains("Maximum Packet Size"));
        assert_eq!(net.stats()[0].clients_connected, 1, "only the publisher is");
        // Its Session is what it was, with the message.
        let raw = net.open(0, Version::V5);
        packet.properties.maximum_packet_size = None;
        net.send(raw, &Packet::Connect(packet));
        let answer = net.read(raw);
        assert!(answer[0].starts_with("connack 0x00 present"), "{answer:?}");
        assert_eq!(answer[1..], ["publish t q1 id1 "]);
    }
}

#[test]
fn a_client_without_room_for_its_connack_takes_nobody_over() {
    let mut net = Net::new(1);
    let first = net.client(0, "s", Version::V5);
    let raw = net.open(0, Version::V5);
    let mut packet = connect("s", Version::V5);
    packet.properties.maximum_packet_size = Some(6);
    net.send(raw, &Packet::Connect(packet));
    assert_eq!(net.read(raw), ["connack 0x95"]);
    assert!(!net.closed.contains_key(&first.conn.0));
    net.send(first, &Packet::Pingreq);
    assert_eq!(net.read(first), ["pingresp"]);
}
