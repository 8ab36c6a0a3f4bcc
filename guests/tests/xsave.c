/* XSAVE, XRSTOR and their kin with x87 and SSE state (APM 2 §11.5, APM 4). */
#include "frame.h"

#define CR4_OSXSAVE BIT(18)
#define HAS_XSAVE (cpuid(1, 0).ecx & BIT(26))
#define HAS_XSAVEOPT (cpuid(0xd, 1).eax & BIT(0))
#define HAS_XSAVEC (cpuid(0xd, 1).eax & BIT(1))
#define HAS_XGETBV1 (cpuid(0xd, 1).eax & BIT(2))
#define HAS_XSAVES (cpuid(0xd, 1).eax & BIT(3))
#define MSR_XSS 0xda0
#define COMPACTED BIT(63)

static u8 *const area = scratch, *const other = scratch + 4096;
static volatile u64 *const header = (u64 *)(scratch + 512);

static u64 xgetbv(u32 n)
{
    u32 low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(n));
    return low | (u64)high << 32;
}
static void xsetbv(u32 n, u64 value) { __asm__ volatile("xsetbv" ::"c"(n), "a"((u32)value), "d"((u32)(value >> 32))); }

/* XCR0 = 3 and an area with nothing in it but zeros in its header. */
static bool ready(void)
{
    if (!HAS_XSAVE) {
        skip("no XSAVE");
        return false;
    }
    write_cr4(read_cr4() | CR4_OSXSAVE | CR4_OSFXSR);
    xsetbv(0, 3);
    memset(scratch, 0xee, 8192);
    memset((void *)header, 0, 64);
    *(u32 *)(area + 24) = 0x1f80;
    return true;
}
#define READY()       \
    do {              \
        if (!ready()) \
            return;   \
    } while (0)

/* Both components away from their initial state. */
static void use(void)
{
    static const u32 mxcsr = 0x3f80;
    __asm__ volatile("fninit; fldpi; fld1; mov $0x1122334455667788, %%rax; movq %%rax, %%xmm0; movq %%rax, %%xmm15; ldmxcsr %0" ::"m"(mxcsr) : "rax");
}
static void forget(void)
{
    static const u32 mxcsr = 0x1f80;
    __asm__ volatile("fninit; pxor %%xmm0, %%xmm0; pxor %%xmm15, %%xmm15; ldmxcsr %0" ::"m"(mxcsr));
}
static u64 xmm(int n)
{
    u64 value;
    if (n == 0)
        __asm__ volatile("movq %%xmm0, %0" : "=r"(value));
    else
        __asm__ volatile("movq %%xmm15, %0" : "=r"(value));
    return value;
}
static u16 fpu_status(void)
{
    u16 status;
    __asm__ volatile("fnstsw %0" : "=m"(status));
    return status;
}
static u32 mxcsr(void)
{
    u32 value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}
#define X(insn, mask) __asm__ volatile(insn " (%0)" ::"r"(area), "a"((u32)(mask)), "d"((u32)((u64)(mask) >> 32)) : "memory")
#define TRY_X(insn, at, mask) TRY(insn " (%%rdi)", : : "D"(at), "a"((u32)(mask)), "d"((u32)((u64)(mask) >> 32)) : "memory")

TEST(xsave, cpuid_tells_components_and_sizes)
{
    READY();
    EXPECT_EQ(cpuid(0xd, 0).eax & 3, 3);
    EXPECT_EQ(cpuid(0xd, 0).ebx, 576); /* of what XCR0 enables now */
    EXPECT(cpuid(0xd, 0).ecx >= 576);
    EXPECT_EQ(cpuid(0xd, 63).eax | cpuid(0xd, 63).ebx, 0);
}
TEST(xsave, image_is_that_of_fxsave)
{
    READY();
    use();
    X("xsave64", 3);
    __asm__ volatile("fxsave64 (%0)" ::"r"(other) : "memory");
    for (unsigned i = 0; i < 416; i += 8)
        EXPECT_EQ(*(u64 *)(area + i), *(u64 *)(other + i));
    for (unsigned i = 464; i < 512; i += 8)
        EXPECT_EQ(*(u64 *)(area + i), 0xeeeeeeeeeeeeeeee);
    EXPECT_EQ(header[0], 3);
    EXPECT_EQ(header[1], 0);
    EXPECT_EQ(*(u64 *)(area + 576), 0xeeeeeeeeeeeeeeee);
}
TEST(xsave, stores_what_is_asked_for)
{
    READY();
    use();
    header[0] = BIT(9);
    X("xsave", 1);
    EXPECT_EQ(header[0], BIT(9) | 1);
    EXPECT_EQ(*(u16 *)area, 0x37f);
    EXPECT_EQ(*(u32 *)(area + 24), 0x1f80);
    EXPECT_EQ(*(u64 *)(area + 160), 0xeeeeeeeeeeeeeeee);
    xsetbv(0, 1);
    READY();
    xsetbv(0, 1);
    X("xsave", ~0ull);
    EXPECT_EQ(header[0], 1);
    EXPECT_EQ(*(u64 *)(area + 160), 0xeeeeeeeeeeeeeeee);
}
TEST(xsave, state_comes_back)
{
    READY();
    use();
    u16 status = fpu_status();
    X("xsave64", 3);
    forget();
    X("xrstor64", 3);
    EXPECT_EQ(fpu_status(), status);
    EXPECT_EQ(xmm(0), 0x1122334455667788);
    EXPECT_EQ(xmm(15), 0x1122334455667788);
    EXPECT_EQ(mxcsr(), 0x3f80);
}
TEST(xsave, only_requested_components_come_back)
{
    READY();
    use();
    u16 status = fpu_status();
    X("xsave64", 3);
    forget();
    X("xrstor64", 1);
    EXPECT_EQ(fpu_status(), status);
    EXPECT_EQ(xmm(0), 0);
    EXPECT_EQ(mxcsr(), 0x1f80);
}
TEST(xsave, what_is_not_in_the_area_is_initialised)
{
    READY();
    use();
    *(u32 *)(area + 24) = 0x1fa0; /* MXCSR has no initial state in the standard form (§11.5.9) */
    X("xrstor64", 3);
    EXPECT_EQ(fpu_status(), 0);
    EXPECT_EQ(xmm(0) | xmm(15), 0);
    EXPECT_EQ(mxcsr(), 0x1fa0);
    __asm__ volatile("fxsave64 (%0)" ::"r"(other) : "memory");
    EXPECT_EQ(*(u16 *)other, 0x37f);
    EXPECT_EQ(other[4], 0);
    EXPECT_EQ(*(u64 *)(other + 32), 0);
}
TEST(xsave, xsaveopt_and_back)
{
    READY();
    SKIP_UNLESS(HAS_XSAVEOPT, "no XSAVEOPT");
    use();
    u16 status = fpu_status();
    X("xsaveopt64", 3);
    EXPECT_EQ(header[0], 3);
    forget();
    X("xrstor64", 3);
    EXPECT_EQ(fpu_status(), status);
    EXPECT_EQ(xmm(15), 0x1122334455667788);
}
TEST(xsave, xsavec_and_back)
{
    READY();
    SKIP_UNLESS(HAS_XSAVEC, "no XSAVEC");
    use();
    u16 status = fpu_status();
    X("xsavec64", ~0ull);
    EXPECT_EQ(header[0], 3);
    EXPECT_EQ(header[1], COMPACTED | 3);
    forget();
    X("xrstor64", 3);
    EXPECT_EQ(fpu_status(), status);
    EXPECT_EQ(xmm(15), 0x1122334455667788);
    EXPECT_EQ(mxcsr(), 0x3f80);
    header[0] = 0;
    X("xrstor64", 3);
    EXPECT_EQ(xmm(15), 0);
    EXPECT_EQ(mxcsr(), 0x1f80); /* here it is of the SSE component */
}
TEST(xsave, xsaves_and_back)
{
    READY();
    SKIP_UNLESS(HAS_XSAVES, "no XSAVES");
    use();
    X("xsaves64", 3);
    EXPECT_EQ(header[1], COMPACTED | 3);
    forget();
    X("xrstors64", 3);
    EXPECT_EQ(xmm(15), 0x1122334455667788);
    header[1] = 0;
    TRY_X("xrstors64", area, 3); /* knows the compacted form only */
    EXPECT_FAULT(GP, 0);
    EXPECT_EQ(rdmsr(MSR_XSS), 0);
}
static u64 user_xsaves(u64 unused)
{
    (void)unused;
    X("xsaves64", 3);
    return 0;
}
static u64 user_xgetbv(u64 n) { return xgetbv((u32)n); }
static u64 user_xsetbv(u64 value)
{
    xsetbv(0, value);
    return 0;
}
static u64 user_xsave(u64 unused)
{
    (void)unused;
    X("xsave64", 3);
    X("xrstor64", 3);
    return header[0];
}
TEST(xsave, users_save_and_cannot_enable)
{
    READY();
    use();
    EXPECT_EQ(in_user_mode(user_xgetbv, 0), 3);
    EXPECT_EQ(in_user_mode(user_xsave, 0), 3);
    in_user_mode(user_xsetbv, 1);
    EXPECT_FAULT(GP, 0);
    EXPECT_EQ(xgetbv(0), 3);
}
TEST(xsave, xsaves_is_the_kernels)
{
    READY();
    SKIP_UNLESS(HAS_XSAVES, "no XSAVES");
    in_user_mode(user_xsaves, 0);
    EXPECT_FAULT(GP, 0);
}
TEST(xsave, xgetbv_1_tells_what_is_in_use)
{
    READY();
    SKIP_UNLESS(HAS_XGETBV1, "no XGETBV with ECX = 1");
    use();
    EXPECT_EQ(xgetbv(1), 3);
}
TEST(xsave, xsetbv_faults)
{
    READY();
    static const struct { u32 n; u64 value; } bad[] = {{0, 0}, {0, 2}, {0, BIT(63) | 3}, {0, BIT(32) | 3}, {0, BIT(3) | 3}, {1, 3}, {0x77, 3}};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        TRY("xsetbv", : : "c"(bad[i].n), "a"((u32)bad[i].value), "d"((u32)(bad[i].value >> 32)));
        EXPECT_FAULT(GP, 0);
    }
    EXPECT_EQ(xgetbv(0), 3);
    TRY("xgetbv", : : "c"(2) : "rax", "rdx");
    EXPECT_FAULT(GP, 0);
}
TEST(xsave, undefined_without_osxsave)
{
    READY();
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
    write_cr0(read_cr0() | CR0_TS); /* #NM would come next */
    TRY("xgetbv", : : "c"(0) : "rax", "rdx");
    EXPECT_FAULT(UD, 0);
    TRY("xsetbv", : : "c"(0), "a"(3), "d"(0));
    EXPECT_FAULT(UD, 0);
    TRY_X("xsave64", area, 3);
    EXPECT_FAULT(UD, 0);
    TRY_X("xrstor64", area, 3);
    EXPECT_FAULT(UD, 0);
}
TEST_QEMU_FAILS(xsave, device_not_available, "QEMU 7.2 does not look at CR0.TS (APM 4, XSAVE)")
{
    READY();
    write_cr0(read_cr0() | CR0_TS);
    TRY_X("xsave64", area, 3);
    EXPECT_FAULT(NM, 0);
    TRY_X("xrstor64", area + 8, 3);
    EXPECT_FAULT(NM, 0);
}
TEST(xsave, areas_are_aligned_to_64_bytes)
{
    READY();
    for (unsigned i = 1; i < 64; i *= 2) {
        TRY_X("xsave64", area + i, 3);
        EXPECT_FAULT(GP, 0);
        TRY_X("xrstor64", area + i, 3);
        EXPECT_FAULT(GP, 0);
    }
}
TEST(xsave, xrstor_refuses_bad_headers)
{
    READY();
    use();
    static const struct { unsigned word; u64 value; } bad[] = {{0, BIT(62)}, {0, BIT(63)}, {1, 1}, {1, BIT(62)}, {2, 1}};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        header[bad[i].word] = bad[i].value;
        TRY_X("xrstor64", area, 3);
        EXPECT_FAULT(GP, 0);
        header[bad[i].word] = 0;
    }
    xsetbv(0, 1);
    header[0] = 2;
    TRY_X("xrstor64", area, 1); /* not enabled, though not asked for */
    EXPECT_FAULT(GP, 0);
    xsetbv(0, 3);
    EXPECT_EQ(xmm(0), 0x1122334455667788);
}
TEST(xsave, xrstor_refuses_bad_compacted_headers)
{
    READY();
    SKIP_UNLESS(HAS_XSAVEC, "no XSAVEC");
    use();
    static const struct { u64 present, format, reserved; } bad[] = {
        {3, COMPACTED | 1, 0}, {0, COMPACTED | BIT(62), 0}, {COMPACTED, COMPACTED | 3, 0}, {0, COMPACTED | 3, BIT(2)}, {0, COMPACTED | 3, BIT(7)}};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        header[0] = bad[i].present;
        header[1] = bad[i].format;
        for (unsigned word = 2; word < 8; word++)
            header[word] = bad[i].reserved >> word & 1;
        TRY_X("xrstor64", area, 3);
        EXPECT_FAULT(GP, 0);
    }
    EXPECT_EQ(xmm(0), 0x1122334455667788);
}
TEST_QEMU_FAILS(xsave, reserved_bits_of_mxcsr, "QEMU ignores them (APM 2 §11.5.9, APM 4 XRSTOR)")
{
    READY();
    use();
    *(u32 *)(area + 24) = 0x40000;
    header[0] = 0;
    TRY_X("xrstor64", area, 3);
    EXPECT_FAULT(GP, 0);
    EXPECT_EQ(xmm(0), 0x1122334455667788);
    TRY_X("xrstor64", area, 1);
    EXPECT_NO_FAULT();
}
TEST(xsave, non_canonical_areas)
{
    READY();
    TRY_X("xsave64", 0x800000000000, 3);
    EXPECT_FAULT(GP, 0);
    TRY_X("xrstor64", 0x800000000000, 3);
    EXPECT_FAULT(GP, 0);
}
