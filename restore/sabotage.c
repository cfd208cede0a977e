/*
 * For the tests: --fail-at op:N lets the Nth op of all scripts fail, --fail-at death:N lets its
 * task end there, --fail-at hang:N wait for ever. What is told of the op is what it was meant to be.
 */
#include "restore/sabotage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/log.h"

#define NO_CALL 0xffffu /* -ENOSYS */

enum sabotage { NONE, FAILURE, DEATH, HANG };

static enum sabotage parse(const char *text, size_t *ret_n)
{
	enum sabotage what = NONE;
	const char *number = "";
	char *end;

	if (text && !strncmp(text, "op:", 3))
		what = FAILURE, number = text + 3;
	else if (text && !strncmp(text, "death:", 6))
		what = DEATH, number = text + 6;
	else if (text && !strncmp(text, "hang:", 5))
		what = HANG, number = text + 5;
	*ret_n = strtoul(number, &end, 10);
	return end == number || *end ? NONE : what;
}

bool sabotage_wanted(const struct restore_options *opt)
{
	size_t n;

	return parse(opt->fail_at, &n) != NONE;
}

/* If the Nth op is one of S it is replaced, where the task reads it. */
static bool replace(struct script *s, size_t *n, enum sabotage what)
{
	struct script_head *head = script_at(s, s->head);
	struct op *ops;

	if (*n >= s->ops.n) {
		*n -= s->ops.n;
		return false;
	}
	ops = script_at(s, head->ops);
	ops[*n] = (struct op){
		.code = OP_CALL,
		.expect = EXPECT_VALUE,
		.nr = what == FAILURE ? NO_CALL
		      : what == DEATH ? SYS_exit_group
		                      : SYS_ppoll,
		.want = 1,
	};
	return true;
}

static bool replace_in(struct rtask *t, size_t *n, enum sabotage what)
{
	array_each (th, &t->threads)
		if (replace(&th->script, n, what))
			return true;
	array_each (filler, &t->fillers)
		if (replace(filler, n, what))
			return true;
	return false;
}

int sabotage_scripts(struct restore *r)
{
	size_t n, wanted;
	enum sabotage what = parse(r->opt->fail_at, &n);

	if (what == NONE)
		return 0;
	wanted = n;
	array_each (t, &r->tasks)
		if (replace_in(t, &n, what))
			return 0;
	for (size_t i = 0; i < r->nhelpers; i++)
		if (replace_in(&r->helpers[i], &n, what))
			return 0;
	return fail(-EINVAL, "--fail-at %s: there are only %zu ops", r->opt->fail_at, wanted - n);
}
