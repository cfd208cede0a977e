/* Scripts: built, printed, and run by the real blob in a fork of the test. */
#include "test/unit/unit.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "parasite/arch/arch.h"
#include "parasite/compile.h"
#include "parasite/mover.h"

#define BASE 0x200000000000ul

static struct arena arena;
static struct shared *shared;

static void setup(void)
{
	check(arena_init_shared(&arena, BASE, 1 << 20) == 0);
	shared = arena_at(&arena, arena_alloc(&arena, sizeof(*shared)));
}

/* Run S in a child. */
static pid_t start(struct script *s)
{
	pid_t pid;

	check(script_finish(s, (uint64_t)shared, 0, NULL, 0) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0)
		arch_enter_blob(arena.base, s->head, s->stack);
	return pid;
}

static int end(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid);
	return status;
}

/* To its end; the wait status. */
static int run(struct script *s)
{
	return end(start(s));
}

TEST(arena_hands_out_aligned_memory_until_it_is_full)
{
	struct arena a;

	check(arena_init(&a, BASE, 64 << 10) == 0);
	check(arena_alloc(&a, 1) == BASE + ARENA_BLOB);
	check(arena_alloc(&a, 1) == BASE + ARENA_BLOB + 16);
	check(arena_stack(&a) == BASE + (64 << 10));
	check(arena_stack(&a) == BASE + (48 << 10));
	check(arena_alloc(&a, SIZE_MAX) == 0);
	check(arena_alloc(&a, 64 << 10) == 0);
	check(arena_at(&a, BASE - 1) == NULL);
	check(arena_at(&a, BASE + a.size) == NULL);
	arena_done(&a);
}

TEST(a_script_runs_its_calls_in_order_and_keeps_their_results)
{
	struct script s;
	uint64_t buf;

	setup();
	script_init(&s, &arena);
	buf = script_alloc(&s, 64);
	script_want(&s, 3, SYS_memfd_create, script_string(&s, "x"), 0);
	script_call(&s, SYS_pwrite64, 3, script_string(&s, "hello"), 5, 0);
	script_op(&s, OP_FULL, EXPECT_SUCCESS, 0, SYS_pread64, (const uint64_t[6]){ 3, buf, 5, 0 });
	script_ask(&s, SYS_close, 99);
	script_call(&s, SYS_exit_group, 7);
	check(WEXITSTATUS(run(&s)) == 7);
	check(!strcmp(script_at(&s, buf), "hello"));
	check(script_result(&s, 0) == 3);
	check(script_result(&s, 3) == -EBADF);
	check(script_error(&s) == 0);
	check(script_progress(&s) == 4);
	script_done(&s);
}

TEST(ops_are_repeated)
{
	struct script s;
	uint64_t times;

	setup();
	script_init(&s, &arena);
	times = script_alloc(&s, 8);
	script_call(&s, SYS_eventfd2, 0, 0);
	script_call(&s, SYS_write, 3, script_put(&s, &(uint64_t){ 5 }, 8), 8);
	script_call(&s, SYS_getpid);
	script_op(&s, OP_REPEAT, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ 2, 999 });
	script_op(&s, OP_REPEAT, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ 1, 0 });
	script_call(&s, SYS_read, 3, times, 8);
	script_call(&s, SYS_exit_group, 7);
	check(WEXITSTATUS(run(&s)) == 7);
	check(*(uint64_t *)script_at(&s, times) == 5000);
	script_done(&s);
}

TEST(a_call_with_another_result_ends_the_script_and_tells_the_coordinator)
{
	struct script s;

	setup();
	script_init(&s, &arena);
	script_call(&s, SYS_getpid);
	script_call(&s, SYS_close, 99);
	script_call(&s, SYS_exit_group, 7);
	check(WEXITSTATUS(run(&s)) == 1);
	check(script_error(&s) == -EBADF);
	check(script_progress(&s) == 1);
	check(shared->failed != 0);
	script_done(&s);
}

TEST(the_mover_reads_what_a_script_tells_it_to)
{
	struct script s;
	uint64_t a, b, iov;
	int file = memfd_create("script", 0);

	setup();
	check(pwrite(file, "abcdefgh", 8, 0) == 8);
	script_init(&s, &arena);
	a = script_alloc(&s, 16);
	b = script_alloc(&s, 16);
	iov = script_put(&s,
	                 (struct iovec[]){ { (void *)a, 3 }, { (void *)b, 4 }, { (void *)b, 2 } },
	                 3 * sizeof(struct iovec));
	script_op(&s, OP_MOVER, EXPECT_SUCCESS, 0, 0,
	          (const uint64_t[6]){ arena_mover(&arena, MOVER_READ), 0, (uint64_t)file, iov, 2,
	                               1 });
	script_op(&s, OP_MOVER, EXPECT_SUCCESS, 0, 0,
	          (const uint64_t[6]){ arena_mover(&arena, MOVER_READ), 0, (uint64_t)file,
	                               iov + 2 * sizeof(struct iovec), 1, 7 });
	check(WEXITSTATUS(run(&s)) == 1); /* the second finds the end of the file */
	check(script_progress(&s) == 1 && script_error(&s) == -ENODATA);
	check(!strcmp(script_at(&s, a), "bcd"));
	check(!memcmp(script_at(&s, b), "hfg", 3));
	script_done(&s);
	close(file);
}

TEST(a_cloned_thread_runs_its_own_script_and_meets_the_other_at_the_barrier)
{
	struct script s, child;
	struct clone_args args = {};
	uint64_t word;
	pid_t pid;

	setup();
	script_init(&child, &arena);
	check(script_head(&child) == 0);
	script_init(&s, &arena);
	word = script_alloc(&s, 64);
	shared->expected[0] = 2;
	args.flags =
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	args.stack = child.stack - ARENA_STACK;
	args.stack_size = ARENA_STACK;
	script_op(&s, OP_CLONE, EXPECT_SUCCESS, 0, SYS_clone3,
	          (const uint64_t[6]){ script_put(&s, &args, sizeof(args)), sizeof(args),
	                               child.head });
	script_op(&s, OP_BARRIER, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ 0 });
	script_call(&s, SYS_exit, 0);
	script_op(&child, OP_BARRIER, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ 0 });
	script_call(&child, SYS_getrandom, word, 8, 0);
	script_call(&child, SYS_exit_group, 5);
	check(script_finish(&child, (uint64_t)shared, 0, NULL, 0) == 0);
	pid = start(&s);
	while (__atomic_load_n(&shared->arrived[0], __ATOMIC_SEQ_CST) < 2)
		usleep(1000);
	__atomic_store_n(&shared->stage, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &shared->stage, FUTEX_WAKE, 2, NULL, NULL, 0);
	check(WEXITSTATUS(end(pid)) == 5);
	check(script_result(&child, 1) == 8);
	check(shared->arrived[0] == 2);
	script_done(&s);
	script_done(&child);
}

TEST(without_a_tracer_the_blob_goes_on_with_the_registers_it_was_given)
{
	static char stack[4096];
	struct script s;
	struct arch_leave leave = {};
	uint64_t code;
	int status;
	pid_t pid;

	setup();
	script_init(&s, &arena);
	code = (uint64_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* mov %rbx, %rdi; mov $231 (exit_group), %eax; syscall */
	memcpy((void *)code, "\x48\x89\xdf\xb8\xe7\x00\x00\x00\x0f\x05", 10);
	script_call(&s, SYS_getpid);
	script_op(&s, OP_STOP, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){});
	leave.gp.rip = code;
	leave.gp.rsp = (uint64_t)stack + sizeof(stack);
	leave.gp.rbx = 42;
	leave.gp.cs = 0x33;
	leave.gp.ss = 0x2b;
	leave.gp.eflags = 0x202;
	check(script_finish(&s, 0, SIGURG, &leave, sizeof(leave)) == 0);
	pid = fork();
	if (pid == 0)
		arch_enter_blob(arena.base, s.head, s.stack);
	check(waitpid(pid, &status, 0) == pid);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	script_done(&s);
}

TEST(scripts_print_like_strace)
{
	struct script s;
	char text[256];

	setup();
	script_init(&s, &arena);
	s.room = "fs";
	script_call(&s, SYS_openat, AT_FDCWD, script_string(&s, "/etc"), O_RDONLY);
	script_want(&s, 41, SYS_set_tid_address, 0x7f0000001000);
	script_call(&s, SYS_getpid);
	script_op(&s, OP_BARRIER, EXPECT_SUCCESS, 0, 0, (const uint64_t[6]){ 2 });
	script_call(&s, SYS_mmap, 0x10000, 8192, PROT_READ | PROT_WRITE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	script_call(&s, SYS_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL);
	script_call(&s, SYS_rt_sigaction, SIGUSR1, 0x1000, 0, 8);
	op_format(&s.ops.v[4], &s, text, sizeof(text));
	check(!strcmp(text, "mmap(0x10000, 0x2000, PROT_READ|PROT_WRITE, "
	                    "MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0)"));
	op_format(&s.ops.v[5], &s, text, sizeof(text));
	check(!strcmp(text, "prctl(PR_SET_PDEATHSIG, 9)"));
	op_format(&s.ops.v[6], &s, text, sizeof(text));
	check(!strcmp(text, "rt_sigaction(SIGUSR1, 0x1000, 0, 8)"));
	op_format(&s.ops.v[0], &s, text, sizeof(text));
	check(!strcmp(text, "openat(AT_FDCWD, \"/etc\", 0, 0)"));
	op_format(&s.ops.v[1], &s, text, sizeof(text));
	check(!strcmp(text, "set_tid_address(0x7f0000001000) = 41"));
	op_format(&s.ops.v[2], &s, text, sizeof(text));
	check(!strcmp(text, "getpid()"));
	op_format(&s.ops.v[3], &s, text, sizeof(text));
	check(!strcmp(text, "barrier(2)"));
	op_format(&s.ops.v[0], &s, text, 8);
	check(!strcmp(text, "openat("));
	script_done(&s);
}

TEST(a_full_arena_is_an_error_of_the_script)
{
	struct script s;

	setup();
	script_init(&s, &arena);
	check(script_alloc(&s, 2 << 20) == 0);
	check(script_finish(&s, 0, 0, NULL, 0) == -ENOSPC);
	script_done(&s);
}
