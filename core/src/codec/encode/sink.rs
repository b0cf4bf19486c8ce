//! Where encoded fields go: into a buffer, or into a count of bytes. One body of code serves both,
//! so that a length and what is written cannot differ.

use crate::codec::primitives::{clip_bytes, clip_str, encode_varint, varint_len};
use crate::packet::UserProperties;

/// Takes encoded fields.
pub(super) trait Sink {
    fn bytes(&mut self, bytes: &[u8]);
    fn varint(&mut self, value: u32);
    fn user_properties(&mut self, properties: UserProperties<'_>);

    #[inline]
    fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    #[inline]
    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    #[inline]
    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Binary Data (§1.5.6); what does not fit its length is cut.
    #[inline]
    fn binary(&mut self, data: &[u8]) {
        debug_assert!(data.len() <= usize::from(u16::MAX), "Binary Data over 65,535 bytes");
        let data = clip_bytes(data);
        self.u16(data.len() as u16);
        self.bytes(data);
    }

    /// A UTF-8 Encoded String (§1.5.4); what does not fit its length is cut.
    #[inline]
    fn string(&mut self, text: &str) {
        let text = clip_str(text);
        self.u16(text.len() as u16);
        self.bytes(text.as_bytes());
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn varint(&mut self, value: u32) {
        encode_varint(value, self);
    }

    #[inline]
    fn user_properties(&mut self, properties: UserProperties<'_>) {
        properties.encode(self);
    }
}

/// Counts bytes.
#[derive(Debug, Default)]
pub(super) struct Counter(pub(super) u32);

impl Sink for Counter {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u32;
    }

    #[inline]
    fn varint(&mut self, value: u32) {
        self.0 += varint_len(value);
    }

    #[inline]
    fn user_properties(&mut self, properties: UserProperties<'_>) {
        self.0 += properties.encoded_len() as u32;
    }
}
