//! What is logged, and where. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;
use super::Setter;
use crate::conf::LogFormat;

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
    .help("`stdout`, `stderr`, `syslog`, `file PATH`, `topic`, or `none`; several lines give several destinations. A file is opened anew on SIGHUP and SIGRTMIN, so that logrotate can move it away. `topic` publishes the lines at `$SYS/broker/log/E` (error), `W`, `N`, `I`, `M/subscribe`, `M/unsubscribe` and `WS`, all but those of `debug`."),
    OptionSpec::general("log_facility", Kind::int(0, 7), |draft, value| {
        draft.server.log.facility = Some(value.u8());
    })
    .reloaded()
    .help("Syslog's facility local0 to local7; without it `daemon`."),
    OptionSpec::general("log_format", Kind::Word(&["text", "json"]), |draft, value| {
        draft.server.log.format = match value.word() {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        };
    })
    .default("text")
    .reloaded()
    .help("Ours. `text` writes Mosquitto's lines; `json` one object a line, with `time`, `type`, `message`, and where a line is about a client `client`, `peer` and the like."),
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
