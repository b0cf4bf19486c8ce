//! A disk that does to the journal what disks do at the worst moment: loses what was not synced in
//! any part and in any order, tears a write between sectors, forgets new names and renames, gets
//! full, fails. Deterministic; knows nothing of what is written on it.

use crate::journal::{Disk, DiskError};
use crate::rng::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a disk writes at once or not at all.
const SECTOR: u64 = 512;

/// What a power loss leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All of it, as when the process is killed.
    All,
    /// Nothing.
    Nothing,
    /// The first operations, as many as this.
    Prefix(u64),
    /// The first operations, and any of the sectors of the one behind them.
    Torn(u64),
    /// Any operations, and of each write any sectors.
    Any,
}

/// The simulated disk: one folder. A clone is cheap and shares nothing that changes.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    /// As the process sees it.
    now: Folder,
    /// As it is after a power loss that keeps nothing.
    safe: Folder,
    /// What happened between the two, in order.
    unsynced: Vec<Step>,
    next_file: u64,
    /// Operations that changed or synced something.
    operations: u64,
    /// Fails from this operation on, as if there were no more power.
    fails_from: Option<u64>,
    /// Bytes that fit; `None` = any number.
    capacity: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    names: BTreeMap<String, SimFile>,
    files: BTreeMap<SimFile, Arc<Vec<u8>>>,
}

/// A file of a [`SimDisk`], whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimFile(u64);

/// What is not safe yet.
#[derive(Clone, Debug)]
enum Step {
    Write { file: SimFile, at: u64, bytes: Arc<[u8]> },
    SetLen { file: SimFile, len: u64 },
    Name { name: String, file: SimFile },
    Rename { from: String, to: String, file: SimFile },
    Unname { name: String },
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations have changed or synced something: the instants at which a crash makes a
    /// difference.
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Operations that a power loss may undo.
    pub const fn unsynced(&self) -> u64 {
        self.unsynced.len() as u64
    }

    /// Every operation fails once this many were done.
    pub const fn fail_from(&mut self, operation: u64) {
        self.fails_from = Some(operation);
    }

    /// No more than this many bytes fit; `None` = any number do.
    pub const fn set_capacity(&mut self, capacity: Option<u64>) {
        self.capacity = capacity;
    }

    /// What is on the disk after the power was lost. It works again, and has room.
    #[must_use]
    pub fn after_crash(&self, keep: Keep, rng: &mut Rng) -> Self {
        let mut left = self.safe.clone();
        for (index, step) in (0..).zip(&self.unsynced) {
            let (kept, torn) = match keep {
                Keep::All => (true, false),
                Keep::Nothing => (false, false),
                Keep::Prefix(count) => (index < count, false),
                Keep::Torn(count) => (index <= count, index == count),
                Keep::Any => (rng.chance(700), true),
            };
            if kept {
                left.apply(step, torn.then_some(&mut *rng));
            }
        }
        let Self { next_file, operations, .. } = *self;
        left.forget_nameless();
        Self { now: left.clone(), safe: left, next_file, operations, ..Self::default() }
    }

    /// The bytes of a file; `None` if there is none of that name.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        let file = self.now.names.get(name)?;
        self.now.files.get(file).map(|bytes| bytes.as_slice())
    }

    /// Changes a file behind everybody's back. It must exist.
    pub fn tamper(&mut self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let Some(file) = self.now.names.get(name) else { return };
        if let Some(bytes) = self.now.files.get_mut(file) {
            change(Arc::make_mut(bytes));
            self.safe.files.insert(*file, Arc::clone(bytes));
        }
    }

    /// One more operation; an error if there is no power for it.
    fn operate(&mut self, what: &'static str, name: &str) -> Result<(), DiskError> {
        if self.fails_from.is_some_and(|from| self.operations >= from) {
            return Err(failed(what, name, "simulated failure"));
        }
        self.operations += 1;
        Ok(())
    }

    fn room_for(&self, more: u64, name: &str) -> Result<(), DiskError> {
        let used: u64 = self.now.files.values().map(|bytes| bytes.len() as u64).sum();
        let fits = self.capacity.is_none_or(|capacity| used + more <= capacity);
        if fits { Ok(()) } else { Err(DiskError::Full { file: name.to_owned() }) }
    }

    fn step(&mut self, step: Step) {
        self.now.apply(&step, None);
        self.unsynced.push(step);
    }

    fn name(&self, file: SimFile) -> &str {
        let named = self.now.names.iter().find(|(_, other)| **other == file);
        named.map_or("a removed file", |(name, _)| name.as_str())
    }

    fn find(&self, what: &'static str, name: &str) -> Result<SimFile, DiskError> {
        self.now.names.get(name).copied().ok_or_else(|| failed(what, name, "no such file"))
    }

    fn file_len(&self, file: SimFile) -> u64 {
        self.now.files.get(&file).map_or(0, |bytes| bytes.len() as u64)
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        Ok(self.now.names.keys().cloned().collect())
    }

    fn create(&mut self, name: &str, len: u64) -> Result<SimFile, DiskError> {
        self.operate("create", name)?;
        self.room_for(len, name)?;
        self.next_file += 1;
        let file = SimFile(self.next_file);
        self.step(Step::Name { name: name.to_owned(), file });
        self.step(Step::SetLen { file, len });
        self.now.forget_nameless();
        Ok(file)
    }

    fn open(&mut self, name: &str) -> Result<SimFile, DiskError> {
        self.find("open", name)
    }

    fn len(&mut self, file: &SimFile) -> Result<u64, DiskError> {
        Ok(self.file_len(*file))
    }

    fn reserve(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
        let name = self.name(*file).to_owned();
        self.operate("reserve", &name)?;
        let before = self.file_len(*file);
        self.room_for(len.saturating_sub(before), &name)?;
        self.step(Step::SetLen { file: *file, len: len.max(before) });
        Ok(())
    }

    fn truncate(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
        let name = self.name(*file).to_owned();
        self.operate("truncate", &name)?;
        self.step(Step::SetLen { file: *file, len: len.min(self.file_len(*file)) });
        Ok(())
    }

    fn read_at(&mut self, file: &SimFile, at: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let bytes = self.now.files.get(file).map_or(&[][..], |bytes| bytes.as_slice());
        let rest = bytes.get(index(at)..).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&mut self, file: &SimFile, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let name = self.name(*file).to_owned();
        self.operate("write", &name)?;
        self.step(Step::Write { file: *file, at, bytes: bytes.into() });
        Ok(())
    }

    fn sync(&mut self, file: &SimFile) -> Result<(), DiskError> {
        let name = self.name(*file).to_owned();
        self.operate("sync", &name)?;
        let of_file = |step: &Step| match step {
            Step::Write { file: other, .. } | Step::SetLen { file: other, .. } => other == file,
            _ => false,
        };
        self.unsynced.retain(|step| !of_file(step));
        if let Some(bytes) = self.now.files.get(file) {
            self.safe.files.insert(*file, Arc::clone(bytes));
        }
        Ok(())
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        self.operate("sync", "the folder")?;
        self.unsynced.retain(|step| matches!(step, Step::Write { .. } | Step::SetLen { .. }));
        self.safe.names.clone_from(&self.now.names);
        self.forget_dead();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.operate("rename", from)?;
        let file = self.find("rename", from)?;
        self.step(Step::Rename { from: from.to_owned(), to: to.to_owned(), file });
        self.now.forget_nameless();
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.operate("remove", name)?;
        self.find("remove", name)?;
        self.step(Step::Unname { name: name.to_owned() });
        self.now.forget_nameless();
        Ok(())
    }
}

impl SimDisk {
    /// Drops what neither the present nor a crash can show.
    fn forget_dead(&mut self) {
        self.now.forget_nameless();
        self.safe.forget_nameless();
        let files = &self.now.files;
        self.unsynced.retain(|step| match step {
            Step::Write { file, .. } | Step::SetLen { file, .. } => files.contains_key(file),
            _ => true,
        });
    }
}

impl Folder {
    /// Does what a step does; with `torn`, a write happens in any of its sectors.
    fn apply(&mut self, step: &Step, torn: Option<&mut Rng>) {
        match step {
            Step::Write { file, at, bytes } => self.write(*file, *at, bytes, torn),
            Step::SetLen { file, len } => self.content(*file).resize(index(*len), 0),
            Step::Name { name, file } => {
                self.names.insert(name.clone(), *file);
            }
            Step::Rename { from, to, file } => {
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
            }
            Step::Unname { name } => {
                self.names.remove(name);
            }
        }
    }

    fn write(&mut self, file: SimFile, at: u64, bytes: &[u8], mut torn: Option<&mut Rng>) {
        let content = self.content(file);
        let mut done = 0;
        while done < bytes.len() {
            let place = at + done as u64;
            let to_sector_end = index(SECTOR - place % SECTOR);
            let part = &bytes[done..bytes.len().min(done + to_sector_end)];
            if torn.as_mut().is_none_or(|rng| rng.chance(500)) {
                let end = index(place) + part.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[index(place)..end].copy_from_slice(part);
            }
            done += part.len();
        }
    }

    fn content(&mut self, file: SimFile) -> &mut Vec<u8> {
        Arc::make_mut(self.files.entry(file).or_default())
    }

    /// The process holds no file that it has removed or written over.
    fn forget_nameless(&mut self) {
        let names = &self.names;
        self.files.retain(|file, _| names.values().any(|named| named == file));
        for file in names.values() {
            self.files.entry(*file).or_default();
        }
    }
}

fn failed(what: &'static str, name: &str, text: &str) -> DiskError {
    DiskError::Failed { what, file: name.to_owned(), text: text.to_owned() }
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
