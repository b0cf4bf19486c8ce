//! Messages for other shards that must not be lost (DESIGN §5.3): kept here until the other shard has
//! stored what it made of them, and handled there once, by their number. The acknowledgement to the
//! publisher waits for this shard's record alone.

use super::link::{Body, Forward};
use super::{Broker, Outlet};
use crate::engine::ShardId;
use crate::journal::{ForwardImage, ForwardOp, Op};
use crate::packet::QoS;
use crate::state::state;
use std::collections::VecDeque;

/// What is kept for one peer, and known of what it sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    /// The number of the last message that was kept.
    pub(super) sent: u64,
    /// What the peer has not stored, by number.
    pub(super) kept: VecDeque<(u64, Forward)>,
    /// The number of the peer's last message that was handled.
    pub(super) mark: u64,
    /// Batches that tell what became of the peer's messages, up to this number of them.
    unstored: VecDeque<(u64, u64)>,
    /// What is stored, and what the peer was told of it.
    stored: u64,
    told: u64,
}

state!(Outbox { sent, kept, mark, unstored, stored, told });

impl Outbox {
    pub(super) fn footprint(&self) -> u64 {
        let kept = self.kept.iter().map(|(_, forward)| 64 + forward.message.weight());
        kept.sum::<u64>() + 16 * self.unstored.len() as u64
    }
}

impl Forward {
    fn op(&self, to: ShardId, seq: u64) -> ForwardOp<'_> {
        ForwardOp {
            to: to.0,
            seq,
            message: self.message.number,
            plain: self.plain,
            stamp: self.stamp.map(super::link::Stamp::op),
            groups: self.groups.iter().map(|group| &**group).collect(),
            tried: self.tried.iter().map(|shard| shard.0).collect(),
        }
    }

    /// As an image holds it.
    pub(super) fn image(&self, seq: u64) -> ForwardImage {
        ForwardImage {
            seq,
            message: self.message.number,
            plain: self.plain,
            stamp: self.stamp.map(super::link::Stamp::op),
            groups: self.groups.clone(),
            tried: self.tried.iter().map(|shard| shard.0).collect(),
        }
    }
}

impl Broker {
    /// Keeps a message for a peer if it may not be lost there: its number, or 0.
    pub(super) fn keep_for(&mut self, peer: ShardId, forward: &Forward, kept: bool) -> u64 {
        if !kept || !self.durable.is_on() || forward.message.qos == QoS::AtMostOnce {
            return 0;
        }
        let Some(outbox) = self.links.outbox(peer) else { return 0 };
        outbox.sent += 1;
        let seq = outbox.sent;
        outbox.kept.push_back((seq, forward.clone()));
        self.durable.put(&forward.message);
        self.durable.step(&Op::Forward(forward.op(peer, seq)));
        seq
    }

    /// Whether a peer's message is to be handled: not if it was.
    pub(super) fn is_news(&mut self, peer: ShardId, seq: u64) -> bool {
        if seq == 0 {
            return true;
        }
        let Some(outbox) = self.links.outbox(peer) else { return true };
        if seq <= outbox.mark {
            return false;
        }
        outbox.mark = seq;
        self.durable.step(&Op::Mark { from: peer.0, seq });
        let lsn = self.durable.last();
        if let Some(outbox) = self.links.outbox(peer) {
            outbox.unstored.push_back((lsn, seq));
        }
        true
    }

    /// A peer has stored everything up to `seq`.
    pub(super) fn peer_stored(&mut self, peer: ShardId, seq: u64) {
        let Some(outbox) = self.links.outbox(peer) else { return };
        while outbox.kept.front().is_some_and(|(first, _)| *first <= seq) {
            outbox.kept.pop_front();
        }
        self.durable.step(&Op::Stored { to: peer.0, seq });
    }

    /// Something became durable: perhaps what peers wait for.
    pub(super) fn note_stored(&mut self) {
        let durable = self.durable.durable();
        for outbox in self.links.outboxes() {
            while let Some((lsn, seq)) = outbox.unstored.front()
                && *lsn <= durable
            {
                outbox.stored = *seq;
                outbox.unstored.pop_front();
            }
        }
    }

    /// Tells the peers what is stored, once a turn.
    pub(super) fn tell_stored(&mut self, outlet: &mut impl Outlet) {
        for peer in self.links.peers() {
            let Some(outbox) = self.links.outbox(peer) else { continue };
            if outbox.stored > outbox.told {
                outbox.told = outbox.stored;
                let seq = outbox.stored;
                self.link(peer, Body::Stored { seq }, outlet);
            }
        }
    }

    /// Whether a peer is to be told something.
    pub(super) fn owes_stored(&self) -> bool {
        self.links.all_outboxes().any(|outbox| outbox.stored > outbox.told)
    }
}
