# Shared by the scripts: how to speak, how to fail, how to become root, and where the project's own
# tools are. Sourced, not run.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What the project installs for itself goes to .tools/, so that nothing a person has is replaced.
tools=$repo/.tools
PATH=$tools/bin:$PATH:/usr/sbin
export PATH

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }
fail() {
    say "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

can_be_root() { [ "$(id -u)" = 0 ] || have sudo; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Installs Debian packages, or says which ones a person has to install.
apt_install() {
    have apt-get || fail "no apt-get here; please install what Debian calls: $*"
    can_be_root || fail "neither root nor sudo; please run as root: apt-get install $*"
    say "installing $* by apt"
    local lists
    lists=$(find /var/lib/apt/lists -name '*_Packages*' -mmin -1440 2>/dev/null | head -n 1)
    if [ -n "$lists" ] && apt_get install --no-install-recommends "$@" 2>/dev/null; then return; fi
    apt_get update || fail "apt-get update failed; see above"
    apt_get install --no-install-recommends "$@" || fail "apt cannot install $*; see above"
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >/dev/null
}
