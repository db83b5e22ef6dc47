#!/usr/bin/env bash
# Three nodes under load for as long as you like, and what memory they take meanwhile: it must not grow once each
# buffer has been used. As root; needs iperf3. Prints, about every minute, the resident kilobytes of A, B and C.
#
#   bench/soak.sh [SECONDS]        an hour, if left out
#
# The load: every minute four new TCP streams of 40 Mbit/s in each direction, a flow of datagrams of 60 Mbit/s, and pings.
set -euo pipefail
cd "$(dirname "$0")/.."
peerbound=${PEERBOUND:-target/release/peerbound}
seconds=${1:-3600}

folder=$(mktemp -d)
"$peerbound" up three-node --netns --keep "$folder/mesh" >"$folder/up.log" &
up=$!
# Its hosts and what runs in them go with it.
trap 'kill -INT "$up" 2>/dev/null || true; wait; rm -r "$folder"' EXIT
at() { "$peerbound" exec --in "$up" "$@"; }

until at A -- true 2>/dev/null; do
    kill -0 "$up" || { cat "$folder/up.log" >&2; exit 1; }
    sleep 0.2
done
# shellcheck disable=SC2016 # the variable is that of the node
far=$(at A -- sh -c 'echo $PEERBOUND_ADDRESS_C')
nodes=()
for name in A B C; do nodes+=("$(pgrep -P "$up" -f "/$name.toml")"); done

minute() {
    at C -- iperf3 -s -1 -p 5301 >/dev/null &
    at C -- iperf3 -s -1 -p 5302 >/dev/null &
    sleep 1
    at A -- iperf3 -c "$far" -p 5301 -t "$1" -P 4 -b 40M --bidir >/dev/null &
    at A -- iperf3 -u -c "$far" -p 5302 -t "$1" -b 60M -l 1200 >/dev/null &
    at A -- ping -q -i 0.2 -w "$1" "$far" >/dev/null &
    for job in $(jobs -p); do [ "$job" = "$up" ] || wait "$job"; done
}

printf '%8s %8s %8s %8s\n' seconds A B C
SECONDS=0
while ((SECONDS < seconds)); do
    left=$((seconds - SECONDS))
    minute $((left < 55 ? left : 55))
    printf '%8d' "$SECONDS"
    for node in "${nodes[@]}"; do printf ' %8s' "$(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$node/status")"; done
    printf '\n'
done
