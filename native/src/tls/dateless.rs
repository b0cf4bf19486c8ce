//! `disable_client_cert_date_checks`: certificates of clients are accepted outside of the dates that
//! they bear. Everything else is asked of the verifier below as ever; a list of revoked certificates
//! that has ended is refused, whatever the certificate says.

use super::files;
use halyard_core::conf::TlsConfig;
use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::CertificateRevocationList;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

/// A verifier that asks another one, at a time at which the certificate is valid.
#[derive(Debug)]
pub(super) struct Dateless {
    strict: Arc<dyn ClientCertVerifier>,
    /// When the first list of revoked certificates ends, seconds since 1970.
    lists_end: Option<i64>,
}

impl Dateless {
    pub(super) fn new(
        strict: Arc<dyn ClientCertVerifier>,
        tls: &TlsConfig,
    ) -> Result<Self, String> {
        let lists = match &tls.crlfile {
            Some(path) => files::revocations("crlfile", path)?,
            None => Vec::new(),
        };
        let ends = lists.iter().filter_map(|list| {
            let (_, list) = CertificateRevocationList::from_der(list).ok()?;
            Some(list.next_update()?.timestamp())
        });
        Ok(Self { strict, lists_end: ends.min() })
    }
}

/// Whether a certificate is refused for its dates alone.
const fn is_about_dates(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        )
    )
}

/// The time next to `now` at which the certificate is valid.
fn time_of(certificate: &CertificateDer<'_>, now: i64) -> Option<UnixTime> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let dates = certificate.validity();
    let (begin, end) = (dates.not_before.timestamp(), dates.not_after.timestamp());
    let secs = u64::try_from(now.min(end).max(begin)).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(secs)))
}

impl ClientCertVerifier for Dateless {
    fn offer_client_auth(&self) -> bool {
        self.strict.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.strict.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let secs = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let refusal = match self.strict.verify_client_cert(end_entity, intermediates, now) {
            Err(error) if is_about_dates(&error) => error,
            decided => return decided,
        };
        if self.lists_end.is_some_and(|end| end < secs) {
            return Err(refusal);
        }
        let Some(then) = time_of(end_entity, secs) else { return Err(refusal) };
        self.strict.verify_client_cert(end_entity, intermediates, then)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.strict.requires_raw_public_keys()
    }
}
