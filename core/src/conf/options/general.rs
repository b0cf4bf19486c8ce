//! Options of the broker as a process and of the protocol it speaks. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;
use super::Special;

pub(super) const SECTION: Section = Section {
    title: "The broker",
    intro: "These hold for the broker as a whole, wherever they stand in the file.",
    options: OPTIONS,
};

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::harmless(
        "allow_duplicate_messages",
        Kind::Bool,
        "a client gets a message once, however many of its subscriptions match it",
    )
    .default("true")
    .reloaded()
    .help("Deprecated in Mosquitto. Overlapping subscriptions of a client give one delivery, at the highest granted QoS."),
    OptionSpec::refused(
        "enable_control_api",
        Scope::General,
        Kind::Bool,
        "`$CONTROL` is how dynamic security is administrated, which is not in this version; use password and access lists, and remove the line",
    )
    .default("false")
    .help("Mosquitto's `$CONTROL/broker/v1`."),
    OptionSpec::special("include_dir", Scope::General, Kind::Path, Special::IncludeDir)
        .repeat(Repeat::Every)
        .help("Reads every file of this folder whose name ends in `.conf`, in the order of their names (`00.conf A.conf a.conf B.conf`), as if it stood here. Each file begins without a current listener. Only the main file may use it."),
    OptionSpec::general("pid_file", Kind::Path, |draft, value| {
        draft.server.pid_file = Some(value.text());
    })
    .repeat(Repeat::Once)
    .help("Where the process identifier is written."),
    OptionSpec::general("retain_available", Kind::Bool, |draft, value| {
        draft.server.broker.retain_available = value.bool();
    })
    .default("true")
    .reloaded()
    .help("Whether retained messages are kept. If not, 5.0 clients are told, and a PUBLISH with RETAIN is refused with 0x9A."),
    OptionSpec::general("retain_expiry_interval", Kind::int(1, 10_000_000), |draft, value| {
        draft.server.broker.retain_expiry_secs = Some(value.u64() * 60);
    })
    .unit("min")
    .reloaded()
    .help("Retained messages end after this time; a shorter Message Expiry Interval of their own holds. Without it they stay."),
    OptionSpec::harmless(
        "retry_interval",
        Kind::int(0, super::INT_MAX),
        "messages are sent again when a client reconnects, and never otherwise [MQTT-4.4.0-1]",
    )
    .unit("s")
    .help("Gone from Mosquitto since 1.5."),
    OptionSpec::general("set_tcp_nodelay", Kind::Bool, |draft, value| {
        draft.server.set_tcp_nodelay = value.bool();
    })
    .default("true")
    .help("Sets `TCP_NODELAY`. It is on unless turned off (Mosquitto: off), because output is gathered into one write per turn anyway."),
    OptionSpec::general("sys_interval", Kind::int(0, 65_535), |draft, value| {
        draft.server.broker.sys_interval_secs = value.u32();
    })
    .unit("s")
    .default("10")
    .reloaded()
    .help("Time between updates of `$SYS`; 0 = no `$SYS`."),
    OptionSpec::general("upgrade_outgoing_qos", Kind::Bool, |draft, value| {
        draft.server.broker.upgrade_outgoing_qos = value.bool();
    })
    .default("false")
    .reloaded()
    .help("Sends at the QoS of the subscription even what was published with less. Not what the standard says."),
    OptionSpec::general("user", Kind::Text(256), |draft, value| {
        draft.server.user = Some(value.text());
    })
    .help("The user to become when started as root; without it `mosquitto`, or `nobody` where there is none. `root` stays root."),
    OptionSpec::not_yet(
        "worker_threads",
        Scope::General,
        Kind::int(1, 1024),
        "remove the line; the broker runs on one thread",
    )
    .default("1")
    .help("Ours. Shards of the broker, each a thread."),
];
