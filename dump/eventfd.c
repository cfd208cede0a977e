/*
 * eventfd, dump half: the counter is readable from fdinfo without consuming it,
 * so the target is never touched.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "dump/dump.h"
#include "dump/kernel_memory.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/eventfd.pb-c.h"

static bool eventfd_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:[eventfd]");
}

static int flags_of(const struct kmem *k, int fd, uint64_t *ret)
{
	struct kmem_reader r = { .k = k };

	*ret = kmem_get(&r, "eventfd_ctx", "flags", kmem_private(&r, fd));
	return r.error;
}

/* fdinfo tells since Linux 6.5. To find out by reading would take from others who wait for it. */
static int read_semaphore(struct dump *d, const struct file *f, bool *ret)
{
	auto_close int fd = -1;
	const struct kmem *k;
	uint64_t value = 0;
	int r;

	if (fdinfo_u64(f->fdinfo, "eventfd-semaphore", 10, &value)) {
		*ret = value;
		return 0;
	}
	k = kernel_memory(d);
	fd = k ? file_steal(f) : -EOPNOTSUPP;
	r = fd < 0 ? fd : flags_of(k, fd, &value);
	*ret = value & EFD_SEMAPHORE;
	if (r == 0 || r == -ENOMEM)
		return r;
	return fail(
		-ENOTSUP,
		"%s: only the memory of this kernel tells whether it is a semaphore, which takes "
		"CAP_BPF, CAP_PERFMON and BTF to read; Linux 6.5 tells it in fdinfo",
		file_name(f));
}

static int eventfd_check(struct dump *d, const struct file *f)
{
	bool semaphore;
	uint64_t n;
	int r = read_semaphore(d, f, &semaphore);

	if (r < 0)
		return r;
	if (!fdinfo_u64(f->fdinfo, "eventfd-count", 16, &n))
		return fail(-EPROTO, "%s: no count in fdinfo", file_name(f));
	/* Only the kernel itself (AIO, KVM) can make it overflow. */
	if (n == UINT64_MAX)
		return fail(-ENOTSUP, "%s: its count has overflowed", file_name(f));
	return 0;
}

static int eventfd_dump(struct dump *d, const struct file *f)
{
	Img__Eventfd msg = IMG__EVENTFD__INIT;
	bool semaphore;
	int r = read_semaphore(d, f, &semaphore);

	if (r < 0)
		return r;
	fdinfo_u64(f->fdinfo, "eventfd-count", 16, &msg.count);
	msg.semaphore = semaphore;
	return image_put(d->out, KIND_eventfd, f->id, &msg.base);
}

const struct dump_kind dump_eventfd = {
	.owns = eventfd_owns,
	.check = eventfd_check,
	.dump = eventfd_dump,
};
