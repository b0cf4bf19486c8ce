//! `/metrics`: the counters as Prometheus reads them (text format 0.0.4), summed over shards. Only
//! numbers that are counted; nothing is estimated. What the core counts appears by its name: a new
//! counter needs no line here.

mod histogram;
mod sample;

pub(crate) use histogram::Histogram;
pub(crate) use sample::DriverStats;
pub(crate) use sample::Sample;

use crate::process;
use crate::store::StoreNumbers;
use halyard_core::engine::Counter;
use halyard_core::engine::CounterKind;
use halyard_core::engine::Stats;
use halyard_core::time::Instant;
use std::fmt::Display;
use std::fmt::Write as _;

/// The type that the response must say.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is counted for the process and not for a shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) now: Instant,
    /// What the store has counted; nothing without one.
    pub(crate) store: StoreNumbers,
    /// How each listener is written, in the order of the configuration.
    pub(crate) listeners: Vec<String>,
    /// When the certificate of each listener ends, seconds since 1970, for those that have one.
    pub(crate) certificate_ends: Vec<Option<i64>>,
    /// `memory_limit`, bytes; 0 = none.
    pub(crate) memory_limit: u64,
    /// Log lines that were lost because they came faster than they could be written.
    pub(crate) log_lines_lost: u64,
    /// Passwords that were hashed, because they were not known from before.
    pub(crate) passwords_hashed: u64,
}

/// The page.
pub(crate) fn render(sample: &Sample, whole: &Whole) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    let version = env!("CARGO_PKG_VERSION");
    page.family("halyard_info", "gauge", "The version that runs.");
    page.sample("halyard_info", &format!("{{version=\"{version}\"}}"), 1);
    page.gauge("halyard_uptime_seconds", "Seconds since the start.", whole.now.0 / 1_000_000);
    page.gauge("halyard_sockets_open", "Open sockets, HTTP included.", sample.sockets);
    let help = "Bytes that may be held for clients (memory_limit); 0 = no limit.";
    page.gauge("halyard_memory_limit_bytes", help, whole.memory_limit);
    let help = "Log lines lost because they came faster than they could be written.";
    page.counter("halyard_log_lines_lost", help, whole.log_lines_lost);
    let help = "Passwords that were hashed, because they were not known from before.";
    page.counter("halyard_passwords_hashed", help, whole.passwords_hashed);
    core(&mut page, &sample.stats);
    drops(&mut page, &sample.stats);
    driver(&mut page, &sample.driver);
    store(&mut page, &sample.driver, whole);
    listeners(&mut page, &sample.driver, whole);
    machine(&mut page);
    page.0
}

/// The counters of the core, each family once; the fields of a family follow one another.
fn core(page: &mut Page, stats: &Stats) {
    for Counter { name, kind, help, value } in stats.list() {
        let (base, qos) = match name.split_once("_qos") {
            Some((base, qos)) => (base, Some(qos)),
            None => (name, None),
        };
        let (family, kind) = match kind {
            CounterKind::Counter => (format!("halyard_{base}_total"), "counter"),
            CounterKind::Gauge => (format!("halyard_{base}"), "gauge"),
        };
        if qos.is_none_or(|qos| qos == "0") {
            page.family(&family, kind, &help.replace('`', ""));
        }
        let labels = qos.map(|qos| format!("{{qos=\"{qos}\"}}")).unwrap_or_default();
        page.sample(&family, &labels, value);
    }
}

fn drops(page: &mut Page, stats: &Stats) {
    let family = "halyard_dropped_messages_total";
    page.family(family, "counter", "Messages dropped, by cause.");
    for Counter { name, value, .. } in stats.drops.list() {
        page.sample(family, &format!("{{cause=\"{name}\"}}"), value);
    }
}

fn driver(page: &mut Page, driver: &DriverStats) {
    page.counter("halyard_turns", "Turns of the loops of all shards.", driver.turns);
    let help = "Times that accepting rested: no file was free, or max_connect_rate was reached.";
    page.counter("halyard_accept_rests", help, driver.accept_rests);
    let help = "Time to handle what one turn of the loop had read.";
    page.histogram("halyard_handle_seconds", help, &driver.handle);
    let help = "Time to write to the sockets what one turn of the loop gave.";
    page.histogram("halyard_flush_seconds", help, &driver.flush);
}

fn store(page: &mut Page, driver: &DriverStats, whole: &Whole) {
    let numbers = &whole.store;
    let help = "Bytes of records handed to the store.";
    page.counter("halyard_store_bytes", help, driver.stored_bytes);
    let help = "Batches of records handed to the store, one a turn at most.";
    page.counter("halyard_store_batches", help, driver.stored_batches);
    let help = "Batches of records that are not durable yet.";
    page.gauge("halyard_store_batches_waiting", help, driver.batches_waiting());
    let help = "Bytes of records that are not durable yet (journal_backlog).";
    page.gauge("halyard_store_backlog_bytes", help, driver.bytes_waiting());
    let help = "Seconds since records last became durable; 0 before the first time.";
    page.family("halyard_store_last_commit_seconds", "gauge", help);
    let since = driver.since_commit(whole.now) as f64 / 1e6;
    page.sample("halyard_store_last_commit_seconds", "", format_args!("{since:.3}"));
    let help = "Bytes of records appended to the journal.";
    page.counter("halyard_store_appended_bytes", help, numbers.appended_bytes);
    let help = "Commits to the journal, each of all that waited.";
    page.counter("halyard_store_commits", help, numbers.commits);
    let help = "Times that the disk was asked to make a file or its name durable (fsync).";
    page.counter("halyard_store_syncs", help, numbers.syncs);
    let help = "Segments of the journal: closed, in use, and standing ready.";
    page.gauge("halyard_store_segments", help, numbers.segments);
    page.counter("halyard_store_folds", "Times that closed segments were folded.", numbers.folds);
    let name = "halyard_store_fold_seconds_total";
    page.family(name, "counter", "Time that folding took, its rests included.");
    page.sample(name, "", format_args!("{:.3}", numbers.folding.as_secs_f64()));
    let help = "Bytes kept free on the disk for folding, should it become full.";
    page.gauge("halyard_store_reserve_bytes", help, numbers.reserve_bytes);
    let help = "1 while the disk of the store is full and what is new is refused.";
    page.gauge("halyard_store_full", help, driver.store_full.into());
    let help = "Time until records handed to the store were durable.";
    page.histogram("halyard_commit_seconds", help, &driver.commit);
}

fn listeners(page: &mut Page, driver: &DriverStats, whole: &Whole) {
    let labels: Vec<String> = (0..)
        .zip(&whole.listeners)
        .map(|(index, name)| format!("listener=\"{index}\",place={name:?}"))
        .collect();
    let rows = || labels.iter().zip(&driver.listeners);
    let name = "halyard_listener_connections_open";
    page.family(name, "gauge", "Connections open now, by listener.");
    rows().for_each(|(labels, row)| page.sample(name, &format!("{{{labels}}}"), row.open));
    let name = "halyard_listener_connections_total";
    page.family(name, "counter", "Connections accepted, by listener.");
    rows().for_each(|(labels, row)| page.sample(name, &format!("{{{labels}}}"), row.accepted));
    let name = "halyard_listener_received_bytes_total";
    page.family(name, "counter", "Bytes read from sockets, by listener, whatever they mean.");
    rows()
        .for_each(|(labels, row)| page.sample(name, &format!("{{{labels}}}"), row.received_bytes));
    let name = "halyard_listener_sent_bytes_total";
    page.family(name, "counter", "Bytes of MQTT written to sockets, by listener.");
    rows().for_each(|(labels, row)| page.sample(name, &format!("{{{labels}}}"), row.sent_bytes));
    let name = "halyard_listener_denied_total";
    page.family(name, "counter", "Connections denied, by listener and option.");
    for (labels, row) in rows() {
        for (option, count) in &row.denied {
            page.sample(name, &format!("{{{labels},option=\"{option}\"}}"), *count);
        }
    }
    let name = "halyard_listener_certificate_expires_seconds";
    page.family(name, "gauge", "When the listener's certificate ends, in seconds since 1970.");
    for (labels, end) in labels.iter().zip(&whole.certificate_ends) {
        if let Some(end) = end {
            page.sample(name, &format!("{{{labels}}}"), end);
        }
    }
}

/// Under the names that Prometheus' own clients use.
fn machine(page: &mut Page) {
    let Some(usage) = process::usage() else { return };
    let help = "Resident memory of the process.";
    page.gauge("process_resident_memory_bytes", help, usage.resident_bytes);
    page.family("process_cpu_seconds_total", "counter", "Processor time of the process.");
    page.sample("process_cpu_seconds_total", "", format_args!("{:.2}", usage.cpu_seconds));
}

/// The text so far.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let name = format!("{name}_total");
        self.family(&name, "counter", help);
        self.sample(&name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        for (bound, count) in histogram.buckets() {
            self.sample(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), count);
        }
        self.sample(&format!("{name}_sum"), "", histogram.sum());
        self.sample(&format!("{name}_count"), "", histogram.count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_a_type_and_a_number() {
        let stats = Stats { publish_sent_qos1: 7, ..Stats::default() };
        let mut driver = DriverStats::new(1);
        driver.listener(0).denied.insert("max_connections", 3);
        driver.handle.record(20);
        let sample = Sample { stats, driver, sockets: 2 };
        let mut sum = sample.clone();
        sum.add(&sample);
        let whole = Whole { listeners: vec!["port \"1\"".into()], ..Whole::default() };
        let text = render(&sum, &whole);
        for line in [
            "halyard_publish_sent_total{qos=\"1\"} 14",
            "halyard_dropped_messages_total{cause=\"queue_full\"} 0",
            "halyard_handle_seconds_bucket{le=\"0.000025\"} 2",
            "halyard_handle_seconds_sum 0.00004",
            "halyard_listener_denied_total{listener=\"0\",place=\"port \\\"1\\\"\",\
             option=\"max_connections\"} 6",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let name = name.split('{').next().unwrap();
            let histogram =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family = histogram.filter(|f| text.contains(&format!("# TYPE {f} histogram")));
            let family = family.unwrap_or(name);
            assert_eq!(text.matches(&format!("# TYPE {family} ")).count(), 1, "{family}");
        }
    }
}
