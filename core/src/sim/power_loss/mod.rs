//! The power-loss sweep (DESIGN §5): small worlds of one to three engines over one journal, and after
//! every operation of its disk the power goes, with {all, nothing, a prefix, a torn operation, any
//! subset} of what was not synced left. A broker with perhaps another number of shards starts on
//! what is left, sometimes to lose its power again while it does; the clients come back, finish what
//! they began, and the ledger says whether a promise was broken.

mod device;
mod lab;
mod ledger;
mod tap;

use super::{Keep, SimDisk};
use crate::packet::{QoS, ReasonCode, Version};
use crate::rng::Rng;
use crate::time::Instant;
use device::{Device, Nature, Task};
use lab::{Broker, JUMPS, MOUNT, Shore};
use ledger::{GROUP, GROUP_TOPIC, Ledger};

/// Shards of the broker, start by start.
const STARTS: [[u16; 3]; 5] = [[1, 3, 2], [1, 1, 1], [3, 3, 3], [3, 1, 2], [2, 3, 1]];
/// Things that happen in one start.
const STEPS: u64 = 70;
/// Bytes of a segment, world by world.
const SEGMENTS: [u64; 3] = [512, 1024, 4096];
/// Seconds for which sessions are kept: longer than any run.
const LASTS: u32 = 100_000;
/// Times that the power goes while a broker starts, at most.
const DEPTH: u32 = 3;

/// A fault of a driver that the sweep must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Files are not synced; everybody is told that they were.
    SyncLeftOut,
    /// Engines are told that records are durable when these are merely handed over.
    AcknowledgedEarly,
    /// What a shard has handled of another is handled again after a start.
    MarkIgnored,
    /// Clients are let in before the record of the start, and what it closes, is stored.
    StartNotWaitedFor,
    /// What was folded is removed before the base that stands for it is on the disk.
    FoldedNotSynced,
    /// What was folded is removed before the base that stands for it has its name on the disk.
    FoldedNotNamed,
    /// A start takes it that no time has passed.
    ClockStoodStill,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SyncLeftOut,
        Self::AcknowledgedEarly,
        Self::MarkIgnored,
        Self::StartNotWaitedFor,
        Self::FoldedNotSynced,
        Self::FoldedNotNamed,
        Self::ClockStoodStill,
    ];
}

/// A broken promise, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenPromise {
    /// The seed, which is the whole run.
    pub seed: u64,
    /// The how manieth crash it was.
    pub point: u64,
    /// What was left of the disk.
    pub keep: Option<Keep>,
    /// What was wrong.
    pub violations: Vec<String>,
}

impl core::fmt::Display for BrokenPromise {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let what = self.violations.join("; ");
        write!(f, "seed {}, crash {} ({:?}): {what}", self.seed, self.point, self.keep)
    }
}

impl core::error::Error for BrokenPromise {}

/// Runs the world of a seed and loses its power at every operation of its disk. Gives the number of
/// crashes.
///
/// # Errors
/// The first broken promise.
pub fn sweep(seed: u64, sabotage: Option<Sabotage>) -> Result<u64, Box<BrokenPromise>> {
    let mut sweep = Sweep { seed, plan: Rng::new(seed ^ 0x0FF0_0FF0_90D1), points: 0 };
    sweep.run(sabotage)?;
    Ok(sweep.points)
}

struct Sweep {
    seed: u64,
    plan: Rng,
    points: u64,
}

type Verdict = Result<(), Box<BrokenPromise>>;

impl Sweep {
    fn broken(&self, keep: Option<Keep>, violations: Vec<String>) -> Verdict {
        if violations.is_empty() {
            return Ok(());
        }
        Err(Box::new(BrokenPromise { seed: self.seed, point: self.points, keep, violations }))
    }

    fn run(&mut self, sabotage: Option<Sabotage>) -> Verdict {
        let starts = *self.plan.pick(&STARTS).unwrap_or(&STARTS[0]);
        let mut shore = self.draw_shore(sabotage);
        let mut disk = SimDisk::new();
        for shards in starts {
            let before = shore.clone();
            let mut broker = match Broker::start(disk, shards, &mut shore) {
                Ok(broker) => broker,
                Err(error) => return self.broken(None, vec![error]),
            };
            self.crashes(broker.pictures(), &before)?;
            self.add_tasks(&mut shore);
            for _ in 0..STEPS {
                if self.plan.chance(60) {
                    for (before, pictures) in broker.fold(&mut shore, true) {
                        self.crashes(pictures, &before)?;
                    }
                }
                let before = shore.clone();
                broker.step(&mut shore);
                self.crashes(broker.pictures(), &before)?;
            }
            self.broken(None, core::mem::take(&mut shore.ledger.violations))?;
            let keep = self.draw_keep(&broker.disk());
            disk = broker.disk().after_crash(keep, &mut self.plan);
            lose_power(&mut shore, self.plan.chance(500));
            self.wait_for_power(&mut shore);
        }
        Ok(())
    }

    fn draw_shore(&mut self, sabotage: Option<Sabotage>) -> Shore {
        let plain = |version| Nature::new(version, LASTS);
        // Its session may end while it is away, and its will waits.
        let passing = Nature {
            lasts: *self.plan.pick(&[40, 150, LASTS]).unwrap_or(&LASTS),
            will: Some(*self.plan.pick(&[20, 100, 300]).unwrap_or(&20)),
            listener: 1,
            mount: MOUNT,
            ..plain(Version::V5)
        };
        let natures = [
            plain(Version::V5),
            Nature { will: Some(0), ..plain(Version::V5) },
            plain(Version::V4),
            Nature { will: Some(0), ..Nature::new(Version::V5, 0) },
            passing,
        ];
        let queues_qos_0 = self.plan.chance(500);
        let mut shore = Shore {
            now: Instant(2_000_000),
            devices: (0..).zip(natures).map(|(number, it)| Device::new(number, it)).collect(),
            ledger: Ledger::default(),
            rng: Rng::new(self.plan.next_u64()),
            sabotage,
            segment: *self.plan.pick(&SEGMENTS).unwrap_or(&SEGMENTS[0]),
            queues_qos_0,
        };
        shore.ledger.queues_qos_0 = queues_qos_0;
        let first =
            [("w", 2), ("m/w", 2), ("t/0", 2), ("t/1", 1), ("m/t/2", 2), ("t/2", 2), (GROUP, 2)];
        for (filter, qos) in first {
            let qos = QoS::from_bits(qos).unwrap_or_default();
            let task = Task::Subscribe { filter: filter.to_owned(), qos };
            shore.devices[0].tasks.push_back(task);
        }
        shore
    }

    /// The power goes at each instant since the last time, in every way. `shore` is as it was
    /// before: while a disk works nobody hears anything.
    fn crashes(&mut self, pictures: Vec<SimDisk>, shore: &Shore) -> Verdict {
        for picture in pictures {
            for way in 0..5 {
                let count = picture.unsynced();
                let keep = match way {
                    0 => Keep::All,
                    1 => Keep::Nothing,
                    2 => Keep::Prefix(self.plan.below(count + 1)),
                    3 => Keep::Torn(self.plan.below(count.max(1))),
                    _ => Keep::Any,
                };
                self.crash(&picture, shore, keep, DEPTH)?;
                if count == 0 {
                    // Nothing can be lost: one way is every way.
                    break;
                }
            }
        }
        Ok(())
    }

    fn wait_for_power(&mut self, shore: &mut Shore) {
        if self.plan.chance(300) {
            shore.wait(*self.plan.pick(&JUMPS).unwrap_or(&1));
        }
    }

    fn draw_keep(&mut self, disk: &SimDisk) -> Keep {
        let count = disk.unsynced();
        match self.plan.below(5) {
            0 => Keep::All,
            1 => Keep::Nothing,
            2 => Keep::Prefix(self.plan.below(count + 1)),
            3 => Keep::Torn(self.plan.below(count.max(1))),
            _ => Keep::Any,
        }
    }

    /// The power goes, a broker starts on what is left, and everybody gets what he was promised.
    fn crash(&mut self, disk: &SimDisk, shore: &Shore, keep: Keep, depth: u32) -> Verdict {
        self.points += 1;
        let mut shore = shore.clone();
        shore.rng = Rng::new(self.plan.next_u64());
        lose_power(&mut shore, self.plan.chance(600));
        self.wait_for_power(&mut shore);
        for device in &mut shore.devices {
            device.tasks.retain(|task| matches!(task, Task::Subscribe { .. }));
        }
        let left = disk.after_crash(keep, &mut self.plan);
        let shards = *self.plan.pick(&[1, 2, 3]).unwrap_or(&1);
        let before = shore.clone();
        let mut broker = match Broker::start(left, shards, &mut shore) {
            Ok(broker) => broker,
            Err(error) => return self.broken(Some(keep), vec![error]),
        };
        let mut pictures = broker.pictures();
        if self.plan.chance(200) {
            // Nobody has been there yet: `before` holds for all of it.
            let moments = broker.fold(&mut shore, false);
            pictures.extend(moments.into_iter().flat_map(|(_, pictures)| pictures));
        }
        if depth > 0
            && self.plan.chance(200)
            && let Some(picture) = self.plan.pick(&pictures).cloned()
        {
            let keep = self.draw_keep(&picture);
            return self.crash(&picture, &before, keep, depth - 1);
        }
        finish(&mut broker, &mut shore);
        self.broken(Some(keep), shore.ledger.violations)
    }

    fn add_tasks(&mut self, shore: &mut Shore) {
        for client in 0..shore.devices.len() {
            for _ in 0..self.plan.between(3, 12) {
                let task = self.draw_task(client);
                shore.devices[client].tasks.push_back(task);
            }
        }
    }

    fn draw_task(&mut self, client: usize) -> Task {
        let topic =
            (*self.plan.pick(&["t/0", "t/1", "t/2", GROUP_TOPIC]).unwrap_or(&"t/0")).to_owned();
        // A client whose session may end may publish once more what it does not know the end of.
        let most = if client >= 3 { 1 } else { 2 };
        let qos = QoS::from_bits(u8::try_from(self.plan.between(0, most)).unwrap_or(0));
        let qos = qos.unwrap_or_default();
        let topic = if client == 4 && topic == GROUP_TOPIC { "t/2".to_owned() } else { topic };
        let filter = if topic == GROUP_TOPIC { GROUP.to_owned() } else { topic.clone() };
        let asked = QoS::from_bits(u8::try_from(self.plan.between(0, 2)).unwrap_or(0));
        let asked = if filter == GROUP { QoS::ExactlyOnce } else { asked.unwrap_or_default() };
        let expires = client != 2 && self.plan.chance(250);
        let expiry = expires.then(|| *self.plan.pick(&[10, 60, 1000]).unwrap_or(&60));
        let subscribes = matches!(client, 1 | 2 | 4);
        match self.plan.below(100) {
            62..70 => Task::Retain { clears: self.plan.chance(400), expiry },
            70..80 if subscribes => Task::Subscribe { filter, qos: asked },
            80..86 if subscribes => Task::Unsubscribe { filter },
            86..90 => Task::Drop,
            90..96 if client != 3 => self.draw_away(client),
            96..98 if client == 1 => Task::EndSession,
            _ => Task::Publish { topic, qos, expiry },
        }
    }

    fn draw_away(&mut self, client: usize) -> Task {
        let seconds = *self.plan.pick(&JUMPS).unwrap_or(&1);
        let says = match self.plan.below(3) {
            0 => None,
            1 if client != 2 => Some(ReasonCode::DisconnectWithWill),
            _ => Some(ReasonCode::Success),
        };
        Task::Away { seconds, says }
    }
}

/// All connections break. What had come before may be read first.
fn lose_power(shore: &mut Shore, reads: bool) {
    let now = shore.now;
    for device in &mut shore.devices {
        device.power_lost(now, reads, &mut shore.ledger);
    }
    shore.ledger.power_lost();
}

/// Everybody finishes what he began, and then what was promised must have come true.
fn finish(broker: &mut Broker, shore: &mut Shore) {
    if !broker.settle(shore) {
        let states: Vec<String> =
            shore.devices.iter().map(|one| format!("{}: {}", one.name, one.state())).collect();
        return shore.ledger.blame(format!("no rest: {}", states.join("; ")));
    }
    let mut probe = Device::new(9, Nature::new(Version::V5, 0));
    for filter in ["r/#", "m/r/#"] {
        let task = Task::Subscribe { filter: filter.to_owned(), qos: QoS::AtMostOnce };
        probe.tasks.push_back(task);
    }
    shore.devices.push(probe);
    if !broker.settle(shore) {
        return shore.ledger.blame("the probe never comes to rest".to_owned());
    }
    if let Some(probe) = shore.devices.pop() {
        shore.ledger.probe(&probe.found, shore.now);
    }
    shore.ledger.finish(shore.now);
}
