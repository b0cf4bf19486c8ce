//! A configuration that is read anew: by a thread of its own, so that no client waits for files,
//! passwords or certificates. All of it is read and checked before anything holds; then every shard
//! takes it over in one step. A second wish meanwhile is done afterwards.

use super::mailbox::Mail;
use super::mailbox::Mailbox;
use crate::log::Log;
use crate::log::LogType;
use crate::settings::Settings;
use halyard_core::conf::Address;
use halyard_core::conf::Listener;
use halyard_core::conf::Protocol;
use halyard_core::conf::Said;
use halyard_core::conf::SocketDomain;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use tokio::sync::oneshot;

/// Reads the configuration; the error says what is wrong with it.
pub(crate) type Reread = Arc<dyn Fn() -> Result<Settings, String> + Send + Sync>;

/// Takes settings that hold no more: freeing them takes time, too.
pub(super) type Retired = mpsc::Sender<Arc<Settings>>;

/// What was read, and where to leave what held before.
struct Read {
    settings: Result<Arc<Settings>, String>,
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
            let settings = read(&reread, &log, &held);
            // The last one to be freed is to be freed here.
            drop(held);
            let (retired, old) = mpsc::channel();
            // Nobody may be there any more to take it.
            drop(answer.send(Read { settings, retired }));
            old.into_iter().for_each(drop);
        };
        match thread::Builder::new().name("halyard-reload".into()).spawn(work) {
            Ok(_) => self.under_way = Some(under_way),
            Err(error) => not_reloaded(&self.log, &format!("no thread for it: {error}")),
        }
    }

    /// Waits for the end of what is under way, or for ever. May be dropped and called again.
    pub(super) async fn done(&mut self, held: &mut Arc<Settings>, shards: &[Mailbox]) {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let outcome = under_way.await;
        self.under_way = None;
        match outcome {
            Ok(Read { settings: Ok(settings), retired }) => {
                for mailbox in shards {
                    mailbox.put(Mail::Reconfigure(Arc::clone(&settings), retired.clone()));
                }
                let old = std::mem::replace(held, settings);
                drop(retired.send(old));
                self.log.line(LogType::Notice, format_args!("Config reloaded."));
            }
            Ok(Read { settings: Err(error), .. }) => not_reloaded(&self.log, &error),
            Err(_) => not_reloaded(&self.log, "reading it ended by an error of the program"),
        }
        if std::mem::take(&mut self.again) {
            self.begin(held);
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
fn read(reread: &Reread, log: &Log, held: &Settings) -> Result<Arc<Settings>, String> {
    let mut settings = reread()?;
    // What was said before is not said again.
    let warnings: Vec<String> =
        settings.warnings.iter().filter(|line| !held.warnings.contains(line)).cloned().collect();
    let fixed = keep_fixed(held, &mut settings);
    let listeners = keep_listeners(held, &mut settings);
    log.reconfigure(&settings.config.log).map_err(|error| error.to_string())?;
    for text in warnings.iter().chain(&fixed).chain(&listeners) {
        log.line(LogType::Warning, format_args!("{text}"));
    }
    Ok(Arc::new(settings))
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

/// Sockets stay as they were opened; what else their listeners say is taken over. One that is not
/// in the file any more stays as it was last in force. Gives what is to be said about it.
fn keep_listeners(held: &Settings, settings: &mut Settings) -> Vec<String> {
    let new = settings.clone();
    let mut said = Vec::new();
    settings.config.listeners.clone_from(&held.config.listeners);
    let mut moved = new.config.listeners.len() != held.config.listeners.len();
    for at in 0..held.config.listeners.len() {
        let ours = socket(&held.config.listeners[at]);
        match new.config.listeners.iter().position(|other| socket(other) == ours) {
            Some(index) => {
                settings.adopt(at, &new, index);
                said.extend(keep_mount_point(&held.config.listeners[at], settings, at));
            }
            None => {
                moved = true;
                settings.adopt(at, held, at);
            }
        }
    }
    if moved {
        said.push("Listeners were added, removed or moved: that takes a restart.".into());
    }
    said
}

/// What clients subscribed to would be another topic.
fn keep_mount_point(held: &Listener, settings: &mut Settings, at: usize) -> Option<String> {
    let listener = settings.config.listeners.get_mut(at)?;
    if listener.engine.mount_point == held.engine.mount_point {
        return None;
    }
    listener.engine.mount_point.clone_from(&held.engine.mount_point);
    let place = &listener.place;
    Some(format!("{place}: mount_point was changed, but that takes a restart."))
}

/// What the sockets of a listener depend on.
const fn socket(
    listener: &Listener,
) -> (&Address, Protocol, Option<SocketDomain>, &Option<String>) {
    let Listener { address, protocol, socket_domain, bind_interface, .. } = listener;
    (address, *protocol, *socket_domain, bind_interface)
}
