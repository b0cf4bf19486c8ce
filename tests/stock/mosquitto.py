"""mosquitto_pub, mosquitto_sub and mosquitto_rr, in all protocol versions.

A subscriber's debug output (`-d`) tells when it is subscribed, so that nothing is published before.
"""

import json
import shutil
import subprocess
import threading

from harness import DEADLINE, HOST, TCP_PORT, Bell, check, expect, run

VERSIONS = ("mqttv31", "mqttv311", "mqttv5")


def line(program, *args):
    return [program, "-h", HOST, "-p", str(TCP_PORT), *map(str, args)]


def publish(*args, stdin=None, code=0):
    """Runs mosquitto_pub to its end; gives its standard error."""
    done = subprocess.run(line("mosquitto_pub", *args), input=stdin, capture_output=True,
                          text=True, timeout=DEADLINE)
    expect(done.returncode, code, f"exit code of mosquitto_pub {args} ({done.stderr.strip()})")
    return done.stderr


class Subscriber:
    """A running mosquitto_sub. Each message is a line `MSG topic qos retain payload`."""

    def __init__(self, *args, form="MSG %t %q %r %p", ready="Subscribed"):
        command = ["stdbuf", "-oL", *line("mosquitto_sub", "-d", "-F", form, *args)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, text=True)
        self.ready = ready
        self.lines = []
        self.bell = Bell()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for text in self.process.stdout:
            self.lines.append(text.rstrip("\n"))
            self.bell.ring()

    def __enter__(self):
        self.wait_line(self.ready)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        self.process.stdout.close()

    def wait_line(self, start):
        def found():
            return next((text for text in list(self.lines) if text.startswith(start)), None)
        return self.bell.wait(f"a line that begins with {start!r}", found)

    def messages(self, count):
        def found():
            got = [text[4:] for text in list(self.lines) if text.startswith("MSG ")]
            return got if len(got) >= count else None
        return self.bell.wait(f"{count} messages", found)

    def end(self):
        """Waits until it ends by itself; gives its exit code."""
        code = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        return code


@check
def each_qos_in_each_version(base):
    for version in VERSIONS:
        for granted in (0, 1, 2):
            topic = f"{base}/{version}/{granted}"
            with Subscriber("-V", version, "-q", granted, "-t", f"{topic}/#", "-C", 3) as subscriber:
                for sent in (0, 1, 2):
                    publish("-V", version, "-q", sent, "-t", f"{topic}/{sent}", "-m", "hello")
                expect(subscriber.end(), 0, "exit code of mosquitto_sub")
                wanted = [f"{topic}/{sent} {min(granted, sent)} 0 hello" for sent in (0, 1, 2)]
                expect(sorted(subscriber.messages(3)), wanted, f"messages of {version}")


@check
def wildcards(base):
    with Subscriber("-t", f"{base}/+/t", "-t", f"{base}/deep/#", "-T", f"{base}/out/t") as subscriber:
        for name in ("t", "a/t/b", "out/t", "a/t", "deep", "deep/er"):
            publish("-t", f"{base}/{name}", "-m", name, "-q", "1")
        got = [message.split(" ")[3] for message in subscriber.messages(3)]
        expect(got, ["a/t", "deep", "deep/er"], "messages")


@check
def retained_set_and_cleared(base):
    topic = f"{base}/state"
    publish("-t", topic, "-m", "kept", "-r", "-q", "1")
    with Subscriber("-t", topic, "-C", 1, "-q", 2) as subscriber:
        expect(subscriber.end(), 0, "exit code")
        expect(subscriber.messages(1), [f"{topic} 1 1 kept"], "retained message")
    publish("-t", topic, "-n", "-r")
    with Subscriber("-t", topic) as subscriber:
        publish("-t", topic, "-m", "live")
        expect(subscriber.messages(1), [f"{topic} 0 0 live"], "the first message after clearing")
    publish("-t", topic, "-m", "again", "-r")
    with Subscriber("-t", topic, "--remove-retained") as subscriber:
        wanted = [f"{topic} 0 1 again", f"{topic} 0 0 "]
        expect(subscriber.messages(2), wanted, "the message that is removed, and its end")
        subscriber.wait_line("Client (null) received PUBACK")
    with Subscriber("-t", topic) as subscriber:
        publish("-t", topic, "-m", "live")
        expect(subscriber.messages(1), [f"{topic} 0 0 live"], "the first after --remove-retained")


@check
def will_of_a_killed_client(base):
    topic = f"{base}/status"
    for version in VERSIONS:
        with Subscriber("-t", topic, "-q", 1) as watcher:
            with Subscriber("-V", version, "-t", f"{base}/x", "--will-topic", topic,
                            "--will-payload", version, "--will-qos", 1) as victim:
                victim.process.kill()
                expect(watcher.messages(1), [f"{topic} 1 0 {version}"], "the will")


@check
def persistent_session(base):
    for version in ("mqttv311", "mqttv5"):
        topic = f"{base}/{version}"
        session = ["-V", version, "-i", f"{base}-{version}", "-c", "-q", 1, "-t", topic]
        if version == "mqttv5":
            session += ["-x", 100]
        registered = subprocess.run(line("mosquitto_sub", *session, "-E"), timeout=DEADLINE)
        expect(registered.returncode, 0, "exit code of mosquitto_sub -E")
        publish("-V", version, "-q", 1, "-t", topic, "-l", stdin="one\ntwo\nthree\n")
        # The queue comes before the answer to its SUBSCRIBE.
        with Subscriber(*session, "-C", 3, ready="MSG") as subscriber:
            expect(subscriber.end(), 0, "exit code")
            got = [message.split(" ")[3] for message in subscriber.messages(3)]
            expect(got, ["one", "two", "three"], "messages from the queue")


@check
def shared_subscription(base):
    members = [Subscriber("-t", f"$share/g/{base}/#", "-q", 1) for _ in range(2)]
    with members[0] as first, members[1] as second:
        publish("-t", f"{base}/t", "-q", 1, "-l", stdin="".join(f"{n}\n" for n in range(20)))

        def payloads():
            got = [text for member in (first, second) for text in list(member.lines)]
            return [text.split(" ")[4] for text in got if text.startswith("MSG ")]

        for member in (first, second):
            member.messages(1)
        first.bell.wait("20 messages", lambda: len(payloads()) >= 20)
        expect(sorted(payloads(), key=int), [str(n) for n in range(20)], "each message once")


@check
def properties_of_5_0(base):
    topic = f"{base}/t"
    with Subscriber("-V", "5", "-t", topic, "-q", 1, "-C", 1, form="MSG %j") as subscriber:
        publish("-V", "5", "-t", topic, "-q", 1, "-m", "x",
                "-D", "publish", "user-property", "key", "value",
                "-D", "publish", "content-type", "text/plain",
                "-D", "publish", "response-topic", f"{base}/answer",
                "-D", "publish", "correlation-data", "id",
                "-D", "publish", "message-expiry-interval", 100)
        expect(subscriber.end(), 0, "exit code")
        got = json.loads(subscriber.messages(1)[0])["properties"]
    expect(got["user-properties"], {"key": "value"}, "User Property")
    expect(got["content-type"], "text/plain", "Content Type")
    expect(got["response-topic"], f"{base}/answer", "Response Topic")
    expect(got["correlation-data"], "id", "Correlation Data")
    expect(95 <= got["message-expiry-interval"] <= 100, True, "Message Expiry Interval")


@check
def topic_alias(base):
    with Subscriber("-V", "5", "-t", f"{base}/#", "-q", 1) as subscriber:
        publish("-V", "5", "-t", f"{base}/t", "-q", 1, "-l", "-D", "publish", "topic-alias", 1,
                stdin="one\ntwo\n")
        expect(subscriber.messages(2), [f"{base}/t 1 0 one", f"{base}/t 1 0 two"], "messages")


@check
def retain_as_published(base):
    topic = f"{base}/t"
    publish("-V", "5", "-t", topic, "-m", "kept", "-r", "-q", "1")
    with Subscriber("-V", "5", "-t", topic, "--retain-as-published", "-D", "subscribe",
                    "subscription-identifier", 5) as exact, \
            Subscriber("-V", "5", "-t", topic, "-R") as plain:
        publish("-V", "5", "-t", topic, "-m", "new", "-r", "-q", "1")
        expect(exact.messages(2), [f"{topic} 0 1 kept", f"{topic} 0 1 new"], "as published")
        expect(plain.messages(1), [f"{topic} 0 0 new"], "without stale messages")
    publish("-t", topic, "-n", "-r")


@check
def request_and_response(base):
    server = Subscriber("-V", "5", "-t", f"{base}/ask", "-C", 1)
    with server:
        command = line("mosquitto_rr", "-V", "5", "-t", f"{base}/ask", "-e", f"{base}/answer",
                       "-m", "question", "-W", int(DEADLINE))
        asking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            expect(server.messages(1), [f"{base}/ask 0 0 question"], "the request")
            publish("-V", "5", "-t", f"{base}/answer", "-m", "42")
            output, _ = asking.communicate(timeout=DEADLINE)
        finally:
            asking.kill()
            asking.wait(DEADLINE)
        expect((asking.returncode, output), (0, "42\n"), "the response")


@check
def payloads_of_any_size(base):
    with Subscriber("-t", base, "-q", 1, form="MSG %l") as subscriber:
        publish("-t", base, "-q", 1, "-n")
        for size in (1, 127, 128, 16_384, 300_000):
            publish("-t", base, "-q", 1, "-s", stdin="x" * size)
        expect(subscriber.messages(6), ["0", "1", "127", "128", "16384", "300000"], "lengths")


@check
def refusals(base):
    said = publish("-V", "5", "-t", base, "-m", "x", "-D", "connect", "authentication-method", "none",
                   code=140)
    expect("Bad authentication method" in said, True, f"the reason in {said!r}")


if not shutil.which("mosquitto_rr"):
    raise SystemExit("mosquitto_rr is not installed: run scripts/setup-clients.sh")
run("mosquitto")
