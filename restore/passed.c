/* The time between dump and restore, as timers count it (--time). */
#include "restore/passed.h"

#include <time.h>

#include "restore/restore.h"

static uint64_t clock_of(clockid_t id)
{
	struct timespec ts = {};

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t time_passed(const struct restore *r)
{
	const Img__Manifest *m = r->images->manifest;
	bool same_boot = pool_same_boot(r);
	uint64_t then = same_boot ? m->boottime : m->time;
	uint64_t now = clock_of(same_boot ? CLOCK_BOOTTIME : CLOCK_REALTIME);

	/* By the clock that the tree had, unless it gets ours. */
	if (same_boot && r->opt->monotonic != MONOTONIC_HOST)
		now += (uint64_t)(m->timens_boottime - r->clocks.ours.boottime);

	return r->opt->time_passes && now > then ? now - then : 0;
}

uint64_t timer_catch_up(uint64_t passed, uint64_t interval, uint64_t *left)
{
	uint64_t late;

	if (passed < *left) {
		*left -= passed;
		return 0;
	}
	late = passed - *left;
	*left = interval ? interval - late % interval : 0;
	return interval ? 1 + late / interval : 1;
}
