/*
 * A file that O_TMPFILE made never had a name: the kernel calls it after its number. Whether it may be given one
 * depends on O_EXCL, which open(2) forgets; the inode keeps it as a bit that is nowhere to be seen but in the memory
 * of the kernel. Which bit that is two files of our own tell.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dump/inode.h"
#include "dump/kernel_memory.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/kmem.h"

/* "/tmp/#4711 (deleted)" */
static bool is_nameless(const struct holding *h)
{
	const char *name = strrchr(h->link, '/');
	size_t digits = name && name[1] == '#' ? strspn(name + 2, "0123456789") : 0;

	return digits && (!name[2 + digits] || name[2 + digits] == ' ');
}

static uint64_t state_of(const struct kmem *k, int fd)
{
	struct kmem_reader r = { .k = k };
	uint64_t file = 0, state;

	kmem_failed(&r, kmem_file(k, fd, &file));
	state = r.error ? 0
	                : kmem_get(&r, "inode", "i_state", kmem_get(&r, "file", "f_inode", file));
	return r.error ? 0 : state;
}

/* 0: this kernel does not show it. */
static uint64_t linkable_bit(const struct kmem *k)
{
	static const char *const dirs[] = { "/dev/shm", "/tmp" };
	uint64_t bit = 0;

	for (size_t i = 0; !bit && i < ARRAY_SIZE(dirs); i++) {
		int flags = O_TMPFILE | O_RDWR | O_CLOEXEC;
		auto_close int may = open(dirs[i], flags, 0600);
		auto_close int never = open(dirs[i], flags | O_EXCL, 0600);

		bit = may < 0 || never < 0 ? 0 : state_of(k, may) & ~state_of(k, never);
	}
	return bit && !(bit & (bit - 1)) ? bit : 0;
}

/* False: it cannot be told. */
static bool find_linkable(struct dump *d, const struct holding *h, bool *ret)
{
	const struct kmem *k = kernel_memory(d);
	uint64_t bit = k ? linkable_bit(k) : 0;
	auto_close int fd = bit ? openat(h->task->proc, h->at, O_PATH | O_CLOEXEC) : -1;
	uint64_t state = fd < 0 ? 0 : state_of(k, fd);

	*ret = state & bit;
	return state;
}

void inode_put_birth(struct dump *d, const struct holding *h, Img__Inode *msg)
{
	bool linkable;

	if (!S_ISREG(msg->mode) || !is_nameless(h))
		return;
	array_each (f, &d->files)
		if (f->st.st_dev == h->st->st_dev && f->st.st_ino == h->st->st_ino &&
		    (f->flags & O_TMPFILE) == O_TMPFILE)
			msg->born = f->flags;
	if (find_linkable(d, h, &linkable)) {
		msg->linkable = linkable;
		return;
	}
	msg->linkable = msg->born;
	if (msg->born)
		lose("%s: whether it may be given a name (O_EXCL with O_TMPFILE), which cannot be "
		     "told; it may be",
		     h->name);
}
