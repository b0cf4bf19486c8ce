//! A set-up of Mosquitto as it stands on a Debian server, with Debian's own mosquitto.conf, a conf.d,
//! a file of mosquitto_passwd, an access list and certificates by the how-to of Mosquitto: first Debian's
//! mosquitto runs on it, then Halyard on the same files, and stock clients must not see a difference.

mod tls_support;

use halyard_tests::{Setup, wait_until};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tls_support::free_port;

/// As Debian 12 ships it; only the folders are others.
const MOSQUITTO_CONF: &str = "\
# Place your local configuration in @/etc/conf.d/
#
# A full description of the configuration file is at
# /usr/share/doc/mosquitto/examples/mosquitto.conf.example

pid_file @/run/mosquitto.pid

persistence true
persistence_location @/lib/

log_dest file @/log/mosquitto.log

include_dir @/etc/conf.d
";

/// Three ports: plain, TLS, and TLS with certificates of clients.
const SITE_CONF: &str = "\
listener @0 127.0.0.1

listener @1 127.0.0.1
certfile @/etc/certs/server.crt
keyfile @/etc/certs/server.key

listener @2 127.0.0.1
cafile @/etc/ca_certificates/ca.crt
certfile @/etc/certs/server.crt
keyfile @/etc/certs/server.key
require_certificate true
use_identity_as_username true
";

const SECURITY_CONF: &str = "\
allow_anonymous false
password_file @/etc/passwd
acl_file @/etc/acl
log_dest stderr
";

const ACL: &str = "\
# Who is nobody's user reads the weather.
topic read weather/#

user ann
topic readwrite plant/#

user admin
topic readwrite #

user device-7
topic write devices/7/#
topic read plant/state

pattern readwrite homes/%u/#
";

struct Site {
    folder: PathBuf,
    ports: [u16; 3],
}

impl Site {
    fn new() -> Self {
        let name = format!("halyard-existing-{}", std::process::id());
        let site = Self {
            folder: std::env::temp_dir().join(name),
            ports: [free_port(), free_port(), free_port()],
        };
        for folder in ["etc/conf.d", "etc/certs", "etc/ca_certificates", "run", "lib", "log"] {
            fs::create_dir_all(site.folder.join(folder)).expect("a folder");
        }
        site.write("etc/mosquitto.conf", MOSQUITTO_CONF);
        site.write("etc/conf.d/README", "Any files placed in this directory ...\n");
        site.write("etc/conf.d/listeners.conf", SITE_CONF);
        site.write("etc/conf.d/security.conf", SECURITY_CONF);
        site.write("etc/acl", ACL);
        let file = site.path("etc/passwd");
        for (number, user) in ["ann", "admin", "bob"].into_iter().enumerate() {
            let mut command = Command::new("mosquitto_passwd");
            command.args((number == 0).then_some("-c"));
            run(command.args(["-b", &file, user, &format!("secret of {user}")]));
        }
        site.certificates();
        site.give_away(&site.folder);
        site
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let mut text = text.replace("@/", &format!("{}/", self.folder.display()));
        for (number, port) in self.ports.iter().enumerate() {
            text = text.replace(&format!("@{number}"), &port.to_string());
        }
        fs::write(self.path(name), text).expect("a file");
    }

    /// As mosquitto-tls(7) says.
    fn certificates(&self) {
        let openssl = |words: &str| {
            run(Command::new("openssl").args(words.split(' ')).current_dir(&self.folder));
        };
        openssl(
            "req -new -x509 -days 30 -extensions v3_ca -nodes -keyout etc/certs/ca.key \
             -out etc/ca_certificates/ca.crt -subj /O=Site/CN=Authority",
        );
        openssl(
            "req -new -x509 -days 30 -extensions v3_ca -nodes -keyout etc/certs/other.key \
             -out etc/certs/other.crt -subj /O=Other/CN=device-7",
        );
        for (name, common_name) in [("server", "localhost"), ("client", "device-7")] {
            openssl(&format!("genrsa -out etc/certs/{name}.key 2048"));
            openssl(&format!(
                "req -out {name}.csr -key etc/certs/{name}.key -new -subj /O=Site/CN={common_name}"
            ));
            openssl(&format!(
                "x509 -req -in {name}.csr -CA etc/ca_certificates/ca.crt -CAkey etc/certs/ca.key \
                 -CAcreateserial -out etc/certs/{name}.crt -days 30"
            ));
        }
    }

    /// To the user that both brokers become, if they can become one.
    fn give_away(&self, path: &Path) {
        if path.is_dir() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
            for entry in fs::read_dir(path).expect("a folder") {
                self.give_away(&entry.expect("an entry").path());
            }
        }
        if rustix::process::geteuid().is_root() {
            let passwd = fs::read_to_string("/etc/passwd").expect("users");
            let line = passwd.lines().find(|line| line.starts_with("mosquitto:"));
            let mut ids = line.expect("Debian's mosquitto is installed").split(':').skip(2);
            let mut id = || ids.next().and_then(|id| id.parse().ok());
            chown(path, id(), id()).expect("root may");
        }
    }

    /// Runs a stock client against the listener of this number.
    fn client(&self, verb: &str, listener: usize, words: &str, more: &[&str]) -> bool {
        let mut command = Command::new(format!("mosquitto_{verb}"));
        command.args(["-h", "localhost", "-p", &self.ports[listener].to_string(), "-q", "1"]);
        let words = words.replace('@', &self.path("etc"));
        command.args(words.split_whitespace()).args(more);
        command.output().expect("a stock client is installed").status.success()
    }

    /// Whether this client gets a message to the administrator, and one from him.
    fn passes(&self, listener: usize, words: &str, more: &[&str], topic: &str) -> (bool, bool) {
        let admin = ["-u", "admin", "-P", "secret of admin"];
        let say = ["-t", topic, "-r", "-m", "x"];
        let hear = ["-t", topic, "-C", "1", "-W", "1"];
        let clear = [&admin[..], &["-t", topic, "-r", "-n"]].concat();
        assert!(self.client("pub", 0, "", &clear));
        self.client("pub", listener, words, &[more, &say].concat());
        let writes = self.client("sub", 0, "", &[&admin[..], &hear].concat());
        assert!(self.client("pub", 0, "", &[&admin[..], &say].concat()));
        let reads = self.client("sub", listener, words, &[more, &hear].concat());
        assert!(self.client("pub", 0, "", &clear));
        (writes, reads)
    }

    /// What every client gets, row by row.
    fn outcomes(&self) -> Vec<String> {
        let tls = "--cafile @/ca_certificates/ca.crt";
        let own = &format!("{tls} --cert @/certs/client.crt --key @/certs/client.key");
        let other = &format!("{tls} --cert @/certs/other.crt --key @/certs/other.key");
        let ann: &[&str] = &["-u", "ann", "-P", "secret of ann"];
        let bob: &[&str] = &["-u", "bob", "-P", "secret of bob"];
        let rows: &[(usize, &str, &[&str], &str, &str)] = &[
            (0, "", ann, "plant/1", "writes reads"),
            (0, "", ann, "elsewhere", ""),
            (0, "", ann, "homes/ann/door", "writes reads"),
            (0, "", ann, "homes/bob/door", ""),
            (0, "", bob, "plant/1", ""),
            (0, "", &["-u", "ann", "-P", "secret of bob"], "plant/1", ""),
            (0, "", &["-u", "eve", "-P", "secret of eve"], "plant/1", ""),
            (0, "", &[], "weather/today", ""),
            (1, tls, ann, "plant/1", "writes reads"),
            (1, tls, ann, "elsewhere", ""),
            (1, tls, &["-u", "ann", "-P", "wrong"], "plant/1", ""),
            (1, "", ann, "plant/1", ""),
            (1, "--cafile @/certs/other.crt", ann, "plant/1", ""),
            (2, own, &[], "devices/7/t", "writes"),
            (2, own, &[], "plant/state", "reads"),
            (2, own, &[], "homes/device-7/x", "writes reads"),
            (2, own, &[], "plant/1", ""),
            (2, tls, ann, "plant/1", ""),
            (2, other, &[], "devices/7/t", ""),
        ];
        rows.iter()
            .map(|(listener, words, more, topic, expected)| {
                let (writes, reads) = self.passes(*listener, words, more, topic);
                let found = [writes.then_some("writes"), reads.then_some("reads")];
                let found = found.into_iter().flatten().collect::<Vec<_>>().join(" ");
                let row = format!("listener {listener} {words} {more:?} {topic}: {found}");
                assert_eq!(found, *expected, "{row}");
                row
            })
            .collect()
    }

    fn theirs(&self) -> Vec<String> {
        let mut command = Command::new("/usr/sbin/mosquitto");
        command.args(["-c", &self.path("etc/mosquitto.conf")]).stderr(Stdio::null());
        let mut child = command.spawn().expect("mosquitto is installed");
        for port in self.ports {
            wait_until("mosquitto to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
        }
        let outcomes = self.outcomes();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        child.wait().expect("it ends");
        outcomes
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the command is installed");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
fn a_set_up_of_mosquitto_works_unchanged() {
    let site = Site::new();
    let theirs = site.theirs();
    let config = site.path("etc/mosquitto.conf");
    let broker = Setup::default().args(&["-c", &config]).start();
    assert_eq!(site.outcomes(), theirs);
    // Who may read and own which file is all that there is to say.
    for line in broker.log().iter().filter(|line| line.contains("warning")) {
        assert!(line.contains("chmod 0600") || line.contains("it belongs to user"), "{line}");
    }
    let pid = fs::read_to_string(site.path("run/mosquitto.pid")).expect("the pid file");
    assert_eq!(pid.trim(), broker.pid().to_string());
    let log = fs::read_to_string(site.path("log/mosquitto.log")).expect("the log file");
    assert!(log.contains("halyard version"), "{log}");
}
