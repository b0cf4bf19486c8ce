"""What persistence costs. Run by bench-persistence.sh; prints its tables, writes them into
docs/benchmarks.md between their markers, and ends what it starts. NO_WRITE=1 leaves the page alone."""

import datetime
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

DOC = "docs/benchmarks.md"
BEGIN, END = "<!-- persistence:begin -->", "<!-- persistence:end -->"
HALYARD = os.environ.get("HALYARD_BIN", "target/release/halyard")


class Broker:
    def __init__(self, folder, persistence, more=""):
        self.folder = folder
        path = os.path.join(folder, "halyard.conf")
        with open(path, "w") as file:
            file.write(
                "listener 0 127.0.0.1\nallow_anonymous true\nuser root\nsys_interval 0\n"
                "max_queued_messages 0\nmax_inflight_messages 100\nconnection_messages false\n"
                "max_connect_rate 0\n"
                f"persistence {'true' if persistence else 'false'}\n"
                f"persistence_location {folder}\n{more}"
            )
        self.log = open(os.path.join(folder, "log"), "w+")
        self.started = time.monotonic()
        self.process = subprocess.Popen([HALYARD, "-c", path], stderr=self.log)
        self.wait_for("running")
        self.took = time.monotonic() - self.started
        self.port = int(re.search(r"listen socket on port (\d+)", self.text()).group(1))

    def text(self):
        with open(self.log.name) as file:
            return file.read()

    def wait_for(self, text, seconds=120):
        end = time.monotonic() + seconds
        while text not in self.text():
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"no {text!r} in:\n{self.text()}")
            time.sleep(0.005)

    def stop(self):
        self.process.terminate()
        if self.process.wait(60) != 0:
            raise SystemExit(self.text())
        return self.text()


def bench(port, *args):
    command = [HALYARD, "bench", *args, "-p", str(port), "-q", "1", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout}")
    found = json.loads(done.stdout)
    # One round: its figures are the medians, too.
    return {**found["rounds"][0]} if "rounds" in found else found


def in_folder(persistence, work, more=""):
    folder = tempfile.mkdtemp(prefix="halyard-bench-", dir=os.environ.get("BENCH_DIR", "target"))
    try:
        broker = Broker(folder, persistence, more)
        found = work(broker)
        return found, broker.stop()
    finally:
        shutil.rmtree(folder)


def rate(persistence, seconds, window):
    def work(broker):
        args = ["pairs", "--pairs", "100", "--window", str(window), "--seconds", str(seconds)]
        return bench(broker.port, *args, "--persistent")

    return in_folder(persistence, work)


def append_loop(size, seconds):
    """Appends and syncs so many bytes at a time; syncs a second."""
    path = tempfile.mktemp(dir=os.environ.get("BENCH_DIR", "target"))
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(file, 0, 1 << 28)
        os.fsync(file)
        block, at, count = os.urandom(size), 0, 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            os.pwrite(file, block, at)
            os.fdatasync(file)
            at, count = (at + size) % ((1 << 28) - size), count + 1
        return count / seconds
    finally:
        os.close(file)
        os.unlink(path)


def per_second(result):
    return result["messages_per_second"]


def rates(seconds, rounds):
    rows = []
    for window in (64, 1):
        without, stored, loops, batches = [], [], [], []
        for number in range(rounds):
            # Who goes first changes from round to round.
            def plain():
                without.append(per_second(rate(False, seconds, window)[0]))

            def durable():
                result, log = rate(True, seconds, window)
                stored.append(per_second(result))
                found = re.search(r"closed after (\d+) commits of (\d+) turns, (\d+) bytes", log)
                commits, _, size = map(int, found.groups())
                # Frames add 32 bytes each; a commit is one write. As many messages a commit as the
                # broker had.
                messages = result["delivered"] / max(1, commits)
                batch = max(1, size // max(1, commits)) + 32
                loops.append(append_loop(batch, seconds / 2) * messages)
                batches.append(batch)

            for work in (plain, durable) if number % 2 == 0 else (durable, plain):
                work()
        a, b, c = map(statistics.median, (without, stored, loops))
        floor = min(0.5, 0.7 * c / a)
        verdict = ("met" if b / a >= floor else "MISSED") if window == 64 else "reported"
        rows.append(
            f"| QoS 1, window {window} | {a:,.0f} | {b:,.0f} | {b / a:.2f} | {floor:.2f} "
            f"| {c:,.0f} | {statistics.median(batches):,.0f} | {verdict} |"
        )
        print(rows[-1], flush=True)
    return [
        "| 100 pairs | messages/s without | with | ratio | floor | bare loop, messages/s "
        "| its bytes a sync | |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
        *rows,
    ]


def connect(port, client_id):
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x00\x00\x00" + struct.pack(">H", len(name)) + name
    s.sendall(bytes([0x10, len(body)]) + body)
    return s


def read(s, count):
    out = b""
    while len(out) < count:
        part = s.recv(count - len(out))
        if not part:
            raise SystemExit("the broker closed a connection")
        out += part
    return out


def fill(port, sessions, each):
    """So many sessions without a connection, with so many messages waiting for each."""
    for first in range(0, sessions, 500):
        open_now = [connect(port, f"s{n}") for n in range(first, min(first + 500, sessions))]
        for s in open_now:
            read(s, 4)
            s.sendall(b"\x82\x08\x00\x01\x00\x03a/b\x01")
        for s in open_now:
            read(s, 5)
            s.sendall(b"\xe0\x00")
            s.close()
    s = connect(port, "filler")
    read(s, 4)
    for number in range(1, each + 1):
        body = b"\x00\x03a/b" + struct.pack(">H", number) + b"x" * 64
        s.sendall(bytes([0x32, len(body)]) + body)
        read(s, 4)
    s.close()


def fill_distinct(port, sessions, each):
    """The same, each session with a topic and messages of its own."""
    publisher = connect(port, "filler")
    read(publisher, 4)
    for session in range(sessions):
        topic = b"own/%06d" % session
        s = connect(port, f"d{session}")
        read(s, 4)
        s.sendall(b"\x82\x0f\x00\x01\x00\x0a" + topic + b"\x01")
        read(s, 5)
        s.sendall(b"\xe0\x00")
        s.close()
        for first in range(0, each, 100):
            count = min(100, each - first)
            out = bytearray()
            for number in range(1, count + 1):
                payload = b"%06d %06d " % (session, first + number) + b"x" * 50
                body = b"\x00\x0a" + topic + struct.pack(">H", number) + payload
                out += bytes([0x32, len(body)]) + body
            publisher.sendall(out)
            read(publisher, 4 * count)
    publisher.close()


def stored(fill_it, work):
    """A broker whose store was filled and closed, and what `work` finds with it."""
    folder = tempfile.mkdtemp(prefix="halyard-bench-", dir=os.environ.get("BENCH_DIR", "target"))
    try:
        broker = Broker(folder, True, "persistence_sync never\n")
        fill_it(broker.port)
        broker.stop()
        return work(folder)
    finally:
        shutil.rmtree(folder)


def restarts(folder, rounds):
    took = []
    for _ in range(rounds):
        broker = Broker(folder, True)
        restored = re.search(r"(\d+) sessions with (\d+) messages .* from (\S+ \S+)", broker.text())
        took.append(broker.took)
        broker.stop()
    return took, restored.groups()


def folding(folder, rounds):
    """Latencies at rest and while the store is folded, alternated."""
    quiet, busy, folds = [], [], []
    for _ in range(rounds):
        broker = Broker(folder, True)
        quiet.append(latency(broker))
        broker.process.send_signal(signal.SIGUSR1)
        busy.append(latency(broker))
        broker.wait_for("Store: folded", 300)
        folds.append(float(re.search(r"Store: folded .* in ([\d.]+) s", broker.text()).group(1)))
        broker.stop()
    return quiet, busy, folds


def durability(sessions, rounds):
    each, rows = 10, []
    alike = f"{sessions:,} sessions, {each} messages each, the same for all"
    apart = f"{sessions // 100:,} sessions, {each * 100:,} messages each, all different"
    for name, fill_it in (
        (alike, lambda port: fill(port, sessions, each)),
        (apart, lambda port: fill_distinct(port, sessions // 100, each * 100)),
    ):
        def work(folder):
            return restarts(folder, rounds), folding(folder, rounds)

        (took, (_, messages, size)), (quiet, busy, folds) = stored(fill_it, work)
        if int(messages) < sessions * each:
            raise SystemExit(f"{messages} messages restored")
        cells, good = [], max(took) <= 5
        for kind in (0, 1):
            rest, work = (statistics.median(one[kind] for one in runs) for runs in (quiet, busy))
            cells.append(f"{rest:.2f} to {work:.2f} ms: {work / rest:.2f}x")
            good = good and work / rest <= 2
        rows.append(
            f"| {name} | {statistics.median(took):.2f} s (most {max(took):.2f}) of {size} "
            f"| {cells[0]} | {cells[1]} "
            f"| {statistics.median(folds):.1f} s | {'met' if good else 'MISSED'} |"
        )
        print(rows[-1], flush=True)
    return [
        "| in the store | open after | p99 until delivered, at rest to folding "
        "| p99 until acknowledged | a fold takes | |",
        "|---|---:|---:|---:|---:|---|",
        *rows,
    ]


def latency(broker):
    result = bench(broker.port, "rate", "--pairs", "20", "--rate", "1000", "--seconds", "3",
                   "--persistent")
    return result["p99_us"] / 1000, result["ack_p99_us"] / 1000


def machine():
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return f"at commit {commit.stdout.strip()}; {os.cpu_count()} cpus, {platform.system()} {platform.release()}"


def write(lines):
    with open(DOC) as file:
        text = file.read()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    with open(DOC, "w") as file:
        file.write(text[:begin] + "\n" + "\n".join(lines) + "\n\n" + text[end:])


if __name__ == "__main__":
    seconds, rounds = float(sys.argv[1]), int(sys.argv[2])
    first = rates(seconds, rounds)
    second = durability(int(os.environ.get("SESSIONS", "100000")), rounds)
    today = datetime.date.today()
    head = (f"Made on {today} by `scripts/bench-persistence.sh {sys.argv[1]} {sys.argv[2]}` {machine()}; "
            f"medians of {rounds} alternated rounds.")
    if not os.environ.get("NO_WRITE"):
        write([head, "", *first, "", *second])
    if "MISSED" in "".join(first + second):
        raise SystemExit(1)
