# Checkpoints that somebody has forged: hostile values, right checksums. Whatever they say, the real
# restore, as root, refuses them or makes a tree of them; it does not crash, does not
# hang and leaves nothing in the file system. HOSTILE=1000 takes so many of each, from HOSTILE_SEED on.
load ../zdtm/lib/zdtm

HOSTILE=${HOSTILE:-12}
HOSTILE_SEED=${HOSTILE_SEED:-1}

# hostile VICTIM [args]
hostile() {
	local to said status=0

	[ "$(id -u)" = 0 ] || skip "not root"
	unshare --mount --pid --net --ipc --uts --fork true || skip "no namespaces"
	park "$@"
	to=$(images)
	crtool dump --no-sync -t "$pid" -D "$to"
	within 5 gone "$pid"
	said=$(TARGET=$dir BUILD=$BUILD unshare --mount --pid --net --ipc --uts --fork --kill-child \
		"$ROOT/test/fault/lib/hostile" "$to" "$HOSTILE_SEED" "$HOSTILE" 2>&1 3>&- 4>&-) || status=$?
	[ "$status" != 3 ] || skip "no overlay can be mounted"
	echo "$said"
	echo "# $*: $(tail -n 1 <<<"$said") (HOSTILE_SEED=$HOSTILE_SEED)" >&3
	[ "$status" = 0 ]
}

@test "forged checkpoints of polled files" { hostile epoll; }
@test "forged checkpoints of sockets" { hostile sk_unix seqpacket; }
@test "forged checkpoints of mapped files" { hostile memory_file; }
@test "forged checkpoints of deleted files" { hostile inode many; }
@test "forged checkpoints of a tree" { hostile tree plain; }
@test "forged checkpoints of processes that share memory" { hostile memory_fork; }
@test "forged checkpoints of timers" { hostile timer; }
@test "forged checkpoints of System V IPC" { hostile sysv_shm; }
@test "forged checkpoints of interval timers" { hostile itimer; }
@test "forged checkpoints of a listening socket" { hostile sk_tcp listener; }
@test "forged checkpoints of a debugger and its tracee" { hostile ptrace traceme plain; }
@test "forged checkpoints of tasks that are alike" { hostile alike_tasks; }
@test "forged checkpoints of seccomp filters" { hostile seccomp own; }
