/*
 * CPUs that have nothing to do are woken by an interrupt, which takes them tens of microseconds out of a deep idle
 * state or in a virtual machine. Where a program stands still and crtool and it wake each other all the time,
 * they are kept from falling asleep (linux-doc: power/pm_qos_interface).
 */
#pragma once

/* A descriptor: as long as it is open, they spin when idle. -1: crtool may not, or this kernel cannot. */
int awake_hold(void);
/* They may sleep again: *FD is closed, if it is open, and -1. */
void awake_end(int *fd);
