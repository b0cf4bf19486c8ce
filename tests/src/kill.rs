//! Real clients against a broker that is killed again and again at random: sequence numbers in QoS 1
//! and 2 through sessions that listen and that sleep, subscriptions, sessions and retained messages
//! that come and go. Keeps book of what was acknowledged, and blames whatever differs from it.

use crate::Broker;
use crate::Setup;
use crate::binary;
use crate::station::Heard;
use crate::station::Station;
use halyard_core::packet::PacketId;
use halyard_core::packet::QoS;
use halyard_core::rng::Rng;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// Messages that a publisher has on the way at most.
const WINDOW: u32 = 30;

/// Messages that a subscriber may lag behind: the broker is faster than these clients, and a start
/// with all that ever waited is not what is tested.
const BACKLOG: u64 = 10_000;

/// Kills that one store goes through.
const LIVES: u32 = 50;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Times that the broker was killed.
    pub kills: u32,
    /// Of these, before it was open to clients.
    pub early: u32,
    /// Messages of QoS 1 and 2 that were acknowledged and had to arrive.
    pub acknowledged: u64,
    /// Messages that arrived, repetitions included.
    pub received: u64,
}

/// One stream of numbers: publisher and QoS.
type Stream = (usize, QoS);

/// The clients, and the book.
struct Game {
    rng: Rng,
    folder: PathBuf,
    publishers: Vec<Station>,
    /// By publisher: the stream and number of each message on its way, by token.
    sent: Vec<BTreeMap<u64, (Stream, u64)>>,
    next: BTreeMap<Stream, u64>,
    acked: BTreeMap<Stream, BTreeSet<u64>>,
    /// The first always listens, the second sleeps now and then.
    subscribers: Vec<Station>,
    /// By subscriber and stream: how often each number came.
    came: Vec<BTreeMap<Stream, BTreeMap<u64, u32>>>,
    known: Vec<bool>,
    changing: Changing,
    retained: Retained,
    ending: Ending,
    tally: Tally,
}

/// A session that is begun and ended, under one Client Identifier.
struct Ending {
    begins: Station,
    ends: Station,
    /// Whether it exists; `None` = nobody knows.
    exists: Option<bool>,
    /// Whether it existed before the attempt in hand.
    before: Option<bool>,
    attempted: bool,
}

/// A client whose subscriptions come and go.
struct Changing {
    station: Station,
    round: u64,
    /// The answer that it waits for.
    waits: Option<(PacketId, Wish)>,
    /// What it has for certain, and what it has no more for certain.
    has: BTreeSet<u64>,
    lost: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Have(u64),
    Lose(u64),
}

/// Retained messages that are set and cleared.
struct Retained {
    station: Station,
    /// By topic: what was asked for last, with the token, and what was acknowledged.
    asked: BTreeMap<u64, (u64, Option<u64>)>,
    acked: BTreeMap<u64, Option<u64>>,
    next: u64,
}

/// Kills brokers so many times: every [`LIVES`] there is a new one, with nothing in its store.
///
/// # Panics
/// If anything that was acknowledged is lost, comes twice in QoS 2, or comes back from the dead.
pub fn kill(times: u32, seed: u64) -> Tally {
    let mut seeds = Rng::new(seed);
    let mut all = Tally::default();
    while all.kills < times {
        let one = play(LIVES.min(times - all.kills), seeds.next_u64());
        all.kills += one.kills;
        all.early += one.early;
        all.acknowledged += one.acknowledged;
        all.received += one.received;
    }
    all
}

/// One broker, its lives and its clients.
fn play(lives: u32, seed: u64) -> Tally {
    let folder = crate::broker::folder();
    let mut game = Game::new(seed, folder.clone());
    while game.tally.kills < lives {
        if game.rng.chance(100) {
            game.kill_early();
        } else {
            game.live_and_die();
        }
    }
    game.settle();
    // Left over at worst, in a folder for temporary files.
    _ = fs::remove_dir_all(folder);
    game.tally
}

impl Game {
    fn new(seed: u64, folder: PathBuf) -> Self {
        let changing = Changing {
            station: Station::new("changing", true),
            round: 0,
            waits: None,
            has: BTreeSet::new(),
            lost: BTreeSet::new(),
        };
        let retained = Retained {
            station: Station::new("keeper", true),
            asked: BTreeMap::new(),
            acked: BTreeMap::new(),
            next: 0,
        };
        let mut game = Self {
            rng: Rng::new(seed),
            folder,
            publishers: (0..2).map(|n| Station::new(&format!("pub{n}"), true)).collect(),
            sent: vec![BTreeMap::new(); 2],
            next: BTreeMap::new(),
            acked: BTreeMap::new(),
            subscribers: (0..2).map(|n| Station::new(&format!("sub{n}"), true)).collect(),
            came: vec![BTreeMap::new(); 2],
            known: vec![false; 6],
            changing,
            retained,
            ending: Ending {
                begins: Station::new("ending", true),
                ends: Station::new("ending", false),
                exists: Some(false),
                before: None,
                attempted: false,
            },
            tally: Tally::default(),
        };
        game.begin();
        game
    }

    fn config(&self) -> String {
        let folder = self.folder.display();
        format!(
            "listener 0 127.0.0.1\nallow_anonymous true\npersistence true\nuser root\n\
             persistence_location {folder}\nmax_queued_messages 0\nsys_interval 0\n\
             log_type error\nlog_type warning\nlog_type information\nconnection_messages false\n"
        )
    }

    /// All sessions exist, and both subscribers have subscribed, before the first kill.
    fn begin(&mut self) {
        let broker = Broker::spawn(&self.config());
        let to = broker.mqtt();
        let mut answers = 0;
        crate::wait_until("the first subscriptions", || {
            for station in self.all() {
                station.connect(to);
            }
            for (index, heard) in self.step() {
                match heard {
                    Heard::Connected(_) if index == 2 || index == 3 => {
                        let station = &mut self.subscribers[index - 2];
                        station.subscribe("seq/#").expect("it is connected");
                    }
                    Heard::Answered(_) => answers += 1,
                    _ => {}
                }
            }
            (answers == 2 && self.all().all(|station| station.is_connected())).then_some(())
        });
        self.known.fill(true);
        drop(broker);
        self.cut();
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Station> {
        let Self { publishers, subscribers, changing, retained, .. } = self;
        let others = [&mut changing.station, &mut retained.station];
        publishers.iter_mut().chain(subscribers).chain(others)
    }

    fn step(&mut self) -> Vec<(usize, Heard)> {
        let mut all = Vec::new();
        for (index, station) in self.all().enumerate() {
            all.extend(station.step().into_iter().map(|heard| (index, heard)));
        }
        all
    }

    fn cut(&mut self) {
        // What was received before the end counts.
        self.turn();
        for station in self.all() {
            station.cut();
        }
        self.changing.waits = None;
    }

    /// The broker dies while it starts.
    fn kill_early(&mut self) {
        let config = self.folder.join("early.conf");
        fs::write(&config, self.config()).expect("a file");
        let mut command = Command::new(binary());
        let command = command.arg("-c").arg(config).stdin(Stdio::null());
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        thread::sleep(Duration::from_micros(self.rng.below(40_000)));
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
        self.tally.kills += 1;
        self.tally.early += 1;
    }

    /// The broker runs for a while and dies at any moment.
    fn live_and_die(&mut self) {
        let broker = Setup::default().config(&self.config()).start();
        let to = broker.mqtt();
        let sleeps = self.rng.chance(500);
        let ends = self.rng.chance(500);
        let end = crate::clock_now().plus_millis(self.rng.below(120));
        while crate::clock_now() < end {
            self.connect(to, sleeps);
            self.play();
            self.turn();
            self.ending.play(to, ends);
            thread::sleep(Duration::from_micros(200));
        }
        // Ended by SIGKILL.
        drop(broker);
        self.cut();
        self.ending.turn();
        self.ending.begins.cut();
        self.ending.ends.cut();
        self.ending.attempted = false;
        self.tally.kills += 1;
    }

    fn connect(&mut self, to: SocketAddr, sleeps: bool) {
        for (index, station) in self.all().enumerate() {
            if !(sleeps && index == 3) {
                station.connect(to);
            }
        }
    }

    /// Everybody does something.
    fn play(&mut self) {
        let publishers = if self.backlog() > BACKLOG { 0 } else { self.publishers.len() };
        for publisher in 0..publishers {
            while self.publishers[publisher].unfinished() < WINDOW {
                let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(self.rng.chance(500))];
                let stream = (publisher, qos);
                let number = self.next.entry(stream).or_insert(0);
                let topic = format!("seq/{publisher}/{}", qos as u8);
                let station = &mut self.publishers[publisher];
                let token = station.publish(&topic, &number.to_string(), qos, false);
                self.sent[publisher].insert(token, (stream, *number));
                *number += 1;
            }
        }
        self.changing.play();
        self.retained.play(&mut self.rng);
    }

    /// How far the slowest subscriber is behind.
    fn backlog(&self) -> u64 {
        let sent: u64 = self.next.values().sum();
        let came = |all: &BTreeMap<Stream, BTreeMap<u64, u32>>| -> u64 {
            all.values().map(|numbers| numbers.len() as u64).sum()
        };
        sent - self.came.iter().map(came).min().unwrap_or(0)
    }

    /// Takes down what the clients hear.
    fn turn(&mut self) {
        for (index, heard) in self.step() {
            match (index, heard) {
                (_, Heard::Connected(present)) => {
                    assert!(present || !self.known[index], "client {index} lost its session");
                }
                (0 | 1, Heard::Published(token)) => {
                    let (stream, number) = self.sent[index].remove(&token).expect("ours");
                    self.acked.entry(stream).or_default().insert(number);
                    self.tally.acknowledged += 1;
                }
                (2 | 3, Heard::Message { topic, payload, qos, .. }) => {
                    self.received(index - 2, &topic, &payload, qos);
                }
                (4, heard) => self.changing.hear(&heard),
                (5, Heard::Published(token)) => self.retained.published(token),
                _ => {}
            }
        }
    }

    fn received(&mut self, subscriber: usize, topic: &str, payload: &str, qos: QoS) {
        self.tally.received += 1;
        let publisher = usize::from(topic.starts_with("seq/1"));
        let number: u64 = payload.parse().expect("a number");
        let numbers = self.came[subscriber].entry((publisher, qos)).or_default();
        let last = numbers.last_key_value().map(|(last, _)| *last);
        let times = numbers.entry(number).or_insert(0);
        *times += 1;
        assert!(
            qos != QoS::ExactlyOnce || *times == 1,
            "QoS 2 message {number} of publisher {publisher} came twice to subscriber {subscriber}"
        );
        assert!(
            *times > 1 || last.is_none_or(|last| last < number),
            "{qos:?} message {number} of publisher {publisher} came to subscriber {subscriber} \
             after {last:?}"
        );
    }

    /// At the end everything arrives.
    fn settle(&mut self) {
        let broker = Broker::spawn(&self.config());
        let to = broker.mqtt();
        // As long as something comes, all may.
        while !crate::wait_until("the acknowledged messages that are missing", || {
            let before = self.tally.received;
            self.connect(to, false);
            self.turn();
            if self.tally.received > before {
                return Some(false);
            }
            let quiet = self.publishers.iter().all(|station| station.unfinished() == 0)
                && self.retained.station.unfinished() == 0;
            (quiet && self.missing().is_none()).then_some(true)
        }) {}
        self.changing.check(&broker);
        self.retained.check(&broker);
        assert_eq!(broker.stop(), Some(0));
    }

    /// An acknowledged message that has not come.
    fn missing(&self) -> Option<(usize, Stream, u64)> {
        for (subscriber, came) in self.came.iter().enumerate() {
            for (stream, acked) in &self.acked {
                let came = came.get(stream);
                let lacks = |number: &&u64| came.is_none_or(|came| !came.contains_key(number));
                if let Some(number) = acked.iter().find(lacks) {
                    return Some((subscriber, *stream, *number));
                }
            }
        }
        None
    }
}

impl Ending {
    /// Begins or resumes the session, or ends it.
    fn play(&mut self, to: SocketAddr, ends: bool) {
        let station = if ends { &mut self.ends } else { &mut self.begins };
        if !std::mem::replace(&mut self.attempted, true) {
            // Until it is answered, nobody knows.
            self.before = self.exists.take();
        }
        station.connect(to);
        self.turn();
    }

    fn turn(&mut self) {
        for heard in self.begins.step() {
            if let Heard::Connected(present) = heard {
                let before = self.before;
                assert!(before.is_none_or(|before| before == present), "{before:?}, {present}");
                self.exists = Some(true);
            }
        }
        for heard in self.ends.step() {
            if let Heard::Connected(present) = heard {
                assert!(!present, "a new session is an old one");
                self.exists = Some(false);
            }
        }
    }
}

impl Changing {
    /// Subscribes to the topic of this round and drops that of the last.
    fn play(&mut self) {
        if self.waits.is_some() || !self.station.is_connected() {
            return;
        }
        let wish = match self.has.first() {
            Some(first) if self.has.len() > 1 => Wish::Lose(*first),
            _ => Wish::Have(self.round),
        };
        let asked = match wish {
            Wish::Have(round) => self.station.subscribe(&format!("change/{round}")),
            Wish::Lose(round) => self.station.unsubscribe(&format!("change/{round}")),
        };
        self.waits = asked.map(|id| (id, wish));
        // From now on nobody knows.
        match wish {
            Wish::Have(_) => self.round += 1,
            Wish::Lose(round) => drop(self.has.remove(&round)),
        }
    }

    fn hear(&mut self, heard: &Heard) {
        if let (Heard::Answered(id), Some((waits, wish))) = (heard, self.waits)
            && *id == waits
        {
            self.waits = None;
            match wish {
                Wish::Have(round) => drop(self.has.insert(round)),
                Wish::Lose(round) => drop(self.lost.insert(round)),
            }
        }
    }

    /// What it has comes, what it has no more does not; and a session that ended stays so.
    fn check(&mut self, broker: &Broker) {
        let mut speaker = Station::new("speaker", false);
        let mut tokens: BTreeSet<u64> = BTreeSet::new();
        for round in self.has.union(&self.lost) {
            let topic = format!("change/{round}");
            tokens.insert(speaker.publish(&topic, "0", QoS::AtLeastOnce, false));
        }
        let mut came = BTreeSet::new();
        crate::wait_until("messages for the subscriptions that there are", || {
            speaker.connect(broker.mqtt());
            self.station.connect(broker.mqtt());
            for heard in speaker.step() {
                if let Heard::Published(token) = heard {
                    tokens.remove(&token);
                }
            }
            for heard in self.station.step() {
                if let Heard::Message { topic, .. } = heard {
                    let round = topic.strip_prefix("change/").and_then(|text| text.parse().ok());
                    came.insert(round.expect("a round"));
                }
            }
            (tokens.is_empty() && self.has.is_subset(&came)).then_some(())
        });
        let risen: Vec<&u64> = came.intersection(&self.lost).collect();
        assert!(risen.is_empty(), "subscriptions that were gone came back: {risen:?}");
    }
}

impl Retained {
    fn play(&mut self, rng: &mut Rng) {
        if self.station.unfinished() > 3 {
            return;
        }
        let topic = rng.below(20);
        if self.asked.values().any(|(of, _)| *of == topic) {
            return;
        }
        let value = rng.chance(600).then_some(self.next);
        self.next += 1;
        let payload = value.map(|value| value.to_string()).unwrap_or_default();
        let name = format!("kept/{topic}");
        let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(rng.chance(500))];
        let token = self.station.publish(&name, &payload, qos, true);
        self.asked.insert(token, (topic, value));
    }

    fn published(&mut self, token: u64) {
        if let Some((topic, value)) = self.asked.remove(&token) {
            self.acked.insert(topic, value);
        }
    }

    /// Exactly what was set and not cleared is there.
    fn check(&mut self, broker: &Broker) {
        // Everything was acknowledged by now.
        assert!(self.asked.is_empty(), "{:?}", self.asked);
        let mut reader = Station::new("reader", false);
        let mut found = BTreeMap::new();
        let expected: BTreeMap<u64, u64> =
            self.acked.iter().filter_map(|(topic, value)| Some((*topic, (*value)?))).collect();
        let mut answered = false;
        crate::wait_until("the retained messages that there are", || {
            reader.connect(broker.mqtt());
            for heard in reader.step() {
                match heard {
                    Heard::Connected(_) => drop(reader.subscribe("kept/#")),
                    Heard::Answered(_) => answered = true,
                    Heard::Message { topic, payload, retain, .. } => {
                        assert!(retain, "{topic} is not a retained message");
                        let number = |text: &str| text.parse::<u64>().expect("a number");
                        let topic = topic.strip_prefix("kept/").map(number).expect("a topic");
                        found.insert(topic, number(&payload));
                    }
                    Heard::Published(_) => {}
                }
            }
            (answered && found.len() >= expected.len()).then_some(())
        });
        assert_eq!(found, expected, "retained messages");
    }
}
