/* What the programs of this folder have in common. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/* What --json said in the file OUT of NAME, with its quotes; us as ms. 0: nothing. */
static inline double fact(const char *out, const char *name)
{
	char text[4096] = "", *at;
	int fd = open(out, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	at = n > 0 ? strstr(text, name) : NULL;
	return at ? strtod(at + strlen(name) + 1, NULL) / 1e3 : 0;
}
