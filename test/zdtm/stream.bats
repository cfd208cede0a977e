# A checkpoint as one stream, through plain pipes: dump -D - | restore -D -.
load lib/zdtm
load ../fault/lib/refuse

setup() {
	set -o pipefail
}

# Dumped and restored through a pipe: nothing but the program is left.
piped() {
	local before=$BATS_TEST_TMPDIR/before

	park "$@"
	picture "$before"
	crtool dump -t "$pid" -D - "${dump_with[@]}" | crtool restore -d -D - "${restore_with[@]}"
	picture "$before.after"
	diff <(grep -vE "$accept" "$before") <(grep -vE "$accept" "$before.after") || explain "it is not what it was"
	release
}

@test "programs go through a pipe: much memory, shared memory, files without a name, trees" {
	piped memory_large
	piped memory_shared
	piped memfd
	piped tree sessions
	accept='\(deleted\)|/#[0-9]|/there/two' piped inode many
}

@test "memory that processes share is shared again behind a pipe" {
	accept=' map\.' piped memory_cow 1
}

with_keys() {
	openssl genpkey -algorithm ed25519 -out "$BATS_TEST_TMPDIR/key.pem"
	openssl rand 32 >"$BATS_TEST_TMPDIR/key"
	dump_with=(--sign "$BATS_TEST_TMPDIR/key.pem" --encrypt "$BATS_TEST_TMPDIR/key")
	restore_with=(--verify "$BATS_TEST_TMPDIR/key.pem" --decrypt "$BATS_TEST_TMPDIR/key")
}

@test "a stream that is compressed, signed and encrypted" {
	dump_with=(--compress zstd)
	piped memory_shared
	with_keys
	piped memory_shared
	dump_with+=(--compress lz4)
	piped memory_large
}

@test "a snapshot goes through gzip while the program runs on, and comes back beside it" {
	park memory_large
	crtool dump -R --snapshot -t "$pid" -D - | gzip -1 >"$dir/stream"
	running "$pid"
	gzip -dc <"$dir/stream" | crtool restore -d --new-pidns --pidfile "$dir/copy" -D -
	kill -KILL "$pid"
	pid=$(<"$dir/copy")
	release
	says 6 "checkpoint -: the stream is compressed; put what unpacks it before *" crtool restore -d -D - <"$dir/stream"
}

@test "a stream becomes a directory and a stream again, byte for byte" {
	park park
	crtool dump -t "$pid" -D - --compress lz4 >"$dir/stream"
	crtool unpack -D "$dir/images" <"$dir/stream"
	[ "$(stat -c %a "$dir/images" "$dir/images/state.img")" = "700
600" ]
	crtool show -D - <"$dir/stream" >"$dir/one"
	crtool show -D "$dir/images" >"$dir/two"
	cmp "$dir/one" "$dir/two"
	crtool pack -D "$dir/images" | crtool unpack -D "$dir/again"
	diff -r "$dir/images" "$dir/again"
	crtool pack -D "$dir/again" | crtool restore -d -D -
	release
}

@test "a reader that goes away is an error, and the program runs on" {
	local way

	park memory_large
	for way in "" "-R" "-R --snapshot"; do
		# shellcheck disable=SC2086 # options
		crtool dump $way -t "$pid" -D - 2>"$dir/said" | head -c 3000000 >/dev/null || code=${PIPESTATUS[0]}
		cat "$dir/said"
		[ "$code" = 7 ]
		grep -q "error: stream: nobody reads it any more" "$dir/said"
		running "$pid"
		within 5 untraced
	done
	release
}

@test "a reader that takes nothing is given up in time, and the program runs on" {
	park memory_large
	mkfifo "$dir/fifo"
	exec {reader}<>"$dir/fifo"
	says 9 "stream: its reader takes nothing; --timeout gives it longer*" stuck
	exec {reader}>&-
	running "$pid"
	release
}

stuck() {
	crtool dump --timeout 1 -t "$pid" -D - >"$dir/fifo"
}

@test "a reader that takes nothing can be interrupted, and the program runs on" {
	local code=0

	park memory_large
	mkfifo "$dir/fifo"
	exec {reader}<>"$dir/fifo"
	"$BUILD/crtool" dump --timeout 100 -t "$pid" -D - >"$dir/fifo" 2>"$dir/said" 3>&- 4>&- &
	dump=$!
	within 20 waits "$dump"
	kill -TERM "$dump" # bash lets its jobs ignore SIGINT
	wait "$dump" || code=$?
	exec {reader}>&-
	[ "$code" = 10 ]
	running "$pid"
	release
}

# Nobody reads: its pipe is full, and the program is frozen.
waits() {
	grep -q '^State:.[tT]' "/proc/$pid/status" && grep -qs poll "/proc/$1/wchan"
}

@test "a stream that is cut off, flipped or followed by something: refused with 6, nobody is forked" {
	local size part

	park park
	crtool dump -t "$pid" -D - >"$dir/stream"
	size=$(stat -c %s "$dir/stream")
	for part in 0 10 16 40 $((size / 2)) $((size - 24)) $((size - 1)); do
		says 6 "checkpoint -: *" crtool restore -d -D - < <(head -c "$part" "$dir/stream")
		says 6 "checkpoint -: *" crtool restore -d -D - < <(head -c "$part" "$dir/stream" && echo -n x && tail -c +$((part + 2)) "$dir/stream")
		gone "$pid"
	done
	says 6 "checkpoint -: frame * of the stream: something follows the end; *" crtool restore -d -D - < <(cat "$dir/stream" "$dir/stream")
	says 6 "checkpoint -: the stream is empty; the dump failed" crtool show -D - </dev/null
	says 6 "checkpoint -: *" crtool unpack -D "$dir/images" < <(head -c 5000 "$dir/stream")
	[ ! -e "$dir/images" ]
	gone "$pid"
	crtool restore -d -D - <"$dir/stream"
	release
}

@test "what a stream cannot do is refused before anything is done" {
	park park
	run -2 --separate-stderr crtool dump --json -t "$pid" -D -
	[[ $output == *"both go to stdout"* ]]
	says 2 "restore: --report needs a directory; a stream is read once*" crtool restore --report -D - </dev/null
	says 2 "pack: -D is the directory that becomes a stream*" crtool pack -D -
	says 2 "unpack: -D is the directory that the stream becomes*" crtool unpack -D - </dev/null
	script -qec "$BUILD/crtool dump -t $pid -D -" "$dir/said" >/dev/null 3>&- 4>&- </dev/null || code=$?
	[ "$code" = 2 ]
	grep -q "stdout is a terminal" "$dir/said"
	untraced
	release
}

# A memory cgroup of our own, in $group; the file that tells the most that it ever had, in $peak. Version 2, or 1.
memory_group() {
	local two one

	two=$(awk '$0 ~ / - cgroup2 /{print $5; exit}' /proc/self/mountinfo)
	one=$(awk '$0 ~ / - cgroup .*[ ,]memory(,|$)/{print $5; exit}' /proc/self/mountinfo)
	group=${one:-$two}/crtool-$BASHPID-$RANDOM
	mkdir "$group" 2>/dev/null || { group='' && skip "no cgroup can be made"; }
	for peak in "$group/memory.max_usage_in_bytes" "$group/memory.peak" ''; do
		[ ! -e "$peak" ] || break
	done
	[ "$peak" ] || skip "no cgroup tells how much memory it had"
}

teardown() {
	zdtm_teardown
	[ -z "${group-}" ] || within 10 rmdir "$group"
}

# bounded MORE: restored from a stream with hardly more memory than the process itself has, and that much (KiB).
bounded() {
	local before

	memory_group
	park memory_large
	before=$(awk '/^Anonymous:/ { print $2 }' "/proc/$pid/smaps_rollup")
	crtool dump -t "$pid" -D - "${dump_with[@]}" | (
		echo "$BASHPID" >"$group/cgroup.procs"
		crtool restore -d --manage-cgroups ignore -D - "${restore_with[@]}"
	)
	echo "# $before KiB of memory, most at any time: $(($(<"$peak") >> 10)) KiB" >&3
	[ "$(($(<"$peak") >> 10))" -gt $((before / 2)) ] || explain "what was charged is not this"
	[ "$(($(<"$peak") >> 10))" -lt $((before * 13 / 10 + $1)) ] || explain "it took $(<"$peak") bytes"
	release
}

@test "a stream is restored with hardly more memory than the process itself has" { bounded 0; }

@test "and so is one that is compressed" {
	dump_with=(--compress zstd)
	bounded 0
}

@test "and so is one that is compressed, signed and encrypted, but for what is decrypted at a time" {
	with_keys
	dump_with+=(--compress zstd)
	bounded $((32 << 10))
}
