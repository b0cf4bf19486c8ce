//! One connection between a client and an engine: two pipes, what each end could not send yet, and
//! what each end knows of the other. It carries; it decides nothing.

use super::network::{Conditions, Pipe};
use crate::rng::Rng;
use crate::time::Instant;

/// When each end of a cut connection learns that it is cut; `None` = never, a half-open peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes that still arrive, at either end, before the cut.
    pub after_bytes: u64,
    /// Microseconds from the cut until the client learns of it.
    pub client_learns_us: Option<u64>,
    /// Microseconds from the cut until the server learns of it.
    pub server_learns_us: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) station: usize,
    pub(super) node: usize,
    pub(super) listener: u16,
    pub(super) opens_at: Instant,
    pub(super) client_open: bool,
    /// The engine was told that it is open.
    pub(super) server_open: bool,
    pub(super) to_server: Pipe,
    pub(super) to_client: Pipe,
    pub(super) client_backlog: Vec<u8>,
    pub(super) server_backlog: Vec<u8>,
    /// The client has closed its end.
    pub(super) client_done: bool,
    /// The engine is done with it.
    pub(super) server_done: bool,
    /// The engine said close; at this time the driver stops trying to send the rest.
    pub(super) server_closing: Option<Instant>,
    pub(super) paused: bool,
    pub(super) high: bool,
    pub(super) cut: Option<Cut>,
}

impl Wire {
    pub(super) fn new(station: usize, node: usize, listener: u16, opens_at: Instant) -> Self {
        Self {
            station,
            node,
            listener,
            opens_at,
            client_open: false,
            server_open: false,
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            client_backlog: Vec::new(),
            server_backlog: Vec::new(),
            client_done: false,
            server_done: false,
            server_closing: None,
            paused: false,
            high: false,
            cut: None,
        }
    }

    /// Whether the connection has got through.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.opens_at <= now
    }

    /// Sends what waits at the client's end.
    pub(super) fn flush_client(&mut self, now: Instant, conditions: &Conditions, rng: &mut Rng) {
        let sent = self.to_server.send(now, &self.client_backlog, conditions, rng);
        self.client_backlog.drain(..sent);
        if self.client_done && self.client_backlog.is_empty() {
            self.to_server.finish(now, conditions, rng);
        }
    }

    /// Sends what waits at the server's end.
    pub(super) fn flush_server(&mut self, now: Instant, conditions: &Conditions, rng: &mut Rng) {
        let sent = self.to_client.send(now, &self.server_backlog, conditions, rng);
        self.server_backlog.drain(..sent);
        let Some(deadline) = self.server_closing else { return };
        if self.server_backlog.is_empty() || deadline <= now {
            self.server_closing = None;
            self.server_backlog.clear();
            self.server_done = true;
            self.to_client.finish(now, conditions, rng);
            self.to_server.abandon();
        }
    }

    /// Lets bytes arrive at both ends; `true` if that used up what a planned cut lets through.
    pub(super) fn arrive(&mut self, now: Instant) -> bool {
        let Some(cut) = &mut self.cut else {
            self.to_server.arrive(now, None);
            self.to_client.arrive(now, None);
            return false;
        };
        self.to_server.arrive(now, Some(&mut cut.after_bytes));
        self.to_client.arrive(now, Some(&mut cut.after_bytes));
        cut.after_bytes == 0
    }

    /// The cut happens.
    pub(super) fn sever(&mut self, now: Instant, cut: Cut) {
        let at = |learns: Option<u64>| learns.map(|after| Instant(now.0 + after));
        self.cut = None;
        self.to_client.sever(at(cut.client_learns_us));
        self.to_server.sever(at(cut.server_learns_us));
        if self.client_done {
            self.to_client.abandon();
        }
        if self.server_done {
            self.to_server.abandon();
        }
    }

    /// Whether neither end has anything to do with it any more.
    pub(super) const fn is_over(&self) -> bool {
        self.client_done && self.server_done
    }

    /// When something happens to it next.
    pub(super) fn next(&self) -> Option<Instant> {
        if !self.client_open && !self.client_done {
            return Some(self.opens_at);
        }
        let times = [self.to_server.next(), self.to_client.next(), self.server_closing];
        times.into_iter().flatten().min()
    }

    /// Whether the server's driver has something to do for it.
    pub(super) fn wakes_server(&self, now: Instant) -> bool {
        let readable = self.to_server.has_arrived() && !self.paused;
        let ended = self.to_server.ended(now).is_some();
        !self.server_done
            && self.server_closing.is_none()
            && self.is_open(now)
            && (!self.server_open || readable || ended)
    }

    /// Whether the client has something to read, an end included.
    pub(super) fn wakes_client(&self, now: Instant) -> bool {
        !self.client_done && (self.to_client.has_arrived() || self.to_client.ended(now).is_some())
    }
}
