/* Orders to helpers, and their answers. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>

#include "dump/task.h"
#include "dump/writers.h"
#include "lib/deadline.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define LOOK_MS 1000 /* whether it is still there */

static int say_gone(const struct writer *w, const struct task *t)
{
	return fail(-ECANCELED,
	            "%s: process %d, which writes its memory, was killed or has met a fault",
	            task_name(t), w->tracee.tid);
}

int writer_order(struct writer *w, const struct task *t, const struct mover_order *o)
{
	size_t size = offsetof(struct mover_order, runs) + o->n * sizeof(*o->runs);

	if (send(w->sock, o, size, MSG_NOSIGNAL) == (ssize_t)size)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET)
		return say_gone(w, t);
	return fail(-errno, "%s: tell process %d, which writes its memory, what to write",
	            task_name(t), w->tracee.tid);
}

/* Stopped is as good as gone: nothing of ours stops it. */
static bool has_gone(const struct writer *w)
{
	char path[32];
	struct proc_stat st;

	snprintf(path, sizeof(path), "/proc/%d/stat", w->tracee.tid);
	return stat_read(AT_FDCWD, path, &st) < 0 || st.state == 'Z' || st.state == 't' ||
	       st.state == 'T' || st.state == 'X';
}

int writer_answer(struct writer *w, const struct task *t, struct mover_answer *ret)
{
	struct pollfd p = { .fd = w->sock, .events = POLLIN };
	ssize_t n;
	int r;

	while ((r = poll(&p, 1, LOOK_MS)) <= 0) {
		if (interrupted())
			return -EINTR;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0 && has_gone(w))
			return say_gone(w, t);
	}
	n = recv(w->sock, ret, sizeof(*ret), 0);
	return n == (ssize_t)sizeof(*ret) ? 0 : say_gone(w, t);
}
