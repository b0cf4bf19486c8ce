//! A start (DESIGN §5.4): what the journal says becomes engines. First the shards as they were, in
//! memory, so that what was on its way between them arrives; then the next number of shards. What
//! that did is records like any other, closed by a start; only when all of it is durable may anybody
//! be let in. A crash before that repeats it, with the same result.

use super::{Config, Effect, Engine, Input, LinkMessage, Observer, ShardId};
use crate::journal::{BadRecord, Batch, FORMAT, Image, Lsn, Op};
use crate::time::{Instant, WallClock};
use std::collections::VecDeque;
use std::sync::Arc;

/// Engines that go on where a journal ends.
#[derive(Debug)]
pub struct Recovered<O: Observer> {
    /// One for each shard. Call `Input::Turn` first: what ran out meanwhile ends then.
    pub engines: Vec<Engine<O>>,
    /// To be appended and made durable before anything else.
    pub batches: Vec<(u16, Batch)>,
}

/// Makes engines from `image`, which is then what it will be once all batches are durable.
/// `config` says how many there shall be; `now` and `wall` are the clocks, `seed` keys the hashes.
///
/// # Errors
/// If the image does not fit together: the journal was written by something else.
pub fn recover<O: Observer>(
    image: &mut Image<Box<[u8]>>,
    config: &Config,
    seed: u64,
    now: Instant,
    wall: WallClock,
    observer: impl FnMut(ShardId) -> O,
) -> Result<Recovered<O>, BadRecord> {
    recover_from(image, config, (seed, now, wall), false, observer)
}

/// The same for who needs the image no more: a broker of one shard never holds its messages twice.
/// What is left of the image is its epoch.
///
/// # Errors
/// As [`recover`].
pub fn recover_and_forget<O: Observer>(
    image: &mut Image<Box<[u8]>>,
    config: &Config,
    seed: u64,
    now: Instant,
    wall: WallClock,
    observer: impl FnMut(ShardId) -> O,
) -> Result<Recovered<O>, BadRecord> {
    recover_from(image, config, (seed, now, wall), config.shards <= 1, observer)
}

fn recover_from<O: Observer>(
    image: &mut Image<Box<[u8]>>,
    config: &Config,
    (seed, now, wall): Clocks,
    forget: bool,
    mut observer: impl FnMut(ShardId) -> O,
) -> Result<Recovered<O>, BadRecord> {
    let mut batches = Vec::new();
    if has_outstanding(image) {
        image.age(wall.0);
        finish_links(image, config, (seed, now, wall), &mut batches)?;
    }
    let shards = config.shards.max(1);
    let mut start = vec![FORMAT];
    let epoch = image.epoch.saturating_add(1);
    Op::Start { epoch, shards, wall: wall.0, key: seed }.encode(&mut start);
    image.apply(0, &start, |body, _| body.into())?;
    batches.push((0, Batch { lsn: Lsn(0), bytes: start }));
    let (mut engines, mut queue) = (Vec::new(), VecDeque::new());
    for shard in (0..shards).map(ShardId) {
        let clocks = (seed, now, wall);
        let (engine, links) = build(image, config, shard, clocks, forget, observer(shard))?;
        engines.push(engine);
        queue.extend(links);
    }
    // Who is subscribed where must be known everywhere before the first will is published.
    run_links(image, &mut engines, &mut queue, now, &mut batches)?;
    Ok(Recovered { engines, batches })
}

type Clocks = (u64, Instant, WallClock);
type Links = Vec<(ShardId, ShardId, LinkMessage)>;

/// Whether a shard has not handled what another kept for it.
fn has_outstanding(image: &Image<Box<[u8]>>) -> bool {
    let kept = (0_u16..)
        .zip(&image.shards)
        .flat_map(|(from, shard)| shard.outbox.iter().map(move |(to, kept)| (from, *to, kept)));
    kept.into_iter()
        .any(|(from, to, kept)| kept.back().is_some_and(|last| last.seq > mark(image, from, to)))
}

/// What `to` has handled of `from`.
fn mark(image: &Image<Box<[u8]>>, from: u16, to: u16) -> u64 {
    let shard = image.shards.get(usize::from(to));
    shard.and_then(|shard| shard.marks.get(&from).copied()).unwrap_or(0)
}

/// One engine of the image, which may forget the messages that it gives.
fn build<O: Observer>(
    image: &mut Image<Box<[u8]>>,
    config: &Config,
    shard: ShardId,
    (seed, now, wall): Clocks,
    forget: bool,
    observer: O,
) -> Result<(Engine<O>, Links), BadRecord> {
    let count = u16::try_from(image.shards.len()).unwrap_or(1);
    let config = Config { shard, shards: count, ..config.clone() };
    let key = seed.wrapping_add(u64::from(shard.0));
    let mut engine = Engine::new(Arc::new(config), key, now, wall, observer);
    let mut effects = Vec::new();
    let (broker, mut out) = engine.parts(now, &mut effects);
    for at in 0..count {
        let handled = mark(image, shard.0, at);
        let Some(one) = image.shards.get_mut(usize::from(at)) else { continue };
        if at == shard.0 {
            broker.adopt(now, one, forget, &mut out)?;
        } else {
            broker.adopt_retained_of(now, one)?;
            broker.go_on_after(ShardId(at), handled, 0);
        }
    }
    let stamps = image.shards.iter().flat_map(|one| {
        let set = one.retained.values().map(|entry| entry.stamp.0);
        set.chain(one.tombstones.values().map(|stamp| stamp.0))
    });
    broker.go_on_after(shard, 0, stamps.max().unwrap_or(0).max(1));
    Ok((engine, links_of(shard, &mut effects)))
}

fn links_of(from: ShardId, effects: &mut Vec<Effect>) -> Links {
    let of = |effect| match effect {
        Effect::Link { peer, message } => Some((from, peer, message)),
        _ => None,
    };
    effects.drain(..).filter_map(of).collect()
}

/// Lets everything that was on its way between the shards arrive, on the shards as they were.
fn finish_links(
    image: &mut Image<Box<[u8]>>,
    config: &Config,
    clocks: Clocks,
    batches: &mut Vec<(u16, Batch)>,
) -> Result<(), BadRecord> {
    let now = clocks.1;
    let (mut engines, mut queue) = (Vec::new(), VecDeque::new());
    let count = u16::try_from(image.shards.len()).unwrap_or(1);
    for shard in (0..count).map(ShardId) {
        let (engine, links) = build(image, config, shard, clocks, false, ())?;
        engines.push(engine);
        queue.extend(links);
    }
    // Who is subscribed where must be known before a message looks for another shard.
    run_links(image, &mut engines, &mut queue, now, batches)?;
    let mut effects = Vec::new();
    for (shard, engine) in (0_u16..).zip(&mut engines) {
        let (broker, mut out) = engine.parts(now, &mut effects);
        broker.hand_over_again(|peer| mark(image, shard, peer.0), &mut out);
        queue.extend(links_of(ShardId(shard), &mut effects));
    }
    run_links(image, &mut engines, &mut queue, now, batches)
}

fn run_links<O: Observer>(
    image: &mut Image<Box<[u8]>>,
    engines: &mut [Engine<O>],
    queue: &mut VecDeque<(ShardId, ShardId, LinkMessage)>,
    now: Instant,
    batches: &mut Vec<(u16, Batch)>,
) -> Result<(), BadRecord> {
    let mut effects = Vec::new();
    while let Some((from, to, message)) = queue.pop_front() {
        let Some(engine) = engines.get_mut(usize::from(to.0)) else { continue };
        engine.handle(now, Input::Link { peer: from, message }, &mut effects);
        if let Some(batch) = engine.take_records() {
            image.apply(to.0, &batch.bytes, |body, _| body.into())?;
            batches.push((to.0, batch));
        }
        queue.extend(links_of(to, &mut effects));
    }
    Ok(())
}
