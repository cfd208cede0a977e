/*
 * Which memory is written to between two dumps: for --track-mem, pre-dump and
 * --prev-images-dir.
 *
 * At the freeze, the pages that exist are protected (armed); the kernel takes the protection
 * away when one is written to, by whomever. At the next freeze those that have it
 * still are what they were. Pages that have come since, mappings that are new,
 * were moved or belong to a fork have none, so whatever is not known is stored: there is no
 * event that could be missed.
 *
 * What writes past the page tables is not seen: pages that were pinned for a device or the
 * kernel before they were armed. Only io_uring and AIO do that to memory that can be dumped: such
 * processes are not tracked. Nor is memory that is shared, huge pages of hugetlbfs and private mappings of
 * files: of these, what differs from the file is stored every time.
 *
 * Kernels that cannot do that may have soft-dirty marks instead (dump/soft_dirty.h), the other way round: what is
 * written to, mapped or moved gets one. They are one set for all who look: of programs that go by them
 * themselves they are not touched, and who clears them from outside (clear_refs of proc(5)) hides from the
 * next increment what was written before.
 *
 * The descriptor of userfaultfd is the tracker's (dump/tracker.h). It is relative to one checkpoint, known by
 * its id: to any other nothing can be said, and all is stored.
 */
#pragma once

#include "dump/dump.h"

struct span {
	uint64_t start, end;
};
struct spans {
	struct span *v;
	size_t n, cap;
};

/* The stages: the parent is opened; who tracks what is known. */
int track_begin(struct dump *d);
/* What was not written to is known, and (opt->track) all pages are armed anew. */
int track_arm(struct dump *d);
/* The checkpoint is whole: a tracker has it from here on. */
int track_leave(struct dump *d);

/* A step of ask_tasks(): T, an owner of memory, has been asked, and its arena is still there. */
int track_ask(struct dump *d, struct task *t);

/* Is T tracked by a tracker of ours, so that VMF(uw) is no userfaultfd of its own? */
bool track_sees(struct dump *d, const struct task *t);

/* Pages of T that are in the parent as they are now; by address, NULL: none. */
const struct spans *track_unwritten(const struct dump *d, const struct task *t);

void track_done(struct dump *d);

/* Open it, and name it in the manifest (parent.c). -errno, explained. */
int parent_open(struct dump *d);
/* The same with the one of opt->chain, which is ours then. */
int parent_take(struct dump *d);
