/* Rings that a thread of the kernel polls (IORING_SETUP_SQPOLL): whose thread it is, and for how long it polls. */
#pragma once

#include "dump/dump.h"
#include "lib/uring.h"
#include "proto/io_uring.pb-c.h"

/* What was found out while the program ran: when it is frozen that would take too long. */
struct ring_polls {
	ARRAY(struct ring_poll {
		dev_t dev;
		ino_t ino;
		uint32_t idle_ms;
	})
	all;
};

/* Is F such a ring? TEXT: of its fdinfo. */
bool ring_is_polled(const char *text);

/*
 * Before the freeze: U, the ring F, is mapped. Wakes its thread and sees how long it takes
 * to fall asleep; for a program that keeps it awake, or where that takes too long, nothing is known.
 */
int ring_poll_look(struct dump *d, const struct file *f, const struct uring *u);

/* Is the thread of F asleep, or is nothing there for it to do? TEXT: of its fdinfo. */
bool ring_poll_quiet(const struct file *f, const char *text, const struct uring *u);

/* That many ticks of the kernel, in milliseconds. */
uint32_t ring_poll_ms(uint64_t ticks);

/*
 * What the record says of it; what cannot be known is told; how long it polls is in MSG already, or 0.
 * NULL, or why it cannot be carried.
 */
const char *ring_poll_put(struct dump *d, const struct file *f, const char *text,
                          Img__IoUring *msg);

void ring_polls_done(struct dump *d);
