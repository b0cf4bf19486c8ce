//! `halyard sub`: subscribes and prints what arrives, until a count, a time or a signal ends it.
//! Reconnects when the connection is lost.

use super::args::Args;
use super::outcome::{self, Outcome};
use super::properties::Command;
use super::publish::{connect_failed, goodbye};
use super::session::Session;
use halyard_core::client::{Event, Token};
use halyard_core::packet::{Publish, PublishProperties, QoS, SubscribeFilter, SubscriptionOptions};
use halyard_core::rng::Rng;
use halyard_core::time::Instant;
use halyard_core::topic;
use std::io::Write;

/// What has been seen so far.
struct Subscriber<'a> {
    args: &'a Args,
    out: Vec<u8>,
    complaints: Vec<String>,
    rng: Rng,
    printed: u32,
    connected: bool,
    was_connected: bool,
    /// SUBSCRIBE packets without an answer.
    pending: u32,
    acknowledged: bool,
    /// Topics whose retained message is to go.
    to_clear: Vec<String>,
    clearing: Vec<Token>,
    /// Rows of `--watch`.
    rows: Vec<String>,
    /// Messages in the current second of `--message-rate`.
    rate: u64,
    rate_at: Option<Instant>,
    end: Option<Outcome>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Outcome> {
    let usage = |error: String| Outcome::error(outcome::USAGE, &error);
    let mut subscriber = Subscriber::new(args);
    let mut session = Session::new(args).map_err(usage)?;
    session.connect(&mut |event| subscriber.note(&event));
    if let Some(error) = session.connect_error.take() {
        return Err(connect_failed(&error));
    }
    // The server may never answer.
    let deadline = args.timeout.map(|timeout| session.now() + timeout);
    loop {
        subscriber.write_out();
        if subscriber.connected {
            subscriber.connected = false;
            subscriber.subscribe(&mut session).map_err(usage)?;
        }
        subscriber.clear_retained(&mut session);
        let now = session.now();
        subscriber.print_rate(now);
        let timed_out = deadline.is_some_and(|deadline| now >= deadline);
        if timed_out && subscriber.end.is_none() {
            subscriber.end = Some(Outcome::timed_out());
        }
        if subscriber.is_done() {
            let end = subscriber.end.take().unwrap_or(Outcome::SUCCESS);
            goodbye(args, &mut session.client, now, args.properties.disconnect_expiry());
            session.finish();
            return Ok(end);
        }
        let until = [deadline, subscriber.rate_at].into_iter().flatten().min();
        let ready = session.turn(None, until, &mut |event| subscriber.note(&event));
        if ready.map_err(usage)?.interrupted {
            subscriber.end = Some(Outcome::SUCCESS);
        }
    }
}

impl<'a> Subscriber<'a> {
    fn new(args: &'a Args) -> Self {
        Self {
            args,
            out: Vec::new(),
            complaints: Vec::new(),
            rng: Rng::new(crate::clock::seed()),
            printed: 0,
            connected: false,
            was_connected: false,
            pending: 0,
            acknowledged: false,
            to_clear: Vec::new(),
            clearing: Vec::new(),
            rows: Vec::new(),
            rate: 0,
            rate_at: None,
            end: None,
        }
    }

    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Connected(_) => {
                self.connected = true;
                self.was_connected = true;
                self.pending = 0;
            }
            Event::Refused(connack) => {
                self.end = Some(Outcome::refused(self.args.version, connack));
            }
            Event::Message(message) => self.message(message),
            Event::Subscribed(suback) => {
                self.pending = self.pending.saturating_sub(1);
                self.acknowledged |= suback.reasons.iter().any(|reason| !reason.is_error());
                if self.pending == 0 && !self.acknowledged {
                    let message = "All subscription requests were denied.".to_owned();
                    self.end = Some(Outcome { code: 0, message: Some(message) });
                } else if self.pending == 0 && self.args.exit_after_subscribe {
                    self.end = Some(Outcome::SUCCESS);
                }
            }
            Event::Published { token, .. } | Event::PublishDropped { token, .. } => {
                self.clearing.retain(|clearing| clearing != token);
            }
            Event::Disconnected(cause) if !self.was_connected && self.end.is_none() => {
                self.end = Some(Outcome::disconnected(cause));
            }
            Event::Disconnected(_) if self.end.is_some() => {}
            Event::Disconnected(cause) => self.complaints.push(format!("Warning: {cause}.")),
            Event::Stopped if self.end.is_none() => {
                let message = "The server does not want this client back.";
                self.end = Some(Outcome::error(outcome::NOT_CONNECTED, message));
            }
            _ => {}
        }
    }

    /// Decides about one message, in mosquitto_sub's order.
    fn message(&mut self, message: &Publish<'_>) {
        let args = self.args;
        if self.end.is_some() {
            return;
        }
        if args.retained_only && !message.retain {
            self.end = Some(Outcome::SUCCESS);
            return;
        }
        if args.filter_out.iter().any(|filter| topic::matches(filter, message.topic)) {
            return;
        }
        if args.remove_retained && message.retain {
            self.to_clear.push(message.topic.to_owned());
        }
        if args.skip_retained && message.retain {
            return;
        }
        self.rate += 1;
        if args.chance < 10_000 && self.rng.below(10_000) >= args.chance {
            return;
        }
        self.print(message);
        self.printed += 1;
        if args.count.is_some_and(|count| self.printed >= count) {
            self.end = Some(Outcome::SUCCESS);
        }
    }

    fn print(&mut self, message: &Publish<'_>) {
        let args = self.args;
        if args.message_rate {
            return;
        }
        if args.watch {
            self.go_to_row(message.topic);
        }
        let mut end_of_line = args.end_of_line;
        if let Some(format) = &args.format {
            if let Err(error) = format.print(message, args.pretty, &mut self.out) {
                self.complaints.push(format!("Error: {error}"));
            }
        } else if message.payload.is_empty() && !args.end_of_line {
            // Nothing at all, as in mosquitto_sub.
        } else if args.verbose || args.watch {
            self.out.extend_from_slice(message.topic.as_bytes());
            self.out.push(b' ');
            // An empty payload is so marked, as in mosquitto_sub.
            let payload = if message.payload.is_empty() { b"(null)" } else { message.payload };
            self.out.extend_from_slice(payload);
        } else {
            self.out.extend_from_slice(message.payload);
            end_of_line &= !message.payload.is_empty();
        }
        if args.watch {
            self.out.extend_from_slice(b"\x1b[K");
        }
        if end_of_line {
            self.out.push(b'\n');
        }
    }

    /// Puts the cursor to the line of a topic.
    fn go_to_row(&mut self, topic: &str) {
        if self.rows.is_empty() {
            self.out.extend_from_slice(b"\x1b[2J");
        }
        let row = self.rows.iter().position(|known| known == topic).unwrap_or_else(|| {
            self.rows.push(topic.to_owned());
            self.rows.len() - 1
        });
        self.out.extend_from_slice(format!("\x1b[{};1H", row + 1).as_bytes());
    }

    fn subscribe(&mut self, session: &mut Session<'_>) -> Result<(), String> {
        let args = self.args;
        let options = SubscriptionOptions {
            qos: args.qos,
            no_local: false,
            retain_as_published: args.retain_as_published && args.version.is_v5(),
            retain_handling: args.retain_handling,
        };
        let filters: Vec<_> =
            args.topics.iter().map(|filter| SubscribeFilter { filter, options }).collect();
        let user = args.user_properties(Command::Subscribe);
        let identifier = args.properties.subscription_identifier();
        let now = session.now();
        let fail = |error: halyard_core::client::CommandError| format!("Subscribe: {error}.");
        session.client.subscribe(now, &filters, identifier, user.as_ref()).map_err(fail)?;
        self.pending += 1;
        if !args.unsubscribe.is_empty() {
            let filters: Vec<_> = args.unsubscribe.iter().map(String::as_str).collect();
            let user = args.user_properties(Command::Unsubscribe);
            session.client.unsubscribe(now, &filters, user.as_ref()).map_err(fail)?;
        }
        Ok(())
    }

    /// Publishes an empty retained message for each that was seen.
    fn clear_retained(&mut self, session: &mut Session<'_>) {
        for topic in self.to_clear.drain(..) {
            let publish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: true,
                topic: &topic,
                packet_id: None,
                properties: PublishProperties::default(),
                payload: &[],
            };
            let now = session.now();
            match session.client.publish(now, &publish) {
                Ok(receipt) => self.clearing.push(receipt.token),
                Err(error) => self.complaints.push(format!("Error: {topic}: {error}.")),
            }
        }
    }

    /// `--message-rate`: a line a second.
    fn print_rate(&mut self, now: Instant) {
        if !self.args.message_rate {
            return;
        }
        let due = *self.rate_at.get_or_insert_with(|| now.plus_secs(1));
        if now >= due {
            self.rate_at = Some(due.plus_secs(1));
            let rate = std::mem::take(&mut self.rate);
            self.out.extend_from_slice(format!("{rate}\n").as_bytes());
        }
    }

    /// Whether the end has come and nothing is left to send for it.
    fn is_done(&self) -> bool {
        let clearing = self.clearing.is_empty() && self.to_clear.is_empty();
        self.end.as_ref().is_some_and(|end| clearing || end.code != 0)
    }

    fn write_out(&mut self) {
        if !self.out.is_empty() {
            let mut stdout = std::io::stdout().lock();
            if stdout.write_all(&self.out).and_then(|()| stdout.flush()).is_err() {
                // Nobody reads any more.
                self.end = Some(Outcome::SUCCESS);
            }
            self.out.clear();
        }
        for complaint in self.complaints.drain(..) {
            if !self.args.quiet {
                eprintln!("{complaint}");
            }
        }
    }
}
