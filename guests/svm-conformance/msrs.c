/* §15.11: MSR intercepts and the MSR permissions map. */
#include "frame.h"

/* The bit pair of an MSR in the map, Table 15-8. */
static void intercept_msr(u32 msr, unsigned write)
{
    u32 base = msr < 0x2000 ? 0 : msr < 0xc0010000 ? 0x800 : 0x1000;
    u32 bit = (msr & 0x1fff) * 2 + write;
    msrpm[base + bit / 8] |= (u8)(1 << bit % 8);
}

#define READ_AND_WRITE(msr)                                                      \
    TEST("15.11/read-of-" #msr)                                                  \
    {                                                                            \
        GUEST3("mov $" #msr ", %%ecx", "rdmsr", "");                             \
        v.intercept_1 |= BIT(I1_MSR);                                            \
        intercept_msr(msr, 0);                                                   \
        expect_exit(EXIT_MSR);                                                   \
        expect_at_insn();                                                        \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, 0);                                \
        expect_next_rip();                                                       \
    }                                                                            \
    TEST("15.11/write-of-" #msr)                                                 \
    {                                                                            \
        GUEST3("mov $" #msr ", %%ecx", "wrmsr", "");                             \
        v.intercept_1 |= BIT(I1_MSR);                                            \
        intercept_msr(msr, 1);                                                   \
        expect_exit(EXIT_MSR);                                                   \
        expect_at_insn();                                                        \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, 1);                                \
        expect_next_rip();                                                       \
    }
READ_AND_WRITE(0x00000000)
READ_AND_WRITE(0x00000003)
READ_AND_WRITE(0x00000010)
READ_AND_WRITE(0x00001fff)
READ_AND_WRITE(0xc0000000)
READ_AND_WRITE(0xc0000080)
READ_AND_WRITE(0xc0000101)
READ_AND_WRITE(0xc0001fff)
READ_AND_WRITE(0xc0010000)
READ_AND_WRITE(0xc0010114)
READ_AND_WRITE(0xc0011fff)

/* Every MSR outside the ranges is intercepted, whatever the map says. */
#define UNCOVERED(msr)                                                 \
    TEST("15.11/uncovered-read-of-" #msr)                              \
    {                                                                  \
        GUEST3("mov $" #msr ", %%ecx", "rdmsr", "");                   \
        v.intercept_1 |= BIT(I1_MSR);                                  \
        expect_exit(EXIT_MSR);                                         \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, 0);                      \
    }                                                                  \
    TEST("15.11/uncovered-write-of-" #msr)                             \
    {                                                                  \
        GUEST3("mov $" #msr ", %%ecx", "wrmsr", "");                   \
        v.intercept_1 |= BIT(I1_MSR);                                  \
        expect_exit(EXIT_MSR);                                         \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, 1);                      \
    }
UNCOVERED(0x00002000)
UNCOVERED(0x40000000)
UNCOVERED(0xbfffffff)
UNCOVERED(0xc0002000)
UNCOVERED(0xc000ffff)
UNCOVERED(0xc0012000)
UNCOVERED(0xffffffff)

#define PASSES(name, prepare_it, code)      \
    TEST("15.11/" name)                     \
    {                                       \
        GUEST(code);                        \
        v.intercept_1 |= BIT(I1_MSR);       \
        prepare_it;                         \
        expect_done();                      \
    }
static void all_but(u32 msr, unsigned write)
{
    memset(msrpm, 0xff, sizeof msrpm);
    u32 base = msr < 0x2000 ? 0 : msr < 0xc0010000 ? 0x800 : 0x1000;
    u32 bit = (msr & 0x1fff) * 2 + write;
    msrpm[base + bit / 8] &= (u8)~(1 << bit % 8);
}
PASSES("clear-read-bit-of-the-first-range-passes", all_but(0x10, 0), "mov $0x10, %%ecx; rdmsr")
PASSES("clear-read-bit-of-the-second-range-passes", all_but(0xc0000080, 0), "mov $0xc0000080, %%ecx; rdmsr")
PASSES("clear-read-bit-of-the-third-range-passes", all_but(0xc0010114, 0), "mov $0xc0010114, %%ecx; rdmsr")
PASSES("clear-write-bit-passes", all_but(0xc0000082, 1), "mov $0xc0000082, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr")
PASSES("write-bit-does-not-intercept-a-read", (memset(msrpm, 0xaa, sizeof msrpm)), "mov $0xc0000080, %%ecx; rdmsr")
PASSES("read-bit-does-not-intercept-a-write", (memset(msrpm, 0x55, sizeof msrpm)), "mov $0xc0000082, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr")

TEST("15.11/map-is-not-used-without-msr-prot")
{
    GUEST3("mov $0xc0000080, %%ecx", "rdmsr", "");
    memset(msrpm, 0xff, sizeof msrpm);
    expect_done();
}

TEST("15.11/map-is-found-with-low-address-bits-set")
{
    GUEST3("mov $0xc0000080, %%ecx", "rdmsr", "");
    v.intercept_1 |= BIT(I1_MSR);
    intercept_msr(MSR_EFER, 0);
    v.msrpm |= 0xabc;
    expect_exit(EXIT_MSR);
}

TEST("15.11/intercept-before-gp-of-an-unknown-msr")
{
    GUEST3("mov $0x1ff0, %%ecx", "rdmsr", "");
    v.intercept_1 |= BIT(I1_MSR);
    intercept_msr(0x1ff0, 0);
    expect_exit(EXIT_MSR);
}

TEST("15.11/intercept-before-gp-of-reserved-bits")
{
    GUEST3("mov $0xc0000080, %%ecx; mov $-1, %%eax; mov $-1, %%edx", "wrmsr", "");
    v.intercept_1 |= BIT(I1_MSR);
    intercept_msr(MSR_EFER, 1);
    expect_exit(EXIT_MSR);
}

TEST("15.11/gp-of-reserved-bits-without-an-intercept")
{
    GUEST3("mov $0xc0000080, %%ecx; mov $-1, %%eax; mov $-1, %%edx", "wrmsr", "");
    v.intercept_1 |= BIT(I1_MSR);
    expect_exception(GP);
}

TEST("15.11/cpl-is-checked-first")
{
    GUEST3("mov $0xc0000080, %%ecx", "rdmsr", "");
    mode_user();
    v.intercept_1 |= BIT(I1_MSR);
    intercept_msr(MSR_EFER, 0);
    expect_exception(GP);
}

TEST("15.11/intercepted-rdmsr-changes-nothing")
{
    GUEST3("mov $0xc0000080, %%ecx; mov $0x1234, %%eax; mov $0x5678, %%edx", "rdmsr", "");
    v.intercept_1 |= BIT(I1_MSR);
    intercept_msr(MSR_EFER, 0);
    expect_exit(EXIT_MSR);
    EXPECT_EQ("RAX", v.rax, 0x1234);
    EXPECT_EQ("RDX", r.rdx, 0x5678);
}

TEST("15.11/intercepted-wrmsr-changes-nothing")
{
    GUEST3("mov $0xc0000082, %%ecx; mov $0x1234, %%eax; xor %%edx, %%edx", "wrmsr", "");
    v.lstar = 0x5555;
    v.intercept_1 |= BIT(I1_MSR);
    intercept_msr(MSR_LSTAR, 1);
    expect_exit(EXIT_MSR);
    EXPECT_EQ("LSTAR", v.lstar, 0x5555);
}

TEST("15.11/guest-may-not-clear-svme-unseen")
{
    GUEST3("mov $0xc0000080, %%ecx; rdmsr; and $~0x1000, %%eax", "wrmsr", "");
    v.intercept_1 |= BIT(I1_MSR);
    intercept_msr(MSR_EFER, 1);
    expect_exit(EXIT_MSR);
    EXPECT_EQ("EFER.SVME", v.efer & EFER_SVME, EFER_SVME);
}
