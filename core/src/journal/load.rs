//! From a journal to the image of what its records amount to. How a message is held is up to the
//! caller: whole at a start, by its place while folding. Decides nothing about MQTT.

use super::disk::Disk;
use super::image::Image;
use super::scan::{Entry, ScanError, Scanned, scan};
use super::segment::FileName;

/// Where the bytes of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: FileName,
    /// The first byte.
    pub at: u64,
    /// How many there are.
    pub len: u32,
}

/// An image that grows by one batch after the other.
#[derive(Debug)]
pub(super) struct Loader<M> {
    image: Image<M>,
    in_base: bool,
}

impl<M: Clone> Loader<M> {
    pub(super) const fn new() -> Self {
        Self { image: Image::new(), in_base: false }
    }

    /// Applies a batch. The error says what is wrong with it.
    pub(super) fn take(
        &mut self,
        entry: Entry<'_>,
        hold: &mut dyn FnMut(Place, &[u8]) -> M,
    ) -> Result<(), String> {
        let hold = |bytes: &[u8], end: u64| {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let at = entry.at + end - u64::from(len);
            hold(Place { file: entry.file, at, len }, bytes)
        };
        let in_base = matches!(entry.file, FileName::Base(_));
        if self.in_base && !in_base {
            self.image.sweep();
        }
        self.in_base = in_base;
        let applied = if in_base {
            self.image.apply_part(entry.shard, entry.bytes, hold)
        } else {
            self.image.apply(entry.shard, entry.bytes, hold)
        };
        applied.map_err(|error| error.to_string())
    }

    pub(super) fn finish(mut self) -> Image<M> {
        self.image.sweep();
        self.image
    }
}

/// Reads the whole journal. `hold` says how a message is held.
pub fn load<D: Disk, M: Clone>(
    disk: &mut D,
    hold: &mut dyn FnMut(Place, &[u8]) -> M,
) -> Result<(Scanned, Image<M>), ScanError> {
    let mut loader = Loader::new();
    let found = scan(disk, &mut |entry| loader.take(entry, hold))?;
    Ok((found, loader.finish()))
}
