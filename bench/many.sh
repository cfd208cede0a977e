#!/bin/bash
# What many processes in one tree, many threads in one process and many mappings cost: system
# calls of crtool for each, its CPU time (user and system) and how long the target
# stood still, at three sizes. A step that is quadratic shows as a cost that
# grows with the number; kcmp(2), by which sharers are found, grows as its logarithm.
#
#   bench/many.sh [KIND NUMBER]...
set -u
crtool=$PWD/${B:-build}/crtool
work=$(mktemp -d)
over=0 pid=''
trap '[ -z "$pid" ] || kill -KILL "$pid"; rm -rf "$work"' EXIT
chmod 700 "$work"

# Most calls of each: dump (look, gather, ask, record), restore.
declare -A most=([tasks]="500 80" [threads]="45 30" [mappings]="2 2")

# shellcheck disable=SC2016
victim='
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

start() {
	mkdir -p "$work/run" "$work/images"
	(
		cd "$work/run" || exit 1
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -lt 3 ] || eval "exec $fd>&-"
		done
		exec setsid /usr/bin/python3 -c "$victim" "$1" "$2" </dev/null >out 2>&1
	) &
	pid=$!
	disown "$pid" # so that bash reaps it without a word
	until [ -e "$work/run/ready" ]; do
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.05
	done
}

ended() {
	kill -KILL "$pid" 2>/dev/null
	while [ -e "/proc/$pid" ]; do sleep 0.05; done
}

# calls COMMAND...: how many system calls it and its threads make.
calls() {
	strace -qq -f -c -o "$work/calls" "$@" >/dev/null || return 1
	awk '$NF == "total" { print $4 }' "$work/calls"
}

# cpu COMMAND...: its output in $work/out; prints its CPU time in ms.
cpu() {
	local TIMEFORMAT='%U %S'

	{ time "$@" >"$work/out"; } 2>&1 | awk '{ printf "%d", ($1 + $2) * 1000 }'
}

# measure KIND NUMBER: sets dump_calls, restore_calls, dump_ms, restore_ms, frozen_us.
measure() {
	start "$1" "$2" || return 1
	dump_calls=$(calls "$crtool" dump -R --no-sync --timeout 60 -t "$pid" -D "$work/images") || return 1
	rm -f "$work/images"/*
	dump_ms=$(cpu "$crtool" dump --json --no-sync --timeout 60 -t "$pid" -D "$work/images")
	frozen_us=$(grep -o '"frozen_us":[0-9]*' "$work/out" | cut -d: -f2)
	ended
	restore_ms=$(cpu "$crtool" restore -d --timeout 60 -D "$work/images")
	ended
	# without -f: what the coordinator does, the tasks run their scripts beside it
	strace -qq -c -o "$work/calls" "$crtool" restore -d --timeout 60 -D "$work/images" >/dev/null || return 1
	restore_calls=$(awk '$NF == "total" { print $4 }' "$work/calls")
	ended
	pid=''
	rm -rf "$work/run" "$work/images"
}

if ! command -v strace >/dev/null; then
	echo "skipped: there is no strace"
	exit 0
fi
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
