//! The bytes that wait to be written to one connection, and PUBLISH frames shared by many
//! subscribers. A connection with nothing to say holds no buffer.

use crate::codec;
use crate::packet::{Publish, QoS, Version};
use crate::state::{RestoreError, Sink, Source, State};
use std::collections::VecDeque;

/// Output of a connection since the driver last took it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    /// Whether it stands on the list of those to be taken.
    pub(crate) dirty: bool,
    /// From which offset on the bytes wait for which batch of records; both ascending. Nothing
    /// overtakes a frame that waits.
    gates: VecDeque<(u64, u64)>,
}

impl Output {
    pub(crate) const fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// What is appended from now on waits until the batch `lsn` is durable.
    pub(crate) fn withhold(&mut self, lsn: u64) {
        if self.last_gate().is_none_or(|last| last < lsn) {
            self.gates.push_back((self.len(), lsn));
        }
    }

    /// The last batch that something here waits for, if that is not durable yet.
    pub(crate) fn last_gate(&self) -> Option<u64> {
        self.gates.back().map(|(_, lsn)| *lsn)
    }

    /// The batch that the next byte waits for.
    pub(crate) fn first_gate(&self) -> Option<u64> {
        self.gates.front().map(|(_, lsn)| *lsn)
    }

    /// Everything up to `lsn` is durable.
    pub(crate) fn open(&mut self, lsn: u64) {
        while self.gates.front().is_some_and(|(_, gate)| *gate <= lsn) {
            self.gates.pop_front();
        }
        if self.gates.is_empty() {
            self.gates = VecDeque::new();
        }
    }

    /// Takes what may go out.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let Some((at, _)) = self.gates.front() else { return core::mem::take(&mut self.bytes) };
        let at = usize::try_from(*at).unwrap_or(usize::MAX).min(self.bytes.len());
        if at == 0 {
            return Vec::new();
        }
        let rest = self.bytes.split_off(at);
        for (offset, _) in &mut self.gates {
            *offset -= at as u64;
        }
        core::mem::replace(&mut self.bytes, rest)
    }
}

impl State for Output {
    fn save(&self, to: &mut dyn Sink) {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).save(to);
        to.payload(&self.bytes);
        self.dirty.save(to);
        self.gates.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let len = from.len("output")?;
        let bytes = from.take(len, "output")?.to_vec();
        Ok(Self { bytes, dirty: State::load(from)?, gates: State::load(from)? })
    }
}

#[derive(Clone, Debug, Default)]
struct Frame {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    message: u64,
}

/// PUBLISH frames of the message in hand: encoded once for each version, QoS and RETAIN, then
/// copied and given the Packet Identifier of each subscriber.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    frames: [Frame; 12],
    message: u64,
}

impl Frames {
    /// Another message is in hand.
    pub(crate) fn new_message(&mut self) {
        self.message += 1;
    }

    /// Appends `publish` to `out`.
    pub(crate) fn append(&mut self, publish: &Publish<'_>, version: Version, out: &mut Vec<u8>) {
        let at = usize::from(version.is_v5()) * 6
            + usize::from(publish.qos.bits()) * 2
            + usize::from(publish.retain);
        let frame = &mut self.frames[at];
        if frame.message != self.message {
            // The first subscriber may be the only one: encode for him, keep for others.
            let start = out.len();
            let id_at = codec::encode_publish_template(publish, version, out);
            frame.bytes.clear();
            frame.bytes.extend_from_slice(&out[start..]);
            frame.id_at = id_at;
            frame.message = self.message;
            return;
        }
        let start = out.len();
        out.extend_from_slice(&frame.bytes);
        if publish.qos != QoS::AtMostOnce
            && let (Some(at), Some(id)) = (frame.id_at, publish.packet_id)
            && let Some(place) = out.get_mut(start + at..start + at + 2)
        {
            place.copy_from_slice(&id.get().to_be_bytes());
        }
    }
}
