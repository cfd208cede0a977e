/*
 * A line of smaps says nearly everything of a mapping, but not what kind of
 * memory it is: that shows in its name, and a file may bear any name. Memory
 * without a file of any file system is known by its device, that of the
 * kernel's own tmpfs, of which a memfd of ours tells the number.
 */
#include "dump/memory_map.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/cleanup.h"
#include "parasite/arch/arch.h"

#define GAP_MAX (UINT64_C(64) << 20) /* a kernel may have to look through it (pagemap.c) */

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* The device of all memory that the kernel keeps in its own tmpfs. */
static dev_t shm_device(void)
{
	static dev_t known;
	auto_close int fd = -1;
	struct stat st;

	if (known)
		return known;
	fd = memfd_create("crtool", MFD_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0)
		known = st.st_dev;
	return known;
}

static enum vma_class class_without_file(const struct vma *v)
{
	if (v->start >> 63)
		return VMA_KERNEL;
	if (begins(v->name, "[vvar"))
		return VMA_VVAR;
	if (!strcmp(v->name, "[vdso]"))
		return VMA_VDSO;
	if (!*v->name || !strcmp(v->name, "[heap]") || begins(v->name, "[stack") ||
	    begins(v->name, "[anon:"))
		return VMA_ANON;
	return VMA_FOREIGN;
}

enum vma_class vma_classify(const struct vma *v)
{
	bool memfd = begins(v->name, "/memfd:");

	if (v->start >= ARCH_USER_END && !(v->start >> 63))
		return VMA_FOREIGN;
	if (!v->ino && !v->dev)
		return class_without_file(v);
	if ((v->flags & VMF(ht)) && begins(v->name, "/anon_hugepage"))
		return v->shared ? VMA_SHMEM : VMA_ANON;
	if ((v->flags & VMF(ht)) && (memfd || begins(v->name, "/SYSV")))
		return VMA_SHMEM;
	if (v->dev == shm_device())
		return memfd || begins(v->name, "/dev/zero") || begins(v->name, "/SYSV") ||
		                       begins(v->name, "[anon_shmem:")
		               ? VMA_SHMEM
		               : VMA_FOREIGN;
	if (begins(v->name, "/[aio]"))
		return VMA_AIO;
	if (v->shared && (!strcmp(v->name, "anon_inode:[io_uring]") ||
	                  begins(v->name, "socket:["))) /* no path begins so */
		return VMA_RING;
	if (*v->name != '/' || begins(v->name, "/secretmem"))
		return VMA_FOREIGN;
	return VMA_FILE;
}

bool vma_has_pages(const struct vma *v)
{
	enum vma_class c = vma_class(v);

	return !v->shared && (c == VMA_ANON || c == VMA_FILE || c == VMA_SHMEM);
}

bool vmas_near(const struct task *t, size_t i)
{
	return t->vmas.v[i].start - t->vmas.v[i - 1].end <= GAP_MAX;
}

static const char *foreign_obstacle(const struct vma *v)
{
	static const struct {
		const char *name, *why;
	} known[] = {
		{ "/secretmem", "secret memory (memfd_secret) can be read by the program alone" },
		{ "anon_inode:[perf_event]", "performance events are not supported" },
		{ "[uprobes]", "it is being probed (uprobes); take the probes away first" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (begins(v->name, known[i].name))
			return known[i].why;
	if (v->start >= ARCH_USER_END)
		return "memory above 128 TiB is not supported by this version";
	return "memory of this kind is not supported";
}

const char *vma_obstacle(const struct vma *v)
{
	enum vma_class c = vma_class(v);

	if (c == VMA_FOREIGN)
		return foreign_obstacle(v);
	if (c == VMA_KERNEL || c == VMA_VVAR || c == VMA_VDSO || c == VMA_AIO)
		return NULL;
	if (v->flags & (VMF(um) | VMF(uw) | VMF(ui)))
		return "it is registered with userfaultfd, not supported by this version";
	if (v->flags & (VMF(io) | VMF(pf) | VMF(mm)) && c != VMA_RING)
		return "memory of a device is not supported";
	if (v->flags & VMF(ss))
		return "a shadow stack is not supported by this version";
	return NULL;
}

/* All but the size of huge pages, which smaps does not tell in its flags. */
static uint32_t map_flags(const struct vma *v, enum vma_class c)
{
	uint32_t map = v->shared ? MAP_SHARED : MAP_PRIVATE;

	if (v->flags & VMF(dp))
		return MAP_DROPPABLE | MAP_ANONYMOUS;
	if (v->flags & VMF(sf))
		map = MAP_SHARED_VALIDATE | MAP_SYNC;
	if (c == VMA_ANON)
		map |= MAP_ANONYMOUS;
	if (v->flags & VMF(gd))
		map |= MAP_GROWSDOWN;
	if (v->flags & VMF(nr))
		map |= MAP_NORESERVE;
	if (v->flags & VMF(ht) && c != VMA_FILE)
		map |= MAP_HUGETLB;
	return map;
}

static uint32_t traits(const struct vma *v)
{
	static const struct {
		uint64_t flag;
		uint32_t trait;
	} table[] = {
		{ VMF(lo), IMG__VMA__TRAIT__LOCKED },     { VMF(lf), IMG__VMA__TRAIT__ONFAULT },
		{ VMF(dc), IMG__VMA__TRAIT__DONTFORK },   { VMF(wf), IMG__VMA__TRAIT__WIPEONFORK },
		{ VMF(dd), IMG__VMA__TRAIT__DONTDUMP },   { VMF(hg), IMG__VMA__TRAIT__HUGEPAGE },
		{ VMF(nh), IMG__VMA__TRAIT__NOHUGEPAGE }, { VMF(mg), IMG__VMA__TRAIT__MERGEABLE },
		{ VMF(sr), IMG__VMA__TRAIT__SEQUENTIAL }, { VMF(rr), IMG__VMA__TRAIT__RANDOM },
		{ VMF(sl), IMG__VMA__TRAIT__SEALED },
	};
	uint32_t set = v->shared && v->flags & VMF(mw) ? IMG__VMA__TRAIT__WRITE : 0;

	if (!v->shared && !(v->prot & PROT_WRITE) && v->flags & VMF(ac))
		set |= IMG__VMA__TRAIT__ACCOUNTED;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (v->flags & table[i].flag)
			set |= table[i].trait;
	if (v->flags & VMF(dp)) /* comes with the mapping */
		set &= ~(uint32_t)(IMG__VMA__TRAIT__WIPEONFORK | IMG__VMA__TRAIT__DONTDUMP);
	return set;
}

/* What is in "[anon:x]" and "[anon_shmem:x]". */
static char *given_name(const struct vma *v)
{
	const char *name = strchr(v->name, ':');
	size_t len;

	if (!name || (!begins(v->name, "[anon:") && !begins(v->name, "[anon_shmem:")))
		return (char *)protobuf_c_empty_string;
	len = strlen(++name);
	return strndup(name, len && name[len - 1] == ']' ? len - 1 : len);
}

int vma_message(const struct vma *v, Img__Vma *ret)
{
	static const Img__Vma__Type types[] = {
		[VMA_ANON] = IMG__VMA__TYPE__ANON,   [VMA_FILE] = IMG__VMA__TYPE__FILE,
		[VMA_SHMEM] = IMG__VMA__TYPE__SHMEM, [VMA_VVAR] = IMG__VMA__TYPE__VVAR,
		[VMA_VDSO] = IMG__VMA__TYPE__VDSO,   [VMA_AIO] = IMG__VMA__TYPE__AIO,
		[VMA_RING] = IMG__VMA__TYPE__RING,
	};
	enum vma_class c = vma_class(v);

	img__vma__init(ret);
	ret->start = v->start;
	ret->size = v->end - v->start;
	ret->prot = v->prot;
	ret->type = types[c];
	if (c == VMA_VVAR || c == VMA_VDSO || c == VMA_AIO)
		return 0;
	ret->map = map_flags(v, c);
	ret->offset = c == VMA_ANON ? 0 : v->offset;
	ret->traits = traits(v);
	ret->pkey = v->pkey;
	ret->name = given_name(v);
	return ret->name ? 0 : -ENOMEM;
}

void vma_message_done(Img__Vma *msg)
{
	if (msg->name != protobuf_c_empty_string)
		free(msg->name);
}
