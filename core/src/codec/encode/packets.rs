//! Bodies of all packets but PUBLISH: what follows the fixed header. Generic over the [`Sink`], so
//! that one code counts and writes.

use super::properties::{Properties, Reasoned, section};
use super::sink::Sink;
use crate::packet::{
    Ack, Auth, Connack, Connect, Disconnect, Packet, ReasonCode, Suback, Subscribe, Unsuback,
    Unsubscribe, Version, Will,
};

pub(super) fn body<S: Sink>(packet: &Packet<'_>, version: Version, out: &mut S) {
    match packet {
        Packet::Connect(packet) => connect(packet, out),
        Packet::Connack(packet) => connack(packet, version, out),
        Packet::Publish(_) | Packet::Pingreq | Packet::Pingresp => {}
        Packet::Puback(packet)
        | Packet::Pubrec(packet)
        | Packet::Pubrel(packet)
        | Packet::Pubcomp(packet) => ack(packet, version, out),
        Packet::Subscribe(packet) => subscribe(packet, version, out),
        Packet::Suback(packet) => suback(packet, version, out),
        Packet::Unsubscribe(packet) => unsubscribe(packet, version, out),
        Packet::Unsuback(packet) => unsuback(packet, version, out),
        Packet::Disconnect(packet) => disconnect(packet, version, out),
        Packet::Auth(packet) => auth(packet, out),
    }
}

/// PUBACK and its kin (§3.4 to §3.7): the tail is left out where it says nothing.
pub(super) fn ack<S: Sink>(ack: &Ack<'_>, version: Version, out: &mut S) {
    out.u16(ack.packet_id.get());
    let properties = Reasoned(ack.reason_string, ack.user_properties);
    reason_and_properties(ack.reason, &properties, version, out);
}

/// A reason code and properties that may both be left out (§3.4.2.1, §3.14.2.1).
fn reason_and_properties<S: Sink>(
    reason: ReasonCode,
    properties: &impl Properties,
    version: Version,
    out: &mut S,
) {
    if !version.is_v5() {
        return;
    }
    let len = properties.len();
    if reason == ReasonCode::Success && len == 0 {
        return;
    }
    out.u8(reason.as_u8());
    if len != 0 {
        out.varint(len);
        properties.write(out);
    }
}

fn connect<S: Sink>(connect: &Connect<'_>, out: &mut S) {
    let version = connect.version;
    debug_assert!(
        version.is_v5() || connect.username.is_some() || connect.password.is_none(),
        "a password without a user name before 5.0 [MQTT-3.1.2-22]"
    );
    out.string(if version == Version::V3 { "MQIsdp" } else { "MQTT" });
    let bridge = connect.bridge && !version.is_v5();
    out.u8(version.level() | u8::from(bridge) << 7);
    let mut flags = u8::from(connect.clean_start) << 1
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.username.is_some()) << 7;
    if let Some(will) = &connect.will {
        flags |= 0x04 | will.qos.bits() << 3 | u8::from(will.retain) << 5;
    }
    out.u8(flags);
    out.u16(connect.keep_alive);
    if version.is_v5() {
        section(&connect.properties, out);
    }
    out.string(connect.client_id);
    if let Some(will) = &connect.will {
        write_will(will, version, out);
    }
    if let Some(username) = connect.username {
        out.string(username);
    }
    if let Some(password) = connect.password {
        out.binary(password);
    }
}

fn write_will<S: Sink>(will: &Will<'_>, version: Version, out: &mut S) {
    if version.is_v5() {
        section(&will.properties, out);
    }
    out.string(will.topic);
    out.binary(will.payload);
}

fn connack<S: Sink>(connack: &Connack<'_>, version: Version, out: &mut S) {
    debug_assert!(
        !connack.session_present || connack.reason == ReasonCode::Success,
        "Session Present in a refusal [MQTT-3.2.2-6]"
    );
    out.u8(u8::from(connack.session_present && version != Version::V3));
    if version.is_v5() {
        out.u8(connack.reason.as_u8());
        section(&connack.properties, out);
    } else {
        // What 3.x has no word for is better not answered at all; "server unavailable" if it is.
        let code = connack.reason.v3_connect_code();
        debug_assert!(code.is_some(), "3.x has no return code for this refusal");
        out.u8(code.unwrap_or(3));
    }
}

fn subscribe<S: Sink>(subscribe: &Subscribe<'_>, version: Version, out: &mut S) {
    debug_assert!(!subscribe.filters.is_empty(), "SUBSCRIBE without a filter [MQTT-3.8.3-2]");
    out.u16(subscribe.packet_id.get());
    if version.is_v5() {
        section(subscribe, out);
    }
    for entry in &subscribe.filters {
        out.string(entry.filter);
        out.u8(if version.is_v5() { entry.options.bits() } else { entry.options.qos.bits() });
    }
}

fn suback<S: Sink>(suback: &Suback<'_>, version: Version, out: &mut S) {
    out.u16(suback.packet_id.get());
    if version.is_v5() {
        section(&Reasoned(suback.reason_string, suback.user_properties), out);
    }
    for reason in &suback.reasons {
        out.u8(match version {
            _ if !reason.is_error() => reason.as_u8(),
            Version::V5 => reason.as_u8(),
            // 3.1 has no word for a refusal. The broker gives none to its clients; servers that do
            // write this byte, and are understood.
            Version::V4 | Version::V3 => 0x80,
        });
    }
}

fn unsubscribe<S: Sink>(unsubscribe: &Unsubscribe<'_>, version: Version, out: &mut S) {
    debug_assert!(!unsubscribe.filters.is_empty(), "UNSUBSCRIBE without a filter [MQTT-3.10.3-2]");
    out.u16(unsubscribe.packet_id.get());
    if version.is_v5() {
        section(&unsubscribe.user_properties, out);
    }
    for filter in &unsubscribe.filters {
        out.string(filter);
    }
}

fn unsuback<S: Sink>(unsuback: &Unsuback<'_>, version: Version, out: &mut S) {
    out.u16(unsuback.packet_id.get());
    if version.is_v5() {
        section(&Reasoned(unsuback.reason_string, unsuback.user_properties), out);
        for reason in &unsuback.reasons {
            out.u8(reason.as_u8());
        }
    }
}

fn disconnect<S: Sink>(disconnect: &Disconnect<'_>, version: Version, out: &mut S) {
    reason_and_properties(disconnect.reason, disconnect, version, out);
}

/// AUTH (§3.15): either nothing at all, or both a reason code and properties.
fn auth<S: Sink>(auth: &Auth<'_>, out: &mut S) {
    if auth.reason != ReasonCode::Success || auth.len() != 0 {
        out.u8(auth.reason.as_u8());
        section(auth, out);
    }
}
