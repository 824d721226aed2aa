#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Real software in a Debian VE, started by its own init: redis, nginx with workers, a Python program with threads, timers
# and subprocesses. Clients outside check every answer while the VE moves to another node and back.
#	run.sh [BUILD] [control]
# control: the VE stays where it is; the clients pass if nothing happens to it and fail if something does.
# The template is kept in /var/cache/verst-tests.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/nodes/nodes.sh

build=${1:-build} mode=${2:-migrate} id=3200 address=$NODES_NET.70 keys=${KEYS:-100000}
packages=redis-server,nginx-light,python3-minimal
cache=/var/cache/verst-tests
work=$(mktemp -d /var/tmp/verst-real.XXXXXX)
passed=0 failed=0
declare -A client
cleanup() {
	kill "${client[@]}" 2>/dev/null
	nodes_down
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

die() {
	echo "real: $*" >&2
	for log in "$work"/*.log; do
		[[ ! -s $log ]] || { echo "--- ${log##*/}" && tail -n 10 "$log"; } >&2
	done
	echo "$passed passed, $((failed + 1)) failed, 0 skipped"
	exit 1
}

verdict() { # what, 0 if it is well
	if [[ $2 -eq 0 ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $1"
	fi
}

# Built once, by a lock-holder; what is in it is named by its directory. Both nodes see it through a bind mount.
template() {
	local root n
	root=$cache/$(echo "$packages" | sha256sum | cut -c1-12)
	mkdir -p "$root"
	exec 9>"$root/lock"
	flock 9
	if ! "$build/verst" --root "$root" template list 2>/dev/null | grep -qw real; then
		echo "building the Debian template (once, about a minute)"
		"$build/verst" --root "$root" template build debian --name real --packages "$packages" \
			>"$work/template.log" 2>&1 || die "the template cannot be built"
	fi
	exec 9>&-
	for n in 1 2; do
		mkdir -p "$(node_root $n)/var/lib/verst/template/real"
		node $n mount --bind "$root/var/lib/verst/template/real" "$(node_root $n)/var/lib/verst/template/real"
	done
}

# The configuration an administrator would change, into the VE's own layer before it starts.
prepare() {
	local upper template i
	upper=$(node_root 1)/var/lib/verst/private/$id/upper
	template=$(node_root 1)/var/lib/verst/template/real/root
	mkdir -p "$upper"/etc/{redis,nginx} "$upper"/srv/www
	[[ -d $template ]] || template=$(node 1 readlink -f "$template")
	node 1 cp -a "$template/etc/redis/redis.conf" "$upper/etc/redis/"
	sed -i -e 's/^bind .*/bind 0.0.0.0/' -e 's/^protected-mode .*/protected-mode no/' -e '$a save ""' \
		"$upper/etc/redis/redis.conf"
	cat >"$upper/etc/nginx/nginx.conf" <<-'EOT'
		user www-data;
		worker_processes 3;
		pid /run/nginx.pid;
		events { worker_connections 300; }
		http {
			sendfile on;
			keepalive_timeout 600;
			keepalive_requests 100000000;
			access_log /var/log/nginx/access.log;
			server {
				listen 80;
				root /srv/www;
			}
		}
	EOT
	mkdir -p "$work/www"
	for i in 1 100 4096 30000 300000; do
		head -c $i /dev/urandom >"$work/www/file$i"
	done
	cp "$work"/www/* "$upper/srv/www"
	cp tests/real/app.py "$upper/srv/"
}

start_client() { # name, arguments
	local name=$1
	shift
	node_exec client "$(realpath "$build/real/${name}_client")" "$address" "$@" >"$work/$name.out" 2>"$work/$name.log" &
	client[$name]=$!
	touch "$work/$name.out"
	for _ in {1..600}; do
		! grep -q ready "$work/$name.out" || return 0
		kill -0 "${client[$name]}" 2>/dev/null || break
		sleep 0.05
	done
	die "the $name client does not get going"
}

start_clients() {
	start_client redis 6379 "$keys"
	start_client http 80 40 "$work"/www/*
	start_client app 7070
}

end_client() { # name: its exit code
	kill -TERM "${client[$1]}" 2>/dev/null
	wait "${client[$1]}"
	local status=$?
	unset "client[$1]"
	return $status
}

end_clients() {
	local name status
	for name in redis http app; do
		end_client $name
		status=$?
		verdict "$name: $(cat "$work/$name.log")" $status
		tail -n 1 "$work/$name.out"
	done
}

inside() {
	node 1 timeout -k 5 30 verst exec $id -- "$@"
}

migrate() {
	node "$1" timeout -k 5 120 verst migrate $id "root@$(node_address "$2")" -i "$NODES_DIR/key" \
		>"$work/migrate$1.log" 2>&1
	local status=$?
	verdict "migration from node $1 to node $2" $status
	[[ $status -eq 0 ]] || die "the VE did not move"
	tail -n 1 "$work/migrate$1.log"
}

# --- damage that the clients must notice ---

noticed() { # client, what was done
	local status
	sleep 1
	end_client "$1" 2>/dev/null
	status=$?
	verdict "$2 was not noticed" $((status == 1 ? 0 : 1))
}

control() {
	start_clients
	sleep 1
	end_clients
	start_client redis 6379 "$keys"
	inside redis-cli set key:5 other >/dev/null
	noticed redis "a changed key"
	start_client redis 6379 "$keys"
	inside redis-cli client kill type normal skipme yes >/dev/null
	noticed redis "a closed connection"
	start_client redis 6379 "$keys"
	inside redis-cli del list key:7 >/dev/null
	noticed redis "a lost key"
	start_client http 80 10 "$work"/www/*
	inside sh -c 'pkill -9 -f "[n]ginx: worker"'
	noticed http "lost workers"
	start_client http 80 10 "$work"/www/*
	inside sh -c 'printf x | dd of=/srv/www/file4096 bs=1 seek=2000 conv=notrunc 2>/dev/null'
	noticed http "a changed byte"
	start_client app 7070
	inside sh -c 'pkill -STOP -f "[f]or line in sys.stdin"'
	noticed app "a stopped subprocess"
	inside sh -c 'pkill -CONT -f "[f]or line in sys.stdin"'
	start_client app 7070
	inside sh -c 'pkill -9 -f "[f]or line in sys.stdin"'
	noticed app "a killed subprocess"
}

nodes_up "$work/nodes" "$build/verst" >"$work/nodes.log" 2>&1 || die "the nodes do not come up"
template
node 1 verst create $id --template real --ip "$address" --hostname real >"$work/create.log" 2>&1 || die "create"
prepare || die "prepare"
node 1 verst start $id >"$work/start.log" 2>&1 || die "start"
inside sh -c 'cd /srv && python3 app.py >app.log 2>&1 </dev/null & exit 0' || die "exec"
if [[ $mode == control ]]; then
	control
else
	start_clients
	echo "redis with $keys keys, nginx with 40 connections, app.py: clients run"
	sleep 1
	migrate 1 2
	sleep 2
	migrate 2 1
	sleep 1
	end_clients
fi
[[ $failed -eq 0 ]] || die "see above"
echo "$passed passed, 0 failed, 0 skipped"
