//! Which certificates a listener's lists revoke, to be asked about clients that were let in before the
//! lists said so. Whether a list is to be believed is decided where the handshake is: a list that no
//! authority has signed revokes nothing there, and here it can only end a connection too many.

use super::files;
use halyard_core::conf::TlsConfig;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeSet;
use x509_parser::prelude::CertificateRevocationList;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

/// Revoked certificates, by their issuer and serial number.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    certificates: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

/// What the lists of a listener revoke; `None` if it has none or asks for no certificate.
pub(crate) fn revoked(tls: &TlsConfig) -> Result<Option<Revoked>, String> {
    let Some(path) = tls.crlfile.as_deref().filter(|_| tls.require_certificate) else {
        return Ok(None);
    };
    let mut revoked = Revoked::default();
    for list in files::revocations("crlfile", path)? {
        let (_, list) = CertificateRevocationList::from_der(&list)
            .map_err(|error| format!("crlfile {path}: a list in it is damaged: {error}"))?;
        let issuer = list.issuer().as_raw();
        for entry in list.iter_revoked_certificates() {
            revoked.certificates.insert((issuer.to_vec(), entry.raw_serial().to_vec()));
        }
    }
    Ok(Some(revoked))
}

impl Revoked {
    /// Whether this certificate is one of them.
    pub(crate) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
        let issuer = certificate.issuer().as_raw().to_vec();
        self.certificates.contains(&(issuer, certificate.raw_serial().to_vec()))
    }

    /// Whether everything in it is in `other`, too.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.certificates.is_subset(&other.certificates)
    }
}
