//! What an administrator may ask of an engine, and what it answers: closed enums, paged, so that no
//! question costs a turn more than a page. Listings go on where the page before ended; what came or
//! went meanwhile may be missed or seen twice, and nothing is held for who does not come back.

use super::{ConnectionId, Engine, Observer, Peer, Stats};
use crate::access::Access;
use crate::connection::Connection;
use crate::engine::{CloseReason, Effect};
use crate::packet::{QoS, ReasonCode, SubscriptionOptions, Version};
use crate::time::Instant;
use core::fmt;

/// Rows of the largest page.
pub const ADMIN_PAGE_ROWS: u32 = 1000;

/// Commands of the administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// The server stops: 5.0 clients get DISCONNECT 0x8B, wills are published, everything closes.
    Shutdown,
    /// Disconnects the client with this Client Identifier (0x98); its will is published.
    Disconnect {
        /// Client Identifier.
        client_id: String,
    },
    /// Asks for the counters. What sessions hold is counted up to 1,000 sessions a turn, so that with
    /// more of them the next answer has it, unless `sys_interval` has it counted anyway.
    Stats,
    /// Lists the sessions of this shard, in no order that means anything.
    Clients {
        /// Where the page begins: 0, or what the page before gave.
        from: u32,
        /// Rows at most.
        limit: u32,
    },
    /// Inspects one session.
    Client {
        /// Client Identifier.
        client_id: String,
    },
    /// Lists the subscriptions of a session by filter.
    Subscriptions {
        /// Client Identifier.
        client_id: String,
        /// The filter behind which the page begins.
        after: Option<String>,
        /// Rows at most.
        limit: u32,
    },
    /// Lists what waits in the queue of a session, in order.
    Queue {
        /// Client Identifier.
        client_id: String,
        /// Rows to pass over.
        skip: u32,
        /// Rows at most.
        limit: u32,
    },
    /// Lists what a session was sent and has not acknowledged, in order.
    InFlight {
        /// Client Identifier.
        client_id: String,
        /// Rows to pass over.
        skip: u32,
        /// Rows at most.
        limit: u32,
    },
    /// Lists retained messages by topic. Every shard has all of them: one is to be asked.
    Retained {
        /// The filter that their topics match.
        filter: String,
        /// The topic behind which the page begins.
        after: Option<String>,
        /// Rows at most.
        limit: u32,
    },
    /// Clears retained messages, as an empty retained PUBLISH does. One shard is to be asked.
    ClearRetained {
        /// The filter that their topics match.
        filter: String,
        /// Messages at most.
        limit: u32,
    },
    /// Lists one level of the tree of topics that are published to, with counts; while it is asked
    /// for now and then, messages are counted by topic.
    Topics {
        /// The levels above, without `/` at the end; `None` = the top.
        parent: Option<String>,
        /// The level behind which the page begins.
        after: Option<String>,
        /// Rows at most.
        limit: u32,
    },
    /// Asks which line of the access list decides what a client may do, and how.
    Explain {
        /// Client Identifier. A session of this name says the rest; without one, `username` and
        /// `listener` do.
        client_id: String,
        /// User Name, instead of the session's.
        username: Option<String>,
        /// Index of the listener, instead of the session's.
        listener: Option<u16>,
        /// What it wants to do.
        access: Access,
        /// Topic Name, or Topic Filter for a subscription.
        topic: String,
    },
    /// Publishes a line of the log below `$SYS/broker/log`. One shard is to be asked; there is no
    /// answer to wait for.
    LogLine {
        /// What follows in the topic: `E`, `M/subscribe`.
        topic: &'static str,
        /// The line.
        text: String,
    },
    /// Publishes a message. One shard is to be asked.
    Publish {
        /// Topic Name.
        topic: String,
        /// Payload.
        payload: Vec<u8>,
        /// QoS.
        qos: QoS,
        /// RETAIN.
        retain: bool,
    },
}

/// Answers to the administrator.
#[derive(Clone, Debug)]
pub enum AdminReply {
    /// Done.
    Done,
    /// There is no such client connected, or known.
    NoSuchClient,
    /// It cannot be done, and why.
    Refused(AdminRefusal),
    /// The counters.
    Stats(Box<Stats>),
    /// Sessions, and where the next page begins.
    Clients {
        /// A page of them; it may be short, even empty, with more to come.
        rows: Vec<ClientRow>,
        /// Where the next page begins; `None` at the end.
        next: Option<u32>,
    },
    /// One session.
    Client(Box<ClientDetail>),
    /// Subscriptions.
    Subscriptions {
        /// A page of them.
        rows: Vec<SubscriptionRow>,
        /// Whether there are more.
        more: bool,
    },
    /// Messages of a session.
    Messages {
        /// A page of them.
        rows: Vec<MessageRow>,
        /// Whether there are more.
        more: bool,
    },
    /// Retained messages.
    Retained {
        /// A page of them; it may be short, even empty, with more to come.
        rows: Vec<RetainedRow>,
        /// The topic behind which the next page begins; `None` at the end.
        next: Option<String>,
    },
    /// Retained messages were cleared.
    Cleared {
        /// How many.
        cleared: u32,
        /// Whether some may be left.
        more: bool,
    },
    /// A level of the topic tree.
    Topics(TopicPage),
    /// A decision of the access list.
    Decision(DecisionRow),
}

/// Why a command was not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRefusal {
    /// No valid Topic Name.
    TopicName,
    /// No valid Topic Filter.
    TopicFilter,
    /// A topic of the broker's own (`$SYS`, `$CONTROL`).
    Reserved,
    /// The payload is over `message_size_limit`.
    TooLarge,
    /// Retained messages are off, or their limits are reached.
    Retain,
    /// The disk of the store is full.
    StoreFull,
}

impl fmt::Display for AdminRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TopicName => "the topic is no valid Topic Name (§4.7)",
            Self::TopicFilter => "the filter is no valid Topic Filter (§4.7)",
            Self::Reserved => "$SYS and $CONTROL are the broker's own",
            Self::TooLarge => "the payload is over message_size_limit",
            Self::Retain => "retained messages are off, or their limits are reached",
            Self::StoreFull => {
                "the disk of the store is full: nothing of QoS 1 or 2 or to be retained"
            }
        })
    }
}

/// A session in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// Client Identifier.
    pub client_id: String,
    /// User Name.
    pub username: Option<String>,
    /// Whether it has a connection.
    pub connected: bool,
    /// Version of the present or last connection.
    pub version: Version,
    /// Listener of the present or last connection, by its index in the configuration.
    pub listener: u16,
    /// Subscriptions.
    pub subscriptions: u32,
    /// Messages queued.
    pub queued: u32,
    /// Messages sent and not acknowledged.
    pub inflight: u32,
}

/// A session, inspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientDetail {
    /// What a listing says of it.
    pub row: ClientRow,
    /// Its connection.
    pub connection: Option<ConnectionDetail>,
    /// Session Expiry Interval, seconds; `u32::MAX` = never.
    pub session_expiry_interval: u32,
    /// Seconds until it expires, without a connection.
    pub expires_in_secs: Option<u64>,
    /// What stands before its topics.
    pub mount_point: Option<String>,
    /// Bytes in its queue.
    pub queued_bytes: u64,
    /// QoS 2 messages received and not released.
    pub incoming: u32,
    /// The topic of its will.
    pub will_topic: Option<String>,
    /// Bytes that it holds, by formulae of lengths.
    pub footprint: u64,
}

/// The connection of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionDetail {
    /// Its number.
    pub conn: ConnectionId,
    /// Where it comes from.
    pub peer: Peer,
    /// Keep Alive, seconds; 0 = off.
    pub keep_alive: u16,
    /// Seconds since its last packet.
    pub idle_secs: u64,
    /// Why it is not read from at present.
    pub paused: bool,
    /// Receive Maximum of the client.
    pub receive_maximum: u16,
}

/// A subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Topic Filter, with `$share/…` and mount point.
    pub filter: String,
    /// Its options, with the QoS that was granted.
    pub options: SubscriptionOptions,
    /// Subscription Identifier; 0 = none.
    pub identifier: u32,
}

/// A message of a session: queued, or in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Packet Identifier, in flight.
    pub packet_id: Option<u16>,
    /// What an exchange waits for: `puback`, `pubrec`, `pubcomp`; empty in the queue.
    pub waits_for: &'static str,
    /// Topic Name; none if only PUBCOMP is waited for.
    pub topic: Option<String>,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN as the subscriber shall see it.
    pub retain: bool,
    /// Bytes of payload.
    pub payload_bytes: u64,
    /// Seconds since the broker received it.
    pub age_secs: u64,
}

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedRow {
    /// Topic Name.
    pub topic: String,
    /// QoS.
    pub qos: QoS,
    /// Bytes of payload.
    pub payload_bytes: u64,
    /// The payload's beginning.
    pub payload: Vec<u8>,
    /// Seconds since the broker received it.
    pub age_secs: u64,
    /// Seconds until it expires.
    pub expires_in_secs: Option<u64>,
}

/// A decision of the access list, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Verdict and reason: `denied: /etc/halyard/acl:12: topic deny a/#`.
    pub text: String,
    /// The line of the rule that decided; 0 if none did.
    pub line: u32,
}

/// A level of the tree of topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPage {
    /// The levels, in order.
    pub rows: Vec<TopicRow>,
    /// Whether there are more.
    pub more: bool,
    /// Microseconds since counting began.
    pub counted_micros: u64,
    /// Messages to topics that were not counted apart, for want of room.
    pub uncounted: u64,
}

/// A level below another, with all that is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRow {
    /// The level.
    pub level: String,
    /// Messages.
    pub messages: u64,
    /// Bytes of payload.
    pub bytes: u64,
    /// Topics at and below it.
    pub topics: u64,
    /// Whether messages were published to this very topic.
    pub is_topic: bool,
}

impl<O: Observer> Engine<O> {
    pub(super) fn admin(
        &mut self,
        now: Instant,
        request: u64,
        command: AdminCommand,
        effects: &mut Vec<Effect>,
    ) {
        let reply = match command {
            AdminCommand::Shutdown => {
                self.shut_down(now, effects);
                AdminReply::Done
            }
            AdminCommand::Disconnect { client_id } => match self.broker.find(&client_id) {
                Some((_, Some(slot))) => {
                    let code = ReasonCode::AdministrativeAction;
                    self.dismiss(now, slot, code, CloseReason::Administrative, effects);
                    AdminReply::Done
                }
                _ => AdminReply::NoSuchClient,
            },
            AdminCommand::Stats => {
                let (broker, mut out) = self.parts(now, effects);
                broker.count_held(now, &mut out);
                AdminReply::Stats(Box::new(self.stats()))
            }
            AdminCommand::Client { client_id } => self.client_detail(now, &client_id),
            other => {
                let (broker, mut out) = self.parts(now, effects);
                broker.admin(now, other, &mut out)
            }
        };
        effects.push(Effect::Answer { request, reply });
    }

    fn client_detail(&self, now: Instant, client_id: &str) -> AdminReply {
        let Some((mut detail, slot)) = self.broker.client_detail(now, client_id) else {
            return AdminReply::NoSuchClient;
        };
        let connection = slot.and_then(|(slot, receive_maximum)| {
            let connection: &Connection = self.links.slots.get(slot)?;
            Some(ConnectionDetail {
                conn: connection.id,
                peer: (*connection.peer).clone(),
                keep_alive: connection.keep_alive,
                idle_secs: now.since(connection.last_packet).as_secs(),
                paused: connection.is_paused(),
                receive_maximum,
            })
        });
        detail.connection = connection;
        AdminReply::Client(Box::new(detail))
    }
}
