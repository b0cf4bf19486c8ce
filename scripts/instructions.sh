#!/usr/bin/env bash
# Instructions that a broker spends on a message, by valgrind's callgrind: a figure that does not
# depend on what else the machine does. Give binaries to compare; without any, the one that is built
# from the sources. What it costs to start, to connect and to stop is measured apart and taken off.
#
#   scripts/instructions.sh [-q QOS] [-n MESSAGES] [-c CONFIG] [-u USER] [BINARY...]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"

qos=0 messages=200000 config= user=()
while getopts q:n:c:u: option; do
    case $option in
    q) qos=$OPTARG ;;
    n) messages=$OPTARG ;;
    c) config=$OPTARG ;;
    u) user=(-u "$OPTARG") ;;
    *) fail "usage: $0 [-q QOS] [-n MESSAGES] [-c CONFIG] [-u USER] [BINARY...]" ;;
    esac
done
shift $((OPTIND - 1))

have valgrind || apt_install valgrind
if [ $# = 0 ]; then
    say "building halyard"
    cargo build --release --quiet -p halyard
    set -- target/release/halyard
fi
load=${HALYARD_LOAD:-$1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Instructions of binary $1 for $2 messages.
instructions() {
    local arguments=(-p 0) port= pid
    [ -z "$config" ] || arguments=(-c "$config" -p 0)
    : >"$folder/log"
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" "${arguments[@]}" 2>"$folder/log" &
    pid=$!
    for _ in $(seq 600); do
        port=$(sed -n 's|.*Listening on mqtt://127.0.0.1:\([0-9]*\).*|\1|p' "$folder/log" | tail -n 1)
        [ -z "$port" ] || break
        sleep 0.1
    done
    [ -n "$port" ] || fail "$1 does not listen; see: $(tail -n 3 "$folder/log")"
    "$load" bench pairs -p "$port" "${user[@]}" -q "$qos" --messages "$2" --seconds 600 --stall 120 >"$folder/load" ||
        fail "the load failed: $(cat "$folder/load")"
    kill -TERM "$pid"
    wait "$pid" || fail "$1 failed: $(tail -n 3 "$folder/log")"
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$folder/log"
}

for binary in "$@"; do
    few=$(instructions "$binary" 50)
    many=$(instructions "$binary" $((messages + 50)))
    echo "$binary: $(((many - few) / messages)) instructions a message (pairs, QoS $qos, $messages messages)"
done
