//! Limits: what a client may use and what the broker keeps. Rows only.

use super::INT_MAX;
use super::Kind;
use super::OptionSpec;
use super::Section;

pub(super) const SECTION: Section = Section {
    title: "Limits",
    intro: "What is over a limit is refused or dropped for that client alone, and counted. Options marked *ours* are not in Mosquitto.",
    options: OPTIONS,
};

/// The most that a 32-bit count of ours takes.
const U32_MAX: i64 = u32::MAX as i64;
/// The most bytes that a limit of ours takes.
const BYTES_MAX: i64 = 1 << 50;

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::general("connect_timeout", Kind::int(0, 3600), |draft, value| {
        draft.server.broker.connect_timeout_secs = value.u32();
    })
    .unit("s")
    .default("10")
    .reloaded()
    .help("Ours. Time from the connection to a complete CONNECT, with PROXY header, TLS and WebSocket handshake on the way; 0 = no limit."),
    OptionSpec::general("full_disk_timeout", Kind::int(0, 86_400), |draft, value| {
        draft.server.broker.full_disk_timeout_secs = value.u32();
    })
    .unit("s")
    .default("120")
    .reloaded()
    .help("Ours. Time that a publisher of MQTT 3.x is left unread while the disk of the store is full, since its PUBACK cannot say so; then it is closed. 0 = as long as it takes."),
    OptionSpec::general("global_max_clients", Kind::limit(INT_MAX), |draft, value| {
        draft.server.broker.max_clients = value.limit();
    })
    .default("-1")
    .reloaded()
    .help("Sessions at a time, of connected clients and of those that will be back; -1 or 0 = no limit."),
    OptionSpec::general("global_max_connections", Kind::limit(INT_MAX), |draft, value| {
        draft.server.broker.max_connections = value.limit();
    })
    .default("-1")
    .reloaded()
    .help("Connections at a time over all listeners; -1 or 0 = no limit."),
    OptionSpec::general("max_byte_rate", Kind::limit(U32_MAX), |draft, value| {
        draft.server.broker.max_byte_rate = value.u64();
    })
    .unit("bytes/s")
    .default("0")
    .reloaded()
    .help("Ours. Bytes that one client may send a second, with one second's worth saved up; 0 = no limit. A client that sends faster is not read for a while, its Keep Alive suspended; nothing is dropped."),
    OptionSpec::general("max_client_id_length", Kind::int(1, 65_535), |draft, value| {
        draft.server.broker.max_client_id_bytes = value.u16();
    })
    .unit("bytes")
    .default("65535")
    .reloaded()
    .help("Ours. The longest Client Identifier."),
    OptionSpec::general("max_connect_rate", Kind::limit(INT_MAX), |draft, value| {
        draft.server.broker.max_connect_rate = value.u32();
    })
    .unit("1/s")
    .default("0")
    .reloaded()
    .help("Ours. Connections accepted a second over all listeners; 0 = no limit. Further ones wait in the system's queue."),
    OptionSpec::general("max_connect_rate_per_address", Kind::limit(INT_MAX), |draft, value| {
        draft.server.broker.max_connect_rate_per_address = value.u32();
    })
    .unit("1/s")
    .default("0")
    .reloaded()
    .help("Ours. Connections accepted a second from one address (IPv6: one /64 network); 0 = no limit. Further ones are closed at once."),
    OptionSpec::general("max_connect_size", Kind::int(100, INT_MAX), |draft, value| {
        draft.server.broker.max_connect_size = value.u32();
    })
    .unit("bytes")
    .default("131072")
    .reloaded()
    .help("Ours. The largest CONNECT, its will included: what anyone may make the broker hold before he is known."),
    OptionSpec::general("max_connections_per_address", Kind::limit(INT_MAX), |draft, value| {
        draft.server.broker.max_connections_per_address = value.limit();
    })
    .default("-1")
    .reloaded()
    .help("Ours. Connections at a time from one address (IPv6: one /64 network); -1 or 0 = no limit. Further ones are closed at once."),
    OptionSpec::general("max_inflight_bytes", Kind::limit(INT_MAX), |draft, value| {
        draft.server.broker.max_inflight_bytes = value.u64();
    })
    .unit("bytes")
    .default("0")
    .reloaded()
    .help("QoS 1 and 2 bytes on their way to one client and not acknowledged; 0 = no limit."),
    OptionSpec::general("max_inflight_messages", Kind::limit(65_535), |draft, value| {
        draft.server.broker.max_inflight_messages = value.u16();
    })
    .default("20")
    .reloaded()
    .help("QoS 1 and 2 messages on their way to one client and not acknowledged, and the Receive Maximum that 5.0 clients are told; 0 = 65,535. 1 keeps messages in order even over reconnects."),
    OptionSpec::general("max_keepalive", Kind::int(0, 65_535), |draft, value| {
        draft.server.broker.max_keepalive = value.u16();
    })
    .unit("s")
    .default("0")
    .reloaded()
    .help("The longest Keep Alive; 0 = no limit. A 5.0 client that asks for more is told this one, a 3.x client is refused."),
    OptionSpec::general("max_message_rate", Kind::limit(U32_MAX), |draft, value| {
        draft.server.broker.max_message_rate = value.u32();
    })
    .unit("1/s")
    .default("0")
    .reloaded()
    .help("Ours. Packets other than acknowledgements that one client may send a second, with one second's worth saved up; 0 = no limit. A client that sends faster is not read for a while, its Keep Alive suspended; nothing is dropped."),
    OptionSpec::general("max_packet_size", Kind::int(20, INT_MAX), |draft, value| {
        draft.server.broker.max_packet_size = value.u32();
    })
    .unit("bytes")
    .default("2000000")
    .reloaded()
    .help("The largest packet that is accepted; 5.0 clients are told. A client that sends more is disconnected."),
    OptionSpec::general("max_pipelined_bytes", Kind::int(0, INT_MAX), |draft, value| {
        draft.server.broker.max_pipelined_bytes = value.u32();
    })
    .unit("bytes")
    .default("131072")
    .reloaded()
    .help("Ours. What a client may send behind its CONNECT before it is answered, and who it is, known; over it: 0x97."),
    OptionSpec::general("max_properties", Kind::int(32, 65_535), |draft, value| {
        draft.server.broker.max_properties = value.u16();
    })
    .default("1100")
    .reloaded()
    .help("Ours. Properties in one 5.0 packet, User Properties included."),
    OptionSpec::general("max_queued_bytes", Kind::limit(INT_MAX), |draft, value| {
        draft.server.broker.max_queued_bytes = value.u64();
    })
    .unit("bytes")
    .default("0")
    .reloaded()
    .help("Bytes waiting for one client beside those in flight; 0 = no limit. The new message is dropped, for this client alone."),
    OptionSpec::general("max_queued_messages", Kind::limit(INT_MAX), |draft, value| {
        draft.server.broker.max_queued_messages = value.u32();
    })
    .default("1000")
    .reloaded()
    .help("QoS 1 and 2 messages waiting for one client beside those in flight; 0 = no limit. The new message is dropped, for this client alone."),
    OptionSpec::general("max_retained_bytes", Kind::limit(BYTES_MAX), |draft, value| {
        draft.server.broker.max_retained_bytes = value.u64();
    })
    .unit("bytes")
    .default("0")
    .reloaded()
    .help("Ours. Bytes of retained messages; 0 = no limit."),
    OptionSpec::general("max_retained_messages", Kind::limit(U32_MAX), |draft, value| {
        draft.server.broker.max_retained_messages = value.u64();
    })
    .default("0")
    .reloaded()
    .help("Ours. Retained messages; 0 = no limit."),
    OptionSpec::general("max_sessions_per_user", Kind::limit(U32_MAX), |draft, value| {
        draft.server.broker.max_sessions_per_user = value.u32();
    })
    .default("0")
    .reloaded()
    .help("Ours. Sessions of one user, connected or not; 0 = no limit. A further client gets 0x97 (3.x: 0x03). Clients without a User Name do not count; `global_max_clients` bounds them."),
    OptionSpec::general("max_subscriptions_per_client", Kind::limit(U32_MAX), |draft, value| {
        draft.server.broker.max_subscriptions_per_client = value.u32();
    })
    .default("10000")
    .reloaded()
    .help("Ours. Subscriptions of one client; 0 = no limit. A further one gets 0x97 (3.x: 0x80)."),
    OptionSpec::general("max_takeover_rate", Kind::limit(U32_MAX), |draft, value| {
        draft.server.broker.max_takeover_rate = value.u32();
    })
    .unit("1/s")
    .default("20")
    .reloaded()
    .help("Ours. Times a second that one Client Identifier may be taken over from a living connection; 0 = no limit. A further CONNECT gets 0x9F (3.x: 0x03): two devices with one name would otherwise chase each other without end."),
    OptionSpec::general("max_tls_handshakes", Kind::int(0, INT_MAX), |draft, value| {
        draft.server.max_tls_handshakes = value.u32();
    })
    .default("1000")
    .reloaded()
    .help("Ours. TLS handshakes under way at a time, PROXY headers included; for one more, the oldest is ended; 0 = no limit."),
    OptionSpec::general("max_topic_levels", Kind::int(0, 65_535), |draft, value| {
        draft.server.broker.max_topic_levels = value.u16();
    })
    .default("128")
    .reloaded()
    .help("Ours. Levels of a topic or filter; 0 = no limit."),
    OptionSpec::general("max_user_properties", Kind::int(0, 65_535), |draft, value| {
        draft.server.broker.max_user_properties = value.u16();
    })
    .default("1000")
    .reloaded()
    .help("Ours. User Properties in one 5.0 packet."),
    OptionSpec::general("memory_limit", Kind::limit(BYTES_MAX), |draft, value| {
        draft.server.broker.memory_limit = value.u64();
    })
    .unit("bytes")
    .default("0")
    .reloaded()
    .help("Bytes held for all clients, counted by the lengths of what is kept; 0 = no limit. The process takes somewhat more. As the limit comes near, things are given up in the order that `docs/limits.md` says; a QoS 1 or 2 message that was acknowledged is never one of them."),
    OptionSpec::general("message_size_limit", Kind::int(0, 268_435_455), |draft, value| {
        draft.server.broker.message_size_limit = value.u32();
    })
    .unit("bytes")
    .default("0")
    .reloaded()
    .help("The largest payload that is accepted; 0 = no limit. A larger message goes nowhere: 5.0 clients are told 0x83 in PUBACK or PUBREC, 3.x clients get a plain acknowledgement. `max_packet_size` is the better limit."),
    OptionSpec::general("output_high_water", Kind::int(1024, INT_MAX), |draft, value| {
        draft.server.broker.output_high_water = value.u32();
    })
    .unit("bytes")
    .default("262144")
    .reloaded()
    .help("Ours. Unsent output above which a client counts as slow: QoS 0 is dropped, QoS 1 and 2 wait in its queue."),
    OptionSpec::general("output_low_water", Kind::int(0, INT_MAX), |draft, value| {
        draft.server.broker.output_low_water = value.u32();
    })
    .unit("bytes")
    .default("65536")
    .reloaded()
    .help("Ours. Unsent output below which it no longer does."),
    OptionSpec::general("output_timeout", Kind::int(0, 3600), |draft, value| {
        draft.server.broker.output_timeout_secs = value.u32();
    })
    .unit("s")
    .default("120")
    .reloaded()
    .help("Ours. Time that a client with output above `output_high_water` may go without reading it down to `output_low_water`, or three times 1.5 Keep Alive where that is longer; then it is disconnected with 0x97. 0 = no limit."),
    OptionSpec::general("packet_timeout", Kind::int(0, 3600), |draft, value| {
        draft.server.broker.packet_timeout_secs = value.u32();
    })
    .unit("s")
    .default("60")
    .reloaded()
    .help("Ours. Time from the first to the last byte of a packet; 0 = no limit."),
    OptionSpec::general("queue_qos0_messages", Kind::Bool, |draft, value| {
        draft.server.broker.queue_qos0_messages = value.bool();
    })
    .default("false")
    .reloaded()
    .help("Whether QoS 0 messages wait for a client that is not connected, within its queue's limits."),
    OptionSpec::general(
        "receive_maximum_action",
        Kind::Word(&["disconnect", "warn"]),
        |draft, value| draft.server.broker.receive_maximum_enforced = value.word() == "disconnect",
    )
    .default("disconnect")
    .reloaded()
    .help("Ours. What happens to a 5.0 client with more QoS 1 and 2 messages under way than the Receive Maximum allows: disconnected with 0x93, or (`warn`) only counted, with one line in the log for each connection."),
    OptionSpec::general("tls_handshake_timeout", Kind::int(0, 3600), |draft, value| {
        draft.server.tls_handshake_timeout_secs = value.u32();
    })
    .unit("s")
    .default("0")
    .reloaded()
    .help("Ours. Time from the connection to the end of its TLS handshake, within `connect_timeout`; 0 = no limit of its own."),
    OptionSpec::general("topic_watch_max", Kind::int(0, 100_000), |draft, value| {
        draft.server.broker.topic_watch_max = value.u32();
    })
    .default("10000")
    .reloaded()
    .help("Ours. Topics that are counted apart while somebody looks at the topic tree of the admin API; messages to others are counted together."),
    OptionSpec::general("turn_budget", Kind::int(4096, INT_MAX), |draft, value| {
        draft.server.broker.turn_budget_bytes = value.u32();
    })
    .unit("bytes")
    .default("1048576")
    .reloaded()
    .help("Ours. Stored messages (retained, queued) that one turn of the broker sends at most, so that no client makes others wait."),
];
