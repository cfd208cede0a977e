/*
 * How many requests are under way the memory of the kernel tells: those that have ended it keeps for the next ones, so
 * what is missing there has not. No matter then how many completions there were: requests have many (multishot),
 * none (IOSQE_CQE_SKIP_SUCCESS), and other rings send some (IORING_OP_MSG_RING).
 *
 * Else there is only what waits in a poll, and these numbers: a ring is idle if as many completions as requests
 * were made. Where they differ for ever nobody can tell, and it is refused.
 */
#include "dump/ring_info.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dump/kernel_memory.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/uring_facts.h"

#define LET_GO    "--on-unknown-fd=null or =close lets it go"
#define POLLS     "\nPollList:\n"
#define OVERFLOWN "CqOverflowList:\n"

int ring_refuse(const struct file *f, const char *why)
{
	return fail(-ENOTSUP, "%s: %s: not supported; " LET_GO, file_name(f), why);
}

/* What follows the line KEY, each line of which begins with a blank: nothing? */
static bool list_empty(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at && at[strlen(key)] != ' ';
}

/* -EOPNOTSUPP: this kernel or our rights do not let us; -EAGAIN: it has changed meanwhile. */
static int count_busy(struct dump *d, const struct file *f, uint64_t *ret)
{
	const struct kmem *k = kernel_memory(d);
	auto_close int fd = k ? file_steal(f) : -1;
	int r = fd < 0 ? -EOPNOTSUPP : uring_busy(k, fd, ret);

	return r < 0 && r != -EOPNOTSUPP ? -EAGAIN : r;
}

/* BUSY: so many requests were under way before TEXT was read: if none, its numbers are final; -1: unknown. */
static void judge(int64_t busy, const char *text, struct ring_info *info)
{
	info->why = busy > 0 ? "requests are under way"
	            : !list_empty(text, POLLS) || (busy < 0 && info->requests != info->completions)
	                    ? "requests are under way, or it cannot be told (multishot requests, "
	                      "such without a completion)"
	            : !list_empty(text, OVERFLOWN)
	                    ? "completions wait that there is no room for in it"
	                    : NULL;
	info->idle = !info->why;
}

int ring_info_read(struct dump *d, const struct file *f, char **ret_text, struct ring_info *ret)
{
	char path[32];
	uint64_t busy = 0;
	int r = count_busy(d, f, &busy);
	ssize_t n;

	ret->why = "its thread is at work";
	if (r == -EAGAIN)
		return r;
	snprintf(path, sizeof(path), "fdinfo/%d", f->fd);
	n = file_read(f->task->proc, path, ret_text);
	if (n < 0)
		return (int)n;
	if (!fdinfo_u64(*ret_text, "SqMask", 16, &ret->sq_mask) ||
	    !fdinfo_u64(*ret_text, "CqMask", 16, &ret->cq_mask) ||
	    !fdinfo_u64(*ret_text, "CachedSqHead", 10, &ret->requests) ||
	    !fdinfo_u64(*ret_text, "CachedCqTail", 10, &ret->completions) ||
	    !fdinfo_u64(*ret_text, "UserFiles", 10, &ret->files) ||
	    !fdinfo_u64(*ret_text, "UserBufs", 10, &ret->buffers))
		return -EAGAIN;
	judge(r < 0 ? -1 : (int64_t)busy, *ret_text, ret);
	return 0;
}

int ring_wait(struct dump *d, const struct file *f, char **ret_text, struct ring_info *ret)
{
	unsigned waited = 0;

	for (;;) {
		int r = ring_info_read(d, f, ret_text, ret);

		if (r < 0 && r != -EAGAIN)
			return fail(r, "%s: read its fdinfo", file_name(f));
		if (r == 0 && ret->idle)
			return 0;
		if (waited >= (d->frozen ? RING_FROZEN_MS : d->opt->timeout_ms))
			return ring_refuse(f, ret->why);
		free(take_ptr(*ret_text));
		nanosleep(&(struct timespec){ .tv_nsec = RING_NAP_NS }, NULL);
		waited += RING_NAP_NS / 1000000;
	}
}
