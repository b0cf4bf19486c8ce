#!/usr/bin/env bash
# Kills the broker (SIGKILL) at random while clients use it: scripts/kill.sh [KILLS [SEED]].
# 1,000 kills by default; prints what was acknowledged and received, fails at the first loss.
set -euo pipefail
cd "$(dirname "$0")/.."
start=$(date +%s)
HALYARD_KILLS="${1:-1000}" HALYARD_SEED="${2:-1}" \
  cargo test --quiet --locked --profile checked -p halyard-tests --test crash -- --nocapture
echo "$(($(date +%s) - start)) s"
