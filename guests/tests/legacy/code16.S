/*
 * 16-bit code, copied to linear 20000 and run at 2000:0000: the way into and out of real mode, what the real-mode and
 * virtual-8086 tests execute there, and a page of results at offset F000.
 */
	.set RESULT, 0xf000
	.section .text16, "ax"
	.code16
	.balign 16
	.globl code16_start, code16_end, to_real
code16_start:
to_real:                                    /* 16-bit protected mode; AX = offset to call */
	mov $0x40, %bx
	mov %bx, %ds
	mov %bx, %es
	mov %bx, %ss
	mov %bx, %fs
	mov %bx, %gs
	mov %cr0, %edx
	and $0x7ffffffe, %edx
	mov %edx, %cr0
	ljmp $0x2000, $(1f - code16_start)
1:	mov $0x2000, %bx
	mov %bx, %ds
	mov %bx, %es
	mov %bx, %ss
	mov %bx, %fs
	mov %bx, %gs
	mov $0xe000, %esp
	call *%ax
	cli
	mov %cr0, %edx
	or $1, %edx
	mov %edx, %cr0
	ljmpl $0x08, $back_from_real

#define ROUTINE(name) .globl name; name:

/* --- real mode --- */
ROUTINE(real_status)
	smsw %ax
	mov %ax, RESULT
	mov %cs, RESULT + 2
	mov %sp, RESULT + 4
	ret
ROUTINE(real_interrupt)                     /* INT 60 through the vector table */
	push %es
	xor %ax, %ax
	mov %ax, %es
	movw $(1f - code16_start), %es:0x60 * 4
	movw %cs, %es:0x60 * 4 + 2
	pop %es
	mov %sp, RESULT
	sti
	stc
	int $0x60
	pushf
	pop RESULT + 2
	mov %sp, RESULT + 4
	cli
	ret
1:	mov %sp, RESULT + 6
	pushf
	pop RESULT + 8
	push %bp
	mov %sp, %bp
	mov 6(%bp), %ax                     /* the flags it pushed */
	pop %bp
	mov %ax, RESULT + 10
	iret
ROUTINE(real_divide)                        /* #DE: vector 0, the address of the instruction itself */
	push %es
	xor %ax, %ax
	mov %ax, %es
	movw $(2f - code16_start), %es:0
	movw %cs, %es:2
	pop %es
	xor %cx, %cx
	mov %sp, %bx
1:	div %cx
	ret
2:	pop RESULT
	movw $(1b - code16_start), RESULT + 2
	mov %bx, %sp
	ret
/* #GP in real mode has no error code. The handler notes the vector and the address. */
catch_13:
	pop RESULT
	movw $13, RESULT + 4
	mov %bx, %sp
	ret
catch_12:
	pop RESULT
	movw $12, RESULT + 4
	mov %bx, %sp
	ret
set_catch:
	push %es
	xor %ax, %ax
	mov %ax, %es
	movw $(catch_13 - code16_start), %es:13 * 4
	movw %cs, %es:13 * 4 + 2
	movw $(catch_12 - code16_start), %es:12 * 4
	movw %cs, %es:12 * 4 + 2
	pop %es
	movw $0, RESULT + 4
	ret
ROUTINE(real_limit)                         /* a word at FFFF */
	call set_catch
	mov %sp, %bx
	movw $(1f - code16_start), RESULT + 2
	mov $0xffff, %si
1:	mov (%si), %ax
	ret
ROUTINE(real_limit_32)                      /* an address above FFFF */
	call set_catch
	mov %sp, %bx
	movw $(1f - code16_start), RESULT + 2
	mov $0x10000, %esi
1:	addr32 movb (%esi), %al
	ret
ROUTINE(real_stack_limit)                   /* POP of a word at SS:FFFF */
	call set_catch
	mov %sp, %bx
	movw $(1f - code16_start), RESULT + 2
	mov $0xffff, %bp
1:	mov (%bp), %ax
	ret
ROUTINE(real_push_at_zero)                    /* SP 0 - 2 = FFFE */
	mov %sp, %bx
	xor %sp, %sp
	push $0x5aa5
	mov %sp, %cx
	mov %bx, %sp
	mov %cx, RESULT
	mov 0xfffe, %ax
	mov %ax, RESULT + 2
	ret
ROUTINE(real_unreal)                        /* a limit of 4 GiB loaded in protected mode stays */
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	jmp 1f
1:	mov $0x10, %bx
	mov %bx, %fs
	and $0xfe, %al
	mov %eax, %cr0
	jmp 2f
2:	mov $0x180000, %esi
	addr32 movl %fs:(%esi), %eax
	movl %eax, RESULT
	mov %ds, %bx                        /* loading a selector changes the base, not the limit */
	mov %bx, %fs
	sub $0x20000, %esi
	addr32 movl %fs:(%esi), %eax
	movl %eax, RESULT + 4
	ret
ROUTINE(real_widths)                        /* 32-bit operands in 16-bit code */
	mov $0x12345678, %eax
	push %eax
	pop %cx
	pop %dx
	mov %cx, RESULT
	mov %dx, RESULT + 2
	movzwl %cx, %eax
	shl $16, %eax
	mov %eax, RESULT + 4
	ret
ROUTINE(real_segments)                      /* base = selector * 16, FFFF:0010 is 100000 with A20 on */
	mov $0xffff, %ax
	mov %ax, %es
	movb %es:0x10, %al
	movb %al, RESULT
	mov $0x1234, %ax
	mov %ax, %es
	mov %es, RESULT + 2
	ret

/* --- virtual-8086 mode: each begins with what is tested; the exception is the result --- */
ROUTINE(v86_int)
	int $0x60
	hlt
ROUTINE(v86_int3)
	int3
	hlt
ROUTINE(v86_cli)
	cli
	hlt
ROUTINE(v86_sti)
	sti
	hlt
ROUTINE(v86_pushf)
	pushf
	hlt
ROUTINE(v86_popf)
	popf
	hlt
ROUTINE(v86_iret)
	iret
	hlt
ROUTINE(v86_hlt)
	hlt
ROUTINE(v86_in)
	inb $0x80, %al
	ud2
ROUTINE(v86_out)
	outb %al, $0x84
	ud2
ROUTINE(v86_lar)
	lar %ax, %bx
	hlt
ROUTINE(v86_mov_cr)
	mov %cr0, %eax
	hlt
ROUTINE(v86_lgdt)
	lgdt RESULT
	hlt
ROUTINE(v86_segments)                       /* selector * 16, no descriptors */
	mov $0x2010, %ax
	mov %ax, %es
	movb %es:RESULT - 0x100, %cl
	mov %cs, %dx
	mov $0x1234, %ax
	mov %ax, %fs
	mov $0x5678, %ax
	mov %ax, %gs
	ud2
ROUTINE(v86_limit)
	mov $0xffff, %si
	mov (%si), %ax
	ud2
ROUTINE(v86_iopl3)                          /* with IOPL 3: PUSHF, CLI, STI, POPF work */
	pushf
	cli
	pushf
	pop %cx
	popf
	sti
	cli
	ud2
/* --- a task of 16 bits: notes AX and TR, jumps back to the main task --- */
ROUTINE(task16)
	mov %ax, RESULT
	str RESULT + 2
	ljmp $0x28, $0
code16_end:

/* --- 16-bit protected-mode code for far calls --- */
	.text
	.code16
	.globl protected16
protected16:
	mov $0x1ffff, %eax
	push %ax
	pop %cx
	movzwl %cx, %ecx
	inc %cx
	lretl
