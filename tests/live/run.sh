#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Runs the live programs, all of them at once, through one or more modes, and prints a table.
#	run.sh [-b BUILD] [-i ID] [-k] [-v] [-p NAME,NAME...] MODE...
# modes:
#	plain    not dumped at all: the programs themselves are sound
#	broken   each program under each of its sabotages must fail: its checks can fail
#	ve       in a VE, not dumped: what a VE is makes no difference to them
#	leave    in a VE, across checkpoint --leave-running
#	file     in a VE, across checkpoint --to FILE and restore --from FILE, twice
#	pipe     in a VE, across checkpoint --to - and restore --from -, on the other node by ssh
#	migrate  in a VE, across a migration to another node and back
# -x VERST: another binary than BUILD/verst; -p: only these; -k: keep the directory of a failed mode and print where it is; -v: print what verst is asked.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/nodes/nodes.sh

build=build verst= id=3001 keep= verbose= programs=()
while getopts b:i:kp:vx: option; do
	case $option in
	b) build=$OPTARG ;;
	i) id=$OPTARG ;;
	k) keep=1 ;;
	p) IFS=, read -ra programs <<<"$OPTARG" ;;
	v) verbose=1 ;;
	x) verst=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
modes=("$@")
[[ ${#modes[@]} -gt 0 ]] || modes=(plain broken ve leave file pipe migrate)
if [[ ${#programs[@]} -eq 0 ]]; then
	for source in tests/live/*.c; do
		programs+=("$(basename "$source" .c)")
	done
fi

work=$(mktemp -d /var/tmp/verst-live.XXXXXX)
chmod 755 "$work"
declare -A result # of mode,program
at=1              # the node the VE is on

cleanup() {
	nodes_down
	[[ -n $keep ]] || rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

note() { # mode, lines "NAME RESULT..."; the first word on a program stands
	local name text
	while read -r name text; do
		[[ -z $name || -n ${result[$1,$name]:-} ]] || result[$1,$name]=$text
	done
}

pending() { # mode, names: those without a result
	local mode=$1 name
	shift
	for name; do
		[[ -n ${result[$mode,$name]:-} ]] || echo "$name"
	done
}

# --- on the host, in namespaces of its own ---

mode_on_host() {
	local mode=$1 dir=$work/$1 left
	mkdir -p -m 1777 "$dir" # a program may have given up root
	cp tests/live/ctl.sh "$dir"
	for name in "${programs[@]}"; do
		cp "$build/live/$name" "$dir" || note "$mode" <<<"$name FAIL is not built"
	done
	on_host() {
		LIVE_DIR=$dir unshare --pid --fork --kill-child --mount --mount-proc --net --uts --ipc \
			sh -c 'ip link set lo up; exec sh "$0" "$@"' "$@"
	}
	if [[ $mode == broken ]]; then
		on_host "$dir/ctl.sh" sabotage "${programs[@]}" >"$dir/log"
		note "$mode" <"$dir/log"
	else
		LIVE_DIR=$dir unshare --pid --fork --kill-child --mount --mount-proc --net --uts --ipc sh -c '
			ip link set lo up
			sh "$0" start "$@"
			sleep 1
			sh "$0" go "$@"' "$dir/ctl.sh" "${programs[@]}" >"$dir/log"
		note "$mode" <"$dir/log"
	fi
	left=$(pending "$mode" "${programs[@]}")
	for name in $left; do
		note "$mode" <<<"$name FAIL no result"
	done
}

# --- in a VE ---

on_node() {
	[[ -z $verbose ]] || echo "node $at: $*" >&2
	node "$at" timeout -k 5 120 "$@"
}

inside() { # ctl.sh's arguments
	on_node verst exec "$id" -- sh /live/ctl.sh "$@" </dev/null
}

nodes_are_up=
need_nodes() {
	local n
	[[ -z $nodes_are_up ]] || return 0
	nodes_up "$work/nodes" "${verst:-$build/verst}" || return 1
	nodes_are_up=1
	for n in 1 2; do
		at=$n
		on_node verst template build busybox >"$work/template.log" 2>&1 || { cat "$work/template.log"; return 1; }
	done
	at=1
}

ve_up() { # names of programs
	local upper name
	at=1
	ve_down
	on_node verst create "$id" --template busybox --hostname live || return 1
	upper=$(node_root 1)/var/lib/verst/private/$id/upper
	mkdir -m 1777 "$upper/live" || return 1
	cp tests/live/ctl.sh "$upper/live"
	for name; do
		cp "$build/live/$name" "$upper/live"
	done
	on_node verst start "$id"
}

ve_down() {
	local n here=$at
	for n in 1 2; do
		at=$n
		[[ ! -e $(node_root $n)/etc/verst/$id.conf ]] || {
			on_node verst stop "$id" --fast
			on_node verst destroy "$id"
		} >/dev/null 2>&1
	done
	at=$here
}

go_through() { # mode: the VE's way. Output is shown only if it fails.
	local image=$work/image
	case $1 in
	ve) ;;
	leave) on_node verst checkpoint "$id" --to "$image" --leave-running ;;
	file) # twice: what was restored can be dumped like what was there first
		for _ in 1 2; do
			on_node verst checkpoint "$id" --to "$image" &&
				on_node verst image verify "$image" &&
				on_node verst restore --from "$image" || return 1
		done
		;;
	pipe) # the files first, as rsync would bring them (what overlay notes for itself stays behind)
		local private=/var/lib/verst/private/$id conf=/etc/verst/$id.conf
		rm -rf "$(node_root 2)$private"
		mkdir -p "$(node_root 2)$private/work"
		on_node sync
		cp -dR --preserve=mode,ownership,timestamps,links "$(node_root 1)$private/upper" "$(node_root 2)$private" &&
			cp "$(node_root 1)$conf" "$(node_root 2)$conf" &&
			on_node sh -c "verst checkpoint $id --to - |
				ssh -i $NODES_DIR/key root@$(node_address 2) verst restore --from -" && at=2
		;;
	migrate)
		on_node verst migrate "$id" "root@$(node_address 2)" -i "$NODES_DIR/key" && at=2 &&
			on_node verst migrate "$id" "root@$(node_address 1)" -i "$NODES_DIR/key" && at=1
		;;
	esac </dev/null >"$work/log" 2>&1
}

refuse() { # mode: programs that `verst check` names are taken out and counted as failed
	local name text
	while IFS= read -r text; do
		name=$(sed -n 's/.*task [0-9]* (\([^)]*\)).*/\1/p' <<<"$text")
		for program in "${programs[@]}"; do
			[[ -n $name && ${program:0:15} == "$name" ]] || continue
			if grep -q "^$program\s" tests/live/refused.txt; then
				note "$1" <<<"$program skip refused: $text"
			else
				note "$1" <<<"$program FAIL refused: $text"
			fi
			inside drop "$program"
		done
	done < <(on_node verst check "$id" 2>&1)
}

cycle() { # mode, names: returns 1 if the way itself failed
	local mode=$1 left
	shift
	ve_up "$@" >"$work/log" 2>&1 || return 1
	note "$mode" < <(inside start "$@")
	refuse "$mode"
	mapfile -t left < <(pending "$mode" "$@")
	[[ ${#left[@]} -gt 0 ]] || return 0
	go_through "$mode" || return 1
	note "$mode" < <(inside go "${left[@]}")
}

mode_in_ve() {
	local mode=$1 name left
	need_nodes || { note "$mode" < <(printf '%s FAIL no nodes\n' "${programs[@]}"); return; }
	if ! cycle "$mode" "${programs[@]}"; then
		printf '%s: all at once failed:\n' "$mode"
		tail -n 20 "$work/log"
		mapfile -t left < <(pending "$mode" "${programs[@]}")
		for name in "${left[@]}"; do # which is it?
			cycle "$mode" "$name" || note "$mode" <<<"$name FAIL $(tail -n 1 "$work/log")"
		done
	fi
	mapfile -t left < <(pending "$mode" "${programs[@]}")
	for name in "${left[@]}"; do
		note "$mode" <<<"$name FAIL no result"
	done
	ve_down
}

for mode in "${modes[@]}"; do
	case $mode in
	plain | broken) mode_on_host "$mode" ;;
	ve | leave | file | pipe | migrate) mode_in_ve "$mode" ;;
	*) echo "unknown mode $mode" >&2; exit 2 ;;
	esac
done

# the gaps of known.txt: what a program finds there is a skip, with that reason
known() { # program, result
	local line
	while IFS= read -r line; do
		[[ $line != "$1 "* || "$1 $2" != "$line"* ]] || return 0
	done <tests/live/known.txt
	return 1
}

for mode in "${modes[@]}"; do
	for name in "${programs[@]}"; do
		text=${result[$mode,$name]:-}
		! known "$name" "$text" || result[$mode,$name]="skip known gap: $text"
	done
done

passed=0 failed=0 skipped=0
printf '%-16s' program
printf ' %-8s' "${modes[@]}"
echo
for name in "${programs[@]}"; do
	printf '%-16s' "$name"
	for mode in "${modes[@]}"; do
		case ${result[$mode,$name]:-} in
		ok) word=ok; passed=$((passed + 1)) ;;
		skip*) word=skip; skipped=$((skipped + 1)) ;;
		"sabotages 0") word=FAIL; failed=$((failed + 1)) ;;
		sabotages*) word=${result[$mode,$name]#sabotages }; passed=$((passed + 1)) ;;
		*) word=FAIL; failed=$((failed + 1)) ;;
		esac
		printf ' %-8s' "$word"
	done
	echo
done
for mode in "${modes[@]}"; do
	for name in "${programs[@]}"; do
		[[ ${result[$mode,$name]:-} == ok || ${result[$mode,$name]:-} == "sabotages "[1-9]* ]] ||
			printf '%s %s: %s\n' "$mode" "$name" "${result[$mode,$name]:-}"
	done
done
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[[ $failed -eq 0 ]] || { [[ -z $keep ]] || echo "kept: $work"; exit 1; }
