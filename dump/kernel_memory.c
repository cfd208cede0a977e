/*
 * Files that are registered, or waited for, somewhere in the kernel may be open no more otherwise, and then
 * nobody could open them again. What is open somewhere is known by its address in the kernel.
 */
#include "dump/kernel_memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/uring_facts.h"

const struct btf *kernel_layouts(struct dump *d)
{
	int r = 0;

	if (!d->layouts) {
		d->layouts = calloc(1, sizeof(*d->layouts));
		r = d->layouts ? btf_open(d->layouts) : -ENOMEM;
	}
	if (r < 0)
		debug("how the structures of the kernel are laid out is not known: %s",
		      strerror(-r));
	return d->layouts && d->layouts->size ? d->layouts : NULL;
}

const struct kmem *kernel_memory(struct dump *d)
{
	if (!d->kernel_memory) {
		d->kernel_memory = malloc(sizeof(*d->kernel_memory));
		if (!d->kernel_memory)
			return NULL;
		*d->kernel_memory = KMEM_NONE;
		if (kmem_open(kernel_layouts(d), d->kernel_memory) < 0)
			debug("the memory of the kernel cannot be read");
	}
	return d->kernel_memory->program < 0 ? NULL : d->kernel_memory;
}

void kernel_memory_done(struct dump *d)
{
	if (d->kernel_memory)
		kmem_done(d->kernel_memory);
	free(d->kernel_memory);
	d->kernel_memory = NULL;
	if (d->layouts)
		btf_done(d->layouts);
	free(take_ptr(d->layouts));
}

int kernel_socket_error(struct dump *d, int fd)
{
	struct kmem_reader r = { .k = kernel_memory(d) };
	uint64_t error = r.k ? kmem_get(&r, "sock", "sk_err", kmem_sock(&r, fd)) : 0;

	return r.k && !r.error ? (int)error : -EOPNOTSUPP;
}

static int open_files_add(struct dump *d, const struct file *f, struct open_files *o)
{
	auto_close int fd = file_steal(f);
	uint64_t at = 0, event = 0;
	struct open_file *slot;
	int r = fd < 0 ? fd : kmem_file(kernel_memory(d), fd, &at);

	if (r == 0 && f->kind == KIND_eventfd)
		r = uring_facts_event(kernel_memory(d), fd, &event);
	if (r < 0)
		return r;
	slot = array_add(&o->all);
	if (!slot)
		return -ENOMEM;
	*slot = (struct open_file){ at, event, f->id };
	return 0;
}

int open_files_read(struct dump *d, const struct task *t, struct open_files *ret)
{
	array_each (e, &t->fds) {
		const struct file *f = &d->files.v[e->file];
		int r = f->policy == FD_CARRY ? open_files_add(d, f, ret) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

void open_files_done(struct open_files *o)
{
	array_done(&o->all);
}

uint32_t open_file_at(const struct open_files *o, uint64_t at)
{
	array_each (open, &o->all)
		if (open->at == at)
			return open->id;
	return 0;
}

uint32_t open_eventfd_of(const struct open_files *o, uint64_t event)
{
	array_each (open, &o->all)
		if (open->event && open->event == event)
			return open->id;
	return 0;
}
