#!/usr/bin/env bash
# Installs what the checks need and is not there yet. Quick when nothing is missing; each part says
# what it installs, and says what to do where it cannot.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"

# Downloads and compilation side by side: the first wait for the network, the second for the cores.
{ scripts/setup-browser.sh && scripts/setup-clients.sh; } &
packages=$!
code=0
{ scripts/setup-wasm-target.sh && scripts/setup-wasm-tools.sh; } || code=$?
wait "$packages" || code=$?
exit "$code"
