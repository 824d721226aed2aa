#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A live migration to look at: two nodes, a busy service in a VE, a client on one connection; there and back.
#	run.sh [BUILD]; MIB=256 RATE=2000 change the service's memory and the pages it changes per second, TIMES=1 how often
#	it goes there and back.
# Fails unless no byte was lost, doubled or reordered, no connection was reset and memory's checksums hold.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/nodes/nodes.sh

build=${1:-build} mib=${MIB:-256} rate=${RATE:-2000} times=${TIMES:-1} id=101 address=$NODES_NET.50
work=$(mktemp -d /var/tmp/verst-demo.XXXXXX)
client=
cleanup() {
	[[ -z $client ]] || kill -KILL "$client" 2>/dev/null
	nodes_down
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

fail() {
	echo "demo: $*" >&2
	for log in "$work"/*.log; do
		[[ ! -s $log ]] || { echo "--- ${log##*/}" && tail -n 20 "$log"; } >&2
	done
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}

say() {
	printf '%6.1f s  %s\n' "$(elapsed)" "$*"
}

elapsed() {
	echo "$(( (${EPOCHREALTIME/./} - started_us) / 100000 ))" | sed 's/.$/.&/'
}

# The client verifies everything and says what it saw since the last time.
client_report() { # name of the phase
	local lines
	lines=$(wc -l <"$work/client.out")
	kill -USR1 "$client" 2>/dev/null || fail "the client is gone"
	for _ in {1..200}; do
		[[ $(wc -l <"$work/client.out") -le $lines ]] || break
		kill -0 "$client" 2>/dev/null || fail "the client found: $(tail -n 1 "$work/client.log")"
		sleep 0.05
	done
	[[ $(wc -l <"$work/client.out") -gt $lines ]] || fail "the client got no answer"
	tail -n 1 "$work/client.out" | jq -r --arg phase "$1" '
		"  client, \($phase): \(.phase_answers) answers, longest gap \(.downtime_ms) ms, " +
		"\(.pages_verified) pages verified, \(.processes) processes, \(.threads) threads"'
}

migrate() { # from node, to node
	say "migrating VE $id from node $1 to node $2"
	node "$1" timeout -k 5 60 verst migrate $id "root@$(node_address "$2")" -i "$NODES_DIR/key" --json \
		>"$work/migrate$1.json" 2>"$work/migrate$1.log" || fail "verst migrate failed"
	jq -rR 'fromjson? | select(.event == "round") |
		"  round \(.number): \(.sent_pages) pages, \((.stream_bytes / 1048576 * 10 | round) / 10) MiB in " +
		"\(.elapsed_ns / 1000000 | round) ms, \(.dirty_pages) written meanwhile"' "$work/migrate$1.json"
	jq -rR 'fromjson? | select(.event == "done") |
		"  frozen \((.frozen_ns / 10000 | round) / 100) ms, " +
		"\((.stream_bytes / 1048576 * 10 | round) / 10) MiB in all"' "$work/migrate$1.json"
}

started_us=${EPOCHREALTIME/./}
nodes_up "$work/nodes" "$build/verst" >"$work/nodes.log" 2>&1 || fail "the nodes do not come up"
for n in 1 2; do
	node $n verst template build busybox >"$work/template.log" 2>&1 || fail "template build"
done
say "two nodes are up: $(node_address 1), $(node_address 2)"

{
	node 1 verst create $id --template busybox --ip "$address" --hostname demo &&
		install -D "$build/demo/service" "$(node_root 1)/var/lib/verst/private/$id/upper/srv/service" &&
		node 1 verst start $id &&
		node 1 verst exec $id -- sh -c "cd /srv && ./service -m $mib -r $rate >log 2>&1 </dev/null & exit 0"
} >"$work/start.log" 2>&1 || fail "the VE does not start"
for _ in {1..400}; do
	! node 1 verst exec $id -- grep -q ready /srv/log 2>/dev/null || break
	sleep 0.05
done
say "VE $id at $address runs a service of 3 processes with $mib MiB, $rate pages changed per second"

node_exec client "$(realpath "$build/demo/client")" "$address" 7000 >"$work/client.out" 2>"$work/client.log" &
client=$!
sleep 1
client_report "before"
for ((i = 0; i < times; i++)); do
	migrate 1 2
	sleep 1
	client_report "during"
	[[ $(node 2 verst exec $id -- hostname) == demo ]] || fail "node 2 does not run the VE"
	! node 1 verst exec $id -- true 2>/dev/null || fail "node 1 still runs the VE"
	migrate 2 1
	sleep 1
	client_report "during"
done
sleep 0.5
client_report "after"
kill -TERM "$client"
wait "$client" || fail "the client found: $(tail -n 1 "$work/client.log")"
client=
say "$(tail -n 1 "$work/client.out" | jq -r '
	"one connection, \(.answers) answers checked, \((.bytes_sent + .bytes_received) / 1048576 | round) MiB: " +
	"nothing lost, doubled, reordered or reset; memory sound"')"
echo "1 passed, 0 failed, 0 skipped"
