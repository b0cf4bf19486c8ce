//! Drives a `core::client` over a transport for `halyard pub` and `halyard sub`: one thread, one
//! `poll`. It moves bytes and time and decides nothing about messages.

use super::args::{Args, Verb};
use super::trace::Trace;
use super::transport::Transport;
use crate::auth::scram;
use crate::clock::Clock;
use halyard_core::client::{Client, Event, Input};
use halyard_core::packet::ReasonCode;
use halyard_core::time::Instant;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// A client with its connection.
pub(super) struct Session<'a> {
    pub(super) client: Client,
    args: &'a Args,
    clock: Clock,
    transport: Option<Transport>,
    trace: Option<Trace>,
    /// Readable after SIGINT or SIGTERM.
    signals: UnixStream,
    /// Why the last attempt to connect failed.
    pub(super) connect_error: Option<String>,
    /// The exchange of this connection, if its user is to be proved by one.
    scram: Option<scram::Client>,
}

/// What the server said in an exchange.
enum Said {
    Challenge(Vec<u8>),
    Last(Vec<u8>),
}

/// What a turn found besides the connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    /// The other descriptor can be read.
    pub(super) extra: bool,
    /// The user wants an end.
    pub(super) interrupted: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(args: &'a Args) -> Result<Self, String> {
        let fail = |error: std::io::Error| format!("cannot watch for signals: {error}");
        let (signals, notify) = UnixStream::pair().map_err(fail)?;
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let notify = notify.try_clone().map_err(fail)?;
            signal_hook::low_level::pipe::register(signal, notify).map_err(fail)?;
        }
        Ok(Self {
            client: Client::new(args.options(), crate::clock::seed()),
            args,
            clock: Clock::start(),
            transport: None,
            trace: args.debug.then(|| Trace::new(args.version, args.verb == Verb::Sub)),
            signals,
            connect_error: None,
            scram: None,
        })
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Asks for the connection.
    pub(super) fn connect(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        self.with_client(sink, |client, sink| client.connect(sink));
    }

    /// Writes, waits and reads once. Returns at `until` at the latest.
    pub(super) fn turn(
        &mut self,
        extra: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<Ready, String> {
        self.flush(sink);
        let (connection, ready) = self.wait(extra, until)?;
        if connection {
            self.read(sink);
        }
        let now = self.now();
        if self.client.next_timeout().is_some_and(|due| due <= now) {
            self.with_client(sink, |client, sink| client.handle(now, Input::Timeout, sink));
        }
        self.flush(sink);
        Ok(ready)
    }

    /// Whether everything the client wrote has left this process.
    pub(super) fn is_flushed(&self) -> bool {
        self.client.output().is_empty()
            && self.transport.as_ref().is_none_or(|transport| !transport.is_blocked())
    }

    /// Sends what is left, with its goodbye, and closes.
    pub(super) fn finish(mut self) {
        self.push_output();
        if let Some(transport) = self.transport.take() {
            transport.finish();
        }
    }

    /// Waits for the connection, `extra`, a signal or the time.
    fn wait(
        &self,
        extra: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> Result<(bool, Ready), String> {
        if self.transport.as_ref().is_some_and(Transport::has_early_bytes) {
            return Ok((true, Ready::default()));
        }
        let due = [until, self.client.next_timeout()].into_iter().flatten().min();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            let micros = due.since(self.now()).as_micros();
            PollTimeout::try_from(micros.div_ceil(1_000)).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some(transport) = &self.transport {
            let mut flags = PollFlags::POLLIN;
            flags.set(PollFlags::POLLOUT, transport.is_blocked());
            watched.push(PollFd::new(transport.as_fd(), flags));
        }
        if let Some(extra) = extra {
            watched.push(PollFd::new(extra, PollFlags::POLLIN));
        }
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(format!("cannot wait for the connection: {error}")),
        }
        let woken = |index: usize| watched.get(index).is_some_and(|fd| fd.any().unwrap_or(false));
        let has_transport = self.transport.is_some();
        let ready = Ready {
            interrupted: woken(0),
            extra: extra.is_some() && woken(if has_transport { 2 } else { 1 }),
        };
        Ok((has_transport && woken(1), ready))
    }

    fn read(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        let Some(transport) = &mut self.transport else { return };
        let mut bytes = Vec::new();
        let open = transport.read(&mut bytes);
        if let Some(trace) = &mut self.trace {
            let mut lines = Vec::new();
            trace.received(&bytes, self.client.client_id(), &mut lines);
            _ = std::io::stdout().write_all(&lines);
        }
        let now = self.now();
        self.with_client(sink, |client, sink| client.handle(now, Input::Bytes(&bytes), sink));
        if !matches!(open, Ok(true)) && self.transport.take().is_some() {
            self.with_client(sink, |client, sink| client.handle(now, Input::TransportClosed, sink));
        }
    }

    fn push_output(&mut self) {
        let output = self.client.take_output();
        if let Some(transport) = &mut self.transport {
            if let Some(trace) = &mut self.trace {
                let mut lines = Vec::new();
                trace.sent(&output, self.client.client_id(), &mut lines);
                _ = std::io::stdout().write_all(&lines);
            }
            transport.push(&output);
        }
        self.client.recycle(output);
    }

    /// Writes what the client has written.
    pub(super) fn flush(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        self.push_output();
        let flushed = self.transport.as_mut().map_or(Ok(()), Transport::flush);
        if flushed.is_err() && self.transport.take().is_some() {
            let now = self.now();
            self.with_client(sink, |client, sink| client.handle(now, Input::TransportClosed, sink));
        }
    }

    /// Calls the client and does what it asks of its driver.
    fn with_client(
        &mut self,
        sink: &mut dyn FnMut(Event<'_>),
        call: impl FnOnce(&mut Client, &mut dyn FnMut(Event<'_>)),
    ) {
        let (mut open, mut close, mut said) = (false, false, None);
        let in_exchange = self.scram.is_some();
        call(&mut self.client, &mut |event| match event {
            Event::OpenTransport => open = true,
            Event::CloseTransport => close = true,
            Event::Auth(auth) if in_exchange => {
                said = Some(Said::Challenge(auth.data.unwrap_or_default().to_vec()));
            }
            event => {
                if let Event::Connected(connack) = event {
                    let last = connack.properties.authentication_data.unwrap_or_default();
                    said = Some(Said::Last(last.to_vec()));
                }
                sink(event);
            }
        });
        if let (Some(said), true) = (said, in_exchange) {
            self.hear(&said, sink);
        }
        if close {
            self.push_output();
            if let Some(transport) = self.transport.take() {
                transport.finish();
            }
        }
        if !open {
            return;
        }
        let now = self.now();
        match Transport::open(self.args) {
            Ok(transport) => {
                self.begin_exchange();
                self.transport = Some(transport);
                if let Some(trace) = &mut self.trace {
                    trace.opened();
                }
                self.client.handle(now, Input::TransportOpened, sink);
            }
            Err(error) => {
                self.connect_error = Some(error);
                self.client.handle(now, Input::TransportClosed, sink);
            }
        }
    }

    /// Each connection proves its user anew.
    fn begin_exchange(&mut self) {
        let Some((name, password)) = self.args.scram() else { return };
        let Some(nonce) = scram::nonce() else { return };
        let (exchange, first) = scram::Client::begin(name, password, nonce);
        self.scram = Some(exchange);
        self.client.set_authentication_data(first);
    }

    /// Answers a challenge; at the end the server, too, has to have known the password.
    fn hear(&mut self, said: &Said, sink: &mut dyn FnMut(Event<'_>)) {
        let Some(exchange) = &mut self.scram else { return };
        let now = self.clock.now();
        let wrong = match said {
            Said::Challenge(challenge) => match exchange.prove(challenge) {
                Some(proof) => {
                    let reason = ReasonCode::ContinueAuthentication;
                    let sent = self.client.auth(now, reason, Some(&proof));
                    sent.err().map(|error| error.to_string())
                }
                None => Some("the server's challenge is none of SCRAM-SHA-256".to_owned()),
            },
            Said::Last(last) if exchange.is_servers(last) => None,
            Said::Last(_) => Some("the server does not know the password itself".to_owned()),
        };
        if let Some(wrong) = wrong {
            self.connect_error = Some(wrong);
            // Nothing that waits may reach a server that is not the one.
            self.transport = None;
            self.client.handle(now, Input::TransportClosed, sink);
        }
    }
}
