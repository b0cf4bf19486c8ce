//! Questions that come over HTTP and that all shards answer: each gets the question as mail, and
//! when the last has answered, the shard that was asked writes the response. Nothing here waits; a
//! question is a few numbers in a map until its answers are there.

use super::api;
use super::api::ApiError;
use super::api::Joined;
use super::api::Whom;
use super::conn::Stage;
use super::intake::respond_with;
use super::mailbox::Mail;
use super::shard::Shard;
use crate::metrics;
use crate::metrics::Sample;
use crate::metrics::Whole;
use crate::settings;
use crate::store::Inlet;
use halyard_core::engine::AdminCommand;
use halyard_core::engine::AdminReply;
use halyard_core::engine::ConnectionId;
use halyard_core::engine::Input;
use halyard_core::engine::ShardId;
use halyard_core::time::Instant;
use std::collections::BTreeMap;

/// How long the shards may take before the connection is closed without an answer.
const ANSWER_SECS: u64 = 10;

/// Where a question's number at the engine holds the shard that asks.
const SHARD_SHIFT: u32 = 48;

/// What every shard is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Its numbers.
    Metrics,
    /// To obey the administrator.
    Admin(AdminCommand),
}

/// What a shard answers.
#[derive(Debug)]
pub(super) enum Told {
    /// Its numbers.
    Metrics(Box<Sample>),
    /// What came of a command.
    Admin(Box<AdminReply>),
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
    /// Asks those shards; the answer goes to `conn`.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        conn: ConnectionId,
        ask: &Ask,
        whom: Whom,
        head_only: bool,
    ) {
        self.asks.last += 1;
        let request = self.asks.last;
        let whom = match whom {
            Whom::All => 0..self.shards.len(),
            Whom::Here => usize::from(self.number.0)..usize::from(self.number.0) + 1,
            Whom::One(shard) => usize::from(shard.0)..usize::from(shard.0) + 1,
        };
        let Some(asked) = self.shards.get(whom) else {
            let error = ApiError::new("400 Bad Request", "there is no such shard");
            return self.respond(now, conn, Err(error), head_only);
        };
        for mailbox in asked {
            mailbox.put(Mail::Ask { from: self.number, request, ask: ask.clone() });
        }
        let missing = asked.len();
        let job = Job { conn, head_only, missing, answers: BTreeMap::new() };
        self.asks.jobs.insert(request, job);
        self.table.set_deadline(conn, Some(now.plus_secs(ANSWER_SECS)));
    }

    /// Answers a question of a shard.
    pub(super) fn asked(&mut self, now: Instant, from: ShardId, request: u64, ask: Ask) {
        let told = match ask {
            Ask::Metrics => {
                self.count(now);
                Told::Metrics(Box::new(self.sample()))
            }
            Ask::Admin(command) => {
                let request = u64::from(from.0) << SHARD_SHIFT | request;
                let input = Input::Admin { request, command };
                return self.engine.handle(now, input, &mut self.effects);
            }
        };
        if let Some(mailbox) = self.shards.get(usize::from(from.0)) {
            mailbox.put(Mail::Told { from: self.number, request, told });
        }
    }

    /// The engine has answered a question of some shard; nobody waits for the answer to 0.
    pub(super) fn answered(&self, request: u64, reply: AdminReply) {
        let (shard, request) = (request >> SHARD_SHIFT, request & ((1 << SHARD_SHIFT) - 1));
        if request > 0
            && let Some(mailbox) = usize::try_from(shard).ok().and_then(|at| self.shards.get(at))
        {
            let told = Told::Admin(Box::new(reply));
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
        let (mut sum, mut replies) = (None::<Sample>, BTreeMap::new());
        for (shard, told) in job.answers {
            match told {
                Told::Metrics(sample) => sum.get_or_insert_default().add(&sample),
                Told::Admin(reply) => {
                    replies.insert(shard, *reply);
                }
            }
        }
        match sum {
            Some(sum) => self.respond_metrics(now, job.conn, &sum, job.head_only),
            None => {
                let joined = api::join(replies, self.shards.len());
                self.respond(now, job.conn, joined, job.head_only);
            }
        }
    }

    fn respond(&mut self, now: Instant, id: ConnectionId, joined: Joined, head_only: bool) {
        const JSON: &str = "application/json";
        let Some(conn) = self.table.get(id) else { return };
        if !matches!(conn.stage, Stage::Asking) {
            return;
        }
        match joined {
            Ok(body) => respond_with(conn, "200 OK", JSON, &body, head_only),
            Err(error) => respond_with(conn, error.status, JSON, &error.body(), head_only),
        }
        self.drain(now, id);
    }

    fn respond_metrics(&mut self, now: Instant, id: ConnectionId, sum: &Sample, head_only: bool) {
        let whole = Whole {
            now,
            store: self.store.as_ref().map(Inlet::numbers).unwrap_or_default(),
            listeners: self.settings.config.listeners.iter().map(settings::written).collect(),
            certificate_ends: self.settings.certificate_ends(),
            memory_limit: self.settings.config.broker.memory_limit,
            log_lines_lost: self.log.lost(),
            passwords_hashed: self.auth.hashed(),
        };
        let page = metrics::render(sum, &whole);
        let Some(conn) = self.table.get(id) else { return };
        if matches!(conn.stage, Stage::Asking) {
            respond_with(conn, "200 OK", metrics::CONTENT_TYPE, &page, head_only);
            self.drain(now, id);
        }
    }

    /// Where no rounds of `$SYS` do so, brings up to date what sessions hold.
    fn count(&mut self, now: Instant) {
        if self.settings.config.broker.sys_interval_secs == 0 {
            let input = Input::Admin { request: 0, command: AdminCommand::Stats };
            self.engine.handle(now, input, &mut self.effects);
        }
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
