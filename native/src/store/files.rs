//! The journal's disk as files of one folder. Files are the owner's alone, and a folder is one
//! process's alone. Every error names the file and what the system said; nothing is tried twice.

use super::counters::Counters;
use halyard_core::journal::Disk;
use halyard_core::journal::DiskError;
use nix::errno::Errno;
use nix::fcntl::FallocateFlags;
use nix::fcntl::fallocate;
use nix::unistd::Whence;
use nix::unistd::lseek;
use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::Metadata;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Held for as long as a process uses the folder.
const LOCK: &str = "lock";
/// What nobody but the owner may have.
const FOREIGN_RIGHTS: u32 = 0o077;

/// A folder of the journal, ours until the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// For syncing its names.
    handle: Arc<File>,
    counters: Arc<Counters>,
    _lock: Arc<File>,
}

/// An open file of the folder.
#[derive(Debug)]
pub(super) struct Handle {
    path: PathBuf,
    file: File,
}

impl Files {
    /// Takes the folder, and makes it if there is none. With `shared`, others may have rights to it.
    pub(super) fn open(folder: &Path, shared: bool) -> Result<Self, String> {
        make_folder(folder).map_err(|error| {
            format!("{}: cannot make the folder of the store: {error}", folder.display())
        })?;
        let cannot = |error: io::Error| {
            format!("{}: cannot open the folder of the store: {error}", folder.display())
        };
        let handle = options().read(true).open(folder).map_err(cannot)?;
        let metadata = handle.metadata().map_err(cannot)?;
        if !metadata.is_dir() {
            let text = "this is a file, and the store needs a folder of that name; move the file, or \
                        name another `persistence_location`";
            return Err(format!("{}: {text}", folder.display()));
        }
        if !shared {
            check_rights(folder, &metadata)?;
        }
        // Before anything is looked at: what another broker is just about is none of our business.
        let lock = lock(&folder.join(LOCK))?;
        let counters = Counters::default();
        for entry in fs::read_dir(folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            if !shared {
                check_rights(&entry.path(), &entry.metadata().map_err(cannot)?)?;
            }
            counters.named(&entry.file_name().to_string_lossy());
        }
        Ok(Self {
            folder: folder.to_owned(),
            handle: Arc::new(handle),
            counters: Arc::new(counters),
            _lock: Arc::new(lock),
        })
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is counted.
    pub(super) const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Disk for Files {
    type File = Handle;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let entries = fs::read_dir(&self.folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| failed("list", &self.folder, &error))?;
        let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.collect())
    }

    fn create(&mut self, name: &str, len: u64) -> Result<Handle, DiskError> {
        let path = self.path(name);
        let mut options = options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| full_or_failed("create", &path, &error))?;
        let handle = Handle { path, file };
        if let Err(error) = allocate(&handle.file, len) {
            // Its room is needed.
            let _ = fs::remove_file(&handle.path);
            return Err(full_or_failed("create", &handle.path, &error));
        }
        self.counters.named(name);
        Ok(handle)
    }

    fn open(&mut self, name: &str) -> Result<Handle, DiskError> {
        let path = self.path(name);
        match options().read(true).write(true).open(&path) {
            Ok(file) => Ok(Handle { path, file }),
            Err(error) => Err(failed("open", &path, &error)),
        }
    }

    fn len(&mut self, file: &Handle) -> Result<u64, DiskError> {
        let metadata = file.file.metadata();
        metadata.map(|data| data.len()).map_err(|error| failed("measure", &file.path, &error))
    }

    fn reserve(&mut self, file: &Handle, len: u64) -> Result<(), DiskError> {
        allocate(&file.file, len).map_err(|error| full_or_failed("extend", &file.path, &error))
    }

    fn truncate(&mut self, file: &Handle, len: u64) -> Result<(), DiskError> {
        file.file.set_len(len).map_err(|error| failed("truncate", &file.path, &error))
    }

    fn read_at(&mut self, file: &Handle, at: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let mut done = 0;
        while done < into.len() {
            match file.file.read_at(&mut into[done..], at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", &file.path, &error)),
            }
        }
        Ok(done)
    }

    fn data_from(&mut self, file: &Handle, at: u64) -> Result<u64, DiskError> {
        let Ok(from) = i64::try_from(at) else { return Ok(at) };
        match lseek(&file.file, from, Whence::SeekData) {
            Ok(data) => Ok(u64::try_from(data).unwrap_or(at)),
            Err(Errno::ENXIO) => self.len(file),
            // The file system cannot say.
            Err(_) => Ok(at),
        }
    }

    fn write_at(&mut self, file: &Handle, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        file.file.write_all_at(bytes, at).map_err(|error| failed("write", &file.path, &error))
    }

    fn sync(&mut self, file: &Handle) -> Result<(), DiskError> {
        self.counters.synced();
        file.file.sync_data().map_err(|error| failed("sync", &file.path, &error))
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        self.counters.synced();
        self.handle.sync_all().map_err(|error| failed("sync", &self.folder, &error))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let path = self.path(from);
        fs::rename(&path, self.path(to)).map_err(|error| failed("rename", &path, &error))?;
        self.counters.removed(from);
        self.counters.named(to);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        self.counters.removed(name);
        Ok(())
    }
}

/// Options under which a file is ours alone and no link leads elsewhere.
fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.mode(0o600).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
    options
}

/// Makes a folder that does not exist, for the owner alone; its parent must exist.
fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        outcome => outcome?,
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn check_rights(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let mode = metadata.permissions().mode();
    if mode & FOREIGN_RIGHTS == 0 {
        return Ok(());
    }
    let right = if metadata.is_dir() { "700" } else { "600" };
    Err(format!(
        "{}: others than the owner have rights to it (mode {:o}), and it holds the messages of all \
         clients. Run `chmod {right} {0}`, or allow it with `persistence_allow_shared true`",
        path.display(),
        mode & 0o777,
    ))
}

/// Takes the lock, and leaves our process id in it for whoever finds it taken.
fn lock(path: &Path) -> Result<File, String> {
    let cannot = |error: io::Error| format!("{}: cannot lock the store: {error}", path.display());
    let mut options = options();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the text.
            let _ = file.read_to_string(&mut owner);
            return Err(format!(
                "{}: another broker uses this store (process {}); give each its own \
                 persistence_location",
                path.display(),
                owner.trim(),
            ));
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    let text = format!("{}\n", std::process::id());
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(cannot)?;
    Ok(file)
}

/// Gives a file room for `len` bytes, of zeros where there was nothing.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    let Ok(whole) = i64::try_from(len) else { return Err(Errno::EFBIG.into()) };
    if whole == 0 {
        return Ok(());
    }
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, whole) {
            Ok(()) => return Ok(()),
            // A signal to the process: no failure of the disk.
            Err(Errno::EINTR) => {}
            // The file system cannot say; then writing has to.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return fill(file, len),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn fill(file: &File, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 65_536] = [0; 65_536];
    let mut at = file.metadata()?.len();
    while at < len {
        let part = usize::try_from(len - at).unwrap_or(ZEROS.len()).min(ZEROS.len());
        file.write_all_at(&ZEROS[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

fn full_or_failed(what: &'static str, path: &Path, error: &io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            DiskError::Full { file: path.display().to_string() }
        }
        _ => failed(what, path, error),
    }
}

fn failed(what: &'static str, path: &Path, error: &io::Error) -> DiskError {
    DiskError::Failed { what, file: path.display().to_string(), text: error.to_string() }
}
