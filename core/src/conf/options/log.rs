//! What is logged, and where. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;
use super::Setter;

pub(super) const SECTION: Section = Section {
    title: "Log",
    intro: "`-v` on the command line stands above `log_type`.",
    options: OPTIONS,
};

const TYPES: &[&str] = &[
    "all",
    "debug",
    "error",
    "information",
    "internal",
    "none",
    "notice",
    "subscribe",
    "unsubscribe",
    "warning",
    "websockets",
];

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::general("connection_messages", Kind::Bool, |draft, value| {
        draft.server.log.connection_messages = value.bool();
    })
    .default("true")
    .reloaded()
    .help("Whether clients that come and go are logged."),
    OptionSpec::new(
        "log_dest",
        Scope::General,
        Kind::LogDestination,
        Setter::General(|draft, value| draft.log_to(value)),
    )
    .repeat(Repeat::Every)
    .default("stderr")
    .reloaded()
    .help("`stdout`, `stderr`, `syslog`, `file PATH`, or `none`; several lines give several destinations. `topic` is accepted, and does nothing yet."),
    OptionSpec::harmless(
        "log_facility",
        Kind::int(0, 7),
        "lines go to syslog's facility \"daemon\"",
    )
    .help("Syslog's facility local0 to local7."),
    OptionSpec::general("log_timestamp", Kind::Bool, |draft, value| {
        draft.server.log.timestamp = value.bool();
    })
    .default("true")
    .reloaded()
    .help("Whether lines begin with the time."),
    OptionSpec::general("log_timestamp_format", Kind::TimeFormat, |draft, value| {
        draft.server.log.timestamp_format = Some(value.text());
    })
    .repeat(Repeat::Once)
    .reloaded()
    .help("The time in the manner of strftime (`%Y-%m-%dT%H:%M:%S`); without it seconds since 1970."),
    OptionSpec::general("log_type", Kind::Word(TYPES), |draft, value| {
        draft.log_type(value.word());
    })
    .repeat(Repeat::Every)
    .reloaded()
    .help("What is logged; several lines add up. Without it `error`, `warning`, `notice` and `information`."),
];
