# Crtool is started with next to nothing of something, or the program is: what it says names that, and the way out; whatever it says,
# the program runs on, and nothing is left. Where it does without, the checkpoint is whole.
load ../zdtm/lib/zdtm
load lib/points
load lib/refuse

as_user='exec setpriv --reuid=54329 --regid=54329 --clear-groups "$@"'

# given SETTING COMMAND...: run it as SETTING, a command of the shell, has arranged.
given() {
	bash -c "$1"'; exec "$@"' - "${@:2}"
}

# told CODE MESSAGE: it ended with that, and said MESSAGE (a pattern) in one line, or nothing if there is none.
told() {
	# shellcheck disable=SC2053 # a pattern
	[ "$status" = "$1" ] && [[ $output == ${2:+"crtool: error: "}$2 ]] && ((${#lines[@]} <= 1)) ||
		explain "ends with $status and says $output, instead of $1 and $2"
}

# dump_given SETTING CODE MESSAGE
dump_given() {
	local to=$BATS_TEST_TMPDIR/to

	echo "--- $1"
	run given "$1" "${inside[@]}" "$BUILD/crtool" dump -R --timeout 30 "${dump_with[@]}" -t "$pid" -D "$to" </dev/null 3>&- 4>&-
	told "$2" "$3"
	untraced
	if [ "$2" = 0 ]; then
		crtool show -D "$to" >/dev/null
	else
		[ ! -e "$to" ]
	fi
	rm -rf "$to"
}

# restore_given SETTING CODE MESSAGE: of the checkpoint in $to, of which nobody is there.
restore_given() {
	echo "--- $1"
	run given "$1" "$BUILD/crtool" restore -d -D "$to" </dev/null 3>&- 4>&-
	told "$2" "$3"
	if [ "$2" = 0 ]; then
		running "$pid"
		end_tree
	else
		within 5 gone "$pid"
	fi
}

few='*: Too many open files; raise the hard limit (ulimit -Hn)*'
little='*: Cannot allocate memory; the memory of crtool is limited: raise that (ulimit -v, ulimit -d)'
alone='* (the processes of its user, or its memory, are limited: raise that by ulimit -u, ulimit -d): Resource temporarily unavailable'

# What both a dump and a restore do without.
dispensable=(
	'ulimit -Ss 64' 'ulimit -Sl 0' 'ulimit -Si 0' 'ulimit -Sc 0' 'ulimit -Sn 4' 'ulimit -Su 0'
	'exec 0<&-' 'exec 1>&-' 'exec 0<&- 1>&- 2>&-' 'exec nice -n 19 "$@"'
	'exec env --block-signal "$@"' 'exec env --ignore-signal "$@"' 'exec env --ignore-signal=CHLD "$@"'
)

@test "a dump of which something is limited" {
	local each

	park fault/steady mix 3
	for each in "${dispensable[@]}" 'ulimit -s 64' 'cd "$(mktemp -d)"; rmdir "$PWD"'; do
		dump_given "$each" 0 ''
	done
	for each in 4 5 8; do
		dump_given "ulimit -n $each" 1 "$few"
	done
	dump_given 'ulimit -v 40000' 1 "$little"
	dump_given 'ulimit -d 1000' 1 "$alone"
	dump_given 'ulimit -f 8' 7 '*: write: File too large; the size of files is limited: raise that (ulimit -f)'
	release
}

@test "a restore of which something is limited" {
	local each

	park fault/steady mix 3
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	for each in "${dispensable[@]}"; do
		restore_given "$each" 0 ''
	done
	restore_given 'ulimit -n 4' 1 "$few"
	restore_given 'ulimit -Sv 20000' 1 "$little"
	crtool restore -d -D "$to"
	release
}

@test "an ordinary user whose processes are limited, or who does not see those of others" {
	local inside=(setpriv --reuid=54329 --regid=54329 --clear-groups)

	umask 0
	park fault/steady mix 3
	inside=()
	chmod 777 "$BATS_TEST_TMPDIR"
	dump_given "ulimit -u 5; $as_user" 1 "fork the guard $alone"
	dump_given "ulimit -u 6; $as_user" 1 "$alone"
	if mount -t proc -o hidepid=2 proc /proc; then
		dump_given "$as_user" 0 ''
		umount /proc
	fi
	release
}

# limits LIMIT: those of all its processes.
limits() {
	local each

	for each in $(tree_of "$pid"); do
		prlimit --pid "$each" "--$1"
	done
}

@test "a program of which something is limited" {
	local each before soft

	park fault/family 1
	before=$(prlimit --pid "$pid" -o RESOURCE,SOFT --noheadings)
	for each in sigpending memlock fsize nofile nproc core stack rttime; do
		limits "$each=1:"
	done
	dump_given : 0 ''
	dump_with=(--snapshot)
	dump_given : 0 ''
	dump_with=()
	while read -r each soft; do
		limits "${each,,}=$soft:"
	done <<<"$before"
	for each in as data; do
		limits "$each=1:"
		dump_given : 1 '*map the arena into it (if its memory is limited, raise that: prlimit --pid * --as=, --data=): Cannot allocate memory'
		limits "$each=unlimited:"
	done
	release
}

@test "a caller that blocks all signals: a deadline holds" {
	park fault/steady mix 3
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	run -9 timeout -s KILL 30 env --block-signal "$BUILD/crtool" restore -d --fail-at hang:3 --timeout 1 -D "$to" 3>&- 4>&-
	within 5 gone "$pid"
}

@test "a caller that blocks all signals: a dump can be interrupted" {
	local crtool

	park fault/steady mix 3
	mkfifo "$dir/fifo"
	exec 8<>"$dir/fifo"
	env --block-signal "$BUILD/crtool" dump -R -t "$pid" -D - >"$dir/fifo" 2>"$dir/said" 3>&- 4>&- &
	crtool=$!
	within 20 is_full
	kill -TERM "$crtool"
	within 20 gone_or_zombie_of "$crtool"
	wait "$crtool" || status=$?
	exec 8>&-
	[ "$status" = 10 ]
	untraced
	release
}

gone_or_zombie_of() {
	! alive "$1"
}

# More does not go into it.
is_full() {
	python3 -c 'import select,sys; sys.exit(bool(select.select([], [8], [], 0)[1]))'
}

@test "a caller whose time is used up" {
	park fault/steady mix 3
	interfere 300 24 dump -R -t "$pid" -D "$dir/to" # SIGXCPU
	[ "$status" = 10 ]
	[ ! -e "$dir/to" ]
	untraced
	release
}
