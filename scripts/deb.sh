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
contents=$(dpkg-deb --contents "$package")
printf '%s\n' "$contents"
for wanted in usr/bin/halyard etc/halyard/halyard.conf usr/lib/systemd/system/halyard.service; do
    grep -q " \./$wanted\$" <<<"$contents" || fail "$wanted is missing"
done
# What is in it runs: unpacked beside the system, its own configuration is fine.
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
dpkg-deb --extract "$package" "$root"
sed "s| /etc/halyard| $root/etc/halyard|" "$root/etc/halyard/halyard.conf" >"$root/halyard.conf"
"$root/usr/bin/halyard" -c "$root/halyard.conf" --test-config || fail "its configuration is wrong"
if have systemd-analyze; then
    sed "s|=/usr/bin/halyard|=$root/usr/bin/halyard|" \
        "$root/usr/lib/systemd/system/halyard.service" >"$root/halyard.service"
    systemd-analyze verify "$root/halyard.service" || fail "its systemd unit is wrong"
fi
say "$package"
