#!/usr/bin/env bash
# Stock clients against the real binary: tests/stock/run.sh [BINARY]
#
# Starts BINARY (by default: halyard, built now) on ports that the system chooses, runs every script
# of this folder against it, and ends it. Each check prints `ok NAME` or `not ok NAME: why`; the last
# line is `N passed, N failed`. What clients said besides is shown where a script failed.
# The clients are installed by scripts/setup-clients.sh.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=$(mktemp -d)
broker=
scripts=()

finish() {
    [ ${#scripts[@]} = 0 ] || kill "${scripts[@]}" 2>/dev/null
    [ -z "$broker" ] || { kill "$broker" && wait "$broker"; } 2>/dev/null
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM
fail() {
    echo "not ok run: $*"
    [ ! -s "$folder/broker.log" ] || sed 's/^/# broker: /' "$folder/broker.log"
    exit 1
}

binary=${1:-${HALYARD_BIN:-}}
if [ -z "$binary" ]; then
    (cd "$root" && cargo build --quiet -p halyard) || fail "halyard cannot be built"
    binary=${CARGO_TARGET_DIR:-$root/target}/debug/halyard
fi
[ -x "$binary" ] || fail "$binary is not a program"

export HALYARD_MAX_KEEPALIVE=120 HALYARD_MAX_PACKET_SIZE=1000000
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# An authority, one that nobody knows, a certificate for the listeners and one for a client.
certificates() {
    local name
    cd "$folder" || return
    for name in ca other; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
            -subj "/CN=$name" -addext keyUsage=keyCertSign,cRLSign -keyout $name.key -out $name.pem || return
    done
    for name in server client; do
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" \
            -keyout $name.key -out $name.csr || return
        openssl x509 -req -days 2 -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem \
            -extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1) || return
    done
}
(certificates) 2>"$folder/openssl.err" || fail "openssl: $(cat "$folder/openssl.err")"
cat >"$folder/halyard.conf" <<EOF
listener 0 127.0.0.1
listener 0 127.0.0.1
protocol websockets
listener 0 127.0.0.1
certfile $folder/server.pem
keyfile $folder/server.key
listener 0 127.0.0.1
protocol websockets
certfile $folder/server.pem
keyfile $folder/server.key
listener 0 127.0.0.1
cafile $folder/ca.pem
certfile $folder/server.pem
keyfile $folder/server.key
require_certificate true
listener 0 127.0.0.1
max_qos 1
allow_anonymous true
allow_zero_length_clientid true
max_keepalive $HALYARD_MAX_KEEPALIVE
max_packet_size $HALYARD_MAX_PACKET_SIZE
persistent_client_expiration 1d
log_type all
EOF
"$binary" -c "$folder/halyard.conf" >"$folder/broker.log" 2>&1 &
broker=$!
deadline=$((SECONDS + 20))
until grep -q ' running$' "$folder/broker.log"; do
    kill -0 "$broker" 2>/dev/null || fail "$binary ended at once"
    [ "$SECONDS" -lt "$deadline" ] || fail "$binary does not say that it is running"
    sleep 0.05
done
# scheme, then which of its listeners
port() { sed -n "s#.*Listening on $1://127.0.0.1:\([0-9]*\).*#\1#p" "$folder/broker.log" | sed -n "${2:-1}p"; }
HALYARD_TCP=$(port mqtt) HALYARD_WS=$(port ws) HALYARD_WSS=$(port wss)
HALYARD_TLS=$(port mqtts) HALYARD_TLS_STRICT=$(port mqtts 2) HALYARD_TCP_QOS_1=$(port mqtt 2)
for port in "$HALYARD_TCP" "$HALYARD_TCP_QOS_1" "$HALYARD_WS" "$HALYARD_WSS" "$HALYARD_TLS" "$HALYARD_TLS_STRICT"; do
    [ -n "$port" ] || fail "the log does not name all ports"
done
export HALYARD_TCP HALYARD_TCP_QOS_1 HALYARD_WS HALYARD_WSS HALYARD_TLS HALYARD_TLS_STRICT
export HALYARD_CERTIFICATES=$folder NODE_EXTRA_CA_CERTS=$folder/ca.pem

# name, then the command line
start() {
    local name=$1
    shift
    timeout -k 5 90 "$@" >"$folder/$name.out" 2>"$folder/$name.err" &
    scripts+=($!)
    names+=("$name")
}
names=()
venv1=$root/tests/.venv-paho1/bin/python
venv2=$root/tests/.venv-paho2/bin/python
[ -x "$venv1" ] && [ -x "$venv2" ] && [ -d "$here/node_modules" ] ||
    fail "the clients are not installed: run scripts/setup-clients.sh"
start paho1 "$venv1" "$here/paho1.py"
start guide "$venv1" "$here/guide.py"
start paho2_v3 "$venv2" "$here/paho2_v3.py"
start paho2_v5 "$venv2" "$here/paho2_v5.py"
start mosquitto python3 "$here/mosquitto.py"
start mqttjs_tcp node "$here/mqttjs.js" mqttjs_tcp "mqtt://127.0.0.1:$HALYARD_TCP"
start mqttjs_ws node "$here/mqttjs.js" mqttjs_ws "ws://127.0.0.1:$HALYARD_WS/mqtt"
start paho1_tls "$venv1" "$here/paho_tls.py"
start paho2_tls "$venv2" "$here/paho_tls.py"
start mqttjs_tls node "$here/mqttjs.js" mqttjs_tls "mqtts://127.0.0.1:$HALYARD_TLS"
start mqttjs_wss node "$here/mqttjs.js" mqttjs_wss "wss://127.0.0.1:$HALYARD_WSS/mqtt"

passed=0 failed=0
for index in "${!names[@]}"; do
    name=${names[$index]}
    wait "${scripts[$index]}"
    code=$?
    cat "$folder/$name.out"
    passed=$((passed + $(grep -c '^ok ' "$folder/$name.out")))
    bad=$(grep -c '^not ok ' "$folder/$name.out")
    if [ "$code" != 0 ] && [ "$bad" = 0 ]; then
        why=$([ "$code" = 124 ] && echo "took too long" || echo "exit code $code")
        echo "not ok $name: $why"
        bad=1
    elif ! grep -q '^ok ' "$folder/$name.out" && [ "$bad" = 0 ]; then
        echo "not ok $name: no check has run"
        bad=1
    fi
    [ "$bad" = 0 ] || sed "s/^/# $name: /" "$folder/$name.err"
    failed=$((failed + bad))
done
scripts=()
if ! kill -0 "$broker" 2>/dev/null || grep -q panicked "$folder/broker.log"; then
    echo "not ok broker: it did not survive"
    sed 's/^/# broker: /' "$folder/broker.log" | tail -n 50
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
