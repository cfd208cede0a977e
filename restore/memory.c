/*
 * The address space of a task, restore half. The task starts as a copy of
 * crtool: everything of that but the arena is unmapped first, then the mappings
 * of the checkpoint take its place.
 *
 * What was shared with other processes is inherited (memory_heritage.c) and kept.
 *
 * The rseq area that the copy has inherited lies in memory that is about to
 * go: it is unregistered first, or the kernel would kill the task at the next
 * preemption. PR_SET_MM_MAP comes when the old executable is gone (EBUSY);
 * what cannot be taken back comes last: mseal, MDWE.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "parasite/arch/arch.h"
#include "restore/inode.h"
#include "restore/lazy.h"
#include "restore/memory_heritage.h"
#include "restore/memory_place.h"
#include "restore/shmem.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define RSEQ_UNREGISTER 1u  /* RSEQ_FLAG_UNREGISTER */
#define RSEQ_MIN        32u /* what glibc registers at least */

static void emit_rseq_off(struct script *s)
{
	uint64_t area = (uint64_t)(uintptr_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
	uint32_t size = __rseq_size < RSEQ_MIN ? RSEQ_MIN : __rseq_size;

	if (__rseq_size)
		script_ask(s, SYS_rseq, area, size, RSEQ_UNREGISTER, RSEQ_SIG);
}

static void emit_unmap(uint64_t start, uint64_t end, void *s)
{
	script_call(s, SYS_munmap, start, end - start);
}

void memory_free_ranges(struct restore *r, const struct keep *keep,
                        void (*each)(uint64_t start, uint64_t end, void *arg), void *arg)
{
	const struct range arena = { r->arena.base, r->arena.base + r->arena.size };
	size_t n = keep ? keep->ranges.n : 0, i = 0;
	bool passed = false;
	uint64_t at = 0;

	while (i < n || !passed) {
		bool next = i < n && (passed || keep->ranges.v[i].start < arena.start);
		const struct range *stays = next ? &keep->ranges.v[i++] : &arena;

		passed |= !next;
		if (at < stays->start)
			each(at, stays->start, arg);
		at = stays->end;
	}
	if (at < ARCH_USER_END)
		each(at, ARCH_USER_END, arg);
}

void memory_clear(struct restore *r, const struct keep *keep, struct script *s)
{
	emit_rseq_off(s);
	memory_free_ranges(r, keep, emit_unmap, s);
}

/* Switches of the whole address space, before there is anything in it. */
static void emit_switches(const Img__Memory *m, struct script *s)
{
	if (m->thp_disable)
		script_call(s, SYS_prctl, PR_SET_THP_DISABLE, 1, m->thp_disable & 2, 0, 0);
	if (m->memory_merge)
		script_call(s, SYS_prctl, PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
}

static int emit_mm(struct restore *r, const Img__Memory *m, struct script *s)
{
	int exe = pool_file(r, m->exe);
	struct prctl_mm_map map = {
		.start_code = m->start_code,
		.end_code = m->end_code,
		.start_data = m->start_data,
		.end_data = m->end_data,
		.start_brk = m->start_brk,
		.brk = m->brk,
		.start_stack = m->start_stack,
		.arg_start = m->arg_start,
		.arg_end = m->arg_end,
		.env_start = m->env_start,
		.env_end = m->env_end,
		.auxv_size = (uint32_t)m->auxv.len,
		.exe_fd = (uint32_t)exe,
	};

	if (exe < 0)
		return exe;
	if (m->auxv.len)
		map.auxv = (void *)script_put(s, m->auxv.data, m->auxv.len);
	script_call(s, SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, script_put(s, &map, sizeof(map)),
	            sizeof(map), 0);
	return 0;
}

static int memory_build(struct restore *r, struct rthread *th, const ProtobufCMessage *msg,
                        struct script *s)
{
	const Img__Memory *m = (const Img__Memory *)msg;
	uint32_t pid = (uint32_t)th->task->pid;
	auto_free uint8_t *marks = NULL;
	auto_(keep_done) struct keep keep = {};
	auto_(place_done) struct place place = {};
	struct vdso_plan vdso = {};
	int e = memory_marks(r, pid, m, &marks);

	if (e == 0)
		e = vdso_plan(r, m, &vdso);
	if (e == 0)
		e = keep_plan(r, th->task, m, marks, &keep);
	if (e < 0)
		return e;
	memory_clear(r, &keep, s);
	emit_switches(m, s);
	keys_take(m, s);
	e = rings_map(r, m, &keep, s);
	if (e < 0)
		return e;
	vdso_map(&vdso, s);
	e = memory_map(r, m, marks, &keep, s);
	array_each (drop, &keep.drops)
		script_call(s, SYS_madvise, drop->start, drop->end - drop->start, MADV_DONTNEED);
	if (e == 0)
		e = emit_mm(r, m, s);
	if (e == 0 && r->opt->lazy && !th->task->heritage)
		e = sources_of(r, th->task, &keep.reads);
	if (e == 0)
		e = lazy_choose(r, th->task, m, marks, &keep.reads);
	if (e == 0)
		e = place_plan(r, th->task, m, marks, &place);
	if (e == 0)
		e = th->task->heritage || r->opt->lazy
		            ? memory_read(r, th->task, &keep.reads, &place,
		                          memory_may_share(r, th->task), s)
		            : memory_fill(r, th->task, &place, s);
	if (e < 0)
		return e;
	lazy_emit(r, th->task, s);
	memory_settle(m, marks, s);
	keys_settle(m, s);
	th->task->vdso = vdso.code;
	return vdso_settle(r, pid, m, &vdso, s);
}

static int memory_last(struct restore *r, struct rthread *th, const ProtobufCMessage *msg,
                       struct script *s)
{
	const Img__Memory *m = (const Img__Memory *)msg;

	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->traits & IMG__VMA__TRAIT__SEALED)
			script_call(s, SYS_mseal, m->vmas[i]->start, m->vmas[i]->size, 0);
	if (m->mlock_future)
		script_call(s, SYS_mlockall, m->mlock_future);
	if (m->mdwe)
		script_call(s, SYS_prctl, PR_SET_MDWE, m->mdwe, 0, 0, 0);
	return 0;
}

bool memory_overlaps(const ProtobufCMessage *memory, uint64_t start, uint64_t end)
{
	const Img__Memory *m = (const Img__Memory *)memory;

	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->start < end && start < m->vmas[i]->start + m->vmas[i]->size)
			return true;
	return false;
}

/* As the tasks have inherited it. */
static bool is_own_filter(uint32_t filter)
{
	auto_free char *own = NULL;

	return file_read(AT_FDCWD, "/proc/self/coredump_filter", &own) > 0 &&
	       strtoul(own, NULL, 16) == filter;
}

/*
 * The task could not open its own /proc: that is the coordinator's. Of one that is not dumpable
 * root alone may write there.
 */
static int set_coredump_filter(const struct rtask *t, const Img__Memory *m)
{
	char path[48], text[16];
	int e;

	if (is_own_filter(m->coredump_filter))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/coredump_filter", t->pid);
	snprintf(text, sizeof(text), "0x%x", m->coredump_filter);
	e = file_write(AT_FDCWD, path, text);
	if (e == -ENOENT)
		return 0; /* a kernel without core dumps */
	return e < 0 ? fail(e, "%s: set its coredump_filter", rtask_name(t)) : 0;
}

int memory_commit(struct restore *r)
{
	int ret = inode_times(r);

	array_each (t, &r->tasks) {
		const Img__Memory *m =
			(const Img__Memory *)aspect_record(r, KIND_memory, (uint32_t)t->pid);
		int e = m ? set_coredump_filter(t, m) : 0;

		if (e < 0)
			return e;
	}
	return ret < 0 ? ret : shmem_seal(r);
}

const struct restore_aspect restore_memory = {
	.table = TABLE_VM,
	.check = memory_check,
	.plan = heritage_plan,
	.before_forks = heritage_emit,
	.emit[PHASE_BUILD] = memory_build,
	.emit[PHASE_LAST] = memory_last,
};
