//! TLS of a listener. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;

pub(super) const SECTION: Section = Section {
    title: "TLS",
    intro: "Options of the listener above them. There is no TLS yet.",
    options: OPTIONS,
};

const NO_TLS: &str = "remove the line, and put a TLS proxy before a listener on loopback";
const NO_ENGINE: &str =
    "keys are read from PEM files; OpenSSL engines are not supported; remove the line";

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::not_yet("cafile", Scope::OwnListener, Kind::Path, NO_TLS)
        .reloaded()
        .help("Certificates of the authorities that client certificates are checked against."),
    OptionSpec::not_yet("capath", Scope::Listener, Kind::Path, NO_TLS)
        .reloaded()
        .help("A folder of such certificates."),
    OptionSpec::not_yet("certfile", Scope::Listener, Kind::Path, NO_TLS)
        .reloaded()
        .help("The listener's certificate, with those between it and the authority."),
    OptionSpec::not_yet("ciphers", Scope::Listener, Kind::Text(4096), NO_TLS)
        .help("Cipher suites of TLS 1.2."),
    OptionSpec::not_yet("ciphers_tls1.3", Scope::Listener, Kind::Text(4096), NO_TLS)
        .help("Cipher suites of TLS 1.3."),
    OptionSpec::not_yet("crlfile", Scope::Listener, Kind::Path, NO_TLS)
        .reloaded()
        .help("Certificates that were revoked."),
    OptionSpec::harmless("dhparamfile", Kind::Path, "no cipher suite needs it any more")
        .help("Parameters of a key exchange that Mosquitto has dropped too."),
    OptionSpec::refused(
        "disable_client_cert_date_checks",
        Scope::OwnListener,
        Kind::Bool,
        "expired certificates are never accepted; remove the line",
    )
    .default("false")
    .help("Whether expired client certificates are accepted."),
    OptionSpec::not_yet("keyfile", Scope::Listener, Kind::Path, NO_TLS)
        .reloaded()
        .help("The private key of the listener's certificate."),
    OptionSpec::refused(
        "psk_hint",
        Scope::Listener,
        Kind::Text(1024),
        "TLS with pre-shared keys is not supported; use certificates",
    )
    .repeat(Repeat::Once)
    .help("The hint that clients with pre-shared keys get."),
    OptionSpec::not_yet("require_certificate", Scope::Listener, Kind::Bool, NO_TLS)
        .default("false")
        .reloaded()
        .help("Whether clients must have a certificate."),
    OptionSpec::refused("tls_engine", Scope::Listener, Kind::Text(1024), NO_ENGINE)
        .repeat(Repeat::Once)
        .help("An OpenSSL engine."),
    OptionSpec::refused("tls_engine_kpass_sha1", Scope::Listener, Kind::Text(1024), NO_ENGINE)
        .help("The hash of an engine's password."),
    OptionSpec::refused("tls_keyform", Scope::Listener, Kind::Word(&["pem", "engine"]), NO_ENGINE)
        .default("pem")
        .help("The form of private keys."),
    OptionSpec::not_yet(
        "tls_version",
        Scope::OwnListener,
        Kind::Word(&["tlsv1.2", "tlsv1.3"]),
        NO_TLS,
    )
    .help("The lowest version of TLS."),
    OptionSpec::not_yet("use_identity_as_username", Scope::Listener, Kind::Bool, NO_TLS)
        .default("false")
        .reloaded()
        .help("Takes the Common Name of the client's certificate as its User Name."),
    OptionSpec::not_yet("use_subject_as_username", Scope::Listener, Kind::Bool, NO_TLS)
        .default("false")
        .reloaded()
        .help("Takes the whole subject of the client's certificate as its User Name."),
];
