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

@test "pipes of one page and of the largest sizes stay full, too" {
	zdtm pipe capacity
}

@test "a pipe without writers ends after its content, one without readers is broken" {
	zdtm pipe eof
	zdtm pipe broken
}

@test "ends that were opened by way of /proc come back so" {
	zdtm pipe reopened
}

# start_fed [VARIANT]: the victim's stdin is a pipe that somebody outside writes to.
start_fed() {
	fresh_dir
	# shellcheck disable=SC2016
	start bash -c '(printf "$2"; exec sleep 1000) | setsid "$0" "$1" 7<&0' \
		"$BUILD/test/zdtm/pipe" "${1:-stdin}" "${2:-}"
	within 20 test -e "$dir/parked"
	for pid in $(pgrep -x pipe); do
		[ "$(readlink "/proc/$pid/cwd")" != "$dir" ] || return 0
	done
	return 1
}

@test "a pipe from outside is refused by name, with the remedy" {
	start_fed
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 0: pipe:"*"writing end of this pipe is outside of the tree, at task "*" (sleep)"*"-j"* ]]
	running "$pid"
}

@test "--ext-pipe eof takes the other end for closed" {
	start_fed rest rest
	dump --ext-pipe eof
	crtool restore -d -D "$to"
	release
}

@test "--ext-pipe inherit takes the descriptor that crtool was given" {
	start_fed seven
	dump --ext-pipe inherit
	run -4 crtool restore -d -D "$to" 7<&-
	[[ $output == *"start crtool with a descriptor "* ]]
	echo hello | crtool restore -d -D "$to" 7<&0
	release
}

# start_read: the victim's fd 7 is a pipe that somebody outside reads from.
start_read() {
	fresh_dir
	# shellcheck disable=SC2016
	start bash -c 'setsid "$0" writes 7>&1 | exec sleep 1000' "$BUILD/test/zdtm/pipe"
	within 20 test -e "$dir/parked"
	for pid in $(pgrep -x pipe); do
		[ "$(readlink "/proc/$pid/cwd")" != "$dir" ] || return 0
	done
	return 1
}

@test "the same of a pipe that others read from: refused, closed, inherited" {
	start_read
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd "*": pipe:"*"reading end of this pipe is outside of the tree, at task "*" (sleep)"*"--ext-pipe eof"* ]]
	running "$pid"
	dump --ext-pipe eof
	touch "$dir/eof"
	crtool restore -d -D "$to"
	release
	start_read
	dump --ext-pipe inherit
	run -4 crtool restore -d -D "$to" 7</dev/null
	[[ $output == *"descriptor 7 of crtool cannot be written to"* ]]
	crtool restore -d -D "$to" 7>"$dir/heard"
	release
	[ "$(cat "$dir/heard")" = hello ]
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

has_fifo() {
	[ "$(readlink "/proc/$outsider/fd/1")" = "$dir/fifo" ]
}

@test "--ext-pipe reopen opens a fifo again that others have open" {
	park pipe outside_fifo
	sleep 1000 3>&- >"$dir/fifo" &
	outsider=$!
	within 5 has_fifo
	printf data >"$dir/fifo"
	dump --ext-pipe reopen
	crtool restore -d -D "$to"
	release
	kill $outsider
}

@test "a fifo without a name, one open in both directions" {
	once pipe unlinked_fifo
	once pipe both_fifo
}

@test "who waits in open(2) of a fifo goes on to wait" { once pipe opening; }

@test "several readers and writers share a pipe" { once pipe many; }

refused() {
	run crtool dump -R -t "$pid" -D "$(images)"
	[ "$status" = 4 ] && [[ $output == *"fd 3: $dir/fifo: the writing end"* ]]
}
