/* One piece of work at a time, so its state is static; lines are at least 100 ms apart. */
#include "lib/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/deadline.h"
#include "lib/log.h"

#define FIRST_NS 1000000000u
#define NEXT_NS  100000000u

static struct {
	const char *what, *unit;
	uint64_t total, done;
	uint64_t next_at; /* when the next line is due; 0: there is no terminal */
	bool shown;
} work;

void progress_begin(const char *what, uint64_t total, const char *unit)
{
	work.what = what;
	work.unit = unit;
	work.total = total;
	work.done = 0;
	work.shown = false;
	work.next_at = isatty(STDERR_FILENO) ? clock_ns() + FIRST_NS : 0;
}

static void show(uint64_t done)
{
	if (work.total && done > work.total)
		done = work.total; /* it was an estimate */
	if (work.total)
		fprintf(stderr, "\r\033[Kcrtool: %s: %" PRIu64 " of %" PRIu64 " %s, %" PRIu64 " %%",
		        work.what, done, work.total, work.unit, done * 100 / work.total);
	else
		fprintf(stderr, "\r\033[Kcrtool: %s: %" PRIu64 " %s", work.what, done, work.unit);
	fflush(stderr);
	work.shown = true;
}

/* The thread that moves the time of the next line shows this one. */
static void maybe_show(uint64_t done)
{
	uint64_t due = __atomic_load_n(&work.next_at, __ATOMIC_RELAXED), now;

	if (!due)
		return;
	now = clock_ns();
	if (now >= due && __atomic_compare_exchange_n(&work.next_at, &due, now + NEXT_NS, false,
	                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		show(done);
}

void progress_add(uint64_t n)
{
	maybe_show(__atomic_add_fetch(&work.done, n, __ATOMIC_RELAXED));
}

void progress_set(uint64_t n)
{
	__atomic_store_n(&work.done, n, __ATOMIC_RELAXED);
	maybe_show(n);
}

bool progress_wanted(void)
{
	return work.next_at && clock_ns() >= work.next_at;
}

void progress_end(void)
{
	if (work.shown)
		fprintf(stderr, "\r\033[K");
	work.next_at = 0;
	work.shown = false;
}

void progress_note(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	progress_end();
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "crtool: %s\n", text);
	else
		info("%s", text);
}
