//! The reader: lines to a draft, by the table. It keeps the order rules of Mosquitto: which listener
//! is the current one (anew in each file), what a second line means, what an included file may do.
//! It opens no file and goes on after an error, so that all of them are found at once.

use super::Address;
use super::Listener;
use super::ListenerConfig;
use super::Protocol;
use super::Said;
use super::ServerConfig;
use super::diagnose;
use super::diagnose::Diagnostic;
use super::diagnose::Problem;
use super::diagnose::Severity;
use super::diagnose::quoted;
use super::draft::Draft;
use super::draft::ListenerDraft;
use super::draft::Place;
use super::finish;
use super::lexer;
use super::lexer::Line;
use super::lexer::Source;
use super::options;
use super::options::Kind;
use super::options::OptionSpec;
use super::options::Repeat;
use super::options::Scope;
use super::options::Setter;
use super::options::Special;
use super::options::Status;
use super::report::Key;
use super::report::Report;
use super::tls;
use super::value;
use super::value::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Listeners of one broker; their number is 16 bits wide.
const LISTENERS_MAX: usize = 1024;

/// Files that a configuration may consist of.
const FILES_MAX: usize = 4096;

/// A configuration that was read, and what there is to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The configuration; not to be used if there is an error.
    pub config: ServerConfig,
    /// Errors and warnings, in the order of reading.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Whether a broker may start with it.
    pub fn is_valid(&self) -> bool {
        self.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error)
    }
}

/// Reads a configuration. `include` gets the value of each `include_dir` and answers with the files
/// of that folder for which [`is_included`] holds, in any order, or says why it cannot.
pub fn parse(
    main: &Source,
    include: &mut dyn FnMut(&str) -> Result<Vec<Source>, String>,
) -> Parsed {
    let mut reader = Reader {
        draft: Draft::new(),
        report: Report::default(),
        seen: BTreeMap::new(),
        order: 0,
        include,
    };
    reader.read(main, true);
    let Reader { draft, mut report, seen, .. } = reader;
    let config = finish::finish(draft, &seen, &mut report);
    Parsed { config, diagnostics: report.into_diagnostics() }
}

/// Whether `include_dir` reads a file of this name.
pub fn is_included(name: &str) -> bool {
    name.len() > ".conf".len() && name.ends_with(".conf")
}

/// The order in which `include_dir` reads files: by letters, and only where those are the same,
/// upper case before lower case.
pub fn include_order(a: &str, b: &str) -> Ordering {
    for (x, y) in a.bytes().zip(b.bytes()) {
        let letters = x.to_ascii_uppercase().cmp(&y.to_ascii_uppercase());
        let order = letters.then(x.cmp(&y));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Where options were set.
pub(super) type Seen = BTreeMap<Key, Place>;

struct Reader<'a> {
    draft: Draft,
    report: Report,
    seen: Seen,
    order: u32,
    include: &'a mut dyn FnMut(&str) -> Result<Vec<Source>, String>,
}

/// What a line may refer to; each file begins with nothing.
struct Current {
    is_main: bool,
    listener: Option<usize>,
    bridge: bool,
    plugin: bool,
}

/// A line at its place.
#[derive(Clone, Copy)]
struct At<'a> {
    place: Place,
    line: Line<'a>,
}

impl Reader<'_> {
    fn read(&mut self, source: &Source, is_main: bool) {
        let file = self.report.files.len();
        self.report.files.push(source.name.clone());
        let mut current = Current { is_main, listener: None, bridge: false, plugin: false };
        for line in lexer::lines(&source.text) {
            self.order = self.order.saturating_add(1);
            let order = self.order;
            match line {
                Ok(line) => {
                    let place = Place { file, line: line.number, order };
                    self.take(&mut current, At { place, line });
                }
                Err((line, problem)) => {
                    self.report.error(Place { file, line, order }, "", problem);
                }
            }
            if self.report.is_full() {
                return;
            }
        }
    }

    fn take(&mut self, current: &mut Current, at: At<'_>) {
        let Some(option) = options::find(at.line.name) else {
            let problem = Problem::new("unknown option", diagnose::advise(at.line.name));
            return self.report.error(at.place, at.line.name, problem);
        };
        if let Setter::Special(special) = option.set {
            current.bridge |= special == Special::Connection;
            current.plugin |= special == Special::Plugin;
        }
        let Ok(target) = self.target(current, option, at) else { return };
        let Some(value) = self.value(option, at) else { return };
        if self.is_repeated(option, target, at) {
            return;
        }
        if option.scope == Scope::Security && target.is_none() && self.draft.security.is_none() {
            self.draft.security = Some(at.place);
        }
        self.note_status(option, &value, (option.name, target), at);
        self.note_line(option, &value, at);
        self.set(current, option, target, &value, at);
    }

    /// The listener that the line is about; `None` for the broker as a whole. An error if there is
    /// nothing that it could be about.
    fn target(
        &mut self,
        current: &mut Current,
        option: &OptionSpec,
        at: At<'_>,
    ) -> Result<Option<usize>, ()> {
        let missing = match option.scope {
            Scope::General => return Ok(None),
            Scope::Security if !self.draft.per_listener => return Ok(None),
            // The error of the line above covers it.
            Scope::Bridge if current.bridge => return Err(()),
            Scope::Plugin if current.plugin => return Err(()),
            Scope::Listener => return Ok(Some(self.listener_or_default(current, at))),
            Scope::Security | Scope::OwnListener => match current.listener {
                Some(listener) => return Ok(Some(listener)),
                None => Problem::new(
                    "it belongs to a listener, and there is none above it in this file",
                    "move it below a `listener` line",
                ),
            },
            Scope::Bridge => Problem::new(
                "it belongs to a bridge, and bridges are not supported",
                "remove the line",
            ),
            Scope::Plugin => Problem::new(
                "it belongs to a plug-in, and plug-ins are not supported",
                "remove the line",
            ),
        };
        self.report.error(at.place, at.line.name, missing);
        Err(())
    }

    fn listener_or_default(&mut self, current: &mut Current, at: At<'_>) -> usize {
        if let Some(listener) = current.listener {
            return listener;
        }
        if self.draft.default_listener.is_none() {
            let problem = Problem::new(
                "it belongs to a listener, and there is none above it in this file: it makes a \
                 default listener on port 1883",
                "move it below a `listener` line",
            );
            self.report.warning(at.place, at.line.name, problem);
        }
        let listener = self.default_listener(at.place);
        current.listener = Some(listener);
        listener
    }

    fn default_listener(&mut self, place: Place) -> usize {
        if let Some(listener) = self.draft.default_listener {
            return listener;
        }
        let listener = self.add_listener(Address::Any { port: super::MQTT_PORT }, place, false);
        self.draft.default_listener = Some(listener);
        listener
    }

    fn add_listener(&mut self, address: Address, place: Place, asked: bool) -> usize {
        let listener = Listener {
            engine: ListenerConfig::default(),
            password_file: None,
            jwt_key_file: None,
            place: self.report.name(place),
            address,
            protocol: Protocol::Mqtt,
            socket_domain: None,
            bind_interface: None,
            max_connections: None,
            admin: super::AdminConfig::default(),
            http_dir: None,
            websockets_origin: Vec::new(),
            acl_file: None,
            tls: None,
            certificate_name: None,
            proxy: None,
        };
        let tls = tls::Lines::default();
        let draft = ListenerDraft { listener, place, allow_anonymous: None, tls, asked };
        self.draft.listeners.push(draft);
        self.draft.listeners.len() - 1
    }

    /// The line's value if the option takes it.
    fn value(&mut self, option: &OptionSpec, at: At<'_>) -> Option<Value> {
        let reading = value::parse(option.kind, at.line.rest);
        if let Status::Refused(why) = option.status {
            let harmless = reading.is_ok_and(|reading| is_default(option, &reading.value));
            if !harmless {
                let problem = Problem::new("it is not supported", why);
                self.report.error(at.place, at.line.name, problem);
            }
            return None;
        }
        match reading {
            Ok(reading) => {
                self.note_habits(option, &reading, at);
                Some(reading.value)
            }
            Err(problem) => {
                self.report.error(at.place, at.line.name, problem);
                None
            }
        }
    }

    /// Warns of text that does not do what its writer thinks.
    fn note_habits(&mut self, option: &OptionSpec, reading: &value::Reading<'_>, at: At<'_>) {
        if !reading.ignored.is_empty() {
            let what = format!("{} behind the value means nothing", quoted(reading.ignored));
            let right = match reading.ignored.starts_with('#') {
                true => "write the comment on a line of its own, with `#` in the first column",
                false => "remove it",
            };
            self.report.warning(at.place, at.line.name, Problem::new(what, right));
        }
        let Value::Text(text) = &reading.value else { return };
        if option.kind == Kind::Path && text.len() > 1 && text.starts_with('"') {
            let problem =
                Problem::new("the quotes are part of the path", "write it without quotes");
            self.report.warning(at.place, at.line.name, problem);
        }
        if text.contains(" #") {
            let problem = Problem::new(
                "the text behind ` #` is part of the value",
                "write a comment on a line of its own, with `#` in the first column",
            );
            self.report.warning(at.place, at.line.name, problem);
        }
    }

    /// Whether the option was set before and may not be set again.
    fn is_repeated(&mut self, option: &OptionSpec, target: Option<usize>, at: At<'_>) -> bool {
        if option.repeat == Repeat::Every {
            return false;
        }
        let Some(before) = self.seen.insert((option.name, target), at.place) else { return false };
        let before_name = self.report.name(before);
        if option.repeat == Repeat::Once {
            let what = format!("it was set before, at {before_name}");
            self.report.error(at.place, at.line.name, Problem::new(what, "keep one of the lines"));
            return true;
        }
        let what = format!("it was set before, at {before_name}, and this line holds");
        self.report.warning(at.place, at.line.name, Problem::new(what, ""));
        false
    }

    /// Says what the broker does not honour.
    fn note_status(&mut self, option: &OptionSpec, value: &Value, key: Key, at: At<'_>) {
        self.report.changed(key);
        match option.status {
            Status::Supported | Status::Refused(_) => {}
            Status::Harmless(_) | Status::NotYet(_) if is_default(option, value) => {}
            Status::Harmless(why) => {
                let problem = Problem::new(format!("it has no effect: {why}"), "");
                self.report.warning(at.place, at.line.name, problem);
            }
            Status::NotYet(instead) => {
                let problem = Problem::new("it is not supported yet", instead);
                self.report.error_unless_changed(key, at.place, at.line.name, problem);
            }
        }
    }

    /// Keeps what a reload compares, and what only the system can judge.
    fn note_line(&mut self, option: &OptionSpec, value: &Value, at: At<'_>) {
        let Setter::General(_) = option.set else { return };
        let texts = matches!(option.kind, Kind::Path | Kind::Text(_) | Kind::LogDestination);
        if option.scope != Scope::General || (option.reload && !texts) {
            return;
        }
        let place = self.report.name(at.place);
        let said = &mut self.draft.server.said;
        if option.repeat != Repeat::Every {
            said.retain(|other| other.option != option.name);
        }
        let fixed = !option.reload && !is_default(option, value);
        let value = at.line.rest.trim().to_owned();
        said.push(Said { option: option.name, value, place, fixed });
    }

    fn set(
        &mut self,
        current: &mut Current,
        option: &OptionSpec,
        target: Option<usize>,
        value: &Value,
        at: At<'_>,
    ) {
        let listener = target.and_then(|index| self.draft.listeners.get_mut(index));
        match (option.set, listener) {
            (Setter::General(set) | Setter::Either(set, _), None) => set(&mut self.draft, value),
            (Setter::Listener(set) | Setter::Either(_, set), Some(listener)) => {
                set(listener, value);
            }
            (Setter::Special(special), _) => self.set_special(current, special, value, at),
            (Setter::Nothing | Setter::General(_) | Setter::Listener(_), _) => {}
        }
    }

    fn set_special(&mut self, current: &mut Current, special: Special, value: &Value, at: At<'_>) {
        match special {
            Special::BindAddress => {
                let host = without_brackets(&value.text());
                self.set_default_listener(current, at.place, |address| {
                    *address = Address::Host { host, port: address.port() };
                });
            }
            Special::Port => {
                let port = value.u16();
                self.set_default_listener(current, at.place, |address| match address {
                    Address::Host { port: own, .. } => *own = port,
                    _ => *address = Address::Any { port },
                });
            }
            Special::IncludeDir => self.include(current, &value.text(), at),
            Special::Listener => self.begin_listener(current, value, at),
            Special::PerListenerSettings => self.set_per_listener(value.bool(), at),
            // Refused before they get here.
            Special::Connection | Special::Plugin => {}
        }
    }

    fn set_default_listener(
        &mut self,
        current: &mut Current,
        place: Place,
        change: impl FnOnce(&mut Address),
    ) {
        let index = self.default_listener(place);
        current.listener = Some(index);
        let place_name = self.report.name(place);
        if let Some(draft) = self.draft.listeners.get_mut(index) {
            draft.asked = true;
            draft.place = place;
            draft.listener.place = place_name;
            change(&mut draft.listener.address);
        }
    }

    fn begin_listener(&mut self, current: &mut Current, value: &Value, at: At<'_>) {
        let Value::Listener { port, address } = value else { return };
        let address = match listener_address(*port, address.as_deref()) {
            Ok(address) => address,
            Err(problem) => {
                self.report.error(at.place, at.line.name, problem);
                // What follows belongs to this listener and not to the one before.
                Address::Any { port: *port }
            }
        };
        if self.draft.listeners.len() >= LISTENERS_MAX {
            let what = format!("there are more than {LISTENERS_MAX} listeners");
            return self.report.error(at.place, at.line.name, Problem::new(what, "remove some"));
        }
        current.listener = Some(self.add_listener(address, at.place, true));
    }

    fn set_per_listener(&mut self, on: bool, at: At<'_>) {
        let problem = if self.draft.per_listener && !on {
            Problem::new(
                "it is on already and cannot be turned off again",
                "remove one of the lines",
            )
        } else if on && let Some(security) = self.draft.security {
            let what = format!(
                "it comes too late: {} set for all listeners what would belong to one",
                self.report.name(security)
            );
            Problem::new(what, "make it the first option of the file")
        } else {
            self.draft.per_listener = on;
            return;
        };
        self.report.error(at.place, at.line.name, problem);
    }

    fn include(&mut self, current: &Current, folder: &str, at: At<'_>) {
        if !current.is_main {
            let problem = Problem::new(
                "only the main file may include others",
                "move the line to the main file",
            );
            return self.report.error(at.place, at.line.name, problem);
        }
        match (self.include)(folder) {
            Ok(mut sources) => {
                sources.sort_by(|a, b| include_order(&a.name, &b.name));
                for source in &sources {
                    if self.report.files.len() >= FILES_MAX {
                        let what = format!("there are more than {FILES_MAX} files");
                        let problem = Problem::new(what, "include fewer");
                        return self.report.error(at.place, at.line.name, problem);
                    }
                    self.read(source, false);
                }
            }
            Err(why) => {
                let what = format!("the folder {} cannot be read: {why}", quoted(folder));
                let problem = Problem::new(what, "create it, or remove the line");
                self.report.error(at.place, at.line.name, problem);
            }
        }
    }
}

fn is_default(option: &OptionSpec, value: &Value) -> bool {
    value::parse(option.kind, option.default).is_ok_and(|reading| reading.value == *value)
}

fn without_brackets(host: &str) -> String {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host).to_owned()
}

/// Bytes of the longest path of a Unix socket (`sun_path` and its final NUL).
const UNIX_PATH_BYTES_MAX: usize = 107;

fn listener_address(port: u16, address: Option<&str>) -> Result<Address, Problem> {
    let Some(address) = address else {
        return match port {
            0 => Err(Problem::new(
                "port 0 needs an address",
                "write a port from 1 to 65535; or `listener 0 /PATH` for a Unix socket; or \
                 `listener 0 127.0.0.1`, and the system chooses the port",
            )),
            _ => Ok(Address::Any { port }),
        };
    };
    let host = without_brackets(address);
    let is_ip = host.parse::<std::net::IpAddr>().is_ok() || host == "localhost";
    if port == 0 && !is_ip {
        if address.len() > UNIX_PATH_BYTES_MAX {
            let what = format!("the path of the Unix socket has {} bytes", address.len());
            let right = format!("write at most {UNIX_PATH_BYTES_MAX}");
            return Err(Problem::new(what, right));
        }
        return Ok(Address::Unix { path: address.to_owned() });
    }
    if address.contains('/') {
        let what = format!("{} is no address", quoted(address));
        return Err(Problem::new(what, "write `listener 0 /PATH` for a Unix socket"));
    }
    Ok(Address::Host { host, port })
}
