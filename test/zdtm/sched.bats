load lib/zdtm

@test "nice, I/O priority, timer slack, affinity and NUMA policy are kept per thread" { zdtm sched batch; }

@test "a thread of SCHED_FIFO keeps its priority" { zdtm sched fifo; }

@test "a thread of SCHED_IDLE stays one" { zdtm sched idle; }

@test "a thread of SCHED_DEADLINE keeps its reservation" { zdtm sched deadline; }

@test "a chosen time slice is kept" { zdtm sched slice; }

# The kernel of the tests may have no core scheduling: it is asked through somebody who says that it has.
@test "a cookie of core scheduling is refused by name" {
	park sched idle
	run -4 "$BUILD/test/fault/cookie" "$BUILD/crtool" dump -t "$pid" -D "$(images)" 3>&- 4>&-
	[[ $output == *"task $pid (sched): thread $pid has a cookie of core scheduling (0xc00c1e"* ]]
	running "$pid"
	release
}
