//! core's client for a page, over whatever carries bytes: a socket of a broker in the page, or the
//! browser's `WebSocket` to a server. The caller gives the time and opens, feeds and closes the
//! transport; nothing here reads a clock or keeps a socket.

use crate::convert;
use crate::records::{Put, client as kind};
use halyard_core::client::{Client as Core, Event, Input, ReceiptState};
use halyard_core::packet::{
    Publish, PublishProperties, ReasonCode, SubscribeFilter, SubscriptionOptions, UserProperties,
};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

/// A client. All times are microseconds and never go back.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Client {
    core: Core,
    events: Vec<u8>,
}

#[wasm_bindgen]
impl Client {
    /// A client that does nothing until [`Self::connect`]. `seed` is for the jitter of reconnects.
    ///
    /// # Errors
    /// If an option is not what it may be.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &JsValue, seed: u64) -> Result<Self, JsError> {
        let core = Core::new(convert::client_options(options)?, seed);
        Ok(Self { core, events: Vec::new() })
    }

    /// Wants a connection.
    pub fn connect(&mut self) {
        let Self { core, events } = self;
        core.connect(&mut |event| put_event(events, &event));
    }

    /// The transport is open.
    pub fn opened(&mut self, now: f64) {
        self.handle(now, Input::TransportOpened);
    }

    /// Bytes came, cut anywhere.
    pub fn feed(&mut self, now: f64, chunk: &[u8]) {
        self.handle(now, Input::Bytes(chunk));
    }

    /// The transport ended, or could not be opened.
    pub fn closed(&mut self, now: f64) {
        self.handle(now, Input::TransportClosed);
    }

    /// The time of [`Self::next_timeout`] has come.
    pub fn timeout(&mut self, now: f64) {
        self.handle(now, Input::Timeout);
    }

    /// When [`Self::timeout`] is due; `undefined` if it is not.
    #[wasm_bindgen(js_name = nextTimeout)]
    pub fn next_timeout(&self) -> Option<f64> {
        self.core.next_timeout().map(|at| convert::number(at.0))
    }

    /// Publishes; the number names the message in the event that ends it.
    ///
    /// # Errors
    /// Says why the message was refused.
    pub fn publish(
        &mut self,
        now: f64,
        topic: &str,
        payload: &[u8],
        qos: u8,
        retain: bool,
    ) -> Result<f64, JsError> {
        let publish = Publish {
            dup: false,
            qos: convert::qos(qos)?,
            retain,
            topic,
            packet_id: None,
            properties: PublishProperties::default(),
            payload,
        };
        let receipt = self.core.publish(convert::instant(now), &publish).map_err(JsError::from)?;
        let token = convert::number(receipt.token.0);
        if receipt.state == ReceiptState::Written {
            put_published(&mut self.events, token, ReasonCode::Success);
        }
        Ok(token)
    }

    /// Subscribes; the number comes back in the answer.
    ///
    /// # Errors
    /// Says why nothing was sent.
    pub fn subscribe(&mut self, now: f64, filter: &str, qos: u8) -> Result<u16, JsError> {
        let options = SubscriptionOptions::new(convert::qos(qos)?);
        let filters = [SubscribeFilter { filter, options }];
        let now = convert::instant(now);
        let id = self.core.subscribe(now, &filters, None, UserProperties::EMPTY)?;
        Ok(id.get())
    }

    /// Unsubscribes; the number comes back in the answer.
    ///
    /// # Errors
    /// Says why nothing was sent.
    pub fn unsubscribe(&mut self, now: f64, filter: &str) -> Result<u16, JsError> {
        let now = convert::instant(now);
        Ok(self.core.unsubscribe(now, &[filter], UserProperties::EMPTY)?.get())
    }

    /// Says goodbye: write what [`Self::take_output`] gives, then close the transport.
    ///
    /// # Errors
    /// Says why nothing was sent.
    pub fn disconnect(&mut self, now: f64) -> Result<(), JsError> {
        self.core.disconnect(convert::instant(now), ReasonCode::Success, None)?;
        Ok(())
    }

    /// Takes the bytes to write.
    #[wasm_bindgen(js_name = takeOutput)]
    pub fn take_output(&mut self) -> Vec<u8> {
        self.core.take_output()
    }

    /// Takes what happened, as records.
    #[wasm_bindgen(js_name = takeEvents)]
    pub fn take_events(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.events)
    }

    /// Whether the server has accepted the connection.
    #[wasm_bindgen(getter)]
    pub fn connected(&self) -> bool {
        self.core.is_connected()
    }

    /// The Client Identifier in use.
    #[wasm_bindgen(getter, js_name = clientId)]
    pub fn client_id(&self) -> String {
        self.core.client_id().to_owned()
    }

    fn handle(&mut self, now: f64, input: Input<'_>) {
        let Self { core, events } = self;
        core.handle(convert::instant(now), input, &mut |event| put_event(events, &event));
    }
}

fn put_published(records: &mut Vec<u8>, token: f64, reason: ReasonCode) {
    records.put_u8(kind::PUBLISHED);
    records.put_f64(token);
    records.put_u8(reason.as_u8());
}

fn put_reasons(records: &mut Vec<u8>, kind: u8, id: u16, reasons: &[ReasonCode]) {
    records.put_u8(kind);
    records.put_u16(id);
    let codes: Vec<u8> = reasons.iter().map(|reason| reason.as_u8()).collect();
    records.put_blob(&codes);
}

fn put_event(records: &mut Vec<u8>, event: &Event<'_>) {
    match event {
        Event::OpenTransport => records.put_u8(kind::OPEN),
        Event::CloseTransport => records.put_u8(kind::CLOSE_TRANSPORT),
        Event::Connected(connack) => {
            records.put_u8(kind::CONNECTED);
            records.put_u8(u8::from(connack.session_present));
            records.put_text(connack.properties.assigned_client_identifier.unwrap_or_default());
        }
        Event::Refused(connack) => {
            records.put_u8(kind::REFUSED);
            records.put_u8(connack.reason.as_u8());
            records.put_text(connack.reason.name());
        }
        Event::Message(publish) => put_message(records, publish),
        Event::Published { token, reason } => {
            put_published(records, convert::number(token.0), *reason);
        }
        Event::PublishDropped { token, cause } => {
            records.put_u8(kind::DROPPED);
            records.put_f64(convert::number(token.0));
            records.put_text(&cause.to_string());
        }
        Event::Subscribed(ack) => {
            put_reasons(records, kind::SUBSCRIBED, ack.packet_id.get(), &ack.reasons);
        }
        Event::Unsubscribed(ack) => {
            put_reasons(records, kind::UNSUBSCRIBED, ack.packet_id.get(), &ack.reasons);
        }
        Event::Disconnected(cause) => {
            records.put_u8(kind::DISCONNECTED);
            records.put_text(&cause.to_string());
        }
        Event::ReconnectAt(at) => {
            records.put_u8(kind::RECONNECT);
            records.put_f64(convert::number(at.0));
        }
        Event::Stopped => records.put_u8(kind::STOPPED),
        // No options of ours name a method, so no server may send AUTH.
        Event::Auth(_) => {}
    }
}

/// A message; its flags are those of the first byte on the wire.
fn put_message(records: &mut Vec<u8>, publish: &Publish<'_>) {
    let flags = u8::from(publish.dup) << 3 | publish.qos.bits() << 1 | u8::from(publish.retain);
    records.put_u8(kind::MESSAGE);
    records.put_u8(flags);
    records.put_u16(publish.packet_id.map_or(0, halyard_core::packet::PacketId::get));
    records.put_text(publish.topic);
    records.put_blob(publish.payload);
}
