/*
 * The address space of a task, dump half: its mappings, and what the kernel
 * keeps of it as a whole. The pages themselves are the work of pages.c.
 *
 * Nearly all is read from outside; the program is asked for its brk, which
 * nothing else shows exactly, for what prctl(2) tells of the caller only, and
 * whether mlockall(MCL_FUTURE) holds: a fresh page of the arena is
 * locked then (MADV_DONTNEED refuses it) and present without having been
 * touched (unless MCL_ONFAULT).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "dump/dump.h"
#include "dump/memory_keys.h"
#include "dump/memory_map.h"
#include "dump/pages_scan.h"
#include "dump/shmem.h"
#include "dump/shmem_copy.h"
#include "dump/task.h"
#include "dump/together.h"
#include "dump/track.h"
#include "images/hash.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "lib/proc_answers.h"
#include "proto/vdso.pb-c.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif
#define VDSO_MAX (256u << 10)
#define PAGE     UINT64_C(4096)

static int refuse(const struct task *t, const struct vma *v, const char *why)
{
	return fail(-ENOTSUP, "%s: mapping %" PRIx64 "-%" PRIx64 " (%s): %s", task_name(t),
	            v->start, v->end, *v->name ? v->name : "anonymous", why);
}

/* The one description that V, a part of a ring, can be of. */
static int ring_file(struct dump *d, struct task *t, const struct vma *v, uint32_t *ret_id)
{
	const struct file *f = file_by_inode(d, v->dev, v->ino);

	if (!f || f->next)
		return refuse(t, v,
		              f ? "more than one may be open here: not supported"
		                : "no descriptor of it is open: not supported");
	if (!f->room || !f->room->maps_itself)
		return refuse(t, v, "a mapping of this kind of file is not supported");
	*ret_id = f->id;
	return f->room->check_vma ? f->room->check_vma(d, f, v) : 0;
}

/* The file of V, checked by its room when it is seen for the first time. */
static int look_file(struct dump *d, struct task *t, const struct vma *v)
{
	size_t known = d->files.n;
	const struct file *f;
	uint32_t id;
	int r = files_add_mapped(d, t, v, &id);

	if (r < 0 || d->files.n == known)
		return r;
	f = &d->files.v[id - 1];
	if (!f->room)
		return refuse(t, v, "a mapping of this kind of file is not supported");
	return f->room->check ? f->room->check(d, f) : 0;
}

/* Shared memory is saved once, whoever of those who map it marks it. */
static const char *obstacle(struct dump *d, const struct task *t, const struct vma *v)
{
	struct vma plain = *v;
	const char *why;

	/* Of ours: that all of it is, is checked while it stands still (track.c). */
	if (v->flags & VMF(uw) && track_sees(d, t))
		plain.flags &= ~VMF(uw);
	why = vma_obstacle(&plain);

	if (!why && d->opt->wipe_dontdump && (v->flags & VMF(dd)) && v->shared &&
	    vma_class(v) == VMA_SHMEM)
		return "shared memory with MADV_DONTDUMP cannot be wiped; without --wipe-dontdump "
		       "it is saved";
	return why;
}

/* Into map_files, proc(5). */
static bool may_follow_maps(void)
{
	return own_capability(CAP_CHECKPOINT_RESTORE) || own_capability(CAP_SYS_ADMIN);
}

/* Its own system calls are made from there (task_find_syscall()). */
static int look_vdso(struct dump *d, const struct task *t)
{
	if (!t->vmas.n || vmas_vdso(t))
		return 0;
	return dump_obstacle(d, fail(-ENOTSUP,
	                             "%s: has unmapped its vDSO, not supported by this version",
	                             task_name(t)));
}

static int memory_look(struct dump *d, struct task *t)
{
	int r = look_vdso(d, t);

	if (r < 0)
		return r;
	array_each (v, &t->vmas) {
		const char *why = obstacle(d, t, v);

		r = why ? refuse(t, v, why) : 0;
		if (r == 0 && vma_class(v) == VMA_RING)
			r = ring_file(d, t, v, &(uint32_t){ 0 });
		if (r == 0 && vma_class(v) == VMA_FILE)
			r = look_file(d, t, v);
		if (r == 0 && vma_class(v) == VMA_SHMEM && !may_follow_maps())
			r = shmem_check_vma(d, t, v);
		r = dump_obstacle(d, r);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The order of the calls. */
enum { ASK_BRK, ASK_THP, ASK_MERGE, ASK_MDWE, ASK_MMAP, ASK_MINCORE, ASK_DONTNEED, ASK_KEYS };

static int memory_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	uint64_t page = (script_alloc(s, 2 * PAGE) + PAGE - 1) & ~(PAGE - 1);

	ret->at = script_alloc(s, may_follow_maps() ? 1 : SHMEM_COPY_ROOM);
	ret->first = script_call(s, SYS_brk, 0);
	script_ask(s, SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);
	script_ask(s, SYS_prctl, PR_GET_MEMORY_MERGE, 0, 0, 0, 0);
	script_ask(s, SYS_prctl, PR_GET_MDWE, 0, 0, 0, 0);
	script_call(s, SYS_mmap, page, PAGE, PROT_READ | PROT_WRITE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	script_call(s, SYS_mincore, page, PAGE, ret->at);
	script_ask(s, SYS_madvise, page, PAGE, MADV_DONTNEED);
	memory_keys_ask(s);
	return 0;
}

/* Mappings that no descriptor leads to are read now, if need be. */
static bool memory_special(struct dump *d, struct task *t)
{
	return !may_follow_maps() || arch_pkeys() > 1;
}

static int memory_talk(struct dump *d, struct thread *th, const struct ask *ask)
{
	struct task *t = mm_of(th->task);
	int r = 0;

	if (may_follow_maps())
		return 0;
	array_each (v, &t->vmas)
		if (r == 0 && shmem_copied(v))
			r = shmem_read_vma(d, t, v, ask->at);
	return r;
}

/* Absent features answer with an error: then there is nothing to carry. */
static uint32_t answer(const struct script *s, const struct ask *ask, size_t i)
{
	int64_t r = script_result(s, ask->first + i);

	return r < 0 ? 0 : (uint32_t)r;
}

static void take_answers_of(const struct task *t, const struct script *s, const struct ask *ask,
                            Img__Memory *msg)
{
	const unsigned char *present = script_at(s, ask->at);

	msg->brk = t->threads.v[0].like ? t->answers->v[ANSWER_BRK]
	                                : (uint64_t)script_result(s, ask->first + ASK_BRK);
	msg->thp_disable = answer(s, ask, ASK_THP);
	msg->memory_merge = answer(s, ask, ASK_MERGE);
	msg->mdwe = answer(s, ask, ASK_MDWE);
	if (script_result(s, ask->first + ASK_DONTNEED) == -EINVAL)
		msg->mlock_future = (uint32_t)MCL_FUTURE |
		                    (present && *present & 1 ? 0 : (uint32_t)MCL_ONFAULT);
}

static int take_stat(const struct task *t, Img__Memory *msg)
{
	struct proc_stat st;
	int r = task_stat(t, &st);

	if (r < 0)
		return fail(r, "%s: read stat", task_name(t));
	msg->start_code = st.field[STAT_STARTCODE];
	msg->end_code = st.field[STAT_ENDCODE];
	msg->start_data = st.field[STAT_START_DATA];
	msg->end_data = st.field[STAT_END_DATA];
	msg->start_brk = st.field[STAT_START_BRK];
	msg->start_stack = st.field[STAT_STARTSTACK];
	msg->arg_start = st.field[STAT_ARG_START];
	msg->arg_end = st.field[STAT_ARG_END];
	msg->env_start = st.field[STAT_ENV_START];
	msg->env_end = st.field[STAT_ENV_END];
	return 0;
}

/* Is NAME, in which newlines are escaped as maps has it, the path LINK? */
static bool name_is(const char *name, const char *link)
{
	for (; *link; link++) {
		size_t len = *link == '\n' ? 4 : 1;

		if (len == 4 ? strncmp(name, "\\012", 4) != 0 : *name != *link)
			return false;
		name += len;
	}
	return !*name;
}

/* The file that /proc/PID/exe leads to is mapped, as a rule: that one's id. */
static int take_exe(struct dump *d, struct task *t, Img__Memory *msg)
{
	auto_free char *exe = NULL;
	int r = together_link(d, t, TOLD_EXE, &exe, NULL);

	if (r < 0)
		return fail(r, "%s: read the link exe", task_name(t));
	array_each (v, &t->vmas)
		if (!v->shared && name_is(v->name, exe) && vma_class(v) == VMA_FILE)
			return files_add_mapped(d, t, v, &msg->exe);
	return files_add_exe(d, t, &msg->exe);
}

/* All processes have the same one, as a rule. */
static int put_vdso(struct dump *d, void *code, size_t size, uint32_t *ret_id)
{
	Img__Vdso msg = IMG__VDSO__INIT;
	uint64_t hash = XXH3_64bits(code, size), *slot;

	for (size_t i = 0; i < d->vdsos.n; i++) {
		if (d->vdsos.v[i] != hash)
			continue;
		*ret_id = (uint32_t)i + 1;
		return 0;
	}
	slot = array_add(&d->vdsos);
	if (!slot)
		return -ENOMEM;
	*slot = hash;
	*ret_id = msg.id = (uint32_t)d->vdsos.n;
	msg.code = (ProtobufCBinaryData){ size, code };
	return image_put(d->out, KIND_vdso, msg.id, &msg.base);
}

/*
 * Are its pages those of the kernel, of which nobody has a copy of his own? That costs less than to read them. Where
 * programs of another sort have theirs, below 4 GiB, there may be another one.
 */
static bool is_kernels(struct dump *d, struct task *t, const struct vma *v)
{
	auto_(borrowed_done) struct borrowed pagemap = pages_pagemap(d, t);
	uint64_t entries[VDSO_MAX / PAGE];
	size_t n = (v->end - v->start) / PAGE;

	if (pagemap.fd < 0 || v->start >> 32 == 0 ||
	    pread_full(pagemap.fd, entries, n * 8, (off_t)(v->start / PAGE * 8)) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (pagemap_has_data(entries[i], PAGEMAP_FILE))
			return false;
	return true;
}

static int take_vdso(struct dump *d, struct task *t, Img__Memory *msg)
{
	const struct vma *v = vmas_vdso(t);
	auto_free void *code = NULL;
	bool kernels;
	int r;

	if (!v)
		return 0;
	if (v->end - v->start > VDSO_MAX)
		return refuse(t, v, "a vDSO of this size is not known");
	kernels = is_kernels(d, t, v);
	if (kernels && d->kernels_vdso) {
		msg->vdso = d->kernels_vdso;
		return 0;
	}
	code = malloc(v->end - v->start);
	if (!code)
		return -ENOMEM;
	r = pread_full(t->mem, code, v->end - v->start, (off_t)v->start);
	if (r < 0)
		return fail(r, "%s: read its vDSO", task_name(t));
	r = put_vdso(d, code, v->end - v->start, &msg->vdso);
	if (r == 0 && kernels)
		d->kernels_vdso = msg->vdso;
	return r;
}

static int take_coredump_filter(struct dump *d, const struct task *t, Img__Memory *msg)
{
	auto_free char *text = NULL;
	ssize_t n = together_read(d, t, TOLD_COREDUMP, &text);

	/* A kernel without core dumps has no filter. */
	if (n < 0)
		return n == -ENOENT ? 0 : fail((int)n, "%s: read coredump_filter", task_name(t));
	msg->coredump_filter = (uint32_t)strtoul(text, NULL, 16);
	return 0;
}

/* The object of a mapping, and the size of its huge pages. */
static int take_object(struct dump *d, struct task *t, const struct vma *v, Img__Vma *msg)
{
	const struct shmem *m;
	uint64_t huge;
	int r;

	if (msg->type == IMG__VMA__TYPE__RING)
		return ring_file(d, t, v, &msg->object);
	if (msg->type == IMG__VMA__TYPE__FILE)
		return files_add_mapped(d, t, v, &msg->object);
	if (msg->type != IMG__VMA__TYPE__SHMEM && !(v->flags & VMF(ht)))
		return 0;
	/* Private huge pages have an inode of their own, too. */
	r = shmem_of_vma(d, t, v, &m);
	if (r < 0)
		return r;
	huge = shmem_huge_page(m);
	if (huge)
		msg->map |= (uint32_t)__builtin_ctzll(huge) << 26; /* MAP_HUGE_SHIFT */
	if (msg->type == IMG__VMA__TYPE__SHMEM)
		msg->object = m->id;
	return 0;
}

static int take_vma(struct dump *d, struct task *t, const struct vma *v, Img__Vma *msg)
{
	const char *why = obstacle(d, t, v);
	int r;

	/* What look saw may have changed until the freeze. */
	if (why)
		return refuse(t, v, why);
	r = vma_message(v, msg);
	return r < 0 ? r : take_object(d, t, v, msg);
}

struct vma_list {
	Img__Vma *msgs;
	Img__Vma **list;
	size_t n;
};

static void vma_list_done(struct vma_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		vma_message_done(&l->msgs[i]);
	free(l->msgs);
	free(l->list);
}

static int take_vmas(struct dump *d, struct task *t, struct vma_list *l)
{
	l->msgs = calloc(t->vmas.n + 1, sizeof(*l->msgs));
	l->list = calloc(t->vmas.n + 1, sizeof(*l->list));
	if (!l->msgs || !l->list)
		return -ENOMEM;
	array_each (v, &t->vmas) {
		int r;

		if (vma_class(v) == VMA_KERNEL)
			continue;
		l->list[l->n] = &l->msgs[l->n];
		r = take_vma(d, t, v, &l->msgs[l->n++]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A flag of a newer kernel may mean anything: it is let go, and said. */
static void take_losses(const struct task *t)
{
	array_each (v, &t->vmas) {
		if (!(v->flags & (VMF_UNKNOWN | VMF_UNNAMED)) || vma_class(v) == VMA_KERNEL)
			continue;
		lose("%s: mapping %" PRIx64 "-%" PRIx64 " and maybe others: a flag in smaps that "
		     "this version does not know",
		     task_name(t), v->start, v->end);
		return;
	}
}

/* What --wipe-dontdump leaves out. */
static void take_wiped(const struct dump *d, const struct task *t)
{
	uint64_t bytes = 0;
	size_t n = 0;

	array_each (v, &t->vmas) {
		if (!(v->flags & VMF(dd)) || !vma_has_pages(v))
			continue;
		bytes += v->end - v->start;
		n++;
	}
	if (n && d->opt->wipe_dontdump)
		lose("%s: what it wrote to %zu mapping%s with MADV_DONTDUMP, %" PRIu64 " KiB",
		     task_name(t), n, n == 1 ? "" : "s", bytes >> 10);
}

static int take_message(struct dump *d, struct task *t, Img__Memory *msg)
{
	int r = take_stat(t, msg);

	if (r == 0)
		r = take_exe(d, t, msg);
	if (r == 0)
		r = take_vdso(d, t, msg);
	if (r == 0)
		r = take_coredump_filter(d, t, msg);
	return r;
}

static int memory_take(struct dump *d, struct thread *th, const struct script *s,
                       const struct ask *ask)
{
	auto_(vma_list_done) struct vma_list vmas = {};
	auto_(guards_done) struct guards guards = {};
	auto_free char *auxv = NULL;
	Img__Memory msg = IMG__MEMORY__INIT;
	struct task *t = th->task;
	ssize_t size = together_read(d, t, TOLD_AUXV, &auxv);
	int r;

	if (size < 0)
		return fail((int)size, "%s: read auxv", task_name(t));
	r = take_message(d, t, &msg);
	if (r == 0)
		r = take_vmas(d, t, &vmas);
	if (r == 0)
		r = guards_read(t, &guards);
	if (r < 0)
		return r;
	take_answers_of(t, s, ask, &msg);
	msg.pkeys = memory_keys_take(s, ask->first + ASK_KEYS, vmas.list, vmas.n);
	take_losses(t);
	take_wiped(d, t);
	msg.auxv = (ProtobufCBinaryData){ (size_t)size, (uint8_t *)auxv };
	msg.n_vmas = vmas.n;
	msg.vmas = vmas.list;
	msg.n_guard_start = guards.start.n;
	msg.guard_start = guards.start.v;
	msg.n_guard_size = guards.size.n;
	msg.guard_size = guards.size.v;
	return image_put(d->out, KIND_memory, (uint32_t)t->pid, &msg.base);
}

const struct dump_aspect dump_memory = {
	.scope = SCOPE_PROCESS,
	.table = TABLE_VM,
	.look = memory_look,
	.ask = memory_ask,
	.alike = true,
	.special = memory_special,
	.talk = memory_talk,
	.take = memory_take,
};
