//! Shared subscriptions (MQTT 5.0 §4.8.2): groups of members that share one filter, and who of
//! them gets the next message: in turn, those who are connected and keep up first.

use super::Grant;
use crate::arena::Arena;
use crate::engine::ShardId;
use crate::map::{Map, map};
use crate::packet::QoS;
use crate::session::{Session, SessionKey, Subscription};
use crate::state::{RestoreError, Sink, Source, State, state};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
struct Member {
    session: SessionKey,
    subscription: Subscription,
}

state!(Member { session, subscription });

#[derive(Clone, Debug)]
struct Group {
    /// `$share/name/filter`, with mount point.
    full: Arc<str>,
    /// Where the inner filter begins.
    inner: u32,
    members: Vec<Member>,
    /// Whose turn it is.
    turn: u32,
    /// Members on other shards: connected, and waiting.
    peers: BTreeMap<ShardId, (u32, u32)>,
    /// Whose turn it is among the shards.
    shard_turn: u32,
}

state!(Group { full, inner, members, turn, peers, shard_turn });

/// Who gets a message of a shared subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// A member here.
    Member(SessionKey, Grant),
    /// Some member of another shard, of the group with this name.
    Shard(ShardId, Box<str>),
}

/// All groups of an engine.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    groups: Arena<Group>,
    by_name: Map<Arc<str>, u32>,
}

impl Groups {
    pub(super) fn new(seed: u64) -> Self {
        Self { groups: Arena::default(), by_name: map(seed) }
    }

    /// The same groups under another hash key.
    pub(super) fn keyed(self, seed: u64) -> Self {
        let mut by_name = map(seed);
        for (at, group) in self.groups.iter() {
            by_name.insert(Arc::clone(&group.full), at);
        }
        Self { groups: self.groups, by_name }
    }

    /// Adds or replaces a member of `full`, whose inner filter is `filter`: the group, and whether
    /// it is new.
    pub(super) fn join(
        &mut self,
        full: &str,
        filter: &str,
        session: SessionKey,
        subscription: Subscription,
    ) -> (u32, bool) {
        let member = Member { session, subscription };
        let (at, is_new) = self.find_or_new(full, filter);
        if let Some(group) = self.groups.get_mut(at) {
            match group.members.iter_mut().find(|old| old.session == session) {
                Some(old) => *old = member,
                None => group.members.push(member),
            }
        }
        (at, is_new)
    }

    fn find_or_new(&mut self, full: &str, filter: &str) -> (u32, bool) {
        if let Some(&at) = self.by_name.get(full) {
            return (at, false);
        }
        let full: Arc<str> = full.into();
        let inner = u32::try_from(full.len() - filter.len()).unwrap_or(0);
        let at = self.groups.insert(Group {
            full: Arc::clone(&full),
            inner,
            members: Vec::new(),
            turn: 0,
            peers: BTreeMap::new(),
            shard_turn: 0,
        });
        self.by_name.insert(full, at);
        (at, true)
    }

    /// Notes how many members another shard has: the group, and whether it still exists.
    pub(super) fn set_peer(
        &mut self,
        full: &str,
        filter: &str,
        peer: ShardId,
        online: u32,
        waiting: u32,
    ) -> (u32, bool) {
        let (at, _) = self.find_or_new(full, filter);
        if let Some(group) = self.groups.get_mut(at) {
            if online + waiting > 0 {
                group.peers.insert(peer, (online, waiting));
            } else {
                group.peers.remove(&peer);
            }
            if group.members.is_empty() && group.peers.is_empty() {
                self.groups.remove(at);
                self.by_name.remove(full);
                return (at, false);
            }
        }
        (at, true)
    }

    /// Members here: connected, and waiting.
    pub(super) fn count(&self, full: &str, sessions: &Arena<Session>) -> (u32, u32) {
        let group = self.find(full).and_then(|at| self.groups.get(at));
        let mut counts = (0, 0);
        for member in group.iter().flat_map(|group| &group.members) {
            match sessions.get(member.session.slot) {
                Some(session) if session.attached.is_some() => counts.0 += 1,
                Some(_) => counts.1 += 1,
                None => {}
            }
        }
        counts
    }

    /// The group with this name.
    pub(super) fn find(&self, full: &str) -> Option<u32> {
        self.by_name.get(full).copied()
    }

    /// The name of the group.
    pub(super) fn name(&self, at: u32) -> Option<Arc<str>> {
        Some(Arc::clone(&self.groups.get(at)?.full))
    }

    /// Whether the group is one of `names`.
    pub(super) fn is_named(&self, at: u32, names: &[Box<str>]) -> bool {
        self.groups.get(at).is_some_and(|group| names.iter().any(|name| **name == *group.full))
    }

    /// A shard with members that is not one of `tried`: connected ones first.
    pub(super) fn other_shard(&self, full: &str, tried: &[ShardId]) -> Option<ShardId> {
        let group = self.groups.get(self.find(full)?)?;
        let rest = group.peers.iter().filter(|(peer, _)| !tried.contains(peer));
        rest.max_by_key(|(peer, (online, waiting))| (*online > 0, *waiting > 0, peer.0))
            .map(|(peer, _)| *peer)
    }

    /// Removes a member. Gives the filter and the group if that was the last one.
    pub(super) fn leave(&mut self, full: &str, session: SessionKey) -> Option<(String, u32)> {
        let at = *self.by_name.get(full)?;
        let group = self.groups.get_mut(at)?;
        let place = group.members.iter().position(|member| member.session == session)?;
        group.members.remove(place);
        if (place as u64) < u64::from(group.turn) {
            group.turn -= 1;
        }
        if !group.members.is_empty() || !group.peers.is_empty() {
            return None;
        }
        let group = self.groups.remove(at)?;
        self.by_name.remove(full);
        Some((group.full[group.inner as usize..].to_owned(), at))
    }

    /// The member that gets the next message of QoS `qos`: the next in turn that is connected and
    /// keeps up; else one that is connected; else, for QoS 1 and 2, one whose Session waits. Who may
    /// not read it is passed over.
    pub(super) fn choose(
        &mut self,
        at: u32,
        qos: QoS,
        anywhere: bool,
        sessions: &Arena<Session>,
        has_room: impl Fn(u32) -> bool,
        may_read: impl Fn(&Session) -> bool,
    ) -> Option<Choice> {
        let group = self.groups.get_mut(at)?;
        if anywhere
            && !group.peers.is_empty()
            && let Some(peer) = choose_shard(group, sessions)
        {
            return Some(Choice::Shard(peer, (*group.full).into()));
        }
        let count = group.members.len();
        let (mut best, mut denied) = (None, None);
        for step in 0..count {
            let place = (group.turn as usize + step) % count;
            let member = &group.members[place];
            let Some(session) = sessions.get(member.session.slot) else { continue };
            if !may_read(session) {
                denied = Some(place);
                continue;
            }
            let stored = qos.min(member.subscription.options.qos) != QoS::AtMostOnce;
            let rank = match &session.attached {
                Some(attached) if has_room(attached.slot) && !is_behind(session) => 3,
                Some(_) => 2,
                None if stored => 1,
                None => 0,
            };
            if best.is_none_or(|(found, _)| rank > found) {
                best = Some((rank, place));
            }
            if rank == 3 {
                break;
            }
        }
        let place = match best {
            Some((_, place)) => place,
            // Somebody elsewhere may read it; here it is denied to one of them, who is told.
            None if !anywhere => return None,
            None => match group.peers.keys().next() {
                Some(peer) => return Some(Choice::Shard(*peer, (*group.full).into())),
                None => denied?,
            },
        };
        group.turn = u32::try_from((place + 1) % count).unwrap_or(0);
        let member = &group.members[place];
        let Subscription { options, identifier } = member.subscription;
        Some(Choice::Member(member.session, Grant { options, identifier }))
    }

    pub(super) fn footprint(&self) -> u64 {
        let of_group =
            |group: &Group| 96 + group.full.len() as u64 + 24 * group.members.len() as u64;
        self.groups.iter().map(|(_, group)| of_group(group)).sum()
    }
}

/// The shard whose turn it is, in proportion to connected members, or to waiting ones if nobody is
/// connected anywhere; `None` is this one.
fn choose_shard(group: &mut Group, sessions: &Arena<Session>) -> Option<ShardId> {
    let here = group.members.iter().filter_map(|member| sessions.get(member.session.slot));
    let online_here = u32::try_from(here.filter(|s| s.attached.is_some()).count()).unwrap_or(0);
    let online: u32 = online_here + group.peers.values().map(|counts| counts.0).sum::<u32>();
    let waiting_here = u32::try_from(group.members.len()).unwrap_or(0) - online_here;
    let waiting: u32 = waiting_here + group.peers.values().map(|counts| counts.1).sum::<u32>();
    let total = if online > 0 { online } else { waiting };
    let mut turn = group.shard_turn.checked_rem(total)?;
    group.shard_turn = (turn + 1) % total;
    let mine = if online > 0 { online_here } else { waiting_here };
    if turn < mine {
        return None;
    }
    turn -= mine;
    for (peer, counts) in &group.peers {
        let count = if online > 0 { counts.0 } else { counts.1 };
        if turn < count {
            return Some(*peer);
        }
        turn -= count;
    }
    None
}

/// Whether messages wait for this Session already.
fn is_behind(session: &Session) -> bool {
    !session.queue.is_empty()
}

impl State for Groups {
    fn save(&self, to: &mut dyn Sink) {
        self.groups.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Ok(Self { groups: State::load(from)?, by_name: map(0) })
    }
}
