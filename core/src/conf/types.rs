//! The configuration as plain data, with the units and defaults of `mosquitto.conf`.

use crate::access::AccessList;
use crate::auth::Authority;
use std::sync::Arc;

/// What holds for a broker as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// QoS 1 and 2 messages in flight to one client, and the Receive Maximum we tell 5.0 clients;
    /// 0 = 65,535.
    pub max_inflight_messages: u16,
    /// Bytes in flight to one client; 0 = no limit.
    pub max_inflight_bytes: u64,
    /// Messages queued for one client beside those in flight; 0 = no limit.
    pub max_queued_messages: u32,
    /// Bytes queued for one client; 0 = no limit.
    pub max_queued_bytes: u64,
    /// Bytes of the largest packet accepted; 0 = what the standard allows.
    pub max_packet_size: u32,
    /// Bytes of the largest CONNECT accepted.
    pub max_connect_size: u32,
    /// Bytes of the largest payload accepted; 0 = no limit.
    pub message_size_limit: u32,
    /// Seconds of the longest Keep Alive; 0 = no limit.
    pub max_keepalive: u16,
    /// Whether an empty Client Identifier gets one assigned.
    pub allow_zero_length_clientid: bool,
    /// How assigned Client Identifiers begin.
    pub auto_id_prefix: String,
    /// Whether retained messages are kept.
    pub retain_available: bool,
    /// Seconds after which a retained message ends; `None` = never.
    pub retain_expiry_secs: Option<u64>,
    /// Seconds after which a Session without connection ends at the latest; `None` = never.
    pub persistent_client_expiration_secs: Option<u64>,
    /// Whether QoS 0 messages are queued for clients that are not connected.
    pub queue_qos0_messages: bool,
    /// Seconds between rounds of `$SYS`; 0 = none.
    pub sys_interval_secs: u32,
    /// Whether a message goes out with the QoS of the subscription even if it came with less.
    pub upgrade_outgoing_qos: bool,
    /// Levels of the deepest topic; 0 = no limit.
    pub max_topic_levels: u16,
    /// Subscriptions of one client; 0 = no limit.
    pub max_subscriptions_per_client: u32,
    /// Retained messages; 0 = no limit.
    pub max_retained_messages: u64,
    /// Bytes of retained messages; 0 = no limit.
    pub max_retained_bytes: u64,
    /// User Properties in one packet.
    pub max_user_properties: u16,
    /// Properties in one packet.
    pub max_properties: u16,
    /// Seconds from accept to CONNECT; 0 = no limit.
    pub connect_timeout_secs: u32,
    /// Seconds from the first to the last byte of a packet; 0 = no limit.
    pub packet_timeout_secs: u32,
    /// Seconds that a client may leave its output unread; 0 = no limit.
    pub output_timeout_secs: u32,
    /// Seconds that a publisher of 3.x waits for room on the disk; 0 = as long as it takes.
    pub full_disk_timeout_secs: u32,
    /// Bytes of unsent output above which a connection counts as slow.
    pub output_high_water: u32,
    /// Bytes of unsent output below which it no longer does.
    pub output_low_water: u32,
    /// Bytes of stored messages that one turn sends at most.
    pub turn_budget_bytes: u32,
    /// Connections; `None` = no limit.
    pub max_connections: Option<u32>,
    /// Sessions; `None` = no limit.
    pub max_clients: Option<u32>,
    /// Connections of one address; `None` = no limit.
    pub max_connections_per_address: Option<u32>,
    /// Connections accepted a second; 0 = no limit.
    pub max_connect_rate: u32,
    /// Connections accepted a second from one address; 0 = no limit.
    pub max_connect_rate_per_address: u32,
    /// Packets of one client a second; 0 = no limit.
    pub max_message_rate: u32,
    /// Bytes of one client a second; 0 = no limit.
    pub max_byte_rate: u64,
    /// Takeovers of one Client Identifier a second; 0 = no limit.
    pub max_takeover_rate: u32,
    /// Bytes held for clients, over all shards; 0 = no limit.
    pub memory_limit: u64,
    /// Sessions of one user; 0 = no limit.
    pub max_sessions_per_user: u32,
    /// Bytes of the longest Client Identifier.
    pub max_client_id_bytes: u16,
    /// Topics that are counted while somebody looks at the tree of topics.
    pub topic_watch_max: u32,
    /// Bytes that may come behind a CONNECT before it is let in.
    pub max_pipelined_bytes: u32,
    /// Whether a Session belongs to the user that made it (`clientid_owner user`).
    pub sessions_have_owners: bool,
    /// How every Client Identifier begins; `None` = anyhow.
    pub clientid_prefixes: Option<String>,
    /// Whether a client that exceeds the Receive Maximum is disconnected.
    pub receive_maximum_enforced: bool,
    /// Whether sessions, their messages and retained messages are written to a journal.
    pub persistence: bool,
    /// Bytes handed to the journal and not durable above which publishers are not read.
    pub journal_backlog: u64,
    /// Who may read and write what, on all listeners that have no list of their own; `None` =
    /// everybody everything.
    pub access: Option<Arc<AccessList>>,
    /// Whether a subscription to what the client may not read is refused.
    pub acl_check_subscribe: bool,
    /// Whether the publisher of a retained message must still have the right to publish it.
    pub check_retain_source: bool,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            max_inflight_messages: 20,
            max_inflight_bytes: 0,
            max_queued_messages: 1000,
            max_queued_bytes: 0,
            max_packet_size: 2_000_000,
            max_connect_size: 131_072,
            message_size_limit: 0,
            max_keepalive: 0,
            allow_zero_length_clientid: true,
            auto_id_prefix: "auto-".into(),
            retain_available: true,
            retain_expiry_secs: None,
            persistent_client_expiration_secs: None,
            queue_qos0_messages: false,
            sys_interval_secs: 10,
            upgrade_outgoing_qos: false,
            max_topic_levels: 128,
            max_subscriptions_per_client: 10_000,
            max_retained_messages: 0,
            max_retained_bytes: 0,
            max_user_properties: 1000,
            max_properties: 1100,
            connect_timeout_secs: 10,
            packet_timeout_secs: 60,
            output_timeout_secs: 120,
            full_disk_timeout_secs: 120,
            output_high_water: 262_144,
            output_low_water: 65_536,
            turn_budget_bytes: 1_048_576,
            max_connections: None,
            max_clients: None,
            max_connections_per_address: None,
            max_connect_rate: 0,
            max_connect_rate_per_address: 0,
            max_message_rate: 0,
            max_byte_rate: 0,
            max_takeover_rate: 20,
            max_sessions_per_user: 0,
            memory_limit: 0,
            max_client_id_bytes: u16::MAX,
            topic_watch_max: 10_000,
            max_pipelined_bytes: 131_072,
            sessions_have_owners: true,
            clientid_prefixes: None,
            receive_maximum_enforced: true,
            persistence: false,
            journal_backlog: 64 << 20,
            access: None,
            acl_check_subscribe: false,
            check_retain_source: true,
        }
    }
}

/// What holds for one listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerConfig {
    /// What it is called wherever something must be found again under another configuration, or in
    /// another process: its address, as it is written.
    pub name: Arc<str>,
    /// Whether clients without a known user are let in.
    pub allow_anonymous: bool,
    /// What it knows to tell users by; `None` = nothing, so that nobody is asked who he is. Filled
    /// by whoever reads the files that the configuration names.
    pub authority: Option<Arc<Authority>>,
    /// Whether MQTT 3.1 is spoken.
    pub accept_v31: bool,
    /// Whether MQTT 3.1.1 is spoken.
    pub accept_v311: bool,
    /// Whether MQTT 5.0 is spoken.
    pub accept_v5: bool,
    /// The highest QoS.
    pub max_qos: u8,
    /// Topic Aliases that a client may set.
    pub max_topic_alias: u16,
    /// Topic Aliases that the broker sets.
    pub max_topic_alias_broker: u16,
    /// Prefix of all topics of its clients.
    pub mount_point: Option<String>,
    /// How assigned Client Identifiers begin, instead of `auto_id_prefix`.
    pub auto_id_prefix: Option<String>,
    /// Whether the User Name is the Client Identifier.
    pub use_username_as_clientid: bool,
    /// Whether an empty Client Identifier gets one assigned; `None` = as the broker says
    /// (`per_listener_settings`).
    pub allow_zero_length_clientid: Option<bool>,
    /// Who may read and write what, instead of [`BrokerConfig::access`] (`per_listener_settings`).
    pub access: Option<Arc<AccessList>>,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            name: "".into(),
            allow_anonymous: true,
            authority: None,
            accept_v31: true,
            accept_v311: true,
            accept_v5: true,
            max_qos: 2,
            max_topic_alias: 10,
            max_topic_alias_broker: 10,
            mount_point: None,
            auto_id_prefix: None,
            use_username_as_clientid: false,
            allow_zero_length_clientid: None,
            access: None,
        }
    }
}
