/*
 * void legacy_host(u32 cr3, struct vmcb *guest, u32 how)
 * VMRUN from a host in 32-bit code: `how` is bit 0 paging, bit 1 PAE, bit 2 long mode is kept (compatibility mode). Afterwards
 * legacy_after has the host's CR0, CR3, CR4 and EFER as they were behind #VMEXIT. No exception can be taken meanwhile.
 */
	.set EFER, 0xc0000080

	.text
	.globl legacy_host
legacy_host:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	clgi
	mov %edx, %ebx
	mov %cr3, %rax
	mov %eax, long_cr3
	mov %cr4, %rax
	mov %eax, long_cr4
	mov %rsp, long_rsp
	lgdt legacy_gdtr
	pushq $0x18
	pushq $1f
	lretq

	.code32
1:	test $4, %ebx
	jnz 4f
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	mov $EFER, %ecx
	rdmsr
	and $~0x100, %eax
	wrmsr
	mov %cr4, %eax
	and $~0x30, %eax
	or $0x10, %eax                      /* PSE */
	test $2, %ebx
	jz 2f
	or $0x20, %eax                      /* PAE */
2:	mov %eax, %cr4
	mov %edi, %cr3
	test $1, %ebx
	jz 4f
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	jmp 4f
4:	mov %cr0, %eax
	mov %eax, legacy_before
	mov %cr3, %eax
	mov %eax, legacy_before + 4
	mov %cr4, %eax
	mov %eax, legacy_before + 8
	mov $EFER, %ecx
	rdmsr
	mov %eax, legacy_before + 12
	mov %ebx, legacy_how
	mov %esi, %eax
	sti
	vmrun
	cli
	mov %cr0, %eax
	mov %eax, legacy_after
	mov %cr3, %eax
	mov %eax, legacy_after + 4
	mov %cr4, %eax
	mov %eax, legacy_after + 8
	mov $EFER, %ecx
	rdmsr
	mov %eax, legacy_after + 12
	testl $4, legacy_how
	jnz 5f
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	mov long_cr4, %eax
	mov %eax, %cr4
	mov long_cr3, %eax
	mov %eax, %cr3
	mov $EFER, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
5:	ljmp $0x08, $6f

	.code64
6:	mov long_rsp, %rsp
	stgi
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.data
	.balign 8
legacy_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cf9b000000ffff
legacy_gdtr:
	.word . - legacy_gdt - 1
	.quad legacy_gdt

	.bss
	.balign 8
	.globl legacy_before, legacy_after
legacy_before:
	.skip 16
legacy_after:
	.skip 16
long_cr3:
	.skip 4
long_cr4:
	.skip 4
legacy_how:
	.skip 8
long_rsp:
	.skip 8
