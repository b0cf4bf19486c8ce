//! The engine's side of [`Outlet`]: packets become bytes in the output of their connection.

use super::{
    CloseReason, Connections, DeliverySeen, Direction, Effect, Event, LinkMessage, Observer,
    PacketSeen, ShardId,
};
use crate::broker::{Broker, Outlet, Room, TimerKey};
use crate::codec;
use crate::connection::Connection;
use crate::packet::{Packet, PacketType, Publish};
use crate::time::Instant;

/// How far over the high-water mark the output of one turn may go before live messages count as
/// too many: what a fast reader takes in one go must not look like a slow one.
const TURN_FACTOR: u64 = 8;

/// Connections, effects and observer, borrowed for one input.
pub(super) struct Out<'a, O> {
    pub(super) links: &'a mut Connections,
    pub(super) observer: &'a mut O,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) now: Instant,
}

impl<O: Observer> Out<'_, O> {
    /// Writes a packet that is no PUBLISH.
    pub(super) fn write(&mut self, slot: u32, packet: &Packet<'_>) {
        let Some(connection) = self.links.prepare(slot) else { return };
        let start = connection.output.bytes.len();
        codec::encode(packet, connection.version, &mut connection.output.bytes);
        let len = connection.output.len() - start as u64;
        if len > u64::from(connection.maximum_packet_size) {
            // It must not be sent [MQTT-3.1.2-24].
            connection.output.bytes.truncate(start);
            if let Some(shorter) = without_reason(packet) {
                return self.write(slot, &shorter);
            }
            self.links.unsendable += 1;
            return;
        }
        self.links.bytes_sent += len;
        self.links.packets_sent += 1;
        if self.observer.wants_packets() {
            let Some(connection) = self.links.slots.get(slot) else { return };
            let seen = PacketSeen {
                conn: connection.id,
                direction: Direction::Out,
                version: connection.version,
                packet_type: packet.packet_type(),
                packet: Some(packet),
                bytes: &connection.output.bytes[start..],
            };
            self.observer.packet(self.now, &seen);
        }
    }

    /// Takes the connection out; what it still has to say goes to the farewells.
    pub(super) fn remove(&mut self, slot: u32, reason: CloseReason, broker: &mut Broker) {
        if let Some(connection) = self.links.slots.get(slot)
            && let Some(at) = connection.timer
        {
            broker.timers.disarm(at, TimerKey::Connection(slot));
        }
        self.take_out(slot, reason);
        broker.stats.connections_open = self.links.slots.len() as u64;
    }

    fn take_out(&mut self, slot: u32, reason: CloseReason) {
        let Some(mut connection) = self.links.slots.remove(slot) else { return };
        self.links.by_id.remove(&connection.id);
        let event = Event::Closed {
            conn: connection.id,
            peer: &connection.peer,
            client_id: connection.client_id.as_deref(),
            reason: &reason,
        };
        self.observer.event(self.now, &event);
        self.links.part(connection.id, &mut connection.output, reason, self.effects);
    }
}

impl<O: Observer> Outlet for Out<'_, O> {
    fn send(&mut self, slot: u32, packet: &Packet<'_>) {
        self.write(slot, packet);
    }

    fn new_message(&mut self) {
        self.links.frames.new_message();
    }

    fn publish(&mut self, slot: u32, publish: &Publish<'_>, shareable: bool) {
        let qos = usize::from(publish.qos.bits());
        self.links.publish_sent[qos] += 1;
        self.links.publish_bytes_sent[qos] += publish.payload.len() as u64;
        self.links.packets_sent += 1;
        if self.links.prepare(slot).is_none() {
            return;
        }
        let Connections { slots, frames, bytes_sent, .. } = &mut *self.links;
        let Some(connection) = slots.get_mut(slot) else { return };
        let (version, out) = (connection.version, &mut connection.output.bytes);
        let start = out.len();
        // An alias costs three bytes, and perhaps another of length: not at the client's limit.
        let spare = connection.maximum_packet_size == u32::MAX
            || codec::publish_len(publish, version) + 7 <= connection.maximum_packet_size;
        if connection.aliases_out.is_used() && spare {
            let mut aliased = publish.clone();
            if let Some((alias, known)) = connection.aliases_out.alias(publish.topic) {
                aliased.properties.topic_alias = Some(alias);
                aliased.topic = if known { "" } else { publish.topic };
            }
            codec::encode_publish(&aliased, version, out);
        } else if shareable {
            frames.append(publish, version, out);
        } else {
            codec::encode_publish(publish, version, out);
        }
        *bytes_sent += (out.len() - start) as u64;
        if self.observer.wants_packets() {
            let packet = Packet::Publish(publish.clone());
            let seen = PacketSeen {
                conn: connection.id,
                direction: Direction::Out,
                version,
                packet_type: PacketType::Publish,
                packet: Some(&packet),
                bytes: &connection.output.bytes[start..],
            };
            self.observer.packet(self.now, &seen);
        }
    }

    #[inline]
    fn has_room(&self, slot: u32) -> bool {
        let limit = u64::from(self.links.config.broker.output_high_water) * TURN_FACTOR;
        self.links.slots.get(slot).is_some_and(|connection| {
            connection.blocked_since.is_none() && connection.output.len() < limit
        })
    }

    fn has_pump_room(&self, slot: u32) -> Room {
        let limit = u64::from(self.links.config.broker.output_high_water);
        match self.links.slots.get(slot) {
            None => Room::Blocked,
            Some(connection) if connection.blocked_since.is_some() => Room::Blocked,
            Some(connection) if connection.output.len() >= limit => {
                // What waits for the store goes on when that has answered.
                let waits = connection.output.first_gate().is_some();
                if waits { Room::Blocked } else { Room::NextTurn }
            }
            Some(_) => Room::Yes,
        }
    }

    fn close(&mut self, slot: u32, reason: CloseReason) {
        self.take_out(slot, reason);
    }

    fn withhold(&mut self, slot: u32, lsn: u64) {
        self.links.withhold(slot, lsn);
    }

    fn hold(&mut self, slot: u32) {
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        if !connection.is_paused() {
            self.effects.push(Effect::PauseRead { conn: connection.id });
        }
        connection.held_since.get_or_insert(self.now);
    }

    fn release(&mut self, slot: u32) {
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        let Some(since) = connection.held_since.take() else { return };
        connection.forgive(self.now, since);
        if !connection.is_paused() {
            self.effects.push(Effect::ResumeRead { conn: connection.id });
        }
    }

    fn link(&mut self, peer: ShardId, message: LinkMessage) {
        self.effects.push(Effect::Link { peer, message });
    }

    fn timer_of(&self, slot: u32) -> Option<Instant> {
        self.links.slots.get(slot)?.timer
    }

    fn event(&mut self, event: &Event<'_>) {
        self.observer.event(self.now, event);
    }

    #[inline]
    fn wants_deliveries(&self) -> bool {
        self.observer.wants_packets()
    }

    fn delivery(&mut self, seen: &DeliverySeen<'_>) {
        self.observer.delivery(self.now, seen);
    }
}

impl Connections {
    /// The connection, marked as having output and with a buffer to write into.
    #[inline]
    fn prepare(&mut self, slot: u32) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(slot)?;
        if !connection.output.dirty {
            connection.output.dirty = true;
            self.dirty.push_back(slot);
            if connection.output.bytes.capacity() == 0
                && let Some(buffer) = self.pool.pop()
            {
                connection.output.bytes = buffer;
            }
        }
        Some(connection)
    }
}

/// The same without its Reason String, which goes first where a packet is over the Maximum Packet
/// Size of the client [MQTT-3.2.2-19], [MQTT-3.14.2-3].
fn without_reason<'a>(packet: &Packet<'a>) -> Option<Packet<'a>> {
    let mut packet = packet.clone();
    let reason = match &mut packet {
        Packet::Connack(connack) => connack.properties.reason_string.take(),
        Packet::Disconnect(disconnect) => disconnect.reason_string.take(),
        _ => None,
    };
    reason.map(|_| packet)
}
