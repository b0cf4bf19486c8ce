//! The client's session across connections (MQTT 5.0 §4.1, §4.3, §4.4, §4.6): a model server that
//! keeps its half of the session, and a connection cut after every single byte either way.

mod client_support;

use client_support::{Script, ack, connack, id, message};
use halyard_core::client::{Acks, Backoff, CleanStart, Client, Event, Input, Options};
use halyard_core::codec::{self, Decoder, Limits, Role};
use halyard_core::packet::{
    Ack, Connack, ConnackProperties, Packet, Publish, QoS, ReasonCode, Version,
};
use halyard_core::time::Instant;
use std::collections::{BTreeSet, VecDeque};

const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

fn options(version: Version) -> Options {
    Options {
        keep_alive: 0,
        reconnect: Some(Backoff { min_ms: 1, max_ms: 10 }),
        clean_start: CleanStart::Never,
        session_expiry_interval: Some(1_000),
        ..Options::new(version, "c")
    }
}

#[test]
fn what_was_unfinished_is_repeated_in_order() {
    let mut script = Script::connected(options(Version::V5));
    for (payload, qos) in [("a", Q1), ("b", Q2), ("c", Q1), ("d", Q2)] {
        script.publish("t", payload, qos);
    }
    script.say(Packet::Pubrec(ack(2)));
    script.sent();
    script.input(Input::TransportClosed);
    assert_eq!(script.publish("t", "e", Q1), "Queued");
    script.input(Input::TransportClosed);
    script.now = script.client.next_timeout().expect("a reconnect is planned");
    script.input(Input::Timeout);
    script.open();
    script.say(Packet::Connack(connack(true)));
    assert_eq!(
        script.sent(),
        [
            "CONNECT 'c' clean=false",
            "t:a q1 #1 dup",
            "PUBREL 2",
            "t:c q1 #3 dup",
            "t:d q2 #4 dup",
            "t:e q1 #5",
        ]
    );
}

#[test]
fn repetitions_keep_the_receive_maximum_of_the_new_connection() {
    let mut script = Script::connected(options(Version::V5));
    for payload in ["a", "b", "c"] {
        script.publish("t", payload, Q1);
    }
    script.break_and_reopen();
    script.sent();
    let properties = ConnackProperties { receive_maximum: Some(1), ..Default::default() };
    script.say(Packet::Connack(Connack { properties, ..connack(true) }));
    assert_eq!(script.sent(), ["t:a q1 #1 dup"]);
    assert_eq!(script.publish("t", "d", Q1), "Queued");
    script.say(Packet::Puback(ack(1)));
    assert_eq!(script.sent(), ["t:b q1 #2 dup"]);
    script.say(Packet::Puback(ack(2)));
    script.say(Packet::Puback(ack(3)));
    assert_eq!(script.sent(), ["t:c q1 #3 dup", "t:d q1 #4"]);
}

#[test]
fn a_lost_session_is_published_anew_or_given_back() {
    for (republish_lost, sent, told) in [
        (true, vec!["t:a q1 #1", "t:c q2 #3"], vec!["published 1 Success"]),
        (
            false,
            vec![],
            vec!["published 1 Success", "dropped 0 SessionLost", "dropped 2 SessionLost"],
        ),
    ] {
        let mut script = Script::connected(Options { republish_lost, ..options(Version::V5) });
        for (payload, qos) in [("a", Q1), ("b", Q2), ("c", Q2)] {
            script.publish("t", payload, qos);
        }
        script.say(Packet::Pubrec(ack(2)));
        script.sent();
        script.break_and_reopen();
        script.sent();
        script.events();
        script.say(Packet::Connack(connack(false)));
        assert_eq!(script.sent(), sent);
        assert_eq!(script.events()[1..], told);
    }
}

#[test]
fn a_repetition_that_no_longer_fits_is_given_back() {
    let mut script = Script::connected(options(Version::V5));
    script.publish("t", &"x".repeat(100), Q1);
    script.publish("t", "y", Q1);
    script.break_and_reopen();
    script.sent();
    script.events();
    let properties = ConnackProperties { maximum_packet_size: Some(50), ..Default::default() };
    script.say(Packet::Connack(Connack { properties, ..connack(true) }));
    assert_eq!(script.sent(), ["t:y q1 #2 dup"]);
    assert_eq!(script.events(), ["connected present=true", "dropped 0 TooLarge"]);
}

#[test]
fn a_qos2_message_is_handed_on_once_across_connections() {
    for acks in [Acks::Automatic, Acks::Manual] {
        let mut script = Script::connected(Options { acks, ..options(Version::V5) });
        script.say(Packet::Publish(message("t", b"x", Q2, Some(4))));
        assert_eq!(script.events(), ["t:x q2 #4"]);
        script.break_and_reopen();
        script.say(Packet::Connack(connack(true)));
        script.sent();
        script.events();
        if acks == Acks::Manual {
            // Answered too late for the first connection: kept for the repetition.
            script.client.ack(script.now, id(4), ReasonCode::Success).expect("known");
        }
        script.say(Packet::Publish(Publish { dup: true, ..message("t", b"x", Q2, Some(4)) }));
        assert!(script.events().is_empty());
        assert_eq!(script.sent(), ["PUBREC 4"]);
        script.break_and_reopen();
        script.say(Packet::Connack(connack(true)));
        script.sent();
        script.say(Packet::Pubrel(ack(4)));
        assert_eq!(script.sent(), ["PUBCOMP 4"]);
        assert_eq!(script.client.held(), 0);
    }
}

#[test]
fn aliases_do_not_survive_the_connection() {
    let properties = ConnackProperties { topic_alias_maximum: Some(5), ..Default::default() };
    let mut script = Script::new(Options { assign_aliases: 5, ..options(Version::V5) });
    script.connect(&Connack { properties: properties.clone(), ..connack(false) });
    script.publish("t", "a", Q1);
    script.publish("t", "b", Q1);
    assert_eq!(script.sent()[1..], ["t:a q1 #1 alias 1", ":b q1 #2 alias 1"]);
    script.break_and_reopen();
    script.say(Packet::Connack(Connack { properties, ..connack(true) }));
    script.publish("t", "c", Q1);
    assert_eq!(
        script.sent()[1..],
        ["t:a q1 #1 dup", "t:b q1 #2 dup", "t:c q1 #3 alias 1"],
        "a repetition names its topic"
    );
}

/// The server's half of one session: takes messages, and gives some of its own.
struct ModelServer {
    version: Version,
    decoder: Decoder,
    out: Vec<u8>,
    /// QoS 2 identifiers received and not released.
    received: BTreeSet<u16>,
    taken: Vec<String>,
    /// Own messages not yet sent.
    waiting: VecDeque<(QoS, String)>,
    /// Own messages in flight; without a payload once PUBREC came.
    inflight: Vec<(u16, QoS, Option<String>)>,
    next_id: u16,
    had_session: bool,
}

impl ModelServer {
    fn new(version: Version, waiting: &[(QoS, &str)]) -> Self {
        Self {
            version,
            decoder: Decoder::new(Role::Server),
            out: Vec::new(),
            received: BTreeSet::new(),
            taken: Vec::new(),
            waiting: waiting.iter().map(|(qos, payload)| (*qos, (*payload).to_owned())).collect(),
            inflight: Vec::new(),
            next_id: 1,
            had_session: false,
        }
    }

    fn opened(&mut self) {
        self.decoder = Decoder::new(Role::Server);
        self.out.clear();
    }

    fn say(&mut self, packet: &Packet<'_>) {
        codec::encode(packet, self.version, &mut self.out);
    }

    fn bytes(&mut self, mut input: &[u8]) {
        let mut decoder = std::mem::take(&mut self.decoder);
        while !input.is_empty() {
            let (used, frame) =
                decoder.decode(input, &Limits::default()).expect("the client writes MQTT");
            input = &input[used..];
            if let Some(frame) = frame {
                self.packet(&frame.packet);
            }
        }
        self.decoder = decoder;
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        let ok = |id| Ack::new(id, ReasonCode::Success);
        match packet {
            Packet::Connect(_) => self.resume(),
            Packet::Publish(publish) => self.take(publish),
            Packet::Pubrel(ack) => {
                self.received.remove(&ack.packet_id.get());
                self.say(&Packet::Pubcomp(ok(ack.packet_id)));
            }
            Packet::Puback(ack) | Packet::Pubcomp(ack) => {
                self.inflight.retain(|(id, _, _)| *id != ack.packet_id.get());
            }
            Packet::Pubrec(ack) => {
                let known = self.inflight.iter_mut().find(|one| one.0 == ack.packet_id.get());
                if let Some(known) = known {
                    known.2 = None;
                }
                self.say(&Packet::Pubrel(ok(ack.packet_id)));
            }
            other => panic!("unexpected {}", other.packet_type()),
        }
    }

    fn take(&mut self, publish: &Publish<'_>) {
        let Some(id) = publish.packet_id else { return };
        let payload = String::from_utf8_lossy(publish.payload).into_owned();
        let ok = Ack::new(id, ReasonCode::Success);
        if publish.qos == Q1 {
            self.taken.push(payload);
            self.say(&Packet::Puback(ok));
            return;
        }
        if self.received.insert(id.get()) {
            self.taken.push(payload);
        }
        self.say(&Packet::Pubrec(ok));
    }

    fn resume(&mut self) {
        self.say(&Packet::Connack(connack(self.had_session)));
        self.had_session = true;
        for (id, qos, payload) in self.inflight.clone() {
            match payload {
                Some(payload) => self.give(id, qos, &payload, true),
                None => {
                    let ack = Ack::new(client_support::id(id), ReasonCode::Success);
                    self.say(&Packet::Pubrel(ack));
                }
            }
        }
        while let Some((qos, payload)) = self.waiting.pop_front() {
            let id = self.next_id;
            self.next_id += 1;
            self.inflight.push((id, qos, Some(payload.clone())));
            self.give(id, qos, &payload, false);
        }
    }

    fn give(&mut self, id: u16, qos: QoS, payload: &str, dup: bool) {
        let publish = Publish { dup, ..message("s", payload.as_bytes(), qos, Some(id)) };
        self.say(&Packet::Publish(publish));
    }
}

const TO_SERVER: [(QoS, &str); 6] =
    [(Q2, "a"), (Q1, "b"), (Q2, "c"), (Q2, "d"), (Q1, "e"), (Q2, "f")];

/// One run: the connection breaks once after `cut` bytes of one direction.
struct Run {
    client: Client,
    server: ModelServer,
    now: Instant,
    given: Vec<String>,
    published: usize,
    /// Bytes left until the cut, to the server and to the client.
    until_cut: [usize; 2],
    cuts: usize,
}

impl Run {
    fn new(version: Version, until_cut: [usize; 2]) -> Self {
        let mut run = Self {
            client: Client::new(options(version), 5),
            server: ModelServer::new(version, &[(Q2, "1"), (Q1, "2"), (Q2, "3"), (Q2, "4")]),
            now: Instant::ZERO,
            given: Vec::new(),
            published: 0,
            until_cut,
            cuts: 0,
        };
        for (qos, payload) in TO_SERVER {
            let publish = message("t", payload.as_bytes(), qos, None);
            run.client.publish(run.now, &publish).expect("the queue has room");
        }
        let mut open = Vec::new();
        run.client.connect(&mut |event| open.push(event == Event::OpenTransport));
        assert_eq!(open, [true]);
        run
    }

    fn input(&mut self, input: Input<'_>) {
        let Self { client, now, given, published, .. } = self;
        client.handle(*now, input, &mut |event| match event {
            Event::Message(publish) => {
                given.push(String::from_utf8_lossy(publish.payload).into_owned());
            }
            Event::Published { .. } => *published += 1,
            Event::PublishDropped { .. } => panic!("nothing is dropped"),
            _ => {}
        });
    }

    /// Lets the two talk; `true` if the connection was cut on the way.
    fn talk(&mut self) -> bool {
        self.server.opened();
        self.input(Input::TransportOpened);
        loop {
            let up = self.client.take_output();
            let cut = up.len() > self.until_cut[0];
            let passed = up.len().min(self.until_cut[0]);
            self.until_cut[0] -= passed;
            self.server.bytes(&up[..passed]);
            if cut {
                return true;
            }
            let down = std::mem::take(&mut self.server.out);
            let cut = down.len() > self.until_cut[1];
            let passed = down.len().min(self.until_cut[1]);
            self.until_cut[1] -= passed;
            // In two pieces, so that packets are split as well.
            let (first, second) = down[..passed].split_at(passed / 2);
            self.input(Input::Bytes(first));
            self.input(Input::Bytes(second));
            if cut {
                return true;
            }
            if down.is_empty() && self.client.output().is_empty() {
                return false;
            }
        }
    }

    fn finish(mut self) -> Self {
        while self.talk() {
            self.until_cut = [usize::MAX; 2];
            self.cuts += 1;
            self.input(Input::TransportClosed);
            self.now = self.client.next_timeout().expect("a reconnect is planned");
            self.input(Input::Timeout);
        }
        self
    }
}

/// First occurrences, in order.
fn firsts(all: &[String]) -> Vec<&str> {
    let mut seen: Vec<&str> = Vec::new();
    for one in all {
        if !seen.contains(&one.as_str()) {
            seen.push(one);
        }
    }
    seen
}

fn count(all: &[String], wanted: &str) -> usize {
    all.iter().filter(|one| *one == wanted).count()
}

#[test]
fn nothing_is_lost_or_doubled_wherever_the_connection_is_cut() {
    for version in [Version::V4, Version::V5] {
        for direction in 0..2 {
            let mut uncut = 0;
            for cut in 0..2_000 {
                let mut until_cut = [usize::MAX; 2];
                until_cut[direction] = cut;
                let run = Run::new(version, until_cut).finish();
                let at = format!("{version}, direction {direction}, cut {cut}");
                // The order holds within a QoS [MQTT-4.6.0-6].
                for (qos, of_qos) in [(Q1, ["b", "e"].as_slice()), (Q2, &["a", "c", "d", "f"])] {
                    let order: Vec<_> = firsts(&run.server.taken)
                        .into_iter()
                        .filter(|m| of_qos.contains(m))
                        .collect();
                    assert_eq!(order, of_qos, "{at}, {qos}");
                }
                for exactly_once in ["a", "c", "d", "f"] {
                    assert_eq!(count(&run.server.taken, exactly_once), 1, "{at}");
                }
                for exactly_once in ["1", "3", "4"] {
                    assert_eq!(count(&run.given, exactly_once), 1, "{at}");
                }
                assert!(count(&run.given, "2") >= 1, "{at}");
                assert_eq!(run.published, TO_SERVER.len(), "{at}");
                let ends = (run.client.inflight(), run.client.held(), run.client.queued());
                assert_eq!(ends, (0, 0, (0, 0)), "{at}");
                assert!(run.server.inflight.is_empty() && run.server.received.is_empty(), "{at}");
                if run.cuts == 0 {
                    uncut = cut;
                    break;
                }
            }
            assert!(uncut > 60, "the cuts reached the end of the conversation: {uncut}");
        }
    }
}

#[test]
fn a_clone_goes_on_like_the_original() {
    let mut run = Run::new(Version::V5, [90, usize::MAX]);
    assert!(run.talk());
    let mut twin = run.client.clone();
    for _ in 0..2 {
        let mut lines: [Vec<String>; 2] = Default::default();
        for (client, lines) in [&mut run.client, &mut twin].into_iter().zip(&mut lines) {
            let mut sink = |event: Event<'_>| lines.push(format!("{event:?}"));
            client.handle(run.now, Input::TransportClosed, &mut sink);
        }
        assert_eq!(lines[0], lines[1]);
        assert_eq!(run.client.next_timeout(), twin.next_timeout());
        assert_eq!(run.client.output(), twin.output());
    }
}
