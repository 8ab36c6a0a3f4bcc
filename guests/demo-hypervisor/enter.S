#include "guest_registers.h"

/*
 * void enter_guest(struct guest_registers *registers, struct vmcb *guest, struct vmcb *host)
 * Runs the guest until its next #VMEXIT. Called with IF clear; GIF is clear from before VMRUN until the host's own segment
 * state is back. IF is set across VMRUN, since with V_INTR_MASKING it is what lets physical interrupts end the guest's run.
 */
	.text
	.globl enter_guest
enter_guest:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdx
	push %rsi
	push %rdi

	clgi
	sti
	mov %rsi, %rax
	push %rax
	vmload
	load_guest_registers
	vmrun
	pop %rax
	vmsave
	mov (%rsp), %rax                    /* registers */
	store_guest_registers
	pop %rdi
	pop %rsi
	pop %rax                            /* host */
	vmload
	cli
	stgi

	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.section .rodata
	.globl guest_image, guest_image_end
	.balign 8
guest_image:
	.incbin GUEST_IMAGE
guest_image_end:
