//! What `halyard pub` and `halyard sub` were asked to do, checked as a whole: the setters of the
//! flag table, the configuration file, and the options of the client. Opens no connection.

use super::flags::{self, text};
use super::format::Format;
use super::properties::{Command, Properties};
use crate::tls::ClientOptions;
use halyard_core::client::{Acks, Backoff, CleanStart, Options, WillMessage};
use halyard_core::packet::{QoS, RetainHandling, Version};
use halyard_core::topic::{self, TopicLimits};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// Which of the two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Pub,
    Sub,
}

impl Verb {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pub => "pub",
            Self::Sub => "sub",
        }
    }
}

/// Where the messages to publish come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Message(Vec<u8>),
    File(PathBuf),
    Lines,
    Stdin,
    Null,
}

/// The Will, as far as it was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Will {
    pub(super) topic: Option<String>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// All that the command line says.
#[derive(Clone, Debug)]
pub(super) struct Args {
    pub(super) verb: Verb,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) unix: Option<PathBuf>,
    pub(super) bind: Option<String>,
    pub(super) ws: bool,
    pub(super) ws_path: String,
    pub(super) tls: ClientOptions,
    /// `-L mqtts://` or `wss://`.
    pub(super) secure_url: bool,
    pub(super) no_tls: bool,
    pub(super) nodelay: bool,
    pub(super) username: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) id: Option<String>,
    pub(super) id_prefix: Option<String>,
    pub(super) keep_alive: u16,
    pub(super) version: Version,
    pub(super) clean: bool,
    pub(super) session_expiry: Option<u32>,
    pub(super) max_inflight: u16,
    pub(super) qos: QoS,
    pub(super) topics: Vec<String>,
    pub(super) will: Will,
    pub(super) properties: Properties,
    pub(super) debug: bool,
    pub(super) quiet: bool,
    // Publishing.
    pub(super) sources: Vec<Source>,
    pub(super) retain: bool,
    pub(super) repeat: u32,
    pub(super) repeat_delay: Duration,
    // Subscribing.
    pub(super) unsubscribe: Vec<String>,
    pub(super) filter_out: Vec<String>,
    pub(super) format: Option<Format>,
    pub(super) verbose: bool,
    pub(super) pretty: bool,
    pub(super) end_of_line: bool,
    pub(super) count: Option<u32>,
    pub(super) timeout: Option<Duration>,
    pub(super) exit_after_subscribe: bool,
    pub(super) skip_retained: bool,
    pub(super) retained_only: bool,
    pub(super) remove_retained: bool,
    pub(super) retain_as_published: bool,
    pub(super) retain_handling: RetainHandling,
    /// Of ten thousand messages, how many are printed.
    pub(super) chance: u64,
    pub(super) message_rate: bool,
    pub(super) watch: bool,
}

impl Args {
    pub(super) fn new(verb: Verb) -> Self {
        Self {
            verb,
            host: None,
            port: None,
            unix: None,
            bind: None,
            ws: false,
            ws_path: "/mqtt".to_owned(),
            tls: ClientOptions::default(),
            secure_url: false,
            no_tls: false,
            nodelay: false,
            username: None,
            password: None,
            id: None,
            id_prefix: None,
            keep_alive: 60,
            version: Version::V4,
            clean: true,
            session_expiry: None,
            max_inflight: 20,
            qos: QoS::AtMostOnce,
            topics: Vec::new(),
            will: Will::default(),
            properties: Properties::default(),
            debug: false,
            quiet: false,
            sources: Vec::new(),
            retain: false,
            repeat: 1,
            repeat_delay: Duration::ZERO,
            unsubscribe: Vec::new(),
            filter_out: Vec::new(),
            format: None,
            verbose: false,
            pretty: false,
            end_of_line: true,
            count: None,
            timeout: None,
            exit_after_subscribe: false,
            skip_retained: false,
            retained_only: false,
            remove_retained: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
            chance: 10_000,
            message_rate: false,
            watch: false,
        }
    }

    /// Reads the configuration file, if there is one, and the arguments after it.
    pub(super) fn parse(verb: Verb, words: &[OsString]) -> Result<Self, String> {
        let mut args = Self::new(verb);
        let (file, words) = config_file(verb, words)?;
        if let Some(path) = file {
            let words = read_config(&path)?;
            flags::apply(&mut args, &words)
                .map_err(|error| format!("in {}: {error}", path.display()))?;
        }
        flags::apply(&mut args, &words)?;
        args.check()?;
        Ok(args)
    }

    fn check(&self) -> Result<(), String> {
        self.properties.check()?;
        let will_only = |given: bool, what| {
            if given && self.will.topic.is_none() {
                return Err(format!("Will {what} given, but no will topic given."));
            }
            Ok(())
        };
        will_only(self.will.payload.is_some(), "payload")?;
        will_only(self.will.retain, "retain")?;
        if self.id.is_some() && self.id_prefix.is_some() {
            return Err("-i and -I argument cannot be used together.".to_owned());
        }
        let named = self.id.is_some() || self.id_prefix.is_some();
        if !self.clean && !named && !self.version.is_v5() {
            return Err("You must provide a client id if you are using the -c option.".to_owned());
        }
        if self.version.is_v5() && self.expiry() == Some(u32::MAX) && !named {
            return Err(
                "You must provide a client id if you are using an infinite session expiry \
                        interval."
                    .to_owned(),
            );
        }
        if !self.version.is_v5() && self.password.is_some() && self.username.is_none() {
            return Err("-P needs -u in this protocol version.".to_owned());
        }
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            return Err("Both certfile and keyfile must be provided if one of them is set.".into());
        }
        match self.verb {
            Verb::Pub => self.check_pub(),
            Verb::Sub => self.check_sub(),
        }
    }

    fn check_pub(&self) -> Result<(), String> {
        if self.sources.len() > 1 {
            return Err("Only one type of message can be sent at once.".to_owned());
        }
        if self.topics.is_empty() || self.sources.is_empty() {
            return Err("Both topic and message must be supplied.".to_owned());
        }
        Ok(())
    }

    fn check_sub(&self) -> Result<(), String> {
        if self.topics.is_empty() {
            return Err("You must specify a topic to subscribe to.".to_owned());
        }
        if self.skip_retained && self.retained_only {
            return Err("Combining '-R' and '--retained-only' makes no sense.".to_owned());
        }
        Ok(())
    }

    /// The Session Expiry Interval of `-x`, or the one that `-c` stands for.
    fn expiry(&self) -> Option<u32> {
        self.session_expiry.or_else(|| (!self.clean).then_some(u32::MAX))
    }

    /// The client's options.
    pub(super) fn options(&self) -> Options {
        let is_v5 = self.version.is_v5();
        let mut options = Options {
            clean_start: match (self.clean, is_v5) {
                (false, _) => CleanStart::Never,
                (true, true) => CleanStart::First,
                (true, false) => CleanStart::Always,
            },
            keep_alive: self.keep_alive,
            username: self.username.clone(),
            password: self.password.clone(),
            will: self.will_message(),
            session_expiry_interval: if is_v5 { self.expiry() } else { None },
            acks: Acks::Automatic,
            max_inflight: self.max_inflight,
            queue_messages: 10_000,
            queue_bytes: 512 << 20,
            output_limit: 512 << 20,
            reconnect: (self.verb == Verb::Sub)
                .then_some(Backoff { min_ms: 1_000, max_ms: 30_000 }),
            ping_timeout_ms: u32::MAX,
            ..Options::new(self.version, &self.client_id())
        };
        self.properties.connect(&mut options);
        if self.scram().is_some() {
            // It is proved, not sent.
            options.password = None;
        }
        options
    }

    /// User and password to be proved by SCRAM-SHA-256: its method was asked for, and the data of the
    /// exchange was not given.
    pub(super) fn scram(&self) -> Option<(&str, &[u8])> {
        let asked = self.version.is_v5() && self.properties.asks_for_scram();
        self.username.as_deref().zip(self.password.as_deref()).filter(|_| asked)
    }

    fn client_id(&self) -> String {
        match (&self.id, &self.id_prefix) {
            (Some(id), _) => id.clone(),
            (None, Some(prefix)) => format!("{prefix}{}", std::process::id()),
            // 3.1 has no empty identifier.
            (None, None) if self.version == Version::V3 => {
                format!("halyard-{}-{}", self.verb.name(), std::process::id())
            }
            (None, None) => String::new(),
        }
    }

    fn will_message(&self) -> Option<WillMessage> {
        let topic = self.will.topic.clone()?;
        let mut will = WillMessage {
            topic,
            payload: self.will.payload.clone().unwrap_or_default(),
            qos: self.will.qos,
            retain: self.will.retain,
            ..WillMessage::default()
        };
        self.properties.will(&mut will);
        Some(will)
    }

    pub(super) fn add_source(&mut self, source: Source) {
        self.sources.push(source);
    }

    pub(super) fn set_file(&mut self, value: &OsStr) -> Result<(), String> {
        self.add_source(Source::File(value.into()));
        Ok(())
    }

    pub(super) fn set_id(&mut self, value: &OsStr) -> Result<(), String> {
        let id = text(value)?;
        if id.is_empty() {
            return Err("Invalid id.".to_owned());
        }
        self.id = Some(id);
        Ok(())
    }

    pub(super) fn set_id_prefix(&mut self, value: &OsStr) -> Result<(), String> {
        self.id_prefix = Some(text(value)?);
        Ok(())
    }

    pub(super) fn set_port(&mut self, value: &OsStr) -> Result<(), String> {
        self.port = Some(number(value, 1, u16::MAX, "Invalid port given: ")?);
        Ok(())
    }

    pub(super) fn set_qos(&mut self, value: &OsStr) -> Result<(), String> {
        self.qos = qos(value, "Invalid QoS given: ")?;
        Ok(())
    }

    pub(super) fn set_will_qos(&mut self, value: &OsStr) -> Result<(), String> {
        self.will.qos = qos(value, "Invalid will QoS ")?;
        Ok(())
    }

    pub(super) fn set_keep_alive(&mut self, value: &OsStr) -> Result<(), String> {
        let error = "Invalid keepalive given, it must be between 5 and 65535 inclusive: ";
        self.keep_alive = number(value, 5, u16::MAX, error)?;
        Ok(())
    }

    pub(super) fn set_max_inflight(&mut self, value: &OsStr) -> Result<(), String> {
        let error = "Maximum inflight messages must be from 1 to 65535, not ";
        self.max_inflight = number(value, 1, u16::MAX, error)?;
        Ok(())
    }

    pub(super) fn set_repeat(&mut self, value: &OsStr) -> Result<(), String> {
        self.repeat = number(value, 1, u32::MAX, "--repeat argument must be >0, not ")?;
        Ok(())
    }

    pub(super) fn set_repeat_delay(&mut self, value: &OsStr) -> Result<(), String> {
        let error = "--repeat-delay argument must be >=0.0, not ";
        let seconds = number(value, 0.0, f64::from(u32::MAX), error)?;
        self.repeat_delay = Duration::from_secs_f64(seconds);
        Ok(())
    }

    pub(super) fn set_count(&mut self, value: &OsStr) -> Result<(), String> {
        self.count = Some(number(value, 1, u32::MAX, "Invalid message count ")?);
        Ok(())
    }

    pub(super) fn set_timeout(&mut self, value: &OsStr) -> Result<(), String> {
        let seconds: u32 = number(value, 1, u32::MAX, "Invalid timeout ")?;
        self.timeout = Some(Duration::from_secs(u64::from(seconds)));
        Ok(())
    }

    pub(super) fn set_random_filter(&mut self, value: &OsStr) -> Result<(), String> {
        let error = "--random-filter chance must be between 0.1-100.0, not ";
        let percent: f64 = number(value, 0.1, 100.0, error)?;
        // Hundredths of a percent; the cast is of a number from 10 to 10,000.
        self.chance = (percent * 100.0).round() as u64;
        Ok(())
    }

    pub(super) fn set_session_expiry(&mut self, value: &OsStr) -> Result<(), String> {
        let value = text(value)?;
        self.session_expiry = Some(match value.as_str() {
            "-1" | "∞" => u32::MAX,
            number => match number.parse::<i64>().map(u32::try_from) {
                Ok(Ok(seconds)) => seconds,
                Ok(Err(_)) => return Err("session-expiry-interval out of range.".to_owned()),
                Err(_) => return Err("session-expiry-interval not a number.".to_owned()),
            },
        });
        Ok(())
    }

    pub(super) fn set_version(&mut self, value: &OsStr) -> Result<(), String> {
        self.version = match text(value)?.as_str() {
            "mqttv31" | "31" => Version::V3,
            "mqttv311" | "311" => Version::V4,
            "mqttv5" | "5" => Version::V5,
            _ => return Err("Invalid protocol version argument given.".to_owned()),
        };
        Ok(())
    }

    pub(super) fn set_retain_handling(&mut self, value: &OsStr) -> Result<(), String> {
        self.retain_handling = match text(value)?.as_str() {
            "always" => RetainHandling::SendAtSubscribe,
            "new" => RetainHandling::SendIfNew,
            "never" => RetainHandling::DoNotSend,
            other => {
                return Err(format!("--retain-handling is always, new or never, not {other}."));
            }
        };
        Ok(())
    }

    pub(super) fn set_format(&mut self, value: &OsStr) -> Result<(), String> {
        self.format = Some(Format::parse(&text(value)?)?);
        Ok(())
    }

    pub(super) fn set_will_topic(&mut self, value: &OsStr) -> Result<(), String> {
        let topic = text(value)?;
        topic::validate_name(&topic, &TopicLimits::default())
            .map_err(|_| format!("Invalid will topic '{topic}', does it contain '+' or '#'?"))?;
        self.will.topic = Some(topic);
        Ok(())
    }

    pub(super) fn add_topic(&mut self, value: &OsStr) -> Result<(), String> {
        let topic = text(value)?;
        if self.verb == Verb::Pub {
            topic::validate_name(&topic, &TopicLimits::default()).map_err(|_| {
                format!("Invalid publish topic '{topic}', does it contain '+' or '#'?")
            })?;
            self.topics = vec![topic];
        } else {
            check_filter(&topic, "subscription")?;
            self.topics.push(topic);
        }
        Ok(())
    }

    pub(super) fn add_filter_out(&mut self, value: &OsStr) -> Result<(), String> {
        let filter = text(value)?;
        check_filter(&filter, "filter")?;
        self.filter_out.push(filter);
        Ok(())
    }

    pub(super) fn add_unsubscribe(&mut self, value: &OsStr) -> Result<(), String> {
        let filter = text(value)?;
        check_filter(&filter, "unsubscribe")?;
        self.unsubscribe.push(filter);
        Ok(())
    }

    /// `mqtt://[username[:password]@]host[:port]/topic`, and the same with `ws`.
    pub(super) fn set_url(&mut self, value: &OsStr) -> Result<(), String> {
        let url = text(value)?;
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        match scheme {
            "mqtt" | "mqtts" => self.ws = false,
            "ws" | "wss" => self.ws = true,
            _ => return Err("unsupported URL scheme.".to_owned()),
        }
        self.secure_url = matches!(scheme, "mqtts" | "wss");
        let missing = || "Invalid URL for -L argument specified - topic missing.".to_owned();
        let (authority, topic) = rest.split_once('/').ok_or_else(missing)?;
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        if let Some(credentials) = credentials {
            let (username, password) = match credentials.split_once(':') {
                Some((username, password)) => (username, Some(password)),
                None => (credentials, None),
            };
            self.username = Some(username.to_owned());
            self.password = password.map(|password| password.as_bytes().to_vec());
        }
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (address, None),
        };
        self.host = Some(host.trim_start_matches('[').trim_end_matches(']').to_owned());
        if let Some(port) = port {
            self.set_port(OsStr::new(port))?;
        }
        self.add_topic(OsStr::new(topic))
    }

    pub(super) fn set_tls_version(&mut self, value: &OsStr) -> Result<(), String> {
        self.tls.only_tls13 = match &*text(value)? {
            "tlsv1.2" => false,
            "tlsv1.3" => true,
            other => {
                let known = "tlsv1.2 and tlsv1.3 are supported";
                return Err(format!("--tls-version {other}: {known}."));
            }
        };
        Ok(())
    }

    pub(super) fn set_keyform(&mut self, value: &OsStr) -> Result<(), String> {
        match &*text(value)? {
            "pem" => Ok(()),
            other => Err(format!("--keyform {other}: keys are PEM files.")),
        }
    }

    /// What TLS is spoken with; `None` = in the clear. Without authorities of its own the client
    /// trusts those of the system, as it does on the port of MQTT over TLS.
    pub(super) fn tls(&self) -> Option<ClientOptions> {
        let own = self.tls.cafile.is_some() || self.tls.capath.is_some();
        let by_default = self.secure_url || self.port == Some(8883);
        if self.no_tls || !(own || self.tls.use_os_certs || by_default) {
            return None;
        }
        let use_os_certs = self.tls.use_os_certs || !own;
        Some(ClientOptions { use_os_certs, ..self.tls.clone() })
    }

    /// The port to connect to.
    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(match (self.ws, self.secure_url) {
            (false, false) => 1883,
            (false, true) => 8883,
            (true, false) => 9001,
            (true, true) => 443,
        })
    }

    /// User Properties of a packet.
    pub(super) fn user_properties(
        &self,
        command: Command,
    ) -> halyard_core::packet::UserPropertiesBuf {
        self.properties.user(command)
    }
}

fn check_filter(filter: &str, what: &str) -> Result<(), String> {
    let plain = topic::split_share(filter).ok().flatten().map_or(filter, |(_, inner)| inner);
    topic::validate_filter(plain, &TopicLimits::default()).map_err(|_| {
        format!("Invalid {what} topic '{filter}', are all '+' and '#' wildcards correct?")
    })
}

fn qos(value: &OsStr, error: &str) -> Result<QoS, String> {
    Ok(QoS::from_bits(number(value, 0, 2, error)?).unwrap_or_default())
}

/// A number within bounds; the error is followed by what was given.
fn number<T>(value: &OsStr, low: T, high: T, error: &str) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd,
{
    let value = value.to_string_lossy();
    let parsed = value.parse().ok().filter(|number| (low..=high).contains(number));
    parsed.ok_or_else(|| format!("{error}{value}"))
}

/// The configuration file: that of `-o`, which is taken out of the arguments, or the user's own.
fn config_file(verb: Verb, words: &[OsString]) -> Result<(Option<PathBuf>, Vec<OsString>), String> {
    let mut words = words.to_vec();
    if let Some(index) = words.iter().position(|word| word == "-o") {
        if index + 1 >= words.len() {
            return Err("-o argument given but no options file specified.".to_owned());
        }
        let path = words.remove(index + 1);
        words.remove(index);
        return Ok((Some(path.into()), words));
    }
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let path = config.or_else(home).map(|dir| dir.join(format!("halyard_{}", verb.name())));
    Ok((path.filter(|path| path.is_file()), words))
}

/// A line is an option and the rest of it its value; `#` begins a comment.
fn read_config(path: &std::path::Path) -> Result<Vec<OsString>, String> {
    let content = std::fs::read_to_string(path)
        .map_err(|error| format!("Unable to open options file {}: {error}.", path.display()))?;
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut words = Vec::new();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let (option, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        words.push(OsString::from(option));
        if !value.trim().is_empty() {
            words.push(OsString::from(value.trim()));
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(verb: Verb, words: &[&str]) -> Result<Args, String> {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        let mut args = Args::new(verb);
        flags::apply(&mut args, &words)?;
        args.check()?;
        Ok(args)
    }

    #[test]
    fn a_url_is_taken_apart() {
        let args = parse(Verb::Pub, &["-n", "-L", "ws://u:p@[::1]:99/a/b"]).expect("right");
        assert_eq!(args.host.as_deref(), Some("::1"));
        assert_eq!((args.port, args.ws), (Some(99), true));
        assert_eq!(
            (args.username.as_deref(), args.password.as_deref()),
            (Some("u"), Some(&b"p"[..]))
        );
        assert_eq!(args.topics, ["a/b"]);
        for (url, expected) in
            [("mqtt://h", "topic missing"), ("x://h/t", "scheme"), ("mqtts://h", "topic missing")]
        {
            let error = parse(Verb::Pub, &["-n", "-L", url]).expect_err("wrong");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for (verb, words, expected) in [
            (Verb::Pub, &["-t", "t"] as &[&str], "Both topic and message"),
            (Verb::Pub, &["-t", "t", "-n", "-l"], "Only one type"),
            (Verb::Pub, &["-t", "t", "-n", "-c"], "client id"),
            (Verb::Pub, &["-t", "t", "-n", "-V", "5", "-x", "-1"], "infinite"),
            (Verb::Pub, &["-t", "t", "-n", "--will-retain"], "no will topic"),
            (Verb::Pub, &["-t", "t", "-n", "-v"], "Unknown option"),
            (Verb::Sub, &["-U", "t"], "specify a topic"),
            (Verb::Sub, &["-t", "t", "-R", "--retained-only"], "makes no sense"),
            (Verb::Sub, &["-t", "a/#/b"], "wildcards correct"),
            (Verb::Sub, &["-t", "t", "-C", "0"], "Invalid message count"),
        ] {
            let error = parse(verb, words).expect_err("wrong");
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_property_makes_it_version_5() {
        let args = parse(Verb::Sub, &["-t", "t", "-D", "connect", "receive-maximum", "7"]);
        let options = args.expect("right").options();
        assert_eq!((options.version, options.receive_maximum), (Version::V5, Some(7)));
    }
}
