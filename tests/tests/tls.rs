//! TLS of listeners with a real authority: versions, certificates good and bad, names from them,
//! revocation, reload, and what speaks the wrong language (hostile inputs 18 and 53).

// The tests run in real time: they may look at the clock.
#![allow(clippy::disallowed_types)]

mod tls_support;

use halyard_core::packet::{Packet, QoS, ReasonCode, Version};
use halyard_tests::{Broker, Client, Setup, Stream, frame, handshake, request, wait_until};
use rcgen::{DnType, DnValue, date_time_ymd};
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use tls_support::{Pki, client, common_name, dial, second_common_name, tcp};

/// It stays root: it reads keys again that are readable for their owner alone.
const OPEN: &str = "allow_anonymous true\nlog_type all\nuser root\n";

fn mqtts(broker: &Broker) -> std::net::SocketAddr {
    broker.addresses("mqtts")[0]
}

/// Whether a client with this certificate gets in; if not, what the broker says of it.
fn refusal(pki: &Pki, broker: &Broker, own: Option<&str>) -> Option<String> {
    let before = broker.log().len();
    let mut stream = dial(mqtts(broker), pki.config(own));
    let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c";
    // A broken handshake shows at the latest when something is read.
    let mut answer = [0; 4];
    let entered = stream.write_all(connect).is_ok() && stream.read_exact(&mut answer).is_ok();
    if entered && answer == *b"\x20\x02\x00\x00" {
        return None;
    }
    // Who has a good certificate without a name is told so.
    assert!(!entered || answer == *b"\x20\x02\x00\x05", "{answer:?}");
    let line = wait_until("a line about the refusal", || {
        broker.log().split_off(before).into_iter().find(|line| line.contains("failed: "))
    });
    assert!(line.contains("127.0.0.1:"), "{line}");
    Some(line)
}

#[test]
fn messages_of_each_size_go_both_ways_in_each_version() {
    let pki = Pki::new();
    let broker = Broker::spawn(&format!("{OPEN}{}", pki.listener("")));
    for version in [&TLS12, &TLS13] {
        let mut client = client(mqtts(&broker), pki.config_with(None, &[version]));
        client.connect("sizes", Version::V5);
        client.subscribe("t", QoS::AtMostOnce);
        for size in [0, 1, 1000, 16_000, 16_384, 16_385, 70_000, 400_000] {
            let body: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[1]).collect();
            client.publish("t", &body);
            client.receive().with(|packet| match packet {
                Packet::Publish(publish) => assert!(publish.payload == body, "{size}"),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(client.stream().conn.protocol_version(), Some(version.version));
        client.disconnect();
        assert!(client.until_closed().is_empty());
    }
}

#[test]
fn tls_1_3_alone_refuses_1_2() {
    let pki = Pki::new();
    let broker = Broker::spawn(&format!("{OPEN}{}", pki.listener("tls_version tlsv1.3")));
    let mut old = dial(mqtts(&broker), pki.config_with(None, &[&TLS12]));
    assert!(old.write_all(b"x").is_err());
    broker.wait_for_line(&["failed: ", "no version or cipher in common"]);
    client(mqtts(&broker), pki.config_with(None, &[&TLS13])).connect("new", Version::V4);
}

#[test]
fn cipher_suites_are_those_of_the_listener() {
    let pki = Pki::new();
    let lines = "ciphers ECDHE-ECDSA-CHACHA20-POLY1305:AES128-SHA\nciphers_tls1.3 \
                 TLS_AES_128_GCM_SHA256";
    let broker = Broker::spawn(&format!("{OPEN}{}", pki.listener(lines)));
    for (version, suite) in [
        (&TLS12, rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
        (&TLS13, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256),
    ] {
        let mut client = client(mqtts(&broker), pki.config_with(None, &[version]));
        client.connect("c", Version::V4);
        let found = client.stream().conn.negotiated_cipher_suite();
        assert_eq!(found.map(|found| found.suite()), Some(suite));
    }
}

#[test]
fn only_good_certificates_get_in_where_they_are_required() {
    let (pki, other) = (Pki::new(), Pki::new());
    pki.client("good", |_| {});
    pki.client("revoked", |_| {});
    pki.client("expired", |params| params.not_after = date_time_ymd(2024, 1, 1));
    other.client("foreign", |_| {});
    for file in ["foreign.pem", "foreign.key"] {
        std::fs::copy(other.path(file), pki.path(file)).unwrap();
    }
    pki.revoke(&["revoked"]);
    let lines = pki.strict(&format!("crlfile {}", pki.path("crl.pem")));
    let broker = Broker::spawn(&format!("{OPEN}{lines}"));
    assert_eq!(refusal(&pki, &broker, Some("good")), None);
    for (own, cause) in [
        (None, "require_certificate"),
        (Some("foreign"), "UnknownIssuer"),
        (Some("expired"), "expired"),
        (Some("revoked"), "Revoked"),
    ] {
        let line = refusal(&pki, &broker, own).unwrap_or_else(|| panic!("{own:?} got in"));
        assert!(line.contains(cause), "{own:?}: {line}");
    }
    assert_eq!(refusal(&pki, &broker, Some("good")), None, "the others are served on");
}

#[test]
fn an_expired_list_of_revoked_certificates_lets_nobody_in() {
    let pki = Pki::new();
    pki.client("good", |_| {});
    pki.revoke_until(&[], 2025);
    let lines = pki.strict(&format!("crlfile {}", pki.path("crl.pem")));
    let broker = Broker::spawn(&format!("{OPEN}{lines}"));
    let line = refusal(&pki, &broker, Some("good")).expect("refused");
    assert!(line.contains("revocation list expired"), "{line}");
}

#[test]
fn the_common_name_is_the_user_name() {
    let pki = Pki::new();
    pki.client("device 7", |_| {});
    pki.client("two", |params| second_common_name(params, "three"));
    pki.client("none", |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "o");
    });
    pki.client("nul", |params| common_name(params, DnValue::Utf8String("a\0b".into())));
    pki.client("wide", |params| {
        common_name(params, DnValue::BmpString("a".try_into().unwrap()));
    });
    // Nobody is let in without a name.
    let config = format!("log_type all\n{}", pki.strict("use_identity_as_username true"));
    let broker = Broker::spawn(&config);
    assert_eq!(refusal(&pki, &broker, Some("device 7")), None);
    broker.wait_for_line(&["New client connected", "u'device 7'"]);
    for (own, cause) in [
        ("two", "more than one Common Name"),
        ("none", "no Common Name"),
        ("nul", "control character"),
        ("wide", "no text"),
    ] {
        let line = refusal(&pki, &broker, Some(own)).unwrap_or_else(|| panic!("{own} got in"));
        assert!(line.contains(cause), "{own}: {line}");
    }
}

#[test]
fn the_subject_is_the_user_name_as_openssl_writes_it() {
    let pki = Pki::new();
    pki.client("d,7", |params| {
        params.distinguished_name.push(DnType::OrganizationName, "Plant + \u{fc}");
        params.distinguished_name.push(DnType::CountryName, "DE");
    });
    let lines = pki.strict("use_subject_as_username true");
    let broker = Broker::spawn(&format!("log_type all\n{lines}"));
    assert_eq!(refusal(&pki, &broker, Some("d,7")), None);
    let openssl = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", &pki.path("d,7.pem")])
        .output()
        .expect("openssl");
    let subject = String::from_utf8(openssl.stdout).unwrap();
    let subject = subject.trim().strip_prefix("subject=").unwrap().trim().to_owned();
    assert!(subject.contains("\\,"), "{subject}");
    broker.wait_for_line(&["New client connected", &format!("u'{subject}'")]);
}

#[test]
fn a_session_is_resumed_by_ticket_until_the_listener_changes() {
    let pki = Pki::new();
    pki.client("good", |_| {});
    pki.revoke(&[]);
    let lines = pki.strict(&format!("crlfile {}", pki.path("crl.pem")));
    let broker = Broker::spawn(&format!("{OPEN}{lines}"));
    for version in [&TLS12, &TLS13] {
        let reloads = || broker.log().iter().filter(|line| line.contains("reloaded.")).count();
        let reload = || {
            let before = reloads();
            broker.signal("HUP");
            wait_until("the reload", || (reloads() > before).then_some(()));
        };
        pki.revoke(&[]);
        reload();
        let config = pki.config_with(Some("good"), &[version]);
        let connect = |config: &rustls::ClientConfig| {
            let mut client = client(mqtts(&broker), config.clone());
            client.connect("c", Version::V4);
            client.ping();
            client.stream().conn.handshake_kind()
        };
        wait_until("a ticket", || {
            (connect(&config) == Some(rustls::HandshakeKind::Resumed)).then_some(())
        });
        pki.revoke(&["good"]);
        reload();
        let mut stream = dial(mqtts(&broker), config);
        let failed = stream.write_all(b"\xc0\x00").is_err() || stream.read(&mut [0]).is_err();
        assert!(failed, "an old ticket must not skip the new list");
    }
}

#[test]
fn a_good_certificate_without_a_name_is_answered_with_0x87() {
    let pki = Pki::new();
    pki.client("two", |params| second_common_name(params, "three"));
    let config = format!("log_type all\n{}", pki.strict("use_identity_as_username true"));
    let broker = Broker::spawn(&config);
    let mut client = client(mqtts(&broker), pki.config(Some("two")));
    client.send_connect(&halyard_tests::connect("c", Version::V5));
    client.receive().with(|packet| match packet {
        Packet::Connack(connack) => assert_eq!(connack.reason, ReasonCode::NotAuthorized),
        other => panic!("{other:?}"),
    });
    assert!(client.until_closed().is_empty());
    broker.wait_for_line(&["failed: ", "more than one Common Name"]);
}

#[test]
fn a_reload_ends_the_connections_whose_certificates_it_revokes() {
    let pki = Pki::new();
    pki.client("stays", |_| {});
    pki.client("goes", |_| {});
    pki.client("went", |_| {});
    pki.revoke(&["went"]);
    let lines = pki.strict(&format!("crlfile {}", pki.path("crl.pem")));
    let broker = Broker::spawn(&format!("{OPEN}{lines}"));
    let mut stays = client(mqtts(&broker), pki.config(Some("stays")));
    stays.connect("stays", Version::V5);
    let mut goes = client(mqtts(&broker), pki.config(Some("goes")));
    goes.connect("goes", Version::V5);
    pki.revoke(&["went", "goes"]);
    broker.signal("HUP");
    goes.receive().with(|packet| match packet {
        Packet::Disconnect(end) => assert_eq!(end.reason, ReasonCode::NotAuthorized),
        other => panic!("{other:?}"),
    });
    assert!(goes.until_closed().is_empty());
    broker.wait_for_line(&["goes", "the certificate of the client was revoked"]);
    stays.ping();
}

#[test]
fn a_reload_changes_certificates_for_new_connections_alone() {
    let pki = Pki::new();
    let broker = Broker::spawn(&format!("{OPEN}{}", pki.listener("")));
    let serial = |client: &mut Client<tls_support::TlsStream>| {
        client.stream().conn.peer_certificates().unwrap()[0].to_vec()
    };
    let mut old = client(mqtts(&broker), pki.config(None));
    old.connect("old", Version::V4);
    let before = serial(&mut old);
    // A file that is wrong changes nothing.
    pki.write("server.pem", "nothing");
    broker.signal("HUP");
    let line = broker.wait_for_line(&["server.pem", "there is no certificate in it"]);
    assert!(line.contains("not reloaded"), "{line}");
    let mut same = client(mqtts(&broker), pki.config(None));
    same.connect("same", Version::V4);
    assert_eq!(serial(&mut same), before);
    pki.server("server", |_| {});
    broker.signal("HUP");
    broker.wait_for_line(&["Config reloaded."]);
    wait_until("the new certificate", || {
        let mut new = client(mqtts(&broker), pki.config(None));
        new.connect("new", Version::V4);
        (serial(&mut new) != before).then_some(())
    });
    old.ping();
}

#[test]
fn files_that_are_wrong_stop_the_start_and_say_what_to_do() {
    let pki = Pki::new();
    pki.server("stale", |params| params.not_after = date_time_ymd(2024, 1, 1));
    pki.client("other", |_| {});
    pki.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let (cert, key) = (pki.path("server.pem"), pki.path("server.key"));
    let pair = |cert: &str, key: &str| format!("certfile {cert}\nkeyfile {key}");
    let cases = [
        (pair(&cert, &pki.path("other.key")), "not the key of the first certificate"),
        (pair(&pki.path("stale.pem"), &pki.path("stale.key")), "expired on"),
        (pair(&key, &cert), "there is no certificate in it"),
        (pair(&cert, &cert), "there is no private key in it"),
        (pair(&cert, &pki.path("locked.key")), "openssl pkey -in"),
        (pair("/nowhere.pem", &key), "/nowhere.pem: No such file"),
        (format!("{}\ncapath {}", pair(&cert, &key), pki.path("")), "openssl rehash"),
        (format!("{}\nciphers AES128-SHA", pair(&cert, &key)), "ECDHE-RSA-AES256-GCM-SHA384"),
        (
            format!(
                "{}\ncafile {}\nrequire_certificate true\ncrlfile {cert}",
                pair(&cert, &key),
                pki.path("ca.pem")
            ),
            "no list of revoked certificates",
        ),
    ];
    for (lines, expected) in cases {
        let config = format!("{OPEN}listener 0 127.0.0.1\n{lines}\n");
        let outcome = Setup::default().config(&config).args(&["--test-config"]).run();
        assert_eq!(outcome.code, Some(3), "{lines}");
        assert!(outcome.stderr.contains(expected), "{lines}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("halyard.conf:4: error: "), "{}", outcome.stderr);
    }
}

#[test]
fn a_private_key_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let pki = Pki::new();
    let key = pki.path("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = format!("{OPEN}{}", pki.listener(""));
    let outcome = Setup::default().config(&config).args(&["--test-config"]).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&format!("chmod 600 {key}")), "{}", outcome.stderr);
}

#[test]
fn a_websocket_goes_over_tls() {
    let pki = Pki::new();
    let broker = Broker::spawn(&format!("{OPEN}{}", pki.listener("protocol websockets")));
    let address = broker.addresses("wss")[0];
    let mut stream = dial(address, pki.config(None));
    let request = handshake("/mqtt", address, "Sec-WebSocket-Protocol: mqtt\r\n");
    // The first frame comes in one record with the request.
    let connect = frame(0x82, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01w");
    stream.write_all(&[request.as_bytes(), &connect].concat()).unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\x82\x04\x20\x02\x00\x00") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an upgrade and CONNACK");
        bytes.push(byte[0]);
    }
    assert!(bytes.starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn what_speaks_the_wrong_language_is_closed_and_nobody_else_notices() {
    let pki = Pki::new();
    let config = format!("{OPEN}{}listener 0 127.0.0.1\n", pki.listener(""));
    let broker = Broker::spawn(&config);
    let mut witness = client(mqtts(&broker), pki.config(None));
    witness.connect("witness", Version::V5);
    // MQTT, HTTP and noise to a TLS port.
    let tails: [&[u8]; 4] = [
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\xff\xff\x01",
        b"\x80\x2e\x01\x00\x02",
    ];
    for bytes in tails {
        let mut plain = tcp(mqtts(&broker));
        plain.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        _ = plain.read_to_end(&mut rest);
        assert!(rest.len() <= 7, "an alert at most: {rest:?}");
    }
    broker.wait_for_line(&["127.0.0.1:", "failed: ", "does not speak TLS"]);
    // TLS to a plain port.
    let mut lost = dial(broker.mqtt(), pki.config(None));
    assert!(lost.write_all(b"x").is_err() || lost.read(&mut [0]).is_err());
    // A session that is tampered with.
    let mut broken = client(mqtts(&broker), pki.config(None));
    broken.connect("broken", Version::V5);
    let socket = &mut broken.stream().sock;
    socket.write_all(b"\x17\x03\x03\x00\x20________________________________").unwrap();
    let mut rest = Vec::new();
    _ = socket.read_to_end(&mut rest);
    broker.wait_for_line(&["broken", "disconnected"]);
    witness.ping();
}

#[test]
fn slow_handshakes_end_and_others_are_served_meanwhile() {
    let pki = Pki::new();
    let config = format!(
        "{OPEN}connect_timeout 3\ntls_handshake_timeout 1\nmax_tls_handshakes 20\n{}{}{}",
        pki.listener(""),
        pki.listener("protocol websockets"),
        "listener 0 127.0.0.1\nprotocol http_api\n",
    );
    let broker = Broker::spawn(&config);
    let slow: Vec<_> = (0..30).map(|_| tcp(mqtts(&broker))).collect();
    broker.wait_for_line(&["closed: its TLS handshake is the oldest"]);
    let begin = Instant::now();
    client(mqtts(&broker), pki.config(None)).connect("quick", Version::V4);
    assert!(begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
    broker.wait_for_line(&["closed: no TLS handshake in time"]);
    for mut socket in slow {
        assert!(!matches!(socket.read(&mut [0]), Ok(1..)), "it was closed");
    }
    let pages = broker.addresses("http")[0];
    let page = request(pages, &format!("GET /metrics HTTP/1.1\r\nHost: {pages}\r\n\r\n"));
    let page = String::from_utf8_lossy(&page.body).into_owned();
    for option in ["max_tls_handshakes", "tls_handshake_timeout"] {
        let denied = format!("option=\"{option}\"}} ");
        assert!(page.contains(&denied), "{option}: {page}");
    }
    assert!(!page.contains("option=\"connect_timeout\""), "{page}");
    // One deadline for all of it: TLS is quick, the upgrade takes half, CONNECT never comes.
    let begin = Instant::now();
    let address = broker.addresses("wss")[0];
    let mut stream = dial(address, pki.config(None));
    let request = handshake("/mqtt", address, "Sec-WebSocket-Protocol: mqtt\r\n");
    let (head, tail) = request.split_at(request.len() - 1);
    stream.write_all(head.as_bytes()).unwrap();
    stream.sock.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(stream.read(&mut [0]).is_err(), "nothing yet");
    stream.sock.set_read_timeout(Some(halyard_tests::PATIENCE)).unwrap();
    stream.write_all(tail.as_bytes()).unwrap();
    _ = stream.read_to_end(&mut Vec::new());
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(2900) && took < Duration::from_millis(4900), "{took:?}");
}

#[test]
fn a_slow_websocket_has_one_deadline_without_tls_too() {
    let config = format!("{OPEN}connect_timeout 3\nlistener 0 127.0.0.1\nprotocol websockets\n");
    let broker = Broker::spawn(&config);
    let begin = Instant::now();
    let mut stream = Stream::tcp(broker.ws());
    let request = handshake("/mqtt", broker.ws(), "Sec-WebSocket-Protocol: mqtt\r\n");
    let (head, tail) = request.split_at(request.len() - 1);
    stream.write_all(head.as_bytes()).unwrap();
    if let Stream::Tcp(socket) = &stream {
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    }
    assert!(stream.read(&mut [0]).is_err(), "nothing yet");
    if let Stream::Tcp(socket) = &stream {
        socket.set_read_timeout(Some(halyard_tests::PATIENCE)).unwrap();
    }
    stream.write_all(tail.as_bytes()).unwrap();
    _ = stream.read_to_end(&mut Vec::new());
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(2900) && took < Duration::from_millis(4900), "{took:?}");
}

#[test]
fn a_handshake_byte_by_byte_is_a_handshake() {
    let pki = Pki::new();
    let broker = Broker::spawn(&format!("{OPEN}{}", pki.listener("")));
    let mut stream = dial(mqtts(&broker), pki.config(None));
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).unwrap();
    for byte in hello {
        stream.sock.write_all(&[byte]).unwrap();
    }
    Client::new(stream).connect("bytes", Version::V5);
}

#[test]
fn a_denied_client_reads_the_refusal_over_tls() {
    let pki = Pki::new();
    let broker = Broker::spawn(&pki.listener(""));
    let mut client = client(mqtts(&broker), pki.config(None));
    client.send_connect(&halyard_tests::connect("c", Version::V5));
    client.receive().with(|packet| match packet {
        Packet::Connack(connack) => assert_ne!(connack.reason, ReasonCode::Success),
        other => panic!("{other:?}"),
    });
    assert!(client.until_closed().is_empty());
}

#[test]
fn the_end_of_a_certificate_is_shown_and_follows_a_reload() {
    const NAME: &str = "halyard_listener_certificate_expires_seconds";
    let pki = Pki::new();
    pki.server("server", |params| params.not_after = date_time_ymd(2051, 1, 1));
    let pages = "listener 0 127.0.0.1\nprotocol http_api\n";
    let broker = Broker::spawn(&format!("{OPEN}{}{pages}", pki.listener("")));
    let ends = || -> Vec<String> {
        let pages = broker.addresses("http")[0];
        let page = request(pages, &format!("GET /metrics HTTP/1.1\r\nHost: {pages}\r\n\r\n"));
        let page = String::from_utf8_lossy(&page.body).into_owned();
        page.lines().filter(|line| line.starts_with(NAME)).map(str::to_owned).collect()
    };
    let expected = format!("{NAME}{{listener=\"0\",place=\"127.0.0.1 port 0\"}} ");
    assert_eq!(ends(), [format!("{expected}{}", 2_556_144_000_u64)]);
    pki.server("server", |params| params.not_after = date_time_ymd(2052, 1, 1));
    broker.signal("HUP");
    let end = format!("{expected}{}", 2_587_680_000_u64);
    wait_until("the new end", || (ends() == [end.as_str()]).then_some(()));
}

#[test]
fn disable_client_cert_date_checks_forgives_the_date_and_nothing_else() {
    let pki = Pki::new();
    let old = |params: &mut rcgen::CertificateParams| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    };
    pki.client("old", old);
    pki.client("stolen", old);
    pki.client("early", |params| params.not_before = date_time_ymd(2080, 1, 1));
    pki.client("good", |_| {});
    pki.revoke(&["stolen"]);
    let stranger = Pki::new();
    stranger.client("stranger", old);
    let lines = format!("use_identity_as_username true\ncrlfile {}\n", pki.path("crl.pem"));
    let strict = Broker::spawn(&format!("{OPEN}{}", pki.strict(&lines)));
    assert!(refusal(&pki, &strict, Some("old")).is_some());
    assert_eq!(refusal(&pki, &strict, Some("good")), None);
    let lines = format!("{lines}disable_client_cert_date_checks true\n");
    let broker = Broker::spawn(&format!("{OPEN}{}", pki.strict(&lines)));
    for name in ["old", "early", "good"] {
        assert_eq!(refusal(&pki, &broker, Some(name)), None, "{name}");
        broker.wait_for_line(&["New client connected", &format!("u'{name}'")]);
    }
    assert!(refusal(&pki, &broker, Some("stolen")).is_some_and(|said| said.contains("evoked")));
    assert!(refusal(&pki, &broker, None).is_some());
    for name in ["stranger.pem", "stranger.key"] {
        let text = std::fs::read_to_string(stranger.path(name)).unwrap();
        pki.write(name, &text);
    }
    assert!(refusal(&pki, &broker, Some("stranger")).is_some());
    // A list that has ended says nothing about anybody.
    pki.revoke_until(&[], 2025);
    let broker = Broker::spawn(&format!("{OPEN}{}", pki.strict(&lines)));
    assert!(refusal(&pki, &broker, Some("old")).is_some());
}
