//! `-d`: what goes over the wire, a line a packet, in mosquitto_pub's words. Reads the bytes that
//! pass and changes nothing.

use halyard_core::codec::{Decoder, Limits, Role};
use halyard_core::packet::{Ack, Packet, Publish, Version};

/// Follows one connection, both ways.
#[derive(Debug)]
pub(super) struct Trace {
    sent: Decoder,
    received: Decoder,
    version: Version,
    is_sub: bool,
    /// Messages sent; what mosquitto_pub calls their number even at QoS 0.
    published: u16,
}

impl Trace {
    pub(super) fn new(version: Version, is_sub: bool) -> Self {
        let mut trace = Self {
            sent: Decoder::new(Role::Server),
            received: Decoder::new(Role::Client),
            version,
            is_sub,
            published: 0,
        };
        trace.opened();
        trace
    }

    /// Another connection begins.
    pub(super) fn opened(&mut self) {
        self.sent = Decoder::new(Role::Server);
        self.received = Decoder::new(Role::Client);
        self.received.set_version(self.version);
    }

    /// Lines for bytes that are sent.
    pub(super) fn sent(&mut self, bytes: &[u8], client_id: &str, out: &mut Vec<u8>) {
        let published = &mut self.published;
        packets(&mut self.sent, bytes, |packet| {
            *published = published.wrapping_add(u16::from(matches!(packet, Packet::Publish(_))));
            for line in sent_lines(packet, *published) {
                out.extend_from_slice(
                    format!("Client {} sending {line}\n", named(client_id)).as_bytes(),
                );
            }
        });
    }

    /// Lines for bytes that are received.
    pub(super) fn received(&mut self, bytes: &[u8], client_id: &str, out: &mut Vec<u8>) {
        let is_sub = self.is_sub;
        packets(&mut self.received, bytes, |packet| {
            if let Packet::Disconnect(packet) = packet {
                out.extend_from_slice(
                    format!("Received DISCONNECT ({})\n", packet.reason.as_u8()).as_bytes(),
                );
                return;
            }
            let line = received_line(packet);
            out.extend_from_slice(
                format!("Client {} received {line}\n", named(client_id)).as_bytes(),
            );
            if let (Packet::Suback(suback), true) = (packet, is_sub) {
                let codes: Vec<_> =
                    suback.reasons.iter().map(|code| code.as_u8().to_string()).collect();
                let codes = codes.join(", ");
                out.extend_from_slice(
                    format!("Subscribed (mid: {}): {codes}\n", suback.packet_id).as_bytes(),
                );
            }
        });
    }
}

const fn named(client_id: &str) -> &str {
    if client_id.is_empty() { "(null)" } else { client_id }
}

fn packets(decoder: &mut Decoder, mut bytes: &[u8], mut each: impl FnMut(&Packet<'_>)) {
    while !bytes.is_empty() {
        // Wrong bytes are the client's to complain of.
        let Ok((used, frame)) = decoder.decode(bytes, &Limits::default()) else { return };
        bytes = &bytes[used..];
        if let Some(frame) = frame {
            each(&frame.packet);
        }
    }
}

fn sent_lines(packet: &Packet<'_>, published: u16) -> Vec<String> {
    match packet {
        Packet::Publish(publish) => vec![publish_line(publish, published)],
        Packet::Subscribe(subscribe) => {
            let line = |filter: &halyard_core::packet::SubscribeFilter<'_>| {
                format!(
                    "SUBSCRIBE (Mid: {}, Topic: {}, QoS: {}, Options: 0x{:02x})",
                    subscribe.packet_id,
                    filter.filter,
                    filter.options.qos,
                    filter.options.bits() & !3
                )
            };
            subscribe.filters.iter().map(line).collect()
        }
        Packet::Unsubscribe(packet) => {
            let line = |filter| format!("UNSUBSCRIBE (Mid: {}, Topic: {filter})", packet.packet_id);
            packet.filters.iter().map(line).collect()
        }
        Packet::Puback(ack) => vec![ack_line("PUBACK", ack, true)],
        Packet::Pubrec(ack) => vec![ack_line("PUBREC", ack, true)],
        Packet::Pubcomp(ack) => vec![format!("PUBCOMP (m{})", ack.packet_id)],
        Packet::Pubrel(ack) => vec![format!("PUBREL (m{})", ack.packet_id)],
        other => vec![other.packet_type().name().to_owned()],
    }
}

fn received_line(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connack(connack) => {
            let code = connack.reason.as_u8();
            format!("CONNACK ({code})")
        }
        Packet::Publish(publish) => publish_line(publish, 0),
        Packet::Puback(ack) => ack_line("PUBACK", ack, false),
        Packet::Pubcomp(ack) => ack_line("PUBCOMP", ack, false),
        Packet::Pubrec(ack) => format!("PUBREC (Mid: {})", ack.packet_id),
        Packet::Pubrel(ack) => format!("PUBREL (Mid: {})", ack.packet_id),
        other => other.packet_type().name().to_owned(),
    }
}

/// `without_id` stands where the message has no identifier.
fn publish_line(publish: &Publish<'_>, without_id: u16) -> String {
    format!(
        "PUBLISH (d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
        u8::from(publish.dup),
        publish.qos,
        u8::from(publish.retain),
        publish.packet_id.map_or(without_id, halyard_core::packet::PacketId::get),
        publish.topic,
        publish.payload.len()
    )
}

fn ack_line(name: &str, ack: &Ack<'_>, sent: bool) -> String {
    let reason = ack.reason.as_u8();
    if sent {
        format!("{name} (m{}, rc{reason})", ack.packet_id)
    } else {
        format!("{name} (Mid: {}, RC:{reason})", ack.packet_id)
    }
}
