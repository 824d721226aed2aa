#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two nodes and a client on one machine: each in its own network, mount and uts namespace, the nodes with an sshd and
# state of their own, all three on one Ethernet segment.
#
#	node 1  10.77.0.1 --+
#	node 2  10.77.0.2 --+-- bridge in the client's namespace, 10.77.0.9
#
# As a library: . nodes.sh; nodes_up DIR VERST; node 1 verst list; node_exec client ping ... & nodes_down.
# As a command: nodes.sh up DIR VERST | exec DIR 1|2|client CMD ... | down DIR.
# DIR is made by nodes_up and removed by nodes_down. In it: key (ssh), node1/ and node2/ (home, bin, root).

NODES_NET=${NODES_NET:-10.77.0}
NODES_DIR=${NODES_DIR:-}

# Becomes a command inside of a node: `verst` there is that node's own, HOME has its known_hosts.
node_exec() {
	local name=$1 dir=$NODES_DIR/$1
	[[ $name == client ]] || { dir=$NODES_DIR/node$1; name=node$1; }
	shift
	HOME=/root PATH=$dir/bin:$NODES_DIR/bin:$PATH exec nsenter -t "$(<"$dir/keeper.pid")" -m -n -u -w"$dir" -- "$@"
}

node() {
	(node_exec "$@")
}

node_address() {
	echo "$NODES_NET.$1"
}

node_root() { # where node $1 keeps its VEs: what verst calls --root
	echo "$NODES_DIR/node$1/root"
}

# One process that holds the namespaces; it sleeps until nodes_down kills it. Out of our session: ^C is not for it.
_nodes_keeper() {
	local dir=$1
	mkdir -p "$dir/home" "$dir/bin"
	setsid -w unshare --mount --net --uts --propagation private bash -c '
		set -e
		hostname "$1"
		mount -t tmpfs -o mode=755 tmpfs /run
		mkdir -p -m 755 /run/sshd
		mount --bind "$2/home" /root
		ip link set lo up
		echo $$ >"$2/keeper.pid.new"
		mv "$2/keeper.pid.new" "$2/keeper.pid"
		exec sleep infinity' keeper "${dir##*/}" "$dir" </dev/null >"$dir/keeper.log" 2>&1 &
	disown
	for _ in {1..100}; do
		[[ ! -s $dir/keeper.pid ]] || return 0
		sleep 0.05
	done
	cat "$dir/keeper.log" >&2
	return 1
}

_nodes_sshd() {
	local n=$1 dir=$NODES_DIR/node$1
	ssh-keygen -q -t ed25519 -N '' -C "node$n" -f "$dir/host_key"
	cat >"$dir/sshd_config" <<-EOT
		ListenAddress $NODES_NET.$n:22
		HostKey $dir/host_key
		PidFile $dir/sshd.pid
		AuthorizedKeysFile $NODES_DIR/key.pub
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		StrictModes no
		UsePAM no
		MaxStartups 100
		SetEnv PATH=$dir/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		Subsystem sftp internal-sftp
	EOT
	node "$n" /usr/sbin/sshd -f "$dir/sshd_config" -E "$dir/sshd.log"
}

nodes_up() { # DIR VERST
	local verst n
	verst=$(realpath "$2") || return 1
	mkdir -p "$1" || return 1
	NODES_DIR=$(realpath "$1")
	mkdir -p "$NODES_DIR/bin"
	cp "$verst" "$NODES_DIR/bin/verst-real"
	ssh-keygen -q -t ed25519 -N '' -C verst-test -f "$NODES_DIR/key" || return 1

	_nodes_keeper "$NODES_DIR/client" || return 1
	node client ip link add br0 type bridge forward_delay 0 || return 1
	node client ip address add "$NODES_NET.9/24" dev br0
	node client ip link set br0 up
	for n in 1 2; do
		_nodes_keeper "$NODES_DIR/node$n" || return 1
		node client ip link add "port$n" type veth peer name eth0 netns "$(<"$NODES_DIR/node$n/keeper.pid")"
		node client ip link set "port$n" master br0 up
		node "$n" ip address add "$NODES_NET.$n/24" dev eth0
		node "$n" ip link set eth0 up
		node "$n" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
		mkdir -p "$(node_root "$n")/etc/verst"
		echo "CGROUP=\"$(_nodes_cgroup "$n")\"" >"$(node_root "$n")/etc/verst/verst.conf"
		printf '#!/bin/sh\nexec %q --root %q "$@"\n' "$NODES_DIR/bin/verst-real" "$(node_root "$n")" \
			>"$NODES_DIR/node$n/bin/verst"
		chmod 755 "$NODES_DIR/node$n/bin/verst"
		_nodes_sshd "$n" || return 1
	done
	for n in 1 2; do
		mkdir -p -m 700 "$NODES_DIR/node$n/home/.ssh"
		for other in 1 2; do
			echo "$NODES_NET.$other $(cut -d' ' -f1,2 "$NODES_DIR/node$other/host_key.pub")"
		done >"$NODES_DIR/node$n/home/.ssh/known_hosts"
	done
}

# The node's own directory in every cgroup hierarchy: what is in there is ours.
_nodes_cgroup() {
	echo "verst-node$1-$(basename "$(dirname "$NODES_DIR")")" | tr -c 'a-zA-Z0-9-\n' -
}

_nodes_processes() { # in the node's network namespace
	local net
	net=$(readlink "/proc/$(<"$1/keeper.pid")/ns/net" 2>/dev/null) || return 0
	find /proc/[0-9]*/ns/net -maxdepth 0 -lname "${net/\[/\\[}" -printf '%p\n' 2>/dev/null | cut -d/ -f3
}

_nodes_kill() { # all of a node, whatever state it is in
	local dir=$1 group=$2 path pids
	for path in /sys/fs/cgroup/*/"$group"/cgroup.kill /sys/fs/cgroup/"$group"/cgroup.kill; do
		[[ ! -e $path ]] || echo 1 >"$path"
	done
	for _ in {1..50}; do
		pids=$(_nodes_processes "$dir")
		[[ -n $pids ]] || break
		# shellcheck disable=SC2086
		kill -KILL $pids 2>/dev/null
		sleep 0.05
	done
	for path in /sys/fs/cgroup/*/"$group" /sys/fs/cgroup/"$group"; do
		[[ ! -d $path ]] || find "$path" -depth -type d -exec rmdir {} + 2>/dev/null
	done
}

nodes_down() {
	local n id
	[[ -n $NODES_DIR && -d $NODES_DIR ]] || return 0
	for n in 1 2; do
		[[ -s $NODES_DIR/node$n/keeper.pid ]] || continue
		for id in "$(node_root "$n")"/run/verst/[0-9]*; do
			[[ ! -e $id ]] || node "$n" timeout 20 verst stop "${id##*/}" --fast >/dev/null 2>&1
		done
		_nodes_kill "$NODES_DIR/node$n" "$(_nodes_cgroup "$n")"
	done
	[[ ! -s $NODES_DIR/client/keeper.pid ]] || _nodes_kill "$NODES_DIR/client" none
	rm -rf --one-file-system "$NODES_DIR"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
	set -euo pipefail
	command=${1:?up, exec or down}
	NODES_DIR=${2:?directory}
	shift 2
	case $command in
	up) nodes_up "$NODES_DIR" "$1" || { nodes_down; exit 1; } ;;
	exec) node "$@" ;;
	down) nodes_down || true ;;
	*) echo "nodes.sh up|exec|down DIR ..." >&2; exit 2 ;;
	esac
fi
