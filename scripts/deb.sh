#!/usr/bin/env bash
# Builds the Debian package and looks into it: scripts/deb.sh
# The package is left in target/debian. Installs cargo-deb, once, if it is not there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"

version=3.8.0
if ! have cargo-deb; then
    say "building cargo-deb $version, once, which takes a minute or two"
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        cargo install --quiet --locked --root "$tools" cargo-deb --version "$version" </dev/null ||
        fail "cargo cannot install cargo-deb $version; see above"
fi
cargo deb -p halyard --locked "$@"
package=$(ls -t target/debian/halyard_*.deb | head -n 1)
dpkg-deb --contents "$package"
for wanted in ./usr/bin/halyard ./etc/halyard/halyard.conf ./lib/systemd/system/halyard.service; do
    dpkg-deb --contents "$package" | grep -qE " (./usr)?$wanted\$" || fail "$wanted is missing"
done
say "$package"
