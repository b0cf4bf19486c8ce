//! TLS between stock clients, `halyard pub|sub` and both brokers: flag by flag with mosquitto_pub and
//! mosquitto_sub, against Halyard and against Debian's mosquitto.

mod tls_support;

use halyard_tests::{Broker, binary};
use std::process::{Command, Output, Stdio};
use tls_support::{Pki, Theirs, free_port};

/// A command of theirs or of ours.
fn tool(ours: bool, verb: &str) -> Command {
    if ours {
        let mut command = Command::new(binary());
        command.arg(verb);
        command
    } else {
        Command::new(format!("mosquitto_{verb}"))
    }
}

/// Runs it with these words; `SSL_CERT_FILE=PATH` among them is what the system trusts.
fn run(ours: bool, verb: &str, port: u16, words: &[String]) -> Output {
    let port = port.to_string();
    let mut command = tool(ours, verb);
    let (system, words): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| word.starts_with(SYSTEM));
    command.envs(system.iter().filter_map(|word| word.split_once('=')));
    command.args(["-h", "127.0.0.1", "-p", &port]).args(words).stdin(Stdio::null());
    command.output().expect("the command is installed")
}

/// Where OpenSSL and we look for the authorities of the system.
const SYSTEM: &str = "SSL_CERT_FILE=";

fn words(pki: &Pki, words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.replace('@', &pki.path(""))).collect()
}

fn lines(pki: &Pki, server: &str, more: &str) -> String {
    let (cert, key) = (pki.path(&format!("{server}.pem")), pki.path(&format!("{server}.key")));
    format!("certfile {cert}\nkeyfile {key}\n{more}\n")
}

/// Authorities and certificates: right ones, one for another host, and those of somebody else.
fn authorities() -> Pki {
    let (pki, other) = (Pki::new(), Pki::new());
    pki.client("c", |_| {});
    pki.server("elsewhere", |params| params.subject_alt_names.clear());
    std::fs::copy(other.path("ca.pem"), pki.path("other.pem")).unwrap();
    std::fs::create_dir(pki.path("capath")).unwrap();
    std::fs::copy(pki.path("ca.pem"), pki.path("capath/ca.pem")).unwrap();
    let rehash = Command::new("openssl").args(["rehash", &pki.path("capath")]).status();
    assert!(rehash.is_ok_and(|status| status.success()));
    pki
}

#[test]
fn flags_do_what_those_of_mosquitto_do_against_both_brokers() {
    let pki = authorities();
    let strict = format!("cafile {}\nrequire_certificate true", pki.path("ca.pem"));
    let rows: &[(&str, &str, &[&str], bool)] = &[
        ("server", "", &["--cafile", "@ca.pem"], true),
        ("server", "", &["--cafile", "@ca.pem", "--tls-version", "tlsv1.2"], true),
        ("server", "", &["--cafile", "@ca.pem", "--tls-version", "tlsv1.3"], true),
        ("server", "", &["--capath", "@capath"], true),
        ("server", "", &["SSL_CERT_FILE=@ca.pem", "--tls-use-os-certs"], true),
        ("server", "", &["SSL_CERT_FILE=@other.pem", "--tls-use-os-certs"], false),
        ("server", "", &["--cafile", "@other.pem"], false),
        ("server", "", &["--cafile", "@other.pem", "--insecure"], false),
        ("server", "", &["--cafile", "@ca.pem", "--tls-alpn", "mqtt"], true),
        (
            "server",
            "",
            &[
                "--cafile",
                "@ca.pem",
                "--tls-version",
                "tlsv1.2",
                "--ciphers",
                "ECDHE-ECDSA-AES128-GCM-SHA256",
            ],
            true,
        ),
        ("server", "", &["--cafile", "@ca.pem", "--cert", "@c.pem"], false),
        ("server", "", &["--cafile", "@nowhere.pem"], false),
        ("server", "", &[], false),
        ("elsewhere", "", &["--cafile", "@ca.pem"], false),
        ("elsewhere", "", &["--cafile", "@ca.pem", "--insecure"], true),
        ("server", &strict, &["--cafile", "@ca.pem"], false),
        ("server", &strict, &["--cafile", "@ca.pem", "--cert", "@c.pem", "--key", "@c.key"], true),
        (
            "server",
            "tls_version tlsv1.3",
            &["--cafile", "@ca.pem", "--tls-version", "tlsv1.2"],
            true,
        ),
    ];
    let mut listeners: Vec<(&str, &str)> = rows.iter().map(|row| (row.0, row.1)).collect();
    listeners.sort_unstable();
    listeners.dedup();
    for (server, more) in listeners {
        let config = lines(&pki, server, more);
        let ours = Broker::spawn(&format!("allow_anonymous true\nlistener 0 127.0.0.1\n{config}"));
        let port = free_port();
        let _theirs = Theirs::start(&pki, port, &config);
        for (_, _, flags, expected) in rows.iter().filter(|row| (row.0, row.1) == (server, more)) {
            for (port, broker) in [(ours.addresses("mqtts")[0].port(), "ours"), (port, "theirs")] {
                for tool in [false, true] {
                    let flags = words(&pki, flags);
                    let mut say = flags.clone();
                    say.extend(["-t", "t", "-r", "-q", "1", "-m", "said"].map(String::from));
                    let said = run(tool, "pub", port, &say);
                    let row = format!("{flags:?} of {broker} by {tool}: {said:?}");
                    assert_eq!(said.status.success(), *expected, "{row}");
                    if *expected {
                        let mut hear = flags.clone();
                        hear.extend(["-t", "t", "-C", "1", "-W", "10"].map(String::from));
                        assert_eq!(run(tool, "sub", port, &hear).stdout, b"said\n", "{row}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_url_asks_for_tls_and_a_websocket_goes_over_it() {
    let pki = Pki::new();
    let config = format!(
        "allow_anonymous true\nlistener 0 127.0.0.1\n{}listener 0 127.0.0.1\n{}protocol websockets\n",
        lines(&pki, "server", ""),
        lines(&pki, "server", "")
    );
    let broker = Broker::spawn(&config);
    let port = |scheme: &str| broker.addresses(scheme)[0].port();
    for scheme in ["mqtts", "wss"] {
        let url = format!("{scheme}://127.0.0.1:{}/t/{scheme}", port(scheme));
        for (verb, more) in [("pub", &["-r", "-m", "by url"] as &[&str]), ("sub", &["-C", "1"])] {
            let mut command = tool(true, verb);
            command.args(["-L", &url, "--cafile", &pki.path("ca.pem"), "-q", "1"]).args(more);
            let outcome = command.stdin(Stdio::null()).output().expect("halyard runs");
            assert!(outcome.status.success(), "{url}: {outcome:?}");
            assert!(verb == "pub" || outcome.stdout == b"by url\n", "{outcome:?}");
        }
    }
    // A big message comes whole, though its records come one by one.
    let big = "x".repeat(300_000);
    pki.write("big", &big);
    let secure = ["--cafile", "@ca.pem", "-t", "big", "-q", "1"];
    let flags = |more: &[&str]| words(&pki, &[&secure[..], more].concat());
    let said = run(true, "pub", port("mqtts"), &flags(&["-r", "-f", "@big"]));
    assert!(said.status.success(), "{said:?}");
    for ours in [true, false] {
        let heard = run(ours, "sub", port("mqtts"), &flags(&["-C", "1", "-W", "10"]));
        assert!(heard.stdout == format!("{big}\n").as_bytes(), "{ours}: {:?}", heard.status);
    }
}

#[test]
fn the_load_goes_over_tls_and_checks_the_server() {
    let (pki, other) = (authorities(), Pki::new());
    let config = format!(
        "allow_anonymous true\n{}{}{}protocol websockets\n",
        pki.strict(""),
        pki.listener(""),
        pki.listener("")
    );
    let broker = Broker::spawn(&config);
    let (mqtts, wss) = (broker.addresses("mqtts"), broker.addresses("wss"));
    let bench = |scenario: &str, port: u16, more: &[&str]| {
        let port = port.to_string();
        let mut command = Command::new(binary());
        command.args(["bench", scenario, "-p", &port, "--messages", "500", "--pairs", "3"]);
        command.args(["--connections", "40", "--subscribers", "5", "--seconds", "0.1"]);
        let named = ["--cafile", "--capath", "--tls-use-os-certs"];
        let ca = if more.iter().any(|word| named.contains(word)) {
            Vec::new()
        } else {
            words(&pki, &["--cafile", "@ca.pem"])
        };
        command.env("SSL_CERT_FILE", pki.path("ca.pem"));
        command.args(ca).args(words(&pki, more)).output().expect("halyard runs")
    };
    for scenario in ["pairs", "fanout", "rate", "idle"] {
        for (port, more) in [
            (mqtts[0].port(), &["--cert", "@c.pem", "--key", "@c.key"] as &[&str]),
            (mqtts[1].port(), &["-q", "2", "--payload", "40000"]),
            (mqtts[1].port(), &["-q", "1", "--tls-version", "tlsv1.3", "--insecure"]),
            (mqtts[1].port(), &["--capath", "@capath", "--tls-alpn", "mqtt"]),
            (
                mqtts[1].port(),
                &["--tls-use-os-certs", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            ),
            (wss[0].port(), &["--ws", "-q", "1"]),
        ] {
            let outcome = bench(scenario, port, more);
            assert!(outcome.status.success(), "{scenario} {more:?}: {outcome:?}");
        }
        let outcome = bench(scenario, mqtts[1].port(), &["--cafile", &other.path("ca.pem")]);
        assert_eq!(outcome.status.code(), Some(1), "{scenario}: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(said.contains("UnknownIssuer"), "{scenario}: {said}");
        let outcome = bench(scenario, mqtts[1].port(), &["--ciphers", "no-such-suite"]);
        assert!(!outcome.status.success(), "{scenario}: {outcome:?}");
    }
}
