/*
 * A deadline over blocking calls: once armed, SIGALRM interrupts every wait
 * again and again after the deadline, so that no wait can hang for ever.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC in ns. */
uint64_t clock_ns(void);

/* Arm: waits of this process return EINTR from MS milliseconds on. 0 disarms. */
void deadline_arm(unsigned ms);

/* Has it passed? */
bool deadline_passed(void);
