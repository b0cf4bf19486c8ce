//! Halyard's broker core: an MQTT 3.1, 3.1.1 and 5.0 broker as a pure state machine.
//!
//! ```text
//!  socket --bytes--> Engine::handle(now, Input::Bytes)
//!                      connection: decode, aliases, CONNECT gate -> Packet
//!                      broker: sessions, tree, retained, wills -> who gets what
//!                      connection: encode into the output of each, marked dirty once
//!  socket <--bytes-- Engine::take_output(), once per connection and turn
//!  timer  <--------- Engine::next_timeout()
//! ```
//!
//! Five types to know: [`engine::Engine`], the only door; [`engine::Input`] and
//! [`engine::Effect`], all that goes in and comes out; [`packet::Packet`], what travels; and
//! [`conf::BrokerConfig`], every limit.
//!
//! What is deliberately absent: I/O, clocks, threads, global state, `unsafe`, code that differs
//! between targets. Time and randomness come in as arguments; the same inputs give the same
//! outputs, bit for bit, natively and in wasm.
#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub)]

pub mod access;
mod arena;
pub mod auth;
mod broker;
pub mod client;
pub mod codec;
pub mod conf;
mod connection;
pub mod engine;
pub mod journal;
pub mod map;
pub mod message;
pub mod packet;
pub mod proxy;
pub mod rng;
mod session;
pub mod sim;
pub mod state;
pub mod time;
pub mod topic;
pub mod websocket;
