//! What attackers do to everybody else's latency, in short: while each attack goes on, a round trip of
//! others takes as long as beside the same attack on a sink that does nothing. The whole of it, with
//! figures, is `scripts/attacks.sh`.

// The tests run in real time: they may look at the clock.
#![allow(clippy::disallowed_types)]

mod tls_support;

use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Client;
use halyard_tests::Setup;
use rcgen::date_time_ymd;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use tls_support::Pki;

const ROUNDS: usize = 5;
const TRIPS: usize = 150;
/// What the attacked latency may be: twice the base, or this.
const FLOOR: Duration = Duration::from_millis(5);

type Attack<'a> = &'a (dyn Fn(SocketAddr, &AtomicBool) + Sync);

/// Does `act` until the attack is over, some hundred times a second.
fn paced(over: &AtomicBool, mut act: impl FnMut()) {
    while !over.load(Ordering::Relaxed) {
        act();
        thread::sleep(Duration::from_millis(2));
    }
}

fn dial(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(200))).ok()?;
    Some(stream)
}

/// The listeners: one for the others, one that is attacked.
const PLAIN: &str = "listener 0 127.0.0.1\nallow_anonymous true\n";
const PASSWORDS: &str = "listener 0 127.0.0.1\nallow_anonymous true\nlistener 0 127.0.0.1\n\
                         allow_anonymous false\npassword_file @DIR@/passwords\n";
const RIGHTS: &str = "listener 0 127.0.0.1\nallow_anonymous true\nlistener 0 127.0.0.1\n\
                      allow_anonymous true\nacl_file @DIR@/rights\n";

const HELLO: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x";

fn oversized(address: SocketAddr, over: &AtomicBool) {
    paced(over, || {
        let Some(mut stream) = dial(address) else { return };
        let mut answer = [0; 4];
        _ = stream.write_all(HELLO).and_then(|()| stream.read(&mut answer));
        _ = stream.write_all(&[&b"\x30\xff\xff\xff\x7f"[..], &[0; 20_000]].concat());
    });
}

fn half_open(address: SocketAddr, over: &AtomicBool) {
    let mut open = Vec::new();
    paced(over, || {
        if open.len() < 2000 {
            open.extend((0..20).filter_map(|_| dial(address)));
        }
    });
}

fn storm(address: SocketAddr, over: &AtomicBool) {
    paced(over, || {
        let Some(mut stream) = dial(address) else { return };
        let mut answer = [0; 4];
        _ = stream.write_all(HELLO).and_then(|()| stream.read(&mut answer));
    });
}

fn slow(address: SocketAddr, over: &AtomicBool) {
    let mut open: Vec<TcpStream> = (0..200).filter_map(|_| dial(address)).collect();
    let mut next = 0;
    paced(over, || {
        let count = open.len().max(1);
        if let Some(stream) = open.get_mut(next % count) {
            _ = stream.write_all(&HELLO[..1]);
        }
        next += 1;
    });
}

fn deaf(address: SocketAddr, over: &AtomicBool) {
    let (Some(mut deaf), Some(mut flood)) = (dial(address), dial(address)) else { return };
    let mut answer = [0; 4];
    _ = deaf.write_all(HELLO).and_then(|()| deaf.read(&mut answer));
    _ = deaf.write_all(b"\x82\x08\x00\x01\x00\x03d/#\x00");
    let hello = [&HELLO[..14], b"y"].concat();
    _ = flood.write_all(&hello).and_then(|()| flood.read(&mut answer));
    let mut publish = b"\x30\x94\x4e\x00\x03d/1".to_vec();
    publish.extend([b'x'; 10_000 - 1]);
    paced(over, || _ = flood.write_all(&publish));
}

/// Another password each time, for a user that there is.
fn wrong_password(address: SocketAddr, over: &AtomicBool) {
    let mut number = 0_u32;
    paced(over, || {
        let Some(mut stream) = dial(address) else { return };
        number += 1;
        // Clean Session, User Name and Password.
        let mut hello = b"\x10\x21\x00\x04MQTT\x04\xc2\x00\x00\x00\x01x\x00\x05alice".to_vec();
        hello.extend(format!("\0\x0bguess{number:06}").bytes());
        let mut answer = [0; 4];
        _ = stream.write_all(&hello).and_then(|()| stream.read(&mut answer));
    });
}

/// One handshake after the other with a certificate that is not good.
fn with_certificate(pki: &Pki, name: &str) -> impl Fn(SocketAddr, &AtomicBool) + Sync {
    let config = pki.config(Some(name));
    move |address, over| {
        paced(over, || {
            let Some(stream) = dial(address) else { return };
            let mut stream = tls_support::over(stream, config.clone());
            let mut answer = [0; 4];
            _ = stream.write_all(HELLO).and_then(|()| stream.read(&mut answer));
        });
    }
}

fn denied_topic(address: SocketAddr, over: &AtomicBool) {
    let Some(mut stream) = dial(address) else { return };
    let mut answers = [0; 4096];
    _ = stream.write_all(HELLO).and_then(|()| stream.read(&mut answers));
    _ = stream.set_nonblocking(true);
    let publish = [b"\x32\x53\x00\x0fforbidden/topic\x00\x01", &[b'x'; 64][..]].concat();
    let many = publish.repeat(20);
    let mut rest: &[u8] = &many;
    paced(over, || {
        while let Ok(1..) = stream.read(&mut answers) {}
        while let Ok(sent @ 1..) = stream.write(rest) {
            rest = &rest[sent..];
        }
        if rest.is_empty() {
            rest = &many;
        }
    });
}

/// Takes every connection, answers once, and reads whatever comes.
fn sink() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let reads = move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            _ = stream.write_all(b"\x20\x02\x00\x00");
            _ = stream.set_nonblocking(true);
            let mut buffer = [0; 65_536];
            open.push(stream);
            open.retain_mut(|stream| !matches!(stream.read(&mut buffer), Ok(0)));
        }
    };
    thread::Builder::new().spawn(reads).expect("a thread starts");
    address
}

/// The time within which 99 of 100 round trips of others were back.
fn round_trips(client: &mut Client) -> Duration {
    let mut times = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        let start = Instant::now();
        client.publish("others", b"x");
        client.receive();
        times.push(start.elapsed());
        thread::sleep(Duration::from_millis(1));
    }
    times.sort_unstable();
    times[TRIPS * 99 / 100]
}

fn attacked(client: &mut Client, attack: Attack<'_>, target: SocketAddr) -> Duration {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Attackers have machines of their own; here they step back behind the broker.
            rustix::process::nice(19).expect("a thread may step back");
            attack(target, &over);
        });
        thread::sleep(Duration::from_millis(100));
        let time = round_trips(client);
        over.store(true, Ordering::Relaxed);
        time
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn attackers_leave_the_latency_of_others_as_it_was() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    pki.client("expired", |params| params.not_after = date_time_ymd(2024, 1, 1));
    stranger.client("stranger", |_| {});
    for end in ["pem", "key"] {
        let file = format!("stranger.{end}");
        std::fs::copy(stranger.path(&file), pki.path(&file)).expect("a file of the stranger");
    }
    let certificates = format!("{PLAIN}{}allow_anonymous true\n", pki.strict(""));
    let stranger = with_certificate(&pki, "stranger");
    let expired = with_certificate(&pki, "expired");
    let attacks: [(&str, Attack<'_>, &str, &str); 9] = [
        ("wrong password", &wrong_password, PASSWORDS, "mqtt"),
        ("wrong certificate", &stranger, &certificates, "mqtts"),
        ("expired certificate", &expired, &certificates, "mqtts"),
        ("denied topic", &denied_topic, RIGHTS, "mqtt"),
        ("oversized packet", &oversized, PLAIN, "mqtt"),
        ("half-open connections", &half_open, PLAIN, "mqtt"),
        ("connect storm", &storm, PLAIN, "mqtt"),
        ("slow CONNECT", &slow, PLAIN, "mqtt"),
        ("subscriber that never reads", &deaf, PLAIN, "mqtt"),
    ];
    let passwords = halyard_tests::run(&["passwd", "-c", "-b", "-", "alice", "right"]).stdout;
    assert!(passwords.starts_with("alice:$argon2id$"), "{passwords}");
    for (name, attack, listeners, scheme) in attacks {
        let config = format!(
            "per_listener_settings true\nuser root\nlog_type none\nlog_type information\n\
             max_packet_size 200000\n{listeners}"
        );
        let files = Setup::default().file("passwords", &passwords);
        let broker = files.file("rights", "topic readwrite allowed/#\n").config(&config).start();
        let target = *broker.addresses(scheme).last().expect("a listener");
        let idle = sink();
        let mut client = broker.connect();
        client.connect("others", Version::V5);
        client.subscribe("others", QoS::AtMostOnce);
        let (mut base, mut times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            base.push(attacked(&mut client, attack, idle));
            times.push(attacked(&mut client, attack, target));
        }
        let (base, time) = (median(base), median(times));
        assert!(time <= FLOOR.max(base * 2), "{name}: p99 {time:?}, beside a sink {base:?}");
    }
}
