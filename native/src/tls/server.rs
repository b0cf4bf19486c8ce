//! TLS of a listener: its files and words as one configuration of rustls, checked as a whole, so
//! that what starts can also be spoken to. Each configuration has ticket keys of its own: after a
//! reload no session from before skips the new checks.

use super::ciphers;
use super::dateless::Dateless;
use super::files;
use super::provider;
use super::version1;
use super::version1::Version1;
use crate::clock::Clock;
use halyard_core::conf::TlsConfig;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::ring::Ticketer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls::version;
use std::sync::Arc;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

/// TLS of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    pub(crate) config: Arc<ServerConfig>,
    /// When the first of the certificates that it shows ends, seconds since 1970.
    pub(crate) expires: i64,
}

/// The configuration that `tls` asks for. What is harmless but should be known goes to `warnings`.
pub(crate) fn listener(tls: &TlsConfig, warnings: &mut Vec<String>) -> Result<Secured, String> {
    let mut provider = provider();
    ciphers::choose(&mut provider, tls.ciphers.as_deref(), tls.ciphers_tls13.as_deref())?;
    let provider = Arc::new(provider);
    let certified = certified(tls, &provider, warnings)?;
    let expires = expires(&certified.cert);
    let versions: &[_] =
        if tls.only_tls13 { &[&version::TLS13] } else { &[&version::TLS13, &version::TLS12] };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| format!("ciphers: {error}"))?;
    let builder = match verifier(tls, &provider)? {
        Some(verifier) if tls.ignores_client_dates => {
            builder.with_client_cert_verifier(Arc::new(Dateless::new(verifier, tls)?))
        }
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    // Whatever name the client asks for. (A certificate without extensions, as old how-tos make them,
    // is served too: whether to trust it is the client's matter.)
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.ticketer =
        Ticketer::new().map_err(|error| format!("session tickets: no random bytes: {error}"))?;
    // Tickets do for both versions, and keep nothing here for clients that never come back.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(Secured { config: Arc::new(config), expires })
}

/// When the first of them ends; what cannot be read is not waited for.
fn expires(chain: &[CertificateDer<'_>]) -> i64 {
    let ends = chain.iter().filter_map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    ends.min().unwrap_or_default()
}

/// The listener's certificate with its key.
fn certified(
    tls: &TlsConfig,
    provider: &CryptoProvider,
    warnings: &mut Vec<String>,
) -> Result<CertifiedKey, String> {
    let (certfile, keyfile) = (&tls.certfile, &tls.keyfile);
    let chain = files::certificates("certfile", certfile)?;
    let key = files::key("keyfile", keyfile)?;
    warnings.extend(files::key_is_open("keyfile", keyfile));
    let key = provider.key_provider.load_private_key(key).map_err(|error| {
        format!("keyfile {keyfile}: {error}; RSA, ECDSA (P-256, P-384) and Ed25519 are supported")
    })?;
    let leaf = leaf(&chain, certfile)?;
    if key.public_key().is_some_and(|own| own.as_ref() != leaf.public_key().raw) {
        return Err(format!(
            "keyfile {keyfile}: it is not the key of the first certificate in certfile {certfile}; \
             name the key that this certificate was made with, and put the listener's own \
             certificate first"
        ));
    }
    let now = i64::try_from(Clock::wall().0 / 1000).unwrap_or(i64::MAX);
    if leaf.validity().not_after.timestamp() < now {
        return Err(format!(
            "certfile {certfile}: the certificate expired on {}; put a new one there",
            leaf.validity().not_after
        ));
    }
    if leaf.validity().not_before.timestamp() > now {
        warnings.push(format!(
            "certfile {certfile}: the certificate is not valid before {}; is the clock right?",
            leaf.validity().not_before
        ));
    }
    Ok(CertifiedKey::new(chain, key))
}

fn leaf<'a>(chain: &'a [CertificateDer<'_>], path: &str) -> Result<X509Certificate<'a>, String> {
    let der = chain.first().map_or(&[][..], |certificate| certificate.as_ref());
    let (_, leaf) = X509Certificate::from_der(der)
        .map_err(|error| format!("certfile {path}: the first certificate is damaged: {error}"))?;
    Ok(leaf)
}

/// What checks client certificates; `None` where none is asked for, as in Mosquitto.
fn verifier(
    tls: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let (file, folder) = (tls.cafile.as_deref(), tls.capath.as_deref());
    if file.is_none() && folder.is_none() {
        return Ok(None);
    }
    let known = files::authorities("", file, folder)?;
    let revoked = match &tls.crlfile {
        Some(path) => files::revocations("crlfile", path)?,
        None => Vec::new(),
    };
    if !tls.require_certificate {
        return Ok(None);
    }
    let algorithms = provider.signature_verification_algorithms;
    let version1 = Version1::new(&known.certificates, &revoked, algorithms);
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(known.store), Arc::clone(provider));
    let chain = builder
        .with_crls(revoked)
        .only_check_end_entity_revocation()
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| {
            let path = tls.crlfile.as_deref().unwrap_or_default();
            format!("crlfile {path}: {error}; it must be a version 2 list with a number")
        })?;
    Ok(Some(Arc::new(Verifier { chain, version1, algorithms })))
}

/// WebPKI, and beside it the certificates of version 1 that Mosquitto accepts.
#[derive(Debug)]
struct Verifier {
    chain: Arc<dyn ClientCertVerifier>,
    version1: Version1,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if version1::is_version1(end_entity) {
            self.version1.check(end_entity, now)?;
            return Ok(ClientCertVerified::assertion());
        }
        self.chain.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if version1::is_version1(cert) {
            return version1::verify_tls12(message, cert, dss, &self.algorithms);
        }
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if version1::is_version1(cert) {
            return version1::verify_tls13(message, cert, dss, &self.algorithms);
        }
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
