/*
 * The vDSO. On the kernel of the dump it is mapped where it was, data and code
 * with one call. Another kernel has another one, with other code and other
 * data, and the program knows the addresses of functions in the old one:
 *
 * - this kernel's own is mapped elsewhere
 * - the old code stays where it was, as memory of the program, and its functions
 *   begin with a jump to those of the same name
 * - the old data is zeros: "no clock that can be read here" to a thread
 *   that is in the middle of an old function, which then makes the system call
 *
 * __vdso_getrandom keeps its state in memory of the program, laid out as each
 * kernel likes: it is left alone, with zeros for data it makes the system call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "lib/cleanup.h"
#include "lib/elf.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "parasite/arch/arch.h"
#include "proto/vdso.pb-c.h"
#include "restore/memory.h"

#define PREFIX   "__vdso_"
#define CODE_MAX (256u << 10)
#define LOWEST   (UINT64_C(1) << 32)

/* Ours: what this kernel has. */
struct own {
	uint64_t data_size;
	const char *code;
	size_t size;
};

static int own_add(const struct map_line *line, void *arg)
{
	struct own *own = arg;

	if (line->len >= 5 && !memcmp(line->name, "[vvar", 5))
		own->data_size += line->end - line->start;
	if (line->len == 6 && !memcmp(line->name, "[vdso]", 6)) {
		own->code = (const char *)(uintptr_t)line->start;
		own->size = line->end - line->start;
	}
	return 0;
}

static int own_find(struct own *own)
{
	auto_close int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int e = proc < 0 ? -errno : maps_each(proc, own_add, own);

	if (e == 0 && !own->code)
		e = fail(-ENOTSUP, "this kernel gives no vDSO to programs (vdso=0)");
	return e < 0 ? fail(e, "find the vDSO") : 0;
}

static const Img__Vdso *record(const struct restore *r, const Img__Memory *m)
{
	return (const Img__Vdso *)images_one(r->images, KIND_vdso, m->vdso);
}

static bool is_part(const Img__Vma *v)
{
	return v->type == IMG__VMA__TYPE__VVAR || v->type == IMG__VMA__TYPE__VDSO;
}

static const Img__Vma *code_of(const Img__Memory *m)
{
	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->type == IMG__VMA__TYPE__VDSO)
			return m->vmas[i];
	return NULL;
}

/* Data first, then the code, without a gap. */
static bool parts_fit(const Img__Memory *m)
{
	const Img__Vma *last = NULL;

	for (size_t i = 0; i < m->n_vmas; i++) {
		const Img__Vma *v = m->vmas[i];

		if (!is_part(v))
			continue;
		if (last &&
		    (last->type == IMG__VMA__TYPE__VDSO || last->start + last->size != v->start))
			return false;
		last = v;
	}
	return !last || last->type == IMG__VMA__TYPE__VDSO;
}

int vdso_check(struct restore *r, uint32_t pid, const Img__Memory *m)
{
	const Img__Vma *code = code_of(m);
	const Img__Vdso *msg = record(r, m);

	if (!parts_fit(m))
		return fail(
			-ENOTSUP,
			"task %u: it has moved parts of its vDSO, not supported by this version",
			pid);
	if (code && (!msg || msg->code.len != code->size || code->size > CODE_MAX))
		return fail(-EBADMSG, "task %u: the code of its vDSO is not there", pid);
	return 0;
}

/* The bytes of its data, which lies below its code. */
static uint64_t data_size(const Img__Memory *m)
{
	uint64_t size = 0;

	for (size_t i = 0; i < m->n_vmas; i++)
		if (m->vmas[i]->type == IMG__VMA__TYPE__VVAR)
			size += m->vmas[i]->size;
	return size;
}

/* A free place for this kernel's own, away from everything. */
static uint64_t free_place(const struct restore *r, const Img__Memory *m, uint64_t size)
{
	uint64_t from = LOWEST;

	for (size_t i = 0; i <= m->n_vmas; i++) {
		uint64_t to = i < m->n_vmas ? m->vmas[i]->start : ARCH_USER_END;
		uint64_t end = r->arena.base + r->arena.size;

		if (from < end && r->arena.base < from + 2 * size)
			from = end;
		if (from < to && to - from >= 2 * size)
			return (from + size / 2) & ~UINT64_C(4095);
		if (i < m->n_vmas && m->vmas[i]->start + m->vmas[i]->size > from)
			from = m->vmas[i]->start + m->vmas[i]->size;
	}
	return 0;
}

/* Tests pretend that this kernel is another one. */
static bool is_same(const struct own *own, const Img__Memory *m, const Img__Vdso *msg)
{
	return !getenv("CRTOOL_TEST_VDSO") && own->data_size == data_size(m) &&
	       own->size == msg->code.len && !memcmp(own->code, msg->code.data, own->size);
}

int vdso_plan(struct restore *r, const Img__Memory *m, struct vdso_plan *ret)
{
	const Img__Vma *code = code_of(m);
	struct own own = {};
	int e;

	if (!code)
		return 0;
	e = own_find(&own);
	if (e < 0)
		return e;
	ret->foreign = !is_same(&own, m, record(r, m));
	ret->map = ret->foreign ? free_place(r, m, own.data_size + own.size)
	                        : code->start - own.data_size;
	ret->code = ret->map + own.data_size;
	return ret->map ? 0 : fail(-ENOTSUP, "there is no free place for the vDSO");
}

void vdso_map(const struct vdso_plan *plan, struct script *s)
{
	uint64_t args[6];

	if (plan->map)
		script_op(s, OP_CALL, EXPECT_SUCCESS, 0, arch_vdso_call(plan->map, args), args);
}

/* Functions of CODE jump to those of our own kernel's at TO. */
static void redirect(char *code, size_t size, const struct own *own, uint64_t to)
{
	struct elf_symbol was, is;

	for (size_t i = 0; elf_symbol(code, size, i, &was); i++) {
		if (strncmp(was.name, PREFIX, strlen(PREFIX)) != 0 ||
		    !strcmp(was.name, PREFIX "getrandom") || was.size < ARCH_JUMP_SIZE ||
		    was.value > size || size - was.value < ARCH_JUMP_SIZE)
			continue;
		if (elf_find(own->code, own->size, was.name, &is))
			arch_put_jump(code + was.value, to + is.value);
		else
			warn("the vDSO of this kernel has no %s: programs make the system call",
			     was.name);
	}
}

/* Inside of the first bytes of a function that has become a jump? */
static int check_threads(struct restore *r, uint32_t pid, const Img__Vma *v, const char *old,
                         const char *new)
{
	array_each (t, &r->tasks) {
		array_each (th, &t->threads) {
			struct arch_regs regs;
			uint64_t at;

			if ((uint32_t)t->pid != pid || th->img->regs.len != sizeof(regs))
				continue;
			memcpy(&regs, th->img->regs.data, sizeof(regs));
			at = arch_ip(&regs) - v->start;
			if (at < v->size && old[at] != new[at] && at &&old[at - 1] != new[at - 1])
				return fail(-ENOTSUP,
				            "task %u: thread %d stands at the start of a function "
				            "of the vDSO, which this kernel has otherwise; dump "
				            "it again",
				            pid, th->tid);
		}
	}
	return 0;
}

/* SIZE bytes of the arena at FROM into the task's own memory: it writes to itself. */
static void emit_copy(struct script *s, uint32_t pid, uint64_t from, uint64_t to, uint64_t size)
{
	const struct iovec local = { (void *)from, size }, remote = { (void *)to, size };

	script_want(s, (int64_t)size, SYS_process_vm_writev, pid,
	            script_put(s, &local, sizeof(local)), 1, script_put(s, &remote, sizeof(remote)),
	            1, 0);
}

int vdso_settle(struct restore *r, uint32_t pid, const Img__Memory *m, const struct vdso_plan *plan,
                struct script *s)
{
	const Img__Vdso *msg = record(r, m);
	const Img__Vma *v = code_of(m);
	auto_free char *code = NULL;
	struct own own = {};
	int e;

	if (!plan->foreign)
		return 0;
	e = own_find(&own);
	if (e < 0)
		return e;
	code = malloc(v->size);
	if (!code)
		return -ENOMEM;
	memcpy(code, msg->code.data, v->size);
	redirect(code, v->size, &own, plan->code);
	e = check_threads(r, pid, v, (const char *)msg->code.data, code);
	if (e < 0)
		return e;
	for (size_t i = 0; i < m->n_vmas; i++)
		if (is_part(m->vmas[i]))
			script_want(s, m->vmas[i]->start, SYS_mmap, m->vmas[i]->start,
			            m->vmas[i]->size, PROT_READ | PROT_WRITE,
			            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	emit_copy(s, pid, script_put(s, code, v->size), v->start, v->size);
	for (size_t i = 0; i < m->n_vmas; i++)
		if (is_part(m->vmas[i]))
			script_call(s, SYS_mprotect, m->vmas[i]->start, m->vmas[i]->size,
			            m->vmas[i]->prot);
	return 0;
}
