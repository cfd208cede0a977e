/*
 * A thread loops inside of a restartable sequence, whose abort handler counts.
 * Whoever stops the thread there must abort the sequence: the program counter
 * may not go on inside of it.
 */
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/rseq.h>

#include "zdtm.h"

static struct rseq_cs section __attribute__((aligned(32)));
static volatile int entered, aborted;

/* In the section: spins until it is aborted. */
static void *spin(void *arg)
{
	struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	while (!zdtm_released()) {
		__asm__ volatile goto(
			"leaq 1f(%%rip), %%rax\n"
			"movq %%rax, 8(%[cs])\n"
			"movq $(2f - 1f), 16(%[cs])\n"
			"leaq 4f(%%rip), %%rax\n"
			"movq %%rax, 24(%[cs])\n"
			"movq %[cs], %[slot]\n"
			"1: movl $1, %[entered]\n"
			"3: pause\n"
			"jmp 3b\n"
			"2: nop\n"
			"jmp 5f\n"
			".byte 0x0f, 0xb9, 0x3d\n"
			".long 0x53053053\n"
			"4: jmp %l[abort]\n"
			"5:\n"
			:
			: [cs] "r"(&section), [slot] "m"(area->rseq_cs), [entered] "m"(entered)
			: "rax", "memory"
			: abort);
	abort:
		aborted++;
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;

	if (__rseq_size == 0) {
		zdtm_park();
		return zdtm_pass();
	}
	check(pthread_create(&thread, NULL, spin, NULL) == 0);
	while (!entered)
		zdtm_nap();
	zdtm_park();
	/* The preemptions of a busy machine abort it, too, so there is no more to count than some. */
	check(pthread_join(thread, NULL) == 0);
	check(aborted > 0);
	return zdtm_pass();
}
