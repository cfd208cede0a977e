load lib/zdtm
load lib/ring

setup() {
	has_io_uring || skip "no io_uring here"
	shows_rings || skip "this kernel does not show what is registered"
}

@test "registered files are the very ones, and a registered eventfd counts" {
	zdtm ring_table
}

@test "the same of a ring that a thread of the kernel polls, that one thread alone may use, for what is not done at once" {
	accept='Sq(Thread|ThreadCpu|TotalTime|WorkTime) |poll_idle: ' # which is measured
	once ring_table polled
	once ring_table single
	accept='status.Threads' # they come when there is work
	once ring_table async
}

@test "the same of a ring that two processes have" { once ring_table fork; }

@test "the clock, the number of threads and the slots for requests are in the checkpoint" {
	local to

	park ring_table
	to=$(images)
	run -0 crtool dump -R -t "$pid" -D "$to"
	[[ $output != *"not carried: "*io_uring* ]] || explain "it said: $output"
	run -0 crtool show -D "$to"
	[[ $output == *"workers: [3, 5]"* || $output == *"workers: 3"* ]]
	[[ $output == *"slot_first: 3"*"slot_end: 5"* ]]
	release
}

@test "that its threads are bound to CPUs is told" {
	[ "$(nproc)" -gt 1 ] || skip "one CPU only"
	park ring_table bound
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (ring_table): fd "*"bound to CPUs (IORING_REGISTER_IOWQ_AFF)"* ]]
	release
}

@test "what is registered and cannot be had again is refused by name" {
	park ring_table gone
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (ring_table): fd "*": what is registered with it "*"is open no more in its process"* ]]
	running "$pid"
	release
	park io_uring wide
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (io_uring): fd "*": its entries are larger"* ]]
	running "$pid"
	release
	park ring_table tagged
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (ring_table): fd "*": what is registered with it bears tags"* ]]
	running "$pid"
	release
}
