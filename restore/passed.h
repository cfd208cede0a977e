/*
 * --time: do timers go on with what was left, or does the time between dump
 * and restore count for them?
 */
#pragma once

#include <stdint.h>

struct restore;

/*
 * Nanoseconds that count for timers: 0 with --time stands-still. After clocks_plan(). On the same boot by the
 * clock that nobody sets (CLOCK_BOOTTIME), else by the date; never negative.
 */
uint64_t time_passed(const struct restore *r);

/*
 * PASSED is over for a timer that had *LEFT (not 0) and comes again each
 * INTERVAL (0: never). *LEFT becomes what is left until it expires next, 0 for one that does not. All three
 * in one unit. Returns how often it has expired.
 */
uint64_t timer_catch_up(uint64_t passed, uint64_t interval, uint64_t *left);
