//! Certificates of X.509 version 1, which have no extensions (RFC 5280 §4.1.2.1): what `openssl x509
//! -req` makes of a request when it is told no more, as in Mosquitto's how-to. WebPKI refuses them all.
//! Here one is taken that an authority of the configuration signed itself: never at the end of a
//! chain, never as an authority between. Signatures are checked by the algorithms of the TLS library.

use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::PeerMisbehaved;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::UnixTime;
use std::collections::BTreeSet;
use x509_parser::asn1_rs::Any;
use x509_parser::asn1_rs::Tag;
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::CertificateRevocationList;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::ParsedExtension;
use x509_parser::prelude::X509Certificate;
use x509_parser::prelude::X509Version;

/// Who may have signed such a certificate, and which of them are revoked.
#[derive(Debug)]
pub(super) struct Version1 {
    authorities: Vec<Authority>,
    /// Whether `crlfile` is given: who is on no list that could name him is refused then.
    asks_lists: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
struct Authority {
    /// Its name and its key as they stand in its certificate.
    subject: Vec<u8>,
    key: Vec<u8>,
    valid: Span,
    /// The lists that it signed.
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    valid: Span,
    revoked: BTreeSet<BigUint>,
}

/// Seconds since 1970, first and last.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: i64,
    until: i64,
}

impl Version1 {
    pub(super) fn new(
        authorities: &[CertificateDer<'_>],
        lists: &[CertificateRevocationListDer<'_>],
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        let mut authorities: Vec<_> = authorities.iter().filter_map(|der| authority(der)).collect();
        for authority in &mut authorities {
            for list in lists {
                authority.lists.extend(list_of(list, authority, &algorithms));
            }
        }
        Self { authorities, asks_lists: !lists.is_empty(), algorithms }
    }

    /// Whether an authority signed this certificate, it is within its time, and is not revoked.
    pub(super) fn check(&self, der: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let damaged = || invalid(CertificateError::BadEncoding);
        let leaf = parse(der).ok_or_else(damaged)?;
        let signed = Signed::read(der).ok_or_else(damaged)?;
        if leaf.tbs_certificate.signature != leaf.signature_algorithm {
            return Err(damaged());
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        span(&leaf).check(now).map_err(invalid)?;
        // Two authorities may have one name, as when a key was changed.
        let mut outcome = Err(invalid(CertificateError::UnknownIssuer));
        let issuer = leaf.issuer().as_raw();
        for authority in self.authorities.iter().filter(|own| own.subject == issuer) {
            outcome = signed.verify(&authority.key, &self.algorithms).map_err(invalid);
            if outcome.is_ok() {
                authority.valid.check(now).map_err(invalid)?;
                return authority.revocation(&leaf, now, self.asks_lists).map_err(invalid);
            }
        }
        outcome
    }
}

impl Authority {
    fn revocation(
        &self,
        leaf: &X509Certificate<'_>,
        now: i64,
        asks_lists: bool,
    ) -> Result<(), CertificateError> {
        if !asks_lists {
            return Ok(());
        }
        if self.lists.iter().any(|list| list.revoked.contains(&leaf.tbs_certificate.serial)) {
            return Err(CertificateError::Revoked);
        }
        if self.lists.is_empty() {
            return Err(CertificateError::UnknownRevocationStatus);
        }
        if self.lists.iter().any(|list| list.valid.check(now).is_ok()) {
            return Ok(());
        }
        Err(CertificateError::ExpiredRevocationList)
    }
}

impl Span {
    fn check(self, now: i64) -> Result<(), CertificateError> {
        if now > self.until {
            return Err(CertificateError::Expired);
        }
        if now < self.from {
            return Err(CertificateError::NotValidYet);
        }
        Ok(())
    }
}

/// Whether a certificate is of version 1 and truly has nothing that only later versions have.
pub(super) fn is_version1(der: &CertificateDer<'_>) -> bool {
    parse(der).is_some_and(|found| {
        let body = &found.tbs_certificate;
        body.version == X509Version::V1
            && body.extensions().is_empty()
            && body.issuer_uid.is_none()
            && body.subject_uid.is_none()
    })
}

/// That the other side has the key of its certificate, in TLS 1.2 (RFC 5246 §7.4.8).
pub(super) fn verify_tls12(
    message: &[u8],
    der: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let leaf = parse(der).ok_or_else(|| invalid(CertificateError::BadEncoding))?;
    let key = Key::read(leaf.public_key().raw);
    let key = key.ok_or_else(|| invalid(CertificateError::BadEncoding))?;
    let named = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
    let algorithm = named.and_then(|(_, candidates)| {
        candidates.iter().find(|own| own.public_key_alg_id().as_ref() == key.algorithm)
    });
    let algorithm = algorithm.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    match algorithm.verify_signature(key.bits, message, signature.signature()) {
        Ok(()) => Ok(HandshakeSignatureValid::assertion()),
        Err(_) => Err(invalid(CertificateError::BadSignature)),
    }
}

/// The same in TLS 1.3 (RFC 8446 §4.4.3).
pub(super) fn verify_tls13(
    message: &[u8],
    der: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let leaf = parse(der).ok_or_else(|| invalid(CertificateError::BadEncoding))?;
    let key = SubjectPublicKeyInfoDer::from(leaf.public_key().raw);
    verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
}

/// A certificate of the configuration as somebody who may sign others; `None` if it says that it is
/// none, or for which names it signs (a certificate of version 1 cannot show its names in full).
fn authority(der: &CertificateDer<'_>) -> Option<Authority> {
    let found = parse(der)?;
    if found.version() == X509Version::V3 {
        let is_authority = found.basic_constraints().ok()??.value.ca;
        let signs = found.key_usage().ok()?.is_none_or(|usage| usage.value.key_cert_sign());
        if !is_authority || !signs || found.name_constraints().ok()?.is_some() {
            return None;
        }
    }
    Some(Authority {
        subject: found.subject().as_raw().to_vec(),
        key: found.public_key().raw.to_vec(),
        valid: span(&found),
        lists: Vec::new(),
    })
}

/// A list if this authority signed it and it speaks of all its certificates.
fn list_of(
    der: &[u8],
    authority: &Authority,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<List> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let is_partial = |parsed: &ParsedExtension<'_>| {
        matches!(parsed, ParsedExtension::IssuingDistributionPoint(_))
    };
    if list.issuer().as_raw() != authority.subject
        || list.extensions().iter().any(|extension| is_partial(extension.parsed_extension()))
    {
        return None;
    }
    Signed::read(der)?.verify(&authority.key, algorithms).ok()?;
    let until = list.next_update().map_or(i64::MAX, |time| time.timestamp());
    let revoked = list.iter_revoked_certificates().map(|entry| entry.user_certificate.clone());
    // That a list begins in the future is no reason to trust those on it.
    Some(List { valid: Span { from: i64::MIN, until }, revoked: revoked.collect() })
}

fn span(certificate: &X509Certificate<'_>) -> Span {
    let validity = certificate.validity();
    Span { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

/// `SEQUENCE { message, algorithm, signature }`: a certificate or a list (RFC 5280 §4.1.1, §5.1.1).
struct Signed<'a> {
    message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let (body, rest) = element(der, Tag::Sequence)?;
        let (_, after) = element(body, Tag::Sequence)?;
        let message = body.get(..body.len() - after.len())?;
        let (algorithm, after) = element(after, Tag::Sequence)?;
        let (signature, end) = element(after, Tag::BitString)?;
        (rest.is_empty() && end.is_empty()).then_some(())?;
        Some(Self { message, algorithm, signature: whole_bytes(signature)? })
    }

    /// `key` is the whole SubjectPublicKeyInfo of the one who should have signed.
    fn verify(
        &self,
        key: &[u8],
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateError> {
        let key = Key::read(key).ok_or(CertificateError::BadEncoding)?;
        let mut fitting = algorithms.all.iter().filter(|own| {
            own.signature_alg_id().as_ref() == self.algorithm
                && own.public_key_alg_id().as_ref() == key.algorithm
        });
        let algorithm = fitting.next().ok_or_else(|| {
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: self.algorithm.to_vec(),
                supported_algorithms: Vec::new(),
            }
        })?;
        algorithm
            .verify_signature(key.bits, self.message, self.signature)
            .map_err(|_| CertificateError::BadSignature)
    }
}

/// `SEQUENCE { algorithm, bits }`: a public key (RFC 5280 §4.1.2.7).
struct Key<'a> {
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> Key<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let (body, rest) = element(der, Tag::Sequence)?;
        let (algorithm, after) = element(body, Tag::Sequence)?;
        let (bits, end) = element(after, Tag::BitString)?;
        (rest.is_empty() && end.is_empty()).then_some(())?;
        Some(Self { algorithm, bits: whole_bytes(bits)? })
    }
}

/// What is in the first element, and what comes after it.
fn element(der: &[u8], tag: Tag) -> Option<(&[u8], &[u8])> {
    let (after, found) = Any::from_der(der).ok()?;
    (found.header.tag() == tag).then_some((found.data, after))
}

/// The bytes of a bit string that ends with a full byte.
fn whole_bytes(bits: &[u8]) -> Option<&[u8]> {
    match bits {
        [0, bytes @ ..] => Some(bytes),
        _ => None,
    }
}

fn invalid(cause: CertificateError) -> Error {
    Error::InvalidCertificate(cause)
}
