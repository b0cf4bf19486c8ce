#!/usr/bin/env bash
# Instructions that an access list of 1,000 rules adds to a `pairs` QoS 0 message in the real broker,
# by scripts/instructions.sh with and without it. Every client is a user with rules of its own among
# those of others, and the rule that decides is a pattern at the end of the list. Fails above 10 %.
#
#   scripts/access-cost.sh [BINARY [MESSAGES]]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$repo"

binary=${1:-}
messages=${2:-100000}
if [ -z "$binary" ]; then
    say "building halyard"
    cargo build --release --quiet -p halyard
    binary=${CARGO_TARGET_DIR:-target}/release/halyard
fi
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT

# 49 users of 20 rules, then 20 patterns.
awk 'BEGIN {
    split("read write readwrite deny", access, " ")
    for (user = 0; user < 49; user++) {
        print "user user" user
        for (rule = 0; rule < 20; rule++)
            print "topic " access[rule % 4 + 1] " site/" user "/area/" rule "/+/value"
    }
    for (rule = 0; rule < 18; rule++) print "pattern readwrite own/" rule "/%u/%c/#"
    print "pattern deny bench/+/secret"
    print "pattern readwrite bench/+/+/+"
}' >"$lists/acl"
echo 'allow_anonymous true' >"$lists/without.conf"
printf 'allow_anonymous true\nacl_file %s\n' "$lists/acl" >"$lists/with.conf"

# Instructions a message with the configuration $1.
count() {
    scripts/instructions.sh -n "$messages" -c "$lists/$1.conf" -u user48 "$binary" |
        sed -n 's/.*: \([0-9]*\) instructions a message.*/\1/p'
}

without=$(count without)
with=$(count with)
[ -n "$without" ] && [ -n "$with" ] || fail "nothing was counted"
share=$(awk -v without="$without" -v with="$with" 'BEGIN { printf "%.1f", 100 * (with - without) / without }')
rules=$(grep -cE '^(topic|pattern) ' "$lists/acl")
echo "instructions per pairs QoS 0 message: $without without a list, $with with $rules rules: $share % more"
awk -v share="$share" 'BEGIN { exit share > 10 }' || fail "more than 10 %"
