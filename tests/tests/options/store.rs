//! Options of the store: where it is, what its files are like, what an acknowledgement waits for.

use super::OPEN;
use super::PAGES;
use super::metric;
use halyard_core::packet::Packet;
use halyard_core::packet::PacketId;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Setup;
use halyard_tests::connect;
use halyard_tests::wait_until;
use std::fs;

fn house(lines: &str) -> Broker {
    Broker::spawn(&format!(
        "user root\npersistence true\npersistence_location @DIR@\n\
         persistence_segment_size 1048576\n{lines}{OPEN}{PAGES}"
    ))
}

/// A client with a session that is kept and a subscription to "t".
fn keeper(broker: &Broker) -> Client {
    let mut client = broker.connect();
    let mut hello = connect("keeper", Version::V5);
    hello.properties.session_expiry_interval = Some(600);
    client.send_connect(&hello);
    client.receive();
    client.subscribe("t", QoS::AtLeastOnce);
    client
}

/// Publishes so many messages, each after the acknowledgement of the one before.
fn publish(broker: &Broker, count: u16) {
    let mut client = broker.connect();
    client.connect("writer", Version::V5);
    for number in 1..=count {
        client.send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: "t",
            packet_id: PacketId::new(number),
            properties: PublishProperties::default(),
            payload: b"x",
        }));
        client.receive().with(|packet| assert!(matches!(packet, Packet::Puback(_)), "{packet:?}"));
    }
}

fn syncs(broker: &Broker) -> u64 {
    metric(broker, "halyard_store_syncs_total ")
}

#[test]
fn persistence_sync_always_asks_the_disk_before_it_acknowledges() {
    let broker = house("persistence_sync always\n");
    let _keeper = keeper(&broker);
    let before = syncs(&broker);
    publish(&broker, 20);
    assert!(syncs(&broker) >= before + 20, "{} after {before}", syncs(&broker));
    broker.wait_for_line(&["survives a loss of power"]);
}

#[test]
fn persistence_sync_never_leaves_it_to_the_system() {
    let broker = house("persistence_sync never\n");
    let _keeper = keeper(&broker);
    let before = syncs(&broker);
    publish(&broker, 50);
    assert_eq!(syncs(&broker), before);
    broker.wait_for_line(&["when the system likes"]);
}

#[test]
fn persistence_sync_interval_is_how_often_the_disk_gets_it() {
    let often = house("persistence_sync interval\npersistence_sync_interval 5\n");
    let seldom = house("persistence_sync interval\npersistence_sync_interval 3600000\n");
    let (_one, _other) = (keeper(&often), keeper(&seldom));
    let before = (syncs(&often), syncs(&seldom));
    publish(&seldom, 20);
    wait_until("a few syncs", || {
        publish(&often, 1);
        (syncs(&often) >= before.0 + 3).then_some(())
    });
    assert_eq!(syncs(&seldom), before.1);
    often.wait_for_line(&["every 5 ms"]);
}

#[test]
fn persistence_segment_size_is_the_size_of_a_file() {
    let broker = house("");
    let folder = broker.folder().join("halyard");
    let sizes: Vec<u64> = fs::read_dir(&folder)
        .expect("the store is where persistence_location says")
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "seg"))
        .map(|entry| entry.metadata().expect("a file").len())
        .collect();
    assert_eq!(sizes, [1 << 20; 3]);
    assert_eq!(metric(&broker, "halyard_store_segments "), 3);
}

#[test]
fn without_persistence_nothing_is_written() {
    let broker = Broker::spawn(&format!(
        "user root\npersistence false\npersistence_location @DIR@\n{OPEN}{PAGES}"
    ));
    let _keeper = keeper(&broker);
    publish(&broker, 5);
    assert!(!broker.folder().join("halyard").exists());
    assert_eq!(metric(&broker, "halyard_store_appended_bytes_total "), 0);
}

#[test]
fn the_environment_stands_above_persistence_location() {
    let folder = std::env::temp_dir().join(format!("halyard-location-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let config =
        format!("user root\npersistence true\npersistence_location /no/such/folder\n{OPEN}");
    let export = format!("export MOSQUITTO_PERSISTENCE_LOCATION={}", folder.display());
    let broker = Setup::default().config(&config).shell(&export).start();
    assert!(folder.join("halyard").is_dir());
    drop(broker);
    fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn persistence_allow_shared_lets_others_have_rights() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = std::env::temp_dir().join(format!("halyard-shared-{}", std::process::id()));
    fs::create_dir_all(folder.join("halyard")).expect("a folder");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.join("halyard"), open).expect("it is ours");
    let config = |lines: &str| {
        format!(
            "user root\npersistence true\npersistence_location {}\n{lines}{OPEN}",
            folder.display()
        )
    };
    let refused = Setup::default().config(&config("")).run();
    assert!(refused.stderr.contains("persistence_allow_shared true"), "{refused:?}");
    drop(Broker::spawn(&config("persistence_allow_shared true\n")));
    fs::remove_dir_all(folder).expect("it is ours");
}
