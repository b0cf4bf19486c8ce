//! Reading the journal at a start, and telling a crash from damage (DESIGN §5.5). A record that does
//! not read ends the journal there if nothing proves that it was durable once: that is the torn tail
//! of a crash. Proof is a whole record behind it that was written when this place was known to be
//! durable: then the disk lost or changed what it had promised, and nothing is loaded. Changes no
//! file; cutting is `Writer::open`'s.

use super::batch::Lsn;
use super::disk::{Disk, DiskError};
use super::segment::{FRAME, FileName, Frame, HEADER, Header, Kind, Position};
use core::fmt;

/// Bytes read at a time.
const CHUNK: u64 = 256 * 1024;

/// The records of one batch, as found.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The engine that made them.
    pub shard: u16,
    /// The number of the last one.
    pub lsn: Lsn,
    /// The file that holds them.
    pub file: FileName,
    /// Where `bytes` begin in it.
    pub at: u64,
    /// The records, one after the other.
    pub bytes: &'a [u8],
}

/// Where the tail of a crash begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: FileName,
    /// The first byte that counts no more.
    pub at: u64,
}

/// What is in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The base that was read.
    pub base: Option<FileName>,
    /// How long the base is.
    pub base_len: u64,
    /// The segments with records in them, and how long each is, in order. All of them are closed.
    pub segments: Vec<(FileName, u64)>,
    /// A torn tail, if there is one.
    pub cut: Option<Cut>,
    /// Files that are not needed (any more).
    pub leftovers: Vec<String>,
    /// The latest start that a header names.
    pub epoch: u32,
    /// Batches read.
    pub batches: u64,
    /// Bytes read, of base and segments.
    pub bytes: u64,
}

impl Scanned {
    /// Where the journal ends.
    pub(super) fn end(&self) -> Position {
        match self.segments.last() {
            Some((file, len)) => Position::new(file.seq(), *len),
            // Whatever the base stands for.
            None => Position::new(self.base.map_or(0, FileName::seq), u64::from(u32::MAX)),
        }
    }
}

/// Why a journal was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// The disk failed.
    Disk(DiskError),
    /// What had been durable is gone or changed.
    Damaged {
        /// The file.
        file: String,
        /// The first byte that is wrong.
        at: u64,
        /// What is wrong there.
        what: String,
    },
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Damaged { file, at, what } => write!(f, "{file} is damaged at byte {at}: {what}"),
        }
    }
}

impl core::error::Error for ScanError {}

impl From<DiskError> for ScanError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// Reads the whole journal in order and gives each batch to `take`, whose error says what is wrong
/// with it. An empty folder is an empty journal.
pub fn scan<D: Disk>(
    disk: &mut D,
    take: &mut dyn FnMut(Entry<'_>) -> Result<(), String>,
) -> Result<Scanned, ScanError> {
    let mut scan = Scan { disk, take, found: Scanned::default() };
    let segments = scan.take_stock()?;
    if let Some(base) = scan.found.base {
        scan.base(base)?;
    }
    scan.segments(&segments)?;
    Ok(scan.found)
}

/// Reads a base and closed segments anew, which are whole or damaged.
pub(super) fn read_closed<D: Disk>(
    disk: &mut D,
    base: Option<FileName>,
    segments: &[(FileName, u64)],
    take: &mut dyn FnMut(Entry<'_>) -> Result<(), String>,
) -> Result<(), ScanError> {
    let mut scan = Scan { disk, take, found: Scanned::default() };
    if let Some(base) = base {
        scan.base(base)?;
    }
    for (name, len) in segments {
        let (header, mut window) = open(scan.disk, *name)?;
        let walk = walk(&header, &mut window, scan.take)?;
        if walk.end != *len {
            return Err(damaged(*name, walk.end, "it is not what was written and read before"));
        }
    }
    Ok(())
}

struct Scan<'a, D: Disk> {
    disk: &'a mut D,
    take: &'a mut dyn FnMut(Entry<'_>) -> Result<(), String>,
    found: Scanned,
}

/// How the walk through a file ended.
struct Walk {
    /// Behind the last whole frame.
    end: u64,
    /// What the first frame knew to be durable; `None` = there is no frame.
    first: Option<Position>,
    /// The last frame ended a base, and counted this many.
    ended: Option<Lsn>,
    frames: u64,
}

impl<D: Disk> Scan<'_, D> {
    /// Sorts the names: the newest base, the segments behind it, leftovers.
    fn take_stock(&mut self) -> Result<Vec<FileName>, ScanError> {
        let names = self.disk.list()?;
        let files: Vec<FileName> = names.iter().filter_map(|name| FileName::parse(name)).collect();
        let base = files.iter().copied().filter(|file| matches!(file, FileName::Base(_))).max();
        let covered = base.map_or(0, FileName::seq);
        let (mut segments, old): (Vec<FileName>, Vec<FileName>) = files
            .into_iter()
            .filter(|&file| Some(file) != base)
            .partition(|file| matches!(file, FileName::Segment(seq) if *seq > covered));
        segments.sort_unstable();
        self.found.base = base;
        self.found.leftovers = old.iter().map(ToString::to_string).collect();
        let unfinished = names.into_iter().filter(|name| FileName::is_unfinished(name));
        self.found.leftovers.extend(unfinished);
        self.found.leftovers.sort_unstable();
        Ok(segments)
    }

    /// A base is whole or damaged: it got its name when it was durable.
    fn base(&mut self, name: FileName) -> Result<(), ScanError> {
        let (header, mut window) = open(self.disk, name)?;
        let walk = walk(&header, &mut window, self.take)?;
        if walk.ended != Some(Lsn(walk.frames)) || walk.end != window.len {
            return Err(damaged(name, walk.end, "the base does not go on as it was written"));
        }
        self.found.epoch = self.found.epoch.max(header.epoch);
        self.found.batches += walk.frames;
        self.found.bytes += walk.end;
        self.found.base_len = walk.end;
        Ok(())
    }

    fn segments(&mut self, names: &[FileName]) -> Result<(), ScanError> {
        for (index, &name) in names.iter().enumerate() {
            let before = self.found.end();
            let (header, mut window) = open(self.disk, name)?;
            let walk = walk(&header, &mut window, self.take)?;
            let Some(first) = walk.first else { return self.end_before(&names[index..]) };
            let expected = FileName::Segment(before.seq() + 1);
            if name != expected {
                return Err(damaged(expected, 0, format!("it is missing, though {name} follows")));
            }
            // What stood before the first segment is in the base, or is nothing.
            if index > 0 && first != before {
                let what = format!("records are gone or changed on which {name} builds");
                return Err(damaged(FileName::Segment(before.seq()), before.offset(), what));
            }
            let here = Position::new(name.seq(), walk.end);
            let rest = search(&header, &mut window, walk.end, (here, name))?;
            self.found.segments.push((name, walk.end));
            self.found.epoch = self.found.epoch.max(header.epoch);
            self.found.batches += walk.frames;
            self.found.bytes += walk.end;
            self.found.cut = rest.then_some(Cut { file: name, at: walk.end });
        }
        Ok(())
    }

    /// `rest` begins with a segment without a record: the journal ends before it, unless something
    /// in `rest` proves otherwise.
    fn end_before(&mut self, rest: &[FileName]) -> Result<(), ScanError> {
        let end = self.found.end();
        for &name in rest {
            let (header, mut window) = open(self.disk, name)?;
            if search(&header, &mut window, HEADER as u64, (end, rest[0]))? {
                self.found.cut.get_or_insert(Cut { file: name, at: HEADER as u64 });
            }
            self.found.leftovers.push(name.to_string());
        }
        Ok(())
    }
}

/// Opens a file and reads its header. It got its name when its header was durable.
pub(super) fn open<D: Disk>(
    disk: &mut D,
    name: FileName,
) -> Result<(Header, Window<'_, D>), ScanError> {
    let file = disk.open(&name.to_string())?;
    let len = disk.len(&file)?;
    let mut window = Window { disk, file, len, start: 0, buffer: Vec::new() };
    let bytes = window.get(0, HEADER as u64)?.unwrap_or_default();
    let header = Header::decode(name, bytes).map_err(|what| damaged(name, 0, what))?;
    Ok((header, window))
}

/// Goes from frame to frame, as far as they are whole.
fn walk<D: Disk>(
    header: &Header,
    window: &mut Window<'_, D>,
    take: &mut dyn FnMut(Entry<'_>) -> Result<(), String>,
) -> Result<Walk, ScanError> {
    let file = header.name;
    let mut walk = Walk { end: HEADER as u64, first: None, ended: None, frames: 0 };
    while walk.ended.is_none()
        && let Some((frame, body)) = whole_frame(header, window, walk.end)?
    {
        if frame.durable > Position::new(file.seq(), walk.end) {
            return Err(damaged(file, walk.end, "a record that knows its own future"));
        }
        walk.first.get_or_insert(frame.durable);
        let at = walk.end + FRAME as u64;
        match frame.kind {
            Kind::Batch => {
                let entry = Entry { shard: frame.shard, lsn: frame.lsn, file, at, bytes: body };
                take(entry).map_err(|what| damaged(file, at, what))?;
                walk.frames += 1;
            }
            Kind::End => walk.ended = Some(frame.lsn),
            Kind::Mark => {}
        }
        walk.end += frame.extent();
    }
    Ok(walk)
}

/// Looks behind `from` for a whole frame that knew more than all before `end` to be durable: proof
/// of damage there, in `file`. Otherwise says whether there is anything but zeros.
fn search<D: Disk>(
    header: &Header,
    window: &mut Window<'_, D>,
    from: u64,
    (end, file): (Position, FileName),
) -> Result<bool, ScanError> {
    let mut at = from;
    let mut rest = false;
    while at < window.len {
        let len = (window.len - at).min(CHUNK);
        let chunk = window.get(at, len)?.unwrap_or_default();
        if is_zero(chunk) {
            // As most of a segment that is not full.
            at = window.disk.data_from(&window.file, at + len)?.next_multiple_of(8);
            continue;
        }
        rest = true;
        // Heads reach over the end of the chunk: the next one begins early enough to hold them.
        let heads = chunk.windows(FRAME).step_by(8);
        let candidates: Vec<u64> = heads
            .zip((at..).step_by(8))
            .filter(|(head, _)| {
                Frame::decode(header.seed(), head).is_some_and(|frame| frame.durable > end)
            })
            .map(|(_, at)| at)
            .collect();
        for candidate in candidates {
            if whole_frame(header, window, candidate)?.is_some() {
                let place = if file.seq() == end.seq() { end.offset() } else { HEADER as u64 };
                let what = format!(
                    "a record is gone or changed that was durable when the one at byte {candidate} \
                     of {} was written",
                    header.name
                );
                return Err(damaged(file, place, what));
            }
        }
        if at + len == window.len {
            break;
        }
        at += len - FRAME as u64;
    }
    Ok(rest)
}

/// Whether there is nothing but zeros, as fast as the machine compares.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|part| *part == ZEROS[..part.len()])
}

/// The frame at this place with its body; `None` if there is no whole one.
pub(super) fn whole_frame<'w, D: Disk>(
    header: &Header,
    window: &'w mut Window<'_, D>,
    at: u64,
) -> Result<Option<(Frame, &'w [u8])>, DiskError> {
    let seed = header.seed();
    let Some(head) = window.get(at, FRAME as u64)? else { return Ok(None) };
    let Some(frame) = Frame::decode(seed, head) else { return Ok(None) };
    let body = window.get(at + FRAME as u64, frame.extent() - FRAME as u64)?;
    let Some(body) = body.filter(|body| frame.has(seed, body)) else { return Ok(None) };
    let len = usize::try_from(frame.len).unwrap_or(usize::MAX);
    Ok(body.get(..len).map(|body| (frame, body)))
}

/// A file, read in pieces.
pub(super) struct Window<'d, D: Disk> {
    disk: &'d mut D,
    file: D::File,
    pub(super) len: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<D: Disk> Window<'_, D> {
    /// These bytes; `None` if the file ends before. Memory is for what the file has, never more.
    pub(super) fn get(&mut self, at: u64, len: u64) -> Result<Option<&[u8]>, DiskError> {
        let Some(end) = at.checked_add(len).filter(|&end| end <= self.len) else {
            return Ok(None);
        };
        if at < self.start || end > self.start + self.buffer.len() as u64 {
            let len = len.max(CHUNK).min(self.len - at);
            self.buffer.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
            let read = self.disk.read_at(&self.file, at, &mut self.buffer)?;
            self.buffer.truncate(read);
            self.start = at;
        }
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(self.buffer.get(from..).and_then(|rest| rest.get(..len)))
    }
}

fn damaged(file: FileName, at: u64, what: impl Into<String>) -> ScanError {
    ScanError::Damaged { file: file.to_string(), at, what: what.into() }
}
