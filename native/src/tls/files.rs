//! PEM files: certificates, private keys, lists of revoked certificates, and folders of
//! authorities. An error names the option, the file, what is wrong and what would be right.

use crate::files;
use crate::process;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Bytes of the largest file that is read: a bundle of all public authorities has a quarter.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The certificates of a file, at least one.
pub(super) fn certificates(
    option: &str,
    path: &str,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(option, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| malformed(option, path, &error))?;
    if found.is_empty() {
        return Err(none(option, path, "certificate", "-----BEGIN CERTIFICATE-----"));
    }
    Ok(found)
}

/// The private key of a file.
pub(super) fn key(option: &str, path: &str) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(option, path)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("ENCRYPTED") {
        return Err(format!(
            "{option} {path}: the key is encrypted, and nobody is there to type its password; \
             write it without: openssl pkey -in {path} -out NEW.key"
        ));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            none(option, path, "private key", "-----BEGIN PRIVATE KEY-----")
        }
        error => malformed(option, path, &error),
    })
}

/// Says so if others than its owner may read a private key.
pub(super) fn key_is_open(option: &str, path: &str) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        format!(
            "{option} {path}: the private key can be read by others than its owner (mode {:03o}): \
             chmod 600 {path}",
            mode & 0o777
        )
    })
}

/// The revocation lists of a file, at least one.
pub(super) fn revocations(
    option: &str,
    path: &str,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let bytes = read(option, path)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| malformed(option, path, &error))?;
    if found.is_empty() {
        return Err(none(option, path, "list of revoked certificates", "-----BEGIN X509 CRL-----"));
    }
    Ok(found)
}

/// Those whose signatures are trusted: as WebPKI wants them, and as they were read.
pub(super) struct Authorities {
    pub(super) store: RootCertStore,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// The authorities of a file and of a folder. `dashes` stand before the options' names.
pub(super) fn authorities(
    dashes: &str,
    file: Option<&str>,
    folder: Option<&str>,
) -> Result<Authorities, String> {
    let mut found = Authorities { store: RootCertStore::empty(), certificates: Vec::new() };
    if let Some(path) = file {
        add(&mut found, &format!("{dashes}cafile"), path)?;
    }
    if let Some(path) = folder {
        let option = &format!("{dashes}capath");
        let files = hashed(option, path)?;
        for file in &files {
            add(&mut found, option, file)?;
        }
        if files.is_empty() {
            return Err(format!(
                "{option} {path}: no certificate there has the name by which it is looked up; run: \
                 openssl rehash {path}"
            ));
        }
    }
    Ok(found)
}

fn add(found: &mut Authorities, option: &str, path: &str) -> Result<(), String> {
    for certificate in certificates(option, path)? {
        found.store.add(certificate.clone()).map_err(|error| {
            format!("{option} {path}: a certificate in it cannot be an authority: {error}")
        })?;
        found.certificates.push(certificate);
    }
    Ok(())
}

/// The files of a folder that `openssl rehash` has named: eight hexadecimal digits, a dot and a
/// number. Others are not trusted: OpenSSL does not find them either.
fn hashed(option: &str, path: &str) -> Result<Vec<String>, String> {
    let fail = |error| format!("{option} {path}: cannot read the folder: {error}");
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
        let is_hash = name.split_once('.').is_some_and(|(hash, number)| {
            hash.len() == 8
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if is_hash {
            files.push(Path::new(path).join(name).to_string_lossy().into_owned());
        }
    }
    files.sort();
    Ok(files)
}

fn read(option: &str, path: &str) -> Result<Vec<u8>, String> {
    let outcome = files::read(path, FILE_BYTES_MAX).map(|(bytes, _)| bytes);
    outcome.map_err(|error| format!("{option} {path}: {}", process::unreadable(path, &error)))
}

fn none(option: &str, path: &str, what: &str, begin: &str) -> String {
    format!("{option} {path}: there is no {what} in it; it must be in PEM, with a line {begin}")
}

fn malformed(option: &str, path: &str, error: &pem::Error) -> String {
    format!("{option} {path}: the PEM text is damaged: {error}; write the file anew")
}
