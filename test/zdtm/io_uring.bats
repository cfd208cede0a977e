load lib/zdtm
load lib/ring

setup() {
	has_io_uring || skip "no io_uring here"
}

# once KIND: the general ways are shown by the plain one.
once() {
	park io_uring "$1"
	dump_and_restore
	release
}

@test "a ring keeps its completions and goes on" { zdtm io_uring plain; }
@test "a ring without an array of indexes" {
	there_is io_uring noarray || skip "all rings have an array here"
	once noarray
}
@test "a ring that nobody has used yet" { once late; }
@test "a ring that was used once" { once one; }

@test "a ring that has come round often" { once round; }
@test "a ring with an empty table for files" {
	shows_rings || skip "this kernel does not show what is registered"
	once slots
}
@test "a ring that two processes have open and mapped" { once fork; }

@test "a ring with registered buffers" {
	accept='status.VmPin' # they are accounted to who has made the ring
	once buffers
}

@test "threads of the kernel that have worked for a ring are left alone" {
	accept='status.Threads' # they come again when there is work
	zdtm io_uring async
}

# The thread is another one, which has not worked yet.
polled() {
	accept='Sq(Thread|ThreadCpu|TotalTime|WorkTime) |poll_idle: ' # which is measured
	"$@"
}

@test "a ring that a thread of the kernel polls, watched by epoll" { polled zdtm io_uring polled; }
@test "how long its thread polls is known, or measured" {
	park io_uring polled
	to=$(images)
	run -0 crtool dump -R -t "$pid" -D "$to"
	[[ $output != *sq_thread_idle* ]] || skip "this kernel does not tell, and others were too busy for it to be seen"
	crtool show -D "$to" | grep -qE 'poll_idle: ([2-9][0-9]|[1-9][0-9]{2,})$'
	release
}

@test "such a ring with a request that is prepared: its thread is not woken" {
	park io_uring polled_pending
	grep -q '^SQEs:.1$' "/proc/$pid/fdinfo/4"
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (io_uring): fd 4: "*"(sq_thread_idle), which could not be seen"* || $output != *"not carried"* ]]
	grep -q '^SQEs:.1$' "/proc/$pid/fdinfo/4"
	polled dump_and_restore
	release
}

@test "such a ring that nobody has used yet" { polled once polled_late; }
@test "its thread has the rights of the program" { polled once polled_user; }
@test "its thread is bound to a CPU" {
	[ "$(nproc)" -gt 1 ] || skip "one CPU only"
	park io_uring polled_cpu
	before=$(thread_cpus)
	[ "$before" = 1 ]
	polled dump_and_restore
	[ "$(thread_cpus)" = 1 ]
	release
}

thread_cpus() {
	local comm

	comm=$(grep -l iou-sqp "/proc/$pid"/task/*/comm)
	taskset -cp "$(basename "$(dirname "$comm")")" | sed 's/.*: //'
}

@test "a ring that polls for completions" { once iopoll; }

@test "a request that ends in time is waited for" {
	busy=yes
	once soon
}

# dumped: by the time it was stopped a request may have been under way for too long.
dumped() {
	to=$(images)
	run crtool dump -t "$pid" -D "$to"
	[[ $status = 0 || $output == *"requests are under way"* || $output == *"its thread is at work"* ]] || explain "it said: $output"
	return "$status"
}

# What is written meanwhile is seen by the program itself, which reads it back.
rounds_of_writes() {
	park io_uring "$1"
	for _ in {1..8}; do
		within 20 dumped
		within 5 gone "$pid"
		crtool restore -d -D "$to"
	done
	release
}

@test "a file that requests write to while the program stands still is what it was" { rounds_of_writes writes; }
@test "the same by the thread that polls the ring" { rounds_of_writes polled_writes; }

@test "what a ring is refused for, by name" {
	refused_ring io_uring poll "requests are under way"
	refused_ring io_uring provided "it has provided buffers" blind_crtool
	refused_ring io_uring provided_ring "it has provided buffers" blind_crtool
	refused_ring io_uring polled_fork "IORING_SETUP_SQPOLL), and more than one process has it open"
	refused_ring io_uring disabled "IORING_SETUP_R_DISABLED"
	refused_ring io_uring closed "no descriptor of it is open"
}

