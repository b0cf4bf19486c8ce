//! Questions that come over HTTP and that all shards answer: each gets the question as mail, and
//! when the last has answered, the shard that was asked writes the response. Nothing here waits; a
//! question is a few numbers in a map until its answers are there.

use super::conn::Stage;
use super::mailbox::Mail;
use super::shard::Shard;
use crate::metrics;
use crate::metrics::Sample;
use crate::metrics::Whole;
use crate::settings;
use halyard_core::engine::ConnectionId;
use halyard_core::engine::ShardId;
use halyard_core::time::Instant;
use std::collections::BTreeMap;

/// How long the shards may take before the connection is closed without an answer.
const ANSWER_SECS: u64 = 10;

/// What every shard is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Its numbers.
    Metrics,
}

/// What a shard answers.
#[derive(Debug)]
pub(super) enum Told {
    /// Its numbers.
    Metrics(Box<Sample>),
}

/// A question with the connection that wants to know.
#[derive(Debug)]
struct Job {
    conn: ConnectionId,
    head_only: bool,
    /// Shards that have not answered.
    missing: usize,
    answers: BTreeMap<ShardId, Told>,
}

/// The questions of one shard that wait for answers.
#[derive(Debug, Default)]
pub(super) struct Asks {
    last: u64,
    jobs: BTreeMap<u64, Job>,
}

impl Shard {
    /// Asks all shards; the answer goes to `conn`.
    pub(super) fn ask(&mut self, now: Instant, conn: ConnectionId, ask: &Ask, head_only: bool) {
        self.asks.last += 1;
        let request = self.asks.last;
        for mailbox in self.shards.iter() {
            mailbox.put(Mail::Ask { from: self.number, request, ask: ask.clone() });
        }
        let missing = self.shards.len();
        let job = Job { conn, head_only, missing, answers: BTreeMap::new() };
        self.asks.jobs.insert(request, job);
        self.table.set_deadline(conn, Some(now.plus_secs(ANSWER_SECS)));
    }

    /// Answers a question of a shard.
    pub(super) fn asked(&mut self, from: ShardId, request: u64, ask: Ask) {
        let told = match ask {
            Ask::Metrics => Told::Metrics(Box::new(self.sample())),
        };
        if let Some(mailbox) = self.shards.get(usize::from(from.0)) {
            mailbox.put(Mail::Told { from: self.number, request, told });
        }
    }

    /// A shard has answered; the last answer brings the response.
    pub(super) fn told(&mut self, now: Instant, from: ShardId, request: u64, told: Told) {
        let Some(job) = self.asks.jobs.get_mut(&request) else { return };
        if job.answers.insert(from, told).is_none() {
            job.missing -= 1;
        }
        if job.missing > 0 {
            return;
        }
        let Some(job) = self.asks.jobs.remove(&request) else { return };
        let id = job.conn;
        let page = self.metrics_page(now, job.answers);
        let Some(conn) = self.table.get(id) else { return };
        if matches!(conn.stage, Stage::Asking) {
            super::intake::respond(conn, metrics::CONTENT_TYPE, &page, job.head_only);
            self.drain(now, id);
        }
    }

    fn metrics_page(&self, now: Instant, answers: BTreeMap<ShardId, Told>) -> String {
        let mut sum = Sample::default();
        for Told::Metrics(sample) in answers.into_values() {
            sum.add(&sample);
        }
        let whole = Whole {
            uptime_secs: now.0 / 1_000_000,
            listeners: self.settings.config.listeners.iter().map(settings::written).collect(),
            log_lines_lost: self.log.lost(),
        };
        metrics::render(&sum, &whole)
    }

    /// The numbers of this shard.
    fn sample(&mut self) -> Sample {
        let mut driver = self.driver.clone();
        for row in &mut driver.listeners {
            row.open = 0;
        }
        for listener in self.table.listeners() {
            driver.listener(listener).open += 1;
        }
        self.acceptors.add_denied(&mut driver);
        Sample { stats: self.engine.stats(), driver, sockets: self.table.len() as u64 }
    }
}
