/* Where the application processors begin: copied below 1 MiB, 16-bit code that enters 64-bit C on a stack of its own. */
	.set EFER, 0xc0000080
	.set PAGE_OF_START, 0x8000          /* SIPI vector 8 */

	.section .rodata
	.globl processor_start, processor_start_end
	.balign 16
	.code16
processor_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl PAGE_OF_START + (start_gdtr - processor_start)
	mov $0x620, %eax                    /* OSXMMEXCPT, OSFXSR, PAE */
	mov %eax, %cr4
	mov PAGE_OF_START + (start_cr3 - processor_start), %eax
	mov %eax, %cr3
	mov $EFER, %ecx
	rdmsr
	or $0x100, %eax                     /* LME */
	wrmsr
	mov %cr0, %eax
	and $0x9ffffff3, %eax
	or $0x80000023, %eax                /* PG, NE, MP, PE */
	mov %eax, %cr0
	ljmpl $0x08, $processor_start_64
	.balign 8
	.globl start_cr3
start_cr3:
	.long boot_pml4
start_gdtr:
	.word 0x17
	.long boot_gdt
processor_start_end:

	.text
	.code64
processor_start_64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $0xfee00020, %eax
	mov (%rax), %eax
	shr $24, %eax                       /* from 1 on */
	shl $14, %eax                       /* 16 KiB each */
	lea processor_stacks(%rax), %rsp
	lidt idt_pointer
	xor %ebp, %ebp
	call processor_main
1:	cli
	hlt
	jmp 1b

	.data
	.globl idt_pointer
idt_pointer:
	.word 4095
	.quad idt

	.bss
	.balign 16
processor_stacks:
	.skip 64 * 16384

	/* A function that one processor changes while others call it. */
	.section .text
	.balign 64
	.globl patched, patched_value
patched:
	.byte 0xb8                          /* mov $imm32, %eax */
patched_value:
	.long 1
	ret
	.balign 64
