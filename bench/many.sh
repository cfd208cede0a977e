#!/bin/bash
# What many processes in one tree, many threads in one process and many mappings cost: system
# calls of crtool for each, its CPU time (user and system) and how long the target
# stood still, at three sizes. A step that is quadratic shows as a cost that
# grows with the number; kcmp(2), by which sharers are found, grows as its logarithm.
#
#   bench/many.sh [KIND NUMBER]...
set -u
. bench/lib.bash
over=0

# Most calls of each: dump (look, gather, ask, record), restore.
declare -A most=([tasks]="300 80" [threads]="32 30" [mappings]="2 2")

# shellcheck disable=SC2016
program='
import ctypes, mmap, os, signal, sys, threading
kind, n = sys.argv[1], int(sys.argv[2])
threading.stack_size(32768)
maps = []
for i in range(n):
    if kind == "mappings": # no two neighbours alike, so that they stay apart
        maps.append(mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, i % 2 + 1))
        continue
    if kind == "threads":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    elif not os.fork():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL) # PR_SET_PDEATHSIG
        while True: signal.pause()
open("ready", "w").close()
while True: signal.pause()
'

# cpu COMMAND...: its output in $work/out; prints its CPU time in ms.
cpu() {
	local TIMEFORMAT='%U %S'

	{ time "$@" >"$work/out"; } 2>&1 | awk '{ printf "%d", ($1 + $2) * 1000 }'
}

# measure KIND NUMBER: sets dump_calls, restore_calls, dump_ms, restore_ms, frozen_us.
measure() {
	victim ready "$program" "$1" "$2" || return 1
	dump_calls=$(calls -f "$crtool" dump -R --no-sync --timeout 60 -t "$pid" -D "$work/images") || return 1
	rm -f "$work/images"/*
	dump_ms=$(cpu "$crtool" dump --json --no-sync --timeout 60 -t "$pid" -D "$work/images")
	frozen_us=$(frozen <"$work/out")
	ended "$pid"
	restore_ms=$(cpu "$crtool" restore -d --timeout 60 -D "$work/images")
	ended "$pid"
	# without -f: what the coordinator does, the tasks run their scripts beside it
	restore_calls=$(calls "$crtool" restore -d --timeout 60 -D "$work/images") || return 1
	ended "$pid"
	forget
}

[ $# -gt 0 ] || set -- tasks 50 tasks 500 tasks 2000 threads 100 threads 1000 threads 4000 \
	mappings 1000 mappings 10000 mappings 40000
printf '%-8s %6s  %18s %20s %14s %12s %16s\n' kind number "dump calls each" "restore calls each" \
	"frozen us each" "dump us each" "restore us each"
while [ $# -ge 2 ]; do
	measure "$1" "$2" || exit 1
	awk -v kind="$1" -v n="$2" -v dc="$dump_calls" -v rc="$restore_calls" -v f="$frozen_us" \
		-v d="$dump_ms" -v r="$restore_ms" 'BEGIN {
		printf "%-8s %6d  %18.2f %20.2f %14.1f %12.1f %16.1f\n", kind, n, dc / n, rc / n, f / n,
			d * 1000 / n, r * 1000 / n }'
	read -r dump_most restore_most <<<"${most[$1]}"
	((n = $2, dump_calls > (n + 50) * dump_most || restore_calls > (n + 50) * restore_most)) && over=1
	shift 2
done
exit $over
