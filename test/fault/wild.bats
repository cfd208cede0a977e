# Targets that fork, clone, exec, end or are killed while they are being frozen.
load ../zdtm/lib/zdtm
load lib/refuse

# Dumps of $pid, one after the other; whatever comes of each, nothing stays stopped or traced.
many_dumps() {
	local i code good=0 to=$BATS_TEST_TMPDIR/to

	for ((i = 0; i < $1; i++)); do
		code=0
		crtool dump -R -t "$pid" -D "$to" 2>"$BATS_TEST_TMPDIR/said" || code=$?
		[ "$code" -lt 128 ] || explain "crtool died: $code"
		[ "$code" != 1 ] || explain "internal: $(<"$BATS_TEST_TMPDIR/said")"
		[ "$code" != 0 ] || good=$((good + 1))
		[ "$code" = 0 ] || [ ! -e "$to" ]
		[ "$code" = 0 ] || tail -n 1 "$BATS_TEST_TMPDIR/said"
		rm -rf "$to"
	done
	echo "$good of $1 dumps were whole"
	((good > 0))
}

# A dump may be asked to try again, of which the tree knows nothing.
dump_and_restore_once() {
	to=$(images)
	crtool dump -t "$pid" -D "$to" 2>"$BATS_TEST_TMPDIR/said" || {
		tail -n 1 "$BATS_TEST_TMPDIR/said"
		rm -r "$to"
		return 1
	}
	within 5 gone "$pid"
	crtool restore -d -D "$to" || explain "it does not come back"
	rm -r "$to"
}

# again_and_again TIMES COMMAND: until it succeeds.
again_and_again() {
	local tries=$1

	shift
	until "$@"; do
		((--tries > 0)) && alive "$pid" || explain "no dump in all these tries"
	done
}

@test "a tree that forks all the time" {
	park fault/wild fork
	many_dumps 30
	release
}

@test "threads that come and go all the time" {
	park fault/wild threads
	many_dumps 30
	release
}

@test "a program that executes itself all the time" {
	park fault/wild exec
	many_dumps 30
	release
}

@test "a program with many threads, one of which executes it, all the time" {
	park fault/wild exec-by-thread
	many_dumps 30
	release
}

@test "a tree that forks, vforks, executes, ends, stops and goes on, and loses nothing" {
	local i

	busy=yes
	park fault/churn 4
	many_dumps 8
	for ((i = 0; i < 3; i++)); do
		again_and_again 20 dump_and_restore_once
	done
	release
}

@test "a program that waits for a vfork child" {
	park fault/wild vfork
	refused 4 "task $pid (wild): waits in vfork(2) for task * (wild) to call execve(2) or to end, \
and cannot be stopped there; try again when that has happened"
	release
}

@test "a target that is killed while it is dumped" {
	local n code

	for n in 0 1 2 3 5 8 13 21; do
		park fault/steady mix 5
		{
			sleep "0.00$n"
			kill -KILL "$pid"
		} &
		code=0
		crtool dump -R -t "$pid" -D "$dir/to" 2>"$dir/said" || code=$?
		wait $!
		echo "$n: $code: $(tail -n 1 "$dir/said")"
		[[ $code =~ ^[034]$ ]]
		[ "$code" = 0 ] || [ ! -e "$dir/to" ]
		within 5 gone "$pid"
	done
}

@test "a target that ends by itself while it is dumped" {
	local code

	for _ in {1..10}; do
		fresh_dir
		start "$BUILD/test/fault/wild" exit 20000
		code=0
		crtool dump -R -t "$pid" -D "$dir/to" 2>"$dir/said" || code=$?
		echo "$code: $(tail -n 1 "$dir/said")"
		[[ $code =~ ^[034]$ ]]
		[ "$code" = 0 ] || [ ! -e "$dir/to" ]
		within 10 gone_or_zombie
	done
}

# All stand at once; crtool hears of it when its timer has rung (dump/ended.h).
@test "a freeze that takes its time" {
	strace -V >/dev/null 2>&1 || skip "no strace"
	park fault/steady sleep 5
	strace -f -o /dev/null -e trace=waitid -e inject=waitid:delay_enter=300000:when=1..4 \
		"$BUILD/crtool" dump -R --timeout 20 -t "$pid" -D "$(images)" 3>&- 4>&-
	release
}

# The scripts of threads are written by then.
@test "a tree with threads, of which one process ends and others come just before it is frozen" {
	park fault/moved
	to=$(images)
	crtool dump -t "$pid" -D "$to" --action-script "[ \$CRTOOLS_SCRIPT_ACTION != pre-dump ] ||
		{ cd '$dir' && touch change && until [ -e changed ]; do sleep 0.005; done; }"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}
