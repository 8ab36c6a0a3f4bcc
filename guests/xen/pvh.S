// The small guest: a PVH kernel that works without Linux what a hypervisor emulates, prints to its console what came of it,
// and shuts down. 32-bit protected mode, as the PVH entry leaves it, then with paging of its own.
// Xen's interface (xen/include/public): hypercalls by VMMCALL, number in EAX, arguments in EBX, ECX, EDX.
        .set HYPERCALL_XEN_VERSION, 17
        .set HYPERCALL_SCHED_OP, 29
        .set HYPERCALL_EVENT_CHANNEL_OP, 32
        .set HYPERCALL_HVM_OP, 34
        .set SCHEDOP_YIELD, 0
        .set SCHEDOP_SHUTDOWN, 2
        .set EVTCHNOP_SEND, 4
        .set HVMOP_GET_PARAM, 1
        .set HVM_PARAM_CONSOLE_PFN, 17
        .set HVM_PARAM_CONSOLE_EVTCHN, 18
        .set DOMID_SELF, 0x7ff0
        // struct xencons_interface: in[1024], out[2048], in_cons, in_prod, out_cons, out_prod
        .set CONSOLE_OUT, 1024
        .set CONSOLE_OUT_PROD, 1024 + 2048 + 12
        .set XEN_LEAVES, 0x40000000
        .set ROUNDS, 1000

        .section .note.Xen, "a", @note
        .long 4, 4, 18                  // XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long start

        .text
        .globl start, _start
start:
_start: mov $stack_top, %esp
        cld
        lgdt gdt_pointer
        ljmp $8, $1f
1:      mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss

        mov $HVM_PARAM_CONSOLE_PFN, %edi
        call hvm_param
        shl $12, %eax
        mov %eax, console
        mov $HVM_PARAM_CONSOLE_EVTCHN, %edi
        call hvm_param
        mov %eax, console_port

        mov $hello, %esi
        call print
        mov $XEN_LEAVES, %eax           // who is below
        cpuid
        mov %ebx, signature
        mov %ecx, signature + 4
        mov %edx, signature + 8
        mov $signature, %esi
        call print

        mov $ROUNDS, %ebp               // intercepted instructions
2:      mov $XEN_LEAVES + 1, %eax
        cpuid
        cmp $0x00040011, %eax           // Xen 4.17
        jne failed
        dec %ebp
        jnz 2b
        mov $cpuid_done, %esi
        call print

        mov $ROUNDS, %ebp               // hypercalls: XENVER_version
3:      mov $HYPERCALL_XEN_VERSION, %eax
        xor %ebx, %ebx
        xor %ecx, %ecx
        vmmcall
        cmp $0x00040011, %eax
        jne failed
        mov $HYPERCALL_SCHED_OP, %eax
        mov $SCHEDOP_YIELD, %ebx
        vmmcall
        dec %ebp
        jnz 3b
        mov $hypercalls_done, %esi
        call print

        mov $ROUNDS, %ebp               // MSRs
4:      mov $0x277, %ecx                // PAT: the one after reset, then with its first entry changed and back
        rdmsr
        cmp $0x00070406, %eax
        jne failed
        xor $6, %eax
        wrmsr
        rdmsr
        cmp $0x00070400, %eax
        jne failed
        xor $6, %eax
        wrmsr
        dec %ebp
        jnz 4b
        mov $msrs_done, %esi
        call print

        // Paging: the first 4 MiB by a table of 4-KiB pages, all the rest by 4-MiB pages. Then the page at `window` is
        // moved up through 64 frames behind it, back and forth, with INVLPG and with CR3 alone by turns.
        mov %cr4, %eax
        or $0x10, %eax
        mov %eax, %cr4
        xor %ecx, %ecx
5:      mov %ecx, %eax
        shl $22, %eax
        or $0x83, %eax
        mov %eax, directory(, %ecx, 4)
        mov %ecx, %eax
        shl $12, %eax
        or $3, %eax
        mov %eax, table(, %ecx, 4)
        inc %ecx
        cmp $1024, %ecx
        jb 5b
        movl $table + 3, directory
        mov $directory, %eax
        mov %eax, %cr3
        mov %cr0, %eax
        or $0x80010000, %eax
        mov %eax, %cr0

        xor %ecx, %ecx                  // each frame says its number
6:      mov %ecx, %eax
        shl $12, %eax
        mov %ecx, frames(%eax)
        inc %ecx
        cmp $64, %ecx
        jb 6b
        mov $window, %edi
        mov %edi, %edx
        shr $12, %edx
        mov $ROUNDS, %ebp
7:      mov %ebp, %ebx
        and $63, %ebx
        mov %ebx, %eax
        shl $12, %eax
        add $frames + 3, %eax
        mov %eax, table(, %edx, 4)
        test $1, %ebp
        jz 8f
        invlpg (%edi)
        jmp 9f
8:      mov %cr3, %eax
        mov %eax, %cr3
9:      cmp %ebx, (%edi)
        jne failed
        dec %ebp
        jnz 7b
        mov $paging_done, %esi
        call print

        mov $bye, %esi
        call print
        movl $0, argument               // SHUTDOWN_poweroff
shutdown:
        mov $HYPERCALL_SCHED_OP, %eax
        mov $SCHEDOP_SHUTDOWN, %ebx
        mov $argument, %ecx
        vmmcall
        ud2

failed: mov $failure, %esi
        call print
        movl $3, argument               // SHUTDOWN_crash
        jmp shutdown

// EAX = this domain's parameter EDI.
hvm_param:
        movw $DOMID_SELF, argument
        mov %edi, argument + 4
        mov $HYPERCALL_HVM_OP, %eax
        mov $HVMOP_GET_PARAM, %ebx
        mov $argument, %ecx
        vmmcall
        test %eax, %eax
        jnz shutdown
        mov argument + 8, %eax
        ret

// The text at ESI onto the console's ring, and an event to who reads it.
print:  mov console, %edi
        mov CONSOLE_OUT_PROD(%edi), %ecx
1:      lodsb
        test %al, %al
        jz 2f
        mov %ecx, %edx
        and $2047, %edx
        mov %al, CONSOLE_OUT(%edi, %edx)
        inc %ecx
        jmp 1b
2:      mov %ecx, CONSOLE_OUT_PROD(%edi)
        mov console_port, %eax
        mov %eax, argument
        mov $HYPERCALL_EVENT_CHANNEL_OP, %eax
        mov $EVTCHNOP_SEND, %ebx
        mov $argument, %ecx
        vmmcall
        ret

        .data
        .balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        .short gdt_pointer - gdt - 1
        .long gdt
hello:  .asciz "hello from a small PVH guest\n"
signature:
        .asciz "............\n"
cpuid_done:
        .asciz "1000 CPUIDs\n"
hypercalls_done:
        .asciz "2000 hypercalls\n"
msrs_done:
        .asciz "4000 MSR accesses\n"
paging_done:
        .asciz "1000 pages moved\n"
bye:    .asciz "bye\n"
failure:
        .asciz "FAILED\n"

        .bss
        .balign 4096
directory:
        .skip 4096
table:  .skip 4096
window: .skip 4096
frames: .skip 64 * 4096
        .skip 4096
stack_top:
console:
        .skip 4
console_port:
        .skip 4
        .balign 8
argument:
        .skip 16

        .section .note.GNU-stack, "", @progbits
