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
pub(crate) use files::judge_mode;
pub(crate) use files::load_users;
pub(crate) use files::read_secret;
use halyard_core::auth::Authority;
use halyard_core::auth::Credential;
use halyard_core::auth::Denial;
use halyard_core::auth::Grant;
use halyard_core::auth::PasswordHash;
use halyard_core::auth::Question;
use halyard_core::auth::SCRAM_SHA_256;
use halyard_core::auth::Secret;
use halyard_core::auth::TokenRules;
use halyard_core::auth::Users;
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
use std::sync::Weak;
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
    /// By the users they are for.
    decoys: Vec<(Weak<Users>, Arc<scram::Decoy>)>,
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
        let (entries, life) = cache(config);
        let state = State {
            right: Recent::new(entries, life),
            failures: Failures::new(config.failures_per_address, config.failures_per_user),
            waiting: BTreeMap::new(),
            decoys: Vec::new(),
        };
        let pool = Pool::new(threads(config), config.queue as usize, clock);
        Ok(Arc::new(Self { key, state: Mutex::new(state), pool }))
    }

    /// Other limits hold from now on.
    pub(crate) fn reconfigure(&self, config: &AuthConfig) {
        let mut state = self.lock();
        let (entries, life) = cache(config);
        state.right.limit(entries, life);
        state.failures.limit(config.failures_per_address, config.failures_per_user);
        drop(state);
        self.pool.limit(threads(config), config.queue as usize);
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
        if self.is_over(origin, now) {
            return (None, Verdict::Denied(Denial::TooManyFailures));
        }
        // A User Name besides is no other's.
        let is_one = request.username.as_deref().is_none_or(|own| own.is_empty() || own == name);
        let users = request.authority.users.as_ref().filter(|_| is_one && method == SCRAM_SHA_256);
        let nonce = scram::nonce();
        let begun = users.zip(nonce).and_then(|(users, nonce)| {
            scram::Server::begin(users, &self.decoy(users), first, &nonce)
        });
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
        // Asked again: many exchanges may have been begun before the first of them failed.
        if self.is_over(origin, now) {
            return Verdict::Denied(Denial::TooManyFailures);
        }
        match exchange.finish(proof) {
            Some((grant, last)) => Verdict::Granted { grant, data: last.into() },
            None => {
                self.lock().failures.note(origin, now);
                Verdict::Denied(Denial::Credentials)
            }
        }
    }

    fn is_over(&self, origin: failures::Origin, now: Instant) -> bool {
        let failures = &self.lock().failures;
        failures.is_user_over(origin, now) || failures.is_address_over(origin, now)
    }

    /// What SCRAM tells those who are not among `users`; made once for each reading of their file.
    fn decoy(&self, users: &Arc<Users>) -> Arc<scram::Decoy> {
        let mut state = self.lock();
        let of_them = |(own, _): &&(Weak<Users>, _)| std::ptr::eq(own.as_ptr(), Arc::as_ptr(users));
        if let Some((_, decoy)) = state.decoys.iter().find(of_them) {
            return Arc::clone(decoy);
        }
        let decoy = Arc::new(scram::Decoy::of(users));
        state.decoys.retain(|(own, _)| own.strong_count() > 0);
        state.decoys.push((Arc::downgrade(users), Arc::clone(&decoy)));
        decoy
    }

    /// What there is to verify; `None` if there is nothing to verify it by.
    fn job(&self, name: Option<Box<str>>, password: Secret, authority: &Authority) -> Option<Job> {
        if let Some(rules) = &authority.tokens
            && token::is_token(password.expose())
        {
            let mark = token::mark(rules, &self.key);
            let key = key(&self.key, name.as_deref().unwrap_or_default(), mark, &password);
            let task = Task::Token { rules: Arc::clone(rules), name };
            return Some(Job { key, password, task });
        }
        let (name, users) = (name.unwrap_or_default(), authority.users.as_ref()?);
        let Some(user) = users.get(&name) else {
            let key = key(&self.key, &name, 0, &password);
            let task = Task::Waste(users.stand_in(&name)?.hash.clone());
            return Some(Job { key, password, task });
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
        self.pool.taken()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn granted(grant: &Arc<Grant>) -> Verdict {
    Verdict::Granted { grant: Arc::clone(grant), data: Box::default() }
}

/// Entries of the cache, and their life.
fn cache(config: &AuthConfig) -> (usize, Duration) {
    let entries = if config.cache_secs == 0 { 0 } else { config.cache_entries };
    (entries as usize, Duration::from_secs(config.cache_secs.into()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use halyard_core::engine::Peer;
    use std::net::IpAddr;

    fn request(users: &Arc<Users>) -> AuthRequest {
        let authority = Authority { users: Some(Arc::clone(users)), tokens: None };
        AuthRequest {
            conn: ConnectionId(1),
            request: 1,
            peer: Arc::new(Peer::Ip { address: IpAddr::from([192, 0, 2, 1]), port: 1 }),
            client_id: "c".into(),
            username: None,
            question: Question::Password(None),
            authority: Arc::new(authority),
        }
    }

    /// Begins many exchanges before the first of them fails, each with another user.
    #[test]
    fn exchanges_count_against_their_address_when_they_end() {
        let config = AuthConfig { failures_per_address: 5, ..AuthConfig::default() };
        let own = Authenticator::new(&config, Clock::start()).unwrap();
        let hash = hash::create(hash::Method::ScramSha256 { iterations: 1 }, b"pass").unwrap();
        let users = Arc::new(halyard_core::auth::parse("p", format!("u:{hash}").as_bytes()).users);
        let (request, now) = (request(&users), Instant::ZERO);
        let begin = |number: usize| {
            let first = format!("n,,n=user{number},r=nonce");
            own.begin(&request, SCRAM_SHA_256, first.as_bytes(), now)
        };
        let begun: Vec<_> = (0..20).map(begin).collect();
        let denials: Vec<Denial> = begun
            .into_iter()
            .map(|(exchange, _)| match own.end(exchange, &request, b"c=biws,r=x,p=AAAA", now) {
                Verdict::Denied(denial) => denial,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(denials[..5], [Denial::Credentials; 5]);
        assert_eq!(denials[5..], [Denial::TooManyFailures; 15]);
        let (exchange, verdict) = begin(77);
        assert!(exchange.is_none());
        assert!(matches!(verdict, Verdict::Denied(Denial::TooManyFailures)), "{verdict:?}");
    }
}
