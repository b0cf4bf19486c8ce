#!/usr/bin/env bash
# Halyard beside Mosquitto in one run: brokers pinned to cpu 0, the load generator to cpu 1, rounds
# interleaved, medians. Writes the tables into docs/benchmarks.md. See scripts/bench.py --help for
# the options (rounds, seconds, scenarios).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"

have taskset || apt_install util-linux
have python3 || apt_install python3
have mosquitto || scripts/setup-clients.sh
say "building halyard"
cargo build --release --quiet -p halyard
exec python3 scripts/bench.py "$@"
