/* SPDX-License-Identifier: GPL-2.0-only */
	.section .rodata
	.balign	16
	.globl	remote_blob, remote_blob_end
remote_blob:
	.incbin	"blob.bin"
remote_blob_end:
	.section .note.GNU-stack, "", @progbits
