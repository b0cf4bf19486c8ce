//! Hash maps keyed by what peers choose (Client Identifiers, topics): seeded hash, for lookup
//! only. Their order must never be observable; iterate only where the result does not depend on it,
//! or sort first.

use core::hash::BuildHasher;
use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// A hash map with a [`Keyed`] hash. Build it with [`map`].
pub type Map<K, V> = hashbrown::HashMap<K, V, Keyed>;
/// A hash set with a [`Keyed`] hash. Build it with [`set`].
pub type Set<K> = hashbrown::HashSet<K, Keyed>;

/// The hash key, derived from the seed that the driver hands in.
#[derive(Clone, Debug)]
pub struct Keyed(SeedableRandomState);

impl Keyed {
    /// A hash keyed by `seed`: two maps of one seed hash alike.
    pub fn new(seed: u64) -> Self {
        Self(SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()))
    }
}

impl Default for Keyed {
    fn default() -> Self {
        Self::new(0)
    }
}

impl BuildHasher for Keyed {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

/// An empty map whose hash is keyed by `seed`.
pub fn map<K, V>(seed: u64) -> Map<K, V> {
    Map::with_hasher(Keyed::new(seed))
}

/// An empty set whose hash is keyed by `seed`.
pub fn set<K>(seed: u64) -> Set<K> {
    Set::with_hasher(Keyed::new(seed))
}
