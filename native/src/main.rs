//! The `halyard` binary: a thin dispatcher. With no verb, or with an option first, it is the broker;
//! each verb has a file of its own under `cli`.

mod access;
mod auth;
mod cli;
mod clock;
mod files;
mod log;
mod metrics;
mod process;
mod server;
mod settings;
mod site;
mod store;
mod tls;

use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let verb = args.first().and_then(|first| first.to_str());
    match verb.filter(|verb| !verb.starts_with('-')) {
        None => cli::broker::run(&args),
        Some("bench") => cli::bench::run(&args[1..]),
        Some("check") => cli::check::run(&args[1..]),
        Some("passwd") => cli::passwd::run(&args[1..]),
        Some("pub") => cli::client::run_pub(&args[1..]),
        Some("sub") => cli::client::run_sub(&args[1..]),
        Some(verb) => {
            eprintln!("halyard: there is no command {verb:?}; see halyard --help");
            ExitCode::from(cli::EXIT_USAGE)
        }
    }
}
