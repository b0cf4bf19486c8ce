#!/usr/bin/env python3
"""Runs `halyard bench` against Halyard and Mosquitto, one after the other and round by round, and
writes medians, ratios and floors into docs/benchmarks.md between its markers.

Every run gets a broker of its own, started for it and stopped after it, so that no run inherits the
memory of another. The exit code is 1 if a broker lost, doubled or reordered a message, or if a
floor is missed."""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
HALYARD = REPO / "target/release/halyard"
DOC = REPO / "docs/benchmarks.md"
BROKER_CPU, LOAD_CPU = "0", "1"

PER_CPU = "messages_per_cpu_second"
CONNECTS = "connects_per_cpu_second"
BYTES = "bytes_per_connection"

# Name, arguments of halyard bench, WebSocket, figure, floor: least ratio, or most bytes.
SCENARIOS = [
    ("pairs, QoS 0", ["pairs", "-q", "0"], False, PER_CPU, 5.0),
    ("pairs, QoS 1", ["pairs", "-q", "1"], False, PER_CPU, 5.0),
    ("pairs, QoS 2", ["pairs", "-q", "2"], False, PER_CPU, 5.0),
    ("pairs, QoS 1, MQTT 5.0", ["pairs", "-q", "1", "-V", "5"], False, PER_CPU, 5.0),
    ("fanout 1 to 500, QoS 0", ["fanout", "-q", "0"], False, PER_CPU, 5.0),
    ("fanout 1 to 500, QoS 1", ["fanout", "-q", "1"], False, PER_CPU, 5.0),
    ("pairs, QoS 0, WebSocket", ["pairs", "-q", "0"], True, PER_CPU, 4.0),
    ("pairs, QoS 1, WebSocket", ["pairs", "-q", "1"], True, PER_CPU, 4.0),
    ("rate 5000/s, QoS 0", ["rate", "-q", "0"], False, PER_CPU, 0.9),
    ("rate 5000/s, QoS 1", ["rate", "-q", "1"], False, PER_CPU, 0.9),
    ("idle, 10000 connections", ["idle", "--connections", "10000"], False, CONNECTS, 0.9),
    ("idle, 5000 connections, WebSocket", ["idle", "--connections", "5000"], True, CONNECTS, 0.9),
]
BYTES_FLOOR = 4096
# With --tls: both brokers show the same certificate. Without floors: the cryptography, which is the
# larger part, is not ours.
TLS_SCENARIOS = [
    ("pairs, QoS 0, TLS", ["pairs", "-q", "0"], False, PER_CPU, None),
    ("pairs, QoS 1, TLS", ["pairs", "-q", "1"], False, PER_CPU, None),
    ("idle, 2000 connections, TLS", ["idle", "--connections", "2000"], False, CONNECTS, None),
]

# Limits raised, nothing written, no logs; both brokers read the same file.
CONFIG = """\
listener {tcp} 127.0.0.1
{tls}
listener {ws} 127.0.0.1
protocol websockets
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
persistence false
log_type none
set_tcp_nodelay true
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raise_file_limit():
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def certificates(folder):
    """An authority and a certificate for localhost, `NAME.pem` and `NAME.key`."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    usage = ["-addext", "keyUsage=keyCertSign,cRLSign"]
    openssl("req", "-x509", *new, *usage, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    names = Path(folder) / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl("x509", "-req", "-in", "server.csr", *authority, "-extfile", "names", "-out", "server.pem")
    # Mosquitto reads it after it has given up root's rights.
    (Path(folder) / "server.key").chmod(0o644)


class Broker:
    """A broker on ports of its own, pinned to one cpu."""

    def __init__(self, name, program, folder, with_tls):
        self.name = name
        self.tcp, self.ws = free_port(), free_port()
        certificate = f"certfile {folder}/server.pem\nkeyfile {folder}/server.key"
        tls = certificate if with_tls else ""
        self.cafile = f"{folder}/ca.pem" if with_tls else None
        config = Path(folder) / f"{name}-{self.tcp}.conf"
        config.write_text(CONFIG.format(tcp=self.tcp, ws=self.ws, tls=tls))
        config.chmod(0o644)
        self.log = config.with_suffix(".log")
        with self.log.open("wb") as log:
            command = ["taskset", "-c", BROKER_CPU, program, "-c", str(config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for port in (self.tcp, self.ws):
            self.wait_for(port)

    def wait_for(self, port):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended at its start: {self.log.read_text()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        sys.exit(f"{self.name} does not listen on port {port}: {self.log.read_text()}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def bench(broker, arguments, ws, seconds):
    """One run; its medians, which are of one round, or a text that says what was wrong."""
    port = broker.ws if ws else broker.tcp
    command = ["taskset", "-c", LOAD_CPU, str(HALYARD), "bench", *arguments, "--port", str(port)]
    command += ["--pid", str(broker.process.pid), "--seconds", str(seconds), "--json"]
    if ws:
        command.append("--ws")
    if broker.cafile:
        command += ["--cafile", broker.cafile]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        return None, done.stderr.strip() or done.stdout.strip()
    return json.loads(done.stdout)["median"], None


def run_all(options, brokers, folder):
    results = {name: {key: [] for key, _ in brokers} for name, *_ in options.scenarios}
    faults = []
    for number in range(options.rounds):
        # Whoever goes first changes from round to round.
        order = brokers if number % 2 == 0 else brokers[::-1]
        for name, arguments, ws, *_ in options.scenarios:
            for key, program in order:
                broker = Broker(key, program, folder, options.tls)
                figures, fault = bench(broker, arguments, ws, options.seconds)
                broker.stop()
                if fault:
                    faults.append(f"{key}, {name}, round {number + 1}: {fault}")
                    print(f"FAULT {faults[-1]}", file=sys.stderr, flush=True)
                    continue
                results[name][key].append(figures)
                figure = CONNECTS if CONNECTS in figures else PER_CPU
                value = f"{figures[figure]:,.0f}"
                print(f"round {number + 1}: {name}: {key}: {value}", file=sys.stderr, flush=True)
    return results, faults


def median(rounds, figure):
    values = [one[figure] for one in rounds if figure in one]
    return statistics.median(values) if values else None


def number(value, decimals=0):
    return "-" if value is None else f"{value:,.{decimals}f}"


def main_table(options, results):
    """Lines of the table with the floors, and what was missed."""
    lines = [
        "| scenario | figure | Mosquitto | Halyard | ratio | floor | |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    missed = []

    def row(name, figure, theirs, ours, floor, met):
        if options.tls:
            floor, met = "-", True
        ratio = "-" if not theirs or ours is None else f"{ours / theirs:.2f}"
        verdict = ("met" if met else "**missed**") if not options.tls else ""
        if not met:
            missed.append(f"{name}, {figure}")
        lines.append(
            f"| {name} | {figure} | {number(theirs)} | {number(ours)} | {ratio} | {floor} | {verdict} |"
        )

    for name, _, _, figure, floor in options.scenarios:
        theirs = median(results[name]["mosquitto"], figure)
        ours = median(results[name]["halyard"], figure)
        met = bool(theirs and ours and floor and ours / theirs >= floor)
        label = "connects per CPU-second" if figure == CONNECTS else "messages per CPU-second"
        row(name, label, theirs, ours, f"{floor}x", met)
        if figure == CONNECTS:
            theirs = median(results[name]["mosquitto"], BYTES)
            ours = median(results[name]["halyard"], BYTES)
            met = ours is not None and ours <= BYTES_FLOOR
            row(name, "bytes per connection", theirs, ours, f"{BYTES_FLOOR:,}", met)
    return lines, missed


def detail_table(options, results):
    lines = [
        "| scenario | broker | per second | p50 µs | p99 µs | least and most per CPU-second | idle CPU ms/s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, _, _, figure, _ in options.scenarios:
        for key, label in (("mosquitto", "Mosquitto"), ("halyard", "Halyard")):
            rounds = results[name][key]
            rate = "connects_per_second" if figure == CONNECTS else "messages_per_second"
            values = [one[figure] for one in rounds]
            spread = f"{number(min(values))} to {number(max(values))}" if values else "-"
            cells = [
                name,
                label,
                number(median(rounds, rate)),
                number(median(rounds, "p50_us"), 0),
                number(median(rounds, "p99_us"), 0),
                spread,
                number(median(rounds, "silent_cpu_ms_per_second"), 2),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def version_of(program):
    done = subprocess.run([program, "-h"], capture_output=True, text=True)
    words = (done.stdout + done.stderr).split("\n", 1)[0].split()
    return words[2] if len(words) > 2 else "of unknown version"


def machine():
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} cpus ({model}), Linux {platform.release()}"


def report(options, results, faults, mosquitto):
    table, missed = main_table(options, results)
    today = datetime.date.today().isoformat()
    command = "scripts/bench.sh" + "".join(f" {word}" for word in sys.argv[1:])
    commit = subprocess.run(
        ["git", "-C", str(REPO), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    text = [
        options.begin,
        f"Made on {today} by `{command}` at commit {commit or 'unknown'}: "
        f"Mosquitto {version_of(mosquitto)} beside Halyard, {options.rounds} interleaved rounds of "
        f"{options.seconds:g} s, medians; {machine()}; load at the end {os.getloadavg()[0]:.0f}.",
        "",
        *table,
        "",
        "The runs behind it:",
        "",
        *detail_table(options, results),
        "",
    ]
    if faults:
        text += ["Faulty runs, which are in no figure above:", ""]
        text += [f"- {fault.splitlines()[0]}" for fault in faults]
        text.append("")
    text.append(options.end)
    return "\n".join(text), missed


def write(options, text):
    document = DOC.read_text()
    before, rest = document.split(options.begin, 1)
    after = rest.split(options.end, 1)[1]
    DOC.write_text(before + text + after)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each run")
    parser.add_argument("--only", default="", help="only scenarios whose name contains this")
    parser.add_argument("--tls", action="store_true", help="the scenarios over TLS")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md alone")
    options = parser.parse_args()
    mark = "bench-tls" if options.tls else "bench"
    options.begin, options.end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    scenarios = TLS_SCENARIOS if options.tls else SCENARIOS
    options.scenarios = [one for one in scenarios if options.only in one[0]]
    return options


def main():
    options = parse()
    mosquitto = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not mosquitto:
        sys.exit("no mosquitto here: run scripts/setup-clients.sh")
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cpus are needed: one for the broker, one for the load")
    raise_file_limit()
    with tempfile.TemporaryDirectory() as folder:
        # Mosquitto gives up root's rights before it reads its file.
        Path(folder).chmod(0o755)
        if options.tls:
            certificates(folder)
        brokers = [("mosquitto", mosquitto), ("halyard", str(HALYARD))]
        results, faults = run_all(options, brokers, folder)
    text, missed = report(options, results, faults, mosquitto)
    print(text)
    if not options.no_write:
        write(options, text)
    for one in missed:
        print(f"floor missed: {one}", file=sys.stderr)
    sys.exit(1 if faults or missed else 0)


if __name__ == "__main__":
    main()
