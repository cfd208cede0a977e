#define _GNU_SOURCE
#include "dump/lazy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "dump/pagemap.h"
#include "dump/pages_scan.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/lazy.h"
#include "lib/log.h"

#define PAUSE_NS 10000000

static const struct vma *find_lazy(const struct task *t)
{
	array_each (v, &t->vmas)
		if (v->flags & VMF(um))
			return v;
	return NULL;
}

/* Of a large process the flags of its mappings are not known yet: is there anybody who might bring them? */
static bool somebody_brings(void)
{
	auto_dir DIR *dir = opendir("/proc");
	bool found = false;

	for (const struct dirent *e; !found && dir && (e = readdir(dir));) {
		auto_free char *comm = NULL;
		char path[300];

		if (*e->d_name < '1' || *e->d_name > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		found = file_read(AT_FDCWD, path, &comm) > 0 && !strcmp(comm, BRINGS_MEMORY "\n");
	}
	return found;
}

/* Does the tree itself hold one? Then it is no matter of ours, and nobody's end is waited for. */
static bool uses_userfaultfd(const struct dump *d)
{
	array_each (f, &d->files)
		if (!strcmp(f->link, "anon_inode:[userfaultfd]"))
			return true;
	return false;
}

/* A page of V that is not there; 0: all are. */
static uint64_t find_gap(int pagemap, const struct vma *v)
{
	struct page_region there;
	uint64_t at = v->start, end = v->start;

	while (end < v->end && pagemap_find(pagemap, PAGEMAP_ANON, &at, v->end, &there, 1) == 1 &&
	       there.start <= end)
		end = there.end;
	return end < v->end ? end : 0;
}

/*
 * Who brings only what is touched is to bring it all. It is touched by process_vm_readv(2), as
 * /proc/PID/mem does not wait for userfaultfd(2).
 */
static void want_all(const struct task *t)
{
	auto_close int pagemap = openat(t->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	char name[16] = "", byte;

	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, WANTS_ALL);
	array_each (v, &t->vmas) {
		uint64_t at = v->flags & VMF(um) && pagemap >= 0 ? find_gap(pagemap, v) : 0;
		struct iovec local = { &byte, 1 }, remote = { (void *)at, 1 };

		if (at && process_vm_readv(task_tid(t), &local, 1, &remote, 1, 0) == 1)
			break;
	}
	prctl(PR_SET_NAME, name);
}

static uint64_t resident(const struct task *t)
{
	auto_free char *statm = NULL;
	const char *at = file_read(t->proc, "statm", &statm) < 0 ? NULL : strchr(statm, ' ');

	return at ? strtoull(at, NULL, 10) : 0;
}

int lazy_await(struct dump *d, struct task *t)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	uint64_t since = clock_ns(), had = 0;
	int r = t->flags_known || !somebody_brings() ? 0 : vmas_read(t);

	if (r < 0)
		return fail(r, "%s: read its mappings", task_name(t));
	if (!find_lazy(t) || d->opt->all || uses_userfaultfd(d))
		return 0;
	info("%s: its memory is still being brought (restore --lazy): waiting for it",
	     task_name(t));
	want_all(t);
	while (r == 0 && find_lazy(t)) {
		uint64_t has = resident(t);

		if (has > had)
			had = has, since = clock_ns();
		if (interrupted() || clock_ns() - since > (uint64_t)d->opt->timeout_ms * 1000000)
			break;
		nanosleep(&pause, NULL);
		r = vmas_read(t);
	}
	return r < 0 ? fail(r, "%s: read its mappings", task_name(t)) : 0;
}
