/*
 * Multiboot entry (32-bit, paging off) to 64-bit C: identity map of 0..4 GiB by 2-MiB pages, flat segments, a TSS.
 * Selectors: 0x08 code, 0x10 data, 0x18 user data, 0x20 user code (the order SYSRET wants behind 0x10), 0x28 TSS.
 */
	.set MAGIC, 0x1badb002
	.set FLAGS, 0x3                     /* page-aligned modules, memory information */
	.set EFER, 0xc0000080

	.section .multiboot, "a"
	.balign 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.code32
	.globl _start
_start:
	cli
	cld
	mov $boot_stack_end, %esp
	mov %ebx, multiboot_info

	mov $boot_pdpt, %edi
	mov $boot_directories + 3, %eax
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $4096, %eax
	add $8, %edi
	loop 1b
	movl $boot_pdpt + 3, boot_pml4

	mov $boot_directories, %edi
	mov $0x83, %eax                     /* large, writable, present */
	mov $2048, %ecx
2:	mov %eax, (%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 2b

	mov %cr4, %eax
	or $0x620, %eax                     /* OSXMMEXCPT, OSFXSR, PAE */
	mov %eax, %cr4
	mov $boot_pml4, %eax
	mov %eax, %cr3
	mov $EFER, %ecx
	rdmsr
	or $0x100, %eax                     /* LME */
	wrmsr
	mov %cr0, %eax
	and $0x9ffffff3, %eax               /* CD, NW, TS, EM off */
	or $0x80000023, %eax                /* PG, NE, MP, PE */
	mov %eax, %cr0
	lgdt boot_gdtr
	ljmp $0x08, $1f

	.code64
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $boot_stack_end, %rsp

	/* The TSS descriptor's base is known to the linker only in pieces the assembler cannot name. */
	mov $boot_tss, %eax
	mov %ax, boot_gdt + 0x28 + 2
	shr $16, %eax
	mov %al, boot_gdt + 0x28 + 4
	mov %ah, boot_gdt + 0x28 + 7
	movq $boot_stack_end, boot_tss + 4  /* RSP0 */
	mov $0x28, %eax
	ltr %ax

	call interrupts_init
	mov multiboot_info, %edi
	xor %ebp, %ebp
	call guest_main
1:	cli
	hlt
	jmp 1b

	.data
	.balign 16
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cff3000000ffff
	.quad 0x00affb000000ffff
	.quad 0x0000890000000067, 0
boot_gdtr:
	.word . - boot_gdt - 1
	.quad boot_gdt
	.balign 16
	.globl boot_tss
boot_tss:
	.skip 102
	.word 104
	.globl multiboot_info
multiboot_info:
	.long 0

	.bss
	.balign 4096
	.globl boot_pml4
boot_pml4:
	.skip 4096
boot_pdpt:
	.skip 4096
boot_directories:
	.skip 4 * 4096
	.skip 16384
	.globl boot_stack_end
boot_stack_end:
