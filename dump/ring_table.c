/*
 * A ring holds what is registered with it: it may be open no more otherwise, and then
 * nobody could open it again. What is open somewhere is known by its address in the kernel.
 */
#include "dump/ring_table.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dump/kernel_memory.h"
#include "lib/cleanup.h"
#include "lib/log.h"

int ring_facts(struct dump *d, const struct file *f, struct uring_facts *ret)
{
	const struct kmem *k = kernel_memory(d);
	auto_close int fd = k ? file_steal(f) : -EOPNOTSUPP;
	int r = fd < 0 ? fd : uring_facts_read(k, fd, ret);

	return r < 0 ? -EOPNOTSUPP : 0;
}

/* ---- files ---- */

static bool has_open(const struct task *t, uint32_t file)
{
	array_each (e, &t->fds)
		if (e->file == file - 1)
			return true;
	return false;
}

/* Whoever has F open has FILE, too: who of them registers it again is not known. */
static bool open_beside(const struct dump *d, const struct file *f, uint32_t file)
{
	array_each (t, &d->tasks)
		if (has_open(t, f->id) && !has_open(t, file))
			return false;
	return true;
}

static const char *file_put(struct dump *d, const struct file *f, uint32_t id, uint32_t *ret)
{
	const struct file *g = id ? &d->files.v[id - 1] : NULL;

	*ret = id;
	return !g                       ? "what is registered with it (IORING_REGISTER_FILES, "
	                                  "IORING_REGISTER_EVENTFD) is open no more in its process"
	       : !open_beside(d, f, id) ? "what is registered with it (IORING_REGISTER_FILES, "
	                                  "IORING_REGISTER_EVENTFD) is not open in all processes "
	                                  "that have the ring"
	       : g->room && g->room->made_last && g->room->made_last(d, g)
	               ? "a pidfd of a thread is registered with it"
	               : NULL;
}

static const char *files_put(struct dump *d, const struct file *f, const struct open_files *o,
                             const struct uring_facts *facts, Img__IoUring *msg)
{
	const char *why = NULL;

	msg->slot = calloc(facts->file.n + 1, sizeof(*msg->slot));
	if (!msg->slot)
		return "there is no memory";
	for (; !why && msg->n_slot < facts->file.n; msg->n_slot++) {
		uint64_t at = facts->file.v[msg->n_slot];

		if (at)
			why = file_put(d, f, open_file_at(o, at), &msg->slot[msg->n_slot]);
	}
	return why;
}

static const char *event_put(struct dump *d, const struct file *f, const struct open_files *o,
                             const struct uring_facts *facts, Img__IoUring *msg)
{
	msg->event_async = facts->event_async;
	return file_put(d, f, open_eventfd_of(o, facts->event), &msg->eventfd);
}

static bool any_file(const struct uring_facts *facts)
{
	array_each (file, &facts->file)
		if (*file)
			return true;
	return false;
}

/* ---- buffers ---- */

#define OLD_NONE UINT64_MAX /* where older kernels (6.1) say that an empty slot is */

/* "0x7f0012340000/4096" or "<none>", which is 0. */
static int buffer_read(char *at, uint64_t *ret_start, uint32_t *ret_length)
{
	uint64_t start;

	if (!strncmp(at, "<none>", strlen("<none>")))
		return 0;
	start = strtoull(at, &at, 16);
	if (*at != '/')
		return -EPROTO;
	if (start == OLD_NONE)
		return 0;
	*ret_start = start;
	*ret_length = (uint32_t)strtoul(at + 1, NULL, 10);
	return 0;
}

/* "    0: BUFFER", as many as there are. */
static int buffers_read(const char *text, size_t n, Img__IoUring *msg)
{
	const char *at = strstr(text, "\nUserBufs:");

	msg->buffer = calloc(n + 1, sizeof(*msg->buffer));
	msg->length = calloc(n + 1, sizeof(*msg->length));
	if (!msg->buffer || !msg->length)
		return -ENOMEM;
	msg->n_buffer = msg->n_length = n;
	for (size_t i = 0; i < n; i++) {
		unsigned long index;
		char *end;

		at = strchr(at + 1, '\n');
		index = at ? strtoul(at, &end, 10) : 0;
		if (!at || index != i || strncmp(end, ": ", 2) != 0 ||
		    buffer_read(end + 2, &msg->buffer[i], &msg->length[i]) < 0)
			return -EPROTO;
	}
	return 0;
}

/* Buffers are memory of whoever has registered them: that must be the one who has it open. */
static const char *buffers_put(const struct dump *d, const struct file *f, const char *text,
                               size_t n, Img__IoUring *msg)
{
	if (n)
		array_each (t, &d->tasks)
			if (has_open(t, f->id) && mm_of(t) != mm_of(f->task))
				return "buffers are registered with it, and more than one process "
				       "has it open";
	return buffers_read(text, n, msg) < 0 ? "its registered buffers cannot be told" : NULL;
}

const char *ring_table_put(struct dump *d, const struct file *f, const char *text, size_t buffers,
                           const struct uring_facts *facts, Img__IoUring *msg)
{
	auto_(open_files_done) struct open_files o = {};
	const char *why = buffers_put(d, f, text, buffers, msg);

	if (why || !(facts->event || any_file(facts)))
		return why;
	if (open_files_read(d, f->task, &o) < 0)
		return "what is registered with it cannot be told";
	why = any_file(facts) ? files_put(d, f, &o, facts, msg) : NULL;
	return !why && facts->event ? event_put(d, f, &o, facts, msg) : why;
}

void ring_table_done(Img__IoUring *msg)
{
	free(msg->buffer);
	free(msg->length);
	free(msg->slot);
}
