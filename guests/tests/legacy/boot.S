/* Multiboot entry, interrupt stubs, ring 3, virtual-8086 mode: the assembly of the legacy tests. */
	.set MAGIC, 0x1badb002
	.set FLAGS, 0x3

	.section .multiboot, "a"
	.balign 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.globl _start
_start:
	cli
	cld
	mov $stack_end, %esp
	mov %ebx, multiboot_info
	call guest_main
1:	cli
	hlt
	jmp 1b

	.balign 16
	.globl interrupt_stubs
interrupt_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17)
	.else
	push $0
	.endif
	push $vector
	jmp interrupt_common
	.set vector, vector + 1
	.endr

interrupt_common:
	pusha
	push %ds
	push %es
	push %fs
	push %gs
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	cld
	mov %esp, %eax
	push %eax
	call handle_interrupt               /* answers the frame to go on with */
	mov %eax, %esp
	pop %gs
	pop %fs
	pop %es
	pop %ds
	popa
	add $8, %esp
	iret

/* u32 enter(u32 ss, u32 esp, u32 eflags, u32 cs, u32 eip, u32 eax, const u32 *v86_segments):
   IRET to another ring or, with VM in EFLAGS, to virtual-8086 mode; comes back by leave_ring through handle_interrupt. */
	.globl enter, leave_ring
enter:
	push %ebx
	push %esi
	push %edi
	push %ebp
	mov %esp, saved_stack
	lea -512(%esp), %eax                /* gates must not overwrite this frame */
	mov %eax, tss + 4
	lea 20(%esp), %ebp                  /* the first argument */
	testl $0x20000, 8(%ebp)
	jz 1f
	mov 24(%ebp), %eax
	push 12(%eax)                       /* GS */
	push 8(%eax)
	push 4(%eax)
	push 0(%eax)                        /* ES */
1:	push 0(%ebp)
	push 4(%ebp)
	push 8(%ebp)
	push 12(%ebp)
	push 16(%ebp)
	mov 20(%ebp), %eax
	testl $0x20000, 8(%ebp)
	jnz 2f
	mov 0(%ebp), %ecx                   /* the ring's data segment is its stack segment */
	mov %ecx, %ds
	mov %ecx, %es
2:	iret
leave_ring:                                 /* EAX is the answer */
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	pop %ebp
	pop %edi
	pop %esi
	pop %ebx
	ret

	.globl user_start
user_start:                                 /* ring 3: calls EAX with the argument in ECX's place on its stack */
	call *%eax
	int $0x81
	ud2

/* Far-call targets: note what they find. */
	.globl gate_target, gate_target_2, gate_seen
gate_target:
	mov %cs, gate_seen
	mov %ss, gate_seen + 4
	mov %esp, gate_seen + 8
	mov (%esp), %eax
	mov %eax, gate_seen + 12
	mov 4(%esp), %eax
	mov %eax, gate_seen + 16
	mov 8(%esp), %eax
	mov %eax, gate_seen + 20
	mov 12(%esp), %eax
	mov %eax, gate_seen + 24
	lret
gate_target_2:                              /* with two parameters */
	mov 8(%esp), %eax
	mov %eax, gate_seen
	mov 12(%esp), %eax
	mov %eax, gate_seen + 4
	mov 16(%esp), %eax                  /* the caller's ESP */
	mov %eax, gate_seen + 8
	mov 20(%esp), %eax
	mov %eax, gate_seen + 12
	lret $8

/* void real_mode(u32 offset): runs 16-bit code of code16.S, copied to 2000:0000, in real mode (far return brings it back). */
	.globl real_mode
real_mode:
	pusha
	mov 36(%esp), %eax
	mov %esp, saved_stack
	mov %cr0, %edx
	mov %edx, saved_cr0
	lidt real_idtr
	ljmp $0x38, $0                     /* to_real is the first routine there */
	.globl back_from_real
back_from_real:
	mov $0x10, %edx
	mov %edx, %ds
	mov %edx, %es
	mov %edx, %ss
	xor %edx, %edx
	mov %edx, %fs
	mov %edx, %gs
	mov saved_stack, %esp
	mov saved_cr0, %edx
	mov %edx, %cr0
	lidt protected_idtr
	popa
	ret

	.data
	.balign 4
	.globl multiboot_info, saved_stack, protected_idtr
multiboot_info:
	.long 0
saved_stack:
	.long 0
saved_cr0:
	.long 0
gate_seen:
	.skip 32
real_idtr:
	.word 0x3ff
	.long 0
protected_idtr:
	.word 0x7ff
	.long idt

	.bss
	.balign 4096
	.skip 16384
stack_end:
	.skip 8192
	.globl user_stack_end
user_stack_end:
