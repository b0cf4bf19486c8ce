//! A running broker: started from a configuration, known by its log, stopped at the latest when it
//! is dropped.

use crate::binary;
use crate::client::Client;
use crate::client::Stream;
use crate::wait_until;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;

/// What to start, and how.
#[derive(Debug, Default)]
pub struct Setup {
    config: Option<String>,
    files: Vec<(String, String)>,
    args: Vec<String>,
    shell: Option<String>,
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    folder: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
}

/// What a process that ended left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Setup {
    /// Runs with this configuration file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Puts a file, readable by its owner alone, into the folder that `@DIR@` stands for.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Runs this in the shell first, in the same process: `ulimit -n 64`.
    #[must_use]
    pub fn shell(mut self, line: &str) -> Self {
        self.shell = Some(line.to_owned());
        self
    }

    /// Starts the broker and waits until it runs.
    ///
    /// # Panics
    /// If it does not, with all that it said.
    pub fn start(self) -> Broker {
        let (mut command, folder) = self.command();
        let mut child = command.stderr(Stdio::piped()).spawn().expect("halyard starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let sink = Arc::clone(&log);
        thread::Builder::new()
            .spawn(move || {
                for line in lines.map_while(Result::ok) {
                    sink.lock().expect("no reader panics").push(line);
                }
            })
            .expect("a thread starts");
        let mut broker = Broker { child, folder, log };
        wait_until("halyard to run", || {
            if let Ok(Some(status)) = broker.child.try_wait() {
                panic!("halyard ended with {status}: {:#?}", broker.log());
            }
            broker.has_line("running").then_some(())
        });
        broker
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn run(self) -> Outcome {
        let (mut command, folder) = self.command();
        let output = command.output().expect("halyard starts");
        // Left over at worst, in a folder for temporary files.
        _ = fs::remove_dir_all(folder);
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn command(self) -> (Command, PathBuf) {
        let folder = folder();
        let mut args = self.args;
        for (name, text) in &self.files {
            let path = folder.join(name);
            fs::write(&path, text.replace("@DIR@", &folder.to_string_lossy())).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its permissions");
        }
        if let Some(text) = self.config {
            let path = folder.join("halyard.conf");
            fs::write(&path, text.replace("@DIR@", &folder.to_string_lossy())).expect("a file");
            args.extend(["-c".to_owned(), path.to_string_lossy().into_owned()]);
        }
        let mut command = match self.shell {
            None => Command::new(binary()),
            Some(line) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("{line}; exec \"$0\" \"$@\"")).arg(binary());
                command
            }
        };
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        (command, folder)
    }
}

/// Runs `halyard` with these arguments to its end.
pub fn run(args: &[&str]) -> Outcome {
    Setup::default().args(args).run()
}

impl Broker {
    /// A broker with this configuration. `@DIR@` in it stands for a folder of its own; listeners
    /// best have port 0.
    pub fn spawn(config: &str) -> Self {
        Setup::default().config(config).start()
    }

    /// A broker without a configuration, on ports that the system chooses.
    pub fn local() -> Self {
        Setup::default().args(&["-p", "0", "--http-port", "0"]).start()
    }

    /// The folder that `@DIR@` stands for.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of its resident memory.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("VmRSS in kB") * 1024
    }

    /// Everything it has logged so far.
    ///
    /// # Panics
    /// Never: nothing panics while it holds the log.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("no writer panics").clone()
    }

    /// Whether a logged line contains `text`.
    pub fn has_line(&self, text: &str) -> bool {
        self.log().iter().any(|line| line.contains(text))
    }

    /// Waits for a log line that contains all of `texts`, and gives it.
    pub fn wait_for_line(&self, texts: &[&str]) -> String {
        wait_until(&format!("a log line with {texts:?} in {}", self.folder.display()), || {
            let holds = |line: &String| texts.iter().all(|text| line.contains(text));
            self.log().into_iter().find(holds)
        })
    }

    /// The addresses of all sockets with this scheme (`mqtt`, `ws`, `http`), in order.
    pub fn addresses(&self, scheme: &str) -> Vec<SocketAddr> {
        let start = format!("Listening on {scheme}://");
        let lines = self.log();
        let urls = lines.iter().filter_map(|line| Some(line.split_once(&start)?.1));
        urls.filter_map(|url| url.split(['/', '"']).next()?.parse().ok()).collect()
    }

    /// The first address for MQTT over TCP.
    pub fn mqtt(&self) -> SocketAddr {
        self.first("mqtt")
    }

    /// The first address for WebSocket.
    pub fn ws(&self) -> SocketAddr {
        self.first("ws")
    }

    fn first(&self, scheme: &str) -> SocketAddr {
        let all = self.addresses(scheme);
        *all.first().unwrap_or_else(|| panic!("no {scheme} listener: {:#?}", self.log()))
    }

    /// Opens a TCP connection for raw bytes.
    pub fn connect(&self) -> Client {
        Client::new(Stream::tcp(self.mqtt()))
    }

    /// Sends it a signal: `TERM`, `HUP`.
    ///
    /// # Panics
    /// If there is no `kill`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name} {pid} failed");
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the end of halyard", || self.child.try_wait().ok().flatten())
    }

    /// Ends it by SIGTERM; gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait().code()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.folder);
        if thread::panicking() {
            eprintln!("log of the broker: {:#?}", self.log());
        }
    }
}

/// A new folder of our own.
pub(crate) fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("halyard-test-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}
