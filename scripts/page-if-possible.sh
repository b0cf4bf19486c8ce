#!/usr/bin/env bash
# Builds the page for the broker to serve, if its sources changed and the tools can be had. The
# broker runs without it too, so this never fails.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"
if [ ! -f www/index.html ]; then
    say "no page in this checkout; the broker serves a note in its place"
    exit 0
fi
built=www/dist/index.html
if [ -f "$built" ]; then
    newer=$(find Cargo.lock www wasm core/src -newer www/dist/halyard -type f -not -path 'www/dist*' -not -path 'wasm/pkg/*' | head -n 1)
    [ -n "$newer" ] || exit 0
fi
if scripts/setup-wasm-target.sh && scripts/setup-wasm-tools.sh page && scripts/page.sh; then exit 0; fi
say "the page could not be built (see above); the broker runs, and serves a note in its place"
