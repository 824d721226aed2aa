#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The demo's client on a service that is not moved: a sound one passes, each kind of damage is noticed. control.sh BUILD
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
work=$(mktemp -d /var/tmp/verst-control.XXXXXX)
pids=()
cleanup() {
	kill "${pids[@]}" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

one() { # number of the sabotage, 0 for none: the client's exit code into $work/N
	local nr=$1 port=$((23100 + $1)) service client
	"$build/demo/service" -p $port -m 8 -b "$nr" >"$work/service.$nr" &
	service=$!
	for _ in {1..100}; do
		[[ ! -s $work/service.$nr ]] || break
		sleep 0.05
	done
	"$build/demo/client" 127.0.0.1 $port >"$work/log.$nr" 2>&1 &
	client=$!
	sleep 0.5
	kill -USR1 $client # what is there before
	sleep 0.5
	kill -USR2 $service
	sleep 0.5
	kill -TERM $client 2>/dev/null
	wait $client
	echo $? >"$work/$nr"
	kill $service 2>/dev/null
}

for nr in {0..8}; do
	one "$nr" 2>/dev/null &
	pids+=($!)
done
wait
passed=0 failed=0
for nr in {0..8}; do
	if [[ $(<"$work/$nr") -eq $((nr != 0)) ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "sabotage $nr: the client ended with $(<"$work/$nr")"
		cat "$work/log.$nr"
	fi
done
[[ $failed -eq 0 ]] || echo FAILED
echo "$passed passed, $failed failed, 0 skipped"
[[ $failed -eq 0 ]]
