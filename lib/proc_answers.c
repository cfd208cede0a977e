#include "lib/proc_answers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bpf_iter.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/landlock.h"
#include "lib/landlock_word.h"

/* A record: words that are told one by one; before it come the actions, in parts, and the rights. */
#define TASK   0
#define VALUES FACTS
#define SELF   (VALUES + ANSWERS)
#define WORDS  (SELF + 1)
#define WHOLE  sizeof(struct kernel_sigaction[KERNEL_NSIG])
#define PART   (8 * sizeof(struct kernel_sigaction))

struct record {
	struct kernel_sigaction actions[KERNEL_NSIG];
	uint64_t rights[RIGHTS];
	uint64_t v[WORDS];
};

static void write_actions(struct iter_program *p)
{
	struct place actions = btf_place(p->btf, "sighand_struct", "action");

	_Static_assert(sizeof(struct record) == WHOLE + (RIGHTS + WORDS) * 8 && PART <= WORDS * 8 &&
	                       WHOLE % PART == 0,
	               "parts of a record");
	p->failed |= !actions.found;
	for (uint32_t at = 0; at < WHOLE; at += PART) {
		iter_load_field(p, 2, 6, "task_struct", "sighand");
		iter_copy(p, 0, 2, actions.at + at, PART);
		iter_write(p, PART / 8);
	}
}

static void write_rights(struct iter_program *p)
{
	struct place first = btf_place(p->btf, "cred", "uid");
	struct place last = btf_place(p->btf, "cred", "cap_ambient");
	uint32_t size = last.at + last.size - first.at;

	p->failed |= !first.found || !last.found || last.at < first.at ||
	             size > (RIGHT_GROUPS - RIGHT_CRED) * 8;
	iter_set(p, 2, 0);
	for (size_t i = RIGHT_CRED; i < RIGHT_GROUPS; i++)
		iter_store(p, 2, i);
	iter_load_field(p, 2, 6, "task_struct", "real_cred");
	iter_copy(p, RIGHT_CRED, 2, first.at, size);
	iter_load_field(p, 9, 6, "task_struct", "real_cred");
	iter_load_field(p, 2, 9, "cred", "group_info");
	iter_store(p, 2, RIGHT_GROUPS);
	iter_load_field(p, 2, 9, "cred", "user_ns");
	iter_store(p, 2, RIGHT_USER_NS);
	iter_load_field(p, 2, 6, "task_struct", "fs");
	iter_load_field(p, 2, 2, "fs_struct", "umask");
	iter_store(p, 2, RIGHT_UMASK);
	iter_write(p, RIGHTS);
}

static void write_values(struct iter_program *p)
{
	static const struct {
		const char *field, *type, *path;
		bool may_lack;
	} answers[ANSWER_LANDLOCK] = {
#define ANSWER(number, field, type, path, lacks) [ANSWER_##number] = { field, type, path, lacks },
		PROC_ANSWERS(ANSWER)
#undef ANSWER
	};

	for (size_t i = 0; i < ANSWER_LANDLOCK; i++) {
		const char *type = *answers[i].type ? answers[i].type : "task_struct";
		const char *path = *answers[i].type ? answers[i].path : answers[i].field;

		if (answers[i].may_lack && !btf_place(p->btf, type, path).found) {
			iter_set(p, 2, 0);
		} else {
			iter_load_field(p, 2, 6, "task_struct", answers[i].field);
			if (*answers[i].type)
				iter_load_field(p, 2, 2, answers[i].type, answers[i].path);
		}
		iter_store(p, 2, VALUES + i);
	}
}

static void write_itimers(struct iter_program *p)
{
	struct place timers = btf_place(p->btf, "signal_struct", "it");

	p->failed |= !timers.found;
	iter_load_field(p, 2, 6, "task_struct", "signal");
	iter_copy(p, VALUES + ANSWER_ITIMERS, 2, timers.at, 4 * 8);
}

/* LANDLOCK: landlock_word(). */
static void write_landlock(struct iter_program *p, uint32_t landlock)
{
	if (!has_landlock()) {
		iter_set(p, 2, 0);
		iter_store(p, 2, VALUES + ANSWER_LANDLOCK);
		return;
	}
	iter_load_field(p, 2, 6, "task_struct", "cred");
	iter_load_field(p, 2, 2, "cred", "security");
	iter_copy(p, VALUES + ANSWER_LANDLOCK, 2, landlock * 8, 8);
}

static int load(const struct btf *b, int level, uint32_t landlock)
{
	struct iter_program p;

	iter_begin(&p, b, WORDS, ITER_TASK);
	iter_load_field(&p, 2, 6, "task_struct", "pid");
	iter_load_field(&p, 3, 6, "task_struct", "tgid");
	iter_skip_unless_same(&p, 2, 3);
	iter_load_field(&p, 2, 6, "task_struct", "mm");
	iter_skip_if_none(&p, 2);
	write_actions(&p);
	write_rights(&p);
	if (FACT_ALL & ~(task_facts_store(&p, TASK) | FACT_BIT(TID)))
		return -EOPNOTSUPP;
	iter_store_number(&p, level, TASK + FACT_TID);
	write_values(&p);
	write_itimers(&p);
	write_landlock(&p, landlock);
	iter_store(&p, 6, SELF);
	return iter_load_program(&p);
}

int proc_answers_open(const struct btf *b, struct proc_answers_ask *ret)
{
	int level = iter_own_level(b);
	int landlock = level < 0 ? level : has_landlock() ? landlock_word(b) : 0;

	if (landlock < 0)
		return landlock;
	*ret = (struct proc_answers_ask){
		.program = load(b, level, (uint32_t)landlock),
		.children = btf_place(b, "task_struct", "children").at,
		.traced = btf_place(b, "task_struct", "ptraced").at,
	};
	return ret->program < 0 ? ret->program : 0;
}

void proc_answers_done(struct proc_answers_ask *ask)
{
	closep(&ask->program);
}

/* An empty list leads to itself. */
static void take(const struct proc_answers_ask *ask, struct proc_answers *a,
                 const struct record *record)
{
	uint64_t self = record->v[SELF];

	memcpy(a->actions, record->actions, sizeof(a->actions));
	memcpy(a->rights, record->rights, sizeof(a->rights));
	memcpy(&a->task, &record->v[TASK], sizeof(a->task));
	memcpy(a->v, &record->v[VALUES], sizeof(a->v));
	a->v[ANSWER_CHILDREN] = a->v[ANSWER_CHILDREN] != self + ask->children;
	a->v[ANSWER_TRACED] = a->v[ANSWER_TRACED] != self + ask->traced;
}

ssize_t proc_answers_read(const struct proc_answers_ask *ask, struct proc_answers **ret)
{
	auto_free void *text = NULL;
	ssize_t size = iter_read_all(ask->program, &text);
	const struct record *records = text;
	size_t n = size < 0 ? 0 : (size_t)size / sizeof(*records);

	if (size < 0)
		return size;
	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		take(ask, &(*ret)[i], &records[i]);
	return (ssize_t)n;
}

bool proc_answers_special(const struct proc_answers *a)
{
	return a->v[ANSWER_CHILDREN] || a->v[ANSWER_TRACED] || a->v[ANSWER_UNDO] ||
	       a->v[ANSWER_PENDING] || a->v[ANSWER_REAL] || a->v[ANSWER_LANDLOCK] ||
	       a->v[ANSWER_ITIMERS] || a->v[ANSWER_ITIMERS + 2];
}

int proc_answers_compare(const struct proc_answers *a, const struct proc_answers *b)
{
	int r = task_facts_compare(&a->task, &b->task, false);

	if (r == 0)
		r = memcmp(&a->v[ANSWER_REAL_INTERVAL], &b->v[ANSWER_REAL_INTERVAL],
		           (ANSWERS - ANSWER_REAL_INTERVAL) * sizeof(a->v[0]));
	if (r == 0)
		r = memcmp(a->rights, b->rights, sizeof(a->rights));
	return r ? r : memcmp(a->actions, b->actions, sizeof(a->actions));
}
