//! CONNECT (§3.1) of 3.1, 3.1.1 and 5.0, told apart by protocol name and level. Whether the client
//! may connect, and what an empty Client Identifier means, is not judged here.

use super::publish::{response_topic, topic_name};
use crate::codec::Limits;
use crate::codec::cursor::Cursor;
use crate::codec::error::{ErrorKind, Fault};
use crate::codec::property::{Properties, PropertySet};
use crate::packet::PropertyId as P;
use crate::packet::{Connect, ConnectProperties, Packet, QoS, Version, Will, WillProperties};

const ALLOWED: PropertySet = PropertySet::new(&[
    P::SessionExpiryInterval,
    P::ReceiveMaximum,
    P::MaximumPacketSize,
    P::TopicAliasMaximum,
    P::RequestResponseInformation,
    P::RequestProblemInformation,
    P::AuthenticationMethod,
    P::AuthenticationData,
]);

const WILL_ALLOWED: PropertySet = PropertySet::new(&[
    P::WillDelayInterval,
    P::PayloadFormatIndicator,
    P::MessageExpiryInterval,
    P::ContentType,
    P::ResponseTopic,
    P::CorrelationData,
]);

/// Bit 7 of the protocol level: a bridge.
const BRIDGE: u8 = 0x80;

const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

pub(super) fn connect<'a>(
    mut body: Cursor<'a>,
    minimal: bool,
    limits: &Limits,
) -> Result<Packet<'a>, Fault> {
    let (version, bridge) = protocol(&mut body)?;
    let told = |fault: Fault| Fault { version: Some(version), ..fault };
    if !minimal && version.is_v5() {
        return Err(told(Fault::new(ErrorKind::RemainingLengthNotMinimal, 1)));
    }
    let connect = after_protocol(body, version, bridge, limits).map_err(told)?;
    Ok(Packet::Connect(connect))
}

/// Protocol name and level [MQTT-3.1.2-1], [MQTT-3.1.2-2], and whether it is a bridge.
fn protocol(body: &mut Cursor<'_>) -> Result<(Version, bool), Fault> {
    let name_at = body.at();
    let name = body.binary()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Fault::new(ErrorKind::ProtocolName, name_at));
    }
    let at = body.at();
    let level = body.u8()?;
    match (name, level, level & !BRIDGE) {
        (b"MQIsdp", _, 3) => Ok((Version::V3, level & BRIDGE != 0)),
        (b"MQTT", _, 4) => Ok((Version::V4, level & BRIDGE != 0)),
        (b"MQTT", 5, _) => Ok((Version::V5, false)),
        _ => {
            // A client of the future reads the form of 5.0, one of the past that of 3.x.
            let answer = match name {
                b"MQIsdp" => Version::V3,
                _ if level > 5 => Version::V5,
                _ => Version::V4,
            };
            Err(Fault { kind: ErrorKind::ProtocolLevel(level), at, version: Some(answer) })
        }
    }
}

fn after_protocol<'a>(
    mut body: Cursor<'a>,
    version: Version,
    bridge: bool,
    limits: &Limits,
) -> Result<Connect<'a>, Fault> {
    let flags_at = body.at();
    let flags = body.u8()?;
    let will_qos = judge_flags(flags, version).map_err(|kind| Fault::new(kind, flags_at))?;
    let keep_alive = body.u16()?;
    let properties = if version.is_v5() {
        connect_properties(&mut body, limits)?
    } else {
        ConnectProperties::default()
    };
    let client_id = body.string()?;
    let will = if flags & WILL != 0 {
        Some(will(&mut body, will_qos, flags & WILL_RETAIN != 0, version, limits)?)
    } else {
        None
    };
    // In 3.1 the Remaining Length has precedence over these two flags: both may be missing.
    let v3 = version == Version::V3;
    let username = match flags & USER_NAME != 0 && !(v3 && body.is_empty()) {
        true => Some(body.string()?),
        false => None,
    };
    let password = match flags & PASSWORD != 0 && !(v3 && body.is_empty()) {
        true => Some(body.binary()?),
        false => None,
    };
    body.finish()?;
    Ok(Connect {
        version,
        clean_start: flags & 0x02 != 0,
        keep_alive,
        client_id,
        will,
        username,
        password,
        properties,
        bridge,
    })
}

/// Judges the Connect Flags (§3.1.2.3 to §3.1.2.9); gives the Will QoS.
fn judge_flags(flags: u8, version: Version) -> Result<QoS, ErrorKind> {
    if flags & 0x01 != 0 && version != Version::V3 {
        return Err(ErrorKind::ConnectReservedFlag);
    }
    let qos = QoS::from_bits(flags >> 3 & 3).ok_or(ErrorKind::WillQoS3)?;
    if flags & WILL == 0 && qos != QoS::AtMostOnce {
        return Err(ErrorKind::WillQoSWithoutWill);
    }
    if flags & (WILL | WILL_RETAIN) == WILL_RETAIN {
        return Err(ErrorKind::WillRetainWithoutWill);
    }
    if flags & (USER_NAME | PASSWORD) == PASSWORD && !version.is_v5() {
        return Err(ErrorKind::PasswordWithoutUserName);
    }
    Ok(qos)
}

fn will<'a>(
    body: &mut Cursor<'a>,
    qos: QoS,
    retain: bool,
    version: Version,
    limits: &Limits,
) -> Result<Will<'a>, Fault> {
    let properties =
        if version.is_v5() { will_properties(body, limits)? } else { WillProperties::default() };
    let topic_at = body.at();
    let topic = topic_name(body)?;
    if topic.is_empty() {
        return Err(Fault::new(ErrorKind::TopicEmpty, topic_at));
    }
    let payload = body.binary()?;
    Ok(Will { qos, retain, topic, payload, properties })
}

fn connect_properties<'a>(
    body: &mut Cursor<'a>,
    limits: &Limits,
) -> Result<ConnectProperties<'a>, Fault> {
    let mut found = ConnectProperties::default();
    let at = body.at();
    let mut properties = Properties::read(body, ALLOWED, limits)?;
    while let Some(id) = properties.next()? {
        let values = &mut properties.values;
        match id {
            P::SessionExpiryInterval => found.session_expiry_interval = Some(values.u32()?),
            P::ReceiveMaximum => found.receive_maximum = Some(properties.nonzero_u16(id)?),
            P::MaximumPacketSize => found.maximum_packet_size = Some(properties.nonzero_u32(id)?),
            P::TopicAliasMaximum => found.topic_alias_maximum = Some(values.u16()?),
            P::RequestResponseInformation => {
                found.request_response_information = properties.flag(id)?;
            }
            P::RequestProblemInformation => {
                found.request_problem_information = properties.flag(id)?;
            }
            P::AuthenticationMethod => found.authentication_method = Some(values.string()?),
            P::AuthenticationData => found.authentication_data = Some(values.binary()?),
            _ => return Err(properties.fault(ErrorKind::PropertyNotAllowed(id))),
        }
    }
    found.user_properties = properties.user_properties();
    if found.authentication_data.is_some() && found.authentication_method.is_none() {
        return Err(Fault::new(ErrorKind::AuthenticationDataWithoutMethod, at));
    }
    Ok(found)
}

fn will_properties<'a>(
    body: &mut Cursor<'a>,
    limits: &Limits,
) -> Result<WillProperties<'a>, Fault> {
    let mut found = WillProperties::default();
    let mut properties = Properties::read(body, WILL_ALLOWED, limits)?;
    while let Some(id) = properties.next()? {
        let values = &mut properties.values;
        match id {
            P::WillDelayInterval => found.delay_interval = Some(values.u32()?),
            P::PayloadFormatIndicator => found.payload_format_utf8 = Some(properties.flag(id)?),
            P::MessageExpiryInterval => found.message_expiry_interval = Some(values.u32()?),
            P::ContentType => found.content_type = Some(values.string()?),
            P::ResponseTopic => found.response_topic = Some(response_topic(&mut properties)?),
            P::CorrelationData => found.correlation_data = Some(values.binary()?),
            _ => return Err(properties.fault(ErrorKind::PropertyNotAllowed(id))),
        }
    }
    found.user_properties = properties.user_properties();
    Ok(found)
}
