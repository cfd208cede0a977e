/*
 * Writing scripts. A script under construction collects ops; errors (arena
 * full, no memory) are kept and come out of script_finish(), so that emitting
 * code reads like the calls that it emits:
 *
 *	script_call(s, __NR_umask, msg->umask);
 *	script_call(s, __NR_chdir, script_string(s, path));
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "lib/array.h"
#include "parasite/arena.h"
#include "parasite/script.h"

struct script {
	struct arena *arena;
	ARRAY(struct op) ops;
	ARRAY(const char *) rooms; /* beside each op: the room that emitted it (static string) */
	const char *room;          /* who emits now; set by the stage that calls the rooms */
	uint64_t head;             /* address of its script_head, once finished */
	uint64_t stack;            /* top of its stack, once finished */
	int error;                 /* first failure while building */
};

void script_init(struct script *s, struct arena *a);
void script_done(struct script *s);

/* Append a system call that must succeed; up to six arguments. Returns the index of the op. */
#define script_call(s, nr, ...) script_expect(s, EXPECT_SUCCESS, 0, nr, ##__VA_ARGS__)
/* A call that may answer anything. */
#define script_ask(s, nr, ...) script_expect(s, EXPECT_ANY, 0, nr, ##__VA_ARGS__)
/* A call that must answer WANT. */
#define script_want(s, want, nr, ...) script_expect(s, EXPECT_VALUE, want, nr, ##__VA_ARGS__)

#define script_expect(s, expect, want, nr, ...) \
	script_op(s, OP_CALL, expect, want, nr, SCRIPT_ARGS_(0, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0))
/* Each argument becomes 64 bits; pointers are not accepted: give addresses in the task. */
#define SCRIPT_ARGS_(z, a, b, c, d, e, f, ...)                                            \
	((const uint64_t[6]){ (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), \
	                      (uint64_t)(e), (uint64_t)(f) })

/* Append any op. */
size_t script_op(struct script *s, enum op_code code, enum op_expect expect, int64_t want,
                 uint32_t nr, const uint64_t args[6]);

/* Memory of the script: zeroed, a copy, a string. Addresses in the task. */
uint64_t script_alloc(struct script *s, size_t size);
uint64_t script_put(struct script *s, const void *data, size_t size);
uint64_t script_string(struct script *s, const char *text);

/* Where crtool sees script memory (NULL after an error or for 0). */
void *script_at(const struct script *s, uint64_t at);

/*
 * Reserve head and stack of a script that is not finished yet, so that another
 * one can clone a thread onto it. script_finish() does it by itself. 0 or -ENOSPC.
 */
int script_head(struct script *s);

/*
 * Copy the ops into the arena with head, stack and, if LEAVE_SIZE, the leave
 * block. 0 or the first error while building.
 */
int script_finish(struct script *s, uint64_t shared, uint32_t signal, const void *leave,
                  size_t leave_size);

/* That which its OP_STOP raises, once it is finished. */
uint32_t script_signal(const struct script *s);

/* Once finished and not copied yet: another signal, another leave block of the same size. */
void script_amend(struct script *s, uint32_t signal, const void *leave, size_t leave_size);

/* After the run: the result of op INDEX, how far it came, 0 or the unexpected result. */
int64_t script_result(const struct script *s, size_t index);
size_t script_progress(const struct script *s);
int script_error(const struct script *s);

/* One op as text, like strace prints it: "mmap(0x7f.., 4096, ...)". BUF is always terminated. */
void op_format(const struct op *op, const struct script *s, char *buf, size_t size);

/* The whole script, one op per line with its room. */
void script_print(const struct script *s, FILE *out);

/* "mmap", or NULL for an unknown number. */
const char *syscall_name(uint32_t nr);
