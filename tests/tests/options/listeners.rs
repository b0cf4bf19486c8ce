//! Options of listeners: where they listen, what they speak, what their clients get.

use super::OPEN;
use super::enter;
use super::reason;
use halyard_core::packet::Connect;
use halyard_core::packet::Packet;
use halyard_core::packet::PacketId;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
use halyard_tests::Stream;
use halyard_tests::connect;
use std::net::SocketAddr;
use std::net::TcpListener;

const V5: Version = Version::V5;

/// A port of this address that nobody uses.
fn free_port(address: &str) -> u16 {
    let socket = TcpListener::bind((address, 0)).expect("an address of this machine");
    socket.local_addr().expect("a bound socket").port()
}

#[test]
fn port_and_bind_address_make_the_default_listener() {
    let port = free_port("127.0.0.2");
    let config = format!("allow_anonymous true\nport {port}\nbind_address 127.0.0.2\n");
    let broker = Broker::spawn(&config);
    let expected: SocketAddr = format!("127.0.0.2:{port}").parse().expect("an address");
    assert_eq!(broker.addresses("mqtt"), [expected]);
    broker.connect().connect("c", V5);
}

#[test]
fn a_listener_is_a_port_at_an_address() {
    let port = free_port("127.0.0.3");
    let config = format!("allow_anonymous true\nlistener {port} 127.0.0.3\n");
    let broker = Broker::spawn(&config);
    let expected: SocketAddr = format!("127.0.0.3:{port}").parse().expect("an address");
    assert_eq!(broker.addresses("mqtt"), [expected]);
}

#[test]
fn bind_interface_and_socket_domain_choose_the_addresses() {
    let port = free_port("127.0.0.1");
    for (lines, expected) in [
        ("bind_interface lo\nsocket_domain ipv4\n", "127.0.0.1"),
        ("socket_domain ipv4\n", "0.0.0.0"),
    ] {
        let config = format!("allow_anonymous true\nlistener {port}\n{lines}");
        let broker = Broker::spawn(&config);
        let expected: SocketAddr = format!("{expected}:{port}").parse().expect("an address");
        assert_eq!(broker.addresses("mqtt"), [expected], "{lines}");
    }
    let both =
        Broker::spawn(&format!("allow_anonymous true\nlistener {port}\nbind_interface lo\n"));
    assert!(both.addresses("mqtt").iter().all(|address| address.ip().is_loopback()));
}

#[test]
fn protocol_is_what_the_listener_speaks() {
    let config = format!(
        "{OPEN}protocol mqtt\nlistener 0 127.0.0.1\nprotocol websockets\nlistener 0 127.0.0.1\n\
         protocol http_api\n"
    );
    let broker = Broker::spawn(&config);
    for scheme in ["mqtt", "ws", "http"] {
        assert_eq!(broker.addresses(scheme).len(), 1, "{scheme}");
    }
    broker.connect().connect("mqtt", V5);
    let mut over_websocket = Client::new(halyard_tests::WebSocket::open(broker.ws()));
    over_websocket.connect("ws", V5);
}

#[test]
fn http_dir_serves_the_files_of_a_folder() {
    let folder = std::env::temp_dir().join(format!("halyard-http-dir-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("index.html"), "<p>Our own page</p>").expect("a file");
    std::fs::write(folder.join("app.js"), "x".repeat(3_000_000)).expect("a file");
    let place = folder.display();
    let config = format!(
        "user root\nallow_anonymous true\nlistener 0 127.0.0.1\nprotocol http_api\nhttp_dir {place}\n\
         listener 0 127.0.0.1\nprotocol websockets\nhttp_dir {place}\n"
    );
    let broker = Broker::spawn(&config);
    let get = |address: SocketAddr, path: &str| {
        let text = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        halyard_tests::request(address, &text)
    };
    for address in [broker.addresses("http")[0], broker.ws()] {
        let page = get(address, "/");
        assert_eq!((page.status, &*page.body), (200, &b"<p>Our own page</p>"[..]));
        assert!(page.head.contains("Content-Type: text/html"), "{}", page.head);
        let script = get(address, "/app.js");
        assert_eq!((script.status, script.body.len()), (200, 3_000_000));
        assert!(script.head.contains("Content-Type: text/javascript"), "{}", script.head);
        for path in ["/../Cargo.toml", "/%2e%2e/etc/passwd", "/none"] {
            assert_eq!(get(address, path).status, 404, "{path}");
        }
    }
    assert_eq!(get(broker.addresses("http")[0], "/health").status, 200);
    Client::new(halyard_tests::WebSocket::open(broker.ws())).connect("c", V5);
    // A reload brings what is there now.
    std::fs::write(folder.join("new.txt"), "new").expect("a file");
    broker.signal("HUP");
    halyard_tests::wait_until("the new file", || {
        (get(broker.ws(), "/new.txt").status == 200).then_some(())
    });
    std::fs::remove_dir_all(&folder).expect("it is ours");
    let outcome = halyard_tests::Setup::default().config(&config).run();
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("halyard.conf:3: error: http_dir: "), "{outcome:?}");
}

#[test]
fn accept_protocol_versions_refuses_the_others() {
    let broker = Broker::spawn(&format!("{OPEN}accept_protocol_versions 3, 5\n"));
    broker.connect().connect("five", V5);
    broker.connect().connect("three", Version::V3);
    let mut refused = broker.connect();
    refused.send_connect(&connect("four", Version::V4));
    // 3.1.1: unacceptable protocol version.
    assert_eq!(refused.receive().bytes(), [0x20, 2, 0, 1]);
    assert!(refused.until_closed().is_empty());
}

/// What a 5.0 client is told of QoS, and what becomes of a message that has more.
fn maximum_qos(address: SocketAddr) -> (Option<u8>, ReasonCode) {
    let mut client = Client::new(Stream::tcp(address));
    client.send_connect(&connect("q", V5));
    let told = client.receive().with(|packet| match packet {
        Packet::Connack(connack) => connack.properties.maximum_qos.map(|qos| qos as u8),
        other => panic!("{other:?}"),
    });
    client.send(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "t",
        packet_id: PacketId::new(1),
        properties: PublishProperties::default(),
        payload: b"x",
    }));
    (told, reason(&client.receive()))
}

#[test]
fn max_qos_is_told_and_kept_under_either_name() {
    let broker = Broker::spawn(&format!("{OPEN}max_qos 1\nlistener 0 127.0.0.1\nmaximum_qos 0\n"));
    for (address, max) in broker.addresses("mqtt").into_iter().zip([1, 0]) {
        assert_eq!(maximum_qos(address), (Some(max), ReasonCode::QoSNotSupported));
    }
}

#[test]
fn mount_point_stands_before_the_topics_of_its_clients() {
    let broker = Broker::spawn(&format!("{OPEN}listener 0 127.0.0.1\nmount_point site/\n"));
    let [all, mounted] = broker.addresses("mqtt")[..] else { panic!("{:?}", broker.log()) };
    let (mut reader, _) = enter(all, &connect("reader", V5));
    reader.subscribe("#", QoS::AtMostOnce);
    let (mut inside, _) = enter(mounted, &connect("inside", V5));
    inside.subscribe("t", QoS::AtMostOnce);
    inside.publish("t", b"x");
    let topic = |client: &mut Client| {
        client.receive().with(|packet| match packet {
            Packet::Publish(publish) => publish.topic.to_owned(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!((topic(&mut reader), topic(&mut inside)), ("site/t".into(), "t".into()));
}

#[test]
fn use_username_as_clientid_gives_a_user_one_session() {
    let broker = Broker::spawn(&format!("{OPEN}use_username_as_clientid true\n"));
    let ann = |client_id| Connect { username: Some("ann"), ..connect(client_id, V5) };
    let (mut first, in_order) = enter(broker.mqtt(), &ann("one"));
    assert_eq!(in_order, ReasonCode::Success);
    let (_second, in_order) = enter(broker.mqtt(), &ann("two"));
    assert_eq!(in_order, ReasonCode::Success);
    assert_eq!(reason(&first.receive()), ReasonCode::SessionTakenOver);
    let (_, nameless) = enter(broker.mqtt(), &connect("three", V5));
    assert!(nameless.is_error(), "{nameless:?}");
}

#[test]
fn auto_id_prefix_begins_assigned_identifiers_and_a_listener_may_have_its_own() {
    let config = format!(
        "auto_id_prefix plant-\n{OPEN}listener 0 127.0.0.1\n\
                          listener_auto_id_prefix door-\n"
    );
    let broker = Broker::spawn(&config);
    for (address, prefix) in broker.addresses("mqtt").into_iter().zip(["plant-", "door-"]) {
        let mut client = Client::new(Stream::tcp(address));
        client.send_connect(&connect("", V5));
        let assigned = client.receive().with(|packet| match packet {
            Packet::Connack(connack) => {
                connack.properties.assigned_client_identifier.map(str::to_owned)
            }
            other => panic!("{other:?}"),
        });
        assert!(assigned.as_ref().is_some_and(|id| id.starts_with(prefix)), "{assigned:?}");
    }
}

#[test]
fn retain_available_false_is_told_and_kept() {
    let broker = Broker::spawn(&format!("{OPEN}retain_available false\n"));
    let mut client = broker.connect();
    client.send_connect(&connect("r", V5));
    let told = client.receive().with(|packet| match packet {
        Packet::Connack(connack) => connack.properties.retain_available,
        other => panic!("{other:?}"),
    });
    assert_eq!(told, Some(false));
    client.send(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: true,
        topic: "t",
        packet_id: None,
        properties: PublishProperties::default(),
        payload: b"x",
    }));
    assert_eq!(reason(&client.receive()), ReasonCode::RetainNotSupported);
}
