#!/usr/bin/env bash
# Loses the power of simulated brokers at least a million times and prints how often, or the first
# broken promise: power-loss.sh [CRASHES [FIRST_SEED]]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"
crashes=${1:-1000000}
begun=$SECONDS
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! HALYARD_POINTS=$crashes HALYARD_SEEDS_FROM=${2:-0} cargo test --quiet --profile checked \
    -p halyard-core --test power_loss no_promise -- --nocapture >"$log" 2>&1; then
    cat "$log"
    exit 1
fi
total=$(grep -oE '[0-9]+ crashes' "$log" | awk '{ n += $1 } END { print n }')
worlds=$(grep -oE 'in [0-9]+ worlds' "$log" | awk '{ n += $2 } END { print n }')
say "$total crashes in $worlds worlds, no broken promise, $((SECONDS - begun)) s"
[ "$total" -ge "$crashes" ]
