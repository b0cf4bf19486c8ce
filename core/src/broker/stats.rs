//! Counters: one for everything that is refused or dropped, and those that `$SYS` and `/metrics`
//! show. Never consulted for a decision.

use crate::state::state;

/// Why messages were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// The queue of a Session was full (`max_queued_messages`, `max_queued_bytes`).
    pub queue_full: u64,
    /// QoS 0 to a Session that is not connected.
    pub offline: u64,
    /// QoS 0 to a connection above its high-water mark.
    pub slow_consumer: u64,
    /// Larger than the client's Maximum Packet Size.
    pub too_large: u64,
    /// The Message Expiry Interval ran out.
    pub expired: u64,
    /// Published to a topic that clients may not write (`$SYS`, `$CONTROL`).
    pub forbidden: u64,
    /// Payload over `message_size_limit`.
    pub over_size_limit: u64,
    /// Over `max_retained_messages` or `max_retained_bytes`.
    pub retained_quota: u64,
    /// Its Session ended while the message waited.
    pub session_ended: u64,
    /// Refused by the subscriber's PUBREC or PUBACK.
    pub refused: u64,
}

state!(Drops {
    queue_full,
    offline,
    slow_consumer,
    too_large,
    expired,
    forbidden,
    over_size_limit,
    retained_quota,
    session_ended,
    refused,
});

impl Drops {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.queue_full
            + self.offline
            + self.slow_consumer
            + self.too_large
            + self.expired
            + self.forbidden
            + self.over_size_limit
            + self.retained_quota
            + self.session_ended
            + self.refused
    }
}

/// The counters of an engine, since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of MQTT received.
    pub bytes_received: u64,
    /// Bytes of MQTT sent.
    pub bytes_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// PUBLISH packets received, by QoS.
    pub publish_received_qos0: u64,
    /// See [`Self::publish_received_qos0`].
    pub publish_received_qos1: u64,
    /// See [`Self::publish_received_qos0`].
    pub publish_received_qos2: u64,
    /// PUBLISH packets sent, by QoS.
    pub publish_sent_qos0: u64,
    /// See [`Self::publish_sent_qos0`].
    pub publish_sent_qos1: u64,
    /// See [`Self::publish_sent_qos0`].
    pub publish_sent_qos2: u64,
    /// Payload bytes of PUBLISH received.
    pub publish_bytes_received: u64,
    /// Payload bytes of PUBLISH sent.
    pub publish_bytes_sent: u64,
    /// Messages dropped, by cause.
    pub drops: Drops,
    /// Connections accepted.
    pub connections_opened: u64,
    /// Connections open now, with or without CONNECT.
    pub connections_open: u64,
    /// CONNECT packets accepted.
    pub connects_accepted: u64,
    /// CONNECT packets refused.
    pub connects_refused: u64,
    /// Connections closed for malformed packets or breaches of the protocol.
    pub protocol_errors: u64,
    /// Connections closed by Keep Alive.
    pub keep_alive_timeouts: u64,
    /// Connections closed because CONNECT or the rest of a packet did not come in time.
    pub slow_closed: u64,
    /// Sessions taken over by another connection.
    pub takeovers: u64,
    /// Sessions with a connection.
    pub clients_connected: u64,
    /// Sessions in all.
    pub clients_total: u64,
    /// Most sessions with a connection at one time.
    pub clients_maximum: u64,
    /// Sessions ended by their expiry interval.
    pub clients_expired: u64,
    /// Subscriptions, shared ones included.
    pub subscriptions: u64,
    /// Shared subscriptions.
    pub shared_subscriptions: u64,
    /// SUBSCRIBE filters refused.
    pub subscriptions_refused: u64,
    /// Retained messages.
    pub retained: u64,
    /// Bytes of retained messages.
    pub retained_bytes: u64,
    /// Messages waiting in queues and in flight.
    pub queued: u64,
    /// Wills published.
    pub wills_published: u64,
    /// Acknowledgements for Packet Identifiers that are not in use.
    pub unknown_acks: u64,
}

state!(Stats {
    bytes_received,
    bytes_sent,
    packets_received,
    packets_sent,
    publish_received_qos0,
    publish_received_qos1,
    publish_received_qos2,
    publish_sent_qos0,
    publish_sent_qos1,
    publish_sent_qos2,
    publish_bytes_received,
    publish_bytes_sent,
    drops,
    connections_opened,
    connections_open,
    connects_accepted,
    connects_refused,
    protocol_errors,
    keep_alive_timeouts,
    slow_closed,
    takeovers,
    clients_connected,
    clients_total,
    clients_maximum,
    clients_expired,
    subscriptions,
    shared_subscriptions,
    subscriptions_refused,
    retained,
    retained_bytes,
    queued,
    wills_published,
    unknown_acks,
});
