//! The journal's bytes against the worst that a disk does: what was durable is read back whole and
//! in order after any crash, nothing else is ever read, and damage is told from a crash.

use halyard_core::journal::{Disk, DiskError, Layout, Lsn, Room, ScanError, Scanned, Writer, scan};
use halyard_core::rng::Rng;
use halyard_core::sim::{Keep, SimDisk, SimFile};
use std::cell::RefCell;
use std::rc::Rc;

const SEGMENT: u64 = 1024;

/// Batches as they were appended or read: engine, record number, bytes.
type Batches = Vec<(u16, u64, Vec<u8>)>;

fn layout(seed: u64) -> Layout {
    Layout { segment: SEGMENT, ready: 2, seed, epoch: 1 }
}

fn read<D: Disk>(disk: &mut D) -> Result<(Scanned, Batches), ScanError> {
    let mut batches = Batches::new();
    let found = scan(disk, &mut |entry| {
        batches.push((entry.shard, entry.lsn.0, entry.bytes.to_vec()));
        Ok(())
    })?;
    Ok((found, batches))
}

/// A driver of the journal: knows what it appended and what it was told to be durable.
struct Run<D: Disk> {
    writer: Writer<D>,
    appended: Batches,
    /// How many of `appended` are durable.
    durable: usize,
    rng: Rng,
}

impl<D: Disk> Run<D> {
    /// Goes on with what is on the disk.
    fn open(mut disk: D, seed: u64) -> Result<Self, String> {
        let (found, appended) = read(&mut disk).map_err(|error| error.to_string())?;
        let writer = Writer::open(disk, &found, layout(seed)).map_err(|error| error.to_string())?;
        let durable = appended.len();
        Ok(Self { writer, appended, durable, rng: Rng::new(seed) })
    }

    /// Appends and syncs at random, `steps` times or until the power goes.
    fn drive(&mut self, steps: u32) -> Result<(), DiskError> {
        for _ in 0..steps {
            match self.rng.below(8) {
                0..=3 => self.append()?,
                4 => self.writer.flush()?,
                5 => drop(self.writer.prepare()?),
                _ => self.sync()?,
            }
        }
        Ok(())
    }

    fn append(&mut self) -> Result<(), DiskError> {
        let len = match self.rng.below(20) {
            0 => self.rng.below(3 * SEGMENT),
            1..=5 => self.rng.below(400),
            _ => self.rng.below(60),
        };
        let lsn = self.appended.len() as u64 + 1;
        let shard = u16::try_from(self.rng.below(3)).expect("a small number");
        let bytes: Vec<u8> = (0..len).map(|_| self.rng.next_u64() as u8).collect();
        self.writer.append(shard, Lsn(lsn), &bytes)?;
        self.appended.push((shard, lsn, bytes));
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        let durable = self.writer.sync()?;
        for (shard, lsn) in durable {
            let last = self.appended.iter().rposition(|batch| batch.0 == shard);
            assert_eq!(last.map(|last| self.appended[last].1), Some(lsn.0));
        }
        self.durable = self.appended.len();
        Ok(())
    }
}

/// What the disk holds begins what was appended, and holds all that was durable.
fn check<D: Disk>(disk: &mut D, appended: &Batches, durable: usize) -> Result<usize, String> {
    let (_, read) = read(disk).map_err(|error| error.to_string())?;
    if read.len() < durable {
        return Err(format!("{durable} batches were durable, {} are left", read.len()));
    }
    if appended.get(..read.len()) != Some(&read[..]) {
        return Err("what is read is not what was written".into());
    }
    Ok(read.len())
}

fn keeps(disk: &SimDisk) -> Vec<Keep> {
    let mut keeps = vec![Keep::All, Keep::Nothing, Keep::Any, Keep::Any, Keep::Any];
    for count in 0..disk.unsynced() {
        keeps.push(Keep::Prefix(count));
        keeps.push(Keep::Torn(count));
    }
    keeps
}

/// The power goes after every operation, in every way; then again within the recovery.
fn sweep<D, W>(seed: u64, steps: u32, wrap: W) -> Result<u64, String>
where
    D: Disk + AsMut<SimDisk>,
    W: Fn(SimDisk) -> D,
{
    let mut points = 0;
    for operation in 0.. {
        let mut disk = SimDisk::new();
        disk.fail_from(operation);
        let Ok(mut run) = Run::open(wrap(disk), seed) else { continue };
        let ended = run.drive(steps);
        let disk = run.writer.disk().as_mut().clone();
        for (number, keep) in keeps(&disk).into_iter().enumerate() {
            points += 1;
            let place = format!("seed {seed}, operation {operation}, {keep:?} ({number})");
            let mut rng = Rng::new(seed ^ operation << 16 ^ number as u64);
            let mut left = disk.after_crash(keep, &mut rng);
            let kept = check(&mut left, &run.appended, run.durable)
                .map_err(|error| format!("{place}: {error}"))?;
            let again = rng.below(8);
            recover(wrap(left), (kept, &run.appended), again, &mut rng)
                .map_err(|error| format!("{place}, then {again}: {error}"))?;
        }
        if ended.is_ok() {
            break;
        }
    }
    Ok(points)
}

/// Recovers, crashes within it, recovers again and goes on; what was there stays there.
fn recover<D: Disk + AsMut<SimDisk>>(
    mut disk: D,
    (kept, appended): (usize, &Batches),
    crash_after: u64,
    rng: &mut Rng,
) -> Result<(), String> {
    let before = disk.as_mut().operations();
    let first = disk.as_mut().clone();
    disk.as_mut().fail_from(before + crash_after);
    let left = match Run::open(disk, rng.next_u64()) {
        // It failed somewhere in there; of that disk only its clone before is left to us.
        Err(_) => first,
        Ok(mut run) => run.writer.disk().as_mut().after_crash(Keep::Any, rng),
    };
    let mut left = left.after_crash(Keep::All, rng);
    check(&mut left, appended, kept)?;
    let mut run = Run::open(left, rng.next_u64())?;
    run.drive(12).map_err(|error| error.to_string())?;
    let (appended, durable) = (run.appended.clone(), run.durable);
    let mut left = run.writer.disk().after_crash(Keep::Any, rng);
    check(&mut left, &appended, durable).map(drop)
}

#[test]
fn what_was_durable_survives_any_crash_and_nothing_else_is_read() {
    let mut points = 0;
    for seed in 0..12 {
        points += sweep(seed, 40, Plain).expect("no violation");
    }
    assert!(points > 5_000, "only {points} crashes were tried");
}

/// A disk that leaves something undone.
struct Lazy {
    disk: Plain,
    what: Undone,
}

#[derive(Clone, Copy, Debug)]
enum Undone {
    Sync,
    SyncDir,
}

#[test]
fn the_sweep_notices_a_sync_that_is_left_out() {
    for what in [Undone::Sync, Undone::SyncDir] {
        let found =
            (0..40).any(|seed| sweep(seed, 40, |disk| Lazy { disk: Plain(disk), what }).is_err());
        assert!(found, "{what:?} left undone was not noticed");
    }
}

/// A journal of three or more segments, closed in good order.
fn closed_journal() -> (SimDisk, Batches) {
    let mut run = Run::open(SimDisk::new(), 3).expect("an empty disk");
    while run.writer.closed().len() < 2 {
        run.drive(8).expect("a working disk");
        run.writer.prepare().expect("a working disk");
    }
    run.append().expect("a working disk");
    run.sync().expect("a working disk");
    let disk = run.writer.disk().clone();
    let appended = run.appended.clone();
    (disk, appended)
}

fn segments(disk: &mut SimDisk) -> Vec<String> {
    let (found, _) = read(disk).expect("a sound journal");
    found.segments.iter().map(|(name, _)| name.to_string()).collect()
}

#[test]
fn a_flipped_bit_is_damage_or_at_most_the_tail_of_a_crash() {
    let (mut disk, appended) = closed_journal();
    let names = segments(&mut disk);
    let (found, _) = read(&mut disk).expect("a sound journal");
    for (index, name) in names.iter().enumerate() {
        let last = index + 1 == names.len();
        for at in 0..disk.bytes(name).expect("a segment").len() {
            let mut disk = disk.clone();
            disk.tamper(name, |bytes| bytes[at] ^= 1 << (at % 8));
            let inside = (at as u64) < found.segments[index].1;
            match read(&mut disk) {
                Ok((found, read)) => {
                    assert_eq!(appended.get(..read.len()), Some(&read[..]), "{name} at {at}");
                    assert!(last && at >= 48, "{name} at {at}: a record went without a word");
                    assert!(found.cut.is_some(), "{name} at {at}");
                }
                Err(ScanError::Damaged { file, at: place, .. }) => {
                    assert!(inside && place <= at as u64, "{name} at {at}: {file} at {place}");
                    assert_eq!(&file, name);
                }
                Err(error) => panic!("{name} at {at}: {error}"),
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_damage_or_at_most_the_tail_of_a_crash() {
    let (mut disk, appended) = closed_journal();
    let names = segments(&mut disk);
    for (index, name) in names.iter().enumerate() {
        let last = index + 1 == names.len();
        for len in 0..disk.bytes(name).expect("a segment").len() {
            let mut disk = disk.clone();
            disk.tamper(name, |bytes| bytes.truncate(len));
            match read(&mut disk) {
                Ok((_, read)) => {
                    assert_eq!(appended.get(..read.len()), Some(&read[..]), "{name} to {len}");
                    assert!(last && len >= 48, "{name} cut to {len}: records went without a word");
                }
                Err(ScanError::Damaged { file, .. }) => assert_eq!(&file, name, "cut to {len}"),
                Err(error) => panic!("{name} cut to {len}: {error}"),
            }
        }
    }
}

#[test]
fn after_an_orderly_end_every_flipped_bit_of_a_record_is_damage() {
    let shared = Shared(Rc::new(RefCell::new(SimDisk::new())));
    let mut run = Run::open(Shared(Rc::clone(&shared.0)), 5).expect("an empty disk");
    run.drive(60).expect("a working disk");
    run.append().expect("a working disk");
    run.writer.close().expect("a working disk");
    let mut disk = shared.0.borrow().clone();
    let (found, batches) = read(&mut disk).expect("a sound journal");
    assert_eq!(batches, run.appended);
    let end_mark = 32;
    let last = found.segments.len() - 1;
    for (index, (file, len)) in found.segments.into_iter().enumerate() {
        let name = file.to_string();
        let records = if index == last { len - end_mark } else { len };
        for at in 0..usize::try_from(records).expect("a small file") {
            let mut disk = disk.clone();
            disk.tamper(&name, |bytes| bytes[at] ^= 1 << (at % 8));
            assert!(read(&mut disk).is_err(), "{name} at {at}: not noticed");
        }
    }
}

#[test]
fn a_missing_segment_is_named() {
    let (disk, _) = closed_journal();
    for name in ["0000000001.seg", "0000000002.seg"] {
        let mut disk = disk.clone();
        disk.remove(name).expect("it is there");
        let error = read(&mut disk).expect_err("a gap");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_full_disk_is_told_while_there_is_room_for_what_is_in_flight() {
    let mut run = Run::open(SimDisk::new(), 9).expect("an empty disk");
    // What stands ready now is all there will be.
    run.writer.disk().set_capacity(Some(3 * SEGMENT));
    let mut short_at = None;
    let full_at = (1..1000).find(|&number| {
        let outcome = run.writer.append(0, Lsn(number), &[7; 100]);
        if outcome.is_ok() {
            run.appended.push((0, number, vec![7; 100]));
            run.sync().expect("room for what was appended");
        }
        if run.writer.prepare().expect("no failure") == Room::Short {
            short_at.get_or_insert(number);
        }
        matches!(outcome, Err(DiskError::Full { .. }))
    });
    let (short_at, full_at) = (short_at.expect("told"), full_at.expect("full in the end"));
    assert!(full_at > short_at + SEGMENT / 136, "{short_at} and {full_at}");
    let mut disk = run.writer.disk().clone();
    assert_eq!(check(&mut disk, &run.appended, run.durable), Ok(run.appended.len()));
    run.writer.disk().set_capacity(None);
    assert_eq!(run.writer.prepare(), Ok(Room::Ample));
    run.append().expect("room again");
    run.sync().expect("room again");
}

#[test]
fn a_failed_write_or_sync_ends_everything() {
    for operation in 0..60 {
        let mut disk = SimDisk::new();
        disk.fail_from(operation);
        let Ok(mut run) = Run::open(disk, 2) else { continue };
        let error = run.drive(200).expect_err("it fails sooner or later");
        assert!(error.to_string().contains("simulated failure"), "{error}");
        assert!(run.drive(20).is_err(), "it goes on after operation {operation} failed");
    }
}

#[test]
fn foreign_files_are_left_alone_and_a_foreign_journal_is_refused() {
    let (mut disk, _) = closed_journal();
    let file = disk.create("notes.txt", 5).expect("a new file");
    disk.write_at(&file, 0, b"hello").expect("a new file");
    let mut run = Run::open(disk.clone(), 1).expect("a sound journal");
    assert!(run.writer.disk().bytes("notes.txt").is_some());
    for change in [
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| bytes[..8].copy_from_slice(b"MOSQUITT"),
    ] {
        let mut disk = disk.clone();
        disk.tamper("0000000001.seg", change);
        let error = read(&mut disk).expect_err("no segment");
        assert!(error.to_string().starts_with("0000000001.seg is damaged at byte 0"), "{error}");
    }
}

/// A disk as it is.
struct Plain(SimDisk);

/// A disk that outlives its writer.
struct Shared(Rc<RefCell<SimDisk>>);

impl AsMut<SimDisk> for Plain {
    fn as_mut(&mut self) -> &mut SimDisk {
        &mut self.0
    }
}

impl AsMut<SimDisk> for Lazy {
    fn as_mut(&mut self) -> &mut SimDisk {
        &mut self.disk.0
    }
}

/// Hands everything on, but for what `$left_out` answers itself.
macro_rules! disks {
    ($($type:ty, |$this:ident| $disk:expr, |$lazy:ident| $skip:expr;)*) => {$(
        impl Disk for $type {
            type File = SimFile;

            fn list(&mut self) -> Result<Vec<String>, DiskError> {
                let $this = self;
                $disk.list()
            }

            fn create(&mut self, name: &str, len: u64) -> Result<SimFile, DiskError> {
                let $this = self;
                $disk.create(name, len)
            }

            fn open(&mut self, name: &str) -> Result<SimFile, DiskError> {
                let $this = self;
                $disk.open(name)
            }

            fn len(&mut self, file: &SimFile) -> Result<u64, DiskError> {
                let $this = self;
                $disk.len(file)
            }

            fn reserve(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
                let $this = self;
                $disk.reserve(file, len)
            }

            fn truncate(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
                let $this = self;
                $disk.truncate(file, len)
            }

            fn read_at(
                &mut self,
                file: &SimFile,
                at: u64,
                into: &mut [u8],
            ) -> Result<usize, DiskError> {
                let $this = self;
                $disk.read_at(file, at, into)
            }

            fn write_at(&mut self, file: &SimFile, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
                let $this = self;
                $disk.write_at(file, at, bytes)
            }

            fn sync(&mut self, file: &SimFile) -> Result<(), DiskError> {
                let $lazy = &*self;
                if matches!($skip, Some(Undone::Sync)) {
                    return Ok(());
                }
                let $this = self;
                $disk.sync(file)
            }

            fn sync_dir(&mut self) -> Result<(), DiskError> {
                let $lazy = &*self;
                if matches!($skip, Some(Undone::SyncDir)) {
                    return Ok(());
                }
                let $this = self;
                $disk.sync_dir()
            }

            fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
                let $this = self;
                $disk.rename(from, to)
            }

            fn remove(&mut self, name: &str) -> Result<(), DiskError> {
                let $this = self;
                $disk.remove(name)
            }
        }
    )*};
}

disks! {
    Plain, |this| this.0, |_lazy| None::<Undone>;
    Lazy, |this| this.disk.0, |lazy| Some(lazy.what);
    Shared, |this| this.0.borrow_mut(), |_lazy| None::<Undone>;
}
