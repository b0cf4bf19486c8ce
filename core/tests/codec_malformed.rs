//! Every sin of a packet, one by one: what is reported, at which byte, with which clause and which
//! answer (hostile input 1 to 15, 20, 23 to 26, 31, 35, 37).

use halyard_core::codec::ErrorKind::{self as K, *};
use halyard_core::codec::{DecodeError, Decoder, ErrorClass, Limits, Role};
use halyard_core::packet::PropertyId as P;
use halyard_core::packet::{ReasonCode, Version};

const V3: Option<Version> = Some(Version::V3);
const V4: Option<Version> = Some(Version::V4);
const V5: Option<Version> = Some(Version::V5);

const MALFORMED: Option<u8> = Some(0x81);
const PROTOCOL: Option<u8> = Some(0x82);

/// A packet of this first byte and body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    halyard_core::codec::primitives::encode_varint(body.len() as u32, &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

/// A string or binary field.
fn field(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

/// A CONNECT with this protocol level and these Connect Flags; `rest` follows the Keep Alive.
fn connect(level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let name = if level & 0x7F == 3 { &b"MQIsdp"[..] } else { b"MQTT" };
    packet(0x10, &[&field(name)[..], &[level, flags, 0, 60], rest].concat())
}

fn decode(role: Role, version: Option<Version>, bytes: &[u8]) -> Result<(), DecodeError> {
    let limits = Limits {
        max_packet_size: 1_000,
        max_connect_size: 1_000,
        max_user_properties: 2,
        max_properties: 4,
        max_filters: 2,
    };
    let mut decoder = Decoder::new(role);
    if let Some(version) = version {
        decoder.set_version(version);
    }
    let (consumed, frame) = decoder.decode(bytes, &limits)?;
    assert_eq!(consumed, bytes.len());
    assert!(frame.is_some(), "{bytes:02X?} is no whole packet");
    Ok(())
}

/// What a server says to `bytes` from a client.
#[track_caller]
fn server(
    version: Option<Version>,
    bytes: &[u8],
    kind: K,
    at: u32,
    clause: &str,
    reason: Option<u8>,
) {
    check(Role::Server, version, bytes, kind, at, clause, reason);
}

#[track_caller]
fn check(
    role: Role,
    version: Option<Version>,
    bytes: &[u8],
    kind: K,
    at: u32,
    clause: &str,
    reason: Option<u8>,
) {
    let error = decode(role, version, bytes).expect_err("a refusal");
    let found = (error.kind, error.at, error.clause(), error.reason_code().map(ReasonCode::as_u8));
    assert_eq!(found, (kind, at, clause, reason), "{error}");
}

#[test]
fn packets_that_may_not_come() {
    server(None, &[0xC0, 0], FirstPacketNotConnect, 0, "MQTT-3.1.0-1", None);
    server(V5, &connect(5, 2, &[0, 0, 0]), SecondConnect, 0, "MQTT-3.1.0-2", PROTOCOL);
    server(V4, &connect(4, 2, &[0, 0]), SecondConnect, 0, "MQTT-3.1.0-2", None);
    server(V5, &[0x00, 0], ReservedPacketType, 0, "§2.1.2", MALFORMED);
    server(V4, &[0x00, 0], ReservedPacketType, 0, "§2.2.1", None);
    server(V4, &[0xF0, 0], AuthBeforeV5, 0, "§2.2.1", None);
    for first in [0x20, 0x90, 0xB0, 0xD0] {
        server(V5, &[first, 0], WrongDirection, 0, "§2.1.2", PROTOCOL);
        server(V4, &[first, 0], WrongDirection, 0, "§2.2.1", None);
    }
    for first in [0x10, 0x82, 0xA2, 0xC0] {
        check(Role::Client, V5, &[first, 0], WrongDirection, 0, "§2.1.2", PROTOCOL);
    }
    check(Role::Client, V4, &[0xE0, 0], WrongDirection, 0, "§2.2.1", None);
}

#[test]
fn reserved_flags() {
    let rows = [
        (0x40, "MQTT-2.1.3-1", "MQTT-2.2.2-2"),
        (0x50, "MQTT-2.1.3-1", "MQTT-2.2.2-2"),
        (0x62, "MQTT-3.6.1-1", "MQTT-3.6.1-1"),
        (0x70, "MQTT-2.1.3-1", "MQTT-2.2.2-2"),
        (0x82, "MQTT-3.8.1-1", "MQTT-3.8.1-1"),
        (0xA2, "MQTT-3.10.1-1", "MQTT-3.10.1-1"),
        (0xC0, "MQTT-2.1.3-1", "MQTT-2.2.2-2"),
        (0xE0, "MQTT-3.14.1-1", "MQTT-3.14.1-1"),
        (0xF0, "MQTT-3.15.1-1", ""),
    ];
    for (first, clause, clause_311) in rows {
        for flags in (0..16).filter(|flags| *flags != first & 0x0F) {
            let bytes = [first & 0xF0 | flags, 0];
            server(V5, &bytes, ReservedFlags(flags), 0, clause, MALFORMED);
            if !clause_311.is_empty() {
                server(V4, &bytes, ReservedFlags(flags), 0, clause_311, None);
            }
        }
    }
    server(None, &[0x11, 0], ReservedFlags(1), 0, "MQTT-2.1.3-1", None);
    // 3.1 lets PUBREL, SUBSCRIBE and UNSUBSCRIBE carry DUP.
    assert_eq!(decode(Role::Server, V3, &[0x6A, 2, 0, 1]), Ok(()));
    assert_eq!(decode(Role::Server, V3, &packet(0x8A, &[0, 1, 0, 1, b'a', 0])), Ok(()));
    assert_eq!(decode(Role::Server, V3, &packet(0xAA, &[0, 1, 0, 1, b'a'])), Ok(()));
}

#[test]
fn remaining_length() {
    let five = [0x30, 0x80, 0x80, 0x80, 0x80, 0x01];
    server(V5, &five, RemainingLengthTooLong, 1, "§1.5.5", MALFORMED);
    server(V4, &five, RemainingLengthTooLong, 1, "§2.2.3", None);
    let connect_five = [0x10, 0x80, 0x80, 0x80, 0x80];
    server(None, &connect_five, RemainingLengthTooLong, 1, "§1.5.5", None);
    server(V5, &[0xC0, 0x80, 0], RemainingLengthNotMinimal, 1, "MQTT-1.5.5-1", MALFORMED);
    assert_eq!(decode(Role::Server, V4, &[0xC0, 0x80, 0]), Ok(()));
    assert_eq!(decode(Role::Server, V4, &[0xC0, 0x80, 0x80, 0x80, 0]), Ok(()));
    // In CONNECT the version decides, once it is read.
    let stretched = |bytes: Vec<u8>| [&[bytes[0], bytes[1] | 0x80, 0], &bytes[2..]].concat();
    let v5 = stretched(connect(5, 2, &[0, 0, 0]));
    server(None, &v5, RemainingLengthNotMinimal, 1, "MQTT-1.5.5-1", MALFORMED);
    assert_eq!(decode(Role::Server, None, &stretched(connect(4, 2, &[0, 0]))), Ok(()));
    let large = PacketTooLarge { size: 1_001, limit: 1_000 };
    server(V5, &[0x30, 0xE6, 0x07], large, 1, "MQTT-3.2.2-15", Some(0x95));
    server(V4, &[0x30, 0xE6, 0x07], large, 1, "MQTT-4.8.0-2", None);
    let large = ConnectTooLarge { size: 1_001, limit: 1_000 };
    server(None, &[0x10, 0xE6, 0x07], large, 1, "§3.2.2.2", None);
}

#[test]
fn connect_protocol() {
    let level = |level| packet(0x10, &[&field(b"MQTT")[..], &[level, 2, 0, 60, 0, 0]].concat());
    for (bytes, found, version) in [
        (level(6), 6, V5),
        (level(0x85), 0x85, V5),
        (level(3), 3, V4),
        (level(0), 0, V4),
        (packet(0x10, &[&field(b"MQIsdp")[..], &[4, 2, 0, 60, 0, 0]].concat()), 4, V3),
    ] {
        let error = decode(Role::Server, None, &bytes).unwrap_err();
        assert_eq!(error.kind, ProtocolLevel(found));
        assert_eq!((error.version, error.clause()), (version, "MQTT-3.1.2-2"));
        assert_eq!(error.class(), ErrorClass::UnsupportedVersion);
        let reason = error.reason_code().unwrap();
        assert_eq!((reason.as_u8(), reason.v3_connect_code()), (0x84, Some(1)));
    }
    for name in [&b"MQTX"[..], b"", b"mqtt", b"MQTTT"] {
        let bytes = packet(0x10, &[&field(name)[..], &[4, 2, 0, 60, 0, 0]].concat());
        server(None, &bytes, ProtocolName, 2, "MQTT-3.1.2-1", None);
    }
    for bridge in [connect(0x83, 2, &field(b"b")), connect(0x84, 2, &field(b"b"))] {
        assert_eq!(decode(Role::Server, None, &bridge), Ok(()));
    }
}

#[test]
fn connect_flags() {
    let at = 9;
    let row = |flags, kind, clause, clause_311| {
        server(None, &connect(5, flags, &[0, 0, 0]), kind, at, clause, MALFORMED);
        server(None, &connect(4, flags, &[0, 0]), kind, at, clause_311, None);
    };
    row(0x03, ConnectReservedFlag, "MQTT-3.1.2-3", "MQTT-3.1.2-3");
    row(0x1E, WillQoS3, "MQTT-3.1.2-12", "MQTT-3.1.2-14");
    row(0x0A, WillQoSWithoutWill, "MQTT-3.1.2-11", "MQTT-3.1.2-13");
    row(0x22, WillRetainWithoutWill, "MQTT-3.1.2-13", "MQTT-3.1.2-15");
    let password = [0, 0, 0, 1, b'p'];
    server(None, &connect(4, 0x42, &password), PasswordWithoutUserName, at, "MQTT-3.1.2-22", None);
    assert_eq!(decode(Role::Server, None, &connect(5, 0x42, &[0, 0, 0, 0, 1, b'p'])), Ok(()));
    // In 3.1 user name and password may be missing in spite of their flags.
    assert_eq!(decode(Role::Server, None, &connect(3, 0xC2, &field(b"c"))), Ok(()));
    server(None, &connect(4, 0xC2, &field(b"c")), Truncated, 15, "MQTT-3.1.4-1", None);
}

#[test]
fn connect_body() {
    let trailing = [0, 0, 0, 9];
    server(None, &connect(5, 2, &trailing), TrailingBytes, 15, "MQTT-3.1.4-1", MALFORMED);
    server(None, &connect(4, 2, &[0, 0, 9]), TrailingBytes, 14, "MQTT-3.1.4-1", None);
    server(None, &connect(4, 2, &[0, 1, 0xFF]), StringNotUtf8, 14, "MQTT-1.5.3-1", None);
    server(None, &packet(0x10, &[0, 4, b'M']), Truncated, 4, "MQTT-3.1.4-1", None);
    let will = |topic: &[u8]| [&[0, 0, 0, 0][..], &field(topic), &[0, 0]].concat();
    let wildcard = connect(5, 0x06, &will(b"a/+"));
    server(None, &wildcard, TopicWildcard, 20, "MQTT-4.7.0-1", Some(0x90));
    server(None, &connect(5, 0x06, &will(b"")), TopicEmpty, 16, "MQTT-4.7.3-1", PROTOCOL);
    // Client Identifier, then Will Properties with a Response Topic.
    let response = [&[0, 0, 0, 4, 8, 0, 1, b'#'][..], &field(b"t"), &[0, 0]].concat();
    let bytes = connect(5, 0x06, &response);
    server(None, &bytes, ResponseTopicInvalid, 16, "MQTT-3.3.2-14", PROTOCOL);
}

#[test]
fn connect_properties() {
    let row = |properties: &[u8], kind, at, clause: &str, reason| {
        let section = [&[properties.len() as u8], properties, &[0, 0]].concat();
        server(None, &connect(5, 2, &section), kind, at, clause, reason);
    };
    let zero = [0x21, 0, 0];
    row(&zero, PropertyZero(P::ReceiveMaximum), 13, "§3.1.2.11.3", PROTOCOL);
    let zero = [0x27, 0, 0, 0, 0];
    row(&zero, PropertyZero(P::MaximumPacketSize), 13, "§3.1.2.11.4", PROTOCOL);
    let two = PropertyValue(P::RequestResponseInformation, 2);
    row(&[0x19, 2], two, 13, "§3.1.2.11.6", PROTOCOL);
    let two = PropertyValue(P::RequestProblemInformation, 2);
    row(&[0x17, 2], two, 13, "§3.1.2.11.7", PROTOCOL);
    row(&[0x16, 0, 0], AuthenticationDataWithoutMethod, 12, "§3.1.2.11.10", PROTOCOL);
    row(&[0x7F, 0], UnknownProperty(0x7F), 13, "§2.2.2.2", MALFORMED);
    row(&[0xFF, 0x01], UnknownProperty(0xFF), 13, "§2.2.2.2", MALFORMED);
    row(&[0xA6, 0x00], VarintNotMinimal, 13, "MQTT-1.5.5-1", MALFORMED);
    row(&[0x80, 0x80, 0x80, 0x80, 1], VarintTooLong, 13, "§1.5.5", MALFORMED);
    row(&[0x12, 0, 0], PropertyNotAllowed(P::AssignedClientIdentifier), 13, "§2.2.2.2", MALFORMED);
    let twice = [0x22, 0, 1, 0x22, 0, 1];
    row(&twice, DuplicateProperty(P::TopicAliasMaximum), 16, "§2.2.2.2", PROTOCOL);
    row(&[0x11, 0, 0], Truncated, 14, "MQTT-3.1.4-1", MALFORMED);
    row(&[0x26, 0, 0, 0, 0].repeat(3), TooManyUserProperties(2), 23, "§4.13", Some(0x97));
    let many = [&[0x26, 0, 0, 0, 0][..], &[0x21, 0, 1, 0x22, 0, 1, 0x17, 1, 0x19, 1]].concat();
    row(&many, TooManyProperties(4), 26, "§4.13", Some(0x97));
    row(&[0x26, 0, 1, 0, 0, 0], StringWithNul, 16, "MQTT-1.5.4-2", MALFORMED);
    let long = connect(5, 2, &[9, 0, 0]);
    server(None, &long, PropertyLength, 12, "§2.2.2.1", MALFORMED);
}

#[test]
fn strings() {
    for (text, at) in [
        (&b"\xED\xA0\x80"[..], 4),
        (b"a\xC0\x80", 5),
        (b"ab\xFF", 6),
        (b"\xF4\x90\x80\x80", 4),
        (b"a\xE2\x82", 5),
    ] {
        let bytes = packet(0x30, &[&field(text)[..], &[0]].concat());
        server(V5, &bytes, StringNotUtf8, at, "MQTT-1.5.4-1", MALFORMED);
        server(V4, &bytes, StringNotUtf8, at, "MQTT-1.5.3-1", None);
    }
    let nul = packet(0x30, &[&field(b"a\0\xFF")[..], &[0]].concat());
    server(V5, &nul, StringWithNul, 5, "MQTT-1.5.4-2", MALFORMED);
    server(V4, &nul, StringWithNul, 5, "MQTT-1.5.3-2", None);
    // A byte order mark is text [MQTT-1.5.4-3].
    let bom = packet(0x30, &[&field(b"\xEF\xBB\xBFa")[..], &[0]].concat());
    assert_eq!(decode(Role::Server, V5, &bom), Ok(()));
}

/// What a server says is wrong with `bytes`, or nothing.
fn wrong(version: Option<Version>, bytes: &[u8]) -> Option<K> {
    decode(Role::Server, version, bytes).err().map(|error| error.kind)
}

#[test]
fn strings_wherever_they_stand() {
    // A surrogate: well-formed for its length, and no text.
    let bad = field(b"\xED\xA0\x80");
    let good = field(b"a");
    let some = Some(StringNotUtf8);
    for level in [4, 5] {
        // In 5.0 Properties stand before the payload and before the Will Topic.
        let none: &[u8] = if level == 5 { &[0] } else { &[] };
        let payload = |id: &[u8], topic: &[u8], user: &[u8]| {
            let body = [none, id, none, topic, &field(b"will"), user, &field(b"p")].concat();
            wrong(None, &connect(level, 0xC6, &body))
        };
        assert_eq!(payload(&good, &good, &good), None);
        assert_eq!(payload(&bad, &good, &good), some, "Client Identifier");
        assert_eq!(payload(&good, &bad, &good), some, "Will Topic");
        assert_eq!(payload(&good, &good, &bad), some, "User Name");
        let version = if level == 5 { V5 } else { V4 };
        let subscribe = [&[0, 1][..], none, &bad, &[0]].concat();
        assert_eq!(wrong(version, &packet(0x82, &subscribe)), some, "filter of SUBSCRIBE");
        let unsubscribe = [&[0, 1][..], none, &bad].concat();
        assert_eq!(wrong(version, &packet(0xA2, &unsubscribe)), some, "filter of UNSUBSCRIBE");
    }
    let publish = |property: &[u8]| {
        let length = [u8::try_from(property.len()).unwrap()];
        wrong(V5, &packet(0x30, &[&good[..], &length, property].concat()))
    };
    for id in [0x03, 0x08] {
        assert_eq!(publish(&[&[id][..], &good].concat()), None);
        assert_eq!(publish(&[&[id][..], &bad].concat()), some, "property {id:#04x}");
    }
    assert_eq!(publish(&[&[0x26][..], &good, &good].concat()), None);
    assert_eq!(publish(&[&[0x26][..], &bad, &good].concat()), some, "name of a User Property");
    assert_eq!(publish(&[&[0x26][..], &good, &bad].concat()), some, "value of a User Property");
}

#[test]
fn connect_fields_are_there_as_the_flags_say() {
    for level in [4, 5] {
        let none: &[u8] = if level == 5 { &[0] } else { &[] };
        let body = |flags, fields: &[Vec<u8>]| {
            let fields = fields.concat();
            wrong(None, &connect(level, flags, &[none, &field(b"c"), &fields].concat()))
        };
        let (user, password) = (field(b"u"), field(b"p"));
        let will = [none, &field(b"t"), &field(b"x")].concat();
        assert_eq!(body(0x02, &[]), None);
        assert_eq!(body(0x82, std::slice::from_ref(&user)), None);
        assert_eq!(body(0xC2, &[user.clone(), password.clone()]), None);
        assert_eq!(body(0x06, std::slice::from_ref(&will)), None);
        let surplus = Some(TrailingBytes);
        assert_eq!(body(0x02, std::slice::from_ref(&user)), surplus, "User Name Flag 0");
        assert_eq!(body(0x82, &[user.clone(), password]), surplus, "Password Flag 0");
        assert_eq!(body(0x02, std::slice::from_ref(&will)), surplus, "Will Flag 0");
        let missing = Some(Truncated);
        assert_eq!(body(0x82, &[]), missing, "User Name Flag 1");
        assert_eq!(body(0xC2, std::slice::from_ref(&user)), missing, "Password Flag 1");
        assert_eq!(body(0x06, &[]), missing, "Will Flag 1");
        let topic_alone = will[..will.len() - 3].to_vec();
        assert_eq!(body(0x06, &[topic_alone]), missing, "no Will Payload");
        // What is there is read: the fields follow each other in this order.
        assert_eq!(body(0xC6, &[will, user, field(b"p")]), None);
    }
}

#[test]
fn publish_header() {
    for flags in [6, 7, 14, 15] {
        server(V5, &[0x30 | flags, 0], PublishQoS3, 0, "MQTT-3.3.1-4", MALFORMED);
        server(V4, &[0x30 | flags, 0], PublishQoS3, 0, "MQTT-3.3.1-4", None);
    }
    for flags in [8, 9] {
        server(V5, &[0x30 | flags, 0], DupWithQoS0, 0, "MQTT-3.3.1-2", MALFORMED);
        server(V3, &[0x30 | flags, 0], DupWithQoS0, 0, "MQTT-3.3.1-2", None);
    }
    let zero_id = packet(0x32, &[0, 1, b'a', 0, 0, 0]);
    server(V5, &zero_id, PacketIdZero, 5, "MQTT-2.2.1-3", MALFORMED);
    server(V4, &zero_id, PacketIdZero, 5, "MQTT-2.3.1-1", None);
    server(V5, &packet(0x32, &[0, 1, b'a', 0]), Truncated, 5, "§1.2", MALFORMED);
    server(V4, &packet(0x30, &[0, 2, b'a']), Truncated, 4, "MQTT-4.8.0-1", None);
    server(V5, &packet(0x30, &[0, 1, b'a']), Truncated, 5, "§1.2", MALFORMED);
}

#[test]
fn publish_topic() {
    server(V5, &packet(0x30, &[0, 0, 0]), TopicEmpty, 2, "MQTT-4.7.3-1", PROTOCOL);
    server(V4, &packet(0x30, &[0, 0]), TopicEmpty, 2, "MQTT-4.7.3-1", None);
    assert_eq!(decode(Role::Server, V5, &packet(0x30, &[0, 0, 3, 0x23, 0, 1])), Ok(()));
    for topic in [&b"a/#"[..], b"a/+"] {
        let bytes = packet(0x30, &[&field(topic)[..], &[0]].concat());
        server(V5, &bytes, TopicWildcard, 6, "MQTT-3.3.2-2", Some(0x90));
        server(V4, &bytes, TopicWildcard, 6, "MQTT-3.3.2-2", None);
    }
}

#[test]
fn publish_properties() {
    let row = |properties: &[u8], kind, clause: &str, reason| {
        let body = [&[0, 1, b'a', properties.len() as u8], properties].concat();
        server(V5, &packet(0x30, &body), kind, 6, clause, reason);
    };
    let alias = PropertyZero(P::TopicAlias);
    row(&[0x23, 0, 0], alias, "MQTT-3.3.2-8", Some(0x94));
    let format = PropertyValue(P::PayloadFormatIndicator, 2);
    row(&[0x01, 2], format, "§3.3.2.3.2", PROTOCOL);
    let id = PropertyWrongDirection(P::SubscriptionIdentifier);
    row(&[0x0B, 1], id, "MQTT-3.3.4-6", PROTOCOL);
    for topic in [&b"a/#"[..], b"+", b""] {
        let property = [&[0x08][..], &field(topic)].concat();
        row(&property, ResponseTopicInvalid, "MQTT-3.3.2-14", PROTOCOL);
    }
    row(&[0x1F, 0, 0], PropertyNotAllowed(P::ReasonString), "§2.2.2.2", MALFORMED);
    let zero = packet(0x30, &[0, 1, b'a', 2, 0x0B, 0]);
    let kind = PropertyZero(P::SubscriptionIdentifier);
    check(Role::Client, V5, &zero, kind, 6, "§3.3.2.3.8", PROTOCOL);
    let two = packet(0x30, &[0, 1, b'a', 4, 0x0B, 1, 0x0B, 2]);
    assert_eq!(decode(Role::Client, V5, &two), Ok(()));
    let long = packet(0x30, &[0, 1, b'a', 5, 0x01, 1]);
    server(V5, &long, PropertyLength, 5, "§2.2.2.1", MALFORMED);
}

#[test]
fn subscribe() {
    let filter = |options| [&[0, 1, 0, 0, 1, b'a'][..], &[options]].concat();
    let v5 = |options, kind, clause, reason| {
        server(V5, &packet(0x82, &filter(options)), kind, 8, clause, reason);
    };
    v5(0x40, SubscriptionOptionsReserved(0x40), "MQTT-3.8.3-5", MALFORMED);
    v5(0x80, SubscriptionOptionsReserved(0x80), "MQTT-3.8.3-5", MALFORMED);
    v5(0x03, SubscriptionQoS3, "§3.8.3.1", PROTOCOL);
    v5(0x30, RetainHandling3, "§3.8.3.1", PROTOCOL);
    let v4 = |options| packet(0x82, &[0, 1, 0, 1, b'a', options]);
    server(V4, &v4(3), SubscriptionQoS3, 7, "MQTT-3.8.3-4", None);
    server(V4, &v4(4), SubscriptionOptionsReserved(4), 7, "MQTT-3.8.3-4", None);
    server(V5, &packet(0x82, &[0, 1, 0]), NoFilters, 5, "MQTT-3.8.3-2", PROTOCOL);
    server(V4, &packet(0x82, &[0, 1]), NoFilters, 4, "MQTT-3.8.3-3", None);
    server(V5, &packet(0x82, &[0, 1, 0, 0, 1, b'a']), Truncated, 8, "§1.2", MALFORMED);
    server(V5, &packet(0x82, &[0, 0, 0]), PacketIdZero, 2, "MQTT-2.2.1-3", MALFORMED);
    let shared = [&[0, 1, 0][..], &field(b"$share/g/a"), &[4]].concat();
    server(V5, &packet(0x82, &shared), NoLocalOnShared, 17, "MQTT-3.8.3-4", PROTOCOL);
    let zero = packet(0x82, &[0, 1, 2, 0x0B, 0, 0, 1, b'a', 0]);
    let kind = PropertyZero(P::SubscriptionIdentifier);
    server(V5, &zero, kind, 5, "§3.8.2.1.2", PROTOCOL);
    let twice = packet(0x82, &[0, 1, 4, 0x0B, 1, 0x0B, 1, 0, 1, b'a', 0]);
    let kind = DuplicateProperty(P::SubscriptionIdentifier);
    server(V5, &twice, kind, 7, "§2.2.2.2", PROTOCOL);
    let many = [&[0, 1, 0][..], &[0, 1, b'a', 0].repeat(3)].concat();
    server(V5, &packet(0x82, &many), TooManyFilters(2), 13, "§4.13", Some(0x97));
}

#[test]
fn unsubscribe() {
    server(V5, &packet(0xA2, &[0, 1, 0]), NoFilters, 5, "MQTT-3.10.3-2", PROTOCOL);
    server(V4, &packet(0xA2, &[0, 1]), NoFilters, 4, "MQTT-3.10.3-2", None);
    server(V5, &packet(0xA2, &[0, 0, 0]), PacketIdZero, 2, "MQTT-2.2.1-3", MALFORMED);
    let property = packet(0xA2, &[0, 1, 2, 0x0B, 1, 0, 1, b'a']);
    let kind = PropertyNotAllowed(P::SubscriptionIdentifier);
    server(V5, &property, kind, 5, "§2.2.2.2", MALFORMED);
}

#[test]
fn acknowledgements() {
    for (first, clause) in [
        (0x40, "MQTT-3.4.2-1"),
        (0x50, "MQTT-3.5.2-1"),
        (0x62, "MQTT-3.6.2-1"),
        (0x70, "MQTT-3.7.2-1"),
    ] {
        server(V5, &packet(first, &[0, 0]), PacketIdZero, 2, "MQTT-2.2.1-3", MALFORMED);
        server(V4, &packet(first, &[0]), Truncated, 2, "MQTT-4.8.0-1", None);
        server(V4, &packet(first, &[0, 1, 0]), TrailingBytes, 4, "MQTT-4.8.0-1", None);
        for code in [0x01, 0x03, 0x81, 0xFF] {
            let bytes = packet(first, &[0, 1, code]);
            server(V5, &bytes, ReasonCode(code), 4, clause, PROTOCOL);
        }
        let long = packet(first, &[0, 1, 0, 0, 0]);
        server(V5, &long, TrailingBytes, 6, "§1.2", MALFORMED);
        let property = packet(first, &[0, 1, 0, 2, 0x01, 0]);
        let kind = PropertyNotAllowed(P::PayloadFormatIndicator);
        server(V5, &property, kind, 6, "§2.2.2.2", MALFORMED);
        // The short forms: no properties, no reason code.
        for body in [&[0, 1][..], &[0, 1, 0], &[0, 1, 0, 0]] {
            assert_eq!(decode(Role::Server, V5, &packet(first, body)), Ok(()));
        }
    }
}

#[test]
fn disconnect_and_auth() {
    server(V4, &packet(0xE0, &[0]), TrailingBytes, 2, "MQTT-4.8.0-1", None);
    let unknown = packet(0xE0, &[0x01]);
    server(V5, &unknown, ReasonCode(1), 2, "MQTT-3.14.2-1", PROTOCOL);
    for body in [&[][..], &[0x04], &[0x04, 0]] {
        assert_eq!(decode(Role::Server, V5, &packet(0xE0, body)), Ok(()));
    }
    let of_servers =
        [0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2];
    for code in of_servers {
        let bytes = packet(0xE0, &[code]);
        server(V5, &bytes, ReasonCode(code), 2, "MQTT-3.14.2-1", PROTOCOL);
        assert_eq!(decode(Role::Client, V5, &bytes), Ok(()));
    }
    let of_clients = packet(0xE0, &[0x04]);
    check(Role::Client, V5, &of_clients, ReasonCode(4), 2, "MQTT-3.14.2-1", PROTOCOL);
    for code in [0x00, 0x80, 0x81, 0x82, 0x83, 0x8C, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
    {
        for role in [Role::Client, Role::Server] {
            assert_eq!(decode(role, V5, &packet(0xE0, &[code])), Ok(()), "{code:#x}");
        }
    }
    let expiry = packet(0xE0, &[0, 5, 0x11, 0, 0, 0, 1]);
    assert_eq!(decode(Role::Server, V5, &expiry), Ok(()));
    let kind = PropertyWrongDirection(P::SessionExpiryInterval);
    check(Role::Client, V5, &expiry, kind, 4, "MQTT-3.14.2-2", PROTOCOL);
    let reference = packet(0xE0, &[0, 3, 0x1C, 0, 0]);
    let kind = PropertyWrongDirection(P::ServerReference);
    server(V5, &reference, kind, 4, "§3.14.2.2.5", PROTOCOL);

    let method = [0x15, 0, 1, b'm'];
    let auth = |code| packet(0xF0, &[&[code, 4][..], &method].concat());
    assert_eq!(decode(Role::Server, V5, &auth(0x18)), Ok(()));
    server(V5, &auth(0x00), ReasonCode(0), 2, "MQTT-3.15.2-1", PROTOCOL);
    server(V5, &auth(0x01), ReasonCode(1), 2, "MQTT-3.15.2-1", PROTOCOL);
    check(Role::Client, V5, &auth(0x19), ReasonCode(0x19), 2, "MQTT-3.15.2-1", PROTOCOL);
    let bare = packet(0xF0, &[0x18, 0]);
    server(V5, &bare, AuthenticationMethodMissing, 2, "§3.15.2.2.2", PROTOCOL);
    server(V5, &packet(0xF0, &[0x18]), Truncated, 3, "§1.2", MALFORMED);
}

#[test]
fn what_servers_send() {
    let client = |version, bytes: &[u8], kind, at, clause: &str, reason| {
        check(Role::Client, version, bytes, kind, at, clause, reason);
    };
    client(V5, &[0x20, 3, 2, 0, 0], ConnackFlags(2), 2, "MQTT-3.2.2-1", MALFORMED);
    client(V4, &[0x20, 2, 2, 0], ConnackFlags(2), 2, "MQTT-3.2.2-1", None);
    assert_eq!(decode(Role::Client, V3, &[0x20, 2, 0xFF, 0]), Ok(()));
    client(V5, &[0x20, 3, 1, 0x80, 0], SessionPresentOnRefusal, 2, "MQTT-3.2.2-6", PROTOCOL);
    client(V4, &[0x20, 2, 1, 5], SessionPresentOnRefusal, 2, "MQTT-3.2.2-4", None);
    client(V5, &[0x20, 3, 0, 1, 0], ReasonCode(1), 3, "MQTT-3.2.2-8", PROTOCOL);
    client(V4, &[0x20, 2, 0, 6], ReasonCode(6), 3, "§3.2.2.3", None);
    let two = PropertyValue(P::MaximumQoS, 2);
    client(V5, &[0x20, 5, 0, 0, 2, 0x24, 2], two, 5, "§3.2.2.3.4", PROTOCOL);
    let zero = PropertyZero(P::ReceiveMaximum);
    client(V5, &[0x20, 6, 0, 0, 3, 0x21, 0, 0], zero, 5, "§3.2.2.3.3", PROTOCOL);
    client(V5, &[0x90, 3, 0, 1, 0], NoReasonCodes, 5, "MQTT-3.8.4-6", PROTOCOL);
    client(V5, &[0x90, 4, 0, 1, 0, 0x11], ReasonCode(0x11), 5, "MQTT-3.9.3-2", PROTOCOL);
    client(V4, &[0x90, 3, 0, 1, 0x87], ReasonCode(0x87), 4, "MQTT-3.9.3-2", None);
    client(V4, &[0xB0, 3, 0, 1, 0], TrailingBytes, 4, "MQTT-4.8.0-1", None);
    client(V5, &[0xB0, 3, 0, 1, 0], NoReasonCodes, 5, "MQTT-3.11.3-2", PROTOCOL);
    client(V5, &[0xD0, 1, 0], TrailingBytes, 2, "§1.2", MALFORMED);
}
