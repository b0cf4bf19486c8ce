//! The engines of a broker that starts: new ones, or with `persistence true` those that the store
//! remembers. Everything is durable, and the store runs, before anybody is let in.

use super::mailbox::Mail;
use super::mailbox::Mailbox;
use super::run::Server;
use crate::clock;
use crate::clock::Clock;
use crate::log::Lines;
use crate::log::Log;
use crate::log::LogType;
use crate::settings::Settings;
use crate::store;
use crate::store::Note;
use crate::store::Store;
use halyard_core::engine;
use halyard_core::engine::Config;
use halyard_core::engine::DiskState;
use halyard_core::engine::Engine;
use halyard_core::engine::Recovered;
use halyard_core::engine::ShardId;
use halyard_core::journal::Room;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::unbounded_channel;

/// What a broker starts with.
pub(super) struct Restored {
    /// In the order of the shards.
    pub(super) engines: Vec<Engine<Lines>>,
    pub(super) store: Option<Store>,
    /// Says why the store failed, if it does.
    pub(super) failures: UnboundedReceiver<String>,
}

impl Server {
    /// Makes the engines of all shards.
    pub(super) fn restore(
        &self,
        settings: &Settings,
        mailboxes: &Arc<[Mailbox]>,
    ) -> io::Result<Restored> {
        let (failed, failures) = unbounded_channel();
        let places = self.places();
        let lines = || Lines::new(self.log.clone(), Arc::clone(&places));
        let shards = u16::try_from(mailboxes.len()).unwrap_or(u16::MAX);
        let configs: Vec<Arc<Config>> = (0..shards)
            .map(|shard| Arc::new(settings.engine(ShardId(shard), mailboxes.len())))
            .collect();
        if !settings.config.broker.persistence {
            let engine = |config| {
                Engine::new(config, clock::seed(), self.clock.now(), Clock::wall(), lines())
            };
            let engines = configs.into_iter().map(engine).collect();
            return Ok(Restored { engines, store: None, failures });
        }
        let config = &settings.config.store;
        let mut found = store::open(config, self.clock, &self.log).map_err(io::Error::other)?;
        let damaged = |error| io::Error::other(format!("the store does not fit together: {error}"));
        let (now, wall) = (self.clock.now(), Clock::wall());
        let one = settings.engine(ShardId(0), mailboxes.len());
        let recovered =
            engine::recover_and_forget(&mut found.image, &one, clock::seed(), now, wall, |_| {
                lines()
            });
        let Recovered { engines, batches } = recovered.map_err(damaged)?;
        let epoch = found.image.epoch;
        let (log, place) = (self.log.clone(), found.place());
        let others = Arc::clone(mailboxes);
        let tell = Box::new(move |note| match note {
            Note::Durable { shard, lsn } => {
                if let Some(mailbox) = others.get(usize::from(shard)) {
                    mailbox.put(Mail::Durable(lsn));
                }
            }
            Note::Room(room) => {
                let state = disk_state(room);
                for mailbox in others.iter() {
                    mailbox.put(Mail::Disk(state));
                }
                say_room(&log, &place, state);
            }
            Note::Ended { commits, batches, bytes } => log.line(
                LogType::Information,
                format_args!(
                    "Store closed after {commits} commits of {batches} turns, {bytes} bytes."
                ),
            ),
            // Who listens is gone only when the process is ending anyway.
            Note::Failed(text) => drop(failed.send(text)),
        });
        let store = found.start(config, epoch, &batches, self.clock, &self.log, tell);
        let store = store.map_err(io::Error::other)?;
        Ok(Restored { engines, store: Some(store), failures })
    }
}

const fn disk_state(room: Room) -> DiskState {
    match room {
        Room::Ample => DiskState::Room,
        Room::Short => DiskState::Full,
    }
}

/// What the log says when a disk becomes full, and when it has room again.
fn say_room(log: &Log, place: &str, state: DiskState) {
    match state {
        DiskState::Full => log.line(
            LogType::Error,
            format_args!(
                "Store {place}: the disk is full. What is under way still finds room; new messages \
                 of QoS 1 and 2, retained messages, subscriptions, sessions and wills are refused \
                 until there is room."
            ),
        ),
        DiskState::Room => log
            .line(LogType::Notice, format_args!("Store {place}: there is room on the disk again.")),
    }
}
