//! `halyard bench`: a load generator for any MQTT broker, over TCP, WebSocket and TLS. It counts every
//! message and checks its order, and measures the broker's CPU time and memory if told its process.
//! It speaks only MQTT to the broker and never depends on which broker it is.

mod check;
mod idle;
mod link;
mod load;
mod options;
mod process;
mod report;
mod secure;
mod wire;

use options::{Options, Parsed, Scenario};
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

/// Runs `halyard bench` with the arguments after the verb.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_args(args)) {
        Ok(Parsed::Help) => {
            crate::cli::print(options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Run(options)) => options,
        Err(error) => {
            eprintln!("halyard bench: {error}. Try 'halyard bench --help'.");
            return ExitCode::from(crate::cli::EXIT_USAGE);
        }
    };
    match all_rounds(&options) {
        Ok(rounds) => {
            let report = if options.json { report::json } else { report::text };
            crate::cli::print(&report(&options, &rounds));
            if rounds.iter().all(report::Round::is_clean) {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(crate::cli::EXIT_FAILURE)
            }
        }
        Err(error) => {
            eprintln!("halyard bench: {error}");
            ExitCode::from(crate::cli::EXIT_FAILURE)
        }
    }
}

fn all_rounds(options: &Options) -> Result<Vec<report::Round>, String> {
    let address = resolve(&options.host, options.port)?;
    let options = &Options { secure: secure::Secure::of(options)?, ..options.clone() };
    let scenario = match options.scenario {
        Scenario::Idle => idle::run,
        Scenario::Pairs | Scenario::Fanout | Scenario::Rate => load::run,
    };
    (0..options.rounds).map(|round| scenario(options, address, round)).collect()
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("cannot find the host {host}: {error}"))?;
    addresses.next().ok_or_else(|| format!("the host {host} has no address"))
}
