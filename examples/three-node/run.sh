#!/bin/sh
# Sends one line from A to C and back, through B. Exit code 0 only if it came back.
#
# Takes the program from $PEERBOUND, or what cargo has built: target/release before target/debug.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
line="Are you there, C?"
tries_max=600 # of 0.1 s: a busy machine may stall for many seconds

main() {
    peerbound=$(find_peerbound)
    make_pki
    logs=$(mktemp -d)
    : >"$logs/A" >"$logs/B" >"$logs/C" # a node that starts late has said nothing, not lost its log
    pids=
    trap stop_all EXIT
    trap 'exit 1' HUP INT TERM

    "$peerbound" run -c "$here/b.toml" >"$logs/B" 2>&1 &
    pids="$pids $!"
    wait_for B "listens on"
    "$peerbound" listen -c "$here/c.toml" --echo >"$logs/C" 2>&1 &
    pids="$pids $!"
    wait_for C "neighbour B is up"
    wait_for B "neighbour C is up"

    # In the background, too, so that a signal to this script ends it with the others.
    echo "A sends: $line"
    echo "$line" | "$peerbound" send -c "$here/a.toml" --wait 60 --linger 60 C >"$logs/A" 2>&1 &
    a=$!
    pids="$pids $a"
    wait "$a" || fail "A could not send" A
    grep -Fx "C: $line" "$logs/A" || fail "no echo came back to A" A
}

find_peerbound() {
    if [ -n "${PEERBOUND:-}" ]; then
        echo "$PEERBOUND"
        return
    fi
    for candidate in "$here/../../target/release/peerbound" "$here/../../target/debug/peerbound"; do
        if [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
    echo "run.sh: no peerbound here: run \`cargo build --release\`, or set PEERBOUND to its path" >&2
    exit 1
}

# Makes what is missing, so that a run that was interrupted does not stop the next one.
make_pki() {
    [ -e "$here/pki/ca.pem" ] || "$peerbound" pki init --dir "$here/pki" >/dev/null
    for node in A B C; do
        [ -e "$here/pki/$node.pem" ] || "$peerbound" pki issue --dir "$here/pki" "$node" >/dev/null
    done
}

# wait_for NODE TEXT: waits until the node has said so, as long as all that were started live.
wait_for() {
    tries=0
    until grep -q "$2" "$logs/$1"; do
        for pid in $pids; do
            kill -0 "$pid" 2>/dev/null || fail "a node stopped by itself" "$1"
        done
        tries=$((tries + 1))
        [ "$tries" -lt "$tries_max" ] || fail "$1 does not say \"$2\"" "$1"
        sleep 0.1
    done
}

# fail PROBLEM NODE: says what went wrong and what the node has said.
fail() {
    echo "run.sh: $1; $2 said:" >&2
    sed 's/^/  /' "$logs/$2" >&2
    exit 1
}

stop_all() {
    for pid in $pids; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in $pids; do
        wait "$pid" 2>/dev/null || true
    done
    rm -r "$logs"
}

main
