#!/bin/bash
# What established TCP connections cost: system calls of crtool for each (beyond those
# for none), and times, at three sizes. Server and clients are in a network namespace of their own.
# The calls are the design and have a limit, as has their growth; the times follow from them: those
# for an idle machine are 50 us to dump and 100 us to restore each.
#
#   bench/tcp.sh [NUMBER]...
set -u
. bench/lib.bash
over=0

# Most calls per connection: dump, restore.
most_dump=95 most_restore=25

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

start() {
	victim listens "$program" server "$1" || return 1
	server=$pid
	victim client "$program" client "$1" || return 1
	client=$pid
	pid=$server
	until [ -e "$work/run/server" ]; do
		kill -0 "$server" 2>/dev/null || return 1
		sleep 0.01
	done
}

# measure NUMBER: sets dump_calls, restore_calls, frozen_us, dump_ms, restore_ms.
measure() {
	local save=(dump --no-sync --tcp-established -t)

	start "$1" || return 1
	dump_calls=$(calls -f "$crtool" "${save[@]}" "$pid" -R -D "$work/images") || return 1
	rm -f "$work/images"/*
	dump_ms=$(ms_of "$crtool" "${save[@]}" "$pid" --json -D "$work/images") || return 1
	frozen_us=$(frozen <"$work/out")
	restore_ms=$(ms_of "$crtool" restore -d -D "$work/images") || return 1
	rm -f "$work/images"/*
	inside "$crtool" "${save[@]}" "$pid" -D "$work/images" || return 1
	restore_calls=$(calls "$crtool" restore -d -D "$work/images") || return 1
	ended "$pid" "$client"
	forget
}

own_network
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
