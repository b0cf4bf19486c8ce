//! A folder of files, byte by byte: all that the journal asks of a disk. Synchronous; what is not
//! synced may be lost in any part by a crash. Knows nothing of what the bytes mean.

use core::fmt;

/// Why a disk did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// There is no room; nothing that was written before is lost. Only making a file and making
    /// it longer end so: what is written lies where room was made before.
    Full {
        /// The file that was to be made or to grow.
        file: String,
    },
    /// Anything else. After a failed write or sync nobody knows what the disk holds.
    Failed {
        /// What was to be done: `write`, `sync`.
        what: &'static str,
        /// The file, or the folder.
        file: String,
        /// What the system said.
        text: String,
    },
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { file } => write!(f, "{file}: there is no room left on the disk"),
            Self::Failed { what, file, text } => write!(f, "cannot {what} {file}: {text}"),
        }
    }
}

impl core::error::Error for DiskError {}

/// One folder on a disk. Names are plain file names.
pub trait Disk {
    /// An open file.
    type File;

    /// The names in the folder, in any order.
    fn list(&mut self) -> Result<Vec<String>, DiskError>;

    /// Makes an empty file that has `len` bytes of zeros and of room; an old one of that name goes.
    fn create(&mut self, name: &str, len: u64) -> Result<Self::File, DiskError>;

    /// Opens an existing file for reading and writing.
    fn open(&mut self, name: &str) -> Result<Self::File, DiskError>;

    /// How long a file is.
    fn len(&mut self, file: &Self::File) -> Result<u64, DiskError>;

    /// Makes a file at least `len` bytes long, with room for all of them.
    fn reserve(&mut self, file: &Self::File, len: u64) -> Result<(), DiskError>;

    /// Cuts a file off at `len`.
    fn truncate(&mut self, file: &Self::File, len: u64) -> Result<(), DiskError>;

    /// Reads from `at`; fewer bytes than asked for only at the end.
    fn read_at(&mut self, file: &Self::File, at: u64, into: &mut [u8]) -> Result<usize, DiskError>;

    /// The first byte from `at` on that may be anything but zero. Who does not know says `at`.
    fn data_from(&mut self, _file: &Self::File, at: u64) -> Result<u64, DiskError> {
        Ok(at)
    }

    /// Writes all of `bytes` at `at`, behind the end if need be.
    fn write_at(&mut self, file: &Self::File, at: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Returns once all that was written to this file, and its length, survive a power loss.
    fn sync(&mut self, file: &Self::File) -> Result<(), DiskError>;

    /// Returns once the names in the folder survive a power loss.
    fn sync_dir(&mut self) -> Result<(), DiskError>;

    /// Gives a file another name, in place of a file that has it already.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> Result<(), DiskError>;
}
