/* Ops are collected on the heap and go into the arena in one piece at the end. */
#include "parasite/compile.h"

#include <errno.h>
#include <string.h>

void script_init(struct script *s, struct arena *a)
{
	*s = (struct script){ .arena = a };
}

void script_done(struct script *s)
{
	array_done(&s->ops);
	array_done(&s->rooms);
}

static void script_fail(struct script *s, int r)
{
	if (!s->error)
		s->error = r;
}

size_t script_op(struct script *s, enum op_code code, enum op_expect expect, int64_t want,
                 uint32_t nr, const uint64_t args[6])
{
	struct op *op = array_add(&s->ops);
	const char **room = array_add(&s->rooms);

	if (!op || !room) {
		script_fail(s, -ENOMEM);
		return 0;
	}
	op->code = (uint16_t)code;
	op->expect = (uint16_t)expect;
	op->nr = nr;
	op->want = want;
	memcpy(op->args, args, sizeof(op->args));
	*room = s->room;
	return s->ops.n - 1;
}

uint64_t script_alloc(struct script *s, size_t size)
{
	uint64_t at = arena_alloc(s->arena, size);

	if (!at)
		script_fail(s, -ENOSPC);
	return at;
}

uint64_t script_put(struct script *s, const void *data, size_t size)
{
	uint64_t at = script_alloc(s, size);

	if (at)
		memcpy(arena_at(s->arena, at), data, size);
	return at;
}

uint64_t script_string(struct script *s, const char *text)
{
	return script_put(s, text, strlen(text) + 1);
}

void *script_at(const struct script *s, uint64_t at)
{
	return at ? arena_at(s->arena, at) : NULL;
}

int script_head(struct script *s)
{
	if (!s->head)
		s->head = script_alloc(s, sizeof(struct script_head));
	if (!s->stack)
		s->stack = arena_stack(s->arena);
	if (!s->stack)
		script_fail(s, -ENOSPC);
	return s->error;
}

int script_finish(struct script *s, uint64_t shared, uint32_t signal, const void *leave,
                  size_t leave_size)
{
	struct script_head head = { .shared = shared, .signal = signal };
	void *at;

	head.ops = script_put(s, s->ops.v, s->ops.n * sizeof(*s->ops.v));
	head.count = (uint32_t)s->ops.n;
	head.leave = leave_size ? script_put(s, leave, leave_size) : 0;
	if (script_head(s) < 0)
		return s->error;
	at = script_at(s, s->head);
	memcpy(at, &head, sizeof(head));
	return 0;
}

void script_amend(struct script *s, uint32_t signal, const void *leave, size_t leave_size)
{
	struct script_head *head = script_at(s, s->head);

	head->signal = signal;
	memcpy(script_at(s, head->leave), leave, leave_size);
}

uint32_t script_signal(const struct script *s)
{
	const struct script_head *head = script_at(s, s->head);

	return head ? head->signal : 0;
}

/* Its ops as the task left them. */
static const struct op *script_answers(const struct script *s)
{
	const struct script_head *head = script_at(s, s->head);

	return head ? script_at(s, head->ops) : NULL;
}

int64_t script_result(const struct script *s, size_t index)
{
	const struct op *ops = script_answers(s);

	return ops && index < s->ops.n ? ops[index].result : -ENODATA;
}

size_t script_progress(const struct script *s)
{
	const struct script_head *head = script_at(s, s->head);

	return head ? head->at : 0;
}

int script_error(const struct script *s)
{
	const struct script_head *head = script_at(s, s->head);

	return head ? (int)head->error : -ENODATA;
}
