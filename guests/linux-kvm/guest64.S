/* The long-mode guest: position independent, entered in 64-bit mode with paging on (vmm.c, prepare_long_mode). */
	.set COM1, 0x3f8

	.section .rodata
	.globl guest64_start, guest64_end, guest64_invalid_opcode, guest64_page_fault
	.code64
guest64_start:
	mov $0x8ff0, %esp
	lea message(%rip), %rsi
	mov $COM1, %dx
1:	lodsb
	test %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b

2:	mov $0xc0000080, %ecx         /* EFER */
	rdmsr
	mov $0x10, %ecx               /* TSC */
	rdmsr
	mov $0x277, %ecx              /* PAT */
	rdmsr
	wrmsr
	mov %cr0, %rax
	mov %cr4, %rax
	or $0x200, %rax               /* OSFXSR */
	mov %rax, %cr4
	mov %cr3, %rax
	mov %rax, %cr3
	invlpg 0x5000

	mov $100, %ebx                /* 100 fresh pages: nested page faults, or #PF of shadow paging */
	mov $0x200000, %edi
3:	mov %rbx, (%rdi)
	add $4096, %rdi
	dec %ebx
	jnz 3b

	mov $0xd0000000, %edi
	movl $0x12345678, (%rdi)      /* MMIO write */
	mov 8(%rdi), %eax             /* MMIO read */

	mov $10, %r8d
4:	mov $0x40000000, %eax
	cpuid
	dec %r8d
	jnz 4b

	mov $1000, %ebx
5:	mov $'.', %al
	mov $0x80, %dx
	outb %al, %dx
	dec %ebx
	jnz 5b

	lidt idtr(%rip)               /* exceptions delivered inside the guest */
	ud2
	movabs $0x7ff0000000, %rdi
	mov (%rdi), %rax              /* no translation: #PF */
	hlt
	jmp .

guest64_invalid_opcode:
	addq $2, (%rsp)
	iretq
guest64_page_fault:
	add $8, %rsp
	addq $3, (%rsp)
	iretq

message:
	.asciz "hello from L2 long mode\n"
	.balign 16, 0x90
idtr:	.word 0xfff
	.quad 0x9000
guest64_end:
	.section .note.GNU-stack,"",@progbits
