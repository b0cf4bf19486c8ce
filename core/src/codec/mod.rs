//! Bytes to packets and back (MQTT 5.0 §1.5, §2, §3; MQTT 3.1.1 and 3.1 likewise): an incremental
//! [`Decoder`], typed refusals ([`DecodeError`]) and an infallible encoder. It judges what one packet
//! says, in isolation; it never knows a session, never reads ahead of the bytes it was given and
//! never reserves memory for what a peer merely announces.

mod cursor;
mod decode;
mod decoder;
mod encode;
mod error;
mod fixed_header;
mod mask;
pub mod primitives;
mod property;

pub use decoder::{Decoder, Frame, Role};
pub use encode::{
    encode, encode_ack, encode_publish, encode_publish_template, encoded_len, publish_len,
};
pub use error::{DecodeError, ErrorClass, ErrorKind};
pub(crate) use mask::mask_connect;

/// The largest packet that the standard can express: five bytes of fixed header and 268,435,455 of
/// Remaining Length.
pub const PACKET_SIZE_MAX: u32 = primitives::VARINT_MAX + 5;

/// What a decoder accepts; checked before anything is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole packet, fixed header included; CONNECT has its own limit.
    pub max_packet_size: u32,
    /// Bytes of a whole CONNECT.
    pub max_connect_size: u32,
    /// User Properties in one property section.
    pub max_user_properties: u16,
    /// Properties of any kind in one property section.
    pub max_properties: u16,
    /// Topic Filters in one SUBSCRIBE or UNSUBSCRIBE.
    pub max_filters: u32,
}

impl Default for Limits {
    /// Generous: all that the standard can express, but a CONNECT of at most 1 MiB, 1,000 User
    /// Properties and 200,000 filters.
    fn default() -> Self {
        Self {
            max_packet_size: PACKET_SIZE_MAX,
            max_connect_size: 1 << 20,
            max_user_properties: 1_000,
            max_properties: 1_100,
            max_filters: 200_000,
        }
    }
}
