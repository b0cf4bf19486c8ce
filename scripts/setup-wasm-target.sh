#!/usr/bin/env bash
# Makes `--target wasm32-unknown-unknown` work: by rustup where it can download, else from Debian's
# source of the standard library, built for the very compiler that is installed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
target=wasm32-unknown-unknown
by_hand="install the Rust target $target (rustup target add $target)"

# Whether a one-line program compiles and links.
works() {
    local probe code=0
    probe=$(mktemp -d)
    echo '#[unsafe(no_mangle)] pub extern "C" fn f(n: usize) -> usize { vec![1u8; n].len() }' >"$probe/a.rs"
    rustc --edition 2024 --target "$target" --crate-type cdylib -o "$probe/a.wasm" "$probe/a.rs" \
        >/dev/null 2>&1 || code=$?
    rm -rf "$probe"
    return "$code"
}

have rustc || fail "no rustc here; install Rust first: https://rustup.rs"
if works; then exit 0; fi
say "the target $target is missing; asking rustup for it"
if have rustup && timeout 180 rustup target add "$target" </dev/null >/dev/null 2>&1 && works; then
    say "done, by rustup"
    exit 0
fi
if ! have apt-get || ! have dpkg; then
    fail "rustup cannot download it, and there is no apt-get to build it from: $by_hand"
fi

version=$(rustc --version | cut -d' ' -f2)
say "rustup cannot; building the standard library of Rust $version from Debian's package rust-src"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
chmod 755 "$dir"
if [ "$(id -u)" = 0 ]; then chown -R _apt "$dir" 2>/dev/null || true; fi

# The suites that may hold this version, from the mirror that apt already uses. apt is given this
# list alone; the machine's own sources stay as they are.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    grep '/debian/$' | head -n 1) || true
[ -n "$mirror" ] || fail "apt knows no Debian mirror: $by_hand"
for suite in trixie-backports sid trixie bookworm; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >"$dir/sources.list"
options=(-qq -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache")
# One suite that does not exist is no reason to stop: what counts is whether the version is found.
apt-get "${options[@]}" update >/dev/null 2>&1 || true
package=$(apt-cache "${options[@]}" madison rust-src | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' |
    grep -F "$version+" | head -n 1) || true
[ -n "$package" ] || fail "Debian has no rust-src $version: $by_hand"
(cd "$dir" && apt-get "${options[@]}" download "rust-src=$package" >/dev/null) ||
    fail "apt cannot download rust-src $package: $by_hand"
dpkg -x "$dir"/rust-src_*.deb "$dir/src"

# What rustc's own bootstrap passes for the standard library, without its vendored crates.
cd "$dir"/src/usr/src/rustc-*/library
RUSTC_BOOTSTRAP=1 __CARGO_DEFAULT_LIB_METADATA=stablestd CARGO_TARGET_DIR="$dir/target" \
    RUSTFLAGS="-Zforce-unstable-if-unmarked -Cembed-bitcode=yes -Cdebuginfo=0" \
    cargo build --quiet --release -p sysroot --target "$target" </dev/null ||
    fail "the standard library does not build; see above, or $by_hand"
lib=$(rustc --print sysroot)/lib/rustlib/$target/lib
mkdir -p "$lib"
cp "$dir/target/$target/release/deps/"*.rlib "$lib/"
works || fail "what was built does not work: $by_hand"
say "done, from Debian's rust-src $package"
