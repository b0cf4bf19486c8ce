#!/usr/bin/env bash
# Runs so many seeds of the simulator (default 100000), optimised, on two cores, and prints what they
# did: simulate.sh [SEEDS] [FIRST SEED]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."
seeds=${1:-100000}
from=${2:-0}
say "building"
cargo test --quiet --profile checked -p halyard-core --test sim_seeds --no-run
say "$seeds seeds from $from"
begin=$(date +%s)
HALYARD_SEEDS=$seeds HALYARD_SEEDS_FROM=$from RUST_BACKTRACE=0 \
    cargo test --quiet --profile checked -p halyard-core --test sim_seeds -- _seeds --nocapture
say "$seeds seeds in $(($(date +%s) - begin)) s without a violated invariant"
