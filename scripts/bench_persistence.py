"""What persistence costs. Run by bench-persistence.sh; prints a table, ends what it starts."""

import json
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

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
    for window in (64, 1):
        without, stored, loops = [], [], []
        for _ in range(rounds):
            without.append(per_second(rate(False, seconds, window)[0]))
            result, log = rate(True, seconds, window)
            stored.append(per_second(result))
            found = re.search(r"closed after (\d+) commits of (\d+) turns, (\d+) bytes", log)
            commits, _, size = map(int, found.groups())
            # Frames add 32 bytes each; a commit is one write.
            syncs = append_loop(max(1, size // max(1, commits)) + 32, seconds / 2)
            # As many messages a commit as the broker had.
            messages = result["delivered"] / max(1, commits)
            loops.append(syncs * messages)
        a, b, c = map(statistics.median, (without, stored, loops))
        print(f"window {window}: without {a:,.0f}/s, with {b:,.0f}/s ({b / a:.2f}), "
              f"bare loop {c:,.0f}/s ({b / c:.2f})", flush=True)


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


def restart(sessions, each):
    folder = tempfile.mkdtemp(prefix="halyard-bench-", dir=os.environ.get("BENCH_DIR", "target"))
    try:
        broker = Broker(folder, True, "persistence_sync never\n")
        fill(broker.port, sessions, each)
        broker.stop()
        for kind in ("from segments", "again"):
            broker = Broker(folder, True)
            restored = re.search(r"Store .* restored .*", broker.text()).group(0)
            print(f"restart {kind}: open after {broker.took:.2f} s; {restored}", flush=True)
            broker.stop()
        broker = Broker(folder, True)
        quiet = latency(broker)
        broker.process.send_signal(10)
        folding = latency(broker)
        broker.wait_for("Store: folded", 300)
        line = re.search(r"Store: folded .*", broker.text()).group(0)
        print(f"p99 at 1,000/s: quiet {quiet:.2f} ms, while folding {folding:.2f} ms; {line}")
        broker.stop()
    finally:
        shutil.rmtree(folder)


def latency(broker):
    result = bench(broker.port, "rate", "--pairs", "20", "--rate", "1000", "--seconds", "5",
                   "--persistent")
    return result["p99_us"] / 1000


if __name__ == "__main__":
    rates(float(sys.argv[1]), int(sys.argv[2]))
    restart(int(os.environ.get("SESSIONS", "100000")), 10)
