//! What a connection costs when nothing happens on it: resident memory, over TCP and WebSocket, as
//! `halyard bench idle` measures it.

use halyard_tests::Setup;
use halyard_tests::run;

const CONNECTIONS: &str = "3000";
/// Bytes of resident memory that an idle connection may cost.
const BYTES_MAX: f64 = 4096.0;

#[test]
fn an_idle_connection_costs_at_most_4_kib() {
    let config = "allow_anonymous true\nlog_type information\nlistener 0 127.0.0.1\n\
                  listener 0 127.0.0.1\nprotocol websockets\n";
    for scheme in ["mqtt", "ws"] {
        let broker = Setup::default().config(config).start();
        let port = broker.addresses(scheme)[0].port().to_string();
        let pid = broker.pid().to_string();
        let mut args = vec!["bench", "idle", "--connections", CONNECTIONS, "--seconds", "1"];
        args.extend(["--json", "--port", &port, "--pid", &pid]);
        if scheme == "ws" {
            args.push("--ws");
        }
        let outcome = run(&args);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let bytes = number(&outcome.stdout, "bytes_per_connection");
        assert!(bytes > 100.0 && bytes <= BYTES_MAX, "{scheme}: {bytes} bytes\n{}", outcome.stdout);
    }
}

/// The number behind `"name":` in JSON text.
fn number(json: &str, name: &str) -> f64 {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{json}"));
    let digits = rest.trim_start().split([',', '}', '\n']).next().unwrap_or("");
    digits.trim().parse().unwrap_or_else(|_| panic!("{name} in {json}"))
}
