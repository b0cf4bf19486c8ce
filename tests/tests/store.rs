//! The store of the real binary: what a restart brings back, who may read its files, and what it
//! refuses to start with.

use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Heard;
use halyard_tests::Setup;
use halyard_tests::Station;
use halyard_tests::wait_until;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

/// A folder that outlives its brokers.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("halyard-{name}-{}", std::process::id()));
        // Left over from a process of the same number at worst.
        _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    fn config(&self) -> String {
        format!(
            "listener 0 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {}\n",
            self.0.display()
        )
    }

    fn store(&self) -> PathBuf {
        self.0.join("halyard")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.store()).expect("the store");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut segments: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|kind| kind == "seg")).collect();
        segments.sort();
        segments
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Drives a client until it has heard something that satisfies.
fn until(broker: &Broker, station: &mut Station, what: &str, is_it: impl Fn(&Heard) -> bool) {
    wait_until(what, || {
        station.connect(broker.mqtt());
        station.step().iter().any(&is_it).then_some(())
    });
}

/// A session that sleeps, with a message that waits for it, and a retained message.
fn fill(broker: &Broker) {
    let mut sleeper = Station::new("sleeper", true);
    until(broker, &mut sleeper, "the session", |heard| *heard == Heard::Connected(false));
    sleeper.subscribe("a/#").expect("it is connected");
    until(broker, &mut sleeper, "SUBACK", |heard| matches!(heard, Heard::Answered(_)));
    sleeper.cut();
    let mut speaker = Station::new("speaker", false);
    for (topic, retain) in [("a/b", false), ("kept", true)] {
        let token = speaker.publish(topic, "7", QoS::ExactlyOnce, retain);
        until(broker, &mut speaker, "PUBCOMP", |heard| *heard == Heard::Published(token));
    }
}

#[test]
fn a_restart_brings_back_sessions_with_their_messages_and_retained_messages() {
    let folder = Folder::new("restart");
    for signal in ["TERM", "KILL"] {
        let mut broker = Broker::spawn(&folder.config());
        fill(&broker);
        broker.signal(signal);
        broker.wait();
        let broker = Broker::spawn(&folder.config());
        broker.wait_for_line(&["1 sessions with 1 messages and 1 retained messages restored"]);
        let mut sleeper = Station::new("sleeper", true);
        until(
            &broker,
            &mut sleeper,
            "the message",
            |heard| matches!(heard, Heard::Message { topic, .. } if topic == "a/b"),
        );
        let mut reader = Station::new("reader", false);
        until(&broker, &mut reader, "a connection", |heard| matches!(heard, Heard::Connected(_)));
        reader.subscribe("kept").expect("it is connected");
        until(&broker, &mut reader, "the retained message", |heard| {
            matches!(heard, Heard::Message { retain: true, .. })
        });
        assert_eq!(broker.stop(), Some(0));
        fs::remove_dir_all(folder.store()).expect("the store is there");
    }
}

#[test]
fn a_second_broker_does_not_take_the_same_store() {
    let folder = Folder::new("second");
    let broker = Broker::spawn(&folder.config());
    let second = Setup::default().config(&folder.config()).run();
    assert_eq!(second.code, Some(1));
    let pid = format!("(process {})", broker.pid());
    assert!(second.stderr.contains("another broker uses this store"), "{}", second.stderr);
    assert!(second.stderr.contains(&pid), "{}", second.stderr);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

#[test]
fn files_are_the_owners_alone_and_refused_when_they_are_not() {
    let folder = Folder::new("rights");
    assert_eq!(Broker::spawn(&folder.config()).stop(), Some(0));
    assert_eq!(mode(&folder.store()), 0o700);
    let segment = folder.segments().remove(0);
    assert_eq!(mode(&segment), 0o600);
    fs::set_permissions(&segment, fs::Permissions::from_mode(0o640)).expect("it is ours");
    let refused = Setup::default().config(&folder.config()).run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("persistence_allow_shared"), "{}", refused.stderr);
    assert!(refused.stderr.contains(".seg"), "{}", refused.stderr);
    let allowed = format!("{}persistence_allow_shared true\n", folder.config());
    assert_eq!(Broker::spawn(&allowed).stop(), Some(0));
}

#[test]
fn a_file_in_the_place_of_the_store_is_named_and_left_alone() {
    let folder = Folder::new("file");
    fs::write(folder.store(), "a program of the same name").expect("it is written");
    let refused = Setup::default().config(&folder.config()).run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("this is a file"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("chmod"), "{}", refused.stderr);
}

#[test]
fn a_damaged_store_is_refused_with_file_and_byte_and_left_as_it_is() {
    let folder = Folder::new("damage");
    let broker = Broker::spawn(&folder.config());
    fill(&broker);
    assert_eq!(broker.stop(), Some(0));
    let segment = folder.segments().remove(0);
    let mut bytes = fs::read(&segment).expect("a segment");
    bytes[100] ^= 4;
    fs::write(&segment, &bytes).expect("it is ours");
    let refused = Setup::default().config(&folder.config()).run();
    assert_eq!(refused.code, Some(1));
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(refused.stderr.contains(&format!("{name} is damaged at byte")), "{}", refused.stderr);
    assert_eq!(fs::read(&segment).expect("still there"), bytes);
}

#[test]
fn a_repair_keeps_what_can_be_read_names_what_is_lost_and_sets_the_old_file_aside() {
    let folder = Folder::new("repair");
    let broker = Broker::spawn(&folder.config());
    fill(&broker);
    assert_eq!(broker.stop(), Some(0));
    let repair = || Setup::default().config(&folder.config()).args(&["--repair"]).run();
    let sound = repair();
    assert_eq!((sound.code, sound.stdout.contains("it is sound")), (Some(0), true), "{sound:?}");
    let segment = folder.segments().remove(0);
    let mut bytes = fs::read(&segment).expect("a segment");
    // In the last record but the mark of the end: the session and its message stand before it.
    let topic = bytes.windows(4).rposition(|part| part == b"kept").expect("a retained message");
    bytes[topic] ^= 4;
    fs::write(&segment, &bytes).expect("it is ours");
    assert_eq!(Setup::default().config(&folder.config()).run().code, Some(1));
    let repaired = repair();
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    let says = |text: &str| repaired.stdout.contains(text);
    assert!(says(&format!("lost: {name} at byte ")) && says("record"), "{repaired:?}");
    let copy = format!("{name}.damaged-1");
    assert!(says(&copy), "{repaired:?}");
    assert_eq!(fs::read(folder.store().join(&copy)).expect("a copy"), bytes);
    let broker = Broker::spawn(&folder.config());
    let mut sleeper = Station::new("sleeper", true);
    until(&broker, &mut sleeper, "its message", |heard| matches!(heard, Heard::Message { .. }));
    assert_eq!(broker.stop(), Some(0));
    assert_eq!(fs::read(folder.store().join(&copy)).expect("still there"), bytes);
}

#[test]
fn without_room_for_a_segment_the_start_fails_and_names_it() {
    let folder = Folder::new("room");
    // In units of 512 bytes; the signal would end the process before the error is seen.
    let limited = Setup::default().config(&folder.config()).shell("trap '' XFSZ; ulimit -f 2048");
    let refused = limited.run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("there is no room left on the disk"), "{}", refused.stderr);
    assert!(refused.stderr.contains("0000000001.seg"), "{}", refused.stderr);
}

#[test]
fn segments_of_many_short_lives_are_folded() {
    let folder = Folder::new("lives");
    for _ in 0..25 {
        let broker = Setup::default().config(&folder.config()).start();
        // A few are in use or ready; a life may be too short for a fold, the next then does it.
        if folder.segments().len() > 22 {
            broker.wait_for_line(&["Store: folded "]);
        }
        assert_eq!(broker.stop(), Some(0));
    }
    assert!(folder.segments().len() <= 22, "{:?}", folder.segments());
}

#[test]
fn a_reload_says_that_other_options_of_the_store_take_a_restart() {
    let broker = Broker::spawn("listener 0 127.0.0.1\nallow_anonymous true\n");
    let path = broker.folder().join("halyard.conf");
    let config = fs::read_to_string(&path).expect("its configuration");
    fs::write(&path, format!("{config}persistence true\n")).expect("it is ours");
    broker.signal("HUP");
    broker.wait_for_line(&["Changed, but that takes a restart: persistence."]);
    broker.wait_for_line(&["Config reloaded."]);
    // It goes on as it was.
    broker.connect().connect("client", Version::V5);
    assert_eq!(broker.stop(), Some(0));
}
