//! The command line of `halyard bench`.

use super::secure::Secure;
use crate::tls::ClientOptions;
use halyard_core::packet::{QoS, Version};
use lexopt::prelude::*;
use std::time::Duration;

/// What `--help` prints.
pub(super) const HELP: &str = "\
halyard bench: loads an MQTT broker and measures it. Every message is counted and its order checked.

Usage: halyard bench SCENARIO [OPTIONS]

  pairs    publishers and as many subscribers, a topic each
  fanout   one publisher to many subscribers
  rate     messages at a steady rate, spread over pairs
  idle     connections that stay silent

  -h, --host HOST         broker's address (127.0.0.1)
  -p, --port PORT         its port (1883)
      --ws                MQTT over WebSocket
      --path PATH         path of the WebSocket (/mqtt)
      --cafile FILE       TLS, trusting the authorities in FILE
      --capath DIR        TLS, trusting those in DIR, named by openssl rehash
      --tls-use-os-certs  TLS, trusting those of this system
      --cert FILE         certificate to show, with --key
      --key FILE          its key
      --insecure          do not check the broker's name
      --tls-version V     the lowest: tlsv1.2 or tlsv1.3 (tlsv1.2)
      --tls-alpn NAME     the protocol to ask for (none)
      --ciphers LIST      cipher suites of TLS 1.2, by OpenSSL's names
  -V, --version VERSION   mqttv31, mqttv311 or mqttv5 (mqttv311)
  -u, --username NAME     every connection's user name (none)
  -P, --pw PASSWORD       and its password (none)
  -q, --qos QOS           0, 1 or 2 (0)
      --payload BYTES     payload, at least 16 (64)
      --window N          messages on their way per publisher (64; fanout 32)
      --pairs N           pairs, for pairs and rate (50)
      --subscribers N     subscribers, for fanout (500)
      --persistent        sessions outlive their connections
      --connections N     connections, for idle (10000)
      --rate N            messages a second, for rate (5000)
      --messages N        stop after N messages (no limit)
      --seconds N         stop after N seconds; for idle, how long to stay silent (3)
      --stall SECONDS     give up after that long without any progress (10)
      --rounds N          repeat, and give medians (1)
      --pid PID           the broker's process, to measure CPU time and memory
      --json              print JSON
      --help              print this

The exit code is 0 if every message arrived once and in order, else 1; 3 for a wrong command line.
";

/// The load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    Pairs,
    Fanout,
    Rate,
    Idle,
}

impl Scenario {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Fanout => "fanout",
            Self::Rate => "rate",
            Self::Idle => "idle",
        }
    }
}

/// All options, with their defaults filled in.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) scenario: Scenario,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) ws: bool,
    pub(super) path: String,
    /// What the flags say about TLS; nothing, if there is to be none.
    pub(super) tls: ClientOptions,
    /// Whether `--tls-version` refuses TLS 1.2, if it was given.
    pub(super) lowest_tls13: Option<bool>,
    /// What was made of it.
    pub(super) secure: Option<Secure>,
    pub(super) version: Version,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) qos: QoS,
    pub(super) payload: usize,
    pub(super) window: u64,
    pub(super) pairs: usize,
    pub(super) subscribers: usize,
    pub(super) connections: usize,
    pub(super) rate: u64,
    pub(super) messages: u64,
    pub(super) duration: Duration,
    pub(super) stall: Duration,
    pub(super) rounds: usize,
    pub(super) pid: Option<u32>,
    pub(super) json: bool,
    pub(super) persistent: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Parsed {
    Help,
    Run(Box<Options>),
}

impl Options {
    fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            host: "127.0.0.1".to_owned(),
            port: 1883,
            ws: false,
            path: "/mqtt".to_owned(),
            tls: ClientOptions::default(),
            lowest_tls13: None,
            secure: None,
            version: Version::V4,
            username: None,
            password: None,
            qos: QoS::AtMostOnce,
            payload: 64,
            window: if scenario == Scenario::Fanout { 32 } else { 64 },
            pairs: 50,
            subscribers: 500,
            connections: 10_000,
            rate: 5_000,
            messages: u64::MAX,
            duration: Duration::from_secs(3),
            stall: Duration::from_secs(10),
            rounds: 1,
            pid: None,
            json: false,
            persistent: false,
        }
    }

    /// Reads the arguments after `bench`.
    pub(super) fn parse(mut args: lexopt::Parser) -> Result<Parsed, String> {
        let mut options = Self::new(Scenario::Pairs);
        let mut scenario = None;
        let mut window = None;
        while let Some(arg) = args.next().map_err(text)? {
            let name = match arg {
                Value(name) if scenario.is_none() => {
                    scenario = Some(scenario_of(&name)?);
                    continue;
                }
                Long(name) => name.to_owned(),
                Short(letter) => letter.to_string(),
                Value(value) => return Err(format!("what is '{}'", value.to_string_lossy())),
            };
            match name.as_str() {
                "help" => return Ok(Parsed::Help),
                "window" => window = Some(number(&mut args, "--window", 1, 30_000)?),
                other => options.take(other, &mut args)?,
            }
        }
        let Some(scenario) = scenario else {
            return Err("no scenario: pairs, fanout, rate or idle".to_owned());
        };
        let asks = options.tls != ClientOptions::default() || options.lowest_tls13.is_some();
        if asks && !knows_authorities(&options.tls) {
            return Err("TLS needs --cafile, --capath or --tls-use-os-certs".to_owned());
        }
        options.tls.only_tls13 = options.lowest_tls13.unwrap_or_default();
        if options.tls.cert.is_some() != options.tls.key.is_some() {
            return Err("--cert and --key go together".to_owned());
        }
        options.scenario = scenario;
        options.window = window.unwrap_or_else(|| Self::new(scenario).window);
        Ok(Parsed::Run(Box::new(options)))
    }

    fn take(&mut self, name: &str, args: &mut lexopt::Parser) -> Result<(), String> {
        match name {
            "h" | "host" => self.host = string(args)?,
            "p" | "port" => self.port = number(args, "--port", 1, 65_535)?,
            "ws" => self.ws = true,
            "path" => self.path = string(args)?,
            "cafile" => self.tls.cafile = Some(string(args)?),
            "capath" => self.tls.capath = Some(string(args)?),
            "tls-use-os-certs" => self.tls.use_os_certs = true,
            "tls-alpn" => self.tls.alpn = Some(string(args)?),
            "ciphers" => self.tls.ciphers = Some(string(args)?),
            "cert" => self.tls.cert = Some(string(args)?),
            "key" => self.tls.key = Some(string(args)?),
            "insecure" => self.tls.insecure = true,
            "tls-version" => self.lowest_tls13 = Some(only_tls13(&string(args)?)?),
            "u" | "username" => self.username = Some(string(args)?),
            "P" | "pw" => self.password = Some(string(args)?),
            "V" | "version" => self.version = version_of(&string(args)?)?,
            "q" | "qos" => {
                self.qos = QoS::from_bits(number(args, "--qos", 0, 2)?).unwrap_or_default();
            }
            "payload" => self.payload = number(args, "--payload", 16, 1 << 24)?,
            "pairs" => self.pairs = number(args, "--pairs", 1, 20_000)?,
            "subscribers" => self.subscribers = number(args, "--subscribers", 1, 20_000)?,
            "connections" => self.connections = number(args, "--connections", 1, 500_000)?,
            "rate" => self.rate = number(args, "--rate", 1, 10_000_000)?,
            "messages" => self.messages = number(args, "--messages", 1, u64::MAX)?,
            "seconds" => self.duration = seconds(args, "--seconds")?,
            "stall" => self.stall = seconds(args, "--stall")?,
            "rounds" => self.rounds = number(args, "--rounds", 1, 1_000)?,
            "pid" => self.pid = Some(number(args, "--pid", 1, u32::MAX)?),
            "json" => self.json = true,
            "persistent" => self.persistent = true,
            other => return Err(format!("unknown option '{other}'")),
        }
        Ok(())
    }
}

const fn knows_authorities(tls: &ClientOptions) -> bool {
    tls.cafile.is_some() || tls.capath.is_some() || tls.use_os_certs
}

fn text(error: lexopt::Error) -> String {
    error.to_string()
}

fn string(args: &mut lexopt::Parser) -> Result<String, String> {
    args.value().and_then(|value| value.string()).map_err(text)
}

fn number<T>(args: &mut lexopt::Parser, name: &str, low: T, high: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    let value = string(args)?;
    let parsed = value.parse().ok().filter(|number| (low..=high).contains(number));
    parsed.ok_or_else(|| format!("{name} takes a number from {low} to {high}, not '{value}'"))
}

fn seconds(args: &mut lexopt::Parser, name: &str) -> Result<Duration, String> {
    number(args, name, 0.0, 86_400.0).map(Duration::from_secs_f64)
}

fn scenario_of(name: &std::ffi::OsStr) -> Result<Scenario, String> {
    let all = [Scenario::Pairs, Scenario::Fanout, Scenario::Rate, Scenario::Idle];
    all.into_iter().find(|scenario| scenario.name() == name).ok_or_else(|| {
        format!("no scenario '{}': it is pairs, fanout, rate or idle", name.to_string_lossy())
    })
}

fn version_of(name: &str) -> Result<Version, String> {
    match name {
        "mqttv31" | "31" | "3" => Ok(Version::V3),
        "mqttv311" | "311" | "4" => Ok(Version::V4),
        "mqttv5" | "5" => Ok(Version::V5),
        _ => Err(format!("--version takes mqttv31, mqttv311 or mqttv5, not '{name}'")),
    }
}

fn only_tls13(lowest: &str) -> Result<bool, String> {
    match lowest {
        "tlsv1.2" => Ok(false),
        "tlsv1.3" => Ok(true),
        _ => Err(format!("--tls-version takes tlsv1.2 or tlsv1.3, not '{lowest}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        match Options::parse(lexopt::Parser::from_args(args))? {
            Parsed::Run(options) => Ok(*options),
            Parsed::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn the_scenario_sets_the_window_unless_told() {
        assert_eq!(parse(&["pairs"]).map(|o| o.window), Ok(64));
        assert_eq!(parse(&["fanout"]).map(|o| o.window), Ok(32));
        assert_eq!(parse(&["fanout", "--window=7"]).map(|o| o.window), Ok(7));
        assert_eq!(parse(&["rate", "-q", "2", "-V", "5"]).map(|o| o.qos), Ok(QoS::ExactlyOnce));
    }

    #[test]
    fn a_wrong_line_says_what_would_be_right() {
        for (args, expected) in [
            (["pairs", "--qos", "3"].as_slice(), "from 0 to 2"),
            (&["pears"], "it is pairs, fanout"),
            (&[], "no scenario"),
            (&["pairs", "--frobnicate"], "frobnicate"),
            (&["idle", "--version", "6"], "mqttv31"),
            (&["idle", "--insecure"], "--cafile"),
            (&["idle", "--ciphers", "DEFAULT"], "--capath or --tls-use-os-certs"),
            (&["idle", "--tls-alpn", "mqtt"], "--cafile"),
            (&["idle", "--tls-version", "tlsv1.2"], "--cafile"),
            (&["idle", "--cafile", "ca", "--cert", "c"], "--key"),
            (&["idle", "--cafile", "ca", "--tls-version", "1.2"], "tlsv1.3"),
        ] {
            let error = parse(args).expect_err("wrong");
            assert!(error.contains(expected), "{error}");
        }
    }
}
