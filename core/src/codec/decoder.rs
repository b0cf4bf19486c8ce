//! Incremental framing: bytes in any slicing, packets out, the same packets and the same refusal
//! for every slicing. It holds only bytes that were received; it never reserves memory by what a
//! Remaining Length announces, and holds none between packets.

use super::Limits;
use super::decode::{self, Context};
use super::error::DecodeError;
use super::fixed_header;
use crate::packet::{Packet, Version};
use zeroize::Zeroize as _;

/// Which side reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// A server, which reads what clients send; the first packet must be CONNECT.
    #[default]
    Server,
    /// A client, which reads what servers send.
    Client,
}

/// Turns a stream of bytes into packets. An idle decoder holds no heap memory.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    role: Role,
    version: Option<Version>,
    /// `partial` is a whole packet that was already handed out; it goes at the next call.
    spent: bool,
    partial: Vec<u8>,
}

/// A packet with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The packet.
    pub packet: Packet<'a>,
    /// The whole packet as it stood on the wire.
    pub bytes: &'a [u8],
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new(role: Role) -> Self {
        Self { role, version: None, spent: false, partial: Vec::new() }
    }

    /// A decoder in the middle of a stream, from what [`Self::role`], [`Self::version`] and
    /// [`Self::buffered`] gave.
    pub const fn from_parts(role: Role, version: Option<Version>, buffered: Vec<u8>) -> Self {
        Self { role, version, spent: false, partial: buffered }
    }

    /// Sets the version of the stream. A server's decoder takes it from CONNECT itself.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Feeds `input`; returns how many of its bytes were consumed, and a packet if one is complete.
    /// Call again with the rest until all is consumed and no packet comes. A packet that lies whole
    /// in `input` is not copied. After an error the stream is lost: close the connection.
    #[inline]
    pub fn decode<'a>(
        &'a mut self,
        input: &'a [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Frame<'a>>), DecodeError> {
        if !self.partial.is_empty() {
            self.release();
            if !self.partial.is_empty() {
                return self.resume(input, limits);
            }
        }
        let context = Context { role: self.role, version: self.version, limits };
        match fixed_header::read(input, &context) {
            Ok(Some(header)) if header.size as usize <= input.len() => {
                let bytes = &input[..header.size as usize];
                let packet = match decode::packet(bytes, &header, &context) {
                    Ok(packet) => packet,
                    Err(fault) => return Err(fault.report(bytes, self.version)),
                };
                if let Packet::Connect(connect) = &packet {
                    self.version = Some(connect.version);
                }
                Ok((bytes.len(), Some(Frame { packet, bytes })))
            }
            Ok(header) => {
                keep(&mut self.partial, input, header.map(|header| header.size));
                Ok((input.len(), None))
            }
            Err(fault) => Err(fault.report(input, self.version)),
        }
    }

    /// Frees the bytes of the packet that was handed out last, as the next call of
    /// [`Self::decode`] does.
    pub fn release(&mut self) {
        if self.spent {
            self.spent = false;
            if self.partial.first().is_some_and(|byte| byte >> 4 == 1) {
                // It was a CONNECT, perhaps with a password.
                self.partial.zeroize();
            }
            self.partial = Vec::new();
        }
    }

    /// Which side reads.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The version of the stream, once known.
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// The bytes received of a packet that is not yet complete.
    pub fn buffered(&self) -> &[u8] {
        if self.spent { &[] } else { &self.partial }
    }

    /// Goes on with a packet whose first bytes came earlier.
    fn resume<'a>(
        &'a mut self,
        input: &'a [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Frame<'a>>), DecodeError> {
        let Self { role, version, spent, partial } = self;
        let context = Context { role: *role, version: *version, limits };
        let mut rest = input;
        let header = loop {
            match fixed_header::read(partial, &context) {
                Ok(Some(header)) => break header,
                Ok(None) => {}
                Err(fault) => return Err(fault.report(partial, *version)),
            }
            let Some((&byte, tail)) = rest.split_first() else { return Ok((input.len(), None)) };
            partial.push(byte);
            rest = tail;
        };
        let missing = (header.size as usize).saturating_sub(partial.len());
        let (taken, rest) = rest.split_at(missing.min(rest.len()));
        keep(partial, taken, Some(header.size));
        let consumed = input.len() - rest.len();
        if taken.len() < missing {
            return Ok((consumed, None));
        }
        *spent = true;
        let bytes = partial.as_slice();
        let packet = match decode::packet(bytes, &header, &context) {
            Ok(packet) => packet,
            Err(fault) => return Err(fault.report(bytes, *version)),
        };
        if let Packet::Connect(connect) = &packet {
            *version = Some(connect.version);
        }
        Ok((consumed, Some(Frame { packet, bytes })))
    }
}

/// Appends to a partial packet: memory grows by doubling with what was received, and never beyond
/// the packet's size.
fn keep(partial: &mut Vec<u8>, input: &[u8], size: Option<u32>) {
    let len = partial.len() + input.len();
    if len > partial.capacity() {
        let doubled = len.max(partial.capacity().saturating_mul(2));
        let room = size.map_or(len, |size| doubled.min(size as usize).max(len));
        partial.reserve_exact(room - partial.len());
    }
    partial.extend_from_slice(input);
}
