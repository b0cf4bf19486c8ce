//! A client of the sweep: a `core::client` that keeps its session, the application behind it that
//! does one thing after another, and the two byte streams between it and its broker. It tells the
//! ledger what it was promised and what it got.

use super::ledger::{Ledger, Standing};
use crate::client::{CleanStart, Client, Event, Input, Options, WillMessage};
use crate::packet::{
    Publish, PublishProperties, QoS, ReasonCode, SubscribeFilter, SubscriptionOptions,
    UserProperties, Version,
};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// What an application does next.
#[derive(Clone, Debug)]
pub(super) enum Task {
    Publish {
        topic: String,
        qos: QoS,
    },
    Retain {
        clears: bool,
    },
    Subscribe {
        filter: String,
        qos: QoS,
    },
    Unsubscribe {
        filter: String,
    },
    /// Ends its session for good, and begins another.
    EndSession,
    /// Its connection breaks.
    Drop,
}

/// Whether the session is there when the client comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Present {
    No,
    Yes,
    Perhaps,
}

/// What a client told its application.
#[derive(Clone, Debug)]
enum Told {
    Open,
    Close,
    Connected(bool),
    Message { topic: String, payload: Vec<u8>, qos: QoS },
    Published { token: u64, taken: bool },
    Subscribed(bool),
    Unsubscribed,
    Wrong(String),
    Nothing,
}

/// A client, its application and its connection.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) number: usize,
    pub(super) name: String,
    client: Client,
    pub(super) tasks: VecDeque<Task>,
    /// The connection, and whether the broker knows of it.
    pub(super) conn: Option<u64>,
    pub(super) opened: bool,
    /// The client has closed its end.
    pub(super) closed: bool,
    pub(super) to_server: Vec<u8>,
    pub(super) to_client: Vec<u8>,
    /// The broker has closed its end.
    pub(super) server_closed: bool,
    present: Present,
    /// SUBSCRIBE or UNSUBSCRIBE under way.
    asked: Option<Task>,
    /// DISCONNECT with the end of the session is sent.
    ending: bool,
    /// By token: the number of the message.
    tokens: BTreeMap<u64, usize>,
    has_will: bool,
    /// CONNACK was received on this connection.
    accepted: bool,
    next_conn: u64,
    /// What it found retained, for a probe.
    pub(super) found: BTreeMap<String, usize>,
}

fn payload(prefix: char, number: usize) -> Vec<u8> {
    format!("{prefix}{number};").into_bytes()
}

fn number_in(payload: &[u8], prefix: u8) -> Option<usize> {
    let (first, rest) = payload.split_first()?;
    let text = core::str::from_utf8(rest.strip_suffix(b";")?).ok()?;
    (*first == prefix).then(|| text.parse().ok())?
}

impl Device {
    /// `lasts`: the Session Expiry Interval; 3.1.1 keeps its session for ever.
    pub(super) fn new(number: usize, version: Version, lasts: u32, has_will: bool) -> Self {
        let name = format!("d{number}");
        let will = has_will.then(|| WillMessage {
            topic: "w".to_owned(),
            payload: payload('w', number),
            qos: QoS::ExactlyOnce,
            ..WillMessage::default()
        });
        let options = Options {
            keep_alive: 0,
            clean_start: CleanStart::Never,
            session_expiry_interval: (version.is_v5() && lasts > 0).then_some(lasts),
            max_inflight: 4,
            will,
            ..Options::new(version, &name)
        };
        Self {
            number,
            name,
            client: Client::new(options, number as u64),
            tasks: VecDeque::new(),
            conn: None,
            opened: false,
            closed: false,
            to_server: Vec::new(),
            to_client: Vec::new(),
            server_closed: false,
            present: if lasts > 0 { Present::No } else { Present::Perhaps },
            asked: None,
            ending: false,
            tokens: BTreeMap::new(),
            has_will,
            accepted: false,
            next_conn: 0,
            found: BTreeMap::new(),
        }
    }

    /// Whether it has done all and has all.
    pub(super) fn is_settled(&self) -> bool {
        let quiet = self.client.inflight() == 0 && self.client.queued().0 == 0;
        self.tasks.is_empty()
            && self.asked.is_none()
            && !self.ending
            && quiet
            && self.client.held() == 0
            && self.client.is_connected()
            && self.to_client.is_empty()
            && self.to_server.is_empty()
    }

    /// What it still waits for, for people.
    pub(super) fn state(&self) -> String {
        format!(
            "connected {}, {} in flight, {} queued, {} held, asked {:?}, to do {:?}",
            self.client.is_connected(),
            self.client.inflight(),
            self.client.queued().0,
            self.client.held(),
            self.asked,
            self.tasks
        )
    }

    /// Wants a connection.
    pub(super) fn connect(&mut self, now: Instant, ledger: &mut Ledger) {
        if self.conn.is_none() {
            self.call(now, ledger, |client, sink| client.connect(sink));
        }
    }

    /// Its connection breaks.
    pub(super) fn lose(&mut self, now: Instant, ledger: &mut Ledger) {
        if self.conn.is_none() || self.closed {
            return;
        }
        if self.ending {
            // Whether the broker has read the DISCONNECT nobody knows.
            self.ending = false;
            self.tasks.push_front(Task::EndSession);
            self.count_will(ledger, 0);
        } else {
            self.count_will(ledger, u32::from(self.accepted));
        }
        if !self.accepted && self.present == Present::No {
            // The broker may have taken the CONNECT.
            self.present = Present::Perhaps;
        }
        self.closed = true;
        self.to_client.clear();
        if let Some(task) = self.asked.take() {
            self.tasks.push_front(task);
        }
        self.call(now, ledger, |client, sink| client.handle(now, Input::TransportClosed, sink));
    }

    fn count_will(&mut self, ledger: &mut Ledger, least: u32) {
        if self.has_will {
            // Somebody must be there to get it.
            let heard = ledger.standing(0, "w") == Standing::Yes(QoS::ExactlyOnce);
            let least = if heard { least } else { 0 };
            let will = ledger.wills.entry(self.number).or_default();
            will.least += least;
            will.most += 1;
        }
    }

    /// The power of the broker is gone, and with it the connection. What had come before may still
    /// be read.
    pub(super) fn power_lost(&mut self, now: Instant, reads: bool, ledger: &mut Ledger) {
        if reads {
            self.read(now, usize::MAX, ledger);
        }
        self.lose(now, ledger);
        self.gone();
    }

    /// Both ends know that the connection is over.
    pub(super) fn gone(&mut self) {
        self.conn = None;
        (self.opened, self.closed, self.server_closed) = (false, false, false);
        self.to_server.clear();
        self.to_client.clear();
    }

    /// Reads up to `most` bytes of what has come.
    pub(super) fn read(&mut self, now: Instant, most: usize, ledger: &mut Ledger) {
        if self.conn.is_some() && !self.closed && !self.to_client.is_empty() {
            let rest = self.to_client.split_off(most.min(self.to_client.len()));
            let chunk = core::mem::replace(&mut self.to_client, rest);
            self.call(now, ledger, |client, sink| client.handle(now, Input::Bytes(&chunk), sink));
        }
        if self.server_closed && self.to_client.is_empty() && !self.closed {
            if self.ending {
                self.ending = false;
                self.present = Present::No;
                ledger.answered(self.number);
                ledger.all_stand(self.number, Standing::No(ledger.step));
                self.gone();
                self.connect(now, ledger);
            } else {
                self.lose(now, ledger);
                self.gone();
            }
        }
    }

    /// Does the next thing, if it can be done now.
    pub(super) fn work(&mut self, now: Instant, ledger: &mut Ledger) {
        let Some(task) = self.tasks.front() else { return };
        let ready = self.client.is_connected() && self.asked.is_none() && !self.ending;
        let quiet = self.client.inflight() == 0 && self.client.queued().0 == 0;
        let may = match task {
            Task::Publish { .. } | Task::Retain { .. } => true,
            Task::Subscribe { .. } | Task::Unsubscribe { .. } | Task::Drop => ready,
            Task::EndSession => ready && quiet,
        };
        if !may {
            return;
        }
        let Some(task) = self.tasks.pop_front() else { return };
        ledger.step += 1;
        match task {
            Task::Publish { topic, qos } => {
                let number = ledger.publish(self.number, &topic, qos);
                self.publish(now, &topic, qos, false, payload('m', number), number, ledger);
            }
            Task::Retain { clears } => {
                let topic = format!("r/{}", self.number);
                let number = ledger.retain(self.number, &topic, clears);
                let bytes = if clears { Vec::new() } else { payload('m', number) };
                self.publish(now, &topic, QoS::AtLeastOnce, true, bytes, number, ledger);
            }
            Task::Drop => self.lose(now, ledger),
            Task::EndSession => {
                ledger.session_given_up(self.number);
                self.ending = true;
                self.present = Present::Perhaps;
                if let Err(error) = self.client.disconnect(now, ReasonCode::Success, Some(0)) {
                    ledger.blame(format!("{}: {error:?}", self.name));
                }
                self.to_server.extend(self.client.take_output());
            }
            Task::Subscribe { .. } | Task::Unsubscribe { .. } => self.ask(now, task, ledger),
        }
    }

    fn ask(&mut self, now: Instant, task: Task, ledger: &mut Ledger) {
        let none = UserProperties::EMPTY;
        match &task {
            Task::Subscribe { filter, qos } => {
                ledger.stands(self.number, filter, Standing::Open);
                let options = SubscriptionOptions::new(*qos);
                let wanted = [SubscribeFilter { filter, options }];
                let _ = self.client.subscribe(now, &wanted, None, none);
            }
            Task::Unsubscribe { filter } => {
                ledger.stands(self.number, filter, Standing::Open);
                let _ = self.client.unsubscribe(now, &[filter], none);
            }
            _ => {}
        }
        self.asked = Some(task);
        self.to_server.extend(self.client.take_output());
    }

    #[expect(clippy::too_many_arguments, reason = "one message, spelled out")]
    fn publish(
        &mut self,
        now: Instant,
        topic: &str,
        qos: QoS,
        retain: bool,
        payload: Vec<u8>,
        number: usize,
        ledger: &mut Ledger,
    ) {
        let packet = Publish {
            dup: false,
            qos,
            retain,
            topic,
            packet_id: None,
            properties: PublishProperties::default(),
            payload: &payload,
        };
        match self.client.publish(now, &packet) {
            Ok(receipt) => drop(self.tokens.insert(receipt.token.0, number)),
            Err(error) => ledger.blame(format!("{}: {error}", self.name)),
        }
        self.to_server.extend(self.client.take_output());
    }

    fn call(
        &mut self,
        now: Instant,
        ledger: &mut Ledger,
        call: impl FnOnce(&mut Client, &mut dyn FnMut(Event<'_>)),
    ) {
        let mut told = Vec::new();
        call(&mut self.client, &mut |event| told.push(Told::of(&event)));
        for one in told {
            self.told(now, one, ledger);
        }
        if self.conn.is_some() && !self.closed {
            self.to_server.extend(self.client.take_output());
        }
    }

    fn told(&mut self, now: Instant, told: Told, ledger: &mut Ledger) {
        match told {
            Told::Open => {
                self.next_conn += 1;
                self.conn = Some(self.number as u64 * 1_000_000 + self.next_conn);
                (self.opened, self.closed, self.server_closed) = (false, false, false);
                self.accepted = false;
                self.to_server.clear();
                self.to_client.clear();
                self.call(now, ledger, |client, sink| {
                    client.handle(now, Input::TransportOpened, sink);
                });
            }
            Told::Close => self.closed = true,
            Told::Connected(present) => self.connected(present, ledger),
            Told::Message { topic, payload, qos } => self.message(&topic, &payload, qos, ledger),
            Told::Published { token, taken } => {
                if let Some(number) = self.tokens.get(&token).copied() {
                    if taken {
                        ledger.acked(number);
                    } else {
                        ledger.blame(format!("message {number} was refused"));
                    }
                }
            }
            Told::Subscribed(granted) => {
                ledger.answered(self.number);
                if let Some(Task::Subscribe { filter, qos }) = self.asked.take() {
                    if granted {
                        ledger.stands(self.number, &filter, Standing::Yes(qos));
                    } else {
                        ledger.blame(format!("{}: {filter} was refused", self.name));
                    }
                }
            }
            Told::Unsubscribed => {
                ledger.answered(self.number);
                if let Some(Task::Unsubscribe { filter }) = self.asked.take() {
                    ledger.stands(self.number, &filter, Standing::No(ledger.step));
                }
            }
            Told::Wrong(what) => ledger.blame(format!("{}: {what}", self.name)),
            Told::Nothing => {}
        }
    }

    fn connected(&mut self, present: bool, ledger: &mut Ledger) {
        self.accepted = true;
        ledger.answered(self.number);
        let wrong = match self.present {
            Present::Yes => !present,
            Present::No => present,
            Present::Perhaps => false,
        };
        if wrong {
            ledger.blame(format!(
                "{}: Session Present {present}, though {:?} was promised",
                self.name, self.present
            ));
        }
        if !present {
            ledger.all_stand(self.number, Standing::No(ledger.step));
        }
        let lasts = self.client.options().session_expiry_interval.unwrap_or(0) > 0;
        self.present = if lasts || !self.client.options().version.is_v5() {
            Present::Yes
        } else {
            Present::Perhaps
        };
    }

    fn message(&mut self, topic: &str, payload: &[u8], qos: QoS, ledger: &mut Ledger) {
        if let Some(of) = number_in(payload, b'w') {
            ledger.will_received(of);
        } else if let Some(number) = number_in(payload, b'm') {
            if topic.starts_with("r/") {
                self.found.insert(topic.to_owned(), number);
            } else {
                ledger.received(self.number, number, topic, qos);
            }
        }
    }
}

impl Told {
    fn of(event: &Event<'_>) -> Self {
        use crate::client::DisconnectCause;
        match event {
            Event::OpenTransport => Self::Open,
            Event::CloseTransport => Self::Close,
            Event::Connected(connack) => Self::Connected(connack.session_present),
            Event::Refused(connack) => Self::Wrong(format!("refused: {}", connack.reason)),
            Event::Message(publish) => Self::Message {
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_vec(),
                qos: publish.qos,
            },
            Event::Published { token, reason } => {
                // A PUBREL for the second time: the message was taken the first time.
                let again = *reason == ReasonCode::PacketIdentifierNotFound;
                Self::Published { token: token.0, taken: again || !reason.is_error() }
            }
            Event::Subscribed(suback) => {
                Self::Subscribed(suback.reasons.iter().all(|reason| !reason.is_error()))
            }
            Event::Unsubscribed(_) => Self::Unsubscribed,
            Event::PublishDropped { cause, .. } => Self::Wrong(format!("dropped: {cause}")),
            Event::Disconnected(DisconnectCause::Protocol { detail, .. }) => {
                Self::Wrong(format!("the broker broke the protocol: {detail}"))
            }
            Event::Disconnected(DisconnectCause::Server(packet)) => {
                Self::Wrong(format!("thrown out: {}", packet.reason))
            }
            _ => Self::Nothing,
        }
    }
}
