//! `halyard pub`: publishes a message, a file, or each line of standard input, waits until the
//! server has it, and ends. Never subscribes, never reconnects.

use super::args::{Args, Source};
use super::outcome::{self, Outcome};
use super::properties::Command;
use super::session::Session;
use halyard_core::client::{Client, Event, PublishError, ReceiptState};
use halyard_core::packet::{Publish, ReasonCode, UserPropertiesBuf};
use halyard_core::time::Instant;
use std::io::Read;
use std::os::fd::AsFd;

/// Messages that may wait inside the client before more input is read.
const QUEUE: u32 = 1_000;

/// What has been done so far.
struct Publisher<'a> {
    args: &'a Args,
    user: UserPropertiesBuf,
    /// The payload, unless it comes line by line.
    payload: Option<Vec<u8>>,
    /// Standard input, line by line: bytes without an end of line yet.
    partial: Vec<u8>,
    input_ended: bool,
    /// Publications left, of those that `--repeat` asks for.
    left: u32,
    next_at: Instant,
    unfinished: u32,
    end: Option<Outcome>,
    warnings: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Outcome> {
    let usage = |error: String| Outcome::error(outcome::USAGE, &error);
    let mut publisher = Publisher::new(args).map_err(usage)?;
    let mut session = Session::new(args).map_err(usage)?;
    session.connect(&mut |event| publisher.note(&event));
    if let Some(error) = session.connect_error.take() {
        return Err(connect_failed(&error));
    }
    let stdin = std::io::stdin();
    loop {
        if let Some(end) = publisher.end.take() {
            publisher.say_warnings();
            return Err(end);
        }
        publisher.go_on(&mut session);
        session.flush(&mut |event| publisher.note(&event));
        publisher.say_warnings();
        if publisher.is_done(&session) {
            let now = session.now();
            let expiry = args.properties.disconnect_expiry();
            goodbye(args, &mut session.client, now, expiry);
            session.finish();
            return Ok(Outcome::SUCCESS);
        }
        let reads = publisher.wants_input(&session);
        let until = publisher.next_due(&session);
        let extra = reads.then(|| stdin.as_fd());
        let ready = session.turn(extra, until, &mut |event| publisher.note(&event));
        let ready = ready.map_err(usage)?;
        if ready.interrupted {
            session.finish();
            return Ok(Outcome::SUCCESS);
        }
        if ready.extra {
            publisher.read_lines().map_err(usage)?;
        }
    }
}

/// Says DISCONNECT; an expiry that this session cannot have is left out.
pub(super) fn goodbye(args: &Args, client: &mut Client, now: Instant, expiry: Option<u32>) {
    let user = args.user_properties(Command::Disconnect);
    let packet = |expiry| halyard_core::packet::Disconnect {
        session_expiry_interval: expiry,
        user_properties: user.as_ref(),
        ..halyard_core::packet::Disconnect::new(ReasonCode::Success)
    };
    if client.disconnect_with(now, packet(expiry)).is_err() {
        _ = client.disconnect_with(now, packet(None));
    }
}

/// The first attempt to connect failed.
pub(super) fn connect_failed(error: &str) -> Outcome {
    if error.starts_with("Unable") {
        return Outcome { code: outcome::USAGE, message: Some(error.to_owned()) };
    }
    Outcome::error(outcome::USAGE, error)
}

impl<'a> Publisher<'a> {
    fn new(args: &'a Args) -> Result<Self, String> {
        let payload = match args.sources.first() {
            Some(Source::Message(payload)) => Some(payload.clone()),
            Some(Source::File(path)) => Some(std::fs::read(path).map_err(|error| {
                format!("Unable to open file \"{}\": {error}.", path.display())
            })?),
            Some(Source::Stdin) => {
                let mut payload = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut payload);
                read.map_err(|error| format!("Unable to read standard input: {error}."))?;
                if payload.is_empty() {
                    return Err("Zero length input.\nError loading input from stdin.".to_owned());
                }
                Some(payload)
            }
            Some(Source::Null) => Some(Vec::new()),
            Some(Source::Lines) | None => None,
        };
        Ok(Self {
            args,
            user: args.user_properties(Command::Publish),
            left: if payload.is_some() { args.repeat } else { 0 },
            input_ended: payload.is_some(),
            payload,
            partial: Vec::new(),
            next_at: Instant::ZERO,
            unfinished: 0,
            end: None,
            warnings: Vec::new(),
        })
    }

    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Refused(connack) => {
                self.end = Some(Outcome::refused(self.args.version, connack));
            }
            Event::Disconnected(cause) if self.end.is_none() => {
                self.end = Some(Outcome::disconnected(cause));
            }
            Event::Published { token, reason } => {
                self.unfinished = self.unfinished.saturating_sub(1);
                if reason.is_error() {
                    let number = token.0 + 1;
                    self.warnings.push(format!("Warning: Publish {number} failed: {reason}."));
                }
            }
            Event::PublishDropped { cause, .. } => {
                self.unfinished = self.unfinished.saturating_sub(1);
                self.end.get_or_insert_with(|| refused(*cause));
            }
            _ => {}
        }
    }

    /// Publishes what is due.
    fn go_on(&mut self, session: &mut Session<'_>) {
        if !session.client.is_connected() {
            return;
        }
        while self.left > 0 && self.next_at <= session.now() && self.has_room(session) {
            let Some(payload) = self.payload.take() else { return };
            self.publish(session, &payload);
            self.payload = Some(payload);
            self.left -= 1;
            if !self.args.repeat_delay.is_zero() {
                self.next_at = session.now() + self.args.repeat_delay;
            }
        }
        while self.has_room(session) && self.end.is_none() {
            let Some(line) = self.take_line() else { return };
            self.publish(session, &line);
        }
    }

    fn publish(&mut self, session: &mut Session<'_>, payload: &[u8]) {
        let publish = Publish {
            dup: false,
            qos: self.args.qos,
            retain: self.args.retain,
            topic: &self.args.topics[0],
            packet_id: None,
            properties: self.args.properties.publish(&self.user),
            payload,
        };
        let now = session.now();
        match session.client.publish(now, &publish) {
            Ok(receipt) if receipt.state == ReceiptState::Written => {}
            Ok(_) => self.unfinished += 1,
            Err(error) => self.end = Some(refused(error)),
        }
    }

    fn has_room(&self, session: &Session<'_>) -> bool {
        session.client.queued().0 < QUEUE && session.client.output().len() < 1 << 20
    }

    fn wants_input(&self, session: &Session<'_>) -> bool {
        !self.input_ended && session.client.is_connected() && self.has_room(session)
    }

    /// When the next repetition is due.
    fn next_due(&self, session: &Session<'_>) -> Option<Instant> {
        (self.left > 0 && session.client.is_connected()).then_some(self.next_at)
    }

    fn is_done(&self, session: &Session<'_>) -> bool {
        session.client.is_connected()
            && self.input_ended
            && self.partial.is_empty()
            && self.left == 0
            && self.unfinished == 0
            && session.is_flushed()
    }

    fn read_lines(&mut self) -> Result<(), String> {
        let mut chunk = [0; 64 << 10];
        let count = nix::unistd::read(std::io::stdin().as_fd(), &mut chunk)
            .map_err(|error| format!("Unable to read standard input: {error}."))?;
        self.input_ended = count == 0;
        self.partial.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    /// The next whole line, or the rest at the end.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        if let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.partial.drain(..=end).collect();
            line.pop();
            return Some(line);
        }
        let rest = self.input_ended && !self.partial.is_empty();
        rest.then(|| std::mem::take(&mut self.partial))
    }

    fn say_warnings(&mut self) {
        for warning in self.warnings.drain(..) {
            if !self.args.quiet {
                eprintln!("{warning}");
            }
        }
    }
}

/// The client refused a message.
fn refused(error: PublishError) -> Outcome {
    let code = match error {
        PublishError::AliasInvalid | PublishError::SessionLost => outcome::NOT_CONNECTED,
        _ => outcome::USAGE,
    };
    Outcome::error(code, &format!("Publish: {error}."))
}
