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
        expiry: Option<u32>,
    },
    Retain {
        clears: bool,
        expiry: Option<u32>,
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
    /// It goes, and comes back after so many seconds. `says`: with DISCONNECT and this reason.
    Away {
        seconds: u64,
        says: Option<ReasonCode>,
    },
}

/// What a client is like, from its CONNECT on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    pub(super) version: Version,
    /// The Session Expiry Interval; 3.1.1 keeps its session for ever.
    pub(super) lasts: u32,
    /// It has a will, with this delay in seconds.
    pub(super) will: Option<u32>,
    /// Its listener, and what that puts before every topic.
    pub(super) listener: u16,
    pub(super) mount: &'static str,
}

impl Nature {
    pub(super) const fn new(version: Version, lasts: u32) -> Self {
        Self { version, lasts, will: None, listener: 0, mount: "" }
    }
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

/// A will whose connection is over, and when that was, as `lost` and `over` of a device.
#[derive(Clone, Copy, Debug)]
struct WaitingWill {
    lost: Instant,
    over: Instant,
    /// The broker had it, and somebody is there to get it.
    is_sure: bool,
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
    pub(super) nature: Nature,
    /// The last connection: ended at the earliest, known to both ends at the latest.
    lost: Instant,
    over: Instant,
    /// Its end is stored: the broker said so by closing behind DISCONNECT.
    is_over_stored: bool,
    /// A CONNECT since was not answered: what it did nobody knows.
    tried: bool,
    /// It asks for a new session.
    clean: bool,
    /// When the connection that is now was begun.
    since: Instant,
    /// It comes back no sooner than this.
    back: Instant,
    /// The reason in the DISCONNECT that it sent, and when.
    leaving: Option<(ReasonCode, Instant)>,
    /// Wills that wait for their delay.
    waiting_wills: Vec<WaitingWill>,
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
    pub(super) fn new(number: usize, nature: Nature) -> Self {
        let Nature { version, lasts, will, .. } = nature;
        let name = format!("d{number}");
        let will = will.map(|delay| WillMessage {
            topic: "w".to_owned(),
            payload: payload('w', number),
            qos: QoS::ExactlyOnce,
            delay_interval: (delay > 0).then_some(delay),
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
            nature,
            lost: Instant(0),
            over: Instant(0),
            is_over_stored: true,
            tried: false,
            clean: false,
            since: Instant(0),
            back: Instant(0),
            leaving: None,
            waiting_wills: Vec::new(),
            accepted: false,
            next_conn: 0,
            found: BTreeMap::new(),
        }
    }

    /// As the rest of the world calls what this client calls `topic`.
    fn full(&self, topic: &str) -> String {
        match topic.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
            Some((group, filter)) => format!("$share/{group}/{}{filter}", self.nature.mount),
            None => format!("{}{topic}", self.nature.mount),
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

    /// When it comes back, if it is away.
    pub(super) fn away_until(&self, now: Instant) -> Option<Instant> {
        (self.conn.is_none() && self.back > now).then_some(self.back)
    }

    /// Wants a connection.
    pub(super) fn connect(&mut self, now: Instant, ledger: &mut Ledger) {
        if self.conn.is_none() && self.away_until(now).is_none() {
            self.call(now, ledger, |client, sink| client.connect(sink));
        }
    }

    /// Its connection breaks.
    pub(super) fn lose(&mut self, now: Instant, ledger: &mut Ledger) {
        if self.conn.is_none() || self.closed {
            return;
        }
        // The broker may have read the DISCONNECT and ended the connection then.
        let lost = self.leaving.map_or(now, |(_, said)| said);
        if self.ending {
            // Whether the broker has read the DISCONNECT nobody knows.
            self.ending = false;
            self.tasks.push_front(Task::EndSession);
            self.will_left(lost, now, false, ledger);
        } else if let Some((reason, _)) = self.leaving.take() {
            // By this reason it is published either way.
            let is_sure = self.accepted && reason == ReasonCode::DisconnectWithWill;
            self.will_left(lost, now, is_sure, ledger);
        } else {
            self.will_left(lost, now, self.accepted, ledger);
        }
        self.offline(lost, ledger);
        if !self.accepted {
            self.tried = true;
            if self.present == Present::No {
                // The broker may have taken the CONNECT.
                self.present = Present::Perhaps;
            }
        }
        self.closed = true;
        self.to_client.clear();
        if let Some(task) = self.asked.take() {
            self.tasks.push_front(task);
        }
        self.call(now, ledger, |client, sink| client.handle(now, Input::TransportClosed, sink));
        if !self.accepted && self.may_have_expired(now) {
            // And it may have begun another session by that, which the client could not tell from
            // the old one: it begins anew.
            ledger.session_over(self.number, Standing::Open);
            let options = self.client.options().clone();
            let options = Options { clean_start: CleanStart::First, ..options };
            self.client = Client::new(options, self.number as u64);
            self.tokens.clear();
            self.asked = None;
            self.present = Present::No;
            self.clean = true;
        }
    }

    /// The connection is over for the client.
    fn offline(&mut self, lost: Instant, ledger: &mut Ledger) {
        ledger.unsure_of_qos_0(self.number);
        if self.accepted {
            // An unanswered CONNECT may have changed nothing: then what was before still holds.
            self.lost = lost;
            self.tried = false;
        }
        self.is_over_stored = false;
        self.over = Instant(u64::MAX);
    }

    /// Whether the session may have ended by its expiry if the client is back now.
    fn may_have_expired(&self, now: Instant) -> bool {
        self.expires_after(self.lost).is_some_and(|at| now >= at)
    }

    fn expires_after(&self, end: Instant) -> Option<Instant> {
        let Nature { version, lasts, .. } = self.nature;
        (version.is_v5() && lasts > 0).then(|| end.plus_secs(u64::from(lasts)))
    }

    /// When a will is due whose connection ended then.
    fn will_due(&self, end: Instant) -> Instant {
        let Nature { lasts, will, .. } = self.nature;
        end.plus_secs(u64::from(will.unwrap_or(0).min(lasts)))
    }

    /// A connection with a will is over, by no goodbye that the broker is known to have read.
    fn will_left(&mut self, lost: Instant, now: Instant, is_sure: bool, ledger: &mut Ledger) {
        let Some(delay) = self.nature.will else { return };
        // Somebody must be there to get it.
        let heard = ledger.standing(0, &self.full("w")) == Standing::Yes(QoS::ExactlyOnce);
        let is_sure = is_sure && heard;
        if delay.min(self.nature.lasts) == 0 {
            let will = ledger.wills.entry(self.number).or_default();
            will.least += u32::from(is_sure);
            will.most += 1;
            return;
        }
        if !self.accepted {
            // Whether this connection has cancelled those before nobody knows.
            self.wills_before(now, ledger);
        }
        let over = Instant(u64::MAX);
        let lost = if self.accepted { lost } else { self.since };
        self.waiting_wills.push(WaitingWill { lost, over, is_sure });
    }

    /// What became of wills that waited: the broker took the next connection between its
    /// beginning and now, if it did.
    fn wills_before(&mut self, now: Instant, ledger: &mut Ledger) {
        for mut will in core::mem::take(&mut self.waiting_wills) {
            let count = ledger.wills.entry(self.number).or_default();
            let is_sure = will.is_sure && self.since > self.will_due(will.over);
            count.least += u32::from(is_sure);
            if is_sure || self.accepted {
                // For an answered CONNECT has cancelled what was not due.
                // And if it asked for a new session, what was not due came with the end of the old.
                let may = is_sure || self.clean || now >= self.will_due(will.lost);
                count.most += u32::from(may);
            } else {
                will.is_sure = false;
                self.waiting_wills.push(will);
            }
        }
    }

    /// The power of the broker is gone, and with it the connection. What had come before may still
    /// be read.
    pub(super) fn power_lost(&mut self, now: Instant, reads: bool, ledger: &mut Ledger) {
        if reads {
            self.read(now, usize::MAX, ledger);
        }
        self.lose(now, ledger);
        self.gone(now);
    }

    /// The broker starts: whose end was not stored counts as disconnected now.
    pub(super) fn broker_starts(&mut self, now: Instant) {
        if !self.is_over_stored {
            self.all_over(now);
        }
    }

    /// Both ends know that the connection is over.
    pub(super) fn gone(&mut self, now: Instant) {
        if self.conn.take().is_some() && !self.is_over_stored {
            self.all_over(now);
        }
        (self.opened, self.closed, self.server_closed) = (false, false, false);
        self.to_server.clear();
        self.to_client.clear();
    }

    fn all_over(&mut self, now: Instant) {
        self.over = now;
        for will in &mut self.waiting_wills {
            will.over = now;
        }
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
                self.gone(now);
                self.connect(now, ledger);
            } else if let Some((reason, said)) = self.leaving.take() {
                self.left(now, reason, said, ledger);
            } else {
                self.lose(now, ledger);
                self.gone(now);
            }
        }
    }

    /// The broker has closed behind DISCONNECT: the end of the connection is stored.
    fn left(&mut self, now: Instant, reason: ReasonCode, said: Instant, ledger: &mut Ledger) {
        ledger.answered(self.number);
        if reason == ReasonCode::DisconnectWithWill {
            self.will_left(said, now, true, ledger);
        }
        self.offline(said, ledger);
        self.all_over(now);
        self.is_over_stored = true;
        self.gone(now);
    }

    /// Does the next thing, if it can be done now.
    pub(super) fn work(&mut self, now: Instant, ledger: &mut Ledger) {
        let Some(task) = self.tasks.front() else { return };
        let ready = self.client.is_connected() && self.asked.is_none() && !self.ending;
        if self.leaving.is_some() {
            return;
        }
        let quiet = self.client.inflight() == 0 && self.client.queued().0 == 0;
        let may = match task {
            Task::Publish { .. } | Task::Retain { .. } => true,
            Task::Subscribe { .. } | Task::Unsubscribe { .. } | Task::Drop => ready,
            Task::Away { says: None, .. } => ready,
            Task::Away { .. } => ready && quiet,
            Task::EndSession => ready && quiet && self.client.held() == 0,
        };
        if !may {
            return;
        }
        let Some(task) = self.tasks.pop_front() else { return };
        ledger.step += 1;
        match task {
            Task::Publish { topic, qos, expiry } => {
                let number = ledger.publish(self.number, &self.full(&topic), qos, now, expiry);
                let made = (number, payload('m', number));
                self.publish(now, &topic, qos, false, made, expiry, ledger);
            }
            Task::Retain { clears, expiry } => {
                let topic = format!("r/{}", self.number);
                let number = ledger.retain(self.number, &self.full(&topic), clears, now, expiry);
                let bytes = if clears { Vec::new() } else { payload('m', number) };
                self.publish(now, &topic, QoS::AtLeastOnce, true, (number, bytes), expiry, ledger);
            }
            Task::Away { seconds, says: None } => {
                self.back = now.plus_secs(seconds);
                self.lose(now, ledger);
            }
            Task::Away { seconds, says: Some(reason) } => {
                self.back = now.plus_secs(seconds);
                self.leaving = Some((reason, now));
                if let Err(error) = self.client.disconnect(now, reason, None) {
                    ledger.blame(format!("{}: {error:?}", self.name));
                }
                self.to_server.extend(self.client.take_output());
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
                ledger.stands(self.number, &self.full(filter), Standing::Open);
                let options = SubscriptionOptions::new(*qos);
                let wanted = [SubscribeFilter { filter, options }];
                let _ = self.client.subscribe(now, &wanted, None, none);
            }
            Task::Unsubscribe { filter } => {
                ledger.stands(self.number, &self.full(filter), Standing::Open);
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
        (number, payload): (usize, Vec<u8>),
        expiry: Option<u32>,
        ledger: &mut Ledger,
    ) {
        let properties = PublishProperties {
            message_expiry_interval: expiry.filter(|_| self.nature.version.is_v5()),
            ..PublishProperties::default()
        };
        let packet = Publish {
            dup: false,
            qos,
            retain,
            topic,
            packet_id: None,
            properties,
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
                self.since = now;
                ledger.comes(self.number);
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
            Told::Connected(present) => self.connected(now, present, ledger),
            Told::Message { topic, payload, qos } => self.message(&topic, &payload, qos, ledger),
            Told::Published { token, taken } => {
                if let Some(number) = self.tokens.get(&token).copied() {
                    if taken {
                        ledger.acked(number, now);
                    } else {
                        ledger.blame(format!("message {number} was refused"));
                    }
                }
            }
            Told::Subscribed(granted) => {
                ledger.answered(self.number);
                if let Some(Task::Subscribe { filter, qos }) = self.asked.take() {
                    if granted {
                        ledger.stands(self.number, &self.full(&filter), Standing::Yes(qos));
                    } else {
                        ledger.blame(format!("{}: {filter} was refused", self.name));
                    }
                }
            }
            Told::Unsubscribed => {
                ledger.answered(self.number);
                if let Some(Task::Unsubscribe { filter }) = self.asked.take() {
                    ledger.stands(self.number, &self.full(&filter), Standing::No(ledger.step));
                }
            }
            Told::Wrong(what) => ledger.blame(format!("{}: {what}", self.name)),
            Told::Nothing => {}
        }
    }

    fn connected(&mut self, now: Instant, present: bool, ledger: &mut Ledger) {
        self.accepted = true;
        ledger.answered(self.number);
        self.wills_before(now, ledger);
        let may_be_gone = self.may_have_expired(now);
        // If nothing else has begun a session since.
        let must_be_gone =
            !self.tried && self.expires_after(self.over).is_some_and(|at| self.since > at);
        let wrong = match self.present {
            Present::Yes => !present && !may_be_gone || present && must_be_gone,
            Present::No => present,
            Present::Perhaps => false,
        };
        if wrong {
            ledger.blame(format!(
                "{}: Session Present {present}, though {:?} was promised (lost {:?}, over {:?}, \
                 back {:?}, now {now:?})",
                self.name, self.present, self.lost, self.over, self.since
            ));
        }
        if !present {
            ledger.session_over(self.number, Standing::No(ledger.step));
        }
        (self.tried, self.clean) = (false, false);
        let lasts = self.nature.lasts > 0 || !self.nature.version.is_v5();
        self.present = if lasts { Present::Yes } else { Present::Perhaps };
    }

    fn message(&mut self, topic: &str, payload: &[u8], qos: QoS, ledger: &mut Ledger) {
        if let Some(of) = number_in(payload, b'w') {
            ledger.will_received(of);
        } else if let Some(number) = number_in(payload, b'm') {
            let topic = self.full(topic);
            if topic.contains("r/") {
                self.found.insert(topic, number);
            } else {
                let away = (self.over, self.since);
                ledger.received((self.number, away), number, &topic, qos);
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
