//! The PROXY protocol before MQTT, TLS and WebSocket: the address that it tells, who may send it, and
//! what a bad header does (hostile input 55).

mod tls_support;

use halyard_core::packet::Version;
use halyard_tests::{Broker, Client, WebSocket, handshake};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use tls_support::{Pki, over, tcp};

const OPEN: &str = "allow_anonymous true\nlog_type all\nuser root\nconnect_timeout 2\n";
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 1883\r\n";
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c";

fn v2(command: u8, fields: &[u8]) -> Vec<u8> {
    let mut rest = vec![192, 0, 2, 8, 10, 0, 0, 1, 0xC0, 2, 0, 0];
    rest.extend(fields);
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, 0x11, 0, u8::try_from(rest.len()).unwrap()]);
    bytes.extend(rest);
    bytes
}

/// TLS to the proxy with a certificate of this name that it found good.
fn tls_of(name: &str) -> Vec<u8> {
    let len = u8::try_from(name.len()).unwrap();
    let mut field = vec![0x20, 0, len + 8, 7, 0, 0, 0, 0, 0x22, 0, len];
    field.extend(name.as_bytes());
    field
}

fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut socket = tcp(address);
    socket.write_all(bytes).unwrap();
    socket
}

fn enters(mut socket: TcpStream) -> bool {
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).is_ok() && answer == *b"\x20\x02\x00\x00"
}

#[test]
fn the_client_has_the_address_that_the_proxy_tells() {
    let broker = Broker::spawn(&format!(
        "{OPEN}listener 0 127.0.0.1\nenable_proxy_protocol 1\n\
         listener 0 127.0.0.1\nenable_proxy_protocol 2\nproxy_protocol_trusted 127.0.0.0/8\n"
    ));
    let [one, two] = broker.addresses("mqtt")[..] else { panic!("two listeners") };
    assert!(enters(send(one, &[V1, CONNECT].concat())));
    broker.wait_for_line(&["New client connected from 192.0.2.7:49153 as c"]);
    // Cut anywhere.
    let mut socket = tcp(two);
    for byte in [&v2(0x21, &[])[..], CONNECT].concat() {
        socket.write_all(&[byte]).unwrap();
    }
    assert!(enters(socket));
    broker.wait_for_line(&["New client connected from 192.0.2.8:49154 as c"]);
    // A health check of the proxy itself.
    let socket = send(two, &[&v2(0x20, &[])[..], CONNECT].concat());
    let own = socket.local_addr().unwrap().to_string();
    assert!(enters(socket));
    broker.wait_for_line(&["New client connected from ", &own]);
}

#[test]
fn a_header_comes_before_tls_and_before_a_websocket() {
    let pki = Pki::new();
    let proxied = "enable_proxy_protocol 1";
    let config = format!(
        "{OPEN}{}{}",
        pki.listener(proxied),
        pki.listener(&format!("{proxied}\nprotocol websockets"))
    );
    let broker = Broker::spawn(&config);
    // The header and the first bytes of TLS come as one.
    let address = broker.addresses("mqtts")[0];
    let mut stream = over(tcp(address), pki.config(None));
    let mut hello = V1.to_vec();
    stream.conn.write_tls(&mut hello).unwrap();
    stream.sock.write_all(&hello).unwrap();
    Client::new(stream).connect("secure", Version::V5);
    broker.wait_for_line(&["New client connected from 192.0.2.7:49153 as secure"]);
    let address = broker.addresses("wss")[0];
    let mut stream = over(send(address, V1), pki.config(None));
    let request = handshake("/mqtt", address, "Sec-WebSocket-Protocol: mqtt\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(&halyard_tests::frame(0x82, CONNECT)).unwrap();
    broker.wait_for_line(&["New client connected from 192.0.2.7:49153 as c"]);
}

#[test]
fn a_bad_header_ends_its_connection_and_none_is_waited_for_in_vain() {
    let broker = Broker::spawn(&format!(
        "{OPEN}listener 0 127.0.0.1\nenable_proxy_protocol 2\nlistener 0 127.0.0.1\n"
    ));
    let [proxied, plain] = broker.addresses("mqtt")[..] else { panic!("two listeners") };
    let long = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; 100]].concat();
    let cases: [(&[u8], &str); 5] = [
        (CONNECT, "there is no PROXY header"),
        (V1, "of another version"),
        (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", "unknown version or command"),
        (&long, "too long"),
        (&v2(0x21, &[4, 0]), "do not fit"),
    ];
    for (bytes, cause) in cases {
        assert!(!enters(send(proxied, bytes)), "{cause}");
        broker.wait_for_line(&["127.0.0.1:", "failed: ", cause]);
    }
    // It says nothing: one deadline for all of it.
    let mut silent = send(proxied, &v2(0x21, &[])[..9]);
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    broker.wait_for_line(&["closed: no PROXY header in time"]);
    // Where no header is expected it is no MQTT.
    assert!(!enters(send(plain, &[V1, CONNECT].concat())));
}

#[test]
fn only_trusted_proxies_are_believed() {
    let broker = Broker::spawn(&format!(
        "{OPEN}listener 0 127.0.0.1\nenable_proxy_protocol 1\nproxy_protocol_trusted 10.0.0.0/8\n"
    ));
    assert!(!enters(send(broker.mqtt(), &[V1, CONNECT].concat())));
    broker.wait_for_line(&["127.0.0.1:", "proxy_protocol_trusted"]);
    assert!(!broker.has_line("192.0.2.7"));
}

#[test]
fn what_the_client_did_at_the_proxy_may_be_required() {
    let broker = Broker::spawn(&format!(
        "{OPEN}listener 0 127.0.0.1\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n\
         listener 0 127.0.0.1\nenable_proxy_protocol 2\nrequire_certificate true\n\
         use_identity_as_username true\n"
    ));
    let [secure, named] = broker.addresses("mqtt")[..] else { panic!("two listeners") };
    let bare = v2(0x21, &[]);
    let by_tls = v2(0x21, &[0x20, 0, 5, 1, 0, 0, 0, 0]);
    let by_name = v2(0x21, &tls_of("d1"));
    for (address, header, expected) in [
        (secure, &bare, false),
        (secure, &by_tls, true),
        (named, &bare, false),
        (named, &by_tls, false),
        (named, &v2(0x21, &tls_of("d\n1")), false),
        (named, &by_name, true),
    ] {
        let entered = enters(send(address, &[header, CONNECT].concat()));
        assert_eq!(entered, expected, "{header:?}");
    }
}

#[test]
fn limits_count_the_clients_and_not_their_proxy() {
    let broker = Broker::spawn(&format!(
        "{OPEN}max_connections_per_address 1\nlistener 0 127.0.0.1\nenable_proxy_protocol 1\n"
    ));
    let from = |address: &str| {
        let mut socket = tcp(broker.mqtt());
        let header = format!("PROXY TCP4 {address} 10.0.0.1 1 2\r\n");
        socket.write_all(&[header.as_bytes(), CONNECT].concat()).unwrap();
        socket
    };
    let first = from("192.0.2.1");
    broker.wait_for_line(&["connected from 192.0.2.1:1"]);
    assert!(!enters(from("192.0.2.1")));
    broker.wait_for_line(&["192.0.2.1:1 failed: max_connections_per_address exceeded"]);
    assert!(enters(from("192.0.2.2")));
    drop(first);
}

#[test]
fn what_a_request_says_of_its_address_is_not_believed() {
    let broker = Broker::spawn(&format!("{OPEN}listener 0 127.0.0.1\nprotocol websockets\n"));
    let fields = "Sec-WebSocket-Protocol: mqtt\r\nX-Forwarded-For: 203.0.113.9\r\n\
                  X-Real-IP: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n";
    let socket = WebSocket::open_with(broker.ws(), "/mqtt", fields).expect("an upgrade");
    let mut client = Client::new(socket);
    client.connect("behind", Version::V5);
    broker.wait_for_line(&["New client connected from 127.0.0.1:", "as behind"]);
    assert!(!broker.log().iter().any(|line| line.contains("203.0.113.9")));
}
