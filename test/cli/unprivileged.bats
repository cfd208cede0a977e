# An ordinary user saves and restores his own processes, without any capability.
load ../zdtm/lib/zdtm

setup() {
	inside=(setpriv --reuid=54321 --regid=54321 --clear-groups)
	umask 0
	setpriv --reuid=54321 --regid=54321 --clear-groups unshare -U true 2>/dev/null ||
		skip "users have no user namespaces here"
}

# The victim, saved and restored; $pid is its number out here.
carried() {
	echo "--- $*"
	park "$@"
	to=$dir/images
	crtool dump -R -t "$pid" -D "$dir/running"
	running "$pid"
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	crtool restore -d -D "$to" --pidfile "$dir/pid"
	pid=$(cat "$dir/pid")
	release
}

@test "memory, threads and signals" {
	carried memory mixed
	carried memory_advice
	carried thread
	carried sigpending
	carried sigaltstack
	carried timer
	carried restart poll
}

@test "files, pipes and sockets" {
	carried fds
	carried regular
	carried pipe
	carried inode directory
	carried locks
	carried memfd
	carried epoll
	carried timerfd
	carried eventfd
	carried sk_unix stream
	carried sk_tcp listener 4
}

@test "what the caller has to know is told" {
	park eventfd
	to=$dir/images
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	run -0 crtool restore -d -D "$to" --pidfile "$dir/pid"
	[[ $output == *"restored without privileges: the tree is in a user namespace of its own"* ]]
	pid=$(cat "$dir/pid")
	release
}

@test "the exit code of the root comes out" {
	park eventfd
	to=$dir/images
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	touch "$dir/release"
	run -0 crtool restore -D "$to"
	[ "$(cat "$dir/result")" = pass ]
}

@test "a process that is confined by seccomp is refused by name, and lives" {
	park seccomp_strict
	run -5 crtool dump -t "$pid" -D "$dir/images"
	[[ $output == *"($(cat /proc/"$pid"/comm)): thread "*" is confined by seccomp, which may be suspended only with CAP_SYS_ADMIN"* ]]
	running "$pid"
	[ ! -e "$dir/images" ]
	release
}

@test "shared memory that no descriptor leads to is read through its mappings, and has another name afterwards" {
	park memory_shared renamed
	to=$dir/images
	crtool dump -R -t "$pid" -D "$dir/running"
	running "$pid"
	release
	carried memory_shared renamed
	park memory_shared renamed
	to=$dir/images
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	run -0 crtool restore -d -D "$to" --pidfile "$dir/pid"
	[[ $output == *"not carried: shared anonymous memory 1 is a memfd now: its name in /proc/PID/maps is another one, as crtool lacks CAP_CHECKPOINT_RESTORE"* ]]
	pid=$(cat "$dir/pid")
	grep -q '/memfd:anonymous' "/proc/$pid/maps"
	release
}

@test "somebody else's process is refused by name" {
	local own=("${inside[@]}")

	inside=()
	park eventfd
	inside=("${own[@]}")
	run crtool dump -t "$pid" -D "$dir/images"
	[ "$status" != 0 ]
	[[ $output == *"task $pid"* ]]
	running "$pid"
	release
}

# A checkpoint that root has made and given away.
given() {
	local own=("${inside[@]}")

	inside=()
	park "$@"
	to=$dir/images
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	chown -R 54321:54321 "$to"
	inside=("${own[@]}")
}

@test "a checkpoint gives nobody another user" {
	given eventfd
	run -5 crtool restore -d -D "$to"
	[[ $output == *"runs as user 0 and group 0; without privileges (CAP_SETUID, CAP_SETGID) crtool brings back only what ran as user 54321 and group 54321"* ]]
}
