//! Why bytes are not a packet that may come now (§4.13): one variant per sin, each with the clause
//! it breaks and the answer that the standard asks for. It decides nothing about the connection and
//! never holds bytes of the packet (they may be credentials).

use crate::packet::{PacketType, PropertyId, ReasonCode, Version};
use core::fmt;

/// What was wrong with a packet, where, and in which packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What was wrong.
    pub kind: ErrorKind,
    /// The offset of the wrong byte in the packet; fixed header included.
    pub at: u32,
    /// The packet, if its type byte names one.
    pub packet: Option<PacketType>,
    /// The version in whose form an answer goes; `None` before it is known.
    pub version: Option<Version>,
}

/// Which rule of §4.13 an error falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Not MQTT at all, or not begun with CONNECT: closed without a word.
    NotMqtt,
    /// A protocol version that this implementation does not speak.
    UnsupportedVersion,
    /// A Malformed Packet: it cannot be parsed as the standard says.
    Malformed,
    /// A Protocol Error: well formed, but not allowed.
    ProtocolError,
    /// Larger than the receiver said it accepts.
    TooLarge,
    /// More of something than the receiver's limits allow.
    Quota,
}

/// A fault of a packet. The order is that of the packet: framing, fields, CONNECT, properties,
/// PUBLISH, SUBSCRIBE, answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The first packet is not CONNECT.
    FirstPacketNotConnect,
    /// A second CONNECT.
    SecondConnect,
    /// Packet type 0.
    ReservedPacketType,
    /// Packet type 15 before 5.0.
    AuthBeforeV5,
    /// A packet that only the other side may send.
    WrongDirection,
    /// Reserved flag bits of the fixed header with a wrong value; the flags.
    ReservedFlags(u8),
    /// The fourth byte of the Remaining Length announces a fifth.
    RemainingLengthTooLong,
    /// The Remaining Length takes more bytes than it needs.
    RemainingLengthNotMinimal,
    /// The packet is larger than the limit.
    PacketTooLarge {
        /// Its size.
        size: u32,
        /// The limit.
        limit: u32,
    },
    /// The CONNECT is larger than the limit for CONNECT.
    ConnectTooLarge {
        /// Its size.
        size: u32,
        /// The limit.
        limit: u32,
    },

    /// A field runs past the end of the packet or of its property section.
    Truncated,
    /// Bytes left after the last field.
    TrailingBytes,
    /// The fourth byte of a Variable Byte Integer announces a fifth.
    VarintTooLong,
    /// A Variable Byte Integer takes more bytes than it needs.
    VarintNotMinimal,
    /// A string is not well-formed UTF-8.
    StringNotUtf8,
    /// A string holds U+0000.
    StringWithNul,
    /// Packet Identifier 0.
    PacketIdZero,

    /// A protocol name other than `MQTT` or `MQIsdp`.
    ProtocolName,
    /// A protocol level that goes with no supported version of that name.
    ProtocolLevel(u8),
    /// The reserved bit of the Connect Flags.
    ConnectReservedFlag,
    /// A Will QoS without a Will.
    WillQoSWithoutWill,
    /// Will QoS 3.
    WillQoS3,
    /// Will Retain without a Will.
    WillRetainWithoutWill,
    /// A password without a user name, before 5.0.
    PasswordWithoutUserName,

    /// The property section is longer than the packet.
    PropertyLength,
    /// A property identifier that the standard does not know.
    UnknownProperty(u32),
    /// A property that this packet may not carry.
    PropertyNotAllowed(PropertyId),
    /// A property that this packet may carry only if the other side sends it.
    PropertyWrongDirection(PropertyId),
    /// A property twice that may come once.
    DuplicateProperty(PropertyId),
    /// A value that the property may not have; the byte.
    PropertyValue(PropertyId, u8),
    /// The value 0, which this property may not have.
    PropertyZero(PropertyId),
    /// Authentication Data without an Authentication Method.
    AuthenticationDataWithoutMethod,
    /// An AUTH without an Authentication Method.
    AuthenticationMethodMissing,
    /// More properties than the limit, which is given.
    TooManyProperties(u16),
    /// More User Properties than the limit, which is given.
    TooManyUserProperties(u16),

    /// DUP on a QoS 0 PUBLISH.
    DupWithQoS0,
    /// QoS 3 in a PUBLISH.
    PublishQoS3,
    /// An empty Topic Name with no Topic Alias to stand for it.
    TopicEmpty,
    /// A wildcard in a Topic Name.
    TopicWildcard,
    /// A Response Topic that is empty or has a wildcard.
    ResponseTopicInvalid,

    /// No Topic Filter in a SUBSCRIBE or UNSUBSCRIBE.
    NoFilters,
    /// More Topic Filters than the limit, which is given.
    TooManyFilters(u32),
    /// Reserved bits of the Subscription Options; the options.
    SubscriptionOptionsReserved(u8),
    /// QoS 3 in the Subscription Options.
    SubscriptionQoS3,
    /// Retain Handling 3 in the Subscription Options.
    RetainHandling3,
    /// No Local on a Shared Subscription.
    NoLocalOnShared,

    /// A reason or return code that this packet may not carry from this side.
    ReasonCode(u8),
    /// No reason code in a SUBACK or UNSUBACK.
    NoReasonCodes,
    /// Reserved bits of the Connect Acknowledge Flags.
    ConnackFlags(u8),
    /// Session Present in a CONNACK that refuses.
    SessionPresentOnRefusal,
}

/// A fault before packet and version are added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) at: u32,
    /// The version that a faulty CONNECT asked for, if it got so far.
    pub(super) version: Option<Version>,
}

impl Fault {
    #[cold]
    pub(super) const fn new(kind: ErrorKind, at: u32) -> Self {
        Self { kind, at, version: None }
    }

    /// The error for a fault in `bytes`, which are the packet or its beginning. `version` is that of
    /// the stream; while it is unknown the fault may have brought one of its own.
    #[cold]
    pub(super) fn report(self, bytes: &[u8], version: Option<Version>) -> DecodeError {
        let packet = bytes.first().and_then(|first| PacketType::from_u8(first >> 4));
        DecodeError { kind: self.kind, at: self.at, packet, version: version.or(self.version) }
    }
}

impl DecodeError {
    /// Which rule of §4.13 the error falls under.
    pub const fn class(&self) -> ErrorClass {
        use ErrorKind as K;
        match self.kind {
            K::FirstPacketNotConnect | K::ProtocolName => ErrorClass::NotMqtt,
            K::ProtocolLevel(_) => ErrorClass::UnsupportedVersion,
            K::PacketTooLarge { .. } | K::ConnectTooLarge { .. } => ErrorClass::TooLarge,
            K::TooManyProperties(_) | K::TooManyUserProperties(_) | K::TooManyFilters(_) => {
                ErrorClass::Quota
            }
            K::SecondConnect
            | K::WrongDirection
            | K::PropertyWrongDirection(_)
            | K::DuplicateProperty(_)
            | K::PropertyValue(..)
            | K::PropertyZero(_)
            | K::AuthenticationDataWithoutMethod
            | K::AuthenticationMethodMissing
            | K::TopicEmpty
            | K::TopicWildcard
            | K::ResponseTopicInvalid
            | K::NoFilters
            | K::SubscriptionQoS3
            | K::RetainHandling3
            | K::NoLocalOnShared
            | K::ReasonCode(_)
            | K::NoReasonCodes
            | K::SessionPresentOnRefusal => ErrorClass::ProtocolError,
            _ => ErrorClass::Malformed,
        }
    }

    /// The reason code to answer with before closing: in a CONNACK if the CONNECT is not yet
    /// accepted, else in a DISCONNECT. `None` = close without a word, which is all that 3.x allows
    /// except for an unsupported version (CONNACK 0x01). The answer goes in the form of `version`.
    pub const fn reason_code(&self) -> Option<ReasonCode> {
        let v5 = matches!(self.version, Some(Version::V5));
        match self.class() {
            ErrorClass::NotMqtt => None,
            ErrorClass::UnsupportedVersion => Some(ReasonCode::UnsupportedProtocolVersion),
            _ if !v5 => None,
            ErrorClass::Malformed => Some(ReasonCode::MalformedPacket),
            ErrorClass::TooLarge => Some(ReasonCode::PacketTooLarge),
            ErrorClass::Quota => Some(ReasonCode::QuotaExceeded),
            ErrorClass::ProtocolError => Some(match self.kind {
                ErrorKind::TopicWildcard => ReasonCode::TopicNameInvalid,
                ErrorKind::PropertyZero(PropertyId::TopicAlias) => ReasonCode::TopicAliasInvalid,
                _ => ReasonCode::ProtocolError,
            }),
        }
    }

    /// The clause that the packet breaks: a numbered statement (`MQTT-…`) of the version in use, or
    /// a section where the rule has no number.
    pub const fn clause(&self) -> &'static str {
        match self.version {
            Some(Version::V3 | Version::V4) => self.clause_v3(),
            _ => self.clause_v5(),
        }
    }

    const fn clause_v5(&self) -> &'static str {
        use ErrorKind as K;
        match self.kind {
            K::FirstPacketNotConnect => "MQTT-3.1.0-1",
            K::SecondConnect => "MQTT-3.1.0-2",
            K::ReservedPacketType | K::AuthBeforeV5 | K::WrongDirection => "§2.1.2",
            K::ReservedFlags(_) => self.flags_clause(),
            K::RemainingLengthTooLong | K::VarintTooLong => "§1.5.5",
            K::RemainingLengthNotMinimal | K::VarintNotMinimal => "MQTT-1.5.5-1",
            K::PacketTooLarge { .. } => "MQTT-3.2.2-15",
            K::ConnectTooLarge { .. } => "§3.2.2.2",
            K::Truncated | K::TrailingBytes => match self.packet {
                Some(PacketType::Connect) => "MQTT-3.1.4-1",
                _ => "§1.2",
            },
            K::StringNotUtf8 => "MQTT-1.5.4-1",
            K::StringWithNul => "MQTT-1.5.4-2",
            K::PacketIdZero => "MQTT-2.2.1-3",
            K::ProtocolName => "MQTT-3.1.2-1",
            K::ProtocolLevel(_) => "MQTT-3.1.2-2",
            K::ConnectReservedFlag => "MQTT-3.1.2-3",
            K::WillQoSWithoutWill => "MQTT-3.1.2-11",
            K::WillQoS3 => "MQTT-3.1.2-12",
            K::WillRetainWithoutWill => "MQTT-3.1.2-13",
            K::PasswordWithoutUserName => "§3.1.2.9",
            K::DupWithQoS0 => "MQTT-3.3.1-2",
            K::PublishQoS3 => "MQTT-3.3.1-4",
            K::TopicEmpty => "MQTT-4.7.3-1",
            K::TopicWildcard => match self.packet {
                Some(PacketType::Publish) => "MQTT-3.3.2-2",
                _ => "MQTT-4.7.0-1",
            },
            K::ResponseTopicInvalid => "MQTT-3.3.2-14",
            K::NoFilters => match self.packet {
                Some(PacketType::Unsubscribe) => "MQTT-3.10.3-2",
                _ => "MQTT-3.8.3-2",
            },
            K::TooManyProperties(_) | K::TooManyUserProperties(_) | K::TooManyFilters(_) => "§4.13",
            K::SubscriptionOptionsReserved(_) => "MQTT-3.8.3-5",
            K::SubscriptionQoS3 | K::RetainHandling3 => "§3.8.3.1",
            K::NoLocalOnShared => "MQTT-3.8.3-4",
            K::ReasonCode(_) => self.reason_clause(),
            K::NoReasonCodes => match self.packet {
                Some(PacketType::Unsuback) => "MQTT-3.11.3-2",
                _ => "MQTT-3.8.4-6",
            },
            K::ConnackFlags(_) => "MQTT-3.2.2-1",
            K::SessionPresentOnRefusal => "MQTT-3.2.2-6",
            _ => self.property_clause(),
        }
    }

    const fn property_clause(&self) -> &'static str {
        use ErrorKind as K;
        use PropertyId as P;
        match self.kind {
            K::PropertyLength => "§2.2.2.1",
            K::PropertyWrongDirection(P::SubscriptionIdentifier) => "MQTT-3.3.4-6",
            K::PropertyWrongDirection(P::SessionExpiryInterval) => "MQTT-3.14.2-2",
            K::PropertyWrongDirection(_) => "§3.14.2.2.5",
            K::PropertyZero(P::TopicAlias) => "MQTT-3.3.2-8",
            K::PropertyZero(P::SubscriptionIdentifier) => match self.packet {
                Some(PacketType::Publish) => "§3.3.2.3.8",
                _ => "§3.8.2.1.2",
            },
            K::PropertyZero(P::ReceiveMaximum) => match self.packet {
                Some(PacketType::Connack) => "§3.2.2.3.3",
                _ => "§3.1.2.11.3",
            },
            K::PropertyZero(P::MaximumPacketSize) => match self.packet {
                Some(PacketType::Connack) => "§3.2.2.3.6",
                _ => "§3.1.2.11.4",
            },
            K::PropertyValue(P::RequestResponseInformation, _) => "§3.1.2.11.6",
            K::PropertyValue(P::RequestProblemInformation, _) => "§3.1.2.11.7",
            K::PropertyValue(P::PayloadFormatIndicator, _) => match self.packet {
                Some(PacketType::Publish) => "§3.3.2.3.2",
                _ => "§3.1.3.2.3",
            },
            K::PropertyValue(P::MaximumQoS, _) => "§3.2.2.3.4",
            K::PropertyValue(P::RetainAvailable, _) => "§3.2.2.3.5",
            K::PropertyValue(P::WildcardSubscriptionAvailable, _) => "§3.2.2.3.11",
            K::PropertyValue(P::SubscriptionIdentifierAvailable, _) => "§3.2.2.3.12",
            K::PropertyValue(P::SharedSubscriptionAvailable, _) => "§3.2.2.3.13",
            K::AuthenticationDataWithoutMethod => "§3.1.2.11.10",
            K::AuthenticationMethodMissing => "§3.15.2.2.2",
            _ => "§2.2.2.2",
        }
    }

    const fn flags_clause(&self) -> &'static str {
        match self.packet {
            Some(PacketType::Pubrel) => "MQTT-3.6.1-1",
            Some(PacketType::Subscribe) => "MQTT-3.8.1-1",
            Some(PacketType::Unsubscribe) => "MQTT-3.10.1-1",
            Some(PacketType::Disconnect) => "MQTT-3.14.1-1",
            Some(PacketType::Auth) => "MQTT-3.15.1-1",
            _ => "MQTT-2.1.3-1",
        }
    }

    const fn reason_clause(&self) -> &'static str {
        match self.packet {
            Some(PacketType::Connack) => "MQTT-3.2.2-8",
            Some(PacketType::Puback) => "MQTT-3.4.2-1",
            Some(PacketType::Pubrec) => "MQTT-3.5.2-1",
            Some(PacketType::Pubrel) => "MQTT-3.6.2-1",
            Some(PacketType::Pubcomp) => "MQTT-3.7.2-1",
            Some(PacketType::Suback) => "MQTT-3.9.3-2",
            Some(PacketType::Unsuback) => "MQTT-3.11.3-2",
            Some(PacketType::Auth) => "MQTT-3.15.2-1",
            _ => "MQTT-3.14.2-1",
        }
    }

    /// The numbers of 3.1.1 where they are not those of 5.0.
    const fn clause_v3(&self) -> &'static str {
        use ErrorKind as K;
        match self.kind {
            K::ReservedPacketType | K::AuthBeforeV5 | K::WrongDirection => "§2.2.1",
            K::ReservedFlags(_) => match self.packet {
                Some(
                    PacketType::Pubrel
                    | PacketType::Subscribe
                    | PacketType::Unsubscribe
                    | PacketType::Disconnect,
                ) => self.flags_clause(),
                _ => "MQTT-2.2.2-2",
            },
            K::RemainingLengthTooLong => "§2.2.3",
            K::PacketTooLarge { .. } | K::ConnectTooLarge { .. } => "MQTT-4.8.0-2",
            K::TooManyFilters(_) => "MQTT-4.8.0-2",
            K::Truncated | K::TrailingBytes => match self.packet {
                Some(PacketType::Connect) => "MQTT-3.1.4-1",
                _ => "MQTT-4.8.0-1",
            },
            K::StringNotUtf8 => "MQTT-1.5.3-1",
            K::StringWithNul => "MQTT-1.5.3-2",
            K::PacketIdZero => "MQTT-2.3.1-1",
            K::WillQoSWithoutWill => "MQTT-3.1.2-13",
            K::WillQoS3 => "MQTT-3.1.2-14",
            K::WillRetainWithoutWill => "MQTT-3.1.2-15",
            K::PasswordWithoutUserName => "MQTT-3.1.2-22",
            K::TopicWildcard if !matches!(self.packet, Some(PacketType::Publish)) => "MQTT-4.7.1-1",
            K::NoFilters if !matches!(self.packet, Some(PacketType::Unsubscribe)) => "MQTT-3.8.3-3",
            K::SubscriptionOptionsReserved(_) | K::SubscriptionQoS3 => "MQTT-3.8.3-4",
            K::ReasonCode(_) => match self.packet {
                Some(PacketType::Suback) => "MQTT-3.9.3-2",
                _ => "§3.2.2.3",
            },
            K::NoReasonCodes => "MQTT-3.8.4-5",
            K::SessionPresentOnRefusal => "MQTT-3.2.2-4",
            _ => self.clause_v5(),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.packet {
            Some(packet) => f.write_str(packet.name())?,
            None => f.write_str("packet")?,
        }
        write!(f, ", byte {}: {} [{}]", self.at, self.kind, self.clause())
    }
}

impl core::error::Error for DecodeError {}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedFlags(flags) => write!(f, "reserved flags have the value {flags:#x}"),
            Self::PacketTooLarge { size, limit } => {
                write!(f, "packet of {size} bytes is over the limit of {limit}")
            }
            Self::ConnectTooLarge { size, limit } => {
                write!(f, "CONNECT of {size} bytes is over its limit of {limit}")
            }
            Self::ProtocolLevel(level) => write!(f, "protocol level {level} is not supported"),
            Self::UnknownProperty(id) => write!(f, "unknown property {id:#04x}"),
            Self::PropertyNotAllowed(id) => {
                write!(f, "property {id:?} is not allowed in this packet")
            }
            Self::PropertyWrongDirection(id) => {
                write!(f, "property {id:?} may only come from the other side")
            }
            Self::DuplicateProperty(id) => write!(f, "property {id:?} occurs twice"),
            Self::PropertyValue(id, value) => write!(f, "property {id:?} has the value {value}"),
            Self::PropertyZero(id) => write!(f, "property {id:?} is 0"),
            Self::TooManyProperties(limit) => write!(f, "more than {limit} properties"),
            Self::TooManyUserProperties(limit) => write!(f, "more than {limit} User Properties"),
            Self::TooManyFilters(limit) => write!(f, "more than {limit} Topic Filters"),
            Self::SubscriptionOptionsReserved(options) => {
                write!(f, "reserved bits in the Subscription Options {options:#04x}")
            }
            Self::ReasonCode(code) => write!(f, "code {code:#04x} is not allowed here"),
            Self::ConnackFlags(flags) => {
                write!(f, "reserved bits in the Connect Acknowledge Flags {flags:#04x}")
            }
            _ => f.write_str(self.text()),
        }
    }
}

impl ErrorKind {
    const fn text(&self) -> &'static str {
        match self {
            Self::FirstPacketNotConnect => "the first packet is not CONNECT",
            Self::SecondConnect => "a second CONNECT",
            Self::ReservedPacketType => "packet type 0 is reserved",
            Self::AuthBeforeV5 => "packet type 15 is reserved before 5.0",
            Self::WrongDirection => "only the other side may send this packet",
            Self::RemainingLengthTooLong => "the Remaining Length is longer than four bytes",
            Self::RemainingLengthNotMinimal => "the Remaining Length takes more bytes than needed",
            Self::Truncated => "a field runs past the end",
            Self::TrailingBytes => "bytes after the last field",
            Self::VarintTooLong => "a Variable Byte Integer is longer than four bytes",
            Self::VarintNotMinimal => "a Variable Byte Integer takes more bytes than needed",
            Self::StringNotUtf8 => "a string is not UTF-8",
            Self::StringWithNul => "a string holds U+0000",
            Self::PacketIdZero => "Packet Identifier 0",
            Self::ProtocolName => "the protocol name is neither MQTT nor MQIsdp",
            Self::ConnectReservedFlag => "the reserved Connect Flag is set",
            Self::WillQoSWithoutWill => "Will QoS without a Will",
            Self::WillQoS3 => "Will QoS 3",
            Self::WillRetainWithoutWill => "Will Retain without a Will",
            Self::PasswordWithoutUserName => "a password without a user name",
            Self::PropertyLength => "the properties are longer than the packet",
            Self::AuthenticationDataWithoutMethod => "Authentication Data without a method",
            Self::AuthenticationMethodMissing => "no Authentication Method",
            Self::DupWithQoS0 => "DUP on a QoS 0 message",
            Self::PublishQoS3 => "QoS 3",
            Self::TopicEmpty => "an empty Topic Name and no Topic Alias",
            Self::TopicWildcard => "a wildcard in a Topic Name",
            Self::ResponseTopicInvalid => "the Response Topic is empty or has a wildcard",
            Self::NoFilters => "no Topic Filter",
            Self::SubscriptionQoS3 => "QoS 3 in the Subscription Options",
            Self::RetainHandling3 => "Retain Handling 3",
            Self::NoLocalOnShared => "No Local on a Shared Subscription",
            Self::NoReasonCodes => "no reason code",
            Self::SessionPresentOnRefusal => "Session Present in a refusal",
            // Those with a value are spelled by `Display`.
            _ => "a value is not allowed",
        }
    }
}
