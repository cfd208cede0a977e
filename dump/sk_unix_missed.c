/*
 * Messages without content that somebody has peeked at before: peeking skips them, but for the first. The memory of
 * the kernel tells that they are there and who sent them, but not as whom.
 */
#include <errno.h>
#include <string.h>

#include "dump/kernel_memory.h"
#include "dump/sk_unix.h"
#include "lib/cleanup.h"
#include "lib/datagram_facts.h"
#include "lib/fd.h"
#include "lib/log.h"

/* The name of a file ends where it ends. */
static size_t name_len(const struct datagram_sender *sender)
{
	return sender->len && sender->path[0] ? strnlen(sender->path, sender->len) : sender->len;
}

static bool is_from(const Img__SkUnix__Message *m, const struct datagram_sender *sender)
{
	return m->from.len == name_len(sender) && !memcmp(m->from.data, sender->path, m->from.len);
}

static int insert(struct unix_queue *q, size_t at, const struct datagram_sender *sender)
{
	Img__SkUnix__Message *m = array_add(&q->all);
	size_t len = name_len(sender);

	if (!m)
		return -ENOMEM;
	memmove(q->all.v + at + 1, q->all.v + at, (q->all.n - 1 - at) * sizeof(*m));
	m = &q->all.v[at];
	img__sk_unix__message__init(m);
	m->data.data = malloc(1);
	m->from.data = len ? malloc(len) : NULL;
	if (!m->data.data || (len && !m->from.data))
		return -ENOMEM;
	m->from.len = len;
	if (len)
		memcpy(m->from.data, sender->path, len);
	return 0;
}

static int missed_add(const struct file *f, struct unix_queue *q, size_t at,
                      const struct datagram_sender *sender)
{
	if (sender->has_files)
		return fail(-ENOTSUP,
		            "%s: descriptors are in flight in it with a message without content: "
		            "they cannot be seen; let the program read it first",
		            file_name(f));
	if (sender->has_creds)
		lose("%s: as whom a message without content was sent that waits in it",
		     file_name(f));
	return insert(q, at, sender);
}

/* The next one, which *AT is moved behind. 0; -ESTALE: they are not what was peeked at. */
static int message_find(const struct kmem *k, const struct file *f, const struct datagram_fact *one,
                        struct unix_queue *q, size_t *at)
{
	const Img__SkUnix__Message *next = *at < q->all.n ? &q->all.v[*at] : NULL;
	struct datagram_sender sender;
	int r;

	if (one->size && (!next || next->data.len != one->size))
		return -ESTALE;
	r = one->size ? 0 : datagram_facts_sender(k, one, &sender);
	if (r == 0 && !one->size && (!next || next->data.len || !is_from(next, &sender)))
		r = missed_add(f, q, *at, &sender);
	++*at;
	return r;
}

int unix_missed_add(struct dump *d, const struct file *f, int fd, struct unix_queue *q)
{
	auto_(datagram_facts_done) struct datagram_facts all = {};
	const struct kmem *k = kernel_memory(d);
	size_t at = 0;
	int r = k ? datagram_facts_read(k, fd, false, q->all.n, &all) : 0;

	if (r < 0)
		return error_passes(r) ? r : 0;
	for (size_t i = 0; i < all.all.n && r == 0; i++)
		r = message_find(k, f, &all.all.v[i], q, &at);
	if (r == 0 || error_passes(r) || log_failure())
		return r;
	lose("%s: messages without content that wait in it, and were peeked at before",
	     file_name(f));
	return 0;
}
