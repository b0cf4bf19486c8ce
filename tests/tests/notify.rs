//! What the real binary tells systemd, over a socket that plays systemd's part.

use halyard_tests::PATIENCE;
use halyard_tests::Setup;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// Systemd's end.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Systemd {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("halyard-notify-{}-{name}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        // As systemd's own: whoever the broker becomes may write to it.
        std::fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    fn setup(&self, more: &str) -> Setup {
        let line = format!("export NOTIFY_SOCKET={}; {more}", self.path.display());
        let config = "allow_anonymous true\nlistener 0 127.0.0.1\n";
        Setup::default().shell(&line).config(config)
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 256];
        let len = self.socket.recv(&mut buffer).expect("a notification in time");
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    /// The next that is no word of the watchdog.
    fn hear_state(&self) -> String {
        std::iter::repeat_with(|| self.hear()).find(|state| state != "WATCHDOG=1").unwrap()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn systemd_hears_of_the_start_of_reloads_and_of_the_end() {
    let systemd = Systemd::new("states");
    let broker = systemd.setup("true").start();
    assert_eq!(systemd.hear(), "READY=1");
    broker.connect();
    broker.signal("HUP");
    let reloading = systemd.hear();
    let moment = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a moment");
    assert!(moment.parse::<u64>().unwrap() > 0);
    assert_eq!(systemd.hear(), "READY=1");
    assert_eq!(broker.stop(), Some(0));
    assert_eq!(systemd.hear(), "STOPPING=1");
}

#[test]
fn the_watchdog_hears_of_a_loop_that_turns_and_of_no_other() {
    let systemd = Systemd::new("watchdog");
    let broker = systemd.setup("export WATCHDOG_USEC=60000 WATCHDOG_PID=$$").start();
    assert_eq!(systemd.hear(), "READY=1");
    for _ in 0..5 {
        assert_eq!(systemd.hear(), "WATCHDOG=1");
    }
    broker.signal("HUP");
    assert!(systemd.hear_state().starts_with("RELOADING=1"));
    assert_eq!(systemd.hear_state(), "READY=1");
    assert_eq!(broker.stop(), Some(0));
    assert_eq!(systemd.hear_state(), "STOPPING=1");

    let others = systemd.setup("export WATCHDOG_USEC=60000 WATCHDOG_PID=1").start();
    assert_eq!(systemd.hear(), "READY=1");
    others.signal("HUP");
    assert!(systemd.hear().starts_with("RELOADING=1"), "a watchdog of another process is fed");
}
