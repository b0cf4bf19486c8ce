//! Results of a benchmark, as text and as JSON: each round, and medians over the rounds.

use super::check::Counts;
use super::options::{Options, Scenario};
use serde_json::{Value, json};
use std::fmt::Write;

/// One round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// Whether it came to its end.
    pub(super) complete: bool,
    pub(super) sent: u64,
    pub(super) counts: Counts,
    /// Nanoseconds.
    pub(super) elapsed: u64,
    /// p50, p99 and maximum, nanoseconds.
    pub(super) latency: Option<[u64; 3]>,
    /// The same of acknowledgements, in `rate` with QoS 1 or 2.
    pub(super) acknowledgement: Option<[u64; 3]>,
    /// CPU time of the broker, nanoseconds.
    pub(super) cpu: Option<u64>,
    /// Resident memory of the broker afterwards, bytes.
    pub(super) resident: Option<u64>,
    pub(super) idle: Option<Idle>,
}

/// What `idle` measures beside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) connections: u64,
    pub(super) bytes_per_connection: Option<u64>,
    pub(super) silent_nanos_per_second: Option<f64>,
}

/// The figures of a round, or of all: name, value, decimals.
type Figures = Vec<(&'static str, f64, usize)>;

impl Round {
    /// Whether every message arrived once and in order.
    pub(super) const fn is_clean(&self) -> bool {
        self.complete && self.counts.is_clean()
    }

    fn figures(&self) -> Figures {
        let per = |count: u64, nanos: u64| count as f64 * 1e9 / nanos.max(1) as f64;
        let mut figures = Vec::new();
        let done = self.idle.map_or(self.counts.delivered, |idle| idle.connections);
        let (rate, per_cpu) = match self.idle {
            Some(_) => ("connects_per_second", "connects_per_cpu_second"),
            None => ("messages_per_second", "messages_per_cpu_second"),
        };
        figures.push((rate, per(done, self.elapsed), 0));
        if let Some(cpu) = self.cpu {
            figures.push((per_cpu, per(done, cpu), 0));
            figures.push(("broker_cpu_seconds", cpu as f64 / 1e9, 4));
        }
        if let Some(latency) = self.latency {
            for (name, nanos) in ["p50_us", "p99_us", "max_us"].into_iter().zip(latency) {
                figures.push((name, nanos as f64 / 1e3, 1));
            }
        }
        if let Some(latency) = self.acknowledgement {
            for (name, nanos) in ["ack_p50_us", "ack_p99_us", "ack_max_us"].into_iter().zip(latency)
            {
                figures.push((name, nanos as f64 / 1e3, 1));
            }
        }
        if let Some(bytes) = self.resident {
            figures.push(("broker_resident_kib", bytes as f64 / 1024.0, 0));
        }
        if let Some(idle) = self.idle {
            if let Some(bytes) = idle.bytes_per_connection {
                figures.push(("bytes_per_connection", bytes as f64, 0));
            }
            if let Some(nanos) = idle.silent_nanos_per_second {
                figures.push(("silent_cpu_ms_per_second", nanos / 1e6, 3));
            }
        }
        figures
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "complete": self.complete,
            "seconds": self.elapsed as f64 / 1e9,
        });
        if self.idle.is_none() {
            value["sent"] = json!(self.sent);
            value["delivered"] = json!(self.counts.delivered);
            value["lost"] = json!(self.counts.lost);
            value["duplicated"] = json!(self.counts.duplicated);
            value["reordered"] = json!(self.counts.reordered);
            value["strange"] = json!(self.counts.strange);
        }
        for (name, number, _) in self.figures() {
            value[name] = json!(number);
        }
        value
    }
}

/// Medians of all figures that every round has.
fn medians(rounds: &[Round]) -> Figures {
    let all: Vec<Figures> = rounds.iter().map(Round::figures).collect();
    let Some(first) = all.first() else { return Vec::new() };
    first
        .iter()
        .map(|(name, _, decimals)| {
            let of_name =
                |figures: &Figures| figures.iter().find(|one| one.0 == *name).map(|one| one.1);
            let mut values: Vec<f64> = all.iter().filter_map(of_name).collect();
            values.sort_by(f64::total_cmp);
            (*name, values[values.len() / 2], *decimals)
        })
        .collect()
}

fn title(options: &Options) -> String {
    let over = if options.ws { "WebSocket" } else { "TCP" };
    let what = match options.scenario {
        Scenario::Pairs => format!("{} pairs, window {}", options.pairs, options.window),
        Scenario::Fanout => format!("1 to {}, window {}", options.subscribers, options.window),
        Scenario::Rate => format!("{} messages/s over {} pairs", options.rate, options.pairs),
        Scenario::Idle => format!("{} connections", options.connections),
    };
    let messages = match options.scenario {
        Scenario::Idle => String::new(),
        _ => format!(", QoS {}, {} bytes", options.qos, options.payload),
    };
    format!("{}: {what}{messages}, MQTT {}, {over}", options.scenario.name(), options.version)
}

/// The report as JSON.
pub(super) fn json(options: &Options, rounds: &[Round]) -> String {
    let mut median = json!({});
    for (name, number, _) in medians(rounds) {
        median[name] = json!(number);
    }
    let report = json!({
        "scenario": options.scenario.name(),
        "title": title(options),
        "clean": rounds.iter().all(Round::is_clean),
        "rounds": rounds.iter().map(Round::json).collect::<Vec<_>>(),
        "median": median,
    });
    format!("{report:#}\n")
}

/// The report as text.
pub(super) fn text(options: &Options, rounds: &[Round]) -> String {
    let mut text = format!("{}\n", title(options));
    for (index, round) in rounds.iter().enumerate() {
        if !round.is_clean() {
            let Counts { delivered, lost, duplicated, reordered, strange } = round.counts;
            let end = if round.complete { "" } else { "; did not come to its end" };
            _ = writeln!(
                text,
                "  round {}: FAULTY: {} sent, {delivered} delivered, {lost} lost, \
                 {duplicated} duplicated, {reordered} reordered, {strange} strange{end}",
                index + 1,
                round.sent,
            );
        }
    }
    if rounds.len() > 1 {
        _ = writeln!(text, "  medians of {} rounds", rounds.len());
    }
    if let [round] = rounds
        && round.idle.is_none()
    {
        let (sent, delivered) = (round.sent, round.counts.delivered);
        _ = writeln!(text, "  {:<26} {sent:>14}\n  {:<26} {delivered:>14}", "sent", "delivered");
    }
    for (name, value, decimals) in medians(rounds) {
        _ = writeln!(text, "  {:<26} {value:>14.decimals$}", name.replace('_', " "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_round() {
        let round = |delivered| Round {
            complete: true,
            elapsed: 1_000_000_000,
            counts: Counts { delivered, ..Counts::default() },
            ..Round::default()
        };
        let medians = medians(&[round(9), round(1), round(5)]);
        assert_eq!(medians, [("messages_per_second", 5.0, 0)]);
    }
}
