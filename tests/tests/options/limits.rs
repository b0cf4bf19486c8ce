//! Options that bound what clients may have, send and take up.

use super::OPEN;
use super::PAGES;
use super::enter;
use super::metric;
use super::reason;
use halyard_core::packet::Packet;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::connect;
use halyard_tests::request;

const V5: Version = Version::V5;
const OK: ReasonCode = ReasonCode::Success;

#[test]
fn global_max_clients_counts_sessions() {
    let broker = Broker::spawn(&format!("global_max_clients 2\n{OPEN}"));
    let mut lasting = connect("lasting", V5);
    lasting.properties.session_expiry_interval = Some(600);
    let (mut client, answer) = enter(broker.mqtt(), &lasting);
    assert_eq!(answer, OK);
    client.disconnect();
    assert!(client.until_closed().is_empty());
    let (_second, answer) = enter(broker.mqtt(), &connect("second", V5));
    assert_eq!(answer, OK);
    let (_, answer) = enter(broker.mqtt(), &connect("third", V5));
    assert_eq!(answer, ReasonCode::QuotaExceeded);
}

#[test]
fn max_client_id_length_is_in_bytes() {
    let broker = Broker::spawn(&format!("max_client_id_length 4\n{OPEN}"));
    let answer = |client_id| enter(broker.mqtt(), &connect(client_id, V5)).1;
    assert_eq!(answer("four"), OK);
    assert_eq!(answer("fünf"), ReasonCode::ClientIdentifierNotValid);
}

#[test]
fn max_takeover_rate_ends_a_chase() {
    let broker = Broker::spawn(&format!("max_takeover_rate 1\n{OPEN}"));
    let mut answers = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..5 {
        let (client, answer) = enter(broker.mqtt(), &connect("same", V5));
        kept.push(client);
        answers.push(answer);
    }
    assert_eq!(answers[..2], [OK, OK]);
    assert!(answers.contains(&ReasonCode::ConnectionRateExceeded), "{answers:?}");
}

#[test]
fn max_byte_rate_slows_a_client_down_and_drops_nothing() {
    let broker = Broker::spawn(&format!("max_byte_rate 100000\n{OPEN}"));
    let mut reader = broker.connect();
    reader.connect("reader", V5);
    reader.subscribe("t", QoS::AtMostOnce);
    let mut writer = broker.connect();
    writer.connect("writer", V5);
    let start = std::time::Instant::now();
    // Four seconds' worth, of which one is free.
    for _ in 0..40 {
        writer.publish("t", &[b'x'; 10_000]);
    }
    for _ in 0..40 {
        reader.receive();
    }
    let took = start.elapsed().as_secs_f64();
    assert!(took > 2.0, "{took}");
}

#[test]
fn output_high_water_is_from_where_a_client_counts_as_slow() {
    // 40 MB of QoS 0 that nobody reads: more than the buffers of the system take.
    let dropped = |lines: &str| {
        let config = format!("{lines}memory_limit 0\n{OPEN}{PAGES}");
        let broker = Broker::spawn(&config);
        let mut sleeper = broker.connect();
        sleeper.connect("sleeper", V5);
        sleeper.subscribe("t", QoS::AtMostOnce);
        let mut writer = broker.connect();
        writer.connect("writer", V5);
        for _ in 0..400 {
            writer.publish("t", &[b'x'; 100_000]);
        }
        writer.ping();
        metric(&broker, "halyard_dropped_messages_total{cause=\"slow_consumer\"} ")
    };
    assert!(dropped("output_high_water 65536\noutput_low_water 1024\n") > 100);
    assert_eq!(dropped("output_high_water 100000000\n"), 0);
}

/// How many messages of 100 kB a slow client has to read until it no longer counts as one.
fn reads_until_served(low: u32) -> u32 {
    let marks = format!("output_high_water 20000000\noutput_low_water {low}\n");
    let broker = Broker::spawn(&format!("{marks}{OPEN}{PAGES}"));
    let slow = || metric(&broker, "halyard_dropped_messages_total{cause=\"slow_consumer\"} ");
    let mut sleeper = broker.connect();
    sleeper.connect("sleeper", V5);
    sleeper.subscribe("t", QoS::AtMostOnce);
    let mut writer = broker.connect();
    writer.connect("writer", V5);
    while slow() == 0 {
        for _ in 0..20 {
            writer.publish("t", &[b'x'; 100_000]);
        }
        writer.ping();
    }
    let mut reads = 0;
    loop {
        let before = slow();
        writer.publish("t", b"small");
        writer.ping();
        if slow() == before {
            return reads;
        }
        sleeper.receive();
        reads += 1;
    }
}

#[test]
fn output_low_water_is_from_where_it_no_longer_does() {
    let (low, high) = (reads_until_served(0), reads_until_served(19_000_000));
    assert!(low > high + 50, "{low} reads down to nothing, {high} down to 19 MB");
}

#[test]
fn message_size_limit_acknowledges_and_drops() {
    let broker = Broker::spawn(&format!("message_size_limit 10\n{OPEN}{PAGES}"));
    let mut client = broker.connect();
    client.connect("c", V5);
    client.subscribe("t", QoS::AtMostOnce);
    client.publish("t", b"eleven byte");
    client.publish("t", b"ten bytes.");
    let payload = client.receive().with(|packet| match packet {
        Packet::Publish(publish) => publish.payload.to_vec(),
        other => panic!("{other:?}"),
    });
    assert_eq!(payload, b"ten bytes.");
    let name = "halyard_dropped_messages_total{cause=\"over_size_limit\"} ";
    assert_eq!(metric(&broker, name), 1);
}

#[test]
fn max_packet_size_ends_the_connection_of_who_sends_more() {
    let broker = Broker::spawn(&format!("max_packet_size 1000\n{OPEN}"));
    let mut client = broker.connect();
    client.send_connect(&connect("c", V5));
    let told = client.receive().with(|packet| match packet {
        Packet::Connack(connack) => connack.properties.maximum_packet_size,
        other => panic!("{other:?}"),
    });
    assert_eq!(told, Some(1000));
    client.publish("t", &[b'x'; 1000]);
    assert_eq!(reason(&client.receive()), ReasonCode::PacketTooLarge);
}

#[test]
fn max_retained_messages_and_bytes_are_kept() {
    for (lines, kept) in [("max_retained_messages 3\n", 3), ("max_retained_bytes 400\n", 2)] {
        let broker = Broker::spawn(&format!("{lines}sys_interval 0\n{OPEN}{PAGES}"));
        let mut client = broker.connect();
        client.connect("c", V5);
        for number in 0..5 {
            client.send(&Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: true,
                topic: &format!("t/{number}"),
                packet_id: None,
                properties: PublishProperties::default(),
                payload: &[b'x'; 150],
            }));
        }
        client.ping();
        let found = metric(&broker, "halyard_retained ");
        assert!(found > 0 && found <= kept, "{lines}: {found}");
    }
}

#[test]
fn topic_watch_max_is_how_many_topics_are_counted_apart() {
    let api = "listener 0 127.0.0.1\nprotocol http_api\nadmin_api true\n";
    let broker = Broker::spawn(&format!("topic_watch_max 2\nsys_interval 0\n{OPEN}{api}"));
    let topics = || {
        let address = broker.addresses("http")[0];
        let text = format!("GET /api/v1/topics HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let page: serde_json::Value =
            serde_json::from_slice(&request(address, &text).body).expect("JSON");
        page
    };
    topics();
    let mut client = broker.connect();
    client.connect("c", V5);
    for topic in ["a", "b", "c", "d", "a"] {
        client.publish(topic, b"x");
    }
    client.ping();
    let page = topics();
    let levels = page["levels"].as_array().expect("levels").len();
    assert_eq!((levels, page["uncounted_messages"].as_u64()), (2, Some(2)), "{page}");
}

#[test]
fn upgrade_outgoing_qos_sends_at_the_qos_of_the_subscription() {
    for (line, expected) in [("false", QoS::AtMostOnce), ("true", QoS::AtLeastOnce)] {
        let broker = Broker::spawn(&format!("upgrade_outgoing_qos {line}\n{OPEN}"));
        let mut client = broker.connect();
        client.connect("c", V5);
        client.subscribe("t", QoS::AtLeastOnce);
        client.publish("t", b"x");
        let qos = client.receive().with(|packet| match packet {
            Packet::Publish(publish) => publish.qos,
            other => panic!("{other:?}"),
        });
        assert_eq!(qos, expected, "{line}");
    }
}

#[test]
fn receive_maximum_action_warn_counts_and_logs_once() {
    let lines = "max_inflight_messages 2\nreceive_maximum_action warn\n";
    let broker = Broker::spawn(&format!("{lines}{OPEN}{PAGES}"));
    let mut client = broker.connect();
    client.connect("eager", V5);
    for id in 1..=5 {
        client.send(&numbered(QoS::ExactlyOnce, id));
        client.receive();
    }
    assert_eq!(metric(&broker, "halyard_receive_maximum_exceeded_total "), 3);
    broker.wait_for_line(&["Client eager sends more at a time than its Receive Maximum of 2"]);
    let told = broker.log().iter().filter(|line| line.contains("Receive Maximum")).count();
    assert_eq!(told, 1, "{:#?}", broker.log());
}

#[test]
fn a_full_queue_is_counted_and_logged_once() {
    let broker = Broker::spawn(&format!("max_queued_messages 2\n{OPEN}{PAGES}"));
    let mut away = broker.connect();
    let mut hello = connect("away", V5);
    hello.properties.session_expiry_interval = Some(600);
    away.send_connect(&hello);
    away.receive();
    away.subscribe("t", QoS::AtLeastOnce);
    away.disconnect();
    assert!(away.until_closed().is_empty());
    let mut writer = broker.connect();
    writer.connect("writer", V5);
    for id in 1..=6 {
        writer.send(&numbered(QoS::AtLeastOnce, id));
        writer.receive();
    }
    assert_eq!(metric(&broker, "halyard_dropped_messages_total{cause=\"queue_full\"} "), 4);
    broker
        .wait_for_line(&["Outgoing messages are being dropped for client away: its queue is full"]);
    let told = broker.log().iter().filter(|line| line.contains("being dropped")).count();
    assert_eq!(told, 1, "{:#?}", broker.log());
}

fn numbered(qos: QoS, id: u16) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: "t",
        packet_id: halyard_core::packet::PacketId::new(id),
        properties: PublishProperties::default(),
        payload: b"x",
    })
}
