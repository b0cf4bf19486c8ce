//! Commands that ask the server for something and are not kept across connections: SUBSCRIBE,
//! UNSUBSCRIBE, AUTH (MQTT 5.0 §3.8, §3.10, §3.15), and acknowledgements by the application.

use super::event::CommandError;
use super::{Client, State};
use crate::codec;
use crate::packet::{
    Ack, Auth, Packet, PacketId, QoS, ReasonCode, Subscribe, SubscribeFilter, Unsubscribe,
    UserProperties,
};
use crate::time::Instant;

impl Client {
    /// Subscribes; the answer is [`Event::Subscribed`](super::Event::Subscribed) with the same
    /// Packet Identifier, or none if the connection ends first.
    ///
    /// # Errors
    /// Says why nothing was sent.
    pub fn subscribe(
        &mut self,
        now: Instant,
        filters: &[SubscribeFilter<'_>],
        subscription_identifier: Option<u32>,
        user_properties: UserProperties<'_>,
    ) -> Result<PacketId, CommandError> {
        self.check_filters(filters.iter().map(|filter| filter.filter))?;
        let packet_id = self.outgoing.request_id().ok_or(CommandError::NoPacketId)?;
        self.request(
            now,
            packet_id,
            &Packet::Subscribe(Subscribe {
                packet_id,
                subscription_identifier,
                user_properties,
                filters: filters.to_vec(),
            }),
        )
    }

    /// Unsubscribes; the answer is [`Event::Unsubscribed`](super::Event::Unsubscribed).
    ///
    /// # Errors
    /// Says why nothing was sent.
    pub fn unsubscribe(
        &mut self,
        now: Instant,
        filters: &[&str],
        user_properties: UserProperties<'_>,
    ) -> Result<PacketId, CommandError> {
        self.check_filters(filters.iter().copied())?;
        let packet_id = self.outgoing.request_id().ok_or(CommandError::NoPacketId)?;
        self.request(
            now,
            packet_id,
            &Packet::Unsubscribe(Unsubscribe {
                packet_id,
                user_properties,
                filters: filters.to_vec(),
            }),
        )
    }

    /// Answers a challenge (`ContinueAuthentication`) or begins another authentication of this
    /// connection (`ReAuthenticate`) with the method of CONNECT [MQTT-4.12.1-1].
    ///
    /// # Errors
    /// `NotAllowed` without an Authentication Method or with another reason, `NotConnected`
    /// without a connection.
    pub fn auth(
        &mut self,
        now: Instant,
        reason: ReasonCode,
        data: Option<&[u8]>,
    ) -> Result<(), CommandError> {
        let allowed = match reason {
            ReasonCode::ContinueAuthentication => self.has_transport(),
            ReasonCode::ReAuthenticate => self.is_connected(),
            _ => return Err(CommandError::NotAllowed),
        };
        if !allowed {
            return Err(CommandError::NotConnected);
        }
        let Some(method) = self.options.authentication_method.clone() else {
            return Err(CommandError::NotAllowed);
        };
        let packet = Auth {
            reason,
            method: Some(&method),
            data,
            reason_string: None,
            user_properties: UserProperties::EMPTY,
        };
        self.send(now, &Packet::Auth(packet));
        if let State::AwaitConnack { deadline, .. } = &mut self.state {
            *deadline = now.plus_millis(u64::from(self.options.connect_timeout_ms));
        }
        Ok(())
    }

    /// Acknowledges a received message, if that is the application's task
    /// ([`Acks::Manual`](super::Acks::Manual)). Answers leave in the order of receipt, so one may
    /// have to wait for those before it; without a connection it is kept for a QoS 2 message's
    /// repetition.
    ///
    /// # Errors
    /// `NothingToAck` if the message is not known, or was acknowledged.
    pub fn ack(
        &mut self,
        now: Instant,
        packet_id: PacketId,
        reason: ReasonCode,
    ) -> Result<(), CommandError> {
        if !self.incoming.answer(packet_id, reason) {
            return Err(CommandError::NothingToAck);
        }
        self.write_answers(now);
        Ok(())
    }

    /// Writes the acknowledgements that are due.
    pub(super) fn write_answers(&mut self, now: Instant) {
        if !self.is_connected() {
            return;
        }
        while let Some((id, qos, reason)) = self.incoming.next_answer() {
            let ack = Ack::new(id, reason);
            let packet = match qos {
                QoS::ExactlyOnce => Packet::Pubrec(ack),
                _ => Packet::Puback(ack),
            };
            self.send(now, &packet);
        }
    }

    fn request(
        &mut self,
        now: Instant,
        packet_id: PacketId,
        packet: &Packet<'_>,
    ) -> Result<PacketId, CommandError> {
        let start = self.out.len();
        codec::encode(packet, self.options.version, &mut self.out);
        let size = (self.out.len() - start) as u64;
        let limit = self.server.maximum_packet_size.min(codec::PACKET_SIZE_MAX);
        if size > u64::from(limit) {
            self.out.truncate(start);
            self.outgoing.answered(packet_id);
            return Err(CommandError::TooLarge);
        }
        self.last_sent = now;
        Ok(packet_id)
    }

    fn check_filters<'a>(
        &self,
        mut filters: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<(), CommandError> {
        if !self.is_connected() {
            return Err(CommandError::NotConnected);
        }
        let bad =
            |filter: &str| filter.is_empty() || filter.len() > 0xFFFF || filter.contains('\0');
        if filters.len() == 0 || filters.any(bad) {
            return Err(CommandError::FilterInvalid);
        }
        Ok(())
    }
}
