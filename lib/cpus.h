/* How many threads are worth while. */
#pragma once

#include <stddef.h>

/* The CPUs that the caller may run on (sched_setaffinity(2)), at least 1 and at most MOST. */
size_t cpus_allowed(size_t most);
