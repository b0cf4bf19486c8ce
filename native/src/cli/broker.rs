//! `halyard [-c FILE] …`: the broker, with the options of Mosquitto (DESIGN §7). Everything that can
//! fail at the start fails here, on the terminal, with a text that says what to do.

use super::EXIT_FAILURE;
use super::EXIT_USAGE;
use super::print;
use crate::clock::Clock;
use crate::log::Log;
use crate::log::LogType;
use crate::log::LogWriter;
use crate::process;
use crate::process::PidFile;
use crate::server;
use crate::server::Server;
use crate::settings;
use crate::settings::Settings;
use crate::store;
use halyard_core::conf::Listener;
use halyard_core::conf::LogTypes;
use halyard_core::conf::MQTT_PORT;
use halyard_core::conf::Protocol;
use halyard_core::conf::ServerConfig;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

const HELP: &str = "\
halyard is an MQTT 3.1, 3.1.1 and 5.0 broker.

Usage: halyard [-c FILE] [-p PORT] [--http-port PORT] [-v] [-q] [-d] [--test-config]
               [--repair]

Without -c it serves this machine alone, without passwords: MQTT on port 1883, and HTTP on port 9001
with WebSocket (/ and /mqtt), /health, /metrics and a page.

  -c, --config-file FILE  read this mosquitto.conf; listeners are those of the file
  -p, --port PORT         listen for MQTT on this port of the loopback interface; with -c, besides
                          the listeners of the file; 0 = any free port
      --http-port PORT    without -c: serve HTTP on this port; with -p alone there is no HTTP
  -v, --verbose           log everything; overrides log_type
  -q, --quiet             log nothing; overrides log_dest and log_type
  -d, --daemon            go into the background once all listeners are open
      --test-config       check the configuration and exit
      --repair            with -c: make a damaged store sound again and exit; says what is lost, and
                          copies damaged files aside first (stop the broker before)
  -h, --help              show this help
  -V, --version           show the version

Commands: halyard pub | sub | passwd | bench | check (each with --help)

Exit codes: 0 fine, 1 the broker could not start or run, 3 wrong options or configuration.
Signals: TERM and INT end it cleanly, HUP reads the configuration anew, USR1 folds the journal.
";

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    config: Option<PathBuf>,
    ports: Vec<u16>,
    http_port: Option<u16>,
    verbose: bool,
    quiet: bool,
    daemon: bool,
    test_config: bool,
    repair: bool,
}

/// The command line, read.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Version,
    Broker(Options),
}

/// Why the broker ends with a code that is not 0.
struct Failure {
    code: u8,
    text: String,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let outcome = match parse(args) {
        Ok(Command::Help) => {
            print(HELP);
            Ok(())
        }
        Ok(Command::Version) => {
            print(concat!("halyard version ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(())
        }
        Ok(Command::Broker(options)) => broker(&options),
        Err(text) => {
            Err(Failure { code: EXIT_USAGE, text: format!("halyard: {text}; see halyard --help") })
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            eprintln!("{text}");
            ExitCode::from(code)
        }
    }
}

fn parse(args: &[OsString]) -> Result<Command, String> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Short('c') | Long("config-file") => options.config = Some(value(&mut parser)?.into()),
            Short('p') | Long("port") => options.ports.push(port(&value(&mut parser)?)?),
            Long("http-port") => options.http_port = Some(port(&value(&mut parser)?)?),
            Short('v') | Long("verbose") => options.verbose = true,
            Short('q') | Long("quiet") => options.quiet = true,
            Short('d') | Long("daemon") => options.daemon = true,
            Long("test-config") => options.test_config = true,
            Long("repair") => options.repair = true,
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            other => return Err(other.unexpected().to_string()),
        }
    }
    if options.config.is_some() && options.http_port.is_some() {
        return Err("--http-port is for a broker without -c; in FILE, add a listener with \
                    \"protocol http_api\" or \"protocol websockets\""
            .into());
    }
    if options.test_config && options.config.is_none() {
        return Err("--test-config needs -c FILE".into());
    }
    if options.repair && options.config.is_none() {
        return Err("--repair needs -c FILE, which says where the store is".into());
    }
    Ok(Command::Broker(options))
}

fn value(parser: &mut lexopt::Parser) -> Result<OsString, String> {
    parser.value().map_err(|error| error.to_string())
}

fn port(number: &OsString) -> Result<u16, String> {
    let text = number.to_string_lossy();
    text.parse().map_err(|_| format!("{text:?} is no port: give a number from 0 to 65535"))
}

/// The settings that the options ask for.
fn settings(options: &Options) -> Result<Settings, String> {
    let mut settings = match &options.config {
        Some(path) => settings::from_file(path, &options.ports)?,
        None => Settings::local(local_only(options)),
    };
    if options.verbose {
        settings.config.log.types = LogTypes::ALL;
    }
    if options.quiet {
        settings.config.log.types = LogTypes::NONE;
        settings.config.log.destinations.clear();
    }
    Ok(settings)
}

/// The configuration where there is no file.
fn local_only(options: &Options) -> ServerConfig {
    let Options { ports, http_port, .. } = options;
    if ports.is_empty() && http_port.is_none() {
        return ServerConfig::no_arguments();
    }
    let mut config = ServerConfig::port_only(MQTT_PORT);
    if !ports.is_empty() {
        let mqtt = ports.iter().map(|port| Listener::local(*port, Protocol::Mqtt));
        config.listeners = mqtt.collect();
    }
    config.listeners.extend(http_port.map(|port| Listener::local(port, Protocol::LocalHttp)));
    config
}

fn broker(options: &Options) -> Result<(), Failure> {
    let settings = settings(options).map_err(|text| Failure { code: EXIT_USAGE, text })?;
    for warning in &settings.warnings {
        eprintln!("{warning}");
    }
    if options.test_config {
        eprintln!("Configuration file is OK.");
        return Ok(());
    }
    if options.repair {
        return repair(&settings);
    }
    let files = process::raise_file_limit();
    let (bound, notes) = server::bind_all(&settings.config).map_err(failure)?;
    let config = &settings.config;
    let open_pid_file = |path: &String| PidFile::open(path, &config.place("pid_file", path));
    let pid_file = config.pid_file.as_ref().map(open_pid_file).transpose().map_err(failure)?;
    if options.daemon {
        // Before there is any other thread.
        process::daemonize().map_err(failure)?;
    }
    let writer = LogWriter::start(&settings.config.log)
        .map_err(|error| failure(format_args!("cannot open the log: {error}")))?;
    let log = writer.log();
    announce(&log, &settings, &bound, &notes);
    let outcome = serve(options, settings, bound, &log, files, pid_file);
    if let Err(error) = &outcome {
        let text = error.text.trim_start_matches("halyard: error: ");
        log.line(LogType::Error, format_args!("{text}"));
    }
    writer.close();
    outcome
}

/// Makes the store sound again, as the user that the broker runs as.
fn repair(settings: &Settings) -> Result<(), Failure> {
    let config = &settings.config;
    if !config.broker.persistence {
        let text = "--repair: there is no store, `persistence` is off".into();
        return Err(Failure { code: EXIT_USAGE, text });
    }
    process::drop_privileges(config.user.as_deref()).map_err(failure)?;
    print(&store::repair(&config.store).map_err(failure)?);
    Ok(())
}

fn serve(
    options: &Options,
    settings: Settings,
    bound: Vec<server::Bound>,
    log: &Log,
    files: u32,
    pid_file: Option<PidFile>,
) -> Result<(), Failure> {
    let pid_file = pid_file.map(PidFile::write).transpose().map_err(failure)?;
    let sockets: Vec<PathBuf> = settings.unix_sockets().map(PathBuf::from).collect();
    if let Some(note) =
        process::drop_privileges(settings.config.user.as_deref()).map_err(failure)?
    {
        log.line(LogType::Warning, format_args!("{note}"));
    }
    // Relative paths of the command line stay valid: the working directory is kept.
    let options = options.clone();
    let reload = Arc::new(move || self::settings(&options));
    let server = Server { settings, bound, log: log.clone(), clock: Clock::start(), files, reload };
    let outcome = server.run();
    let removed = sockets.iter().map(|socket| process::remove(socket));
    for text in removed.chain(pid_file.map(PidFile::remove)).filter_map(Result::err) {
        log.line(LogType::Warning, format_args!("{text}"));
    }
    outcome.map_err(|error| failure(format_args!("the broker stopped: {error}")))
}

fn failure(error: impl fmt::Display) -> Failure {
    Failure { code: EXIT_FAILURE, text: format!("halyard: error: {error}") }
}

fn announce(log: &Log, settings: &Settings, bound: &[server::Bound], notes: &[String]) {
    let version = env!("CARGO_PKG_VERSION");
    log.add(LogType::Information, format_args!("halyard version {version} starting"));
    match &settings.config_file {
        Some(path) => {
            log.add(LogType::Information, format_args!("Config loaded from {}.", path.display()));
        }
        None => log.add(
            LogType::Information,
            format_args!(
                "Starting in local only mode: clients on this machine can connect, without \
                 passwords. To serve others, give a configuration with a listener (-c)."
            ),
        ),
    }
    for note in notes {
        log.add(LogType::Warning, format_args!("{note}"));
    }
    for socket in bound {
        let server::Bound { kind, place, .. } = socket;
        log.add(LogType::Information, format_args!("Opening {kind} listen socket on {place}."));
    }
    log.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Command, String> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_as_mosquitto_reads_them() {
        let expected = Options {
            config: Some("a.conf".into()),
            ports: vec![1884, 0],
            verbose: true,
            daemon: true,
            ..Options::default()
        };
        let all = command("-c a.conf -p 1884 --port 0 -v -d").unwrap();
        assert_eq!(all, Command::Broker(expected));
        assert_eq!(command("--help -x").unwrap(), Command::Help);
        assert_eq!(command("").unwrap(), Command::Broker(Options::default()));
    }

    #[test]
    fn a_wrong_option_says_what_would_be_right() {
        let cases = [
            ("-x", "-x"),
            ("-p 70000", "0 to 65535"),
            ("-c", "-c"),
            ("-c a --http-port 1", "protocol http_api"),
            ("--test-config", "-c FILE"),
            ("--repair", "-c FILE"),
        ];
        for (line, expected) in cases {
            let error = command(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
