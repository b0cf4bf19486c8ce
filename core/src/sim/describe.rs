//! Packets as short lines, for traces and for tests that compare what went over a wire.

use crate::packet::{Ack, Packet, Publish, ReasonCode};
use core::fmt::Write as _;

/// One packet as a line: the name, then what matters, the ordinary left out.
pub fn describe(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => format!(
            "CONNECT {} '{}'{} keep alive {}",
            connect.version,
            connect.client_id,
            if connect.clean_start { " clean" } else { "" },
            connect.keep_alive
        ),
        Packet::Connack(connack) => {
            let present = if connack.session_present { " present" } else { "" };
            format!("CONNACK{}{present}", reason(connack.reason))
        }
        Packet::Publish(publish) => describe_publish(publish),
        Packet::Puback(packet) => ack("PUBACK", packet),
        Packet::Pubrec(packet) => ack("PUBREC", packet),
        Packet::Pubrel(packet) => ack("PUBREL", packet),
        Packet::Pubcomp(packet) => ack("PUBCOMP", packet),
        Packet::Subscribe(subscribe) => {
            let mut line = format!("SUBSCRIBE {}", subscribe.packet_id);
            for filter in &subscribe.filters {
                let _ = write!(line, " {} q{}", filter.filter, filter.options.qos);
            }
            line
        }
        Packet::Suback(suback) => format!("SUBACK {}{}", suback.packet_id, codes(&suback.reasons)),
        Packet::Unsubscribe(packet) => {
            format!("UNSUBSCRIBE {} {}", packet.packet_id, packet.filters.join(" "))
        }
        Packet::Unsuback(unsuback) => {
            format!("UNSUBACK {}{}", unsuback.packet_id, codes(&unsuback.reasons))
        }
        Packet::Disconnect(packet) => format!("DISCONNECT{}", reason(packet.reason)),
        Packet::Auth(packet) => format!("AUTH{}", reason(packet.reason)),
        Packet::Pingreq | Packet::Pingresp => packet.packet_type().to_string(),
    }
}

fn describe_publish(publish: &Publish<'_>) -> String {
    let mut line = format!("PUBLISH {}", publish.topic);
    if let Some(alias) = publish.properties.topic_alias {
        let _ = write!(line, "~{alias}");
    }
    let payload = &publish.payload[..publish.payload.len().min(40)];
    let _ = write!(line, " '{}' q{}", String::from_utf8_lossy(payload), publish.qos);
    if let Some(id) = publish.packet_id {
        let _ = write!(line, " #{id}");
    }
    if publish.dup {
        line.push_str(" dup");
    }
    if publish.retain {
        line.push_str(" retain");
    }
    if let Some(seconds) = publish.properties.message_expiry_interval {
        let _ = write!(line, " expiry {seconds}");
    }
    for id in &publish.properties.subscription_identifiers {
        let _ = write!(line, " sub {id}");
    }
    line
}

fn ack(name: &str, ack: &Ack<'_>) -> String {
    format!("{name} {}{}", ack.packet_id, reason(ack.reason))
}

fn reason(code: ReasonCode) -> String {
    if code == ReasonCode::Success { String::new() } else { format!(" 0x{:02X}", code.as_u8()) }
}

fn codes(reasons: &[ReasonCode]) -> String {
    reasons.iter().map(|code| format!(" {:02X}", code.as_u8())).collect()
}
