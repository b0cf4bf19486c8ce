//! Options of the configuration at the real binary: each shows its effect, or is refused by its
//! name. Which test shows which option stands in `docs/options-tests.md`, which `table` holds
//! against the table of options and against the tests.

// The tests run in real time: they may look at the clock.
#![allow(clippy::disallowed_types)]

mod access;
mod check;
mod limits;
mod listeners;
mod logs;
mod refused;
mod store;
mod table;
mod tls;
#[path = "../tls_support/mod.rs"]
mod tls_support;

use halyard_core::packet::Connect;
use halyard_core::packet::Packet;
use halyard_core::packet::ReasonCode;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Received;
use halyard_tests::Stream;
use halyard_tests::request;
use std::net::SocketAddr;

/// A listener for everybody.
const OPEN: &str = "allow_anonymous true\nlistener 0 127.0.0.1\n";
/// A listener for numbers.
const PAGES: &str = "listener 0 127.0.0.1\nprotocol http_api\n";

/// The number on the page of metrics behind `name`.
fn metric(broker: &Broker, name: &str) -> u64 {
    let address = broker.addresses("http")[0];
    let page = request(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} in {text}"))
}

/// The reason in a CONNACK or DISCONNECT.
fn reason(received: &Received) -> ReasonCode {
    received.with(|packet| match packet {
        Packet::Connack(connack) => connack.reason,
        Packet::Disconnect(disconnect) => disconnect.reason,
        other => panic!("{other:?}"),
    })
}

/// Connects; gives the client and the reason in CONNACK.
fn enter(address: SocketAddr, hello: &Connect<'_>) -> (Client, ReasonCode) {
    let mut client = Client::new(Stream::tcp(address));
    client.send_connect(hello);
    let answer = client.receive();
    let reason = reason(&answer);
    (client, reason)
}
