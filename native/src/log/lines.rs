//! What the engine does, as log lines in Mosquitto's words. Watches one shard; never decides.

use super::Field;
use super::Log;
use super::LogType;
use halyard_core::access::Access;
use halyard_core::access::Decision;
use halyard_core::engine::CloseReason;
use halyard_core::engine::ConnectionId;
use halyard_core::engine::DeliverySeen;
use halyard_core::engine::Direction;
use halyard_core::engine::Event;
use halyard_core::engine::Observer;
use halyard_core::engine::Outcome;
use halyard_core::engine::PacketSeen;
use halyard_core::engine::Peer;
use halyard_core::engine::SessionEnd;
use halyard_core::engine::TransportEnd;
use halyard_core::map::Map;
use halyard_core::map::map;
use halyard_core::packet::Packet;
use halyard_core::packet::Publish;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_core::time::Instant;
use std::fmt;
use std::sync::Arc;

/// Writes the log of a shard.
pub(crate) struct Lines {
    log: Log,
    /// Where each listener of the configuration listens: `port 1883`.
    listeners: Arc<[String]>,
    /// Why the next connection to be reported as lost is lost, where the driver knows more.
    cause: Option<(ConnectionId, String)>,
    /// Names for packet lines; only kept while those are wanted.
    names: Map<ConnectionId, Box<str>>,
}

impl Lines {
    pub(crate) fn new(log: Log, listeners: Arc<[String]>) -> Self {
        Self { log, listeners, cause: None, names: map(0) }
    }

    /// The listeners listen there from now on.
    pub(crate) fn listen(&mut self, listeners: Arc<[String]>) {
        self.listeners = listeners;
    }

    /// Says why `conn`, about to be reported as closed, is lost.
    pub(crate) fn explain(&mut self, conn: ConnectionId, cause: String) {
        self.cause = Some((conn, cause));
    }

    fn connection(&self, text: fmt::Arguments<'_>, fields: &[Field<'_>]) {
        if self.log.wants_connections() {
            self.log.add_with(LogType::Notice, text, fields);
        }
    }

    fn connected(&self, event: &Event<'_>) {
        let Event::Connected {
            peer, client_id, username, version, clean_start, keep_alive, ..
        } = event
        else {
            return;
        };
        let (protocol, clean) = (protocol_number(*version), u8::from(*clean_start));
        let user = User(*username);
        let name = username.unwrap_or("");
        let fields: [Field<'_>; 4] =
            [("event", &"connected"), ("client", client_id), ("peer", peer), ("user", &name)];
        let text = format_args!(
            "New client connected from {peer} as {client_id} (p{protocol}, c{clean}, \
             k{keep_alive}{user})."
        );
        self.connection(text, if username.is_some() { &fields } else { &fields[..3] });
    }

    fn denied(
        &self,
        client_id: &str,
        access: Access,
        topic: &str,
        publish: Option<&Publish<'_>>,
        decision: &Decision<'_>,
    ) {
        let why = decision.reason;
        let fields: [Field<'_>; 5] = [
            ("event", &"denied"),
            ("client", &client_id),
            ("access", &access),
            ("topic", &topic),
            ("rule", &why),
        ];
        match (access, publish) {
            (_, Some(publish)) => {
                let detail = PublishDetail(publish);
                let text = format_args!("Denied PUBLISH from {client_id}{detail}: {why}");
                self.log.add_with(LogType::Debug, text, &fields);
            }
            (Access::Subscribe, None) => {
                let text = format_args!("Denied SUBSCRIBE from {client_id} to {topic}: {why}");
                self.log.add_with(LogType::Debug, text, &fields);
            }
            (_, None) => {
                let text = format_args!("Denied will of {client_id} on {topic}: {why}");
                self.log.add_with(LogType::Notice, text, &fields);
            }
        }
    }

    fn dropping(&self, client_id: &str, outcome: Outcome) {
        let (cause, why) = match outcome {
            Outcome::SlowConsumer => {
                ("slow_consumer", "it reads too slowly for QoS 0 (output_high_water)")
            }
            _ => ("queue_full", "its queue is full (max_queued_messages, max_queued_bytes)"),
        };
        self.log.add_with(
            LogType::Notice,
            format_args!("Outgoing messages are being dropped for client {client_id}: {why}."),
            &[("event", &"dropping"), ("client", &client_id), ("cause", &cause)],
        );
    }

    fn closed(
        &mut self,
        conn: ConnectionId,
        peer: &Peer,
        client_id: Option<&str>,
        reason: &CloseReason,
    ) {
        let told = self.cause.take().filter(|(about, _)| *about == conn);
        let name = client_id.unwrap_or("<unknown>");
        let fields: [Field<'_>; 4] =
            [("event", &"disconnected"), ("client", &name), ("peer", peer), ("reason", reason)];
        let fields = &fields[..];
        if let Some((_, cause)) = told {
            let text = format_args!("Client {name} [{peer}] disconnected: {cause}.");
            self.log.add_with(LogType::Notice, text, fields);
            return;
        }
        match reason {
            CloseReason::ClientDisconnected(ReasonCode::Success) => {
                self.connection(format_args!("Client {name} [{peer}] disconnected."), fields);
            }
            CloseReason::ClientDisconnected(code) => self.connection(
                format_args!(
                    "Client {name} [{peer}] disconnected: it said 0x{:02X} {code}.",
                    code.as_u8()
                ),
                fields,
            ),
            CloseReason::TransportLost(TransportEnd::Eof) => {
                self.connection(
                    format_args!("Client {name} [{peer}] closed its connection."),
                    fields,
                );
            }
            CloseReason::KeepAliveTimeout => self.connection(
                format_args!("Client {name} [{peer}] has exceeded timeout, disconnecting."),
                fields,
            ),
            CloseReason::TakenOver => self.connection(
                format_args!("Client {name} [{peer}] already connected, closing old connection."),
                fields,
            ),
            CloseReason::Malformed(_) | CloseReason::Violation { .. } => self.log.add_with(
                LogType::Notice,
                format_args!(
                    "Client {name} [{peer}] disconnected due to protocol error: {reason}."
                ),
                fields,
            ),
            CloseReason::Refused { .. } => self.log.add_with(
                LogType::Notice,
                format_args!("Client {name} [{peer}] disconnected, not authorised: {reason}."),
                fields,
            ),
            _ => self.log.add_with(
                LogType::Notice,
                format_args!("Client {name} [{peer}] disconnected: {reason}."),
                fields,
            ),
        }
    }
}

impl Observer for Lines {
    #[inline]
    fn wants_packets(&self) -> bool {
        self.log.wants(LogType::Debug)
    }

    fn event(&mut self, _now: Instant, event: &Event<'_>) {
        match event {
            Event::Opened { peer, listener, .. } => {
                let place = self.listeners.get(usize::from(*listener)).map_or("", String::as_str);
                let fields: [Field<'_>; 3] =
                    [("event", &"opened"), ("peer", peer), ("listener", &place)];
                self.connection(format_args!("New connection from {peer} on {place}."), &fields);
            }
            Event::Connected { conn, client_id, .. } => {
                if self.wants_packets() {
                    self.names.insert(*conn, (*client_id).into());
                }
                self.connected(event);
            }
            Event::Closed { conn, peer, client_id, reason } => {
                self.names.remove(conn);
                self.closed(*conn, peer, *client_id, reason);
            }
            Event::Subscribed { client_id, filter, reason } => self.log.add_with(
                LogType::Subscribe,
                format_args!("{client_id} {} {filter}", reason.as_u8()),
                &[("event", &"subscribed"), ("client", client_id), ("filter", filter)],
            ),
            Event::Unsubscribed { client_id, filter, .. } => self.log.add_with(
                LogType::Unsubscribe,
                format_args!("{client_id} {filter}"),
                &[("event", &"unsubscribed"), ("client", client_id), ("filter", filter)],
            ),
            Event::Denied { client_id, access, topic, publish, decision } => {
                self.denied(client_id, *access, topic, *publish, decision);
            }
            Event::SessionEnded { client_id, cause: SessionEnd::Expired } => self
                .log
                .add(LogType::Notice, format_args!("Expiring client {client_id} due to timeout.")),
            Event::SessionEnded { .. } => {}
            Event::Dropping { client_id, outcome } => self.dropping(client_id, *outcome),
            Event::OverReceiveMaximum { client_id, receive_maximum } => self.log.add_with(
                LogType::Notice,
                format_args!(
                    "Client {client_id} sends more at a time than its Receive Maximum of \
                     {receive_maximum}; counted only, as receive_maximum_action says."
                ),
                &[("event", &"over_receive_maximum"), ("client", client_id)],
            ),
            Event::WillPublished { client_id, topic } => self
                .log
                .add(LogType::Debug, format_args!("Will of {client_id} published to {topic}")),
        }
    }

    fn packet(&mut self, _now: Instant, seen: &PacketSeen<'_>) {
        let known = self.names.get(&seen.conn);
        let name: &dyn fmt::Display = match known {
            Some(name) => name,
            None => &seen.conn,
        };
        let (verb, to) = match seen.direction {
            Direction::In => ("Received", "from"),
            Direction::Out => ("Sending", "to"),
        };
        let kind = seen.packet_type.name();
        let detail = Detail(seen.packet);
        self.log.add(LogType::Debug, format_args!("{verb} {kind} {to} {name}{detail}"));
    }

    fn delivery(&mut self, _now: Instant, seen: &DeliverySeen<'_>) {
        if matches!(seen.outcome, Outcome::Sent | Outcome::Queued) {
            return;
        }
        let DeliverySeen { client_id, topic, outcome, decision, .. } = seen;
        if let Some(decision) = decision {
            let why = decision.reason;
            let text = format_args!("Denied delivery of {topic} to {client_id}: {why}");
            return self.log.add(LogType::Debug, text);
        }
        self.log.add(
            LogType::Debug,
            format_args!("Message on {topic} not sent to {client_id}: {outcome:?}"),
        );
    }
}

/// Mosquitto's number for a version.
const fn protocol_number(version: Version) -> u8 {
    match version {
        Version::V3 => 1,
        Version::V4 => 2,
        Version::V5 => 5,
    }
}

/// `, u'name'`, if there is one.
struct User<'a>(Option<&'a str>);

impl fmt::Display for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, ", u'{name}'"))
    }
}

/// What is in a packet, without payloads and passwords.
struct Detail<'a>(Option<&'a Packet<'a>>);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Packet::Publish(publish)) => PublishDetail(publish).fmt(f),
            Some(Packet::Connack(connack)) => {
                write!(f, " ({}, {})", u8::from(connack.session_present), connack.reason.as_u8())
            }
            Some(
                Packet::Puback(ack)
                | Packet::Pubrec(ack)
                | Packet::Pubrel(ack)
                | Packet::Pubcomp(ack),
            ) => write!(f, " (m{}, rc{})", ack.packet_id, ack.reason.as_u8()),
            Some(Packet::Disconnect(disconnect)) => {
                write!(f, " (rc{})", disconnect.reason.as_u8())
            }
            _ => Ok(()),
        }
    }
}

/// What is in a PUBLISH, without its payload.
struct PublishDetail<'a>(&'a Publish<'a>);

impl fmt::Display for PublishDetail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(publish) = self;
        let id = publish.packet_id.map_or(0, |id| id.0.get());
        write!(
            f,
            " (d{}, q{}, r{}, m{id}, '{}', ... ({} bytes))",
            u8::from(publish.dup),
            publish.qos.bits(),
            u8::from(publish.retain),
            publish.topic,
            publish.payload.len()
        )
    }
}
