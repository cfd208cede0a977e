/*
 * The door: a few instructions and the registers of one thread, written into
 * the unused end of the program's own vDSO, where every program has executable
 * memory that nobody needs. A thread makes the calls that map and unmap the
 * arena there, and whatever becomes of its tracer, it comes out of them as it
 * was: behind each call lies the way back.
 *
 * The page becomes a private copy; the bytes are zeros again after the dump. The
 * code has no stack of its own, so that a signal finds the thread's own stack,
 * and writes nothing. Flags: what arithmetic leaves (sahf, and an addition for
 * the overflow flag) and the direction flag; programs with others (TF, AC)
 * lose them if crtool dies here.
 */
#include "parasite/arch/x86_64/arch.h"

#include <assert.h>
#include <string.h>

#define FLAG_DIRECTION (1u << 10)
#define FLAG_OVERFLOW  (1u << 11)

struct door_data {
	char magic[16];
	uint64_t base, size; /* of the arena */
	struct user_regs_struct gp;
	uint64_t sigmask;
	uint8_t sahf, overflow, direction;
};

extern const char door_code[], door_undo[], door_end[];

/* DATA: the bytes behind the code; the offsets are those of struct door_data. */
__asm__(".section .rodata\n"
        ".balign 16\n"
        "door_code:\n"
        "	syscall\n" /* mmap or mprotect; if it failed, there is nothing to unmap */
        "	testq	%rax, %rax\n"
        "	js	1f\n"
        "door_undo:\n"
        "	movq	door_end+16(%rip), %rdi\n"
        "	movq	door_end+24(%rip), %rsi\n"
        "	movl	$11, %eax\n" /* munmap */
        "	syscall\n"
        "1:	movl	$14, %eax\n" /* rt_sigprocmask */
        "	movl	$2, %edi\n"  /* SIG_SETMASK */
        "	leaq	door_end+32+216(%rip), %rsi\n"
        "	xorl	%edx, %edx\n"
        "	movl	$8, %r10d\n"
        "	syscall\n"
        "	cmpb	$0, door_end+32+226(%rip)\n"
        "	je	2f\n"
        "	std\n"
        "2:	movb	door_end+32+225(%rip), %al\n"
        "	addb	$0x7f, %al\n"
        "	movb	door_end+32+224(%rip), %ah\n"
        "	sahf\n"
        "	movq	door_end+32+0(%rip), %r15\n"
        "	movq	door_end+32+8(%rip), %r14\n"
        "	movq	door_end+32+16(%rip), %r13\n"
        "	movq	door_end+32+24(%rip), %r12\n"
        "	movq	door_end+32+32(%rip), %rbp\n"
        "	movq	door_end+32+40(%rip), %rbx\n"
        "	movq	door_end+32+48(%rip), %r11\n"
        "	movq	door_end+32+56(%rip), %r10\n"
        "	movq	door_end+32+64(%rip), %r9\n"
        "	movq	door_end+32+72(%rip), %r8\n"
        "	movq	door_end+32+80(%rip), %rax\n"
        "	movq	door_end+32+88(%rip), %rcx\n"
        "	movq	door_end+32+96(%rip), %rdx\n"
        "	movq	door_end+32+104(%rip), %rsi\n"
        "	movq	door_end+32+112(%rip), %rdi\n"
        "	movq	door_end+32+152(%rip), %rsp\n"
        "	jmpq	*door_end+32+128(%rip)\n"
        "	.balign 8\n"
        "door_end:\n"
        ".previous\n");

_Static_assert(offsetof(struct door_data, base) == 16 && offsetof(struct door_data, gp) == 32 &&
                       offsetof(struct door_data, sigmask) == 32 + 216 &&
                       offsetof(struct door_data, sahf) == 32 + 224,
               "the code knows the layout");

static const char magic[16] = "crtool's door 1";

bool arch_door_place(const void *code, size_t size, size_t *ret_offset)
{
	static const char zeros[ARCH_DOOR_SIZE];
	const char *place;
	size_t at;

	if (size < ARCH_DOOR_SIZE)
		return false;
	at = size - ARCH_DOOR_SIZE;
	place = (const char *)code + at;
	*ret_offset = at;
	/* Zeros; or what a crtool left that was killed. */
	return !memcmp(place, zeros, sizeof(zeros)) ||
	       !memcmp(place + (door_end - door_code), magic, sizeof(magic));
}

uint64_t arch_door_undo(uint64_t door)
{
	return door + (uint64_t)(door_undo - door_code);
}

void arch_door_build(char buf[ARCH_DOOR_SIZE], const struct arch_leave *leave, uint64_t base,
                     uint64_t size)
{
	size_t code = (size_t)(door_end - door_code);
	uint64_t flags = leave->gp.eflags;
	struct door_data data = {
		.base = base,
		.size = size,
		.gp = leave->gp,
		.sigmask = leave->sigmask,
		.sahf = (uint8_t)flags,
		.overflow = !!(flags & FLAG_OVERFLOW),
		.direction = !!(flags & FLAG_DIRECTION),
	};

	assert(code + sizeof(data) <= ARCH_DOOR_SIZE);
	memcpy(data.magic, magic, sizeof(magic));
	memset(buf, 0, ARCH_DOOR_SIZE);
	memcpy(buf, door_code, code);
	memcpy(buf + code, &data, sizeof(data));
}
