//! SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK (§3.8 to §3.11). Lists grow as they are read, never by
//! an announced length.

use super::{Context, reason_code};
use crate::codec::cursor::Cursor;
use crate::codec::error::{ErrorKind, Fault};
use crate::codec::property::{Properties, PropertySet};
use crate::packet::PropertyId as P;
use crate::packet::{
    PacketType, QoS, ReasonCode, Suback, Subscribe, SubscribeFilter, SubscriptionOptions, Unsuback,
    Unsubscribe, UserProperties,
};

const SUBSCRIBE_ALLOWED: PropertySet = PropertySet::new(&[P::SubscriptionIdentifier]);
const UNSUBSCRIBE_ALLOWED: PropertySet = PropertySet::new(&[]);
const ACK_ALLOWED: PropertySet = PropertySet::new(&[P::ReasonString]);

pub(super) fn subscribe<'a>(
    mut body: Cursor<'a>,
    context: &Context<'_>,
) -> Result<Subscribe<'a>, Fault> {
    let packet_id = body.packet_id()?;
    let mut subscription_identifier = None;
    let mut user_properties = UserProperties::EMPTY;
    if context.is_v5() {
        let mut properties = Properties::read(&mut body, SUBSCRIBE_ALLOWED, context.limits)?;
        while let Some(id) = properties.next()? {
            subscription_identifier = Some(properties.nonzero_varint(id)?);
        }
        user_properties = properties.user_properties();
    }
    let mut filters = Vec::new();
    while !body.is_empty() {
        room_for_filter(&body, filters.len(), context)?;
        let filter = body.string()?;
        let options = subscription_options(&mut body, filter, context)?;
        filters.push(SubscribeFilter { filter, options });
    }
    if filters.is_empty() {
        return Err(body.fault(ErrorKind::NoFilters));
    }
    Ok(Subscribe { packet_id, subscription_identifier, user_properties, filters })
}

fn room_for_filter(body: &Cursor<'_>, filters: usize, context: &Context<'_>) -> Result<(), Fault> {
    if filters as u32 >= context.limits.max_filters {
        return Err(body.fault(ErrorKind::TooManyFilters(context.limits.max_filters)));
    }
    Ok(())
}

fn subscription_options(
    body: &mut Cursor<'_>,
    filter: &str,
    context: &Context<'_>,
) -> Result<SubscriptionOptions, Fault> {
    let at = body.at();
    let bits = body.u8()?;
    let reserved = if context.is_v5() { 0xC0 } else { 0xFC };
    let fault = |kind| Err(Fault::new(kind, at));
    if bits & reserved != 0 {
        return fault(ErrorKind::SubscriptionOptionsReserved(bits));
    }
    if QoS::from_bits(bits & 3).is_none() {
        return fault(ErrorKind::SubscriptionQoS3);
    }
    let Some(options) = SubscriptionOptions::from_bits(bits) else {
        return fault(ErrorKind::RetainHandling3);
    };
    if options.no_local && filter.starts_with("$share/") {
        return fault(ErrorKind::NoLocalOnShared);
    }
    Ok(options)
}

pub(super) fn unsubscribe<'a>(
    mut body: Cursor<'a>,
    context: &Context<'_>,
) -> Result<Unsubscribe<'a>, Fault> {
    let packet_id = body.packet_id()?;
    let mut user_properties = UserProperties::EMPTY;
    if context.is_v5() {
        let mut properties = Properties::read(&mut body, UNSUBSCRIBE_ALLOWED, context.limits)?;
        if let Some(id) = properties.next()? {
            return Err(properties.fault(ErrorKind::PropertyNotAllowed(id)));
        }
        user_properties = properties.user_properties();
    }
    let mut filters = Vec::new();
    while !body.is_empty() {
        room_for_filter(&body, filters.len(), context)?;
        filters.push(body.string()?);
    }
    if filters.is_empty() {
        return Err(body.fault(ErrorKind::NoFilters));
    }
    Ok(Unsubscribe { packet_id, user_properties, filters })
}

pub(super) fn suback<'a>(mut body: Cursor<'a>, context: &Context<'_>) -> Result<Suback<'a>, Fault> {
    let packet_id = body.packet_id()?;
    let (reason_string, user_properties) = ack_properties(&mut body, context)?;
    let reasons = reasons(&mut body, PacketType::Suback, context)?;
    Ok(Suback { packet_id, reasons, reason_string, user_properties })
}

pub(super) fn unsuback<'a>(
    mut body: Cursor<'a>,
    context: &Context<'_>,
) -> Result<Unsuback<'a>, Fault> {
    let packet_id = body.packet_id()?;
    let (reason_string, user_properties) = ack_properties(&mut body, context)?;
    let reasons = if context.is_v5() {
        reasons(&mut body, PacketType::Unsuback, context)?
    } else {
        body.finish()?;
        Vec::new()
    };
    Ok(Unsuback { packet_id, reasons, reason_string, user_properties })
}

fn ack_properties<'a>(
    body: &mut Cursor<'a>,
    context: &Context<'_>,
) -> Result<(Option<&'a str>, UserProperties<'a>), Fault> {
    let mut reason_string = None;
    if !context.is_v5() {
        return Ok((None, UserProperties::EMPTY));
    }
    let mut properties = Properties::read(body, ACK_ALLOWED, context.limits)?;
    while let Some(id) = properties.next()? {
        match id {
            P::ReasonString => reason_string = Some(properties.values.string()?),
            _ => return Err(properties.fault(ErrorKind::PropertyNotAllowed(id))),
        }
    }
    Ok((reason_string, properties.user_properties()))
}

fn reasons(
    body: &mut Cursor<'_>,
    packet: PacketType,
    context: &Context<'_>,
) -> Result<Vec<ReasonCode>, Fault> {
    if body.is_empty() {
        return Err(body.fault(ErrorKind::NoReasonCodes));
    }
    let mut reasons = Vec::new();
    while !body.is_empty() {
        let at = body.at();
        let reason = reason_code(body, packet)?;
        if !context.is_v5() && reason.is_error() && reason != ReasonCode::UnspecifiedError {
            return Err(Fault::new(ErrorKind::ReasonCode(reason.as_u8()), at));
        }
        reasons.push(reason);
    }
    Ok(reasons)
}
