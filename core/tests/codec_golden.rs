//! Packets byte by byte, as the standard lays them out: each literal is read to the packet beside
//! it, and the packet is written to the literal. Guards against a mistake made alike in reading and
//! in writing.

use halyard_core::codec::{self, Decoder, Limits, Role};
use halyard_core::packet::*;

/// Both ways, in this version, as the side that `role` says reads it.
#[track_caller]
fn golden(role: Role, version: Version, bytes: &[u8], packet: Packet<'_>) {
    let mut decoder = Decoder::new(role);
    if packet.packet_type() != PacketType::Connect {
        decoder.set_version(version);
    }
    let (consumed, frame) = decoder.decode(bytes, &Limits::default()).unwrap();
    assert_eq!(consumed, bytes.len());
    assert_eq!(frame.expect("a whole packet").packet, packet);
    assert_eq!(decoder.version(), Some(version));
    let mut written = Vec::new();
    codec::encode(&packet, version, &mut written);
    assert_eq!(written, bytes);
}

fn user(pairs: &[(&str, &str)]) -> UserPropertiesBuf {
    let mut buf = UserPropertiesBuf::new();
    for (name, value) in pairs {
        assert!(buf.push(name, value));
    }
    buf
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

#[test]
fn connect_of_3() {
    let mut connect = Connect {
        version: Version::V4,
        clean_start: true,
        keep_alive: 10,
        client_id: "c",
        will: Some(Will {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: "w",
            payload: b"bye",
            properties: WillProperties::default(),
        }),
        username: Some("u"),
        password: Some(b"pw"),
        properties: ConnectProperties::default(),
        bridge: false,
    };
    let body = b"\xEE\x00\x0A\x00\x01c\x00\x01w\x00\x03bye\x00\x01u\x00\x02pw";
    let bytes = [b"\x10\x1C\x00\x04MQTT\x04", &body[..]].concat();
    golden(Role::Server, Version::V4, &bytes, Packet::Connect(connect.clone()));
    connect.version = Version::V3;
    let bytes = [b"\x10\x1E\x00\x06MQIsdp\x03", &body[..]].concat();
    golden(Role::Server, Version::V3, &bytes, Packet::Connect(connect.clone()));
    connect.bridge = true;
    let bytes = [b"\x10\x1E\x00\x06MQIsdp\x83", &body[..]].concat();
    golden(Role::Server, Version::V3, &bytes, Packet::Connect(connect));
}

#[test]
fn connect_of_5() {
    let users = user(&[("k", "v")]);
    let will_users = user(&[("a", "1"), ("a", "2")]);
    let connect = Connect {
        version: Version::V5,
        clean_start: false,
        keep_alive: 0x1234,
        client_id: "id",
        will: Some(Will {
            qos: QoS::ExactlyOnce,
            retain: false,
            topic: "w/t",
            payload: b"\x00\xFF",
            properties: WillProperties {
                delay_interval: Some(5),
                payload_format_utf8: Some(false),
                message_expiry_interval: Some(6),
                content_type: Some("ct"),
                response_topic: Some("rt"),
                correlation_data: Some(b"\x01"),
                user_properties: will_users.as_ref(),
            },
        }),
        username: None,
        password: Some(b"p"),
        properties: ConnectProperties {
            session_expiry_interval: Some(u32::MAX),
            receive_maximum: Some(20),
            maximum_packet_size: Some(0x0001_0000),
            topic_alias_maximum: Some(7),
            request_response_information: true,
            request_problem_information: false,
            user_properties: users.as_ref(),
            authentication_method: Some("SCRAM"),
            authentication_data: Some(b"\xAA\xBB"),
        },
        bridge: false,
    };
    let bytes = [
        &b"\x10\x6C\x00\x04MQTT\x05\x54\x12\x34"[..],
        b"\x28\x11\xFF\xFF\xFF\xFF\x21\x00\x14\x27\x00\x01\x00\x00\x22\x00\x07\x19\x01\x17\x00",
        b"\x15\x00\x05SCRAM\x16\x00\x02\xAA\xBB\x26\x00\x01k\x00\x01v",
        b"\x00\x02id",
        b"\x28\x18\x00\x00\x00\x05\x01\x00\x02\x00\x00\x00\x06\x03\x00\x02ct\x08\x00\x02rt",
        b"\x09\x00\x01\x01\x26\x00\x01a\x00\x011\x26\x00\x01a\x00\x012",
        b"\x00\x03w/t\x00\x02\x00\xFF\x00\x01p",
    ]
    .concat();
    golden(Role::Server, Version::V5, &bytes, Packet::Connect(connect));
}

#[test]
fn connack() {
    let plain = |session_present, reason| {
        Packet::Connack(Connack {
            session_present,
            reason,
            properties: ConnackProperties::default(),
        })
    };
    let accepted = plain(true, ReasonCode::Success);
    golden(Role::Client, Version::V4, &[0x20, 2, 1, 0], accepted.clone());
    golden(Role::Client, Version::V5, &[0x20, 3, 1, 0, 0], accepted);
    let refused = plain(false, ReasonCode::NotAuthorized);
    golden(Role::Client, Version::V3, &[0x20, 2, 0, 5], refused.clone());
    golden(Role::Client, Version::V5, &[0x20, 3, 0, 0x87, 0], refused);
    let users = user(&[("k", "v")]);
    let full = Connack {
        session_present: false,
        reason: ReasonCode::Success,
        properties: ConnackProperties {
            session_expiry_interval: Some(9),
            receive_maximum: Some(1),
            maximum_qos: Some(QoS::AtLeastOnce),
            retain_available: Some(false),
            maximum_packet_size: Some(2),
            assigned_client_identifier: Some("ai"),
            topic_alias_maximum: Some(3),
            reason_string: Some("rs"),
            user_properties: users.as_ref(),
            wildcard_subscription_available: Some(true),
            subscription_identifiers_available: Some(false),
            shared_subscription_available: Some(true),
            server_keep_alive: Some(30),
            response_information: Some("ri"),
            server_reference: Some("sr"),
            authentication_method: Some("am"),
            authentication_data: Some(b"ad"),
        },
    };
    let bytes = [
        &b"\x20\x45\x00\x00\x42\x11\x00\x00\x00\x09\x21\x00\x01\x24\x01\x25\x00"[..],
        b"\x27\x00\x00\x00\x02\x12\x00\x02ai\x22\x00\x03\x1F\x00\x02rs\x28\x01\x29\x00\x2A\x01",
        b"\x13\x00\x1E\x1A\x00\x02ri\x1C\x00\x02sr\x15\x00\x02am\x16\x00\x02ad\x26\x00\x01k\x00\x01v",
    ]
    .concat();
    golden(Role::Client, Version::V5, &bytes, Packet::Connack(full));
}

#[test]
fn publish() {
    let mut publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: true,
        topic: "a/b",
        packet_id: None,
        properties: PublishProperties::default(),
        payload: b"hi",
    };
    let plain = Packet::Publish(publish.clone());
    golden(Role::Server, Version::V3, b"\x31\x07\x00\x03a/bhi", plain.clone());
    golden(Role::Client, Version::V5, b"\x31\x08\x00\x03a/b\x00hi", plain);
    publish.qos = QoS::ExactlyOnce;
    publish.dup = true;
    publish.packet_id = Some(id(0x0102));
    let acknowledged = Packet::Publish(publish.clone());
    golden(Role::Server, Version::V4, b"\x3D\x09\x00\x03a/b\x01\x02hi", acknowledged);
    let users = user(&[("k", "v")]);
    publish.properties = PublishProperties {
        payload_format_utf8: Some(true),
        message_expiry_interval: Some(1),
        topic_alias: core::num::NonZeroU16::new(2),
        response_topic: Some("r"),
        correlation_data: Some(b"c"),
        user_properties: users.as_ref(),
        subscription_identifiers: [1, 0x80].into_iter().collect(),
        content_type: Some("t"),
    };
    let bytes = [
        &b"\x3D\x2C\x00\x03a/b\x01\x02\x22\x01\x01\x02\x00\x00\x00\x01\x23\x00\x02\x08\x00\x01r"[..],
        b"\x09\x00\x01c\x0B\x01\x0B\x80\x01\x03\x00\x01t\x26\x00\x01k\x00\x01vhi",
    ]
    .concat();
    golden(Role::Client, Version::V5, &bytes, Packet::Publish(publish));
}

fn acknowledgement(first: u8, ack: Ack<'_>) -> Packet<'_> {
    match first {
        0x40 => Packet::Puback(ack),
        0x50 => Packet::Pubrec(ack),
        0x62 => Packet::Pubrel(ack),
        _ => Packet::Pubcomp(ack),
    }
}

#[test]
fn acknowledgements() {
    for first in [0x40, 0x50, 0x62, 0x70] {
        let plain = acknowledgement(first, Ack::new(id(0x0A0B), ReasonCode::Success));
        for version in [Version::V3, Version::V4, Version::V5] {
            golden(Role::Server, version, &[first, 2, 0x0A, 0x0B], plain.clone());
        }
        let found = matches!(first, 0x40 | 0x50);
        let code =
            if found { ReasonCode::QuotaExceeded } else { ReasonCode::PacketIdentifierNotFound };
        let failed = acknowledgement(first, Ack::new(id(1), code));
        golden(Role::Client, Version::V5, &[first, 3, 0, 1, code.as_u8()], failed);
        let users = user(&[("k", "v")]);
        let full = Ack {
            packet_id: id(1),
            reason: code,
            reason_string: Some("no"),
            user_properties: users.as_ref(),
        };
        let tail = b"\x0C\x1F\x00\x02no\x26\x00\x01k\x00\x01v";
        let bytes = [&[first, 16, 0, 1, code.as_u8()], &tail[..]].concat();
        golden(Role::Client, Version::V5, &bytes, acknowledgement(first, full));
    }
}

#[test]
fn subscribe() {
    let filters = vec![
        SubscribeFilter { filter: "a/+", options: SubscriptionOptions::new(QoS::AtLeastOnce) },
        SubscribeFilter { filter: "#", options: SubscriptionOptions::new(QoS::ExactlyOnce) },
    ];
    let mut subscribe = Subscribe {
        packet_id: id(1),
        subscription_identifier: None,
        user_properties: UserProperties::EMPTY,
        filters,
    };
    let bytes = b"\x82\x0C\x00\x01\x00\x03a/+\x01\x00\x01#\x02";
    golden(Role::Server, Version::V3, bytes, Packet::Subscribe(subscribe.clone()));
    golden(Role::Server, Version::V4, bytes, Packet::Subscribe(subscribe.clone()));
    let users = user(&[("k", "v")]);
    subscribe.subscription_identifier = Some(0x3FFF);
    subscribe.user_properties = users.as_ref();
    subscribe.filters[0].options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: false,
        retain_handling: RetainHandling::DoNotSend,
    };
    subscribe.filters[1].options = SubscriptionOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: true,
        retain_handling: RetainHandling::SendIfNew,
    };
    let bytes =
        b"\x82\x17\x00\x01\x0A\x0B\xFF\x7F\x26\x00\x01k\x00\x01v\x00\x03a/+\x26\x00\x01#\x18";
    golden(Role::Server, Version::V5, bytes, Packet::Subscribe(subscribe));

    let users = user(&[("k", "v")]);
    let unsubscribe = |user_properties| Unsubscribe {
        packet_id: id(2),
        user_properties,
        filters: vec!["a", "b"],
    };
    let plain = Packet::Unsubscribe(unsubscribe(UserProperties::EMPTY));
    golden(Role::Server, Version::V4, b"\xA2\x08\x00\x02\x00\x01a\x00\x01b", plain);
    let full = Packet::Unsubscribe(unsubscribe(users.as_ref()));
    let bytes = b"\xA2\x10\x00\x02\x07\x26\x00\x01k\x00\x01v\x00\x01a\x00\x01b";
    golden(Role::Server, Version::V5, bytes, full);
}

#[test]
fn subscription_answers() {
    let users = user(&[("k", "v")]);
    let mut suback = Suback {
        packet_id: id(1),
        reasons: vec![ReasonCode::Success, ReasonCode::GrantedQoS2, ReasonCode::UnspecifiedError],
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    };
    let plain = Packet::Suback(suback.clone());
    golden(Role::Client, Version::V4, &[0x90, 5, 0, 1, 0, 2, 0x80], plain.clone());
    // 3.1 has no word for a failure, but servers send it and are to be understood.
    golden(Role::Client, Version::V3, &[0x90, 5, 0, 1, 0, 2, 0x80], plain);
    suback.reasons[2] = ReasonCode::NotAuthorized;
    suback.reason_string = Some("r");
    suback.user_properties = users.as_ref();
    let tail = b"\x0B\x1F\x00\x01r\x26\x00\x01k\x00\x01v\x00\x02\x87";
    let bytes = [b"\x90\x11\x00\x01", &tail[..]].concat();
    golden(Role::Client, Version::V5, &bytes, Packet::Suback(suback));

    let mut unsuback = Unsuback {
        packet_id: id(1),
        reasons: Vec::new(),
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    };
    golden(Role::Client, Version::V4, &[0xB0, 2, 0, 1], Packet::Unsuback(unsuback.clone()));
    unsuback.reasons = vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    unsuback.reason_string = Some("r");
    let bytes = b"\xB0\x09\x00\x01\x04\x1F\x00\x01r\x00\x11";
    golden(Role::Client, Version::V5, bytes, Packet::Unsuback(unsuback));
}

#[test]
fn pings_and_ends() {
    for version in [Version::V3, Version::V4, Version::V5] {
        golden(Role::Server, version, &[0xC0, 0], Packet::Pingreq);
        golden(Role::Client, version, &[0xD0, 0], Packet::Pingresp);
        let normal = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
        golden(Role::Server, version, &[0xE0, 0], normal);
    }
    let will = Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWill));
    golden(Role::Server, Version::V5, &[0xE0, 1, 4], will);
    let users = user(&[("k", "v")]);
    let expiry = Disconnect {
        session_expiry_interval: Some(1),
        reason_string: Some("r"),
        user_properties: users.as_ref(),
        ..Disconnect::new(ReasonCode::Success)
    };
    let bytes = b"\xE0\x12\x00\x10\x11\x00\x00\x00\x01\x1F\x00\x01r\x26\x00\x01k\x00\x01v";
    golden(Role::Server, Version::V5, bytes, Packet::Disconnect(expiry));
    let moved =
        Disconnect { server_reference: Some("s"), ..Disconnect::new(ReasonCode::ServerMoved) };
    let bytes = b"\xE0\x06\x9D\x04\x1C\x00\x01s";
    golden(Role::Client, Version::V5, bytes, Packet::Disconnect(moved));
    let auth = Auth {
        reason: ReasonCode::ContinueAuthentication,
        method: Some("m"),
        data: Some(b"d"),
        reason_string: Some("r"),
        user_properties: users.as_ref(),
    };
    let bytes = b"\xF0\x15\x18\x13\x15\x00\x01m\x16\x00\x01d\x1F\x00\x01r\x26\x00\x01k\x00\x01v";
    golden(Role::Server, Version::V5, bytes, Packet::Auth(auth));
    let done = Auth {
        reason: ReasonCode::Success,
        method: None,
        data: None,
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    };
    golden(Role::Client, Version::V5, &[0xF0, 0], Packet::Auth(done));
}
