/* The finished blob as bytes in crtool. */
	.section .rodata
	.globl blob_start, blob_end
	.balign 16
blob_start:
	.incbin "blob.bin"
blob_end:
	.section .note.GNU-stack, "", @progbits
