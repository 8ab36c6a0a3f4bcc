/*
 * The 32-bit guest: runs at 0x10000 of 16 MiB, entered in protected mode without paging (vmm.c). It switches PAE paging on,
 * later 32-bit paging instead, calls a task, and goes to privilege level 3 and back by SYSEXIT and SYSENTER. EAX at the
 * end counts the events, a byte each: #UD, #PF, SYSENTER, task switches there.
 */
	.set ENTRY, 0x10000
	.set COM1, 0x3f8
	.set DIAGNOSTIC_PORT, 0x80

	.set PDPT, 0x2000
	.set LOW_DIRECTORY, 0x3000
	.set MMIO_DIRECTORY, 0x4000
	.set DIRECTORY, 0x5000        /* of 4-MiB pages */
	.set STACK, 0x8ff0
	.set USER_STACK, 0x7ff0
	.set IDT, 0x9000
	.set CALLING, 0xb000          /* task state segments */
	.set CALLED, 0xb100
	.set COUNTS, 0xc000
	.set TASK_STACK, 0xdff0
	.set MMIO_PAGE, 0xd0000000

	.set CODE, 0x08
	.set DATA, 0x10
	.set USER_DATA, 0x23
	.set CALLING_TASK, 0x28
	.set CALLED_TASK, 0x30

	.set PRESENT_WRITABLE_USER_LARGE, 0x87
	.set PAE, 1 << 5
	.set PSE, 1 << 4
	.set PG, 1 << 31

	.macro gate vector, handler
	movl $(CODE << 16 | ((ENTRY + \handler - guest32_start) & 0xffff)), IDT + 8 * \vector
	movl $(ENTRY + 0x8e00), IDT + 8 * \vector + 4
	.endm
	.macro model_specific register, value
	mov $\register, %ecx
	mov $\value, %eax
	xor %edx, %edx
	wrmsr
	.endm

	.section .rodata
	.globl guest32_start, guest32_end
	.code32
guest32_start:
	mov $STACK, %esp
	lgdt ENTRY + gdtr - guest32_start
	lidt ENTRY + idtr - guest32_start
	ljmp $CODE, $(ENTRY + 0f - guest32_start)
0:	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss

	mov $(ENTRY + message - guest32_start), %esi
	mov $COM1, %edx
1:	lodsb
	test %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b

2:	movl $(LOW_DIRECTORY | 1), PDPT
	movl $(MMIO_DIRECTORY | 1), PDPT + 8 * (MMIO_PAGE >> 30)
	mov $PRESENT_WRITABLE_USER_LARGE, %eax
	mov $LOW_DIRECTORY, %edi
3:	mov %eax, (%edi)
	add $(2 << 20), %eax
	add $8, %edi
	cmp $(16 << 20), %eax
	jb 3b
	movl $(MMIO_PAGE | PRESENT_WRITABLE_USER_LARGE), MMIO_DIRECTORY + 8 * (MMIO_PAGE >> 21 & 511)
	mov %cr4, %eax
	or $PAE, %eax
	mov %eax, %cr4
	mov $PDPT, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $PG, %eax
	mov %eax, %cr0

	mov $0xc0000080, %ecx         /* EFER */
	rdmsr
	or $0x800, %eax               /* NXE */
	wrmsr
	mov $0x10, %ecx               /* TSC */
	rdmsr
	mov $0x277, %ecx              /* PAT */
	rdmsr
	wrmsr
	mov %cr3, %eax
	mov %eax, %cr3
	invlpg 0x5000

	mov $100, %ebx                /* 100 fresh pages: nested page faults, or #PF of shadow paging */
	mov $0x200000, %edi
4:	mov %ebx, (%edi)
	add $4096, %edi
	dec %ebx
	jnz 4b

	mov $MMIO_PAGE, %edi
	movl $0x12345678, (%edi)      /* MMIO write */
	mov 8(%edi), %eax             /* MMIO read */

	mov $10, %esi
5:	mov $0x40000000, %eax
	cpuid
	dec %esi
	jnz 5b

	mov $200, %ebx
6:	outb %al, $DIAGNOSTIC_PORT
	dec %ebx
	jnz 6b

	gate 6, on_invalid_opcode
	gate 14, on_page_fault
	ud2
	mov 0x40000000, %ebx          /* six bytes; no translation: #PF */

	movl $PDPT, CALLING + 0x1c    /* a task switch does not save CR3 */
	movl $PDPT, CALLED + 0x1c
	movl $(ENTRY + task - guest32_start), CALLED + 0x20
	movl $2, CALLED + 0x24
	movl $TASK_STACK, CALLED + 0x38
	movl $DATA, CALLED + 0x48
	movl $CODE, CALLED + 0x4c
	movl $DATA, CALLED + 0x50
	movl $DATA, CALLED + 0x54
	movl $0x680000, CALLED + 0x64
	mov $CALLING_TASK, %eax
	ltr %ax
	lcall $CALLED_TASK, $0
	lcall $CALLED_TASK, $0

	model_specific 0x174, CODE    /* SYSENTER's CS, ESP, EIP */
	model_specific 0x175, STACK
	model_specific 0x176, (ENTRY + entered - guest32_start)
	mov $10, %ebx
7:	mov $USER_STACK, %ecx
	mov $(ENTRY + user - guest32_start), %edx
	sysexit
user:	mov $USER_DATA, %eax
	mov %eax, %es
	sysenter
	ud2
entered:
	incb COUNTS + 1
	dec %ebx
	jnz 7b

	mov %cr0, %eax                /* 32-bit paging with 4-MiB pages */
	and $~PG, %eax
	mov %eax, %cr0
	mov $PRESENT_WRITABLE_USER_LARGE, %eax
	mov $DIRECTORY, %edi
8:	mov %eax, (%edi)
	add $(4 << 20), %eax
	add $4, %edi
	cmp $(16 << 20), %eax
	jb 8b
	movl $(MMIO_PAGE | PRESENT_WRITABLE_USER_LARGE), DIRECTORY + 4 * (MMIO_PAGE >> 22)
	mov %cr4, %eax
	and $~PAE, %eax
	or $PSE, %eax
	mov %eax, %cr4
	mov $DIRECTORY, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $PG, %eax
	mov %eax, %cr0
	mov $100, %ebx
	mov $0x800000, %edi
9:	mov %ebx, (%edi)
	add $4096, %edi
	dec %ebx
	jnz 9b
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	movw $0xbeef, MMIO_PAGE + 0x10
	ud2
	mov 0x40000000, %ebx
	mov COUNTS, %eax
	hlt
	jmp .

on_invalid_opcode:
	incb COUNTS + 3
	addl $2, (%esp)
	iret
on_page_fault:
	incb COUNTS + 2
	add $4, %esp
	addl $6, (%esp)
	iret
task:	incb COUNTS
	iret
	jmp task

message:
	.asciz "hello from L2 protected mode\n"
	.balign 8, 0x90
gdt:	.quad 0
	.quad 0x00cf9b000000ffff      /* code and data of level 0, code and data of level 3 */
	.quad 0x00cf93000000ffff
	.quad 0x00cffb000000ffff
	.quad 0x00cff3000000ffff
	.quad 0x00008900b0000067      /* CALLING */
	.quad 0x00008900b1000067      /* CALLED */
gdtr:	.word gdtr - gdt - 1
	.long ENTRY + gdt - guest32_start
idtr:	.word 0x7ff
	.long IDT
guest32_end:
	.section .note.GNU-stack,"",@progbits
