//! Property sections of 5.0 packets (§2.2.2), in the order of the fields of each type. Absent
//! properties and defaults are not written.

use super::sink::{Counter, Sink};
use crate::packet::PropertyId as P;
use crate::packet::{
    Auth, ConnackProperties, ConnectProperties, Disconnect, PublishProperties, QoS, Subscribe,
    UserProperties, WillProperties,
};

/// What writes the properties of one packet.
pub(super) trait Properties {
    fn write<S: Sink>(&self, out: &mut S);

    /// The length of the section, without the length itself.
    #[inline]
    fn len(&self) -> u32 {
        let mut counter = Counter::default();
        self.write(&mut counter);
        counter.0
    }
}

/// Writes a section, length first.
pub(super) fn section<S: Sink>(properties: &impl Properties, out: &mut S) {
    out.varint(properties.len());
    properties.write(out);
}

/// A property and its value.
trait Entries: Sink {
    #[inline]
    fn put_flag(&mut self, id: P, value: Option<bool>) {
        if let Some(value) = value {
            self.bytes(&[id as u8, u8::from(value)]);
        }
    }

    #[inline]
    fn put_u16(&mut self, id: P, value: Option<u16>) {
        if let Some(value) = value {
            self.u8(id as u8);
            self.u16(value);
        }
    }

    #[inline]
    fn put_u32(&mut self, id: P, value: Option<u32>) {
        if let Some(value) = value {
            self.u8(id as u8);
            self.u32(value);
        }
    }

    #[inline]
    fn put_varint(&mut self, id: P, value: u32) {
        debug_assert!(value != 0, "a Subscription Identifier is not 0");
        self.u8(id as u8);
        self.varint(value);
    }

    #[inline]
    fn put_string(&mut self, id: P, value: Option<&str>) {
        if let Some(value) = value {
            self.u8(id as u8);
            self.string(value);
        }
    }

    #[inline]
    fn put_binary(&mut self, id: P, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.u8(id as u8);
            self.binary(value);
        }
    }
}

impl<S: Sink> Entries for S {}

impl Properties for PublishProperties<'_> {
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        out.put_flag(P::PayloadFormatIndicator, self.payload_format_utf8);
        out.put_u32(P::MessageExpiryInterval, self.message_expiry_interval);
        out.put_u16(P::TopicAlias, self.topic_alias.map(core::num::NonZeroU16::get));
        out.put_string(P::ResponseTopic, self.response_topic);
        out.put_binary(P::CorrelationData, self.correlation_data);
        for &id in &self.subscription_identifiers {
            out.put_varint(P::SubscriptionIdentifier, id);
        }
        out.put_string(P::ContentType, self.content_type);
        out.user_properties(self.user_properties);
    }
}

impl Properties for ConnectProperties<'_> {
    fn write<S: Sink>(&self, out: &mut S) {
        debug_assert!(self.receive_maximum != Some(0), "Receive Maximum is not 0");
        debug_assert!(self.maximum_packet_size != Some(0), "Maximum Packet Size is not 0");
        out.put_u32(P::SessionExpiryInterval, self.session_expiry_interval);
        out.put_u16(P::ReceiveMaximum, self.receive_maximum);
        out.put_u32(P::MaximumPacketSize, self.maximum_packet_size);
        out.put_u16(P::TopicAliasMaximum, self.topic_alias_maximum);
        let response = self.request_response_information.then_some(true);
        out.put_flag(P::RequestResponseInformation, response);
        let problem = if self.request_problem_information { None } else { Some(false) };
        out.put_flag(P::RequestProblemInformation, problem);
        out.put_string(P::AuthenticationMethod, self.authentication_method);
        out.put_binary(P::AuthenticationData, self.authentication_data);
        out.user_properties(self.user_properties);
    }
}

impl Properties for WillProperties<'_> {
    fn write<S: Sink>(&self, out: &mut S) {
        out.put_u32(P::WillDelayInterval, self.delay_interval);
        out.put_flag(P::PayloadFormatIndicator, self.payload_format_utf8);
        out.put_u32(P::MessageExpiryInterval, self.message_expiry_interval);
        out.put_string(P::ContentType, self.content_type);
        out.put_string(P::ResponseTopic, self.response_topic);
        out.put_binary(P::CorrelationData, self.correlation_data);
        out.user_properties(self.user_properties);
    }
}

impl Properties for ConnackProperties<'_> {
    fn write<S: Sink>(&self, out: &mut S) {
        debug_assert!(self.receive_maximum != Some(0), "Receive Maximum is not 0");
        debug_assert!(self.maximum_packet_size != Some(0), "Maximum Packet Size is not 0");
        out.put_u32(P::SessionExpiryInterval, self.session_expiry_interval);
        out.put_u16(P::ReceiveMaximum, self.receive_maximum);
        // QoS 2 is what absence means, and has no form on the wire.
        let qos1 = match self.maximum_qos {
            Some(QoS::AtMostOnce) => Some(false),
            Some(QoS::AtLeastOnce) => Some(true),
            Some(QoS::ExactlyOnce) | None => None,
        };
        out.put_flag(P::MaximumQoS, qos1);
        out.put_flag(P::RetainAvailable, self.retain_available);
        out.put_u32(P::MaximumPacketSize, self.maximum_packet_size);
        out.put_string(P::AssignedClientIdentifier, self.assigned_client_identifier);
        out.put_u16(P::TopicAliasMaximum, self.topic_alias_maximum);
        out.put_string(P::ReasonString, self.reason_string);
        out.put_flag(P::WildcardSubscriptionAvailable, self.wildcard_subscription_available);
        out.put_flag(P::SubscriptionIdentifierAvailable, self.subscription_identifiers_available);
        out.put_flag(P::SharedSubscriptionAvailable, self.shared_subscription_available);
        out.put_u16(P::ServerKeepAlive, self.server_keep_alive);
        out.put_string(P::ResponseInformation, self.response_information);
        out.put_string(P::ServerReference, self.server_reference);
        out.put_string(P::AuthenticationMethod, self.authentication_method);
        out.put_binary(P::AuthenticationData, self.authentication_data);
        out.user_properties(self.user_properties);
    }
}

impl Properties for Subscribe<'_> {
    fn write<S: Sink>(&self, out: &mut S) {
        if let Some(id) = self.subscription_identifier {
            out.put_varint(P::SubscriptionIdentifier, id);
        }
        out.user_properties(self.user_properties);
    }
}

impl Properties for UserProperties<'_> {
    fn write<S: Sink>(&self, out: &mut S) {
        out.user_properties(*self);
    }
}

/// The properties of an acknowledgement: Reason String and User Properties.
#[derive(Debug)]
pub(super) struct Reasoned<'a>(pub(super) Option<&'a str>, pub(super) UserProperties<'a>);

impl Properties for Reasoned<'_> {
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        out.put_string(P::ReasonString, self.0);
        out.user_properties(self.1);
    }
}

impl Properties for Disconnect<'_> {
    fn write<S: Sink>(&self, out: &mut S) {
        out.put_u32(P::SessionExpiryInterval, self.session_expiry_interval);
        out.put_string(P::ReasonString, self.reason_string);
        out.put_string(P::ServerReference, self.server_reference);
        out.user_properties(self.user_properties);
    }
}

impl Properties for Auth<'_> {
    fn write<S: Sink>(&self, out: &mut S) {
        out.put_string(P::AuthenticationMethod, self.method);
        out.put_binary(P::AuthenticationData, self.data);
        out.put_string(P::ReasonString, self.reason_string);
        out.user_properties(self.user_properties);
    }
}
