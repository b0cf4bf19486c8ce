//! Passwords at the real binary: files that Debian's mosquitto_passwd and ours make, stock clients,
//! what a reload takes back, how often a storm of known clients is hashed, and what is refused.

// The tests run in real time: they may look at the clock.
#![allow(clippy::disallowed_types)]

use halyard_core::packet::Connect;
use halyard_core::packet::Packet;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_core::packet::Will;
use halyard_core::packet::WillProperties;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Setup;
use halyard_tests::Stream;
use halyard_tests::connect;
use halyard_tests::request;
use halyard_tests::run;
use halyard_tests::wait_until;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

const CONFIG: &str = "user root\nlistener 0 127.0.0.1\nlistener 0 127.0.0.1\nprotocol http_api\n\
                      password_file @DIR@/passwd\n";

/// Password "pass", by Python's hashlib: as cheap as Mosquitto's, for tests that are about
/// something else.
const PASS: &str = "$7$101$c2FsdHNhbHQ=$2lkFH6Ai+HsUVS1FkK7TVSvVpmrVrk3G3LWKeCPBtsszjlnlQJhE77btzcBuI5XbEq0lowC3BCLolRId+gF3Ow==";

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("halyard-auth-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn mosquitto_passwd(args: &[&str]) {
    let output = Command::new("mosquitto_passwd").args(args).output();
    let output = output.expect("mosquitto_passwd is installed: scripts/setup-clients.sh");
    assert!(output.status.success(), "{args:?}: {output:?}");
}

fn login(broker: &Broker, client_id: &str, user: Option<&str>, password: &str) -> ReasonCode {
    let mut client = Client::new(Stream::tcp(broker.mqtt()));
    say(&mut client, client_id, user, password);
    client.receive().with(|packet| match packet {
        Packet::Connack(connack) => connack.reason,
        other => panic!("{other:?}"),
    })
}

fn say(client: &mut Client, client_id: &str, user: Option<&str>, password: &str) {
    let packet = Connect {
        username: user,
        password: user.map(|_| password.as_bytes()),
        ..connect(client_id, Version::V5)
    };
    client.send_connect(&packet);
}

fn hashed(broker: &Broker) -> u64 {
    let text = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let response = request(broker.addresses("http")[0], text);
    let page = String::from_utf8(response.body).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("halyard_passwords_hashed_total "));
    line.expect("the counter").trim().parse().unwrap()
}

const OK: ReasonCode = ReasonCode::Success;
const BAD: ReasonCode = ReasonCode::BadUserNameOrPassword;

#[test]
fn a_file_of_mosquitto_passwd_lets_in_who_is_in_it() {
    let folder = folder("debian");
    let path = folder.join("passwd");
    let file = path.to_str().unwrap();
    mosquitto_passwd(&["-c", "-b", file, "ann", "secret of ann"]);
    mosquitto_passwd(&["-b", file, "bob", "pa:ss"]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("ann:$"), "{text}");
    let broker = Setup::default().config(CONFIG).file("passwd", &text).start();
    assert_eq!(login(&broker, "a", Some("ann"), "secret of ann"), OK);
    assert_eq!(login(&broker, "b", Some("bob"), "pa:ss"), OK);
    for (user, password) in
        [(Some("ann"), "pa:ss"), (Some("ann"), ""), (Some("eve"), "x"), (Some(""), "x")]
    {
        assert_eq!(login(&broker, "c", user, password), BAD, "{user:?}");
    }
    assert_eq!(login(&broker, "c", None, ""), ReasonCode::NotAuthorized);
    let log = broker.log().join("\n");
    assert!(!log.contains("secret of ann") && !log.contains("pa:ss"), "{log}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn stock_clients_log_in_and_are_refused() {
    let broker = Setup::default().config(CONFIG).file("passwd", &format!("ann:{PASS}\n")).start();
    let port = broker.mqtt().port().to_string();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for (password, exit) in [("pass", Some(0)), ("wrong", None)] {
            let base = ["-h", "127.0.0.1", "-p", &port, "-t", "t", "-m", "m", "-V", version];
            let login = ["-u", "ann", "-P", password, "-q", "1"];
            let output = Command::new("mosquitto_pub").args(base).args(login).output().unwrap();
            assert_eq!(output.status.success(), exit.is_some(), "{version} {output:?}");
            let own = run(&[&["pub"], &base[..], &login[..]].concat());
            assert_eq!(own.code == Some(0), exit.is_some(), "{version} {own:?}");
        }
    }
}

#[test]
fn every_format_of_our_own_tool_is_taken_by_the_broker() {
    let folder = folder("own");
    let path = folder.join("passwd");
    let file = path.to_str().unwrap();
    for (user, hash) in [
        ("a", "argon2id"),
        ("b", "sha512-pbkdf2"),
        ("c", "scram-sha-256"),
        ("d", ""),
        ("e", "sha512"),
    ] {
        let mut args = vec!["passwd", "-b", file, user, "the pass"];
        if user == "a" {
            args.insert(1, "-c");
        }
        if !hash.is_empty() {
            args.splice(1..1, ["-H", hash]);
        }
        let outcome = run(&args);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.stderr.contains("warning: sha512"), hash == "sha512", "{outcome:?}");
    }
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("d:$argon2id$v=19$m=47104,t=1,p=1$"), "{text}");
    assert!(text.contains("e:$6$"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let broker = Setup::default().config(CONFIG).file("passwd", &text).start();
    for user in ["a", "b", "c", "d", "e"] {
        assert_eq!(login(&broker, user, Some(user), "the pass"), OK, "{user}");
        assert_eq!(login(&broker, user, Some(user), "the Pass"), BAD, "{user}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn passwd_edits_as_mosquitto_passwd_does() {
    let folder = folder("edit");
    let path = folder.join("passwd");
    let file = path.to_str().unwrap();
    let run = |args: &[&str]| run(&[&["passwd"], args].concat());
    assert_eq!(run(&["-b", file, "ann", "x"]).code, Some(1), "no file yet, and no -c");
    assert_eq!(run(&["-c", "-b", file, "ann", "x"]).code, Some(0));
    fs::write(&path, format!("# kept\n{}bob:plain\n", fs::read_to_string(&path).unwrap())).unwrap();
    assert_eq!(run(&["-H", "sha512-pbkdf2", "-I", "101", "-U", file]).code, Some(0));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# kept\nann:$argon2id$") && text.contains("\nbob:$7$101$"), "{text}");
    assert_eq!(run(&["-D", file, "ann"]).code, Some(0));
    assert_eq!(run(&["-D", file, "ann"]).code, Some(1));
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("ann:") && text.contains("# kept"), "{text}");
    let printed = run(&["-c", "-b", "-", "eve", "x"]);
    assert!(printed.stdout.starts_with("eve:$argon2id$"), "{printed:?}");
    for wrong in [
        &["-c", "-D", file, "a"][..],
        &[file],
        &["-b", file, "a:b", "x"],
        &["-H", "md5"],
        &["-H", "sha512", "-I", "9", "-U", file],
    ] {
        assert_eq!(run(wrong).code, Some(3), "{wrong:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_bad_password_file_stops_the_start_with_file_and_line() {
    for (text, said) in [
        ("ann\n", "passwd:1: error: password_file: "),
        ("# x\n:hash\n", "passwd:2: error: password_file: there is no user name"),
        ("ann:plain\n", "halyard passwd -U"),
        ("ann:$6$x\n", "passwd:1: error"),
    ] {
        for args in [&[][..], &["--test-config"]] {
            let setup = Setup::default().config(CONFIG).file("passwd", text);
            let outcome = setup.args(args).run();
            assert_eq!(outcome.code, Some(3), "{text:?} {outcome:?}");
            assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
            assert!(!outcome.stderr.contains("ann:plain"), "{}", outcome.stderr);
        }
    }
    let outcome = Setup::default().config(CONFIG).run();
    assert!(outcome.stderr.contains("passwd: error: password_file: cannot read it"), "{outcome:?}");
}

#[test]
fn a_file_that_others_may_read_is_warned_of_and_one_that_they_may_write_refused() {
    for (mode, code, said) in [(0o644, Some(0), "warning"), (0o666, Some(3), "error: anybody")] {
        let folder = folder(&format!("mode{mode:o}"));
        let path = folder.join("passwd");
        fs::write(&path, format!("ann:{PASS}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let config = CONFIG.replace("@DIR@/passwd", path.to_str().unwrap());
        let outcome = Setup::default().config(&config).args(&["--test-config"]).run();
        assert_eq!(outcome.code, code, "{outcome:?}");
        assert!(outcome.stderr.contains(said), "{outcome:?}");
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_reload_disconnects_whose_line_went_and_a_bad_file_changes_nothing() {
    let both = format!("ann:{PASS}\nbob:{PASS}\n");
    let broker = Setup::default().config(CONFIG).file("passwd", &both).start();
    let path = broker.folder().join("passwd");
    let mut clients: Vec<Client> = Vec::new();
    for user in ["ann", "bob"] {
        let mut client = Client::new(Stream::tcp(broker.mqtt()));
        say(&mut client, user, Some(user), "pass");
        client.receive();
        clients.push(client);
    }
    reload(&broker, &path, "ann\n", "Config not reloaded");
    broker.wait_for_line(&["passwd:1: error: password_file"]);
    assert_eq!(login(&broker, "x", Some("bob"), "pass"), OK);
    reload(&broker, &path, &format!("bob:{PASS}\n"), "Config reloaded");
    let reason = clients[0].receive().with(|packet| match packet {
        Packet::Disconnect(disconnect) => disconnect.reason,
        other => panic!("{other:?}"),
    });
    assert_eq!(reason, ReasonCode::AdministrativeAction);
    clients[1].send(&Packet::Pingreq);
    clients[1].receive().with(|packet| assert_eq!(*packet, Packet::Pingresp));
    assert_eq!(login(&broker, "y", Some("ann"), "pass"), BAD);
}

/// Puts `text` into the file and waits until the reload has said `said` once more than before.
fn reload(broker: &Broker, path: &Path, text: &str, said: &str) {
    let count = || broker.log().iter().filter(|line| line.contains(said)).count();
    let before = count();
    fs::write(path, text).unwrap();
    broker.signal("HUP");
    wait_until("the reload", || (count() > before).then_some(()));
}

#[test]
fn a_client_that_was_let_in_once_is_not_hashed_again() {
    let broker = Setup::default().config(CONFIG).file("passwd", &format!("ann:{PASS}\n")).start();
    for number in 0..50 {
        assert_eq!(login(&broker, &format!("c{number}"), Some("ann"), "pass"), OK);
    }
    assert_eq!(hashed(&broker), 1);
    assert_eq!(login(&broker, "c", Some("ann"), "Pass"), BAD);
    assert_eq!(login(&broker, "c", Some("nobody"), "pass"), BAD);
    assert_eq!(hashed(&broker), 3, "an unknown user costs as much as a wrong password");
}

#[test]
fn each_of_many_known_clients_is_hashed_once() {
    let users: String = (0..50).map(|number| format!("user{number}:{PASS}\n")).collect();
    let broker = Setup::default().config(CONFIG).file("passwd", &users).start();
    for round in 0..3 {
        for number in 0..50 {
            let user = format!("user{number}");
            assert_eq!(login(&broker, &user, Some(&user), "pass"), OK, "{user}");
        }
        assert_eq!(hashed(&broker), 50, "round {round}");
    }
}

#[test]
fn who_guesses_waits_and_others_do_not() {
    let config = format!("auth_failures_per_user 5\n{CONFIG}");
    let users = format!("ann:{PASS}\nbob:{PASS}\n");
    let broker = Setup::default().config(&config).file("passwd", &users).start();
    assert_eq!(login(&broker, "a", Some("ann"), "pass"), OK);
    for _ in 0..5 {
        assert_eq!(login(&broker, "a", Some("ann"), "guess"), BAD);
    }
    let refused = login(&broker, "a", Some("ann"), "guess");
    assert_eq!(refused, ReasonCode::ConnectionRateExceeded);
    assert_eq!(hashed(&broker), 6);
    assert_eq!(login(&broker, "b", Some("bob"), "pass"), OK);
}

#[test]
fn hostile_credentials_are_refused_and_harm_nobody() {
    let broker = Setup::default().config(CONFIG).file("passwd", &format!("ann:{PASS}\n")).start();
    let long = "x".repeat(65_535);
    for (user, password) in [("ann", &*long), (&*long, "x"), ("\u{FEFF}", ""), ("a#+/b", "pass")] {
        assert_eq!(login(&broker, "c", Some(user), password), BAD);
    }
    let mut client = Client::new(Stream::tcp(broker.mqtt()));
    let packet = Connect { password: Some(b"x"), ..connect("c", Version::V5) };
    client.send_connect(&packet);
    client.receive().with(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert_eq!(connack.reason, BAD);
    });
    assert_eq!(login(&broker, "c", Some("ann"), "pass"), OK);
}

#[test]
fn a_queue_that_is_full_refuses_and_serves_on() {
    let folder = folder("flood");
    let path = folder.join("passwd");
    let made = run(&["passwd", "-c", "-b", path.to_str().unwrap(), "ann", "pass"]);
    assert_eq!(made.code, Some(0));
    let text = fs::read_to_string(&path).unwrap();
    let config = format!(
        "auth_queue 2\nauth_threads 1\nauth_failures_per_user 0\nallow_anonymous true\n\
                 {CONFIG}"
    );
    let broker = Setup::default().config(&config).file("passwd", &text).start();
    let mut clients: Vec<Client> = (0..12)
        .map(|number| {
            let mut client = Client::new(Stream::tcp(broker.mqtt()));
            say(&mut client, &format!("f{number}"), Some("ann"), &format!("guess {number}"));
            client
        })
        .collect();
    assert_eq!(login(&broker, "anonymous", None, ""), OK);
    let reasons: Vec<ReasonCode> = clients
        .iter_mut()
        .map(|client| {
            client.receive().with(|packet| match packet {
                Packet::Connack(connack) => connack.reason,
                other => panic!("{other:?}"),
            })
        })
        .collect();
    assert!(reasons.contains(&ReasonCode::ServerBusy), "{reasons:?}");
    assert!(reasons.contains(&BAD), "{reasons:?}");
    assert_eq!(login(&broker, "ann", Some("ann"), "pass"), OK);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn scram_proves_a_user_to_the_broker_and_the_broker_to_the_user() {
    let folder = folder("scram");
    let path = folder.join("passwd");
    let file = path.to_str().unwrap();
    let made = run(&["passwd", "-c", "-H", "scram-sha-256", "-b", file, "ann", "the pass"]);
    assert_eq!(made.code, Some(0));
    let text = format!("{}bob:{PASS}\n", fs::read_to_string(&path).unwrap());
    let broker = Setup::default().config(CONFIG).file("passwd", &text).start();
    let port = broker.mqtt().port().to_string();
    for (user, password, is_right) in
        [("ann", "the pass", true), ("ann", "the Pass", false), ("bob", "pass", false)]
    {
        let base = ["-h", "127.0.0.1", "-p", &port, "-t", "t", "-m", "m", "-V", "5", "-q", "1"];
        let method = ["-D", "connect", "authentication-method", "SCRAM-SHA-256"];
        let outcome =
            run(&[&["pub"], &base[..], &method[..], &["-u", user, "-P", password]].concat());
        assert_eq!(outcome.code == Some(0), is_right, "{user} {outcome:?}");
    }
    assert_eq!(hashed(&broker), 0, "no password was sent");
    fs::remove_dir_all(folder).unwrap();
}

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A token for ann that ends in so many seconds, by OpenSSL.
fn token(secs: u64, more: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(r#"{{"sub":"ann","exp":{}{more}}}"#, now + secs);
    let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", base64url(claims.as_bytes()));
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", JWT_SECRET, "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(signed.as_bytes()).unwrap();
    let tag = child.wait_with_output().unwrap().stdout;
    assert_eq!(tag.len(), 32);
    format!("{signed}.{}", base64url(&tag))
}

fn base64url(bytes: &[u8]) -> String {
    let text = halyard_core::auth::encode_base64(bytes, false);
    text.replace('+', "-").replace('/', "_")
}

#[test]
fn a_token_is_a_password_until_it_ends() {
    let config = CONFIG.replace("password_file @DIR@/passwd", "jwt_key_file @DIR@/key");
    let broker = Setup::default().config(&config).file("key", JWT_SECRET).start();
    let long = token(3600, "");
    assert_eq!(login(&broker, "a", Some("ann"), &long), OK);
    assert_eq!(login(&broker, "a", Some(""), &long), OK);
    assert_eq!(login(&broker, "b", Some("bob"), &long), BAD);
    assert_eq!(login(&broker, "b", Some("ann"), "a password"), BAD);
    assert_eq!(login(&broker, "b", Some("ann"), &long.replace("eyJhbG", "eyJhbH")), BAD);
    let mut client = Client::new(Stream::tcp(broker.mqtt()));
    say(&mut client, "c", Some("ann"), &token(2, ""));
    client.receive();
    let reason = client.receive().with(|packet| match packet {
        Packet::Disconnect(disconnect) => disconnect.reason,
        other => panic!("{other:?}"),
    });
    assert_eq!(reason, ReasonCode::NotAuthorized);
    broker.wait_for_line(&["has expired"]);
}

#[test]
fn a_key_file_that_is_none_stops_the_start() {
    let config = CONFIG.replace("password_file @DIR@/passwd", "jwt_key_file @DIR@/key");
    let outcome = Setup::default().config(&config).file("key", "too short").run();
    assert_eq!(outcome.code, Some(3));
    assert!(outcome.stderr.contains("key: error: jwt_key_file: "), "{outcome:?}");
}

/// A Will of a client whose token gives these rights; the client stays.
fn leave_a_will(broker: &Broker, client_id: &str, rights: &str, topic: &str) -> Client {
    let password = token(3600, &format!(r#","acl":{rights}"#));
    let mut hello = connect(client_id, Version::V5);
    hello.username = Some("ann");
    hello.password = Some(password.as_bytes());
    hello.properties.session_expiry_interval = Some(1000);
    hello.will = Some(Will {
        topic,
        payload: b"w",
        qos: QoS::AtMostOnce,
        retain: true,
        properties: WillProperties::default(),
    });
    let mut client = Client::new(Stream::tcp(broker.mqtt()));
    client.send_connect(&hello);
    client.receive().with(|packet| match packet {
        Packet::Connack(connack) => assert_eq!(connack.reason, OK),
        other => panic!("{other:?}"),
    });
    client
}

#[test]
fn a_will_that_a_token_denies_does_not_come_out_after_a_restart() {
    let store = folder("will");
    let config = CONFIG.replace("password_file @DIR@/passwd", "jwt_key_file @DIR@/key");
    let config = format!("{config}persistence true\npersistence_location {}\n", store.display());
    let start = || Setup::default().config(&config).file("key", JWT_SECRET).start();
    let mut broker = start();
    let clients = [
        leave_a_will(&broker, "a", r#"{"pub":["own"]}"#, "other"),
        leave_a_will(&broker, "b", r#"{"pub":["own"]}"#, "own"),
    ];
    broker.signal("KILL");
    broker.wait();
    drop(clients);
    let broker = start();
    let mut reader = Client::new(Stream::tcp(broker.mqtt()));
    say(&mut reader, "r", Some("ann"), &token(3600, ""));
    reader.receive();
    reader.subscribe("#", QoS::AtMostOnce);
    let topic = reader.receive().with(|packet| match packet {
        Packet::Publish(publish) => publish.topic.to_owned(),
        other => panic!("{other:?}"),
    });
    assert_eq!(topic, "own");
    reader.subscribe("other", QoS::AtMostOnce);
    reader.ping();
    fs::remove_dir_all(store).unwrap();
}
