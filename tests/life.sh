#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A VE's life, from template to destroy, in a state directory and a network namespace of its own. life.sh [BUILD].
# Prints a line per failed test, and "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
export VERST=${VERST:-$(readlink -f "${1:-build}")/verst}
if [[ -z ${LIFE_NETNS:-} ]]; then
	[[ $EUID -eq 0 ]] || { echo "life.sh needs root"; exit 1; }
	exec env LIFE_NETNS=1 unshare --net -- bash "$0" "$@"
fi

top=$(mktemp -d /var/tmp/verst-life.XXXXXX)
passed=0 failed=0
started=()

v() { "$VERST" --root "$top" "$@"; }

cleanup() {
	for id in $(v list 2>/dev/null | awk 'NR > 1 { print $1 }'); do v --quiet stop --fast "$id"; done
	for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
	rm -rf "$top"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# --- asserting ---

ok() { # what, command...: succeeds
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED: %s: exit status %d: %s\n' "$what" $? "$out"
	fi
}
code() { # expected exit status, command...
	local want=$1 out
	shift
	out=$("$@" 2>&1 </dev/null)
	local got=$?
	if [[ $got -eq $want ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED: %s: exit status %d, not %d: %s\n' "$*" $got "$want" "$out"
	fi
}
is() { # what, expected, got
	if [[ $2 == "$3" ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED: %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
	fi
}
until_is() { # seconds, expected, command...: its output becomes that
	local n=$(($1 * 20)) want=$2 got
	shift 2
	while got=$("$@" 2>&1); [[ $got != "$want" && $n -gt 0 ]]; do
		sleep 0.05
		n=$((n - 1))
	done
	is "$*" "$want" "$got"
}

info() { sed -n "s/^$2=\"\([0-9]*\).*/\1/p" "$top/run/verst/$1/info"; }
state() { v status "$1" | cut -d' ' -f3-; }

# What there is of VEs outside: mounts, cgroups, interfaces, processes, files in run.
leftovers() {
	grep -c "$top" /proc/self/mounts
	find /sys/fs/cgroup -maxdepth 8 -type d -name "$cgroup" 2>/dev/null | wc -l
	ip -o link | grep -c 'v[0-9a-f]*1[0-9][0-9]@'
	ip route | grep -c 'dev v'
	ip neigh show proxy | wc -l
	ps ax -o pid=,comm= | while read -r pid comm; do
		[[ $comm == verst* && /proc/$pid/exe -ef $VERST ]] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -c "$top"
	done
	find "$top/run" -type f ! -name lock 2>/dev/null | wc -l
	find "$top/var/lib/verst/root" -mindepth 1 2>/dev/null | wc -l
}
clean() { until_is 5 "$(printf '0\n0\n0\n0\n0\n0\n0')" leftovers; }

# --- a neighbour on a wire ---

ip link set lo up
unshare --net -- sleep 1000 &
started+=($!)
neighbour=$!
for _ in {1..50}; do
	[[ ! /proc/$neighbour/ns/net -ef /proc/self/ns/net ]] && break
	sleep 0.02
done
ip link add lan0 type veth peer name lan1
ip link set lan1 netns "$neighbour"
ip addr add 10.71.0.1/24 dev lan0
ip link set lan0 up
there() { nsenter --net="/proc/$neighbour/ns/net" -- "$@"; }
there ip addr add 10.71.0.2/24 dev lan1
there ip link set lan1 up
pings() { there busybox ping -c1 -W2 "$1" >/dev/null; }

# --- words of the command line ---

code 0 v --help
code 0 v --version
code 20 v
code 20 v nonsense
code 20 v --nonsense list
code 20 v start
code 20 v start 101 102
code 20 v start --nonsense 101
code 0 v start --help
code 20 v template
code 0 v template --help
code 20 v create 101
code 12 setpriv --reuid 65534 --clear-groups -- "$VERST" --root "$top" list
for command in create destroy start stop restart status list exec enter console set "template build" "template list" \
	"template remove"; do
	# shellcheck disable=SC2086
	is "help of $command" "verst $command" "$(v $command --help | head -1 | grep -o "^verst $command")"
done

# --- templates ---

code 29 v create 101 --template busybox
code 21 v template build nonsense
code 21 v template build busybox --name ../x
SECONDS=0
ok "build busybox" v template build busybox
is "built in 5 s" 1 $((SECONDS <= 5))
code 44 v template build busybox
ok "build again by force" v template build busybox --force
ok "second template" v template build busybox --name other
is "same content, same digest" 1 "$(v template list | awk 'NR > 1 { print $5 }' | sort -u | wc -l)"
is "templates" "busybox other" "$(v template list | awk 'NR > 1 { printf "%s%s", n++ ? " " : "", $1 }')"
ok "JSON of templates" python3 -c 'import json, sys; assert json.load(sys.stdin)[0]["init"] == "busybox"' \
	< <(v --json template list)
ok "remove" v template remove other
code 29 v template remove other

# --- create ---

is "no VE" "deleted unmounted down" "$(state 101)"
for command in start stop restart destroy; do code 14 v $command 101; done
code 14 v exec 101 -- true
code 14 v set 101 --hostname x
code 14 v start no-such-name
for id in 0 100 2147483645 4294967397; do code 21 v create $id --template busybox; done
code 21 v create x1 --template busybox
code 21 v start 99
code 131 v start 'bad/name'
code 21 v create 101 --template ../busybox
code 29 v create 101 --template nothing
code 71 v create 101 --template busybox --ip 10.71.0.300
code 71 v create 101 --template busybox --ip 127.0.0.1
code 78 v create 101 --template busybox --ip 10.71.0.1
code 131 v create 101 --template busybox --name 1x
code 21 v create 101 --template busybox --hostname 'a b'
is "nothing of all that is left" "" "$(find "$top/etc" "$top/run" "$top/var/lib/verst/private" -type f 2>/dev/null)"
ok "create" v create 101 --template busybox --ip 10.71.0.50 --hostname one --name first
code 44 v create 101 --template busybox
code 131 v create 102 --template busybox --name first
code 78 v create 102 --template busybox --ip 10.71.0.50
VERST_FAULT=create-private code 206 v create 102 --template busybox
is "no VE of a failed create" "deleted unmounted down" "$(state 102)"
code 47 v template remove busybox
is "status" "exist unmounted down" "$(state 101)"
is "status by name" "CTID 101 exist unmounted down" "$(v status first)"
is "list" "" "$(v list | sed 1d)"
is "list -a" "101 - stopped 10.71.0.50 one" "$(v list -a | awk 'NR > 1 { $1 = $1; print }')"
cgroup=$(basename "$(v exec 101 -- true 2>/dev/null; printf 'verst-')")
code 31 v exec 101 -- true
code 31 v stop 101
code 31 v console 101

# --- start ---

clean() { :; }
ok "start" v start first
is "running" "exist mounted running" "$(state 101)"
cgroup=$(basename "$(dirname "$(sed -n 's/^0:://p' "/proc/$(info 101 INIT)/cgroup")")")
is "cgroup of its own" 1 "$([[ $cgroup == verst-* ]] && echo 1)"
clean() { until_is 5 "$(printf '0\n0\n0\n0\n0\n0\n0')" leftovers; }
code 32 v start 101
code 32 v destroy 101
is "list" "101 running 10.71.0.50 one" "$(v list | awk 'NR > 1 { print $1, $3, $4, $5 }')"
ok "JSON" python3 -c 'import json, sys; a = json.load(sys.stdin); assert a[0]["ctid"] == 101 and a[0]["status"] == "running"' \
	< <(v list --json)
is "uptime of its own" 1 "$(v exec 101 -- sh -c 'read -r up rest </proc/uptime; echo $((${up%.*} < 60))')"
best=1000
for _ in {1..5}; do
	v --quiet stop --fast 101
	ms=$(v --verbose start 101 | sed -n 's/.* in \([0-9]*\)\..* ms$/\1/p')
	[[ ${ms:-1000} -lt $best ]] && best=$ms
done
echo "start of a busybox VE: $best ms at best"
is "started in 150 ms" 1 $((best <= 150))

# --- isolation ---

init=$(info 101 INIT)
for ns in cgroup ipc mnt net pid time user uts; do
	is "$ns namespace" 1 "$([[ ! /proc/$init/ns/$ns -ef /proc/self/ns/$ns ]] && echo 1)"
done
is "init is 1" 1 "$(awk '/^NSpid/ { print $3 }' "/proc/$init/status")"
is "its parent is the supervisor" "$(info 101 SUPERVISOR)" "$(awk '/^PPid/ { print $2 }' "/proc/$init/status")"
is "root inside is not root outside" 1 "$(awk '/^Uid/ { print($2 >= 100000) }' "/proc/$init/status")"
is "hostname" one "$(v exec 101 -- hostname)"
is "no mount of the host" "" "$(v exec 101 -- cat /proc/self/mounts | grep -e "$top" -e /dev/vd -e /dev/sd)"
is "own processes only" 0 "$(v exec 101 -- ps | grep -c bash)"
code 1 v exec 101 -- sh -c 'echo 1 >/proc/sys/kernel/panic'
code 1 v exec 101 -- sh -c 'echo b >/proc/sysrq-trigger && exit 0; test -w /proc/sysrq-trigger/x'
ok "network settings are its own" v exec 101 -- sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
code 1 v exec 101 -- mknod /tmp/disk b 8 0
code 1 v exec 101 -- mount -t devtmpfs none /mnt
ok "may mount a tmpfs" v exec 101 -- sh -c 'mount -t tmpfs none /mnt && umount /mnt'
ok "may mount another proc" v exec 101 -- sh -c 'mount -t proc none /mnt && umount /mnt'
ok "devices" v exec 101 -- sh -c 'head -c1 /dev/zero >/dev/null && head -c1 /dev/urandom >/dev/null && test -c /dev/console'
ok "own cgroups" v exec 101 -- sh -c 'mkdir /sys/fs/cgroup/sub && echo 0 >/sys/fs/cgroup/sub/cgroup.procs && sleep 0'
is "file inside is a file outside" "$(awk '/^Uid/ { print $2 }' "/proc/$init/status") 0" \
	"$(v exec 101 -- touch /made; stat -c %u "$top/var/lib/verst/root/101/made" | tr '\n' ' '; stat -c %u "$top/var/lib/verst/private/101/upper/made")"
is "cgroup inside is the root" "0::/" "$(v exec 101 -- cat /proc/self/cgroup | grep ^0:)"

# --- network ---

ok "the neighbour reaches it" pings 10.71.0.50
ok "it reaches the neighbour" v exec 101 -- ping -c1 -W2 10.71.0.2
ok "the host reaches it" busybox ping -c1 -W2 10.71.0.50
v exec 101 -- ip addr add 10.71.0.77/32 dev venet0
code 1 v exec 101 -- ping -c1 -W1 -I 10.71.0.77 10.71.0.2
ok "second VE" v create 102 --template busybox --ip 10.71.0.51
ok "start it" v start 102
ok "VE to VE" v exec 101 -- ping -c1 -W2 10.71.0.51
code 78 v set 101 --ipadd 10.71.0.51
code 78 v set 101 --ipadd 10.71.0.50
code 71 v set 101 --ipdel 10.71.0.99
ok "add an address" v set 101 --ipadd 10.71.0.52 --save
ok "it answers" pings 10.71.0.52
ok "remove an address" v set 101 --ipdel 10.71.0.50 --save
code 1 pings 10.71.0.50
ok "an address for a VE without" v create 103 --template busybox
ok "start" v start 103
ok "add" v set 103 --ipadd 10.71.0.53
ok "it answers" pings 10.71.0.53
ok "another" v set 103 --ipadd 10.71.0.54
ok "both answer" pings 10.71.0.53
ok "it is not saved" grep -qv IP_ADDRESS "$top/etc/verst/103.conf"
ok "stop" v stop --fast 103
ok "destroy" v destroy 103
# an address that was free when the VE was made
ip addr add 10.71.0.51/32 dev lo
ok "stop" v stop --fast 102
code 78 v start 102
ip addr del 10.71.0.51/32 dev lo
is "down" "exist unmounted down" "$(state 102)"
ok "start" v start 102
ok "stop" v stop --fast 102
ok "destroy" v destroy 102

# --- set, config ---

code 20 v set 101
code 131 v set 101 --name 0x
code 21 v set 101 --onboot maybe
code 71 v set 101 --nameserver nonsense
ok "set" v set 101 --hostname two --name second --description 'a "b" $c' --nameserver 10.71.0.2 --onboot yes --save
is "hostname at once" two "$(v exec second -- hostname)"
code 14 v status first
is "config" 'DESCRIPTION="a \"b\" \$c"' "$(grep DESCRIPTION "$top/etc/verst/101.conf")"
is "a shell reads it" 'a "b" $c' "$(. "$top/etc/verst/101.conf"; echo "$DESCRIPTION")"
echo 'SOMETHING_ELSE="kept"' >>"$top/etc/verst/101.conf"
ok "set" v set 101 --stop-timeout 5 --save
ok "unknown keys are kept" grep -q '^SOMETHING_ELSE="kept"$' "$top/etc/verst/101.conf"
ok "without --save" v set 101 --hostname three
is "hostname" three "$(v exec 101 -- hostname)"
ok "restart" v restart 101
is "hostname of the config" two "$(v exec 101 -- hostname)"
is "name server" "nameserver 10.71.0.2" "$(v exec 101 -- cat /etc/resolv.conf)"
ok "files survive" v exec 101 -- test -e /made

# --- exec ---

for n in 0 1 7 255; do code $n v exec 101 -- sh -c "exit $n"; done
code 143 v exec 101 -- sh -c 'kill -TERM $$'
code 127 v exec 101 -- no-such-command
code 126 v exec 101 -- /etc/passwd
code 20 v exec 101
is "stdin" hello "$(echo hello | v exec 101 -- cat)"
is "stdout" out "$(v exec 101 -- sh -c 'echo out; echo err >&2' 2>/dev/null)"
is "stderr" err "$(v exec 101 -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)"
is "arguments as they are" '<a b> <--x> <>' "$(v exec 101 -- sh -c 'printf "<%s> <%s> <%s>" "$@"' sh 'a b' --x '')"
is "without --" x "$(v exec 101 echo x)"
is "much of it" "20000000 ok" "$(head -c 20000000 /dev/zero | v exec 101 -- sh -c 'cat; echo ok' | tr -d '\0' | sed "s/^/20000000 /")"
is "a closed output ends it" 5 "$(timeout 10 bash -c '"$VERST" --root "$0" exec 101 -- yes | head -c5 | wc -c' "$top")"
is "clean environment" "" "$(SECRET=1 v exec 101 -- env | grep SECRET)"
is "/dev/stdout" x "$(v exec 101 -- sh -c 'echo x >/dev/stdout')"
if command -v script >/dev/null; then
	pty() { script -qec "stty rows 33 cols 99; $*" /dev/null; }
	export -f v
	is "pty of its own" "/dev/pts/0 33 99" "$(pty "$VERST --root $top exec 101 -- sh -c 'tty; stty size'" | tr -s '\r\n' ' ' | sed 's,\^@,,g; s, $,,')"
	code 5 script -qec "$VERST --root $top exec 101 -- sh -c 'exit 5'" /dev/null
	is "enter" "uid=0(root) gid=0(root)" "$(script -qec "$VERST --root $top enter 101" /dev/null <<<'id; exit' | tr -d '\r' | grep -m1 ^uid)"
fi
v exec 101 -- sh -c 'sleep 4321 & sleep 4322 </dev/null >/dev/null 2>&1 &' </dev/null
is "left running: init's" "1 1" "$(v exec 101 -- ps -o ppid,args | awk '/sleep 432[12]/ { printf "%s%s", n++ ? " " : "", $1 }')"
for pid in $(pgrep -f '^sleep 432[12]$'); do
	[[ /proc/$pid/ns/pid -ef /proc/$(info 101 INIT)/ns/pid ]] || continue
	is "left running: cgroups" "" "$(cut -d: -f3 "/proc/$pid/cgroup" | grep -v "/$cgroup/101$")"
	is "left running: namespaces" "" "$(for ns in cgroup ipc mnt net pid time user uts; do
		[[ /proc/$pid/ns/$ns -ef /proc/$(info 101 INIT)/ns/$ns ]] || echo "$ns"
	done)"
done
"$VERST" --root "$top" exec 101 -- sleep 4323 &
cli=$!
until_is 5 1 bash -c '"$VERST" --root "$0" exec 101 -- ps -o args | grep -c "^sleep 4323"' "$top"
kill -9 $cli
wait $cli 2>/dev/null
until_is 5 "1 sleep 4323" bash -c '"$VERST" --root "$0" exec 101 -- ps -o ppid,args | grep "sleep 4323$" | xargs' "$top"
ok "console" bash -c 'v() { "$VERST" --root "$0" "$@"; }; v exec 101 -- sh -c "echo on-the-console >/dev/console"; sleep 0.2
	timeout 1 "$VERST" --root "$0" console 101 </dev/zero | grep -q on-the-console' "$top"

# --- the node's own start ---

code 20 v start
code 20 v start 101 --onboot
ok "stop" v stop --fast 101
ok "start what is to be started" v start --onboot
is "it runs" "exist mounted running" "$(state 101)"
ok "again" v start --onboot
code 32 v start 101

# --- stop ---

SECONDS=0
ok "stop" v stop 101
is "stopped gently, in time" 1 $((SECONDS <= 5))
is "down" "exist unmounted down" "$(state 101)"
clean
code 31 v stop 101
# a VE whose init does not listen
ok "deaf init" v create 104 --template busybox --ip 10.71.0.54
mkdir -p "$top/var/lib/verst/private/104/upper/sbin"
printf '#!/bin/sh\ntrap "" USR1 USR2 TERM PWR INT\nwhile :; do sleep 1; done\n' >"$top/var/lib/verst/private/104/upper/sbin/init"
chmod 755 "$top/var/lib/verst/private/104/upper/sbin/init"
ok "set" v set 104 --stop-timeout 1 --save
ok "start" v start 104
SECONDS=0
ok "stopped by force" v stop 104
is "after its time" 1 $((SECONDS >= 1 && SECONDS <= 4))
rm "$top/var/lib/verst/private/104/upper/sbin/init"
mkdir -p "$top/var/lib/verst/private/104/upper/sbin/init"
mkdir -p "$top/var/lib/verst/private/104/upper/bin/sh" "$top/var/lib/verst/private/104/upper/bin/init" \
	"$top/var/lib/verst/private/104/upper/etc/init"
clean
ok "destroy" v destroy 104

# --- ends from inside ---

ok "start" v start 101
v exec 101 -- poweroff
until_is 10 "exist unmounted down" state 101
clean
ok "start" v start 101
before=$(info 101 INIT)
v exec 101 -- reboot
until_is 10 1 bash -c 'now=$(sed -n "s/^INIT=\"\([0-9]*\).*/\1/p" "$0/run/verst/101/info" 2>/dev/null); [[ -n $now && $now != "$1" ]] && echo 1' \
	"$top" "$before"
is "it runs again" "exist mounted running" "$(state 101)"
ok "exec" v exec 101 -- true
kill -9 "$(info 101 INIT)"
until_is 5 "exist unmounted down" state 101
clean

# --- killed commands ---

VERST_FAULT=start-booted code 206 v start 101
clean
VERST_FAULT=start-booted=kill code 137 v start 101
until_is 5 "exist unmounted down" state 101
clean
# each phase of the boot: it fails, or its supervisor is killed there
for point in $(v fault-points | grep ^boot-); do
	VERST_FAULT=$point code 206 v start 101
	clean
	VERST_FAULT=$point=kill "$VERST" --root "$top" start 101 >/dev/null 2>&1
	is "killed at $point" "203 exist unmounted down" "$? $(state 101)"
	clean
done
is "fault points of the boot" 5 "$(v fault-points | grep -c ^boot-)"
ok "start after that" v start 101
ok "stop" v stop --fast 101
VERST_FAULT=start-booted=stop "$VERST" --root "$top" start 101 &
stopped=$!
until_is 5 "exist mounted running" state 101
code 9 v stop 101
is "who holds the lock" 1 "$(v stop 101 2>&1 | grep -c "by process $stopped: .*start 101")"
kill -9 $stopped
wait $stopped 2>/dev/null
until_is 5 "exist unmounted down" state 101
clean
# its supervisor may be anywhere between its birth and a VE that runs: in the end it is one or the other
bad=0
for _ in {1..30}; do
	"$VERST" --root "$top" --quiet start 101 2>/dev/null &
	p=$!
	sleep "0.0$((RANDOM % 3))$((RANDOM % 10))"
	kill -9 $p 2>/dev/null
	wait $p 2>/dev/null
	for _ in {1..200}; do
		s=$(state 101)
		[[ $s == "exist unmounted down" && ! -e $top/run/verst/101/supervisor ]] && break
		[[ $s == "exist mounted running" ]] && v --quiet stop --fast 101 2>/dev/null
		sleep 0.02
	done
	[[ $s == "exist unmounted down" ]] || bad=$((bad + 1))
done
is "starts killed at any moment" 0 $bad
clean
ok "start" v start 101
"$VERST" --root "$top" exec 101 -- sh -c 'trap "" TERM; while :; do sleep 0.1; done' &
cli=$!
sleep 0.2
kill -9 $cli
wait $cli 2>/dev/null
is "the VE outlives its commands" "exist mounted running" "$(state 101)"
kill -9 "$(info 101 SUPERVISOR)"
until_is 5 "exist mounted running" state 101
ok "exec without a supervisor" v exec 101 -- true
code 32 v start 101
ok "stop without a supervisor" v stop 101
clean
ok "start after that" v start 101
ok "stop --fast" v stop --fast 101
clean

# --- many at once ---

bad=0
for id in {111..118}; do v --quiet create $id --template busybox --ip 10.71.0.$id; done
for id in {111..118}; do v --quiet start $id & pids[id]=$!; done
for id in {111..118}; do wait "${pids[id]}" || bad=$((bad + 1)); done
is "eight starts at once" 0 $bad
is "each its own ids" 8 "$(cat "$top"/run/verst/11?/info | grep UID_BASE | sort -u | wc -l)"
for id in {111..118}; do v --quiet stop --fast $id & pids[id]=$!; done
for id in {111..118}; do wait "${pids[id]}" || bad=$((bad + 1)); done
is "eight stops at once" 0 $bad
for id in {111..118}; do v --quiet destroy $id || bad=$((bad + 1)); done
is "destroyed" 0 $bad
clean

# --- destroy ---

mkdir "$top/etc/verst/x" && chattr +i "$top/var/lib/verst/private/101/upper" 2>/dev/null && {
	code 3 v destroy 101
	chattr -i "$top/var/lib/verst/private/101/upper"
}
ok "destroy" v destroy 101
is "gone" "deleted unmounted down" "$(state 101)"
is "nothing of it is left" "" "$(find "$top/run" "$top/etc" "$top/var/lib/verst/private" "$top/var/lib/verst/root" -mindepth 1 \
	! -path "$top/etc/verst*" ! -path "$top/run/verst")"
clean

printf '\n%d passed, %d failed\n' $passed $failed
[[ $failed -eq 0 ]]
