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
	within 5 as_before && return
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

@test "killed at any call of a restore of deleted files and directories, no name is left" {
	victim=(zdtm/inode many)
	restore_points KILL
}
