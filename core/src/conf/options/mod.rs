//! The one table of options: name, scope, type, unit, default, range, reload, status, meaning, and
//! what a value sets. The reader, its errors and the reference page are all made from it; nothing
//! else in the crate may know an option's name or range.

mod bridge;
mod general;
mod limits;
mod listener;
mod log;
mod security;
mod store;
mod tls;

use super::draft::Draft;
use super::draft::ListenerDraft;
use super::value::Value;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The name, as a line begins with it. A `*` at the end stands for any further text.
    pub name: &'static str,
    /// Other names of the same option.
    pub aliases: &'static [&'static str],
    /// What the option belongs to.
    pub scope: Scope,
    /// What a value may be.
    pub kind: Kind,
    /// The unit of a number; empty = a count or no number.
    pub unit: &'static str,
    /// The value that holds without a line, as one would write it; empty = none.
    pub default: &'static str,
    /// What a second line means.
    pub repeat: Repeat,
    /// Whether a reload of the configuration may change it.
    pub reload: bool,
    /// Whether the broker honours it.
    pub status: Status,
    /// What it does.
    pub help: &'static str,
    pub(super) set: Setter,
}

/// What an option belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The broker as a whole.
    General,
    /// The broker as a whole, or the listener above with `per_listener_settings true`.
    Security,
    /// The listener above; without one, the default listener.
    Listener,
    /// The listener above, which there must be.
    OwnListener,
    /// The bridge above.
    Bridge,
    /// The plug-in above.
    Plugin,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number. With `unlimited`, anything below 0 means no limit.
    Int {
        /// The smallest number.
        min: i64,
        /// The largest number.
        max: i64,
        /// Whether a negative number stands for no limit.
        unlimited: bool,
    },
    /// A number with its unit: `s h d w m y` (a month has 30 days, a year 365).
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, with spaces or commas between them.
    Words(&'static [&'static str]),
    /// The rest of the line, of at most so many bytes.
    Text(u32),
    /// An IP network: `10.0.0.0/8`, or one address.
    Network,
    /// The rest of the line, a path.
    Path,
    /// The rest of the line, the beginning of a Topic Name.
    TopicPrefix,
    /// The rest of the line, a time in the manner of strftime.
    TimeFormat,
    /// `PORT [ADDRESS]`, or `0 PATH` for a Unix socket.
    Listener,
    /// A destination of the log, with a path after `file`.
    LogDestination,
}

/// What a second line of the same option means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The later line holds; the reader warns.
    Last,
    /// It is an error.
    Once,
    /// Both hold.
    Every,
}

/// Whether the broker honours an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Supported,
    /// It does not, and nothing is lost by that: the reader warns, with this explanation.
    Harmless(&'static str),
    /// It does not yet: the start fails, and this is what to do.
    NotYet(&'static str),
    /// It never will: the start fails, and this is why.
    Refused(&'static str),
}

/// What a valid value does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Setter {
    Nothing,
    General(fn(&mut Draft, &Value)),
    Listener(fn(&mut ListenerDraft, &Value)),
    /// For the broker, or for one listener with `per_listener_settings`.
    Either(fn(&mut Draft, &Value), fn(&mut ListenerDraft, &Value)),
    /// The reader itself takes it.
    Special(Special),
}

/// Lines that change the reader's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    BindAddress,
    Connection,
    IncludeDir,
    Listener,
    PerListenerSettings,
    Plugin,
    Port,
}

/// A part of the reference page.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What its options have in common.
    pub intro: &'static str,
    /// Its rows of the table.
    pub options: &'static [OptionSpec],
}

/// The table, in the order of the reference page.
pub fn sections() -> &'static [Section] {
    SECTIONS
}

/// Every option of the table.
pub fn options() -> impl Iterator<Item = &'static OptionSpec> {
    SECTIONS.iter().flat_map(|section| section.options)
}

/// The option of this name, other names included.
pub fn find(name: &str) -> Option<&'static OptionSpec> {
    options().find(|option| option.is_called(name))
}

static SECTIONS: &[Section] = &[
    general::SECTION,
    listener::SECTION,
    security::SECTION,
    limits::SECTION,
    log::SECTION,
    store::SECTION,
    tls::SECTION,
    bridge::PLUGINS,
    bridge::SECTION,
];

impl OptionSpec {
    const fn new(name: &'static str, scope: Scope, kind: Kind, set: Setter) -> Self {
        Self {
            name,
            aliases: &[],
            scope,
            kind,
            unit: "",
            default: "",
            repeat: Repeat::Last,
            reload: false,
            status: Status::Supported,
            help: "",
            set,
        }
    }

    const fn general(name: &'static str, kind: Kind, set: fn(&mut Draft, &Value)) -> Self {
        Self::new(name, Scope::General, kind, Setter::General(set))
    }

    const fn listener(name: &'static str, kind: Kind, set: fn(&mut ListenerDraft, &Value)) -> Self {
        Self::new(name, Scope::Listener, kind, Setter::Listener(set))
    }

    const fn special(name: &'static str, scope: Scope, kind: Kind, special: Special) -> Self {
        Self::new(name, scope, kind, Setter::Special(special))
    }

    const fn harmless(name: &'static str, kind: Kind, why: &'static str) -> Self {
        let mut option = Self::new(name, Scope::General, kind, Setter::Nothing);
        option.status = Status::Harmless(why);
        option
    }

    const fn not_yet(name: &'static str, scope: Scope, kind: Kind, instead: &'static str) -> Self {
        let mut option = Self::new(name, scope, kind, Setter::Nothing);
        option.status = Status::NotYet(instead);
        option
    }

    const fn refused(name: &'static str, scope: Scope, kind: Kind, why: &'static str) -> Self {
        let mut option = Self::new(name, scope, kind, Setter::Nothing);
        option.status = Status::Refused(why);
        option
    }

    const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn within(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    const fn reloaded(mut self) -> Self {
        self.reload = true;
        self
    }

    const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// Whether a line that begins with `name` means this option.
    pub fn is_called(&self, name: &str) -> bool {
        let fits = |own: &str| match own.strip_suffix('*') {
            Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
            None => own == name,
        };
        fits(self.name) || self.aliases.iter().any(|alias| fits(alias))
    }
}

impl Kind {
    const fn int(min: i64, max: i64) -> Self {
        Self::Int { min, max, unlimited: false }
    }

    const fn limit(max: i64) -> Self {
        Self::Int { min: 0, max, unlimited: true }
    }
}

/// The largest number that a Mosquitto option takes.
const INT_MAX: i64 = i32::MAX as i64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_written_as_the_reader_reads_them() {
        let mut names: Vec<&str> = options()
            .flat_map(|option| std::iter::once(&option.name).chain(option.aliases))
            .copied()
            .collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
        for name in names {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(name.bytes().all(|byte| plain(byte) || b"_.*".contains(&byte)), "{name}");
        }
    }

    #[test]
    fn each_row_says_what_it_does_and_has_a_default_of_its_own_type() {
        for option in options() {
            assert!(option.help.ends_with('.'), "{}", option.name);
            if !option.default.is_empty() && !matches!(option.kind, Kind::Listener) {
                let value = super::super::value::parse(option.kind, option.default);
                assert!(value.is_ok(), "{}: {:?}", option.name, option.default);
            }
        }
    }

    #[test]
    fn sections_are_in_the_order_of_the_alphabet() {
        for section in sections() {
            let names: Vec<&str> = section.options.iter().map(|option| option.name).collect();
            let mut sorted = names.clone();
            sorted.sort_unstable();
            assert_eq!(names, sorted, "{}", section.title);
        }
    }

    #[test]
    fn a_row_with_a_star_takes_any_further_text() {
        assert_eq!(find("plugin_opt_db_host").map(|option| option.name), Some("plugin_opt_*"));
        assert!(find("plugin_opt_").is_none());
        assert!(find("plugin_opt").is_none());
    }
}
