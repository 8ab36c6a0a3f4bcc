/* The switch into the guest and back, the guest's interrupt handlers, and a place to come back to from a test that went wrong. */
#include "guest_registers.h"

	.text
/*
 * void enter(struct vmcb *guest, struct guest_registers *registers, struct vmcb *host)
 * Called with IF clear. GIF is clear from before VMRUN until the host's own state is back; IF is set across VMRUN, since with
 * V_INTR_MASKING it is what lets physical interrupts end the guest's run.
 */
	.globl enter
enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdx
	push %rdi
	push %rsi
	clgi
	sti
	mov %rdi, %rax
	vmload
	mov %rsi, %rdi
	load_guest_registers
	vmrun
	mov (%rsp), %rax                    /* registers */
	store_guest_registers
	pop %rsi
	pop %rax                            /* guest */
	vmsave
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

/* int mark_place(void): 0 at first, 1 when return_to_place comes back. */
	.globl mark_place, return_to_place
mark_place:
	pop %rdx
	mov %rsp, place
	mov %rdx, place + 8
	mov %rbx, place + 16
	mov %rbp, place + 24
	mov %r12, place + 32
	mov %r13, place + 40
	mov %r14, place + 48
	mov %r15, place + 56
	xor %eax, %eax
	jmp *%rdx
return_to_place:
	mov place, %rsp
	mov place + 16, %rbx
	mov place + 24, %rbp
	mov place + 32, %r12
	mov place + 40, %r13
	mov place + 48, %r14
	mov place + 56, %r15
	mov $1, %eax
	jmp *place + 8

	.bss
	.balign 8
place:
	.skip 64

/* The guest's handlers of all 256 vectors, 16 bytes each: they say which one it is and leave. */
	.text
	.balign 16
	.globl guest_stubs, guest_stubs32, guest_stubs16, guest_stubs16_end
guest_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	movl $vector, guest_vector
	vmmcall
	.set vector, vector + 1
	.endr
	.code32
	.balign 16
guest_stubs32:
	.set vector, 0
	.rept 256
	.balign 16
	movl $vector, guest_vector
	vmmcall
	.set vector, vector + 1
	.endr
/* For real mode they are copied to low memory and leave the vector in DX. */
	.code16
	.balign 8
guest_stubs16:
	.set vector, 0
	.rept 256
	.balign 8
	mov $vector, %dx
	vmmcall
	.set vector, vector + 1
	.endr
guest_stubs16_end:
	.code64
