//! Two clients and a broker, joined by streams that are cut into pieces of a given length. Plays
//! the part of the JavaScript layer: it carries bytes and reads records, nothing else.

use halyard_wasm::records::{client as event, output, trace};
use halyard_wasm::{Broker, Client};
use wasm_bindgen::JsValue;

/// A client with its end of the stream.
pub(crate) struct End {
    pub(crate) client: Client,
    conn: u32,
    events: Vec<Vec<u8>>,
}

/// The page.
pub(crate) struct Pair {
    pub(crate) broker: Broker,
    pub(crate) publisher: End,
    pub(crate) subscriber: End,
    piece: usize,
    now: f64,
}

impl End {
    fn new(name: &str, version: u8) -> Self {
        let options = js_sys::Object::new();
        for (key, value) in [("clientId", JsValue::from(name)), ("version", JsValue::from(version))]
        {
            js_sys::Reflect::set(&options, &key.into(), &value).unwrap();
        }
        let client = Client::new(&options, 7).unwrap();
        Self { client, conn: 0, events: Vec::new() }
    }

    fn collect(&mut self) {
        let records = self.client.take_events();
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let length = event_length(rest);
            self.events.push(rest[..length].to_vec());
            rest = &rest[length..];
        }
    }

    /// The messages received so far.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.events.iter().filter(|record| record[0] == event::MESSAGE).cloned().collect()
    }

    /// Messages whose publication has ended.
    pub(crate) fn published(&self) -> usize {
        self.events.iter().filter(|record| record[0] == event::PUBLISHED).count()
    }
}

impl Pair {
    pub(crate) fn new(version: u8, piece: usize) -> Self {
        Self {
            broker: Broker::new(&JsValue::UNDEFINED, 1, 0.0, 0.0).unwrap(),
            publisher: End::new("publisher", version),
            subscriber: End::new("subscriber", version),
            piece,
            now: 0.0,
        }
    }

    /// Connects both.
    pub(crate) fn connect(&mut self) {
        for end in [&mut self.publisher, &mut self.subscriber] {
            end.client.connect();
            end.conn = self.broker.open(self.now);
            end.client.opened(self.now);
        }
        self.run();
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        self.subscriber.client.subscribe(self.now, filter, qos).unwrap();
        self.run();
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) {
        self.publisher.client.publish(self.now, topic, payload, qos, false).unwrap();
        self.run();
    }

    /// Carries bytes to and fro until nobody has any.
    fn run(&mut self) {
        loop {
            self.now += 1_000.0;
            self.broker.turn(self.now, 0.0);
            for end in [&mut self.publisher, &mut self.subscriber] {
                for piece in end.client.take_output().chunks(self.piece) {
                    self.broker.feed(self.now, end.conn, piece);
                }
            }
            let records = self.broker.drain();
            if records.is_empty() {
                break;
            }
            self.deliver(&records);
        }
        self.publisher.collect();
        self.subscriber.collect();
    }

    fn deliver(&mut self, mut records: &[u8]) {
        while let Some((kind, rest)) = records.split_first() {
            assert_eq!(*kind, output::OUTPUT, "the broker only sends");
            let conn = u32_at(rest, 0);
            let length = u32_at(rest, 4) as usize;
            let bytes = &rest[8..8 + length];
            for end in [&mut self.publisher, &mut self.subscriber] {
                if end.conn == conn {
                    for piece in bytes.chunks(self.piece) {
                        end.client.feed(self.now, piece);
                    }
                }
            }
            records = &rest[8 + length..];
        }
    }
}

/// QoS, topic and payload of a message record.
pub(crate) fn message_of(record: &[u8]) -> (u8, &str, &[u8]) {
    let topic_end = 6 + usize::from(u16_at(record, 4));
    let topic = core::str::from_utf8(&record[6..topic_end]).unwrap();
    (record[1] >> 1 & 3, topic, &record[topic_end + 4..])
}

/// Direction and type of every packet in a trace.
pub(crate) fn packets_of_trace(mut records: &[u8]) -> Vec<(bool, u8)> {
    let mut found = Vec::new();
    while let Some(kind) = records.first() {
        let length = match *kind {
            trace::PACKET => {
                found.push((records[13] == 1, records[15] >> 4));
                let subject = usize::from(u16_at(records, 19));
                let head = 21 + subject + 8;
                head + 4 + u32_at(records, head) as usize
            }
            trace::OPENED => 13,
            trace::CONNECTED => 19 + usize::from(u16_at(records, 17)),
            trace::SUBSCRIBED => {
                let client = 11 + usize::from(u16_at(records, 9));
                client + 2 + usize::from(u16_at(records, client)) + 1
            }
            trace::DELIVERY => {
                let client = 13 + usize::from(u16_at(records, 11));
                let topic = client + 2 + usize::from(u16_at(records, client));
                topic + 2 + usize::from(u16_at(records, topic))
            }
            other => panic!("record {other} is not expected here"),
        };
        records = &records[length..];
    }
    found
}

fn event_length(record: &[u8]) -> usize {
    match record[0] {
        event::OPEN | event::CLOSE_TRANSPORT | event::STOPPED => 1,
        event::CONNECTED => 4 + usize::from(u16_at(record, 2)),
        event::MESSAGE => {
            let payload = 6 + usize::from(u16_at(record, 4));
            payload + 4 + u32_at(record, payload) as usize
        }
        event::PUBLISHED => 10,
        event::SUBSCRIBED | event::UNSUBSCRIBED => 7 + u32_at(record, 3) as usize,
        other => panic!("event {other} is not expected here"),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
