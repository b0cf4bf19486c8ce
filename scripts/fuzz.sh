#!/usr/bin/env bash
# Runs each fuzz target for so many seconds (default 600): fuzz.sh [SECONDS] [TARGET…]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."
seconds=${1:-600}
shift || true
cargo fuzz --version >/dev/null 2>&1 || { say "installing cargo-fuzz"; cargo install --quiet cargo-fuzz --locked; }
export RUSTC_BOOTSTRAP=1
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz && cargo fuzz list)
for target in "${targets[@]}"; do
    say "$target, $seconds s"
    cargo fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10
done
