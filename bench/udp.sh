#!/bin/bash
# What UDP sockets cost: system calls of crtool for each (beyond those for none), and times, at three sizes,
# each with two datagrams that wait. In a network namespace of its own. The calls have a limit, as
# has their growth; the times follow from them.
#
#   bench/udp.sh [NUMBER]...
set -u
crtool=$PWD/${B:-build}/crtool
work=$(mktemp -d)
over=0 pid='' netns=''
trap 'kill -KILL $pid $netns 2>/dev/null; rm -rf "$work"' EXIT
chmod 700 "$work"

# Most calls per socket: dump, restore.
most_dump=150 most_restore=40

# shellcheck disable=SC2016
program='
import resource, signal, socket, sys
n = int(sys.argv[1])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
keep = []
for i in range(n):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 10000 + i))
    for _ in range(2):
        sender.sendto(b"content", ("127.0.0.1", 10000 + i))
    keep.append(s)
open("there", "w").close()
while True: signal.pause()
'

inside() {
	nsenter -t "$netns" -n "$@"
}

start() {
	mkdir -p "$work/run" "$work/images"
	(
		cd "$work/run" || exit 1
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -lt 3 ] || eval "exec $fd>&-"
		done
		exec setsid nsenter -t "$netns" -n /usr/bin/python3 -c "$program" "$1" </dev/null >/dev/null 2>&1
	) &
	pid=$!
	disown "$pid"
	until [ -e "$work/run/there" ]; do
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.01
	done
}

stop() {
	kill -KILL "$pid" 2>/dev/null
	while [ -e "/proc/$pid" ] && ! grep -qs '^State:.Z' "/proc/$pid/status"; do sleep 0.01; done
	pid=''
	rm -rf "$work/run" "$work/images"
}

# calls [OPTION] COMMAND...: how many system calls it makes; -f: with its threads.
calls() {
	inside strace -qq -c -o "$work/calls" "$@" >/dev/null || return 1
	awk '$NF == "total" { print $4 }' "$work/calls"
}

# measure NUMBER: sets dump_calls, restore_calls, dump_us, restore_us.
measure() {
	local begun

	start "$1" || return 1
	dump_calls=$(calls -f "$crtool" dump -R --no-sync -t "$pid" -D "$work/images") || return 1
	rm -f "$work/images"/*
	begun=$(date +%s%N)
	inside "$crtool" dump --no-sync -t "$pid" -D "$work/images" || return 1
	dump_us=$((($(date +%s%N) - begun) / 1000))
	begun=$(date +%s%N)
	inside "$crtool" restore -d -D "$work/images" || return 1
	restore_us=$((($(date +%s%N) - begun) / 1000))
	rm -f "$work/images"/*
	inside "$crtool" dump --no-sync -t "$pid" -D "$work/images" || return 1
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
[ $# -gt 0 ] || set -- 300 1000 3000
measure 0 || exit 1
base_dump=$dump_calls base_restore=$restore_calls base_dump_us=$dump_us base_restore_us=$restore_us
printf '%7s %20s %20s %12s %12s\n' number "dump calls each" "restore calls each" "dump us/1" "restore us/1"
for n; do
	measure "$n" || { echo "bench: $n sockets failed" && exit 1; }
	awk -v n="$n" -v d=$((dump_calls - base_dump)) -v r=$((restore_calls - base_restore)) -v ld="$most_dump" \
		-v lr="$most_restore" -v dus=$((dump_us - base_dump_us)) -v rus=$((restore_us - base_restore_us)) 'BEGIN {
		printf "%7d %10.1f (max %3d) %10.1f (max %3d) %12.1f %12.1f\n", n, d / n, ld, r / n, lr, dus / n, rus / n
		exit d / n > ld || r / n > lr }' || over=1
done
exit $over
