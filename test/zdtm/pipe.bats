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

@test "a fifo keeps its content and ends; one that only has a reader, too" {
	zdtm pipe fifo
	zdtm pipe half_fifo
}

@test "a fifo that somebody outside writes to is refused" {
	park pipe half_fifo
	sleep 1000 3>&- >"$dir/fifo" &
	# shellcheck disable=SC2016
	within 5 test -n "$(readlink /proc/$!/fd/1)"
	within 5 refused
	kill $!
}

refused() {
	run crtool dump -R -t "$pid" -D "$(images)"
	[ "$status" = 4 ] && [[ $output == *"fd 3: $dir/fifo: the writing end"* ]]
}
