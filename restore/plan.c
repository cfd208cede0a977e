/*
 * The tree of the checkpoint as the restore will build it, and a place for the
 * arena. Records are untrusted: what this stage lets through refers only to
 * tasks and threads that exist, each once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/spend.h"
#include "lib/cleanup.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "restore/foresee.h"
#include "restore/memory_heritage.h"
#include "restore/memory_place.h"
#include "restore/restore.h"

#define PID_MAX       4194304 /* include/linux/threads.h: PID_MAX_LIMIT */
#define ARENA_TASK    (1024 * 1024)
#define ARENA_THREAD  (16 * 1024)
#define ARENA_PIECE   512 /* of pages that are given back once read: two calls */
#define ARENA_STATE   16  /* bytes of arena per byte of records: mappings, descriptors ... */
#define ARENA_LOWEST  0x100000000ul
#define ARENA_HIGHEST 0x7ff000000000ul
#define ARENA_TRIES   512

const char *rtask_name(const struct rtask *t)
{
	static char names[4][48];
	static unsigned next;
	char *name = names[next++ % ARRAY_SIZE(names)];

	snprintf(name, sizeof(names[0]), "task %d (%.15s)", t->pid,
	         t->img ? t->img->comm : "helper");
	return name;
}

const ProtobufCMessage *aspect_record(const struct restore *r, uint32_t kind, uint32_t owner)
{
	return images_one(r->images, (enum record_kind)kind, owner);
}

static int plan_thread(struct restore *r, struct rtask *t, uint32_t tid)
{
	const Img__Thread *img = (const Img__Thread *)images_one(r->images, KIND_thread, tid);
	struct rthread *th;

	if (tid < 2 || tid > PID_MAX)
		return fail(-EBADMSG, "%s: %u cannot be a thread id", rtask_name(t), tid);
	if (!img)
		return fail(-EBADMSG, "%s: the checkpoint has not one record of thread %u",
		            rtask_name(t), tid);
	if (img->regs.len != sizeof(struct arch_regs) || img->xstate.len > ARCH_XSTATE_MAX)
		return fail(-EBADMSG, "%s: thread %u: registers of another kind of machine",
		            rtask_name(t), tid);
	th = array_add(&t->threads);
	if (!th)
		return fail(-ENOMEM, "plan");
	th->tid = (pid_t)tid;
	th->img = img;
	return 0;
}

static bool leader_is_right(const Img__Task *img)
{
	if (img->state == 2)
		return !img->n_tids && !img->leader_exited;
	return img->n_tids && (img->tids[0] == img->pid) == !img->leader_exited;
}

/* A leader that has exited makes the process all the same: a thread without a record. */
static int plan_exited(struct rtask *t)
{
	struct rthread *th = array_add(&t->threads);

	if (!th)
		return fail(-ENOMEM, "plan");
	th->tid = t->pid;
	return 0;
}

static int plan_task(struct restore *r, const Img__Task *img)
{
	struct rtask *t = array_add(&r->tasks);

	if (!t)
		return fail(-ENOMEM, "plan");
	t->img = img;
	t->pid = (pid_t)img->pid;
	if (img->exit_signal > KERNEL_NSIG)
		return fail(-EBADMSG, "%s: signal %u at its end", rtask_name(t), img->exit_signal);
	if (!leader_is_right(img))
		return fail(-EBADMSG, "%s: the first of its threads is not its leader",
		            rtask_name(t));
	if (img->leader_exited && plan_exited(t) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < img->n_tids; i++) {
		int ret = plan_thread(r, t, img->tids[i]);

		if (ret < 0)
			return ret;
	}
	r->threaded += t->threads.n > 1;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int compare_parents(const void *a, const void *b)
{
	const Img__Task *x = *(const Img__Task *const *)a, *y = *(const Img__Task *const *)b;

	return compare_ids(&x->ppid, &y->ppid);
}

static int compare_pids(const void *a, const void *b)
{
	const struct rtask *x = *(struct rtask *const *)a, *y = *(struct rtask *const *)b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* No id twice, and no record of a thread that belongs to nobody. */
static int check_ids(struct restore *r)
{
	auto_free uint32_t *ids = NULL;
	size_t n = 0, zombies = 0, exited = 0, records;

	images_kind(r->images, KIND_thread, &records);
	array_each (t, &r->tasks) {
		n += t->threads.n;
		zombies += t->img->state == 2;
		exited += t->img->leader_exited;
	}
	if (n - exited != records)
		return fail(-EBADMSG, "the checkpoint has %zu threads but %zu records of them",
		            n - exited, records);
	ids = calloc(n + zombies, sizeof(*ids));
	if (!ids)
		return fail(-ENOMEM, "plan");
	n = 0;
	array_each (t, &r->tasks) {
		if (t->img->state == 2)
			ids[n++] = (uint32_t)t->pid;
		array_each (th, &t->threads)
			ids[n++] = (uint32_t)th->tid;
	}
	qsort(ids, n, sizeof(*ids), compare_ids);
	for (size_t i = 1; i < n; i++)
		if (ids[i] == ids[i - 1])
			return fail(-EBADMSG, "the checkpoint has thread %u twice", ids[i]);
	return 0;
}

/* By pid, as the records are; a parent's number may be above its child's. */
static const Img__Task **tasks_by_parent(const struct record *rec, size_t n)
{
	const Img__Task **tasks = calloc(n, sizeof(*tasks));

	for (size_t i = 0; tasks && i < n; i++)
		tasks[i] = (const Img__Task *)rec[i].msg;
	if (tasks)
		qsort(tasks, n, sizeof(*tasks), compare_parents);
	return tasks;
}

/* The first of those whose parent is PPID; N if there is none. */
static size_t first_child(const Img__Task **tasks, size_t n, uint32_t ppid)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (tasks[mid]->ppid < ppid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && tasks[low]->ppid == ppid ? low : n;
}

/* From the root downwards, so that parents stand before their children. */
static int plan_tasks(struct restore *r, const Img__Task **tasks, size_t n,
                      int (*plan)(struct restore *r, const Img__Task *img))
{
	if (tasks[0]->ppid || (n > 1 && !tasks[1]->ppid))
		return fail(-EBADMSG, "the checkpoint has not one root of its tree");
	for (size_t at = 0; at <= r->tasks.n; at++) {
		uint32_t ppid = at ? (uint32_t)r->tasks.v[at - 1].pid : 0;

		for (size_t i = first_child(tasks, n, ppid); i < n && tasks[i]->ppid == ppid; i++) {
			int ret = plan(r, tasks[i]);

			if (ret < 0)
				return ret;
		}
	}
	if (r->tasks.n != n)
		return fail(-EBADMSG, "the checkpoint has tasks that nobody in it has forked");
	return 0;
}

static int index_tasks(struct restore *r)
{
	r->by_pid = calloc(r->tasks.n, sizeof(*r->by_pid));
	if (!r->by_pid)
		return fail(-ENOMEM, "plan");
	for (size_t i = 0; i < r->tasks.n; i++) {
		struct rtask *t = &r->tasks.v[i];

		r->by_pid[i] = t;
		array_each (th, &t->threads)
			th->task = t;
	}
	qsort(r->by_pid, r->tasks.n, sizeof(*r->by_pid), compare_pids);
	return 0;
}

struct rtask *rtask_find(const struct restore *r, pid_t pid)
{
	struct rtask key = { .pid = pid }, *at = &key, **found;

	found = bsearch(&at, r->by_pid, r->tasks.n, sizeof(at), compare_pids);
	return found ? *found : NULL;
}

int plan_tree(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_task, &n);
	auto_free const Img__Task **tasks = n ? tasks_by_parent(rec, n) : NULL;
	int ret;

	if (!tasks)
		return fail(n ? -ENOMEM : -EBADMSG, "the checkpoint has no processes");
	ret = plan_tasks(r, tasks, n, plan_task);
	if (ret == 0)
		ret = index_tasks(r);
	if (ret == 0)
		ret = check_ids(r);
	return ret < 0 ? ret : plan_forks(r);
}

/* ---- before there is a checkpoint ---- */

static int foresee_task(struct restore *r, const Img__Task *img)
{
	struct rtask *t = array_add(&r->tasks);

	if (!t)
		return fail(-ENOMEM, "plan");
	t->img = img;
	t->pid = (pid_t)img->pid;
	return 0;
}

int restore_foresee(const Img__Task **tasks, size_t n, bool shell_job)
{
	const struct restore_options opt = { .shell_job = shell_job };
	Img__Manifest manifest = IMG__MANIFEST__INIT;
	struct images images = { .manifest = &manifest };
	struct restore r = { .opt = &opt, .images = &images };
	int ret;

	qsort(tasks, n, sizeof(*tasks), compare_parents);
	ret = plan_tasks(&r, tasks, n, foresee_task);
	if (ret == 0)
		ret = index_tasks(&r);
	if (ret == 0)
		ret = plan_forks(&r);
	array_each (t, &r.tasks)
		array_done(&t->threads);
	for (size_t i = 0; i < r.nhelpers; i++)
		array_done(&r.helpers[i].threads);
	array_done(&r.tasks);
	free(r.by_pid);
	free(r.helpers);
	/* No image is bad here. */
	return ret == -EBADMSG ? -ENOTSUP : ret;
}

/* Generous: it is address space, not memory. */
static size_t arena_size(const struct restore *r)
{
	size_t size = ARENA_TASK;

	for (size_t i = 0; i < r->images->manifest->n_files; i++)
		if (!strcmp(r->images->manifest->files[i]->name, "state.img"))
			size += r->images->manifest->files[i]->size * ARENA_STATE;
	size += heritage_arena(r) + placed_arena(r);
	for (size_t i = 0; r->images->own && i < r->images->npages; i++)
		if (r->images->own[i])
			size += images_pages_size(r->images, i) / SPEND_PIECE * ARENA_PIECE;
	array_each (t, &r->tasks)
		size += ARENA_TASK + t->threads.n * (ARENA_THREAD + ARENA_STACK);
	return (size + 0xfffff) & ~(size_t)0xfffff;
}

static bool is_free(const struct restore *r, uint64_t base, size_t size)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_memory, &n);

	for (size_t i = 0; i < n; i++)
		if (memory_overlaps(rec[i].msg, base, base + size))
			return false;
	return true;
}

int place_arena(struct restore *r)
{
	size_t size = arena_size(r);
	uint64_t step = ((ARENA_HIGHEST - ARENA_LOWEST) / ARENA_TRIES) & ~0xffffful;

	for (uint64_t i = 0; i < ARENA_TRIES; i++) {
		uint64_t base = ARENA_LOWEST + i * step, at;

		if (base + size > ARENA_HIGHEST || !is_free(r, base, size))
			continue;
		if (arena_init_shared(&r->arena, base, size) < 0)
			continue;
		at = arena_alloc(&r->arena, sizeof(struct shared));
		r->shared = arena_at(&r->arena, at);
		return 0;
	}
	return fail(-ENOTSUP, "no %zu MiB are free in all address spaces of the checkpoint",
	            size >> 20);
}
