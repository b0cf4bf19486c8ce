//! Options of TLS that need a folder or a listener of their own; the others are in `tls.rs`.

use super::tls_support::Pki;
use super::tls_support::client;
use super::tls_support::dial;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use std::io::Read as _;
use std::io::Write as _;
use std::process::Command;

const OPEN: &str = "allow_anonymous true\nuser root\n";

/// A folder of authorities as OpenSSL names them.
fn hashed_folder(pki: &Pki, authority: &str) -> String {
    std::fs::create_dir(pki.path("authorities")).expect("a folder");
    std::fs::copy(authority, pki.path("authorities/ca.pem")).expect("a file");
    let folder = pki.path("authorities");
    let rehash = Command::new("openssl").args(["rehash", &folder]).status();
    assert!(rehash.is_ok_and(|status| status.success()));
    folder
}

#[test]
fn cafile_or_capath_name_the_authorities_of_client_certificates() {
    let (pki, other) = (Pki::new(), Pki::new());
    pki.client("known", |_| {});
    let folders = [Pki::new(), Pki::new()];
    for (option, path, is_let_in) in [
        ("cafile", pki.path("ca.pem"), true),
        ("cafile", other.path("ca.pem"), false),
        ("capath", hashed_folder(&folders[0], &pki.path("ca.pem")), true),
        ("capath", hashed_folder(&folders[1], &other.path("ca.pem")), false),
    ] {
        let lines = pki.listener(&format!("{option} {path}\nrequire_certificate true"));
        let broker = Broker::spawn(&format!("{OPEN}{lines}"));
        let address = broker.addresses("mqtts")[0];
        if is_let_in {
            client(address, pki.config(Some("known"))).connect("c", Version::V5);
        } else {
            let mut stream = dial(address, pki.config(Some("known")));
            // A broken handshake shows at the latest when something is read.
            let mut answer = [0; 1];
            assert!(stream.write_all(b"\x10").is_err() || stream.read_exact(&mut answer).is_err());
            broker.wait_for_line(&["UnknownIssuer"]);
        }
    }
}

#[test]
fn certfile_and_keyfile_make_a_listener_speak_tls_with_that_certificate() {
    let pki = Pki::new();
    let (cert, key) = (pki.path("server.pem"), pki.path("server.key"));
    let config = format!("{OPEN}listener 0 127.0.0.1\ncertfile {cert}\nkeyfile {key}\n");
    let broker = Broker::spawn(&config);
    assert_eq!(broker.addresses("mqtt"), []);
    let mut client = client(broker.addresses("mqtts")[0], pki.config(None));
    client.connect("c", Version::V5);
    let shown = client.stream().conn.peer_certificates().map(|chain| chain[0].to_vec());
    use rustls::pki_types::pem::PemObject as _;
    let own = rustls::pki_types::CertificateDer::from_pem_file(&cert).expect("a certificate");
    assert_eq!(shown, Some(own.to_vec()));
}

#[test]
fn the_admin_api_is_served_over_tls_to_who_has_the_token() {
    let pki = Pki::new();
    pki.write("token", "a-token-of-some-length\n");
    let lines = pki.listener(&format!(
        "protocol http_api\nadmin_api true\nadmin_token_file {}",
        pki.path("token")
    ));
    let broker = Broker::spawn(&format!("{OPEN}{lines}listener 0 127.0.0.1\n"));
    broker.connect().connect("pump-7", Version::V5);
    let ask = |fields: &str| {
        let mut stream = dial(broker.addresses("https")[0], pki.config(None));
        let request = format!("GET /api/v1/clients HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).expect("it is open");
        let mut text = Vec::new();
        // The broker ends TLS with a word, and the socket after it.
        stream.read_to_end(&mut text).expect("an answer");
        String::from_utf8_lossy(&text).into_owned()
    };
    let denied = ask("");
    assert!(denied.starts_with("HTTP/1.1 401 "), "{denied}");
    let told = ask("Authorization: Bearer a-token-of-some-length\r\n");
    assert!(told.starts_with("HTTP/1.1 200 ") && told.contains("\"clients\":["), "{told}");
}
