//! An authentication that is under way: the CONNECT that waits for it, without what is secret in it,
//! and the bytes that came behind. Never holds a password.

use crate::state::{RestoreError, Sink, Source, State};
use crate::time::Instant;

/// An authentication that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// The CONNECT, encoded anew without password and Authentication Data; empty where the client
    /// was let in before.
    pub(crate) connect: Box<[u8]>,
    /// The question that the driver was asked last.
    pub(crate) request: u32,
    /// Whether it is the driver's turn, and not the client's.
    pub(crate) awaits_verdict: bool,
    /// What came behind CONNECT.
    pub(crate) held: Vec<u8>,
    /// From when on the client's time runs: for one that is not let in yet, from when it was accepted.
    pub(crate) since: Instant,
}

impl Pending {
    pub(crate) fn new(connect: Vec<u8>, since: Instant) -> Self {
        let connect = connect.into();
        Self { connect, request: 0, awaits_verdict: false, held: Vec::new(), since }
    }

    pub(crate) fn footprint(&self) -> u64 {
        64 + self.connect.len() as u64 + self.held.len() as u64
    }
}

impl State for Pending {
    fn save(&self, to: &mut dyn Sink) {
        for bytes in [&self.connect[..], &self.held[..]] {
            u32::try_from(bytes.len()).unwrap_or(u32::MAX).save(to);
            to.payload(bytes);
        }
        self.request.save(to);
        self.awaits_verdict.save(to);
        self.since.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let mut bytes = || {
            let len = from.len("bytes of a waiting CONNECT")?;
            from.take(len, "bytes of a waiting CONNECT").map(<[u8]>::to_vec)
        };
        let (connect, held) = (bytes()?.into(), bytes()?);
        Ok(Self {
            connect,
            held,
            request: State::load(from)?,
            awaits_verdict: State::load(from)?,
            since: State::load(from)?,
        })
    }
}
