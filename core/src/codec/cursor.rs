//! A cursor over the bytes of one packet, which knows at which offset of the packet it stands. It
//! never reads past the end it was given: every short read is a typed fault.

use super::error::{ErrorKind, Fault};
use super::primitives::{StringError, VarintError, decode_str, decode_varint};
use crate::packet::PacketId;

/// Reads fields from the front of a part of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// Offset in the packet of the end of `rest`.
    end: u32,
}

impl<'a> Cursor<'a> {
    /// A cursor over `bytes[start..]`, where `bytes` is the whole packet.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], start: usize) -> Self {
        Self { rest: &bytes[start..], end: bytes.len() as u32 }
    }

    /// The offset in the packet of the next byte.
    #[inline]
    pub(super) fn at(&self) -> u32 {
        self.end - self.rest.len() as u32
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A fault of this kind at the next byte.
    #[cold]
    pub(super) fn fault(&self, kind: ErrorKind) -> Fault {
        Fault::new(kind, self.at())
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.fault(ErrorKind::Truncated));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let Some((chunk, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.fault(ErrorKind::Truncated));
        };
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_be_bytes(self.chunk()?))
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes(self.chunk()?))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_be_bytes(self.chunk()?))
    }

    /// A Variable Byte Integer of a 5.0 packet, in its shortest form [MQTT-1.5.5-1].
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u32, Fault> {
        match decode_varint(self.rest) {
            Ok(varint) if varint.is_minimal() => {
                self.rest = &self.rest[usize::from(varint.len)..];
                Ok(varint.value)
            }
            Ok(_) => Err(self.fault(ErrorKind::VarintNotMinimal)),
            Err(VarintError::TooLong) => Err(self.fault(ErrorKind::VarintTooLong)),
            Err(VarintError::Incomplete) => Err(self.fault(ErrorKind::Truncated)),
        }
    }

    /// Binary Data (§1.5.6).
    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let mut ahead = *self;
        let len = ahead.u16()?;
        let data = ahead.take(usize::from(len))?;
        *self = ahead;
        Ok(data)
    }

    /// A UTF-8 Encoded String (§1.5.4).
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a str, Fault> {
        let data = self.binary()?;
        let start = self.at() - data.len() as u32;
        decode_str(data).map_err(|error| match error {
            StringError::NotUtf8(offset) => Fault::new(ErrorKind::StringNotUtf8, start + offset),
            StringError::Nul(offset) => Fault::new(ErrorKind::StringWithNul, start + offset),
        })
    }

    /// A Packet Identifier, never 0 [MQTT-2.2.1-3].
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<PacketId, Fault> {
        let at = self.at();
        PacketId::new(self.u16()?).ok_or_else(|| Fault::new(ErrorKind::PacketIdZero, at))
    }

    /// The next `len` bytes as a cursor of their own.
    #[inline]
    pub(super) fn part(&mut self, len: u32) -> Option<Self> {
        let (part, rest) = self.rest.split_at_checked(len as usize)?;
        let end = self.at() + len;
        self.rest = rest;
        Some(Self { rest: part, end })
    }

    /// Nothing may be left.
    #[inline]
    pub(super) fn finish(self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.fault(ErrorKind::TrailingBytes)) }
    }
}
