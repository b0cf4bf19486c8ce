//! `$SYS` topics, under the names that dashboards and exporters of Mosquitto read: retained,
//! published every `sys_interval` seconds where a value changed. One shard publishes for all: the
//! others tell it their numbers by link, and it sums what it has heard.

use super::{Broker, Outlet, Stats, TimerKey};
use crate::engine::ShardId;
use crate::message::Message;
use crate::packet::QoS;
use crate::state::{Opaque, state};
use crate::time::{Instant, WallClock};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What `$SYS` remembers between two rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Sys {
    /// When the next round is due.
    due: Option<Instant>,
    /// The round before this one, for the averages.
    last: Option<Instant>,
    /// Values as published, so that only changes go out.
    published: BTreeMap<Box<str>, Box<str>>,
    /// Totals at the last round and averages of 1, 5 and 15 minutes, in thousandths a minute.
    loads: BTreeMap<Box<str>, Load>,
    heap_maximum: u64,
    /// The round that is under way.
    census: Option<Census>,
    /// What the other shards last told.
    reports: BTreeMap<ShardId, Box<Report>>,
}

state!(Sys { due, last, published, loads, heap_maximum, census, reports });

/// The shard that publishes.
const PUBLISHER: ShardId = ShardId(0);

/// Sessions that are looked at in one turn of a round.
const CENSUS_SESSIONS: u32 = 1000;

/// A round under way: what the sessions hold is summed some of them a turn, so that a round stalls
/// nobody however many they are.
#[derive(Clone, Debug, Default)]
struct Census {
    /// The slot to go on at.
    next: u32,
    sum: Held,
}

state!(Census { next, sum });

/// What sessions hold.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    footprint: u64,
    queued: u64,
    queued_bytes: u64,
}

state!(Held { footprint, queued, queued_bytes });

/// The numbers of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    stats: Stats,
}

state!(Report { stats });

impl Report {
    fn add(&mut self, other: &Self) {
        self.stats.join(&other.stats);
    }
}

#[derive(Clone, Debug, Default)]
struct Load {
    total: u64,
    averages: Vec<u64>,
}

state!(Load { total, averages });

/// Minutes of the load averages.
const WINDOWS: [u64; 3] = [1, 5, 15];

impl Broker {
    /// Arms or disarms the timer as `sys_interval` says.
    pub(super) fn arm_sys(&mut self, now: Instant) {
        if let Some(at) = self.sys.due.take() {
            self.timers.disarm(at, TimerKey::Sys);
        }
        let interval = self.config.broker.sys_interval_secs;
        if interval > 0 {
            // The first round at once, the others where the wall clock shows a multiple of the
            // interval: so they do not drift, and brokers publish together.
            let due = match self.sys.last {
                None => now,
                Some(_) => now.plus_millis(until_multiple(self.wall, u64::from(interval) * 1000)),
            };
            self.sys.due = Some(due);
            self.timers.arm(due, TimerKey::Sys);
        }
    }

    /// Somebody asks for numbers, and no rounds bring up to date what sessions hold: that is summed
    /// now, without publishing anything, some sessions a turn as in a round.
    pub(crate) fn count_held(&mut self, now: Instant, outlet: &mut impl Outlet) {
        if self.config.broker.sys_interval_secs == 0 && self.sys.census.is_none() {
            self.sys.census = Some(Census::default());
            self.go_on_with_sys(now, outlet);
        }
    }

    /// A round begins.
    pub(super) fn publish_sys(&mut self, now: Instant, outlet: &mut impl Outlet) {
        self.sys.due = None;
        self.sys.census = Some(Census::default());
        self.go_on_with_sys(now, outlet);
    }

    /// Whether a round is under way.
    pub(super) const fn owes_sys(&self) -> bool {
        self.sys.census.is_some()
    }

    /// Looks at the next sessions; with the last of them the round ends.
    pub(super) fn go_on_with_sys(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let Some(mut census) = self.sys.census.take() else { return };
        let end = self.sessions.slots().min(census.next.saturating_add(CENSUS_SESSIONS));
        for session in (census.next..end).filter_map(|slot| self.sessions.get(slot)) {
            census.sum.footprint += session.footprint();
            census.sum.queued += (session.queue.len() + session.outgoing.len()) as u64;
            census.sum.queued_bytes += session.queue.bytes() + session.outgoing.bytes();
        }
        census.next = end;
        if end < self.sessions.slots() {
            self.sys.census = Some(census);
            return;
        }
        self.stats.queued = census.sum.queued;
        self.stats.queued_bytes = census.sum.queued_bytes;
        self.stats.memory_bytes = census.sum.footprint + self.shared_footprint();
        if self.config.broker.sys_interval_secs > 0 {
            self.end_sys(now, outlet);
        }
    }

    fn end_sys(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let own = Report { stats: self.stats.clone() };
        if self.config.shard != PUBLISHER {
            self.tell_numbers(PUBLISHER, own, outlet);
            self.sys.last = Some(now);
            return self.arm_sys(now);
        }
        let mut sum = own;
        self.sys.reports.values().for_each(|report| sum.add(report));
        self.update_loads(now, &sum.stats);
        self.sys.last = Some(now);
        let values = self.sys_values(now, &sum.stats);
        for (name, value) in values {
            let topic = ["$SYS/broker/", &name].concat();
            if self.sys.published.get(&*topic).is_some_and(|old| **old == *value) {
                continue;
            }
            self.sys.published.insert(topic.clone().into(), value.clone().into());
            let message = Message {
                number: self.message_number(),
                topic: topic.into(),
                payload: Opaque(value.into_bytes().into()),
                qos: QoS::AtMostOnce,
                retain: true,
                received: now,
                properties: None,
                origin: None,
            };
            self.publish_message(now, Arc::new(message), None, outlet);
        }
        self.arm_sys(now);
    }

    /// Another shard told its numbers.
    pub(super) fn heard_numbers(&mut self, peer: ShardId, report: Box<Report>) {
        self.sys.reports.insert(peer, report);
    }

    fn sys_values(&mut self, now: Instant, s: &Stats) -> Vec<(String, String)> {
        self.sys.heap_maximum = self.sys.heap_maximum.max(s.memory_bytes);
        let uptime = now.since(self.started).as_secs();
        let disconnected = s.clients_total - s.clients_connected;
        let mut values: Vec<(String, String)> = vec![
            ("version".into(), concat!("halyard version ", env!("CARGO_PKG_VERSION")).into()),
            ("uptime".into(), format!("{uptime} seconds")),
        ];
        let numbers = [
            ("clients/connected", s.clients_connected),
            ("clients/active", s.clients_connected),
            ("clients/disconnected", disconnected),
            ("clients/inactive", disconnected),
            ("clients/total", s.clients_total),
            ("clients/maximum", s.clients_maximum),
            ("clients/expired", s.clients_expired),
            ("messages/received", s.packets_received),
            ("messages/sent", s.packets_sent),
            ("messages/stored", s.retained + s.queued),
            ("store/messages/count", s.retained + s.queued),
            ("store/messages/bytes", s.retained_bytes + s.queued_bytes),
            ("bytes/received", s.bytes_received),
            ("bytes/sent", s.bytes_sent),
            ("publish/messages/received", s.publish_received()),
            ("publish/messages/sent", s.publish_sent()),
            ("publish/messages/dropped", s.drops.total()),
            ("publish/bytes/received", s.publish_received_bytes()),
            ("publish/bytes/sent", s.publish_sent_bytes()),
            ("retained messages/count", s.retained),
            ("subscriptions/count", s.subscriptions),
            ("shared_subscriptions/count", s.shared_subscriptions),
            ("heap/current", s.memory_bytes),
            ("heap/maximum", self.sys.heap_maximum),
            ("connections/socket/count", s.connections_open),
        ];
        values.extend(numbers.iter().map(|(name, value)| ((*name).into(), value.to_string())));
        for (name, load) in &self.sys.loads {
            for (minutes, average) in WINDOWS.iter().zip(&load.averages) {
                let text = format!("{}.{:02}", average / 1000, average % 1000 / 10);
                values.push((format!("load/{name}/{minutes}min"), text));
            }
        }
        values
    }

    /// Exponential averages, per minute, in integers so that every machine gets the same.
    fn update_loads(&mut self, now: Instant, s: &Stats) {
        let totals = [
            ("messages/received", s.packets_received),
            ("messages/sent", s.packets_sent),
            ("publish/received", s.publish_received()),
            ("publish/sent", s.publish_sent()),
            ("publish/dropped", s.drops.total()),
            ("bytes/received", s.bytes_received),
            ("bytes/sent", s.bytes_sent),
            ("sockets", s.connections_opened),
            ("connections", s.connects_accepted),
        ];
        let elapsed = self.sys.last.map_or(0, |last| now.since(last).as_secs());
        for (name, total) in totals {
            let load = self.sys.loads.entry(name.into()).or_default();
            if load.averages.is_empty() {
                load.averages = vec![0; WINDOWS.len()];
            }
            let grown = total.saturating_sub(load.total).saturating_mul(60_000);
            if let Some(per_minute) = grown.checked_div(elapsed) {
                for (average, minutes) in load.averages.iter_mut().zip(WINDOWS) {
                    *average = decay(*average, per_minute, elapsed, minutes * 60);
                }
            }
            load.total = total;
        }
    }
}

/// Milliseconds from `wall` to a multiple of `interval`: the next one that is half an interval away
/// at least, as the wall clock need not agree with the timer to the millisecond.
const fn until_multiple(wall: WallClock, interval: u64) -> u64 {
    let next = interval - wall.0 % interval;
    if next * 2 < interval { next + interval } else { next }
}

/// `average` moved towards `value` by a time of `elapsed` with the time constant `window`, both in
/// seconds: e^-x as 1 / (1 + x + x²/2 + x³/6), in millionths.
fn decay(average: u64, value: u64, elapsed: u64, window: u64) -> u64 {
    const ONE: u128 = 1_000_000;
    let x = (u128::from(elapsed) * ONE / u128::from(window)).min(40 * ONE);
    let series = ONE + x + x * x / (2 * ONE) + x * x * x / (6 * ONE * ONE);
    let keep = ONE * ONE / series;
    let mixed = (u128::from(average) * keep + u128::from(value) * (ONE - keep)) / ONE;
    u64::try_from(mixed).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{WallClock, decay, until_multiple};

    #[test]
    fn rounds_are_where_the_wall_clock_shows_a_multiple_of_the_interval() {
        for (wall, expected) in
            [(0, 10_000), (10_000, 10_000), (10_003, 9_997), (14_999, 5_001), (15_001, 14_999)]
        {
            assert_eq!(until_multiple(WallClock(wall), 10_000), expected, "{wall}");
        }
        // A timer that fired a little before the multiple makes no second round of it.
        assert_eq!(until_multiple(WallClock(19_999), 10_000), 10_001);
        assert_eq!(until_multiple(WallClock(5_000), 1_000), 1_000);
    }

    #[test]
    fn an_average_approaches_its_value() {
        let mut average = 0;
        for _ in 0..60 {
            average = decay(average, 60_000, 10, 60);
        }
        assert!((59_000..=60_000).contains(&average), "{average}");
        assert_eq!(decay(100, 100, 10, 60), 100);
    }
}
