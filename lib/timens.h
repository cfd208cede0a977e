/*
 * time_namespaces(7): CLOCK_MONOTONIC and CLOCK_BOOTTIME of a process are those of the machine and an
 * offset, which is the same for all members of its namespace.
 */
#pragma once

#include <stdint.h>

/* Nanoseconds. */
struct timens {
	int64_t monotonic, boottime;
};

/* Offsets for the children of the process at PROC (/proc/PID; AT_FDCWD: ourselves); 0 if there are none. -errno. */
int timens_read(int proc, struct timens *ret);

/* Have children that are forked from now on in a namespace of their own, with these offsets. -errno. */
int timens_unshare(const struct timens *offsets);
