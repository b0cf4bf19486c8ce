//! A client in a page talks to a broker in the page, in a browser: bytes and times go through the
//! very door that the JavaScript layer uses. The stream may be cut anywhere.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "a test")]

mod support;

use support::{Pair, message_of};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// A pair of clients on one broker; a QoS 2 message goes from the one to the other.
fn qos2_message_arrives(version: u8, piece: usize) {
    let mut page = Pair::new(version, piece);
    page.connect();
    assert!(page.publisher.client.connected() && page.subscriber.client.connected());
    page.subscribe("home/+/temperature", 2);
    page.publish("home/kitchen/temperature", b"21.5", 2);
    let received = page.subscriber.messages();
    assert_eq!(received.len(), 1, "version {version}, pieces of {piece}");
    assert_eq!(message_of(&received[0]), (2, "home/kitchen/temperature", b"21.5".as_slice()));
    assert_eq!(page.publisher.published(), 1, "the publisher got its PUBCOMP");
    page.publish("home/kitchen/humidity", b"40", 2);
    assert_eq!(page.subscriber.messages().len(), 1, "no filter matches the second");
}

#[wasm_bindgen_test]
fn a_client_gets_a_qos2_message_from_a_broker_in_the_page() {
    for version in [3, 4, 5] {
        qos2_message_arrives(version, usize::MAX);
    }
}

#[wasm_bindgen_test]
fn the_stream_may_be_cut_into_single_bytes() {
    for version in [3, 4, 5] {
        for piece in [1, 2, 3] {
            qos2_message_arrives(version, piece);
        }
    }
}

#[wasm_bindgen_test]
fn options_that_are_wrong_are_refused_by_name() {
    let options = js_sys::Object::new();
    js_sys::Reflect::set(&options, &"keepAlive".into(), &70_000.into()).unwrap();
    let refusal = wasm_bindgen::JsValue::from(halyard_wasm::Client::new(&options, 1).unwrap_err());
    let text = js_sys::Error::from(refusal).message();
    assert_eq!(String::from(text), "keepAlive must be a whole number from 0 to 65535");
}

#[wasm_bindgen_test]
fn the_trace_holds_every_packet_both_ways() {
    let mut page = Pair::new(5, usize::MAX);
    page.broker.set_tracing(true);
    page.connect();
    page.subscribe("t", 2);
    page.publish("t", b"x", 2);
    let types = support::packets_of_trace(&page.broker.take_trace());
    let count = |out: bool, kind: u8| types.iter().filter(|seen| **seen == (out, kind)).count();
    // CONNECT, CONNACK, PUBLISH, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK.
    for (out, kind, expected) in [
        (false, 1, 2),
        (true, 2, 2),
        (false, 3, 1),
        (true, 3, 1),
        (true, 5, 1),
        (false, 5, 1),
        (false, 6, 1),
        (true, 6, 1),
        (true, 7, 1),
        (false, 7, 1),
        (false, 8, 1),
        (true, 9, 1),
    ] {
        assert_eq!(count(out, kind), expected, "packet type {kind}, out: {out}");
    }
}

#[wasm_bindgen_test]
fn the_package_tells_its_version() {
    assert_eq!(halyard_wasm::version(), env!("CARGO_PKG_VERSION"));
}
