#!/usr/bin/env bash
# Builds the page into www/dist, from where the broker serves it: the files of www as they are, and
# in www/dist/halyard the package: the modules of wasm/js and the compiled core they load.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"
[ -f www/index.html ] || fail "there is no www/index.html to build a page from"

say "compiling the core for the page"
cargo build --quiet -p halyard-wasm --profile wasm --target wasm32-unknown-unknown --locked
target=${CARGO_TARGET_DIR:-target}
# Made beside, then moved in one step: the broker never sees half a page.
new=$(mktemp -d www/dist.XXXXXX)
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
mkdir "$new/halyard"
wasm-bindgen --target web --remove-name-section --remove-producers-section \
    --out-dir "$new/halyard" "$target/wasm32-unknown-unknown/wasm/halyard_wasm.wasm"
[ ! -d wasm/js ] || cp -R wasm/js/. "$new/halyard/"
for entry in www/*; do
    case $entry in www/dist | www/dist.*) ;; *) cp -R "$entry" "$new/" ;; esac
done
rm -rf www/dist
mv "$new" www/dist
trap - EXIT
wasm=www/dist/halyard/halyard_wasm_bg.wasm
say "www/dist is ready; the core is $(wc -c <"$wasm") bytes, $(gzip -9c "$wasm" | wc -c) gzipped"
