# The tests' side of zdtm.h: start a victim, dump and restore it, release it.
#
#	load lib/zdtm
#
#	@test "an eventfd keeps its count" { zdtm eventfd; }
#
#	@test "an eventfd is refused ..." {
#		park eventfd --strange
#		run -4 crtool dump -t "$pid" -D "$(images)"
#		release
#	}
#
# Options for the modes below go into the arrays dump_with and restore_with.
# Victim and crtool are started by the command in inside (netns.bash).
# Differences that a test is about go into accept, a regular expression; a target
# that works on, busy=yes, has no two pictures alike.

bats_require_minimum_version 1.5.0

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
BUILD=$ROOT/${B:-build}
dump_with=() restore_with=() inside=() accept='^$' busy=''
pid='' dir='' zdtm_count=0

# The tool, without the descriptors of bats.
crtool() {
	"${inside[@]}" "$BUILD/crtool" "$@" 3>&- 4>&-
}

# old COMMAND...: crtool does without what an older kernel has not got (test/fault/old_preload.c).
old() {
	ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$BUILD/test/fault/old_preload "$@"
}

# What has parked is dumped as before Linux 6.6, and comes back.
carried_old() {
	local to

	to=$(images)
	old crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

# dump_without WHAT VICTIM [args]: it is carried, without what test/fault/without.c takes away from who dumps it.
dump_without() {
	local to what=$1

	shift
	to=$(images)
	park "$@"
	"$BUILD/test/fault/without" "$what" "$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
	"$BUILD/test/fault/without" "$what" "$BUILD/crtool" dump -t "$pid" -D "$to" 3>&- 4>&-
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

# Are there pidfds of threads (Linux 6.9)? Else a process without main thread is not carried.
threads_have_pidfds() {
	python3 -c 'import os; os.pidfd_open(os.getpid(), os.O_EXCL)' 2>/dev/null
}

# there_is VICTIM [args]: has this kernel what it needs? It ends with 77 if not.
there_is() {
	(mkdir -p "$BATS_TEST_TMPDIR/try" && cd "$BATS_TEST_TMPDIR/try" && touch release && "$BUILD/test/zdtm/$1" "${@:2}") ||
		[ $? -ne 77 ]
}

# The same without the right to look into the memory of the kernel.
blind_crtool() {
	local less=-bpf,-perfmon,-sys_admin

	"${inside[@]}" setpriv --bounding-set "$less" --inh-caps "$less" "$BUILD/crtool" "$@" 3>&- 4>&-
}

# Wait until a command succeeds, $1 seconds at most.
within() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		((SECONDS <= end)) || return 1
		sleep 0.005
	done
}

gone() {
	[ ! -e "/proc/$1" ]
}

# One of its threads lives; once the first is gone, the others have to be asked.
alive() {
	[ -e "/proc/$1" ] || return 1
	! grep -q '^State:.[ZX]' "/proc/$1/status" ||
		[ "$(grep -L '^State:.[ZX]' "/proc/$1"/task/*/status 2>/dev/null)" ]
}

running() {
	alive "$1" && ! grep -q '^State:.[tT]' "/proc/$1"/task/*/status
}

# A new empty directory under the test's own, open to every user: its path is in $dir.
fresh_dir() {
	dir=$BATS_TEST_TMPDIR/$((++zdtm_count))
	mkdir "$dir"
	chmod 777 "$dir"
	chmod a+x "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")" "$BATS_TEST_TMPDIR"
}

# Print the path of a new directory for images.
images() {
	mktemp -d "$BATS_TEST_TMPDIR/images.XXXXXX"
}

# start COMMAND [args]: in $dir and in a session of its own, as $pid, with nothing
# open but /dev/null and the files out and err.
start() {
	(
		cd "$dir" || exit 1
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -lt 3 ] || eval "exec $fd>&-"
		done
		exec setsid "${inside[@]}" "$@" </dev/null >>out 2>>err
	) &
	pid=$!
	disown "$pid" # so that bash reaps it without a word
}

# park VICTIM [args]: start it and wait until it says that it is ready.
park() {
	local victim=$1

	shift
	case $victim in
	*/*) victim=$BUILD/test/$victim ;;
	*) victim=$BUILD/test/zdtm/$victim ;;
	esac
	fresh_dir
	start "$victim" "$@"
	within 20 parked_or_gone
	[ -e "$dir/parked" ] || explain "it did not park"
}

parked_or_gone() {
	[ -e "$dir/parked" ] || ! alive "$pid"
}

# Say what is known of the victim, and fail.
explain() {
	echo "$1 (pid $pid)"
	if alive "$pid"; then
		grep -E '^(State|TracerPid|Sig...|Threads)' "/proc/$pid/status" || true
		cat "/proc/$pid/syscall" "/proc/$pid/stack" 2>/dev/null || true
	fi
	echo "--- its stderr:"
	cat "$dir/err"
	return 1
}

# Let the victim check itself; it must end and pass.
release() {
	touch "$dir/release"
	within 20 gone_or_zombie || explain "it does not end after its release"
	[ "$(cat "$dir/result" 2>/dev/null)" = pass ] || explain "it did not pass"
}

# finish SECONDS: wait until a program that was not written for us ends by itself.
finish() {
	within "$1" gone_or_zombie || explain "it does not end"
}

gone_or_zombie() {
	! alive "$pid"
}

# What is done between the two looks at a victim; the environment may say another way (make test-modes).
# carry_WAY DIR: $pid is dumped to DIR, is gone, and comes back.
carry_plain() {
	# shellcheck disable=SC2086 # words
	crtool dump -t "$pid" -D "$1" ${2-} "${dump_with[@]}"
	within 5 gone "$pid" || explain "it is still there after the dump"
	# shellcheck disable=SC2086 # words
	crtool restore -d -D "$1" ${3-} "${restore_with[@]}"
}

carry_lz4() { carry_plain "$1" '--compress lz4'; }
carry_zstd() { carry_plain "$1" '--compress zstd'; }
carry_demand() {
	case "${dump_with[*]} ${restore_with[*]}" in
	*--compress* | *--encrypt* | *--verify*) carry_lazy "$1" ;; # which it refuses
	*) carry_plain "$1" '' --on-demand ;;
	esac
}

carry_lazy() {
	carry_plain "$1" '' --lazy
	within 20 all_is_there
}

# Nobody brings memory any more.
all_is_there() {
	local task

	for task in "$pid" $(cat "/proc/$pid/task/"*/children); do
		! grep -qsE '^VmFlags:.* um' "/proc/$task/smaps" || return 1
	done
}

carry_stream() {
	crtool dump -t "$pid" -D - "${dump_with[@]}" >"$1/stream"
	within 5 gone "$pid" || explain "it is still there after the dump"
	crtool restore -d -D - "${restore_with[@]}" <"$1/stream"
}

carry_increments() {
	crtool pre-dump -t "$pid" -D "$1/1" "${dump_with[@]}"
	crtool pre-dump -t "$pid" -D "$1/2" --prev-images-dir ../1 "${dump_with[@]}"
	crtool dump -t "$pid" -D "$1/3" --prev-images-dir ../2 "${dump_with[@]}"
	within 5 gone "$pid" || explain "it is still there after the dump"
	crtool restore -d -D "$1/3" "${restore_with[@]}"
}

tree_of() {
	local child

	echo "$1"
	for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
		tree_of "$child"
	done
}

# It alone, and nobody of it sees another one end.
end_tree() {
	local all one

	mapfile -t all < <(tree_of "$pid")
	kill -STOP "${all[@]}" 2>/dev/null || :
	kill -KILL "${all[@]}" 2>/dev/null || :
	for one in "${all[@]}"; do
		within 5 gone "$one" || explain "$one is still there"
	done
}

carry_snapshot() {
	local goes_on=alive

	! running "$pid" || goes_on=running
	if ! crtool dump -R --snapshot -t "$pid" -D "$1" "${dump_with[@]}" 2>"$1.said"; then
		cat "$1.said" >&2
		! grep -q 'no snapshot can be made of it (--snapshot)' "$1.said" || skip "no snapshot can be made of it"
		return 1
	fi
	cat "$1.said" >&2
	within 5 "$goes_on" "$pid" || explain "it does not run on"
	end_tree
	crtool restore -d -D "$1" "${restore_with[@]}"
}

# All that can be read of the tree must be the same after the restore (test/fidelity).
# dump_and_restore FILE: what the checkpoint says goes there.
dump_and_restore() {
	local to

	to=$(images)
	picture "$to.before"
	"carry_${ZDTM_MODE:-plain}" "$to"
	alive "$pid" || explain "it is not there after the restore"
	picture "$to.after"
	# what still comes bears a mark
	[ "${ZDTM_MODE-}" != demand ] || sed -i 's/^\([0-9]* map\..*\) um\b/\1/' "$to.after"
	diff <(grep -vE "$accept" "$to.before") <(grep -vE "$accept" "$to.after") || explain "it is not what it was"
	[ -z "${1-}" ] || crtool show --json -D "$to" >"$1" || : >"$1"
	rm -r "$to"
}

picture() {
	if [ "$busy" ]; then
		: >"$1"
	else
		"$ROOT/test/fidelity" "$pid" >"$1"
	fi
}

# What it answers when it is asked inside must be what it was, too (test/answers).
dump_and_restore_thrice() {
	local said=$BATS_TEST_TMPDIR/said

	dump_and_restore "$said.first"
	dump_and_restore
	dump_and_restore "$said.last"
	[ -z "$busy" ] && [ -s "$said.first" ] || return 0
	! "$ROOT/test/answers" "$said.first" "$said.last" | grep -vE "$accept" || explain "it answers what it did not"
}

# dump -R: the victim runs on, and the images are whole.
dump_running() {
	local to

	to=$(images)
	crtool dump -R -t "$pid" -D "$to" "${dump_with[@]}"
	running "$pid" || explain "it does not run on after dump -R"
	crtool show -D "$to" >/dev/null
	rm -r "$to"
}

# dump -R --snapshot: the tree runs on as it was, and what comes back is what it was then.
snapshot_and_restore() {
	local to

	to=$(images)
	picture "$to.before"
	crtool dump -R --snapshot -t "$pid" -D "$to" "${dump_with[@]}"
	picture "$to.running"
	kill -KILL "$pid"
	zdtm_teardown
	within 5 gone "$pid"
	crtool restore -d -D "$to" "${restore_with[@]}"
	picture "$to.after"
	for after in running after; do
		diff <(grep -vE "$accept" "$to.before") <(grep -vE "$accept" "$to.$after") || explain "it is not what it was"
	done
	rm -r "$to"
}

# zdtm VICTIM [args]: the three standard ways.
zdtm() {
	local way

	if [ "${ZDTM_MODE-}" ]; then
		once "$@"
		return
	fi
	for way in dump_and_restore dump_running dump_and_restore_thrice; do
		echo "--- $way:"
		park "$@"
		"$way"
		release
	done
}

# once VICTIM [args]: dumped and restored, where the other ways of zdtm() would show nothing new.
once() {
	park "$@"
	dump_and_restore
	release
}

# dump [OPTIONS]: the victim, to $to, and it is gone.
dump() {
	to=$(images)
	crtool dump "$@" -t "$pid" -D "$to"
	within 5 gone "$pid"
}

# Kill whatever still works in the test's directory, and wait until it is gone.
zdtm_teardown() {
	local left

	while read -r left; do
		kill -KILL "$left" 2>/dev/null || true
		within 5 gone "$left" || echo "pid $left stays behind"
	done < <(find /proc -maxdepth 2 -name cwd -lname "$BATS_TEST_TMPDIR/*" 2>/dev/null |
		sed -nE 's|^/proc/([0-9]+)/cwd$|\1|p')
}

teardown() {
	zdtm_teardown
}
