/* A system call, for the blob and the mover. */
	.text
/* long blob_syscall(long nr, const uint64_t args[6]) */
	.globl blob_syscall
blob_syscall:
	movq	%rdi, %rax
	movq	%rsi, %r11
	movq	0(%r11), %rdi
	movq	8(%r11), %rsi
	movq	16(%r11), %rdx
	movq	24(%r11), %r10
	movq	32(%r11), %r8
	movq	40(%r11), %r9
	syscall
	ret

	.section .note.GNU-stack, "", @progbits
