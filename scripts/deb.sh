#!/usr/bin/env bash
# Builds the Debian package and looks into it: scripts/deb.sh
# The package is left in target/debian. Installs cargo-deb, once, if it is not there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"

version=3.6.1
if ! command -v cargo-deb >/dev/null; then
    echo "deb: building cargo-deb $version, once, which takes a minute or two"
    cargo install --quiet --locked --root "$repo/.tools" --version "$version" cargo-deb
    export PATH="$repo/.tools/bin:$PATH"
fi
cargo deb -p halyard --locked "$@"
package=$(ls -t target/debian/halyard_*.deb | head -n 1)
dpkg-deb --contents "$package"
for wanted in ./usr/bin/halyard ./etc/halyard/halyard.conf ./lib/systemd/system/halyard.service; do
    dpkg-deb --contents "$package" | grep -qE " (./usr)?$wanted\$" || { echo "deb: $wanted is missing"; exit 1; }
done
echo "deb: $package"
