//! `$SYS` beside Mosquitto's: `tests/data/sys-topics-mosquitto.txt` lists what Debian's Mosquitto
//! (2.0.11) publishes, and each of these topics has to come from the real binary too, with a value of
//! the same form. Where Mosquitto is installed, it is asked itself whether the list is whole.

use halyard_core::packet::Packet;
use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Stream;
use halyard_tests::wait_until;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

const MOSQUITTO: &str = include_str!("../data/sys-topics-mosquitto.txt");

/// Topics of later versions of Mosquitto, which exporters read as well.
const LATER: [&str; 1] = ["$SYS/broker/connections/socket/count"];

/// The retained topics of `$SYS` with their payloads, once all of `expected` are there.
fn collect(address: SocketAddr, expected: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut client = Client::new(Stream::tcp(address));
    client.connect("collector", Version::V4);
    client.subscribe("$SYS/#", QoS::AtMostOnce);
    let mut found = BTreeMap::new();
    while expected.iter().any(|topic| !found.contains_key(*topic)) {
        client.receive().with(|packet| {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            let payload = String::from_utf8_lossy(publish.payload).into_owned();
            found.insert(publish.topic.to_owned(), payload);
        });
    }
    found
}

#[test]
fn every_topic_of_mosquitto_is_published_with_a_value_of_its_form() {
    let broker = Broker::spawn("sys_interval 1\nallow_anonymous true\nlistener 0 127.0.0.1\n");
    let expected: BTreeSet<&str> = MOSQUITTO.lines().chain(LATER).collect();
    assert!(expected.len() > 50);
    let found = collect(broker.mqtt(), &expected);
    let known: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(known, expected, "left: ours; right: those of the list");
    for (topic, value) in found {
        let is_fine = if topic.ends_with("/version") {
            value.starts_with("halyard version ")
        } else if topic.ends_with("/uptime") {
            value.strip_suffix(" seconds").is_some_and(|secs| secs.parse::<u64>().is_ok())
        } else if topic.contains("/load/") {
            value.split_once('.').is_some_and(|(_, cents)| cents.len() == 2)
                && value.parse::<f64>().is_ok()
        } else {
            value.parse::<u64>().is_ok()
        };
        assert!(is_fine, "{topic}: {value:?}");
    }
}

#[test]
fn the_numbers_are_those_of_what_happened() {
    let broker = Broker::spawn("sys_interval 1\nallow_anonymous true\nlistener 0 127.0.0.1\n");
    let mut watcher = broker.connect();
    watcher.connect("watcher", Version::V4);
    watcher.subscribe("$SYS/#", QoS::AtMostOnce);
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V4);
    for _ in 0..3 {
        publisher.publish("x", b"1");
    }
    let mut wanted =
        BTreeSet::from([("clients/connected", "2"), ("publish/messages/received", "3")]);
    while !wanted.is_empty() {
        watcher.receive().with(|packet| {
            let Packet::Publish(publish) = packet else { return };
            wanted.retain(|(topic, value)| {
                !publish.topic.ends_with(topic) || publish.payload != value.as_bytes()
            });
        });
    }
}

/// A Mosquitto of this machine; ended when dropped.
struct Mosquitto(Child);

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn the_list_is_what_mosquitto_publishes() {
    let Some(program) = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        .iter()
        .find(|path| Path::new(path).exists())
    else {
        // `scripts/setup-clients.sh` installs it; without it the list stands as it is.
        return;
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = std::env::temp_dir().join(format!("halyard-sys-{}.conf", std::process::id()));
    let config = format!("sys_interval 1\nallow_anonymous true\nlistener {port} 127.0.0.1\n");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
    let _mosquitto = Mosquitto(command.spawn().unwrap());
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_until("Mosquitto to listen", || TcpStream::connect(address).ok());
    let version = Command::new(program).arg("-h").output().unwrap().stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    let listed: BTreeSet<&str> = MOSQUITTO.lines().collect();
    let found = collect(address, &listed);
    if version.contains("version 2.0.") {
        let known: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(known, listed, "left: Mosquitto's; right: those of the list");
    }
    std::fs::remove_file(&path).unwrap();
}
