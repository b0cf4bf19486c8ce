//! What the server sends (MQTT 5.0 §3.2, §3.3, §4.3, §4.4): one function a family of packets. A
//! server that breaks the protocol ends the connection, never the client.

use super::event::{DisconnectCause, Event, ServerInfo};
use super::incoming::Receipt;
use super::outgoing::Acked;
use super::{Acks, Client, Retry, Sink, State};
use crate::codec::{Decoder, Role};
use crate::packet::{Ack, Auth, Connack, Packet, PacketId, Publish, QoS, ReasonCode, Version};
use crate::time::Instant;

/// A server's sin: the reason for DISCONNECT, and what was wrong.
type Sin = (ReasonCode, &'static str);

impl Client {
    pub(super) fn receive(&mut self, now: Instant, mut chunk: &[u8], sink: &mut Sink<'_>) {
        self.last_received = now;
        // The decoder lends out the packet, so it is taken out of `self` meanwhile.
        let mut decoder = core::mem::take(&mut self.decoder);
        while self.has_transport() {
            let (used, frame) = match decoder.decode(chunk, &self.limits) {
                Ok(decoded) => decoded,
                Err(error) => {
                    let reason = error.reason_code().unwrap_or(ReasonCode::MalformedPacket);
                    self.protocol_error(now, reason, &error.to_string(), sink);
                    break;
                }
            };
            chunk = &chunk[used..];
            let Some(frame) = frame else {
                if chunk.is_empty() {
                    break;
                }
                continue;
            };
            if let Err((reason, detail)) = self.packet(now, frame.packet, sink) {
                self.protocol_error(now, reason, detail, sink);
            }
        }
        if self.has_transport() {
            self.decoder = decoder;
        } else {
            self.decoder = Decoder::new(Role::Client);
        }
    }

    fn packet(&mut self, now: Instant, packet: Packet<'_>, sink: &mut Sink<'_>) -> Result<(), Sin> {
        if let State::AwaitConnack { clean_start, .. } = self.state {
            return match packet {
                Packet::Connack(connack) => self.on_connack(now, &connack, clean_start, sink),
                Packet::Auth(auth) => self.on_auth(&auth, sink),
                _ => Err((ReasonCode::ProtocolError, "the first packet is not CONNACK")),
            };
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(now, publish, sink)?,
            Packet::Puback(ack) => {
                let acked = self.outgoing.puback(ack.packet_id);
                self.acknowledged(now, acked, &ack, sink)?;
            }
            Packet::Pubrec(ack) => {
                let acked = self.outgoing.pubrec(ack.packet_id, ack.reason);
                self.on_pubrec(now, acked, &ack, sink)?;
            }
            Packet::Pubcomp(ack) => {
                let acked = self.outgoing.pubcomp(ack.packet_id);
                self.acknowledged(now, acked, &ack, sink)?;
            }
            Packet::Pubrel(ack) => self.on_pubrel(now, ack.packet_id),
            Packet::Suback(suback) => {
                if self.outgoing.answered(suback.packet_id) {
                    sink(Event::Subscribed(&suback));
                }
            }
            Packet::Unsuback(unsuback) => {
                if self.outgoing.answered(unsuback.packet_id) {
                    sink(Event::Unsubscribed(&unsuback));
                }
            }
            Packet::Pingresp => self.state = State::Connected { ping_deadline: None },
            Packet::Auth(auth) => self.on_auth(&auth, sink)?,
            Packet::Disconnect(packet) => {
                let retry = Retry::after(packet.reason);
                self.close(now, &DisconnectCause::Server(&packet), retry, sink);
            }
            Packet::Connack(_) => return Err((ReasonCode::ProtocolError, "a second CONNACK")),
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::Pingreq => {
                return Err((ReasonCode::ProtocolError, "a packet that only a client may send"));
            }
        }
        Ok(())
    }

    fn on_connack(
        &mut self,
        now: Instant,
        connack: &Connack<'_>,
        clean_start: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), Sin> {
        if connack.reason.is_error() {
            sink(Event::Refused(connack));
            self.close(now, &DisconnectCause::Refused, Retry::after(connack.reason), sink);
            return Ok(());
        }
        if clean_start && connack.session_present {
            // [MQTT-3.2.2-2], from the client's side.
            return Err((ReasonCode::ProtocolError, "Session Present after Clean Start"));
        }
        if connack.properties.assigned_client_identifier.is_some() && !self.client_id().is_empty() {
            return Err((ReasonCode::ProtocolError, "a Client Identifier that was not asked for"));
        }
        self.server = ServerInfo::from_connack(&self.options, connack);
        if let Some(id) = connack.properties.assigned_client_identifier {
            self.assigned_id = Some(id.into());
        }
        self.aliases_in.reset(self.options.topic_alias_maximum.unwrap_or(0));
        self.aliases_out.reset(self.server.topic_alias_maximum);
        self.attempts.succeeded();
        self.has_session = true;
        self.state = State::Connected { ping_deadline: None };
        // 3.1 does not say whether it has kept the session; it has unless it was to forget it, now
        // or at the end of the connection before.
        let kept = self.options.version == Version::V3 && !clean_start && !self.was_clean;
        self.was_clean = clean_start;
        let resumed = connack.session_present || kept;
        let (dropped, completed) = if resumed {
            self.incoming.connected();
            (Vec::new(), Vec::new())
        } else {
            self.incoming.session_lost();
            self.outgoing.session_lost(self.options.republish_lost)
        };
        // Identifiers beyond that are for SUBSCRIBE and UNSUBSCRIBE.
        let quota = self.options.max_inflight.min(self.server.receive_maximum).clamp(1, 65_000);
        self.outgoing.connected(quota);
        sink(Event::Connected(connack));
        for token in completed {
            sink(Event::Published { token, reason: ReasonCode::Success });
        }
        for token in dropped {
            sink(Event::PublishDropped { token, cause: super::PublishError::SessionLost });
        }
        self.drop_unfit(sink);
        self.pump(now, sink);
        Ok(())
    }

    fn on_auth(&mut self, auth: &Auth<'_>, sink: &mut Sink<'_>) -> Result<(), Sin> {
        // [MQTT-4.12.0-5]
        if self.options.authentication_method.is_none()
            || auth
                .method
                .is_some_and(|method| self.options.authentication_method.as_deref() != Some(method))
        {
            return Err((ReasonCode::ProtocolError, "AUTH without, or with another, method"));
        }
        sink(Event::Auth(auth));
        Ok(())
    }

    fn on_publish(
        &mut self,
        now: Instant,
        mut publish: Publish<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Sin> {
        if let Some(alias) = publish.properties.topic_alias
            && !publish.topic.is_empty()
            && !self.aliases_in.set(alias, publish.topic)
        {
            return Err((ReasonCode::TopicAliasInvalid, "a Topic Alias above the maximum"));
        }
        let receipt = match publish.packet_id {
            Some(id) if publish.qos != QoS::AtMostOnce => {
                let automatic = self.options.acks == Acks::Automatic;
                let maximum = self.options.receive_maximum.unwrap_or(u16::MAX);
                self.incoming.publish(id, publish.qos, automatic, maximum)
            }
            _ => Receipt::Deliver,
        };
        if receipt == Receipt::TooMany {
            return Err((ReasonCode::ReceiveMaximumExceeded, "more than the Receive Maximum"));
        }
        if publish.topic.is_empty() {
            let alias = publish.properties.topic_alias;
            let Some(topic) = alias.and_then(|alias| self.aliases_in.topic(alias)) else {
                return Err((ReasonCode::TopicAliasInvalid, "a Topic Alias without a topic"));
            };
            // Re-borrowed with the shorter life of the table.
            let resolved = Publish { topic, ..publish };
            if receipt == Receipt::Deliver {
                sink(Event::Message(&resolved));
            }
        } else if receipt == Receipt::Deliver {
            publish.properties.topic_alias = None;
            sink(Event::Message(&publish));
        }
        self.write_answers(now);
        Ok(())
    }

    fn on_pubrel(&mut self, now: Instant, id: PacketId) {
        let reason = if self.incoming.release(id) {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.send(now, &Packet::Pubcomp(Ack::new(id, reason)));
    }

    fn on_pubrec(
        &mut self,
        now: Instant,
        acked: Acked,
        ack: &Ack<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Sin> {
        let reason = match acked {
            Acked::Release => ReasonCode::Success,
            // The server holds an identifier that this side has forgotten: let it go.
            Acked::Unknown if !ack.reason.is_error() => ReasonCode::PacketIdentifierNotFound,
            _ => return self.acknowledged(now, acked, ack, sink),
        };
        self.send(now, &Packet::Pubrel(Ack::new(ack.packet_id, reason)));
        Ok(())
    }

    fn acknowledged(
        &mut self,
        now: Instant,
        acked: Acked,
        ack: &Ack<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Sin> {
        match acked {
            Acked::Done(token) => {
                sink(Event::Published { token, reason: ack.reason });
                self.pump(now, sink);
                Ok(())
            }
            Acked::WrongState => {
                Err((ReasonCode::ProtocolError, "an acknowledgement that is not due"))
            }
            Acked::Release | Acked::Unknown => Ok(()),
        }
    }
}

impl ServerInfo {
    fn from_connack(options: &super::Options, connack: &Connack<'_>) -> Self {
        let told = &connack.properties;
        let before = Self::before_connack(options);
        Self {
            session_present: connack.session_present,
            receive_maximum: told.receive_maximum.unwrap_or(before.receive_maximum),
            maximum_qos: told.maximum_qos.unwrap_or(before.maximum_qos),
            retain_available: told.retain_available.unwrap_or(before.retain_available),
            maximum_packet_size: told.maximum_packet_size.unwrap_or(before.maximum_packet_size),
            topic_alias_maximum: told.topic_alias_maximum.unwrap_or(before.topic_alias_maximum),
            keep_alive: told.server_keep_alive.unwrap_or(before.keep_alive),
            session_expiry_interval: told
                .session_expiry_interval
                .unwrap_or(before.session_expiry_interval),
        }
    }
}
