load lib/zdtm

@test "nice, I/O priority, timer slack, affinity and NUMA policy are kept per thread" { zdtm sched batch; }

@test "a thread of SCHED_FIFO keeps its priority" { zdtm sched fifo; }

@test "a thread of SCHED_IDLE stays one" { zdtm sched idle; }

@test "a thread of SCHED_DEADLINE keeps its reservation" { zdtm sched deadline; }

@test "a chosen time slice is kept" { zdtm sched slice; }
