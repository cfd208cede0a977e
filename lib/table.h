/* What clone(2) lets processes share that fork(2) copies; the threads of a process share all of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum table {
	TABLE_OWN, /* nothing of the kind: it is the process's own in any case */
	TABLE_VM,
	TABLE_FILES,
	TABLE_FS,
	TABLE_SIGHAND,
	TABLE_SYSVSEM,
	TABLE_IO,
	TABLES,
};

struct table_type {
	int kcmp;         /* KCMP_* */
	uint64_t clone;   /* CLONE_* */
	const char *name; /* for messages */
	bool optional; /* a task may have none, which is as if it were shared with all of those */
};

/* By enum table; that of TABLE_OWN says nothing. */
extern const struct table_type table_types[TABLES];
