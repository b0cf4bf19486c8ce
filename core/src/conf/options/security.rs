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
    OptionSpec::general("acl_check_subscribe", Kind::Bool, |draft, value| {
        draft.server.broker.acl_check_subscribe = value.bool();
    })
    .default("false")
    .reloaded()
    .help("Ours. Refuses a subscription to what the client may not read, instead of holding back the messages alone."),
    OptionSpec::new(
        "acl_file",
        Scope::Security,
        Kind::Path,
        Setter::Either(
            |draft, value| draft.server.acl_file = Some(value.text()),
            |listener, value| listener.listener.acl_file = Some(value.text()),
        ),
    )
    .reloaded()
    .help("A file that says who may read and write which topics. Without it everybody may everything; an empty one denies everything."),
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
    OptionSpec::general("auth_cache_size", Kind::int(0, 10_000_000), |draft, value| {
        draft.server.auth.cache_entries = value.u32();
    })
    .default("100000")
    .reloaded()
    .help("Ours. Passwords that were right and are known again without being hashed, so that clients that come back all at once need not wait; kept as keyed hashes; 0 = none."),
    OptionSpec::general("auth_cache_time", Kind::int(0, 31_536_000), |draft, value| {
        draft.server.auth.cache_secs = value.u32();
    })
    .unit("s")
    .default("86400")
    .reloaded()
    .help("Ours. For how long after its last use."),
    OptionSpec::general("auth_failures_per_address", Kind::int(0, 1_000_000), |draft, value| {
        draft.server.auth.failures_per_address = value.u32();
    })
    .unit("per minute")
    .default("100")
    .reloaded()
    .help("Ours. Failed logins from one address (IPv6: from one /64) after which passwords from there that are not known from the cache, and exchanges of SCRAM, are refused with 0x9F (3.x: 3) without being looked at; 0 = no limit. An exchange of SCRAM counts when it ends."),
    OptionSpec::general("auth_failures_per_user", Kind::int(0, 1_000_000), |draft, value| {
        draft.server.auth.failures_per_user = value.u32();
    })
    .unit("per minute")
    .default("10")
    .reloaded()
    .help("Ours. Failed logins with one user name from one address after which this name is refused there; 0 = no limit."),
    OptionSpec::harmless(
        "auth_plugin_deny_special_chars",
        Kind::Bool,
        "there are no plug-ins, and a name with `+` or `#` never matches a `pattern` of an `acl_file`",
    )
    .default("true")
    .help("Whether clients with `+` or `#` in their name are denied before a plug-in sees them."),
    OptionSpec::general("auth_queue", Kind::int(1, 1_000_000), |draft, value| {
        draft.server.auth.queue = value.u32();
    })
    .default("256")
    .reloaded()
    .help("Ours. Clients that wait for their password to be hashed; a further one is refused with 0x89 (3.x: 3) and comes back."),
    OptionSpec::general("auth_threads", Kind::int(1, 256), |draft, value| {
        draft.server.auth.threads = Some(value.u16());
    })
    .reloaded()
    .help("Ours. Threads that hash passwords, beside those that serve clients. Without it: half of the processors, at least one."),
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
    OptionSpec::general("check_retain_source", Kind::Bool, |draft, value| {
        draft.server.broker.check_retain_source = value.bool();
    })
    .default("true")
    .reloaded()
    .help("Whether the publisher of a retained message must still have the right to publish it when it is delivered."),
    OptionSpec::general("clientid_owner", Kind::Word(&["user", "none"]), |draft, value| {
        draft.server.broker.sessions_have_owners = value.word() == "user";
    })
    .default("user")
    .reloaded()
    .help("Ours. Whether a session belongs to the user that made it, so that no other user can take it over (0x87), or to whoever names its Client Identifier, as in Mosquitto."),
    OptionSpec::general("clientid_prefixes", Kind::Text(1024), |draft, value| {
        draft.server.broker.clientid_prefixes = Some(value.text());
    })
    .reloaded()
    .help("Lets only clients in whose Client Identifier begins like this. Deprecated in Mosquitto."),
    OptionSpec::general("jwt_acl_claim", Kind::Text(1024), |draft, value| {
        draft.server.auth.jwt_acl_claim = value.text();
    })
    .default("acl")
    .reloaded()
    .help("Ours. The claim of a token that says what its client may do, in place of the `acl_file`: either an object with the lists of filters `pub`, `sub` and `all`, or a list of texts like `read a/#`, as they stand in an `acl_file` behind `pattern`. `%c` and `%u` are the client's names. Without the claim the `acl_file` decides."),
    OptionSpec::general("jwt_audience", Kind::Text(1024), |draft, value| {
        draft.server.auth.jwt_audience = Some(value.text());
    })
    .reloaded()
    .help("Ours. What the claim `aud` of a token must name. Without it: anything."),
    OptionSpec::general("jwt_issuer", Kind::Text(1024), |draft, value| {
        draft.server.auth.jwt_issuer = Some(value.text());
    })
    .reloaded()
    .help("Ours. What the claim `iss` of a token must be. Without it: anything."),
    OptionSpec::new(
        "jwt_key_file",
        Scope::Security,
        Kind::Path,
        Setter::Either(
            |draft, value| draft.jwt_key_file = Some(value.text()),
            |listener, value| listener.listener.jwt_key_file = Some(value.text()),
        ),
    )
    .reloaded()
    .help("Ours. The keys of JSON Web Tokens, which clients give as their password: public keys as PEM (RSA for RS256, P-256 for ES256; several while keys change), or else one shared secret of 32 bytes or more (HS256). A token must have `exp`, at which the client is disconnected."),
    OptionSpec::general("jwt_username_claim", Kind::Text(1024), |draft, value| {
        draft.server.auth.jwt_username_claim = value.text();
    })
    .default("sub")
    .reloaded()
    .help("Ours. The claim of a token that is the User Name; one in CONNECT must be the same or empty."),
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
    OptionSpec::new(
        "password_file",
        Scope::Security,
        Kind::Path,
        Setter::Either(
            |draft, value| draft.password_file = Some(value.text()),
            |listener, value| listener.listener.password_file = Some(value.text()),
        ),
    )
    .reloaded()
    .help("A file of users and hashed passwords, as `halyard passwd` and mosquitto_passwd write it. A client with a User Name is let in only if the password is right; one without only with `allow_anonymous true`. A client whose line is changed or removed is disconnected at the reload."),
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
