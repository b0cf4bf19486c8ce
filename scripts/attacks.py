#!/usr/bin/env python3
"""Measures what attackers do to the latency of everybody else, and writes the table into
docs/benchmarks.md between its markers.

Background: `halyard bench rate`, 1,000 messages a second over 10 pairs. Each attack runs at nice 19,
once against the broker that carries the background and once, as the base, against an idle sink that
takes everything and does nothing; the two alternate round by round. An attack passes if the median
of the background's p99 is at most the greater of twice the base and 5 ms. The exit code is 1 if one
does not. Everything is on loopback, bounded, and ends by itself."""

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import resource
import selectors
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
HALYARD = REPO / "target/release/halyard"
DOC = REPO / "docs/benchmarks.md"
BEGIN, END = "<!-- attacks:begin -->", "<!-- attacks:end -->"
FACTOR, FLOOR_US = 2, 5000
# Connections that "half-open" promises, sockets that a process may have besides, and the seconds in which
# all must be there.
OPEN_MIN, OTHERS, OPEN_SECONDS = 10_000, 50, 30

CONFIG = """\
log_type none
max_packet_size 200000
listener {tcp} 127.0.0.1
allow_anonymous true
"""
# All are open at once while the latency is measured; by default those of the first ten seconds would
# be closed again.
HALF_OPEN = CONFIG + "connect_timeout 60\n"
PASSWORDS = """\
per_listener_settings true
log_type none
listener {tcp} 127.0.0.1
allow_anonymous true
listener {extra} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
"""
CERTIFICATES = """\
log_type none
allow_anonymous true
listener {tcp} 127.0.0.1
listener {extra} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/server.pem
keyfile {folder}/server.key
require_certificate true
"""
RIGHTS = """\
per_listener_settings true
log_type none
listener {tcp} 127.0.0.1
allow_anonymous true
listener {extra} 127.0.0.1
allow_anonymous true
acl_file {folder}/rights
"""


def text(value):
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(first, body):
    length, out = len(body), bytearray([first])
    while True:
        digit, length = length & 0x7F, length >> 7
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out) + body


def hello(name, user=None, password=None):
    flags = 2 | (0xC0 if user else 0)
    body = text("MQTT") + bytes([4, flags, 0, 0]) + text(name)
    if user:
        body += text(user) + text(password)
    return packet(0x10, body)


def dial(port, timeout=2.0):
    return socket.create_connection(("127.0.0.1", port), timeout)


def answer(conn):
    try:
        return conn.recv(64)
    except OSError:
        return b""


def paced(rate, act):
    """Does `act` so many times a second, as far as this machine lets a nice process."""
    due, count = time.monotonic(), 0
    while True:
        try:
            act(count)
        except OSError:
            pass
        count += 1
        due += 1 / rate
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        else:
            due = max(due, time.monotonic() - 0.1)


def wrong_password(port, folder):
    def act(count):
        with dial(port) as conn:
            conn.sendall(hello(f"guess-{count}", "alice", f"wrong-{count}"))
            answer(conn)

    paced(200, act)


def with_certificate(name):
    def attack(port, folder):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")

        def act(count):
            with dial(port) as conn, context.wrap_socket(conn) as tls:
                tls.sendall(hello(f"tls-{count}"))
                answer(tls)

        paced(200, act)

    return attack


def denied_topic(port, folder):
    conn = dial(port)
    conn.sendall(hello("denied"))
    answer(conn)
    conn.setblocking(False)
    many = packet(0x32, text("forbidden/topic") + b"\0\1" + b"x" * 64) * 100

    def act(count):
        try:
            conn.sendall(many)
        except BlockingIOError:
            pass
        answer(conn)

    paced(100, act)


def oversized_packet(port, folder):
    def act(count):
        with dial(port) as conn:
            conn.sendall(hello(f"large-{count}"))
            answer(conn)
            conn.sendall(b"\x30\xff\xff\xff\x7f" + b"x" * 20000)
            answer(conn)

    paced(300, act)


def slow_connect(port, folder):
    body = hello("slow", "u" * 60000, "p")
    conns = []
    for _ in range(500):
        conns.append([dial(port), 0])

    def act(count):
        entry = conns[count % len(conns)]
        try:
            entry[0].sendall(body[entry[1] : entry[1] + 1])
            entry[1] += 1
        except OSError:
            entry[0].close()
            entry[:] = [dial(port), 0]

    paced(2000, act)


def half_open(port, folder):
    conns = []

    def act(count):
        if len(conns) < OPEN_MIN + 2 * OTHERS:
            conns.append(dial(port))
        else:
            time.sleep(1)

    paced(10_000, act)


def connect_storm(port, folder):
    def act(count):
        with dial(port) as conn:
            conn.sendall(hello(f"storm-{count}"))
            answer(conn)
            conn.sendall(b"\xe0\0")

    paced(2000, act)


def deaf_subscriber(port, folder):
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", port))
    deaf.sendall(hello("deaf"))
    answer(deaf)
    deaf.sendall(packet(0x82, b"\0\1" + text("flood/#") + b"\1"))
    conn = dial(port)
    conn.sendall(hello("flood"))
    answer(conn)
    one = packet(0x30, text("flood/0") + b"x" * 10000)
    two = packet(0x32, text("flood/1") + b"\0\1" + b"x" * 10000)

    def act(count):
        conn.sendall(one + two)
        answer(conn)

    paced(500, act)


ATTACKS = [
    ("wrong password", wrong_password, PASSWORDS),
    ("wrong certificate", with_certificate("stranger"), CERTIFICATES),
    ("expired certificate", with_certificate("expired"), CERTIFICATES),
    ("denied topic", denied_topic, RIGHTS),
    ("oversized packet", oversized_packet, CONFIG),
    ("slow CONNECT", slow_connect, CONFIG),
    ("10,000 half-open connections", half_open, HALF_OPEN),
    ("connect storm", connect_storm, CONFIG),
    ("subscriber that never reads", deaf_subscriber, CONFIG),
]


def sink(ready):
    """Takes every connection and byte; answers once, so that who waits for an answer goes on."""
    os.nice(0)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    listener.setblocking(False)
    chooser = selectors.DefaultSelector()
    chooser.register(listener, selectors.EVENT_READ)
    ready.send(listener.getsockname()[1])
    answered = set()
    while True:
        for key, _ in chooser.select():
            conn = key.fileobj
            if conn is listener:
                for _ in range(128):
                    try:
                        new, _ = listener.accept()
                    except OSError:
                        break
                    new.setblocking(False)
                    chooser.register(new, selectors.EVENT_READ)
                continue
            try:
                data = conn.recv(65536)
                if data and conn not in answered:
                    answered.add(conn)
                    conn.send(b"\x20\2\0\0")
            except OSError:
                data = b""
            if not data:
                answered.discard(conn)
                chooser.unregister(conn)
                conn.close()


def attacker(act, port, folder):
    os.nice(19)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    act(port, folder)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    def __init__(self, config, folder):
        self.tcp, self.extra = free_port(), free_port()
        path = Path(folder) / f"halyard-{self.tcp}.conf"
        path.write_text(config.format(tcp=self.tcp, extra=self.extra, folder=folder))
        path.chmod(0o644)
        self.target = self.extra if "{extra}" in config else self.tcp
        self.log = path.with_suffix(".log")
        with self.log.open("wb") as log:
            command = [str(HALYARD), "-c", str(path)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text().strip())
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.tcp)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("halyard does not listen")

    def resident_kib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        return 0

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def background(port, options):
    command = [str(HALYARD), "bench", "rate", "--rate", "1000", "--pairs", "10"]
    command += ["-q", options.qos, "--port", str(port), "--seconds", str(options.seconds), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    return json.loads(done.stdout)["median"]


def open_sockets(pid):
    """How many sockets a process has, as the kernel counts them."""
    count = 0
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(entry.path).startswith("socket:")
        except OSError:
            pass
    return count


def wait_until_open(pid, seconds):
    """Sees that the half-open connections are really there, or says how many are."""
    end = time.monotonic() + seconds
    while (found := open_sockets(pid) - OTHERS) < OPEN_MIN:
        if time.monotonic() >= end:
            raise RuntimeError(f"only {found} connections of {OPEN_MIN} are open")
        time.sleep(0.1)


def run(act, config, folder, options, aim_at_broker):
    """One run: the background's figures while the attack goes on."""
    broker = Broker(config, folder)
    ours, theirs = multiprocessing.Pipe()
    idle = multiprocessing.Process(target=sink, args=(theirs,), daemon=True)
    idle.start()
    port = broker.target if aim_at_broker else ours.recv()
    attack = multiprocessing.Process(target=attacker, args=(act, port, folder), daemon=True)
    attack.start()
    try:
        time.sleep(options.lead)
        target = broker.process.pid if aim_at_broker else idle.pid
        if act is half_open:
            wait_until_open(target, OPEN_SECONDS)
        figures = background(broker.tcp, options)
        if act is half_open:
            wait_until_open(target, 0)
        figures["resident_kib"] = broker.resident_kib()
        if not attack.is_alive():
            raise RuntimeError("the attacker ended by itself")
        return figures
    finally:
        attack.kill()
        attack.join()
        idle.kill()
        idle.join()
        broker.stop()


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(words)}: {done.stderr}")


def make_files(folder):
    """Passwords, rights, a certificate authority, a server, a stranger and a certificate of the past."""
    passwords = Path(folder) / "passwords"
    subprocess.run(
        [str(HALYARD), "passwd", "-b", "-c", str(passwords), "alice", "right"], capture_output=True
    )
    if passwords.exists():
        passwords.chmod(0o600)
    (Path(folder) / "rights").write_text("topic readwrite allowed/#\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    def own(name):
        return ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]

    openssl("req", "-x509", *key, *own("ca"), "-subj", "/CN=ca", "-days", "2")
    openssl("req", "-x509", *key, *own("stranger"), "-subj", "/CN=stranger", "-days", "2")
    names = Path(folder) / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name, days in (("server", "2"), ("expired", "-1")):
        request = f"{folder}/{name}.csr"
        openssl("req", *key, "-keyout", f"{folder}/{name}.key", "-out", request, "-subj", f"/CN={name}")
        sign = ["x509", "-req", "-in", request, "-out", f"{folder}/{name}.pem", "-days", days]
        sign += ["-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial"]
        openssl(*sign, "-extfile", str(names))
    for path in Path(folder).iterdir():
        if path.suffix in (".key", ".pem"):
            path.chmod(0o644)


def measure(options, folder):
    results = {}
    for name, act, config in options.attacks:
        try:
            Broker(config, folder).stop()
        except RuntimeError as error:
            print(f"{name}: halyard does not start: {error}", file=sys.stderr)
            results[name] = None
            continue
        results[name] = {True: [], False: []}
    for number in range(options.rounds):
        for name, act, config in options.attacks:
            if results[name] is None:
                continue
            order = (False, True) if number % 2 == 0 else (True, False)
            for aim_at_broker in order:
                results[name][aim_at_broker].append(run(act, config, folder, options, aim_at_broker))
            pair = [results[name][aim][-1]["p99_us"] for aim in (False, True)]
            print(f"round {number + 1}: {name}: base {pair[0]:.0f} us, attacked {pair[1]:.0f} us", flush=True)
    return results


def median(rows, figure):
    return statistics.median(row[figure] for row in rows)


def table(results):
    lines = [
        "| attack | base p50 µs | p50 µs | base p99 µs | p99 µs | ratio | memory of the broker | |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    missed = []
    for name, rows in results.items():
        if rows is None:
            lines.append(f"| {name} | - | - | - | - | - | - | not measured |")
            missed.append(name)
            continue
        base, attacked = median(rows[False], "p99_us"), median(rows[True], "p99_us")
        met = attacked <= max(FACTOR * base, FLOOR_US)
        if not met:
            missed.append(name)
        memory = max(row["resident_kib"] for row in rows[True])
        lines.append(
            f"| {name} | {median(rows[False], 'p50_us'):,.0f} | {median(rows[True], 'p50_us'):,.0f} "
            f"| {base:,.0f} | {attacked:,.0f} | {attacked / base:.2f} | {memory / 1024:.0f} MiB "
            f"| {'met' if met else 'missed'} |"
        )
    return lines, missed


def report(options, results):
    lines, missed = table(results)
    commit = subprocess.run(
        ["git", "-C", str(REPO), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    today = datetime.date.today().isoformat()
    command = "scripts/attacks.sh" + "".join(f" {word}" for word in sys.argv[1:])
    head = (
        f"Made on {today} by `{command}` at commit {commit or 'unknown'}: QoS {options.qos}, "
        f"{options.rounds} alternated rounds of {options.seconds:g} s, medians; "
        f"{os.cpu_count()} cpus, Linux {platform.release()}."
    )
    return "\n".join([BEGIN, head, "", *lines, "", END]), missed


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2, help="of each run")
    parser.add_argument("--lead", type=float, default=1.0, help="seconds of attack before it")
    parser.add_argument("--qos", default="1", choices=["0", "1", "2"], help="of the background")
    parser.add_argument("--only", default="", help="only attacks whose name contains this")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md alone")
    options = parser.parse_args()
    options.attacks = [one for one in ATTACKS if options.only in one[0]]
    return options


def main():
    options = parse()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        make_files(folder)
        results = measure(options, folder)
    page, missed = report(options, results)
    print(page)
    if not options.no_write:
        document = DOC.read_text()
        before, rest = document.split(BEGIN, 1)
        DOC.write_text(before + page + rest.split(END, 1)[1])
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
