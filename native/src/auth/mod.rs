//! Answers the question who a client is. A password that was right before is known again by a keyed
//! hash, at once; any other one is hashed by threads of their own, few and of low priority, behind a
//! queue that has an end; who fails too often waits. Never stops a shard, never keeps or logs a
//! password, and takes as long for a user who does not exist as for one who does.

mod der;
mod failures;
mod files;
pub(crate) mod hash;
mod pool;
mod recent;
pub(crate) mod scram;
mod token;

use crate::clock::Clock;
use failures::Failures;
pub(crate) use files::load_users;
use halyard_core::auth::Authority;
use halyard_core::auth::Credential;
use halyard_core::auth::Denial;
use halyard_core::auth::Grant;
use halyard_core::auth::PasswordHash;
use halyard_core::auth::Question;
use halyard_core::auth::SCRAM_SHA_256;
use halyard_core::auth::Secret;
use halyard_core::auth::TokenRules;
use halyard_core::auth::Verdict;
use halyard_core::conf::AuthConfig;
use halyard_core::engine::AuthRequest;
use halyard_core::engine::ConnectionId;
use halyard_core::time::Instant;
use pool::Pool;
use recent::Recent;
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// An answer for the shard that asked.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) conn: ConnectionId,
    pub(crate) request: u32,
    pub(crate) verdict: Verdict,
}

/// How an answer that takes its time reaches the shard that asked.
pub(crate) type Reply = Arc<dyn Fn(Answer) + Send + Sync>;

/// Stands for a user, a line and a password together.
type Key = [u8; 32];

/// Answers for all shards of a process.
pub(crate) struct Authenticator {
    key: hmac::Key,
    state: Mutex<State>,
    pool: Pool<Job>,
}

struct State {
    right: Recent<Key, Arc<Grant>>,
    failures: Failures,
    /// Who waits for the hash of the same user and password.
    waiting: BTreeMap<Key, Vec<Waiter>>,
}

/// A password to be verified.
struct Job {
    key: Key,
    password: Secret,
    task: Task,
}

/// How.
enum Task {
    /// By its hash.
    Hash { hash: PasswordHash, grant: Arc<Grant> },
    /// By another's hash, for the sake of the time it takes: it is wrong in any case.
    Waste(PasswordHash),
    /// As a token.
    Token { rules: Arc<TokenRules>, name: Option<Box<str>> },
}

/// A client whose password is being hashed.
struct Waiter {
    conn: ConnectionId,
    request: u32,
    origin: failures::Origin,
    reply: Reply,
}

impl Authenticator {
    pub(crate) fn new(config: &AuthConfig, clock: Clock) -> io::Result<Arc<Self>> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let life = Duration::from_secs(config.cache_secs.into());
        let entries = if config.cache_secs == 0 { 0 } else { config.cache_entries };
        let state = State {
            right: Recent::new(entries as usize, life),
            failures: Failures::new(config.failures_per_address, config.failures_per_user),
            waiting: BTreeMap::new(),
        };
        let pool = Pool::new(threads(config), config.queue as usize, clock);
        Ok(Arc::new(Self { key, state: Mutex::new(state), pool }))
    }

    /// The verdict, if there is one at once; otherwise it comes by `reply`, and until then nobody
    /// waits but the client itself.
    pub(crate) fn ask(
        self: &Arc<Self>,
        request: AuthRequest,
        now: Instant,
        reply: &Reply,
    ) -> Option<Verdict> {
        let AuthRequest { conn, request: number, peer, username, question, authority, .. } =
            request;
        let Question::Password(password) = question else {
            return Some(Verdict::Denied(Denial::Credentials));
        };
        let origin =
            failures::Origin::new(&self.key, &peer, username.as_deref().unwrap_or_default());
        let mut state = self.lock();
        if state.failures.is_user_over(origin, now) {
            return Some(Verdict::Denied(Denial::TooManyFailures));
        }
        let job = password.and_then(|password| self.job(username, password, &authority));
        let Some(job) = job else {
            state.failures.note(origin, now);
            return Some(Verdict::Denied(Denial::Credentials));
        };
        if let Some(grant) = state.right.touch(&job.key, now) {
            return Some(granted(&grant));
        }
        if state.failures.is_address_over(origin, now) {
            return Some(Verdict::Denied(Denial::TooManyFailures));
        }
        let waiter = Waiter { conn, request: number, origin, reply: Arc::clone(reply) };
        let key = job.key;
        if !state.waiting.contains_key(&key) {
            let own = Arc::clone(self);
            let is_taken = self.pool.put(job, move |job| own.verify(&job));
            if !is_taken {
                return Some(Verdict::Denied(Denial::Busy));
            }
        }
        state.waiting.entry(key).or_default().push(waiter);
        None
    }

    /// Answers the first message of an exchange, which goes on with what it gives.
    pub(crate) fn begin(
        &self,
        request: &AuthRequest,
        method: &str,
        first: &[u8],
        now: Instant,
    ) -> (Option<Box<scram::Server>>, Verdict) {
        let name = scram::name_of(first).unwrap_or_default();
        let origin = failures::Origin::new(&self.key, &request.peer, &name);
        if self.lock().failures.is_user_over(origin, now) {
            return (None, Verdict::Denied(Denial::TooManyFailures));
        }
        // A User Name besides is no other's.
        let is_one = request.username.as_deref().is_none_or(|own| own.is_empty() || own == name);
        let users = request.authority.users.as_ref().filter(|_| is_one && method == SCRAM_SHA_256);
        let nonce = scram::nonce();
        let begun = users
            .zip(nonce)
            .and_then(|(users, nonce)| scram::Server::begin(users, &self.key, first, &nonce));
        let Some((exchange, data)) = begun else {
            self.lock().failures.note(origin, now);
            return (None, Verdict::Denied(Denial::Credentials));
        };
        (Some(Box::new(exchange)), Verdict::Continue { data: data.into() })
    }

    /// Checks the proof that ends an exchange.
    pub(crate) fn end(
        &self,
        exchange: Option<Box<scram::Server>>,
        request: &AuthRequest,
        proof: &[u8],
        now: Instant,
    ) -> Verdict {
        let Some(exchange) = exchange else { return Verdict::Denied(Denial::Credentials) };
        let origin = failures::Origin::new(&self.key, &request.peer, exchange.name());
        match exchange.finish(proof) {
            Some((grant, last)) => Verdict::Granted { grant, data: last.into() },
            None => {
                self.lock().failures.note(origin, now);
                Verdict::Denied(Denial::Credentials)
            }
        }
    }

    /// What there is to verify; `None` if there is nothing to verify it by.
    fn job(&self, name: Option<Box<str>>, password: Secret, authority: &Authority) -> Option<Job> {
        if let Some(rules) = &authority.tokens
            && token::is_token(password.expose())
        {
            let mark = rules.keys.first().map_or(0, |key| key.fingerprint);
            let key = key(&self.key, name.as_deref().unwrap_or_default(), mark, &password);
            let task = Task::Token { rules: Arc::clone(rules), name };
            return Some(Job { key, password, task });
        }
        let (name, users) = (name.unwrap_or_default(), authority.users.as_ref()?);
        let Some(user) = users.get(&name) else {
            let number = failures::number(&self.key, name.as_bytes());
            let key = key(&self.key, &name, 0, &password);
            return Some(Job {
                key,
                password,
                task: Task::Waste(users.stand_in(number)?.hash.clone()),
            });
        };
        let key = key(&self.key, &name, user.fingerprint, &password);
        let credential = Credential::User(user.fingerprint);
        let grant = Arc::new(Grant {
            username: Some(name.into()),
            credential,
            expires: None,
            rights: None,
        });
        Some(Job { key, password, task: Task::Hash { hash: user.hash.clone(), grant } })
    }

    /// On a thread of the pool.
    fn verify(&self, job: &Job) {
        let password = job.password.expose();
        let grant = match &job.task {
            Task::Hash { hash, grant } => hash::verify(hash, password).then(|| Arc::clone(grant)),
            Task::Waste(hash) => {
                std::hint::black_box(hash::verify(hash, password));
                None
            }
            Task::Token { rules, name } => {
                token::verify(rules, name.as_deref(), password, Clock::wall()).map(Arc::new)
            }
        };
        let now = self.pool.now();
        let waiters = {
            let mut state = self.lock();
            let waiters = state.waiting.remove(&job.key).unwrap_or_default();
            match &grant {
                Some(grant) => state.right.put(job.key, Arc::clone(grant), now),
                None => waiters.iter().for_each(|waiter| state.failures.note(waiter.origin, now)),
            }
            waiters
        };
        for Waiter { conn, request, reply, .. } in waiters {
            let verdict = grant.as_ref().map_or(Verdict::Denied(Denial::Credentials), granted);
            reply(Answer { conn, request, verdict });
        }
    }

    /// Passwords that were hashed so far.
    pub(crate) fn hashed(&self) -> u64 {
        self.pool.done()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn granted(grant: &Arc<Grant>) -> Verdict {
    Verdict::Granted { grant: Arc::clone(grant), data: Box::default() }
}

fn threads(config: &AuthConfig) -> usize {
    let half = || std::thread::available_parallelism().map_or(1, |all| all.get() / 2).max(1);
    config.threads.map_or_else(half, usize::from)
}

/// Of user, line and password, each with its length, so that none can pass for another.
fn key(secret: &hmac::Key, name: &str, fingerprint: u64, password: &Secret) -> Key {
    let mut context = hmac::Context::with_key(secret);
    context.update(&(name.len() as u64).to_le_bytes());
    context.update(name.as_bytes());
    context.update(&fingerprint.to_le_bytes());
    context.update(password.expose());
    let mut key = [0; 32];
    key.copy_from_slice(context.sign().as_ref());
    key
}
