//! An image written out as records: what folding puts in a base, and what gives the same image
//! again.

use super::image::{Image, SessionImage, ShardImage};
use super::record::{AttachedOp, FORMAT, ForwardOp, Op, WillOp, encode_put};

/// Steps of one batch, about so many bytes.
const BATCH_BYTES: usize = 32 * 1024;

/// One batch of a base.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a, M> {
    /// A whole batch.
    Steps(&'a [u8]),
    /// A batch that is `head` and then the bytes of a message.
    Message {
        /// What comes before the message.
        head: &'a [u8],
        /// How the message is held.
        body: &'a M,
    },
}

impl<M> Image<M> {
    /// Gives everything as batches, to be read by [`Image::apply_part`] in the same order, with the
    /// shard of each. `len` is the length of a message that is held so.
    ///
    /// # Errors
    /// The first of `each`.
    pub fn write<E>(
        &self,
        len: impl Fn(&M) -> u64,
        mut each: impl FnMut(u16, Piece<'_, M>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut out = vec![FORMAT];
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        if shards == 0 {
            return Ok(());
        }
        Op::Start { epoch: self.epoch, shards, wall: self.wall, key: self.key }.encode(&mut out);
        each(0, Piece::Steps(&out))?;
        for (shard, image) in (0..shards).zip(&self.shards) {
            for (number, held) in &image.messages {
                out.clear();
                out.push(FORMAT);
                encode_put(&mut out, *number, held.received, held.interval, len(&held.body));
                each(shard, Piece::Message { head: &out, body: &held.body })?;
            }
            out.clear();
            out.push(FORMAT);
            let mut full = |out: &mut Vec<u8>, least: usize| {
                if out.len() > least {
                    each(shard, Piece::Steps(out))?;
                    out.truncate(1);
                }
                Ok(())
            };
            for (number, session) in &image.sessions {
                session.write(*number, &mut out, &mut full)?;
            }
            image.write_rest(&mut out, &mut full)?;
            full(&mut out, 1)?;
        }
        Ok(())
    }
}

type Full<'a, E> = dyn FnMut(&mut Vec<u8>, usize) -> Result<(), E> + 'a;

impl<M> ShardImage<M> {
    fn write_rest<E>(&self, out: &mut Vec<u8>, full: &mut Full<'_, E>) -> Result<(), E> {
        for (topic, entry) in &self.retained {
            let (message, expires, stamp) = (entry.message, entry.expires, entry.stamp);
            Op::Retained { topic, message, expires, stamp }.encode(out);
            full(out, BATCH_BYTES)?;
        }
        for (topic, stamp) in &self.tombstones {
            Op::Cleared { topic, stamp: Some(*stamp) }.encode(out);
            full(out, BATCH_BYTES)?;
        }
        for (to, outbox) in &self.outbox {
            for forward in outbox {
                let forward = ForwardOp {
                    to: *to,
                    seq: forward.seq,
                    message: forward.message,
                    plain: forward.plain,
                    stamp: forward.stamp,
                    groups: forward.groups.iter().map(|group| &**group).collect(),
                    tried: forward.tried.clone(),
                };
                Op::Forward(forward).encode(out);
                full(out, BATCH_BYTES)?;
            }
        }
        for (from, seq) in &self.marks {
            Op::Mark { from: *from, seq: *seq }.encode(out);
        }
        Ok(())
    }
}

impl SessionImage {
    fn write<E>(&self, number: u64, out: &mut Vec<u8>, full: &mut Full<'_, E>) -> Result<(), E> {
        let session = number;
        let will = self.will.as_ref().map(|will| WillOp {
            delay: will.delay,
            interval: will.interval,
            body: &will.body,
        });
        Op::Attached(AttachedOp {
            session,
            client_id: &self.client_id,
            username: self.username.as_deref(),
            is_owned: self.is_owned,
            version: self.version,
            listener: &self.listener,
            mount: self.mount.as_deref(),
            expiry: self.expiry,
            rights: self.rights.as_deref(),
            will,
        })
        .encode(out);
        if !self.attached {
            let (expiry, expires, will_due) = (self.expiry, self.expires, self.will_due);
            let has_will = self.will.is_some();
            Op::Detached { session, expiry, expires, will_due, has_will }.encode(out);
        }
        for (filter, (options, identifier)) in &self.subscriptions {
            let (options, identifier) = (*options, *identifier);
            Op::Subscribed { session, filter, options, identifier }.encode(out);
            full(out, BATCH_BYTES)?;
        }
        for id in &self.incoming {
            Op::Received { session, id: *id }.encode(out);
        }
        for flight in &self.inflight {
            match &flight.delivery {
                None => Op::PubrecSeen { session, id: flight.id }.encode(out),
                Some(delivery) => {
                    Op::Sent { session, id: flight.id, delivery: delivery.op() }.encode(out);
                }
            }
            full(out, BATCH_BYTES)?;
        }
        for delivery in &self.queue {
            Op::Queued { session, delivery: delivery.op() }.encode(out);
            full(out, BATCH_BYTES)?;
        }
        full(out, BATCH_BYTES)
    }
}
