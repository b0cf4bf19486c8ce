//! A client with a scripted server at the other end: what the client writes and tells comes out as
//! short lines, what the server says goes in as packets. No socket, no clock.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use halyard_core::client::{Client, Event, Input, Options};
use halyard_core::codec::{self, Decoder, Limits, Role};
use halyard_core::packet::{
    Ack, Connack, ConnackProperties, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode,
    Version,
};
use halyard_core::time::Instant;

/// The two ends.
pub struct Script {
    pub client: Client,
    pub now: Instant,
    pub version: Version,
    server: Decoder,
    events: Vec<String>,
}

impl Script {
    pub fn new(options: Options) -> Self {
        let version = options.version;
        Self {
            client: Client::new(options, 1),
            now: Instant(1_000_000),
            version,
            server: Decoder::new(Role::Server),
            events: Vec::new(),
        }
    }

    /// A script whose client is connected already.
    pub fn connected(options: Options) -> Self {
        let mut script = Self::new(options);
        script.connect(&connack(false));
        script.sent();
        script.events();
        script
    }

    /// Asks for a connection, opens the transport and answers CONNECT.
    pub fn connect(&mut self, answer: &Connack<'_>) {
        self.with(|client, _, sink| client.connect(sink));
        self.open();
        self.say(Packet::Connack(answer.clone()));
    }

    /// The transport opens.
    pub fn open(&mut self) {
        self.server = Decoder::new(Role::Server);
        self.input(Input::TransportOpened);
    }

    /// The transport breaks, and the reconnect's time comes.
    pub fn break_and_reopen(&mut self) {
        self.input(Input::TransportClosed);
        self.now = self.client.next_timeout().expect("a reconnect is planned");
        self.input(Input::Timeout);
        self.open();
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.with(|client, now, sink| client.handle(now, input, sink));
    }

    /// The server says a packet.
    pub fn say(&mut self, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        codec::encode(&packet, self.version, &mut bytes);
        self.input(Input::Bytes(&bytes));
    }

    /// Time passes, and the timeout fires if it is due.
    pub fn wait_ms(&mut self, millis: u64) {
        self.now = self.now.plus_millis(millis);
        self.input(Input::Timeout);
    }

    /// What the client has written since the last call, a line a packet.
    pub fn sent(&mut self) -> Vec<String> {
        let bytes = self.client.take_output();
        let mut rest = bytes.as_slice();
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let (used, frame) =
                self.server.decode(rest, &Limits::default()).expect("the client writes MQTT");
            rest = &rest[used..];
            lines.extend(frame.map(|frame| line(&frame.packet)));
        }
        lines
    }

    /// What the client has told since the last call.
    pub fn events(&mut self) -> Vec<String> {
        core::mem::take(&mut self.events)
    }

    /// Publishes `payload` to `topic`; what the client said of it.
    pub fn publish(&mut self, topic: &str, payload: &str, qos: QoS) -> String {
        let publish = message(topic, payload.as_bytes(), qos, None);
        match self.client.publish(self.now, &publish) {
            Ok(receipt) => format!("{:?}", receipt.state),
            Err(error) => format!("{error:?}"),
        }
    }

    fn with(&mut self, call: impl FnOnce(&mut Client, Instant, &mut dyn FnMut(Event<'_>))) {
        let events = &mut self.events;
        call(&mut self.client, self.now, &mut |event| events.push(event_line(&event)));
    }
}

pub fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not 0")
}

pub fn connack(session_present: bool) -> Connack<'static> {
    Connack {
        session_present,
        reason: ReasonCode::Success,
        properties: ConnackProperties::default(),
    }
}

pub fn ack(value: u16) -> Ack<'static> {
    Ack::new(id(value), ReasonCode::Success)
}

pub fn message<'a>(
    topic: &'a str,
    payload: &'a [u8],
    qos: QoS,
    packet_id: Option<u16>,
) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: packet_id.map(id),
        properties: PublishProperties::default(),
        payload,
    }
}

fn publish_line(publish: &Publish<'_>) -> String {
    let id = publish.packet_id.map_or(String::new(), |id| format!(" #{id}"));
    let alias =
        publish.properties.topic_alias.map_or(String::new(), |alias| format!(" alias {alias}"));
    let dup = if publish.dup { " dup" } else { "" };
    let payload = String::from_utf8_lossy(publish.payload);
    format!("{}:{payload} q{}{id}{dup}{alias}", publish.topic, publish.qos)
}

fn ack_line(name: &str, ack: &Ack<'_>) -> String {
    if ack.reason == ReasonCode::Success {
        format!("{name} {}", ack.packet_id)
    } else {
        format!("{name} {} {:?}", ack.packet_id, ack.reason)
    }
}

pub fn line(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => {
            format!("CONNECT '{}' clean={}", connect.client_id, connect.clean_start)
        }
        Packet::Publish(publish) => publish_line(publish),
        Packet::Puback(ack) => ack_line("PUBACK", ack),
        Packet::Pubrec(ack) => ack_line("PUBREC", ack),
        Packet::Pubrel(ack) => ack_line("PUBREL", ack),
        Packet::Pubcomp(ack) => ack_line("PUBCOMP", ack),
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> = subscribe.filters.iter().map(|filter| filter.filter).collect();
            format!("SUBSCRIBE {} {}", subscribe.packet_id, filters.join(","))
        }
        Packet::Unsubscribe(packet) => {
            format!("UNSUBSCRIBE {} {}", packet.packet_id, packet.filters.join(","))
        }
        Packet::Disconnect(packet) => format!("DISCONNECT {:?}", packet.reason),
        Packet::Auth(auth) => format!("AUTH {:?} {:?}", auth.reason, auth.data),
        other => other.packet_type().to_string(),
    }
}

fn event_line(event: &Event<'_>) -> String {
    match event {
        Event::Connected(connack) => format!("connected present={}", connack.session_present),
        Event::Refused(connack) => format!("refused {:?}", connack.reason),
        Event::Message(publish) => publish_line(publish),
        Event::Published { token, reason } => format!("published {} {reason:?}", token.0),
        Event::PublishDropped { token, cause } => format!("dropped {} {cause:?}", token.0),
        Event::Subscribed(suback) => format!("subscribed {}", suback.packet_id),
        Event::Unsubscribed(unsuback) => format!("unsubscribed {}", unsuback.packet_id),
        Event::Auth(auth) => format!("auth {:?} {:?}", auth.reason, auth.data),
        Event::Disconnected(cause) => format!("disconnected: {cause}"),
        Event::ReconnectAt(_) => "reconnect".to_owned(),
        Event::OpenTransport => "open".to_owned(),
        Event::CloseTransport => "close".to_owned(),
        Event::Stopped => "stopped".to_owned(),
    }
}
