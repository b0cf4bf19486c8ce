//! Frames that wait for the journal (DESIGN §5.2): a connection's output goes out in order, up to the
//! first frame whose promise is not durable; a connection that ends is closed once what it was told
//! is. Only the connections that waited are looked at when something becomes durable.

use super::{CloseReason, ConnectionId, Connections, Effect, Engine, Observer, TransportEnd};
use crate::connection::{Connection, Output};
use crate::journal::Lsn;
use crate::packet::ReasonCode;
use crate::state::{Opaque, RestoreError, Sink, Source, State};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// What waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Withheld {
    /// Connections by the batch that their output waits for.
    slots: BTreeSet<(u64, u32)>,
    /// Connections that end, by batch.
    parting: BTreeMap<(u64, ConnectionId), Parting>,
}

/// A connection that ends once a batch is durable.
#[derive(Clone, Debug)]
struct Parting {
    last_words: Vec<u8>,
    reason: CloseReason,
}

impl State for Withheld {
    fn save(&self, to: &mut dyn Sink) {
        self.slots.save(to);
        u32::try_from(self.parting.len()).unwrap_or(u32::MAX).save(to);
        for ((lsn, conn), parting) in &self.parting {
            lsn.save(to);
            conn.0.save(to);
            Opaque(parting.last_words.as_slice().into()).save(to);
            // The words for people are told by the observer when it ends; what is left is a code.
            reason_code(&parting.reason).as_u8().save(to);
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let mut withheld = Self { slots: State::load(from)?, parting: BTreeMap::new() };
        for _ in 0..u32::load(from)? {
            let key = (u64::load(from)?, ConnectionId(u64::load(from)?));
            let last_words = Opaque::load(from)?.0.into();
            let code = ReasonCode::from_u8(u8::load(from)?);
            let code = code.ok_or_else(|| from.error("reason code"))?;
            let reason = CloseReason::ClientDisconnected(code);
            withheld.parting.insert(key, Parting { last_words, reason });
        }
        Ok(withheld)
    }
}

fn reason_code(reason: &CloseReason) -> ReasonCode {
    match reason {
        CloseReason::ClientDisconnected(code)
        | CloseReason::Refused { code, .. }
        | CloseReason::Violation { code, .. } => *code,
        _ => ReasonCode::UnspecifiedError,
    }
}

impl Withheld {
    pub(super) fn footprint(&self) -> u64 {
        let words = self.parting.values().map(|one| 64 + one.last_words.len() as u64);
        24 * self.slots.len() as u64 + words.sum::<u64>()
    }
}

impl Connections {
    /// What is written from now on waits for a batch.
    pub(super) fn withhold(&mut self, slot: u32, lsn: u64) {
        let Some(connection) = self.slots.get_mut(slot) else { return };
        connection.output.withhold(lsn);
        self.withheld.slots.insert((lsn, slot));
    }

    /// A connection is over: closed now, or when what it was told last is durable.
    pub(super) fn part(
        &mut self,
        conn: ConnectionId,
        output: &mut Output,
        reason: CloseReason,
        effects: &mut Vec<Effect>,
    ) {
        let last_words = core::mem::take(&mut output.bytes);
        if let Some(lsn) = output.last_gate() {
            self.withheld.parting.insert((lsn, conn), Parting { last_words, reason });
            return;
        }
        if !last_words.is_empty() {
            self.farewell.push_back((conn, last_words));
        }
        effects.push(Effect::Close { conn, reason });
    }
}

impl<O: Observer> Engine<O> {
    /// The transport of a connection is gone.
    pub(super) fn closed(
        &mut self,
        now: Instant,
        conn: ConnectionId,
        cause: TransportEnd,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(slot) = self.links.find(conn) {
            self.lose(now, slot, CloseReason::TransportLost(cause), effects);
        }
        // The driver closed it already.
        let of_it =
            |effect: &Effect| matches!(effect, Effect::Close { conn: of, .. } if *of == conn);
        if let Some(at) = effects.iter().rposition(of_it) {
            effects.remove(at);
        } else {
            self.links.withheld.parting.retain(|(_, parting), _| *parting != conn);
        }
    }

    /// Batches up to `lsn` are durable: what waited for them goes out.
    pub(super) fn durable(&mut self, now: Instant, lsn: Lsn, effects: &mut Vec<Effect>) {
        let (broker, mut out) = self.parts(now, effects);
        broker.durable(lsn.0, &mut out);
        let lsn = self.broker.durable.durable();
        while let Some((first, slot)) = self.links.withheld.slots.first().copied()
            && first <= lsn
        {
            self.links.withheld.slots.pop_first();
            let Some(connection) = self.links.slots.get_mut(slot) else { continue };
            connection.output.open(lsn);
            let session = connection.session();
            if !connection.output.dirty {
                connection.output.dirty = true;
                self.links.dirty.push_back(slot);
            }
            if let Some(key) = session {
                let (broker, mut out) = self.parts(now, effects);
                broker.unblocked(now, key, &mut out);
            }
        }
        while let Some(entry) = self.links.withheld.parting.first_entry()
            && entry.key().0 <= lsn
        {
            let ((_, conn), parting) = entry.remove_entry();
            if !parting.last_words.is_empty() {
                self.links.farewell.push_back((conn, parting.last_words));
            }
            effects.push(Effect::Close { conn, reason: parting.reason });
        }
    }

    /// Stops reading from a client while too much of what it was answered waits for the store: the
    /// driver, which stops reading when a socket takes nothing, has not seen it.
    #[inline]
    pub(super) fn hold_if_withheld(&mut self, now: Instant, slot: u32, effects: &mut Vec<Effect>) {
        let limit = u64::from(self.links.config.broker.output_high_water);
        let Some(connection) = self.links.slots.get(slot) else { return };
        if connection.output.first_gate().is_some()
            && connection.output.len() >= limit
            && let Some(key) = connection.session()
        {
            let (broker, mut out) = self.parts(now, effects);
            broker.hold_for_store(key, &mut out);
        }
    }

    /// Whether a connection's output waits for the store.
    pub fn is_withheld(&self, conn: ConnectionId) -> bool {
        let open = self.links.find(conn).and_then(|slot| self.links.slots.get(slot));
        let parting = || self.links.withheld.parting.keys().any(|(_, parting)| *parting == conn);
        open.map_or_else(parting, |connection: &Connection| {
            connection.output.first_gate().is_some()
        })
    }
}
