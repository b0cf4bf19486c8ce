//! Counters: one for everything that is refused or dropped, and those that `$SYS` and `/metrics`
//! show. A line here is all that a new one takes: it is saved, summed over shards and exposed by
//! its name, with its doc as the explanation. Never consulted for a decision.

use crate::state::state;

/// What a number of [`Stats`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterKind {
    /// It only grows.
    Counter,
    /// It comes and goes.
    Gauge,
}

/// One number of [`Stats`] or [`Drops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The name of its field. `_qos0` to `_qos2` at the end make three fields one family.
    pub name: &'static str,
    /// What it is.
    pub kind: CounterKind,
    /// What it counts, as its doc says; the first line of it.
    pub help: &'static str,
    /// The number.
    pub value: u64,
}

/// A struct of numbers, each `Counter` or `Gauge`, with all that is made of their list; behind a
/// `+` other such structs.
macro_rules! counters {
    ($(#[$outer:meta])* $name:ident {
        $(#[doc = $first:literal] $(#[doc = $more:literal])* $field:ident: $kind:ident,)+
        $(+ $(#[$inner:meta])* $part:ident: $type:ty,)*
    }) => {
        $(#[$outer])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $(#[doc = $first] $(#[doc = $more])* pub $field: u64,)+
            $($(#[$inner])* pub $part: $type,)*
        }

        state!($name { $($field,)+ $($part,)* });

        impl $name {
            /// Each number, in the order of the fields.
            pub fn list(&self) -> Vec<Counter> {
                vec![$(Counter {
                    name: stringify!($field),
                    kind: CounterKind::$kind,
                    help: $first.trim_ascii(),
                    value: self.$field,
                },)+]
            }

            /// Adds other numbers.
            fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)+
                $(self.$part.add(&other.$part);)*
            }
        }
    };
}

counters! {
    /// Why messages were dropped.
    #[derive(Copy)]
    Drops {
        /// The queue of a Session was full (`max_queued_messages`, `max_queued_bytes`).
        queue_full: Counter,
        /// QoS 0 to a Session that is not connected.
        offline: Counter,
        /// QoS 0 to a connection above its high-water mark.
        slow_consumer: Counter,
        /// Larger than the client's Maximum Packet Size.
        too_large: Counter,
        /// The Message Expiry Interval ran out.
        expired: Counter,
        /// Published to a topic that clients may not write (`$SYS`, `$CONTROL`).
        forbidden: Counter,
        /// Kept from a subscriber who may not read it (`acl_file`).
        denied_read: Counter,
        /// Published, or left as a Will, by a client who may not write it (`acl_file`).
        denied_write: Counter,
        /// Payload over `message_size_limit`.
        over_size_limit: Counter,
        /// Over `max_retained_messages` or `max_retained_bytes`.
        retained_quota: Counter,
        /// The disk of the store had no room: a 5.0 publisher was told 0x97, a 3.x one closed in the end.
        store_full: Counter,
        /// Its Session ended while the message waited.
        session_ended: Counter,
        /// Not taken, or not kept, because of `memory_limit`.
        memory: Counter,
        /// Refused by the subscriber's PUBREC or PUBACK.
        refused: Counter,
    }
}

impl Drops {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.list().iter().map(|counter| counter.value).sum()
    }
}

counters! {
    /// The counters of an engine, since its start.
    Stats {
        /// Bytes of MQTT received.
        bytes_received: Counter,
        /// Bytes of MQTT sent.
        bytes_sent: Counter,
        /// Packets received.
        packets_received: Counter,
        /// Of them, acknowledgements (PUBACK, PUBREC, PUBREL, PUBCOMP).
        acks_received: Counter,
        /// Packets sent.
        packets_sent: Counter,
        /// PUBLISH packets received, by QoS.
        publish_received_qos0: Counter,
        /// See [`Self::publish_received_qos0`].
        publish_received_qos1: Counter,
        /// See [`Self::publish_received_qos0`].
        publish_received_qos2: Counter,
        /// PUBLISH packets sent, by QoS.
        publish_sent_qos0: Counter,
        /// See [`Self::publish_sent_qos0`].
        publish_sent_qos1: Counter,
        /// See [`Self::publish_sent_qos0`].
        publish_sent_qos2: Counter,
        /// Payload bytes of PUBLISH received, by QoS.
        publish_received_bytes_qos0: Counter,
        /// See [`Self::publish_received_bytes_qos0`].
        publish_received_bytes_qos1: Counter,
        /// See [`Self::publish_received_bytes_qos0`].
        publish_received_bytes_qos2: Counter,
        /// Payload bytes of PUBLISH sent, by QoS.
        publish_sent_bytes_qos0: Counter,
        /// See [`Self::publish_sent_bytes_qos0`].
        publish_sent_bytes_qos1: Counter,
        /// See [`Self::publish_sent_bytes_qos0`].
        publish_sent_bytes_qos2: Counter,
        /// Connections accepted.
        connections_opened: Counter,
        /// Connections open now, with or without CONNECT.
        connections_open: Gauge,
        /// CONNECT packets accepted.
        connects_accepted: Counter,
        /// CONNECT packets refused.
        connects_refused: Counter,
        /// Authentications that failed: the user or the password was wrong.
        auth_failures: Counter,
        /// CONNECT packets refused because too many waited to be authenticated (`auth_queue`).
        auth_busy: Counter,
        /// CONNECT packets refused after too many failures from the same place.
        auth_throttled: Counter,
        /// CONNECT packets refused because too much came behind them before they were answered (`max_pipelined_bytes`).
        pipelined_refused: Counter,
        /// Connections closed for malformed packets or breaches of the protocol.
        protocol_errors: Counter,
        /// PUBLISH packets over the Receive Maximum (`receive_maximum_action`).
        receive_maximum_exceeded: Counter,
        /// Connections closed by Keep Alive.
        keep_alive_timeouts: Counter,
        /// Connections closed because CONNECT or the rest of a packet did not come in time.
        slow_closed: Counter,
        /// Times that a client was not read for a while because it sent too fast (`max_message_rate`, `max_byte_rate`).
        throttled: Counter,
        /// Sessions taken over by another connection.
        takeovers: Counter,
        /// CONNECT packets refused by `max_takeover_rate`.
        takeovers_refused: Counter,
        /// CONNECT packets refused because of `memory_limit`.
        sessions_refused: Counter,
        /// Connections of clients that do not read, closed because of `memory_limit`.
        memory_closed: Counter,
        /// Bytes held for clients at the last count for `memory_limit`; 0 far below it.
        memory_accounted: Gauge,
        /// CONNECT packets refused by `max_sessions_per_user`.
        user_sessions_refused: Counter,
        /// Sessions with a connection.
        clients_connected: Gauge,
        /// Sessions in all.
        clients_total: Gauge,
        /// Most sessions with a connection at one time.
        clients_maximum: Gauge,
        /// Sessions ended by their expiry interval.
        clients_expired: Counter,
        /// Subscriptions, shared ones included.
        subscriptions: Gauge,
        /// Shared subscriptions.
        shared_subscriptions: Gauge,
        /// SUBSCRIBE filters refused.
        subscriptions_refused: Counter,
        /// Retained messages.
        retained: Gauge,
        /// Bytes of retained messages.
        retained_bytes: Gauge,
        /// Messages waiting in queues and in flight, every `sys_interval`; with 0 when asked for.
        queued: Gauge,
        /// Bytes of messages waiting in queues and in flight, as often.
        queued_bytes: Gauge,
        /// Bytes held for clients, by formulae of lengths, as often.
        memory_bytes: Gauge,
        /// Wills published.
        wills_published: Counter,
        /// Acknowledgements for Packet Identifiers that are not in use.
        unknown_acks: Counter,
        + /// Messages dropped, by cause.
        drops: Drops,
    }
}

impl Stats {
    /// Takes in the numbers of another shard of the same broker. Every shard has all retained
    /// messages, so these are counted once.
    pub fn join(&mut self, other: &Self) {
        let retained = (self.retained, self.retained_bytes);
        self.add(other);
        self.retained = retained.0.max(other.retained);
        self.retained_bytes = retained.1.max(other.retained_bytes);
    }

    /// PUBLISH packets received.
    pub const fn publish_received(&self) -> u64 {
        self.publish_received_qos0 + self.publish_received_qos1 + self.publish_received_qos2
    }

    /// PUBLISH packets sent.
    pub const fn publish_sent(&self) -> u64 {
        self.publish_sent_qos0 + self.publish_sent_qos1 + self.publish_sent_qos2
    }

    /// Payload bytes of PUBLISH received.
    pub const fn publish_received_bytes(&self) -> u64 {
        self.publish_received_bytes_qos0
            + self.publish_received_bytes_qos1
            + self.publish_received_bytes_qos2
    }

    /// Payload bytes of PUBLISH sent.
    pub const fn publish_sent_bytes(&self) -> u64 {
        self.publish_sent_bytes_qos0 + self.publish_sent_bytes_qos1 + self.publish_sent_bytes_qos2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_summed_and_every_number_is_listed_with_its_doc() {
        let one = Stats { retained: 2, ..Stats::default() };
        let mut sum = Stats { retained: 3, ..one.clone() };
        sum.drops.offline = 1;
        sum.add(&Stats { drops: Drops { offline: 4, ..Drops::default() }, ..one });
        assert_eq!((sum.retained, sum.drops.total()), (5, 5));
        sum.join(&Stats { retained: 7, takeovers: 1, ..Stats::default() });
        assert_eq!((sum.retained, sum.takeovers), (7, 1));
        sum.retained = 5;
        let list = sum.list();
        let retained = list.iter().find(|counter| counter.name == "retained").unwrap();
        assert_eq!((retained.kind, retained.value), (CounterKind::Gauge, 5));
        assert_eq!(retained.help, "Retained messages.");
    }
}
