//! `halyard passwd`: makes and edits password files, with the options of mosquitto_passwd. A file is
//! replaced whole, so that a broker never reads half of one; what is not ours in it stays. Shows no
//! password and keeps none.

use super::EXIT_FAILURE;
use super::EXIT_USAGE;
use super::print;
use crate::auth::hash;
use crate::auth::hash::Method;
use halyard_core::auth::PasswordHash;
use rustix::termios;
use rustix::termios::LocalModes;
use rustix::termios::OptionalActions;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

const HELP: &str = "\
Makes and edits the password files of halyard and Mosquitto.

Usage: halyard passwd [-H HASH] [-I N] [-c] FILE USER           asks for the password
       halyard passwd [-H HASH] [-I N] [-c] -b FILE USER PASSWORD
       halyard passwd -D FILE USER
       halyard passwd [-H HASH] [-I N] -U FILE

  -b            take the password from the command line, where others may see it
  -c            make the file, or make it anew; FILE \"-\" is the standard output
  -D            delete the user
  -H HASH       argon2id (default), sha512-pbkdf2, or scram-sha-256, which lets the user log in by
                SCRAM-SHA-256 as well as by password; sha512, as Mosquitto up to 1.6 made
                them, is weak: for brokers that know nothing else
  -I N          iterations of sha512-pbkdf2 (default 210000) and scram-sha-256 (default 4096)
  -U            hash every password of the file that stands there as plain text
      --help    show this help

A password that is not on the command line is asked for on the terminal, or read as a line from the
standard input. Exit codes: 0 done, 1 failed, 3 wrong options.
";

const PBKDF2_ITERATIONS: u32 = 210_000;
const SCRAM_ITERATIONS: u32 = 4096;

type Password = Zeroizing<Vec<u8>>;

/// What is to be done to a file.
enum Task {
    Set { user: String, password: Option<Password> },
    Delete { user: String },
    Upgrade,
}

struct Command {
    file: PathBuf,
    anew: bool,
    method: Method,
    task: Task,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let command = match parse(args) {
        Ok(Some(command)) => command,
        Ok(None) => {
            print(HELP);
            return ExitCode::SUCCESS;
        }
        Err(text) => {
            eprintln!("halyard passwd: {text}; see halyard passwd --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("halyard passwd: {text}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

#[derive(Default)]
struct Flags {
    batch: bool,
    anew: bool,
    delete: bool,
    upgrade: bool,
    hash: Option<String>,
    iterations: Option<u32>,
    values: Vec<OsString>,
}

fn parse(args: &[OsString]) -> Result<Option<Command>, String> {
    use lexopt::Arg::Long;
    use lexopt::Arg::Short;
    use lexopt::Arg::Value;
    let mut flags = Flags::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Short('b') => flags.batch = true,
            Short('c') => flags.anew = true,
            Short('D') => flags.delete = true,
            Short('U') => flags.upgrade = true,
            Short('H') => flags.hash = Some(text(parser.value().map_err(|e| e.to_string())?)?),
            Short('I') => {
                let number = text(parser.value().map_err(|e| e.to_string())?)?;
                let count = number.parse().ok().filter(|count| (1..=10_000_000).contains(count));
                flags.iterations = Some(count.ok_or("-I takes a number from 1 to 10000000")?);
            }
            Long("help") => return Ok(None),
            Value(value) => flags.values.push(value),
            other => return Err(other.unexpected().to_string()),
        }
    }
    flags.command().map(Some)
}

fn text(value: OsString) -> Result<String, String> {
    value.into_string().map_err(|_| "the command line is not UTF-8".to_owned())
}

impl Flags {
    fn command(self) -> Result<Command, String> {
        let method = self.method()?;
        let Self { batch, anew, delete, upgrade, values, .. } = self;
        if usize::from(anew) + usize::from(delete) + usize::from(upgrade) > 1
            || (batch && (delete || upgrade))
        {
            return Err("only one of -c, -D and -U, and -b only for a new password".into());
        }
        let mut values = values.into_iter();
        let file = values.next().ok_or("FILE is missing")?.into();
        let mut next =
            |name| values.next().ok_or_else(|| format!("{name} is missing")).and_then(text);
        let task = if upgrade {
            Task::Upgrade
        } else {
            let user = checked_name(next("USER")?)?;
            match (delete, batch) {
                (true, _) => Task::Delete { user },
                (_, true) => {
                    let password = Zeroizing::new(next("PASSWORD")?.into_bytes());
                    Task::Set { user, password: Some(password) }
                }
                _ => Task::Set { user, password: None },
            }
        };
        match values.next() {
            None => Ok(Command { file, anew, method, task }),
            Some(_) => Err("too many arguments".into()),
        }
    }

    fn method(&self) -> Result<Method, String> {
        let iterations = |default| self.iterations.unwrap_or(default);
        match self.hash.as_deref().unwrap_or("argon2id") {
            // mosquitto_passwd takes -I alone to mean PBKDF2, which was its only method.
            "argon2id" if self.hash.is_none() && self.iterations.is_some() => {
                Ok(Method::Pbkdf2Sha512 { iterations: iterations(PBKDF2_ITERATIONS) })
            }
            "argon2id" => Ok(Method::Argon2id),
            "sha512-pbkdf2" => {
                Ok(Method::Pbkdf2Sha512 { iterations: iterations(PBKDF2_ITERATIONS) })
            }
            "sha512" if self.iterations.is_some() => {
                Err("-I has no meaning for -H sha512, which is one pass".into())
            }
            "sha512" => Ok(Method::Sha512),
            "scram-sha-256" => Ok(Method::ScramSha256 { iterations: iterations(SCRAM_ITERATIONS) }),
            other => {
                let known = "argon2id, sha512-pbkdf2, sha512 or scram-sha-256";
                Err(format!("-H {other:?} is not known: {known}"))
            }
        }
    }
}

fn checked_name(name: String) -> Result<String, String> {
    let wrong = match &name {
        name if name.is_empty() => "is empty",
        name if name.contains(':') => "must not contain a colon",
        name if name.chars().any(char::is_control) => "must not contain control characters",
        name if name.trim() != name => "must not begin or end with a space",
        name if name.starts_with('#') => "must not begin with #, which begins a comment",
        name if name.len() > 65_535 => "is too long",
        _ => return Ok(name),
    };
    Err(format!("the user name {wrong}"))
}

impl Command {
    fn run(self) -> Result<(), String> {
        let Self { file, anew, method, task } = self;
        let is_stdout = file.as_os_str() == "-";
        if is_stdout && !anew {
            return Err("the standard output (FILE \"-\") is only for -c".into());
        }
        if method == Method::Sha512 && !matches!(task, Task::Delete { .. }) {
            eprintln!(
                "halyard passwd: warning: sha512 is one pass, and who gets the file finds short \
                 passwords in no time; leave -H out where the broker knows argon2id"
            );
        }
        let before = if anew { String::new() } else { read(&file)? };
        let after = match task {
            Task::Set { user, password } => {
                let password = match password {
                    Some(password) => password,
                    None => ask()?,
                };
                if password.is_empty() {
                    return Err("an empty password is none".into());
                }
                with_user(&before, &user, &hash::create(method, &password)?.to_string())
            }
            Task::Delete { user } => without_user(&before, &user)
                .ok_or_else(|| format!("{}: there is no user {user}", file.display()))?,
            Task::Upgrade => upgraded(&before, method, &file)?,
        };
        if is_stdout {
            print(&after);
            return Ok(());
        }
        replace(&file, &after).map_err(|error| format!("{}: {error}", file.display()))
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{}: {error}; -c makes a new file", file.display())
        }
        _ => format!("{}: {error}", file.display()),
    })
}

/// The user that a line is about.
fn user_of(line: &str) -> Option<&str> {
    let user = line.split_once(':').filter(|_| !line.starts_with('#'))?.0;
    Some(user.trim_ascii())
}

fn with_user(before: &str, user: &str, hash: &str) -> String {
    let mut after = String::new();
    let mut is_set = false;
    for line in before.lines() {
        if user_of(line) != Some(user) {
            after.extend([line, "\n"]);
        } else if !is_set {
            is_set = true;
            after.extend([user, ":", hash, "\n"]);
        }
    }
    if !is_set {
        after.extend([user, ":", hash, "\n"]);
    }
    after
}

fn without_user(before: &str, user: &str) -> Option<String> {
    let kept = before.lines().filter(|line| user_of(line) != Some(user));
    let after: String = kept.flat_map(|line| [line, "\n"]).collect();
    (after.lines().count() < before.lines().count()).then_some(after)
}

/// Hashes what is plain text; hashes stay as they are.
fn upgraded(before: &str, method: Method, file: &Path) -> Result<String, String> {
    let mut after = String::new();
    for (number, line) in (1..).zip(before.lines()) {
        let Some(user) = user_of(line).filter(|_| !line.trim_ascii().is_empty()) else {
            if !line.starts_with('#') && !line.trim_ascii().is_empty() {
                return Err(format!(
                    "{}:{number}: the line is not `user:password`",
                    file.display()
                ));
            }
            after.extend([line, "\n"]);
            continue;
        };
        let password = line.split_once(':').map_or("", |(_, password)| password.trim_end());
        if PasswordHash::parse(password.trim_ascii()).is_ok() {
            after.extend([line, "\n"]);
            continue;
        }
        if user.is_empty() || password.is_empty() {
            let what = "there is no user name, or no password";
            return Err(format!("{}:{number}: {what}", file.display()));
        }
        let hash = hash::create(method, password.as_bytes())?.to_string();
        after.extend([user, ":", &hash, "\n"]);
    }
    Ok(after)
}

/// The new file takes the place of the old one at once, with its permissions and owner.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&path).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut name = path.file_name().ok_or_else(|| io::Error::other("it has no name"))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let outcome = write_new(&new, text, old.as_ref()).and_then(|()| fs::rename(&new, &path));
    if outcome.is_err() {
        _ = fs::remove_file(&new);
        return outcome;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // The name is there; only a power cut could take it back.
    _ = File::open(folder.unwrap_or_else(|| Path::new("."))).and_then(|folder| folder.sync_all());
    Ok(())
}

fn write_new(path: &Path, text: &str, old: Option<&fs::Metadata>) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    if let Some(old) = old {
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o660 | 0o600))?;
        // Root keeps the file the broker's; anybody else owns it already.
        _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    file.sync_all()
}

/// Asks for a new password, twice on a terminal.
fn ask() -> Result<Password, String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&mut stdin.lock());
    }
    let first = hidden("Password: ")?;
    let second = hidden("Reenter password: ")?;
    if *first == *second { Ok(first) } else { Err("the passwords are not the same".into()) }
}

fn hidden(prompt: &str) -> Result<Password, String> {
    let stdin = io::stdin();
    eprint!("{prompt}");
    let before = termios::tcgetattr(&stdin).map_err(|error| format!("the terminal: {error}"))?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(&stdin, OptionalActions::Flush, &quiet)
        .map_err(|error| format!("the terminal: {error}"))?;
    let answer = line(&mut stdin.lock());
    _ = termios::tcsetattr(&stdin, OptionalActions::Now, &before);
    eprintln!();
    answer
}

fn line(from: &mut impl BufRead) -> Result<Password, String> {
    let mut line = Zeroizing::new(Vec::with_capacity(1024));
    from.read_until(b'\n', &mut line).map_err(|error| format!("no password: {error}"))?;
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_set_once_and_the_rest_of_the_file_stays() {
        let before = "# people\nann:x\n\nbob:y\nann:z\n";
        let after = with_user(before, "ann", "new");
        assert_eq!(after, "# people\nann:new\n\nbob:y\n");
        assert_eq!(with_user("bob:y", "ann", "new"), "bob:y\nann:new\n");
        assert_eq!(without_user(before, "ann").unwrap(), "# people\n\nbob:y\n");
        assert_eq!(without_user(before, "eve"), None);
    }

    #[test]
    fn plain_passwords_are_hashed_and_hashes_stay() {
        let file = Path::new("p");
        let method = Method::Pbkdf2Sha512 { iterations: 10 };
        let hashed = "ann:$7$101$c2FsdHNhbHQ=$c2FsdHNhbHRzYWx0c2FsdA==";
        let after = upgraded(&format!("# c\n{hashed}\nbob:pass\n"), method, file).unwrap();
        let lines: Vec<&str> = after.lines().collect();
        assert_eq!(lines[..2], ["# c", hashed]);
        let hash = PasswordHash::parse(lines[2].strip_prefix("bob:").unwrap()).unwrap();
        assert!(hash::verify(&hash, b"pass"));
        assert!(upgraded("x\n", method, file).unwrap_err().contains("p:1"));
        assert!(upgraded("x:\n", method, file).is_err());
    }

    #[test]
    fn names_that_would_break_the_file_are_refused() {
        for name in ["", "a:b", "a\nb", " a", "#a"] {
            assert!(checked_name(name.into()).is_err(), "{name:?}");
        }
        assert!(checked_name("ann b".into()).is_ok());
    }
}
