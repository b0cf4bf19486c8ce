#!/usr/bin/env bash
# Installs Chromium and its driver, which the tests of the page and of the wasm package run in.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
if have chromium && have chromedriver; then exit 0; fi
apt_install chromium chromium-driver
say "done"
