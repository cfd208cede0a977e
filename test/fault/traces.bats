# A restore that is killed, or fails, at any of its system calls: of what it makes outside of the tree nothing is left. The tree has
# one of each kind of open file: deleted ones, names of sockets, System V objects, queues, an interface.
load ../zdtm/lib/zdtm
load ../zdtm/lib/netns
load lib/points

setup() {
	fewer 6
	netns_plain
	victim=(zdtm/zoo)
}

teardown() {
	zdtm_teardown
	netns_gone
	unshare -m sh -c "mount -t mqueue none /mnt && rm -f /mnt/crtool-zoo-*" || true
}

# What there is besides processes.
things() {
	find "$dir" -printf '%p %y %s %m\n' | grep -vE "^$dir/?(out|err|said)? " | sort
	cat /proc/sysvipc/{shm,sem,msg} | awk 'FNR > 1 { print FILENAME, $1, $2 }'
	unshare -m sh -c 'mount -t mqueue none /mnt && ls /mnt'
	in_netns "$netns" ip -o link | cut -d : -f 2
	in_netns "$netns" ss -Hna | grep -vE "^nl|TIME-WAIT"
	wc -l </proc/self/mounts
}

as_before() {
	[ "$(things)" = "$before" ]
}

before=''

aftermath() {
	[ -e "$dir/release" ] && return
	within 20 as_before && return
	diff <(echo "$before") <(things) | grep '^[<>]' | head -n 5
	zdtm_teardown
}

checkpoint() {
	park "${victim[@]}"
	to=$(images)
	crtool dump "${dump_with[@]}" -t "$pid" -D "$to"
	within 5 gone "$pid"
	before=$(things)
}

@test "killed at any call of a restore of one of each kind, nothing is left" { restore_points KILL; }
@test "no memory at any call of a restore of one of each kind: nothing is left" { restore_points '=ENOMEM'; }

# Memory is short for a moment, at each call of a restore in turn that has a path with $1 in it: it fails, and nothing is left, or it
# does without, and nothing is lost.
short_at() {
	local n=0 failed=0

	export AT_NAMES=$1
	checkpoint
	while interfere "$((++n))" =ENOMEM restore -d -D "$to" && ! grep -q -- ' -1(' "$BATS_TEST_TMPDIR/at" || ((status)); do
		echo "call $n: status $status, $(cat "$BATS_TEST_TMPDIR/said")"
		if ((status)); then
			grep -q 'Cannot allocate memory' "$BATS_TEST_TMPDIR/said"
			within 10 as_before || explain "left: $(diff <(echo "$before") <(things))"
			failed=$((failed + 1))
		else
			[ ! -s "$BATS_TEST_TMPDIR/said" ]
			release
			checkpoint
		fi
	done
	release
	((failed))
}

@test "where memory is short, a cgroup is not taken for one that is not there" {
	mountpoint -q /sys/fs/cgroup || skip "no cgroups are mounted here"
	short_at /sys/fs/cgroup/
}
@test "where memory is short, a deleted file keeps no name" { short_at /deleted; }
@test "where memory is short, a deleted directory does not stay" { short_at /removed; }
@test "where memory is short, the machine is not taken for another one" { short_at random/boot_id; }

@test "killed at any call of a restore of deleted files and directories, no name is left" {
	victim=(zdtm/inode many)
	restore_points KILL
}

# Everybody of a restore that stands there.
restorers() {
	pgrep -f -- "--fail-at hang:0 -D $to" || true
}

hangs() {
	[ "$(restorers | wc -l)" -gt 3 ] && ! as_before
}

# killed_in_pidns WHO: a restore in a pid namespace of its own stands at the first op of its scripts, and its crtool, the init of
# the namespace or who restores there is killed.
killed_in_pidns() {
	local who

	checkpoint
	"${inside[@]}" "$BUILD/crtool" restore -d --new-pidns --timeout 100000 --fail-at hang:0 -D "$to" >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- 4>&- &
	within 20 hangs || explain "it does not come to its scripts: $(cat "$BATS_TEST_TMPDIR/said"), $(restorers)"
	case $1 in
	crtool) who=$! ;;
	init) who=$(pgrep -x -P $! crtool-init) ;;
	restorer) who=$(pgrep -P "$(pgrep -x -P $! crtool-init)") ;;
	esac
	kill -KILL "$who"
	within 20 nobody_restores || explain "left: $(restorers)"
	within 20 as_before || explain "left: $(diff <(echo "$before") <(things))"
	crtool restore -d --new-pidns --pidfile "$dir/copy" -D "$to"
	pid=$(cat "$dir/copy")
	release
}

nobody_restores() {
	[ -z "$(restorers)" ]
}

@test "crtool is killed while it restores in a pid namespace of its own: nothing is left" { killed_in_pidns crtool; }
@test "the init of a new pid namespace is killed while a restore is under way there: nothing is left" { killed_in_pidns init; }
@test "who restores in a new pid namespace is killed: nothing is left" { killed_in_pidns restorer; }
