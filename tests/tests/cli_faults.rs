//! The command-line clients against servers that misbehave: `halyard bench` must notice, `halyard
//! pub` and `sub` must end as mosquitto_pub and mosquitto_sub do.

use halyard_core::codec::{self, Decoder, Limits, Role};
use halyard_core::packet::{
    Connack, ConnackProperties, Packet, ReasonCode, Suback, UserProperties, Version,
};
use halyard_tests::{binary, wait_until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// What a server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Loses,
    Doubles,
    Swaps,
    RefusesConnect(ReasonCode),
    RefusesSubscribe,
    ClosesAtPublish,
    ClosesAtOnce,
    SpeaksNonsense,
    /// Takes the connection and never answers.
    IsSilent,
}

/// A relay from publishers to all subscribers, with a fault. It lives as long as the test process.
#[derive(Debug)]
struct Liar {
    fault: Fault,
    subscribers: Mutex<Vec<TcpStream>>,
    messages: Mutex<(u64, Vec<u8>)>,
}

impl Liar {
    fn listen(fault: Fault) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let liar =
            Arc::new(Self { fault, subscribers: Mutex::default(), messages: Mutex::default() });
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let liar = Arc::clone(&liar);
                // The client's end is the thread's end.
                let serve = move || _ = liar.serve(stream);
                std::thread::Builder::new().spawn(serve).expect("a thread");
            }
        };
        std::thread::Builder::new().spawn(accept).expect("a thread");
        port
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut decoder = Decoder::new(Role::Server);
        let mut chunk = [0; 4096];
        loop {
            let count = stream.read(&mut chunk)?;
            let mut rest = &chunk[..count];
            if count == 0 || self.fault == Fault::ClosesAtOnce {
                return Ok(());
            }
            if self.fault == Fault::IsSilent {
                continue;
            }
            if self.fault == Fault::SpeaksNonsense {
                stream.write_all(&[0xFF; 8])?;
            }
            while !rest.is_empty() {
                let version = decoder.version();
                let Ok((used, frame)) = decoder.decode(rest, &Limits::default()) else {
                    return Ok(());
                };
                rest = &rest[used..];
                let Some(frame) = frame else { continue };
                if !self.packet(&frame.packet, frame.bytes, version, &mut stream)? {
                    return Ok(());
                }
            }
        }
    }

    fn packet(
        &self,
        packet: &Packet<'_>,
        bytes: &[u8],
        version: Option<Version>,
        stream: &mut TcpStream,
    ) -> std::io::Result<bool> {
        let mut answer = Vec::new();
        match packet {
            Packet::Connect(connect) => {
                let reason = match self.fault {
                    Fault::RefusesConnect(reason) => reason,
                    _ => ReasonCode::Success,
                };
                let properties = ConnackProperties::default();
                let connack = Connack { session_present: false, reason, properties };
                codec::encode(&Packet::Connack(connack), connect.version, &mut answer);
            }
            Packet::Subscribe(subscribe) => {
                let reason = match self.fault {
                    Fault::RefusesSubscribe => ReasonCode::UnspecifiedError,
                    _ => ReasonCode::granted(subscribe.filters[0].options.qos),
                };
                let suback = Suback {
                    packet_id: subscribe.packet_id,
                    reasons: vec![reason],
                    reason_string: None,
                    user_properties: UserProperties::EMPTY,
                };
                let version = version.unwrap_or(Version::V4);
                codec::encode(&Packet::Suback(suback), version, &mut answer);
                self.subscribers.lock().expect("no panic").push(stream.try_clone()?);
            }
            Packet::Publish(_) if self.fault == Fault::ClosesAtPublish => return Ok(false),
            Packet::Publish(_) => self.relay(bytes)?,
            Packet::Disconnect(_) => return Ok(false),
            _ => {}
        }
        stream.write_all(&answer)?;
        Ok(true)
    }

    /// Every fifth message goes wrong.
    fn relay(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut messages = self.messages.lock().expect("no panic");
        messages.0 += 1;
        let mut out = bytes.to_vec();
        if messages.0.is_multiple_of(5) {
            match self.fault {
                Fault::Loses => out.clear(),
                Fault::Doubles => out.extend_from_slice(bytes),
                Fault::Swaps => messages.1 = std::mem::take(&mut out),
                _ => {}
            }
        } else {
            out.append(&mut messages.1);
        }
        for subscriber in self.subscribers.lock().expect("no panic").iter_mut() {
            subscriber.write_all(&out)?;
        }
        Ok(())
    }
}

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("halyard starts");
    wait_until(&format!("{args:?}"), || child.try_wait().ok().flatten());
    child.wait_with_output().expect("it has ended")
}

#[test]
fn bench_notices_what_a_broker_does_wrong() {
    for (fault, word) in [
        (Fault::Loses, "\"lost\": 20"),
        (Fault::Doubles, "\"duplicated\": 20"),
        (Fault::Swaps, "\"reordered\": 20"),
    ] {
        let port = Liar::listen(fault).to_string();
        let output = run(&[
            "bench",
            "pairs",
            "--pairs",
            "1",
            "--port",
            &port,
            "--messages",
            "101",
            "--window",
            "200",
            "--stall",
            "0.3",
            "--json",
        ]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {text}");
        assert!(text.contains(word) && text.contains("\"clean\": false"), "{fault:?}: {text}");
    }
}

#[test]
fn pub_and_sub_end_with_mosquittos_codes() {
    let refused = Fault::RefusesConnect;
    let not_authorized = "Connection error: Connection Refused: not authorised.";
    // Fault, verb, version, exit code, words on standard error.
    for (fault, verb, version, code, words) in [
        (refused(ReasonCode::NotAuthorized), "pub", "311", 5, not_authorized),
        (refused(ReasonCode::NotAuthorized), "sub", "311", 5, not_authorized),
        (refused(ReasonCode::BadUserNameOrPassword), "sub", "31", 4, "bad user name or password"),
        (refused(ReasonCode::ServerUnavailable), "sub", "311", 3, "broker unavailable"),
        (refused(ReasonCode::ClientIdentifierNotValid), "sub", "311", 2, "identifier rejected"),
        (refused(ReasonCode::NotAuthorized), "pub", "5", 135, "Connection error: Not authorized"),
        (refused(ReasonCode::ServerBusy), "sub", "5", 137, "Connection error: Server busy"),
        (Fault::RefusesSubscribe, "sub", "311", 0, "All subscription requests were denied."),
        (Fault::RefusesSubscribe, "sub", "5", 0, "All subscription requests were denied."),
        (Fault::ClosesAtPublish, "pub", "311", 7, "Error: The connection was lost."),
        (Fault::ClosesAtOnce, "pub", "5", 7, "Error: The connection was lost."),
        (Fault::SpeaksNonsense, "pub", "311", 2, "Error: A network protocol error"),
        (Fault::SpeaksNonsense, "sub", "5", 2, "Error: A network protocol error"),
    ] {
        let port = Liar::listen(fault).to_string();
        let mut args = vec![verb, "-p", &port, "-t", "t", "-V", version];
        if verb == "pub" {
            args.extend(["-m", "m", "-q", "1"]);
        }
        let output = run(&args);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{fault:?} {args:?}: {complaint}");
        assert!(complaint.contains(words), "{fault:?} {args:?}: {complaint}");
        args.push("--quiet");
        assert!(run(&args).stderr.is_empty(), "--quiet");
    }
}

#[test]
fn sub_ends_in_time_if_the_server_never_answers() {
    let port = Liar::listen(Fault::IsSilent).to_string();
    let output = run(&["sub", "-p", &port, "-t", "t", "-W", "1"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), complaint.as_str()), (Some(27), "Timed out\n"));
}

#[test]
fn pub_and_sub_say_their_version() {
    for verb in ["pub", "sub"] {
        let output = run(&[verb, "--version"]);
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text, format!("halyard {verb} version {}\n", env!("CARGO_PKG_VERSION")));
    }
}
