//! The store of the real binary on a disk that is full or fails: what is refused, what goes on, and
//! how it ends. The disk is a small file system in memory that only the broker's process sees.

use halyard_core::packet::Ack;
use halyard_core::packet::Connack;
use halyard_core::packet::Packet;
use halyard_core::packet::PacketId;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Setup;
use halyard_tests::Stream;
use halyard_tests::connect;
use halyard_tests::request;
use halyard_tests::wait_until;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Mounts the disk at `/mnt`, where nobody else sees it; it goes with the process.
const MOUNT: &str = "exec unshare $([ $(id -u) = 0 ] && echo -m || echo -rm) sh -c \
     'mount -t tmpfs -o size=16m,mode=700 disk /mnt && exec \"$0\" \"$@\"' \"$0\" \"$@\"";

const CONFIG: &str = "listener 0 127.0.0.1\nallow_anonymous true\n\
     listener 0 127.0.0.1\nprotocol http_api\n\
     user root\nmax_takeover_rate 0\npersistence true\npersistence_segment_size 1048576\n";

/// A broker on a disk of which the store alone has something.
struct Small {
    broker: Broker,
    filler: PathBuf,
}

impl Small {
    fn new() -> Self {
        let config = format!("{CONFIG}persistence_location /mnt\n");
        let broker = Setup::default().config(&config).shell(MOUNT).start();
        let disk = PathBuf::from(format!("/proc/{}/root/mnt", broker.pid()));
        wait_until("the reserve of compaction", || {
            let reserve = fs::metadata(disk.join("halyard/reserve")).ok()?;
            (reserve.len() == 512 << 10).then_some(())
        });
        let filler = disk.join("filler");
        let mut file = File::create(&filler).expect("the broker's disk");
        let zeros = vec![0; 4096];
        while file.write_all(&zeros).is_ok() {}
        // A base has to be somewhere, besides the segments.
        let len = file.metadata().expect("it is open").len();
        file.set_len(len - (256 << 10)).expect("it is ours");
        Self { broker, filler }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let address = self.broker.addresses("http")[0];
        let text = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let response = request(address, &text);
        (response.status, String::from_utf8(response.body).expect("text"))
    }

    fn is_full(&self) -> bool {
        let (_, page) = self.get("/metrics");
        page.contains("\nhalyard_store_full 1\n")
    }

    /// A client with a session that lasts; gives why it is refused, if it is.
    fn enter(&self, client_id: &str) -> (Client<Stream>, ReasonCode) {
        let mut client = self.broker.connect();
        let mut hello = connect(client_id, Version::V5);
        hello.clean_start = false;
        hello.properties.session_expiry_interval = Some(u32::MAX);
        client.send_connect(&hello);
        let reason = client.receive().with(|packet| match packet {
            Packet::Connack(Connack { reason, .. }) => *reason,
            other => panic!("{other:?}"),
        });
        (client, reason)
    }

    /// A session waits for what is published, until the disk is full; gives how many wait.
    fn fill(&self, publisher: &mut Client<Stream>) -> usize {
        let (mut sleeper, _) = self.enter("sleeper");
        sleeper.subscribe("t", QoS::AtLeastOnce);
        sleeper.disconnect();
        (0..200)
            .take_while(|_| {
                let reason = publish(publisher);
                assert!(!reason.is_error() || reason == ReasonCode::QuotaExceeded, "{reason:?}");
                !reason.is_error()
            })
            .count()
    }

    /// The session comes back, gets what waits for it, and acknowledges it.
    fn drain(&self, count: usize) {
        let (mut sleeper, reason) = self.enter("sleeper");
        assert_eq!(reason, ReasonCode::Success);
        for _ in 0..count {
            let id = sleeper.receive().with(|packet| match packet {
                Packet::Publish(publish) => publish.packet_id.expect("QoS 1"),
                other => panic!("{other:?}"),
            });
            sleeper.send(&Packet::Puback(Ack::new(id, ReasonCode::Success)));
        }
        sleeper.ping();
    }
}

/// Publishes; gives what PUBACK says.
fn publish(client: &mut Client<Stream>) -> ReasonCode {
    client.send(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "t",
        packet_id: PacketId::new(7),
        properties: PublishProperties::default(),
        payload: &[7; 60_000],
    }));
    client.receive().with(|packet| match packet {
        Packet::Puback(ack) => ack.reason,
        other => panic!("{other:?}"),
    })
}

fn publisher(broker: &Broker) -> Client<Stream> {
    let mut client = broker.connect();
    client.connect("publisher", Version::V5);
    client
}

#[test]
fn on_a_full_disk_what_is_new_is_refused_and_deliveries_go_on_until_there_is_room() {
    let small = Small::new();
    let mut publisher = publisher(&small.broker);
    assert_eq!(small.get("/ready").0, 200);
    let waiting = small.fill(&mut publisher);
    assert!((10..100).contains(&waiting), "{waiting} messages fill a segment of 1 MiB");
    small.broker.wait_for_line(&["Store /mnt/halyard: the disk is full."]);
    let (status, body) = small.get("/ready");
    assert_eq!((status, body.contains("store full")), (503, true), "{body}");
    assert!(small.is_full());
    assert_eq!(small.enter("new").1, ReasonCode::QuotaExceeded);
    assert_eq!(publish(&mut publisher), ReasonCode::QuotaExceeded);
    small.drain(waiting);
    fs::remove_file(&small.filler).expect("the broker's disk");
    small.broker.wait_for_line(&["Store /mnt/halyard: there is room on the disk again."]);
    wait_until("the broker to be ready", || (small.get("/ready").0 == 200).then_some(()));
    assert!(!small.is_full());
    assert_eq!(publish(&mut publisher), ReasonCode::Success);
    assert_eq!(small.enter("new").1, ReasonCode::Success);
    assert_eq!(small.broker.stop(), Some(0));
}

#[test]
fn a_disk_that_takes_nothing_more_does_not_keep_the_process() {
    let small = Small::new();
    // Each of its connections takes that much of the reserve.
    let name = "x".repeat(40_000);
    small.enter(&name);
    let mut publisher = publisher(&small.broker);
    small.fill(&mut publisher);
    let _clients: Vec<Client<Stream>> = (0..120)
        .map(|_| {
            let mut client = small.broker.connect();
            let mut hello = connect(&name, Version::V5);
            hello.clean_start = false;
            hello.properties.session_expiry_interval = Some(u32::MAX);
            client.send_connect(&hello);
            client
        })
        .collect();
    wait_until("the reserve to be used up", || {
        let (_, page) = small.get("/metrics");
        let (_, rest) = page.split_once("\nhalyard_store_batches_waiting ")?;
        let waiting: u32 = rest.split('\n').next()?.parse().ok()?;
        (waiting > 2).then_some(())
    });
    assert_eq!(small.broker.stop(), Some(0));
}

#[test]
fn what_is_acknowledged_on_a_full_disk_makes_room() {
    let small = Small::new();
    let mut publisher = publisher(&small.broker);
    let waiting = small.fill(&mut publisher);
    small.drain(waiting);
    small.broker.wait_for_line(&["there is room on the disk again."]);
    wait_until("a message to be taken", || {
        (publish(&mut publisher) == ReasonCode::Success).then_some(())
    });
    assert_eq!(small.broker.stop(), Some(0));
}

#[test]
fn after_a_write_that_failed_nothing_is_acknowledged_and_the_process_ends() {
    // The signal would end the process before the error is seen.
    let config = format!("{CONFIG}persistence_location @DIR@\n");
    let mut broker = Setup::default().config(&config).shell("trap '' XFSZ").start();
    let mut client = publisher(&broker);
    let mut sleeper = broker.connect();
    let mut hello = connect("sleeper", Version::V5);
    hello.properties.session_expiry_interval = Some(u32::MAX);
    sleeper.send_connect(&hello);
    sleeper.receive();
    sleeper.subscribe("t", QoS::AtLeastOnce);
    assert_eq!(publish(&mut client), ReasonCode::Success);
    // From here on every write to a file fails (EFBIG), as on a disk that is broken.
    let pid = broker.pid().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--fsize=1"]).status();
    assert!(limited.is_ok_and(|status| status.success()), "no prlimit");
    client.send(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "t",
        packet_id: PacketId::new(8),
        properties: PublishProperties::default(),
        payload: b"lost",
    }));
    let acknowledged = client.until_closed().iter().any(|received| {
        received.with(|packet| matches!(packet, Packet::Puback(_) | Packet::Publish(_)))
    });
    assert!(!acknowledged, "what was not written was acknowledged");
    assert_eq!(broker.wait().code(), Some(1));
    broker.wait_for_line(&["the store failed", "0000000001.seg", "File too large"]);
}
