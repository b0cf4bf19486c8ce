//! The command line: one file per verb.

pub(crate) mod bench;
pub(crate) mod broker;
pub(crate) mod check;
pub(crate) mod client;
mod effective;
pub(crate) mod passwd;
mod websocket;

use std::io::Write;

/// The command line or the configuration is wrong; Mosquitto's number for it.
pub(crate) const EXIT_USAGE: u8 = 3;
/// Everything else that stops a command.
pub(crate) const EXIT_FAILURE: u8 = 1;

/// Writes to standard output; a reader that went away is no error.
pub(crate) fn print(text: &str) {
    _ = std::io::stdout().write_all(text.as_bytes());
}
