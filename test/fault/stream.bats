# A dump to a stream, and a restore from one, that are killed or fail at any system call: the program runs on, no stream that
# is cut off passes for a checkpoint, and a restore is all or nothing.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	# most calls are those of any dump and restore, which others look at
	fewer 8
	stream=$BATS_TEST_TMPDIR/stream
}

# streamed N WHAT COMMAND...: crtool, interfered with, its stdin or stdout being the stream.
streamed() {
	local n=$1 what=$2

	shift 2
	status=0
	if [ "$1" = dump ]; then
		AT_LOG=$BATS_TEST_TMPDIR/at timeout -s KILL 30 "$BUILD/test/fault/at" "$n" "$what" "$BUILD/crtool" "$@" \
			>"$stream" 2>"$BATS_TEST_TMPDIR/said" 3>&- 4>&- || status=$?
	else
		AT_LOG=$BATS_TEST_TMPDIR/at timeout -s KILL 30 "$BUILD/test/fault/at" "$n" "$what" "$BUILD/crtool" "$@" \
			<"$stream" >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- 4>&- || status=$?
	fi
}

made() {
	local calls

	read -r _ calls _ <"$BATS_TEST_TMPDIR/at"
	echo "${calls%,}"
}

# One point of a dump; says what is wrong afterwards.
harm_stream() {
	local before after shown=0

	zdtm_count=$1
	park "${victim[@]}"
	sleep 0.01
	before=$(traits)
	streamed "$1" "$2" dump -R -t "$pid" -D -
	for _ in {1..300}; do
		after=$(traits)
		[ "$before" != "$after" ] || break
		sleep 0.01
	done
	[ "$before" = "$after" ] || diff <(echo "$before") <(echo "$after") | grep '^[<>]' | head -n 4
	crtool show -D - <"$stream" >/dev/null 2>&1 || shown=$?
	[ "$status" != 0 ] || [ "$shown" = 0 ] || echo "says that it did it, and the stream is refused ($shown)"
	[ "$shown" = 0 ] || [ "$shown" = 6 ] || echo "what is there is not refused but ends show with $shown"
	release
	zdtm_teardown
}

stream_points() {
	local what=$1 n calls said bad=0 tried=0

	park "${victim[@]}"
	streamed 0 - dump -R -t "$pid" -D -
	[ "$status" = 0 ]
	calls=$(made)
	zdtm_teardown
	for ((n = 1 + FAULT_SEED % FAULT_STEP; n <= calls; n += FAULT_STEP)); do
		tried=$((tried + 1))
		said=$(harm_stream "$n" "$what" 2>/dev/null) && [ -z "$said" ] && continue
		bad=$((bad + 1))
		echo "point $n ($(<"$BATS_TEST_TMPDIR/at")): $said"
	done
	tell "$tried of $calls points of streaming ${victim[*]} with $what, $bad harmed (FAULT_SEED=$FAULT_SEED)"
	((tried > 0 && bad == 0))
}

checkpoint_stream() {
	park "${victim[@]}"
	crtool dump -t "$pid" -D - >"$stream"
	within 5 gone "$pid"
}

stream_restore_points() {
	local what=$1 n calls said bad=0 tried=0 whole=0

	checkpoint_stream
	streamed 0 - restore -d -D -
	calls=$(made)
	release
	checkpoint_stream
	for ((n = 1 + FAULT_SEED % FAULT_STEP; n <= calls; n += FAULT_STEP)); do
		tried=$((tried + 1))
		streamed "$n" "$what" restore -d -D -
		said=$(all_or_nothing 2>/dev/null)
		if [ -n "$said" ]; then
			bad=$((bad + 1))
			echo "point $n ($(<"$BATS_TEST_TMPDIR/at")): $said"
			zdtm_teardown
		fi
		if [ -e "$dir/release" ]; then
			whole=$((whole + 1))
			checkpoint_stream
		fi
	done
	crtool restore -d -D - <"$stream"
	release
	tell "$tried of $calls points of restoring ${victim[*]} from a stream with $what, $bad bad, $whole whole (FAULT_SEED=$FAULT_SEED)"
	((tried > 0 && bad == 0))
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
	victim=(fault/family)
	stream_restore_points KILL
}
