#!/usr/bin/env bash
# Loses the power of simulated brokers at least a million times and prints how often.
# Usage: scripts/power-loss.sh [POINTS [FIRST_SEED]]
set -euo pipefail
cd "$(dirname "$0")/.."
points=${1:-1000000}
begun=$(date +%s)
HALYARD_POINTS=$points HALYARD_SEEDS_FROM=${2:-0} nice -n 19 cargo test --quiet --profile checked \
    -p halyard-core --test power_loss no_promise -- --nocapture | tee /dev/stderr |
    grep -oE '[0-9]+ crashes in [0-9]+ worlds' |
    awk -v begun="$begun" '{ crashes += $1; worlds += $4 }
        END { print crashes " crashes in " worlds " worlds in " systime() - begun " s" }' \
    2>/dev/null || { echo "a promise was broken, see above" >&2; exit 1; }
