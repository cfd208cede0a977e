load lib/zdtm

setup() {
	unshare --time --monotonic 1000000 --boottime 1000000 true 2>/dev/null || skip "no time namespaces"
	# a new one each time
	accept='ns\.time(_for_children)? '
}

# restore_elsewhere OFFSET [OPTIONS]: where another boot has clocks that are so far ahead.
restore_elsewhere() {
	local script='mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'

	cat /proc/sys/kernel/random/uuid >"$BATS_TEST_TMPDIR/boot_id"
	unshare --mount --time --fork --monotonic "$1" --boottime "$1" sh -c "$script" "$BATS_TEST_TMPDIR/boot_id" \
		"$BUILD/crtool" restore -d -D "$to" "${@:2}" 3>&- 4>&-
}

# In a time namespace or not?
has_own_clocks() {
	[ "$(readlink "/proc/$pid/ns/time")" != "$(readlink /proc/self/ns/time)" ]
}

@test "on the boot of the dump clocks are as they were, and nobody needs a namespace" {
	once clocks
	park clocks
	dump_and_restore
	run ! has_own_clocks
	release
}

@test "on another boot clocks go on, forwards and backwards" {
	local offset

	for offset in 1000000 -$(($(cut -d. -f1 /proc/uptime) / 2)); do
		park clocks
		dump
		restore_elsewhere "$offset"
		has_own_clocks
		release
	done
}

@test "who waits for a time of these clocks waits for it on another boot" {
	local offset

	for offset in 1000000 -$(($(cut -d. -f1 /proc/uptime) / 2)); do
		park clocks until
		dump
		restore_elsewhere "$offset"
		touch "$dir/release"
		within 60 gone_or_zombie || explain "somebody waits on"
		release
	done
}

@test "a tree with clocks of its own keeps them on the same boot" {
	park clocks
	dump
	crtool restore -d -D "$to" --monotonic keep
	has_own_clocks
	dump_running
	dump_and_restore
	has_own_clocks
	release
}

@test "--monotonic host: the clocks are those of the new host" {
	park clocks jump
	dump
	restore_elsewhere 1000000 --monotonic host
	release
}

@test "--monotonic keep: clocks go on from the freeze, and timers with them" {
	restore_with=(--monotonic keep)
	zdtm clocks
	zdtm timer
	restore_with=(--monotonic keep --time passes)
	zdtm time_passes stands
}

@test "timers that catch up do so by the clocks of the tree" {
	park clocks timer
	dump
	sleep 1 # it would have expired
	restore_elsewhere 1000000 --time passes
	release
}

@test "who may not make a time namespace is told what to do" {
	inside=(setpriv "--bounding-set=-sys_time,-sys_admin")
	park clocks
	dump
	run -5 crtool restore -d -D "$to" --monotonic keep
	[[ $output == *"--monotonic host"* ]]
	crtool restore -d -D "$to"
	release
}

@test "a time namespace for children to come is refused" {
	park clocks unshared
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"has made a time namespace for its children to come"* ]]
	running "$pid"
	release
}

@test "a --monotonic that there is not is refused" {
	run -2 crtool restore --monotonic jumps -D /nowhere
	[[ $output == *"--monotonic jumps: is none of keep, host"* ]]
}
