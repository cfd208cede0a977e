#!/bin/bash
# What descriptors and segments of SysV shared memory cost: system calls of crtool per descriptor (what is beyond those
# for a process that has none), and times, by kind and number. The calls are the
# design and have a limit; the time follows from them.
#
#   bench/fds.sh [KIND NUMBER]...
set -u
. bench/lib.bash
over=0

# Most calls per descriptor: dump (look, gather, record), restore. Of those of a socket 45 ask for an option each.
declare -A most=([file]="17 6" [event]="15 6" [pipe]="21 7" [socket]="78 12" [dup]="12 1" [epoll]="17 6" [watch]="29 1" [gone]="102 24" [segment]="18 13")

# shellcheck disable=SC2016
program='
import ctypes, os, resource, select, signal, socket, sys
libc = ctypes.CDLL(None)
kind, n = sys.argv[1], int(sys.argv[2])
libc.shmat.restype = ctypes.c_void_p
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
keep = [select.epoll()] if kind == "epoll" else [libc.inotify_init1(0)] if kind in ("watch", "gone") else []
made = 0
while made < n:
    if kind == "file":
        os.open("file%d" % made, os.O_RDWR | os.O_CREAT)
    elif kind == "dup":
        os.dup(0)
    elif kind in ("watch", "gone"):
        name = "file%d" % made
        fd = os.open(name, os.O_RDWR | os.O_CREAT)
        assert libc.inotify_add_watch(keep[0], name.encode(), 2) > 0
        if kind == "gone": os.unlink(name)
        else: os.close(fd)
    elif kind in ("event", "epoll"):
        fd = os.eventfd(made)
        if keep: keep[0].register(fd, select.EPOLLIN)
    elif kind == "segment": # which go with it
        segment = libc.shmget(0, 4096, 0o1600)
        at = libc.shmat(segment, None, 0)
        assert segment >= 0 and at != 2 ** 64 - 1 and libc.shmctl(segment, 0, None) == 0
        ctypes.memset(at, 1, 1)
    elif kind == "pipe":
        os.write(os.pipe()[1], b"content")
        made += 1
    elif kind == "socket":
        pair = socket.socketpair()
        pair[0].send(b"content")
        keep += pair
        made += 1
    made += 1
open("ready", "w").close()
while True: signal.pause()
'

# measure KIND NUMBER: sets dump_calls, restore_calls, frozen_us, restore_ms.
measure() {
	victim ready "$program" "$1" "$2" || return 1
	dump_calls=$(calls -f "$crtool" dump -R --no-sync -t "$pid" -D "$work/images") || return 1
	rm -f "$work/images"/*
	frozen_us=$("$crtool" dump --json --no-sync -t "$pid" -D "$work/images" | frozen)
	ended "$pid"
	restore_calls=$(calls "$crtool" restore -d -D "$work/images") || return 1
	ended "$pid"
	restore_ms=$(ms_of "$crtool" restore -d -D "$work/images") || return 1
	ended "$pid"
	forget
}

[ $# -gt 0 ] || set -- file 1000 file 15000 dup 15000 event 1000 event 15000 pipe 2000 socket 2000 epoll 1000 epoll 15000 watch 1000 watch 15000 gone 1000 gone 8000 segment 500 segment 4000
measure none 0 || exit 1
base_dump=$dump_calls base_restore=$restore_calls
printf '%-8s %7s %18s %18s %10s %12s\n' kind number "dump calls each" "restore calls each" "frozen ms" "restore ms"
while [ $# -gt 1 ]; do
	measure "$1" "$2" || { echo "bench: $1 $2 failed" && exit 1; }
	read -r limit_dump limit_restore <<<"${most[$1]}"
	awk -v kind="$1" -v n="$2" -v d=$((dump_calls - base_dump)) -v r=$((restore_calls - base_restore)) \
		-v ld="$limit_dump" -v lr="$limit_restore" -v f="$frozen_us" -v ms="$restore_ms" 'BEGIN {
		printf "%-8s %7d %8.1f (max %3d) %8.1f (max %3d) %10.1f %12d\n", kind, n, d / n, ld, r / n, lr, f / 1000, ms
		exit d / n > ld || r / n > lr }' || over=1
	shift 2
done
exit $over
