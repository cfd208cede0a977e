#include "lib/btf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/fd.h"

#define VMLINUX     "/sys/kernel/btf/vmlinux"
#define KIND_DECL   17
#define KIND_ENUM64 19
#define DEPTH_MAX   8 /* of types within types */

/* What follows the head of a type. */
static size_t type_rest(const struct btf_type *t)
{
	size_t n = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return n * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return n * sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return n * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return n * sizeof(struct btf_var_secinfo);
	case KIND_ENUM64:
		return n * 3 * sizeof(uint32_t);
	default:
		return 0;
	}
}

/* The first LEN bytes of WHAT. */
static bool is_called_as(const struct btf *b, uint32_t name, const char *what, size_t len)
{
	return name < b->strings_len && !strncmp(b->strings + name, what, len) &&
	       !b->strings[name + len];
}

static bool is_called(const struct btf *b, uint32_t name, const char *what)
{
	return is_called_as(b, name, what, strlen(what));
}

static int index_types(struct btf *b)
{
	if (!array_add(&b->by_id)) /* void */
		return -ENOMEM;
	for (const char *p = b->types; p + sizeof(struct btf_type) <= b->end;) {
		const struct btf_type *t = (const struct btf_type *)p,
				      **slot = array_add(&b->by_id);

		if (!slot)
			return -ENOMEM;
		*slot = t;
		p += sizeof(*t) + type_rest(t);
		if (p > b->end)
			return -EPROTO;
	}
	return 0;
}

static uint32_t name_hash(const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	while (*name)
		hash = (hash ^ (unsigned char)*name++) * 16777619u;
	return hash;
}

/* Some ten thousand names, of which some are asked for again and again. */
static int index_structs(struct btf *b)
{
	size_t n = 1024;

	while (n < b->by_id.n)
		n *= 2;
	b->structs = calloc(n, sizeof(*b->structs));
	if (!b->structs)
		return -ENOMEM;
	b->mask = n - 1;
	for (uint32_t id = 1; id < b->by_id.n; id++) {
		const struct btf_type *t = b->by_id.v[id];
		size_t at;

		if (BTF_INFO_KIND(t->info) != BTF_KIND_STRUCT || !t->name_off ||
		    t->name_off >= b->strings_len)
			continue;
		at = name_hash(b->strings + t->name_off) & b->mask;
		while (b->structs[at])
			at = (at + 1) & b->mask;
		b->structs[at] = id;
	}
	return 0;
}

static const struct btf_type *type_of(const struct btf *b, uint32_t id)
{
	return id < b->by_id.n ? b->by_id.v[id] : NULL;
}

/* Without names and qualifiers. */
static const struct btf_type *bare_type(const struct btf *b, uint32_t id)
{
	const struct btf_type *t = type_of(b, id);

	for (int i = 0; t && i < DEPTH_MAX; i++) {
		switch (BTF_INFO_KIND(t->info)) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
			t = type_of(b, t->type);
			continue;
		default:
			return t;
		}
	}
	return NULL;
}

static uint32_t size_of(const struct btf *b, const struct btf_type *t)
{
	const struct btf_array *a = (const struct btf_array *)(t + 1);
	const struct btf_type *of;

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_PTR:
		return sizeof(uint64_t);
	case BTF_KIND_ARRAY:
		of = bare_type(b, a->type);
		return of && BTF_INFO_KIND(of->info) == BTF_KIND_INT ? a->nelems * of->size : 0;
	case BTF_KIND_INT:
	case BTF_KIND_ENUM:
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return t->size;
	default:
		return 0;
	}
}

/* The word, at one of its own addresses, that has the bit. */
static struct place word_of(uint32_t base, uint32_t bit)
{
	return (struct place){ .found = true, .at = base + bit / 32 * 4, .size = 4 };
}

static struct place place_of(const struct btf *b, const struct btf_type *t, uint32_t at)
{
	return (struct place){ .found = true,
		               .pointer = BTF_INFO_KIND(t->info) == BTF_KIND_PTR,
		               .at = at,
		               .size = size_of(b, t) };
}

/* "a.b" below T, which begins at BASE; also within members that have no name. */
static struct place find_place(const struct btf *b, const struct btf_type *t, const char *path,
                               uint32_t base, int depth)
{
	const struct btf_member *m = (const struct btf_member *)(t + 1);
	size_t len = strcspn(path, ".");
	struct place none = {};

	if (depth > DEPTH_MAX ||
	    (BTF_INFO_KIND(t->info) != BTF_KIND_STRUCT && BTF_INFO_KIND(t->info) != BTF_KIND_UNION))
		return none;
	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info); i++) {
		bool packed = BTF_INFO_KFLAG(t->info);
		uint32_t bit = packed ? BTF_MEMBER_BIT_OFFSET(m[i].offset) : m[i].offset;
		const struct btf_type *of = bare_type(b, m[i].type);

		if (!of)
			continue;
		if (packed && BTF_MEMBER_BITFIELD_SIZE(m[i].offset)) {
			if (is_called(b, m[i].name_off, path))
				return word_of(base, bit);
			continue;
		}
		if (is_called_as(b, m[i].name_off, path, len))
			return path[len] ? find_place(b, of, path + len + 1, base + bit / 8,
			                              depth + 1)
			                 : place_of(b, of, base + bit / 8);
		if (is_called(b, m[i].name_off, "")) {
			struct place p = find_place(b, of, path, base + bit / 8, depth + 1);

			if (p.found)
				return p;
		}
	}
	return none;
}

/* Is TEXT what it says it is? */
static int btf_parse(struct btf *b, const char *text, size_t len)
{
	const struct btf_header *head = (const struct btf_header *)text;
	int r;

	if (len < sizeof(*head) || head->magic != BTF_MAGIC || head->hdr_len > len ||
	    (uint64_t)head->type_off + head->type_len > len - head->hdr_len ||
	    (uint64_t)head->str_off + head->str_len > len - head->hdr_len || !head->str_len ||
	    text[head->hdr_len + (size_t)head->str_off + head->str_len - 1])
		return -EPROTO;
	b->types = text + head->hdr_len + head->type_off;
	b->end = b->types + head->type_len;
	b->strings = text + head->hdr_len + head->str_off;
	b->strings_len = head->str_len;
	r = index_types(b);
	return r < 0 ? r : index_structs(b);
}

/* Some megabytes; mapped, where the kernel lets us (since 6.16). */
int btf_open(struct btf *b)
{
	auto_close int fd = open(VMLINUX, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	b->size = (size_t)st.st_size;
	b->map = mmap(NULL, b->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (b->map == MAP_FAILED) {
		b->map = NULL;
		b->text = malloc(b->size);
		r = b->text ? read_full(fd, b->text, b->size) : -ENOMEM;
	}
	if (r == 0)
		r = btf_parse(b, b->text ? b->text : b->map, b->size);
	if (r < 0)
		btf_done(b);
	return r;
}

void btf_done(struct btf *b)
{
	array_done(&b->by_id);
	free(b->structs);
	if (b->map)
		munmap(b->map, b->size);
	free(b->text);
	*b = (struct btf){};
}

const struct btf_type *btf_struct(const struct btf *b, const char *name)
{
	if (!b)
		return NULL;
	for (size_t at = name_hash(name) & b->mask; b->structs[at]; at = (at + 1) & b->mask) {
		const struct btf_type *t = b->by_id.v[b->structs[at]];

		if (is_called(b, t->name_off, name))
			return t;
	}
	return NULL;
}

uint32_t btf_function(const struct btf *b, const char *name)
{
	for (uint32_t id = 1; b && id < b->by_id.n; id++) {
		const struct btf_type *t = b->by_id.v[id];

		if (BTF_INFO_KIND(t->info) == BTF_KIND_FUNC && is_called(b, t->name_off, name))
			return id;
	}
	return 0;
}

struct place btf_place_in(const struct btf *b, const struct btf_type *t, const char *path)
{
	return find_place(b, t, path, 0, 0);
}

struct place btf_place(const struct btf *b, const char *name, const char *path)
{
	const struct btf_type *t = btf_struct(b, name);

	return t ? find_place(b, t, path, 0, 0) : (struct place){};
}
