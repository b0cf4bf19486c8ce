//! JSON Web Tokens (RFC 7519) as passwords: HS256, RS256 and ES256, signed by one of the keys of a
//! file. A key is good for one algorithm, whatever the token says of itself, and `none` is none. What
//! has no end is refused. Knows no connection, and keeps no token.

use super::der;
use super::failures;
use crate::tls::is_plain;
use halyard_core::access;
use halyard_core::auth::Credential;
use halyard_core::auth::Grant;
use halyard_core::auth::Secret;
use halyard_core::auth::TokenKey;
use halyard_core::auth::TokenKind;
use halyard_core::auth::TokenRules;
use halyard_core::auth::decode_base64;
use halyard_core::time::WallClock;
use ring::hmac;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use ring::signature;
use serde_json::Value;
use std::sync::OnceLock;

/// Bytes of the longest token.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far the clock of whoever makes tokens may be ahead of ours, seconds: a token works at once. Its
/// end is kept to the second, since its bearer is disconnected then.
const LEEWAY_SECS: f64 = 30.0;
/// Bytes of the shortest shared secret (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;
/// Keys of one file.
const KEYS_MAX: usize = 16;

/// Whether a password looks like a token: then it is one or wrong.
pub(super) fn is_token(password: &[u8]) -> bool {
    password.starts_with(b"eyJ") && password.iter().filter(|byte| **byte == b'.').count() == 2
}

/// Stands for the rules as a whole: what was found right under others is not known to be right.
pub(super) fn mark(rules: &TokenRules, secret: &hmac::Key) -> u64 {
    let TokenRules { keys, username_claim, acl_claim, issuer, audience } = rules;
    let mut text: Vec<u8> = keys.iter().flat_map(|key| key.fingerprint.to_le_bytes()).collect();
    let claims = [Some(username_claim), Some(acl_claim), issuer.as_ref(), audience.as_ref()];
    for claim in claims {
        // No text has this byte.
        text.push(0xFF);
        text.extend(claim.map_or(&[0xFE][..], |claim| claim.as_bytes()));
    }
    failures::number(secret, &text)
}

/// Who presents the token; `None` if it does not hold.
pub(super) fn verify(
    rules: &TokenRules,
    name: Option<&str>,
    password: &[u8],
    wall: WallClock,
) -> Option<Grant> {
    let token = std::str::from_utf8(password).ok().filter(|all| all.len() <= TOKEN_BYTES_MAX)?;
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header = object(header)?;
    // What has to be understood is not.
    if header.contains_key("crit") {
        return None;
    }
    let algorithm = header.get("alg")?.as_str()?;
    let signature = base64url(signature)?;
    let keys = rules.keys.iter().filter(|key| key.kind.algorithm() == algorithm);
    let key = keys.into_iter().find(|key| is_signed(key, signed.as_bytes(), &signature))?;
    let claims = object(claims)?;
    let seconds = |claim: &str| claims.get(claim).map(|value| value.as_f64());
    let now = wall.0 as f64 / 1000.0;
    let expires = seconds("exp")??;
    let begins = seconds("nbf").map_or(Some(0.0), |begins| begins)?;
    if !expires.is_finite() || expires <= now || begins > now + LEEWAY_SECS {
        return None;
    }
    if !is_for(&claims, "iss", rules.issuer.as_deref())
        || !is_for(&claims, "aud", rules.audience.as_deref())
    {
        return None;
    }
    // As the name in a certificate: nothing that a log or a list could take for something else.
    let own = claims.get(&*rules.username_claim)?.as_str().filter(|own| is_plain(own))?;
    if name.is_some_and(|name| !name.is_empty() && name != own) {
        return None;
    }
    let rights = match claims.get(&*rules.acl_claim) {
        None => None,
        Some(claim) => Some(rights(claim)?.into()),
    };
    Some(Grant {
        rights,
        username: Some(own.into()),
        credential: Credential::Token(key.fingerprint),
        expires: Some(WallClock((expires * 1000.0) as u64)),
    })
}

/// What a client may do, as lines of an access list; `None` if the claim is none.
fn rights(claim: &Value) -> Option<String> {
    let mut lines = String::new();
    let mut add = |access: &str, filter: &Value| {
        let filter = filter
            .as_str()
            .filter(|filter| !filter.trim().is_empty() && !filter.contains(char::is_control))?;
        lines.extend(["pattern ", access, filter, "\n"]);
        Some(())
    };
    match claim {
        Value::Array(rules) => rules.iter().try_for_each(|rule| add("", rule))?,
        Value::Object(lists) => {
            for (name, list) in lists {
                let access = match name.as_str() {
                    "pub" => "write ",
                    "sub" => "read ",
                    "all" => "readwrite ",
                    _ => return None,
                };
                list.as_array()?.iter().try_for_each(|filter| add(access, filter))?;
            }
        }
        _ => return None,
    }
    access::parse("token", lines.as_bytes()).is_valid().then_some(lines)
}

/// Whether a claim, which may be one text or several, names what is asked for.
fn is_for(claims: &serde_json::Map<String, Value>, claim: &str, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    match claims.get(claim) {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(wanted)),
        _ => false,
    }
}

fn is_signed(key: &TokenKey, signed: &[u8], tag: &[u8]) -> bool {
    match &key.kind {
        TokenKind::Hs256(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
            hmac::verify(&key, signed, tag).is_ok()
        }
        TokenKind::Rs256(key) => {
            let algorithm = &signature::RSA_PKCS1_2048_8192_SHA256;
            signature::UnparsedPublicKey::new(algorithm, key).verify(signed, tag).is_ok()
        }
        TokenKind::Es256(key) => {
            let algorithm = &signature::ECDSA_P256_SHA256_FIXED;
            signature::UnparsedPublicKey::new(algorithm, key).verify(signed, tag).is_ok()
        }
    }
}

fn object(part: &str) -> Option<serde_json::Map<String, Value>> {
    match serde_json::from_slice(&base64url(part)?).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// Base64url without padding (RFC 7515 §2).
fn base64url(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|byte| matches!(byte, b'+' | b'/' | b'=')) {
        return None;
    }
    decode_base64(&text.replace('-', "+").replace('_', "/"))
}

/// The keys of a file: public keys as PEM, or else the bytes of a shared secret.
pub(super) fn keys(file: &[u8]) -> Result<Vec<TokenKey>, &'static str> {
    let text = std::str::from_utf8(file).unwrap_or_default();
    let mut keys = Vec::new();
    if text.contains("-----BEGIN") {
        for block in text.split("-----BEGIN ").skip(1) {
            keys.push(public_key(block)?);
        }
    } else {
        let secret = file.trim_ascii();
        if secret.len() < SECRET_BYTES_MIN {
            return Err("a shared secret has 32 bytes or more; openssl rand -base64 48 makes one");
        }
        keys.push(TokenKind::Hs256(Secret::new(secret)));
    }
    if keys.len() > KEYS_MAX {
        return Err("there are more than 16 keys");
    }
    let numbered = |kind: TokenKind| TokenKey { fingerprint: fingerprint(kind.bytes()), kind };
    Ok(keys.into_iter().map(numbered).collect())
}

/// A number that tells keys apart in this process, and nobody anything about them.
fn fingerprint(key: &[u8]) -> u64 {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    let secret = SECRET.get_or_init(|| {
        let mut secret = [0; 32];
        // Without chance the number still tells keys apart.
        _ = SystemRandom::new().fill(&mut secret);
        secret
    });
    failures::number(&hmac::Key::new(hmac::HMAC_SHA256, secret), key)
}

fn public_key(block: &str) -> Result<TokenKind, &'static str> {
    let wrong = "a PEM block is no public key (BEGIN PUBLIC KEY) of RSA or of P-256";
    let body = block.strip_prefix("PUBLIC KEY-----").ok_or_else(|| match block {
        _ if block.contains("PRIVATE KEY") => "a private key does not belong here; take the public",
        _ => wrong,
    })?;
    let (body, _) = body.split_once("-----END PUBLIC KEY-----").ok_or(wrong)?;
    let base64: String = body.split_ascii_whitespace().collect();
    let bytes = decode_base64(&base64).ok_or(wrong)?;
    match der::public_key(&bytes).ok_or(wrong)? {
        der::PublicKey::Rsa(key) => Ok(TokenKind::Rs256(key.into())),
        der::PublicKey::P256(key) => Ok(TokenKind::Es256(key.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL, as the tokens are: {"sub":"ann","exp":9999999999}
    const RSA: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxZyAJIs8xKxac9DJ6/NC
MJNUxn0Hcznmx9nkJZaoIMIf0g4md0ZIi6PXA6BNYCeTrU9q6NYlPFOtx0HaOyng
xj+qPzzlWSYr+g2JitMvHpdjcNRGNkIip34UOYiDxp0VEeZbiOAvHLRZCI4zTsf6
hhbZQwW4jgUWPxHmoDkIphIixJgxVVs3dt1yV7fOoji7p3IiEX+fsDMwiyfIRbhL
WAkkK4DFbtMRdmlv/ebN4koh9ha39a8oZoaMviKOZwt4zu+Q5m5ihAuTHgf7NlIk
dT6bnlctRJQtRtmw0dco+ncUKC3LBh1gM+lyNfQIjOjV/fUDqGBNFJEs5Pyjun2w
mwIDAQAB
-----END PUBLIC KEY-----
";
    const EC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEuDRT9tDMaGMmWK3uILSkrd0GWqcL
cCoMqVEMgBEYP7vXrREPAVCy6oncEWGFL9oUkJKtslYKJnONVdYohvf8Ow==
-----END PUBLIC KEY-----
";
    const RS256: &str = concat!(
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjk5OTk5OTk5OTl9.UX",
        "gGR23-djLg6kCiDnXOiOCdWdZod9btyI--QFKldI5isdjjf-xqRCSxnn9DHbm9oCYWGElHbiFJ-Tlljw",
        "j4LvM_y7cvx_qY1MSbOBqhBy1RgvN7cCtJRTXLNgghs1cnTCdINZL3qBTpnscUizW3-pyQc9FyX7HHIe",
        "wS4XROJKNGqSAEneXtytM0vy4pj9qkwyE0g7aLG_wd_Vet_9Y_bfyJpckNuwiZHZEWE5T-u8Bzqvk1a7",
        "XLUW3XhHwJpwJLj752VOkngLf7tEisv-Yfh8j4hYipJGADhMgvH8dmH7VrmlK4EEicgeklFYMkprtzp3",
        "UWO9fSZ_K5b-d6Vh6pNQ",
    );
    const ES256: &str = concat!(
        "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjk5OTk5OTk5OTl9.ZL",
        "vIO2plAV1MqTcsszD7Zby2s190ve7IcXc27ufIVywZ5A8pnGp1quyDF7F0z6k_7DRNhRsRxc04PFQrSW",
        "J-6Q",
    );
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: WallClock = WallClock(1_800_000_000_000);

    fn rules(file: &[u8]) -> TokenRules {
        TokenRules {
            keys: keys(file).unwrap(),
            username_claim: "sub".into(),
            acl_claim: "acl".into(),
            issuer: None,
            audience: None,
        }
    }

    fn base64url(bytes: &[u8]) -> String {
        let text = halyard_core::auth::encode_base64(bytes, false);
        text.replace('+', "-").replace('/', "_")
    }

    /// A token with this header and these claims, signed by the shared secret.
    fn token(header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        let tag = base64url(hmac::sign(&key, signed.as_bytes()).as_ref());
        format!("{signed}.{tag}")
    }

    fn user(rules: &TokenRules, token: &str) -> Option<String> {
        let grant = verify(rules, None, token.as_bytes(), NOW)?;
        grant.username.map(|name| name.to_string())
    }

    const HS256: &str = r#"{"alg":"HS256"}"#;
    const CLAIMS: &str = r#"{"sub":"ann","exp":1800000060}"#;

    #[test]
    fn each_algorithm_verifies_what_its_key_has_signed() {
        let both = format!("{RSA}{EC}");
        for (file, good, bad) in [(RSA, RS256, ES256), (EC, ES256, RS256)] {
            assert_eq!(user(&rules(file.as_bytes()), good).as_deref(), Some("ann"));
            assert_eq!(user(&rules(file.as_bytes()), bad), None);
            assert_eq!(user(&rules(both.as_bytes()), good).as_deref(), Some("ann"));
            let broken = good.replace("OiJh", "XiJh");
            assert_ne!(broken, good);
            assert_eq!(user(&rules(file.as_bytes()), &broken), None);
            assert!(is_token(good.as_bytes()));
        }
        let token = token(HS256, CLAIMS);
        assert_eq!(user(&rules(SECRET), &token).as_deref(), Some("ann"));
        let grant = verify(&rules(SECRET), Some("ann"), token.as_bytes(), NOW).unwrap();
        assert_eq!(grant.expires, Some(WallClock(1_800_000_060_000)));
        assert!(verify(&rules(SECRET), Some("bob"), token.as_bytes(), NOW).is_none());
    }

    #[test]
    fn a_public_key_is_no_shared_secret_and_none_is_no_algorithm() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, RSA.as_bytes());
        let signed = format!("{}.{}", base64url(HS256.as_bytes()), base64url(CLAIMS.as_bytes()));
        let tag = base64url(hmac::sign(&key, signed.as_bytes()).as_ref());
        assert_eq!(user(&rules(RSA.as_bytes()), &format!("{signed}.{tag}")), None);
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{}"#, "[]", ""] {
            assert_eq!(user(&rules(SECRET), &token(header, CLAIMS)), None, "{header}");
        }
        let critical = r#"{"alg":"HS256","crit":["x"],"x":1}"#;
        assert_eq!(user(&rules(SECRET), &token(critical, CLAIMS)), None);
    }

    #[test]
    fn claims_that_do_not_hold_are_refused() {
        for claims in [
            r#"{"sub":"ann"}"#,
            r#"{"sub":"ann","exp":1800000000}"#,
            r#"{"sub":"ann","exp":"1800000060"}"#,
            r#"{"sub":"ann","exp":1800000060,"nbf":1800000031}"#,
            r#"{"sub":"ann","exp":1800000060,"nbf":"x"}"#,
            r#"{"sub":"","exp":1800000060}"#,
            r#"{"sub":7,"exp":1800000060}"#,
            r#"{"sub":"ann\u0000","exp":1800000060}"#,
            r#"{"sub":"ann\nuser root","exp":1800000060}"#,
            r#"{"sub":"\u0085","exp":1800000060}"#,
            r#"{"exp":1800000060}"#,
        ] {
            assert_eq!(user(&rules(SECRET), &token(HS256, claims)), None, "{claims}");
        }
    }

    #[test]
    fn a_token_begins_up_to_30_seconds_early_and_ends_to_the_second() {
        for (claims, is_right) in [
            (r#""exp":1800000060,"nbf":1800000030"#, true),
            (r#""exp":1800000060,"nbf":1800000030.5"#, false),
            (r#""exp":1800000001"#, true),
            (r#""exp":1800000000"#, false),
            (r#""exp":1799999999"#, false),
        ] {
            let claims = format!(r#"{{"sub":"ann",{claims}}}"#);
            let found = user(&rules(SECRET), &token(HS256, &claims));
            assert_eq!(found.is_some(), is_right, "{claims}");
        }
    }

    #[test]
    fn rights_become_lines_of_an_access_list_or_void_the_token() {
        let of = |acl: &str| {
            let claims = format!(r#"{{"sub":"ann","exp":1800000060,"acl":{acl}}}"#);
            let grant = verify(&rules(SECRET), None, token(HS256, &claims).as_bytes(), NOW)?;
            Some(grant.rights.unwrap().to_string())
        };
        let lists = r#"{"all":["%u/#"],"pub":["a b/c"],"sub":["x/+"]}"#;
        let lines = "pattern readwrite %u/#\npattern write a b/c\npattern read x/+\n";
        assert_eq!(of(lists).as_deref(), Some(lines));
        let rules = r#"["read x/%c","deny y"]"#;
        assert_eq!(of(rules).as_deref(), Some("pattern read x/%c\npattern deny y\n"));
        assert_eq!(of("[]").as_deref(), Some(""));
        for wrong in [
            "7",
            r#"{"pub":"a"}"#,
            r#"{"publish":["a"]}"#,
            r#"["read a\nuser root"]"#,
            r#"["read a/#/b"]"#,
            r#"[7]"#,
            r#"{"pub":[""]}"#,
            r#"{"sub":["  "]}"#,
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn issuer_and_audience_are_asked_for_where_they_are_configured() {
        let mut rules = rules(SECRET);
        rules.issuer = Some("house".into());
        rules.audience = Some("mqtt".into());
        for (more, is_right) in [
            (r#""iss":"house","aud":"mqtt""#, true),
            (r#""iss":"house","aud":["x","mqtt"]"#, true),
            (r#""iss":"other","aud":"mqtt""#, false),
            (r#""iss":"house","aud":["x"]"#, false),
            (r#""iss":"house""#, false),
        ] {
            let claims = format!(r#"{{"sub":"ann","exp":1800000060,{more}}}"#);
            assert_eq!(user(&rules, &token(HS256, &claims)).is_some(), is_right, "{more}");
        }
    }

    #[test]
    fn other_rules_have_another_mark() {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        let of = |change: fn(&mut TokenRules)| {
            let mut rules = rules(format!("{RSA}{EC}").as_bytes());
            change(&mut rules);
            mark(&rules, &secret)
        };
        let plain = of(|_| {});
        assert_eq!(of(|_| {}), plain);
        let changes: [fn(&mut TokenRules); 5] = [
            |rules| _ = rules.keys.pop(),
            |rules| rules.username_claim = "name".into(),
            |rules| rules.acl_claim = "rights".into(),
            |rules| rules.issuer = Some("house".into()),
            |rules| rules.audience = Some("house".into()),
        ];
        let marks: std::collections::BTreeSet<u64> = changes.into_iter().map(of).collect();
        assert!(marks.len() == 5 && !marks.contains(&plain));
    }

    #[test]
    fn a_key_file_that_is_none_says_so() {
        for (file, part) in [
            (&b"short"[..], "32 bytes"),
            (b"-----BEGIN RSA PRIVATE KEY-----\nAAAA", "private key"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA", "no public key"),
            (b"-----BEGIN PUBLIC KEY-----\nAAAA", "no public key"),
            (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no public key"),
        ] {
            let error = keys(file).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn bytes_that_are_no_token_are_refused() {
        for bytes in [&b"eyJ.."[..], b"eyJhbGciOiJIUzI1NiJ9..", b"eyJ.x.y", &[0xFF; 40]] {
            assert!(verify(&rules(SECRET), None, bytes, NOW).is_none());
        }
        assert!(!is_token(b"password") && !is_token(b"eyJ") && !is_token(b"a.b.c"));
    }
}
