//! Reading files that a configuration names: regular files of a bounded size, so that neither a pipe
//! nor a device can hold up a start or a reload, or take the memory.

use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of the largest file of a configuration, of passwords, access rules or keys.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;

/// The bytes of a regular file of at most `most` bytes, and what the system knows of it.
pub(crate) fn read(path: impl AsRef<Path>, most: u64) -> io::Result<(Vec<u8>, Metadata)> {
    // Opening a pipe would wait for its writer; on a regular file the flag means nothing.
    let flags = nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {} MiB", most >> 20)));
    }
    Ok((bytes, about))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn pipes_devices_folders_and_large_files_are_refused_at_once() {
        let folder = std::env::temp_dir().join(format!("halyard-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let pipe = folder.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&pipe, Path::new("/dev/zero"), &folder] {
            let error = read(path, 10).unwrap_err().to_string();
            assert!(error.contains("regular file"), "{}: {error}", path.display());
        }
        let file = folder.join("file");
        fs::write(&file, "0123456789").unwrap();
        assert_eq!(read(&file, 10).unwrap().0, b"0123456789");
        assert!(read(&file, 9).unwrap_err().to_string().contains("larger"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
