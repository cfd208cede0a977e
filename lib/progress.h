/*
 * Progress of long work on a terminal: one line on stderr, rewritten in place
 * from the first second on, gone at the end. Silent where stderr is no terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Work begins: WHAT is being done ("dump"), of TOTAL units of UNIT ("MiB"); 0: unknown. */
void progress_begin(const char *what, uint64_t total, const char *unit);

/* So much more is done, or so much is done by now. By any thread. */
void progress_add(uint64_t n);
void progress_set(uint64_t n);

/* Is the next line due? For those to whom it costs something to know how much is done. */
bool progress_wanted(void);

/* A line of its own, which stays; where stderr is no terminal it is told at level info. */
void progress_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Work is over: the line is wiped out. */
void progress_end(void);
