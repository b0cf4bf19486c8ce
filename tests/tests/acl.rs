//! Access lists in the real binary: side by side with Debian's mosquitto on the same file, at a
//! reload, and at `halyard check`; what is wrong with a file stops the start and nothing else.

use halyard_core::packet::Packet;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Outcome;
use halyard_tests::Setup;
use halyard_tests::Stream;
use halyard_tests::connect;
use halyard_tests::run;
use halyard_tests::wait_until;
use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

const CONFIG: &str =
    "listener 0 127.0.0.1\nallow_anonymous true\nacl_file @DIR@/acl\nlog_type all\n";

/// What both brokers are asked about.
const LIST: &str = "\
# rules above the first user are for clients without a name
topic read anon/#
topic write anon/in
topic $SYS/broker/version

user roger
topic foo/bar
topic read in/+
topic write out/#
topic deny out/secret
topic   read  with space
user mary
topic readwrite #
topic deny private/#
topic deny $SYS/#

pattern readwrite own/%u/#
pattern read client/%c/x
pattern deny own/+/locked
pattern write $SYS/broker/connection/%c/state
pattern read everybody
";

const USERS: &[Option<&str>] = &[None, Some("roger"), Some("mary"), Some("other"), Some("a+")];
const CLIENTS: &[&str] = &["c1", "c2", "w+d"];
const TOPICS: &[&str] = &[
    "anon/1",
    "anon/in",
    "foo/bar",
    "foo",
    "in/x",
    "in/x/y",
    "out",
    "out/a/b",
    "out/secret",
    "with space",
    "private/x",
    "own/roger/a",
    "own/roger",
    "own/mary/a",
    "own/other/locked",
    "client/c1/x",
    "client/c2/x",
    "everybody",
    "nobody",
    "a+/x",
];

/// Debian's broker, ended with the test.
struct Mosquitto {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Mosquitto {
    /// `None` where it is not installed.
    fn start(acl: &str) -> Option<Self> {
        let binary = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"];
        let binary = binary.into_iter().find(|path| Path::new(path).exists())?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let name = format!("halyard-acl-{}-{}", std::process::id(), address.port());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("acl"), acl).unwrap();
        let config = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nacl_file {}/acl\nuser root\n",
            address.port(),
            folder.display()
        );
        fs::write(folder.join("conf"), config).unwrap();
        let mut command = Command::new(binary);
        command.arg("-c").arg(folder.join("conf"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mosquitto = Self { child, address, folder };
        wait_until("mosquitto to listen", || TcpStream::connect(address).ok().map(drop));
        Some(mosquitto)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn client(address: SocketAddr, client_id: &str, user: Option<&str>) -> Client {
    let mut client = Client::new(Stream::tcp(address));
    let mut packet = connect(client_id, Version::V5);
    packet.username = user;
    client.send_connect(&packet);
    client.receive().with(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert!(!connack.reason.is_error(), "{client_id} {user:?}: {:?}", connack.reason);
    });
    client
}

/// Publishes at QoS 1; whether that is allowed.
fn may_write(client: &mut Client, topic: &str) -> bool {
    client.send(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: halyard_core::packet::PacketId::new(9),
        properties: PublishProperties::default(),
        payload: b"x",
    }));
    client.receive().with(|packet| {
        let Packet::Puback(ack) = packet else { panic!("{packet:?}") };
        ack.reason.as_u8() != 0x87
    })
}

/// Which topics `client` gets of those that `writer` publishes.
fn readable(client: &mut Client, writer: &mut Client) -> Vec<String> {
    client.subscribe("#", QoS::AtMostOnce);
    for topic in TOPICS.iter().filter(|topic| !topic.contains('+')) {
        assert!(may_write(writer, topic), "{topic}");
    }
    client.send(&Packet::Pingreq);
    let mut topics = Vec::new();
    loop {
        let is_last = client.receive().with(|packet| match packet {
            Packet::Publish(publish) => {
                topics.push(publish.topic.to_owned());
                false
            }
            _ => true,
        });
        if is_last {
            return topics;
        }
    }
}

/// Everything that each user with each client may read and write, one line each.
fn table(address: SocketAddr) -> Vec<String> {
    let mut writer = client(address, "writer", Some("writer"));
    let mut lines = Vec::new();
    for user in USERS {
        for client_id in CLIENTS {
            let mut subject = client(address, client_id, *user);
            for topic in TOPICS.iter().filter(|topic| !topic.contains('+')) {
                let is_allowed = may_write(&mut subject, topic);
                lines.push(format!("{user:?} {client_id} write {topic}: {is_allowed}"));
            }
            for topic in readable(&mut subject, &mut writer) {
                lines.push(format!("{user:?} {client_id} read {topic}"));
            }
            subject.disconnect();
        }
    }
    lines
}

fn with_writer(list: &str) -> String {
    format!("{list}user writer\ntopic write #\n")
}

#[test]
fn both_brokers_agree_on_every_user_client_topic_and_access() {
    let list = with_writer(LIST);
    let Some(mosquitto) = Mosquitto::start(&list) else {
        eprintln!("mosquitto is not installed: nothing to compare with");
        return;
    };
    let halyard = start(&list);
    let (theirs, ours) = (table(mosquitto.address), table(halyard.mqtt()));
    assert!(theirs.len() > USERS.len() * CLIENTS.len() * 18, "{}", theirs.len());
    assert!(theirs.iter().any(|line| line.contains(" read ")), "nothing was read");
    assert_eq!(ours, theirs);
}

#[test]
fn both_brokers_refuse_the_same_files() {
    let cases = [
        ("user\n", false),
        ("user   \n", false),
        ("topic\n", false),
        ("topic wrte a\n", false),
        ("topic read a/#/b\n", false),
        (" # comment\n", false),
        ("topic\tread a\n", false),
        ("users roger\n", false),
        ("topic read a \t\r\n", true),
        ("  topic   read  a\n", true),
        ("topic a\n\n\n#\n", true),
        ("topic deny\n", true),
        ("", true),
    ];
    for (text, is_taken) in cases {
        let outcome = check(text, &[]).0;
        assert_eq!(outcome.code == Some(0), is_taken, "{text:?}: {outcome:?}");
        if let Some(theirs) = mosquitto_takes(text) {
            assert_eq!(theirs, is_taken, "mosquitto and {text:?}");
        }
    }
}

/// Whether mosquitto starts with this list.
fn mosquitto_takes(text: &str) -> Option<bool> {
    if !Path::new("/usr/sbin/mosquitto").exists() {
        return None;
    }
    let folder = std::env::temp_dir().join(format!("halyard-acl-takes-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("acl"), text).unwrap();
    let socket = folder.join("socket");
    let (acl, path) = (folder.join("acl"), socket.display());
    let config = format!("listener 0 {path}\nacl_file {}\nuser root\n", acl.display());
    fs::write(folder.join("conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/mosquitto");
    command.arg("-c").arg(folder.join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let takes = wait_until("mosquitto to start or end", || {
        if child.try_wait().unwrap().is_some() {
            return Some(false);
        }
        socket.exists().then_some(true)
    });
    // A list is read before a socket is opened.
    _ = child.kill();
    _ = child.wait();
    _ = fs::remove_dir_all(&folder);
    Some(takes)
}

fn start(list: &str) -> Broker {
    // The list comes into the folder of the broker, which exists once it runs.
    let broker = Broker::spawn(&CONFIG.replace("acl_file @DIR@/acl\n", ""));
    fs::write(broker.folder().join("acl"), list).unwrap();
    let config = fs::read_to_string(broker.folder().join("halyard.conf")).unwrap();
    let acl = format!("acl_file {}\n", broker.folder().join("acl").display());
    fs::write(broker.folder().join("halyard.conf"), config + &acl).unwrap();
    broker.signal("HUP");
    broker.wait_for_line(&["Config reloaded"]);
    broker
}

#[test]
fn a_reload_revokes_at_once_and_a_bad_file_changes_nothing() {
    let broker = start("topic t/#\n");
    let (mut a, mut b) = (client(broker.mqtt(), "a", None), client(broker.mqtt(), "b", None));
    a.subscribe("t/#", QoS::AtMostOnce);
    assert!(may_write(&mut b, "t/1"));
    a.receive().with(|packet| assert!(matches!(packet, Packet::Publish(_)), "{packet:?}"));

    let acl = broker.folder().join("acl");
    fs::write(&acl, "topic write t/#\nfoo\n").unwrap();
    broker.signal("HUP");
    broker.wait_for_line(&["Config not reloaded", "acl:2: error: \"foo\""]);
    assert!(may_write(&mut b, "t/2"));
    a.receive().with(|packet| assert!(matches!(packet, Packet::Publish(_)), "{packet:?}"));

    fs::write(&acl, "topic write t/yes\n").unwrap();
    let reloads = || broker.log().iter().filter(|line| line.contains("Config reloaded")).count();
    let before = reloads();
    broker.signal("HUP");
    wait_until("the reload", || (reloads() > before).then_some(()));
    assert!(!may_write(&mut b, "t/2"));
    assert!(may_write(&mut b, "t/yes"));
    a.ping();
    broker.wait_for_line(&["Denied PUBLISH from b (d0, q1, r0, m9, 't/2', ... (1 bytes))", "acl"]);
    broker.wait_for_line(&["Denied delivery of t/yes to a"]);
}

#[test]
fn a_file_that_is_missing_or_malformed_stops_the_start_with_file_and_line() {
    let config = "listener 0 127.0.0.1\nallow_anonymous true\nacl_file @DIR@/none\n";
    let outcome = Setup::default().config(config).run();
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("none: error: acl_file: it cannot be read"), "{outcome:?}");
    let (outcome, _) = check("topic a\nuser\n", &[]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("acl:2: error: there is no name"), "{outcome:?}");
}

#[test]
fn an_empty_list_denies_everything() {
    for list in ["", "# nobody yet\n\n"] {
        let broker = start(list);
        let mut writer = client(broker.mqtt(), "w", None);
        let mut reader = client(broker.mqtt(), "r", None);
        reader.subscribe("#", QoS::AtMostOnce);
        for topic in ["t", "a/b", "w", "$x/y"] {
            assert!(!may_write(&mut writer, topic), "{topic}");
        }
        reader.ping();
    }
}

/// `halyard check` of a configuration with this list.
fn check(list: &str, args: &[&str]) -> (Outcome, String) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("halyard-acl-check-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    let (acl, conf) = (folder.join("acl"), folder.join("conf"));
    fs::write(&acl, list).unwrap();
    let text = format!("listener 1883\nallow_anonymous true\nacl_file {}\n", acl.display());
    fs::write(&conf, text).unwrap();
    let conf = conf.display().to_string();
    let outcome = run(&[&["check", &conf], args].concat());
    let tested = run(&["--test-config", "-c", &conf]);
    assert_eq!(outcome.code.filter(|code| *code == 3), tested.code.filter(|code| *code == 3));
    _ = fs::remove_dir_all(&folder);
    (outcome, acl.display().to_string())
}

#[test]
fn check_names_the_deciding_line() {
    for (args, code, expected) in [
        (
            &["--topic", "foo/bar", "--user", "roger"][..],
            0,
            "read foo/bar: allowed: @:7: topic readwrite foo/bar",
        ),
        (
            &["--topic", "out/secret", "--user", "roger", "--access", "write"],
            1,
            "write out/secret: denied: @:10: topic deny out/secret",
        ),
        (
            &["--topic", "client/c9/x", "--clientid", "c9", "--access", "read"],
            0,
            "@:18: pattern read client/%c/x",
        ),
        (
            &["--topic", "nobody", "--access", "read"],
            1,
            "read nobody: denied: @: no rule gives the right",
        ),
        (
            &["--topic", "private/#", "--user", "mary", "--access", "subscribe"],
            1,
            "@:14: topic deny private/#",
        ),
        (
            &["--topic", "$SYS/broker/uptime", "--access", "write"],
            1,
            "clients do not publish to $SYS",
        ),
        (&[], 0, "acl_file @ (16 rules)"),
    ] {
        let (outcome, acl) = check(LIST, args);
        assert_eq!(outcome.code, Some(code), "{args:?}: {outcome:?}");
        let expected = expected.replace('@', &acl);
        assert!(outcome.stdout.contains(&expected), "{args:?}: {expected} in {}", outcome.stdout);
    }
}
