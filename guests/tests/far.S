/* Code that C cannot be: targets of far transfers, compatibility mode. */
	.text
	.code64
	.globl gate_target, gate_seen, user_far_call, user_far_pointer
/* The target of a call gate: notes CS, SS and the stack as it found them, returns to the caller. */
gate_target:
	mov %cs, gate_seen
	mov %ss, gate_seen + 8
	mov %rsp, gate_seen + 16
	mov 8(%rsp), %rax
	mov %rax, gate_seen + 24            /* the caller's CS */
	mov 24(%rsp), %rax
	mov %rax, gate_seen + 32            /* the caller's SS */
	lretq

/* The target of a far call without a gate, which pushes four bytes each. */
	.globl conforming_target
conforming_target:
	mov %cs, gate_seen
	lretl

/* u64 user_far_call(u64): calls through user_far_pointer; answers 0x77 */
user_far_call:
	lcall *user_far_pointer             /* AMD has 16:32 pointers only, whatever REX.W says */
	mov $0x77, %eax
	ret

/* u64 in_compatibility_mode(u32 target): calls 32-bit code at ring 0, answers its EAX */
	.globl in_compatibility_mode
in_compatibility_mode:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %edi, compatibility_pointer
	movw $0x38, compatibility_pointer + 4
	mov $0xffffffffffffffff, %rbx
	lcall *compatibility_pointer
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.code32
	.globl compatibility_inc, compatibility_wrap, compatibility_push, compatibility_pusha, compatibility_segment_base, compatibility_sahf
compatibility_inc:                          /* 40 is INC here, REX in 64-bit mode */
	mov $41, %eax
	.byte 0x40
	lretl
compatibility_wrap:                         /* addresses are cut to 32 bits */
	mov $0xfffffffc, %ecx
	mov $compatibility_value, %edx
	add $4, %edx
	mov (%ecx, %edx), %eax
	lretl
compatibility_push:                         /* four bytes a push */
	mov %esp, %eax
	push %ebx
	sub %esp, %eax
	add $4, %esp
	lretl
compatibility_pusha:
	mov %esp, %ecx
	pusha
	sub %esp, %ecx
	mov %ecx, 28(%esp)                  /* EAX */
	popa
	lretl
compatibility_segment_base:                 /* segments have bases again: FS is loaded by the caller */
	mov %fs:0, %eax
	lretl
compatibility_sahf:
	stc
	lahf
	movzbl %ah, %eax
	lretl
	.code64

	.data
	.balign 16
compatibility_pointer:
	.long 0
	.word 0
	.balign 16
	.globl compatibility_value
compatibility_value:
	.long 0xcafe
user_far_pointer:
	.long 0
	.word 0
	.balign 16
gate_seen:
	.skip 40
