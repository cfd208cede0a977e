/* Asynchronous requests that a disk is at. */
#pragma once

#include "dump/dump.h"

/*
 * T, which has AIO contexts, is frozen: wait for what it has asked a disk for, so that the
 * data is in memory and the events in the rings. -EBUSY: the disk has not come to rest.
 */
int aio_wait(const struct dump *d, const struct task *t);

/* A number that differs when an event has been put into one of its rings. */
uint64_t aio_tails(const struct task *t);
