//! Folding: the image is the same before and after, at any crash within, and the memory that it
//! takes does not grow with the payloads.

use allocation_counter::measure;
use halyard_core::journal::{
    AttachedOp, DeliveryOp, Disk, DiskError, FORMAT, Image, Layout, Lsn, Op, Writer, encode_put,
    fold, load,
};
use halyard_core::packet::{PacketId, QoS, SubscriptionIds, Version};
use halyard_core::rng::Rng;
use halyard_core::sim::{Keep, SimDisk, SimFile};
use std::cell::RefCell;
use std::rc::Rc;

type Whole = Image<Box<[u8]>>;

/// An engine of sorts: makes batches that fit what came before.
struct Source {
    rng: Rng,
    image: Whole,
    /// The image after each batch, from none on.
    images: Vec<Whole>,
    batches: u32,
    messages: u64,
    payload: usize,
    keep: bool,
}

impl Source {
    fn new(seed: u64, payload: usize) -> Self {
        let image = Image::new();
        let images = vec![image.clone()];
        let rng = Rng::new(seed);
        Self { rng, images, image, batches: 0, messages: 0, payload, keep: true }
    }

    /// The next batch.
    fn batch(&mut self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        if self.batches == 0 {
            Op::Start { epoch: 1, shards: 1, wall: 5, key: 7 }.encode(&mut out);
        } else if self.batches < 5 {
            let client_id = format!("client {}", self.batches);
            Op::Attached(AttachedOp {
                session: self.batches.into(),
                client_id: &client_id,
                username: None,
                is_owned: false,
                version: Version::V5,
                listener: "1883",
                mount: None,
                expiry: u32::MAX,
                rights: None,
                will: None,
            })
            .encode(&mut out);
        } else {
            self.traffic(&mut out);
        }
        self.image.apply(0, &out, |body, _| body.into()).expect("a batch that fits");
        self.batches += 1;
        if self.keep {
            self.images.push(self.image.clone());
        }
        out
    }

    fn traffic(&mut self, out: &mut Vec<u8>) {
        let sessions: Vec<u64> = self.image.shards[0].sessions.keys().copied().collect();
        let session = *self.rng.pick(&sessions).expect("sessions");
        let state = &self.image.shards[0].sessions[&session];
        let flying = state.inflight.front().map(|flight| flight.id);
        match (self.rng.below(6), flying) {
            (0, Some(id)) => Op::Acked { session, id }.encode(out),
            (1, _) if !state.queue.is_empty() && state.inflight.len() < 5 => {
                let taken = |id: &u16| state.inflight.iter().any(|flight| flight.id.get() == *id);
                let id = (1..).find(|id| !taken(id)).and_then(PacketId::new).expect("a free one");
                Op::Started { session, id }.encode(out);
            }
            (2, _) if !state.queue.is_empty() => Op::Dropped { session, at: 0 }.encode(out),
            (choice, _) => {
                self.messages += 1;
                let number = self.messages;
                let body: Vec<u8> = (0..self.payload).map(|_| self.rng.next_u64() as u8).collect();
                encode_put(out, number, 1, None, body.len() as u64);
                out.extend_from_slice(&body);
                if choice == 3 {
                    let (topic, stamp) =
                        (["a", "b/c"][usize::from(session.is_multiple_of(2))], (number, 0));
                    Op::Retained { topic, message: number, expires: None, stamp }.encode(out);
                }
                let delivery = DeliveryOp {
                    message: number,
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    ids: SubscriptionIds::default(),
                    group: None,
                };
                for session in sessions.iter().take(1 + self.rng.below(3) as usize) {
                    Op::Queued { session: *session, delivery: delivery.clone() }.encode(out);
                }
            }
        }
    }
}

fn layout(seed: u64) -> Layout {
    Layout { segment: 2048, ready: 2, seed, epoch: 1 }
}

fn image_on(disk: &mut SimDisk) -> Result<Whole, String> {
    let (_, image) = load(disk, &mut |_, bytes| bytes.into()).map_err(|error| error.to_string())?;
    Ok(image)
}

/// Appends `count` batches and folds now and then; fails when the disk does.
fn drive(
    writer: &mut Writer<SimDisk>,
    source: &mut Source,
    count: u32,
    durable: &mut usize,
) -> Result<u32, String> {
    let mut folds = 0;
    for number in 0..count {
        let batch = source.batch();
        let lsn = Lsn(source.images.len() as u64 - 1);
        writer.append(0, lsn, &batch).map_err(|error| error.to_string())?;
        if number % 3 == 0 {
            writer.sync().map_err(|error| error.to_string())?;
            *durable = source.images.len() - 1;
        }
        writer.prepare().map_err(|error| error.to_string())?;
        if let Some(job) = writer.job(3000) {
            let folded = fold(writer.disk(), &job, &mut |_| true);
            writer.folded(folded.map_err(|error| error.to_string())?.expect("not stopped"));
            folds += 1;
        }
    }
    Ok(folds)
}

#[test]
fn a_crash_anywhere_in_a_fold_changes_nothing() {
    let mut points = 0;
    for seed in 0..3 {
        for operation in 0.. {
            let mut source = Source::new(seed, 40);
            let mut disk = SimDisk::new();
            disk.fail_from(operation);
            let Ok((found, _)) = load::<_, ()>(&mut disk, &mut |_, _| ()) else { continue };
            let Ok(mut writer) = Writer::open(disk, &found, layout(seed)) else { continue };
            let mut durable = 0;
            let ended = drive(&mut writer, &mut source, 160, &mut durable);
            for (number, keep) in
                [Keep::All, Keep::Nothing, Keep::Prefix(1), Keep::Torn(0), Keep::Any, Keep::Any]
                    .into_iter()
                    .enumerate()
            {
                points += 1;
                let mut rng = Rng::new(seed << 32 | operation << 8 | number as u64);
                let mut left = writer.disk().after_crash(keep, &mut rng);
                let place = format!("seed {seed}, operation {operation}, {keep:?}");
                let image = image_on(&mut left).unwrap_or_else(|error| panic!("{place}: {error}"));
                let at = source.images.iter().rposition(|other| *other == image);
                let at = at.unwrap_or_else(|| panic!("{place}: never was so"));
                // An image may come again; the later one counts.
                assert!(at >= durable, "{place}: {at} of {durable}");
                let (found, _) = load::<_, ()>(&mut left, &mut |_, _| ()).expect("read before");
                let mut again =
                    Writer::open(left, &found, layout(seed + 1)).expect("it works again");
                assert_eq!(image_on(again.disk()), Ok(image), "{place}");
            }
            if let Ok(folds) = ended {
                assert!(folds >= 2, "only {folds} folds");
                break;
            }
        }
    }
    assert!(points > 2500, "only {points} crashes");
}

/// The process is killed, which loses nothing that the system holds; another starts, and then the power
/// fails.
#[test]
fn a_kill_and_then_a_power_loss_at_any_point_of_the_next_start_lose_nothing() {
    let mut points = 0;
    for operation in 0.. {
        let mut source = Source::new(1, 40);
        let mut disk = SimDisk::new();
        disk.fail_from(operation);
        let Ok((found, _)) = load::<_, ()>(&mut disk, &mut |_, _| ()) else { continue };
        let Ok(mut writer) = Writer::open(disk, &found, layout(1)) else { continue };
        let mut durable = 0;
        let ended = drive(&mut writer, &mut source, 100, &mut durable);
        let mut killed = writer.disk().clone();
        killed.fail_from(u64::MAX);
        let (found, _) = load::<_, ()>(&mut killed, &mut |_, _| ()).expect("a sound journal");
        let pictures = Rc::default();
        let filmed = Filmed { disk: killed, pictures: Rc::clone(&pictures) };
        let mut again = Writer::open(filmed, &found, layout(2)).expect("a working disk");
        let last = again.disk().disk.clone();
        pictures.borrow_mut().push(last);
        for (number, picture) in (0_u64..).zip(&*pictures.borrow()) {
            for keep in [Keep::Nothing, Keep::Any] {
                points += 1;
                let mut left = picture.after_crash(keep, &mut Rng::new(operation << 8 | number));
                let place = format!("operation {operation}, {number} of the start, {keep:?}");
                let image = image_on(&mut left).unwrap_or_else(|error| panic!("{place}: {error}"));
                let at = source.images.iter().rposition(|other| *other == image);
                let at = at.unwrap_or_else(|| panic!("{place}: never was so"));
                assert!(at >= durable, "{place}: {at} of {durable}");
            }
        }
        if ended.is_ok() {
            break;
        }
    }
    assert!(points > 2000, "only {points} crashes");
}

#[test]
fn a_fold_that_is_told_to_stop_or_finds_no_room_leaves_all_as_it_was() {
    let mut source = Source::new(9, 100);
    let disk = SimDisk::new();
    let mut writer = Writer::open(disk, &Default::default(), layout(1)).expect("an empty disk");
    let mut durable = 0;
    for _ in 0..60 {
        let batch = source.batch();
        writer.append(0, Lsn(source.images.len() as u64), &batch).expect("room");
        writer.prepare().expect("room");
    }
    writer.sync().expect("a working disk");
    let before = image_on(writer.disk()).expect("a sound journal");
    let job = writer.job(0).expect("closed segments");
    for stop in 0..70 {
        let mut left = stop;
        let outcome = fold(writer.disk(), &job, &mut |_| {
            left -= 1;
            left >= 0
        });
        if outcome.expect("a working disk").is_some() {
            break;
        }
        assert_eq!(image_on(writer.disk()).as_ref(), Ok(&before), "stopped after {stop}");
    }
    let mut again = writer.disk().clone();
    assert_eq!(image_on(&mut again).as_ref(), Ok(&before));
    drive(&mut writer, &mut source, 60, &mut durable).expect("a working disk");
    writer.sync().expect("a working disk");
    let before = image_on(writer.disk()).expect("a sound journal");
    if let Some(job) = writer.job(0) {
        writer.disk().set_capacity(Some(1));
        assert!(fold(writer.disk(), &job, &mut |_| true).is_err());
        assert_eq!(image_on(writer.disk()), Ok(before));
    }
}

#[test]
fn the_memory_of_a_fold_does_not_grow_with_the_payloads() {
    let peak = |payload: usize| {
        let mut source = Source::new(4, payload);
        source.keep = false;
        let mut large = layout(1);
        large.segment = 16 * 1024;
        let mut writer = Writer::open(SimDisk::new(), &Default::default(), large).expect("empty");
        for lsn in 1..3000 {
            let batch = source.batch();
            writer.append(0, Lsn(lsn), &batch).expect("room");
            writer.prepare().expect("room");
        }
        let job = writer.job(0).expect("closed segments");
        let bytes: u64 = job.segments.iter().map(|(_, len)| len).sum();
        let mut disk = Nowhere(writer.disk().clone());
        let mut outcome = None;
        let used = measure(|| outcome = Some(fold(&mut disk, &job, &mut |_| true)));
        assert!(matches!(outcome, Some(Ok(Some(_)))), "{outcome:?}");
        (used.bytes_max, bytes)
    };
    let ((small, few), (large, many)) = (peak(10), peak(2000));
    assert!(many > few + 3_000_000, "{few} and {many} bytes to fold");
    // Buffers for reading and writing are full in one case and not in the other.
    assert!(large < small + 512 * 1024, "{small} and {large} bytes of memory");
}

/// A disk of which there is a picture before each change.
struct Filmed {
    disk: SimDisk,
    pictures: Rc<RefCell<Vec<SimDisk>>>,
}

impl Filmed {
    fn change(&mut self) -> &mut SimDisk {
        self.pictures.borrow_mut().push(self.disk.clone());
        &mut self.disk
    }
}

impl Disk for Filmed {
    type File = SimFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn create(&mut self, name: &str, len: u64) -> Result<SimFile, DiskError> {
        self.change().create(name, len)
    }

    fn open(&mut self, name: &str) -> Result<SimFile, DiskError> {
        self.disk.open(name)
    }

    fn len(&mut self, file: &SimFile) -> Result<u64, DiskError> {
        self.disk.len(file)
    }

    fn reserve(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
        self.change().reserve(file, len)
    }

    fn truncate(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
        self.change().truncate(file, len)
    }

    fn read_at(&mut self, file: &SimFile, at: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read_at(file, at, into)
    }

    fn write_at(&mut self, file: &SimFile, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.change().write_at(file, at, bytes)
    }

    fn sync(&mut self, file: &SimFile) -> Result<(), DiskError> {
        self.change().sync(file)
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        self.change().sync_dir()
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.change().rename(from, to)
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.change().remove(name)
    }
}

/// A disk that keeps nothing of what is written.
struct Nowhere(SimDisk);

impl Disk for Nowhere {
    type File = Option<SimFile>;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.0.list()
    }

    fn create(&mut self, _: &str, _: u64) -> Result<Self::File, DiskError> {
        Ok(None)
    }

    fn open(&mut self, name: &str) -> Result<Self::File, DiskError> {
        self.0.open(name).map(Some)
    }

    fn len(&mut self, file: &Self::File) -> Result<u64, DiskError> {
        file.as_ref().map_or(Ok(0), |file| self.0.len(file))
    }

    fn reserve(&mut self, _: &Self::File, _: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn truncate(&mut self, _: &Self::File, _: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn read_at(&mut self, file: &Self::File, at: u64, to: &mut [u8]) -> Result<usize, DiskError> {
        file.as_ref().map_or(Ok(0), |file| self.0.read_at(file, at, to))
    }

    fn write_at(&mut self, _: &Self::File, _: u64, _: &[u8]) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync(&mut self, _: &Self::File) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&mut self, _: &str, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }
}
