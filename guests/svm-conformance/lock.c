/* §15.30.1, §15.30.4, §15.31: the MSRs of SVM; §15.21.8, §15.28: INIT. These come last: a machine that gets one wrong may lose SVM. */
#include "frame.h"

enum { MSR_SVM_KEY = 0xc0010118, VM_CR_DPD = 1, VM_CR_R_INIT = 2, VM_CR_DIS_A20M = 4, VM_CR_LOCK = 8 };

/* --- §15.30.4: VM_HSAVE_PA ----------------------------------------------------------------------------------------------------------- */
#define HSAVE_FAULTS(name, value)                                             \
    TEST("15.30.4/vm-hsave-pa-" name "-is-gp")                                \
    {                                                                         \
        u64 before = rdmsr(MSR_VM_HSAVE_PA);                                  \
        EXPECT("WRMSR faults", !write_msr(MSR_VM_HSAVE_PA, value));           \
        expect_fault(GP, 0);                                                  \
        EXPECT_EQ("VM_HSAVE_PA", rdmsr(MSR_VM_HSAVE_PA), before);             \
    }
HSAVE_FAULTS("with-bit-0", (u64)host_save | 1)
HSAVE_FAULTS("with-bit-11", (u64)host_save | 0x800)
HSAVE_FAULTS("beyond-the-physical-width", physical_bits < 64 ? BIT(physical_bits) : 1)
HSAVE_FAULTS("with-bit-63", BIT(63))

TEST("15.30.4/vm-hsave-pa-can-be-read-back")
{
    wrmsr(MSR_VM_HSAVE_PA, (u64)page[0]);
    EXPECT_EQ("VM_HSAVE_PA", rdmsr(MSR_VM_HSAVE_PA), (u64)page[0]);
}

TEST("15.30.4/vm-hsave-pa-up-to-the-physical-width-is-legal")
{
    EXPECT("WRMSR does not fault", write_msr(MSR_VM_HSAVE_PA, BIT(physical_bits) - 0x1000));
}

TEST("15.30/msrs-exist-without-svme")
{
    u64 value;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
    EXPECT("VM_CR", read_msr(MSR_VM_CR, &value));
    EXPECT("VM_HSAVE_PA", read_msr(MSR_VM_HSAVE_PA, &value));
}

/* --- §15.30.1: VM_CR ------------------------------------------------------------------------------------------------------------------- */
#define UNLOCKED REQUIRE(!(rdmsr(MSR_VM_CR) & VM_CR_LOCK), "VM_CR is locked")
TEST("15.30.1/vm-cr-reserved-bits-are-gp")
{
    EXPECT("bit 5 faults", !write_msr(MSR_VM_CR, rdmsr(MSR_VM_CR) | BIT(5)));
    EXPECT("bit 32 faults", !write_msr(MSR_VM_CR, rdmsr(MSR_VM_CR) | BIT(32)));
    EXPECT("bit 63 faults", !write_msr(MSR_VM_CR, rdmsr(MSR_VM_CR) | BIT(63)));
}

TEST("15.30.1/svmdis-with-svme-set-is-gp")
{
    EXPECT("WRMSR faults", !write_msr(MSR_VM_CR, rdmsr(MSR_VM_CR) | VM_CR_SVMDIS));
    expect_fault(GP, 0);
}

TEST("15.30.1/svmdis-makes-svme-reserved")
{
    REQUIRE_SVM(HAS_SVML, "SVM-Lock: SVMDIS is read-only");
    UNLOCKED;
    u64 efer = rdmsr(MSR_EFER), vm_cr = rdmsr(MSR_VM_CR);
    wrmsr(MSR_EFER, efer & ~EFER_SVME);
    wrmsr(MSR_VM_CR, vm_cr | VM_CR_SVMDIS);
    bool set = write_msr(MSR_EFER, efer);
    bool cpuid_tells = cpuid(0x80000001, 0).ecx & BIT(2);
    wrmsr(MSR_VM_CR, vm_cr);
    EXPECT("WRMSR of EFER.SVME faults", !set);
    EXPECT("CPUID tells of SVM all the same", cpuid_tells);
    EXPECT("with SVMDIS clear it does not fault", write_msr(MSR_EFER, efer));
}

TEST("15.30.1/r-init-can-be-written")
{
    u64 vm_cr = rdmsr(MSR_VM_CR);
    wrmsr(MSR_VM_CR, vm_cr | VM_CR_R_INIT);
    u64 found = rdmsr(MSR_VM_CR);
    wrmsr(MSR_VM_CR, vm_cr & ~(u64)VM_CR_R_INIT);
    EXPECT_EQ("R_INIT", found & VM_CR_R_INIT, VM_CR_R_INIT);
    EXPECT_EQ("R_INIT", rdmsr(MSR_VM_CR) & VM_CR_R_INIT, 0);
}

/* --- §15.13.4, §15.21.8, §15.28: INIT, always with redirection on: otherwise it would be the end of the run -------------------------------- */
static bool redirect_init(void)
{
    wrmsr(MSR_VM_CR, rdmsr(MSR_VM_CR) | VM_CR_R_INIT);
    if (rdmsr(MSR_VM_CR) & VM_CR_R_INIT)
        return true;
    skip("VM_CR.R_INIT cannot be set");
    return false;
}
static void self_init(void)
{
    apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
    apic_write(APIC_ICR, 0x4500);
    for (int i = 0; i < 100; i++)
        cpu_relax();
}
static void stop_redirecting(void) { wrmsr(MSR_VM_CR, rdmsr(MSR_VM_CR) & ~(u64)VM_CR_R_INIT); }

TEST("15.28/redirected-init-is-sx-in-the-host")
{
    if (!redirect_init())
        return;
    TRY("movl %0, 0x10(%1); movl $0x4500, (%1); nop; nop; nop; nop", ::"r"(apic_read(APIC_ID)), "r"(APIC + APIC_ICR) : "memory");
    expect_fault(SX, 1);
    stop_redirecting();
}

TEST("15.21.8/init-waits-for-gif")
{
    if (!redirect_init())
        return;
    clgi();
    TRY("movl %0, 0x10(%1); movl $0x4500, (%1); nop; nop; nop; nop", ::"r"(apic_read(APIC_ID)), "r"(APIC + APIC_ICR) : "memory");
    bool early = fault.taken;
    TRY("stgi; nop; nop", ::: "memory");
    EXPECT("nothing happens while GIF is clear", !early);
    expect_fault(SX, 1);
    stop_redirecting();
}

TEST("15.13.4/init-intercepted")
{
    if (!redirect_init())
        return;
    GUEST("nop");
    v.intercept_1 |= BIT(I1_INIT);
    clgi();
    self_init();
    TRY("vmrun", ::"a"(&v) : "memory");
    bool intercepted = v.exit_code == EXIT_INIT;
    TRY("stgi; nop; nop", ::: "memory");
    EXPECT("VMEXIT_INIT", intercepted);
    expect_fault(SX, 1); /* it was still pending */
    stop_redirecting();
}

TEST("15.21.8/redirected-init-is-sx-in-a-guest")
{
    if (!redirect_init())
        return;
    GUEST("nop");
    deliver(SX);
    clgi();
    self_init();
    expect_vector(SX);
    EXPECT_EQ("the pushed error code", guest_pushed(0), 1);
    stop_redirecting();
}

TEST("15.12.20/sx-intercepted")
{
    if (!redirect_init())
        return;
    GUEST("nop");
    clgi();
    self_init();
    expect_exception(SX);
    EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, 1);
    stop_redirecting();
}

/* --- §15.31: SVM-Lock ------------------------------------------------------------------------------------------------------------------------ */
TEST("15.31.1/svm-key-reads-as-zero")
{
    REQUIRE_SVM(HAS_SVML, "SVM-Lock");
    UNLOCKED;
    wrmsr(MSR_SVM_KEY, 0x1122334455667788);
    u64 value = 1;
    EXPECT("RDMSR does not fault", read_msr(MSR_SVM_KEY, &value));
    EXPECT_EQ("SVM_KEY", value, 0);
}

TEST("15.31.1/key-unlocks")
{
    REQUIRE_SVM(HAS_SVML, "SVM-Lock");
    UNLOCKED;
    u64 vm_cr = rdmsr(MSR_VM_CR);
    wrmsr(MSR_SVM_KEY, 0x1122334455667788);
    wrmsr(MSR_VM_CR, vm_cr | VM_CR_LOCK);
    EXPECT_EQ("LOCK", rdmsr(MSR_VM_CR) & VM_CR_LOCK, VM_CR_LOCK);
    wrmsr(MSR_VM_CR, vm_cr);
    EXPECT_EQ("LOCK behind a write", rdmsr(MSR_VM_CR) & VM_CR_LOCK, VM_CR_LOCK);
    wrmsr(MSR_SVM_KEY, 0x1122334455667789);
    EXPECT_EQ("LOCK behind another key", rdmsr(MSR_VM_CR) & VM_CR_LOCK, VM_CR_LOCK);
    wrmsr(MSR_SVM_KEY, 0x1122334455667788);
    EXPECT_EQ("LOCK behind the key", rdmsr(MSR_VM_CR) & VM_CR_LOCK, 0);
}

TEST("15.30.1/lock-holds-svmdis")
{
    REQUIRE_SVM(HAS_SVML, "SVM-Lock");
    UNLOCKED;
    u64 efer = rdmsr(MSR_EFER), vm_cr = rdmsr(MSR_VM_CR);
    wrmsr(MSR_SVM_KEY, 0x55);
    wrmsr(MSR_EFER, efer & ~EFER_SVME);
    wrmsr(MSR_VM_CR, vm_cr | VM_CR_LOCK);
    bool silent = write_msr(MSR_VM_CR, vm_cr | VM_CR_LOCK | VM_CR_SVMDIS);
    u64 found = rdmsr(MSR_VM_CR);
    wrmsr(MSR_SVM_KEY, 0x55);
    wrmsr(MSR_VM_CR, vm_cr);
    EXPECT("the write is ignored silently", silent);
    EXPECT_EQ("SVMDIS", found & VM_CR_SVMDIS, 0);
}

TEST("15.30.1/svmdis-with-svme-is-gp-when-locked-too")
{
    REQUIRE_SVM(HAS_SVML, "SVM-Lock");
    UNLOCKED;
    u64 vm_cr = rdmsr(MSR_VM_CR);
    wrmsr(MSR_SVM_KEY, 0x55);
    wrmsr(MSR_VM_CR, vm_cr | VM_CR_LOCK);
    bool silent = write_msr(MSR_VM_CR, vm_cr | VM_CR_LOCK | VM_CR_SVMDIS);
    wrmsr(MSR_SVM_KEY, 0x55);
    EXPECT("WRMSR faults", !silent);
}

TEST("15.31.1/key-zero-never-unlocks")
{
    REQUIRE_SVM(HAS_SVML, "SVM-Lock");
    UNLOCKED;
    wrmsr(MSR_SVM_KEY, 0);
    wrmsr(MSR_VM_CR, rdmsr(MSR_VM_CR) | VM_CR_LOCK); /* stays until the reset; SVM itself stays on */
    wrmsr(MSR_SVM_KEY, 0);
    EXPECT_EQ("LOCK", rdmsr(MSR_VM_CR) & VM_CR_LOCK, VM_CR_LOCK);
}
