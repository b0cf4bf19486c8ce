//! `/metrics`: the counters as Prometheus reads them (text format 0.0.4), summed over shards. Only
//! numbers that are counted; nothing is estimated.

use halyard_core::engine::Stats;
use std::fmt::Write as _;

/// The type that the response must say.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page.
pub(crate) fn render(stats: &Stats, uptime_secs: u64, open_sockets: usize) -> String {
    let mut page = Page(String::with_capacity(8 * 1024));
    let version = env!("CARGO_PKG_VERSION");
    page.family("halyard_info", "gauge", "The version that runs.");
    page.sample("halyard_info", &format!("{{version=\"{version}\"}}"), 1);
    page.gauge("halyard_uptime_seconds", "Seconds since the start.", uptime_secs);
    page.gauge("halyard_sockets_open", "Open sockets, HTTP included.", open_sockets as u64);
    traffic(&mut page, stats);
    connections(&mut page, stats);
    state(&mut page, stats);
    drops(&mut page, stats);
    page.0
}

fn traffic(page: &mut Page, s: &Stats) {
    page.counter("halyard_received_bytes", "Bytes of MQTT received.", s.bytes_received);
    page.counter("halyard_sent_bytes", "Bytes of MQTT sent.", s.bytes_sent);
    page.counter("halyard_received_packets", "Packets received.", s.packets_received);
    page.counter("halyard_sent_packets", "Packets sent.", s.packets_sent);
    page.by_qos(
        "halyard_received_messages",
        "PUBLISH packets received.",
        [s.publish_received_qos0, s.publish_received_qos1, s.publish_received_qos2],
    );
    page.by_qos(
        "halyard_sent_messages",
        "PUBLISH packets sent.",
        [s.publish_sent_qos0, s.publish_sent_qos1, s.publish_sent_qos2],
    );
    let (received, sent) = (s.publish_bytes_received, s.publish_bytes_sent);
    page.counter("halyard_received_payload_bytes", "Payload bytes received.", received);
    page.counter("halyard_sent_payload_bytes", "Payload bytes sent.", sent);
}

fn connections(page: &mut Page, s: &Stats) {
    page.counter("halyard_connections_opened", "Connections accepted.", s.connections_opened);
    page.gauge("halyard_connections_open", "MQTT connections open now.", s.connections_open);
    page.counter("halyard_connects_accepted", "CONNECT packets accepted.", s.connects_accepted);
    page.counter("halyard_connects_refused", "CONNECT packets refused.", s.connects_refused);
    let help = "Connections closed for malformed packets or breaches of the protocol.";
    page.counter("halyard_protocol_errors", help, s.protocol_errors);
    let help = "Connections closed by Keep Alive.";
    page.counter("halyard_keep_alive_timeouts", help, s.keep_alive_timeouts);
    let help = "Connections closed because a packet did not come in time.";
    page.counter("halyard_slow_closed", help, s.slow_closed);
    page.counter("halyard_takeovers", "Sessions taken over.", s.takeovers);
    let help = "Acknowledgements of Packet Identifiers that are not in use.";
    page.counter("halyard_unknown_acks", help, s.unknown_acks);
}

fn state(page: &mut Page, s: &Stats) {
    page.gauge("halyard_clients_connected", "Clients connected now.", s.clients_connected);
    page.gauge("halyard_clients", "Sessions, with a connection or not.", s.clients_total);
    page.gauge("halyard_clients_maximum", "Most clients connected at once.", s.clients_maximum);
    page.counter("halyard_clients_expired", "Sessions that expired.", s.clients_expired);
    page.gauge("halyard_subscriptions", "Subscriptions.", s.subscriptions);
    page.gauge("halyard_shared_subscriptions", "Shared subscriptions.", s.shared_subscriptions);
    let help = "Topic Filters refused.";
    page.counter("halyard_subscriptions_refused", help, s.subscriptions_refused);
    page.gauge("halyard_retained_messages", "Retained messages.", s.retained);
    page.gauge("halyard_retained_bytes", "Bytes of retained messages.", s.retained_bytes);
    page.gauge("halyard_queued_messages", "Messages queued and in flight.", s.queued);
    page.counter("halyard_wills_published", "Will Messages published.", s.wills_published);
}

fn drops(page: &mut Page, s: &Stats) {
    let drops = &s.drops;
    let causes = [
        ("queue_full", drops.queue_full),
        ("offline", drops.offline),
        ("slow_consumer", drops.slow_consumer),
        ("too_large", drops.too_large),
        ("expired", drops.expired),
        ("forbidden", drops.forbidden),
        ("over_size_limit", drops.over_size_limit),
        ("retained_quota", drops.retained_quota),
        ("session_ended", drops.session_ended),
        ("refused", drops.refused),
    ];
    page.family("halyard_dropped_messages_total", "counter", "Messages dropped, by cause.");
    for (cause, count) in causes {
        page.sample("halyard_dropped_messages_total", &format!("{{cause=\"{cause}\"}}"), count);
    }
}

/// The text so far.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: u64) {
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

    fn by_qos(&mut self, name: &str, help: &str, values: [u64; 3]) {
        let name = format!("{name}_total");
        self.family(&name, "counter", help);
        for (value, qos) in values.into_iter().zip(0..) {
            self.sample(&name, &format!("{{qos=\"{qos}\"}}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_a_type_and_a_number() {
        let stats = Stats { publish_sent_qos1: 7, ..Stats::default() };
        let text = render(&stats, 3, 2);
        assert!(text.contains("halyard_sent_messages_total{qos=\"1\"} 7\n"), "{text}");
        assert!(text.contains("\nhalyard_dropped_messages_total{cause=\"queue_full\"} 0\n"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            value.parse::<u64>().unwrap();
            let family = name.split('{').next().unwrap();
            assert_eq!(text.matches(&format!("# TYPE {family} ")).count(), 1, "{family}");
        }
    }
}
