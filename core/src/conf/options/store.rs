//! What outlives a connection or the process. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;

pub(super) const SECTION: Section = Section {
    title: "Sessions and their store",
    intro: "There is no store yet: sessions and retained messages end with the process.",
    options: OPTIONS,
};

const NO_STORE: &str = "only the store of `persistence true` needs it";

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::harmless("autosave_interval", Kind::limit(super::INT_MAX), NO_STORE)
        .unit("s")
        .default("1800")
        .reloaded()
        .help("Time between snapshots of Mosquitto's store."),
    OptionSpec::harmless("autosave_on_changes", Kind::Bool, NO_STORE)
        .default("false")
        .reloaded()
        .help("Whether Mosquitto counts changes instead of seconds."),
    OptionSpec::not_yet(
        "persistence",
        Scope::General,
        Kind::Bool,
        "write `persistence false` here or in a later file to run without a store: sessions and retained messages then end with the process",
    )
    .also(&["retained_persistence"])
    .default("false")
    .help("Whether sessions, their messages and retained messages survive the process."),
    OptionSpec::harmless("persistence_file", Kind::Path, NO_STORE)
        .repeat(Repeat::Once)
        .default("mosquitto.db")
        .help("The name of Mosquitto's store."),
    OptionSpec::harmless("persistence_location", Kind::Path, NO_STORE)
        .repeat(Repeat::Once)
        .help("The folder of the store."),
    OptionSpec::general("persistent_client_expiration", Kind::Duration, |draft, value| {
        draft.server.broker.persistent_client_expiration_secs = Some(value.u64());
    })
    .reloaded()
    .help("A session without a connection ends after this time at the latest; without it when its client asked for it, which for 3.x is never."),
];
