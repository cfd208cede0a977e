/* The mover's entries, at the offsets that parasite/mover.h says. */
	.section .text.entry, "ax"
	.globl mover_entry
/* rdi: struct mover_desk *; rsp: top of its stack */
mover_entry:
	andq	$-16, %rsp
	call	mover_write
	.balign 16
	jmp	mover_sum
	.balign 16
	jmp	mover_read

	.text
/* What compilers call: void *memcpy(void *to, const void *from, size_t n), void *memset(void *at, int c, size_t n) */
	.globl memcpy, memset
memcpy:
	movq	%rdi, %rax
	movq	%rdx, %rcx
	rep movsb
	ret
memset:
	movq	%rdi, %r8
	movl	%esi, %eax
	movq	%rdx, %rcx
	rep stosb
	movq	%r8, %rax
	ret

	.section .note.GNU-stack, "", @progbits
