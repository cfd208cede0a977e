/*
 * All registers hold values of their own over a system call, or in a loop without any: general ones, flags, the red
 * zone below the stack pointer, x87, SSE, AVX and AVX-512 as far as this CPU has them, their control words.
 */
#pragma once

#include <cpuid.h>
#include <stdint.h>
#include <string.h>

#include "zdtm.h"

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, GENERAL };

#define RED_ZONE 16
#define HELD_DF  0x400

/* The offsets are known to hold(). */
struct held_state {
	uint64_t general[16];     /* 0; the last: flags */
	uint64_t red_zone[16];    /* 128 */
	double x87[2];            /* 256 */
	uint32_t x87_control;     /* 272 */
	uint32_t mxcsr;           /* 276 */
	uint64_t masks[8];        /* 280 */
	uint8_t pad[40];          /* 344 */
	uint8_t vectors[32 * 64]; /* 384 */
};

struct held {
	struct held_state in, out; /* 0, 2432 */
	uint64_t width;            /* 4864: 16, 32 or 64 bytes of a vector */
	const int *spin_until;     /* 4872: NULL: make the call */
};

_Static_assert(sizeof(struct held_state) == 2432, "see hold()");

/* clang-format off */
/* While registers are held the address of H is on the stack, the only place that is left. */
__attribute__((naked, noinline, target("avx512f,avx512bw"))) static void hold(struct held *h)
{
	__asm__ volatile(
		"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
		"pushq 4872(%rdi)\n"         /* spin_until */
		"push %rdi\n"
		".set i, 0\n"
		".rept 16\n"
		"	mov 128 + 8 * i(%rdi), %rax\n"
		"	mov %rax, -8 - 8 * i(%rsp)\n"
		"	.set i, i + 1\n"
		".endr\n"
		"fninit; fldcw 272(%rdi); fldl 256(%rdi); fldl 264(%rdi); ldmxcsr 276(%rdi)\n"
		"cmpq $32, 4864(%rdi)\n"
		"jb 1f; je 2f\n"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
		"	vmovups 384 + 64 * \\n(%rdi), %zmm\\n\n"
		".endr\n"
		".irp n, 0,1,2,3,4,5,6,7\n"
		"	kmovq 280 + 8 * \\n(%rdi), %k\\n\n"
		".endr\n"
		"jmp 3f\n"
		"2:\n"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
		"	vmovups 384 + 64 * \\n(%rdi), %ymm\\n\n"
		".endr\n"
		"jmp 3f\n"
		"1:\n"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
		"	movups 384 + 64 * \\n(%rdi), %xmm\\n\n"
		".endr\n"
		"3:\n"
		"mov 0(%rdi), %rax; mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx; mov 32(%rdi), %rsi\n"
		"mov 48(%rdi), %rbp; mov 56(%rdi), %r8; mov 64(%rdi), %r9; mov 72(%rdi), %r10\n"
		"mov 88(%rdi), %r12; mov 96(%rdi), %r13; mov 104(%rdi), %r14; mov 112(%rdi), %r15\n"
		"mov 80(%rdi), %r11\n"
		"cmpq $0, 4872(%rdi)\n"
		"mov 40(%rdi), %rdi\n"
		"std\n"
		"je 5f\n"
		/* One register cannot be held in the loop, but by turns: it is where the flag is. */
		"4: xchg %r15, 8(%rsp)\n"
		"pause\n"
		"cmpl $0, (%r15)\n"
		"xchg %r15, 8(%rsp)\n"
		"pause\n"
		"je 4b\n"
		"jmp 6f\n"
		"5: syscall\n"
		"6: xchg %rdi, (%rsp)\n"
		"mov %rax, 2432(%rdi); mov %rbx, 2440(%rdi); mov %rcx, 2448(%rdi); mov %rdx, 2456(%rdi)\n"
		"mov %rsi, 2464(%rdi); mov %rbp, 2480(%rdi); mov %r8, 2488(%rdi); mov %r9, 2496(%rdi)\n"
		"mov %r10, 2504(%rdi); mov %r11, 2512(%rdi); mov %r12, 2520(%rdi); mov %r13, 2528(%rdi)\n"
		"mov %r14, 2536(%rdi); mov %r15, 2544(%rdi)\n"
		".set i, 0\n"
		".rept 16\n"
		"	mov -8 - 8 * i(%rsp), %rax\n"
		"	mov %rax, 2560 + 8 * i(%rdi)\n"
		"	.set i, i + 1\n"
		".endr\n"
		"pushfq; cld; pop %rax; mov %rax, 2552(%rdi)\n"
		"pop %rax; mov %rax, 2472(%rdi)\n"
		"fnstcw 2704(%rdi); fstpl 2696(%rdi); fstpl 2688(%rdi); stmxcsr 2708(%rdi)\n"
		"cmpq $32, 4864(%rdi)\n"
		"jb 1f; je 2f\n"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
		"	vmovups %zmm\\n, 2816 + 64 * \\n(%rdi)\n"
		".endr\n"
		".irp n, 0,1,2,3,4,5,6,7\n"
		"	kmovq %k\\n, 2712 + 8 * \\n(%rdi)\n"
		".endr\n"
		"vzeroupper\n"
		"jmp 3f\n"
		"2:\n"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
		"	vmovups %ymm\\n, 2816 + 64 * \\n(%rdi)\n"
		".endr\n"
		"vzeroupper\n"
		"jmp 3f\n"
		"1:\n"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
		"	movups %xmm\\n, 2816 + 64 * \\n(%rdi)\n"
		".endr\n"
		"3:\n"
		"fninit; ldmxcsr 7f(%rip)\n"
		"add $8, %rsp\n"
		"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
		"ret\n"
		"7: .long 0x1f80\n");
}
/* clang-format on */

static uint64_t held_width(void)
{
	return __builtin_cpu_supports("avx512bw") ? 64 : __builtin_cpu_supports("avx") ? 32 : 16;
}

static void held_fill(struct held *h)
{
	uint8_t *bytes = (uint8_t *)&h->in;

	for (size_t i = 0; i < sizeof(h->in); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256 * 7 + 1);
	h->in.x87[0] = 0.75, h->in.x87[1] = -3.5;
	h->in.x87_control = 0x0e7f; /* towards zero, 53 bits */
	h->in.mxcsr = 0xffbf;       /* towards zero, to zero, and all flags */
	h->width = held_width();
}

/* What it ends with is what it began with. A call changes rax, rcx and r11, and nothing else. */
static void held_compare(const struct held *h)
{
	const struct held_state *in = &h->in, *out = &h->out;

	for (int i = 0; i < GENERAL; i++)
		check(in->general[i] == out->general[i] ||
		      (!h->spin_until && (i == RAX || i == RCX || i == R11)));
	check(out->general[GENERAL] & HELD_DF);
	check(!memcmp(in->red_zone, out->red_zone, sizeof(in->red_zone)));
	check(in->x87[0] == out->x87[0] && in->x87[1] == out->x87[1]);
	check((uint16_t)in->x87_control == (uint16_t)out->x87_control && in->mxcsr == out->mxcsr);
	for (size_t i = 0; i < (h->width == 64 ? 32 : 16); i++)
		check(!memcmp(in->vectors + 64 * i, out->vectors + 64 * i, h->width));
	check(h->width < 64 || !memcmp(in->masks, out->masks, sizeof(in->masks)));
}

/* The system call NR. Its result, as the kernel gives it. */
static inline long held_call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct held h;

	memset(&h, 0, sizeof(h));
	held_fill(&h);
	h.in.general[RAX] = (uint64_t)nr;
	h.in.general[RDI] = a;
	h.in.general[RSI] = b;
	h.in.general[RDX] = c;
	h.in.general[R10] = d;
	hold(&h);
	held_compare(&h);
	return (long)h.out.general[RAX];
}

/* No call, until DONE. */
static inline void held_spin(const int *done)
{
	struct held h;

	memset(&h, 0, sizeof(h));
	held_fill(&h);
	h.spin_until = done;
	hold(&h);
	held_compare(&h);
}
