# crtool migrate: a tree moves, here into a pid namespace of this machine.
load lib/zdtm
load ../fault/lib/refuse

# migrate [OPTIONS]: $pid is the one that runs then; the way in $receive.
migrate() {
	local old=$pid said

	said=$(crtool migrate --json -t "$pid" --via "exec '$BUILD/crtool' receive --new-pidns ${receive:-}" "$@")
	gone "$old" || explain "it is still here"
	pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/' <<<"$said")
	within 5 running "$pid"
	[ "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status")" = "${first:=$old}" ]
}

moved() {
	echo "--- $*"
	first=''
	park "$@"
	migrate
	release
}

@test "programs move" {
	moved park
	moved tree plain
	moved thread
	moved pipe
	moved eventfd
	moved memfd
	moved regular
	moved sigpending
	moved timer
}

@test "memory of all kinds moves, and much of it" {
	moved memory rw
	moved memory_large
	moved memory_shared
	moved memory_file
	moved memory_cow 1
}

@test "one moves on while its memory is still coming" {
	receive=--lazy
	moved memory_large
	moved memory_cow 1
}

@test "rounds end as soon as what is left fits, and tell what they send, how fast, and what is left" {
	local said

	park memory_large
	run -0 --separate-stderr crtool migrate --json -v -t "$pid" --downtime 60s --via "exec '$BUILD/crtool' receive --new-pidns"
	grep -qw '"rounds":2' <<<"$output" || explain "$output"
	said=$(grep -c '^crtool: round ' <<<"$stderr")
	[ "$said" = 1 ]
	[[ $stderr =~ round\ 1:\ [0-9]+\ MiB\ in\ [0-9]+\ ms,\ [0-9]+\ MB/s\;\ about\ [0-9]+\ MiB\ are\ left,\ for\ which\ it\ stands\ still\ for\ [0-9]+\ ms ]]
	pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/' <<<"$output")
	release
}

# What is refused out here is done from inside, as the message says.
@test "what has moved into a pid namespace of its own moves on, three times in all" {
	park tree plain
	migrate
	for _ in {1..2}; do
		says 4 "task $pid (tree): lives in another mnt namespace than crtool, *; run crtool inside of it (nsenter -t $pid -m -p crtool ...), where its pid is $first" \
			crtool dump -t "$pid" -D "$(images)"
		said=$(nsenter -t "$pid" -m -p "$BUILD/crtool" migrate --json -t "$first" --via "exec '$BUILD/crtool' receive --new-pidns" 3>&- 4>&-)
		within 20 gone "$pid"
		pid=$(in_directory)
	done
	release
}

# The process of number $first in its own pid namespace that works in the directory of the victim's.
in_directory() {
	local cwd one

	while read -r cwd; do
		one=${cwd#/proc/}
		one=${one%/cwd}
		[ "$(awk '/^NSpid/ { print $NF }' "/proc/$one/status")" != "$first" ] || echo "$one"
	done < <(find /proc -maxdepth 2 -name cwd -lname "$dir" 2>/dev/null)
}

@test "on a terminal it tells each round and the end" {
	park memory_large
	script -qec "$BUILD/crtool migrate -t $pid --downtime 60s --via \"exec '$BUILD/crtool' receive --new-pidns\"" \
		"$dir/screen" </dev/null >/dev/null 2>&1 3>&- 4>&-
	tr '\r' '\n' <"$dir/screen" >"$dir/shown"
	grep -qE '^crtool: round 1: [0-9]+ MiB in [0-9]+ ms, [0-9]+ MB/s; about [0-9]+ MiB are left, for which it stands still for [0-9]+ ms' "$dir/shown"
	grep -qE '^crtool: it runs at the receiver, as pid [0-9]+, after 2 rounds of [0-9]+ MiB altogether' "$dir/shown"
	pid=$(sed -n 's/.*it runs at the receiver, as pid \([0-9]*\),.*/\1/p' "$dir/shown")
	release
}

@test "compressed on the way" {
	park memory_large
	migrate --compress lz4
	release
}

@test "a program that writes all the time moves; every byte is right" {
	park track
	run -0 crtool migrate -v -t "$pid" --max-rounds 3 --downtime 1ms --via "'$BUILD/crtool' receive --new-pidns --lazy"
	[[ $output == *"round 1: "*" MiB are left, for which it stands still for "* ]]
	[[ $output == *"it writes faster than can be sent: after 2 rounds it will stand still for about "*" ms instead of 1 ms (--downtime)"* ]]
	[[ $output == *"it runs at the receiver, as pid "*", after 3 rounds of "* ]]
	pid=$(sed -n 's/.*as pid \([0-9]*\),.*/\1/p' <<<"$output")
	release
}

# after VICTIM [args]: what is left after two rounds moves when it runs there.
after() {
	local old

	echo "--- $*"
	park "$@"
	old=$pid
	run -0 crtool migrate -v -t "$pid" --post-copy --max-rounds 2 --downtime 1ms --via "exec '$BUILD/crtool' receive --new-pidns"
	gone "$old" || explain "it is still here"
	[[ $output == *"it writes faster than can be sent: after 1 rounds what is left moves when it runs there"* ]]
	[[ $output == *"; the rest of its memory follows"* ]]
	pid=$(sed -n 's/.*as pid \([0-9]*\), after .*the rest of its memory follows.*/\1/p' <<<"$output")
	all_is_there || explain "not all of it is there"
	release
}

@test "what is left moves while it runs there (--post-copy); every byte is right" {
	after track
	after memory_lazy
	after memory_large
	after memory_cow 1
	after tree plain
	after memory_shared
}

stopped() {
	grep -q '^State:.[tT]' "/proc/$1/status"
}

# Whoever is in the directory of the victim's is in our pid namespace: nobody is left of what the receiver made.
nobody_else() {
	local cwd ours

	ours=$(readlink /proc/self/ns/pid)
	while read -r cwd; do
		[ "$(readlink "${cwd%cwd}ns/pid" || echo "$ours")" = "$ours" ] || return 1
	done < <(find /proc -maxdepth 2 -name cwd -lname "$dir" 2>/dev/null)
}

# breaks RECEIVER MESSAGE [OPTIONS]: in the middle of the rest. It is left here as it was when it left, and lives on from there.
breaks() {
	local receiver=$1 message=$2

	shift 2
	park track
	run crtool migrate -v -t "$pid" --post-copy --max-rounds 2 --downtime 1ms --via "exec '$BUILD/crtool' receive --new-pidns $receiver" "$@"
	[ "$status" -ne 0 ] || explain "says $output"
	[[ $output == *"$message"* ]] || explain "says $output"
	[[ $output == *" killed "*"it is left stopped here, as it was when it left; let all of its processes run on "* ]] ||
		[[ $output == *"it is left stopped here, as it was when it left, and is killed at the receiver: "* ]]
	within 20 nobody_else || explain "it still runs there"
	stopped "$pid" || explain "it is not stopped here"
	kill -CONT -- "-$pid"
	within 5 running "$pid"
	untraced
	release
}

@test "a connection that breaks while the rest moves: killed there, left stopped here" {
	breaks "" "failed while the rest moved, as asked" --fail-at rest
	breaks "--fail-at lazy" "failed while memory was brought, as asked; the tree is killed"
}

@test "what is not carried is told once" {
	python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW)' 2>/dev/null || skip "this kernel has no AF_XDP"
	park null null
	crtool migrate --json -t "$pid" --on-unknown-fd null --via "'$BUILD/crtool' receive --new-pidns" >"$dir/json" 2>"$dir/told"
	[ "$(grep -c "not carried: .*fd 4: socket" "$dir/told")" = 1 ]
	pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/' "$dir/json")
	release
}

# fails CODE MESSAGE RECEIVER [OPTIONS]: it runs on here, and nothing is left.
fails() {
	local code=$1 message=$2 via=$3

	shift 3
	run "-$code" crtool migrate -t "$pid" --via "$via" "$@"
	# shellcheck disable=SC2053 # a pattern
	[[ ${lines[-1]} == "crtool: error: "$message ]] || explain "says ${lines[-1]}"
	within 5 running "$pid"
	untraced
	within 5 rmdir "$TMPDIR" && mkdir "$TMPDIR"
}

@test "what fails on the other side is told here, and the tree runs on" {
	export TMPDIR=$BATS_TEST_TMPDIR/tmp

	mkdir "$TMPDIR"
	park tree plain
	fails 8 "the receiver: pid * is in use by task * (tree); --new-pidns restores beside it" "'$BUILD/crtool' receive"
	for stage in read open compile run; do
		fails 1 "the receiver: failed at the end of stage $stage, as asked" \
			"'$BUILD/crtool' receive --new-pidns --fail-at $stage"
	done
	fails 6 "the receiver: receive: a directory for the images in /nowhere (-D): No such file or directory" \
		"'$BUILD/crtool' receive -D /nowhere"
	fails 7 "the receiver: the connection is closed: Broken pipe" "exit 1"
	fails 1 "the receiver: what answers is no crtool: 'welcome'; *" "echo welcome; sleep 1"
	fails 9 "the receiver: does not answer for 1 s; --timeout gives it longer" "exec sleep 100" --timeout 1
	for stage in look freeze take pages seal; do
		fails 1 "failed at the end of stage $stage, as asked" "'$BUILD/crtool' receive --new-pidns" --fail-at "$stage"
	done
	release
}

# receiver: one that has its directory in $TMPDIR and waits for a sender, as $last.
receiver() {
	ls "$TMPDIR" >"$BATS_TEST_TMPDIR/before"
	(cd "$BATS_TEST_TMPDIR" && exec "$BUILD/crtool" receive <"$BATS_TEST_TMPDIR/nobody" >/dev/null 2>&1 3>&- 4>&-) &
	last=$!
	within 5 has_come
}

has_come() {
	ls "$TMPDIR" | comm -13 "$BATS_TEST_TMPDIR/before" - | grep -q .
}

@test "what a killed receiver leaves goes with the next one, and nothing else" {
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	local left stays

	mkdir "$TMPDIR"
	mkfifo "$BATS_TEST_TMPDIR/nobody"
	exec 7<>"$BATS_TEST_TMPDIR/nobody"
	receiver
	left=$(echo "$TMPDIR"/crtool-receive-*)
	mkdir "$left/1"
	echo secret >"$left/1/pages-0.img"
	kill -KILL "$last"
	wait "$last" || :
	mkdir -m 700 "$TMPDIR/crtool-receive-abcdef" "$TMPDIR/crtool-receive-abcdeg" "$TMPDIR/crtool-XXXXXX"
	touch "$TMPDIR/crtool-receive-abcdef/mine"
	chmod 755 "$TMPDIR/crtool-receive-abcdeg"
	ln -s "$TMPDIR/crtool-XXXXXX" "$TMPDIR/crtool-receive-abcdeh"
	receiver
	within 5 gone_path "$left"
	stays=$(find "$TMPDIR" | sort)
	[ "$(wc -l <<<"$stays")" = 7 ] || explain "there are: $stays"
	# One that lives keeps what it has.
	run crtool receive </dev/null
	[[ $output == *"receive: the sender has gone; nothing was restored"* ]]
	[ "$(find "$TMPDIR" | sort)" = "$stays" ]
	kill "$last"
	wait "$last" || :
	[ "$(find "$TMPDIR" | wc -l)" = 6 ]
	exec 7>&-
}

gone_path() {
	[ ! -e "$1" ]
}

@test "options that make no sense" {
	park park
	says 2 "migrate: where to? Use --to HOST, or --via COMMAND" crtool migrate -t "$pid"
	says 2 "migrate: --to -oProxyCommand=x: is no host" crtool migrate -t "$pid" --to -oProxyCommand=x
	says 2 "migrate: no process given; use -t PID" crtool migrate --to there
	says 2 "migrate: --downtime 1h: is no time like 100ms or 2s" crtool migrate -t "$pid" --to there --downtime 1h
	says 2 "migrate: --max-rounds 1: is no number from 2 to 60" crtool migrate -t "$pid" --to there --max-rounds 1
	says 2 "migrate: --receiver is for ssh; --via is the whole command" \
		crtool migrate -t "$pid" --via x --receiver y
	release
}

@test "a host is reached by ssh" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\n[ "$1" = there ] && shift && exec sh -c "$*"\n' >"$BATS_TEST_TMPDIR/bin/ssh"
	chmod +x "$BATS_TEST_TMPDIR/bin/ssh"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	park memory rw
	pid=$(crtool migrate --json -t "$pid" --to there --receiver "'$BUILD/crtool' receive --new-pidns" | sed 's/.*"pid":\([0-9]*\).*/\1/')
	release
}
