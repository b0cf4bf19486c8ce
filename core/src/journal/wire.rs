//! The bytes of numbers and texts in records: varints, lengths, options. Reads what is there and no
//! more; a length is only ever compared with what is left.

use super::record::BadRecord;
use crate::packet::PacketId;

/// Bits of a message number below its shard.
const SHARD_SHIFT: u32 = 48;

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(0x80 | (value & 0x7F) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn varint_len(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

/// The number of a message: its shard and its place apart, so that both are short.
pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    put_varint(out, number >> SHARD_SHIFT);
    put_varint(out, number & ((1 << SHARD_SHIFT) - 1));
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// `None` is 0, a value one more than itself; the largest value stands for the one before.
pub(super) fn put_option(out: &mut Vec<u8>, value: Option<u64>) {
    put_varint(out, value.map_or(0, |value| value.saturating_add(1)));
}

/// Reads a batch.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.at >= self.all.len()
    }

    pub(super) const fn at(&self) -> u64 {
        self.at as u64
    }

    pub(super) const fn error(&self, what: &'static str) -> BadRecord {
        BadRecord { what, at: self.at as u64 }
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.all[self.at..];
        self.at = self.all.len();
        rest
    }

    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], BadRecord> {
        let taken = self.all[self.at..].get(..len).ok_or_else(|| self.error(what))?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, BadRecord> {
        Ok(self.take(1, what)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, BadRecord> {
        let bytes = self.take(2, "number")?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, BadRecord> {
        let bytes = self.take(4, "number")?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn u64(&mut self) -> Result<u64, BadRecord> {
        let bytes = self.take(8, "number")?;
        bytes.try_into().map(u64::from_le_bytes).map_err(|_| self.error("number"))
    }

    pub(super) fn varint(&mut self) -> Result<u64, BadRecord> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte("number")?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return Err(self.error("number of 64 bits"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("number of 64 bits"))
    }

    pub(super) fn small(&mut self) -> Result<u32, BadRecord> {
        u32::try_from(self.varint()?).map_err(|_| self.error("number of 32 bits"))
    }

    pub(super) fn shard(&mut self) -> Result<u16, BadRecord> {
        u16::try_from(self.varint()?).map_err(|_| self.error("number of 16 bits"))
    }

    pub(super) fn number(&mut self) -> Result<u64, BadRecord> {
        let shard = u64::from(self.shard()?);
        let place = self.varint()?;
        if place >> SHARD_SHIFT > 0 {
            return Err(self.error("number of a message"));
        }
        Ok(shard << SHARD_SHIFT | place)
    }

    pub(super) fn option(&mut self) -> Result<Option<u64>, BadRecord> {
        Ok(self.varint()?.checked_sub(1))
    }

    pub(super) fn id(&mut self) -> Result<PacketId, BadRecord> {
        PacketId::new(self.u16()?).ok_or_else(|| self.error("Packet Identifier"))
    }

    pub(super) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], BadRecord> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        self.take(len, what)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, BadRecord> {
        core::str::from_utf8(self.bytes("text")?).map_err(|_| self.error("UTF-8 text"))
    }
}
