/*
 * All memory of the machine lies in the kernel's address space in one piece, and so do the struct page that stand
 * for its pages (Documentation/arch/x86/x86_64/mm.rst): whoever knows of one page where both are knows it of all.
 */
#pragma once

#include "lib/kmem.h"

struct kmem_pages {
	uint64_t page, address; /* of that one */
	uint64_t size;          /* of a struct page */
};

/* By a page of our own. -EOPNOTSUPP: our rights do not let us (CAP_SYS_ADMIN), or the kernel is another one; -errno. */
int kmem_pages_find(const struct kmem *k, struct kmem_pages *ret);

/* Where what the struct page at PAGE stands for begins. */
uint64_t kmem_page_address(const struct kmem_pages *p, uint64_t page);
