#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Migrations that go wrong: either side killed at every named place, and failing there; the link cut within the commit; wrong
# keys, an agent that is none. After each: exactly one VE runs, really runs, the other node has nothing of it, and the
# next migration works.
#	migrate.sh [-x VERST] [BUILD] [PATTERN]: only the cases whose names match, as "kill at" or "cut"
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/nodes/nodes.sh

verst=
while getopts x: option; do
	case $option in
	x) verst=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
build=${1:-build} pattern=${2:-.} id=2001 address=$NODES_NET.60
verst=${verst:-$build/verst}
work=$(mktemp -d /var/tmp/verst-migrate.XXXXXX)
cleanup() {
	nodes_down
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# every place a migration passes, on the side where it does
source_points=$(grep -rhoE 'fault_point\("(migrate|dump)-[a-z-]+' --include=*.c cpt migrate | cut -d'"' -f2 | sort -u)
target_points=$(grep -rhoE 'fault_point\("(agent|restore|boot)-[a-z-]+' --include=*.c rst migrate ve | cut -d'"' -f2 | sort -u)

at=1 # the node it is on
other() {
	echo $((3 - at))
}

# --- what must hold ---

running_on() { # the nodes on which it runs
	local n
	for n in 1 2; do
		! node "$n" verst status $id --json 2>/dev/null | jq -e '.status == "running"' >/dev/null || echo "$n"
	done
}

left_on() { # what node $1 has of the VE
	local root
	root=$(node_root "$1")
	find "$root/etc/verst/$id.conf" "$root/var/lib/verst/private/$id" "$root/var/lib/verst/journal/$id" \
		"$root/var/lib/verst/root/$id" "$root/run/verst/$id" -maxdepth 0 2>/dev/null
	find /sys/fs/cgroup -path "*$(_nodes_cgroup "$1")/$id" -maxdepth 4 2>/dev/null
	_nodes_processes "$NODES_DIR/node$1" | while read -r pid; do
		tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -E '(^| )(agent|migrate|recover) '
	done
}

counter() {
	node "$at" verst exec $id -- cat /count 2>/dev/null
}

# Its processes are alive and its clients reach it.
really_runs() {
	local before after
	before=$(counter) || return 1
	for _ in {1..50}; do
		sleep 0.05
		after=$(counter) || return 1
		[[ $before == "$after" ]] || break
	done
	[[ -n $before && $before != "$after" ]] || { echo "the VE on node $at stands still at $before" && return 1; }
	answer=$(node client timeout 5 bash -c "exec 3<>/dev/tcp/$address/7 && read -r -t 3 x <&3 && echo \$x") || true
	[[ $answer == hello ]] || { echo "no answer from $address" && return 1; }
}

# One, and only one, and nothing elsewhere. A supervisor in doubt asks after a second: so it is given some.
settled() {
	local nodes='' left=
	for _ in {1..100}; do
		nodes=$(running_on)
		if [[ $nodes == [12] ]]; then
			left=$(left_on $((3 - nodes)))
			[[ -n $left ]] || { at=$nodes && return 0; }
		fi
		sleep 0.1
	done
	echo "runs on: ${nodes:-none}; left elsewhere: ${left//$'\n'/, }"
	return 1
}

# --- cases ---

passed=0 failed=0
result() { # name, why not
	if [[ -z $2 ]]; then
		passed=$((passed + 1))
		printf 'ok     %s\n' "$1"
	else
		failed=$((failed + 1))
		printf 'FAILED %s: %s\n' "$1" "$2"
		sed 's/^/	/' "$work/log" | tail -n 5
	fi
}

start_ve() {
	local n
	for n in 1 2; do
		node "$n" verst stop $id --fast
		node "$n" verst recover $id
		node "$n" verst destroy $id
	done >"$work/stop.log" 2>&1
	at=1
	node 1 verst create $id --template busybox --ip "$address" >"$work/log" 2>&1 && node 1 verst start $id >>"$work/log" 2>&1 &&
		node 1 verst exec $id -- sh -c '(i=0; while :; do i=$((i+1)); echo $i >/count.new; mv /count.new /count; done) \
			>/dev/null 2>&1 </dev/null & nc -ll -p 7 -e echo hello >/dev/null 2>&1 </dev/null & exit 0' >>"$work/log" 2>&1
	sleep 0.3
}

# On the far side the fault goes by a wrapper: sshd hands on no environment.
wrapper() { # fault or nothing
	local n
	for n in 1 2; do
		printf '#!/bin/sh\nVERST_FAULT=%s exec %q --root %q "$@"\n' "$1" "$NODES_DIR/bin/verst-real" "$(node_root "$n")" \
			>"$NODES_DIR/node$n/bin/verst-far.new"
		chmod 755 "$NODES_DIR/node$n/bin/verst-far.new"
		mv "$NODES_DIR/node$n/bin/verst-far.new" "$NODES_DIR/node$n/bin/verst-far"
	done
}

migrate() { # fault here, more options
	local fault=$1
	shift
	node "$at" env VERST_FAULT="$fault" timeout -k 5 90 verst migrate $id "root@$(node_address "$(other)")" -i "$NODES_DIR/key" \
		--remote-verst verst-far "$@" >"$work/log" 2>&1
}

check_and_move_on() { # name; after a migration that went wrong
	local why
	if ! why=$(settled) || ! settled >/dev/null || ! why=$(really_runs); then
		result "$1" "${why:-it does not run}"
		start_ve
		return
	fi
	if ! migrate ''; then
		result "$1" "the next migration fails"
		start_ve
	elif ! why=$(settled) || ! settled >/dev/null || ! why=$(really_runs); then
		result "$1" "after the next migration: ${why:-it does not run}"
		start_ve
	else
		result "$1" ''
	fi
}

try() { # side, point, action
	local name="$3 at the $1's $2"
	[[ $name =~ $pattern ]] || return 0
	if [[ $1 == source ]]; then
		wrapper ''
		migrate "$2=$3"
	else
		wrapper "$2=$3"
		migrate ''
	fi
	wrapper ''
	check_and_move_on "$name"
}

# The link dies within the commit, before or after COMMIT has arrived: the source stands still and nobody may take the VE for his;
# when the link is back it is resolved.
try_cut_link() { # side, point: stopped there; whether it runs at the target while the link is down
	local name="link cut at the $1's $2" port expected='' nodes why=
	[[ $name =~ $pattern ]] || return 0
	[[ $3 == no ]] || expected=$(other)
	port=port$(other)
	wrapper "$([[ $1 == source ]] || echo "$2=stop")"
	(
		stopped=
		for _ in {1..600}; do
			for pid in $(pgrep -f "^$NODES_DIR/bin/verst-real.*(agent|migrate)"); do
				[[ $(cut -d' ' -f3 "/proc/$pid/stat" 2>/dev/null) != T ]] || stopped=$pid
			done
			[[ -z $stopped ]] || break
			sleep 0.05
		done
		node client ip link set "$port" down
		kill -CONT "$stopped" # and has nobody to talk to
	) &
	migrate "$([[ $1 == target ]] || echo "$2=stop")" --doubt-timeout 2
	local code=$?
	wait $!
	wrapper ''
	[[ $code -eq 205 ]] || why="exit code $code instead of 205;"
	nodes=$(running_on)
	[[ $nodes == "$expected" ]] || why="$why while the link is down it runs on ${nodes:-none};"
	! node "$at" verst start $id >/dev/null 2>&1 || why="$why the source started it;"
	node client ip link set "$port" up
	node "$at" verst recover $id >>"$work/log" 2>&1
	[[ -z $why ]] || result "$name" "$why"
	check_and_move_on "$name"
}

# A failure with a code of its own, before anything was done.
try_refused() { # name, code, words, options...
	local name=$1 code=$2 words=$3 got why=
	shift 3
	[[ $name =~ $pattern ]] || return 0
	node "$at" timeout -k 5 60 verst migrate "$@" >"$work/log" 2>&1
	got=$?
	[[ $got -eq $code ]] || why="exit code $got instead of $code"
	grep -q "$words" "$work/log" || why="$why no '$words'"
	settled >"$work/settled" || why="$why $(<"$work/settled")"
	result "$name" "$why"
}

nodes_up "$work/nodes" "$verst" >"$work/nodes.log" 2>&1 || { cat "$work/nodes.log" && exit 1; }
for n in 1 2; do
	node $n verst template build busybox >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
done
wrapper ''
start_ve
settled && really_runs || { echo "the VE does not start" && cat "$work/log" && exit 1; }

there=root@$(node_address 2)
: >"$work/none"
echo "$(node_address 2) $(cut -d' ' -f1,2 "$NODES_DIR/key.pub")" >"$work/wrong"
printf '#!/bin/sh\nprintf "VERST-AGENT\\n"; cat /bin/ls\n' >"$NODES_DIR/node2/bin/liar"
chmod 755 "$NODES_DIR/node2/bin/liar"
try_refused "unknown VE" 14 "no VE 2999" 2999 "$there" -i "$NODES_DIR/key"
try_refused "unknown host key" 202 "ssh-keyscan" $id "$there" -i "$NODES_DIR/key" --known-hosts "$work/none"
try_refused "wrong host key" 202 "not the known one" $id "$there" -i "$NODES_DIR/key" --known-hosts "$work/wrong"
try_refused "wrong key" 202 "accepts no key" $id "$there" -i "$NODES_DIR/node1/host_key"
try_refused "no agent there" 202 "not found" $id "$there" -i "$NODES_DIR/key" --remote-verst no-such-verst
try_refused "an agent that ends" 203 "without a word" $id "$there" -i "$NODES_DIR/key" --remote-verst true
try_refused "an agent that lies" 203 "frame 0" $id "$there" -i "$NODES_DIR/key" --remote-verst liar
try_refused "nobody listens" 202 "refused" $id "root@$(node_address 9)" -i "$NODES_DIR/key"
try_refused "words for a shell" 21 "node name" $id "$there;reboot" -i "$NODES_DIR/key"

for action in kill fail; do
	for point in $source_points; do
		try source "$point" $action
	done
	for point in $target_points; do
		try target "$point" $action
	done
done
try_cut_link source migrate-before-commit no
try_cut_link target agent-commit yes
try_cut_link target agent-committed yes

echo "$passed passed, $failed failed, 0 skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
