//! An Application Message as the broker keeps it: stored once, shared by all who wait for it, in
//! an allocation of its own that pins no read buffer. What differs per subscriber is elsewhere.

use crate::packet::{Publish, PublishProperties, QoS, UserPropertiesBuf, Will};
use crate::state::{Opaque, RestoreError, Sink, Source, State, state};
use crate::time::Instant;
use std::sync::Arc;

/// A message outside of any packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// A number of its own within the engine.
    pub number: u64,
    /// Topic Name.
    pub topic: Box<str>,
    /// Payload.
    pub payload: Opaque,
    /// The QoS it was published with.
    pub qos: QoS,
    /// Whether it was published with RETAIN.
    pub retain: bool,
    /// When it reached the broker.
    pub received: Instant,
    /// Properties that travel with it; none is the common case.
    pub properties: Option<Box<MessageProperties>>,
    /// Who published it, where that may matter later: of a retained message.
    pub origin: Option<Box<Origin>>,
}

state!(Message { number, topic, payload, qos, retain, received, properties, origin });

/// Who published a message, as access lists know him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// User Name.
    pub username: Option<Box<str>>,
    /// The name of the listener.
    pub listener: Arc<str>,
}

state!(Origin { client_id, username, listener });

/// The properties of a message that are forwarded unchanged (§3.3.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageProperties {
    /// Payload Format Indicator [MQTT-3.3.2-4].
    pub payload_format_utf8: Option<bool>,
    /// Message Expiry Interval as published, seconds.
    pub message_expiry_interval: Option<u32>,
    /// Response Topic [MQTT-3.3.2-15].
    pub response_topic: Option<Box<str>>,
    /// Correlation Data [MQTT-3.3.2-16].
    pub correlation_data: Option<Opaque>,
    /// Content Type [MQTT-3.3.2-20].
    pub content_type: Option<Box<str>>,
    /// User Properties, in order [MQTT-3.3.2-17], [MQTT-3.3.2-18].
    pub user_properties: UserPropertiesBuf,
}

state!(MessageProperties {
    payload_format_utf8,
    message_expiry_interval,
    response_topic,
    correlation_data,
    content_type,
    user_properties,
});

impl State for UserPropertiesBuf {
    fn save(&self, to: &mut dyn Sink) {
        self.as_bytes().to_vec().save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Self::from_bytes(Vec::load(from)?).ok_or_else(|| from.error("user properties"))
    }
}

impl MessageProperties {
    fn boxed(self) -> Option<Box<Self>> {
        if self == Self::default() { None } else { Some(Box::new(self)) }
    }

    fn of_publish(properties: &PublishProperties<'_>) -> Option<Box<Self>> {
        Self {
            payload_format_utf8: properties.payload_format_utf8,
            message_expiry_interval: properties.message_expiry_interval,
            response_topic: properties.response_topic.map(Into::into),
            correlation_data: properties.correlation_data.map(|data| Opaque(data.into())),
            content_type: properties.content_type.map(Into::into),
            user_properties: properties.user_properties.to_buf(),
        }
        .boxed()
    }
}

impl Message {
    /// The message in a PUBLISH, under `topic` (which a Topic Alias may have stood for).
    pub fn of_publish(number: u64, topic: &str, publish: &Publish<'_>, now: Instant) -> Self {
        Self {
            number,
            topic: topic.into(),
            payload: Opaque(publish.payload.into()),
            qos: publish.qos,
            retain: publish.retain,
            received: now,
            properties: MessageProperties::of_publish(&publish.properties),
            origin: None,
        }
    }

    /// The message of a Will, under `topic`.
    pub fn of_will(number: u64, topic: &str, will: &Will<'_>, now: Instant) -> Self {
        let properties = MessageProperties {
            payload_format_utf8: will.properties.payload_format_utf8,
            message_expiry_interval: will.properties.message_expiry_interval,
            response_topic: will.properties.response_topic.map(Into::into),
            correlation_data: will.properties.correlation_data.map(|data| Opaque(data.into())),
            content_type: will.properties.content_type.map(Into::into),
            user_properties: will.properties.user_properties.to_buf(),
        };
        Self {
            number,
            topic: topic.into(),
            payload: Opaque(will.payload.into()),
            qos: will.qos,
            retain: will.retain,
            received: now,
            properties: properties.boxed(),
            origin: None,
        }
    }

    /// Its Message Expiry Interval.
    pub(crate) fn interval(&self) -> Option<u32> {
        self.properties.as_ref()?.message_expiry_interval
    }

    /// When its Message Expiry Interval runs out.
    pub fn expires(&self) -> Option<Instant> {
        let interval = self.properties.as_ref()?.message_expiry_interval?;
        Some(self.received.plus_secs(u64::from(interval)))
    }

    /// Whether it ran out [MQTT-3.3.2-5].
    #[inline]
    pub fn is_expired(&self, now: Instant) -> bool {
        self.properties.is_some() && self.expires().is_some_and(|end| end <= now)
    }

    /// The PUBLISH that carries it to a subscriber, with the expiry that is left [MQTT-3.3.2-6];
    /// DUP, QoS, RETAIN and Packet Identifier are the caller's.
    pub fn publish(&self, now: Instant) -> Publish<'_> {
        let properties = match &self.properties {
            None => PublishProperties::default(),
            Some(own) => PublishProperties {
                payload_format_utf8: own.payload_format_utf8,
                message_expiry_interval: own.message_expiry_interval.map(|interval| {
                    let waited = now.since(self.received).as_secs();
                    interval.saturating_sub(u32::try_from(waited).unwrap_or(u32::MAX))
                }),
                response_topic: own.response_topic.as_deref(),
                correlation_data: own.correlation_data.as_ref().map(|data| &*data.0),
                content_type: own.content_type.as_deref(),
                user_properties: own.user_properties.as_ref(),
                ..PublishProperties::default()
            },
        };
        Publish {
            dup: false,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: None,
            properties,
            payload: &self.payload.0,
        }
    }

    /// Bytes of topic, payload and properties: what limits count.
    pub fn weight(&self) -> u64 {
        let properties = self.properties.as_ref().map_or(0, |own| {
            own.response_topic.as_ref().map_or(0, |text| text.len())
                + own.correlation_data.as_ref().map_or(0, |data| data.0.len())
                + own.content_type.as_ref().map_or(0, |text| text.len())
                + own.user_properties.as_bytes().len()
        });
        (self.topic.len() + self.payload.0.len() + properties) as u64
    }
}
