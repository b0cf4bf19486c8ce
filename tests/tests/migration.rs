//! A set-up that was made for Mosquitto, taken as it is: Debian's own mosquitto.conf with its conf.d,
//! and the configuration that guides print, with users of Debian's mosquitto_passwd, an access list
//! and certificates, at the paths they name. Debian's mosquitto runs the same files beside ours, and
//! stock clients must find no difference.

mod tls_support;

use halyard_tests::binary;
use halyard_tests::wait_until;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use tls_support::Pki;

const DEBIAN: &str = "/usr/sbin/mosquitto";

/// Lays the machine's folders out anew for one process: what is in `$1` becomes `/etc/mosquitto` and
/// so on, and nobody else sees it.
const HOUSE: &str = "mount -t tmpfs run /run && mkdir /run/mosquitto \
     && for place in etc/mosquitto var/lib/mosquitto var/log/mosquitto; do \
     mount --bind \"$1/$place\" \"/$place\" || exit 9; done \
     && { chown -R mosquitto /run/mosquitto \"$1\" 2>/dev/null || true; } \
     && shift && exec \"$@\"";

/// A machine with a broker's files at Mosquitto's places.
struct House {
    folder: PathBuf,
    pki: Pki,
    plain: u16,
    secure: u16,
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address").port()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

impl House {
    /// `main` is `mosquitto.conf`, `local` a file in `conf.d`; `PORT` and `SECURE` in them are ports.
    fn new(name: &str, main: &str, local: Option<&str>) -> Self {
        let name = format!("halyard-house-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        // Left over from a process of the same number at worst.
        _ = fs::remove_dir_all(&folder);
        for place in ["etc/mosquitto/conf.d", "var/lib/mosquitto", "var/log/mosquitto"] {
            fs::create_dir_all(folder.join(place)).expect("a folder");
        }
        let house = Self { folder, pki: Pki::new(), plain: free_port(), secure: free_port() };
        let ports = |text: &str| {
            let text = text.replace("PORT", &house.plain.to_string());
            let text = text.replace("SECURE", &house.secure.to_string());
            // Without root's rights there is nobody else to become.
            if is_root() { text } else { format!("{text}\nuser root\n") }
        };
        let etc = house.folder.join("etc/mosquitto");
        match local {
            None => fs::write(etc.join("mosquitto.conf"), ports(main)).expect("a file"),
            Some(local) => {
                fs::write(etc.join("mosquitto.conf"), main).expect("a file");
                fs::write(etc.join("conf.d/local.conf"), ports(local)).expect("a file");
                fs::write(etc.join("conf.d/README"), "no configuration").expect("a file");
            }
        }
        house.people(&etc);
        house
    }

    /// Users by Debian's tool, their rights, and certificates under the names that Debian uses.
    fn people(&self, etc: &Path) {
        let passwd = etc.join("passwd").display().to_string();
        for (flags, user) in [(&["-c", "-b"][..], "ann"), (&["-b"], "bob")] {
            let mut command = Command::new("mosquitto_passwd");
            let output = command.args(flags).args([&*passwd, user, "pass"]).output();
            let output = output.expect("mosquitto_passwd is installed: scripts/setup-clients.sh");
            assert!(output.status.success(), "{output:?}");
        }
        let acl = "# who may do what\ntopic read $SYS/#\n\nuser ann\ntopic readwrite house/#\n\
                   \nuser bob\ntopic read house/kitchen/+\n\npattern readwrite own/%u/#\n";
        fs::write(etc.join("acl"), acl).expect("a file");
        self.pki.client("device7", |_| {});
        for (from, to) in [
            ("ca.pem", "ca_certificates/ca.crt"),
            ("server.pem", "certs/server.crt"),
            ("server.key", "certs/server.key"),
        ] {
            let to = etc.join(to);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(self.pki.path(from), to).expect("a file");
        }
    }

    fn start(&self, program: &Path) -> Running<'_> {
        let mut command = Command::new("unshare");
        command.arg(if is_root() { "-m" } else { "-rm" });
        command.args(["sh", "-c", HOUSE, "sh"]).arg(&self.folder).arg(program);
        command.args(["-c", "/etc/mosquitto/mosquitto.conf"]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut running = Running { house: self, child: child.expect("unshare is installed") };
        wait_until("the broker to listen", || {
            if let Ok(Some(status)) = running.child.try_wait() {
                panic!("{} ended with {status}: {}", program.display(), running.log());
            }
            std::net::TcpStream::connect(("127.0.0.1", self.plain)).ok()
        });
        running
    }
}

impl Drop for House {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

/// A broker in its house.
struct Running<'a> {
    house: &'a House,
    child: Child,
}

impl Running<'_> {
    fn log(&self) -> String {
        let path = self.house.folder.join("var/log/mosquitto/mosquitto.log");
        fs::read_to_string(path).unwrap_or_default()
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().is_ok_and(|status| status.success()));
        wait_until("its end", || self.child.try_wait().ok().flatten());
    }

    /// mosquitto_pub or mosquitto_sub, in the clear.
    fn client(&self, verb: &str, words: &[&str]) -> Output {
        let port = self.house.plain.to_string();
        let mut command = Command::new(format!("mosquitto_{verb}"));
        command.args(["-h", "127.0.0.1", "-p", &port]).args(words).stdin(Stdio::null());
        command.output().expect("the command is installed")
    }

    /// The same over TLS, with a certificate or without.
    fn secure(&self, verb: &str, own: Option<&str>, words: &[&str]) -> Output {
        let pki = &self.house.pki;
        let port = self.house.secure.to_string();
        let mut command = Command::new(format!("mosquitto_{verb}"));
        command.args(["-h", "localhost", "-p", &port, "--cafile", &pki.path("ca.pem")]);
        if let Some(own) = own {
            let (cert, key) = (pki.path(&format!("{own}.pem")), pki.path(&format!("{own}.key")));
            command.args(["--cert", &cert, "--key", &key]);
        }
        command.args(words).stdin(Stdio::null()).output().expect("the command is installed")
    }

    /// What of a topic is retained for bob: all of it comes at once, and there is something.
    fn bob_hears(&self, topic: &str) -> String {
        let words = ["-u", "bob", "-P", "pass", "-t", topic, "-W", "2", "-v"];
        wait_until("something for bob", || {
            let heard = self.client("sub", &words).stdout;
            (!heard.is_empty()).then(|| String::from_utf8_lossy(&heard).into_owned())
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

const ANN: [&str; 4] = ["-u", "ann", "-P", "pass"];

/// Who gets in, and what he may do.
fn passwords_and_rights(broker: &Running<'_>) {
    let say = |who: &[&str], topic: &str| {
        let words = [who, &["-t", topic, "-m", "said", "-r", "-q", "1"]].concat();
        broker.client("pub", &words).status.success()
    };
    assert!(say(&ANN, "house/kitchen/light"), "{}", broker.log());
    assert!(say(&ANN, "house/cellar"));
    assert!(!say(&["-u", "ann", "-P", "wrong"], "house/kitchen/light"));
    assert!(!say(&["-u", "eve", "-P", "pass"], "house/kitchen/light"));
    assert!(!say(&[], "house/kitchen/light"), "nobody is anonymous");
    // Denied without a word, as ever in 3.1.1.
    say(&["-u", "bob", "-P", "pass"], "house/kitchen/oven");
    assert_eq!(broker.bob_hears("house/#"), "house/kitchen/light said\n");
}

fn certificates(broker: &Running<'_>) {
    let words = ["-t", "own/device7/state", "-m", "on", "-r", "-q", "1"];
    assert!(broker.secure("pub", Some("device7"), &words).status.success(), "{}", broker.log());
    let words = ["-t", "own/device7/#", "-C", "1", "-W", "10"];
    let heard = broker.secure("sub", Some("device7"), &words);
    assert_eq!(heard.stdout, b"on\n", "{heard:?}");
    assert!(!broker.secure("pub", None, &["-t", "t", "-m", "x"]).status.success());
}

/// Debian's file, untouched, if it is installed; else as Debian 12 has it.
fn main_of_debian() -> String {
    fs::read_to_string("/etc/mosquitto/mosquitto.conf").unwrap_or_else(|_| {
        "pid_file /run/mosquitto/mosquitto.pid\n\npersistence true\n\
         persistence_location /var/lib/mosquitto/\n\n\
         log_dest file /var/log/mosquitto/mosquitto.log\n\ninclude_dir /etc/mosquitto/conf.d\n"
            .into()
    })
}

const LOCAL: &str = "listener PORT 127.0.0.1\nallow_anonymous false\n\
     password_file /etc/mosquitto/passwd\nacl_file /etc/mosquitto/acl\n\n\
     listener SECURE 127.0.0.1\ncafile /etc/mosquitto/ca_certificates/ca.crt\n\
     certfile /etc/mosquitto/certs/server.crt\nkeyfile /etc/mosquitto/certs/server.key\n\
     require_certificate true\nuse_identity_as_username true\n";

/// Runs both brokers, ours last, each in a house of its own.
fn in_both(name: &str, main: &str, local: Option<&str>, check: impl Fn(&House, &Path)) {
    for (whose, program) in [("theirs", Path::new(DEBIAN)), ("ours", binary().as_path())] {
        let house = House::new(&format!("{name}-{whose}"), main, local);
        check(&house, program);
    }
}

#[test]
fn the_configuration_of_debian_with_conf_d_passwords_rights_and_certificates_works_unchanged() {
    in_both("debian", &main_of_debian(), Some(LOCAL), |house, program| {
        let broker = house.start(program);
        passwords_and_rights(&broker);
        certificates(&broker);
        assert!(broker.log().contains("New client connected"), "{}", broker.log());
        broker.stop();
        // What was retained is there after a restart.
        let broker = house.start(program);
        assert_eq!(broker.bob_hears("house/kitchen/light"), "house/kitchen/light said\n");
        broker.stop();
    });
}

/// As the integration guide prints it, but for the port.
const GUIDE: &str = "# mosquitto.conf\nlistener PORT\nallow_anonymous false\n\
     password_file /etc/mosquitto/passwd\npersistence true\n\
     persistence_location /var/lib/mosquitto/\nlog_dest file /var/log/mosquitto/mosquitto.log\n";

#[test]
fn the_configuration_of_the_integration_guide_works_unchanged() {
    in_both("guide", GUIDE, None, |house, program| {
        let broker = house.start(program);
        let retained = ["-t", "config/valve", "-m", "closed", "-r", "-q", "1"];
        assert!(!broker.client("pub", &retained).status.success(), "nobody is anonymous");
        let words = [&ANN[..], &retained].concat();
        assert!(broker.client("pub", &words).status.success(), "{}", broker.log());
        broker.stop();
        let broker = house.start(program);
        assert_eq!(broker.bob_hears("config/+"), "config/valve closed\n");
        assert!(broker.log().contains("New client connected"), "{}", broker.log());
        broker.stop();
    });
}
