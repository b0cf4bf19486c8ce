//! Records (DESIGN §5.1): what must outlive the process, as small steps written one after the other
//! in little-endian bytes with a version in front. Sessions go by a number given when they begin,
//! messages by a number given when they are put; never by connection or slot. Decoding never
//! panics, and never reserves memory for a length that was merely read.

use super::wire::{Reader, put_bytes, put_number, put_option, put_text, put_varint};
use crate::message::{Message, MessageProperties, Origin};
use crate::packet::{PacketId, QoS, SubscriptionIds, UserPropertiesBuf, Version};
use crate::state::Opaque;
use crate::time::Instant;
use core::fmt;

/// The version of the format: the first byte of every batch.
pub const FORMAT: u8 = 2;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// What was being read.
    pub what: &'static str,
    /// Where, from the start of the batch.
    pub at: u64,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} at byte {} of a record", self.what, self.at)
    }
}

impl core::error::Error for BadRecord {}

/// When and where a retained message was set or cleared: counter and shard.
pub type StampOp = (u64, u16);

/// A delivery of a message to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryOp<'a> {
    /// Number of the message.
    pub message: u64,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN as the subscriber shall see it.
    pub retain: bool,
    /// Subscription Identifiers.
    pub ids: SubscriptionIds,
    /// The shared subscription that chose the session.
    pub group: Option<&'a str>,
}

/// A Will Message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WillOp<'a> {
    /// Will Delay Interval, seconds.
    pub delay: u32,
    /// Message Expiry Interval, seconds.
    pub interval: Option<u32>,
    /// The message; see [`decode_message`].
    pub body: &'a [u8],
}

/// A session that begins, or is attached to another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedOp<'a> {
    /// Number of the session.
    pub session: u64,
    /// Client Identifier.
    pub client_id: &'a str,
    /// User Name.
    pub username: Option<&'a str>,
    /// Whether it belongs to this user alone.
    pub is_owned: bool,
    /// Protocol version.
    pub version: Version,
    /// The name of the listener.
    pub listener: &'a str,
    /// `mount_point`.
    pub mount: Option<&'a str>,
    /// Session Expiry Interval, seconds.
    pub expiry: u32,
    /// Rights that its token brought, as lines of an access list.
    pub rights: Option<&'a str>,
    /// The Will.
    pub will: Option<WillOp<'a>>,
}

/// A message for another shard, kept until that shard has stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardOp<'a> {
    /// The shard it goes to.
    pub to: u16,
    /// Its number among those for that shard.
    pub seq: u64,
    /// Number of the message.
    pub message: u64,
    /// Whether it goes to plain subscriptions.
    pub plain: bool,
    /// Set if it is to be retained.
    pub stamp: Option<StampOp>,
    /// Shared subscriptions that it goes to.
    pub groups: Vec<&'a str>,
    /// Shards that had no member left.
    pub tried: Vec<u16>,
}

/// One step. Times are milliseconds of the wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// A message, before its first use in a batch; it is held as long as something names it.
    Put {
        /// Its number.
        number: u64,
        /// When it was received.
        received: u64,
        /// Message Expiry Interval, seconds.
        interval: Option<u32>,
        /// The message; see [`decode_message`].
        body: &'a [u8],
    },
    /// A session begins or is attached.
    Attached(AttachedOp<'a>),
    /// The connection of a session is over.
    Detached {
        /// Number of the session.
        session: u64,
        /// Session Expiry Interval that holds.
        expiry: u32,
        /// When the session expires.
        expires: Option<u64>,
        /// When its Will is due.
        will_due: Option<u64>,
        /// Whether it still has a Will.
        has_will: bool,
    },
    /// A session is over.
    Ended {
        /// Number of the session.
        session: u64,
    },
    /// A subscription, new or replaced.
    Subscribed {
        /// Number of the session.
        session: u64,
        /// Filter, with `$share/…` and mount point.
        filter: &'a str,
        /// The options byte.
        options: u8,
        /// Subscription Identifier; 0 = none.
        identifier: u32,
    },
    /// A subscription is gone.
    Unsubscribed {
        /// Number of the session.
        session: u64,
        /// Filter, as subscribed.
        filter: &'a str,
    },
    /// A QoS 2 identifier was received.
    Received {
        /// Number of the session.
        session: u64,
        /// Packet Identifier.
        id: PacketId,
    },
    /// A QoS 2 identifier was released.
    Released {
        /// Number of the session.
        session: u64,
        /// Packet Identifier.
        id: PacketId,
    },
    /// A message waits for a session.
    Queued {
        /// Number of the session.
        session: u64,
        /// What waits.
        delivery: DeliveryOp<'a>,
    },
    /// A message goes straight to a session's exchanges.
    Sent {
        /// Number of the session.
        session: u64,
        /// Packet Identifier.
        id: PacketId,
        /// What is sent.
        delivery: DeliveryOp<'a>,
    },
    /// The first message that waits is sent.
    Started {
        /// Number of the session.
        session: u64,
        /// Packet Identifier.
        id: PacketId,
    },
    /// A message that waits is gone.
    Dropped {
        /// Number of the session.
        session: u64,
        /// Its place among those that wait.
        at: u32,
    },
    /// An exchange is over.
    Acked {
        /// Number of the session.
        session: u64,
        /// Packet Identifier.
        id: PacketId,
    },
    /// PUBREC was received: PUBREL is owed, the message is no longer needed.
    PubrecSeen {
        /// Number of the session.
        session: u64,
        /// Packet Identifier.
        id: PacketId,
    },
    /// The Will of a session was published or dropped.
    WillGone {
        /// Number of the session.
        session: u64,
    },
    /// A retained message.
    Retained {
        /// Its topic.
        topic: &'a str,
        /// Its number.
        message: u64,
        /// When it expires.
        expires: Option<u64>,
        /// Its stamp.
        stamp: StampOp,
    },
    /// A retained message was cleared, or expired.
    Cleared {
        /// Its topic.
        topic: &'a str,
        /// The stamp; `None` if nothing older can come.
        stamp: Option<StampOp>,
    },
    /// A message for another shard.
    Forward(ForwardOp<'a>),
    /// All messages of a shard up to this one have been handled.
    Mark {
        /// The shard they came from.
        from: u16,
        /// The number of the last.
        seq: u64,
    },
    /// Another shard has stored all up to this one.
    Stored {
        /// The shard.
        to: u16,
        /// The number of the last.
        seq: u64,
    },
    /// A process begins with so many shards.
    Start {
        /// Its number, from 1.
        epoch: u32,
        /// How many shards it has.
        shards: u16,
        /// When.
        wall: u64,
        /// The seed of its hashes.
        key: u64,
    },
}

const PUT: u8 = 1;
const ATTACHED: u8 = 2;
const DETACHED: u8 = 3;
const ENDED: u8 = 4;
const SUBSCRIBED: u8 = 5;
const UNSUBSCRIBED: u8 = 6;
const RECEIVED: u8 = 7;
const RELEASED: u8 = 8;
const QUEUED: u8 = 9;
const SENT: u8 = 10;
const STARTED: u8 = 11;
const DROPPED: u8 = 12;
const ACKED: u8 = 13;
const PUBREC_SEEN: u8 = 14;
const WILL_GONE: u8 = 15;
const RETAINED: u8 = 16;
const CLEARED: u8 = 17;
const FORWARD: u8 = 18;
const MARK: u8 = 19;
const STORED: u8 = 20;
const START: u8 = 21;

impl Op<'_> {
    /// Appends the step to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put { number, received, interval, body } => {
                put_header(out, *number, *received, *interval, body.len() as u64);
                out.extend_from_slice(body);
            }
            Self::Attached(attached) => attached.encode(out),
            Self::Detached { session, expiry, expires, will_due, has_will } => {
                head(out, DETACHED, *session);
                out.extend_from_slice(&expiry.to_le_bytes());
                put_option(out, *expires);
                put_option(out, *will_due);
                out.push(u8::from(*has_will));
            }
            Self::Ended { session } => head(out, ENDED, *session),
            Self::Subscribed { session, filter, options, identifier } => {
                head(out, SUBSCRIBED, *session);
                put_text(out, filter);
                out.push(*options);
                put_varint(out, u64::from(*identifier));
            }
            Self::Unsubscribed { session, filter } => {
                head(out, UNSUBSCRIBED, *session);
                put_text(out, filter);
            }
            Self::Received { session, id } => with_id(out, RECEIVED, *session, *id),
            Self::Released { session, id } => with_id(out, RELEASED, *session, *id),
            Self::Queued { session, delivery } => {
                head(out, QUEUED, *session);
                delivery.encode(out);
            }
            Self::Sent { session, id, delivery } => {
                with_id(out, SENT, *session, *id);
                delivery.encode(out);
            }
            Self::Started { session, id } => with_id(out, STARTED, *session, *id),
            Self::Dropped { session, at } => {
                head(out, DROPPED, *session);
                put_varint(out, u64::from(*at));
            }
            Self::Acked { session, id } => with_id(out, ACKED, *session, *id),
            Self::PubrecSeen { session, id } => with_id(out, PUBREC_SEEN, *session, *id),
            Self::WillGone { session } => head(out, WILL_GONE, *session),
            _ => self.encode_rest(out),
        }
    }

    /// What belongs to no session.
    fn encode_rest(&self, out: &mut Vec<u8>) {
        match self {
            Self::Retained { topic, message, expires, stamp } => {
                out.push(RETAINED);
                put_text(out, topic);
                put_number(out, *message);
                put_option(out, *expires);
                put_stamp(out, Some(*stamp));
            }
            Self::Cleared { topic, stamp } => {
                out.push(CLEARED);
                put_text(out, topic);
                put_stamp(out, *stamp);
            }
            Self::Forward(forward) => forward.encode(out),
            Self::Mark { from, seq } => {
                head(out, MARK, u64::from(*from));
                put_varint(out, *seq);
            }
            Self::Stored { to, seq } => {
                head(out, STORED, u64::from(*to));
                put_varint(out, *seq);
            }
            Self::Start { epoch, shards, wall, key } => {
                head(out, START, u64::from(*epoch));
                out.extend_from_slice(&shards.to_le_bytes());
                out.extend_from_slice(&wall.to_le_bytes());
                out.extend_from_slice(&key.to_le_bytes());
            }
            _ => {}
        }
    }
}

impl<'a> Op<'a> {
    /// Reads one step.
    pub(super) fn decode(from: &mut Reader<'a>) -> Result<Self, BadRecord> {
        Ok(match from.byte("step")? {
            PUT => {
                let (number, received, interval) = (from.number()?, from.varint()?, from.option()?);
                let interval = interval.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
                Self::Put { number, received, interval, body: from.bytes("message")? }
            }
            ATTACHED => Self::Attached(AttachedOp::decode(from)?),
            DETACHED => Self::Detached {
                session: from.varint()?,
                expiry: from.u32()?,
                expires: from.option()?,
                will_due: from.option()?,
                has_will: from.byte("flag")? != 0,
            },
            ENDED => Self::Ended { session: from.varint()? },
            SUBSCRIBED => Self::Subscribed {
                session: from.varint()?,
                filter: from.text()?,
                options: from.byte("options")?,
                identifier: from.small()?,
            },
            UNSUBSCRIBED => Self::Unsubscribed { session: from.varint()?, filter: from.text()? },
            RECEIVED => Self::Received { session: from.varint()?, id: from.id()? },
            RELEASED => Self::Released { session: from.varint()?, id: from.id()? },
            QUEUED => Self::Queued { session: from.varint()?, delivery: DeliveryOp::decode(from)? },
            SENT => Self::Sent {
                session: from.varint()?,
                id: from.id()?,
                delivery: DeliveryOp::decode(from)?,
            },
            STARTED => Self::Started { session: from.varint()?, id: from.id()? },
            DROPPED => Self::Dropped { session: from.varint()?, at: from.small()? },
            ACKED => Self::Acked { session: from.varint()?, id: from.id()? },
            PUBREC_SEEN => Self::PubrecSeen { session: from.varint()?, id: from.id()? },
            WILL_GONE => Self::WillGone { session: from.varint()? },
            tag => return Self::decode_rest(tag, from),
        })
    }

    fn decode_rest(tag: u8, from: &mut Reader<'a>) -> Result<Self, BadRecord> {
        Ok(match tag {
            RETAINED => Self::Retained {
                topic: from.text()?,
                message: from.number()?,
                expires: from.option()?,
                stamp: stamp(from)?.ok_or_else(|| from.error("stamp"))?,
            },
            CLEARED => Self::Cleared { topic: from.text()?, stamp: stamp(from)? },
            FORWARD => Self::Forward(ForwardOp::decode(from)?),
            MARK => Self::Mark { from: from.shard()?, seq: from.varint()? },
            STORED => Self::Stored { to: from.shard()?, seq: from.varint()? },
            START => Self::Start {
                epoch: from.small()?,
                shards: from.u16()?,
                wall: from.u64()?,
                key: from.u64()?,
            },
            _ => return Err(from.error("known step")),
        })
    }
}

fn head(out: &mut Vec<u8>, tag: u8, session: u64) {
    out.push(tag);
    put_varint(out, session);
}

fn with_id(out: &mut Vec<u8>, tag: u8, session: u64, id: PacketId) {
    head(out, tag, session);
    out.extend_from_slice(&id.get().to_le_bytes());
}

fn put_header(out: &mut Vec<u8>, number: u64, received: u64, interval: Option<u32>, len: u64) {
    out.push(PUT);
    put_number(out, number);
    put_varint(out, received);
    put_option(out, interval.map(u64::from));
    put_varint(out, len);
}

fn put_stamp(out: &mut Vec<u8>, stamp: Option<StampOp>) {
    match stamp {
        None => out.push(0),
        Some((counter, shard)) => {
            out.push(1);
            put_varint(out, counter);
            put_varint(out, u64::from(shard));
        }
    }
}

fn stamp(from: &mut Reader<'_>) -> Result<Option<StampOp>, BadRecord> {
    match from.byte("stamp")? {
        0 => Ok(None),
        1 => Ok(Some((from.varint()?, from.shard()?))),
        _ => Err(from.error("stamp")),
    }
}

/// Appends the head of a `Put` whose body of `len` bytes the caller appends next.
pub fn encode_put(out: &mut Vec<u8>, number: u64, received: u64, interval: Option<u32>, len: u64) {
    put_header(out, number, received, interval, len);
}

/// Appends a `Put` of `message`, received at `received` milliseconds of the wall clock.
pub(crate) fn put_message(out: &mut Vec<u8>, received: u64, message: &Message) {
    let interval = message.properties.as_ref().and_then(|own| own.message_expiry_interval);
    put_header(out, message.number, received, interval, body_len(message));
    put_body(out, message);
}

/// The message without number, time and expiry.
pub(crate) fn encode_body(message: &Message) -> Vec<u8> {
    let mut body = Vec::new();
    put_body(&mut body, message);
    body
}

const RETAIN: u8 = 4;
const HAS_PROPERTIES: u8 = 8;
const HAS_ORIGIN: u8 = 16;
/// The publisher had a User Name.
const HAS_USER: u8 = 32;

const UTF8_KNOWN: u8 = 1;
const UTF8: u8 = 2;
const RESPONSE: u8 = 4;
const CORRELATION: u8 = 8;
const CONTENT: u8 = 16;
const USER: u8 = 32;

fn properties_flags(own: &MessageProperties) -> u8 {
    let utf8 = own.payload_format_utf8.map_or(0, |utf8| UTF8_KNOWN | if utf8 { UTF8 } else { 0 });
    utf8 | if own.response_topic.is_some() { RESPONSE } else { 0 }
        | if own.correlation_data.is_some() { CORRELATION } else { 0 }
        | if own.content_type.is_some() { CONTENT } else { 0 }
        | if own.user_properties.is_empty() { 0 } else { USER }
}

fn origin_flags(message: &Message) -> u8 {
    let Some(origin) = &message.origin else { return 0 };
    HAS_ORIGIN | if origin.username.is_some() { HAS_USER } else { 0 }
}

fn put_body(out: &mut Vec<u8>, message: &Message) {
    let flags = message.properties.as_ref().map_or(0, |own| properties_flags(own));
    let has = if flags > 0 { HAS_PROPERTIES } else { 0 };
    let retain = if message.retain { RETAIN } else { 0 };
    out.push(message.qos.bits() | retain | has | origin_flags(message));
    put_text(out, &message.topic);
    if let Some(origin) = &message.origin {
        put_text(out, &origin.client_id);
        if let Some(name) = &origin.username {
            put_text(out, name);
        }
        put_text(out, &origin.listener);
    }
    if let Some(own) = message.properties.as_ref().filter(|_| flags > 0) {
        out.push(flags);
        if let Some(topic) = &own.response_topic {
            put_text(out, topic);
        }
        if let Some(data) = &own.correlation_data {
            put_bytes(out, &data.0);
        }
        if let Some(kind) = &own.content_type {
            put_text(out, kind);
        }
        if flags & USER > 0 {
            put_bytes(out, own.user_properties.as_bytes());
        }
    }
    out.extend_from_slice(&message.payload.0);
}

fn body_len(message: &Message) -> u64 {
    let with_len = |len: usize| len as u64 + super::wire::varint_len(len as u64);
    let mut len = 1 + with_len(message.topic.len()) + message.payload.0.len() as u64;
    if let Some(origin) = &message.origin {
        len += with_len(origin.client_id.len());
        len += origin.username.as_ref().map_or(0, |name| with_len(name.len()));
        len += with_len(origin.listener.len());
    }
    if let Some(own) = &message.properties
        && properties_flags(own) > 0
    {
        len += 1;
        len += own.response_topic.as_ref().map_or(0, |text| with_len(text.len()));
        len += own.correlation_data.as_ref().map_or(0, |data| with_len(data.0.len()));
        len += own.content_type.as_ref().map_or(0, |text| with_len(text.len()));
        let user = own.user_properties.as_bytes().len();
        len += if user > 0 { with_len(user) } else { 0 };
    }
    len
}

/// Reads the body of a `Put` or of a Will.
///
/// # Errors
/// If it is none.
pub fn decode_message(
    body: &[u8],
    number: u64,
    received: Instant,
    interval: Option<u32>,
) -> Result<Message, BadRecord> {
    let mut from = Reader::new(body);
    let flags = from.byte("message")?;
    let topic = from.text()?.into();
    let mut origin = None;
    if flags & HAS_ORIGIN > 0 {
        let client_id = from.text()?.into();
        let username = if flags & HAS_USER > 0 { Some(from.text()?.into()) } else { None };
        let listener = from.text()?.into();
        origin = Some(Box::new(Origin { client_id, username, listener }));
    }
    let mut own = MessageProperties { message_expiry_interval: interval, ..Default::default() };
    if flags & HAS_PROPERTIES > 0 {
        let has = from.byte("properties")?;
        own.payload_format_utf8 = (has & UTF8_KNOWN > 0).then_some(has & UTF8 > 0);
        if has & RESPONSE > 0 {
            own.response_topic = Some(from.text()?.into());
        }
        if has & CORRELATION > 0 {
            own.correlation_data = Some(Opaque(from.bytes("Correlation Data")?.into()));
        }
        if has & CONTENT > 0 {
            own.content_type = Some(from.text()?.into());
        }
        if has & USER > 0 {
            let bytes = from.bytes("User Properties")?.to_vec();
            own.user_properties = UserPropertiesBuf::from_bytes(bytes)
                .ok_or_else(|| from.error("User Properties"))?;
        }
    }
    let properties = (own != MessageProperties::default()).then(|| Box::new(own));
    Ok(Message {
        number,
        topic,
        payload: Opaque(from.rest().into()),
        qos: QoS::from_bits(flags & 3).ok_or_else(|| from.error("QoS"))?,
        retain: flags & RETAIN > 0,
        received,
        properties,
        origin,
    })
}

const HAS_IDS: u8 = 8;
const HAS_GROUP: u8 = 16;

impl<'a> DeliveryOp<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        let ids = if self.ids.is_empty() { 0 } else { HAS_IDS };
        let group = if self.group.is_some() { HAS_GROUP } else { 0 };
        out.push(self.qos.bits() | if self.retain { RETAIN } else { 0 } | ids | group);
        put_number(out, self.message);
        if !self.ids.is_empty() {
            put_varint(out, self.ids.len() as u64);
            for id in &self.ids {
                put_varint(out, u64::from(*id));
            }
        }
        if let Some(group) = self.group {
            put_text(out, group);
        }
    }

    fn decode(from: &mut Reader<'a>) -> Result<Self, BadRecord> {
        let flags = from.byte("delivery")?;
        let qos = QoS::from_bits(flags & 3).ok_or_else(|| from.error("QoS"))?;
        let message = from.number()?;
        let mut ids = SubscriptionIds::new();
        if flags & HAS_IDS > 0 {
            for _ in 0..from.varint()? {
                ids.push(from.small()?);
            }
        }
        let group = if flags & HAS_GROUP > 0 { Some(from.text()?) } else { None };
        Ok(Self { message, qos, retain: flags & RETAIN > 0, ids, group })
    }
}

impl<'a> AttachedOp<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        head(out, ATTACHED, self.session);
        put_text(out, self.client_id);
        out.push(
            self.version.level()
                | if self.rights.is_some() { 0x08 } else { 0 }
                | if self.username.is_some() { 0x10 } else { 0 }
                | if self.mount.is_some() { 0x20 } else { 0 }
                | if self.will.is_some() { 0x40 } else { 0 }
                | if self.is_owned { 0x80 } else { 0 },
        );
        if let Some(name) = self.username {
            put_text(out, name);
        }
        put_text(out, self.listener);
        if let Some(mount) = self.mount {
            put_text(out, mount);
        }
        out.extend_from_slice(&self.expiry.to_le_bytes());
        if let Some(rights) = self.rights {
            put_text(out, rights);
        }
        if let Some(will) = self.will {
            put_varint(out, u64::from(will.delay));
            put_option(out, will.interval.map(u64::from));
            put_bytes(out, will.body);
        }
    }

    fn decode(from: &mut Reader<'a>) -> Result<Self, BadRecord> {
        let session = from.varint()?;
        let client_id = from.text()?;
        let flags = from.byte("version")?;
        let version = Version::from_level(flags & 7).ok_or_else(|| from.error("version"))?;
        let username = if flags & 0x10 > 0 { Some(from.text()?) } else { None };
        let listener = from.text()?;
        let mount = if flags & 0x20 > 0 { Some(from.text()?) } else { None };
        let expiry = from.u32()?;
        let rights = if flags & 8 > 0 { Some(from.text()?) } else { None };
        let mut will = None;
        if flags & 0x40 > 0 {
            let (delay, interval) = (from.small()?, from.option()?);
            let interval = interval.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
            will = Some(WillOp { delay, interval, body: from.bytes("Will")? });
        }
        let is_owned = flags & 0x80 > 0;
        Ok(Self {
            session,
            client_id,
            username,
            is_owned,
            version,
            listener,
            mount,
            expiry,
            rights,
            will,
        })
    }
}

impl<'a> ForwardOp<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        head(out, FORWARD, u64::from(self.to));
        put_varint(out, self.seq);
        put_number(out, self.message);
        out.push(u8::from(self.plain));
        put_stamp(out, self.stamp);
        put_varint(out, self.groups.len() as u64);
        for group in &self.groups {
            put_text(out, group);
        }
        put_varint(out, self.tried.len() as u64);
        for shard in &self.tried {
            put_varint(out, u64::from(*shard));
        }
    }

    fn decode(from: &mut Reader<'a>) -> Result<Self, BadRecord> {
        let (to, seq, message) = (from.shard()?, from.varint()?, from.number()?);
        let plain = from.byte("flag")? != 0;
        let stamp = stamp(from)?;
        let mut groups = Vec::new();
        for _ in 0..from.varint()? {
            groups.push(from.text()?);
        }
        let mut tried = Vec::new();
        for _ in 0..from.varint()? {
            tried.push(from.shard()?);
        }
        Ok(Self { to, seq, message, plain, stamp, groups, tried })
    }
}

/// Calls `each` with every step of a batch and the offset behind it, until one fails.
///
/// # Errors
/// If the bytes are no batch of this version, or `each` fails.
pub fn for_each_op<'a>(
    batch: &'a [u8],
    mut each: impl FnMut(Op<'a>, u64) -> Result<(), BadRecord>,
) -> Result<(), BadRecord> {
    let mut from = Reader::new(batch);
    if from.byte("version")? != FORMAT {
        return Err(BadRecord { what: "record of a known version", at: 0 });
    }
    while !from.is_empty() {
        let op = Op::decode(&mut from)?;
        each(op, from.at())?;
    }
    Ok(())
}
