/* A guest's registers that VMRUN leaves to software, and the two ways between them and their struct. For C and for assembly. */
#ifndef GUEST_REGISTERS_H
#define GUEST_REGISTERS_H

#ifdef __ASSEMBLER__

/* The struct at RDI into the registers, RDI among them. */
.macro load_guest_registers
	mov 0(%rdi), %rbx
	mov 8(%rdi), %rcx
	mov 16(%rdi), %rdx
	mov 24(%rdi), %rsi
	mov 40(%rdi), %rbp
	mov 48(%rdi), %r8
	mov 56(%rdi), %r9
	mov 64(%rdi), %r10
	mov 72(%rdi), %r11
	mov 80(%rdi), %r12
	mov 88(%rdi), %r13
	mov 96(%rdi), %r14
	mov 104(%rdi), %r15
	mov 32(%rdi), %rdi
.endm

/* The registers into the struct at RAX, which is the host's again after #VMEXIT. */
.macro store_guest_registers
	mov %rbx, 0(%rax)
	mov %rcx, 8(%rax)
	mov %rdx, 16(%rax)
	mov %rsi, 24(%rax)
	mov %rdi, 32(%rax)
	mov %rbp, 40(%rax)
	mov %r8, 48(%rax)
	mov %r9, 56(%rax)
	mov %r10, 64(%rax)
	mov %r11, 72(%rax)
	mov %r12, 80(%rax)
	mov %r13, 88(%rax)
	mov %r14, 96(%rax)
	mov %r15, 104(%rax)
.endm

#else

#include "guest.h"

struct guest_registers {
    u64 rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
};
_Static_assert(offsetof(struct guest_registers, rbp) == 40 && offsetof(struct guest_registers, r15) == 104, "as the macros above have it");

#endif

#endif
