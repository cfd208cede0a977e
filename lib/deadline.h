/*
 * A deadline over blocking calls: once armed, SIGALRM interrupts every wait
 * again and again after the deadline, so that no wait can hang for ever.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC in ns. */
uint64_t clock_ns(void);

/* CPU time of this process, all its threads, in ns: what a busy machine does not change. */
uint64_t cpu_ns(void);

/*
 * SIGINT, SIGTERM, SIGHUP and SIGXCPU (unless ignored) become a deadline that has passed; the
 * second one ends the process. Undone by interrupts_let().
 */
void interrupts_catch(void);
void interrupts_let(void);

/* The signal that came, or 0. */
int interrupted(void);

/* It is known, and is being rolled back: waits have time again, MS milliseconds. */
void interrupts_forgive(unsigned ms);

/* Arm: waits of this process return EINTR from MS milliseconds on. 0 disarms. */
void deadline_arm(unsigned ms);

/*
 * FN(ARG) is called in a signal handler at each ring, and the rings begin after 200 ms already: waits
 * may return EINTR before the deadline has passed. Until it is armed anew.
 */
void deadline_watch(void (*fn)(void *arg), void *arg);

/* Has it passed? */
bool deadline_passed(void);
