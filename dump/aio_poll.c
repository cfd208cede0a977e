/*
 * A request that polls is made again from the address that its struct iocb has, as its event will name
 * that; the descriptor that it was made with may be another one by now, so one is taken that is open now.
 */
#include "dump/aio_poll.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <sys/mman.h>

#include "lib/cleanup.h"
#include "lib/log.h"

int aio_polls_find(struct dump *d, const struct task *t, struct aio_found *ret)
{
	const struct kmem *k = kernel_memory(d);
	int r = k ? aio_polls_read(k, t->mem, &ret->polls) : -EOPNOTSUPP;

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		lose("%s: AIO contexts: requests that wait for something else than a disk "
		     "(IOCB_CMD_POLL) cannot be seen; if there are any, their events will not come",
		     task_name(t));
	if (r < 0 || !ret->polls.all.n)
		return 0;
	r = open_files_read(d, t->shares[TABLE_FILES], &ret->open);
	return r < 0 ? fail(r, "%s: look for what AIO requests wait for", task_name(t)) : 0;
}

void aio_found_done(struct aio_found *found)
{
	aio_polls_done(&found->polls);
	open_files_done(&found->open);
}

/* A number that it has; false: none. */
static bool number_of(const struct task *t, uint32_t file, uint32_t *ret)
{
	array_each (e, &t->shares[TABLE_FILES]->fds)
		if (file && e->file == file - 1) {
			*ret = (uint32_t)e->fd;
			return true;
		}
	return false;
}

static bool is_writable(struct task *t, uint64_t start, uint64_t size)
{
	array_each (v, &mm_of(t)->vmas)
		if (start >= v->start && start + size <= v->end)
			return v->prot & PROT_WRITE;
	return false;
}

static int poll_put(struct task *t, const struct aio_found *found, const struct aio_poll *poll,
                    Img__Aio__Poll *ret)
{
	const char *why = NULL;

	img__aio__poll__init(ret);
	ret->iocb = poll->iocb;
	ret->data = poll->data;
	ret->events = poll->events;
	ret->counted = poll->event;
	if (!number_of(t, open_file_at(&found->open, poll->file), &ret->fd))
		why = "waits for a file that is open no more in its process";
	else if (poll->event &&
	         !number_of(t, open_eventfd_of(&found->open, poll->event), &ret->eventfd))
		why = "is counted by an eventfd that is open no more in its process";
	else if (!is_writable(t, poll->iocb, sizeof(struct iocb)))
		why = "comes from memory that cannot be written to any more";
	return why ? fail(-ENOTSUP,
	                  "%s: AIO context %" PRIx64
	                  ": a request (IOCB_CMD_POLL) %s: not supported",
	                  task_name(t), poll->context, why)
	           : 0;
}

int aio_polls_put(struct task *t, const struct aio_found *found, Img__Aio__Context *c)
{
	size_t n = found->polls.all.n;

	c->poll = n ? calloc(n, sizeof(*c->poll)) : NULL;
	if (n && !c->poll)
		return -ENOMEM;
	array_each (poll, &found->polls.all) {
		int r;

		if (poll->context != c->address)
			continue;
		c->poll[c->n_poll] = malloc(sizeof(**c->poll));
		if (!c->poll[c->n_poll])
			return -ENOMEM;
		r = poll_put(t, found, poll, c->poll[c->n_poll++]);
		if (r < 0)
			return r;
	}
	return 0;
}

void aio_polls_free(Img__Aio__Context *c)
{
	for (size_t i = 0; i < c->n_poll; i++)
		free(c->poll[i]);
	free(c->poll);
	c->poll = NULL;
	c->n_poll = 0;
}
