/* What the programs of this folder have in common. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* CLOCK_MONOTONIC. */
static inline double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* End the bench, with what errno says of WHAT, unless it is GOOD. */
static inline void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}
