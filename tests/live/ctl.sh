#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The runner's hand where the live programs run (a VE, or a namespace of the host). LIVE_DIR is where programs and
# notes are. ctl.sh start NAME... | go NAME... | drop NAME... | sabotage NAME...
LIVE_DIR=${LIVE_DIR:-/live}
cd "$LIVE_DIR" || exit 1
command=$1
shift

# Every process of a program, by its environment: sessions and parents are what some programs play with. Busybox's grep
# looks no further than the first NUL, so the name comes first.
kill_program() {
	for p in $(grep -lF "LIVE_NAME=<$1>" /proc/[0-9]*/environ 2>/dev/null); do
		p=${p#/proc/}
		kill -KILL "${p%/environ}" 2>/dev/null
	done
}

# waits at most $1 seconds until each of the other arguments is a file
wait_for() {
	tries=$(($1 * 20))
	shift
	for f; do
		while [ ! -e "$f" ] && [ $tries -gt 0 ]; do
			tries=$((tries - 1))
			sleep 0.05
		done
	done
}

sabotage_all() {
	n=$1
	nr=0
	while :; do
		nr=$((nr + 1))
		rm -f "$n.ready" "$n.result" "$n.fail" "$n.go"
		setsid timeout -s KILL 8 env -i LIVE_NAME="<$n>" LIVE_DIR="$LIVE_DIR" LIVE_SABOTAGE=$nr \
			"./$n" </dev/null >"$n.out" 2>&1
		result=$(cat "$n.result" 2>/dev/null || echo "FAIL died")
		kill_program "$n"
		case $result in
		none | skip*) break ;;
		"FAIL setup"*)
			echo "$n FAIL sabotage $nr: $result"
			return
			;;
		FAIL*) ;;
		*)
			echo "$n FAIL sabotage $nr was not noticed"
			return
			;;
		esac
	done
	echo "$n sabotages $((nr - 1))"
}

case $command in
start) # prints a line for each that did not get ready
	rm -rf -- *.ready *.result *.fail *.out go
	ready=
	for n; do
		setsid env -i LIVE_NAME="<$n>" LIVE_DIR="$LIVE_DIR" "./$n" </dev/null >"$n.out" 2>&1 &
		ready="$ready $n.ready"
	done
	# a program may end before it is ready: then it has a result
	for n; do
		tries=200
		while [ ! -e "$n.ready" ] && [ ! -e "$n.result" ] && [ $tries -gt 0 ]; do
			tries=$((tries - 1))
			sleep 0.05
		done
		[ -e "$n.ready" ] || echo "$n $(cat "$n.result" 2>/dev/null || echo "FAIL not ready: $(tail -n 1 "$n.out")")"
	done
	;;
go) # prints each program's result
	touch go
	for n; do
		wait_for 15 "$n.result"
		if [ -e "$n.result" ]; then
			echo "$n $(cat "$n.result")"
		elif kill -0 "$(cat "$n.ready")" 2>/dev/null; then
			echo "$n FAIL hangs: $(head -n 1 "$n.fail" 2>/dev/null)"
			kill_program "$n"
		else
			echo "$n FAIL gone: $(tail -n 1 "$n.out") $(head -n 1 "$n.fail" 2>/dev/null)"
		fi
	done
	;;
drop)
	for n; do
		kill_program "$n"
	done
	;;
sabotage) # each program under each of its sabotages: prints those that did not notice. The programs side by side.
	for n; do
		sabotage_all "$n" &
	done
	wait
	;;
esac
exit 0
