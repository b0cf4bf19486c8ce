//! What a shard does when another configuration holds: its engine gets it, sockets of listeners are
//! opened and closed, and connections end whose listener is gone or whose certificate was revoked.
//! Reads no file; what could fail was done before (`reload`).

use super::bind::BoundSocket;
use super::conn::Stage;
use super::reload::Retired;
use super::shard::Shard;
use crate::log::LogType;
use crate::settings::Settings;
use crate::tls::Revoked;
use halyard_core::engine::Input;
use halyard_core::time::Instant;
use std::sync::Arc;

/// What a shard is to go on with.
#[derive(Debug)]
pub(super) struct Takeover {
    pub(super) settings: Arc<Settings>,
    /// Sockets of listeners that are new, by the place of their listener.
    pub(super) opened: Vec<(u16, BoundSocket)>,
    /// Where each listener listens, for the log.
    pub(super) places: Arc<[String]>,
    /// Takes what held before.
    pub(super) retired: Retired,
}

impl Shard {
    /// Another configuration holds from now on.
    pub(super) fn reconfigure(&mut self, now: Instant, takeover: Takeover) {
        let Takeover { settings, opened, places, retired } = takeover;
        let config = settings.engine(self.number, self.shards.len());
        self.engine.observer_mut().listen(places);
        self.engine.handle(now, Input::Reconfigured(Arc::new(config)), &mut self.effects);
        let old = std::mem::replace(&mut self.settings, settings);
        for at in 0..old.config.listeners.len() {
            if self.settings.listener_name(at) != old.listener_name(at) {
                self.close_listener(now, at);
            }
        }
        let config = &self.settings.config;
        self.acceptors.reconfigure(&config.broker, &config.listeners);
        if self.stop_by.is_none() {
            self.open_listeners(opened);
        }
        self.end_revoked(now, &old);
        // Nobody may be there any more to take it.
        drop(retired.send(old));
    }

    fn open_listeners(&mut self, opened: Vec<(u16, BoundSocket)>) {
        for (at, socket) in opened {
            let settings = &self.settings.config.listeners[usize::from(at)];
            if let Err(error) = self.acceptors.open(at, socket, settings, &self.ready) {
                let place = &settings.place;
                let text = format_args!("Nobody is accepted on the listener of {place}: {error}");
                self.log.add(LogType::Error, text);
            }
        }
    }

    /// The listener in this place is there no more. Who speaks MQTT is the engine's to dismiss.
    fn close_listener(&mut self, now: Instant, at: usize) {
        let Ok(at) = u16::try_from(at) else { return };
        self.acceptors.shut(at);
        for id in self.table.ids() {
            if self.table.get(id).is_some_and(|conn| {
                conn.listener == at
                    && (conn.is_greeted() || matches!(conn.stage, Stage::Http(_) | Stage::Asking))
            }) {
                self.drain(now, id);
            }
        }
    }

    /// Ends the connections whose certificates were revoked since they were let in.
    fn end_revoked(&mut self, now: Instant, old: &Settings) {
        let news = |at: &u16| {
            let before = old.revoked(*at);
            let more = |now: &Arc<Revoked>| before.is_none_or(|before| !now.is_within(before));
            self.settings.revoked(*at).is_some_and(more)
        };
        let listeners: Vec<u16> =
            (0..).take(self.settings.config.listeners.len()).filter(news).collect();
        if listeners.is_empty() {
            return;
        }
        for id in self.table.ids() {
            let Some(conn) = self.table.get(id) else { continue };
            let lists = self.settings.revoked(conn.listener);
            let lists = lists.filter(|_| listeners.contains(&conn.listener));
            if !lists.zip(conn.certificate()).is_some_and(|(lists, own)| lists.has(own)) {
                continue;
            }
            if matches!(conn.stage, Stage::Mqtt | Stage::WebSocket(_)) {
                self.engine.handle(now, Input::Revoked { conn: id }, &mut self.effects);
            } else {
                self.drain(now, id);
            }
        }
    }
}
