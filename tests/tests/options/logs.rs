//! Options of the log.

use super::OPEN;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Setup;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn connection_messages_false_says_nothing_of_who_comes_and_goes() {
    for (lines, is_said) in [("", true), ("connection_messages false\n", false)] {
        let mut broker = Broker::spawn(&format!("{lines}{OPEN}"));
        let mut client = broker.connect();
        client.connect("passer-by", Version::V5);
        client.disconnect();
        assert!(client.until_closed().is_empty());
        broker.signal("TERM");
        broker.wait();
        broker.wait_for_line(&["terminating"]);
        assert_eq!(broker.has_line("passer-by"), is_said, "{lines}: {:#?}", broker.log());
    }
}

/// A folder with a socket where syslog's would be, which only the broker sees as `/dev/log`.
struct Syslog {
    socket: UnixDatagram,
    folder: PathBuf,
}

impl Syslog {
    fn new(name: &str) -> Self {
        let name = format!("halyard-syslog-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        // Left over from a process of the same number at worst.
        _ = fs::remove_file(folder.join("log"));
        let socket = UnixDatagram::bind(folder.join("log")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        Self { socket, folder }
    }

    fn start(&self, config: &str) -> Broker {
        let mount = format!(
            "exec unshare $([ $(id -u) = 0 ] && echo -m || echo -rm) sh -c 'mount -t tmpfs dev /dev \
             && ln -s {}/log /dev/log && exec \"$0\" \"$@\"' \"$0\" \"$@\"",
            self.folder.display()
        );
        Setup::default().config(config).shell(&mount).start()
    }

    /// The datagram that contains `text`.
    fn wait_for(&self, text: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let len = self.socket.recv(&mut buffer).expect("a line of the log");
            let line = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn log_dest_syslog_sends_lines_with_severity_and_log_facility() {
    // Severity 5 is a notice, 6 is information; the facility is daemon, or local3.
    for (lines, information, notice) in
        [("", 3 << 3 | 6, 3 << 3 | 5), ("log_facility 3\n", 158, 157)]
    {
        let syslog = Syslog::new(&format!("{information}"));
        let config = format!("user root\nlog_dest stderr\nlog_dest syslog\n{lines}{OPEN}");
        let broker = syslog.start(&config);
        let line = syslog.wait_for("running");
        let start = format!("<{information}>halyard[{}]: halyard version", broker.pid());
        assert!(line.starts_with(&start), "{line}");
        assert!(!line.ends_with('\n'), "{line:?}");
        broker.signal("USR1");
        let line = syslog.wait_for("SIGUSR1");
        assert!(line.starts_with(&format!("<{notice}>halyard[")), "{line}");
    }
}

#[test]
fn a_syslog_that_was_restarted_is_found_again() {
    let mut syslog = Syslog::new("again");
    let broker = syslog.start(&format!("user root\nlog_dest stderr\nlog_dest syslog\n{OPEN}"));
    syslog.wait_for("running");
    let path = syslog.folder.join("log");
    fs::remove_file(&path).expect("the old socket");
    syslog.socket = UnixDatagram::bind(&path).expect("a new socket");
    syslog.socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    broker.connect().connect("after", Version::V5);
    syslog.wait_for("as after");
}
