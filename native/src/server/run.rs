//! From open sockets to a running broker and to its end: shards, signals, reload, shutdown. Which
//! options there are and where they come from is not known here.

use super::arena::Arena;
use super::asks::Asks;
use super::bind::Bound;
use super::greet::Greeters;
use super::listener::Acceptors;
use super::listener::OpenCounts;
use super::listener::OpenLimits;
use super::mailbox::Mail;
use super::mailbox::Mailbox;
use super::notify::Notifier;
use super::notify::Pulse;
use super::reload::Held;
use super::reload::Reloads;
use super::reload::Reread;
use super::restore::Restored;
use super::shard::Shard;
use super::table::Table;
use super::timer::Timer;
use super::wake::Ready;
use crate::auth::Authenticator;
use crate::auth::Reply;
use crate::clock::Clock;
use crate::log::Lines;
use crate::log::Log;
use crate::log::LogType;
use crate::metrics::DriverStats;
use crate::settings::Settings;
use crate::store::Store;
use halyard_core::engine::Engine;
use halyard_core::engine::ShardId;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

/// Shards of the broker. Each is to get a thread of its own (`worker_threads`).
const SHARDS: u16 = 1;

/// A broker that is ready to run.
pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) bound: Vec<Bound>,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    /// Open files that the process may have.
    pub(crate) files: u32,
    /// Reads the configuration anew.
    pub(crate) reload: Reread,
}

/// The shards of a running broker.
struct Shards {
    mailboxes: Arc<[Mailbox]>,
    tasks: JoinSet<()>,
    held: Held,
    store: Option<Store>,
    /// Says why the store failed, if it does.
    failures: UnboundedReceiver<String>,
}

impl Server {
    /// Runs until it is told to stop and everything is closed.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            let mut signals = Signals::new()?;
            let mut shards = self.start()?;
            // The shards have their own: a socket that they close is to be closed.
            self.bound.clear();
            let version = env!("CARGO_PKG_VERSION");
            self.log.line(LogType::Information, format_args!("halyard version {version} running"));
            let outcome = self.obey(&mut signals, &mut shards).await;
            if let Some(store) = shards.store {
                store.close();
            }
            for path in shards.held.settings.unix_sockets() {
                // It may not be ours to remove any more; the next start replaces it.
                let _ = std::fs::remove_file(path);
            }
            // It may have failed at the very end.
            outcome.and_then(|()| shards.failures.try_recv().map_or(Ok(()), store_failed))
        })
    }

    /// Starts the shards, all on this thread.
    fn start(&self) -> io::Result<Shards> {
        let settings = Arc::new(self.settings.clone());
        let counts = Arc::new(OpenCounts::new(&settings.config));
        let queues: Vec<Arc<Ready>> = (0..SHARDS).map(|_| Arc::new(Ready::default())).collect();
        let mailboxes: Arc<[Mailbox]> =
            queues.iter().map(|ready| Mailbox::new(Arc::clone(ready))).collect();
        let auth = Authenticator::new(&settings.config.auth, self.clock)?;
        let Restored { engines, store, failures } = self.restore(&settings, &mailboxes)?;
        self.listen()?;
        let mut tasks = JoinSet::new();
        for ((ready, engine), number) in queues.into_iter().zip(engines).zip(0..) {
            let shards = Arc::clone(&mailboxes);
            let mut shard =
                self.shard((ShardId(number), engine), ready, shards, &settings, &counts, &auth)?;
            shard.store = store.as_ref().map(|store| store.inlet(number));
            // It polls all its sockets in one go: what limits it is the budget of its turn.
            tasks.spawn(tokio::task::unconstrained(shard));
        }
        let first = Arc::clone(&mailboxes);
        self.log.publish_by(Box::new(move |lines| {
            first.first().map_or(0, |mailbox| mailbox.put_log(lines))
        }));
        let held = Held { settings, places: self.places(), auth };
        Ok(Shards { mailboxes, tasks, held, store, failures })
    }

    /// Lets clients in, now that all that was promised is known again.
    fn listen(&self) -> io::Result<()> {
        for bound in &self.bound {
            bound.listen()?;
            self.log.add(LogType::Information, format_args!("Listening on {}", bound.url));
            if let Some(page) = bound.page() {
                let text = format_args!("Page, /health and /metrics at {page}");
                self.log.add(LogType::Information, text);
            }
        }
        self.log.flush();
        Ok(())
    }

    fn shard(
        &self,
        (number, engine): (ShardId, Engine<Lines>),
        ready: Arc<Ready>,
        shards: Arc<[Mailbox]>,
        settings: &Arc<Settings>,
        counts: &Arc<OpenCounts>,
        auth: &Arc<Authenticator>,
    ) -> io::Result<Shard> {
        let clock = self.clock;
        let log = self.log.clone();
        let limits = OpenLimits::new(&settings.config.broker, self.files);
        let listeners = &settings.config.listeners;
        let acceptors = Acceptors::new(
            &self.bound,
            listeners,
            &ready,
            Arc::clone(counts),
            limits,
            log.clone(),
        )?;
        let mailboxes = Arc::clone(&shards);
        let reply: Reply = Arc::new(move |answer| {
            mailboxes[usize::from(number.0)].put(Mail::Authenticated(answer));
        });
        Ok(Shard {
            engine,
            settings: Arc::clone(settings),
            acceptors,
            ready,
            number,
            shards,
            clock,
            log,
            timer: Timer::default(),
            table: Table::default(),
            tokens: Vec::new(),
            arena: Arena::new(),
            effects: Vec::new(),
            closing: Vec::new(),
            stop_by: None,
            store: None,
            greeters: Greeters::default(),
            driver: DriverStats::new(self.settings.config.listeners.len()),
            asks: Asks::default(),
            auth: Arc::clone(auth),
            reply,
        })
    }

    /// Where each listener listens, for the log.
    pub(super) fn places(&self) -> Arc<[String]> {
        let place = |index: usize| {
            let mut sockets = self.bound.iter();
            sockets.find(|bound| usize::from(bound.index) == index).map(|bound| bound.place.clone())
        };
        (0..self.settings.config.listeners.len())
            .map(|index| place(index).unwrap_or_default())
            .collect()
    }

    /// Does what signals ask for, until the shards have ended; fails if one ends unasked.
    async fn obey(&self, signals: &mut Signals, shards: &mut Shards) -> io::Result<()> {
        let notifier = Notifier::new();
        notifier.ready();
        let mut pulse = Pulse::default();
        let mut reloads = Reloads::new(Arc::clone(&self.reload), self.log.clone());
        loop {
            let order = tokio::select! {
                () = rest(notifier.interval()) => {
                    notifier.beat(&mut pulse, &shards.mailboxes);
                    continue;
                }
                order = signals.next() => order,
                () = reloads.done(&mut shards.held, &shards.mailboxes) => {
                    if !reloads.is_under_way() {
                        notifier.ready();
                    }
                    continue;
                }
                _ = shards.tasks.join_next() => {
                    return Err(io::Error::other("a shard ended by an error of the program"));
                }
                Some(text) = shards.failures.recv() => return store_failed(text),
            };
            match order {
                Order::Stop(name) => {
                    let text = format_args!("halyard terminating ({name})");
                    self.log.line(LogType::Information, text);
                    break;
                }
                Order::Reload => {
                    notifier.reloading();
                    self.reload(&mut reloads, shards);
                    if !reloads.is_under_way() {
                        notifier.ready();
                    }
                }
                Order::Rotate => self.log.reopen(),
                Order::Save => self.save(shards),
                Order::Nothing(name) => self.log.line(
                    LogType::Notice,
                    format_args!("{name} received: there is nothing to do for it."),
                ),
            }
        }
        notifier.stopping();
        for mailbox in shards.mailboxes.iter() {
            mailbox.put(Mail::Stop);
        }
        // Who asks twice does not want to wait for slow clients.
        loop {
            tokio::select! {
                ended = shards.tasks.join_next() => match ended {
                    None => return Ok(()),
                    Some(Ok(())) => {}
                    Some(Err(error)) => return Err(io::Error::other(error)),
                },
                order = signals.next() => if let Order::Stop(_) = order { return Ok(()) },
                Some(text) = shards.failures.recv() => return store_failed(text),
            }
        }
    }

    /// In Mosquitto: save now. Here all is saved already; what can be done is to fold it.
    fn save(&self, shards: &Shards) {
        let text = match &shards.store {
            Some(store) => {
                store.fold();
                "SIGUSR1 received: everything is in the store already; it is being folded."
            }
            None => "SIGUSR1 received: there is nothing to save, `persistence` is off.",
        };
        self.log.line(LogType::Notice, format_args!("{text}"));
    }

    fn reload(&self, reloads: &mut Reloads, shards: &Shards) {
        // Whatever becomes of the rest, a log that was moved away is left alone from now on.
        self.log.reopen();
        if self.settings.config_file.is_none() {
            let text = "SIGHUP received: there is no configuration file to read.";
            self.log.line(LogType::Notice, format_args!("{text}"));
            return;
        }
        reloads.begin(&shards.held.settings);
    }
}

/// Waits so long, or for ever.
async fn rest(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The store failed: nothing more may be acknowledged.
fn store_failed(text: String) -> io::Result<()> {
    Err(io::Error::other(format!("the store failed: {text}")))
}

/// What a signal asks for.
enum Order {
    Stop(&'static str),
    Reload,
    /// Open the files of the log anew.
    Rotate,
    Save,
    Nothing(&'static str),
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    rotate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            rotate: signal(SignalKind::from_raw(nix::libc::SIGRTMIN()))?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Order::Stop("SIGINT"),
            _ = self.hangup.recv() => Order::Reload,
            _ = self.user1.recv() => Order::Save,
            _ = self.user2.recv() => Order::Nothing("SIGUSR2"),
            _ = self.rotate.recv() => Order::Rotate,
        }
    }
}
