/* The finished movers as bytes in crtool: for any CPU, and for one with AVX2. */
	.section .rodata
	.globl mover_plain, mover_plain_end, mover_fast, mover_fast_end
	.balign 16
mover_plain:
	.incbin "mover_plain.bin"
mover_plain_end:
	.balign 16
mover_fast:
	.incbin "mover_fast.bin"
mover_fast_end:
	.section .note.GNU-stack, "", @progbits
