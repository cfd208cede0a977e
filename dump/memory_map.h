/* What kind of memory a mapping is, and its message. */
#pragma once

#include "dump/dump.h"
#include "proto/memory.pb-c.h"

enum vma_class {
	VMA_ANON,    /* private memory without a file, /dev/zero and huge pages included */
	VMA_FILE,    /* a file with a name */
	VMA_SHMEM,   /* shared anonymous memory or a memfd, even if mapped privately */
	VMA_VVAR,    /* data of the vDSO */
	VMA_VDSO,    /* its code */
	VMA_AIO,     /* the ring of an AIO context */
	VMA_RING,    /* a part of an io_uring */
	VMA_KERNEL,  /* not part of the address space: vsyscall */
	VMA_FOREIGN, /* nothing that can be carried */
};

/* By all else that is known of V. */
enum vma_class vma_classify(const struct vma *v);

static inline enum vma_class vma_class(const struct vma *v)
{
	return (enum vma_class)v->class;
}

/* Private memory whose pages may differ from what the mapping alone would show. */
bool vma_has_pages(const struct vma *v);

/* Is mapping I of T so near to the one before that pages of both are looked for together (pagemap_find())? */
bool vmas_near(const struct task *t, size_t i);

/* Why V cannot be saved, or NULL. */
const char *vma_obstacle(const struct vma *v);

/* The message of V; object and huge page size are left to the caller. -ENOMEM. */
int vma_message(const struct vma *v, Img__Vma *ret);
void vma_message_done(Img__Vma *msg);
