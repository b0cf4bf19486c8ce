//! The engine's side of reading: bytes become packets, CONNECT comes first, aliases are resolved,
//! clocks are watched; then the packet goes to the broker.

use super::{CloseReason, ConnectionId, Direction, Effect, Engine, Observer, PacketSeen};
use crate::broker::{Next, TimerKey, Violation};
use crate::codec::{DecodeError, Decoder, Limits};
use crate::conf::BrokerConfig;
use crate::connection::{AliasError, Connection, IncomingAliases, Phase, Rates, Unread};
use crate::packet::{Packet, Publish, ReasonCode, Version};
use crate::time::Instant;

/// A connection that waits for another shard is looked at again so long after its Keep Alive.
const HELD_SECS: u64 = 120;

const FULL: &str = "the disk of the store is full, which 3.x cannot be told in PUBACK";

/// The time-outs of the configuration, seconds; 0 = none.
#[derive(Clone, Copy, Debug)]
struct Patience {
    connect: u64,
    packet: u64,
    output: u64,
    room: u64,
}

impl Patience {
    fn of(broker: &BrokerConfig) -> Self {
        Self {
            connect: broker.connect_timeout_secs.into(),
            packet: broker.packet_timeout_secs.into(),
            output: broker.output_timeout_secs.into(),
            room: broker.full_disk_timeout_secs.into(),
        }
    }
}

/// When a client of 3.x has waited for room on the disk for long enough.
fn end_of_unread(unread: &Unread, patience: Patience) -> Option<Instant> {
    (patience.room > 0).then(|| unread.since.plus_secs(patience.room))
}

impl<O: Observer> Engine<O> {
    pub(super) fn bytes(
        &mut self,
        now: Instant,
        conn: ConnectionId,
        chunk: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let Some(slot) = self.links.find(conn) else { return };
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        if connection.awaits_verdict() {
            self.broker.stats.bytes_received += chunk.len() as u64;
            self.hold_back(now, slot, chunk, effects);
            return;
        }
        if connection.unread.is_some() {
            self.broker.stats.bytes_received += chunk.len() as u64;
            self.leave_unread(now, slot, chunk, effects);
            return;
        }
        let mut decoder = core::mem::take(&mut connection.decoder);
        let mut aliases = core::mem::take(&mut connection.aliases_in);
        self.broker.stats.bytes_received += chunk.len() as u64;
        let packets_before = self.broker.stats.packets_received;
        let acks_before = self.broker.stats.acks_received;
        let open = self.packets(now, slot, chunk, &mut decoder, &mut aliases, effects);
        if !open {
            return;
        }
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        decoder.release();
        let partial = !decoder.buffered().is_empty();
        if partial {
            self.broker.memory.kept(chunk.len() as u64);
        }
        connection.decoder = decoder;
        connection.aliases_in = aliases;
        // A stream that is cut in the middle of a packet each time is not one unfinished packet.
        let progress = self.broker.stats.packets_received != packets_before;
        let was_partial = connection.partial_since.is_some();
        if partial != was_partial || progress {
            connection.partial_since = partial.then_some(now);
        }
        if partial != was_partial && connection.is_connected() {
            self.arm(now, slot);
        }
        self.hold_if_withheld(now, slot, effects);
        let acks = self.broker.stats.acks_received - acks_before;
        let packets = self.broker.stats.packets_received - packets_before;
        self.throttle(now, slot, packets - acks, chunk.len() as u64, effects);
    }

    /// Handles all packets in `chunk`; `false` if the connection is gone.
    fn packets(
        &mut self,
        now: Instant,
        slot: u32,
        chunk: &[u8],
        decoder: &mut Decoder,
        aliases: &mut IncomingAliases,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let limits = self.limits();
        let mut rest = chunk;
        loop {
            match decoder.decode(rest, &limits) {
                Err(error) => {
                    self.malformed(now, slot, decoder.version(), error, effects);
                    return false;
                }
                Ok((consumed, None)) => {
                    rest = &rest[consumed..];
                    if rest.is_empty() {
                        return true;
                    }
                }
                Ok((consumed, Some(frame))) => {
                    rest = &rest[consumed..];
                    if self.waits_for_room(slot, &frame.packet) {
                        let unread = [frame.bytes, rest].concat();
                        return self.leave_unread(now, slot, &unread, effects);
                    }
                    self.seen(now, slot, &frame.packet, frame.bytes);
                    if !self.packet(now, slot, &frame.packet, aliases, effects) {
                        return false;
                    }
                    if rest.is_empty() {
                        return true;
                    }
                    if self.links.slots.get(slot).is_some_and(Connection::awaits_verdict) {
                        return self.hold_back(now, slot, rest, effects);
                    }
                }
            }
        }
    }

    /// Whether a packet is left unread because the disk is full.
    #[inline]
    fn waits_for_room(&self, slot: u32, packet: &Packet<'_>) -> bool {
        let Packet::Publish(publish) = packet else { return false };
        let connection = self.links.slots.get(slot);
        connection
            .and_then(Connection::session)
            .is_some_and(|key| self.broker.waits_for_room(key, publish))
    }

    /// Leaves bytes for when the disk has room, and reads no more; `false` if the connection is
    /// gone, because they were too many. A driver may have read some more before it was told.
    fn leave_unread(
        &mut self,
        now: Instant,
        slot: u32,
        chunk: &[u8],
        effects: &mut Vec<Effect>,
    ) -> bool {
        let limit = self.links.config.broker.max_pipelined_bytes as usize;
        let Some(connection) = self.links.slots.get_mut(slot) else { return false };
        self.broker.memory.kept(chunk.len() as u64);
        if let Some(unread) = &mut connection.unread {
            if unread.bytes.len() + chunk.len() > limit.max(chunk.len()) {
                self.close_as_full(now, slot, effects);
                return false;
            }
            unread.bytes.extend_from_slice(chunk);
            return true;
        }
        if !connection.is_paused() {
            effects.push(Effect::PauseRead { conn: connection.id });
        }
        connection.unread = Some(Box::new(Unread { since: now, bytes: chunk.to_vec() }));
        self.arm(now, slot);
        true
    }

    fn close_as_full(&mut self, now: Instant, slot: u32, effects: &mut Vec<Effect>) {
        self.broker.stats.drops.store_full += 1;
        let (code, detail) = (ReasonCode::QuotaExceeded, FULL);
        self.dismiss(now, slot, code, CloseReason::Violation { code, detail }, effects);
    }

    /// The disk has room again: what was left is read.
    pub(super) fn read_on(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let waiting = self.links.slots.iter().filter(|(_, one)| one.unread.is_some());
        let waiting: Vec<u32> = waiting.map(|(slot, _)| slot).collect();
        for slot in waiting {
            let Some(connection) = self.links.slots.get_mut(slot) else { continue };
            let Some(unread) = connection.unread.take() else { continue };
            connection.forgive(now, unread.since);
            let conn = connection.id;
            if !connection.is_paused() {
                effects.push(Effect::ResumeRead { conn });
            }
            // They were counted when they came.
            self.broker.stats.bytes_received -= unread.bytes.len() as u64;
            self.bytes(now, conn, &unread.bytes, effects);
            if self.links.find(conn).is_some() {
                self.arm(now, slot);
            }
        }
    }

    /// Stops reading from a client that sends faster than it may, until it may again.
    #[inline]
    fn throttle(
        &mut self,
        now: Instant,
        slot: u32,
        messages: u64,
        bytes: u64,
        effects: &mut Vec<Effect>,
    ) {
        let broker = &self.links.config.broker;
        let rates = Rates { messages: broker.max_message_rate, bytes: broker.max_byte_rate };
        if rates == Rates::default() {
            return;
        }
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        let throttle = connection.throttle.get_or_insert_default();
        let Some(until) = throttle.count(now, rates, messages, bytes) else { return };
        let since = throttle.paused.map_or(now, |(since, _)| since);
        let was_paused = connection.is_paused();
        if let Some(throttle) = &mut connection.throttle {
            throttle.paused = Some((since, until));
        }
        if !was_paused {
            effects.push(Effect::PauseRead { conn: connection.id });
        }
        if since == now {
            self.broker.stats.throttled += 1;
        }
        self.arm(now, slot);
    }

    /// Reads again from a client whose debt is paid.
    fn unthrottle(&mut self, now: Instant, slot: u32, effects: &mut Vec<Effect>) {
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        let paused = connection.throttle.as_mut().and_then(|throttle| throttle.paused.take());
        let Some((since, _)) = paused else { return };
        connection.forgive(now, since);
        if !connection.is_paused() {
            effects.push(Effect::ResumeRead { conn: connection.id });
        }
        self.arm(now, slot);
    }

    pub(super) fn limits(&self) -> Limits {
        let broker = &self.links.config.broker;
        Limits {
            max_packet_size: broker.max_packet_size,
            max_connect_size: broker.max_connect_size,
            max_user_properties: broker.max_user_properties,
            max_properties: broker.max_properties,
            ..Limits::default()
        }
    }

    #[inline]
    fn seen(&mut self, now: Instant, slot: u32, packet: &Packet<'_>, bytes: &[u8]) {
        self.broker.stats.packets_received += 1;
        self.broker.stats.acks_received += u64::from(packet.packet_type().is_ack());
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        // The one deadline of a client that is not let in yet runs on from when it was accepted.
        if connection.is_connected() {
            connection.last_packet = now;
        }
        if self.observer.wants_packets() {
            let seen = PacketSeen {
                conn: connection.id,
                direction: Direction::In,
                version: match packet {
                    Packet::Connect(connect) => connect.version,
                    _ => connection.version,
                },
                packet_type: packet.packet_type(),
                packet: Some(packet),
                bytes,
            };
            self.observer.packet(now, &seen);
        }
    }

    /// Handles one packet; `false` if the connection is gone.
    fn packet(
        &mut self,
        now: Instant,
        slot: u32,
        packet: &Packet<'_>,
        aliases: &mut IncomingAliases,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(connection) = self.links.slots.get(slot) else { return false };
        let id = connection.id;
        let Phase::Connected(key) = connection.phase else {
            return match packet {
                _ if connection.phase == Phase::Authenticating => {
                    self.before_connack(now, slot, packet, effects)
                }
                Packet::Connect(connect) => self.connect(now, slot, connect, aliases, effects),
                _ => false,
            };
        };
        let result = match packet {
            Packet::Publish(publish) if publish.properties.topic_alias.is_some() => {
                match resolve(publish, aliases) {
                    Ok(resolved) => {
                        let (broker, mut out) = self.parts(now, effects);
                        broker.handle(now, key, &Packet::Publish(resolved), &mut out)
                    }
                    Err(violation) => Err(violation),
                }
            }
            Packet::Auth(auth) => self.renew(now, slot, auth, effects),
            _ => {
                let (broker, mut out) = self.parts(now, effects);
                broker.handle(now, key, packet, &mut out)
            }
        };
        match result {
            Ok(Next::Continue) => self.links.slots.get(slot).is_some_and(|c| c.id == id),
            Ok(Next::Disconnected(code)) => {
                let (broker, mut out) = self.parts(now, effects);
                out.remove(slot, CloseReason::ClientDisconnected(code), broker);
                false
            }
            Err(Violation { code, detail }) => {
                self.broker.stats.protocol_errors += 1;
                let reason = CloseReason::Violation { code, detail };
                self.dismiss(now, slot, code, reason, effects);
                false
            }
        }
    }

    /// Answers bytes that are no packet, where the standard has an answer, and closes: nobody else
    /// notices.
    fn malformed(
        &mut self,
        now: Instant,
        slot: u32,
        version: Option<Version>,
        error: DecodeError,
        effects: &mut Vec<Effect>,
    ) {
        self.broker.stats.protocol_errors += 1;
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        if !connection.is_connected() {
            // Only a CONNECT that could be told apart is answered [MQTT-3.1.4-1].
            if let (Some(version), Some(code)) = (error.version.or(version), error.reason_code()) {
                connection.version = version;
                if version.is_v5() || code.v3_connect_code().is_some() {
                    let (_, mut out) = self.parts(now, effects);
                    out.write(slot, &refusing(code));
                }
            }
            self.broker.stats.connects_refused += 1;
        } else if connection.version.is_v5()
            && let Some(code) = error.reason_code()
        {
            return self.dismiss(now, slot, code, CloseReason::Malformed(error), effects);
        }
        self.lose(now, slot, CloseReason::Malformed(error), effects);
    }

    /// Arms the timer of a connection for what is due first.
    pub(super) fn arm(&mut self, now: Instant, slot: u32) {
        let patience = Patience::of(&self.links.config.broker);
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        let due = due(connection, patience);
        let due = due.map(|at| at.max(now));
        if due == connection.timer {
            return;
        }
        if let Some(at) = connection.timer {
            self.broker.timers.disarm(at, TimerKey::Connection(slot));
        }
        if let Some(at) = due {
            self.broker.timers.arm(at, TimerKey::Connection(slot));
        }
        connection.timer = due;
    }

    /// A connection's timer fired: perhaps a packet came since it was armed.
    pub(super) fn connection_timer(&mut self, now: Instant, slot: u32, effects: &mut Vec<Effect>) {
        let patience = Patience::of(&self.links.config.broker);
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        connection.timer = None;
        if connection.throttled().is_some_and(|(_, until)| until <= now) {
            self.unthrottle(now, slot, effects);
            return;
        }
        let due = due(connection, patience);
        if due.is_none_or(|at| at > now) {
            self.arm(now, slot);
            return;
        }
        let room = connection.unread.as_ref().and_then(|unread| end_of_unread(unread, patience));
        if room.is_some_and(|at| at <= now) {
            self.close_as_full(now, slot, effects);
            return;
        }
        let is_proved = connection.proof_ends.is_none_or(|at| at > now);
        if connection.held_since.is_some() && is_proved {
            connection.last_packet = now;
            self.arm(now, slot);
        } else if !connection.is_connected() {
            self.broker.stats.slow_closed += 1;
            self.lose(now, slot, CloseReason::ConnectTimeout, effects);
        } else if !is_proved {
            self.proof_ended(now, slot, effects);
        } else if unread_end(connection, patience).is_some() {
            self.broker.stats.slow_closed += 1;
            let (code, detail) =
                (ReasonCode::QuotaExceeded, "the client does not read what it is sent");
            self.dismiss(now, slot, code, CloseReason::Violation { code, detail }, effects);
        } else if connection.keep_alive_end().is_some_and(|at| at <= now) {
            self.broker.stats.keep_alive_timeouts += 1;
            let reason = CloseReason::KeepAliveTimeout;
            self.dismiss(now, slot, ReasonCode::KeepAliveTimeout, reason, effects);
        } else {
            self.broker.stats.slow_closed += 1;
            let reason = CloseReason::PacketTimeout;
            self.dismiss(now, slot, ReasonCode::MalformedPacket, reason, effects);
        }
    }
}

/// When the first time-out of a connection is due.
fn due(connection: &Connection, patience: Patience) -> Option<Instant> {
    match (connection.throttled(), patience_end(connection, patience)) {
        (Some((_, until)), Some(at)) => Some(until.min(at)),
        (Some((_, until)), None) => Some(until),
        (None, patience) => patience,
    }
}

/// When our patience ends. While we do not read a connection its Keep Alive rests.
fn patience_end(connection: &Connection, patience: Patience) -> Option<Instant> {
    if !connection.is_connected() {
        let limit = patience.connect;
        let since = connection.pending.as_ref().map_or(connection.last_packet, |it| it.since);
        return (limit > 0).then(|| since.plus_secs(limit));
    }
    let at_rest = due_at_rest(connection, patience);
    match (connection.proof_ends, at_rest) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The same for a connection that was let in, but for the end of what it was let in by.
fn due_at_rest(connection: &Connection, patience: Patience) -> Option<Instant> {
    if let Some(unread) = &connection.unread {
        return end_of_unread(unread, patience);
    }
    if connection.held_since.is_some() {
        // It looks again later; the release moves the Keep Alive on.
        return connection.keep_alive_end().map(|at| at.plus_secs(HELD_SECS));
    }
    if let Some(end) = unread_end(connection, patience) {
        return Some(end);
    }
    if connection.throttled().is_some() {
        return None;
    }
    let partial = connection.partial_since.filter(|_| patience.packet > 0);
    let partial = partial.map(|since| since.plus_secs(patience.packet));
    match (connection.keep_alive_end(), partial) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// When a client must have read what it is sent; `None` if it does, or if it has all the time.
fn unread_end(connection: &Connection, patience: Patience) -> Option<Instant> {
    let since = connection.blocked_since.filter(|_| patience.output > 0)?;
    let secs = patience.output.max(u64::from(connection.keep_alive) * 9 / 2);
    Some(since.plus_secs(secs))
}

/// The PUBLISH under the topic that its alias stands for.
fn resolve<'a>(
    publish: &Publish<'a>,
    aliases: &'a mut IncomingAliases,
) -> Result<Publish<'a>, Violation> {
    let mut resolved = publish.clone();
    if let Some(alias) = resolved.properties.topic_alias.take() {
        resolved.topic = aliases.resolve(publish.topic, alias).map_err(|error| match error {
            AliasError::OverMaximum => Violation::new(
                ReasonCode::TopicAliasInvalid,
                "Topic Alias over the Topic Alias Maximum [MQTT-3.3.2-9]",
            ),
            AliasError::Unknown => Violation::new(
                ReasonCode::ProtocolError,
                "an empty topic with a Topic Alias that stands for nothing (§3.3.2.3.4)",
            ),
        })?;
    }
    Ok(resolved)
}

fn refusing(code: ReasonCode) -> Packet<'static> {
    Packet::Connack(crate::packet::Connack {
        session_present: false,
        reason: code,
        properties: crate::packet::ConnackProperties::default(),
    })
}
