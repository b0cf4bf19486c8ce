//! TLS by rustls: certificates, keys, authorities and cipher suites from files and words to the
//! configurations of a listener and of a client. Opens no connection; every error names the option,
//! the file, and what to do.

mod ciphers;
mod client;
mod dateless;
mod files;
mod identity;
mod revoked;
mod server;
mod version1;

pub(crate) use client::ClientOptions;
pub(crate) use client::client;
pub(crate) use identity::check_time;
pub(crate) use identity::is_plain;
pub(crate) use identity::username;
pub(crate) use revoked::Revoked;
pub(crate) use revoked::revoked;
pub(crate) use server::Secured;
pub(crate) use server::listener;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;

/// The cryptography that everything here uses.
fn provider() -> CryptoProvider {
    ring::default_provider()
}
