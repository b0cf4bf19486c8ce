//! As much of DER as a SubjectPublicKeyInfo is made of (RFC 5280 §4.1.2.7): which algorithm, and the
//! key itself. Refuses what it does not know.

/// A public key, in the form that its algorithm takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    /// RSAPublicKey (RFC 8017 A.1.1).
    Rsa(&'a [u8]),
    /// An uncompressed point of P-256.
    P256(&'a [u8]),
}

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];

/// The key of a SubjectPublicKeyInfo.
pub(super) fn public_key(bytes: &[u8]) -> Option<PublicKey<'_>> {
    let (info, rest) = element(bytes, SEQUENCE)?;
    let (algorithm, key) = element(info, SEQUENCE)?;
    let (oid, parameters) = element(algorithm, OID)?;
    let (key, behind) = element(key, BIT_STRING)?;
    // No bits are unused.
    let key = key.strip_prefix(&[0])?;
    if !rest.is_empty() || !behind.is_empty() {
        return None;
    }
    if oid == RSA {
        return Some(PublicKey::Rsa(key));
    }
    let is_p256 = oid == EC && element(parameters, OID)?.0 == P256;
    (is_p256 && key.len() == 65 && key[0] == 4).then_some(PublicKey::P256(key))
}

/// The content of the first element, which must have this tag, and what is behind it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7F);
        if count == 0 || count > 3 || rest.len() < count {
            return None;
        }
        let (digits, behind) = rest.split_at(count);
        len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = behind;
    }
    if found != tag || rest.len() < len {
        return None;
    }
    Some(rest.split_at(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        assert_eq!(public_key(&[]), None);
        assert_eq!(public_key(&[0x30, 0x84, 1, 1, 1, 1]), None);
        let mut key = vec![0x30, 0x59, 0x30, 0x13, 0x06, 7];
        key.extend_from_slice(EC);
        key.extend_from_slice(&[0x06, 8]);
        key.extend_from_slice(P256);
        key.extend_from_slice(&[0x03, 0x42, 0, 4]);
        key.extend_from_slice(&[7; 64]);
        assert!(matches!(public_key(&key), Some(PublicKey::P256(point)) if point.len() == 65));
        for len in 0..key.len() {
            assert_eq!(public_key(&key[..len]), None);
        }
        key[6] ^= 1;
        assert_eq!(public_key(&key), None);
    }
}
