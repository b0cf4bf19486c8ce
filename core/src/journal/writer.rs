//! The one writer of the journal: batches of all engines in, one write a segment and one sync for
//! all of them. Segments are made ahead: that a disk is full shows while there is still room for
//! what is in flight (DESIGN §5.7). Never writes on after a failed write or sync; whoever gets
//! [`DiskError::Failed`] must stop.

use super::batch::Lsn;
use super::disk::{Disk, DiskError};
use super::fold::{Folded, Job};
use super::scan::Scanned;
use super::segment::{FRAME, FileName, Frame, HEADER, Header, Kind, Position, padded};
use crate::rng::Rng;

/// How the journal lies on the disk.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Bytes of a segment; a batch that is larger gets a larger one.
    pub segment: u64,
    /// Segments that stand ready behind the one in use. The last is the reserve.
    pub ready: usize,
    /// Makes the marks by which a file knows its own frames: another one at each start.
    pub seed: u64,
    /// The start of the broker, kept in the headers.
    pub epoch: u32,
}

/// Whether the disk has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The next segments stand ready.
    Ample,
    /// The disk is full. What is left takes what is in flight.
    Short,
}

/// Appends to the journal.
#[derive(Debug)]
pub struct Writer<D: Disk> {
    disk: D,
    layout: Layout,
    rng: Rng,
    current: Segment<D::File>,
    /// What stands ready, in order.
    ready: Vec<Segment<D::File>>,
    /// Frames for the current segment that are not written yet.
    buffer: Vec<u8>,
    /// Bytes of the current segment that are written.
    written: u64,
    /// Up to here everything is durable.
    durable: Position,
    /// The last record of each engine that was appended since the last sync.
    appended: Vec<(u16, Lsn)>,
    /// Segments that get no more records, with their lengths, in order.
    closed: Vec<(FileName, u64)>,
    /// The base, with its length.
    base: Option<(FileName, u64)>,
}

#[derive(Debug)]
struct Segment<F> {
    name: FileName,
    file: F,
    /// What the checksums of its frames begin with.
    seed: u32,
    /// Bytes there is room for.
    room: u64,
}

impl<D: Disk> Writer<D> {
    /// Goes on behind what was scanned, in a new segment. What a crash left is cut off first, and
    /// what was read is made durable: the process that died may not have come to it.
    pub fn open(mut disk: D, scanned: &Scanned, layout: Layout) -> Result<Self, DiskError> {
        if let Some((name, len)) = scanned.segments.last() {
            let file = disk.open(&name.to_string())?;
            // What a crash left, and what was allocated ahead: it would stay so until it is folded.
            if disk.len(&file)? > *len {
                disk.truncate(&file, *len)?;
            }
            disk.sync(&file)?;
        }
        // A base may have its name only for as long as the power lasts, if the process died behind the
        // rename: what it stands for goes after that.
        disk.sync_dir()?;
        for name in &scanned.leftovers {
            disk.remove(name)?;
        }
        disk.sync_dir()?;
        let durable = scanned.end();
        let mut rng = Rng::new(layout.seed);
        let first = FileName::Segment(durable.seq() + 1);
        let current = make(&mut disk, first, &layout, &mut rng)?;
        let mut writer = Self {
            disk,
            layout,
            rng,
            current,
            ready: Vec::new(),
            buffer: Vec::new(),
            written: HEADER as u64,
            durable,
            appended: Vec::new(),
            closed: scanned.segments.clone(),
            base: scanned.base.map(|name| (name, scanned.base_len)),
        };
        writer.prepare()?;
        Ok(writer)
    }

    /// Takes records of an engine, up to `lsn`. They are written by the next [`Self::flush`].
    /// After [`DiskError::Full`] they were not taken, and nothing else is until there is room.
    pub fn append(&mut self, shard: u16, lsn: Lsn, records: &[u8]) -> Result<(), DiskError> {
        if u32::try_from(records.len()).is_err() {
            let text = "the records of one turn are longer than 4 GiB".into();
            let file = self.current.name.to_string();
            return Err(DiskError::Failed { what: "write", file, text });
        }
        let frame = padded(records.len()) as u64;
        if self.end() + frame > self.current.room {
            if self.end() > HEADER as u64 {
                self.roll()?;
            }
            self.current.grow(&mut self.disk, HEADER as u64 + frame)?;
        }
        self.frame(Kind::Batch, (shard, lsn), records);
        match self.appended.iter_mut().find(|(other, _)| *other == shard) {
            Some((_, last)) => *last = lsn,
            None => self.appended.push((shard, lsn)),
        }
        Ok(())
    }

    /// Writes what was appended: it survives the process, though not a power loss.
    pub fn flush(&mut self) -> Result<(), DiskError> {
        if !self.buffer.is_empty() {
            self.disk.write_at(&self.current.file, self.written, &self.buffer)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes what was appended, and says up to which record of each engine that is: for those who
    /// ask no more of durability than that the process may die.
    pub fn write(&mut self) -> Result<Vec<(u16, Lsn)>, DiskError> {
        self.flush()?;
        Ok(std::mem::take(&mut self.appended))
    }

    /// Makes all that was appended durable, and says up to which record of each engine that is.
    pub fn sync(&mut self) -> Result<Vec<(u16, Lsn)>, DiskError> {
        self.flush()?;
        let end = Position::new(self.current.name.seq(), self.written);
        // A segment without a record is not in the chain of those that know of each other.
        if self.written > HEADER as u64 && end > self.durable {
            self.disk.sync(&self.current.file)?;
            self.durable = end;
        }
        Ok(std::mem::take(&mut self.appended))
    }

    /// Makes segments ready ahead, and says whether there was room for them.
    pub fn prepare(&mut self) -> Result<Room, DiskError> {
        while self.ready.len() < self.layout.ready {
            let last = self.ready.last().unwrap_or(&self.current).name.seq();
            let name = FileName::Segment(last + 1);
            match make(&mut self.disk, name, &self.layout, &mut self.rng) {
                Ok(segment) => self.ready.push(segment),
                Err(DiskError::Full { .. }) => return Ok(Room::Short),
                Err(error) => return Err(error),
            }
        }
        Ok(Room::Ample)
    }

    /// Ends the journal in good order: all of it is durable, and says so, so that a later change of
    /// its last record would be seen.
    pub fn close(mut self) -> Result<(), DiskError> {
        self.sync()?;
        if self.written > HEADER as u64 {
            self.frame(Kind::Mark, (0, Lsn(0)), &[]);
            self.sync()?;
        }
        Ok(())
    }

    /// Segments that get no more records, with their lengths, in order.
    pub fn closed(&self) -> &[(FileName, u64)] {
        &self.closed
    }

    /// Closes the segment in use, if there is another, so that it can be folded.
    pub fn turn_over(&mut self) -> Result<(), DiskError> {
        if self.end() > HEADER as u64 && !self.ready.is_empty() {
            self.roll()?;
        }
        Ok(())
    }

    /// What can be folded now; `None` if nothing can, or it is not worth its while: the closed
    /// segments are smaller than `least` or than the base. With a `least` of 0 it is always worth it.
    pub fn job(&mut self, least: u64) -> Option<Job> {
        let bytes: u64 = self.closed.iter().map(|(_, len)| len).sum();
        let base = self.base.map_or(0, |(_, len)| len);
        if self.closed.is_empty() || (least > 0 && bytes < least.max(base)) {
            return None;
        }
        Some(Job {
            base: self.base.map(|(name, _)| name),
            segments: self.closed.clone(),
            epoch: self.layout.epoch,
            seed: self.rng.next_u64(),
            segment: self.layout.segment,
        })
    }

    /// A new base stands for closed segments: they are gone.
    pub fn folded(&mut self, folded: Folded) {
        self.closed.retain(|(name, _)| name.seq() > folded.base.seq());
        self.base = Some((folded.base, folded.len));
    }

    /// The disk, for what is not written in order.
    pub const fn disk(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Where the next frame goes.
    const fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn frame(&mut self, kind: Kind, of: (u16, Lsn), body: &[u8]) {
        Frame::encode(&mut self.buffer, self.current.seed, kind, of, self.durable, body);
    }

    /// Goes on in the next segment. The one before is durable by then: its end is what the first
    /// record of the next one builds on.
    fn roll(&mut self) -> Result<(), DiskError> {
        if self.ready.is_empty() {
            self.prepare()?;
        }
        if self.ready.is_empty() {
            return Err(DiskError::Full { file: self.current.name.to_string() });
        }
        self.flush()?;
        let end = Position::new(self.current.name.seq(), self.written);
        if end > self.durable {
            self.disk.sync(&self.current.file)?;
            self.durable = end;
        }
        self.disk.truncate(&self.current.file, self.written)?;
        self.closed.push((self.current.name, self.written));
        self.current = self.ready.remove(0);
        self.written = HEADER as u64;
        Ok(())
    }
}

impl<F> Segment<F> {
    /// Makes room for `room` bytes of header and frames, and for the mark of an orderly end.
    fn grow<D: Disk<File = F>>(&mut self, disk: &mut D, room: u64) -> Result<(), DiskError> {
        if room > self.room {
            disk.reserve(&self.file, room + FRAME as u64)?;
            self.room = room;
        }
        Ok(())
    }
}

/// Makes a segment. It gets its name when its header is durable.
fn make<D: Disk>(
    disk: &mut D,
    name: FileName,
    layout: &Layout,
    rng: &mut Rng,
) -> Result<Segment<D::File>, DiskError> {
    let header = header(name, layout.epoch, rng);
    let unfinished = name.unfinished();
    let len = layout.segment.max(HEADER as u64 + FRAME as u64);
    let file = disk.create(&unfinished, len)?;
    disk.write_at(&file, 0, &header.encode())?;
    disk.sync(&file)?;
    disk.rename(&unfinished, &name.to_string())?;
    disk.sync_dir()?;
    // The mark of an orderly end always finds room.
    Ok(Segment { name, file, seed: header.seed(), room: len - FRAME as u64 })
}

/// A header like no other.
pub(super) fn header(name: FileName, epoch: u32, rng: &mut Rng) -> Header {
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
    uuid[8..].copy_from_slice(&rng.next_u64().to_le_bytes());
    Header { name, uuid, epoch }
}
