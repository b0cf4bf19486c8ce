//! Repairing a journal that is damaged (DESIGN §5.5), which nothing does unasked: reads whatever is
//! whole, takes of it what fits together, and writes that as a new base. Damaged files are copied
//! aside first; what was lost is named. It never guesses at bytes: every frame that is taken has its
//! checksum.

use super::batch::Lsn;
use super::disk::{Disk, DiskError};
use super::fold::{Job, write};
use super::image::Image;
use super::load::{Place, load};
use super::scan::{ScanError, Window, open, whole_frame};
use super::segment::{FRAME, FileName, Frame, HEADER, Header, Kind, Position};
use std::collections::BTreeMap;

/// Bytes that are copied at a time.
const CHUNK: usize = 256 * 1024;

/// A place of the journal that is gone or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The file.
    pub file: String,
    /// The first byte that is wrong.
    pub at: u64,
    /// How many bytes cannot be read.
    pub bytes: u64,
    /// Records of one turn of the broker each that stood there, as far as that can be told.
    pub records: u64,
    /// What is wrong there.
    pub what: String,
}

/// What a repair has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// What was lost, in order.
    pub losses: Vec<Loss>,
    /// Records that were read and taken.
    pub records: u64,
    /// Steps in them that do not fit what is left, such as those of a session that was lost.
    pub misfits: u64,
    /// Copies of the damaged files.
    pub aside: Vec<String>,
    /// The new base, which stands for everything.
    pub base: FileName,
}

/// Repairs a journal; `None` if it is sound, and then nothing is changed. `seed` makes the mark of
/// the new file.
///
/// # Errors
/// If the disk fails. The old files are then as they were.
pub fn repair<D: Disk>(disk: &mut D, seed: u64) -> Result<Option<Repaired>, DiskError> {
    match load(disk, &mut |place, _| place) {
        Ok(_) => return Ok(None),
        Err(ScanError::Disk(error)) => return Err(error),
        Err(ScanError::Damaged { .. }) => {}
    }
    let names = disk.list()?;
    let mut files: Vec<FileName> = names.iter().filter_map(|name| FileName::parse(name)).collect();
    files.sort_unstable();
    let last = files.iter().map(|file| file.seq()).max().unwrap_or(0);
    let mut salvage = Salvage::new(disk);
    salvage.all(&files)?;
    let Salvage { mut image, losses, records, misfits, epoch, .. } = salvage;
    image.sweep();
    image.end_doubles();
    image.epoch = image.epoch.max(epoch);
    let mut aside = Vec::new();
    for file in &files {
        if losses.iter().any(|loss| loss.file == file.to_string()) {
            aside.push(copy_aside(disk, *file, &names)?);
        }
    }
    disk.sync_dir()?;
    let base = FileName::Base(last + 1);
    let job = Job { base: None, segments: Vec::new(), epoch, seed, segment: CHUNK as u64 };
    write(disk, &job, base, &image, &mut |_| true)?;
    disk.rename(&base.unfinished(), &base.to_string())?;
    disk.sync_dir()?;
    Ok(Some(Repaired { losses, records, misfits, aside, base }))
}

/// Copies a file to a name that the journal does not know.
fn copy_aside<D: Disk>(
    disk: &mut D,
    file: FileName,
    names: &[String],
) -> Result<String, DiskError> {
    let free = |number: &u32| !names.contains(&format!("{file}.damaged-{number}"));
    let name = format!("{file}.damaged-{}", (1..).find(free).unwrap_or(u32::MAX));
    let from = disk.open(&file.to_string())?;
    let len = disk.len(&from)?;
    let to = disk.create(&name, len)?;
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < len {
        let read = disk.read_at(&from, at, &mut buffer)?;
        if read == 0 {
            break;
        }
        disk.write_at(&to, at, &buffer[..read])?;
        at += read as u64;
    }
    disk.sync(&to)?;
    Ok(name)
}

struct Salvage<'d, D: Disk> {
    disk: &'d mut D,
    image: Image<Place>,
    losses: Vec<Loss>,
    records: u64,
    misfits: u64,
    epoch: u32,
}

/// What a file holds, as far as it can be read.
struct Walked {
    /// Behind the last whole frame.
    end: u64,
    /// What the first frame knew to be durable.
    first: Option<Position>,
    /// The end of a base was met.
    ended: bool,
}

impl<'d, D: Disk> Salvage<'d, D> {
    fn new(disk: &'d mut D) -> Self {
        let (losses, image) = (Vec::new(), Image::new());
        Self { disk, image, losses, records: 0, misfits: 0, epoch: 0 }
    }

    fn lost(&mut self, file: FileName, at: u64, bytes: u64, what: impl Into<String>) {
        let what = what.into();
        self.losses.push(Loss { file: file.to_string(), at, bytes, records: 0, what });
    }

    /// Reads the newest base that can be read, and the segments behind it.
    fn all(&mut self, files: &[FileName]) -> Result<(), DiskError> {
        let mut covered = 0;
        for &base in files.iter().rev().filter(|file| matches!(file, FileName::Base(_))) {
            if let Some(walked) = self.file(base)? {
                if !walked.ended {
                    self.lost(base, walked.end, 0, "the end of the base is gone");
                }
                covered = base.seq();
                break;
            }
        }
        self.image.sweep();
        // Where the records of the segment before ended.
        let mut before: Option<(FileName, u64)> = None;
        for &segment in files {
            if !matches!(segment, FileName::Segment(seq) if seq > covered) {
                continue;
            }
            let next = FileName::Segment(before.map_or(covered, |(file, _)| file.seq()) + 1);
            let Some(walked) = self.file(segment)? else {
                before = Some((segment, u64::MAX));
                continue;
            };
            let Some(first) = walked.first else { continue };
            // A journal begins where its first base or segment does.
            if segment != next && (before.is_some() || covered > 0) {
                self.lost(next, 0, 0, format!("it is missing, though {segment} follows"));
            }
            if let Some((file, end)) = before
                && first.seq() == file.seq()
                && first.offset() > end
            {
                self.lost(file, end, first.offset() - end, "the records at its end are gone");
            }
            before = Some((segment, walked.end));
        }
        Ok(())
    }

    /// Takes what is whole in a file; `None` if nothing of it can be known.
    fn file(&mut self, name: FileName) -> Result<Option<Walked>, DiskError> {
        // The image is filled while the disk is read.
        let mut image = core::mem::replace(&mut self.image, Image::new());
        let mut losses = Vec::new();
        let outcome = match open(self.disk, name) {
            Err(ScanError::Disk(error)) => Err(error),
            Err(ScanError::Damaged { at, what, .. }) => {
                losses.push(Loss { file: name.to_string(), at, bytes: 0, records: 0, what });
                Ok(None)
            }
            Ok((header, mut window)) => {
                self.epoch = self.epoch.max(header.epoch);
                let mut taken = (0, 0);
                let walked = walk(&header, &mut window, &mut image, &mut losses, &mut taken);
                self.records += taken.0;
                self.misfits += taken.1;
                walked.map(Some)
            }
        };
        self.image = image;
        if matches!(outcome, Ok(None))
            && let (Ok(file), Some(loss)) = (self.disk.open(&name.to_string()), losses.last_mut())
        {
            loss.bytes = self.disk.len(&file)?;
        }
        self.losses.append(&mut losses);
        outcome
    }
}

/// Goes from whole frame to whole frame, over whatever is between them.
fn walk<D: Disk>(
    header: &Header,
    window: &mut Window<'_, D>,
    image: &mut Image<Place>,
    losses: &mut Vec<Loss>,
    (records, misfits): &mut (u64, u64),
) -> Result<Walked, DiskError> {
    let name = header.name;
    let is_base = matches!(name, FileName::Base(_));
    let mut walked = Walked { end: HEADER as u64, first: None, ended: false };
    let mut last: BTreeMap<u16, Lsn> = BTreeMap::new();
    let mut at = walked.end;
    while let Some(found) = next_frame(header, window, at)? {
        let Some((frame, body)) = whole_frame(header, window, found)? else { break };
        let gap = found > at;
        walked.first.get_or_insert(frame.durable);
        if frame.kind == Kind::Batch {
            let known = last.insert(frame.shard, frame.lsn).map_or(0, |lsn| lsn.0 + 1);
            let missed = if gap { frame.lsn.0.saturating_sub(known).max(1) } else { 0 };
            if gap {
                let missed = if known == 0 { 1 } else { missed };
                losses.push(loss(name, at, found - at, missed));
            }
            let start = found + FRAME as u64;
            *misfits += image.apply_what_fits(frame.shard, body, |bytes, end| {
                let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                Place { file: name, at: start + end - u64::from(len), len }
            });
            if !is_base {
                image.sweep();
            }
            *records += 1;
        } else if gap {
            losses.push(loss(name, at, found - at, 1));
        }
        walked.ended |= frame.kind == Kind::End;
        at = found + frame.extent();
        walked.end = at;
    }
    Ok(walked)
}

fn loss(file: FileName, at: u64, bytes: u64, records: u64) -> Loss {
    let what = "these bytes are no record any more".into();
    Loss { file: file.to_string(), at, bytes, records, what }
}

/// Where the next whole frame begins, at `at` or behind it.
fn next_frame<D: Disk>(
    header: &Header,
    window: &mut Window<'_, D>,
    mut at: u64,
) -> Result<Option<u64>, DiskError> {
    while at < window.len {
        let Some(head) = window.get(at, FRAME as u64)? else { return Ok(None) };
        let may_be = Frame::decode(header.seed(), head).is_some();
        if may_be && whole_frame(header, window, at)?.is_some() {
            return Ok(Some(at));
        }
        at += 8;
    }
    Ok(None)
}
