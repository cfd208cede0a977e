/*
 * The mappings of a process as an iterator of bpf(2) finds them (lib/bpf_iter.h; "task_vma", 5.12): their flags
 * without the walk of all page tables that smaps is, and whether a NUMA policy is theirs, which else numa_maps tells,
 * with another walk. For root, or with CAP_BPF and CAP_PERFMON; whoever uses it must do without where the kernel
 * does not tell.
 *
 * Which flag is which bit of vm_flags is learned, from mappings of our own of which smaps tells, too: it is
 * another one from kernel to kernel, and no header for programs has it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/btf.h"

/* A record of the kernel, but for FLAGS. */
struct vma_fact {
	uint64_t start, end;
	uint64_t flags; /* VMF(), as smaps_each() */
	uint64_t
		policy; /* 0: none of its own; shared memory may have one that is not the mapping's (mm/shmem.c) */
};

struct vma_asks {
	int program;
	uint64_t names
		[64]; /* of each bit: the flags that our mappings had when they had that bit, and else not */
	uint64_t bits[64]; /* of each flag, likewise */
	struct vma_fact
		gate; /* the page of the kernel that is in all and no mapping (vsyscall); or zeros */
};

/* -errno; -EOPNOTSUPP: this kernel has not all of it. Takes some milliseconds; B may go afterwards. */
int vma_asks_open(const struct btf *b, struct vma_asks *ret);
/* Can be called twice. */
void vma_asks_done(struct vma_asks *asks);

/*
 * All mappings of the process PID, by address, in fresh memory: how many, or -errno. -EOPNOTSUPP: one has a bit of
 * which it is not known what it means.
 */
ssize_t vma_facts_read(const struct vma_asks *asks, pid_t pid, struct vma_fact **ret);
