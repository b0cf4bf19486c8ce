//! A sans-IO MQTT client for 3.1, 3.1.1 and 5.0 (MQTT 5.0 §4), for the command line, the page, the
//! simulator and tests. It opens no socket and reads no clock: bytes, transport changes and time
//! are inputs; bytes to write and events come out. The same seed and inputs give the same outputs.
//!
//! ```text
//! connect() -> OpenTransport          driver opens, reports TransportOpened
//! Bytes     -> Connected, Message …   driver writes take_output() after every call
//! Timeout   <- next_timeout()         keep alive, time-outs, reconnects
//! CloseTransport                      driver writes the rest and closes
//! ```
//! A session outlives its connections: after a reconnect unfinished messages are sent again in
//! their order, QoS 2 messages are delivered once, and what was published meanwhile follows.
//! Subscriptions are not kept here: subscribe at [`Event::Connected`] without Session Present.

mod alias;
mod backoff;
mod event;
mod incoming;
mod options;
mod outgoing;
mod publish;
mod receive;
mod request;

pub use event::{
    CommandError, DisconnectCause, Event, Input, PublishError, Receipt, ReceiptState, ServerInfo,
    Token,
};
pub use options::{Acks, Backoff, CleanStart, Options, WillMessage};

use crate::codec::{self, Decoder, Limits, Role};
use crate::packet::{Disconnect, Packet, PacketType, QoS, ReasonCode};
use crate::time::Instant;
use alias::Aliases;
use backoff::Attempts;
use incoming::Incoming;
use outgoing::Outgoing;

/// Where events go. It must not call the client: note what is to be done and do it afterwards.
pub type Sink<'s> = dyn FnMut(Event<'_>) + 's;

/// A client. See the [module](self).
#[derive(Clone, Debug)]
pub struct Client {
    options: Options,
    state: State,
    decoder: Decoder,
    limits: Limits,
    out: Vec<u8>,
    outgoing: Outgoing,
    incoming: Incoming,
    aliases_in: Aliases,
    aliases_out: Aliases,
    server: ServerInfo,
    attempts: Attempts,
    assigned_id: Option<Box<str>>,
    has_session: bool,
    /// The last accepted CONNECT asked for Clean Start.
    was_clean: bool,
    next_token: u64,
    last_sent: Instant,
    last_received: Instant,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection and none wanted.
    Idle,
    /// The driver is opening a transport.
    Opening,
    /// CONNECT is sent.
    AwaitConnack { deadline: Instant, clean_start: bool },
    /// Accepted; PINGRESP is owed by `ping_deadline`.
    Connected { ping_deadline: Option<Instant> },
    /// The next attempt is due at `until`.
    Waiting { until: Instant },
}

impl Client {
    /// A client that does nothing until [`Self::connect`]. `seed` is for the jitter of reconnects.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            server: ServerInfo::before_connack(&options),
            limits: limits(&options),
            options,
            state: State::Idle,
            decoder: Decoder::new(Role::Client),
            out: Vec::new(),
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            aliases_in: Aliases::default(),
            aliases_out: Aliases::default(),
            attempts: Attempts::new(seed),
            assigned_id: None,
            has_session: false,
            was_clean: false,
            next_token: 0,
            last_sent: Instant::ZERO,
            last_received: Instant::ZERO,
        }
    }

    /// What the next CONNECT carries as Authentication Data, where each needs its own.
    pub fn set_authentication_data(&mut self, data: Vec<u8>) {
        self.options.authentication_data = Some(data);
    }

    /// Wants a connection, at once even if a later attempt was planned.
    pub fn connect(&mut self, sink: &mut Sink<'_>) {
        if matches!(self.state, State::Idle | State::Waiting { .. }) {
            self.state = State::Opening;
            sink(Event::OpenTransport);
        }
    }

    /// Takes what happened outside.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, sink: &mut Sink<'_>) {
        match input {
            Input::TransportOpened if self.state == State::Opening => self.send_connect(now),
            Input::Bytes(chunk) if self.has_transport() => self.receive(now, chunk, sink),
            Input::TransportClosed if self.has_transport() || self.state == State::Opening => {
                self.ended(now, &DisconnectCause::TransportClosed, Retry::Later, sink);
            }
            Input::Timeout => self.on_time(now, sink),
            Input::TransportOpened | Input::Bytes(_) | Input::TransportClosed => {}
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle | State::Opening => None,
            State::AwaitConnack { deadline, .. } => Some(deadline),
            State::Waiting { until } => Some(until),
            State::Connected { ping_deadline: Some(deadline) } => Some(deadline),
            State::Connected { ping_deadline: None } => {
                let keep_alive = self.server.keep_alive;
                let since = self.last_sent.min(self.last_received);
                (keep_alive > 0).then(|| since.plus_secs(u64::from(keep_alive)))
            }
        }
    }

    /// Says goodbye with no more than a reason and perhaps another Session Expiry Interval; see
    /// [`Self::disconnect_with`].
    ///
    /// # Errors
    /// As [`Self::disconnect_with`].
    pub fn disconnect(
        &mut self,
        now: Instant,
        reason: ReasonCode,
        session_expiry_interval: Option<u32>,
    ) -> Result<(), CommandError> {
        self.disconnect_with(now, Disconnect { session_expiry_interval, ..Disconnect::new(reason) })
    }

    /// Says goodbye (§3.14) and wants no further connection. Afterwards write what
    /// [`Self::take_output`] gives and close the transport; there is no further event. 3.x has no
    /// reasons: anything but `Success` closes without a word there, so that the Will is published.
    ///
    /// # Errors
    /// `NotAllowed` for a reason that a client must not send, or a Session Expiry Interval where
    /// that of CONNECT was 0 [MQTT-3.14.2-2].
    pub fn disconnect_with(
        &mut self,
        now: Instant,
        packet: Disconnect<'_>,
    ) -> Result<(), CommandError> {
        let never_kept = self.options.session_expiry_interval.unwrap_or(0) == 0;
        let interval = packet.session_expiry_interval;
        let extends = interval.is_some_and(|seconds| seconds > 0) && never_kept;
        let reason = packet.reason;
        if !reason.allowed_in(PacketType::Disconnect) || reason.is_of_servers() || extends {
            return Err(CommandError::NotAllowed);
        }
        let is_v5 = self.options.version.is_v5();
        if self.is_connected() && (is_v5 || packet.reason == ReasonCode::Success) {
            self.send(now, &Packet::Disconnect(packet));
        }
        self.decoder = Decoder::new(Role::Client);
        self.state = State::Idle;
        Ok(())
    }

    /// Takes the bytes to write; empty if there are none.
    pub fn take_output(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }

    /// The bytes to write, for a driver that writes from here and then calls
    /// [`Self::consume_output`].
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// The first `count` bytes of [`Self::output`] are written.
    pub fn consume_output(&mut self, count: usize) {
        self.out.drain(..count.min(self.out.len()));
    }

    /// Gives a buffer of [`Self::take_output`] back, so that the next one need not be allocated.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.out.capacity() == 0 {
            buffer.clear();
            self.out = buffer;
        }
    }

    /// Whether the server has accepted the connection.
    pub const fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected { .. })
    }

    /// Whether neither a connection nor an attempt at one is wanted.
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// What the server said in the last CONNACK.
    pub const fn server(&self) -> &ServerInfo {
        &self.server
    }

    /// The options the client was made with.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The Client Identifier in use: the server's if it assigned one.
    pub fn client_id(&self) -> &str {
        self.assigned_id.as_deref().unwrap_or(&self.options.client_id)
    }

    /// QoS 1 and 2 messages in flight to the server.
    pub fn inflight(&self) -> u32 {
        self.outgoing.inflight()
    }

    /// Messages that wait for a connection or a place in flight, and their bytes.
    pub fn queued(&self) -> (u32, u64) {
        self.outgoing.queued()
    }

    /// Received QoS 2 messages that the server has not released.
    pub fn held(&self) -> u32 {
        self.incoming.held()
    }

    const fn has_transport(&self) -> bool {
        matches!(self.state, State::AwaitConnack { .. } | State::Connected { .. })
    }

    fn send_connect(&mut self, now: Instant) {
        let clean_start = match self.options.clean_start {
            CleanStart::Always => true,
            CleanStart::First => !self.has_session,
            CleanStart::Never => false,
        };
        self.out.clear();
        self.decoder = Decoder::new(Role::Client);
        self.decoder.set_version(self.options.version);
        let client_id = self.assigned_id.as_deref().unwrap_or(&self.options.client_id);
        let connect = Packet::Connect(self.options.connect(client_id, clean_start));
        codec::encode(&connect, self.options.version, &mut self.out);
        self.last_sent = now;
        self.last_received = now;
        let deadline = now.plus_millis(u64::from(self.options.connect_timeout_ms));
        self.state = State::AwaitConnack { deadline, clean_start };
    }

    fn send(&mut self, now: Instant, packet: &Packet<'_>) {
        codec::encode(packet, self.options.version, &mut self.out);
        self.last_sent = now;
    }

    fn on_time(&mut self, now: Instant, sink: &mut Sink<'_>) {
        if self.next_timeout().is_none_or(|due| now < due) {
            return;
        }
        match self.state {
            State::Idle | State::Opening => {}
            State::AwaitConnack { .. } => {
                self.close(now, &DisconnectCause::ConnectTimeout, Retry::Later, sink);
            }
            State::Waiting { .. } => self.connect(sink),
            State::Connected { ping_deadline: Some(_) } => {
                self.close(now, &DisconnectCause::KeepAliveTimeout, Retry::Later, sink);
            }
            State::Connected { ping_deadline: None } => {
                self.send(now, &Packet::Pingreq);
                // No longer than the Keep Alive, which the next PINGREQ would have to keep.
                let patience = u64::from(self.options.ping_timeout_ms)
                    .min(u64::from(self.server.keep_alive) * 1_000);
                self.state = State::Connected { ping_deadline: Some(now.plus_millis(patience)) };
            }
        }
    }

    /// Ends a connection from this side.
    fn close(
        &mut self,
        now: Instant,
        cause: &DisconnectCause<'_>,
        retry: Retry,
        sink: &mut Sink<'_>,
    ) {
        self.state = State::Idle;
        sink(Event::CloseTransport);
        self.plan(now, cause, retry, sink);
    }

    /// The transport is gone.
    fn ended(
        &mut self,
        now: Instant,
        cause: &DisconnectCause<'_>,
        retry: Retry,
        sink: &mut Sink<'_>,
    ) {
        self.out.clear();
        self.plan(now, cause, retry, sink);
    }

    fn plan(
        &mut self,
        now: Instant,
        cause: &DisconnectCause<'_>,
        retry: Retry,
        sink: &mut Sink<'_>,
    ) {
        sink(Event::Disconnected(cause.clone()));
        match self.options.reconnect {
            Some(backoff) if retry == Retry::Later => {
                let until = self.attempts.next(now, backoff);
                self.state = State::Waiting { until };
                sink(Event::ReconnectAt(until));
            }
            _ => {
                self.state = State::Idle;
                sink(Event::Stopped);
            }
        }
    }

    /// The server broke the protocol: says so (5.0) and closes.
    fn protocol_error(
        &mut self,
        now: Instant,
        reason: ReasonCode,
        detail: &str,
        sink: &mut Sink<'_>,
    ) {
        if self.options.version.is_v5() && self.is_connected() {
            self.send(now, &Packet::Disconnect(Disconnect::new(reason)));
        }
        let cause = DisconnectCause::Protocol { reason, detail };
        self.close(now, &cause, Retry::Later, sink);
    }
}

/// Whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Later,
    Never,
}

impl Retry {
    /// What the server's reason calls for: never again where the same CONNECT cannot succeed, or
    /// where two clients would throw each other out for ever.
    const fn after(reason: ReasonCode) -> Self {
        match reason {
            ReasonCode::UnsupportedProtocolVersion
            | ReasonCode::ClientIdentifierNotValid
            | ReasonCode::BadUserNameOrPassword
            | ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod
            | ReasonCode::SessionTakenOver
            | ReasonCode::UseAnotherServer
            | ReasonCode::ServerMoved => Self::Never,
            _ => Self::Later,
        }
    }
}

impl ServerInfo {
    /// What holds until the server has spoken.
    const fn before_connack(options: &Options) -> Self {
        Self {
            session_present: false,
            receive_maximum: u16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            keep_alive: options.keep_alive,
            session_expiry_interval: match options.session_expiry_interval {
                Some(seconds) => seconds,
                None => 0,
            },
        }
    }
}

/// The limits of what the client takes from a server.
fn limits(options: &Options) -> Limits {
    let mut limits = Limits::default();
    if let Some(bytes) = options.maximum_packet_size {
        limits.max_packet_size = bytes;
    }
    limits
}
