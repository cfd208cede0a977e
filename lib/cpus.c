#include "lib/cpus.h"

#include <sched.h>

size_t cpus_allowed(size_t most)
{
	cpu_set_t set;
	size_t n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (size_t)CPU_COUNT(&set);

	return n < most ? n : most;
}
