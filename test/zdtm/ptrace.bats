load lib/zdtm

# What else there is: the tree runs on, then comes back.
both() {
	park ptrace "$@"
	dump_running
	dump_and_restore
	release
}

@test "a child that asked to be traced and stands at a signal" { zdtm ptrace traceme; }

@test "one that was attached to, at a SIGSTOP" { both attach stop; }

@test "one that was seized" { both seize; }

@test "a stop that wait(2) has not told of" { both traceme untold plain; }

@test "the same of one that was seized, and a SIGCHLD that waits" { both seize untold pending; }

@test "one that was stopped while it slept sleeps on" { both attach sleep; }

@test "a watchpoint" { both traceme watch; }

@test "two threads of one program" { both attach threads; }

@test "a debugger of a debugger" { both traceme chain; }

@test "one whose dump fails after the freeze" {
	park ptrace attach threads
	for stage in freeze gather ask files pages; do
		run -1 crtool dump -t "$pid" -D "$(images)" --fail-at="$stage"
	done
	release
}

# The same of a tracee that runs.
runs() {
	park ptrace_runs "$@"
	dump_running
	dump_and_restore
	dump_and_restore
	release
}

@test "one that asked to be traced runs, in a call" { runs traceme; }

@test "one that was attached to runs, and calls nothing" { runs attach compute pending; }

@test "one that was seized runs, and sleeps" { runs seize sleep; }

@test "two threads run under a debugger that has attached to them" { runs attach threads sleep; }

@test "one that was attached to waits in epoll_wait, and does not see EINTR" { runs attach epoll; }

@test "the same of one that was seized" { runs seize epoll; }

@test "one that runs, and whose dump fails after the freeze" {
	for mode in attach seize; do
		park ptrace_runs "$mode" threads
		for stage in freeze gather ask files pages; do
			run -1 crtool dump -t "$pid" -D "$(images)" --fail-at="$stage"
		done
		release
	done
}

# The same of one whose system calls are traced.
calls() {
	park ptrace_calls "$@"
	dump_running
	dump_and_restore
	dump_and_restore
	release
}

@test "a tracer of system calls sees each once: one that was interrupted" { calls; }

@test "one that the kernel does not make again by itself" { calls epoll; }

@test "one that sleeps again and again, without PTRACE_O_TRACESYSGOOD" { calls sleep plain; }

@test "one that the kernel has continued once already: it sees no EINTR" {
	park ptrace_calls sleep long
	for _ in 1 2 3; do
		run -0 crtool dump -R -t "$pid" -D "$(images)"
		[[ $output != *"not carried"* ]]
	done
	dump_and_restore
	release
}

@test "a tracee that computes, until its next call" { calls compute; }

@test "two threads" { calls threads; }

@test "a tracee that stands at the entry of a system call" { calls entry; }

@test "one that does so, and wait(2) has not told of it" { calls entry untold threads; }

@test "a tracee that stands at the end of a system call" { calls exit plain; }

@test "one that has come to it, and wait(2) has not told" { calls exit untold; }

@test "traced system calls, and a dump that fails after the freeze" {
	for mode in read epoll entry exit; do
		park ptrace_calls "$mode" threads
		for stage in freeze gather ask files pages; do
			run -1 crtool dump -t "$pid" -D "$(images)" --fail-at="$stage"
		done
		release
	done
}
