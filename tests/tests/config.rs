//! Configuration and command line of the real binary: what is wrong stops the start with file, line
//! and option, what is right takes effect, what is reloaded changes at once.

use halyard_core::packet::Packet;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Setup;
use halyard_tests::Stream;
use halyard_tests::connect;
use halyard_tests::run;
use halyard_tests::wait_until;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Wrong options or configuration, as Mosquitto says it.
const EXIT_USAGE: Option<i32> = Some(3);

#[test]
fn a_wrong_line_stops_the_start_with_file_line_option_and_what_is_right() {
    let cases = [
        ("max_qos 3", "halyard.conf:2: error: max_qos: \"3\"", "from 0 to 2"),
        ("max_qqos 1", "halyard.conf:2: error: max_qqos: unknown option", "max_qos"),
        ("allow_anonymous maybe", "halyard.conf:2: error: allow_anonymous: \"maybe\"", "true or"),
        ("max_inflight_messages x", ":2: error: max_inflight_messages: ", "number"),
        ("log_timestamp_format %!", "error: log_timestamp_format: ", "%Y-%m-%d"),
        ("include_dir @DIR@/none", ":2: error: include_dir: ", "folder"),
    ];
    for (line, place, right) in cases {
        let config = format!("listener 0 127.0.0.1\n{line}\n");
        for args in [&[][..], &["--test-config"]] {
            let outcome = Setup::default().config(&config).args(args).run();
            assert_eq!(outcome.code, EXIT_USAGE, "{line}: {outcome:?}");
            let named = outcome.stderr.lines().find(|line| line.contains(place));
            let named = named.unwrap_or_else(|| panic!("{line}: {}", outcome.stderr));
            assert!(named.contains(right), "{named}");
        }
    }
}

#[test]
fn all_wrong_lines_are_named_at_once() {
    let config = "max_qos 3\nlistener 0 127.0.0.1\nfoo bar\nretain_available perhaps\n";
    let outcome = Setup::default().config(config).run();
    for line in [1, 3, 4] {
        assert!(outcome.stderr.contains(&format!("halyard.conf:{line}: error: ")), "{outcome:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let outcome = run(&["-c", "/no/such/file.conf"]);
    assert_eq!(outcome.code, EXIT_USAGE);
    assert!(outcome.stderr.contains("/no/such/file.conf: No such file"), "{outcome:?}");
}

#[test]
fn test_config_says_ok_and_opens_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
    let outcome = Setup::default().config(&config).args(&["--test-config"]).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("Configuration file is OK"), "{outcome:?}");
}

#[test]
fn wrong_arguments_say_what_would_be_right() {
    for (args, expected) in [
        (&["--frobnicate"][..], "--help"),
        (&["-p", "70000"], "0 to 65535"),
        (&["-c"], "-c"),
        (&["--test-config"], "-c FILE"),
        (&["frobnicate"], "no command"),
    ] {
        let outcome = run(args);
        assert_eq!(outcome.code, EXIT_USAGE, "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains(expected), "{args:?}: {outcome:?}");
    }
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for option in ["-c", "-p", "-v", "-d", "--test-config", "--http-port"] {
        assert!(help.stdout.contains(option), "{option}");
    }
    assert!(run(&["--version"]).stdout.starts_with("halyard version "));
}

#[test]
fn a_port_in_use_is_named_with_the_listeners_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = format!("allow_anonymous true\nlistener {port} 127.0.0.1\n");
    let outcome = Setup::default().config(&config).run();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{outcome:?}");
    assert!(outcome.stderr.contains("halyard.conf:2"), "{outcome:?}");
    assert!(outcome.stderr.contains("in use"), "{outcome:?}");

    let outcome = run(&["-p", &port.to_string()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("127.0.0.1:{port}")), "{outcome:?}");
    assert!(outcome.stderr.contains("-p PORT"), "{outcome:?}");
}

#[test]
fn included_files_are_read_in_order_and_named() {
    let broker = Broker::spawn("allow_anonymous true\nlistener 0 127.0.0.1\n");
    let folder = broker.folder().join("conf.d");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("b.conf"), "max_keepalive 77\n").unwrap();
    fs::write(folder.join("a.conf"), "max_packet_size many\n").unwrap();
    fs::write(folder.join("not-a.config"), "nonsense\n").unwrap();
    let main = broker.folder().join("main.conf");
    let config = format!("listener 0 127.0.0.1\ninclude_dir {}\n", folder.display());
    fs::write(&main, config).unwrap();
    let test = ["-c", main.to_str().unwrap(), "--test-config"];
    let outcome = run(&test);
    assert!(outcome.stderr.contains("conf.d/a.conf:1: error: max_packet_size: "), "{outcome:?}");
    assert!(!outcome.stderr.contains("not-a.config"), "{outcome:?}");
    fs::remove_file(folder.join("a.conf")).unwrap();
    assert_eq!(run(&test).code, Some(0));
}

#[test]
fn the_pid_file_holds_the_process_id_while_it_runs() {
    let config = "allow_anonymous true\nlistener 0 127.0.0.1\npid_file @DIR@/pid\nuser root\n";
    let broker = Broker::spawn(config);
    let path = broker.folder().join("pid");
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), broker.pid().to_string());
    broker.signal("TERM");
    wait_until("the pid file to go", || (!path.exists()).then_some(()));
}

#[test]
fn what_only_the_system_can_judge_is_named_with_file_and_line() {
    let mut cases = vec![
        ("pid_file /no/such/folder/pid", ":2: error: pid_file: there is no folder /no/such/folder"),
        ("log_dest file /no/such/log", ":2: error: log_dest: there is no folder /no/such"),
    ];
    let is_root = fs::metadata("/proc/self").expect("ours").uid() == 0;
    if is_root {
        cases.push(("user no-such-user", ":2: error: user: there is no user no-such-user here"));
    }
    for (line, words) in cases {
        let config = format!("listener 0 127.0.0.1\n{line}\n");
        for args in [&[][..], &["--test-config"]] {
            let outcome = Setup::default().config(&config).args(args).run();
            assert_eq!(outcome.code, EXIT_USAGE, "{line}: {outcome:?}");
            assert!(outcome.stderr.contains(words), "{outcome:?}");
            assert_eq!(outcome.stderr.matches(": error: ").count(), 1, "{outcome:?}");
        }
    }
    // A folder in the place of a file is found when it is opened.
    let config = "listener 0 127.0.0.1\nallow_anonymous true\npid_file @DIR@\n";
    let outcome = Setup::default().config(config).run();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("halyard.conf:3: pid_file "), "{outcome:?}");
}

#[test]
fn what_cannot_be_removed_at_the_end_is_named() {
    let config = "allow_anonymous true\nuser nobody\nlistener 0 127.0.0.1\npid_file @DIR@/pid\n";
    let mut broker = Broker::spawn(config);
    let path = broker.folder().join("pid");
    broker.signal("TERM");
    assert!(broker.wait().success());
    if path.exists() {
        broker.wait_for_line(&["pid is left behind: "]);
    } else {
        assert!(!broker.has_line("left behind"));
    }
}

/// Only root can become another; everybody else stays who he is.
#[test]
fn the_process_becomes_the_user_of_the_configuration() {
    let uid = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("Uid:")).expect("a line of Uid");
        line.split_whitespace().nth(2).expect("the effective one").to_owned()
    };
    let nobody = fs::read_to_string("/etc/passwd").expect("there are users");
    let nobody = nobody.lines().find_map(|line| line.strip_prefix("nobody:")).expect("nobody");
    let nobody = nobody.split(':').nth(1).expect("a number").to_owned();
    let config = "allow_anonymous true\nuser nobody\nlistener 0 127.0.0.1\n";
    let broker = Broker::spawn(config);
    let (ours, its) = (uid("self"), uid(&broker.pid().to_string()));
    assert_eq!(its, if ours == "0" { nobody } else { ours.clone() });
}

#[test]
fn the_log_goes_where_and_how_the_configuration_says() {
    let config = "allow_anonymous true\nlistener 0 127.0.0.1\nlog_dest file @DIR@/log\n\
                  log_dest stderr\nlog_timestamp_format %Y-%m-%dT%H:%M\nlog_type notice\n\
                  log_type information\nlog_type subscribe\n";
    let broker = Broker::spawn(config);
    let mut client = broker.connect();
    client.connect("logged", Version::V5);
    client.subscribe("a/+", halyard_core::packet::QoS::ExactlyOnce);
    client.disconnect();
    let line =
        broker.wait_for_line(&["New client connected from 127.0.0.1:", " as logged (p5, c1"]);
    let stamp = line.split(": ").next().unwrap();
    assert_eq!((stamp.len(), stamp.as_bytes()[10]), (16, b'T'), "{line}");
    broker.wait_for_line(&["logged 2 a/+"]);
    broker.wait_for_line(&["Client logged [127.0.0.1:", "disconnected."]);
    let path = broker.folder().join("log");
    wait_until("the log file", || {
        let text = fs::read_to_string(&path).ok()?;
        text.contains("Client logged").then_some(())
    });
    assert!(!broker.has_line("Received PUBLISH"));
}

#[test]
fn the_log_may_be_without_times() {
    let broker = Broker::spawn("allow_anonymous true\nlog_timestamp false\nlistener 0 127.0.0.1\n");
    let line = broker.wait_for_line(&["Listening on mqtt://"]);
    assert!(line.starts_with("Listening on mqtt://"), "{line}");
}

#[test]
fn verbose_logs_every_packet() {
    let config = "allow_anonymous true\nlistener 0 127.0.0.1\nlog_type error\n";
    let broker = Setup::default().config(config).args(&["-v"]).start();
    let mut client = broker.connect();
    client.connect("v", Version::V4);
    client.publish("a/b", b"12345");
    client.ping();
    broker.wait_for_line(&["Received PUBLISH from v (d0, q0, r0, m0, 'a/b', ... (5 bytes))"]);
    broker.wait_for_line(&["Sending CONNACK to ", " (0, 0)"]);
}

#[test]
fn a_reload_takes_effect_and_a_bad_file_changes_nothing() {
    let broker = Broker::spawn("allow_anonymous true\nmax_keepalive 100\nlistener 0 127.0.0.1\n");
    let path = broker.folder().join("halyard.conf");
    assert_eq!(server_keep_alive(&broker), Some(100));

    fs::write(&path, "allow_anonymous true\nmax_keepalive 50\nlistener 0 127.0.0.1\n").unwrap();
    broker.signal("HUP");
    broker.wait_for_line(&["Config reloaded."]);
    wait_until("the new max_keepalive", || (server_keep_alive(&broker) == Some(50)).then_some(()));

    fs::write(&path, "allow_anonymous true\nmax_keepalive x\nlistener 0 127.0.0.1\n").unwrap();
    broker.signal("HUP");
    broker.wait_for_line(&["Error: Config not reloaded", "halyard.conf:2: error: max_keepalive: "]);
    assert_eq!(server_keep_alive(&broker), Some(50));
}

/// The Server Keep Alive that a client who asks for a long one is told.
fn server_keep_alive(broker: &Broker) -> Option<u16> {
    let mut client = broker.connect();
    let mut connect = connect("k", Version::V5);
    connect.keep_alive = 1000;
    client.send_connect(&connect);
    client.receive().with(|packet| match packet {
        Packet::Connack(connack) => connack.properties.server_keep_alive,
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_loopback_that_any_web_page_could_reach_is_warned_of() {
    let stderr = |lines: &str| {
        let config = format!("allow_anonymous true\n{lines}");
        let outcome = Setup::default().config(&config).args(&["--test-config"]).run();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stderr
    };
    let open = stderr("listener 9001 127.0.0.1\nprotocol websockets\n");
    assert!(open.contains("halyard.conf:2: warning: listener: any web page"), "{open}");
    for lines in [
        "listener 9001 127.0.0.1\nprotocol websockets\nwebsockets_origin https://example.org\n",
        "listener 9001\nprotocol websockets\n",
        "listener 1883 127.0.0.1\n",
    ] {
        let text = stderr(lines);
        assert!(!text.contains("web page"), "{lines}: {text}");
    }
}

#[test]
fn a_daemon_goes_into_the_background_once_it_listens() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = std::env::temp_dir().join(format!("halyard-daemon-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let config = |port: u16| {
        let folder = folder.display();
        format!(
            "allow_anonymous true\nuser root\nlistener {port} 127.0.0.1\n\
             listener 0 {folder}/socket\npid_file {folder}/pid\nlog_dest file {folder}/log\n"
        )
    };
    let in_use = Setup::default().config(&config(taken.local_addr().unwrap().port()));
    assert_eq!(in_use.args(&["-d"]).run().code, Some(1), "what fails is said before");

    let outcome = Setup::default().config(&config(0)).args(&["-d"]).run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let pid = wait_until("the pid file", || {
        fs::read_to_string(folder.join("pid")).ok().filter(|text| text.ends_with('\n'))
    });
    let mut client = Client::new(Stream::unix(&folder.join("socket")));
    client.connect("d", Version::V4);
    let kill = std::process::Command::new("kill").arg(pid.trim()).status().unwrap();
    assert!(kill.success());
    assert!(client.until_closed().is_empty());
    let process = format!("/proc/{}", pid.trim());
    wait_until("the daemon to end", || (!Path::new(&process).exists()).then_some(()));
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("Client d [unix socket]") && log.contains("terminating"), "{log}");
    fs::remove_dir_all(folder).unwrap();
}
