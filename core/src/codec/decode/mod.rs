//! Bodies of packets (§3), from the bytes of one whole packet whose fixed header was judged. Nothing
//! here reads beyond the packet, recurses, or allocates for a PUBLISH.

mod answers;
mod connack;
mod connect;
mod publish;
mod subscribe;

use super::Limits;
use super::cursor::Cursor;
use super::decoder::Role;
use super::error::{ErrorKind, Fault};
use super::fixed_header::Header;
use crate::packet::{Packet, PacketType, ReasonCode, Version};

/// What a body is read by, beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'l> {
    pub(super) role: Role,
    /// The version of the stream; `None` before a server's CONNECT.
    pub(super) version: Option<Version>,
    pub(super) limits: &'l Limits,
}

impl Context<'_> {
    /// Whether bodies have the form of 5.0. A client that was not told its version speaks 5.0.
    #[inline]
    fn is_v5(&self) -> bool {
        self.version.is_none_or(Version::is_v5)
    }
}

/// Reads the packet that is `bytes`. PUBLISH and its acknowledgements are built where the caller
/// wants them; the rest, which is rare or larger, is not part of the caller's code.
#[inline(always)]
pub(super) fn packet<'a>(
    bytes: &'a [u8],
    header: &Header,
    context: &Context<'_>,
) -> Result<Packet<'a>, Fault> {
    let body = Cursor::new(bytes, header.len as usize);
    let kind = header.packet;
    match kind {
        PacketType::Publish => Ok(Packet::Publish(publish::publish(body, header.flags, context)?)),
        PacketType::Puback => Ok(Packet::Puback(answers::ack(body, kind, context)?)),
        PacketType::Pubrec => Ok(Packet::Pubrec(answers::ack(body, kind, context)?)),
        PacketType::Pubrel => Ok(Packet::Pubrel(answers::ack(body, kind, context)?)),
        PacketType::Pubcomp => Ok(Packet::Pubcomp(answers::ack(body, kind, context)?)),
        _ => rare_packet(body, header, context),
    }
}

#[inline(never)]
fn rare_packet<'a>(
    body: Cursor<'a>,
    header: &Header,
    context: &Context<'_>,
) -> Result<Packet<'a>, Fault> {
    match header.packet {
        PacketType::Connect => connect::connect(body, header.minimal, context.limits),
        PacketType::Connack => connack::connack(body, context).map(Packet::Connack),
        PacketType::Subscribe => subscribe::subscribe(body, context).map(Packet::Subscribe),
        PacketType::Suback => subscribe::suback(body, context).map(Packet::Suback),
        PacketType::Unsubscribe => subscribe::unsubscribe(body, context).map(Packet::Unsubscribe),
        PacketType::Unsuback => subscribe::unsuback(body, context).map(Packet::Unsuback),
        PacketType::Pingreq => body.finish().map(|()| Packet::Pingreq),
        PacketType::Pingresp => body.finish().map(|()| Packet::Pingresp),
        PacketType::Disconnect => answers::disconnect(body, context).map(Packet::Disconnect),
        _ => answers::auth(body, context).map(Packet::Auth),
    }
}

/// The code in the next byte, which `packet` must be allowed to carry.
fn reason_code(body: &mut Cursor<'_>, packet: PacketType) -> Result<ReasonCode, Fault> {
    let at = body.at();
    let value = body.u8()?;
    match ReasonCode::from_u8(value) {
        Some(reason) if reason.allowed_in(packet) => Ok(reason),
        _ => Err(Fault::new(ErrorKind::ReasonCode(value), at)),
    }
}
