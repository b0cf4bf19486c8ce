//! The admin API of the real binary: off unless it is configured, for who has the token, and every
//! route with what it shows and does.

use halyard_core::packet::Packet;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Setup;
use halyard_tests::connect;
use halyard_tests::request;
use halyard_tests::wait_until;
use serde_json::Value;
use serde_json::json;

const MQTT: &str = "allow_anonymous true\nlistener 0 127.0.0.1\n";
const API: &str = "listener 0 127.0.0.1\nprotocol http_api\nadmin_api true\n";

fn broker() -> Broker {
    Broker::spawn(&format!("{MQTT}{API}"))
}

fn ask_with(broker: &Broker, what: &str, fields: &str, body: &str) -> (u16, Value) {
    let address = broker.addresses("http")[0];
    let length = body.len();
    let response = request(
        address,
        &format!(
            "{what} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        ),
    );
    let value = serde_json::from_slice(&response.body);
    (response.status, value.unwrap_or_else(|_| panic!("no JSON: {response:?}")))
}

/// A request that succeeds: `GET /clients`.
fn ask(broker: &Broker, method: &str, path: &str) -> Value {
    let (status, value) = ask_with(broker, &format!("{method} /api/v1{path}"), "", "");
    assert_eq!(status, 200, "{method} {path}: {value}");
    value
}

#[test]
fn it_is_off_unless_it_is_configured() {
    let config = format!("{MQTT}listener 0 127.0.0.1\nprotocol http_api\n");
    for broker in [Broker::local(), Broker::spawn(&config)] {
        for address in broker.addresses("http").into_iter().take(1) {
            for (method, path) in [("GET", "clients"), ("POST", "publish"), ("DELETE", "clients/a")]
            {
                let text = format!("{method} /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
                let status = request(address, &text).status;
                assert!([404, 405].contains(&status), "{method} {path}: {status}");
            }
        }
    }
}

#[test]
fn it_cannot_be_left_open_to_others_by_accident() {
    let run = |config: &str| Setup::default().config(config).args(&["--test-config"]).run();
    let open = run("listener 9001\nprotocol http_api\nadmin_api true\n");
    assert_eq!(open.code, Some(3));
    assert!(open.stderr.contains("admin_token_file"), "{}", open.stderr);
    let wrong = run("listener 9001 127.0.0.1\nadmin_api true\n");
    assert!(wrong.stderr.contains("protocol http_api"), "{}", wrong.stderr);
    let no_file =
        run("listener 9001\nprotocol http_api\nadmin_api true\nadmin_token_file @DIR@/none\n");
    assert_eq!(no_file.code, Some(3), "{}", no_file.stderr);
    assert!(no_file.stderr.contains("admin_token_file"), "{}", no_file.stderr);
    let short = run(
        "listener 9001\nprotocol http_api\nadmin_api true\nadmin_token_file @DIR@/halyard.conf\n",
    );
    assert_eq!(short.code, Some(3), "{}", short.stderr);
    assert!(short.stderr.contains("16 or more"), "{}", short.stderr);
}

#[test]
fn a_token_is_asked_for_and_may_be_changed_by_a_reload() {
    let folder = std::env::temp_dir().join(format!("halyard-token-{}", std::process::id()));
    std::fs::write(&folder, "first-token-of-the-test\n").unwrap();
    let broker = Broker::spawn(&format!("{MQTT}{API}admin_token_file {}\n", folder.display()));
    let status = |token: &str| {
        let fields = format!("Authorization: Bearer {token}\r\n");
        ask_with(&broker, "GET /api/v1/stats", &fields, "").0
    };
    assert_eq!(ask_with(&broker, "GET /api/v1/stats", "", "").0, 401);
    assert_eq!((status("first-token-of-the-test"), status("second-token-of-the-test")), (200, 401));
    std::fs::write(&folder, "second-token-of-the-test\n").unwrap();
    broker.signal("HUP");
    wait_until("the new token", || (status("second-token-of-the-test") == 200).then_some(()));
    assert_eq!(status("first-token-of-the-test"), 401);
    std::fs::remove_file(&folder).unwrap();
}

#[test]
fn the_file_of_a_token_is_judged_as_one_of_passwords() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = std::env::temp_dir().join(format!("halyard-token-mode-{}", std::process::id()));
    std::fs::write(&file, "first-token-of-the-test\n").unwrap();
    let config = format!("{MQTT}{API}admin_token_file {}\n", file.display());
    for (mode, code, said) in [
        (0o600, 0, None),
        (0o644, 0, Some("warning: others may read")),
        (0o666, 3, Some("error: anybody may write")),
    ] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let outcome = Setup::default().config(&config).args(&["--test-config"]).run();
        assert_eq!(outcome.code, Some(code), "{mode:o} {outcome:?}");
        let line = outcome.stderr.lines().find(|line| line.contains(&*file.to_string_lossy()));
        assert_eq!(line.is_some(), said.is_some(), "{mode:o} {outcome:?}");
        assert!(line.is_none_or(|line| line.contains(said.unwrap())), "{mode:o} {outcome:?}");
    }
    std::fs::remove_file(file).unwrap();
}

/// Nor is it served meanwhile without its token: the lines that named it are gone with it.
#[test]
fn a_listener_that_a_reload_no_longer_names_is_closed() {
    let setup = Setup::default().file("token", "first-token-of-the-test\n");
    let broker = setup.config(&format!("{MQTT}{API}admin_token_file @DIR@/token\n")).start();
    let status = |fields: &str| ask_with(&broker, "GET /api/v1/stats", fields, "").0;
    let token = "Authorization: Bearer first-token-of-the-test\r\n";
    assert_eq!((status(token), status("")), (200, 401));
    let file = broker.folder().join("halyard.conf");
    std::fs::write(&file, MQTT).unwrap();
    broker.signal("HUP");
    let api = broker.addresses("http")[0];
    wait_until("the end of the listener", || std::net::TcpStream::connect(api).err());
    broker.connect().connect("still-here", Version::V4);
}

#[test]
fn clients_are_listed_inspected_and_kicked() {
    let broker = broker();
    let mut client = broker.connect();
    let mut hello = connect("a/1 ü", Version::V5);
    hello.properties.session_expiry_interval = Some(300);
    hello.keep_alive = 60;
    client.send_connect(&hello);
    client.receive();
    client.subscribe("in/#", QoS::ExactlyOnce);
    let list = ask(&broker, "GET", "/clients?limit=10");
    assert_eq!(list["clients"][0]["client_id"], "a/1 ü");
    assert_eq!(list["clients"][0]["connected"], true);
    assert_eq!(list["next"], Value::Null);

    let name = "a%2F1%20%C3%BC";
    let detail = ask(&broker, "GET", &format!("/clients/{name}"));
    assert_eq!(detail["version"], "5.0");
    assert_eq!(detail["session"]["expiry_interval_seconds"], 300);
    assert_eq!(detail["connection"]["keep_alive_seconds"], 60);
    assert!(detail["connection"]["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{detail}");
    let subscriptions = ask(&broker, "GET", &format!("/clients/{name}/subscriptions"));
    assert_eq!(subscriptions["subscriptions"][0]["filter"], "in/#");
    assert_eq!(subscriptions["subscriptions"][0]["qos"], 2);

    // It does not acknowledge: the message stays in flight, and behind 20 of them others queue.
    for n in 0..22 {
        let body = json!({"topic": "in/x", "payload": format!("{n}"), "qos": 1}).to_string();
        assert_eq!(ask_with(&broker, "POST /api/v1/publish", "", &body).0, 200);
    }
    let inflight = ask(&broker, "GET", &format!("/clients/{name}/inflight?limit=2&skip=18"));
    assert_eq!(inflight["messages"].as_array().unwrap().len(), 2, "{inflight}");
    assert_eq!(inflight["messages"][0]["waits_for"], "puback");
    assert_eq!(inflight["messages"][1]["packet_id"], 20);
    let queue = ask(&broker, "GET", &format!("/clients/{name}/queue?limit=1"));
    assert_eq!(queue["messages"][0]["topic"], "in/x");
    assert_eq!(queue["more"], true);

    assert_eq!(ask(&broker, "DELETE", &format!("/clients/{name}"))["done"], true);
    let last = client.until_closed();
    last.last().unwrap().with(|packet| {
        let Packet::Disconnect(disconnect) = packet else { panic!("{packet:?}") };
        assert_eq!(disconnect.reason, ReasonCode::AdministrativeAction);
    });
    let (status, _) = ask_with(&broker, &format!("DELETE /api/v1/clients/{name}"), "", "");
    assert_eq!(status, 404, "it is gone");
    let detail = ask(&broker, "GET", &format!("/clients/{name}"));
    assert_eq!((&detail["connected"], &detail["connection"]), (&json!(false), &Value::Null));
    assert_eq!(ask_with(&broker, "GET /api/v1/clients/nobody", "", "").0, 404);
}

#[test]
fn a_listing_is_gone_through_page_by_page() {
    let broker = broker();
    let mut clients: Vec<_> = (0..25).map(|_| broker.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.connect(&format!("c{n}"), Version::V4);
    }
    let (mut names, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = ask(&broker, "GET", &format!("/clients?limit=10{cursor}"));
        let rows = page["clients"].as_array().unwrap();
        assert!(rows.len() <= 10);
        names.extend(rows.iter().map(|row| row["client_id"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    names.sort();
    names.dedup();
    assert_eq!((names.len(), pages), (25, 3));
}

#[test]
fn retained_messages_are_listed_and_cleared() {
    let broker = broker();
    for (topic, payload) in [("r/a", "one"), ("r/b", "two"), ("other", "three")] {
        let body = json!({"topic": topic, "payload": payload, "retain": true}).to_string();
        assert_eq!(ask_with(&broker, "POST /api/v1/publish", "", &body).0, 200);
    }
    let topics = |page: &Value| -> Vec<String> {
        let rows = page["retained"].as_array().unwrap();
        rows.iter().map(|row| row["topic"].as_str().unwrap().to_owned()).collect()
    };
    let page = ask(&broker, "GET", "/retained?filter=r/%2B");
    assert_eq!(topics(&page), ["r/a", "r/b"]);
    assert_eq!(page["retained"][0]["payload"], "one");
    let first = ask(&broker, "GET", "/retained?limit=1");
    assert_eq!((topics(&first), &first["next"]), (vec!["other".to_owned()], &json!("other")));
    assert_eq!(topics(&ask(&broker, "GET", "/retained?after=other")), ["r/a", "r/b"]);
    assert_eq!(ask(&broker, "DELETE", "/retained?filter=r/a")["cleared"], 1);
    assert_eq!(topics(&ask(&broker, "GET", "/retained")), ["other", "r/b"]);
    assert_eq!(ask_with(&broker, "DELETE /api/v1/retained", "", "").0, 400, "not all at once");
}

#[test]
fn the_tree_of_topics_shows_what_is_published_where() {
    let broker = broker();
    assert_eq!(ask(&broker, "GET", "/topics")["levels"], json!([]), "nothing was counted yet");
    let mut publisher = broker.connect();
    publisher.connect("publisher", Version::V4);
    for _ in 0..3 {
        publisher.publish("house/kitchen/light", b"12345");
        publisher.publish("house/door", b"1");
    }
    let page = wait_until("all to be counted", || {
        let page = ask(&broker, "GET", "/topics");
        (page["levels"][0]["messages"] == 6).then_some(page)
    });
    assert_eq!(page["levels"][0]["level"], "house");
    assert_eq!(page["levels"][0]["bytes"], 18);
    assert!(page["levels"][0]["messages_per_second"].as_f64().unwrap() > 0.0);
    let below = ask(&broker, "GET", "/topics?parent=house");
    let levels: Vec<&str> = below["levels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["level"].as_str().unwrap())
        .collect();
    assert_eq!(levels, ["door", "kitchen"]);
    assert_eq!(below["levels"][0]["is_topic"], true);
    assert_eq!(below["levels"][1]["is_topic"], false);
}

#[test]
fn a_message_that_may_not_be_published_is_refused_with_the_reason() {
    let broker =
        Broker::spawn(&format!("message_size_limit 10\n{MQTT}{API}admin_max_body_size 1024\n"));
    let publish = |body: &str| {
        let (status, value) = ask_with(&broker, "POST /api/v1/publish", "", body);
        (status, value["error"].as_str().unwrap_or("").to_owned())
    };
    for (body, status, text) in [
        ("{\"topic\":\"a/#\"}".to_owned(), 400, "Topic Name"),
        ("{\"topic\":\"$SYS/x\"}".to_owned(), 403, "$SYS"),
        ("{\"topic\":\"a\",\"payload\":\"12345678901\"}".to_owned(), 413, "message_size_limit"),
        ("x".repeat(1025), 413, "admin_max_body_size"),
        ("not json".to_owned(), 400, "topic"),
    ] {
        let (given, error) = publish(&body);
        assert!(given == status && error.contains(text), "{body}: {given} {error}");
    }
}

#[test]
fn the_description_is_served_and_counters_are_told() {
    let broker = broker();
    assert_eq!(ask(&broker, "GET", "/openapi.json")["openapi"], "3.1.0");
    let stats = ask(&broker, "GET", "/stats");
    assert_eq!(stats["clients_connected"], 0);
    assert_eq!(stats["drops"]["queue_full"], 0);
    let (status, error) = ask_with(&broker, "GET /api/v1/nothing", "", "");
    assert!(status == 404 && error["error"].as_str().unwrap().contains("openapi.json"), "{error}");
}

#[test]
fn a_decision_of_the_access_list_names_its_line() {
    let path = std::env::temp_dir().join(format!("halyard-explain-{}.acl", std::process::id()));
    std::fs::write(&path, "topic read open/#\n\nuser anna\ntopic write door/+\n").unwrap();
    let broker = Broker::spawn(&format!("acl_file {}\n{MQTT}{API}", path.display()));
    let mut client = broker.connect();
    client.connect("plain", Version::V4);
    let why = |query: &str| ask(&broker, "GET", &format!("/explain?{query}"));
    let read = why("client=plain&topic=open/x&access=read");
    assert_eq!((&read["allowed"], &read["line"]), (&json!(true), &json!(1)), "{read}");
    assert!(read["reason"].as_str().unwrap().contains(".acl:1"), "{read}");
    let write = why("client=plain&topic=open/x&access=write");
    assert_eq!((&write["allowed"], &write["line"]), (&json!(false), &Value::Null), "{write}");
    let anna = why("client=not-there&user=anna&topic=door/1&access=write");
    assert_eq!((&anna["allowed"], &anna["line"]), (&json!(true), &json!(4)), "{anna}");
    let (status, _) =
        ask_with(&broker, "GET /api/v1/explain?client=nobody&topic=a&access=read", "", "");
    assert_eq!(status, 404);
    std::fs::remove_file(&path).unwrap();
}
