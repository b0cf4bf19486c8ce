//! What attackers do to everybody else's latency, in short: while each attack goes on, a round trip of
//! others takes as long as beside the same attack on a sink that does nothing. The whole of it, with
//! figures, is `scripts/attacks.sh`.

// The tests run in real time: they may look at the clock.
#![allow(clippy::disallowed_types)]

use halyard_core::packet::QoS;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Client;
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

const ROUNDS: usize = 5;
const TRIPS: usize = 150;
/// What the attacked latency may be: twice the base, or this.
const FLOOR: Duration = Duration::from_millis(5);

type Attack = fn(SocketAddr, &AtomicBool);

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

fn attacked(client: &mut Client, attack: Attack, target: SocketAddr) -> Duration {
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
    let attacks: [(&str, Attack); 5] = [
        ("oversized packet", oversized),
        ("half-open connections", half_open),
        ("connect storm", storm),
        ("slow CONNECT", slow),
        ("subscriber that never reads", deaf),
    ];
    for (name, attack) in attacks {
        let broker = Broker::spawn(
            "allow_anonymous true\nlog_type none\nlog_type information\nmax_packet_size 200000\n\
             listener 0 127.0.0.1\n",
        );
        let idle = sink();
        let mut client = broker.connect();
        client.connect("others", Version::V5);
        client.subscribe("others", QoS::AtMostOnce);
        let (mut base, mut times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            base.push(attacked(&mut client, attack, idle));
            times.push(attacked(&mut client, attack, broker.mqtt()));
        }
        let (base, time) = (median(base), median(times));
        assert!(time <= FLOOR.max(base * 2), "{name}: p99 {time:?}, beside a sink {base:?}");
    }
}
