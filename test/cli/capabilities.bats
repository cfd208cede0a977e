# Root with the few capabilities that the manual names (PRIVILEGES), and with one of them less.
load ../zdtm/lib/zdtm

few=-all,+checkpoint_restore,+sys_ptrace

# with CAPS COMMAND...
with() {
	setpriv --inh-caps=-all --bounding-set="$1" "${@:2}"
}

# Saved and restored by root with CAP_CHECKPOINT_RESTORE and CAP_SYS_PTRACE, as which the victim runs, too.
carried() {
	inside=(setpriv --inh-caps=-all --bounding-set="$few")
	once "$@"
}

@test "memory, threads, files and System V objects take CAP_CHECKPOINT_RESTORE and CAP_SYS_PTRACE" {
	carried memory mixed
	carried thread
	carried inode directory
	carried sk_unix stream
	carried sysv_shm
	carried timer
}

# of_user CAPS: what becomes of a dump of another user's process.
of_user() {
	inside=(setpriv --reuid=12345 --regid=12345 --clear-groups --inh-caps=-all)
	park eventfd
	inside=()
	run with "$1" "$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
	echo "$output"
	running "$pid"
	release
}

@test "another user's process takes CAP_DAC_OVERRIDE, too, or is refused by that name" {
	umask 0
	of_user "$few,+dac_override"
	[ "$status" = 0 ]
	of_user "$few"
	[ "$status" = 5 ]
	[[ $output == *"needs CAP_DAC_OVERRIDE"* ]]
	of_user "-all,+dac_override"
	[ "$status" = 5 ]
	[[ $output == *"CAP_SYS_PTRACE"* ]]
}

@test "another user's process is restored with CAP_SETUID, CAP_SETGID and CAP_SETPCAP" {
	local to

	umask 0
	inside=(setpriv --reuid=12345 --regid=12345 --clear-groups --inh-caps=-all --bounding-set="$few,+setuid,+setgid,+setpcap")
	park eventfd
	inside=()
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	run with "$few" "$BUILD/crtool" restore -d -D "$to" 3>&- 4>&-
	[ "$status" = 5 ]
	[[ $output == *"its credentials need cap_set"* ]]
	run with "$few,+setuid,+setgid,+setpcap" "$BUILD/crtool" restore -d -D "$to" 3>&- 4>&-
	echo "$output"
	[ "$status" = 0 ]
	grep -q '^Uid:.12345.12345.12345.12345' "/proc/$pid/status"
	release
}

@test "what a watch is on is found by its handle, which takes CAP_DAC_READ_SEARCH" {
	park inotify
	run with "$few" "$BUILD/crtool" dump -t "$pid" -D "$(images)" 3>&- 4>&-
	[ "$status" = 5 ]
	[[ $output == *"needs CAP_DAC_READ_SEARCH"* ]]
	running "$pid"
	release
}
