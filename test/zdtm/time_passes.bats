load lib/zdtm

# Restored as if the dump had been 10500 s ago: the clock is that of another time namespace, which the tree gets, too.
restore_later() {
	local to

	unshare --time --boottime 10500 true || skip "no time namespaces"
	park time_passes "$1"
	dump
	unshare --time --boottime 10500 --fork "$BUILD/crtool" restore -d -D "$to" --monotonic host \
		"${@:2}" 3>&- 4>&-
	release
}

@test "with --time passes timers catch up, and expirations are counted" {
	restore_later passes --time passes
}

@test "time stands still for timers if nothing else is said" {
	restore_later stands
	restore_later stands --time stands-still
}

@test "timers that are not over go on with --time passes" {
	restore_with=(--time passes)
	zdtm time_passes stands
}

@test "a --time that there is not is refused" {
	run -2 crtool restore --time flies -D /nowhere
	[[ $output == *"--time flies: is none of stands-still, passes"* ]]
}
