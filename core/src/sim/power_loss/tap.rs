//! A simulated disk that keeps a picture of itself after every operation: the instants at which the
//! power may go. It can be told to lie about syncs, which is one of the faults that the sweep must
//! find.

use crate::journal::{Disk, DiskError};
use crate::sim::{SimDisk, SimFile};

/// The disk under a journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Tap {
    pub(super) disk: SimDisk,
    /// The disk after each operation since they were taken last.
    pub(super) pictures: Vec<SimDisk>,
    /// Whether a sync only says that it is done.
    pub(super) lies: bool,
}

impl Tap {
    pub(super) const fn new(disk: SimDisk, lies: bool) -> Self {
        Self { disk, pictures: Vec::new(), lies }
    }

    fn noting<T>(&mut self, act: impl FnOnce(&mut SimDisk) -> T) -> T {
        let before = self.disk.operations();
        let done = act(&mut self.disk);
        if self.disk.operations() != before {
            self.pictures.push(self.disk.clone());
        }
        done
    }
}

impl Disk for Tap {
    type File = SimFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn create(&mut self, name: &str, len: u64) -> Result<SimFile, DiskError> {
        self.noting(|disk| disk.create(name, len))
    }

    fn open(&mut self, name: &str) -> Result<SimFile, DiskError> {
        self.disk.open(name)
    }

    fn len(&mut self, file: &SimFile) -> Result<u64, DiskError> {
        self.disk.len(file)
    }

    fn reserve(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
        self.noting(|disk| disk.reserve(file, len))
    }

    fn truncate(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
        self.noting(|disk| disk.truncate(file, len))
    }

    fn read_at(&mut self, file: &SimFile, at: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read_at(file, at, into)
    }

    fn write_at(&mut self, file: &SimFile, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.noting(|disk| disk.write_at(file, at, bytes))
    }

    fn sync(&mut self, file: &SimFile) -> Result<(), DiskError> {
        if self.lies {
            return Ok(());
        }
        self.noting(|disk| disk.sync(file))
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        self.noting(SimDisk::sync_dir)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.noting(|disk| disk.rename(from, to))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.noting(|disk| disk.remove(name))
    }
}
