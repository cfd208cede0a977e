load lib/zdtm

@test "a pipe keeps its content, capacity and flags" {
	zdtm pipe
}

@test "packets keep their borders" {
	zdtm pipe packet
}

@test "a full pipe stays full" {
	zdtm pipe full
}

@test "a pipe without writers ends after its content, one without readers is broken" {
	zdtm pipe eof
	zdtm pipe broken
}

@test "ends that were opened by way of /proc come back so" {
	zdtm pipe reopened
}

# The victim's stdin is a pipe that somebody outside writes to.
start_fed() {
	fresh_dir
	# shellcheck disable=SC2016
	start bash -c 'sleep 1000 | setsid "$0" stdin' "$BUILD/test/zdtm/pipe"
	within 20 test -e "$dir/parked"
	for pid in $(pgrep -x pipe); do
		[ "$(readlink "/proc/$pid/cwd")" != "$dir" ] || return 0
	done
	return 1
}

@test "a pipe from outside is refused by name, with the remedy" {
	start_fed
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 0: pipe:"*"writing end of this pipe is outside of the tree"*"-j"* ]]
	running "$pid"
}

@test "with -j a pipe from outside becomes what crtool has there" {
	local to

	start_fed
	to=$(images)
	crtool dump -j -t "$pid" -D "$to"
	within 5 gone "$pid"
	echo hello | crtool restore -j -d -D "$to"
	release
}
