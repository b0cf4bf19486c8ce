//! The log of the real binary: JSON that is JSON, topics under Mosquitto's names, and files that are
//! moved away while it writes.

use halyard_core::packet::Packet;
use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::wait_until;
use serde_json::Value;
use std::fs;

// The folder of a test is its own user's.
const OPEN: &str = "user root\nallow_anonymous true\nlistener 0 127.0.0.1\nlog_dest stderr\n";

#[test]
fn a_line_of_json_says_what_it_is_about() {
    let broker = Broker::spawn(&format!("{OPEN}log_format json\nlog_type all\n"));
    let port = broker.wait_for_line(&["Listening on mqtt://"]);
    let port: Value = serde_json::from_str(&port).unwrap();
    assert_eq!(port["type"], "information");
    let mut client = broker.connect();
    client.connect("a \"quoted\" client", Version::V5);
    client.subscribe("x/#", QoS::AtMostOnce);
    client.disconnect();
    broker.wait_for_line(&["\"event\":\"disconnected\""]);
    let lines: Vec<Value> = broker
        .log()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let event = |name: &str| {
        let found = lines.iter().find(|line| line["event"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {lines:#?}"))
    };
    assert_eq!(event("connected")["client"], "a \"quoted\" client");
    assert_eq!(event("connected")["type"], "notice");
    assert!(event("opened")["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(event("subscribed")["filter"], "x/#");
    assert_eq!(event("disconnected")["reason"], "client disconnected");
    assert!(lines.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z')));
}

#[test]
fn lines_are_published_under_the_topics_of_mosquitto() {
    let broker = Broker::spawn(&format!("{OPEN}log_dest topic\nlog_type all\n"));
    let mut watcher = broker.connect();
    watcher.connect("watcher", Version::V4);
    watcher.subscribe("$SYS/broker/log/#", QoS::AtMostOnce);
    let mut other = broker.connect();
    other.connect("other", Version::V4);
    other.subscribe("its/filter", QoS::AtLeastOnce);
    let mut expected = vec![
        ("$SYS/broker/log/N", "New client connected from 127.0.0.1"),
        ("$SYS/broker/log/M/subscribe", "other 1 its/filter"),
    ];
    while !expected.is_empty() {
        watcher.receive().with(|packet| {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            assert!(!publish.retain);
            let text = String::from_utf8_lossy(publish.payload);
            assert!(!publish.topic.ends_with("/D"), "{text}");
            expected.retain(|(topic, part)| *topic != publish.topic || !text.contains(part));
        });
    }
}

#[test]
fn nobody_can_publish_a_line_of_the_log() {
    let broker = Broker::spawn(&format!("{OPEN}log_dest topic\n"));
    let mut watcher = broker.connect();
    watcher.connect("watcher", Version::V4);
    watcher.subscribe("$SYS/broker/log/E", QoS::AtMostOnce);
    watcher.subscribe("end", QoS::AtMostOnce);
    let mut forger = broker.connect();
    forger.connect("forger", Version::V4);
    forger.publish("$SYS/broker/log/E", b"a lie");
    forger.publish("end", b"");
    watcher.receive().with(|packet| {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        assert_eq!(publish.topic, "end");
    });
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew_on_either_signal() {
    for signal in ["RTMIN", "HUP"] {
        let broker = Broker::spawn(&format!("{OPEN}log_dest file @DIR@/broker.log\n"));
        let path = broker.folder().join("broker.log");
        let moved = broker.folder().join("broker.log.1");
        fs::rename(&path, &moved).unwrap();
        broker.connect().connect("before", Version::V4);
        wait_until("a line in the old file", || {
            fs::read_to_string(&moved).unwrap().contains("as before").then_some(())
        });
        broker.signal(signal);
        wait_until("a new file", || path.exists().then_some(()));
        broker.connect().connect("behind", Version::V4);
        wait_until("a line in the new file", || {
            fs::read_to_string(&path).unwrap().contains("as behind").then_some(())
        });
        assert!(!fs::read_to_string(&moved).unwrap().contains("as behind"), "{signal}");
        assert_eq!(broker.stop(), Some(0));
    }
}

#[test]
fn a_log_that_cannot_be_opened_anew_goes_on_and_says_so() {
    let broker = Broker::spawn(&format!("{OPEN}log_dest file @DIR@/logs\n"));
    let path = broker.folder().join("logs");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    broker.signal("RTMIN");
    broker.wait_for_line(&["Warning: the log goes on as before", "logs"]);
}

#[test]
fn no_destination_is_no_log() {
    let broker = Broker::spawn(&format!("{OPEN}log_dest file @DIR@/kept.log\n"));
    let path = broker.folder().join("halyard.conf");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}log_dest none\n")).unwrap();
    broker.signal("HUP");
    // The last line is that of the reload; what comes behind it goes nowhere.
    let kept = broker.folder().join("kept.log");
    let before = wait_until("the log to end", || {
        broker.connect().connect("unseen", Version::V4);
        let lines = fs::read_to_string(&kept).unwrap().matches("as unseen").count();
        broker.connect().connect("unseen", Version::V4);
        (fs::read_to_string(&kept).unwrap().matches("as unseen").count() == lines).then_some(lines)
    });
    broker.connect().connect("unseen", Version::V4);
    assert_eq!(broker.stop(), Some(0));
    assert!(before < 1000);
}
