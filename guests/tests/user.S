/* Ring 3 and back: u64 enter_user_mode(function, argument, rflags). */
	.text
	.globl enter_user_mode, user_return
enter_user_mode:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, user_saved_stack
	/* what comes in through a gate must not overwrite this function's frame */
	lea -256(%rsp), %rax
	and $-16, %rax
	mov %rax, tss + 4
	mov %rdi, %rax
	mov %rsi, %rdi
	push $0x1b                          /* SS: user data */
	push $user_stack_end - 8
	push %rdx
	push $0x23                          /* CS: user code */
	push $user_start
	iretq
user_start:
	call *%rax
	int $0x81
	ud2

user_return:
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.bss
	.balign 16
	.globl user_saved_stack, user_stack_end
user_saved_stack:
	.skip 16
	.skip 8192
user_stack_end:
