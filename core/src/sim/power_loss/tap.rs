//! A simulated disk that keeps a picture of itself after every operation: the instants at which the
//! power may go. It can be told to lie about syncs, which is one of the faults that the sweep must
//! find.

use crate::journal::{Disk, DiskError};
use crate::sim::{SimDisk, SimFile};
use std::cell::RefCell;
use std::rc::Rc;

/// The disk under a journal: a handle, as the writer and who folds have each their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Tap {
    inner: Rc<RefCell<Inner>>,
    lies: Lies,
}

#[derive(Debug, Default)]
struct Inner {
    disk: SimDisk,
    /// The disk after each operation since they were taken last.
    pictures: Vec<SimDisk>,
}

/// What only says that it is done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lies {
    /// The sync of a file.
    pub(super) of_files: bool,
    /// The sync of the folder.
    pub(super) of_names: bool,
}

impl Tap {
    pub(super) fn new(disk: SimDisk, lies: Lies) -> Self {
        let inner = Inner { disk, pictures: Vec::new() };
        Self { inner: Rc::new(RefCell::new(inner)), lies }
    }

    /// The same disk for somebody else.
    pub(super) fn handle(&self, lies: Lies) -> Self {
        Self { inner: Rc::clone(&self.inner), lies }
    }

    /// The disk as it is.
    pub(super) fn disk(&self) -> SimDisk {
        self.inner.borrow().disk.clone()
    }

    /// The disk after each operation since the last time.
    pub(super) fn pictures(&self) -> Vec<SimDisk> {
        core::mem::take(&mut self.inner.borrow_mut().pictures)
    }

    fn noting<T>(&mut self, act: impl FnOnce(&mut SimDisk) -> T) -> T {
        let inner = &mut *self.inner.borrow_mut();
        let before = inner.disk.operations();
        let done = act(&mut inner.disk);
        if inner.disk.operations() != before {
            inner.pictures.push(inner.disk.clone());
        }
        done
    }
}

impl Disk for Tap {
    type File = SimFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.inner.borrow_mut().disk.list()
    }

    fn create(&mut self, name: &str, len: u64) -> Result<SimFile, DiskError> {
        self.noting(|disk| disk.create(name, len))
    }

    fn open(&mut self, name: &str) -> Result<SimFile, DiskError> {
        self.inner.borrow_mut().disk.open(name)
    }

    fn len(&mut self, file: &SimFile) -> Result<u64, DiskError> {
        self.inner.borrow_mut().disk.len(file)
    }

    fn reserve(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
        self.noting(|disk| disk.reserve(file, len))
    }

    fn truncate(&mut self, file: &SimFile, len: u64) -> Result<(), DiskError> {
        self.noting(|disk| disk.truncate(file, len))
    }

    fn read_at(&mut self, file: &SimFile, at: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.inner.borrow_mut().disk.read_at(file, at, into)
    }

    fn write_at(&mut self, file: &SimFile, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.noting(|disk| disk.write_at(file, at, bytes))
    }

    fn sync(&mut self, file: &SimFile) -> Result<(), DiskError> {
        if self.lies.of_files {
            return Ok(());
        }
        self.noting(|disk| disk.sync(file))
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        if self.lies.of_names {
            return Ok(());
        }
        self.noting(SimDisk::sync_dir)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.noting(|disk| disk.rename(from, to))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.noting(|disk| disk.remove(name))
    }
}
