#!/usr/bin/env bash
# Runs the tests of the wasm package in headless Chromium. The hashes of simulated runs are computed
# natively first; the browser has to reach the same.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"
HALYARD_SEED_HASHES=$(cargo run --quiet --locked --profile "${PROFILE:-checked}" -p halyard-core --example seed_hashes)
export HALYARD_SEED_HASHES
wasm-pack --log-level error test --headless --chrome --mode no-install wasm
