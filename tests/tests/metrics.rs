//! `/metrics`, `/health` and `/ready` of the real binary: everything that the core counts is there,
//! with an explanation, and `docs/metrics.md` says what it is. To rewrite that page:
//! `HALYARD_WRITE_DOCS=1 cargo test -p halyard-tests --test metrics`.

use halyard_core::engine::CounterKind;
use halyard_core::engine::Stats;
use halyard_core::packet::Packet;
use halyard_core::packet::PacketId;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::connect;
use halyard_tests::request;
use halyard_tests::wait_until;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use yaml_rust2::Yaml;
use yaml_rust2::YamlLoader;

const CONFIG: &str = "allow_anonymous true\nlistener 0 127.0.0.1\nmax_connections 3\n\
                      listener 0 127.0.0.1\nprotocol http_api\n";

/// What is at `path` of the listener for HTTP.
fn get(broker: &Broker, path: &str) -> String {
    let address = broker.addresses("http")[0];
    let response = request(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert_eq!(response.status, 200, "{path}: {}", response.head);
    String::from_utf8(response.body).unwrap()
}

/// The samples by name and labels, as they are written.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// Name, kind and explanation of each family.
fn families(page: &str) -> Vec<(String, String, String)> {
    let help = |line: &str| {
        let (name, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
        let kind = page.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")));
        Some((name.to_owned(), kind.unwrap().to_owned(), help.to_owned()))
    };
    page.lines().filter_map(help).collect()
}

fn family_of(field: &str, kind: CounterKind) -> String {
    let base = field.split("_qos").next().unwrap();
    let end = if kind == CounterKind::Counter { "_total" } else { "" };
    format!("halyard_{base}{end}")
}

#[test]
fn every_counter_of_the_core_is_exposed_and_in_the_docs() {
    let broker = Broker::spawn(CONFIG);
    let page = get(&broker, "/metrics");
    let families = families(&page);
    let names: Vec<&String> = families.iter().map(|(name, ..)| name).collect();
    let stats = Stats::default();
    for counter in stats.list() {
        let family = family_of(counter.name, counter.kind);
        assert!(names.contains(&&family), "{family} is missing in {names:?}");
    }
    let samples = samples(&page);
    for cause in stats.drops.list() {
        let name = format!("halyard_dropped_messages_total{{cause=\"{}\"}}", cause.name);
        assert!(samples.contains_key(&name), "{name}");
    }
    let mut docs = String::from(
        "# Metrics\n\nWhat `/metrics` shows, on a listener with `protocol http_api`, in the text \
         format of\nPrometheus. Numbers are sums over all shards, since the start of the process. \
         A test\nwrites this page from what the broker says.\n\n| name | kind | meaning |\n\
         |---|---|---|\n",
    );
    for (name, kind, help) in &families {
        _ = writeln!(docs, "| `{name}` | {kind} | {help} |");
    }
    docs.push_str(
        "\n`halyard_dropped_messages_total` has these causes:\n\n| cause | meaning |\n|---|---|\n",
    );
    for cause in stats.drops.list() {
        _ = writeln!(docs, "| `{}` | {} |", cause.name, cause.help);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    if std::env::var_os("HALYARD_WRITE_DOCS").is_some() {
        std::fs::write(&path, &docs).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == docs, "docs/metrics.md is stale; HALYARD_WRITE_DOCS=1 rewrites it");
}

#[test]
fn traffic_is_counted_by_quality_of_service_direction_and_listener() {
    let broker = Broker::spawn(CONFIG);
    let mut subscriber = broker.connect();
    subscriber.connect("subscriber", Version::V5);
    subscriber.subscribe("t", QoS::AtMostOnce);
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V4);
    publisher.publish("t", b"seven 7");
    subscriber.receive();
    let samples = samples(&get(&broker, "/metrics"));
    let number = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name}: {samples:#?}"));
    for (name, expected) in [
        ("halyard_publish_received_total{qos=\"0\"}", 1.0),
        ("halyard_publish_sent_total{qos=\"0\"}", 1.0),
        ("halyard_publish_sent_total{qos=\"1\"}", 0.0),
        ("halyard_publish_received_bytes_total{qos=\"0\"}", 7.0),
        ("halyard_publish_sent_bytes_total{qos=\"0\"}", 7.0),
        ("halyard_clients_connected", 2.0),
        ("halyard_listener_connections_open{listener=\"0\",place=\"127.0.0.1 port 0\"}", 2.0),
        ("halyard_listener_connections_total{listener=\"1\",place=\"127.0.0.1 port 0\"}", 1.0),
    ] {
        assert!((number(name) - expected).abs() < 0.1, "{name}: {}", number(name));
    }
    assert!(number("process_resident_memory_bytes") > 1e6);
    let received =
        "halyard_listener_received_bytes_total{listener=\"0\",place=\"127.0.0.1 port 0\"}";
    assert!((number(received) - number("halyard_bytes_received_total")).abs() < 0.1);
    for histogram in ["halyard_handle_seconds", "halyard_flush_seconds"] {
        let count = number(&format!("{histogram}_count"));
        let last = number(&format!("{histogram}_bucket{{le=\"+Inf\"}}"));
        assert!(count >= 3.0 && (count - last).abs() < 0.1, "{histogram}: {count}, {last}");
        let sum = number(&format!("{histogram}_sum"));
        assert!(sum > 0.0 && sum < 10.0, "{histogram}: {sum}");
    }
}

#[test]
fn a_connection_that_a_limit_denies_is_counted_with_its_option() {
    let broker = Broker::spawn(CONFIG);
    let mut clients: Vec<_> = (0..3).map(|_| broker.connect()).collect();
    for (client, name) in clients.iter_mut().zip(["a", "b", "c"]) {
        client.connect(name, Version::V4);
    }
    assert!(broker.connect().until_closed().is_empty());
    let page = get(&broker, "/metrics");
    let line = "halyard_listener_denied_total{listener=\"0\",place=\"127.0.0.1 port 0\",\
                option=\"max_connections\"} 1\n";
    assert!(page.contains(line), "{page}");
}

#[test]
fn without_sys_interval_what_waits_is_counted_for_who_asks() {
    let broker = Broker::spawn(&format!("sys_interval 0\n{CONFIG}"));
    let mut hello = connect("sleeper", Version::V5);
    hello.properties.session_expiry_interval = Some(600);
    let mut sleeper = broker.connect();
    sleeper.send_connect(&hello);
    sleeper.receive();
    sleeper.subscribe("t", QoS::AtLeastOnce);
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V5);
    publish_acknowledged(&mut publisher, 1);
    let numbers = samples(&get(&broker, "/metrics"));
    assert_eq!(numbers["halyard_queued"], 1.0);
    assert!(numbers["halyard_memory_bytes"] > 100.0);
}

/// Publishes so many messages at QoS 1, each after the acknowledgement of the one before.
fn publish_acknowledged(client: &mut Client, count: u16) {
    for number in 1..=count {
        client.send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: "t",
            packet_id: PacketId::new(number),
            properties: PublishProperties::default(),
            payload: b"12345",
        }));
        client.receive().with(|packet| assert!(matches!(packet, Packet::Puback(_)), "{packet:?}"));
    }
}

#[test]
fn the_store_is_measured_from_the_record_to_the_disk() {
    let store = "user root\npersistence true\npersistence_location @DIR@\n\
                 persistence_segment_size 1048576\n";
    let broker = Broker::spawn(&format!("{store}{CONFIG}"));
    let mut hello = connect("keeper", Version::V5);
    hello.properties.session_expiry_interval = Some(600);
    let mut keeper = broker.connect();
    keeper.send_connect(&hello);
    keeper.receive();
    keeper.subscribe("t", QoS::AtLeastOnce);
    let before = samples(&get(&broker, "/metrics"));
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V5);
    publish_acknowledged(&mut publisher, 10);
    let after = samples(&get(&broker, "/metrics"));
    let grown = |name: &str| after[name] - before[name];
    // One acknowledgement after the other: no two share a commit.
    for name in [
        "halyard_commit_seconds_count",
        "halyard_commit_seconds_bucket{le=\"+Inf\"}",
        "halyard_store_batches_total",
        "halyard_store_commits_total",
        "halyard_store_syncs_total",
    ] {
        assert!(grown(name) >= 10.0, "{name}: {}", grown(name));
    }
    assert!(grown("halyard_commit_seconds_sum") > 0.0);
    assert!(grown("halyard_store_appended_bytes_total") >= 50.0);
    assert_eq!(grown("halyard_store_appended_bytes_total"), grown("halyard_store_bytes_total"));
    assert_eq!(after["halyard_store_batches_waiting"], 0.0);
    assert_eq!(after["halyard_store_backlog_bytes"], 0.0);
    assert!(after["halyard_store_last_commit_seconds"] < 20.0);
    assert_eq!(after["halyard_store_segments"], 3.0);
    assert_eq!(after["halyard_store_reserve_bytes"], 524_288.0);
    assert_eq!(after["halyard_store_folds_total"], 0.0);
    broker.signal("USR1");
    broker.wait_for_line(&["Store: folded "]);
    let folded = wait_until("the fold to be counted", || {
        let numbers = samples(&get(&broker, "/metrics"));
        (numbers["halyard_store_folds_total"] == 1.0).then_some(numbers)
    });
    assert!(folded["halyard_store_fold_seconds_total"] >= 0.0);
}

#[test]
fn health_and_readiness_are_told() {
    let broker = Broker::spawn(CONFIG);
    assert_eq!(get(&broker, "/health"), "{\"status\":\"ok\"}\n");
    assert_eq!(get(&broker, "/ready"), "{\"status\":\"ready\"}\n");
}

/// Names of ours in a text: `halyard_…` and `process_…`.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_name(c));
    let ours = |word: &&str| word.starts_with("halyard_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// Every name in these expressions that `/metrics` does not have.
fn unknown<'a>(expressions: impl Iterator<Item = &'a str>, page: &str) -> Vec<String> {
    let families = families(page);
    let is_known = |name: &String| {
        families.iter().any(|(family, kind, _)| {
            let parts = ["_bucket", "_sum", "_count"];
            family == name
                || kind == "histogram"
                    && parts.iter().any(|part| name.strip_suffix(part) == Some(family))
        })
    };
    let names: BTreeSet<String> = expressions.flat_map(names_in).collect();
    assert!(names.len() > 8, "{names:?}");
    names.into_iter().filter(|name| !is_known(name)).collect()
}

fn docs(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn the_dashboard_shows_metrics_that_exist() {
    let page = get(&Broker::spawn(CONFIG), "/metrics");
    let dashboard: Value = serde_json::from_str(&docs("grafana-dashboard.json").1).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut places = BTreeSet::new();
    let mut expressions = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        let at = &panel["gridPos"];
        assert!(
            places.insert((at["x"].to_string(), at["y"].to_string())),
            "{title} covers another"
        );
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let count = |c: char| expression.matches(c).count();
            assert!(count('(') == count(')') && count('{') == count('}'), "{title}: {expression}");
            assert!(!names_in(expression).is_empty(), "{title}: {expression}");
            expressions.push(expression);
        }
    }
    assert!(panels.len() > 15);
    assert_eq!(unknown(expressions.into_iter(), &page), [] as [&str; 0]);
}

#[test]
fn the_alert_rules_are_rules_on_metrics_that_exist() {
    let page = get(&Broker::spawn(CONFIG), "/metrics");
    let (path, text) = docs("alerts.yml");
    let rules = &YamlLoader::load_from_str(&text).unwrap()[0]["groups"][0]["rules"];
    let rules = rules.as_vec().unwrap();
    let mut expressions = Vec::new();
    for rule in rules {
        let said = |part: &Yaml| part.as_str().map(str::to_owned).unwrap_or_default();
        let name = said(&rule["alert"]);
        assert!(name.starts_with("Halyard"), "{rule:?}");
        let texts = ["summary", "description"].map(|part| said(&rule["annotations"][part]));
        assert!(texts.iter().all(|text| text.len() > 10), "{name}: {texts:?}");
        assert!(["warning", "critical"].contains(&&*said(&rule["labels"]["severity"])), "{name}");
        assert!(said(&rule["for"]).ends_with(['m', 's']), "{name}");
        expressions.push(said(&rule["expr"]));
    }
    assert!(rules.len() > 10);
    for number in [
        "halyard_store_full",
        "halyard_memory_limit_bytes",
        "halyard_auth_failures_total",
        "halyard_listener_certificate_expires_seconds",
    ] {
        assert!(expressions.iter().any(|rule| rule.contains(number)), "no rule on {number}");
    }
    assert_eq!(unknown(expressions.iter().map(String::as_str), &page), [] as [&str; 0]);
    // Prometheus' own judge, where it is installed (Debian: package prometheus).
    if let Ok(judge) = Command::new("promtool").args(["check", "rules"]).arg(&path).output() {
        assert!(judge.status.success(), "{judge:?}");
    }
}

#[test]
fn prometheus_itself_reads_the_page() {
    let page = get(&Broker::spawn(CONFIG), "/metrics");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    // Where it is not installed, the other tests stand alone.
    let Ok(mut judge) = command.stderr(Stdio::piped()).spawn() else { return };
    judge.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = judge.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Exit code 3 is for matters of taste (names of families); an error of form is 1.
    assert!(output.status.code() != Some(1), "{said}");
}
