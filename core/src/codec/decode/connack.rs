//! CONNACK (§3.2).

use super::{Context, reason_code};
use crate::codec::cursor::Cursor;
use crate::codec::error::{ErrorKind, Fault};
use crate::codec::property::{Properties, PropertySet};
use crate::packet::PropertyId as P;
use crate::packet::{Connack, ConnackProperties, PacketType, QoS, ReasonCode, Version};

const ALLOWED: PropertySet = PropertySet::new(&[
    P::SessionExpiryInterval,
    P::ReceiveMaximum,
    P::MaximumQoS,
    P::RetainAvailable,
    P::MaximumPacketSize,
    P::AssignedClientIdentifier,
    P::TopicAliasMaximum,
    P::ReasonString,
    P::WildcardSubscriptionAvailable,
    P::SubscriptionIdentifierAvailable,
    P::SharedSubscriptionAvailable,
    P::ServerKeepAlive,
    P::ResponseInformation,
    P::ServerReference,
    P::AuthenticationMethod,
    P::AuthenticationData,
]);

pub(super) fn connack<'a>(
    mut body: Cursor<'a>,
    context: &Context<'_>,
) -> Result<Connack<'a>, Fault> {
    let flags_at = body.at();
    let flags = body.u8()?;
    // 3.1 has no such flags: the byte is unused.
    let v3 = context.version == Some(Version::V3);
    if flags > 1 && !v3 {
        return Err(Fault::new(ErrorKind::ConnackFlags(flags), flags_at));
    }
    let session_present = flags == 1 && !v3;
    let (reason, properties) = if context.is_v5() {
        let reason = reason_code(&mut body, PacketType::Connack)?;
        (reason, properties(&mut body, context)?)
    } else {
        (return_code(&mut body)?, ConnackProperties::default())
    };
    body.finish()?;
    if session_present && reason != ReasonCode::Success {
        return Err(Fault::new(ErrorKind::SessionPresentOnRefusal, flags_at));
    }
    Ok(Connack { session_present, reason, properties })
}

/// The return code of 3.1 and 3.1.1.
fn return_code(body: &mut Cursor<'_>) -> Result<ReasonCode, Fault> {
    let at = body.at();
    let code = body.u8()?;
    let reason = ReasonCode::from_v3_connect_code(code);
    reason.ok_or_else(|| Fault::new(ErrorKind::ReasonCode(code), at))
}

fn properties<'a>(
    body: &mut Cursor<'a>,
    context: &Context<'_>,
) -> Result<ConnackProperties<'a>, Fault> {
    let mut found = ConnackProperties::default();
    let mut properties = Properties::read(body, ALLOWED, context.limits)?;
    while let Some(id) = properties.next()? {
        let values = &mut properties.values;
        match id {
            P::SessionExpiryInterval => found.session_expiry_interval = Some(values.u32()?),
            P::ReceiveMaximum => found.receive_maximum = Some(properties.nonzero_u16(id)?),
            P::MaximumQoS => {
                let one = properties.flag(id)?;
                found.maximum_qos = Some(if one { QoS::AtLeastOnce } else { QoS::AtMostOnce });
            }
            P::RetainAvailable => found.retain_available = Some(properties.flag(id)?),
            P::MaximumPacketSize => found.maximum_packet_size = Some(properties.nonzero_u32(id)?),
            P::AssignedClientIdentifier => {
                found.assigned_client_identifier = Some(values.string()?);
            }
            P::TopicAliasMaximum => found.topic_alias_maximum = Some(values.u16()?),
            P::ReasonString => found.reason_string = Some(values.string()?),
            P::WildcardSubscriptionAvailable => {
                found.wildcard_subscription_available = Some(properties.flag(id)?);
            }
            P::SubscriptionIdentifierAvailable => {
                found.subscription_identifiers_available = Some(properties.flag(id)?);
            }
            P::SharedSubscriptionAvailable => {
                found.shared_subscription_available = Some(properties.flag(id)?);
            }
            P::ServerKeepAlive => found.server_keep_alive = Some(values.u16()?),
            P::ResponseInformation => found.response_information = Some(values.string()?),
            P::ServerReference => found.server_reference = Some(values.string()?),
            P::AuthenticationMethod => found.authentication_method = Some(values.string()?),
            P::AuthenticationData => found.authentication_data = Some(values.binary()?),
            _ => return Err(properties.fault(ErrorKind::PropertyNotAllowed(id))),
        }
    }
    found.user_properties = properties.user_properties();
    Ok(found)
}
