#!/usr/bin/env bash
# What persistence costs: scripts/bench-persistence.sh [SECONDS [ROUNDS]].
# Rates of 100 publishers to 100 subscribers, QoS 1, without and with the store, alternated; a bare
# loop that appends and syncs the same bytes in batches of the same size; the latency at a steady
# rate alone and while folding; and how long a restart with 100,000 sessions of 10 messages takes.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5} rounds=${2:-5}
cargo build --quiet --locked --release -p halyard
exec python3 scripts/bench_persistence.py "$seconds" "$rounds"
