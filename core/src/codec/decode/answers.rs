//! PUBACK, PUBREC, PUBREL, PUBCOMP (§3.4 to §3.7), DISCONNECT (§3.14) and AUTH (§3.15): packets whose
//! tail may be left out where it says nothing.

use super::{Context, reason_code};
use crate::codec::cursor::Cursor;
use crate::codec::decoder::Role;
use crate::codec::error::{ErrorKind, Fault};
use crate::codec::property::{Properties, PropertySet};
use crate::packet::PropertyId as P;
use crate::packet::{Ack, Auth, Disconnect, PacketType, ReasonCode};

const ACK_ALLOWED: PropertySet = PropertySet::new(&[P::ReasonString]);

const DISCONNECT_ALLOWED: PropertySet =
    PropertySet::new(&[P::SessionExpiryInterval, P::ReasonString, P::ServerReference]);

const AUTH_ALLOWED: PropertySet =
    PropertySet::new(&[P::AuthenticationMethod, P::AuthenticationData, P::ReasonString]);

#[inline(always)]
pub(super) fn ack<'a>(
    mut body: Cursor<'a>,
    packet: PacketType,
    context: &Context<'_>,
) -> Result<Ack<'a>, Fault> {
    let mut ack = Ack::new(body.packet_id()?, ReasonCode::Success);
    if body.is_empty() {
        return Ok(ack);
    }
    if context.is_v5() {
        ack_tail(&mut body, &mut ack, packet, context)?;
    }
    body.finish()?;
    Ok(ack)
}

fn ack_tail<'a>(
    body: &mut Cursor<'a>,
    ack: &mut Ack<'a>,
    packet: PacketType,
    context: &Context<'_>,
) -> Result<(), Fault> {
    ack.reason = reason_code(body, packet)?;
    if body.is_empty() {
        return Ok(());
    }
    let mut properties = Properties::read(body, ACK_ALLOWED, context.limits)?;
    while let Some(id) = properties.next()? {
        match id {
            P::ReasonString => ack.reason_string = Some(properties.values.string()?),
            _ => return Err(properties.fault(ErrorKind::PropertyNotAllowed(id))),
        }
    }
    ack.user_properties = properties.user_properties();
    Ok(())
}

pub(super) fn disconnect<'a>(
    mut body: Cursor<'a>,
    context: &Context<'_>,
) -> Result<Disconnect<'a>, Fault> {
    let mut disconnect = Disconnect::new(ReasonCode::Success);
    if body.is_empty() {
        return Ok(disconnect);
    }
    if context.is_v5() {
        let at = body.at();
        disconnect.reason = reason_code(&mut body, PacketType::Disconnect)?;
        let wrong_side = match context.role {
            Role::Server => disconnect.reason.is_of_servers(),
            Role::Client => disconnect.reason == ReasonCode::DisconnectWithWill,
        };
        if wrong_side {
            return Err(Fault::new(ErrorKind::ReasonCode(disconnect.reason.as_u8()), at));
        }
        if !body.is_empty() {
            disconnect_properties(&mut body, &mut disconnect, context)?;
        }
    }
    body.finish()?;
    Ok(disconnect)
}

fn disconnect_properties<'a>(
    body: &mut Cursor<'a>,
    disconnect: &mut Disconnect<'a>,
    context: &Context<'_>,
) -> Result<(), Fault> {
    let mut properties = Properties::read(body, DISCONNECT_ALLOWED, context.limits)?;
    while let Some(id) = properties.next()? {
        match id {
            P::SessionExpiryInterval if context.role == Role::Server => {
                disconnect.session_expiry_interval = Some(properties.values.u32()?);
            }
            P::ServerReference if context.role == Role::Client => {
                disconnect.server_reference = Some(properties.values.string()?);
            }
            P::ReasonString => disconnect.reason_string = Some(properties.values.string()?),
            _ => return Err(properties.fault(ErrorKind::PropertyWrongDirection(id))),
        }
    }
    disconnect.user_properties = properties.user_properties();
    Ok(())
}

pub(super) fn auth<'a>(mut body: Cursor<'a>, context: &Context<'_>) -> Result<Auth<'a>, Fault> {
    let mut auth = Auth {
        reason: ReasonCode::Success,
        method: None,
        data: None,
        reason_string: None,
        user_properties: Default::default(),
    };
    let at = body.at();
    if !body.is_empty() {
        auth.reason = reason_code(&mut body, PacketType::Auth)?;
        let mut properties = Properties::read(&mut body, AUTH_ALLOWED, context.limits)?;
        while let Some(id) = properties.next()? {
            match id {
                P::AuthenticationMethod => auth.method = Some(properties.values.string()?),
                P::AuthenticationData => auth.data = Some(properties.values.binary()?),
                P::ReasonString => auth.reason_string = Some(properties.values.string()?),
                _ => return Err(properties.fault(ErrorKind::PropertyNotAllowed(id))),
            }
        }
        auth.user_properties = properties.user_properties();
        body.finish()?;
        if auth.method.is_none() {
            return Err(Fault::new(ErrorKind::AuthenticationMethodMissing, at));
        }
    }
    let wrong_side = match context.role {
        Role::Server => ReasonCode::Success,
        Role::Client => ReasonCode::ReAuthenticate,
    };
    if auth.reason == wrong_side {
        return Err(Fault::new(ErrorKind::ReasonCode(auth.reason.as_u8()), at));
    }
    Ok(auth)
}
