/*
 * Where another processor starts after INIT and SIPI: real mode, in a page of low memory that this is copied to. It notes its
 * local APIC's identifier; then it halts, or goes to 64-bit mode and calls processor_main on the stack that it was given.
 */
	.set EFER, 0xc0000080

	.text
	.globl trampoline, trampoline_end
	.code16
	.balign 16
trampoline:
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	mov $1, %eax
	cpuid
	shr $24, %ebx
	mov $1, %eax
	lock xaddl %eax, trampoline_count - trampoline
	movzwl %ax, %esi
	and $63, %si
	mov %bl, trampoline_ids - trampoline(%si)
	mov trampoline_stack - trampoline, %edi
	test %edi, %edi
	jnz 2f
1:	cli
	hlt
	jmp 1b

2:	lgdtl trampoline_gdtr - trampoline
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
	ljmpl $0x08, $processor_entry
trampoline_gdtr:
	.word 0x37
	.long boot_gdt
	.balign 4
trampoline_stack:
	.long 0
trampoline_count:
	.long 0
trampoline_ids:
	.skip 64
trampoline_end:

	.code64
processor_entry:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov %edi, %esp
	xor %ebp, %ebp
	call processor_main
1:	cli
	hlt
	jmp 1b

/* What the processor that starts others reads and writes, in the copy: offsets from its start. */
	.section .rodata
	.balign 4
	.globl trampoline_stack_at, trampoline_count_at, trampoline_ids_at
trampoline_stack_at:
	.long trampoline_stack - trampoline
trampoline_count_at:
	.long trampoline_count - trampoline
trampoline_ids_at:
	.long trampoline_ids - trampoline
