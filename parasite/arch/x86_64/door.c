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
	uint64_t base, size;   /* of the arena */
	uint64_t rest, length; /* all of it but the blob */
	uint64_t regs[17];
	uint64_t sigmask;
	uint8_t sahf, overflow, direction, signal;
	uint32_t pad;
	uint64_t unblock; /* that signal, as a mask */
};

extern const char door_map[], door_unmap[], door_call[], door_undo[], door_end[];

/*
 * DATA: the bytes behind the code; the offsets are those of struct door_data. Three ways in, all of which end at the
 * way back. The first two tell how their call ended (rbx) and stop at a signal, which is none when nobody traces: nor
 * is it blocked then, as the program may have it where crtool died too early for its own mask.
 */
__asm__(".section .rodata\n"
        ".balign 16\n"
        "door_map:\n"
        "	syscall\n" /* mmap; if it failed, there is nothing to unmap */
        "	movq	%rax, %rbx\n"
        "	testq	%rax, %rax\n"
        "	js	1f\n"
        "	movq	door_end+32(%rip), %rdi\n"
        "	movq	door_end+40(%rip), %rsi\n"
        "	movl	$3, %edx\n" /* PROT_READ | PROT_WRITE */
        "	movl	$10, %eax\n"
        "	syscall\n" /* mprotect */
        "	movq	%rax, %rbx\n"
        "	leaq	door_undo(%rip), %r14\n"
        "	jmp	2f\n"
        "door_unmap:\n"
        "	syscall\n" /* munmap */
        "	movq	%rax, %rbx\n"
        "1:	leaq	3f(%rip), %r14\n"
        "2:	xorl	%edx, %edx\n"
        "	leal	8(%rdx), %r10d\n"
        "	leal	1(%rdx), %edi\n"  /* SIG_UNBLOCK */
        "	leal	14(%rdx), %eax\n" /* rt_sigprocmask */
        "	leaq	door_end+200(%rip), %rsi\n"
        "	syscall\n"
        "	movl	$39, %eax\n" /* getpid */
        "	syscall\n"
        "	movl	%eax, %edi\n"
        "	movl	$186, %eax\n" /* gettid */
        "	syscall\n"
        "	movl	%eax, %esi\n"
        "	movzbl	door_end+195(%rip), %edx\n"
        "	movl	$234, %eax\n" /* tgkill */
        "	syscall\n"
        "	jmpq	*%r14\n"
        "door_call:\n"
        "	syscall\n" /* any */
        "door_undo:\n"
        "	movq	door_end+16(%rip), %rdi\n"
        "	movq	door_end+24(%rip), %rsi\n"
        "	movl	$11, %eax\n" /* munmap */
        "	syscall\n"
        "3:	xorl	%edx, %edx\n"
        "	leal	8(%rdx), %r10d\n"
        "	leal	2(%rdx), %edi\n"  /* SIG_SETMASK */
        "	leal	14(%rdx), %eax\n" /* rt_sigprocmask */
        "	leaq	door_end+184(%rip), %rsi\n"
        "	syscall\n"
        "	cmpb	$0, door_end+194(%rip)\n"
        "	je	4f\n"
        "	std\n"
        "4:	movb	door_end+193(%rip), %al\n"
        "	addb	$0x7f, %al\n"
        "	movb	door_end+192(%rip), %ah\n"
        "	sahf\n"
        "	movq	door_end+48(%rip), %r15\n"
        "	movq	door_end+56(%rip), %r14\n"
        "	movq	door_end+64(%rip), %r13\n"
        "	movq	door_end+72(%rip), %r12\n"
        "	movq	door_end+80(%rip), %rbp\n"
        "	movq	door_end+88(%rip), %rbx\n"
        "	movq	door_end+96(%rip), %r11\n"
        "	movq	door_end+104(%rip), %r10\n"
        "	movq	door_end+112(%rip), %r9\n"
        "	movq	door_end+120(%rip), %r8\n"
        "	movq	door_end+128(%rip), %rax\n"
        "	movq	door_end+136(%rip), %rcx\n"
        "	movq	door_end+144(%rip), %rdx\n"
        "	movq	door_end+152(%rip), %rsi\n"
        "	movq	door_end+160(%rip), %rdi\n"
        "	movq	door_end+168(%rip), %rsp\n"
        "	jmpq	*door_end+176(%rip)\n"
        "	.balign 8\n"
        "door_end:\n"
        ".previous\n");

_Static_assert(offsetof(struct door_data, base) == 16 && offsetof(struct door_data, rest) == 32 &&
                       offsetof(struct door_data, regs) == 48 &&
                       offsetof(struct door_data, sigmask) == 184 &&
                       offsetof(struct door_data, sahf) == 192 &&
                       offsetof(struct door_data, signal) == 195 &&
                       offsetof(struct door_data, unblock) == 200,
               "the code knows the layout");

static const char magic[16] = "crtool's door 3";

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
	       !memcmp(place + (door_end - door_map), magic, sizeof(magic));
}

uint64_t arch_door(uint64_t door, enum arch_door way)
{
	const char *const ways[] = { [DOOR_MAP] = door_map,
		                     [DOOR_UNMAP] = door_unmap,
		                     [DOOR_CALL] = door_call,
		                     [DOOR_UNDO] = door_undo };

	return door + (uint64_t)(ways[way] - door_map);
}

int64_t arch_door_result(const struct arch_regs *regs)
{
	return (int64_t)regs->gp.rbx;
}

void arch_door_build(char buf[ARCH_DOOR_SIZE], const struct arch_leave *leave,
                     const struct arch_door_of *of)
{
	const struct user_regs_struct *gp = &leave->gp;
	size_t code = (size_t)(door_end - door_map);
	uint64_t flags = gp->eflags;
	struct door_data data = {
		.base = of->base,
		.size = of->size,
		.rest = of->base + of->blob,
		.length = of->size - of->blob,
		.regs = { gp->r15, gp->r14, gp->r13, gp->r12, gp->rbp, gp->rbx, gp->r11, gp->r10,
		          gp->r9, gp->r8, gp->rax, gp->rcx, gp->rdx, gp->rsi, gp->rdi, gp->rsp,
		          gp->rip },
		.sigmask = leave->sigmask,
		.sahf = (uint8_t)flags,
		.overflow = !!(flags & FLAG_OVERFLOW),
		.direction = !!(flags & FLAG_DIRECTION),
		.signal = (uint8_t)of->signal,
		.unblock = of->signal ? UINT64_C(1) << (of->signal - 1) : 0,
	};

	assert(code + sizeof(data) <= ARCH_DOOR_SIZE);
	memcpy(data.magic, magic, sizeof(magic));
	memset(buf, 0, ARCH_DOOR_SIZE);
	memcpy(buf, door_map, code);
	memcpy(buf + code, &data, sizeof(data));
}
