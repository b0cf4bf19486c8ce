//! Saving, restoring and hashing of everything an engine remembers: explicit little-endian fields,
//! in a fixed order, the same natively and in wasm. A hash covers only the lengths of payloads, so
//! that a redacted recording has the hashes of the original. Never saves anything derived from
//! hash order, capacity or pointer width.

use crate::message::Message;
use crate::packet::{PacketId, QoS, SubscriptionIds, Version};
use crate::time::{Instant, WallClock};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

/// Why saved state was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreError {
    /// What was being read.
    pub what: &'static str,
    /// Byte offset at which it was expected.
    pub at: u64,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "saved state is damaged: no {} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for RestoreError {}

/// Takes saved fields.
pub trait Sink {
    /// Bytes that count.
    fn bytes(&mut self, bytes: &[u8]);

    /// Bytes of a payload: saved whole, hashed by length.
    fn payload(&mut self, bytes: &[u8]);

    /// Whether the message with this number comes for the first time, so that it is saved once.
    fn first_time(&mut self, message: u64) -> bool;
}

/// Collects a snapshot.
#[derive(Debug, Default)]
pub struct Saver {
    /// What was saved.
    pub out: Vec<u8>,
    seen: BTreeSet<u64>,
}

impl Sink for Saver {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn payload(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn first_time(&mut self, message: u64) -> bool {
        self.seen.insert(message)
    }
}

/// Collects a hash (FNV-1a over 64 bits, finished by a mixer).
#[derive(Debug)]
pub struct Hasher {
    hash: u64,
    seen: BTreeSet<u64>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, seen: BTreeSet::new() }
    }
}

impl Hasher {
    /// The hash of all that was put in.
    pub const fn finish(&self) -> u64 {
        crate::rng::Rng::new(self.hash).next_u64()
    }
}

impl Sink for Hasher {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn payload(&mut self, _: &[u8]) {}

    fn first_time(&mut self, message: u64) -> bool {
        self.seen.insert(message)
    }
}

/// Reads a snapshot.
#[derive(Debug)]
pub struct Source<'a> {
    all: &'a [u8],
    at: usize,
    messages: BTreeMap<u64, Arc<Message>>,
}

impl<'a> Source<'a> {
    /// Reads from the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { all: bytes, at: 0, messages: BTreeMap::new() }
    }

    /// Whether all was read.
    pub const fn is_empty(&self) -> bool {
        self.at == self.all.len()
    }

    /// An error at the present place.
    pub const fn error(&self, what: &'static str) -> RestoreError {
        RestoreError { what, at: self.at as u64 }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], RestoreError> {
        let taken = self.all[self.at..].get(..len).ok_or_else(|| self.error(what))?;
        self.at += len;
        Ok(taken)
    }

    /// A length, which can never exceed what is left.
    pub fn len(&mut self, what: &'static str) -> Result<usize, RestoreError> {
        let len = usize::try_from(u32::load(self)?).unwrap_or(usize::MAX);
        if len > self.all.len() - self.at { Err(self.error(what)) } else { Ok(len) }
    }
}

/// A value that can be saved, hashed and restored.
pub trait State: Sized {
    /// Writes all of it.
    fn save(&self, to: &mut dyn Sink);

    /// Reads it back.
    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError>;
}

/// Implements [`State`] field by field, in the order given.
macro_rules! state {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::state::State for $type {
            fn save(&self, to: &mut dyn $crate::state::Sink) {
                $($crate::state::State::save(&self.$field, to);)*
            }

            fn load(
                from: &mut $crate::state::Source<'_>,
            ) -> Result<Self, $crate::state::RestoreError> {
                Ok(Self { $($field: $crate::state::State::load(from)?),* })
            }
        }
    };
}
pub(crate) use state;

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl State for $type {
            fn save(&self, to: &mut dyn Sink) {
                to.bytes(&self.to_le_bytes());
            }

            fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
                let bytes = from.take(size_of::<Self>(), stringify!($type))?;
                bytes.try_into().map(Self::from_le_bytes).map_err(|_| from.error("integer"))
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 i64 }

impl State for bool {
    fn save(&self, to: &mut dyn Sink) {
        u8::from(*self).save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        match u8::load(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(from.error("boolean")),
        }
    }
}

fn save_len(len: usize, to: &mut dyn Sink) {
    u32::try_from(len).unwrap_or(u32::MAX).save(to);
}

impl State for String {
    fn save(&self, to: &mut dyn Sink) {
        self.as_str().to_owned().into_boxed_str().save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Box::<str>::load(from).map(Into::into)
    }
}

impl State for Box<str> {
    fn save(&self, to: &mut dyn Sink) {
        save_len(self.len(), to);
        to.bytes(self.as_bytes());
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let len = from.len("text")?;
        let text = core::str::from_utf8(from.take(len, "text")?);
        text.map(Into::into).map_err(|_| from.error("UTF-8 text"))
    }
}

impl State for Arc<str> {
    fn save(&self, to: &mut dyn Sink) {
        save_len(self.len(), to);
        to.bytes(self.as_bytes());
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Box::<str>::load(from).map(Into::into)
    }
}

/// Bytes of a peer: saved whole, hashed by length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opaque(pub Box<[u8]>);

impl State for Opaque {
    fn save(&self, to: &mut dyn Sink) {
        save_len(self.0.len(), to);
        to.payload(&self.0);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let len = from.len("payload")?;
        Ok(Self(from.take(len, "payload")?.into()))
    }
}

impl<T: State> State for Option<T> {
    fn save(&self, to: &mut dyn Sink) {
        self.is_some().save(to);
        if let Some(value) = self {
            value.save(to);
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        if bool::load(from)? { T::load(from).map(Some) } else { Ok(None) }
    }
}

impl<T: State> State for Box<T> {
    fn save(&self, to: &mut dyn Sink) {
        T::save(self, to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        T::load(from).map(Self::new)
    }
}

macro_rules! sequences {
    ($($type:ty, [$($bound:tt)*];)*) => {$(
        impl<$($bound)*> State for $type {
            fn save(&self, to: &mut dyn Sink) {
                save_len(self.len(), to);
                for item in self {
                    item.save(to);
                }
            }

            fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
                let len = from.len("sequence")?;
                (0..len).map(|_| State::load(from)).collect()
            }
        }
    )*};
}

sequences! {
    Vec<T>, [T: State];
    VecDeque<T>, [T: State];
    BTreeSet<T>, [T: State + Ord];
    SubscriptionIds, [];
}

impl<K: State + Ord, V: State> State for BTreeMap<K, V> {
    fn save(&self, to: &mut dyn Sink) {
        save_len(self.len(), to);
        for (key, value) in self {
            key.save(to);
            value.save(to);
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let len = from.len("map")?;
        (0..len).map(|_| Ok((K::load(from)?, V::load(from)?))).collect()
    }
}

impl<A: State, B: State> State for (A, B) {
    fn save(&self, to: &mut dyn Sink) {
        self.0.save(to);
        self.1.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Ok((A::load(from)?, B::load(from)?))
    }
}

impl State for Instant {
    fn save(&self, to: &mut dyn Sink) {
        self.0.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        u64::load(from).map(Self)
    }
}

impl State for WallClock {
    fn save(&self, to: &mut dyn Sink) {
        self.0.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        u64::load(from).map(Self)
    }
}

impl State for PacketId {
    fn save(&self, to: &mut dyn Sink) {
        self.get().save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Self::new(u16::load(from)?).ok_or_else(|| from.error("packet identifier"))
    }
}

impl State for QoS {
    fn save(&self, to: &mut dyn Sink) {
        self.bits().save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Self::from_bits(u8::load(from)?).ok_or_else(|| from.error("QoS"))
    }
}

impl State for Version {
    fn save(&self, to: &mut dyn Sink) {
        self.level().save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Self::from_level(u8::load(from)?).ok_or_else(|| from.error("protocol version"))
    }
}

impl State for Arc<Message> {
    fn save(&self, to: &mut dyn Sink) {
        self.number.save(to);
        if to.first_time(self.number) {
            Message::save(self, to);
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let number = u64::load(from)?;
        if let Some(message) = from.messages.get(&number) {
            return Ok(Self::clone(message));
        }
        let message = Self::new(Message::load(from)?);
        from.messages.insert(number, Self::clone(&message));
        Ok(message)
    }
}
