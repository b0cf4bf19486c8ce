//! What is said of a wrong file: each mistake with its file, line, option, and what would be right;
//! all of them, in the order of the lines.

mod conf_support;

use conf_support::read;
use conf_support::read_with;
use conf_support::said;
use halyard_core::conf::Severity;

/// A line, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    (
        "max_qeued_messages 5",
        "error: max_qeued_messages: unknown option; did you mean max_queued_messages?",
    ),
    (
        "allow_anonymous=true",
        "error: allow_anonymous=true: unknown option; write `allow_anonymous true`",
    ),
    (
        "quux 1",
        "error: quux: unknown option; docs/configuration.md lists the options; a comment begins with `#`",
    ),
    (" # note", "error: #: unknown option; a comment has its `#` in the first column of the line"),
    ("sys_interval", "error: sys_interval: the value is missing; write a number from 0 to 65535"),
    (
        "sys_interval ten",
        "error: sys_interval: \"ten\" is not a whole number; write a number from 0 to 65535",
    ),
    (
        "sys_interval 65536",
        "error: sys_interval: \"65536\" is out of range; write a number from 0 to 65535",
    ),
    (
        "sys_interval 010",
        "error: sys_interval: \"010\" begins with 0, which would make it octal; write a number from 0 to 65535",
    ),
    (
        "max_inflight_messages 65536",
        "error: max_inflight_messages: \"65536\" is out of range; write a number from 0 to 65535, or -1 for no limit",
    ),
    (
        "retain_available yes",
        "error: retain_available: \"yes\" is not true or false; write true or false",
    ),
    (
        "retain_available = true",
        "error: retain_available: there is a `=` before the value; write `NAME VALUE`",
    ),
    (
        "persistent_client_expiration 14",
        "error: persistent_client_expiration: \"14\" has no unit; write a number and a unit, s h d w m or y: `14d`",
    ),
    (
        "log_type verbose",
        "error: log_type: \"verbose\" is not known here; write all, debug, error, information, internal, none, notice, subscribe, unsubscribe, warning or websockets",
    ),
    (
        "log_dest journal",
        "error: log_dest: \"journal\" is not known here; write stdout, stderr, syslog, `file PATH` or none",
    ),
    ("log_dest file", "error: log_dest: the file's path is missing; write `log_dest file PATH`"),
    (
        "log_timestamp_format %Q",
        "error: log_timestamp_format: `%Q` is no conversion of strftime; write a format of strftime: `%Y-%m-%dT%H:%M:%S`",
    ),
    (
        "log_timestamp_format %\t%Y",
        "error: log_timestamp_format: `%\\t` is no conversion of strftime; write a format of strftime: `%Y-%m-%dT%H:%M:%S`",
    ),
    (
        "listener",
        "error: listener: the value is missing; write `listener PORT`, `listener PORT ADDRESS` or `listener 0 /PATH`",
    ),
    ("listener 65536", "error: listener: \"65536\" is not a port; write a port from 1 to 65535"),
    (
        "listener localhost",
        "error: listener: \"localhost\" is not a whole number; write `listener PORT`, `listener PORT ADDRESS` or `listener 0 /PATH`",
    ),
    (
        "mount_point a/",
        "error: mount_point: it belongs to a listener, and there is none above it in this file; move it below a `listener` line",
    ),
    (
        "auto_id_prefix 123456789012345678901234567890123456789012345678901",
        "error: auto_id_prefix: the value has 51 bytes; write at most 50 bytes",
    ),
    (
        "worker_threads 2",
        "error: worker_threads: it is not supported yet; remove the line; the broker runs on one thread",
    ),
    (
        "topic # both 0",
        "error: topic: it belongs to a bridge, and bridges are not supported; remove the line",
    ),
    (
        "output_low_water 300000",
        "error: output_low_water: output_low_water (300000) is not below output_high_water (262144); choose a lower output_low_water",
    ),
    ("user \u{1}", "error: user: the value has the control character U+0001; remove it"),
];

#[test]
fn each_mistake_is_named_with_what_would_be_right() {
    for (text, expected) in MISTAKES {
        let parsed = read(format!("\n{text}\n"));
        assert_eq!(said(&parsed), [format!("a.conf:2: {expected}")], "{text}");
        assert!(!parsed.is_valid());
    }
}

#[test]
fn mistakes_of_a_listener_are_named() {
    for (text, expected) in [
        (
            "listener 0",
            "a.conf:2: error: listener: port 0 needs an address; write a port from 1 to 65535; or `listener 0 /PATH` for a Unix socket; or `listener 0 127.0.0.1`, and the system chooses the port",
        ),
        (
            "listener 1883 /run/m.sock",
            "a.conf:2: error: listener: \"/run/m.sock\" is no address; write `listener 0 /PATH` for a Unix socket",
        ),
        (
            "listener 1\nmax_qos 3",
            "a.conf:3: error: max_qos: \"3\" is out of range; write a number from 0 to 2",
        ),
        (
            "listener 1\nprotocol mqtts",
            "a.conf:3: error: protocol: \"mqtts\" is not known here; write mqtt, websockets or http_api",
        ),
        (
            "listener 1\naccept_protocol_versions 3 6",
            "a.conf:3: error: accept_protocol_versions: \"6\" is not known here; write some of 3, 4, 5",
        ),
        (
            "listener 1\nmount_point a/#",
            "a.conf:3: error: mount_point: the topic has the wildcard `#`; write the beginning of a topic: `site/`",
        ),
        (
            "listener 1\ncertfile /a.pem",
            "a.conf:2: error: certfile: the certificate has no private key; name both with certfile and keyfile, or remove all TLS options of the listener",
        ),
    ] {
        let parsed = read(format!("allow_anonymous true\n{text}\n"));
        assert_eq!(said(&parsed), [expected], "{text}");
        assert!(!parsed.is_valid());
    }
}

#[test]
fn what_is_not_meant_warns() {
    for (text, expected) in [
        (
            "sys_interval 5 # often",
            "sys_interval: \"# often\" behind the value means nothing; write the comment on a line of its own, with `#` in the first column",
        ),
        ("sys_interval 5 6", "sys_interval: \"6\" behind the value means nothing; remove it"),
        (
            "pid_file /run/x # mine",
            "pid_file: the text behind ` #` is part of the value; write a comment on a line of its own, with `#` in the first column",
        ),
        (
            "pid_file \"/run/x\"",
            "pid_file: the quotes are part of the path; write it without quotes",
        ),
        (
            "autosave_interval 5",
            "autosave_interval: it has no effect: the store saves every change at once",
        ),
    ] {
        let parsed = read(text);
        assert_eq!(said(&parsed), [format!("a.conf:1: warning: {expected}")], "{text}");
        assert!(parsed.is_valid());
    }
}

#[test]
fn a_later_line_holds_where_that_is_allowed() {
    let parsed = read("max_keepalive 1\nmax_keepalive 2");
    assert_eq!(parsed.config.broker.max_keepalive, 2);
    assert_eq!(
        said(&parsed),
        ["a.conf:2: warning: max_keepalive: it was set before, at a.conf:1, and this line holds"]
    );
    let parsed = read("pid_file /a\npid_file /b");
    assert_eq!(
        said(&parsed),
        ["a.conf:2: error: pid_file: it was set before, at a.conf:1; keep one of the lines"]
    );
}

#[test]
fn a_later_line_takes_back_what_is_not_supported_yet() {
    let parsed = read_with("worker_threads 2\ninclude_dir d", &[("d/x.conf", "worker_threads 1")]);
    assert!(parsed.is_valid(), "{:?}", said(&parsed));
    let parsed = read("worker_threads 1\nworker_threads 2");
    assert!(!parsed.is_valid());
}

#[test]
fn a_block_of_a_bridge_or_plug_in_is_refused_once() {
    let parsed = read(
        "connection cloud\naddress a.example:8883\ntopic # both 0\nremote_password secret\n\
         plugin /usr/lib/x.so\nplugin_opt_key value\nauth_opt_key value\n",
    );
    assert_eq!(
        said(&parsed),
        [
            "a.conf:1: error: connection: it is not supported; bridges are not supported; remove the \
             `connection` and its options",
            "a.conf:5: error: plugin: it is not supported; Mosquitto's plug-ins cannot be loaded; \
             remove the line and the plug-in's options",
        ]
    );
}

#[test]
fn all_mistakes_are_found_in_the_order_of_the_lines() {
    let parsed = read_with(
        "worker_threads 2\nfoo 1\ninclude_dir d\nmax_qos 7\nsys_interval x",
        &[("d/2.conf", "bar 1"), ("d/1.conf", "user a\nbaz 1")],
    );
    let places: Vec<(String, u32)> = parsed
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| (diagnostic.file.clone(), diagnostic.line))
        .collect();
    let expected = [
        ("a.conf", 1),
        ("a.conf", 2),
        ("d/1.conf", 2),
        ("d/2.conf", 1),
        ("a.conf", 4),
        ("a.conf", 5),
    ];
    assert_eq!(places, expected.map(|(file, line)| (file.to_owned(), line)));
}

#[test]
fn no_secret_is_shown() {
    let parsed =
        read("connection x\nremote_password hunter2\npassword hunter2\nbridge_psk hunter2");
    assert!(!said(&parsed).concat().contains("hunter2"));
}

#[test]
fn a_file_of_nonsense_is_given_up() {
    let parsed = read("nonsense 1\n".repeat(100_000));
    assert_eq!(parsed.diagnostics.len(), 501);
    assert!(parsed.diagnostics[500].what.contains("the rest was not read"));
}
