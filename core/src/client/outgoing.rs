//! Messages from the client to the server that are not done yet: those in flight (QoS 1 and 2,
//! MQTT 5.0 §4.3, in the order of their first sending [MQTT-4.6.0-1]) and those that wait. Knows
//! identifiers, quota and limits; never encodes a packet and never touches received messages.

use super::event::Token;
use crate::packet::{PacketId, QoS, ReasonCode};
use std::collections::VecDeque;

/// A whole PUBLISH as encoded without alias, DUP and identifier; sent by copy and patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    bytes: Box<[u8]>,
    /// Where the Packet Identifier stands; unused for QoS 0.
    id_at: u32,
}

impl Frame {
    /// Keeps an encoded PUBLISH; `id_at` is the offset of its identifier, if it has one.
    pub(super) fn new(bytes: Vec<u8>, id_at: Option<usize>) -> Self {
        let id_at = id_at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
        Self { bytes: bytes.into(), id_at }
    }

    /// Length on the wire.
    pub(super) const fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn qos(&self) -> QoS {
        QoS::from_bits(self.bytes[0] >> 1 & 3).unwrap_or_default()
    }

    pub(super) fn retain(&self) -> bool {
        self.bytes[0] & 1 != 0
    }

    /// Appends the packet.
    pub(super) fn write(&self, id: Option<PacketId>, dup: bool, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if dup {
            out[start] |= 0x08;
        }
        if let (Some(id), Ok(at)) = (id, usize::try_from(self.id_at)) {
            out[start + at..start + at + 2].copy_from_slice(&id.get().to_be_bytes());
        }
    }
}

/// An unfinished QoS 1 or 2 exchange.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) token: Token,
    pub(super) id: PacketId,
    /// Number of the allocation of `id`.
    number: u64,
    /// Whether its PUBLISH counts against the quota of this connection.
    counted: bool,
    /// Whether its PUBLISH was ever written, so that the next time is a repetition.
    sent: bool,
    pub(super) state: ExchangeState,
}

/// Where an exchange stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExchangeState {
    /// QoS 1, waits for PUBACK.
    Publish1(Frame),
    /// QoS 2, waits for PUBREC.
    Publish2(Frame),
    /// QoS 2, PUBREL owed or sent, waits for PUBCOMP.
    Released,
}

/// What is to be written next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next<'a> {
    Publish { frame: &'a Frame, id: PacketId, dup: bool },
    Release(PacketId),
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    /// The exchange is complete.
    Done(Token),
    /// PUBREL is to be sent.
    Release,
    /// No exchange has this identifier.
    Unknown,
    /// The exchange is at another point: a Protocol Error.
    WrongState,
}

/// A message that waits.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) token: Token,
    pub(super) frame: Frame,
}

/// All that is under way to the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing {
    inflight: VecDeque<Exchange>,
    /// Exchanges before this index have been written on this connection.
    resumed: u32,
    /// PUBLISH packets that count against the quota of this connection.
    counted: u16,
    quota: u16,
    queue: VecDeque<Queued>,
    queue_bytes: u64,
    queued_qos0: u32,
    /// SUBSCRIBE and UNSUBSCRIBE of this connection without an answer.
    requests: Vec<PacketId>,
    last_id: u16,
    allocations: u64,
}

impl Outgoing {
    /// A connection begins: `quota` messages may be in flight, and all must be written anew.
    pub(super) fn connected(&mut self, quota: u16) {
        self.quota = quota;
        self.counted = 0;
        self.resumed = 0;
        self.requests.clear();
        for exchange in &mut self.inflight {
            exchange.counted = false;
        }
    }

    /// Whether a QoS 1 or 2 message may be written at once, before none that waits.
    pub(super) fn has_room(&self) -> bool {
        self.queue.is_empty() && self.all_resumed() && self.counted < self.quota
    }

    /// Whether QoS 0 messages wait, which a new one must not overtake.
    pub(super) const fn holds_qos0(&self) -> bool {
        self.queued_qos0 > 0
    }

    /// Messages that wait, and their bytes.
    pub(super) fn queued(&self) -> (u32, u64) {
        (u32::try_from(self.queue.len()).unwrap_or(u32::MAX), self.queue_bytes)
    }

    /// Messages in flight.
    pub(super) fn inflight(&self) -> u32 {
        u32::try_from(self.inflight.len()).unwrap_or(u32::MAX)
    }

    /// Lets a message wait.
    pub(super) fn enqueue(&mut self, token: Token, frame: Frame) {
        self.queue_bytes += frame.len();
        self.queued_qos0 += u32::from(frame.qos() == QoS::AtMostOnce);
        self.queue.push_back(Queued { token, frame });
    }

    /// The next message that waits, if it may leave now.
    pub(super) fn dequeue(&mut self) -> Option<Queued> {
        let qos = self.queue.front()?.frame.qos();
        if !self.all_resumed() || (qos != QoS::AtMostOnce && self.counted >= self.quota) {
            return None;
        }
        let queued = self.queue.pop_front()?;
        self.queue_bytes = self.queue_bytes.saturating_sub(queued.frame.len());
        self.queued_qos0 -= u32::from(qos == QoS::AtMostOnce);
        Some(queued)
    }

    /// Begins an exchange whose PUBLISH is written now.
    pub(super) fn begin(&mut self, token: Token, id: PacketId, frame: Frame) {
        let state = match frame.qos() {
            QoS::ExactlyOnce => ExchangeState::Publish2(frame),
            _ => ExchangeState::Publish1(frame),
        };
        let number = self.allocations;
        self.counted = self.counted.saturating_add(1);
        self.inflight.push_back(Exchange { token, id, number, counted: true, sent: true, state });
        self.resumed = self.inflight();
    }

    /// The next exchange to repeat after a reconnect, if the quota allows it; it counts as written.
    pub(super) fn resume(&mut self) -> Option<Next<'_>> {
        let index = usize::try_from(self.resumed).ok()?;
        let exchange = self.inflight.get_mut(index)?;
        let id = exchange.id;
        let frame = match &exchange.state {
            ExchangeState::Released => {
                self.resumed += 1;
                return Some(Next::Release(id));
            }
            ExchangeState::Publish1(frame) | ExchangeState::Publish2(frame) => frame,
        };
        if self.counted >= self.quota {
            return None;
        }
        self.resumed += 1;
        self.counted += 1;
        exchange.counted = true;
        let dup = core::mem::replace(&mut exchange.sent, true);
        Some(Next::Publish { frame, id, dup })
    }

    /// Takes out what a new connection may no longer carry.
    pub(super) fn take_unfit(&mut self, fits: impl Fn(&Frame) -> bool) -> Vec<Token> {
        let mut unfit = Vec::new();
        self.inflight.retain(|exchange| match &exchange.state {
            ExchangeState::Publish1(frame) | ExchangeState::Publish2(frame) if !fits(frame) => {
                unfit.push(exchange.token);
                false
            }
            _ => true,
        });
        unfit
    }

    /// The server lost the session: messages begin anew if `republish`, else they are given back;
    /// second, those that the server had taken over already.
    pub(super) fn session_lost(&mut self, republish: bool) -> (Vec<Token>, Vec<Token>) {
        let (mut dropped, mut completed) = (Vec::new(), Vec::new());
        self.inflight.retain_mut(|exchange| {
            exchange.sent = false;
            if exchange.state == ExchangeState::Released {
                completed.push(exchange.token);
            } else if !republish {
                dropped.push(exchange.token);
            } else {
                return true;
            }
            false
        });
        (dropped, completed)
    }

    /// PUBACK.
    pub(super) fn puback(&mut self, id: PacketId) -> Acked {
        match self.find(id) {
            None => Acked::Unknown,
            Some((index, ExchangeState::Publish1(_))) => self.finish(index),
            Some(_) => Acked::WrongState,
        }
    }

    /// PUBREC.
    pub(super) fn pubrec(&mut self, id: PacketId, reason: ReasonCode) -> Acked {
        match self.find(id) {
            None => Acked::Unknown,
            Some((_, ExchangeState::Publish1(_))) => Acked::WrongState,
            Some((index, ExchangeState::Publish2(_))) if reason.is_error() => self.finish(index),
            Some((index, _)) => {
                self.inflight[index].state = ExchangeState::Released;
                Acked::Release
            }
        }
    }

    /// PUBCOMP.
    pub(super) fn pubcomp(&mut self, id: PacketId) -> Acked {
        match self.find(id) {
            None => Acked::Unknown,
            Some((index, ExchangeState::Released)) => self.finish(index),
            Some(_) => Acked::WrongState,
        }
    }

    /// A Packet Identifier for a SUBSCRIBE or UNSUBSCRIBE, kept until `answered`.
    pub(super) fn request_id(&mut self) -> Option<PacketId> {
        let id = self.free_id()?;
        self.requests.push(id);
        Some(id)
    }

    /// SUBACK or UNSUBACK; `false` if nothing asked for it.
    pub(super) fn answered(&mut self, id: PacketId) -> bool {
        let index = self.requests.iter().position(|asked| *asked == id);
        index.map(|index| self.requests.swap_remove(index)).is_some()
    }

    /// An identifier that nothing uses [MQTT-2.2.1-3].
    pub(super) fn free_id(&mut self) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last_id = self.last_id.wrapping_add(1);
            self.allocations += 1;
            let Some(id) = PacketId::new(self.last_id) else { continue };
            if !self.is_used(id) {
                return Some(id);
            }
        }
        None
    }

    fn is_used(&self, id: PacketId) -> bool {
        // The front is the oldest: if identifiers cannot have come round since, none collides.
        let oldest = self.inflight.front().map_or(self.allocations, |first| first.number);
        let come_round = self.allocations - oldest >= u64::from(u16::MAX);
        (come_round && self.inflight.iter().any(|exchange| exchange.id == id))
            || self.requests.contains(&id)
    }

    fn find(&self, id: PacketId) -> Option<(usize, &ExchangeState)> {
        let mut exchanges = self.inflight.iter().enumerate();
        exchanges.find(|(_, one)| one.id == id).map(|(index, one)| (index, &one.state))
    }

    fn finish(&mut self, index: usize) -> Acked {
        let Some(exchange) = self.inflight.remove(index) else { return Acked::Unknown };
        self.counted -= u16::from(exchange.counted);
        if u32::try_from(index).is_ok_and(|index| index < self.resumed) {
            self.resumed -= 1;
        }
        Acked::Done(exchange.token)
    }

    fn all_resumed(&self) -> bool {
        self.resumed == self.inflight()
    }
}
