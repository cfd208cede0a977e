/*
 * The script: a list of raw system calls with the result that each must have,
 * run by the blob inside a task. At dump it asks the task what only the task
 * can see; at restore it turns a fresh fork into the task.
 *
 * This header is the contract between hosted code and the freestanding blob.
 * All pointers are addresses in the task that runs the script.
 */
#pragma once

#include <stdint.h>

enum op_code {
	OP_CALL, /* one system call */
	OP_FULL, /* pread64/pwrite64/read/write, repeated until all of args[2] bytes are through */
	OP_MOVER, /* the function of the mover (parasite/mover.h) at args[0], with the others as its arguments */
	OP_CLONE, /* clone3(args[0], args[1]); the child runs the script at args[2], on its own stack */
	OP_BARRIER, /* arrive at barrier args[0] of struct shared and wait until the coordinator opens it */
	OP_TOUCH, /* bring the extended CPU state args[0] (XFEATURE mask) into use, so that it can be set */
	OP_FETCH, /* the 64 bits at args[0], a call's answer, become args[args[1]] of the op behind the args[2] next */
	OP_RESULT, /* the same with the result of the op args[0] before this one */
	OP_COPY,   /* the 64 bits at args[0] are copied to args[1] */
	OP_REPEAT, /* the args[0] ops before this one are run args[1] times more (which counts down to 0) */
	OP_STOP, /* stop for the tracer; goes on in struct leave if nobody traces */
};

/* What the result must be, else the script ends there. */
enum op_expect {
	EXPECT_SUCCESS, /* not -1..-4095 */
	EXPECT_VALUE,   /* op.want exactly */
	EXPECT_ANY,     /* an answer, whatever it is */
};

struct op {
	uint16_t code;   /* enum op_code */
	uint16_t expect; /* enum op_expect */
	uint32_t nr;     /* system call number */
	uint64_t args[6];
	int64_t want;   /* for EXPECT_VALUE */
	int64_t result; /* what the kernel said */
};

/* What the blob is started with (its only argument). */
struct script_head {
	uint64_t ops;    /* address of struct op[count] */
	uint32_t count;  /* ops to run */
	uint32_t at;     /* ops done so far; on failure the index of the failed one */
	int64_t error;   /* 0, or the result that was not as expected */
	uint64_t shared; /* address of struct shared; 0 at dump */
	uint64_t leave;  /* address of struct leave: the registers to go on with; 0: none */
	uint32_t signal; /* OP_STOP raises this one: traced it stops, else it is ignored */
	uint32_t pad;
};

#define BARRIERS 8

/* One per restore, shared by all tasks and the coordinator; futex words. */
struct shared {
	uint32_t failed; /* set to the tid (own pid namespace) of the first that failed */
	uint32_t stage;  /* barriers 0..stage-1 are open */
	uint32_t arrived[BARRIERS];  /* tasks that stand at (or have passed) each */
	uint32_t expected[BARRIERS]; /* the last to arrive wakes the coordinator */
};
