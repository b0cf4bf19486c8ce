//! Who may connect and what he may do. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;
use super::Setter;
use super::Special;

pub(super) const SECTION: Section = Section {
    title: "Access",
    intro: "With `per_listener_settings true`, which must come first, those that apply to the *broker or listener* belong to the listener above them.",
    options: OPTIONS,
};

/// The longest prefix that Mosquitto takes.
const PREFIX_BYTES_MAX: u32 = 50;

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::not_yet(
        "acl_check_subscribe",
        Scope::General,
        Kind::Bool,
        "remove the line; there are no access lists yet",
    )
    .default("false")
    .reloaded()
    .help("Ours. Refuses a subscription to what the client may not read, instead of holding back the messages alone."),
    OptionSpec::not_yet(
        "acl_file",
        Scope::Security,
        Kind::Path,
        "remove the line, and keep listeners where everybody may do everything on loopback",
    )
    .reloaded()
    .help("A file that says who may read and write which topics."),
    OptionSpec::new(
        "allow_anonymous",
        Scope::Security,
        Kind::Bool,
        Setter::Either(
            |draft, value| draft.allow_anonymous = Some(value.bool()),
            |listener, value| listener.allow_anonymous = Some(value.bool()),
        ),
    )
    .reloaded()
    .help("Whether clients that are not authenticated may connect. Without it: `false`, or `true` where the file has no listener."),
    OptionSpec::new(
        "allow_zero_length_clientid",
        Scope::Security,
        Kind::Bool,
        Setter::Either(
            |draft, value| draft.server.broker.allow_zero_length_clientid = value.bool(),
            |listener, value| {
                listener.listener.engine.allow_zero_length_clientid = Some(value.bool());
            },
        ),
    )
    .default("true")
    .reloaded()
    .help("Whether a client with an empty Client Identifier gets one assigned."),
    OptionSpec::new(
        "auto_id_prefix",
        Scope::Security,
        Kind::Text(PREFIX_BYTES_MAX),
        Setter::Either(
            |draft, value| draft.server.broker.auto_id_prefix = value.text(),
            |listener, value| listener.listener.engine.auto_id_prefix = Some(value.text()),
        ),
    )
    .repeat(Repeat::Once)
    .default("auto-")
    .reloaded()
    .help("How assigned Client Identifiers begin."),
    OptionSpec::harmless(
        "check_retain_source",
        Kind::Bool,
        "without an `acl_file` there is no right that a publisher could have lost",
    )
    .default("true")
    .help("Whether the publisher of a retained message must still have the right to publish it when it is delivered."),
    OptionSpec::not_yet(
        "clientid_owner",
        Scope::General,
        Kind::Word(&["user", "none"]),
        "remove the line; there are no users yet",
    )
    .reloaded()
    .help("Ours. Whether a session belongs to the user that made it, so that no other user can take it over."),
    OptionSpec::not_yet(
        "clientid_prefixes",
        Scope::General,
        Kind::Text(1024),
        "remove the line",
    )
    .reloaded()
    .help("Lets only clients in whose Client Identifier begins like this. Deprecated in Mosquitto."),
    OptionSpec::listener("listener_allow_anonymous", Kind::Bool, |listener, value| {
        listener.allow_anonymous = Some(value.bool());
    })
    .within(Scope::OwnListener)
    .reloaded()
    .help("The same as `allow_anonymous`, for the listener above, whose own word holds."),
    OptionSpec::listener(
        "listener_auto_id_prefix",
        Kind::Text(PREFIX_BYTES_MAX),
        |listener, value| listener.listener.engine.auto_id_prefix = Some(value.text()),
    )
    .within(Scope::OwnListener)
    .repeat(Repeat::Once)
    .reloaded()
    .help("The same as `auto_id_prefix`, for the listener above."),
    OptionSpec::not_yet(
        "password_file",
        Scope::Security,
        Kind::Path,
        "remove the line, and keep listeners with `allow_anonymous true` on loopback",
    )
    .reloaded()
    .help("A file of users and hashed passwords, as mosquitto_passwd writes it."),
    OptionSpec::special(
        "per_listener_settings",
        Scope::General,
        Kind::Bool,
        Special::PerListenerSettings,
    )
    .default("false")
    .help("Whether the options of this section belong to each listener. Deprecated in Mosquitto, which has `listener_allow_anonymous` and `listener_auto_id_prefix`."),
    OptionSpec::refused(
        "psk_file",
        Scope::Security,
        Kind::Path,
        "TLS with pre-shared keys is not supported; use certificates",
    )
    .help("A file of identities and pre-shared keys."),
];
