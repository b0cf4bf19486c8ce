//! TLS of a listener. Rows only.

use super::Kind;
use super::OptionSpec;
use super::Repeat;
use super::Scope;
use super::Section;

pub(super) const SECTION: Section = Section {
    title: "TLS",
    intro: "Options of the listener above them. `certfile` and `keyfile` make it speak TLS, whatever its `protocol` is. Files are PEM; they are read at the start and at a reload, and connections that are open keep what they began with.",
    options: OPTIONS,
};

const NO_ENGINE: &str = "an engine is a plug-in of OpenSSL, which the broker does not use; name a key in a PEM file and remove the line";

/// The longest list of cipher suites.
const CIPHERS: Kind = Kind::Text(4096);

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::listener("cafile", Kind::Path, |listener, value| {
        listener.tls.cafile = Some(value.text());
    })
    .within(Scope::OwnListener)
    .reloaded()
    .help("Certificates of the authorities that client certificates are checked against."),
    OptionSpec::listener("capath", Kind::Path, |listener, value| {
        listener.tls.capath = Some(value.text());
    })
    .reloaded()
    .help("A folder of such certificates, which `openssl rehash` has given their names."),
    OptionSpec::listener("certfile", Kind::Path, |listener, value| {
        listener.tls.certfile = Some(value.text());
    })
    .reloaded()
    .help("The listener's certificate, and behind it those between it and the authority."),
    OptionSpec::listener("ciphers", CIPHERS, |listener, value| {
        listener.tls.ciphers = Some(value.text());
    })
    .reloaded()
    .help("Cipher suites of TLS 1.2 by OpenSSL's names, with colons between them. The words `DEFAULT`, `HIGH`, `ALL`, `ECDHE`, `AESGCM` and `CHACHA20`, and exclusions with `!` or `-`, are understood; only suites with forward secrecy and authenticated encryption exist."),
    OptionSpec::listener("ciphers_tls1.3", CIPHERS, |listener, value| {
        listener.tls.ciphers_tls13 = Some(value.text());
    })
    .reloaded()
    .help("Cipher suites of TLS 1.3 by name (`TLS_AES_256_GCM_SHA384`), with colons between them."),
    OptionSpec::listener("crlfile", Kind::Path, |listener, value| {
        listener.tls.crlfile = Some(value.text());
    })
    .reloaded()
    .help("Lists of revoked certificates. A client's certificate whose authority has no list here, or an expired one, is refused."),
    OptionSpec::harmless("dhparamfile", Kind::Path, "no cipher suite needs it any more")
        .help("Parameters of a key exchange that Mosquitto has dropped too."),
    OptionSpec::listener("disable_client_cert_date_checks", Kind::Bool, |listener, value| {
        listener.tls.ignores_client_dates = value.bool();
    })
    .within(Scope::OwnListener)
    .default("false")
    .reloaded()
    .help("Whether certificates of clients are accepted before and after the dates that they bear, as for devices whose certificates nobody can renew. Everything else is checked as ever: authority, signature, revocation."),
    OptionSpec::listener("keyfile", Kind::Path, |listener, value| {
        listener.tls.keyfile = Some(value.text());
    })
    .reloaded()
    .help("The private key of the listener's certificate: PKCS#8, PKCS#1 or SEC1, not encrypted."),
    OptionSpec::refused(
        "psk_hint",
        Scope::Listener,
        Kind::Text(1024),
        "TLS with pre-shared keys is not supported; use certificates",
    )
    .repeat(Repeat::Once)
    .help("The hint that clients with pre-shared keys get."),
    OptionSpec::listener("require_certificate", Kind::Bool, |listener, value| {
        listener.tls.require_certificate = value.bool();
    })
    .default("false")
    .reloaded()
    .help("Whether clients must have a certificate of an authority in `cafile` or `capath`. With `enable_proxy_protocol 2` and without `certfile`: whether they must have shown one to the proxy."),
    OptionSpec::refused("tls_engine", Scope::Listener, Kind::Text(1024), NO_ENGINE)
        .repeat(Repeat::Once)
        .help("An OpenSSL engine."),
    OptionSpec::refused("tls_engine_kpass_sha1", Scope::Listener, Kind::Text(1024), NO_ENGINE)
        .help("The hash of an engine's password."),
    OptionSpec::refused("tls_keyform", Scope::Listener, Kind::Word(&["pem", "engine"]), NO_ENGINE)
        .default("pem")
        .help("The form of private keys."),
    OptionSpec::listener("tls_version", Kind::Word(&["tlsv1.2", "tlsv1.3"]), |listener, value| {
        listener.tls.only_tls13 = value.word() == "tlsv1.3";
    })
    .within(Scope::OwnListener)
    .default("tlsv1.2")
    .reloaded()
    .help("The lowest version of TLS."),
    OptionSpec::listener("use_identity_as_username", Kind::Bool, |listener, value| {
        listener.tls.identity_as_username = value.bool();
    })
    .default("false")
    .reloaded()
    .help("Takes the Common Name of the client's certificate as its User Name, and asks for no password. A certificate without exactly one Common Name is refused."),
    OptionSpec::listener("use_subject_as_username", Kind::Bool, |listener, value| {
        listener.tls.subject_as_username = value.bool();
    })
    .default("false")
    .reloaded()
    .help("Takes the whole subject of the client's certificate as its User Name (`CN=device 1,O=Plant`), and asks for no password."),
];
