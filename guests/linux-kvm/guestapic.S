/*
 * Two processors of a long-mode guest and their local APICs, entered in 64-bit mode with paging on (vmm.c): RDI is the
 * number of the processor. The first sends IPIs to itself and to the second, which answers; the timer interrupts once;
 * then the first sends more IPIs to itself in x2APIC mode.
 */
	.set COM1, 0x3f8
	.set END_PORT, 0xf4
	.set COUNTS, 0xa000           /* of interrupts: to oneself, asking, answering, of the timer, in x2APIC mode */

	.set APIC_TASK_PRIORITY, 0x80
	.set APIC_EOI, 0xb0
	.set APIC_LOGICAL_DESTINATION, 0xd0
	.set APIC_DESTINATION_FORMAT, 0xe0
	.set APIC_SPURIOUS, 0xf0
	.set APIC_ICR, 0x300
	.set APIC_ICR_HIGH, 0x310
	.set APIC_TIMER, 0x320
	.set APIC_TIMER_INITIAL, 0x380
	.set APIC_TIMER_CURRENT, 0x390
	.set APIC_TIMER_DIVIDE, 0x3e0

	.set APIC_BASE, 0x1b
	.set APIC_BASE_EXTD, 1 << 10
	.set X2APIC_EOI, 0x80b
	.set X2APIC_ICR, 0x830

	.set TO_ONESELF, 0x41
	.set ASKING, 0x42
	.set ANSWERING, 0x43
	.set END, 0x44
	.set TIMER, 0x45
	.set BY_MSR, 0x46

	.section .rodata
	.globl guestapic_start, guestapic_end
	.globl guestapic_to_oneself, guestapic_asking, guestapic_answering, guestapic_ending, guestapic_timer
	.globl guestapic_by_msr
	.code64
guestapic_start:
	lidt idtr(%rip)
	mov $0xfee00000, %ebx
	movl $0x1ff, APIC_SPURIOUS(%rbx)
	movl $0xffffffff, APIC_DESTINATION_FORMAT(%rbx)
	lea 1(%rdi), %eax             /* logical ids 1 and 2 */
	shl $24, %eax
	mov %eax, APIC_LOGICAL_DESTINATION(%rbx)
	test %edi, %edi
	jz first
1:	sti                           /* the second only answers */
	hlt
	jmp 1b

	.macro await count, wanted    /* halts until so many interrupts of a kind have come */
.Lagain\@:
	cli
	cmp \wanted, COUNTS + 4 * \count
	je .Lcome\@
	sti
	hlt
	jmp .Lagain\@
.Lcome\@:
	sti
	.endm

first:	movl $0x50, APIC_TASK_PRIORITY(%rbx)
	mov APIC_TASK_PRIORITY(%rbx), %r8d
	movl $0, APIC_TASK_PRIORITY(%rbx)
	sti
	mov $1, %ecx
2:	movl $1 << 18 | TO_ONESELF, APIC_ICR(%rbx)
3:	cmp %ecx, COUNTS
	jne 3b
	inc %ecx
	cmp $100, %ecx
	jbe 2b

	movl $1 << 24, APIC_ICR_HIGH(%rbx)
	mov $1, %ecx
4:	movl $ASKING, APIC_ICR(%rbx)
	await 2, %ecx
	inc %ecx
	cmp $100, %ecx
	jbe 4b

	movl $2 << 24, APIC_ICR_HIGH(%rbx)
5:	movl $1 << 11 | ASKING, APIC_ICR(%rbx) /* by logical id */
	await 2, %ecx
	inc %ecx
	cmp $120, %ecx
	jbe 5b

	movl $0xb, APIC_TIMER_DIVIDE(%rbx)
	movl $TIMER, APIC_TIMER(%rbx)
	movl $100000, APIC_TIMER_INITIAL(%rbx)
	mov APIC_TIMER_CURRENT(%rbx), %r9d
	mov $1, %ecx
	await 3, %ecx

	movl $1 << 24, APIC_ICR_HIGH(%rbx)
	movl $END, APIC_ICR(%rbx)     /* of the second */

	mov $APIC_BASE, %ecx
	rdmsr
	or $APIC_BASE_EXTD, %eax
	wrmsr
	mov $1, %r10d
6:	mov $X2APIC_ICR, %ecx
	mov $1 << 18 | BY_MSR, %eax
	xor %edx, %edx
	wrmsr
7:	cmp %r10d, COUNTS + 4 * 4
	jne 7b
	inc %r10d
	cmp $100, %r10d
	jbe 6b

	lea message(%rip), %rsi
	mov $COM1, %dx
8:	lodsb
	test %al, %al
	jz guestapic_ending
	outb %al, %dx
	jmp 8b
guestapic_ending:
	mov $END_PORT, %dx
	outb %al, %dx
	jmp .

	.macro counted count
	incl COUNTS + 4 * \count
	movl $0, APIC_EOI(%rbx)
	.endm

guestapic_to_oneself:
	counted 0
	iretq
guestapic_asking:
	counted 1
	movl $0, APIC_ICR_HIGH(%rbx)
	movl $ANSWERING, APIC_ICR(%rbx)
	iretq
guestapic_answering:
	counted 2
	iretq
guestapic_timer:
	counted 3
	iretq
guestapic_by_msr:
	push %rax
	push %rcx
	push %rdx
	incl COUNTS + 4 * 4
	mov $X2APIC_EOI, %ecx
	xor %eax, %eax
	xor %edx, %edx
	wrmsr
	pop %rdx
	pop %rcx
	pop %rax
	iretq

message:
	.asciz "hello from L2's local APICs\n"
	.balign 16, 0x90
idtr:	.word 0xfff
	.quad 0x9000
guestapic_end:
	.section .note.GNU-stack,"",@progbits
