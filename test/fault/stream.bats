# A dump to a stream, and a restore from one, that are killed or fail at any system call: the program runs on, no stream that
# is cut off passes for a checkpoint, and a restore is all or nothing.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	# most calls are those of any dump and restore, which others look at
	fewer 8
	stream=$BATS_TEST_TMPDIR/stream
}

disturb() {
	local shown=0

	interfere "$1" "$2" dump -R -t "$pid" -D -
	settle
	crtool show -D - <"$stream" >/dev/null 2>&1 || shown=$?
	[ "$status" != 0 ] || [ "$shown" = 0 ] || echo "says that it did it, and the stream is refused ($shown)"
	[ "$shown" = 0 ] || [ "$shown" = 6 ] || echo "what is there is not refused but ends show with $shown"
}

stream_points() {
	local calls into=$stream

	park "${victim[@]}"
	calls=$(count_calls dump -R -t "$pid" -D -)
	zdtm_teardown
	each_point "$calls" harm "$1" "streaming ${victim[*]}"
}

checkpoint() {
	park "${victim[@]}"
	to=-
	crtool dump -t "$pid" -D - >"$stream"
	within 5 gone "$pid"
}

@test "killed at any call, a dump to a stream harms nobody" {
	victim=(fault/steady mix 3)
	stream_points KILL
}

@test "no memory, at any call of a dump to a stream" {
	victim=(fault/steady handle)
	stream_points '=ENOMEM'
}

@test "a stream that breaks, at any call of a dump" {
	victim=(fault/steady compute)
	stream_points '=EPIPE'
}

@test "killed at any call, a restore from a stream is all or nothing" {
	local from=$stream

	victim=(fault/family)
	restore_points KILL
}
