//! `halyard pub` and `halyard sub`: MQTT clients with the flags, output and exit codes of
//! mosquitto_pub and mosquitto_sub, built on `core::client`. They know nothing of the server.

mod args;
mod flags;
mod format;
mod json;
mod outcome;
mod properties;
mod publish;
mod session;
mod subscribe;
mod trace;
mod transport;
mod wire;

use args::{Args, Verb};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `halyard pub` with the arguments after the verb.
pub(crate) fn run_pub(words: &[OsString]) -> ExitCode {
    run(Verb::Pub, words, include_str!("help_pub.txt"))
}

/// Runs `halyard sub` with the arguments after the verb.
pub(crate) fn run_sub(words: &[OsString]) -> ExitCode {
    run(Verb::Sub, words, include_str!("help_sub.txt"))
}

fn run(verb: Verb, words: &[OsString], help: &str) -> ExitCode {
    if words.iter().any(|word| word == "--help") {
        crate::cli::print(help);
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--version") {
        let version = env!("CARGO_PKG_VERSION");
        crate::cli::print(&format!("halyard {} version {version}\n", verb.name()));
        return ExitCode::SUCCESS;
    }
    let args = match Args::parse(verb, words) {
        Ok(args) => args,
        Err(error) => {
            let name = verb.name();
            eprintln!("Error: {error}\n\nUse 'halyard {name} --help' to see usage.");
            return ExitCode::from(outcome::USAGE);
        }
    };
    let end = match verb {
        Verb::Pub => publish::run(&args),
        Verb::Sub => subscribe::run(&args),
    };
    let end = end.unwrap_or_else(|end| end);
    if let Some(message) = end.message.filter(|_| !args.quiet) {
        eprintln!("{message}");
    }
    ExitCode::from(end.code)
}
