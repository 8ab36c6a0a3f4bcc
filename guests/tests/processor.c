/* Model-specific registers, CPUID, atomic instructions, flags: what a kernel relies on without thinking. */
#include "frame.h"

#define RDMSR(msr) TRY("rdmsr", : : "c"(msr) : "rax", "rdx")
#define WRMSR(msr, value) TRY("wrmsr", : : "c"(msr), "a"((u32)(value)), "d"((u32)((u64)(value) >> 32)))
#define QEMU_MSR "QEMU 7.2 ignores unknown MSRs and reserved bits (APM 2 §3.2, appendix A)"

/* --- MSRs ---------------------------------------------------------------------------------------------------------------------- */
TEST_QEMU_FAILS(msr, unknown_register, QEMU_MSR)
{
    RDMSR(0x4b1d0000);
    EXPECT_FAULT(GP, 0);
    WRMSR(0x4b1d0000, 0);
    EXPECT_FAULT(GP, 0);
    RDMSR(0xc0001fff);
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(msr, reserved_bits_of_efer, QEMU_MSR)
{
    WRMSR(MSR_EFER, rdmsr(MSR_EFER) | BIT(9));
    EXPECT_FAULT(GP, 0);
    WRMSR(MSR_EFER, rdmsr(MSR_EFER) | BIT(40));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_DIES(msr, lme_cannot_change_under_paging, QEMU_MSR)
{
    WRMSR(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_LME);
    EXPECT_FAULT(GP, 0);
    EXPECT(rdmsr(MSR_EFER) & EFER_LMA);
}
TEST_QEMU_FAILS(msr, memory_types_of_pat, QEMU_MSR)
{
    u64 pat = rdmsr(MSR_PAT);
    WRMSR(MSR_PAT, (pat & ~0xffull) | 2);
    EXPECT_FAULT(GP, 0);
    WRMSR(MSR_PAT, (pat & ~0xffull) | 8);
    EXPECT_FAULT(GP, 0);
    EXPECT_EQ(rdmsr(MSR_PAT), pat);
}
TEST(msr, pat_keeps_what_is_written)
{
    u64 pat = rdmsr(MSR_PAT);
    wrmsr(MSR_PAT, 0x0007040600070401);
    EXPECT_EQ(rdmsr(MSR_PAT), 0x0007040600070401);
    wrmsr(MSR_PAT, pat);
}
TEST(msr, mtrrs)
{
    u64 capabilities = rdmsr(0xfe);
    EXPECT_EQ(capabilities & 0xff, 8);
    u64 base = rdmsr(0x200), mask = rdmsr(0x201);
    wrmsr(0x200, 0x80000006);
    wrmsr(0x201, 0xff80000800);
    EXPECT_EQ(rdmsr(0x200), 0x80000006);
    EXPECT_EQ(rdmsr(0x201), 0xff80000800);
    wrmsr(0x200, base);
    wrmsr(0x201, mask);
    for (u32 msr = 0x268; msr < 0x270; msr++)
        rdmsr(msr);
    rdmsr(0x2ff);
}
TEST_QEMU_FAILS(msr, time_stamp_counter_can_be_written, "QEMU TCG ignores it (APM 2 §13.2.4)")
{
    wrmsr(0x10, 0x123456789ab);
    u64 now = rdtsc();
    EXPECT(now >= 0x123456789ab && now < 0x123456789abull + 10000000000);
}
TEST(msr, time_stamp_counter_never_runs_backwards)
{
    u64 last = rdtsc();
    for (int i = 0; i < 1000; i++) {
        u64 now = rdtsc();
        EXPECT(now >= last);
        last = now;
    }
}
TEST(msr, rdtscp_tells_tsc_aux)
{
    SKIP_UNLESS(cpuid(0x80000001, 0).edx & BIT(27), "no RDTSCP");
    wrmsr(0xc0000103, 0xabcd);
    u32 aux;
    __asm__ volatile("rdtscp" : "=c"(aux)::"rax", "rdx");
    EXPECT_EQ(aux, 0xabcd);
}
TEST(msr, rdmsr_clears_the_upper_halves)
{
    u64 a = ~0ull, d = ~0ull;
    __asm__ volatile("rdmsr" : "+a"(a), "+d"(d) : "c"(MSR_EFER));
    EXPECT_EQ(a >> 32, 0);
    EXPECT_EQ(d, 0);
}

/* --- CPUID ---------------------------------------------------------------------------------------------------------------------- */
TEST(cpuid, vendor_is_the_same_in_both_leaves)
{
    struct cpuid a = cpuid(0, 0), b = cpuid(0x80000000, 0);
    EXPECT(a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx);
    EXPECT(a.eax >= 1 && b.eax >= 0x80000008);
}
TEST(cpuid, features_agree_with_the_running_mode)
{
    EXPECT(cpuid(0x80000001, 0).edx & BIT(29)); /* long mode */
    EXPECT(cpuid(1, 0).edx & BIT(6));           /* PAE */
    EXPECT(cpuid(1, 0).edx & BIT(26));          /* SSE2 */
    EXPECT(cpuid(1, 0).edx & BIT(9));           /* APIC */
    EXPECT(cpuid(1, 0).edx & BIT(4));           /* TSC */
}
TEST_QEMU_DIES(cpuid, apic_bit_follows_the_base_register, "QEMU 7.2 cannot enable a disabled APIC again (APM 2 §16.3.1)")
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~BIT(11));
    bool off = !(cpuid(1, 0).edx & BIT(9));
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(11));
    apic_on();
    EXPECT(off);
    EXPECT(cpuid(1, 0).edx & BIT(9));
}
TEST(cpuid, osxsave_follows_cr4)
{
    SKIP_UNLESS(cpuid(1, 0).ecx & BIT(26), "no XSAVE");
    EXPECT(!(cpuid(1, 0).ecx & BIT(27)));
    write_cr4(read_cr4() | BIT(18));
    EXPECT(cpuid(1, 0).ecx & BIT(27));
}
TEST(cpuid, clears_the_upper_halves)
{
    u64 a = 0xffffffff00000000, b = ~0ull, c = 0xffffffff00000000, d = ~0ull;
    __asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
    EXPECT_EQ((a | b | c | d) >> 32, 0);
}
TEST(cpuid, address_sizes)
{
    u32 sizes = cpuid(0x80000008, 0).eax;
    EXPECT((sizes & 0xff) >= 36 && (sizes & 0xff) <= 52);
    EXPECT((sizes >> 8 & 0xff) == 48 || (sizes >> 8 & 0xff) == 57);
}

/* --- atomic and wide instructions --------------------------------------------------------------------------------------------------- */
TEST(atomic, cmpxchg16b)
{
    SKIP_UNLESS(cpuid(1, 0).ecx & BIT(13), "no CMPXCHG16B");
    u64 *cell = (u64 *)scratch, a = 1, d = 2;
    cell[0] = 1;
    cell[1] = 2;
    bool done;
    __asm__ volatile("lock cmpxchg16b %2" : "=@ccz"(done), "+a"(a), "+m"(*(u64(*)[2])cell), "+d"(d) : "b"(3ull), "c"(4ull) : "memory");
    EXPECT(done && cell[0] == 3 && cell[1] == 4);
    a = 9, d = 9;
    __asm__ volatile("lock cmpxchg16b %2" : "=@ccz"(done), "+a"(a), "+m"(*(u64(*)[2])cell), "+d"(d) : "b"(5ull), "c"(6ull) : "memory");
    EXPECT(!done && a == 3 && d == 4 && cell[0] == 3);
}
TEST(atomic, cmpxchg16b_must_be_aligned)
{
    SKIP_UNLESS(cpuid(1, 0).ecx & BIT(13), "no CMPXCHG16B");
    TRY("cmpxchg16b (%0)", : : "r"(scratch + 8), "a"(0ull), "d"(0ull), "b"(0ull), "c"(0ull) : "memory", "cc");
    EXPECT_FAULT(GP, 0);
}
TEST(atomic, cmpxchg8b)
{
    u64 *cell = (u64 *)(scratch + 4);
    *cell = 0x1111222233334444;
    u32 a = 0x33334444, d = 0x11112222;
    bool done;
    __asm__ volatile("lock cmpxchg8b %2" : "=@ccz"(done), "+a"(a), "+m"(*cell), "+d"(d) : "b"(7), "c"(8) : "memory");
    EXPECT(done);
    EXPECT_EQ(*cell, 0x800000007);
}
TEST(atomic, cmpxchg8b_with_a_register)
{
    TRY(".byte 0x0f, 0xc7, 0xc8", :);
    EXPECT_FAULT(UD, 0);
}
TEST(atomic, xadd_and_xchg)
{
    u32 *cell = (u32 *)scratch, value = 5;
    *cell = 37;
    __asm__ volatile("lock xaddl %0, %1" : "+r"(value), "+m"(*cell)::"memory", "cc");
    EXPECT(value == 37 && *cell == 42);
    __asm__ volatile("xchgl %0, %1" : "+r"(value), "+m"(*cell)::"memory");
    EXPECT(value == 42 && *cell == 37);
}
TEST(atomic, cmpxchg_of_32_bits_keeps_rax_when_equal)
{
    u32 *cell = (u32 *)scratch;
    u64 a = 0xffffffff00000005;
    *cell = 5;
    __asm__ volatile("cmpxchgl %2, %1" : "+a"(a), "+m"(*cell) : "r"(6) : "memory", "cc");
    EXPECT_EQ(*cell, 6);
    EXPECT_EQ((u32)a, 5);
}

/* --- flags -------------------------------------------------------------------------------------------------------------------------- */
TEST(flags, fixed_bits)
{
    u64 flags;
    __asm__ volatile("push $-1; andl $~0x1f7300, (%%rsp); popfq; pushfq; pop %0; push $2; popfq" : "=r"(flags)::"memory", "cc");
    EXPECT_EQ(flags & 0x802a, 2 | 0); /* bit 1 is one, 3, 5, 15 are zero */
}
TEST(flags, ac_and_id_can_be_toggled)
{
    u64 flags;
    __asm__ volatile("push $0x240000; popfq; pushfq; pop %0; push $2; popfq" : "=r"(flags)::"memory", "cc");
    EXPECT_EQ(flags, 0x240002);
}
TEST(flags, popf_of_16_bits_keeps_the_rest)
{
    u64 flags;
    __asm__ volatile("push $0x240000; popfq; pushw $0; popfw; pushfq; pop %0; push $2; popfq" : "=r"(flags)::"memory", "cc");
    EXPECT_EQ(flags, 0x240002);
}
TEST(flags, pushf_clears_rf_and_vm)
{
    u64 flags;
    __asm__ volatile("push $0x10000; popfq; pushfq; pop %0; push $2; popfq" : "=r"(flags)::"memory", "cc");
    EXPECT_EQ(flags, 2);
}
TEST(flags, sahf_and_lahf)
{
    SKIP_UNLESS(cpuid(0x80000001, 0).ecx & 1, "no LAHF in 64-bit mode");
    u64 a = 0xff00;
    __asm__ volatile("sahf; mov $0, %%eax; lahf" : "+a"(a)::"cc");
    EXPECT_EQ(a, 0xd700);
}

/* --- operands of 64-bit mode ---------------------------------------------------------------------------------------------------------- */
TEST(operands, results_of_32_bits_clear_the_upper_half)
{
    u64 value = ~0ull;
    __asm__ volatile("addl $1, %k0" : "+r"(value)::"cc");
    EXPECT_EQ(value, 0);
    value = ~0ull;
    __asm__ volatile("movb $0, %b0; movw $1, %w0" : "+r"(value));
    EXPECT_EQ(value, 0xffffffffffff0001);
}
TEST(operands, shift_by_zero_of_32_bits_clears_the_upper_half)
{
    u64 value = ~0ull;
    __asm__ volatile("shll %%cl, %k0" : "+r"(value) : "c"(0) : "cc");
    EXPECT_EQ(value, 0xffffffff);
}
TEST(operands, cmov_clears_the_upper_half_even_when_false)
{
    u64 value = ~0ull;
    __asm__ volatile("cmp %%eax, %%eax; cmovnel %k1, %k0" : "+r"(value) : "r"(0ull) : "cc");
    EXPECT_EQ(value, 0xffffffff);
}
TEST(operands, rip_relative_addresses)
{
    u64 a, b;
    __asm__ volatile("lea 1f(%%rip), %0; lea (%%rip), %1\n1:" : "=r"(a), "=r"(b));
    EXPECT_EQ(a, b);
}
TEST(operands, nop_90_with_rex_b_is_xchg)
{
    u64 value = 1;
    __asm__ volatile("mov $2, %%r8d; .byte 0x49, 0x90; mov %%rax, %0" : "+a"(value)::"r8");
    EXPECT_EQ(value, 2);
}
TEST(operands, fxsave_area)
{
    u8 *area = scratch + 512;
    memset(area, 0xee, 1024);
    __asm__ volatile("fninit; fxsave64 (%0)" ::"r"(area) : "memory");
    EXPECT_EQ(*(u16 *)area, 0x37f);
    EXPECT_EQ(*(u16 *)(area + 2), 0);
    EXPECT_EQ(area[4], 0);
    EXPECT_EQ(*(u32 *)(area + 24), 0x1f80);
    EXPECT_EQ(area[512], 0xee);
    TRY("fxsave64 (%0)", : : "r"(area + 8) : "memory");
    EXPECT_FAULT(GP, 0);
}
TEST(operands, movnti_and_prefetch)
{
    __asm__ volatile("movnti %1, (%0); prefetchnta (%0); prefetcht0 (%0); mfence; lfence; sfence; clflush (%0)" ::"r"(scratch), "r"(0x77) : "memory");
    EXPECT_EQ(scratch[0], 0x77);
}
