# Processes that cannot be saved: refused by name, before anything is stopped.
load ../zdtm/lib/zdtm
load lib/refuse

@test "there is no such process" {
	pid=4194000
	refused 3 "task 4194000: there is none; give a number that ps -e shows: No such process"
}

@test "crtool runs below the target" {
	pid=$$
	refused 2 "task $$: crtool itself runs below it; start crtool from outside of the tree"
}

@test "crtool itself" {
	local to=$BATS_TEST_TMPDIR/to

	# The shell becomes crtool and keeps its pid.
	says 2 "task *: crtool itself runs below it; start crtool from outside of the tree" \
		bash -c "exec '$BUILD/crtool' dump -t \$\$ -D '$to'"
	[ ! -e "$to" ]
}

@test "a zombie" {
	local parent

	fresh_dir
	start bash -c 'sleep 0.1 & echo $! >zombie; exec sleep 1000'
	parent=$pid
	within 5 test -s "$dir/zombie"
	read -r pid <"$dir/zombie"
	within 5 grep -q '^State:.Z' "/proc/$pid/status"
	refused 4 "task $pid (sleep): is a zombie, there is nothing left to save; its parent $parent has not waited for it"
	kill "$parent"
}

@test "a thread of a process" {
	local process

	park fault/steady sleep 1
	process=$pid
	for pid in "/proc/$process/task/"*; do
		pid=${pid##*/}
		[ "$pid" = "$process" ] || break
	done
	refused 2 "task $pid: is a thread of process $process (steady); give that"
	pid=$process
	release
}

@test "a process that strace traces" {
	local target

	[ -n "$(command -v strace)" ] || skip "no strace"
	park park
	target=$pid
	strace -o /dev/null -p "$target" 3>&- 4>&- 2>/dev/null &
	within 5 grep -q '^TracerPid:.[1-9]' "/proc/$target/status"
	says 8 "task $pid (park): is being traced by $! (strace); let that detach first" \
		crtool dump -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	kill "$!"
	wait "$!" || true
	untraced
	release
}

@test "a thread that strace traces, its process it does not" {
	local tid target

	[ -n "$(command -v strace)" ] || skip "no strace"
	park fault/steady sleep 2
	target=$pid
	tid=$(find "/proc/$target/task" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -1)
	strace -o /dev/null -p "$tid" 3>&- 4>&- 2>/dev/null &
	within 5 grep -q '^TracerPid:.[1-9]' "/proc/$target/task/$tid/status"
	says 8 "task $pid (steady): thread $tid is being traced by $! (strace); let that detach first" \
		crtool dump -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	kill "$!"
	wait "$!" || true
	release
}

# traced MODE: a session of a debugger in the tree, of which MESSAGE tells; it goes on as if nothing had been.
traced() {
	local child

	park fault/traced "$1"
	child=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
	says 8 "task $child (traced): ${2}is being traced by $pid (traced), which is in the tree, too: *" \
		crtool dump -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	release
}

@test "a thread that runs under a tracer is carried" {
	park fault/traced seized
	dump_running
	release
}

@test "the same where the kernel is interrupted whenever it loads a program of bpf(2)" {
	strace -V >/dev/null 2>&1 || skip "no strace"
	park fault/traced seized
	strace -f -o /dev/null -e trace=bpf -e inject=bpf:error=EAGAIN:when=1..11 \
		"$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
	release
}

@test "a zombie thread of a live process" { traced zombie-thread 'thread * '; }

@test "a zombie with zombie threads" { traced zombie 'thread * '; }

@test "a tracee of the tree that cannot be left stopped, copied, or told of" {
	local child

	[ "$(id -u)" = 0 ] || skip "not root"
	park ptrace traceme
	child=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
	says 8 "task $child (ptrace): is being traced by $pid (ptrace), which is in the tree, too: it could not be left stopped (-s); let that detach first" \
		crtool dump -s -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	says 8 "*: no snapshot can be made of it (--snapshot); let that detach first" \
		crtool dump -R --snapshot -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	says 8 "*: this kernel does not tell with which options, or not crtool (CAP_BPF, CAP_PERFMON); let that detach first" \
		setpriv --bounding-set=-sys_admin,-bpf,-perfmon "$BUILD/crtool" dump -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	release
}

@test "a tracee that stands at an event, or that runs from call to call without having been seized" {
	local child mode why

	for mode in event steps; do
		park fault/traced "$mode"
		child=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
		why="it stands at an event of ptrace(2)"
		[ "$mode" = event ] || why="it runs from one system call to the next (PTRACE_SYSCALL), and was attached to by PTRACE_ATTACH*"
		says 8 "task ${child%% *} (*): is being traced by $pid (traced), which is in the tree, too: $why; let that detach first" \
			crtool dump -t "$pid" -D "$BATS_TEST_TMPDIR/to"
		grep -q "^TracerPid:.$pid$" "/proc/$child/status"
		release
	done
}

# traced_so MODE WHY: a tracee that is refused because of it, and lives.
traced_so() {
	local child

	park fault/traced "$1"
	child=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
	says 8 "task $child (traced): *is being traced by $pid (traced), which is in the tree, too: $2; let that detach first" \
		crtool dump -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	grep -q "^TracerPid:.$pid$" "/proc/$child/task/"*/status
	release
}

@test "a tracee whose calls are made for it, that is confined, or stopped by job control" {
	traced_so emulated "its tracer makes its system calls for it (PTRACE_SYSEMU)"
	traced_so confined "it is confined by seccomp, and could not wait for its tracer"
	traced_so listen "it is stopped by job control (PTRACE_LISTEN)"
	there_is ../fault/traced suspended || skip "PTRACE_O_SUSPEND_SECCOMP cannot be set here"
	traced_so suspended "with PTRACE_O_SUSPEND_SECCOMP"
}

@test "a tracee that stands at an event and goes on is dumped when it has" {
	park fault/traced passing
	run -0 --separate-stderr crtool dump -R -v -t "$pid" -D "$(images)"
	[[ $stderr == *"it stands at an event of ptrace(2); let that detach first; once more"* ]]
	release
}

@test "a tracer, without what it traces" {
	local target

	[ -n "$(command -v strace)" ] || skip "no strace"
	park park
	target=$pid
	start strace -o /dev/null -p "$target"
	within 20 grep -q '^TracerPid:.[1-9]' "/proc/$target/status"
	says 8 "task $pid (strace): traces $target (park), which is outside of the tree; let it detach first" \
		crtool dump -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	run crtool check -t "$pid"
	[[ $output == *"traces $target (park), which is outside"* ]]
	grep -q "^TracerPid:.$pid" "/proc/$target/status"
	touch "$dir/release"
	finish 20
	[ -e "$dir/result" ]
}

@test "a process in another network namespace" {
	park_in "unshare --net"
	refused 4 "task $pid (park): lives in another net namespace than crtool, not supported by this version; run crtool inside of it (nsenter -t $pid -n crtool ...), where its pid is $pid"
	release
}

@test "a process in another user namespace" {
	park_in "unshare --user"
	refused 4 "task $pid (park): lives in another user namespace than crtool, not supported by this version; run crtool inside of it (nsenter -t $pid -U crtool ...), where its pid is $pid"
	release
}

# elsewhere KIND [THREADS]: a thread of it is there.
elsewhere() {
	park fault/namespaces "$@"
	refused 4 "task $pid (namespaces): thread * lives in another $kind namespace than its process, not supported by this version"
	release
}

@test "a thread in other namespaces than its process, also one of many" {
	local kind

	unshare -niuC true 2>/dev/null || skip "no namespaces here"
	for kind in net ipc uts cgroup; do
		elsewhere "$kind"
	done
	kind=net
	elsewhere net 100
	kind=pid_for_children
	elsewhere pid
}

@test "a process that has made a pid namespace for its children to come" {
	unshare -pf true 2>/dev/null || skip "no namespaces here"
	park fault/namespaces children
	refused 4 "task $pid (namespaces): has made a pid namespace for its children to come, not supported by this version"
	release
}

# park_in COMMAND: park, started by it.
park_in() {
	fresh_dir
	# shellcheck disable=SC2086 # words
	start $1 "$BUILD/test/zdtm/park"
	within 20 parked_or_gone
	[ -e "$dir/parked" ] || skip "no $1 here"
}

thirty_two_or_gone() {
	! alive "$pid" || [ "$(<"/proc/$pid/comm")" = thirty-two ]
}

# Else the dump would end it, and the restore refuse it.
@test "a tree that no restore could make again" {
	park fault/unmakeable
	refused 4 "task * (unmakeable): belongs to session *, from which it can only be made with SIGCHLD at its end, and has signal 0: *"
	run -4 crtool check -t "$pid"
	[[ $output == *"can only be made with SIGCHLD at its end"* ]]
	release
}

@test "a 32-bit program" {
	local program=$BATS_TEST_TMPDIR/thirty-two

	printf '.globl _start\n_start: movl $29, %%eax\n int $0x80\n jmp _start\n' | as --32 -o "$program.o" - &&
		ld -m elf_i386 -o "$program" "$program.o" || skip "no 32-bit binutils"
	fresh_dir
	start "$program"
	within 5 thirty_two_or_gone
	alive "$pid" || skip "this kernel runs no 32-bit programs"
	refused 4 "task $pid (thirty-two): is a 32-bit program, not supported by this version"
	running "$pid"
}

@test "a process of another user, without CAP_SYS_PTRACE" {
	local to

	[ "$(id -u)" = 0 ] || skip "not root"
	park park
	to=$dir/images
	says 5 "task $pid (park): *CAP_SYS_PTRACE*" \
		setpriv --reuid=65534 --clear-groups "$BUILD/crtool" dump -t "$pid" -D "$to"
	[ ! -e "$to" ]
	untraced
	release
}

@test "a part of a session, without -j" {
	fresh_dir
	start bash -c "'$BUILD/test/zdtm/park' & echo \$! >pid; wait"
	within 20 parked_or_gone
	read -r pid <"$dir/pid"
	refused 4 "task $pid (park): belongs to the session of * (bash), which is not in the tree; -j saves it as a shell job"
	release
}
