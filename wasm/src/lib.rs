//! The broker and the client for web pages: `core` behind a door of numbers and flat byte records.
//! It carries bytes and time in and records out, and decides nothing; the sockets, timers and
//! events that a page wants are made of it in `wasm/js`.
//!
//! One call takes a slice of bytes, one call gives everything that came of it as one buffer
//! ([`records`] tells how it is laid out), so that no object is made per message.
#![deny(unsafe_code, missing_docs)]

mod broker;
mod client;
mod convert;
mod reason;
pub mod records;
mod trace;

pub use broker::Broker;
pub use client::Client;
pub use reason::reason_name;

/// The version of the package, as in Cargo.toml.
#[wasm_bindgen::prelude::wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
