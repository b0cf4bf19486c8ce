//! TLS of a listener and the PROXY protocol before it, as their lines say: plain data. The files
//! that they name are read by the server.

use super::Network;
use super::diagnose::Problem;
use super::draft::Place;
use super::report::Report;

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The listener's certificate and those between it and its authority.
    pub certfile: String,
    /// Its private key.
    pub keyfile: String,
    /// Authorities that client certificates are checked against.
    pub cafile: Option<String>,
    /// A folder of such, named by their hashes.
    pub capath: Option<String>,
    /// Certificates that were revoked.
    pub crlfile: Option<String>,
    /// Whether clients must have a certificate.
    pub require_certificate: bool,
    /// Whether certificates of clients are accepted outside of their dates.
    pub ignores_client_dates: bool,
    /// Whether TLS 1.2 is refused.
    pub only_tls13: bool,
    /// Cipher suites of TLS 1.2, as OpenSSL writes them.
    pub ciphers: Option<String>,
    /// Cipher suites of TLS 1.3.
    pub ciphers_tls13: Option<String>,
}

/// What of a client's certificate is its User Name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The Common Name of its subject.
    CommonName,
    /// Its whole subject.
    Subject,
}

/// The PROXY protocol on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// 1 or 2.
    pub version: u8,
    /// Whether the client must have reached the proxy by TLS (version 2).
    pub require_tls: bool,
    /// Whether the client must have shown the proxy a certificate that it found good.
    pub require_certificate: bool,
    /// Who may send a header; empty = this machine alone.
    pub trusted: Vec<Network>,
}

/// TLS and PROXY while their lines are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub(super) certfile: Option<String>,
    pub(super) keyfile: Option<String>,
    pub(super) cafile: Option<String>,
    pub(super) capath: Option<String>,
    pub(super) crlfile: Option<String>,
    pub(super) require_certificate: bool,
    pub(super) ignores_client_dates: bool,
    pub(super) only_tls13: bool,
    pub(super) ciphers: Option<String>,
    pub(super) ciphers_tls13: Option<String>,
    pub(super) identity_as_username: bool,
    pub(super) subject_as_username: bool,
    pub(super) proxy: Option<u8>,
    pub(super) proxy_requires_tls: bool,
    pub(super) proxy_trusted: Vec<Network>,
}

impl Lines {
    /// What of the certificate is the User Name; the Common Name first, as Mosquitto decides.
    pub(super) const fn username(&self) -> Option<CertificateName> {
        if self.identity_as_username {
            Some(CertificateName::CommonName)
        } else if self.subject_as_username {
            Some(CertificateName::Subject)
        } else {
            None
        }
    }

    /// The lines as a whole: TLS, if they ask for it.
    pub(super) fn tls(&self, place: Place, report: &mut Report) -> Option<TlsConfig> {
        let (Some(certfile), Some(keyfile)) = (&self.certfile, &self.keyfile) else {
            self.without_certificate(place, report);
            return None;
        };
        let authorities = self.cafile.is_some() || self.capath.is_some();
        if self.require_certificate && !authorities {
            let problem = Problem::new(
                "no client can have a certificate that is accepted: no authority is named",
                "name the authority of the clients' certificates with cafile or capath",
            );
            report.error(place, "require_certificate", problem);
        }
        let checks = self.require_certificate;
        for (option, is_set) in [
            ("crlfile", self.crlfile.is_some()),
            ("disable_client_cert_date_checks", self.ignores_client_dates),
        ] {
            if is_set && !checks {
                let problem = Problem::new(
                    "it has no effect: clients are not asked for certificates",
                    "write `require_certificate true`",
                );
                report.warning(place, option, problem);
            }
        }
        if let (Some(_), false, None) = (self.username(), checks, self.proxy) {
            let problem = Problem::new(
                "every client will be refused: clients are not asked for certificates",
                "write `require_certificate true`",
            );
            report.warning(place, self.username_option(), problem);
        }
        Some(TlsConfig {
            certfile: certfile.clone(),
            keyfile: keyfile.clone(),
            cafile: self.cafile.clone(),
            capath: self.capath.clone(),
            crlfile: self.crlfile.clone(),
            require_certificate: self.require_certificate,
            ignores_client_dates: self.ignores_client_dates,
            only_tls13: self.only_tls13,
            ciphers: self.ciphers.clone(),
            ciphers_tls13: self.ciphers_tls13.clone(),
        })
    }

    /// A listener whose lines ask for TLS must not be open to everybody for want of one of them.
    fn without_certificate(&self, place: Place, report: &mut Report) {
        let by_proxy = self.proxy == Some(2);
        let asked = [
            ("certfile", self.certfile.is_some()),
            ("keyfile", self.keyfile.is_some()),
            ("cafile", self.cafile.is_some()),
            ("capath", self.capath.is_some()),
            ("crlfile", self.crlfile.is_some()),
            ("require_certificate", self.require_certificate && !by_proxy),
            ("disable_client_cert_date_checks", self.ignores_client_dates),
            ("tls_version", self.only_tls13),
            ("ciphers", self.ciphers.is_some()),
            ("ciphers_tls1.3", self.ciphers_tls13.is_some()),
            (self.username_option(), self.username().is_some() && !by_proxy),
        ];
        if let Some((option, _)) = asked.into_iter().find(|(_, is_set)| *is_set) {
            let what = match (&self.certfile, &self.keyfile) {
                (Some(_), None) => "the certificate has no private key",
                (None, Some(_)) => "the private key has no certificate",
                _ => "the listener has no certificate: it would not encrypt",
            };
            let right = "name both with certfile and keyfile, or remove all TLS options of the \
                         listener";
            report.error(place, option, Problem::new(what, right));
        }
    }

    const fn username_option(&self) -> &'static str {
        if self.identity_as_username {
            "use_identity_as_username"
        } else {
            "use_subject_as_username"
        }
    }

    /// The PROXY protocol, if they ask for it.
    pub(super) fn proxy(&self, place: Place, report: &mut Report) -> Option<ProxyConfig> {
        let Some(version) = self.proxy else {
            for (option, is_set) in [
                ("proxy_protocol_trusted", !self.proxy_trusted.is_empty()),
                ("proxy_protocol_v2_require_tls", self.proxy_requires_tls),
            ] {
                if is_set {
                    let what = "it has no effect: the listener expects no PROXY header";
                    let right = "write `enable_proxy_protocol 2`, or remove the line";
                    report.warning(place, option, Problem::new(what, right));
                }
            }
            return None;
        };
        if self.proxy_requires_tls && version != 2 {
            let what = "version 1 of the header does not tell whether the client used TLS";
            let problem = Problem::new(what, "write `enable_proxy_protocol 2`");
            report.error(place, "proxy_protocol_v2_require_tls", problem);
        }
        if self.proxy_trusted.is_empty() {
            let problem = Problem::new(
                "only a proxy on this machine is believed: no network is named",
                "name your proxies with proxy_protocol_trusted, one ADDRESS/BITS a line",
            );
            report.warning(place, "enable_proxy_protocol", problem);
        }
        let ends_tls = self.certfile.is_some();
        if self.username() == Some(CertificateName::Subject) && !ends_tls {
            let what = "the PROXY header does not tell the subject of a certificate";
            let problem = Problem::new(what, "write `use_identity_as_username true`");
            report.error(place, "use_subject_as_username", problem);
        }
        Some(ProxyConfig {
            version,
            require_tls: self.proxy_requires_tls,
            require_certificate: self.require_certificate && !ends_tls,
            trusted: self.proxy_trusted.clone(),
        })
    }
}
