//! `per_listener_settings`: users and access lists of each listener's own, and what a restart makes of
//! those who came in by listeners that now stand in another order, or are gone.

use halyard_core::packet::{Connect, Packet, QoS, ReasonCode, Version};
use halyard_tests::{Broker, Client, Setup, Stream, connect};
use std::fs;
use std::path::PathBuf;

/// "pass", for the user of this name; as cheap as Mosquitto's.
fn user(name: &str) -> String {
    let hash = "$7$101$c2FsdHNhbHQ=$2lkFH6Ai+HsUVS1FkK7TVSvVpmrVrk3G3LWKeCPBtsszjlnlQJhE77btzcBuI5X\
                bEq0lowC3BCLolRId+gF3Ow==";
    format!("{name}:{hash}\n")
}

fn hello<'a>(name: &'a str, user: &'a str) -> Connect<'a> {
    let mut packet = connect(name, Version::V5);
    packet.username = Some(user);
    packet.password = Some(b"pass");
    packet
}

fn enter(mut client: Client, packet: &Connect<'_>) -> (Client, ReasonCode) {
    client.send_connect(packet);
    let reason = client.receive().with(|packet| match packet {
        Packet::Connack(connack) => connack.reason,
        other => panic!("{other:?}"),
    });
    (client, reason)
}

fn retain(client: &mut Client, topic: &str) -> ReasonCode {
    let mut packet = halyard_core::packet::Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic,
        packet_id: halyard_core::packet::PacketId::new(7),
        properties: Default::default(),
        payload: b"kept",
    };
    packet.properties.payload_format_utf8 = None;
    client.send(&Packet::Publish(packet));
    client.receive().with(|packet| match packet {
        Packet::Puback(ack) => ack.reason,
        other => panic!("{other:?}"),
    })
}

/// The topics of the retained messages that it gets.
fn retained(client: &mut Client) -> Vec<String> {
    client.subscribe("#", QoS::AtMostOnce);
    client.send(&Packet::Pingreq);
    let mut topics = Vec::new();
    loop {
        let topic = client.receive().with(|packet| match packet {
            Packet::Publish(publish) => Some(publish.topic.to_owned()),
            Packet::Pingresp => None,
            other => panic!("{other:?}"),
        });
        match topic {
            Some(topic) => topics.push(topic),
            None => return topics,
        }
    }
}

#[test]
fn each_listener_has_users_and_rights_of_its_own() {
    let config = "per_listener_settings true\nuser root\n\
                  listener 0 127.0.0.1\nallow_anonymous false\npassword_file @DIR@/users-1\n\
                  acl_file @DIR@/acl-1\n\
                  listener 0 @DIR@/socket\nallow_anonymous false\npassword_file @DIR@/users-2\n\
                  acl_file @DIR@/acl-2\n";
    let broker = Setup::default()
        .config(config)
        .file("users-1", &user("ann"))
        .file("users-2", &user("bob"))
        .file("acl-1", "user ann\ntopic write one\nuser bob\ntopic #\n")
        .file("acl-2", "user bob\ntopic write two\nuser ann\ntopic #\n")
        .start();
    let unix = || Client::new(Stream::unix(&broker.folder().join("socket")));
    for (name, at_tcp) in [("ann", true), ("bob", false)] {
        let (_, by_tcp) = enter(broker.connect(), &hello(name, name));
        let (_, by_unix) = enter(unix(), &hello(name, name));
        let found = (by_tcp == ReasonCode::Success, by_unix == ReasonCode::Success);
        assert_eq!(found, (at_tcp, !at_tcp), "{name}");
        let client = if at_tcp { broker.connect() } else { unix() };
        let (mut client, _) = enter(client, &hello(name, name));
        for topic in ["one", "two"] {
            let may = (topic == "one") == at_tcp;
            let reason = retain(&mut client, topic);
            assert_eq!(reason == ReasonCode::NotAuthorized, !may, "{name} {topic} {reason:?}");
        }
    }
}

/// A folder that outlives its brokers.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn behind_a_restart_rights_follow_the_name_of_the_listener() {
    let name = format!("halyard-per-listener-{}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(name));
    _ = fs::remove_dir_all(&folder.0);
    fs::create_dir(&folder.0).unwrap();
    let at = folder.0.display();
    fs::write(folder.0.join("all"), "topic #\n").unwrap();
    fs::write(folder.0.join("read"), "topic read #\n").unwrap();
    let broker = format!(
        "per_listener_settings true\nuser root\npersistence true\npersistence_location {at}\n"
    );
    let tcp = format!("listener 0 127.0.0.1\nallow_anonymous true\nacl_file {at}/read\n");
    let unix = format!("listener 0 {at}/socket\nallow_anonymous true\nacl_file {at}/all\n");
    let start = |listeners: &[&str]| Broker::spawn(&format!("{broker}{}", listeners.concat()));

    let first = start(&[&tcp, &unix]);
    let mut writer = Client::new(Stream::unix(&folder.0.join("socket")));
    writer.connect("writer", Version::V5);
    assert_ne!(retain(&mut writer, "kept"), ReasonCode::NotAuthorized);
    drop(first);

    let moved = start(&[&unix, &tcp]);
    let mut reader = moved.connect();
    reader.connect("reader", Version::V5);
    assert_eq!(retain(&mut reader, "mine"), ReasonCode::NotAuthorized);
    assert_eq!(retained(&mut reader), ["kept"]);
    drop(moved);

    // Who published it has no rights any more (check_retain_source).
    let gone = start(&[&tcp]);
    let mut reader = gone.connect();
    reader.connect("reader", Version::V5);
    assert_eq!(retained(&mut reader), [""; 0]);
    drop(gone);

    let back = start(&[&unix, &tcp]);
    let mut reader = back.connect();
    reader.connect("reader", Version::V5);
    assert_eq!(retained(&mut reader), ["kept"]);
}
