/* §15.4: without EFER.SVME the instructions of SVM do not exist. */
#include "frame.h"

#define WITHOUT_SVME(insn)                                             \
    TEST("15.4/" insn "-without-svme-is-ud")                           \
    {                                                                  \
        u64 efer = rdmsr(MSR_EFER);                                    \
        wrmsr(MSR_EFER, efer & ~EFER_SVME);                            \
        TRY(insn, ::"a"(&v), "c"(0) : "memory");                       \
        wrmsr(MSR_EFER, efer);                                         \
        expect_fault(UD, 0);                                           \
    }
WITHOUT_SVME("vmrun")
WITHOUT_SVME("vmload")
WITHOUT_SVME("vmsave")
WITHOUT_SVME("clgi")
WITHOUT_SVME("vmmcall")
WITHOUT_SVME("invlpga")

TEST("15.4/stgi-without-svme-and-skinit-is-ud")
{
    REQUIRE(!cpuid_bit(0x80000001, 'c', 12) && !(svm_features & BIT(HAS_SVML)), "SKINIT or SVM-Lock lets STGI run without EFER.SVME");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
    TRY("stgi", ::: "memory");
    expect_fault(UD, 0);
}

TEST("15.4/stgi-with-skinit-needs-no-svme")
{
    REQUIRE(cpuid_bit(0x80000001, 'c', 12), "CPUID Fn8000_0001 ECX does not offer SKINIT");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
    TRY("stgi", ::: "memory");
    expect_no_fault();
}

TEST("15.31/stgi-with-svm-lock-needs-no-svme")
{
    REQUIRE_SVM(HAS_SVML, "SVM-Lock");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
    TRY("stgi", ::: "memory");
    expect_no_fault();
}

TEST("15.4/svme-can-be-cleared-and-set")
{
    u64 efer = rdmsr(MSR_EFER);
    wrmsr(MSR_EFER, efer & ~EFER_SVME);
    EXPECT_EQ("EFER", rdmsr(MSR_EFER), efer & ~EFER_SVME);
    wrmsr(MSR_EFER, efer);
    EXPECT_EQ("EFER", rdmsr(MSR_EFER), efer);
}

TEST("15.4/cpuid-has-the-svm-leaf")
{
    EXPECT("CPUID Fn8000_0000 reaches Fn8000_000A", cpuid(0x80000000, 0).eax >= 0x8000000a);
    EXPECT("the revision is not 0", (cpuid(0x8000000a, 0).eax & 0xff) != 0);
    EXPECT("there are ASIDs for the host and a guest", svm_asids >= 2);
}
