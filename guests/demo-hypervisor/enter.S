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
	mov 0(%rdi), %rbx
	mov 8(%rdi), %rcx
	mov 16(%rdi), %rdx
	mov 24(%rdi), %rsi
	mov 40(%rdi), %rbp
	mov 48(%rdi), %r8
	mov 56(%rdi), %r9
	mov 64(%rdi), %r10
	mov 72(%rdi), %r11
	mov 80(%rdi), %r12
	mov 88(%rdi), %r13
	mov 96(%rdi), %r14
	mov 104(%rdi), %r15
	mov 32(%rdi), %rdi
	vmrun
	pop %rax
	vmsave
	mov (%rsp), %rax                    /* registers */
	mov %rbx, 0(%rax)
	mov %rcx, 8(%rax)
	mov %rdx, 16(%rax)
	mov %rsi, 24(%rax)
	mov %rdi, 32(%rax)
	mov %rbp, 40(%rax)
	mov %r8, 48(%rax)
	mov %r9, 56(%rax)
	mov %r10, 64(%rax)
	mov %r11, 72(%rax)
	mov %r12, 80(%rax)
	mov %r13, 88(%rax)
	mov %r14, 96(%rax)
	mov %r15, 104(%rax)
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
