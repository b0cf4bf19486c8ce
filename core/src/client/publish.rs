//! The way of a message to the server (MQTT 5.0 §3.3, §4.3): checks, aliases, a place in flight or
//! in the queue, and the order in which what waits is written. Never touches received messages.

use super::alias::Written;
use super::event::{Event, PublishError, Receipt, ReceiptState, Token};
use super::outgoing::{Frame, Next};
use super::{Client, Sink};
use crate::codec::{self, PACKET_SIZE_MAX};
use crate::packet::{Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode};
use crate::time::Instant;
use core::num::NonZeroU16;

impl Client {
    /// Publishes a message; DUP and Packet Identifier of `publish` mean nothing here, and 3.x
    /// ignores its properties. A Topic Alias given is used as it stands; without one the client may
    /// assign its own ([`Options::assign_aliases`](super::Options::assign_aliases)).
    ///
    /// # Errors
    /// Says why the message was refused; then nothing has changed.
    pub fn publish(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
    ) -> Result<Receipt, PublishError> {
        check(publish)?;
        if self.is_connected() {
            self.server_takes(publish.qos, publish.retain)?;
        }
        let token = Token(self.next_token);
        let state = match publish.qos {
            QoS::AtMostOnce if self.is_connected() && !self.outgoing.holds_qos0() => {
                self.write_at_once(now, publish)?;
                ReceiptState::Written
            }
            QoS::AtMostOnce if !self.is_connected() && !self.options.queue_qos0 => {
                return Err(PublishError::Offline);
            }
            QoS::AtLeastOnce | QoS::ExactlyOnce
                if self.is_connected() && self.outgoing.has_room() =>
            {
                ReceiptState::InFlight(self.begin(now, token, publish)?)
            }
            _ => {
                self.enqueue(token, publish)?;
                ReceiptState::Queued
            }
        };
        self.next_token += 1;
        Ok(Receipt { token, state })
    }

    /// Writes what may leave: repetitions first, then what waited, as far as the quota goes.
    pub(super) fn pump(&mut self, now: Instant, sink: &mut Sink<'_>) {
        while let Some(next) = self.outgoing.resume() {
            self.last_sent = now;
            match next {
                Next::Publish { frame, id, dup } => frame.write(Some(id), dup, &mut self.out),
                Next::Release(id) => {
                    let ack = crate::packet::Ack::new(id, ReasonCode::Success);
                    codec::encode(&Packet::Pubrel(ack), self.options.version, &mut self.out);
                }
            }
        }
        while let Some(queued) = self.outgoing.dequeue() {
            let (token, frame) = (queued.token, queued.frame);
            let fits = self.server_takes(frame.qos(), frame.retain()).and_then(|()| {
                let limit = u64::from(self.server.maximum_packet_size);
                if frame.len() > limit { Err(PublishError::TooLarge) } else { Ok(()) }
            });
            if let Err(cause) = fits {
                sink(Event::PublishDropped { token, cause });
                continue;
            }
            self.last_sent = now;
            if frame.qos() == QoS::AtMostOnce {
                frame.write(None, false, &mut self.out);
                sink(Event::Published { token, reason: ReasonCode::Success });
            } else if let Some(id) = self.outgoing.free_id() {
                frame.write(Some(id), false, &mut self.out);
                self.outgoing.begin(token, id, frame);
            } else {
                sink(Event::PublishDropped { token, cause: PublishError::QueueFull });
            }
        }
    }

    /// Whether a repetition still fits what the server accepts.
    pub(super) fn drop_unfit(&mut self, sink: &mut Sink<'_>) {
        let limit = u64::from(self.server.maximum_packet_size);
        for token in self.outgoing.take_unfit(|frame| frame.len() <= limit) {
            sink(Event::PublishDropped { token, cause: PublishError::TooLarge });
        }
    }

    const fn server_takes(&self, qos: QoS, retain: bool) -> Result<(), PublishError> {
        if qos.bits() > self.server.maximum_qos.bits() {
            return Err(PublishError::QosNotSupported);
        }
        if retain && !self.server.retain_available {
            return Err(PublishError::RetainNotSupported);
        }
        Ok(())
    }

    fn write_at_once(&mut self, now: Instant, publish: &Publish<'_>) -> Result<(), PublishError> {
        if self.out.len() as u64 >= u64::from(self.options.output_limit) {
            return Err(PublishError::OutputFull);
        }
        self.write_with_alias(publish, None)?;
        self.last_sent = now;
        Ok(())
    }

    fn begin(
        &mut self,
        now: Instant,
        token: Token,
        publish: &Publish<'_>,
    ) -> Result<PacketId, PublishError> {
        let frame = self.frame(publish)?;
        let aliased = self.options.version.is_v5() && self.aliases_out.maximum() > 0;
        if !aliased && frame.len() > u64::from(self.server.maximum_packet_size) {
            return Err(PublishError::TooLarge);
        }
        let id = self.outgoing.free_id().ok_or(PublishError::QueueFull)?;
        if aliased {
            self.write_with_alias(publish, Some(id))?;
        } else {
            frame.write(Some(id), false, &mut self.out);
        }
        self.outgoing.begin(token, id, frame);
        self.last_sent = now;
        Ok(id)
    }

    fn enqueue(&mut self, token: Token, publish: &Publish<'_>) -> Result<(), PublishError> {
        let (count, bytes) = self.outgoing.queued();
        if count >= self.options.queue_messages {
            return Err(PublishError::QueueFull);
        }
        let frame = self.frame(publish)?;
        if bytes.saturating_add(frame.len()) > self.options.queue_bytes {
            return Err(PublishError::QueueFull);
        }
        if self.is_connected() && frame.len() > u64::from(self.server.maximum_packet_size) {
            return Err(PublishError::TooLarge);
        }
        self.outgoing.enqueue(token, frame);
        Ok(())
    }

    /// Writes a PUBLISH of this connection with the alias given, one of our own, or none.
    fn write_with_alias(
        &mut self,
        publish: &Publish<'_>,
        packet_id: Option<PacketId>,
    ) -> Result<(), PublishError> {
        let (topic, alias, assign) = self.topic_on_wire(publish)?;
        let properties = PublishProperties { topic_alias: alias, ..publish.properties.clone() };
        let packet = Publish { dup: false, topic, packet_id, properties, ..*publish };
        let start = self.out.len();
        codec::encode_publish(&packet, self.options.version, &mut self.out);
        let limit = self.server.maximum_packet_size.min(PACKET_SIZE_MAX);
        if (self.out.len() - start) as u64 > u64::from(limit) {
            self.out.truncate(start);
            return Err(PublishError::TooLarge);
        }
        match assign {
            Some((alias, true)) => self.aliases_out.assign(alias, publish.topic),
            Some((alias, false)) => _ = self.aliases_out.set(alias, publish.topic),
            None => {}
        }
        Ok(())
    }

    /// The topic and alias to write, and the alias to keep afterwards; with it, whether the client
    /// picked it.
    #[expect(clippy::type_complexity, reason = "three plain answers of one decision")]
    fn topic_on_wire<'a>(
        &self,
        publish: &Publish<'a>,
    ) -> Result<(&'a str, Option<NonZeroU16>, Option<(NonZeroU16, bool)>), PublishError> {
        if !self.options.version.is_v5() {
            return Ok((publish.topic, None, None));
        }
        if let Some(alias) = publish.properties.topic_alias {
            let known = self.aliases_out.topic(alias).is_some();
            if alias.get() > self.aliases_out.maximum() || (publish.topic.is_empty() && !known) {
                return Err(PublishError::AliasInvalid);
            }
            let assign = (!publish.topic.is_empty()).then_some((alias, false));
            return Ok((publish.topic, Some(alias), assign));
        }
        Ok(match self.aliases_out.pick(publish.topic, self.options.assign_aliases) {
            Written::Full => (publish.topic, None, None),
            Written::Alias(alias) => ("", Some(alias), None),
            Written::Both(alias) => (publish.topic, Some(alias), Some((alias, true))),
        })
    }

    /// The whole PUBLISH, independent of any connection.
    fn frame(&self, publish: &Publish<'_>) -> Result<Frame, PublishError> {
        let topic = match publish.properties.topic_alias {
            Some(alias) if publish.topic.is_empty() => {
                self.aliases_out.topic(alias).ok_or(PublishError::AliasInvalid)?
            }
            _ => publish.topic,
        };
        let properties = PublishProperties { topic_alias: None, ..publish.properties.clone() };
        let packet_id = (publish.qos != QoS::AtMostOnce).then_some(PacketId(NonZeroU16::MIN));
        let packet = Publish { dup: false, topic, packet_id, properties, ..*publish };
        let length = codec::publish_len(&packet, self.options.version);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let id_at = codec::encode_publish_template(&packet, self.options.version, &mut bytes);
        Ok(Frame::new(bytes, id_at))
    }
}

/// What no server would take, whatever it announced.
fn check(publish: &Publish<'_>) -> Result<(), PublishError> {
    let topic = publish.topic;
    let wildcard = |byte: &u8| matches!(byte, b'+' | b'#' | 0);
    let no_topic = topic.is_empty() && publish.properties.topic_alias.is_none();
    if no_topic || topic.len() > 0xFFFF || topic.as_bytes().iter().any(wildcard) {
        return Err(PublishError::TopicInvalid);
    }
    let properties = &publish.properties;
    let lengths = [
        properties.content_type.map_or(0, str::len),
        properties.response_topic.map_or(0, str::len),
        properties.correlation_data.map_or(0, <[u8]>::len),
    ];
    if lengths.iter().any(|length| *length > 0xFFFF)
        || !properties.subscription_identifiers.is_empty()
    {
        return Err(PublishError::PropertyInvalid);
    }
    // Topic and properties but the User Properties are bounded by now.
    let user = properties.user_properties.encoded_len();
    if publish.payload.len().saturating_add(user) > PACKET_SIZE_MAX as usize - (4 << 16) - 64 {
        return Err(PublishError::TooLarge);
    }
    Ok(())
}
