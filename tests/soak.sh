#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The same things very often: soak.sh BUILD N. One busy VE goes N times there and back under one connection; all live
# programs go N/10 times through each way; real software N/10 times.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build} nr=${2:-100}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0

run() { # name, command
	local name=$1
	shift
	if "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$name failed:"
		tail -n 30 "$log"
	fi
	printf '%s: %d passed, %d failed so far\n' "$name" $passed $failed
}

run "demo, $nr times" env TIMES="$nr" MIB=64 tests/demo/run.sh "$build"
grep -h 'longest gap' "$log" | sort -t, -k3 | tail -n 1
for ((i = 0; i < (nr + 9) / 10; i++)); do
	run "live $i" tests/live/run.sh -b "$build" leave file pipe migrate
	run "real $i" tests/real/run.sh "$build"
done
printf '%d passed, %d failed, 0 skipped\n' $passed $failed
[[ $failed -eq 0 ]]
