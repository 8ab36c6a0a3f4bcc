/* §15.9: the instruction intercepts, their order among the exceptions; §15.7.1: RIP and nRIP. */
#include "frame.h"

#define ALWAYS true
#define CPUID_HAS(leaf, in, bit) cpuid_bit(leaf, in, bit)
#define ABSENT "CPUID does not offer the instruction"

/* The instruction, intercepted: the exit, RIP, and nRIP in a test of its own. */
#define INTERCEPTED(name, condition, field, bit, code, before, insn)            \
    TEST("15.9/" name)                                                          \
    {                                                                           \
        REQUIRE(condition, ABSENT);                                                     \
        GUEST3(before, insn, "");                                               \
        v.field |= (u32)BIT(bit);                                               \
        expect_exit(code);                                                      \
        expect_at_insn();                                                       \
        EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);     \
    }                                                                           \
    TEST("15.7.1/nrip-of-" name)                                                \
    {                                                                           \
        REQUIRE(condition, ABSENT);                                                     \
        REQUIRE_SVM(HAS_NRIPS, "nRIP");                                         \
        GUEST3(before, insn, "");                                               \
        v.field |= (u32)BIT(bit);                                               \
        v.next_rip = 0x5555;                                                    \
        expect_exit(code);                                                      \
        expect_next_rip();                                                      \
    }
/* Not intercepted, it does what it does, and the guest goes on. */
#define NOT_INTERCEPTED(name, condition, before, insn, after) \
    TEST("15.9/" name "-not-intercepted")                     \
    {                                                         \
        REQUIRE(condition, ABSENT);                                   \
        GUEST3(before, insn, after);                          \
        expect_done();                                        \
    }
#define FIRST_1(name, condition, bit, before, insn, after)                                                  \
    INTERCEPTED(name, condition, intercept_1, bit, EXIT_OF_1(bit), before, insn)                            \
    NOT_INTERCEPTED(name, condition, before, insn, after)
#define FIRST_2(name, condition, bit, before, insn, after)                                                  \
    INTERCEPTED(name, condition, intercept_2, bit, EXIT_OF_2(bit), before, insn)                            \
    NOT_INTERCEPTED(name, condition, before, insn, after)

FIRST_1("cpuid", ALWAYS, I1_CPUID, "xor %%eax, %%eax", "cpuid", "")
FIRST_1("rdtsc", ALWAYS, I1_RDTSC, "", "rdtsc", "")
FIRST_1("pushf", ALWAYS, I1_PUSHF, "", "pushfq", "pop %%rax")
FIRST_1("popf", ALWAYS, I1_POPF, "pushq $2", "popfq", "")
FIRST_1("iret", ALWAYS, I1_IRET, "mov %%rsp, %%rcx; pushq $0x10; push %%rcx; pushq $2; pushq $8; lea 99f(%%rip), %%rcx; push %%rcx", "iretq", "")
FIRST_1("pause", ALWAYS, I1_PAUSE, "", "pause", "")
FIRST_1("invlpg", ALWAYS, I1_INVLPG, "", "invlpg page", "")
FIRST_1("invlpga", ALWAYS, I1_INVLPGA, "mov $page, %%eax; mov $1, %%ecx", "invlpga", "")
FIRST_1("sidt", ALWAYS, I1_READ_IDTR, "", "sidt page", "")
FIRST_1("sgdt", ALWAYS, I1_READ_GDTR, "", "sgdt page", "")
FIRST_1("sldt", ALWAYS, I1_READ_LDTR, "", "sldt %%eax", "")
FIRST_1("str", ALWAYS, I1_READ_TR, "", "str %%eax", "")
FIRST_1("lidt", ALWAYS, I1_WRITE_IDTR, "sidt page", "lidt page", "")
FIRST_1("lgdt", ALWAYS, I1_WRITE_GDTR, "sgdt page", "lgdt page", "")
FIRST_1("lldt", ALWAYS, I1_WRITE_LDTR, "xor %%eax, %%eax", "lldt %%ax", "")
FIRST_1("ltr", ALWAYS, I1_WRITE_TR, "andb $0xfd, guest_gdt+0x2d; mov $0x28, %%eax", "ltr %%ax", "")
FIRST_1("sldt-to-memory", ALWAYS, I1_READ_LDTR, "", "sldt page", "")
FIRST_1("str-to-memory", ALWAYS, I1_READ_TR, "", "str page", "")
INTERCEPTED("rdpmc", ALWAYS, intercept_1, I1_RDPMC, EXIT_OF_1(I1_RDPMC), "xor %%ecx, %%ecx", "rdpmc")
INTERCEPTED("rsm", ALWAYS, intercept_1, I1_RSM, EXIT_OF_1(I1_RSM), "", "rsm")
INTERCEPTED("int-n", ALWAYS, intercept_1, I1_INTN, EXIT_OF_1(I1_INTN), "", "int $0x80")
INTERCEPTED("invd", ALWAYS, intercept_1, I1_INVD, EXIT_OF_1(I1_INVD), "", "invd")
INTERCEPTED("hlt", ALWAYS, intercept_1, I1_HLT, EXIT_OF_1(I1_HLT), "", "hlt")

INTERCEPTED("vmrun", ALWAYS, intercept_2, I2_VMRUN, EXIT_OF_2(I2_VMRUN), "mov $w, %%eax", "vmrun")
INTERCEPTED("vmmcall", ALWAYS, intercept_2, I2_VMMCALL, EXIT_OF_2(I2_VMMCALL), "", "vmmcall")
#define NO_VIRTUAL_VMLOAD !(svm_features & BIT(HAS_VLS)) /* with it §15.33.1 has other rules */
INTERCEPTED("vmload", ALWAYS, intercept_2, I2_VMLOAD, EXIT_OF_2(I2_VMLOAD), "mov $host, %%eax", "vmload")
NOT_INTERCEPTED("vmload", NO_VIRTUAL_VMLOAD, "mov $host, %%eax", "vmload", "")
INTERCEPTED("vmsave", ALWAYS, intercept_2, I2_VMSAVE, EXIT_OF_2(I2_VMSAVE), "mov $w, %%eax", "vmsave")
NOT_INTERCEPTED("vmsave", NO_VIRTUAL_VMLOAD, "mov $w, %%eax", "vmsave", "")
FIRST_2("stgi", ALWAYS, I2_STGI, "", "stgi", "")
FIRST_2("clgi", ALWAYS, I2_CLGI, "", "clgi", "stgi")
FIRST_2("rdtscp", CPUID_HAS(0x80000001, 'd', 27), I2_RDTSCP, "", "rdtscp", "")
FIRST_2("wbinvd", ALWAYS, I2_WBINVD, "", "wbinvd", "")
FIRST_2("wbnoinvd", CPUID_HAS(0x80000008, 'b', 9), I2_WBINVD, "", "wbnoinvd", "")
FIRST_2("monitor", CPUID_HAS(1, 'c', 3), I2_MONITOR, "mov $page, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx", "monitor", "")
FIRST_2("monitorx", CPUID_HAS(0x80000001, 'c', 29), I2_MONITOR, "mov $page, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx", "monitorx", "")
INTERCEPTED("mwait", CPUID_HAS(1, 'c', 3), intercept_2, I2_MWAIT, EXIT_OF_2(I2_MWAIT), "xor %%eax, %%eax; xor %%ecx, %%ecx", "mwait")
INTERCEPTED("mwaitx", CPUID_HAS(0x80000001, 'c', 29), intercept_2, I2_MWAIT, EXIT_OF_2(I2_MWAIT), "xor %%eax, %%eax; xor %%ecx, %%ecx", "mwaitx")
INTERCEPTED("skinit", CPUID_HAS(0x80000001, 'c', 12), intercept_2, I2_SKINIT, EXIT_OF_2(I2_SKINIT), "mov $0x20000, %%eax", "skinit")
INTERCEPTED("icebp", ALWAYS, intercept_2, I2_ICEBP, EXIT_OF_2(I2_ICEBP), "", ".byte 0xf1")
FIRST_2("rdpru", CPUID_HAS(0x80000008, 'b', 4), I2_RDPRU, "xor %%ecx, %%ecx", ".byte 0x0f, 0x01, 0xfd", "")
INTERCEPTED("invpcid", CPUID_HAS(7, 'b', 10), intercept_3, 2, 0xa2, "xor %%eax, %%eax", "invpcid page, %%rax")
NOT_INTERCEPTED("invpcid", CPUID_HAS(7, 'b', 10), "xor %%eax, %%eax", "invpcid page, %%rax", "")
INTERCEPTED("invlpgb", CPUID_HAS(0x80000008, 'b', 3), intercept_3, 0, 0xa0, "xor %%eax, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx", ".byte 0x0f, 0x01, 0xfe")
INTERCEPTED("mcommit", CPUID_HAS(0x80000008, 'b', 8), intercept_3, 3, 0xa3, "", ".byte 0xf3, 0x0f, 0x01, 0xfa")

/* What makes it illegal, told by the intercept of illegal ones; bit 7 of field 90h lets guests have it at all. */
#define INVLPGB(name, rax, ecx, edx, change, exit)                                                                             \
    TEST("15.9/invlpgb-" name)                                                                                                 \
    {                                                                                                                          \
        REQUIRE(cpuid_bit(0x80000008, 'b', 3), ABSENT);                                                                       \
        GUEST3("mov $" #rax ", %%eax; mov $" #ecx ", %%ecx; mov $" #edx ", %%edx", ".byte 0x0f, 0x01, 0xfe", "");            \
        v.nested_control |= BIT(7);                                                                                            \
        v.intercept_3 |= BIT(1);                                                                                               \
        change;                                                                                                                \
        expect_exit(exit);                                                                                                     \
    }
#define CR4_PCIDE BIT(17)
INVLPGB("of-nothing-is-legal", 0, 0, 0, (void)0, EXIT_VMMCALL)
INVLPGB("of-an-address-is-legal", 0x80001, 0, 0, (void)0, EXIT_VMMCALL)
INVLPGB("of-an-asid-is-legal", 4, 0, 0, (void)0, EXIT_VMMCALL)
INVLPGB("with-reserved-bits-of-rax-is-illegal", 0x40, 0, 0, (void)0, 0xa1)
INVLPGB("with-reserved-bits-of-ecx-is-illegal", 0, 0x10000, 0, (void)0, 0xa1)
INVLPGB("with-reserved-bits-of-edx-is-illegal", 0, 0, 0x10000000, (void)0, 0xa1)
INVLPGB("of-too-many-pages-is-illegal", 1, 0xffff, 0, (void)0, 0xa1)
INVLPGB("of-a-pcid-without-pcide-is-illegal", 2, 0, 0x10000, (void)0, 0xa1)
INVLPGB("of-pcid-0-without-pcide-is-legal", 2, 0, 0, (void)0, EXIT_VMMCALL)
INVLPGB("of-a-pcid-with-pcide-is-legal", 2, 0, 0x10000, (v.cr4 |= CR4_PCIDE), EXIT_VMMCALL)

TEST("15.9/xsetbv")
{
    REQUIRE(cpuid_bit(1, 'c', 26), "no XSAVE");
    GUEST3("xor %%ecx, %%ecx; mov $1, %%eax; xor %%edx, %%edx", "xsetbv", "");
    v.cr4 |= BIT(18);
    v.intercept_2 |= BIT(I2_XSETBV);
    expect_exit(EXIT_OF_2(I2_XSETBV));
    expect_at_insn();
    expect_next_rip();
}

#define HAS_XSAVE CPUID_HAS(1, 'c', 26)
#define CR4_OSXSAVE BIT(18)
#define XSETBV_FIRST(name, mode, before)              \
    TEST("15.9/xsetbv-before-gp-" name)               \
    {                                                 \
        REQUIRE(HAS_XSAVE, "no XSAVE");               \
        GUEST3(before, "xsetbv", "");                 \
        mode;                                         \
        v.cr4 |= CR4_OSXSAVE;                         \
        v.intercept_2 |= BIT(I2_XSETBV);              \
        expect_exit(EXIT_OF_2(I2_XSETBV));            \
        expect_at_insn();                             \
        expect_next_rip();                            \
    }
XSETBV_FIRST("of-its-operands", (void)0, "mov $0x77, %%ecx")
XSETBV_FIRST("of-its-value", (void)0, "xor %%ecx, %%ecx; mov $2, %%eax; xor %%edx, %%edx")
XSETBV_FIRST("at-cpl-3", mode_user(), "xor %%ecx, %%ecx; mov $1, %%eax; xor %%edx, %%edx")

#define XSETBV_FAULT(name, change, vector, intercept, before) \
    TEST("15.9/xsetbv-" name)                                 \
    {                                                         \
        REQUIRE(HAS_XSAVE, "no XSAVE");                       \
        GUEST3(before, "xsetbv", "");                         \
        change;                                               \
        v.intercept_2 |= intercept;                           \
        expect_exception(vector);                             \
        expect_at_insn();                                     \
    }
#define ONE "xor %%ecx, %%ecx; mov $1, %%eax; xor %%edx, %%edx"
XSETBV_FAULT("without-osxsave-is-ud-before-the-intercept", (void)0, UD, BIT(I2_XSETBV), ONE)
XSETBV_FAULT("at-cpl-3-is-gp", (mode_user(), v.cr4 |= CR4_OSXSAVE), GP, 0, ONE)
XSETBV_FAULT("of-another-register-is-gp", v.cr4 |= CR4_OSXSAVE, GP, 0, "mov $1, %%ecx; mov $1, %%eax; xor %%edx, %%edx")
XSETBV_FAULT("without-x87-is-gp", v.cr4 |= CR4_OSXSAVE, GP, 0, "xor %%ecx, %%ecx; mov $2, %%eax; xor %%edx, %%edx")
XSETBV_FAULT("of-bit-63-is-gp", v.cr4 |= CR4_OSXSAVE, GP, 0, "xor %%ecx, %%ecx; mov $3, %%eax; mov $0x80000000, %%edx")

static u64 xgetbv(void)
{
    u32 low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | (u64)high << 32;
}
static void xsetbv(u64 value)
{
    __asm__ volatile("xsetbv" ::"a"((u32)value), "d"((u32)(value >> 32)), "c"(0));
}

/* Neither VMRUN nor #VMEXIT names it (15.5.1, 15.6): host and guest share it. */
TEST("15.5.1/xcr0-is-not-switched")
{
    REQUIRE(HAS_XSAVE, "no XSAVE");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    u64 before = xgetbv();
    xsetbv(1);
    GUEST3("xor %%ecx, %%ecx; xgetbv; mov %%eax, %%ebx; mov $3, %%eax; xor %%edx, %%edx", "xsetbv", "");
    v.cr4 |= CR4_OSXSAVE;
    expect_done();
    u64 after = xgetbv();
    xsetbv(before);
    EXPECT_EQ("XCR0 that the guest found", r.rbx, 1);
    EXPECT_EQ("XCR0 that the guest left", after, 3);
}

TEST("15.5.1/cpuid-osxsave-is-the-guests")
{
    REQUIRE(HAS_XSAVE, "no XSAVE");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    GUEST3("mov $1, %%eax", "cpuid", "mov %%ecx, %%ebx");
    expect_done();
    EXPECT_EQ("OSXSAVE of a guest without it", r.rbx & BIT(27), 0);
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
    GUEST3("mov $1, %%eax", "cpuid", "mov %%ecx, %%ebx");
    v.cr4 |= CR4_OSXSAVE;
    expect_done();
    EXPECT_EQ("OSXSAVE of a guest with it", r.rbx & BIT(27), BIT(27));
}

/* --- what those do that end the guest's straight way --------------------------------------------------------------------------- */
TEST("15.9/int-n-not-intercepted")
{
    GUEST("int $0x80");
    expect_vector(0x80);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

TEST("15.9/icebp-not-intercepted")
{
    GUEST(".byte 0xf1");
    expect_vector(DB);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

TEST("15.9/icebp-ignores-the-db-intercept")
{
    GUEST(".byte 0xf1");
    EXPECT("#DB is intercepted", v.intercept_exceptions & BIT(DB));
    expect_vector(DB);
}

TEST("15.9/rsm-not-intercepted-is-ud")
{
    GUEST("rsm");
    expect_exception(UD);
    expect_at_insn();
}

TEST("15.18/vmmcall-not-intercepted-is-ud")
{
    GUEST("vmmcall");
    v.intercept_2 &= ~(u32)BIT(I2_VMMCALL);
    expect_exception(UD);
    expect_at_insn();
}

TEST("15.18/vmmcall-in-the-host-is-ud")
{
    TRY("vmmcall", :);
    expect_fault(UD, 0);
}

TEST("15.9/hlt-not-intercepted-waits-for-an-interrupt")
{
    GUEST("hlt");
    self_interrupt(0x50);
    expect_exit(EXIT_INTR);
}

TEST("15.9/mwait-armed")
{
    REQUIRE(cpuid_bit(1, 'c', 3), "no MONITOR");
    GUEST3("mov $page, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor; xor %%eax, %%eax", "mwait", "");
    v.intercept_2 |= BIT(I2_MWAIT_ARMED);
    expect_exit(EXIT_MWAIT_ARMED);
    expect_at_insn();
}

TEST("15.9/mwait-armed-before-mwait")
{
    REQUIRE(cpuid_bit(1, 'c', 3), "no MONITOR");
    GUEST3("mov $page, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor; xor %%eax, %%eax", "mwait", "");
    v.intercept_2 |= BIT(I2_MWAIT_ARMED) | BIT(I2_MWAIT);
    expect_exit(EXIT_MWAIT_ARMED);
}

TEST("15.9/mwait-not-armed-takes-the-unconditional-intercept")
{
    REQUIRE(cpuid_bit(1, 'c', 3), "no MONITOR");
    GUEST3("xor %%eax, %%eax; xor %%ecx, %%ecx", "mwait", "");
    v.intercept_2 |= BIT(I2_MWAIT_ARMED) | BIT(I2_MWAIT);
    self_interrupt(0x50); /* an MWAIT that ends leaves nothing armed */
    __asm__ volatile("monitor; xor %%eax, %%eax; sti; mwait; cli" ::"a"(page), "c"(0), "d"(0) : "memory");
    expect_exit(EXIT_MWAIT);
}

/* --- exceptions that come first ------------------------------------------------------------------------------------------------ */
#define EXCEPTION_FIRST(name, condition, mode, field, bit, vector, before, insn) \
    TEST("15.9/" name)                                                           \
    {                                                                            \
        REQUIRE(condition, ABSENT);                                                      \
        GUEST3(before, insn, "");                                                \
        mode;                                                                    \
        v.field |= (u32)BIT(bit);                                                \
        expect_exception(vector);                                                \
        expect_at_insn();                                                        \
    }
#define USER_GP_1(name, bit, before, insn) EXCEPTION_FIRST(name "-at-cpl-3-is-gp", ALWAYS, mode_user(), intercept_1, bit, GP, before, insn)
#define USER_GP_2(name, bit, before, insn) EXCEPTION_FIRST(name "-at-cpl-3-is-gp", ALWAYS, mode_user(), intercept_2, bit, GP, before, insn)
USER_GP_1("invd", I1_INVD, "", "invd")
USER_GP_1("hlt", I1_HLT, "", "hlt")
USER_GP_1("invlpg", I1_INVLPG, "", "invlpg page")
USER_GP_1("invlpga", I1_INVLPGA, "xor %%eax, %%eax; xor %%ecx, %%ecx", "invlpga")
USER_GP_1("lidt", I1_WRITE_IDTR, "", "lidt page")
USER_GP_1("lgdt", I1_WRITE_GDTR, "", "lgdt page")
USER_GP_1("lldt", I1_WRITE_LDTR, "", "lldt %%ax")
USER_GP_1("ltr", I1_WRITE_TR, "", "ltr %%ax")
USER_GP_1("rdmsr", I1_MSR, "mov $0x40000000, %%ecx", "rdmsr")
USER_GP_1("wrmsr", I1_MSR, "mov $0x40000000, %%ecx", "wrmsr")
USER_GP_2("vmrun", I2_VMRUN, "mov $w, %%eax", "vmrun")
USER_GP_2("vmload", I2_VMLOAD, "mov $w, %%eax", "vmload")
USER_GP_2("vmsave", I2_VMSAVE, "mov $w, %%eax", "vmsave")
USER_GP_2("stgi", I2_STGI, "", "stgi")
USER_GP_2("clgi", I2_CLGI, "", "clgi")
USER_GP_2("wbinvd", I2_WBINVD, "", "wbinvd")
EXCEPTION_FIRST("rdpmc-at-cpl-3-without-pce-is-gp", ALWAYS, mode_user(), intercept_1, I1_RDPMC, GP, "xor %%ecx, %%ecx", "rdpmc")
EXCEPTION_FIRST("rdtsc-at-cpl-3-with-tsd-is-gp", ALWAYS, (mode_user(), v.cr4 |= CR4_TSD), intercept_1, I1_RDTSC, GP, "", "rdtsc")
EXCEPTION_FIRST("rdtscp-at-cpl-3-with-tsd-is-gp", CPUID_HAS(0x80000001, 'd', 27), (mode_user(), v.cr4 |= CR4_TSD), intercept_2, I2_RDTSCP, GP, "", "rdtscp")
EXCEPTION_FIRST("rdpmc-of-no-counter-is-gp", ALWAYS, (void)0, intercept_1, I1_RDPMC, GP, "mov $0x40000000, %%ecx", "rdpmc")
EXCEPTION_FIRST("monitor-with-extensions-is-gp", CPUID_HAS(1, 'c', 3), (void)0, intercept_2, I2_MONITOR, GP, "mov $page, %%eax; mov $4, %%ecx; xor %%edx, %%edx", "monitor")
EXCEPTION_FIRST("mwait-with-reserved-extensions-is-gp", CPUID_HAS(1, 'c', 3), (void)0, intercept_2, I2_MWAIT, GP, "xor %%eax, %%eax; mov $0x80, %%ecx", "mwait")
EXCEPTION_FIRST("sgdt-at-cpl-3-with-umip-is-gp", CPUID_HAS(7, 'c', 2), (mode_user(), v.cr4 |= BIT(11)), intercept_1, I1_READ_GDTR, GP, "", "sgdt page")
EXCEPTION_FIRST("sidt-at-cpl-3-with-umip-is-gp", CPUID_HAS(7, 'c', 2), (mode_user(), v.cr4 |= BIT(11)), intercept_1, I1_READ_IDTR, GP, "", "sidt page")
EXCEPTION_FIRST("sldt-at-cpl-3-with-umip-is-gp", CPUID_HAS(7, 'c', 2), (mode_user(), v.cr4 |= BIT(11)), intercept_1, I1_READ_LDTR, GP, "", "sldt %%eax")
EXCEPTION_FIRST("str-at-cpl-3-with-umip-is-gp", CPUID_HAS(7, 'c', 2), (mode_user(), v.cr4 |= BIT(11)), intercept_1, I1_READ_TR, GP, "", "str %%eax")
EXCEPTION_FIRST("lldt-with-lock-is-ud", ALWAYS, (void)0, intercept_1, I1_WRITE_LDTR, UD, "", ".byte 0xf0; lldt %%ax")
EXCEPTION_FIRST("invlpg-of-a-register-is-ud", ALWAYS, (void)0, intercept_1, I1_INVLPG, UD, "", ".byte 0x0f, 0x01, 0xf8 - 0x10")
EXCEPTION_FIRST("hlt-with-lock-is-ud", ALWAYS, (void)0, intercept_1, I1_HLT, UD, "", ".byte 0xf0; hlt")

#define REAL_UD(name, bit, insn) EXCEPTION_FIRST(name "-in-real-mode-is-ud", ALWAYS, mode_real(), intercept_2, bit, UD, ".code16", insn)
REAL_UD("vmrun", I2_VMRUN, "vmrun")
REAL_UD("vmload", I2_VMLOAD, "vmload")
REAL_UD("vmsave", I2_VMSAVE, "vmsave")
REAL_UD("stgi", I2_STGI, "stgi")
REAL_UD("clgi", I2_CLGI, "clgi")
EXCEPTION_FIRST("vmrun-in-virtual-8086-mode-is-ud", ALWAYS, mode_virtual_8086(), intercept_2, I2_VMRUN, UD, ".code16", "vmrun")
EXCEPTION_FIRST("sldt-in-real-mode-is-ud", ALWAYS, mode_real(), intercept_1, I1_READ_LDTR, UD, ".code16", "sldt %%ax")
EXCEPTION_FIRST("ltr-in-real-mode-is-ud", ALWAYS, mode_real(), intercept_1, I1_WRITE_TR, UD, ".code16", "ltr %%ax")

/* --- exceptions that the intercept comes before -------------------------------------------------------------------------------- */
#define INTERCEPT_FIRST(name, mode, field, bit, code, before, insn) \
    TEST("15.9/" name)                                              \
    {                                                               \
        GUEST3(before, insn, "");                                   \
        mode;                                                       \
        v.field |= (u32)BIT(bit);                                   \
        expect_exit(code);                                          \
        expect_at_insn();                                           \
    }
#define UNMAPPED "0xffffffff80000000"
INTERCEPT_FIRST("sidt-before-its-page-fault", (void)0, intercept_1, I1_READ_IDTR, EXIT_OF_1(I1_READ_IDTR), "", "sidt " UNMAPPED)
INTERCEPT_FIRST("sgdt-before-its-page-fault", (void)0, intercept_1, I1_READ_GDTR, EXIT_OF_1(I1_READ_GDTR), "", "sgdt " UNMAPPED)
INTERCEPT_FIRST("lidt-before-its-page-fault", (void)0, intercept_1, I1_WRITE_IDTR, EXIT_OF_1(I1_WRITE_IDTR), "", "lidt " UNMAPPED)
INTERCEPT_FIRST("lgdt-before-its-page-fault", (void)0, intercept_1, I1_WRITE_GDTR, EXIT_OF_1(I1_WRITE_GDTR), "", "lgdt " UNMAPPED)
INTERCEPT_FIRST("sldt-before-its-page-fault", (void)0, intercept_1, I1_READ_LDTR, EXIT_OF_1(I1_READ_LDTR), "", "sldt " UNMAPPED)
INTERCEPT_FIRST("str-before-its-page-fault", (void)0, intercept_1, I1_READ_TR, EXIT_OF_1(I1_READ_TR), "", "str " UNMAPPED)
INTERCEPT_FIRST("lldt-before-its-page-fault", (void)0, intercept_1, I1_WRITE_LDTR, EXIT_OF_1(I1_WRITE_LDTR), "", "lldt " UNMAPPED)
INTERCEPT_FIRST("ltr-before-its-page-fault", (void)0, intercept_1, I1_WRITE_TR, EXIT_OF_1(I1_WRITE_TR), "", "ltr " UNMAPPED)
INTERCEPT_FIRST("pushf-before-its-page-fault", v.rsp = 0xffffffff80000010, intercept_1, I1_PUSHF, EXIT_OF_1(I1_PUSHF), "", "pushfq")
INTERCEPT_FIRST("popf-before-its-page-fault", v.rsp = 0xffffffff80000010, intercept_1, I1_POPF, EXIT_OF_1(I1_POPF), "", "popfq")
INTERCEPT_FIRST("iret-before-its-page-fault", v.rsp = 0xffffffff80000010, intercept_1, I1_IRET, EXIT_OF_1(I1_IRET), "", "iretq")
INTERCEPT_FIRST("iret-at-cpl-3", mode_user(), intercept_1, I1_IRET, EXIT_OF_1(I1_IRET), "", "iretq")
INTERCEPT_FIRST("rsm-at-cpl-3", mode_user(), intercept_1, I1_RSM, EXIT_OF_1(I1_RSM), "", "rsm")
INTERCEPT_FIRST("vmmcall-at-cpl-3", mode_user(), intercept_2, I2_VMMCALL, EXIT_VMMCALL, "", "vmmcall")
INTERCEPT_FIRST("vmmcall-in-real-mode", mode_real(), intercept_2, I2_VMMCALL, EXIT_VMMCALL, ".code16", "vmmcall")
INTERCEPT_FIRST("cpuid-at-cpl-3", mode_user(), intercept_1, I1_CPUID, EXIT_CPUID, "", "cpuid")
INTERCEPT_FIRST("cpuid-in-real-mode", mode_real(), intercept_1, I1_CPUID, EXIT_CPUID, ".code16", "cpuid")
INTERCEPT_FIRST("cpuid-in-compatibility-mode", mode_compatibility(), intercept_1, I1_CPUID, EXIT_CPUID, ".code32", "cpuid")
INTERCEPT_FIRST("pushf-in-virtual-8086-mode-below-iopl-3", (mode_virtual_8086(), v.rflags &= ~FLAG_IOPL3), intercept_1, I1_PUSHF, EXIT_OF_1(I1_PUSHF), ".code16", "pushfw")
INTERCEPT_FIRST("popf-in-virtual-8086-mode-below-iopl-3", (mode_virtual_8086(), v.rflags &= ~FLAG_IOPL3), intercept_1, I1_POPF, EXIT_OF_1(I1_POPF), ".code16", "popfw")
INTERCEPT_FIRST("int-n-in-virtual-8086-mode-below-iopl-3", (mode_virtual_8086(), v.rflags &= ~FLAG_IOPL3), intercept_1, I1_INTN, EXIT_INTN, ".code16", "int $0x21")
INTERCEPT_FIRST("iret-in-virtual-8086-mode-below-iopl-3", (mode_virtual_8086(), v.rflags &= ~FLAG_IOPL3), intercept_1, I1_IRET, EXIT_IRET, ".code16", "iretw")
INTERCEPT_FIRST("int-n-before-the-gate-is-looked-at", v.idtr.limit = 0, intercept_1, I1_INTN, EXIT_INTN, "", "int $0x80")
INTERCEPT_FIRST("int-n-before-the-gate-dpl", mode_user(), intercept_1, I1_INTN, EXIT_INTN, "", "int $0x80")
INTERCEPT_FIRST("int3-by-cd-03-is-int-n", (void)0, intercept_1, I1_INTN, EXIT_INTN, "", ".byte 0xcd, 3")
INTERCEPT_FIRST("rdtsc-at-cpl-3-without-tsd", mode_user(), intercept_1, I1_RDTSC, EXIT_OF_1(I1_RDTSC), "", "rdtsc")

/* --- breakpoints come first (§15.7) --------------------------------------------------------------------------------------------- */
TEST("15.7/instruction-breakpoint-before-the-intercept")
{
    GUEST3("nop", "cpuid", "");
    v.intercept_1 |= BIT(I1_CPUID);
    __asm__ volatile("mov %0, %%dr0" ::"r"(insn_at));
    v.dr7 = 0x402;
    expect_exception(DB);
    expect_at_insn();
}

TEST("15.7/pending-single-step-before-the-intercept")
{
    GUEST3("nop", "cpuid", "");
    v.intercept_1 |= BIT(I1_CPUID);
    v.rflags |= FLAG_TF;
    expect_exception(DB);
    expect_at_insn();
}

TEST("15.7/pending-data-breakpoint-before-the-intercept")
{
    GUEST3("mov %%rax, page", "cpuid", "");
    v.intercept_1 |= BIT(I1_CPUID);
    __asm__ volatile("mov %0, %%dr0" ::"r"(page));
    v.dr7 = 0x402 | 0xd0000;
    expect_exception(DB);
    expect_at_insn();
    EXPECT("DR6.B0 is set", v.dr6 & 1);
}

TEST("15.7/intercepted-instruction-has-no-effect")
{
    GUEST("pushfq");
    v.intercept_1 |= BIT(I1_PUSHF);
    expect_exit(EXIT_OF_1(I1_PUSHF));
    EXPECT_EQ("RSP", v.rsp, STACK_TOP);
}

TEST("15.7/intercepted-instruction-can-be-restarted")
{
    GUEST("cpuid");
    v.intercept_1 |= BIT(I1_CPUID);
    expect_exit(EXIT_CPUID);
    v.intercept_1 &= ~(u32)BIT(I1_CPUID);
    expect_done();
}

TEST("15.7.1/nrip-with-prefixes")
{
    REQUIRE_SVM(HAS_NRIPS, "nRIP");
    GUEST(".byte 0x66, 0x67, 0x2e, 0x3e, 0x48; cpuid");
    v.intercept_1 |= BIT(I1_CPUID);
    expect_exit(EXIT_CPUID);
    expect_next_rip();
    EXPECT_EQ("the length", v.next_rip - v.rip, 7);
}

TEST("15.7.1/nrip-in-real-mode-is-an-offset")
{
    REQUIRE_SVM(HAS_NRIPS, "nRIP");
    GUEST3(".code16; nop", "cpuid", "");
    mode_real();
    v.intercept_1 |= BIT(I1_CPUID);
    expect_exit(EXIT_CPUID);
    EXPECT_EQ("nRIP", v.next_rip, 3);
}

#define NO_NEXT_RIP(name, prepare_it, code, insn)          \
    TEST("15.7.1/nrip-is-zero-of-" name)                   \
    {                                                      \
        REQUIRE_SVM(HAS_NRIPS, "nRIP");                    \
        GUEST(insn);                                       \
        v.next_rip = 0x5555;                               \
        prepare_it;                                        \
        expect_exit(code);                                 \
        EXPECT_EQ("nRIP", v.next_rip, 0);                  \
    }
NO_NEXT_RIP("ud", (void)0, EXIT_EXCEPTION + UD, "ud2")
NO_NEXT_RIP("gp", (void)0, EXIT_EXCEPTION + GP, "mov $0xfff8, %%eax; mov %%eax, %%ds")
NO_NEXT_RIP("page-fault", (void)0, EXIT_EXCEPTION + PF, "mov 0xffffffff80000000, %%eax")
NO_NEXT_RIP("intr", self_interrupt(0x50), EXIT_INTR, "nop")
NO_NEXT_RIP("divide-error", (void)0, EXIT_EXCEPTION + DE, "xor %%ecx, %%ecx; div %%ecx")
NO_NEXT_RIP("shutdown", (v.idtr.limit = 0, v.intercept_exceptions = 0), EXIT_SHUTDOWN, "ud2")
