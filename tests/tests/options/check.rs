//! `halyard check FILE` prints what holds, for the broker and for each listener, and no secret.

use super::tls_support::Pki;
use halyard_core::conf::Scope;
use halyard_core::conf::Status;
use halyard_core::conf::options;
use halyard_tests::Outcome;
use halyard_tests::run;
use std::fs;

const TOKEN: &str = "a-token-that-nobody-may-see";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const USER: &str = "$7$101$c2FsdHNhbHQ=$2lkFH6Ai+HsUVS1FkK7TVSvVpmrVrk3G3LWKeCPBtsszjlnlQJhE77btzcBuI5XbEq0lowC3BCLolRId+gF3Ow==";

fn check(pki: &Pki, config: &str) -> Outcome {
    pki.write("halyard.conf", config);
    run(&["check", &pki.path("halyard.conf")])
}

/// The lines below the headline that begins with `headline`.
fn block<'a>(text: &'a str, headline: &str) -> Vec<&'a str> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(headline));
    assert!(lines.next().is_some(), "no {headline} in {text}");
    lines.take_while(|line| line.starts_with("  ")).map(str::trim).collect()
}

#[test]
fn check_prints_every_option_that_holds_for_the_broker_and_for_each_listener() {
    let pki = Pki::new();
    pki.write("passwd", &format!("ann:{USER}\n"));
    pki.write("acl", "topic read #\n");
    pki.write("token", &format!("{TOKEN}\n"));
    pki.write("jwt", SECRET);
    let own = |file: &str| pki.path(file);
    let config = format!(
        "password_file {}\nacl_file {}\njwt_key_file {}\nmax_keepalive 77\npersistence_sync never\n\
         {}max_qos 1\nmount_point site/\nlistener 8080 127.0.0.1\nprotocol http_api\n\
         admin_api true\nadmin_token_file {}\nlistener 9001\nprotocol websockets\n\
         websockets_origin https://a.example\n",
        own("passwd"),
        own("acl"),
        own("jwt"),
        pki.strict("tls_version tlsv1.3\nuse_identity_as_username true"),
        own("token"),
    );
    let outcome = check(&pki, &config);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = &outcome.stdout;
    let broker = block(text, "broker");
    for line in ["max_keepalive 77", "persistence_sync never", "max_packet_size 2000000"] {
        assert!(broker.contains(&line), "{line} in {text}");
    }
    let secure = block(text, "listener 127.0.0.1 port 0");
    let acl_line = format!("acl_file {} (1 rules)", own("acl"));
    let cert_line = format!("certfile {}", own("server.pem"));
    let passwd_line = format!("password_file {}", own("passwd"));
    for line in [
        "protocol mqtt",
        "max_qos 1",
        "mount_point site/",
        "require_certificate true",
        "tls_version tlsv1.3",
        "use_identity_as_username true",
        "allow_anonymous false",
        &acl_line,
        &cert_line,
        &passwd_line,
    ] {
        assert!(secure.contains(&line), "{line} in {text}");
    }
    let pages = block(text, "listener 127.0.0.1 port 8080");
    assert!(pages.contains(&"admin_api true") && pages.contains(&"tls_version no TLS"), "{text}");
    let websockets = block(text, "listener port 9001");
    assert!(websockets.contains(&"websockets_origin https://a.example"), "{text}");
    for option in options().filter(|option| option.status == Status::Supported) {
        let is_shown =
            |lines: &[&str]| lines.iter().any(|line| line.split(' ').next() == Some(option.name));
        let is_of_a_listener = matches!(option.scope, Scope::Listener | Scope::OwnListener);
        if is_of_a_listener {
            assert!(is_shown(&secure) && is_shown(&pages) && is_shown(&websockets), "{text}");
        }
        let is_about_reading =
            ["bind_address", "include_dir", "listener", "per_listener_settings", "port"];
        let is_there =
            is_shown(&broker) || is_shown(&secure) || is_about_reading.contains(&option.name);
        assert!(is_there || option.name == "worker_threads", "{}: {text}", option.name);
    }
    let key = fs::read_to_string(own("server.key")).expect("a key");
    let key = key.lines().nth(1).expect("a line of the key");
    for secret in [TOKEN, SECRET, key, USER] {
        assert!(!text.contains(secret) && !outcome.stderr.contains(secret), "{outcome:?}");
    }
}
