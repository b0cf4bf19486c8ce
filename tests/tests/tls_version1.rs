//! Certificates as Mosquitto's how-to makes them: `openssl x509 -req` and nothing more, which is X.509
//! version 1 (`-x509v1` asks newer ones for it). They must work as they do there, and nothing that is
//! wrong with one may pass because it is old.

mod tls_support;

use halyard_tests::{Broker, binary, wait_until};
use rustls::crypto::ring::{default_provider, sign};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use tls_support::{Pki, Theirs, dial, free_port};

const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c";

/// An authority of rcgen for the other side, and the files of the how-to beside its own.
struct HowTo {
    pki: Pki,
}

impl HowTo {
    /// `own.crt` is the authority, `other.crt` one of the same name with another key, `foreign.crt` one
    /// of another name.
    fn new() -> Self {
        let how_to = Self { pki: Pki::new() };
        for (file, name) in [("own", "Own"), ("other", "Own"), ("foreign", "Foreign")] {
            how_to.openssl(&format!(
                "req -new -x509 -days 30 -extensions v3_ca -nodes -keyout {file}.key -out {file}.crt \
                 -subj /O=Test/CN={name}"
            ));
        }
        how_to
    }

    fn path(&self, name: &str) -> String {
        self.pki.path(name)
    }

    /// Runs openssl among the files.
    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        command.args(words.split_whitespace()).current_dir(&self.pki.folder);
        let output = command.output().expect("openssl is installed");
        assert!(output.status.success(), "{words}: {output:?}");
    }

    /// `NAME.crt` and `NAME.key`, signed by an authority, as in the how-to.
    fn certificate(&self, name: &str, authority: &str, common_name: &str, more: &str) {
        self.openssl(&format!("genrsa -out {name}.key 2048"));
        self.openssl(&format!(
            "req -out {name}.csr -key {name}.key -new -subj /O=Test/CN={common_name}"
        ));
        let days = if more.contains("-days") { "" } else { "-days 30" };
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial \
             -out {name}.crt {days} {more}"
        ));
    }

    /// `list.crl` of the authority, on which `revoked` stands.
    fn revoke(&self, authority: &str, revoked: &[&str], more: &str) {
        let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\n\
                      default_md=sha256\ndefault_crl_days=30\n";
        for (file, text) in [("ca.cnf", config), ("index.txt", ""), ("number", "01\n")] {
            self.pki.write(file, text);
        }
        let ca = format!("ca -config ca.cnf -cert {authority}.crt -keyfile {authority}.key -batch");
        for name in revoked {
            self.openssl(&format!("{ca} -revoke {name}.crt"));
        }
        self.openssl(&format!("{ca} -gencrl -out list.crl {more}"));
    }

    /// A listener that wants certificates of `own.crt`.
    fn broker(&self, more: &str) -> Broker {
        let lines = format!("cafile {}\nrequire_certificate true\n{more}", self.path("own.crt"));
        let lines = self.pki.listener(&lines);
        Broker::spawn(&format!("allow_anonymous true\nlog_type all\nuser root\n{lines}"))
    }

    fn chain(&self, names: &[&str]) -> Vec<CertificateDer<'static>> {
        let path = |name: &&str| self.path(&format!("{name}.crt"));
        names.iter().map(|name| CertificateDer::from_pem_file(path(name)).unwrap()).collect()
    }

    /// These certificates with the key of one of them, unchecked.
    fn certified(&self, chain: &[&str], key: &str) -> Arc<SingleCertAndKey> {
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{key}.key"))).unwrap();
        let key = sign::any_supported_type(&key).unwrap();
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(self.chain(chain), key)))
    }

    /// A client that shows these certificates.
    fn config(
        &self,
        version: &'static SupportedProtocolVersion,
        chain: &[&str],
        key: &str,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(self.certified(chain, key))
    }

    /// Why the broker refuses this client, in each version of TLS; `None` if it comes in with both.
    fn refusal(&self, broker: &Broker, chain: &[&str], key: &str) -> Option<String> {
        let mut found = Vec::new();
        for version in [&TLS12, &TLS13] {
            let before = broker.log().len();
            let config = self.config(version, chain, key);
            let mut stream = dial(broker.addresses("mqtts")[0], config);
            let mut answer = [0; 4];
            if stream.write_all(CONNECT).is_ok() && stream.read_exact(&mut answer).is_ok() {
                assert_eq!(answer, *b"\x20\x02\x00\x00");
                found.push(None);
                continue;
            }
            found.push(Some(wait_until("a line about the refusal", || {
                let log = broker.log().split_off(before);
                log.into_iter().find(|line| line.contains("failed: "))
            })));
        }
        assert_eq!(found[0].is_some(), found[1].is_some(), "one version only: {found:?}");
        found.pop().unwrap()
    }

    fn version(&self, name: &str) -> String {
        let path = self.path(&format!("{name}.crt"));
        let output =
            Command::new("openssl").args(["x509", "-noout", "-text", "-in", &path]).output();
        let text = String::from_utf8(output.expect("openssl").stdout).unwrap();
        text.lines().find(|line| line.contains("Version:")).unwrap().trim().to_owned()
    }
}

#[test]
fn a_client_with_a_certificate_of_the_how_to_comes_in_and_has_its_name() {
    let how_to = HowTo::new();
    how_to.certificate("device", "own", "device-7", "");
    assert_eq!(how_to.version("device"), "Version: 1 (0x0)", "what the how-to makes today");
    let broker = how_to.broker("use_identity_as_username true");
    assert_eq!(how_to.refusal(&broker, &["device"], "device"), None);
    broker.wait_for_line(&["New client connected", "u'device-7'"]);
    // What else the client sends along is neither needed nor looked at.
    assert_eq!(how_to.refusal(&broker, &["device", "foreign"], "device"), None);
    let port = broker.addresses("mqtts")[0].port();
    let words = [
        ["--cafile".to_owned(), how_to.path("ca.pem")],
        ["--cert".to_owned(), how_to.path("device.crt")],
        ["--key".to_owned(), how_to.path("device.key")],
    ];
    for ours in [true, false] {
        let output = publish(ours, "localhost", port, words.as_flattened());
        assert!(output.status.success(), "{ours}: {output:?}");
    }
}

#[test]
fn what_is_wrong_with_such_a_certificate_keeps_it_out() {
    let how_to = HowTo::new();
    how_to.certificate("good", "own", "good", "");
    how_to.certificate("forged", "other", "forged", "");
    how_to.certificate("strange", "foreign", "strange", "");
    how_to.certificate("expired", "own", "expired", "-days -1");
    // An authority of version 1 is none, above a certificate of version 1 and of version 3.
    how_to.certificate("between", "own", "between", "");
    how_to.certificate("below", "between", "below", "");
    how_to.pki.write("v3.ext", "basicConstraints=CA:FALSE\n");
    how_to.certificate("below3", "between", "below3", "-extfile v3.ext");
    how_to.certificate("weak", "own", "weak", "-sha1");
    let mut bytes = how_to.chain(&["good"]).remove(0).to_vec();
    let at = bytes.windows(4).rposition(|window| window == b"good").unwrap();
    bytes[at] = b'G';
    fs::write(how_to.path("changed.der"), &bytes).unwrap();
    how_to.openssl("x509 -inform der -in changed.der -out changed.crt");
    let broker = how_to.broker("");
    for (chain, key, cause) in [
        (&["forged"] as &[&str], "forged", "BadSignature"),
        (&["changed"], "good", "BadSignature"),
        (&["strange"], "strange", "UnknownIssuer"),
        (&["strange", "foreign"], "strange", "UnknownIssuer"),
        (&["expired"], "expired", "Expired"),
        (&["below", "between"], "below", "UnknownIssuer"),
        (&["below3", "between"], "below3", "UnsupportedCertVersion"),
        (&["weak"], "weak", "UnsupportedSignatureAlgorithm"),
        // Somebody who has seen the certificate has not its key.
        (&["good"], "strange", "BadSignature"),
    ] {
        let line = how_to.refusal(&broker, chain, key);
        let line = line.unwrap_or_else(|| panic!("{chain:?} with {key} got in"));
        assert!(line.to_lowercase().contains(&cause.to_lowercase()), "{chain:?}: {line}");
    }
    assert_eq!(how_to.refusal(&broker, &["good"], "good"), None, "the others are served on");
}

#[test]
fn an_authority_that_may_not_sign_certificates_signs_none_of_version_1() {
    let how_to = HowTo::new();
    for (name, words) in [
        ("leaf", "basicConstraints=CA:FALSE"),
        ("mute", "basicConstraints=CA:TRUE keyUsage=cRLSign"),
        ("bound", "basicConstraints=CA:TRUE nameConstraints=permitted;DNS:example.org"),
    ] {
        how_to.pki.write("v3.ext", &words.replace(' ', "\n"));
        how_to.openssl(&format!("req -new -nodes -keyout {name}.key -out {name}.csr -subj /CN=x"));
        how_to.openssl(&format!(
            "x509 -req -in {name}.csr -signkey {name}.key -out {name}.crt -days 30 -extfile v3.ext"
        ));
        how_to.certificate("device", name, "device", "");
        fs::copy(how_to.path(&format!("{name}.crt")), how_to.path("own.crt")).unwrap();
        let broker = how_to.broker("");
        let line = how_to.refusal(&broker, &["device"], "device");
        assert!(line.is_some_and(|line| line.contains("UnknownIssuer")), "{name}");
    }
}

#[test]
fn a_revoked_certificate_of_the_how_to_stays_out() {
    let how_to = HowTo::new();
    how_to.certificate("good", "own", "good", "");
    how_to.certificate("revoked", "own", "revoked", "");
    how_to.revoke("own", &["revoked"], "");
    let crlfile = format!("crlfile {}", how_to.path("list.crl"));
    let broker = how_to.broker(&crlfile);
    let cause = |broker: &Broker, name: &str| how_to.refusal(broker, &[name], name);
    assert_eq!(cause(&broker, "good"), None);
    assert!(cause(&broker, "revoked").is_some_and(|line| line.contains("Revoked")));
    // A list that ran out, or of somebody else (of the same name, too), says nothing good of anybody.
    how_to.revoke("own", &[], "-crl_nextupdate 20250101000000Z");
    broker.signal("HUP");
    broker.wait_for_line(&["reloaded."]);
    assert!(cause(&broker, "good").is_some_and(|line| line.contains("ExpiredRevocationList")));
    for authority in ["other", "foreign"] {
        how_to.revoke(authority, &[], "");
        let broker = how_to.broker(&crlfile);
        let line = cause(&broker, "good");
        assert!(line.is_some_and(|line| line.contains("UnknownRevocationStatus")), "{authority}");
    }
}

/// Publishes with `halyard pub`, or with mosquitto_pub.
fn publish(ours: bool, host: &str, port: u16, words: &[String]) -> Output {
    let tool = if ours { binary().as_path() } else { Path::new("mosquitto_pub") };
    let mut command = Command::new(tool);
    command.args(ours.then_some("pub")).args(["-h", host, "-p", &port.to_string()]);
    command.args(words).args(["-q", "1", "-t", "t", "-m", "x"]);
    command.output().expect("the command is installed")
}

#[test]
fn a_server_with_a_certificate_of_the_how_to_is_believed_as_mosquitto_pub_does() {
    let how_to = HowTo::new();
    how_to.certificate("server", "own", "localhost", "");
    how_to.certificate("elsewhere", "own", "elsewhere", "");
    how_to.certificate("expired", "own", "localhost", "-days -1");
    how_to.certificate("forged", "other", "localhost", "");
    let rows: &[(&str, &str, &str, bool)] = &[
        ("server", "own", "", true),
        ("server", "own", "--tls-version tlsv1.2", true),
        ("server", "own", "--tls-version tlsv1.3", true),
        ("server", "server", "", false),
        ("server", "foreign", "", false),
        ("server", "foreign", "--insecure", false),
        ("elsewhere", "own", "", false),
        ("elsewhere", "own", "--insecure", true),
        ("expired", "own", "", false),
        ("expired", "own", "--insecure", false),
        ("forged", "own", "", false),
        ("forged", "own", "--insecure", false),
    ];
    for server in ["server", "elsewhere", "expired", "forged"] {
        let [cert, key] = [".crt", ".key"].map(|end| how_to.path(&format!("{server}{end}")));
        let lines = format!("certfile {cert}\nkeyfile {key}\n");
        let theirs = free_port();
        let _theirs = Theirs::start(&how_to.pki, theirs, &lines);
        // Nothing that is out of date starts here.
        let ours = (server != "expired").then(|| {
            Broker::spawn(&format!("allow_anonymous true\nlistener 0 127.0.0.1\n{lines}"))
        });
        let ours = ours.as_ref().map(|broker| broker.addresses("mqtts")[0].port());
        for (_, ca, flags, expected) in rows.iter().filter(|row| row.0 == server) {
            let mut words = vec!["--cafile".to_owned(), how_to.path(&format!("{ca}.crt"))];
            words.extend(flags.split_whitespace().map(str::to_owned));
            for (port, tool) in [(Some(theirs), false), (Some(theirs), true), (ours, true)] {
                let Some(port) = port else { continue };
                let said = publish(tool, "localhost", port, &words);
                let row = format!("{server} by {tool} with {words:?}: {said:?}");
                assert_eq!(said.status.success(), *expected, "{row}");
            }
        }
    }
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_not_believed() {
    let how_to = HowTo::new();
    how_to.certificate("server", "own", "localhost", "");
    how_to.certificate("thief", "foreign", "localhost", "");
    for (version, flag) in [(&TLS12, "tlsv1.2"), (&TLS13, "tlsv1.3")] {
        for (key, expected) in [("server", "closed"), ("thief", "BadSignature")] {
            let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(how_to.certified(&["server"], key));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let handshake = move || {
                let (mut socket, _) = listener.accept().unwrap();
                let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                // Until the handshake has ended, well or badly.
                tls.complete_io(&mut socket).is_ok()
            };
            let server = std::thread::Builder::new().spawn(handshake).unwrap();
            let words = ["--cafile".to_owned(), how_to.path("own.crt"), "--tls-version".to_owned()];
            let words = [&words[..], &[flag.to_owned()]].concat();
            let said =
                publish(true, "127.0.0.1", port, &[&words[..], &["--insecure".into()]].concat());
            let text = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(!said.status.success(), "{key}: {said:?}");
            let is_forged = text.contains("BadSignature");
            assert_eq!(is_forged, expected == "BadSignature", "{flag} {key}: {text}");
            server.join().unwrap();
        }
    }
}
