/*
 * The blob's first instruction, its way out, and what C cannot say.
 * Offsets are those of struct arch_leave, which begins with struct user_regs_struct.
 */
#define R15 0
#define R14 8
#define R13 16
#define R12 24
#define RBP 32
#define RBX 40
#define R11 48
#define R10 56
#define R9  64
#define R8  72
#define RAX 80
#define RCX 88
#define RDX 96
#define RSI 104
#define RDI 112
#define RIP 128
#define CS  136
#define EFLAGS 144
#define RSP 152
#define SS  160
#define SIGMASK 216
#define DOOR 224

	.section .text.entry, "ax"
	.globl blob_entry
/* rdi: struct script_head *; rsp: top of the stack of this script */
blob_entry:
	andq	$-16, %rsp
	call	blob_main
	/*
	 * rax: struct arch_leave *. Signals come as soon as the mask is set: they
	 * must find the stack of the thread, and overwrite nothing of ours.
	 */
	cmpq	$0, DOOR(%rax)
	jne	4f
	pushq	SS(%rax)
	pushq	RSP(%rax)
	pushq	EFLAGS(%rax)
	pushq	CS(%rax)
	pushq	RIP(%rax)
	movq	%rsp, %rbp	/* an iret frame */
	movq	%rax, %rbx
	movq	RSP(%rbx), %rsp
	movl	$14, %eax	/* rt_sigprocmask(SIG_SETMASK, ...) */
	movl	$2, %edi
	leaq	SIGMASK(%rbx), %rsi
	xorl	%edx, %edx
	movl	$8, %r10d
	syscall
	movq	%rbx, %rax
	movq	R15(%rax), %r15
	movq	R14(%rax), %r14
	movq	R13(%rax), %r13
	movq	R12(%rax), %r12
	movq	RBX(%rax), %rbx
	movq	R11(%rax), %r11
	movq	R10(%rax), %r10
	movq	R9(%rax), %r9
	movq	R8(%rax), %r8
	movq	RCX(%rax), %rcx
	movq	RDX(%rax), %rdx
	movq	RSI(%rax), %rsi
	movq	RDI(%rax), %rdi
	movq	%rbp, %rsp
	movq	RBP(%rax), %rbp
	movq	RAX(%rax), %rax
	iretq
4:	movq	RSP(%rax), %rsp
	jmpq	*DOOR(%rax)

	.text
/*
 * long blob_clone(struct clone_args *args, size_t size, struct script_head *child):
 * the child starts its own script on the stack that args names.
 */
	.globl blob_clone
blob_clone:
	movq	%rdx, %r8
	movl	$435, %eax	/* clone3 */
	syscall
	testq	%rax, %rax
	jz	1f
	ret
1:	movq	%r8, %rdi
	jmp	blob_entry

/* void blob_touch(uint64_t xfeatures): the first tile instruction makes the kernel allocate AMX state */
	.globl blob_touch
blob_touch:
	testl	$0x60000, %edi
	jz	2f
	leaq	-72(%rsp), %rax
	xorl	%edx, %edx
	movl	$8, %ecx
3:	movq	%rdx, -8(%rax,%rcx,8)
	decl	%ecx
	jnz	3b
	movb	$1, (%rax)	/* palette 1 */
	movb	$64, 16(%rax)	/* tmm0: 64 bytes a row ... */
	movb	$1, 48(%rax)	/* ... one row */
	ldtilecfg (%rax)
	tilezero %tmm0
	tilerelease
2:	ret

	.section .note.GNU-stack, "", @progbits
