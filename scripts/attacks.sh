#!/usr/bin/env bash
# What attackers do to the latency of everybody else: see scripts/attacks.py --help. Writes its table
# into docs/benchmarks.md.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"

have python3 || apt_install python3
have openssl || apt_install openssl
say "building halyard"
cargo build --release --quiet -p halyard
exec python3 scripts/attacks.py "$@"
