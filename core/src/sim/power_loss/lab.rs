//! The broker of the sweep, with its journal on a simulated disk, and its clients: a world small
//! enough to be run a million times. What survives a power loss is apart from what does not. It
//! drives engines by the contract that every driver keeps, and its sabotages break that contract.

use super::Sabotage;
use super::device::Device;
use super::ledger::Ledger;
use super::tap::{Lies, Tap};
use crate::conf::{BrokerConfig, ListenerConfig};
use crate::engine::{
    Config, ConnectionId, Effect, Engine, Input, LinkMessage, Peer, ShardId, TransportEnd, recover,
    shard_of,
};
use crate::journal::{Batch, Layout, Lsn, Writer, fold, load};
use crate::rng::Rng;
use crate::sim::SimDisk;
use crate::sim::difference::describe_difference;
use crate::time::{Instant, WallClock};
use std::collections::VecDeque;

/// Wall clock at the start of a world.
const WALL: u64 = 1_767_225_600_000;
/// What the second listener puts before topics.
pub(super) const MOUNT: &str = "m/";
/// Seconds that may pass at once.
pub(super) const JUMPS: [u64; 4] = [5, 30, 90, 250];
/// A start of a process: so long after the power came back.
const START_MS: u64 = 20;

/// What the power of the broker has nothing to do with.
#[derive(Clone, Debug)]
pub(super) struct Shore {
    pub(super) now: Instant,
    pub(super) devices: Vec<Device>,
    pub(super) ledger: Ledger,
    pub(super) rng: Rng,
    pub(super) sabotage: Option<Sabotage>,
    /// Bytes of a segment of the journal.
    pub(super) segment: u64,
    /// Whether messages of QoS 0 wait for sessions.
    pub(super) queues_qos_0: bool,
}

impl Shore {
    /// Time passes in which nothing happens.
    pub(super) fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus_secs(seconds);
    }

    /// Tells the ledger who is not there.
    fn note_away(&mut self) {
        let gone = self.devices.iter().filter(|one| one.conn.is_none());
        self.ledger.away = gone.map(|one| one.number).collect();
    }
}

/// Somebody's state while the disk worked, and the disk after each of its operations then.
pub(super) type Moment = (Shore, Vec<SimDisk>);

/// The broker as long as it has power.
#[derive(Debug)]
pub(super) struct Broker {
    engines: Vec<Engine<()>>,
    inboxes: Vec<VecDeque<(ShardId, LinkMessage)>>,
    writer: Writer<Tap>,
    /// What each engine is to be told.
    durable: Vec<Option<Lsn>>,
    /// Batches of the start that a sabotage holds back.
    late: Vec<(u16, Batch)>,
}

fn config(shards: u16, queue_qos0_messages: bool) -> Config {
    let broker = BrokerConfig {
        queue_qos0_messages,
        sys_interval_secs: 0,
        persistence: true,
        connect_timeout_secs: 0,
        packet_timeout_secs: 0,
        ..BrokerConfig::default()
    };
    let mount_point = Some(MOUNT.to_owned());
    let mounted = ListenerConfig { mount_point, ..ListenerConfig::default() };
    Config { shards, ..Config::single(broker, vec![ListenerConfig::default(), mounted]) }
}

impl Broker {
    /// Starts a broker on what is on the disk. Every picture of the disk is a place where a crash
    /// in the middle of this could happen.
    pub(super) fn start(disk: SimDisk, shards: u16, shore: &mut Shore) -> Result<Self, String> {
        shore.now = shore.now.plus_millis(START_MS);
        for device in &mut shore.devices {
            device.broker_starts(shore.now);
        }
        let of_files = shore.sabotage == Some(Sabotage::SyncLeftOut);
        let mut tap = Tap::new(disk, Lies { of_files, of_names: false });
        let loaded = load::<_, Box<[u8]>>(&mut tap, &mut |_, body| body.into());
        let (scanned, mut image) = loaded.map_err(|error| error.to_string())?;
        if shore.sabotage == Some(Sabotage::MarkIgnored) {
            for shard in &mut image.shards {
                shard.marks.clear();
            }
        }
        let seed = shore.rng.next_u64();
        let layout = Layout { segment: shore.segment, ready: 1, seed, epoch: image.epoch + 1 };
        let writer = Writer::open(tap, &scanned, layout).map_err(|error| error.to_string())?;
        let stands = shore.sabotage == Some(Sabotage::ClockStoodStill);
        let wall = WallClock(WALL + if stands { 0 } else { shore.now.0 / 1000 });
        let recovered =
            recover(&mut image, &config(shards, shore.queues_qos_0), seed, shore.now, wall, |_| ());
        let recovered = recovered.map_err(|error| error.to_string())?;
        for (shard, engine) in image.shards.iter().zip(&recovered.engines) {
            let held = engine.image();
            if *shard != held {
                let what = describe_difference(shard, &held);
                shore.ledger.blame(format!("recovered otherwise than recorded: {what}"));
            }
        }
        let count = recovered.engines.len();
        let mut broker = Self {
            engines: recovered.engines,
            inboxes: vec![VecDeque::new(); count],
            writer,
            durable: vec![None; count],
            late: recovered.batches,
        };
        if shore.sabotage != Some(Sabotage::StartNotWaitedFor) {
            broker.store_late(shore);
            broker.sync(shore);
            // What became durable was of the shards as they were.
            broker.durable.fill(None);
        }
        Ok(broker)
    }

    fn store_late(&mut self, shore: &mut Shore) {
        for (shard, batch) in core::mem::take(&mut self.late) {
            if let Err(error) = self.writer.append(shard, batch.lsn, &batch.bytes) {
                shore.ledger.blame(error.to_string());
            }
        }
    }

    /// The pictures of the disk since the last time.
    pub(super) fn pictures(&mut self) -> Vec<SimDisk> {
        self.writer.disk().pictures()
    }

    /// The disk as it is.
    pub(super) fn disk(&mut self) -> SimDisk {
        self.writer.disk().disk()
    }

    /// Closed segments are folded, if there are any; with `busy`, everybody goes on meanwhile.
    /// Gives the moments that pass.
    pub(super) fn fold(&mut self, shore: &mut Shore, busy: bool) -> Vec<Moment> {
        let mut moments = Vec::new();
        if shore.rng.chance(500)
            && let Err(error) = self.writer.turn_over()
        {
            shore.ledger.blame(error.to_string());
        }
        let Some(job) = self.writer.job(0) else { return moments };
        let of_files = shore.sabotage == Some(Sabotage::FoldedNotSynced);
        let of_names = shore.sabotage == Some(Sabotage::FoldedNotNamed);
        let mut disk = self.writer.disk().handle(Lies { of_files, of_names });
        let given_up = busy && shore.rng.chance(50);
        let outcome = fold(&mut disk, &job, &mut |_| {
            while busy && shore.rng.chance(600) {
                let before = shore.clone();
                self.step(shore);
                moments.push((before, self.pictures()));
            }
            !(given_up && shore.rng.chance(300))
        });
        let is_done = matches!(outcome, Ok(Some(_)));
        match outcome {
            Ok(Some(folded)) => self.writer.folded(folded),
            Ok(None) => {}
            Err(error) => shore.ledger.blame(error.to_string()),
        }
        let pictures = self.pictures();
        // Behind the rename come the sync of the folder and the removals.
        let behind = 2 + job.segments.len() + job.base.iter().len();
        if let Some(old) = pictures.len().checked_sub(behind + 1)
            && shore.sabotage.is_none()
            && is_done
        {
            say_the_same(&pictures[old], &self.disk(), shore);
        }
        moments.push((shore.clone(), pictures));
        moments
    }

    pub(super) const fn shards(&self) -> usize {
        self.engines.len()
    }

    /// One turn of an engine's driver.
    pub(super) fn turn(&mut self, node: usize, shore: &mut Shore) {
        shore.now = shore.now.plus_millis(1);
        let now = shore.now;
        let mut effects = Vec::new();
        let engine = &mut self.engines[node];
        engine.handle(now, Input::Turn { wall: WallClock(WALL + now.0 / 1000) }, &mut effects);
        if let Some(lsn) = self.durable[node].take() {
            engine.handle(now, Input::Durable { lsn }, &mut effects);
        }
        for (peer, message) in core::mem::take(&mut self.inboxes[node]) {
            engine.handle(now, Input::Link { peer, message }, &mut effects);
        }
        let shards = u16::try_from(self.inboxes.len()).unwrap_or(1);
        for device in &mut shore.devices {
            if usize::from(shard_of(&device.name, shards).0) == node {
                serve(engine, now, device, &mut effects);
            }
        }
        self.store(node, shore);
        for effect in &effects {
            if let Effect::Link { peer, message } = effect {
                let from = ShardId(u16::try_from(node).unwrap_or(0));
                self.inboxes[usize::from(peer.0)].push_back((from, message.clone()));
            }
        }
        while let Some((conn, bytes)) = self.engines[node].take_output() {
            if let Some(device) = shore.devices.iter_mut().find(|one| one.conn == Some(conn.0)) {
                device.to_client.extend(bytes);
            }
        }
        for effect in effects {
            if let Effect::Close { conn, .. } = effect
                && let Some(device) = shore.devices.iter_mut().find(|one| one.conn == Some(conn.0))
            {
                device.server_closed = true;
                if device.closed {
                    device.gone(now);
                }
            }
        }
    }

    fn store(&mut self, node: usize, shore: &mut Shore) {
        let Some(batch) = self.engines[node].take_records() else { return };
        let shard = u16::try_from(node).unwrap_or(0);
        if let Err(error) = self.writer.append(shard, batch.lsn, &batch.bytes) {
            shore.ledger.blame(error.to_string());
        }
        if shore.sabotage == Some(Sabotage::AcknowledgedEarly) {
            self.durable[node] = Some(batch.lsn);
        }
        if shore.rng.chance(300)
            && let Err(error) = self.writer.flush()
        {
            shore.ledger.blame(error.to_string());
        }
    }

    /// Makes what was appended durable, and tells the engines in their next turns.
    pub(super) fn sync(&mut self, shore: &mut Shore) {
        match self.writer.sync() {
            Ok(done) => {
                if !done.is_empty() {
                    // Only a sabotage has any left: something became durable without the start.
                    self.store_late(shore);
                }
                for (shard, lsn) in done {
                    if let Some(known) = self.durable.get_mut(usize::from(shard)) {
                        *known = (*known).max(Some(lsn));
                    }
                }
            }
            Err(error) => shore.ledger.blame(error.to_string()),
        }
        if let Err(error) = self.writer.prepare() {
            shore.ledger.blame(error.to_string());
        }
    }

    /// Any one thing happens.
    pub(super) fn step(&mut self, shore: &mut Shore) {
        let device = usize::try_from(shore.rng.below(shore.devices.len() as u64)).unwrap_or(0);
        shore.note_away();
        if shore.rng.chance(15) && self.inboxes.iter().all(VecDeque::is_empty) {
            // What is on its way between shards takes no such time.
            let seconds = *shore.rng.pick(&JUMPS).unwrap_or(&1);
            return shore.wait(seconds);
        }
        match shore.rng.below(10) {
            0..4 => {
                let node = usize::try_from(shore.rng.below(self.shards() as u64)).unwrap_or(0);
                self.turn(node, shore);
            }
            4 => self.sync(shore),
            5..7 => {
                let most = if shore.rng.chance(700) { usize::MAX } else { 7 };
                let now = shore.now;
                shore.devices[device].read(now, most, &mut shore.ledger);
            }
            _ => {
                let now = shore.now;
                shore.devices[device].work(now, &mut shore.ledger);
                shore.devices[device].connect(now, &mut shore.ledger);
            }
        }
    }

    /// Everything in motion goes its way; `false` if somebody is never content.
    pub(super) fn settle(&mut self, shore: &mut Shore) -> bool {
        for round in 0..400 {
            shore.note_away();
            if round % 40 == 39 {
                let back = shore.devices.iter().filter_map(|one| one.away_until(shore.now)).max();
                shore.now = back.unwrap_or(shore.now);
            }
            for node in 0..self.shards() {
                self.turn(node, shore);
            }
            self.sync(shore);
            let now = shore.now;
            for device in &mut shore.devices {
                device.read(now, usize::MAX, &mut shore.ledger);
                device.work(now, &mut shore.ledger);
                device.connect(now, &mut shore.ledger);
            }
            let links = self.inboxes.iter().all(VecDeque::is_empty);
            let told = self.durable.iter().all(Option::is_none);
            if links && told && shore.devices.iter().all(Device::is_settled) {
                return true;
            }
        }
        false
    }
}

/// The journal before and after a fold.
fn say_the_same(old: &SimDisk, new: &SimDisk, shore: &mut Shore) {
    let read = |disk: &SimDisk| {
        let loaded = load::<_, Box<[u8]>>(&mut disk.clone(), &mut |_, body| body.into());
        loaded.map(|(_, image)| image).map_err(|error| error.to_string())
    };
    let what = match (read(old), read(new)) {
        (Ok(old), Ok(new)) if old == new => return,
        (Ok(old), Ok(new)) => {
            let mut shards = old.shards.iter().zip(&new.shards);
            let other = shards.find(|(old, new)| old != new);
            other.map(|(old, new)| describe_difference(old, new)).unwrap_or_default()
        }
        (old, new) => format!("{:?}, {:?}", old.err(), new.err()),
    };
    shore.ledger.blame(format!("folded to something else: {what}"));
}

/// The broker's end of a connection in one turn.
fn serve(engine: &mut Engine<()>, now: Instant, device: &mut Device, effects: &mut Vec<Effect>) {
    let Some(number) = device.conn else { return };
    let conn = ConnectionId(number);
    if !device.opened {
        device.opened = true;
        let (peer, identity, listener) = (Peer::Local, None, device.nature.listener);
        let input = Input::Opened { conn, peer, listener, identity, accepted: now };
        engine.handle(now, input, effects);
    }
    if device.server_closed {
        if device.closed {
            device.gone(now);
        }
        return;
    }
    if !device.to_server.is_empty() {
        let chunk = core::mem::take(&mut device.to_server);
        engine.handle(now, Input::Bytes { conn, chunk: &chunk }, effects);
    }
    if device.closed {
        engine.handle(now, Input::Closed { conn, cause: TransportEnd::Broken }, effects);
        device.gone(now);
    }
}
