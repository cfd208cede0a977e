#include "lib/proc_facts.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/bpf_iter.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/task_facts.h"

#define WORD(field) (offsetof(struct open_fact, field) / 8)
#define MAIN(fact)  ((size_t)(fact)-PROC_PID) /* in what is written behind auxv */
#define AUXV_PART   (PROC_AUXV_N / 2)         /* written at once */

static const char *const lock_lists[] = { "flc_posix.next", "flc_flock.next", "flc_lease.next" };

static void write_limits(struct iter_program *p)
{
	struct place limits = btf_place(p->btf, "signal_struct", "rlim");

	p->failed |= !limits.found;
	iter_load_field(p, 2, 6, "task_struct", "signal");
	iter_copy(p, MAIN(PROC_LIMITS), 2, limits.at, 2 * PROC_LIMITS_N * 8);
}

/* The words of one part, of which the kernel has so many. */
static void write_auxv_part(struct iter_program *p, uint32_t at, uint32_t words)
{
	uint32_t there = words < AUXV_PART ? words : AUXV_PART;

	iter_load_field(p, 2, 6, "task_struct", "mm");
	if (there)
		iter_copy(p, 0, 2, at, there * 8);
	iter_set(p, 2, 0);
	for (uint32_t i = there; i < AUXV_PART; i++)
		iter_store(p, 2, i);
	iter_write(p, AUXV_PART);
}

static void write_auxv(struct iter_program *p)
{
	struct place auxv = btf_place(p->btf, "mm_struct", "saved_auxv");
	uint32_t words = auxv.size / 8;

	_Static_assert(AUXV_PART <= PROC_WORDS - PROC_PID, "a part is part of a record");
	p->failed |= !auxv.found || !words || words > PROC_AUXV_N;
	write_auxv_part(p, auxv.at, words);
	write_auxv_part(p, auxv.at + AUXV_PART * 8, words > AUXV_PART ? words - AUXV_PART : 0);
}

/* Leaders alone. */
static void write_process(struct iter_program *p, int level)
{
	static const struct {
		const char *field, *type, *path;
	} facts[PROC_LIMITS] = {
#define FACT(number, field, type, path) [PROC_##number] = { field, type, path },
		PROC_FACTS(FACT)
#undef FACT
	};

	iter_load_field(p, 2, 6, "task_struct", "pid");
	iter_load_field(p, 3, 6, "task_struct", "tgid");
	iter_skip_unless_same(p, 2, 3);
	write_auxv(p);
	iter_store_number(p, level, MAIN(PROC_PID));
	for (size_t i = PROC_PID + 1; i < PROC_LIMITS; i++) {
		iter_load_field(p, 2, 6, "task_struct", facts[i].field);
		if (*facts[i].type)
			iter_load_field(p, 2, 2, facts[i].type, facts[i].path);
		iter_store(p, 2, MAIN(i));
	}
	write_limits(p);
}

/* The bit of r9, its number, in a set of the process's table. */
static void write_cloexec(struct iter_program *p)
{
	iter_load_field(p, 2, 6, "task_struct", "files");
	iter_load_field(p, 2, 2, "files_struct", "fdt");
	iter_load_field(p, 3, 2, "fdtable", "close_on_exec");
	iter_load_bit(p, 9);
	iter_store(p, 2, WORD(cloexec));
}

static void write_open(struct iter_program *p, int level)
{
	iter_store_number(p, level, WORD(pid));
	iter_store(p, 9, WORD(fd));
	iter_store(p, 8, WORD(file));
	write_cloexec(p);
	iter_load_field(p, 9, 8, "file", "f_inode");
	iter_load_field(p, 9, 9, "inode", "i_flctx");
	iter_store(p, 9, WORD(locks));
	for (size_t i = 0; i < ARRAY_SIZE(lock_lists); i++) {
		iter_load_field(p, 2, 9, "file_lock_context", lock_lists[i]);
		iter_store(p, 2, WORD(lists) + i);
	}
}

static int load(const struct btf *b, int level, bool files)
{
	struct iter_program p;

	iter_begin(&p, b, files ? sizeof(struct open_fact) / 8 : MAIN(PROC_WORDS),
	           files ? ITER_FILE : ITER_TASK);
	(files ? write_open : write_process)(&p, level);
	return iter_load_program(&p);
}

int proc_asks_open(const struct btf *b, struct proc_asks *ret, bool opens)
{
	int level = iter_own_level(b), r;

	if (level < 0)
		return level;
	*ret = (struct proc_asks){ .processes = load(b, level, false),
		                   .opens = opens ? load(b, level, true) : -1 };
	r = ret->processes < 0 ? ret->processes : opens && ret->opens < 0 ? ret->opens : 0;
	for (size_t i = 0; i < ARRAY_SIZE(lock_lists); i++)
		ret->lists[i] = btf_place(b, "file_lock_context", lock_lists[i]).at;
	if (r < 0)
		proc_asks_done(ret);
	return r;
}

void proc_asks_done(struct proc_asks *asks)
{
	closep(&asks->processes);
	closep(&asks->opens);
}

/* Before 6.1 an iterator is over everybody. */
int proc_facts_of(const struct proc_asks *asks, pid_t pid, struct proc_facts *ret)
{
	auto_close int iter = iter_open(asks->processes, pid, 0);
	int r = iter < 0 ? iter : read_full(iter, ret, sizeof(*ret));

	if (r == -ENODATA || (r == 0 && ret->v[PROC_PID] != (uint64_t)pid))
		r = -ESRCH;
	return r;
}

/* In records of SIZE bytes. */
static ssize_t read_records(int program, size_t size, void **ret)
{
	ssize_t n = iter_read_all(program, ret);

	return n < 0 ? n : n / (ssize_t)size;
}

ssize_t proc_facts_read(const struct proc_asks *asks, struct proc_facts **ret)
{
	return read_records(asks->processes, sizeof(**ret), (void **)ret);
}

/* Once there were locks their lists stay; an empty one leads to itself. */
static bool has_locks(const struct proc_asks *asks, const struct open_fact *open)
{
	for (size_t i = 0; open->locks && i < ARRAY_SIZE(open->lists); i++)
		if (open->lists[i] != open->locks + asks->lists[i])
			return true;
	return false;
}

ssize_t open_facts_read(const struct proc_asks *asks, struct open_fact **ret)
{
	ssize_t n = read_records(asks->opens, sizeof(**ret), (void **)ret);

	for (ssize_t i = 0; i < n; i++)
		(*ret)[i].locks = has_locks(asks, &(*ret)[i]);
	return n;
}

bool proc_same_maps(const struct proc_facts *a, const struct proc_facts *b)
{
	return a->v[PROC_MM] && a->v[PROC_MM] == b->v[PROC_MM] &&
	       a->v[PROC_MM_SEQ] == b->v[PROC_MM_SEQ] && a->v[PROC_EXECS] == b->v[PROC_EXECS];
}
