/*
 * How often a POSIX timer has expired since its signal waits: the kernel counts at the delivery, and until then tells
 * nobody; it is in its memory, once timer_gettime(2) has brought it up to date.
 */
#pragma once

#include "dump/dump.h"

struct expired {
	uint32_t id;
	uint64_t times; /* out */
};

/* Of the timers of T, which is frozen, those in LIST, by id. -errno; -EOPNOTSUPP: nobody tells us. */
int timer_expired(struct dump *d, const struct task *t, struct expired *list, size_t n);

/* The signals that wait, at the process or any of its threads (lib/kernel.h, signal_bit()). */
uint64_t timer_signals_waiting(const struct task *t);
