/* The real-mode guest: runs at 0x1000 of 32 KiB, everything above is MMIO to KVM. */
	.set ENTRY, 0x1000
	.set COM1, 0x3f8

	.section .rodata
	.globl guest16_start, guest16_end
	.code16
guest16_start:
	mov $0, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x0ff0, %sp

	mov $ENTRY + message - guest16_start, %si
1:	lodsb
	test %al, %al
	jz 2f
	mov $COM1, %dx
	outb %al, %dx
	jmp 1b

2:	mov $0, %eax                  /* the vendor's name, by REP OUTSB */
	cpuid
	mov %ebx, 0x3000
	mov %edx, 0x3004
	mov %ecx, 0x3008
	mov $0x3000, %si
	mov $12, %cx
	mov $COM1, %dx
	rep outsb
	mov $10, %al
	outb %al, %dx

	inb $0x60, %al
	mov $0xd000, %bx
	mov %bx, %ds
	movw $0xbeef, 0x10            /* MMIO write at d0010 */
	movw 0x20, %ax                /* MMIO read at d0020 */

	mov $3, %cx
3:	push %cx
	mov $1, %eax
	cpuid
	rdtsc
	vmmcall
	pop %cx
	loop 3b
	hlt
	jmp guest16_start

message:
	.asciz "hello from L2 real mode\n"
guest16_end:
	.section .note.GNU-stack,"",@progbits
