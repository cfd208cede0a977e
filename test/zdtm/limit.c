/* Soft and hard limits survive, unlimited ones too. */
#include <sys/resource.h>

#include "zdtm.h"

static const struct {
	int resource;
	rlim_t soft, hard;
} limits[] = {
	{ RLIMIT_NOFILE, 123, 1000 },
	{ RLIMIT_CORE, 0, 4096 },
	{ RLIMIT_STACK, 4 << 20, RLIM_INFINITY },
	{ RLIMIT_FSIZE, 1 << 20, 1 << 20 },
	{ RLIMIT_NPROC, 500, 600 },
	{ RLIMIT_RTTIME, 7000000, RLIM_INFINITY },
	{ RLIMIT_MEMLOCK, 65536, 65536 },
	{ RLIMIT_CPU, 10000, 20000 },
};

#define N (sizeof(limits) / sizeof(limits[0]))

int main(void)
{
	for (unsigned i = 0; i < N; i++) {
		const struct rlimit limit = { limits[i].soft, limits[i].hard };

		check(setrlimit((enum __rlimit_resource)limits[i].resource, &limit) == 0);
	}
	zdtm_park();
	for (unsigned i = 0; i < N; i++) {
		struct rlimit limit;

		check(getrlimit((enum __rlimit_resource)limits[i].resource, &limit) == 0);
		check(limit.rlim_cur == limits[i].soft && limit.rlim_max == limits[i].hard);
	}
	return zdtm_pass();
}
