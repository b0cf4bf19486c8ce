//! Cipher suites by OpenSSL's names and words, as `ciphers` and `ciphers_tls1.3` write them. What
//! exists is rustls' list: forward secrecy and authenticated encryption only.

use rustls::CipherSuite as Id;
use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;

/// Suites of TLS 1.2 by OpenSSL's names.
const TLS12: [(&str, Id); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", Id::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", Id::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", Id::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", Id::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", Id::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", Id::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];
const TLS13: [(&str, Id); 3] = [
    ("TLS_AES_128_GCM_SHA256", Id::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", Id::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", Id::TLS13_CHACHA20_POLY1305_SHA256),
];

/// Leaves of `provider` what the two lists name; `None` = everything. The error says which word of
/// which list is wrong.
pub(super) fn choose(
    provider: &mut CryptoProvider,
    tls12: Option<&str>,
    tls13: Option<&str>,
) -> Result<(), String> {
    let of_12 = tls12.map(openssl_list).transpose()?;
    let of_13 = tls13.map(names_of_13).transpose()?;
    let known = std::mem::take(&mut provider.cipher_suites);
    let find = |id: Id| known.iter().copied().find(|suite| suite.suite() == id);
    let all = |is_13: bool| {
        known.iter().copied().filter(move |suite: &SupportedCipherSuite| {
            matches!(suite, SupportedCipherSuite::Tls13(_)) == is_13
        })
    };
    let mut chosen: Vec<SupportedCipherSuite> = match of_13 {
        Some(ids) => ids.into_iter().filter_map(find).collect(),
        None => all(true).collect(),
    };
    match of_12 {
        Some(ids) => chosen.extend(ids.into_iter().filter_map(find)),
        None => chosen.extend(all(false)),
    }
    provider.cipher_suites = chosen;
    Ok(())
}

/// A list of TLS 1.3 names.
fn names_of_13(list: &str) -> Result<Vec<Id>, String> {
    let words = list.split(':').map(str::trim).filter(|word| !word.is_empty());
    let ids = words.map(|word| {
        let found = TLS13.iter().find(|(name, _)| *name == word);
        let names = TLS13.map(|(name, _)| name).join(", ");
        found
            .map(|(_, id)| *id)
            .ok_or_else(|| format!("there is no TLS 1.3 cipher suite {word}; there are {names}"))
    });
    ids.collect()
}

/// OpenSSL's language, as far as it means something here. What OpenSSL knows and rustls does not is
/// left out, as OpenSSL itself leaves out what it was built without.
fn openssl_list(list: &str) -> Result<Vec<Id>, String> {
    let mut chosen: Vec<Id> = Vec::new();
    let mut banned: Vec<Id> = Vec::new();
    for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
        // @SECLEVEL, @STRENGTH: every suite here is strong.
        if word.starts_with('@') {
            continue;
        }
        let (sign, name) = match word.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+') => (sign, &word[1..]),
            _ => (b' ', word),
        };
        let ids = matching(name);
        match sign {
            b'!' => banned.extend(&ids),
            b'-' => {}
            // To the end of what is there.
            b'+' => {
                let moved: Vec<Id> = chosen.iter().copied().filter(|id| ids.contains(id)).collect();
                chosen.retain(|id| !ids.contains(id));
                chosen.extend(moved);
                continue;
            }
            _ => {
                chosen
                    .extend(ids.into_iter().filter(|id| !chosen.contains(id)).collect::<Vec<_>>());
                continue;
            }
        }
        chosen.retain(|id| !ids.contains(id));
    }
    chosen.retain(|id| !banned.contains(id));
    if chosen.is_empty() {
        let names = TLS12.map(|(name, _)| name).join(", ");
        return Err(format!(
            "none of {list:?} is a TLS 1.2 cipher suite that is supported; there are {names}"
        ));
    }
    Ok(chosen)
}

/// The suites that a name, or words joined by `+`, means.
fn matching(name: &str) -> Vec<Id> {
    let has = |suite: &str, word: &str| match word {
        "DEFAULT"
        | "COMPLEMENTOFDEFAULT"
        | "ALL"
        | "HIGH"
        | "SECURE128"
        | "TLSv1.2"
        | "kEECDH"
        | "EECDH"
        | "ECDHE"
        | "kECDHE"
        | "AEAD" => word != "COMPLEMENTOFDEFAULT",
        "AES" | "AESGCM" => suite.contains("AES"),
        "AES128" => suite.contains("AES128"),
        "AES256" | "SECURE256" => suite.contains("AES256"),
        "CHACHA20" => suite.contains("CHACHA20"),
        "ECDSA" | "aECDSA" => suite.contains("-ECDSA-"),
        "RSA" | "aRSA" => suite.contains("-RSA-"),
        "SHA256" => suite.ends_with("SHA256"),
        "SHA384" => suite.ends_with("SHA384"),
        _ => suite == word,
    };
    let suites = TLS12.iter().filter(|(suite, _)| name.split('+').all(|word| has(suite, word)));
    suites.map(|(_, id)| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(tls12: Option<&str>, tls13: Option<&str>) -> Result<Vec<String>, String> {
        let mut provider = super::super::provider();
        choose(&mut provider, tls12, tls13)?;
        let name = |id: Id| {
            let mut all = TLS12.iter().chain(&TLS13);
            all.find(|(_, own)| *own == id).map_or("?", |(name, _)| name).to_owned()
        };
        Ok(provider.cipher_suites.iter().map(|suite| name(suite.suite())).collect())
    }

    #[test]
    fn lists_choose_suites_in_their_order() {
        let none = Some("TLS_AES_128_GCM_SHA256");
        let of_12 = |list: &str| {
            let mut found = chosen(Some(list), none).unwrap();
            found.remove(0);
            found.join(":")
        };
        assert_eq!(chosen(None, None).unwrap().len(), 9);
        let two = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256";
        assert_eq!(of_12(two), two);
        assert_eq!(of_12(&format!("{two}:AES256-SHA")), two, "what rustls has not is left out");
        let high = of_12("HIGH:!aNULL:!kRSA:!MD5:-CHACHA20:@STRENGTH");
        assert_eq!(high.split(':').count(), 4, "{high}");
        assert_eq!(of_12("ECDHE+AESGCM+aRSA:!AES128"), "ECDHE-RSA-AES256-GCM-SHA384");
        let of_13 = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
        assert_eq!(chosen(None, Some(of_13)).unwrap()[..2].join(":"), of_13);
    }

    #[test]
    fn lists_that_choose_nothing_say_what_there_is() {
        for list in ["AES256-SHA", "NULL:!ALL", "HIGH:!ECDHE"] {
            let error = chosen(Some(list), None).unwrap_err();
            assert!(error.contains("ECDHE-RSA-AES256-GCM-SHA384"), "{error}");
        }
        let error = chosen(None, Some("TLS_AES_128_CCM_SHA256")).unwrap_err();
        assert!(error.contains("TLS_AES_256_GCM_SHA384"), "{error}");
    }
}
