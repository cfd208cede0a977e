#!/bin/bash
# What UDP sockets cost: system calls of crtool for each (beyond those for none), and times, at three sizes,
# each with two datagrams that wait. In a network namespace of its own. The calls have a limit, as
# has their growth; the times follow from them.
#
#   bench/udp.sh [NUMBER]...
set -u
. bench/lib.bash
over=0

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

# measure NUMBER: sets dump_calls, restore_calls, dump_ms, restore_ms.
measure() {
	local save=(dump --no-sync -t)

	victim there "$program" "$1" || return 1
	dump_calls=$(calls -f "$crtool" "${save[@]}" "$pid" -R -D "$work/images") || return 1
	rm -f "$work/images"/*
	dump_ms=$(ms_of "$crtool" "${save[@]}" "$pid" -D "$work/images") || return 1
	restore_ms=$(ms_of "$crtool" restore -d -D "$work/images") || return 1
	rm -f "$work/images"/*
	inside "$crtool" "${save[@]}" "$pid" -D "$work/images" || return 1
	restore_calls=$(calls "$crtool" restore -d -D "$work/images") || return 1
	ended "$pid"
	forget
}

own_network
[ $# -gt 0 ] || set -- 300 1000 3000
measure 0 || exit 1
base_dump=$dump_calls base_restore=$restore_calls base_dump_ms=$dump_ms base_restore_ms=$restore_ms
printf '%7s %20s %20s %12s %12s\n' number "dump calls each" "restore calls each" "dump us/1" "restore us/1"
for n; do
	measure "$n" || { echo "bench: $n sockets failed" && exit 1; }
	awk -v n="$n" -v d=$((dump_calls - base_dump)) -v r=$((restore_calls - base_restore)) -v ld="$most_dump" \
		-v lr="$most_restore" -v dms=$((dump_ms - base_dump_ms)) -v rms=$((restore_ms - base_restore_ms)) 'BEGIN {
		printf "%7d %10.1f (max %3d) %10.1f (max %3d) %12.1f %12.1f\n", n, d / n, ld, r / n, lr, dms * 1000 / n, rms * 1000 / n
		exit d / n > ld || r / n > lr }' || over=1
done
exit $over
