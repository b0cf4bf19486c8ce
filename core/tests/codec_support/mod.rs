//! Random valid packets for the codec's tests. Packets borrow; what they borrow is leaked, which a
//! test can afford.

use halyard_core::packet::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) const VERSIONS: [Version; 3] = [Version::V3, Version::V4, Version::V5];

type Text = &'static str;
type Bytes = &'static [u8];

/// A UTF-8 Encoded String without U+0000.
pub(crate) fn text() -> impl Strategy<Value = Text> {
    vec(prop_oneof![any::<char>(), prop::char::range(' ', '~')], 0..20).prop_map(|chars| {
        let text: String = chars.into_iter().filter(|char| *char != '\0').collect();
        &*text.leak()
    })
}

/// A Topic Name.
pub(crate) fn topic() -> impl Strategy<Value = Text> {
    text().prop_map(|text| {
        let topic = text.replace(['+', '#'], "/");
        if topic.is_empty() { "t" } else { topic.leak() }
    })
}

pub(crate) fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| &*bytes.leak())
}

/// A payload, now and then one whose length takes three bytes.
fn payload() -> impl Strategy<Value = Bytes> {
    let sizes = prop_oneof![8 => 0..200_usize, 1 => 16_000..17_000_usize];
    (sizes, any::<u8>()).prop_map(|(size, byte)| &*vec![byte; size].leak())
}

fn user_properties() -> impl Strategy<Value = UserProperties<'static>> {
    let some = vec((text(), text()), 0..4).prop_map(|pairs| {
        let mut buf = UserPropertiesBuf::new();
        for (name, value) in pairs {
            assert!(buf.push(name, value));
        }
        Box::leak(Box::new(buf)).as_ref()
    });
    prop_oneof![Just(UserProperties::EMPTY), some]
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|value| PacketId::new(value).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn reason(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let codes: Vec<_> =
        ReasonCode::ALL.iter().copied().filter(|code| code.allowed_in(packet)).collect();
    select(codes)
}

/// A packet that `from_client` (or else the server) may send in `version`, CONNECT left out.
pub(crate) fn packet(version: Version, from_client: bool) -> BoxedStrategy<Packet<'static>> {
    let acks = prop_oneof![
        ack(PacketType::Puback, version).prop_map(Packet::Puback),
        ack(PacketType::Pubrec, version).prop_map(Packet::Pubrec),
        ack(PacketType::Pubrel, version).prop_map(Packet::Pubrel),
        ack(PacketType::Pubcomp, version).prop_map(Packet::Pubcomp),
    ];
    let both = prop_oneof![publish(version, from_client).prop_map(Packet::Publish), acks];
    let v5 = version.is_v5();
    let mut own: Vec<BoxedStrategy<Packet<'static>>> = Vec::new();
    if from_client {
        own.push(subscribe(version).prop_map(Packet::Subscribe).boxed());
        own.push(unsubscribe(version).prop_map(Packet::Unsubscribe).boxed());
        own.push(Just(Packet::Pingreq).boxed());
    } else {
        own.push(connack(version).prop_map(Packet::Connack).boxed());
        own.push(suback(version).prop_map(Packet::Suback).boxed());
        own.push(unsuback(version).prop_map(Packet::Unsuback).boxed());
        own.push(Just(Packet::Pingresp).boxed());
    }
    if v5 || from_client {
        own.push(disconnect(version, from_client).prop_map(Packet::Disconnect).boxed());
    }
    if v5 {
        own.push(auth(from_client).prop_map(Packet::Auth).boxed());
    }
    prop_oneof![both, proptest::strategy::Union::new(own)].boxed()
}

pub(crate) fn connect(version: Version) -> impl Strategy<Value = Connect<'static>> {
    let fields = (any::<bool>(), any::<u16>(), text(), any::<bool>());
    let credentials = (of(text()), of(binary()));
    (fields, of(will(version)), credentials, connect_properties()).prop_map(
        move |((clean_start, keep_alive, client_id, bridge), will, (username, password), found)| {
            let v5 = version.is_v5();
            Connect {
                version,
                clean_start,
                keep_alive,
                client_id,
                will,
                username,
                password: if v5 || username.is_some() { password } else { None },
                properties: if v5 { found } else { ConnectProperties::default() },
                bridge: bridge && !v5,
            }
        },
    )
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties<'static>> {
    let numbers = (of(any::<u32>()), of(1..=u16::MAX), of(1..=u32::MAX), of(any::<u16>()));
    let flags = any::<(bool, bool)>();
    (numbers, flags, user_properties(), of((text(), of(binary())))).prop_map(
        |((expiry, receive, size, aliases), (response, problem), user_properties, auth)| {
            ConnectProperties {
                session_expiry_interval: expiry,
                receive_maximum: receive,
                maximum_packet_size: size,
                topic_alias_maximum: aliases,
                request_response_information: response,
                request_problem_information: problem,
                user_properties,
                authentication_method: auth.map(|(method, _)| method),
                authentication_data: auth.and_then(|(_, data)| data),
            }
        },
    )
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    let numbers = (of(any::<u32>()), of(any::<bool>()), of(any::<u32>()));
    let texts = (of(text()), of(topic()), of(binary()), user_properties());
    (qos(), any::<bool>(), topic(), binary(), numbers, texts).prop_map(
        move |(qos, retain, topic, payload, (delay, utf8, expiry), texts)| {
            let properties = WillProperties {
                delay_interval: delay,
                payload_format_utf8: utf8,
                message_expiry_interval: expiry,
                content_type: texts.0,
                response_topic: texts.1,
                correlation_data: texts.2,
                user_properties: texts.3,
            };
            let properties = if version.is_v5() { properties } else { WillProperties::default() };
            Will { qos, retain, topic, payload, properties }
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = Connack<'static>> {
    let reasons: Vec<_> = if version.is_v5() {
        ReasonCode::ALL.iter().copied().filter(|c| c.allowed_in(PacketType::Connack)).collect()
    } else {
        (0..6).map(|code| ReasonCode::from_v3_connect_code(code).unwrap()).collect()
    };
    (any::<bool>(), select(reasons), connack_properties()).prop_map(
        move |(present, reason, properties)| Connack {
            session_present: present && reason == ReasonCode::Success && version != Version::V3,
            reason,
            properties: if version.is_v5() { properties } else { ConnackProperties::default() },
        },
    )
}

fn connack_properties() -> impl Strategy<Value = ConnackProperties<'static>> {
    let qos01 = select(&[QoS::AtMostOnce, QoS::AtLeastOnce][..]);
    let sizes = (of(any::<u32>()), of(1..=u16::MAX), of(qos01), of(1..=u32::MAX));
    let numbers = (of(any::<u16>()), of(any::<u16>()));
    let flags = any::<[Option<bool>; 4]>();
    let texts = [of(text()), of(text()), of(text()), of(text()), of(text())];
    (sizes, numbers, flags, texts, of(binary()), user_properties()).prop_map(
        |(sizes, numbers, flags, texts, data, user_properties)| ConnackProperties {
            session_expiry_interval: sizes.0,
            receive_maximum: sizes.1,
            maximum_qos: sizes.2,
            retain_available: flags[0],
            maximum_packet_size: sizes.3,
            assigned_client_identifier: texts[0],
            topic_alias_maximum: numbers.0,
            reason_string: texts[1],
            user_properties,
            wildcard_subscription_available: flags[1],
            subscription_identifiers_available: flags[2],
            shared_subscription_available: flags[3],
            server_keep_alive: numbers.1,
            response_information: texts[2],
            server_reference: texts[3],
            authentication_method: texts[4],
            authentication_data: data,
        },
    )
}

pub(crate) fn publish(
    version: Version,
    from_client: bool,
) -> impl Strategy<Value = Publish<'static>> {
    let header = (any::<bool>(), qos(), any::<bool>(), packet_id());
    (header, topic(), any::<bool>(), publish_properties(), payload()).prop_map(
        move |((dup, qos, retain, id), topic, alias_only, mut properties, payload)| {
            if from_client {
                properties.subscription_identifiers.clear();
            }
            if !version.is_v5() {
                properties = PublishProperties::default();
            }
            let topic = if alias_only && properties.topic_alias.is_some() { "" } else { topic };
            let acknowledged = qos != QoS::AtMostOnce;
            let packet_id = acknowledged.then_some(id);
            Publish { dup: dup && acknowledged, qos, retain, topic, packet_id, properties, payload }
        },
    )
}

fn publish_properties() -> impl Strategy<Value = PublishProperties<'static>> {
    let numbers = (of(any::<bool>()), of(any::<u32>()), of(any::<core::num::NonZeroU16>()));
    let texts = (of(topic()), of(binary()), of(text()), user_properties());
    (numbers, texts, vec(1..=268_435_455_u32, 0..4)).prop_map(|(numbers, texts, ids)| {
        PublishProperties {
            payload_format_utf8: numbers.0,
            message_expiry_interval: numbers.1,
            topic_alias: numbers.2,
            response_topic: texts.0,
            correlation_data: texts.1,
            user_properties: texts.3,
            subscription_identifiers: ids.into(),
            content_type: texts.2,
        }
    })
}

fn ack(packet: PacketType, version: Version) -> impl Strategy<Value = Ack<'static>> {
    (packet_id(), reason(packet), of(text()), user_properties()).prop_map(
        move |(packet_id, reason, reason_string, user_properties)| match version {
            Version::V5 => Ack { packet_id, reason, reason_string, user_properties },
            _ => Ack::new(packet_id, ReasonCode::Success),
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe<'static>> {
    let filter = (prop_oneof![text(), Just("$share/g/a")], 0..0x30_u8);
    let id = of(1..=268_435_455_u32);
    (packet_id(), id, user_properties(), vec(filter, 1..5)).prop_map(
        move |(packet_id, id, user_properties, filters)| {
            let v5 = version.is_v5();
            let filters = filters.into_iter().map(|(filter, bits)| {
                let mut options = SubscriptionOptions::from_bits(bits).unwrap_or_default();
                options.no_local &= !filter.starts_with("$share/");
                let options = if v5 { options } else { SubscriptionOptions::new(options.qos) };
                SubscribeFilter { filter, options }
            });
            Subscribe {
                packet_id,
                subscription_identifier: if v5 { id } else { None },
                user_properties: if v5 { user_properties } else { UserProperties::EMPTY },
                filters: filters.collect(),
            }
        },
    )
}

fn suback(version: Version) -> impl Strategy<Value = Suback<'static>> {
    let codes = vec(reason(PacketType::Suback), 1..5);
    (packet_id(), codes, of(text()), user_properties()).prop_map(
        move |(packet_id, reasons, reason_string, user_properties)| match version {
            Version::V5 => Suback { packet_id, reasons, reason_string, user_properties },
            _ => Suback {
                packet_id,
                reasons: reasons
                    .into_iter()
                    .map(|code| match version {
                        _ if !code.is_error() => code,
                        // 3.1 has no word for a refusal.
                        Version::V3 => ReasonCode::Success,
                        _ => ReasonCode::UnspecifiedError,
                    })
                    .collect(),
                reason_string: None,
                user_properties: UserProperties::EMPTY,
            },
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe<'static>> {
    (packet_id(), user_properties(), vec(text(), 1..5)).prop_map(
        move |(packet_id, user_properties, filters)| Unsubscribe {
            packet_id,
            user_properties: if version.is_v5() { user_properties } else { UserProperties::EMPTY },
            filters,
        },
    )
}

fn unsuback(version: Version) -> impl Strategy<Value = Unsuback<'static>> {
    let codes = vec(reason(PacketType::Unsuback), 1..5);
    (packet_id(), codes, of(text()), user_properties()).prop_map(
        move |(packet_id, reasons, reason_string, user_properties)| match version {
            Version::V5 => Unsuback { packet_id, reasons, reason_string, user_properties },
            _ => Unsuback {
                packet_id,
                reasons: Vec::new(),
                reason_string: None,
                user_properties: UserProperties::EMPTY,
            },
        },
    )
}

fn disconnect(version: Version, from_client: bool) -> impl Strategy<Value = Disconnect<'static>> {
    let fields = (of(any::<u32>()), of(text()), of(text()), user_properties());
    let reasons = reason(PacketType::Disconnect).prop_filter("of the other side", move |reason| {
        if from_client {
            !reason.is_of_servers()
        } else {
            *reason != ReasonCode::DisconnectWithWill
        }
    });
    (reasons, fields).prop_map(move |(reason, fields)| {
        if !version.is_v5() {
            return Disconnect::new(ReasonCode::Success);
        }
        Disconnect {
            reason,
            session_expiry_interval: if from_client { fields.0 } else { None },
            reason_string: fields.1,
            user_properties: fields.3,
            server_reference: if from_client { None } else { fields.2 },
        }
    })
}

fn auth(from_client: bool) -> impl Strategy<Value = Auth<'static>> {
    let reasons = if from_client {
        [ReasonCode::ContinueAuthentication, ReasonCode::ReAuthenticate]
    } else {
        [ReasonCode::ContinueAuthentication, ReasonCode::Success]
    };
    let fields = (text(), of(binary()), of(text()), user_properties());
    (select(reasons.to_vec()), fields).prop_map(|(reason, fields)| Auth {
        reason,
        method: Some(fields.0),
        data: fields.1,
        reason_string: fields.2,
        user_properties: fields.3,
    })
}
