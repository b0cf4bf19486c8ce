#!/usr/bin/env bash
# Installs the command lines of wasm: wasm-bindgen, of the very version that Cargo.lock names, and
# wasm-pack, which runs the tests of the wasm package in a browser. With the argument `page` the
# first alone, which is all that the page needs. What is on the PATH already is used.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"
# The version that is installed; any other that is there serves as well.
wasm_pack=0.15.1

# Builds the binary crate $1 of version $2 into .tools/. It has to work, not to be fast: it is
# compiled with little optimisation. The two share what they both depend on.
install() {
    local name=$1 version=$2
    shift 2
    say "building $name $version, once, which takes a minute or two"
    CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install --quiet --root "$tools" "$name" --version "$version" "$@" </dev/null ||
        fail "cargo cannot install $name $version; see above"
}

bindgen=$(sed -n '/^name = "wasm-bindgen"$/ { n; s/^version = "\(.*\)"$/\1/p; q }' Cargo.lock)
[ -n "$bindgen" ] || fail "Cargo.lock names no wasm-bindgen; is it complete?"
if [ "$(wasm-bindgen --version 2>/dev/null)" != "wasm-bindgen $bindgen" ]; then
    # Without --locked: the lock file that is published with it does not resolve.
    install wasm-bindgen-cli "$bindgen"
fi
if [ "${1:-}" != page ] && ! have wasm-pack; then
    install wasm-pack "$wasm_pack" --locked
fi
rm -rf "$tools/build"
