//! Folding (DESIGN §5.6): the base and the closed segments behind it become a new base, which holds
//! only what still counts. Works from the files alone, by an index of places; payloads are copied
//! from file to file, one at a time. The engines are never asked and the writer goes on meanwhile. A
//! crash at any point leaves either the old files or the new base, and both say the same.

use super::batch::Lsn;
use super::disk::{Disk, DiskError};
use super::image::Image;
use super::load::{Loader, Place};
use super::output::Piece;
use super::scan::{ScanError, read_closed};
use super::segment::{FileName, Frame, Kind, Position, padded};
use super::writer::header;
use crate::rng::Rng;

/// Bytes that are written at a time, at most.
const CHUNK: u64 = 256 * 1024;
/// Room is made for so many times as much at a time.
const STEP: u64 = 16;
/// And so many times as much is synced at a time: one sync of all at the end would hold up the
/// journal's.
const SYNC: u64 = 4;

/// What is folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The base until now.
    pub base: Option<FileName>,
    /// Closed segments, with their lengths, in order: all behind the base up to some point.
    pub segments: Vec<(FileName, u64)>,
    /// The start of the broker, kept in the header.
    pub epoch: u32,
    /// Makes the mark of the new file.
    pub seed: u64,
    /// Bytes of a segment: the base is written in no larger pieces.
    pub segment: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The base that stands for all of it.
    pub base: FileName,
    /// How long it is.
    pub len: u64,
}

/// Folds, and removes what the new base stands for. `pace` is told how many bytes were handled
/// since the last time; it may take its time, and ends the work by `false`, which gives `None`.
pub fn fold<D: Disk>(
    disk: &mut D,
    job: &Job,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Folded>, ScanError> {
    let Some((last, _)) = job.segments.last() else { return Ok(None) };
    let Some(image) = read(disk, job, pace)? else { return Ok(None) };
    let name = FileName::Base(last.seq());
    let Some(len) = write(disk, job, name, &image, pace)? else {
        disk.remove(&name.unfinished())?;
        return Ok(None);
    };
    disk.rename(&name.unfinished(), &name.to_string())?;
    disk.sync_dir()?;
    let old = job.base.into_iter().chain(job.segments.iter().map(|(name, _)| *name));
    for name in old {
        disk.remove(&name.to_string())?;
    }
    Ok(Some(Folded { base: name, len }))
}

/// Reads what is to be folded; `None` if told to stop.
fn read<D: Disk>(
    disk: &mut D,
    job: &Job,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Image<Place>>, ScanError> {
    let mut loader = Loader::new();
    let mut stopped = false;
    let outcome = read_closed(disk, job.base, &job.segments, &mut |entry| {
        stopped = !pace(entry.bytes.len() as u64);
        if stopped {
            return Err("told to stop".into());
        }
        loader.take(entry, &mut |place, _| place)
    });
    if stopped {
        return Ok(None);
    }
    outcome?;
    Ok(Some(loader.finish()))
}

/// Writes the new base under its unfinished name and syncs it; `None` if told to stop.
pub(super) fn write<D: Disk>(
    disk: &mut D,
    job: &Job,
    name: FileName,
    image: &Image<Place>,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<u64>, DiskError> {
    let header = header(name, job.epoch, &mut Rng::new(job.seed));
    let file = disk.create(&name.unfinished(), 0)?;
    let seed = header.seed();
    let mut out = Output {
        disk,
        file,
        seed,
        buffer: header.encode().to_vec(),
        written: 0,
        synced: 0,
        room: 0,
        chunk: job.segment.clamp(1, CHUNK),
        batches: 0,
        source: None,
        body: Vec::new(),
    };
    // `None` is the wish to stop, not a failure.
    let outcome = image.write(
        |place| u64::from(place.len),
        |shard, piece| {
            let handled = out.piece(shard, piece).map_err(Some)?;
            if pace(handled) { Ok(()) } else { Err(None) }
        },
    );
    match outcome {
        Ok(()) => out.finish().map(Some),
        Err(None) => Ok(None),
        Err(Some(error)) => {
            // Its room is needed; what went wrong matters more than whether that works.
            drop(disk.remove(&name.unfinished()));
            Err(error)
        }
    }
}

/// The new base while it is written.
struct Output<'d, D: Disk> {
    disk: &'d mut D,
    file: D::File,
    seed: u32,
    buffer: Vec<u8>,
    written: u64,
    /// Bytes that were synced.
    synced: u64,
    /// Bytes that there is room for.
    room: u64,
    /// Bytes that are written at a time.
    chunk: u64,
    batches: u64,
    /// The file that the last message was copied from.
    source: Option<(FileName, D::File)>,
    body: Vec<u8>,
}

impl<D: Disk> Output<'_, D> {
    fn piece(&mut self, shard: u16, piece: Piece<'_, Place>) -> Result<u64, DiskError> {
        self.body.clear();
        match piece {
            Piece::Steps(steps) => self.body.extend_from_slice(steps),
            Piece::Message { head, body } => {
                self.body.extend_from_slice(head);
                self.copy(*body)?;
            }
        }
        let body = core::mem::take(&mut self.body);
        self.batches += 1;
        self.frame(Kind::Batch, (shard, Lsn(self.batches)), &body)?;
        self.body = body;
        Ok(padded(self.body.len()) as u64)
    }

    /// Appends the bytes at a place to the body.
    fn copy(&mut self, place: Place) -> Result<(), DiskError> {
        if self.source.as_ref().is_none_or(|(name, _)| *name != place.file) {
            let file = self.disk.open(&place.file.to_string())?;
            self.source = Some((place.file, file));
        }
        let Some((name, source)) = &self.source else { return Ok(()) };
        let start = self.body.len();
        self.body.resize(start + usize::try_from(place.len).unwrap_or(usize::MAX), 0);
        let read = self.disk.read_at(source, place.at, &mut self.body[start..])?;
        if read != self.body.len() - start {
            let text = "it has become shorter since it was read".into();
            return Err(DiskError::Failed { what: "read", file: name.to_string(), text });
        }
        Ok(())
    }

    fn frame(&mut self, kind: Kind, of: (u16, Lsn), body: &[u8]) -> Result<(), DiskError> {
        let durable = Position::default();
        Frame::encode(&mut self.buffer, self.seed, kind, of, durable, body);
        if self.buffer.len() as u64 >= self.chunk { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let end = self.written + self.buffer.len() as u64;
        if end > self.room {
            self.room = end.next_multiple_of(self.chunk * STEP);
            match self.disk.reserve(&self.file, self.room) {
                // On a full disk it may still be enough.
                Err(DiskError::Full { .. }) => {
                    self.room = end;
                    self.disk.reserve(&self.file, self.room)?;
                }
                outcome => outcome?,
            }
        }
        self.disk.write_at(&self.file, self.written, &self.buffer)?;
        self.written = end;
        self.buffer.clear();
        if self.written - self.synced >= self.chunk * SYNC {
            self.disk.sync(&self.file)?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Ends the file and makes it durable; says how long it is.
    fn finish(mut self) -> Result<u64, DiskError> {
        self.frame(Kind::End, (0, Lsn(self.batches)), &[])?;
        self.flush()?;
        self.disk.truncate(&self.file, self.written)?;
        self.disk.sync(&self.file)?;
        Ok(self.written)
    }
}
