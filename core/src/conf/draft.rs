//! A configuration while it is read: what was said so far, with "nothing was said" kept apart from
//! every value. Decides nothing.

use super::Listener;
use super::LogDestination;
use super::LogType;
use super::LogTypes;
use super::ServerConfig;
use super::tls;
use super::value::Value;

/// Where something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the file.
    pub(super) file: usize,
    pub(super) line: u32,
    /// Counts the lines of all files as they are read.
    pub(super) order: u32,
}

/// A configuration while it is read.
#[derive(Debug)]
pub(super) struct Draft {
    /// What needs no second look; its listeners are those of a file without any.
    pub(super) server: ServerConfig,
    pub(super) allow_anonymous: Option<bool>,
    pub(super) password_file: Option<String>,
    pub(super) jwt_key_file: Option<String>,
    pub(super) per_listener: bool,
    /// The first option that `per_listener_settings` would have had to come before.
    pub(super) security: Option<Place>,
    pub(super) listeners: Vec<ListenerDraft>,
    /// The listener of `port`, `bind_address` and of options without a listener above them.
    pub(super) default_listener: Option<usize>,
    pub(super) log_destinations: Option<Vec<LogDestination>>,
    pub(super) log_types: Option<LogTypes>,
}

/// A listener while it is read.
#[derive(Debug)]
pub(super) struct ListenerDraft {
    pub(super) listener: Listener,
    pub(super) place: Place,
    pub(super) allow_anonymous: Option<bool>,
    pub(super) tls: tls::Lines,
    /// Whether a line asked for it: `listener`, `port` or `bind_address`.
    pub(super) asked: bool,
}

impl Draft {
    pub(super) fn new() -> Self {
        Self {
            server: ServerConfig::port_only(super::MQTT_PORT),
            allow_anonymous: None,
            password_file: None,
            jwt_key_file: None,
            per_listener: false,
            security: None,
            listeners: Vec::new(),
            default_listener: None,
            log_destinations: None,
            log_types: None,
        }
    }

    /// Adds a `log_dest`; `none` forgets those before it.
    pub(super) fn log_to(&mut self, value: &Value) {
        let Value::LogDestination { word, path } = value else { return };
        let destinations = self.log_destinations.get_or_insert_default();
        let destination = match *word {
            "file" => LogDestination::File(path.clone()),
            "stderr" => LogDestination::Stderr,
            "stdout" => LogDestination::Stdout,
            "syslog" => LogDestination::Syslog,
            "topic" => LogDestination::Topic,
            _ => return destinations.clear(),
        };
        if !destinations.contains(&destination) {
            destinations.push(destination);
        }
    }

    /// Adds a `log_type`; `none` forgets those before it.
    pub(super) fn log_type(&mut self, word: &str) {
        let types = self.log_types.unwrap_or(LogTypes::NONE);
        self.log_types = Some(match word {
            "all" => LogTypes::ALL,
            "debug" => types.with(LogType::Debug),
            "error" => types.with(LogType::Error),
            "information" => types.with(LogType::Information),
            "notice" => types.with(LogType::Notice),
            "subscribe" => types.with(LogType::Subscribe),
            "unsubscribe" => types.with(LogType::Unsubscribe),
            "warning" => types.with(LogType::Warning),
            "websockets" => types.with(LogType::Websockets),
            "none" => LogTypes::NONE,
            // "internal" is of Mosquitto's own and has no lines here.
            _ => types,
        });
    }
}
