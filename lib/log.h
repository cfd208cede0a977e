/*
 * What crtool says. One line per message, no trailing newline, lower case,
 * object first: "task 41 (redis): fd 7: ...".
 *
 * fail() is for the room that can name the object; it is called once per
 * failure, everybody above returns the error unchanged. The first failure is
 * kept, so that main can print it as the last line and in --json.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_PRINTF __attribute__((format(printf, 3, 4)))

/* Everything up to LEVEL goes to OUT (NULL: stderr). CRTOOL_LOG=room:debug,... raises rooms. */
void log_setup(enum log_level level, FILE *out);

/*
 * Say that something cannot be done: "<message>: <strerror>" is kept as the
 * failure of this run. R is -errno, returned as it is. The text of the errno
 * is appended except for -ENOTSUP, -EBADMSG, -EINVAL, -ETIMEDOUT and -ECANCELED, whose
 * reason the message itself must give.
 */
#define fail(r, ...) log_fail((r), __FILE__, __VA_ARGS__)
int log_fail(int r, const char *file, const char *format, ...) LOG_PRINTF;

/*
 * What helps where R is that a limit of the caller is reached, for behind its text: "; raise ..."; "" if
 * nothing is known. fail() appends it, unless the message speaks of ulimit already.
 */
const char *log_remedy(int r);

/* A failure that another process has explained already, TEXT: kept as it is. */
int log_relay(int r, const char *text);

/* A warning says what happens instead: "..., ignoring". */
#define warn(...)  log_say(LOG_WARN, __FILE__, __VA_ARGS__)
#define info(...)  log_say(LOG_INFO, __FILE__, __VA_ARGS__)
#define debug(...) log_say(LOG_DEBUG, __FILE__, __VA_ARGS__)
/* Does log_say() write what it is given at LEVEL by FILE? */
bool log_tells(enum log_level level, const char *file);
void log_say(enum log_level level, const char *file, const char *format, ...) LOG_PRINTF;

/*
 * What this run loses by policy, for the report at the end: kept in order.
 */
#define lose(...) log_loss(__FILE__, __VA_ARGS__)
void log_loss(const char *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text of the first failure, or NULL; the number of losses and their texts. */
const char *log_failure(void);
size_t log_losses(const char *const **ret_texts);
/* What was lost until now is no matter of what comes. */
void log_losses_forget(void);

/*
 * A figure of this run for --json: how long, how many. NAME is a static string
 * with its unit ("frozen_us").
 */
void log_fact(const char *name, uint64_t value);

struct log_fact {
	const char *name;
	uint64_t value;
};
size_t log_facts(const struct log_fact **ret_facts);

/* Forget the failure: a step was tried, failed and has an alternative. */
void log_forget(void);
