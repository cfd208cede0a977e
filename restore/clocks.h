/*
 * --monotonic: which CLOCK_MONOTONIC and CLOCK_BOOTTIME a restored tree has. Those of another boot or machine would
 * jump, maybe back, which programs that wait until a moment take ill: the tree gets a time namespace, where they go on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lib/timens.h"

struct restore;

enum monotonic_policy {
	MONOTONIC_AUTO, /* not given: on the boot of the dump as they were, else as with keep */
	MONOTONIC_KEEP, /* they go on from the freeze; with --time passes the time between counts */
	MONOTONIC_HOST, /* those of crtool */
};

/* -EINVAL, explained. NULL: MONOTONIC_AUTO. */
int monotonic_parse(const char *name, enum monotonic_policy *ret);

struct clocks {
	bool same_boot;        /* as pool_same_boot() tells */
	struct timens ours;    /* offsets of crtool to the machine */
	bool own;              /* the tree has a time namespace of its own ... */
	struct timens offsets; /* ... with these offsets to the machine ... */
	struct timens ahead;   /* ... and so far ahead of crtool; 0 without */
};

/* When the images are read: what r->clocks will be. Explained. */
int clocks_plan(struct restore *r);

/* Before the root is forked. Explained. */
int clocks_enter(const struct restore *r);

/* How far the clock ID of the tree is ahead of ours, ns. */
int64_t clocks_ahead(const struct restore *r, clockid_t id);
/* How far our clock ID is ahead of that of the machine, ns. */
int64_t clocks_ours(const struct restore *r, clockid_t id);
