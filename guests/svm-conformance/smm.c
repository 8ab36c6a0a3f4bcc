/*
 * §15.13.3, §15.22: SMIs and their intercept; §15.30.3, §15.32: SMM_CTL and SMM-Lock. A handler of ours counts SMIs; it can be
 * put there only where SMRAM is still at 30000h and not locked, which firmware hardly leaves so.
 */
#include "frame.h"

enum { MSR_HWCR = 0xc0010015, MSR_SMM_BASE = 0xc0010111, MSR_SMM_CTL = 0xc0010116, MSR_SMM_KEY = 0xc0010119, SMBASE = 0x30000, SMMLOCK = 1 };
static volatile u32 smis;

/* addr32 inc dword [smis]; rsm */
static bool count_smis(void)
{
    static const u8 code[] = {0x66, 0x67, 0xff, 0x05, 0, 0, 0, 0, 0x0f, 0xaa};
    u64 value;
    if (!read_msr(MSR_SMM_BASE, &value) || value != SMBASE || (rdmsr(MSR_HWCR) & SMMLOCK))
        return false;
    u8 *handler = (u8 *)(SMBASE + 0x8000ul);
    memcpy(handler, code, sizeof code);
    u32 counter = (u32)(u64)&smis;
    memcpy(handler + 4, &counter, 4);
    smis = 0;
    return true;
}
#define OUR_HANDLER REQUIRE(count_smis(), "SMRAM belongs to the firmware")

static void self_smi(void)
{
    apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
    apic_write(APIC_ICR, 0x4200);
    for (int i = 0; i < 100; i++)
        cpu_relax();
}

TEST("15.22.2/smi-is-taken-with-gif-set")
{
    OUR_HANDLER;
    self_smi();
    EXPECT_EQ("SMIs", smis, 1);
}

TEST("15.22.2/smi-waits-for-gif")
{
    OUR_HANDLER;
    clgi();
    self_smi();
    EXPECT_EQ("SMIs while GIF is clear", smis, 0);
    stgi();
    for (int i = 0; i < 100; i++)
        cpu_relax();
    EXPECT_EQ("SMIs when GIF is set", smis, 1);
}

TEST("15.13.3/smi-intercepted")
{
    OUR_HANDLER;
    GUEST("nop");
    v.intercept_1 |= BIT(I1_SMI);
    clgi();
    self_smi();
    u32 before = smis;
    expect_exit(EXIT_SMI); /* run() sets GIF behind it */
    EXPECT_EQ("EXITINFO1: external", v.exit_info_1 & 1, 1);
    EXPECT_EQ("EXITINFO1: no I/O instruction", v.exit_info_1 >> 33 & 1, 0);
    EXPECT_EQ("RIP", v.rip, code_start);
    EXPECT_EQ("SMIs before", before, 0);
    EXPECT_EQ("SMIs after STGI: it was still pending", smis, 1);
}

TEST("15.22.2/smi-not-intercepted-is-taken-in-the-guest")
{
    OUR_HANDLER;
    GUEST("mov $0x1234, %%ebx");
    clgi();
    self_smi();
    expect_done();
    EXPECT_EQ("SMIs", smis, 1);
    EXPECT_EQ("RBX behind RSM", r.rbx, 0x1234);
}

TEST("15.22.2/smi-in-a-user-guest")
{
    OUR_HANDLER;
    GUEST("mov $0x1234, %%ebx");
    mode_user();
    clgi();
    self_smi();
    expect_done();
    EXPECT_EQ("SMIs", smis, 1);
    EXPECT_EQ("CPL", v.cpl, 3);
}

TEST("15.22.2/smi-in-a-guest-under-nested-paging")
{
    OUR_HANDLER;
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST("mov page, %%ebx");
    use_nested_paging();
    *(u32 *)page[0] = 0x77;
    clgi();
    self_smi();
    expect_done();
    EXPECT_EQ("SMIs", smis, 1);
    EXPECT_EQ("what the guest read behind RSM", r.rbx, 0x77);
}

/* SMI and RSM flush the translations of every address space (§15.16.1), here that of a guest's that the host interrupts, and the guest's own. */
static bool guest_read_the_first_page(u64 global)
{
    guest_window[0] |= global;
    *(u64 *)page[0] = 0x100;
    *(u64 *)page[1] = 0x101;
    GUEST3("", "mov 0x100000000, %%rax", "mov %%rax, %%rbx");
    expect_done();
    v.rip = code_start;
    v.tlb_control = 0;
    return r.rbx == 0x100;
}
static void remap_the_first_page(void) { guest_window[0] = (guest_window[0] & 0xfff) | (u64)page[1]; }

TEST("15.16.1/smi-in-the-host-flushes-guests")
{
    OUR_HANDLER;
    EXPECT("the first reading", guest_read_the_first_page(0));
    remap_the_first_page();
    self_smi();
    expect_done();
    EXPECT_EQ("SMIs", smis, 1);
    EXPECT_EQ("the reading behind RSM", r.rbx, 0x101);
}

TEST("15.16.1/smi-in-the-host-flushes-global-pages-of-guests")
{
    OUR_HANDLER;
    EXPECT("the first reading", guest_read_the_first_page(G));
    remap_the_first_page();
    self_smi();
    expect_done();
    EXPECT_EQ("the reading behind RSM", r.rbx, 0x101);
}

TEST("15.16.1/smi-in-a-guest-flushes-its-pages")
{
    OUR_HANDLER;
    EXPECT("the first reading", guest_read_the_first_page(G));
    remap_the_first_page();
    clgi();
    self_smi(); /* taken by VMRUN, which sets GIF */
    expect_done();
    EXPECT_EQ("SMIs", smis, 1);
    EXPECT_EQ("the reading behind RSM", r.rbx, 0x101);
}

TEST("15.16.1/smi-flushes-nested-translations")
{
    OUR_HANDLER;
    REQUIRE_SVM(HAS_NP, "nested paging");
    use_nested_paging();
    guest_window[0] = WINDOW | D | A | US | RW | P;
    EXPECT("the first reading", guest_read_the_first_page(0));
    nested_window[0] = (nested_window[0] & 0xfff) | (u64)page[1];
    self_smi();
    expect_done();
    EXPECT_EQ("the reading behind RSM", r.rbx, 0x101);
}

TEST("15.30.3/smm-ctl-dismisses-a-pending-smi")
{
    OUR_HANDLER;
    REQUIRE(!cpuid_bit(0x80000021, 'a', 9), "no SMM_CTL");
    clgi();
    self_smi();
    wrmsr(MSR_SMM_CTL, 1);
    stgi();
    for (int i = 0; i < 100; i++)
        cpu_relax();
    EXPECT_EQ("SMIs", smis, 0);
}

TEST("15.30.3/smm-ctl-reserved-bits-are-gp")
{
    OUR_HANDLER;
    REQUIRE(!cpuid_bit(0x80000021, 'a', 9), "no SMM_CTL");
    EXPECT("bit 5 faults", !write_msr(MSR_SMM_CTL, BIT(5)));
}

/* The key takes the lock away again. */
static bool lock_smm(void)
{
    if (!count_smis() || !write_msr(MSR_SMM_KEY, 0x1357))
        return false;
    wrmsr(MSR_HWCR, rdmsr(MSR_HWCR) | SMMLOCK);
    return true;
}
static void unlock_smm(void) { wrmsr(MSR_SMM_KEY, 0x1357); }

TEST("15.32.1/smmlock-stays-until-the-key-comes")
{
    REQUIRE(lock_smm(), "SMRAM belongs to the firmware");
    bool silent = write_msr(MSR_HWCR, rdmsr(MSR_HWCR) & ~(u64)SMMLOCK);
    u64 behind_write = rdmsr(MSR_HWCR) & SMMLOCK;
    wrmsr(MSR_SMM_KEY, 0x1358);
    u64 behind_wrong_key = rdmsr(MSR_HWCR) & SMMLOCK;
    unlock_smm();
    EXPECT("the write is ignored silently", silent);
    EXPECT_EQ("SMMLOCK behind the write", behind_write, SMMLOCK);
    EXPECT_EQ("SMMLOCK behind a wrong key", behind_wrong_key, SMMLOCK);
    EXPECT_EQ("SMMLOCK behind the key", rdmsr(MSR_HWCR) & SMMLOCK, 0);
}

TEST("15.32.2/smm-key-reads-as-zero")
{
    OUR_HANDLER;
    REQUIRE(write_msr(MSR_SMM_KEY, 0x1357), "no SMM_KEY");
    EXPECT_EQ("SMM_KEY", rdmsr(MSR_SMM_KEY), 0);
}

TEST("15.30.3/smm-ctl-is-gp-under-smmlock")
{
    REQUIRE(!cpuid_bit(0x80000021, 'a', 9), "no SMM_CTL");
    REQUIRE(lock_smm(), "SMRAM belongs to the firmware");
    bool written = write_msr(MSR_SMM_CTL, 1);
    unlock_smm();
    EXPECT("WRMSR faults", !written);
}

TEST("15.13.3/smi-intercept-is-ignored-under-smmlock")
{
    REQUIRE(lock_smm(), "SMRAM belongs to the firmware");
    GUEST("nop");
    v.intercept_1 |= BIT(I1_SMI);
    clgi();
    self_smi();
    expect_done();
    unlock_smm();
    EXPECT_EQ("SMIs", smis, 1);
}
