#!/bin/bash
# What established TCP connections cost: system calls of crtool for each (beyond those
# for none), and times, at three sizes. Server and clients are in a network namespace of their own.
# The calls are the design and have a limit, as has their growth; the times follow from them: those
# for an idle machine are 50 us to dump and 100 us to restore each.
#
#   bench/tcp.sh [NUMBER]...
set -u
crtool=$PWD/${B:-build}/crtool
work=$(mktemp -d)
over=0 pid='' client='' netns=''
trap 'kill -KILL $pid $client $netns 2>/dev/null; rm -rf "$work"' EXIT
chmod 700 "$work"

# Most calls per connection: dump, restore.
most_dump=160 most_restore=25

# shellcheck disable=SC2016
program='
import os, resource, signal, socket, sys
who, n = sys.argv[1], int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
keep = []
if who == "server":
    listener = socket.create_server(("127.0.0.1", 7777), backlog=4096)
    open("listens", "w").close()
for i in range(n):
    if who == "server":
        keep.append(listener.accept()[0])
        keep[-1].send(b"content")
    else:
        keep.append(socket.create_connection(("127.0.0.1", 7777)))
if who == "server":
    listener.close()
open(who, "w").close()
while True: signal.pause()
'

inside() {
	nsenter -t "$netns" -n "$@"
}

# run WHO NUMBER: in the background, in a session of its own, with nothing open but /dev/null.
run() {
	(
		cd "$work/run" || exit 1
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -lt 3 ] || eval "exec $fd>&-"
		done
		exec setsid nsenter -t "$netns" -n /usr/bin/python3 -c "$program" "$@" </dev/null >/dev/null 2>&1
	) &
	disown $!
}

# until_there FILE PID
until_there() {
	until [ -e "$work/run/$1" ]; do
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.01
	done
}

start() {
	mkdir -p "$work/run" "$work/images"
	run server "$1"
	pid=$!
	until_there listens "$pid" || return 1
	run client "$1"
	client=$!
	until_there client "$client" && until_there server "$pid"
}

# ended PID
ended() {
	kill -KILL "$1" 2>/dev/null
	while [ -e "/proc/$1" ] && ! grep -qs '^State:.Z' "/proc/$1/status"; do sleep 0.01; done
}

stop() {
	ended "$pid"
	ended "$client"
	pid='' client=''
	rm -rf "$work/run" "$work/images"
}

# calls [OPTION] COMMAND...: how many system calls it makes; -f: with its threads.
calls() {
	inside strace -qq -c -o "$work/calls" "$@" >/dev/null || return 1
	awk '$NF == "total" { print $4 }' "$work/calls"
}

# measure NUMBER: sets dump_calls, restore_calls, frozen_us, dump_ms, restore_ms.
measure() {
	local begun

	start "$1" || return 1
	dump_calls=$(calls -f "$crtool" dump -R --no-sync --tcp-established -t "$pid" -D "$work/images") || return 1
	rm -f "$work/images"/*
	begun=$(date +%s%N)
	frozen_us=$(inside "$crtool" dump --json --no-sync --tcp-established -t "$pid" -D "$work/images" |
		grep -o '"frozen_us":[0-9]*' | cut -d: -f2)
	dump_ms=$((($(date +%s%N) - begun) / 1000000))
	begun=$(date +%s%N)
	inside "$crtool" restore -d -D "$work/images" || return 1
	restore_ms=$((($(date +%s%N) - begun) / 1000000))
	rm -f "$work/images"/*
	inside "$crtool" dump --no-sync --tcp-established -t "$pid" -D "$work/images" || return 1
	restore_calls=$(calls "$crtool" restore -d -D "$work/images") || return 1
	stop
}

if ! command -v strace >/dev/null; then
	echo "skipped: there is no strace"
	exit 0
fi
if ! unshare -n true 2>/dev/null; then
	echo "skipped: no network namespace is to be had"
	exit 0
fi
unshare -n sleep 10000 </dev/null >/dev/null 2>&1 &
netns=$!
disown "$netns"
until [ "$(readlink "/proc/$netns/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
inside ip link set lo up
[ $# -gt 0 ] || set -- 1000 3000 10000
measure 0 || exit 1
base_dump=$dump_calls base_restore=$restore_calls base_ms="$dump_ms $restore_ms"
printf '%7s %18s %18s %12s %12s %12s\n' number "dump calls each" "restore calls each" "frozen us/1" "dump us/1" "restore us/1"
for n; do
	measure "$n" || { echo "bench: $n connections failed" && exit 1; }
	read -r none_dump none_restore <<<"$base_ms"
	awk -v n="$n" -v d=$((dump_calls - base_dump)) -v r=$((restore_calls - base_restore)) \
		-v ld="$most_dump" -v lr="$most_restore" -v f="$frozen_us" -v dms=$((dump_ms - none_dump)) \
		-v rms=$((restore_ms - none_restore)) 'BEGIN {
		printf "%7d %8.1f (max %3d) %8.1f (max %3d) %12.1f %12.1f %12.1f\n", n, d / n, ld, r / n, lr, f / n, dms * 1000 / n, rms * 1000 / n
		exit d / n > ld || r / n > lr }' || over=1
done
exit $over
