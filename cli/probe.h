/* What this kernel can do, found out by doing it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct probe {
	const char *name;
	/* 0: it works; else -errno. Leaves nothing behind. */
	int (*try)(void);
	bool needed;      /* nothing works without it */
	const char *cost; /* what is lost without it */
};

extern const struct probe probes[];
extern const size_t nprobes;
