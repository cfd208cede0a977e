/*
 * Pages that are not in the image: whoever takes over (hand_over) asks for them while the tree still stands, by
 * their place in page files of which only the size is stored.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/array.h"

/* SIZE bytes at OFFSET of page file FILE are at START of a task. */
struct later_run {
	uint32_t file;
	uint64_t offset, size, start;
	int mem; /* its /proc/PID/mem, the task's */
};

struct later {
	pthread_mutex_t lock; /* for later_note() */
	ARRAY(struct later_run) runs;
};

/* For any thread. -ENOMEM. */
int later_note(struct later *l, const struct later_run *run);

/* All are noted. */
void later_sort(struct later *l);

/*
 * Up to MAX bytes at OFFSET of FILE into BUF: how many, which may be fewer than asked for, but none
 * only where there is nothing (-ERANGE). -errno. After later_sort().
 */
ssize_t later_read(const struct later *l, uint32_t file, uint64_t offset, void *buf, size_t max);

void later_done(struct later *l);
