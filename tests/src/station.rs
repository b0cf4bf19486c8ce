//! A client that survives its broker: the library's own client over a socket, with what it was told
//! written down. Never blocks; whoever drives it calls [`Station::step`] again and again.

use crate::clock_now;
use halyard_core::client::CleanStart;
use halyard_core::client::Client;
use halyard_core::client::Event;
use halyard_core::client::Input;
use halyard_core::client::Options;
use halyard_core::packet::PacketId;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::SubscribeFilter;
use halyard_core::packet::SubscriptionOptions;
use halyard_core::packet::UserProperties;
use halyard_core::packet::Version;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The broker accepted it; whether it found its session.
    Connected(bool),
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload, a number in words.
        payload: String,
        /// Its QoS.
        qos: QoS,
        /// RETAIN.
        retain: bool,
    },
    /// A message of this number was acknowledged.
    Published(u64),
    /// SUBACK or UNSUBACK.
    Answered(PacketId),
}

/// A client with its connection, if it has one.
#[derive(Debug)]
pub struct Station {
    client: Client,
    stream: Option<TcpStream>,
    wants: bool,
    heard: Vec<Heard>,
}

impl Station {
    /// A client with a session that lasts, or one that ends with its connection.
    pub fn new(client_id: &str, lasting: bool) -> Self {
        let options = Options {
            clean_start: if lasting { CleanStart::Never } else { CleanStart::Always },
            session_expiry_interval: lasting.then_some(u32::MAX),
            republish_lost: false,
            queue_messages: 1_000_000,
            ..Options::new(Version::V5, client_id)
        };
        Self { client: Client::new(options, 1), stream: None, wants: false, heard: Vec::new() }
    }

    /// Whether the broker has accepted it.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Messages that are not acknowledged.
    pub fn unfinished(&self) -> u32 {
        self.client.inflight() + self.client.queued().0
    }

    /// Connects, if it is not connected or trying.
    pub fn connect(&mut self, to: SocketAddr) {
        if self.stream.is_some() {
            return;
        }
        self.wants = false;
        self.with(|client, sink| client.connect(sink));
        if !std::mem::take(&mut self.wants) {
            return;
        }
        let opened = TcpStream::connect(to).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        let input = if let Ok(stream) = opened {
            self.stream = Some(stream);
            Input::TransportOpened
        } else {
            Input::TransportClosed
        };
        self.with(|client, sink| client.handle(clock_now(), input, sink));
    }

    /// Breaks its connection without a word.
    pub fn cut(&mut self) {
        if self.stream.take().is_some() {
            self.with(|client, sink| client.handle(clock_now(), Input::TransportClosed, sink));
        }
    }

    /// Publishes, or keeps for later; the number comes back in [`Heard::Published`].
    ///
    /// # Panics
    /// If the client refuses it.
    pub fn publish(&mut self, topic: &str, payload: &str, qos: QoS, retain: bool) -> u64 {
        let publish = Publish {
            dup: false,
            qos,
            retain,
            topic,
            packet_id: None,
            properties: PublishProperties::default(),
            payload: payload.as_bytes(),
        };
        let receipt = self.client.publish(clock_now(), &publish);
        receipt.expect("the client takes a message").token.0
    }

    /// Subscribes, if it is connected; the answer is [`Heard::Answered`].
    pub fn subscribe(&mut self, filter: &str) -> Option<PacketId> {
        let options = SubscriptionOptions::new(QoS::ExactlyOnce);
        let filters = [SubscribeFilter { filter, options }];
        self.client.subscribe(clock_now(), &filters, None, UserProperties::default()).ok()
    }

    /// Unsubscribes, if it is connected; the answer is [`Heard::Answered`].
    pub fn unsubscribe(&mut self, filter: &str) -> Option<PacketId> {
        self.client.unsubscribe(clock_now(), &[filter], UserProperties::default()).ok()
    }

    /// Reads and writes what can be; gives what was heard since the last time.
    pub fn step(&mut self) -> Vec<Heard> {
        self.write();
        let mut buffer = [0; 16 * 1024];
        while let Some(stream) = &mut self.stream {
            match stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => self.cut(),
                Ok(len) => {
                    let input = Input::Bytes(&buffer[..len]);
                    self.with(|client, sink| client.handle(clock_now(), input, sink));
                }
            }
        }
        self.write();
        std::mem::take(&mut self.heard)
    }

    fn write(&mut self) {
        while let Some(stream) = &mut self.stream
            && !self.client.output().is_empty()
        {
            match stream.write(self.client.output()) {
                Ok(len) => self.client.consume_output(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.cut(),
            }
        }
    }

    fn with(&mut self, call: impl FnOnce(&mut Client, &mut dyn FnMut(Event<'_>))) {
        let (heard, wants) = (&mut self.heard, &mut self.wants);
        let mut close = false;
        call(&mut self.client, &mut |event| match event {
            Event::OpenTransport => *wants = true,
            Event::CloseTransport => close = true,
            Event::Connected(connack) => heard.push(Heard::Connected(connack.session_present)),
            Event::Message(message) => heard.push(Heard::Message {
                topic: message.topic.to_owned(),
                payload: String::from_utf8_lossy(message.payload).into_owned(),
                qos: message.qos,
                retain: message.retain,
            }),
            Event::Published { token, reason } => {
                // The broker ended between the release of an identifier and PUBCOMP: it is done.
                let is_done = reason == ReasonCode::PacketIdentifierNotFound;
                assert!(!reason.is_error() || is_done, "a message was refused: {reason}");
                heard.push(Heard::Published(token.0));
            }
            Event::Subscribed(suback) => heard.push(Heard::Answered(suback.packet_id)),
            Event::Unsubscribed(unsuback) => heard.push(Heard::Answered(unsuback.packet_id)),
            Event::Refused(connack) => panic!("refused: {}", connack.reason),
            _ => {}
        });
        if close {
            // Its last words are worth a try, no more.
            if let Some(mut stream) = self.stream.take() {
                _ = stream.write(&self.client.take_output());
            }
        }
    }
}
