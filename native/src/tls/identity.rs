//! Who a client's certificate says it is: its one Common Name, or its whole subject as OpenSSL
//! writes it (RFC 2253), which is what Mosquitto's access lists know. Nothing that could be read in
//! two ways is a name.

use halyard_core::conf::CertificateName;
use rustls::pki_types::CertificateDer;
use std::fmt::Write as _;
use x509_parser::prelude::AttributeTypeAndValue;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

/// Bytes of the longest name: it takes the place of a User Name.
const NAME_BYTES_MAX: usize = u16::MAX as usize;

/// Attributes that OpenSSL has a short name for.
const SHORT_NAMES: [(&str, &str); 15] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The User Name that `certificate` stands for, or why there is none.
pub(crate) fn username(
    certificate: &CertificateDer<'_>,
    kind: CertificateName,
) -> Result<String, String> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("the client's certificate is damaged: {error}"))?;
    let name = match kind {
        CertificateName::CommonName => common_name(&certificate)?,
        CertificateName::Subject => subject(&certificate)?,
    };
    if name.is_empty() {
        return Err("the name in the client's certificate is empty".into());
    }
    if name.len() > NAME_BYTES_MAX || !is_plain(&name) {
        return Err(
            "the name in the client's certificate is too long or has a control character".into()
        );
    }
    Ok(name)
}

/// Refuses a certificate that has expired since its session began: one that is resumed is not checked
/// by TLS again.
pub(crate) fn check_time(certificate: &CertificateDer<'_>, now_secs: i64) -> Result<(), String> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("the client's certificate is damaged: {error}"))?;
    check(&certificate, now_secs)
}

fn check(certificate: &X509Certificate<'_>, now_secs: i64) -> Result<(), String> {
    if certificate.validity().not_after.timestamp() < now_secs {
        return Err("the client's certificate has expired".into());
    }
    Ok(())
}

/// Whether a name can be a User Name: no control character, which a log or a list could take for
/// something else.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

fn common_name(certificate: &X509Certificate<'_>) -> Result<String, String> {
    let mut names = certificate.subject().iter_common_name();
    match (names.next(), names.next()) {
        (None, _) => Err("the client's certificate has no Common Name".into()),
        (Some(_), Some(_)) => {
            Err("the client's certificate has more than one Common Name; which is it?".into())
        }
        (Some(name), None) => text(name).map(ToOwned::to_owned),
    }
}

fn text<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Result<&'a str, String> {
    attribute
        .as_str()
        .map_err(|_| "a name in the client's certificate is no text in UTF-8 or ASCII".to_owned())
}

/// The subject, last attribute first.
fn subject(certificate: &X509Certificate<'_>) -> Result<String, String> {
    let sets = certificate.subject().iter_rdn().enumerate();
    let attributes: Vec<_> =
        sets.flat_map(|(set, rdn)| rdn.iter().map(move |attribute| (set, attribute))).collect();
    let mut name = String::new();
    let mut before = None;
    for (set, attribute) in attributes.into_iter().rev() {
        if let Some(before) = before {
            name.push(if before == set { '+' } else { ',' });
        }
        before = Some(set);
        let oid = attribute.attr_type().to_id_string();
        let short = SHORT_NAMES.iter().find(|(own, _)| *own == oid).map(|(_, short)| *short);
        let short = short.ok_or_else(|| {
            format!("the subject of the client's certificate has the unknown attribute {oid}")
        })?;
        name.push_str(short);
        name.push('=');
        escape(text(attribute)?, &mut name);
    }
    Ok(name)
}

/// RFC 2253 §2.4 as OpenSSL does it: what is no printable ASCII goes as hexadecimal.
fn escape(value: &str, name: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let is_edge = (at == 0 && matches!(byte, b'#' | b' ')) || (at == last && byte == b' ');
        if is_edge || matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';') {
            name.push('\\');
            name.push(char::from(byte));
        } else if (0x20..0x7F).contains(&byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "\\{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_escaped_as_openssl_escapes_it() {
        let mut name = String::new();
        escape(" #a,b+c\"d\\e<f>g;h=i# \u{e9}\u{7f} ", &mut name);
        assert_eq!(name, "\\ #a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h=i# \\C3\\A9\\7F\\ ");
        name.clear();
        escape("#1", &mut name);
        assert_eq!(name, "\\#1");
    }

    #[test]
    fn names_with_control_characters_are_none() {
        assert!(is_plain("sensor 1") && is_plain("stra\u{df}e"));
        for name in ["", "a\0b", "a\nb", "\u{85}"] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
