/* §15.5.1: the operand of VMRUN, the trap and resume flags on both sides, and where the guest begins. */
#include "frame.h"

/* --- the address in rAX (§15.5.1; volume 3, VMRUN, VMLOAD, VMSAVE) ----------------------------------------------------------- */
#define ADDRESS_FAULTS(section, insn)                                                                     \
    TEST(section "/" insn "-of-an-unaligned-address-is-gp")                                               \
    {                                                                                                     \
        GUEST("nop");                                                                                     \
        TRY(insn, ::"a"((u64)&v + 0x10) : "memory");                                                      \
        expect_fault(GP, 0);                                                                              \
    }                                                                                                     \
    TEST(section "/" insn "-beyond-the-physical-width-is-gp")                                             \
    {                                                                                                     \
        REQUIRE(physical_bits < 52, "physical addresses have 52 bits");                                   \
        GUEST("nop");                                                                                     \
        TRY(insn, ::"a"((u64)&v | BIT(physical_bits)) : "memory");                                        \
        expect_fault(GP, 0);                                                                              \
    }
ADDRESS_FAULTS("15.5.1", "vmrun")
ADDRESS_FAULTS("15.5.2", "vmload")
ADDRESS_FAULTS("15.5.2", "vmsave")

TEST("15.5.1/vmrun-address-size-selects-eax")
{
    GUEST("nop");
    u64 rax = (u64)&v | 0xabcd00000000ull;
    TRY("addr32 vmrun", : "+a"(rax)::"memory", "rbx", "rcx", "rdx");
    expect_no_fault();
    exits_with(EXIT_VMMCALL);
}

TEST("15.5.1/guest-runs-to-its-end")
{
    GUEST("nop");
    expect_done();
}

TEST("15.5.1/host-continues-behind-vmrun")
{
    GUEST("nop");
    u64 marker = 0;
    TRY("vmrun; mov $77, %0", : "=b"(marker) : "a"(&v) : "memory");
    expect_no_fault();
    EXPECT_EQ("what the instruction behind VMRUN set", marker, 77);
}

/* --- RIP ------------------------------------------------------------------------------------------------------------------- */
TEST("15.5.1/non-canonical-rip-is-gp-in-the-guest")
{
    v.rip = 0x800000000000ull;
    expect_exception(GP);
    EXPECT_EQ("error code", v.exit_info_1, 0);
}

TEST("15.5.1/rip-beyond-the-cs-limit-is-gp-in-the-guest")
{
    GUEST3(".code32", "nop", "");
    mode_protected();
    v.cs.limit = (u32)v.rip - 1;
    expect_exception(GP);
    EXPECT_EQ("error code", v.exit_info_1, 0);
    EXPECT_EQ("RIP", v.rip, code_start);
}

/* --- TF and RF ------------------------------------------------------------------------------------------------------------- */
TEST("15.5.1/guest-tf-traps-after-the-first-instruction")
{
    GUEST3("", "nop", "nop");
    v.rflags |= FLAG_TF;
    expect_exception(DB);
    EXPECT_EQ("RIP", v.rip, insn_next);
    EXPECT("DR6.BS is set", v.dr6 & BIT(14));
}

TEST("15.5.1/host-tf-traps-after-the-exit")
{
    u64 behind;
    GUEST3("", "nop", "nop");
    TRY("lea 1f(%%rip), %0; pushfq; orl $0x100, (%%rsp); popfq; vmrun; 1: nop", : "=&b"(behind) : "a"(&v) : "memory");
    expect_fault(DB, 0);
    EXPECT_EQ("the host's RIP", fault.rip, behind);
    exits_with(EXIT_VMMCALL);
}

/* With DebugCtl.BTF only branches trap (§13.1.6), and VMRUN is an ordinary instruction. */
TEST("15.5.1/host-tf-with-btf-does-not-trap-after-the-exit")
{
    enum { MSR_DEBUG_CTL = 0x1d9, BTF = 2 };
    u64 value;
    REQUIRE(write_msr(MSR_DEBUG_CTL, BTF) && read_msr(MSR_DEBUG_CTL, &value) && value == BTF, "no DebugCtl.BTF");
    GUEST("nop");
    TRY("pushfq; orl $0x100, (%%rsp); popfq; vmrun; nop; pushfq; andl $~0x100, (%%rsp); popfq", ::"a"(&v) : "memory");
    bool taken = fault.taken;
    write_msr(MSR_DEBUG_CTL, 0);
    exits_with(EXIT_VMMCALL);
    EXPECT("no #DB", !taken);
}

TEST("15.5.1/breakpoint-that-mov-ss-held-back-is-not-the-guests")
{
    GUEST3("nop", "nop", "");
    __asm__ volatile("mov %%ss, %0" : "=m"(*(u16 *)page[0]));
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(page), "r"(0x70402ull));
    TRY("mov page, %%ss; vmrun; nop", ::"a"(&v) : "memory");
    exits_with(EXIT_VMMCALL);
    EXPECT_EQ("DR6 of the guest", v.dr6, DR6_FIXED);
}

TEST("15.5.1/host-tf-does-not-trap-in-the-guest")
{
    GUEST3("", "pushfq", "pop %%rbx");
    TRY("pushfq; orl $0x100, (%%rsp); popfq; vmrun; mov %%rbx, %0", : "+m"(r.rbx) : "a"(&v) : "memory", "rbx");
    exits_with(EXIT_VMMCALL);
}

TEST("15.5.1/guest-rf-suppresses-a-breakpoint-on-the-first-instruction")
{
    GUEST("nop");
    __asm__ volatile("mov %0, %%dr0" ::"r"(code_start));
    v.dr7 = 0x402;
    v.rflags |= FLAG_RF;
    expect_done();
}

TEST("15.5.1/without-rf-the-breakpoint-on-the-first-instruction-hits")
{
    GUEST("nop");
    __asm__ volatile("mov %0, %%dr0" ::"r"(code_start));
    v.dr7 = 0x402;
    expect_exception(DB);
    EXPECT_EQ("RIP", v.rip, code_start);
    EXPECT("DR6.B0 is set", v.dr6 & 1);
}

TEST("15.5.1/rf-lasts-one-instruction")
{
    GUEST3("nop", "nop", "");
    __asm__ volatile("mov %0, %%dr0" ::"r"(insn_at));
    v.dr7 = 0x402;
    v.rflags |= FLAG_RF;
    expect_exception(DB);
    EXPECT_EQ("RIP", v.rip, insn_at);
}

TEST("15.5.1/host-rf-is-clear-behind-vmrun")
{
    u64 flags;
    GUEST("nop");
    TRY("vmrun; pushfq; pop %0", : "=&b"(flags) : "a"(&v) : "memory");
    EXPECT_EQ("RF", flags & FLAG_RF, 0);
}

TEST("15.5.1/host-flags-do-not-reach-the-guest")
{
    GUEST3("", "pushfq", "pop %%rbx");
    run(); /* with the host's IF set */
    EXPECT_EQ("the guest's RFLAGS", r.rbx, 2);
}

TEST("15.5.1/guest-flags-do-not-reach-the-host")
{
    u64 flags;
    GUEST("nop");
    v.rflags |= FLAG_CF | FLAG_ZF | FLAG_OF | FLAG_NT | FLAG_AC;
    TRY("pushfq; andl $~0x54cd5, (%%rsp); popfq; vmrun; pushfq; pop %0", : "=&b"(flags) : "a"(&v) : "memory");
    EXPECT_EQ("the host's RFLAGS", flags & (FLAG_CF | FLAG_ZF | FLAG_OF | FLAG_NT | FLAG_AC), 0);
}

/* --- CPL ------------------------------------------------------------------------------------------------------------------- */
TEST("15.5.1/cpl-comes-from-its-field")
{
    GUEST3("", "mov %%cr0, %%rbx", "");
    mode_user();
    expect_exception(GP);
    EXPECT_EQ("CPL", v.cpl, 3);
}

TEST("15.5.1/real-mode-forces-cpl-0")
{
    GUEST3(".code16", "mov %%cr0, %%ebx", "");
    mode_real();
    v.cpl = 3;
    expect_done();
    EXPECT_EQ("CPL", v.cpl, 0);
}

TEST("15.5.1/virtual-8086-mode-forces-cpl-3")
{
    GUEST3(".code16", "mov %%cr0, %%ebx", "");
    mode_virtual_8086();
    v.cpl = 0;
    expect_exception(GP);
    EXPECT_EQ("CPL", v.cpl, 3);
}

/* --- segment attributes that the hardware observes --------------------------------------------------------------------------- */
TEST("15.5.1/cs-l-selects-64-bit-mode")
{
    GUEST3("", "mov %%cs, %%ebx", ".byte 0x48, 0x90"); /* REX.W NOP; DEC EAX in 32-bit code */
    v.rax = 5;
    expect_done();
    EXPECT_EQ("RAX", v.rax, 5);
}

TEST("15.5.1/cs-without-l-is-compatibility-mode")
{
    GUEST3("", ".byte 0x48, 0x90", "");
    mode_compatibility();
    v.rax = 5;
    expect_done();
    EXPECT_EQ("RAX", v.rax, 4);
}

TEST("15.5.1/cs-d-selects-the-operand-size")
{
    GUEST3("", ".byte 0xb8, 0x22, 0x11, 0x90, 0x90", ""); /* MOV AX, 1122h; NOP; NOP or MOV EAX, 90901122h */
    mode_protected();
    expect_done();
    EXPECT_EQ("EAX with D set", v.rax, 0x90901122);
    v.rip = code_start;
    v.rax = 0;
    v.cs.attributes &= (u16)~0x400;
    expect_done();
    EXPECT_EQ("EAX with D clear", v.rax, 0x1122);
}

TEST("15.5.1/cs-r-clear-forbids-reading")
{
    GUEST3(".code32", "mov %%cs:0x100000, %%eax", "");
    mode_protected();
    v.cs.attributes &= (u16)~2;
    expect_exception(GP);
    expect_at_insn();
}

TEST("15.5.1/ds-w-clear-forbids-writing")
{
    GUEST3(".code32", "mov %%eax, page", "");
    mode_protected();
    v.ds.attributes &= (u16)~2;
    expect_exception(GP);
    expect_at_insn();
}

TEST("15.5.1/ds-p-clear-is-a-null-segment")
{
    GUEST3(".code32", "mov page, %%eax", "");
    mode_protected();
    v.ds.attributes = 0;
    expect_exception(GP);
    expect_at_insn();
}

TEST("15.5.1/ds-limit-counts")
{
    GUEST3(".code32", "mov page, %%eax", "");
    mode_protected();
    v.ds.limit = (u32)(u64)page + 2;
    expect_exception(GP);
    expect_at_insn();
}

TEST("15.5.1/es-expand-down-turns-the-limit-round")
{
    GUEST3(".code32; mov %%es:page+4, %%eax", "mov %%es:page, %%eax", "");
    mode_protected();
    v.es.attributes |= 4;
    v.es.limit = (u32)(u64)page + 3;
    expect_exception(GP);
    expect_at_insn();
}

TEST("15.5.1/ss-p-is-ignored-in-64-bit-mode")
{
    GUEST3("", "push %%rax", "");
    v.ss = (struct segment){0, 0, 0, 0};
    expect_done();
}

TEST("15.5.1/ss-p-is-observed-in-protected-mode")
{
    GUEST3(".code32", "push %%eax", "");
    mode_protected();
    v.ss.attributes &= (u16)~0x80;
    run();
    EXPECT("the push faults", v.exit_code == EXIT_EXCEPTION + SS || v.exit_code == EXIT_EXCEPTION + GP);
}

TEST("15.5.1/ss-b-selects-the-stack-pointer")
{
    GUEST3(".code32", "push %%eax", "");
    mode_protected();
    v.ss.attributes &= (u16)~0x400;
    v.ss.base = (u64)page[0];
    v.rsp = 0xabcd0010;
    expect_done();
    EXPECT_EQ("ESP", v.rsp, 0xabcd000c);
}

TEST("15.5.1/segment-bases-are-added")
{
    GUEST3(".code32; mov 0x10, %%eax; mov %%es:0x10, %%ebx", "mov %%ss:0x10, %%ecx", "");
    mode_protected();
    for (int i = 0; i < 3; i++)
        *(u32 *)(page[i] + 0x10) = 0x1000u + (u32)i;
    v.ds.base = (u64)page[0];
    v.es.base = (u64)page[1];
    v.ss.base = (u64)page[2];
    expect_done();
    EXPECT_EQ("by DS", v.rax, 0x1000);
    EXPECT_EQ("by ES", r.rbx, 0x1001);
    EXPECT_EQ("by SS", r.rcx, 0x1002);
}

TEST("15.5.1/ldtr-p-clear-means-no-table")
{
    GUEST3("mov $0x0c, %%eax", "mov %%eax, %%fs", ""); /* TI */
    v.ldtr.limit = 0xffff;
    v.ldtr.base = (u64)guest_gdt;
    expect_exception(GP);
    EXPECT_EQ("error code", v.exit_info_1, 0x0c);
}

TEST("15.5.1/ldtr-p-set-gives-a-table")
{
    GUEST3("mov $0x14, %%eax", "mov %%eax, %%fs", ""); /* its entry 2, data */
    v.ldtr = (struct segment){GUEST_FREE, 0x82, sizeof guest_gdt - 1, (u64)guest_gdt};
    expect_done();
    EXPECT_EQ("FS", v.fs.selector, 0x14);
}

/* --- canonicalization ------------------------------------------------------------------------------------------------------ */
#define CANONICALIZED(name, field)                                                \
    TEST("15.5.1/" name "-base-is-canonicalized")                                 \
    {                                                                             \
        GUEST("nop");                                                             \
        v.field.base = 0x0000812345678000ull;                                     \
        expect_done();                                                            \
        EXPECT_EQ("the base after #VMEXIT", v.field.base, 0xffff812345678000ull); \
    }
CANONICALIZED("gdtr", gdtr)
CANONICALIZED("idtr", idtr)

/* --- control bits ---------------------------------------------------------------------------------------------------------- */
TEST("15.5.1/tsc-offset-is-added-to-rdtsc")
{
    GUEST3("rdtsc; shl $32, %%rdx; or %%rdx, %%rax", "mov %%rax, %%rbx", "");
    v.tsc_offset = BIT(60);
    expect_done();
    EXPECT_EQ("the offset in what RDTSC read", r.rbx >> 60 & 3, 1);
    EXPECT_EQ("the offset in what the host reads", rdtsc() >> 60, 0);
}

TEST("15.5.1/tsc-offset-is-added-to-rdtscp")
{
    REQUIRE(cpuid_bit(0x80000001, 'd', 27), "no RDTSCP");
    GUEST3("rdtscp; shl $32, %%rdx; or %%rdx, %%rax", "mov %%rax, %%rbx", "");
    v.tsc_offset = BIT(60);
    expect_done();
    EXPECT_EQ("the offset in what RDTSCP read", r.rbx >> 60 & 3, 1);
}

TEST("15.5.1/tsc-offset-is-added-to-rdmsr")
{
    GUEST3("mov $0x10, %%ecx; rdmsr; shl $32, %%rdx; or %%rdx, %%rax", "mov %%rax, %%rbx", "");
    v.tsc_offset = BIT(60);
    expect_done();
    EXPECT_EQ("the offset in what RDMSR read", r.rbx >> 60 & 3, 1);
}

TEST("15.5.1/negative-tsc-offset")
{
    GUEST3("rdtsc; shl $32, %%rdx; or %%rdx, %%rax", "mov %%rax, %%rbx", "");
    v.tsc_offset = -BIT(61);
    expect_done();
    EXPECT_EQ("the top of what RDTSC read", r.rbx >> 61, 7);
}

TEST("15.5.1/intercepts-do-not-reach-the-host")
{
    GUEST("cpuid");
    v.intercept_1 |= BIT(I1_CPUID) | BIT(I1_PUSHF) | BIT(I1_RDTSC);
    expect_exit(EXIT_CPUID);
    rdtsc();
    (void)read_flags();
    EXPECT("CPUID works in the host", cpuid(0, 0).eax >= 1);
}

TEST("15.5.1/control-fields-are-not-written-back")
{
    GUEST("nop");
    v.tsc_offset = 0x1234;
    v.tlb_control = 1;
    struct vmcb before = v;
    expect_done();
    EXPECT_EQ("the intercepts, pause filter and maps: difference", memcmp(&before, &v, 0x60), 0);
}
