//! Repair: a damaged journal becomes a sound one that holds what could be read, the damaged files
//! stand aside as they were, and what was lost is named.

use halyard_core::journal::{
    AttachedOp, Disk, FORMAT, FileName, Image, Layout, Loss, Lsn, Op, ScanError, Writer,
    encode_put, fold, load, repair,
};
use halyard_core::packet::Version;
use halyard_core::sim::SimDisk;

type Whole = Image<Box<[u8]>>;

const CLIENTS: u64 = 30;

fn layout(seed: u64) -> Layout {
    Layout { segment: 1024, ready: 1, seed, epoch: 1 }
}

/// One batch: the broker starts, or a client with a session comes and sets a retained message.
fn batch(number: u64) -> Vec<u8> {
    let mut out = vec![FORMAT];
    if number == 0 {
        Op::Start { epoch: 1, shards: 1, wall: 5, key: 7 }.encode(&mut out);
        return out;
    }
    Op::Attached(AttachedOp {
        session: number,
        client_id: &format!("client {number}"),
        username: None,
        is_owned: false,
        version: Version::V5,
        listener: "",
        mount: None,
        expiry: u32::MAX,
        rights: None,
        will: None,
    })
    .encode(&mut out);
    let body = b"\x01\x01tx";
    encode_put(&mut out, number, 1, None, body.len() as u64);
    out.extend_from_slice(body);
    let topic = format!("t/{number}");
    Op::Retained { topic: &topic, message: number, expires: None, stamp: (number, 0) }
        .encode(&mut out);
    out
}

/// A journal of several segments, or with `folded` of a base and one segment.
fn journal(folded: bool) -> SimDisk {
    let mut writer = Writer::open(SimDisk::new(), &Default::default(), layout(3)).expect("empty");
    for number in 0..=CLIENTS {
        writer.append(0, Lsn(number + 1), &batch(number)).expect("room");
        writer.sync().expect("a disk");
        writer.prepare().expect("room");
        if folded && number == CLIENTS - 3 {
            writer.turn_over().expect("room");
            let job = writer.job(0).expect("closed segments");
            let done = fold(writer.disk(), &job, &mut |_| true).expect("a disk");
            writer.folded(done.expect("not stopped"));
        }
    }
    let disk = writer.disk().clone();
    writer.close().expect("a disk");
    disk
}

fn read(disk: &mut SimDisk) -> Result<Whole, ScanError> {
    load(disk, &mut |_, bytes| bytes.into()).map(|(_, image)| image)
}

fn names(disk: &mut SimDisk) -> Vec<String> {
    disk.list().expect("a folder")
}

fn clients(image: &Whole) -> usize {
    image.shards[0].sessions.len()
}

#[test]
fn a_sound_journal_is_left_alone() {
    for mut disk in [journal(false), journal(true), SimDisk::new()] {
        let before = names(&mut disk);
        assert_eq!(repair(&mut disk, 1), Ok(None));
        assert_eq!(names(&mut disk), before);
    }
}

#[test]
fn a_flipped_byte_costs_its_own_record_alone() {
    for folded in [false, true] {
        let whole = read(&mut journal(folded)).expect("sound");
        assert_eq!(clients(&whole), usize::try_from(CLIENTS).expect("few"));
        let files = names(&mut journal(folded));
        for file in files.iter().filter(|name| FileName::parse(name).is_some()) {
            // Header, first record, middle.
            for at in [20, 60, 333] {
                let mut disk = journal(folded);
                let Some(old) = disk.bytes(file).map(<[u8]>::to_vec) else { continue };
                let mut changed = old.clone();
                if at >= changed.len() || changed[at..].iter().all(|byte| *byte == 0) {
                    continue;
                }
                changed[at] ^= 0x40;
                disk.tamper(file, |bytes| bytes.clone_from(&changed));
                let Err(ScanError::Damaged { .. }) = read(&mut disk) else { continue };
                let done = repair(&mut disk, 1).expect("a disk").expect("damaged");
                check(&mut disk, &whole, &done.losses, file, at as u64);
                let aside = done.aside.iter().find(|name| name.starts_with(file.as_str()));
                let aside = aside.unwrap_or_else(|| panic!("{file} {at}: {done:?}"));
                assert_eq!(disk.bytes(aside), Some(&changed[..]), "{file} {at}");
                goes_on(disk);
            }
        }
    }
}

/// What is left is part of what was, and only a damaged header costs more than a few records.
fn check(disk: &mut SimDisk, whole: &Whole, losses: &[Loss], file: &str, at: u64) {
    let left = read(disk).unwrap_or_else(|error| panic!("{file} {at}: {error}"));
    for (number, session) in &left.shards[0].sessions {
        assert_eq!(whole.shards[0].sessions.get(number), Some(session));
    }
    let mine = losses.iter().find(|loss| loss.file == file).expect("the loss is named");
    assert!(mine.at <= at && at < mine.at + mine.bytes, "{file} {at}: {mine:?}");
    if at >= 48 {
        assert!(mine.records >= 1 && mine.bytes < 40_000, "{mine:?}");
        assert!(
            clients(&left) + 3 >= clients(whole) || file.ends_with("base"),
            "{file} {at}: {} clients left, {losses:?}",
            clients(&left)
        );
    }
}

/// The broker goes on with what is left, and finds it again.
fn goes_on(mut disk: SimDisk) {
    let (scanned, before) = load(&mut disk, &mut |_, bytes| Box::<[u8]>::from(bytes)).expect("ok");
    let mut writer = Writer::open(disk, &scanned, layout(9)).expect("a disk");
    writer.append(0, Lsn(1), &batch(CLIENTS + 1)).expect("room");
    writer.sync().expect("a disk");
    let mut disk = writer.disk().clone();
    let after = read(&mut disk).expect("sound");
    assert_eq!(clients(&after), clients(&before) + 1);
    let aside = names(&mut disk).iter().filter(|name| name.contains("damaged")).count();
    assert!(aside > 0, "what was copied aside is never deleted");
}

#[test]
fn a_missing_segment_is_named_and_the_others_are_kept() {
    let mut disk = journal(false);
    disk.remove("0000000002.seg").expect("a file");
    assert!(read(&mut disk).is_err());
    let done = repair(&mut disk, 1).expect("a disk").expect("damaged");
    assert!(done.losses.iter().any(|loss| loss.file == "0000000002.seg"), "{done:?}");
    let left = read(&mut disk).expect("sound");
    assert!(clients(&left) > 15 && clients(&left) < 30, "{}", clients(&left));
}

#[test]
fn the_old_files_stay_until_the_new_base_is_on_the_disk() {
    let mut damaged = journal(true);
    damaged.tamper("0000000001.base", |_| ());
    let file = names(&mut damaged).into_iter().find(|name| name.ends_with("base")).expect("a base");
    damaged.tamper(&file, |bytes| bytes[300] ^= 1);
    let first = damaged.operations();
    for operations in first.. {
        let mut disk = damaged.clone();
        disk.fail_from(operations);
        let outcome = repair(&mut disk, 1);
        let mut left = disk.after_crash(
            halyard_core::sim::Keep::Any,
            &mut halyard_core::rng::Rng::new(operations),
        );
        let done = repair(&mut left, 2).expect("a disk");
        assert!(clients(&read(&mut left).expect("sound")) > 0);
        if outcome.is_ok() {
            assert_eq!(done, None);
            break;
        }
    }
}
