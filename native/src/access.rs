//! Access lists from their files: read and compiled whole before anything of a new configuration
//! holds. What a line means is the core's; here are the file, its owner and its mode.

use crate::files;
use crate::process;
use halyard_core::access;
use halyard_core::access::AccessList;
use halyard_core::conf::ServerConfig;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// Reads the access lists that a configuration names into it. Both answers are for people: warnings,
/// or everything that there is to say where something is wrong.
pub(crate) fn load(config: &mut ServerConfig) -> Result<Vec<String>, Vec<String>> {
    let mut known = Known { lists: BTreeMap::new(), lines: Vec::new(), is_valid: true };
    let broker = config.acl_file.as_deref().and_then(|path| known.list(path));
    config.broker.access = broker;
    for listener in &mut config.listeners {
        let own = listener.acl_file.as_deref().and_then(|path| known.list(path));
        listener.engine.access = own;
    }
    if known.is_valid { Ok(known.lines) } else { Err(known.lines) }
}

/// The files read so far: several listeners may name the same.
struct Known {
    lists: BTreeMap<String, Option<Arc<AccessList>>>,
    lines: Vec<String>,
    is_valid: bool,
}

impl Known {
    fn list(&mut self, path: &str) -> Option<Arc<AccessList>> {
        if let Some(list) = self.lists.get(path) {
            return list.clone();
        }
        let list = self.read(path);
        self.is_valid &= list.is_some();
        self.lists.insert(path.to_owned(), list.clone());
        list
    }

    fn read(&mut self, path: &str) -> Option<Arc<AccessList>> {
        let text = match read(path, &mut self.lines) {
            Ok(text) => text,
            Err(error) => {
                let why = process::unreadable(path, &error);
                let what = if error.kind() == io::ErrorKind::NotFound {
                    "; create it, or remove the acl_file line"
                } else {
                    ""
                };
                let line = format!("{path}: error: acl_file: it cannot be read: {why}{what}");
                self.lines.push(line);
                return None;
            }
        };
        let parsed = access::parse(path, &text);
        self.lines.extend(parsed.diagnostics.iter().map(ToString::to_string));
        parsed.is_valid().then(|| Arc::new(parsed.list))
    }
}

fn read(path: &str, lines: &mut Vec<String>) -> io::Result<Vec<u8>> {
    let (text, about) = files::read(path, files::FILE_BYTES_MAX)?;
    lines.extend(warn_of_mode(path, about.mode()));
    lines.extend(warn_of_owner(path, about.uid()));
    Ok(text)
}

/// Who can write the file can give himself every right.
fn warn_of_mode(path: &str, mode: u32) -> Option<String> {
    let who = match (mode & 0o020 != 0, mode & 0o002 != 0) {
        (_, true) => "everybody",
        (true, false) => "its group",
        (false, false) => return None,
    };
    Some(format!(
        "{path}: warning: acl_file: {who} may write to it, and whoever may can give himself every \
         right; use `chmod 0700 {path}`"
    ))
}

fn warn_of_owner(path: &str, owner: u32) -> Option<String> {
    let ours = fs::metadata("/proc/self").ok()?.uid();
    if owner == ours || owner == 0 {
        return None;
    }
    Some(format!(
        "{path}: warning: acl_file: it belongs to user {owner}, and the broker is started as user \
         {ours}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_others_may_write_are_named() {
        assert_eq!(warn_of_mode("a", 0o100_644), None);
        assert_eq!(warn_of_mode("a", 0o100_700), None);
        assert!(warn_of_mode("a", 0o100_664).unwrap().contains("its group"));
        assert!(warn_of_mode("a", 0o100_666).unwrap().contains("everybody"));
    }
}
