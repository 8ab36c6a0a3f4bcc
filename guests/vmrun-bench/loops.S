/* The guests: 64-bit code that runs on the host's own page tables. None of them touches a register but RAX. */
	.text
	.globl guest_vmmcall, guest_cpuid, guest_ioio, guest_npf
guest_vmmcall:
	vmmcall
	jmp guest_vmmcall

guest_cpuid:
	cpuid
	jmp guest_cpuid

guest_ioio:
	outb %al, $0x80
	jmp guest_ioio

guest_npf:
	mov $0x3fe00000, %eax
1:	mov (%rax), %eax                    /* two bytes, never completed */
	jmp 1b
