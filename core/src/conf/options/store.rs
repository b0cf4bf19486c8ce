//! What outlives a connection or the process. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Section;
use crate::conf::SyncMode;

pub(super) const SECTION: Section = Section {
    title: "Sessions and their store",
    intro: "With `persistence true` every change is in the store before it is acknowledged: there is nothing to save later. The store is the folder `halyard` in `persistence_location`, its owner's alone, and one process uses it at a time.",
    options: OPTIONS,
};

const SAVED_AT_ONCE: &str = "the store saves every change at once";

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::harmless("autosave_interval", Kind::limit(super::INT_MAX), SAVED_AT_ONCE)
        .unit("s")
        .default("1800")
        .reloaded()
        .help("Time between snapshots of Mosquitto's store."),
    OptionSpec::harmless("autosave_on_changes", Kind::Bool, SAVED_AT_ONCE)
        .default("false")
        .reloaded()
        .help("Whether Mosquitto counts changes instead of seconds."),
    OptionSpec::general("journal_backlog", Kind::int(65_536, super::INT_MAX), |draft, value| {
        draft.server.broker.journal_backlog = value.u64();
    })
    .unit("bytes")
    .default("67108864")
    .reloaded()
    .help("Above this many bytes that the disk has not taken yet, publishers are not read until it has."),
    OptionSpec::general("persistence", Kind::Bool, |draft, value| {
        draft.server.broker.persistence = value.bool();
    })
    .also(&["retained_persistence"])
    .default("false")
    .help("Whether sessions, their messages and retained messages survive the process."),
    OptionSpec::general("persistence_allow_shared", Kind::Bool, |draft, value| {
        draft.server.store.allow_shared = value.bool();
    })
    .default("false")
    .help("Whether the store is used though others than its owner have rights to its files."),
    OptionSpec::harmless("persistence_file", Kind::Path, "the store is a folder, `halyard`")
        .repeat(Repeat::Once)
        .default("mosquitto.db")
        .help("The name of Mosquitto's store, which is not read."),
    OptionSpec::general("persistence_location", Kind::Path, |draft, value| {
        draft.server.store.location = Some(value.text());
    })
    .repeat(Repeat::Once)
    .help("The folder in which the store makes its own; without it the one in which the broker was started. The environment variable `MOSQUITTO_PERSISTENCE_LOCATION` stands above it."),
    OptionSpec::general("persistence_segment_size", Kind::int(1 << 20, 1 << 30), |draft, value| {
        draft.server.store.segment_size = value.u64();
    })
    .unit("bytes")
    .default("67108864")
    .help("The size of a file of the journal. Three of them are always there: the one in use, the next, and one that takes what is under way when the disk is full; half of one is the reserve of compaction, which begins when one is full."),
    OptionSpec::general("persistence_sync", Kind::Word(&["always", "interval", "never"]), |draft, value| {
        draft.server.store.sync = match value.word() {
            "interval" => SyncMode::Interval,
            "never" => SyncMode::Never,
            _ => SyncMode::Always,
        };
    })
    .default("always")
    .help("What an acknowledgement waits for. `always`: the disk has what it promises, which survives a loss of power at any instant. `interval` and `never`: the system has it, which survives the end of the process (`kill -9`) alone; the disk gets it every `persistence_sync_interval`, or when the system likes."),
    OptionSpec::general("persistence_sync_interval", Kind::int(1, 3_600_000), |draft, value| {
        draft.server.store.sync_interval_millis = value.u32();
    })
    .unit("ms")
    .default("1000")
    .help("How much a loss of power may cost with `persistence_sync interval`."),
    OptionSpec::general("persistent_client_expiration", Kind::Duration, |draft, value| {
        draft.server.broker.persistent_client_expiration_secs = Some(value.u64());
    })
    .reloaded()
    .help("A session without a connection ends after this time at the latest; without it when its client asked for it, which for 3.x is never."),
];
