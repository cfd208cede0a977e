/* How the structures of the kernel that runs are laid out: /sys/kernel/btf/vmlinux (Documentation/bpf/btf.rst). */
#pragma once

#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/array.h"

struct btf {
	const char *types, *end, *strings;
	size_t strings_len;
	ARRAY(const struct btf_type *) by_id;
	uint32_t *
		structs; /* numbers of the structures by what hashes from their names, 0: free ... */
	size_t mask;     /* ... in so many places, and one */
	void *map;       /* all of it, or TEXT */
	char *text;
	size_t size;
};

/* Where something is in a structure, in bytes. */
struct place {
	bool found, pointer;
	uint32_t at, size; /* size 0: none that is loaded at once */
};

/* Takes some milliseconds: once for all who ask. -errno. */
int btf_open(struct btf *b);
void btf_done(struct btf *b);

/* ---- questions; a kernel that tells nothing (B is NULL) has none of it ---- */

/* The structure of that name, or NULL. */
const struct btf_type *btf_struct(const struct btf *b, const char *name);
/* The number of the function of that name; 0: there is none. */
uint32_t btf_function(const struct btf *b, const char *name);
/* Where PATH ("a.b") is in the structure T, or in that of the name NAME; of a bit field, the 32 bits that it is in. */
struct place btf_place_in(const struct btf *b, const struct btf_type *t, const char *path);
struct place btf_place(const struct btf *b, const char *name, const char *path);
