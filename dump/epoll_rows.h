/* The rows of an epoll instance as fdinfo lists them (epoll.c), and a quick look at many of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dump/dump.h"

/* A line of fdinfo: "tfd:        5 events:       19 data:                5  pos:0 ino:5 sdev:7". */
struct epoll_row {
	int tfd;
	uint32_t toff; /* rows before this one with the same number */
	uint32_t events;
	uint64_t data, ino;
	uint32_t dev;
	bool as_it_looks; /* known to watch what its number means now */
};

/*
 * Find the rows of EPOLL that watch what their number means in the task that has
 * it open, at a constant cost for each. ROWS are sorted by number. What cannot be found
 * out in this way is left to kcmp(2).
 */
void epoll_rows_try(const struct file *epoll, struct epoll_row *rows, size_t n);
