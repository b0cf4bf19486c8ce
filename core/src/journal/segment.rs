//! How the journal's files are named and what is in them: a header, then frames, each aligned to 8
//! bytes and with checksums that only this file's frames can have. Lengths are little-endian. Spells
//! alone; reads and writes nothing, and never panics on foreign bytes.

use super::batch::Lsn;
use core::fmt;

/// Length of a file's header.
pub(super) const HEADER: usize = 48;
/// Length of a frame's header.
pub(super) const FRAME: usize = 32;
/// The version of the format. A newer one is refused.
pub(super) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"HALYARDJ";

/// The name of one of the journal's files. Orders as the journal is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    /// A base: what all segments up to this one, and the base before, come to.
    Base(u32),
    /// A segment.
    Segment(u32),
}

impl FileName {
    /// Reads a name; `None` if it is none of ours, or one that is not finished.
    pub fn parse(name: &str) -> Option<Self> {
        let (number, kind) = name.split_once('.')?;
        let seq = number.parse().ok()?;
        let parsed = match kind {
            "base" => Self::Base(seq),
            "seg" => Self::Segment(seq),
            _ => return None,
        };
        // One way to write each: `+7.seg` is no segment.
        (parsed.to_string() == name).then_some(parsed)
    }

    /// Its number.
    pub const fn seq(self) -> u32 {
        match self {
            Self::Base(seq) | Self::Segment(seq) => seq,
        }
    }

    /// The name that it has while it is made.
    pub fn unfinished(self) -> String {
        format!("{self}.tmp")
    }

    /// Whether this is a name that [`FileName::unfinished`] gives.
    pub fn is_unfinished(name: &str) -> bool {
        name.strip_suffix(".tmp").and_then(Self::parse).is_some()
    }

    const fn kind(self) -> u32 {
        match self {
            Self::Base(_) => 1,
            Self::Segment(_) => 2,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base(seq) => write!(f, "{seq:010}.base"),
            Self::Segment(seq) => write!(f, "{seq:010}.seg"),
        }
    }
}

/// A place in the journal: segment and offset. Later places are larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    /// Byte `offset` of segment `seq`. Segments are shorter than 4 GiB.
    pub const fn new(seq: u32, offset: u64) -> Self {
        Self((seq as u64) << 32 | offset)
    }

    /// The segment.
    pub const fn seq(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The offset in it.
    pub const fn offset(self) -> u64 {
        self.0 & 0xFFFF_FFFF
    }
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: FileName,
    pub(super) uuid: [u8; 16],
    /// The start of the broker that made it.
    pub(super) epoch: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.name.kind().to_le_bytes());
        out[16..32].copy_from_slice(&self.uuid);
        out[32..36].copy_from_slice(&self.name.seq().to_le_bytes());
        out[36..40].copy_from_slice(&self.epoch.to_le_bytes());
        let sum = crc32c::crc32c(&out[..40]);
        out[40..44].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads the header of the file `name`. The error says what is wrong with it.
    pub(super) fn decode(name: FileName, bytes: &[u8]) -> Result<Self, &'static str> {
        let Some(bytes) = bytes.first_chunk::<HEADER>() else { return Err("no whole header") };
        if bytes[..8] != MAGIC {
            return Err("not a file of this journal");
        }
        if crc32c::crc32c(&bytes[..40]) != word(bytes, 40) || word(bytes, 44) != 0 {
            return Err("a header with a wrong checksum");
        }
        if word(bytes, 8) != VERSION {
            return Err("a format of another version of halyard");
        }
        if word(bytes, 12) != name.kind() || word(bytes, 32) != name.seq() {
            return Err("the header of another file");
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[16..32]);
        Ok(Self { name, uuid, epoch: word(bytes, 36) })
    }

    /// What the checksums of this file's frames begin with.
    pub(super) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.uuid)
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Records of one engine.
    Batch = 1,
    /// The end of a base.
    End = 2,
    /// Nothing but how far the journal was durable: what stands before it is no torn tail.
    Mark = 3,
}

/// What stands before the body of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) shard: u16,
    pub(super) lsn: Lsn,
    /// Up to where everything was known to be durable when this was written.
    pub(super) durable: Position,
    /// Length of the body, without padding.
    pub(super) len: u32,
    body_sum: u32,
}

impl Frame {
    /// Appends a frame with this body to `out`.
    pub(super) fn encode(
        out: &mut Vec<u8>,
        seed: u32,
        kind: Kind,
        (shard, lsn): (u16, Lsn),
        durable: Position,
        body: &[u8],
    ) {
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let start = out.len();
        out.resize(start + FRAME, 0);
        out.extend_from_slice(body);
        out.resize(start + padded(body.len()), 0);
        let body_sum = crc32c::crc32c_append(seed, &out[start + FRAME..]);
        let head = &mut out[start..start + FRAME];
        head[..4].copy_from_slice(&len.to_le_bytes());
        head[8..16].copy_from_slice(&lsn.0.to_le_bytes());
        head[16..24].copy_from_slice(&durable.0.to_le_bytes());
        head[24..26].copy_from_slice(&shard.to_le_bytes());
        head[26] = kind as u8;
        head[28..32].copy_from_slice(&body_sum.to_le_bytes());
        let sum = head_sum(seed, head);
        head[4..8].copy_from_slice(&sum.to_le_bytes());
    }

    /// Reads what stands before a body; `None` if these bytes are not that.
    pub(super) fn decode(seed: u32, bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<FRAME>()?;
        let kind = match head[26] {
            1 => Kind::Batch,
            2 => Kind::End,
            3 => Kind::Mark,
            _ => return None,
        };
        if head_sum(seed, head) != word(head, 4) || head[27] != 0 {
            return None;
        }
        Some(Self {
            kind,
            shard: u16::from_le_bytes([head[24], head[25]]),
            lsn: Lsn(long(head, 8)),
            durable: Position(long(head, 16)),
            len: word(head, 0),
            body_sum: word(head, 28),
        })
    }

    /// Whether this is its body, with padding.
    pub(super) fn has(&self, seed: u32, body: &[u8]) -> bool {
        crc32c::crc32c_append(seed, body) == self.body_sum
    }

    /// Length of the whole frame in the file.
    pub(super) fn extent(&self) -> u64 {
        padded(usize::try_from(self.len).unwrap_or(usize::MAX)) as u64
    }
}

/// Length of a frame with a body of `len` bytes.
pub(super) const fn padded(len: usize) -> usize {
    FRAME + len.next_multiple_of(8)
}

/// The checksum of a frame's header, which leaves its own place out.
fn head_sum(seed: u32, head: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(seed, &head[..4]);
    crc32c::crc32c_append(sum, &head[8..FRAME])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [FileName::Base(7), FileName::Segment(u32::MAX)] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
            assert!(FileName::is_unfinished(&name.unfinished()));
            assert_eq!(FileName::parse(&name.unfinished()), None);
        }
        for name in ["7.seg", "+000000007.seg", "0000000007.txt", "lock", ""] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_flipped_bit_in_a_header_or_a_frame_is_seen() {
        let header = Header { name: FileName::Segment(3), uuid: [9; 16], epoch: 2 };
        let bytes = header.encode();
        assert_eq!(Header::decode(header.name, &bytes), Ok(header));
        assert!(Header::decode(FileName::Segment(4), &bytes).is_err());
        for bit in 0..HEADER * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(header.name, &bytes).is_err(), "bit {bit}");
        }
        let mut out = Vec::new();
        let durable = Position::new(3, 48);
        Frame::encode(&mut out, header.seed(), Kind::Batch, (1, Lsn(7)), durable, b"body");
        let whole = |bytes: &[u8]| {
            let frame = Frame::decode(header.seed(), bytes)?;
            frame.has(header.seed(), &bytes[FRAME..]).then_some(frame)
        };
        let frame = whole(&out).expect("what was written");
        assert_eq!((frame.shard, frame.lsn, frame.durable), (1, Lsn(7), durable));
        assert_eq!((frame.len, frame.extent()), (4, out.len() as u64));
        for bit in 0..out.len() * 8 {
            let mut bytes = out.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(whole(&bytes), None, "bit {bit}");
        }
        assert_eq!(Frame::decode(header.seed() ^ 1, &out), None, "of another file");
    }
}
