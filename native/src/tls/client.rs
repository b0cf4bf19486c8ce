//! TLS of `halyard pub|sub|bench`, with the meaning that mosquitto_pub gives the flags: the chain is
//! always checked, the host's name unless `--insecure` is given.

use super::ciphers;
use super::files;
use super::files::Authorities;
use super::provider;
use super::version1;
use super::version1::Version1;
use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls::version;
use std::sync::Arc;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

/// What the flags say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientOptions {
    pub(crate) cafile: Option<String>,
    pub(crate) capath: Option<String>,
    pub(crate) use_os_certs: bool,
    pub(crate) cert: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) insecure: bool,
    /// `--tls-version`, the lowest: whether TLS 1.2 is refused.
    pub(crate) only_tls13: bool,
    pub(crate) alpn: Option<String>,
    pub(crate) ciphers: Option<String>,
    pub(crate) ciphers_tls13: Option<String>,
}

/// The configuration that the flags ask for.
pub(crate) fn client(options: &ClientOptions) -> Result<Arc<ClientConfig>, String> {
    let mut provider = provider();
    ciphers::choose(&mut provider, options.ciphers.as_deref(), options.ciphers_tls13.as_deref())?;
    let provider = Arc::new(provider);
    let Authorities { store, certificates } = authorities(options)?;
    let algorithms = provider.signature_verification_algorithms;
    let version1 = Version1::new(&certificates, &[], algorithms);
    let own: Vec<CertificateDer<'static>> = match &options.cafile {
        Some(path) => files::certificates("--cafile", path)?,
        None => Vec::new(),
    };
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
        .build()
        .map_err(|error| format!("no authority is known to check the server with: {error}"))?;
    let verifier =
        Arc::new(Verifier { chain, version1, algorithms, own, insecure: options.insecure });
    let versions: &[_] =
        if options.only_tls13 { &[&version::TLS13] } else { &[&version::TLS13, &version::TLS12] };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| format!("--ciphers: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let certified = certified(cert, key, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = options.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    Ok(Arc::new(config))
}

/// The client's own certificate with its key, of whatever version: the server judges it.
fn certified(cert: &str, key: &str, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (chain, secret) = (files::certificates("--cert", cert)?, files::key("--key", key)?);
    let unfit = |why: &str| format!("--cert {cert} and --key {key} cannot be used together: {why}");
    let secret = provider
        .key_provider
        .load_private_key(secret)
        .map_err(|error| unfit(&error.to_string()))?;
    let (_, leaf) = X509Certificate::from_der(&chain[0])
        .map_err(|error| unfit(&format!("the certificate is damaged: {error}")))?;
    if secret.public_key().is_some_and(|own| own.as_ref() != leaf.public_key().raw) {
        return Err(unfit("it is the key of another certificate"));
    }
    Ok(CertifiedKey::new(chain, secret))
}

fn authorities(options: &ClientOptions) -> Result<Authorities, String> {
    let ClientOptions { cafile, capath, use_os_certs, .. } = options;
    let mut known = files::authorities("--", cafile.as_deref(), capath.as_deref())?;
    if *use_os_certs {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            return Err("--tls-use-os-certs: no authority was found on this system".into());
        }
        known.certificates.extend(found.certs.iter().cloned());
        known.store.add_parsable_certificates(found.certs);
    }
    Ok(known)
}

/// Checks as OpenSSL does where WebPKI is stricter and small brokers rely on it: a certificate that
/// is itself in `--cafile` is trusted, and one without alternative names goes by its Common Name.
#[derive(Debug)]
struct Verifier {
    chain: Arc<WebPkiServerVerifier>,
    version1: Version1,
    algorithms: WebPkiSupportedAlgorithms,
    /// What `--cafile` holds.
    own: Vec<CertificateDer<'static>>,
    insecure: bool,
}

impl Verifier {
    /// A certificate that the user named himself, within its time.
    fn trusts(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let invalid = |cause| Error::InvalidCertificate(cause);
        if !self.own.iter().any(|own| own == certificate) {
            return Err(invalid(CertificateError::UnknownIssuer));
        }
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|_| invalid(CertificateError::BadEncoding))?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        if now > validity.not_after.timestamp() {
            return Err(invalid(CertificateError::Expired));
        }
        if now < validity.not_before.timestamp() {
            return Err(invalid(CertificateError::NotValidYet));
        }
        Ok(())
    }

    /// One of version 1, which has no alternative names.
    fn check_version1(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.version1.check(certificate, now)?;
        if !self.insecure && !is_named_by_subject(certificate, name) {
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::NotValidForName;
        use CertificateError::NotValidForNameContext;
        if version1::is_version1(end_entity) {
            return self.check_version1(end_entity, server_name, now);
        }
        let found =
            self.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        match found {
            Ok(verified) => Ok(verified),
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if self.insecure || is_named_by_subject(end_entity, server_name) =>
            {
                Ok(ServerCertVerified::assertion())
            }
            Err(
                error @ Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }),
            ) => Err(error),
            Err(error) => {
                self.trusts(end_entity, now).map_err(|own| match own {
                    Error::InvalidCertificate(CertificateError::UnknownIssuer) => error,
                    own => own,
                })?;
                if !self.insecure && !is_named_by_subject(end_entity, server_name) {
                    let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
                    rustls::client::verify_server_name(&parsed, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
        }
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

/// Whether a certificate without alternative names has this host as its one Common Name, which may
/// leave the first label open (`*.example.org`).
fn is_named_by_subject(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    if !matches!(parsed.subject_alternative_name(), Ok(None)) {
        return false;
    }
    let mut names = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let (Some(common), None) = (names.next(), names.next()) else { return false };
    let host = name.to_str();
    if let (Some(domain), ServerName::DnsName(_)) = (common.strip_prefix("*."), name) {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        return domain.contains('.') && parent.is_some_and(|own| own.eq_ignore_ascii_case(domain));
    }
    common.eq_ignore_ascii_case(&host)
}
