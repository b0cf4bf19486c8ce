//! The files of `http_dir`: read whole at the start and at a reload, so that a request opens no
//! file and reaches nothing that was not there then. Links that lead out of the folder are left out.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of all files together.
const BYTES_MAX: u64 = 64 << 20;
/// Files of a folder, and folders below one another.
const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 32;

/// The files of a folder, by the path of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site {
    files: BTreeMap<String, Arc<[u8]>>,
}

impl Site {
    /// Reads a folder. What begins with a dot is nobody's business.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let wrong = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
        let root = folder.canonicalize().map_err(|error| wrong(folder, &error))?;
        let mut files = BTreeMap::new();
        let mut bytes = 0;
        let mut folders = vec![(root.clone(), String::new(), 0)];
        while let Some((path, prefix, depth)) = folders.pop() {
            let entries = fs::read_dir(&path).map_err(|error| wrong(&path, &error))?;
            for entry in entries {
                let entry = entry.map_err(|error| wrong(&path, &error))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                if name.starts_with('.') {
                    continue;
                }
                let Some((target, metadata)) = inside(&root, entry.path()) else { continue };
                let name = format!("{prefix}/{name}");
                if metadata.is_dir() {
                    // A link to a folder could lead in a circle.
                    if target != entry.path() || depth == DEPTH_MAX {
                        continue;
                    }
                    folders.push((target, name, depth + 1));
                } else if metadata.is_file() {
                    bytes += metadata.len();
                    if bytes > BYTES_MAX || files.len() >= FILES_MAX {
                        return Err(format!(
                            "{}: more than {FILES_MAX} files or {} MiB; serve them by a web server",
                            folder.display(),
                            BYTES_MAX >> 20
                        ));
                    }
                    let content = fs::read(&target).map_err(|error| wrong(&target, &error))?;
                    files.insert(name, content.into());
                }
            }
        }
        Ok(Self { files })
    }

    /// The file for the path of a request, and its own path.
    pub(crate) fn find(&self, path: &str) -> Option<(&str, &Arc<[u8]>)> {
        let mut path = decoded(path)?;
        if path.ends_with('/') {
            path.push_str("index.html");
        }
        self.files.get_key_value(&path).map(|(name, bytes)| (name.as_str(), bytes))
    }
}

/// What is really there, if it is inside the folder.
fn inside(root: &Path, path: PathBuf) -> Option<(PathBuf, fs::Metadata)> {
    let target = path.canonicalize().ok().filter(|target| target.starts_with(root))?;
    let metadata = fs::metadata(&target).ok()?;
    Some((target, metadata))
}

/// `%20` is a blank; `None` if it is not UTF-8 in the end.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_their_path_and_nothing_else_is() {
        let folder = std::env::temp_dir().join(format!("halyard-site-{}", std::process::id()));
        fs::create_dir_all(folder.join("a b")).unwrap();
        for (name, text) in
            [("index.html", "home"), ("a b/x.js", "x"), ("a b/index.html", "below"), (".env", "no")]
        {
            fs::write(folder.join(name), text).unwrap();
        }
        // A link out of the folder, and one in a circle.
        std::os::unix::fs::symlink("/etc", folder.join("etc")).unwrap();
        std::os::unix::fs::symlink(&folder, folder.join("circle")).unwrap();
        let site = Site::read(&folder).unwrap();
        let text = |path: &str| site.find(path).map(|(_, bytes)| bytes.to_vec());
        assert_eq!(text("/"), Some(b"home".to_vec()));
        assert_eq!(text("/a%20b/x.js"), Some(b"x".to_vec()));
        assert_eq!(text("/a%20b/"), Some(b"below".to_vec()));
        for path in ["/.env", "/etc/passwd", "/../etc/passwd", "/%2e%2e/etc/passwd", "/a b", ""] {
            assert_eq!(text(path), None, "{path}");
        }
        fs::remove_dir_all(&folder).unwrap();
        assert!(Site::read(&folder).unwrap_err().contains("halyard-site"));
    }
}
