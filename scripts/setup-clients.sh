#!/usr/bin/env bash
# Installs the stock clients that the broker is tested with: Mosquitto and its clients, both
# generations of paho-mqtt for Python, and the npm packages of the tests.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"

# Debian starts a service at once when its package is installed; it would take port 1883. A
# policy-rc.d that answers 101 ("not allowed") keeps it from that, and goes again afterwards.
guard=/usr/sbin/policy-rc.d
install_mosquitto() {
    if [ -e "$guard" ] || ! can_be_root; then
        apt_install mosquitto mosquitto-clients
        return
    fi
    trap 'as_root rm -f "$guard"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$guard" >/dev/null
    as_root chmod 755 "$guard"
    apt_install mosquitto mosquitto-clients
    as_root rm -f "$guard"
    trap - EXIT
}

# Makes a Python environment in folder $1 with paho-mqtt of version $2.
install_paho() {
    local venv=$1 version=$2
    if [ "$("$venv/bin/python" -c 'import paho.mqtt as p; print(p.__version__)' 2>/dev/null)" = "$version" ]; then
        return
    fi
    have python3 || apt_install python3 python3-venv
    say "installing paho-mqtt $version in $venv"
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >/dev/null 2>&1; then
        apt_install python3-venv
        python3 -m venv "$venv" || fail "python3 cannot make a virtual environment; see above"
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check "paho-mqtt==$version" ||
        fail "pip cannot install paho-mqtt $version; see above"
}

# Installs the npm packages of folder $1, if it has any and they are not those of its lock file.
install_npm() {
    local folder=$1
    [ -f "$folder/package.json" ] || return 0
    local lock=$folder/package-lock.json installed=$folder/node_modules/.package-lock.json
    if [ -e "$installed" ] && [ ! "$folder/package.json" -nt "$installed" ] && [ ! "$lock" -nt "$installed" ]; then
        return
    fi
    have npm || apt_install nodejs npm
    say "installing the npm packages of $folder"
    local verb=install
    [ ! -f "$lock" ] || verb=ci
    (cd "$folder" && npm "$verb" --silent --no-audit --no-fund --ignore-scripts </dev/null) ||
        fail "npm $verb failed in $folder; see above"
    touch "$installed"
}

if ! have mosquitto || ! have mosquitto_pub; then install_mosquitto; fi
install_paho tests/.venv-paho1 1.6.1
install_paho tests/.venv-paho2 2.1.0
for folder in tests/stock tests/browser; do install_npm "$folder"; done
