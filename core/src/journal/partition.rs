//! A new start (DESIGN §5.4): the image is dealt out anew among the shards of the next process, the
//! same way whenever the record is read. Connections are gone, links are at rest; sessions and
//! messages get new numbers, and retained messages one home each.

use super::image::{Held, Image, RetainedImage, SessionImage, ShardImage};
use crate::engine::shard_of;
use std::collections::BTreeMap;

/// The shard in the numbers of messages that an earlier process received.
const EARLIER: u64 = 0xFFFF << 48;

impl<M: Clone> Image<M> {
    /// Deals everything out among `count` shards, as of `self.wall`.
    pub(super) fn repartition(&mut self, count: u16) {
        let old = core::mem::take(&mut self.shards);
        self.shards.resize_with(usize::from(count), ShardImage::default);
        let retained = latest(&old);
        let mut messages: BTreeMap<u64, Held<M>> = BTreeMap::new();
        let mut sessions: BTreeMap<Box<str>, SessionImage> = BTreeMap::new();
        for shard in old {
            for (number, held) in shard.messages {
                messages.entry(number).or_insert(held);
            }
            for (_, session) in shard.sessions {
                sessions.insert(session.client_id.clone(), session);
            }
        }
        let used = in_use(&sessions, &retained);
        let numbers: BTreeMap<u64, u64> =
            used.into_iter().zip(1..).map(|(number, at)| (number, EARLIER | at)).collect();
        for held in messages.values_mut() {
            held.uses = 0;
            age(held, self.wall);
        }
        for (client_id, mut session) in sessions {
            detach(&mut session, self.wall);
            let home = usize::from(shard_of(&client_id, count).0);
            self.shards[home].adopt(session, &mut messages, &numbers, count == 1);
        }
        for (topic, (entry, _)) in retained {
            let Some(mut entry) = entry else { continue };
            let home = shard_of(&topic, count).0;
            let shard = &mut self.shards[usize::from(home)];
            entry.message = shard.take_in(entry.message, &mut messages, &numbers, count == 1);
            let held = shard.messages.get(&entry.message);
            let own = held.and_then(|held| Some((held.received, held.interval?)));
            let own = own.map(|(from, secs)| from.saturating_add(u64::from(secs) * 1000));
            entry.expires = entry.expires.map(|at| at.min(own.unwrap_or(at)));
            entry.stamp = (1, home);
            shard.retained.insert(topic, entry);
        }
    }
}

impl<M> Image<M> {
    /// Time that messages have waited no longer counts as their expiry, as of `wall`.
    pub(crate) fn age(&mut self, wall: u64) {
        for held in self.shards.iter_mut().flat_map(|shard| shard.messages.values_mut()) {
            age(held, wall);
        }
    }
}

type Latest = BTreeMap<Box<str>, (Option<RetainedImage>, super::record::StampOp)>;

/// By topic, what holds: the greatest stamp of all shards.
fn latest<M>(shards: &[ShardImage<M>]) -> Latest {
    let mut found = Latest::new();
    let mut offer = |topic: &str, entry: Option<&RetainedImage>, stamp| {
        if found.get(topic).is_none_or(|(_, known)| *known < stamp) {
            found.insert(topic.into(), (entry.cloned(), stamp));
        }
    };
    for shard in shards {
        for (topic, entry) in &shard.retained {
            offer(topic, Some(entry), entry.stamp);
        }
        for (topic, stamp) in &shard.tombstones {
            offer(topic, None, *stamp);
        }
    }
    found
}

fn in_use(
    sessions: &BTreeMap<Box<str>, SessionImage>,
    retained: &Latest,
) -> std::collections::BTreeSet<u64> {
    let sent = sessions.values().flat_map(|session| &session.inflight);
    let sent = sent.filter_map(|flight| flight.delivery.as_ref());
    let queued = sessions.values().flat_map(|session| &session.queue);
    let deliveries = sent.chain(queued).map(|delivery| delivery.message);
    let kept = retained.values().filter_map(|(entry, _)| entry.as_ref());
    deliveries.chain(kept.map(|entry| entry.message)).collect()
}

/// Whole seconds that a message has waited no longer count as its expiry, so that it can be told
/// from a clock that begins with the process.
fn age<M>(held: &mut Held<M>, wall: u64) {
    let Some(interval) = &mut held.interval else {
        held.received = wall;
        return;
    };
    let waited = wall.saturating_sub(held.received) / 1000;
    held.received = (held.received + waited * 1000).min(wall);
    *interval = interval.saturating_sub(u32::try_from(waited).unwrap_or(u32::MAX));
}

/// A session that was connected when the process ended counts as disconnected now. One that was not
/// has no longer to live than it would from now on: if it seems so, the clock was set back.
fn detach(session: &mut SessionImage, wall: u64) {
    let after = |secs: u32| wall.saturating_add(u64::from(secs) * 1000);
    let expires = (session.expiry != u32::MAX).then(|| after(session.expiry));
    let due = session.will.as_ref().map(|will| after(will.delay.min(session.expiry)));
    if core::mem::take(&mut session.attached) {
        (session.expires, session.will_due) = (expires, due);
    } else {
        session.expires = session.expires.map(|at| at.min(expires.unwrap_or(at)));
        session.will_due = session.will_due.map(|at| at.min(due.unwrap_or(at)));
    }
}

impl<M: Clone> ShardImage<M> {
    fn adopt(
        &mut self,
        mut session: SessionImage,
        messages: &mut BTreeMap<u64, Held<M>>,
        numbers: &BTreeMap<u64, u64>,
        is_only: bool,
    ) {
        let sent = session.inflight.iter_mut().filter_map(|flight| flight.delivery.as_mut());
        for delivery in sent.chain(&mut session.queue) {
            delivery.message = self.take_in(delivery.message, messages, numbers, is_only);
        }
        let number = self.sessions.last_key_value().map_or(1, |(last, _)| last + 1);
        self.sessions.insert(number, session);
    }

    /// Names a message here under its new number; the only shard has the one copy of it.
    fn take_in(
        &mut self,
        message: u64,
        messages: &mut BTreeMap<u64, Held<M>>,
        numbers: &BTreeMap<u64, u64>,
        is_only: bool,
    ) -> u64 {
        let number = numbers.get(&message).copied().unwrap_or(message);
        if let Some(held) = self.messages.get_mut(&number) {
            held.uses += 1;
            return number;
        }
        let held =
            if is_only { messages.remove(&message) } else { messages.get(&message).cloned() };
        if let Some(held) = held {
            self.messages.insert(number, Held { uses: 1, ..held });
        }
        number
    }
}
