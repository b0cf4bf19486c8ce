//! The process around the broker: open files, background, pid file, user. Every step says what
//! failed and why; nothing here knows MQTT.

use halyard_core::conf::ServerConfig;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use nix::unistd;
use nix::unistd::User;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

/// Who the broker becomes when root started it and nothing else was asked for.
const DEFAULT_USERS: [&str; 2] = ["mosquitto", "nobody"];

/// Allows as many open files as the system lets us, and says how many that are.
pub(crate) fn raise_file_limit() -> u32 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    // Refused at worst: then the limit stays.
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    u32::try_from(if raised { hard } else { soft }).unwrap_or(u32::MAX)
}

/// Goes into the background. Must be called before there is a second thread.
pub(crate) fn daemonize() -> io::Result<()> {
    unistd::daemon(true, false).map_err(|errno| {
        io::Error::other(format!("cannot go into the background: {}", errno.desc()))
    })
}

/// Becomes another user, if we are root. The text is a warning, if there is something to say.
pub(crate) fn drop_privileges(user: Option<&str>) -> Result<Option<String>, String> {
    if !unistd::geteuid().is_root() || user == Some("root") {
        let root = user == Some("root") && unistd::geteuid().is_root();
        return Ok(root.then(|| "Running as root, as user says.".to_owned()));
    }
    let find = |name: &str| User::from_name(name).ok().flatten();
    let found = match user {
        Some(name) => find(name).ok_or_else(|| format!("user {name}: there is no such user"))?,
        None => match DEFAULT_USERS.iter().find_map(|name| find(name)) {
            Some(found) => found,
            None => {
                let text = "Running as root: there is no user mosquitto or nobody to become.";
                return Ok(Some(text.into()));
            }
        },
    };
    become_user(&found)
        .map_err(|errno| format!("cannot become user {}: {}", found.name, errno.desc()))?;
    Ok(None)
}

fn become_user(user: &User) -> nix::Result<()> {
    let name = std::ffi::CString::new(user.name.as_str()).map_err(|_| nix::Error::EINVAL)?;
    unistd::initgroups(&name, user.gid)?;
    unistd::setgid(user.gid)?;
    unistd::setuid(user.uid)
}

/// What of a configuration this system cannot do, a line each.
pub(crate) fn check(config: &ServerConfig) -> Vec<String> {
    let mut wrong = Vec::new();
    // Who is not root stays who he is.
    if let Some(user) = config.user.as_deref().filter(|_| unistd::geteuid().is_root())
        && !matches!(User::from_name(user), Ok(Some(_)))
    {
        let place = config.place("user", user);
        let right = "create the user, or name another; `root` stays root";
        wrong.push(format!("{place}: error: user: there is no user {user} here; {right}"));
    }
    let mut folder = |option: &str, written: &str, path: &str| {
        let parent = Path::new(path).parent().filter(|parent| *parent != Path::new(""));
        if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
            let (place, parent) = (config.place(option, written), parent.display());
            let right = "create it, or write another path";
            wrong.push(format!("{place}: error: {option}: there is no folder {parent}; {right}"));
        }
    };
    if let Some(path) = &config.pid_file {
        folder("pid_file", path, path);
    }
    for said in config.said.iter().filter(|said| said.option == "log_dest") {
        if let Some(path) = said.value.strip_prefix("file").map(str::trim) {
            folder("log_dest", &said.value, path);
        }
    }
    wrong
}

/// Why a file cannot be read, and what to do where it is not ours. After a start as root it need not be:
/// the broker has become another user since.
pub(crate) fn unreadable(path: &str, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    let user = User::from_uid(unistd::geteuid()).ok().flatten();
    let user = user.map_or_else(|| unistd::geteuid().to_string(), |user| user.name);
    format!(
        "{error}: the broker runs as user {user}, who must be able to read it also after the start; \
         run chown {user} {path}"
    )
}

/// A file with our process id; removed at the end.
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Opens it, while the terminal still shows what fails.
    pub(crate) fn open(path: &str, place: &str) -> Result<Self, String> {
        let file = File::options().create(true).write(true).truncate(false).open(path);
        let file = file.map_err(|error| format!("{place}: pid_file {path}: {error}"))?;
        Ok(Self { path: path.into(), file })
    }

    /// Writes our process id.
    pub(crate) fn write(mut self) -> Result<Self, String> {
        let text = format!("{}\n", std::process::id());
        let outcome = self.file.set_len(0).and_then(|()| self.file.write_all(text.as_bytes()));
        outcome.map_err(|error| format!("pid_file {}: {error}", self.path.display()))?;
        Ok(self)
    }
}

impl PidFile {
    /// Removes it; the text says why it stays.
    pub(crate) fn remove(self) -> Result<(), String> {
        remove(&self.path)
    }
}

/// Removes a file of ours; the text says why it stays. After the change of user its folder may not
/// be ours; a stale file does no harm.
pub(crate) fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let path = path.display();
            Err(format!("{path} is left behind: {error}. The next start takes it over."))
        }
        _ => Ok(()),
    }
}

/// What the process has used.
pub(crate) struct Usage {
    pub(crate) resident_bytes: u64,
    pub(crate) cpu_seconds: f64,
}

/// What the process has used, where the system tells (Linux).
pub(crate) fn usage() -> Option<Usage> {
    use nix::sys::resource::UsageWho;
    use nix::sys::resource::getrusage;
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    let page = unistd::sysconf(unistd::SysconfVar::PAGE_SIZE).ok()??;
    let used = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0;
    Some(Usage {
        resident_bytes: pages * u64::try_from(page).ok()?,
        cpu_seconds: seconds(used.user_time()) + seconds(used.system_time()),
    })
}
