//! What an engine hands to the journal once a turn: its records since the last time, encoded. What
//! the bytes mean is not known here.

/// The number of a record, counted by each engine from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// The records of one turn of one engine. A crash keeps all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The number of the last record in it.
    pub lsn: Lsn,
    /// The records, one after the other.
    pub bytes: Vec<u8>,
}
