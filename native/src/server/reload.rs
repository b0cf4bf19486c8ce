//! A configuration that is read anew: by a thread of its own, so that no client waits for files,
//! passwords or certificates. All of it is read and checked, and new listeners are opened, before
//! anything holds; then every shard takes it over in one step. A second wish meanwhile is done
//! afterwards. A listener keeps its place for as long as it is there: connections name theirs by place.

use super::bind;
use super::bind::Bound;
use super::bind::BoundSocket;
use super::mailbox::Mail;
use super::mailbox::Mailbox;
use super::takeover::Takeover;
use crate::auth::Authenticator;
use crate::log::Log;
use crate::log::LogType;
use crate::settings::Settings;
use halyard_core::conf::Address;
use halyard_core::conf::Listener;
use halyard_core::conf::Said;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use tokio::sync::oneshot;

/// Reads the configuration; the error says what is wrong with it.
pub(crate) type Reread = Arc<dyn Fn() -> Result<Settings, String> + Send + Sync>;

/// Takes settings that hold no more: freeing them takes time, too.
pub(super) type Retired = mpsc::Sender<Arc<Settings>>;

/// What is in force.
pub(super) struct Held {
    pub(super) settings: Arc<Settings>,
    /// Where each listener listens, for the log.
    pub(super) places: Arc<[String]>,
    pub(super) auth: Arc<Authenticator>,
}

/// All that a reload needs and that may fail.
struct Prepared {
    settings: Arc<Settings>,
    /// Sockets of listeners that are new.
    bound: Vec<Bound>,
}

/// What was read, and where to leave what held before.
struct Read {
    prepared: Result<Prepared, String>,
    retired: Retired,
}

/// The wishes to read the configuration anew.
pub(super) struct Reloads {
    reread: Reread,
    log: Log,
    under_way: Option<oneshot::Receiver<Read>>,
    again: bool,
}

impl Reloads {
    pub(super) const fn new(reread: Reread, log: Log) -> Self {
        Self { reread, log, under_way: None, again: false }
    }

    /// Begins to read, or will when what is under way is done.
    pub(super) fn begin(&mut self, held: &Arc<Settings>) {
        if self.under_way.is_some() {
            self.again = true;
            return;
        }
        self.log.line(LogType::Notice, format_args!("Reloading config."));
        let (answer, under_way) = oneshot::channel();
        let (reread, log, held) = (Arc::clone(&self.reread), self.log.clone(), Arc::clone(held));
        let work = move || {
            let prepared = read(&reread, &log, &held);
            // The last one to be freed is to be freed here.
            drop(held);
            let (retired, old) = mpsc::channel();
            // Nobody may be there any more to take it.
            drop(answer.send(Read { prepared, retired }));
            old.into_iter().for_each(drop);
        };
        match thread::Builder::new().name("halyard-reload".into()).spawn(work) {
            Ok(_) => self.under_way = Some(under_way),
            Err(error) => not_reloaded(&self.log, &format!("no thread for it: {error}")),
        }
    }

    /// Waits for the end of what is under way, or for ever. May be dropped and called again.
    pub(super) async fn done(&mut self, held: &mut Held, shards: &[Mailbox]) {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let outcome = under_way.await;
        self.under_way = None;
        match outcome {
            Ok(Read { prepared: Ok(prepared), retired }) => {
                match self.switch(held, shards, prepared, &retired) {
                    Ok(()) => self.log.line(LogType::Notice, format_args!("Config reloaded.")),
                    Err(error) => not_reloaded(&self.log, &error.to_string()),
                }
            }
            Ok(Read { prepared: Err(error), .. }) => not_reloaded(&self.log, &error),
            Err(_) => not_reloaded(&self.log, "reading it ended by an error of the program"),
        }
        if std::mem::take(&mut self.again) {
            self.begin(&held.settings);
        }
    }

    /// Lets it hold. Fails only before the first shard hears of it.
    fn switch(
        &self,
        held: &mut Held,
        shards: &[Mailbox],
        prepared: Prepared,
        retired: &Retired,
    ) -> io::Result<()> {
        let Prepared { settings, bound } = prepared;
        let copies = |_| -> io::Result<Vec<_>> {
            bound.iter().map(|one| Ok((one.index, one.socket.try_clone()?))).collect()
        };
        let opened: Vec<Vec<(u16, BoundSocket)>> =
            (0..shards.len()).map(copies).collect::<io::Result<_>>()?;
        let mut places = held.places.to_vec();
        places.resize(settings.config.listeners.len(), String::new());
        for (at, place) in places.iter().enumerate() {
            if settings.is_gone(at) && !held.settings.is_gone(at) {
                self.closes(&held.settings.config.listeners[at], &settings, place);
            }
        }
        for Bound { index, kind, place, url, .. } in bound {
            let text = format_args!("Opening {kind} listen socket on {place}.");
            self.log.add(LogType::Information, text);
            self.log.add(LogType::Information, format_args!("Listening on {url}"));
            places[usize::from(index)] = place;
        }
        held.places = places.into();
        held.auth.reconfigure(&settings.config.auth);
        for (mailbox, opened) in shards.iter().zip(opened) {
            let (settings, places) = (Arc::clone(&settings), Arc::clone(&held.places));
            let retired = retired.clone();
            let takeover = Takeover { settings, opened, places, retired };
            mailbox.put(Mail::Reconfigure(Box::new(takeover)));
        }
        let old = std::mem::replace(&mut held.settings, settings);
        drop(retired.send(old));
        Ok(())
    }

    /// A listener is in the configuration no more.
    fn closes(&self, listener: &Listener, settings: &Settings, place: &str) {
        let text = format_args!("Closing listen socket on {place}; its clients are disconnected.");
        self.log.add(LogType::Information, text);
        if let Address::Unix { path } = &listener.address
            && !settings.unix_sockets().any(|open| open == Path::new(path))
        {
            // It may not be ours to remove any more; who opens it next replaces it.
            let _ = std::fs::remove_file(path);
        }
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }
}

fn not_reloaded(log: &Log, error: &str) {
    log.line(
        LogType::Error,
        format_args!("Config not reloaded, the old one stays in force: {error}"),
    );
}

/// The thread's work: what is to hold from now on.
fn read(reread: &Reread, log: &Log, held: &Settings) -> Result<Prepared, String> {
    let read = reread()?;
    let (mut settings, added) = held.followed_by(&read);
    // What was said before is not said again.
    let warnings: Vec<String> =
        settings.warnings.iter().filter(|line| !held.warnings.contains(line)).cloned().collect();
    let fixed = keep_fixed(held, &mut settings);
    let mount_points = keep_mount_points(held, &mut settings);
    let (bound, notes) = open(held, &settings, added)?;
    log.reconfigure(&settings.config.log).map_err(|error| error.to_string())?;
    for text in warnings.iter().chain(&fixed).chain(&mount_points).chain(&notes) {
        log.line(LogType::Warning, format_args!("{text}"));
    }
    Ok(Prepared { settings: Arc::new(settings), bound })
}

/// Opens the sockets of the listeners in these places; and says which addresses were left out.
fn open(
    held: &Settings,
    settings: &Settings,
    added: Vec<usize>,
) -> Result<(Vec<Bound>, Vec<String>), String> {
    let (mut bound, mut notes) = (Vec::new(), Vec::new());
    for at in added {
        bind::bind_listener(&settings.config, at, &mut bound, &mut notes).map_err(|error| {
            let hint = if stands_in_the_way(held, settings, at) {
                "; a listener that the configuration does not name any more still has that \
                 address: this takes a restart, or a reload without either of them in between"
            } else {
                ""
            };
            format!("{error}{hint}")
        })?;
    }
    for one in &bound {
        one.listen().map_err(|error| error.to_string())?;
    }
    Ok((bound, notes))
}

/// Whether a listener that a reload removes may have the address that the one at `at` is to open.
fn stands_in_the_way(old: &Settings, new: &Settings, at: usize) -> bool {
    let wanted = &new.config.listeners[at].address;
    let listeners = 0..old.config.listeners.len();
    let removed = listeners.filter(|at| new.is_gone(*at) && !old.is_gone(*at));
    removed.map(|at| &old.config.listeners[at].address).any(|address| match (address, wanted) {
        (Address::Unix { path }, Address::Unix { path: other }) => path == other,
        (Address::Unix { .. }, _) | (_, Address::Unix { .. }) => false,
        _ => address.port() == wanted.port(),
    })
}

/// What of the broker as a whole holds until it ends; gives what is to be said about it.
fn keep_fixed(held: &Settings, settings: &mut Settings) -> Vec<String> {
    let (new, old) = (&mut settings.config, &held.config);
    let mut names: Vec<&str> = Vec::new();
    let fixed = |all: &[Said], name: &str| -> Vec<String> {
        let lines = all.iter().filter(|said| said.fixed && said.option == name);
        lines.map(|said| said.value.clone()).collect()
    };
    for Said { option, .. } in old.said.iter().chain(&new.said) {
        if !names.contains(option) && fixed(&old.said, option) != fixed(&new.said, option) {
            names.push(option);
        }
    }
    let taken: Vec<Said> = new.said.iter().filter(|said| !said.fixed).cloned().collect();
    new.said = old.said.iter().filter(|said| said.fixed).cloned().chain(taken).collect();
    new.broker.persistence = old.broker.persistence;
    new.store.clone_from(&old.store);
    new.pid_file.clone_from(&old.pid_file);
    new.user.clone_from(&old.user);
    new.set_tcp_nodelay = old.set_tcp_nodelay;
    new.worker_threads = old.worker_threads;
    if names.is_empty() {
        return Vec::new();
    }
    vec![format!("Changed, but that takes a restart: {}.", names.join(", "))]
}

/// What clients subscribed to would be another topic: mount points of listeners that were there stay.
/// Gives what is to be said about it.
fn keep_mount_points(held: &Settings, settings: &mut Settings) -> Vec<String> {
    let mut said = Vec::new();
    for at in 0..held.config.listeners.len() {
        if held.listener_name(at).is_some() && held.listener_name(at) == settings.listener_name(at)
        {
            said.extend(keep_mount_point(&held.config.listeners[at], settings, at));
        }
    }
    said
}

fn keep_mount_point(held: &Listener, settings: &mut Settings, at: usize) -> Option<String> {
    let listener = settings.config.listeners.get_mut(at)?;
    if listener.engine.mount_point == held.engine.mount_point {
        return None;
    }
    listener.engine.mount_point.clone_from(&held.engine.mount_point);
    let place = &listener.place;
    Some(format!("{place}: mount_point was changed, but that takes a restart."))
}
