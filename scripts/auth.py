#!/usr/bin/env python3
"""What logins cost: a storm of known clients that come back, and a flood of wrong passwords.

    scripts/auth.py target/release/halyard [--clients N] [--rounds N] [--flood SECONDS]

The storm: N clients, each a user of its own, log in twice; printed is how many passwords were hashed
in each wave. The flood: a publisher sends 1,000 messages a second to a subscriber; p50 and p99 of
their latency with attackers (nice 19) whose wrong passwords go to the broker (argon2id), against
the same attackers aimed at an idle sink; medians of alternated rounds. Everything on loopback.
"""
import argparse
import base64
import hashlib
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request


def varint(number):
    out = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def text(value):
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def connect(client, user=None, password=None):
    flags = 2 | (0x80 if user else 0) | (0x40 if password else 0)
    body = text("MQTT") + bytes([4, flags, 0, 0]) + text(client)
    body += text(user) if user else b""
    body += text(password) if password else b""
    return b"\x10" + varint(len(body)) + body


def open_socket(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def login(port, client, user=None, password=None):
    """A logged-in socket, or the return code."""
    sock = open_socket(port)
    sock.sendall(connect(client, user, password))
    answer = sock.recv(4)
    if len(answer) == 4 and answer[3] == 0:
        return sock
    sock.close()
    return answer[3] if len(answer) == 4 else None


class Broker:
    def __init__(self, binary, users, options=""):
        self.folder = tempfile.TemporaryDirectory()
        folder = self.folder.name
        with open(f"{folder}/passwd", "w") as file:
            file.write(users)
        os.chmod(f"{folder}/passwd", 0o600)
        with open(f"{folder}/conf", "w") as file:
            file.write(f"user root\nallow_anonymous true\npassword_file {folder}/passwd\n{options}\n"
                       "listener 0 127.0.0.1\nlistener 0 127.0.0.1\nprotocol http_api\n")
        self.log = open(f"{folder}/log", "w+")
        self.process = subprocess.Popen([binary, "-c", f"{folder}/conf"], stderr=self.log)
        for _ in range(600):
            said = open(f"{folder}/log").read()
            if " running" in said:
                break
            time.sleep(0.05)
        self.mqtt = int(re.search(r"mqtt://127.0.0.1:(\d+)", said)[1])
        self.http = int(re.search(r"http://127.0.0.1:(\d+)", said)[1])

    def metric(self, name):
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics").read().decode()
        found = re.search(rf"^{name} (\S+)$", page, re.M)
        return int(found[1]) if found else None

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def storm(binary, clients):
    salt = b"saltsalt"
    hashed = hashlib.pbkdf2_hmac("sha512", b"pass", salt, 1000)
    line = f"$7$1000${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}"
    broker = Broker(binary, "".join(f"user{i}:{line}\n" for i in range(clients)))
    before = 0
    for wave in ("first", "second"):
        start = time.monotonic()
        sockets, refused = [], 0
        for number in range(clients):
            got = login(broker.mqtt, f"c{number}", f"user{number}", "pass")
            if isinstance(got, socket.socket):
                sockets.append(got)
            else:
                refused += 1
        took = time.monotonic() - start
        total = broker.metric("halyard_passwords_hashed_total")
        print(f"storm, {wave} wave: {clients} clients in {took:.1f} s, {refused} refused, "
              f"{total - before} passwords hashed")
        before = total
        for sock in sockets:
            sock.close()
    broker.close()


def sink():
    """A port that answers every connection with nothing and closes it."""
    server = socket.create_server(("127.0.0.1", 0), backlog=512)

    def serve():
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            sock.close()

    threading.Thread(target=serve, daemon=True).start()
    return server


def latencies(port, seconds):
    """Of 1,000 messages a second from one client to another, in milliseconds."""
    reader = login(port, "reader")
    reader.sendall(b"\x82\x06\x00\x01\x00\x01t\x00")
    reader.recv(5)
    writer = login(port, "writer")
    writer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found = []

    def read():
        data = b""
        while len(found) < seconds * 1000:
            data += reader.recv(65536)
            now = time.monotonic_ns()
            while len(data) >= 13:
                found.append((now - struct.unpack(">Q", data[5:13])[0]) / 1e6)
                data = data[13:]

    thread = threading.Thread(target=read)
    thread.start()
    start = time.monotonic()
    for number in range(seconds * 1000):
        due = start + number / 1000
        pause = due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        writer.sendall(b"\x30\x0b\x00\x01t" + struct.pack(">Q", time.monotonic_ns()))
    thread.join()
    reader.close()
    writer.close()
    found.sort()
    return found[len(found) // 2], found[len(found) * 99 // 100]


ATTACK = """
import sys, os
os.nice(19)
sys.path.insert(0, sys.argv[1])
import auth, itertools, time
port, end = int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
count = 0
while time.monotonic() < end:
    try:
        sock = auth.open_socket(port)
        sock.sendall(auth.connect("x", "ann", f"guess {os.getpid()} {count}"))
        sock.recv(4)
        sock.close()
    except OSError:
        pass
    count += 1
"""


def flood(binary, rounds, seconds):
    made = subprocess.run([binary, "passwd", "-c", "-b", "-", "ann", "right"], capture_output=True)
    broker = Broker(binary, made.stdout.decode(),
                    "auth_failures_per_user 0\nauth_failures_per_address 0")
    idle = sink()
    results = {"sink": [], "broker": []}
    here = os.path.dirname(os.path.abspath(__file__))
    for _ in range(rounds):
        for target, port in (("sink", idle.getsockname()[1]), ("broker", broker.mqtt)):
            before = broker.metric("halyard_passwords_hashed_total")
            arguments = [here, str(port), str(seconds + 1)]
            attackers = [subprocess.Popen([sys.executable, "-c", ATTACK, *arguments])
                         for _ in range(4)]
            time.sleep(0.5)
            p50, p99 = latencies(broker.mqtt, seconds)
            for attacker in attackers:
                attacker.wait()
            hashed = broker.metric("halyard_passwords_hashed_total") - before
            results[target].append((p50, p99, hashed))
    broker.close()
    for target, found in results.items():
        p50, p99, hashed = (statistics.median(column) for column in zip(*found))
        print(f"flood at the {target}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, "
              f"{hashed:.0f} passwords hashed in {seconds} s (medians of {rounds} rounds)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--flood", type=int, default=5, metavar="SECONDS")
    options = parser.parse_args()
    storm(options.binary, options.clients)
    flood(options.binary, options.rounds, options.flood)


if __name__ == "__main__":
    main()
