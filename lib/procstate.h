/*
 * More texts of /proc/PID: timers, limits, the rights of a thread. Parsers take
 * text and need no process. Nothing here logs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One POSIX timer of /proc/PID/timers. */
struct timer_text {
	int id;
	int signal;
	uint64_t value;
	int notify;   /* SIGEV_* of signal.h */
	pid_t target; /* the process, or the thread with SIGEV_THREAD_ID */
	int clock;    /* CPU clocks of the process and thread are -6 and TIMER_THREAD_CLOCK */
};

#define TIMER_THREAD_CLOCK (-2) /* of whoever made the timer: kernel/time/posix-cpu-timers.c */

/*
 * Parse the timer at *TEXT and move *TEXT behind it. Returns 1, 0 at the end
 * of the text, -EPROTO when it is not as the kernel writes it.
 */
int timer_parse(const char **text, struct timer_text *ret);

#define LIMITS 16 /* RLIMIT_CPU 0 .. RLIMIT_RTTIME 15 */

struct limit_text {
	const char *name;    /* in the kernel's words: "Max open files" */
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

/* The kernel's name of a limit, as in /proc/PID/limits. */
const char *limit_name(unsigned resource);

/* Parse /proc/PID/limits, by number of the limit. -EPROTO: one is missing or not as the kernel writes it. */
int limits_parse(const char *text, struct limit_text ret[LIMITS]);

/* What /proc/PID/task/TID/status tells about the rights of a thread. */
struct cred_text {
	uint32_t uid[4], gid[4]; /* real, effective, saved, of file system */
	const char *groups;      /* in the text: numbers and blanks up to the end of the line */
	uint64_t inheritable, permitted, effective, bounding, ambient;
	bool no_new_privs;
	unsigned seccomp;         /* SECCOMP_MODE_* */
	unsigned seccomp_filters; /* 0 before Linux 5.9 */
};

/* One pass over status. -EPROTO: one is missing or not as the kernel writes it. */
int cred_parse(const char *status, struct cred_text *ret);

/* The next number of groups: true and *AT moved on, or false at the end of the line. */
bool group_next(const char **at, uint32_t *ret);
