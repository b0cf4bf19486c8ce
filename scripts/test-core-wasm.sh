#!/usr/bin/env bash
# Runs the core's own tests compiled for wasm32: the same files, the same harness, under Node.
# Arguments go to cargo test, e.g. `--test sim_seeds`; without any, it is all of them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"
have node || fail "no node here; install Node.js 20 or newer"
target=wasm32-unknown-unknown
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="node $repo/scripts/wasm-runner.mjs"
# proptest seeds itself by the crate getrandom, which has no way to do so on this target unless it
# is told where to ask: the runner.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='--cfg getrandom_backend="custom" -Clink-arg=--import-undefined'
[ $# -gt 0 ] || set -- --lib --tests
cargo test --quiet --locked -p halyard-core --profile checked --target "$target" "$@"
