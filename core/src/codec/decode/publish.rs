//! PUBLISH (§3.3). The hot path: it allocates nothing (but for more than two Subscription
//! Identifiers, which only servers send) and looks at each byte of the topic once for UTF-8 and
//! once for what a Topic Name may not hold.

use super::Context;
use crate::codec::cursor::Cursor;
use crate::codec::decoder::Role;
use crate::codec::error::{ErrorKind, Fault};
use crate::codec::primitives;
use crate::codec::property::{Properties, PropertySet};
use crate::packet::PropertyId as P;
use crate::packet::{Publish, PublishProperties, QoS};
use core::num::NonZeroU16;

const ALLOWED: PropertySet = PropertySet::new(&[
    P::PayloadFormatIndicator,
    P::MessageExpiryInterval,
    P::TopicAlias,
    P::ResponseTopic,
    P::CorrelationData,
    P::SubscriptionIdentifier,
    P::ContentType,
]);

#[inline(always)]
pub(super) fn publish<'a>(
    mut body: Cursor<'a>,
    flags: u8,
    context: &Context<'_>,
) -> Result<Publish<'a>, Fault> {
    let qos = match flags >> 1 & 3 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    let topic_at = body.at();
    let topic = topic_name(&mut body)?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.packet_id()?) };
    let properties = if context.is_v5() {
        properties(&mut body, context)?
    } else {
        PublishProperties::default()
    };
    if topic.is_empty() && properties.topic_alias.is_none() {
        return Err(Fault::new(ErrorKind::TopicEmpty, topic_at));
    }
    Ok(Publish {
        dup: flags & 8 != 0,
        qos,
        retain: flags & 1 != 0,
        topic,
        packet_id,
        properties,
        payload: body.rest(),
    })
}

/// A Topic Name, which may be empty here, but holds no wildcard [MQTT-3.3.2-2].
#[inline]
pub(super) fn topic_name<'a>(body: &mut Cursor<'a>) -> Result<&'a str, Fault> {
    let start = *body;
    let data = body.binary()?;
    if primitives::is_plain_topic(data)
        && let Ok(topic) = core::str::from_utf8(data)
    {
        return Ok(topic);
    }
    Err(topic_fault(start))
}

/// What is wrong with the Topic Name at `body`: first what makes it no string.
#[cold]
fn topic_fault(mut body: Cursor<'_>) -> Fault {
    match body.string() {
        Err(fault) => fault,
        Ok(topic) => {
            let offset = topic.bytes().position(is_wildcard).unwrap_or(topic.len());
            let at = body.at() - (topic.len() - offset) as u32;
            Fault::new(ErrorKind::TopicWildcard, at)
        }
    }
}

/// A Response Topic: a Topic Name [MQTT-3.3.2-14].
pub(super) fn response_topic<'a>(properties: &mut Properties<'a, '_>) -> Result<&'a str, Fault> {
    let topic = properties.values.string()?;
    if topic.is_empty() || topic.bytes().any(is_wildcard) {
        return Err(properties.fault(ErrorKind::ResponseTopicInvalid));
    }
    Ok(topic)
}

#[inline]
fn is_wildcard(byte: u8) -> bool {
    byte == b'+' || byte == b'#'
}

#[inline]
fn properties<'a>(
    body: &mut Cursor<'a>,
    context: &Context<'_>,
) -> Result<PublishProperties<'a>, Fault> {
    // No properties: by far the commonest case.
    if body.rest().first() == Some(&0) {
        body.u8()?;
        return Ok(PublishProperties::default());
    }
    some_properties(body, context)
}

fn some_properties<'a>(
    body: &mut Cursor<'a>,
    context: &Context<'_>,
) -> Result<PublishProperties<'a>, Fault> {
    let mut found = PublishProperties::default();
    let mut properties = Properties::read(body, ALLOWED, context.limits)?;
    while let Some(id) = properties.next()? {
        match id {
            P::PayloadFormatIndicator => found.payload_format_utf8 = Some(properties.flag(id)?),
            P::MessageExpiryInterval => {
                found.message_expiry_interval = Some(properties.values.u32()?);
            }
            P::TopicAlias => found.topic_alias = NonZeroU16::new(properties.nonzero_u16(id)?),
            P::ResponseTopic => found.response_topic = Some(response_topic(&mut properties)?),
            P::CorrelationData => found.correlation_data = Some(properties.values.binary()?),
            P::SubscriptionIdentifier => {
                if context.role == Role::Server {
                    return Err(properties.fault(ErrorKind::PropertyWrongDirection(id)));
                }
                found.subscription_identifiers.push(properties.nonzero_varint(id)?);
                properties.allow_again(id);
            }
            P::ContentType => found.content_type = Some(properties.values.string()?),
            _ => return Err(properties.fault(ErrorKind::PropertyNotAllowed(id))),
        }
    }
    found.user_properties = properties.user_properties();
    Ok(found)
}
