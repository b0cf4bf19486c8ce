//! `halyard pub` and `halyard sub` beside mosquitto_pub and mosquitto_sub: a row per flag, run by
//! both against one broker; standard output, exit code and what the broker got must be the same.
//! `~` in a row stands for a topic of its own, `{port}` for the broker's.

use halyard_core::packet::{Ack, Packet, QoS, ReasonCode, Version};
use halyard_tests::{Broker, Client, binary, wait_until};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Whose command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Theirs,
    Ours,
}

const BOTH: [Tool; 2] = [Tool::Theirs, Tool::Ours];

/// A broker that names subscribers in its log, and where it listens.
struct Stage {
    broker: Broker,
    port: String,
    ws_port: String,
    socket: String,
}

impl Stage {
    fn new() -> Self {
        let broker = Broker::spawn(
            "listener 0 127.0.0.1\n\
             listener 0 127.0.0.1\nprotocol websockets\n\
             listener 0 @DIR@/sock\n\
             allow_anonymous true\nlog_type all\nlog_dest stderr\n",
        );
        let port = broker.mqtt().port().to_string();
        let ws_port = broker.ws().port().to_string();
        let socket = broker.folder().join("sock").to_string_lossy().into_owned();
        Self { broker, port, ws_port, socket }
    }

    /// Fills in what stands for something in a row.
    fn fill(&self, words: &[&str], topic: &str) -> Vec<String> {
        let fill = |word: &&str| {
            word.replace("{port}", &self.port)
                .replace("{ws}", &self.ws_port)
                .replace("{sock}", &self.socket)
                .replace("{dir}", &self.broker.folder().to_string_lossy())
                .replace('~', topic)
        };
        words.iter().map(fill).collect()
    }

    /// A client of our own that gets everything.
    fn witness(&self) -> Client {
        let mut witness = self.broker.connect();
        witness.connect("witness", Version::V5);
        witness.subscribe("#", QoS::ExactlyOnce);
        witness
    }
}

fn command(tool: Tool, verb: &str, home: &Path) -> Command {
    let mut command = match tool {
        Tool::Theirs => Command::new(format!("mosquitto_{verb}")),
        Tool::Ours => {
            let mut command = Command::new(binary());
            command.arg(verb);
            command
        }
    };
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env("TZ", "UTC").env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn spawn(tool: Tool, verb: &str, home: &Path, args: &[String], input: &str) -> Child {
    let mut command = command(tool, verb, home);
    let mut child = command
        .args(args)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/setup-clients.sh"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A command that does not read is no error.
    _ = stdin.write_all(input.as_bytes());
    child
}

/// Waits for the end; never longer than a test waits.
fn finish(mut child: Child, what: &str) -> Output {
    wait_until(what, || child.try_wait().ok().flatten());
    child.wait_with_output().expect("it has ended")
}

fn run(tool: Tool, verb: &str, home: &Path, args: &[String], input: &str) -> Output {
    finish(spawn(tool, verb, home, args, input), &format!("{tool:?} {verb} {args:?}"))
}

/// Takes all that a witness got before `end`, as lines.
fn until(witness: &mut Client, end: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let (line, answer) = witness.receive().with(|packet| match packet {
            Packet::Publish(publish) => {
                let p = &publish.properties;
                let user: Vec<_> = p.user_properties.iter().collect();
                let line = format!(
                    "{} q{} {:?} expiry {:?} type {:?} response {:?} data {:?} utf8 {:?} {user:?}",
                    publish.topic,
                    publish.qos,
                    String::from_utf8_lossy(publish.payload),
                    p.message_expiry_interval,
                    p.content_type,
                    p.response_topic,
                    p.correlation_data,
                    p.payload_format_utf8,
                );
                let id = publish.packet_id;
                let answer = id.map(|id| (publish.qos, Ack::new(id, ReasonCode::Success)));
                (if publish.topic == end { None } else { Some(line) }, answer)
            }
            Packet::Pubrel(ack) => {
                (Some(String::new()), Some((QoS::AtMostOnce, ack.clone().own())))
            }
            other => panic!("{other:?}"),
        });
        if let Some((qos, ack)) = answer {
            witness.send(&match qos {
                QoS::AtMostOnce => Packet::Pubcomp(ack),
                QoS::AtLeastOnce => Packet::Puback(ack),
                QoS::ExactlyOnce => Packet::Pubrec(ack),
            });
        }
        match line {
            None => return lines,
            Some(line) if !line.is_empty() => lines.push(line),
            Some(_) => {}
        }
    }
}

/// An acknowledgement without what it borrows.
trait Own {
    fn own(&self) -> Ack<'static>;
}

impl Own for Ack<'_> {
    fn own(&self) -> Ack<'static> {
        Ack::new(self.packet_id, self.reason)
    }
}

/// Digits of times and names that the broker chose differ between two runs.
fn mask(text: &[u8], masked: bool) -> String {
    let text = String::from_utf8_lossy(text).into_owned();
    if !masked {
        return text;
    }
    text.chars().map(|char| if char.is_ascii_digit() { '9' } else { char }).collect()
}

/// Flags that need a value.
const WITH_VALUE: &str = "-A -C -D -F -I -L -M -P -T -U -V -W -f -h -i -k -m -p -q -t -u -x --repeat \
    --repeat-delay --random-filter --unix --will-payload --will-qos --will-topic \
    --cafile --capath --cert --ciphers --key --keyform --psk --psk-identity --proxy \
    --tls-alpn --tls-engine --tls-version";

/// Command lines that are wrong in themselves.
const WRONG: &[&str] = &[
    "pub",
    "pub -t t",
    "pub -m m",
    "pub -t t -m m -n",
    "pub -t t -m m -l",
    "pub -t t -f /does/not/exist",
    "pub -t a/+ -m m",
    "pub -t t -m m -q 3",
    "pub -t t -m m -p 70000",
    "pub -t t -m m -p -1",
    "pub -t t -m m -k 4",
    "pub -t t -m m -k 65536",
    "pub -t t -m m -V 9",
    "pub -t t -m m -i a -I b",
    "pub -t t -m m -c",
    "pub -t t -m m -V 5 -x -1",
    "pub -t t -m m -x never",
    "pub -t t -m m -x -2",
    "pub -t t -m m -M 0",
    "pub -t t -m m --repeat 0",
    "pub -t t -m m --repeat-delay -1",
    "pub -t t -m m -P p",
    "pub -t t -m m --will-payload w",
    "pub -t t -m m --will-retain",
    "pub -t t -m m --will-topic w/#",
    "pub -t t -m m --will-topic w --will-qos 3",
    "pub -t t -m m -D nonsense user-property a b",
    "pub -t t -m m -D publish nonsense a",
    "pub -t t -m m -D publish receive-maximum 5",
    "pub -t t -m m -D publish topic-alias 65536",
    "pub -t t -m m -D publish user-property a",
    "pub -t t -m m -D connect receive-maximum 0",
    "pub -t t -m m -D connect maximum-packet-size 0",
    "pub -t t -m m -D connect request-problem-information 2",
    "pub -t t -m m --nonsense",
    "pub -t t -m m stray",
    "pub -m m -L mqtt://h",
    "pub -m m -L gopher://h/t",
    "pub -t t -m m -v",
    "pub -h no.such.host.invalid -t t -m m",
    "pub --unix /does/not/exist -t t -m m",
    "pub -A 192.0.2.1 -t t -m m",
    "sub",
    "sub -U t",
    "sub -t a/#/b",
    "sub -t t -T a/#/b",
    "sub -t t -U a/#/b",
    "sub -t t -C 0",
    "sub -t t -W 0",
    "sub -t t -q 3",
    "sub -t t -R --retained-only",
    "sub -t t -F %",
    "sub -t t -F %z",
    "sub -t t -F @",
    "sub -t t -F \\",
    "sub -t t -F \\z",
    "sub -t t -c",
    "sub -t t --random-filter 0",
    "sub -t t -D subscribe content-type x",
    "sub -t t -m m",
    "sub -h no.such.host.invalid -t t",
];

/// Nothing on standard output, the same exit code.
#[test]
fn wrong_command_lines_end_alike() {
    let home = std::env::temp_dir();
    let rows = WRONG.iter().map(|row| (*row).to_owned()).chain(
        WITH_VALUE
            .split_whitespace()
            .flat_map(|flag| [format!("pub -t t -m m {flag}"), format!("sub -t t {flag}")]),
    );
    for row in rows {
        let mut words = row.split(' ').map(ToOwned::to_owned);
        let verb = words.next().expect("a verb");
        let args: Vec<String> = words.collect();
        let [theirs, ours] = BOTH.map(|tool| run(tool, &verb, &home, &args, ""));
        assert_eq!(theirs.status.code(), Some(1), "{row}");
        assert_eq!(ours.status.code(), Some(1), "{row}");
        // Without arguments theirs prints its help there.
        assert!(ours.stdout.is_empty() && !ours.stderr.is_empty(), "{row}");
    }
}

#[test]
fn unsupported_flags_are_refused_by_name() {
    let home = std::env::temp_dir();
    for (flag, value) in [
        ("--tls-engine", "e"),
        ("--tls-engine-kpass-sha1", "00"),
        ("--psk", "00"),
        ("--psk-identity", "i"),
        ("--proxy", "socks5h://h"),
        ("-S", ""),
    ] {
        for verb in [["pub", "-m", "m"].as_slice(), &["sub"]] {
            let more = ["-t", "t", flag, value];
            let words = verb[1..].iter().chain(&more);
            let args: Vec<_> =
                words.filter(|word| !word.is_empty()).map(|word| (*word).to_owned()).collect();
            let output = run(Tool::Ours, verb[0], &home, &args, "");
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{args:?}");
            assert!(complaint.contains(flag) && complaint.contains("not supported"), "{complaint}");
        }
    }
}

/// A row of `pub`: arguments, standard input.
type PubRow = (&'static [&'static str], &'static str);

const PUB_ROWS: &[PubRow] = &[
    (&["-p", "{port}", "-t", "~", "-m", "plain"], ""),
    (&["--port", "{port}", "--topic", "~", "--message", "long names", "--qos", "1"], ""),
    (&["-h", "127.0.0.1", "-p", "{port}", "-t", "~", "-m", "x"], ""),
    (&["--unix", "{sock}", "-t", "~", "-m", "unix"], ""),
    (&["-L", "mqtt://127.0.0.1:{port}/~", "-m", "url"], ""),
    (&["-L", "mqtt://u:p@127.0.0.1:{port}/~", "-m", "url with a user"], ""),
    (&["-A", "127.0.0.1", "-p", "{port}", "-t", "~", "-m", "x"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-q", "1"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-q", "2"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-V", "mqttv31"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-V", "31", "-q", "2"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-V", "mqttv311"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-V", "mqttv5"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "--protocol-version", "5", "-q", "2"], ""),
    (&["-p", "{port}", "-t", "~", "-n"], ""),
    (&["-p", "{port}", "-t", "~", "-r", "-m", "kept"], ""),
    (&["-p", "{port}", "-t", "~", "-l"], "one\ntwo\n\nlast without an end"),
    (&["-p", "{port}", "-t", "~", "-l", "-q", "2"], "one\ntwo\n"),
    (&["-p", "{port}", "-t", "~", "-l"], ""),
    (&["-p", "{port}", "-t", "~", "-s"], "all\nof it\n"),
    (&["-p", "{port}", "-t", "~", "-f", "{dir}/halyard.conf"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "--repeat", "3"], ""),
    (
        &[
            "-p",
            "{port}",
            "-t",
            "~",
            "-m",
            "x",
            "--repeat",
            "3",
            "-q",
            "1",
            "--repeat-delay",
            "0.01",
        ],
        "",
    ),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-i", "an-id"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "--id-prefix", "pre-"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-c", "-i", "kept-~"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-V", "5", "-x", "10", "-i", "kept5-~"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-V", "5", "-x", "-1", "-i", "kept6-~"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-k", "5"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-M", "1", "-q", "1", "--repeat", "4"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "--nodelay"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "--quiet"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-u", "user", "-P", "password"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-V", "5", "--pw", "alone"], ""),
    (
        &[
            "-p",
            "{port}",
            "-t",
            "~",
            "-m",
            "x",
            "--will-topic",
            "~/will",
            "--will-payload",
            "gone",
            "--will-qos",
            "1",
            "--will-retain",
            "-D",
            "will",
            "content-type",
            "w",
        ],
        "",
    ),
    (
        &[
            "-p",
            "{port}",
            "-t",
            "~",
            "-m",
            "x",
            "-D",
            "publish",
            "content-type",
            "text/plain",
            "-D",
            "publish",
            "user-property",
            "a",
            "1",
            "-D",
            "publish",
            "user-property",
            "a",
            "2",
            "-D",
            "publish",
            "message-expiry-interval",
            "60",
            "-D",
            "publish",
            "response-topic",
            "r",
            "-D",
            "publish",
            "correlation-data",
            "data",
            "-D",
            "publish",
            "payload-format-indicator",
            "1",
        ],
        "",
    ),
    (
        &[
            "-p",
            "{port}",
            "-t",
            "~",
            "-m",
            "x",
            "-D",
            "publish",
            "topic-alias",
            "1",
            "--repeat",
            "2",
        ],
        "",
    ),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-D", "connect", "receive-maximum", "5"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-D", "connect", "maximum-packet-size", "500"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-D", "connect", "user-property", "k", "v"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-D", "disconnect", "user-property", "k", "v"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-D", "connect", "authentication-method", "none"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-d"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-d", "-q", "1"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-d", "-q", "2", "-r"], ""),
    (&["-p", "{port}", "-t", "~", "-l", "-d"], "one\ntwo\n"),
    (&["-p", "{port}", "-t", "~", "-s"], ""),
    (&["-p", "{port}", "-t", "~", "-m", "x", "-i", ""], ""),
];

#[test]
fn pub_does_what_mosquitto_pub_does() {
    let stage = Stage::new();
    let mut witness = stage.witness();
    let home = stage.broker.folder().to_owned();
    let mut different = Vec::new();
    for (index, (words, input)) in PUB_ROWS.iter().enumerate() {
        let topic = format!("row{index}");
        let args = stage.fill(words, &topic);
        let [theirs, ours] = BOTH.map(|tool| {
            let output = run(tool, "pub", &home, &args, input);
            let end = format!("end/{index}/{tool:?}");
            let mut marker = stage.broker.connect();
            marker.connect("marker", Version::V4);
            marker.publish(&end, b"");
            marker.disconnect();
            let got = until(&mut witness, &end);
            (output.status.code(), mask(&output.stdout, false), got)
        });
        if theirs != ours {
            different.push(format!("{words:?}\n  theirs {theirs:?}\n  ours   {ours:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The same over WebSocket, which mosquitto_pub 2.0 does not have: beside itself over TCP.
#[test]
fn both_speak_websocket() {
    let stage = Stage::new();
    let home = stage.broker.folder().to_owned();
    for version in ["31", "311", "5"] {
        let topic = format!("ws{version}");
        let words =
            ["-p", "{ws}", "--ws", "-t", "~", "-i", "~", "-V", version, "-q", "2", "-C", "2"];
        let sub = spawn(Tool::Ours, "sub", &home, &stage.fill(&words, &topic), "");
        stage.broker.wait_for_line(&[&topic, &format!("2 {topic}")]);
        for url in [["-p", "{ws}", "--ws", "-t", "~"].as_slice(), &["-L", "ws://127.0.0.1:{ws}/~"]]
        {
            let mut words = url.to_vec();
            words.extend(["-m", "over ws", "-q", "2", "-V", version]);
            let output = run(Tool::Ours, "pub", &home, &stage.fill(&words, &topic), "");
            assert_eq!(output.status.code(), Some(0), "{output:?}");
        }
        let output = finish(sub, "the subscriber");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "over ws\nover ws\n");
    }
}

/// A row of `sub`.
struct SubRow {
    args: &'static [&'static str],
    /// Arguments of mosquitto_pub before it starts.
    before: &'static [&'static [&'static str]],
    /// And once it has subscribed.
    after: &'static [&'static [&'static str]],
    /// Whether digits differ.
    masked: bool,
}

const fn sub(
    args: &'static [&'static str],
    before: &'static [&'static [&'static str]],
    after: &'static [&'static [&'static str]],
) -> SubRow {
    SubRow { args, before, after, masked: false }
}

const RICH: &[&str] = &[
    "-t",
    "~/rich",
    "-q",
    "2",
    "-m",
    "he\"llo\tw\u{f6}rld",
    "-D",
    "publish",
    "content-type",
    "text",
    "-D",
    "publish",
    "user-property",
    "k",
    "v",
    "-D",
    "publish",
    "user-property",
    "k",
    "v2",
    "-D",
    "publish",
    "message-expiry-interval",
    "600",
    "-D",
    "publish",
    "response-topic",
    "r/t",
    "-D",
    "publish",
    "correlation-data",
    "co\"r",
    "-D",
    "publish",
    "payload-format-indicator",
    "1",
];
const PLAIN: &[&str] =
    &["-t", "~/plain", "-q", "1", "-m", "{\"x\": 1.50,\"y\":[1,2 , {\"z\":null}]}"];
const EMPTY: &[&str] = &["-t", "~/empty", "-n"];
const KEPT: &[&str] = &["-t", "~/kept", "-r", "-m", "kept"];
const THREE: &[&[&str]] = &[RICH, PLAIN, EMPTY];
const ALL: &str = "~/#";

#[rustfmt::skip]
const SUB_ROWS: &[SubRow] = &[
    sub(&["-t", "~/plain", "-C", "1"], &[], &[PLAIN]),
    sub(&["--topic", "~/plain", "-t", "~/empty", "-C", "2", "-v"], &[], &[PLAIN, EMPTY]),
    sub(&["-t", ALL, "-C", "3"], &[], THREE),
    sub(&["-t", ALL, "-C", "3", "-v"], &[], THREE),
    sub(&["-t", ALL, "-C", "3", "--verbose", "-N"], &[], THREE),
    sub(&["-t", ALL, "-C", "3", "-N"], &[], THREE),
    sub(&["-t", ALL, "-C", "2", "-T", "~/plain", "-v"], &[], THREE),
    sub(&["-t", ALL, "-C", "1", "-T", "~/+", "-v"], &[], &[PLAIN, &["-t", "~", "-m", "x"]]),
    sub(&["-t", ALL, "-C", "1", "-R", "-v"], &[KEPT], &[PLAIN]),
    sub(&["-t", ALL, "-C", "1", "-v"], &[KEPT], &[]),
    sub(&["-t", ALL, "--retained-only", "-v"], &[KEPT], &[PLAIN]),
    sub(&["-t", ALL, "--retain-as-published", "-V", "5", "-F", "%r %t", "-C", "1"], &[], &[KEPT]),
    sub(&["-t", ALL, "-U", "~/other", "-C", "1", "-v"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-E"], &[KEPT], &[]),
    sub(&["-t", ALL, "-E", "-d"], &[], &[]),
    sub(&["-t", ALL, "-t", "~/b", "-U", "~/c", "-q", "1", "-E"], &[], &[]),
    sub(&["-t", ALL, "-W", "1", "-v"], &[KEPT], &[]),
    sub(&["-t", ALL, "-W", "1", "--quiet"], &[], &[]),
    sub(&["-t", ALL, "-q", "2", "-C", "3", "-F", "%t|%20t|%-20t|%3.3t|%.2t|%020t|%l|%5l|%05l|%-5l|%m|%q|%r"], &[], THREE),
    sub(&["-t", ALL, "-C", "3", "-F", "%x|%X|%4x|%-4x|%04X|%p|%10p|%-10p|%02p"], &[], THREE),
    sub(&["-t", ALL, "-C", "3", "-q", "2", "-V", "5", "-D", "subscribe", "subscription-identifier", "5",
          "-F", "%A|%C|%D|%E|%F|%P|%R|%S|%10A|%10C|%.2C|%010E|%05F|%5S|%-5S|%05S|%12R|%.1R"], &[], THREE),
    sub(&["-t", ALL, "-C", "1", "-F", "%% @@ \\\\ \\a\\e\\n\\r\\t\\v\\0 text"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-C", "1", "-N", "-F", "%p"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-C", "1", "-v", "-F", "%q"], &[], &[PLAIN]),
    SubRow { args: &["-t", ALL, "-C", "1", "-F", "%I|%U|@Y-@m-@d @H:@M:@S|@N|@j @%"], before: &[], after: &[PLAIN], masked: true },
    SubRow { args: &["-t", ALL, "-C", "3", "-F", "%j"], before: &[], after: THREE, masked: true },
    SubRow { args: &["-t", ALL, "-C", "3", "-F", "%j", "-q", "2", "-V", "5"], before: &[], after: THREE, masked: true },
    SubRow { args: &["-t", ALL, "-C", "3", "-F", "%J"], before: &[], after: THREE, masked: true },
    SubRow { args: &["-t", ALL, "-C", "3", "-F", "%j", "--pretty", "-q", "2", "-V", "5"], before: &[], after: THREE, masked: true },
    SubRow { args: &["-t", "~/plain", "-C", "1", "-F", "%J", "--pretty"], before: &[], after: &[PLAIN], masked: true },
    sub(&["-t", ALL, "-C", "1", "-V", "mqttv31"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-C", "2", "-V", "mqttv5", "-q", "2"], &[], &[RICH, PLAIN]),
    sub(&["-t", ALL, "-C", "1", "-k", "5", "-M", "5", "--nodelay", "-A", "127.0.0.1"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-C", "1", "-u", "u", "-P", "p"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-C", "1", "-c"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-C", "1", "-x", "60", "-V", "5"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-C", "1", "-D", "connect", "receive-maximum", "1", "-D", "connect", "topic-alias-maximum", "5"], &[], &[PLAIN]),
    sub(&["-t", ALL, "-E", "-D", "subscribe", "user-property", "a", "b", "-D", "disconnect", "user-property", "c", "d"], &[], &[]),
    sub(&["-t", ALL, "-E", "-U", "x", "-D", "unsubscribe", "user-property", "a", "b"], &[], &[]),
    sub(&["-t", ALL, "-E", "--will-topic", "w", "--will-payload", "p", "-D", "will", "will-delay-interval", "3"], &[], &[]),
    sub(&["-t", ALL, "-E", "-D", "connect", "authentication-method", "none"], &[], &[]),
    sub(&["-t", "$share/g/~/#", "-C", "1"], &[], &[PLAIN]),
];

#[test]
fn sub_does_what_mosquitto_sub_does() {
    let stage = Stage::new();
    let home = stage.broker.folder().to_owned();
    let mut different = Vec::new();
    for (index, row) in SUB_ROWS.iter().enumerate() {
        let [theirs, ours] = BOTH.map(|tool| {
            let topic = format!("row{index}");
            let publish = |words: &[&str]| {
                let mut args = vec!["-p".to_owned(), stage.port.clone()];
                args.extend(stage.fill(words, &topic));
                let output = run(Tool::Theirs, "pub", &home, &args, "");
                assert!(output.status.success(), "{output:?}");
            };
            row.before.iter().for_each(|words| publish(words));
            let id = format!("sub-{index}-{tool:?}");
            let mut args = vec!["-p".to_owned(), stage.port.clone(), "-i".to_owned(), id.clone()];
            args.extend(stage.fill(row.args, &topic));
            let child = spawn(tool, "sub", &home, &args, "");
            if !row.after.is_empty() {
                stage.broker.wait_for_line(&[&id, &topic]);
            }
            row.after.iter().for_each(|words| publish(words));
            let output = finish(child, &format!("{tool:?} sub {args:?}"));
            publish(&["-t", "~/kept", "-r", "-n"]);
            let stdout = mask(&output.stdout, row.masked).replace(&id, "ID");
            (output.status.code(), stdout)
        });
        if theirs != ours {
            different.push(format!("{:?}\n  theirs {theirs:?}\n  ours   {ours:?}", row.args));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn a_queue_is_read_by_a_returning_subscriber() {
    let stage = Stage::new();
    let home = stage.broker.folder().to_owned();
    let [theirs, ours] = BOTH.map(|tool| {
        let id = format!("queue-{tool:?}");
        let subscribe = |more: &[&str]| {
            let mut words = vec!["-p", "{port}", "-t", "~", "-q", "2", "-c", "-i", id.as_str()];
            words.extend(more);
            let output = run(tool, "sub", &home, &stage.fill(&words, "queued"), "");
            (output.status.code(), mask(&output.stdout, false))
        };
        let first = subscribe(&["-E"]);
        for qos in ["0", "1", "2"] {
            let words = ["-p", "{port}", "-t", "~", "-m", qos, "-q", qos];
            run(Tool::Theirs, "pub", &home, &stage.fill(&words, "queued"), "");
        }
        (first, subscribe(&["-C", "2", "-F", "%q %p"]))
    });
    assert_eq!(theirs, ours);
    assert_eq!(ours.1.1, "1 1\n2 2\n");
}

/// Not beside mosquitto_sub 2.0.11, which prints a tenth of what this flag says.
#[test]
fn a_part_of_the_messages_is_printed() {
    let stage = Stage::new();
    let home = stage.broker.folder().to_owned();
    let words = ["-p", "{port}", "-t", "~", "-i", "~", "--random-filter", "100", "-C", "50"];
    let child = spawn(Tool::Ours, "sub", &home, &stage.fill(&words, "part"), "");
    stage.broker.wait_for_line(&["0 part"]);
    let words = ["-p", "{port}", "-t", "~", "-m", "x", "--repeat", "50"];
    run(Tool::Ours, "pub", &home, &stage.fill(&words, "part"), "");
    assert_eq!(finish(child, "the subscriber").stdout, "x\n".repeat(50).as_bytes());
}

/// Not beside mosquitto_sub 2.0.11, which never ends with this flag.
#[test]
fn removed_retained_messages_are_gone() {
    let stage = Stage::new();
    let home = stage.broker.folder().to_owned();
    let run = |verb, words: &[&str]| run(Tool::Ours, verb, &home, &stage.fill(words, "gone"), "");
    run("pub", &["-p", "{port}", "-t", "~/1", "-m", "one", "-r"]);
    run("pub", &["-p", "{port}", "-t", "~/2", "-m", "two", "-r"]);
    let output =
        run("sub", &["-p", "{port}", "-t", "~/#", "-T", "~/2", "--remove-retained", "-C", "1"]);
    assert_eq!(output.stdout, b"one\n");
    let output = run("sub", &["-p", "{port}", "-t", "~/#", "-C", "1"]);
    assert_eq!(output.stdout, b"two\n", "filtered out, so not removed; the other is gone");
}

/// Not beside mosquitto_sub 2.0.11, which does not know these flags yet.
#[test]
fn later_flags_do_what_they_say() {
    let stage = Stage::new();
    let home = stage.broker.folder().to_owned();
    let output =
        |verb, words: &[&str]| run(Tool::Ours, verb, &home, &stage.fill(words, "later"), "");
    output("pub", &["-p", "{port}", "--no-tls", "-t", "~/kept", "-m", "kept", "-r"]);
    for (mode, expected) in [("always", "kept\n"), ("new", "kept\n"), ("never", "")] {
        let words = ["-p", "{port}", "-V", "5", "-t", "~/kept", "-W", "1"];
        let found = output("sub", &[&words[..], &["--retain-handling", mode]].concat());
        assert_eq!(String::from_utf8_lossy(&found.stdout), expected, "{mode}");
    }
    let wrong = output("sub", &["-t", "~", "--retain-handling", "sometimes"]);
    assert_eq!(wrong.status.code(), Some(1));
    // Each topic has a line of the screen, which its next message takes.
    for flag in ["-w", "--watch"] {
        let seen = output("sub", &["-p", "{port}", "-t", "~/kept", flag, "-C", "1"]);
        let text = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert!(text.starts_with("\x1b[2J\x1b[1;1Hlater/kept kept"), "{text:?}");
    }
    let words = ["-p", "{port}", "-i", "rate", "-t", "~/rate", "--message-rate", "-W", "3"];
    let child = spawn(Tool::Ours, "sub", &home, &stage.fill(&words, "later"), "");
    stage.broker.wait_for_line(&["0 later/rate"]);
    output("pub", &["-p", "{port}", "-t", "~/rate", "-m", "x", "--repeat", "30"]);
    let text = String::from_utf8_lossy(&finish(child, "the rates").stdout).into_owned();
    let rates: Vec<u32> = text.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(rates.iter().sum::<u32>(), 30, "{text:?}");
}

#[test]
fn options_of_a_file_come_before_those_of_the_line() {
    let stage = Stage::new();
    let home = stage.broker.folder().to_owned();
    let config = home.join("sub.conf");
    let text = format!("# a comment\n-p {}\n-t configured/#\n-q 1\n-v\n", stage.port);
    std::fs::write(&config, text).expect("a file");
    let path = config.to_string_lossy().into_owned();
    let args = ["-o", &path, "-C", "1", "-i", "configured"].map(ToOwned::to_owned);
    let child = spawn(Tool::Ours, "sub", &home, &args, "");
    stage.broker.wait_for_line(&["configured", "1 configured/#"]);
    let words = ["-p", "{port}", "-t", "configured/x", "-m", "found"];
    run(Tool::Ours, "pub", &home, &stage.fill(&words, ""), "");
    assert_eq!(finish(child, "the subscriber").stdout, b"configured/x found\n");
}

#[test]
fn bench_counts_every_message_and_says_so() {
    let stage = Stage::new();
    let pid = stage.broker.pid().to_string();
    for (scenario, more) in [
        ("pairs", ["--pairs", "3"]),
        ("fanout", ["--subscribers", "5"]),
        ("rate", ["--rate", "2000"]),
        ("idle", ["--connections", "20"]),
    ] {
        for (port, ws) in [(&stage.port, None), (&stage.ws_port, Some("--ws"))] {
            let mut command = Command::new(binary());
            command.args(["bench", scenario, "--port", port.as_str(), "--pid", &pid, "--json"]);
            command.args(["--seconds", "0.2", "-q", "2", "-V", "5", "--window", "8"]).args(more);
            let output = command.args(ws).output().expect("bench runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{scenario}: {text} {output:?}");
            assert!(text.contains("\"clean\": true"), "{text}");
        }
    }
}

#[test]
fn bench_without_a_broker_says_so() {
    let output = Command::new(binary()).args(["bench", "pairs", "--port", "1"]).output();
    let output = output.expect("bench runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot connect"));
}
