#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The numbers, each next to the machine's own limit measured in the same run, or to what it must not exceed.
#	bench.sh [BUILD]; ROUNDS=5 sets how often each is measured (the median counts), MIB=1024 the large VE.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/nodes/nodes.sh

build=${1:-build} rounds=${ROUNDS:-5} mib=${MIB:-1024} id=3100 address=$NODES_NET.60
work=$(mktemp -d /var/tmp/verst-bench.XXXXXX)
tmpfs=$(mktemp -d /dev/shm/verst-bench.XXXXXX)
outside=
passed=0 failed=0
cleanup() {
	[[ -z $outside ]] || kill "$outside" 2>/dev/null
	nodes_down
	rm -rf --one-file-system "$work" "$tmpfs"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

die() {
	echo "bench: $*" >&2
	tail -n 5 "$work"/*.log >&2
	exit 1
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

now_ns() {
	echo "${EPOCHREALTIME/./}000"
}

# name, value as shown, what it is measured against, whether it holds (0 or 1)
row() {
	local verdict=ok
	if [[ $4 -eq 1 ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1)) verdict=MISSED
	fi
	printf '%-44s %-18s %-40s %s\n' "$1" "$2" "$3" "$verdict"
}

ms() {
	awk -v ns="$1" 'BEGIN { printf "%.2f ms", ns / 1e6 }'
}

at_most() { # name, ns, limit in ms
	row "$1" "$(ms "$2")" "at most $3 ms" $(($2 <= $3 * 1000000))
}

against() { # name, ns, the machine's ns for the same bytes, MiB
	row "$1" "$(awk -v ns="$2" -v mib="$4" 'BEGIN { printf "%.2f GiB/s", mib / 1024 / (ns / 1e9) }')" \
		"$(awk -v a="$2" -v b="$3" -v mib="$4" 'BEGIN {
			printf "%.0f %% of the machine'"'"'s %.2f GiB/s", b / a * 100, mib / 1024 / (b / 1e9) }')" \
		$(($3 * 100 >= $2 * 80))
}

# --- a VE that holds something ---

ve_start() { # hold's arguments, or none
	node 1 verst create $id --template busybox --ip $address >"$work/create.log" 2>&1 || die "create"
	install -D "$build/bench/hold" "$(node_root 1)/var/lib/verst/private/$id/upper/hold"
	node 1 verst start $id >"$work/start.log" 2>&1 || die "start"
	[[ $# -gt 0 ]] || return 0
	node 1 verst exec $id -- sh -c "/hold $* >/hold.log 2>&1 </dev/null & exit 0" || die "exec"
}

ve_ready() {
	for _ in {1..600}; do
		! node 1 verst exec $id -- grep -q ready /hold.log 2>/dev/null || return 0
		sleep 0.05
	done
	die "the VE does not get ready: $(node 1 verst exec $id -- cat /hold.log)"
}

ve_end() {
	local n
	for n in 1 2; do
		node $n verst stop $id --fast
		node $n verst destroy $id
	done >/dev/null 2>&1
}

frozen_ns() { # median over some checkpoints that leave the VE running
	for ((i = 0; i < rounds; i++)); do
		node 1 verst --json checkpoint $id --to "$tmpfs/image" --leave-running 2>"$work/checkpoint.log" |
			jq -rR 'fromjson? | .frozen_ns // empty' | tail -n 1
	done | median
	rm -f "$tmpfs/image"
}

bench_frozen() { # name, limit in ms, hold's arguments
	local name=$1 limit=$2 ns
	shift 2
	ve_start "$@"
	[[ $# -eq 0 ]] || ve_ready
	ns=$(frozen_ns)
	[[ -n $ns ]] || die "no frozen time for: $name"
	at_most "frozen time, $name" "$ns" "$limit"
	ve_end
}

bench_tcp() {
	local ns
	ve_start listen 7000 100
	node_exec client "$(realpath "$build/bench/hold")" connect $address 7000 100 >"$work/outside.log" 2>&1 &
	outside=$!
	ve_ready
	ns=$(frozen_ns)
	[[ -n $ns ]] || die "no frozen time for TCP"
	at_most "frozen time, 100 TCP connections" "$ns" 8
	kill $outside
	outside=
	ve_end
}

bench_start() {
	local started
	node 1 verst create $id --template busybox >"$work/create.log" 2>&1 || die "create"
	for ((i = 0; i < rounds; i++)); do
		started=$(now_ns)
		node 1 verst start $id >"$work/start.log" 2>&1 || die "start"
		echo $(($(now_ns) - started))
		node 1 verst stop $id --fast >"$work/stop.log" 2>&1 || die "stop"
	done >"$work/starts"
	at_most "start of a busybox VE" "$(median <"$work/starts")" 150
	node 1 verst destroy $id >/dev/null
}

bench_throughput() {
	local started ours=() machine=()
	ve_start memory "$mib"
	ve_ready
	for ((i = 0; i < rounds; i++)); do
		rm -f "$tmpfs"/*
		machine+=("$("$build/bench/limits" write "$tmpfs/plain" "$mib")")
		rm -f "$tmpfs"/*
		started=$(now_ns)
		node 1 verst checkpoint $id --to "$tmpfs/image" --leave-running >"$work/checkpoint.log" 2>&1 || die "checkpoint"
		ours+=($(($(now_ns) - started)))
	done
	against "checkpoint of $mib MiB to tmpfs" "$(printf '%s\n' "${ours[@]}" | median)" \
		"$(printf '%s\n' "${machine[@]}" | median)" "$mib"

	ours=() machine=()
	node 1 verst stop $id --fast >/dev/null 2>&1
	for ((i = 0; i < rounds; i++)); do
		machine+=("$("$build/bench/limits" read "$tmpfs/image")")
		started=$(now_ns)
		node 1 verst restore --from "$tmpfs/image" >"$work/restore.log" 2>&1 || die "restore"
		ours+=($(($(now_ns) - started)))
		node 1 verst stop $id --fast >/dev/null 2>&1
	done
	against "restore of $mib MiB from tmpfs" "$(printf '%s\n' "${ours[@]}" | median)" \
		"$(printf '%s\n' "${machine[@]}" | median)" "$mib"
	ve_end
	rm -f "$tmpfs"/*
}

migration_downtime_ns() { # MiB: there and back and again, median of the frozen time
	local from=1 to=2 swap
	ve_start memory "$1"
	ve_ready
	for ((i = 0; i < rounds; i++)); do
		node $from verst migrate $id "root@$(node_address $to)" -i "$NODES_DIR/key" --json \
			2>"$work/migrate.log" | jq -rR 'fromjson? | .frozen_ns // empty' | tail -n 1
		swap=$from from=$to to=$swap
	done >"$work/downtimes"
	ve_end
	median <"$work/downtimes"
}

bench_migration() {
	local small large
	small=$(migration_downtime_ns 64)
	large=$(migration_downtime_ns "$mib")
	[[ -n $small && -n $large ]] || die "no downtime of a migration"
	row "downtime, migration of 64 MiB" "$(ms "$small")" "" 1
	row "downtime, migration of $mib MiB, mostly idle" "$(ms "$large")" \
		"$((large * 100 / small)) % of that of 64 MiB, at most 120 %" $((large * 100 <= small * 120))
}

nodes_up "$work/nodes" "$build/verst" >"$work/nodes.log" 2>&1 || die "nodes"
for n in 1 2; do
	node $n verst template build busybox >"$work/template.log" 2>&1 || die "template"
done
printf '%s, %s, median of %s\n\n' "$(uname -r)" "$(git log -1 --format='%h %cs' 2>/dev/null || date -I)" "$rounds"
bench_start
bench_frozen "idle VE" 3
bench_frozen "100 processes" 50 processes 100
bench_frozen "1000 files" 10 files 1000
bench_tcp
bench_throughput
bench_migration
printf '\n%d passed, %d failed, 0 skipped\n' $passed $failed
[[ $failed -eq 0 ]]
