/* String instructions: counts, directions, overlaps, faults in the middle, interrupts in the middle. */
#include "frame.h"

TEST(string, count_of_zero_does_nothing)
{
    u64 flags;
    TRY("cmp %%eax, %%eax; rep movsb; pushfq; pop %0", : "=r"(flags) : "S"(0x7ff0000000), "D"(0x7ff0000000), "c"(0ull) : "memory", "cc");
    EXPECT_NO_FAULT();
    EXPECT_EQ(flags & FLAG_ZF, FLAG_ZF);
    TRY("rep stosq", : : "D"(0x800000000000), "c"(0ull), "a"(0) : "memory");
    EXPECT_NO_FAULT();
}
TEST(string, copy_forwards_over_itself_repeats_a_pattern)
{
    memset(scratch, 0, 256);
    scratch[0] = 1;
    scratch[1] = 2;
    const void *from = scratch;
    void *to = scratch + 2;
    u64 count = 100;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    EXPECT_EQ(scratch[100], 1);
    EXPECT_EQ(scratch[101], 2);
    EXPECT_EQ(scratch[102], 0);
}
TEST(string, copy_with_a_distance_below_its_width)
{
    for (int i = 0; i < 64; i++)
        scratch[i] = (u8)i;
    const void *from = scratch;
    void *to = scratch + 3;
    u64 count = 4;
    __asm__ volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    /* each eight bytes are read before they are written, one after the other */
    u8 expected[64];
    for (int i = 0; i < 64; i++)
        expected[i] = (u8)i;
    for (int q = 0; q < 4; q++) {
        u8 eight[8];
        for (int i = 0; i < 8; i++)
            eight[i] = expected[q * 8 + i];
        for (int i = 0; i < 8; i++)
            expected[q * 8 + 3 + i] = eight[i];
    }
    EXPECT(!memcmp(scratch, expected, 64));
}
TEST(string, backwards)
{
    for (int i = 0; i < 64; i++)
        scratch[i] = (u8)i;
    const void *from = scratch + 40;
    void *to = scratch + 48;
    u64 count = 6;
    __asm__ volatile("std; rep movsq; cld" : "+S"(from), "+D"(to), "+c"(count)::"memory", "cc");
    EXPECT_EQ((u64)from, (u64)scratch - 8);
    EXPECT_EQ((u64)to, (u64)scratch);
    EXPECT_EQ(scratch[8], 0);
    EXPECT_EQ(scratch[55], 47);
}
TEST(string, scas_stops_behind_the_match)
{
    memset(scratch, 'a', 100);
    scratch[50] = 'b';
    u64 count = 100;
    void *at = scratch;
    bool found;
    __asm__ volatile("repne scasb" : "+D"(at), "+c"(count), "=@ccz"(found) : "a"('b') : "memory");
    EXPECT(found);
    EXPECT_EQ(count, 49);
    EXPECT_EQ((u64)at, (u64)scratch + 51);
}
TEST(string, cmps_stops_behind_the_difference)
{
    memset(scratch, 1, 200);
    scratch[130] = 2;
    const void *a = scratch;
    void *b = scratch + 100;
    u64 count = 100;
    bool below;
    __asm__ volatile("repe cmpsb" : "+S"(a), "+D"(b), "+c"(count), "=@ccb"(below)::"memory");
    EXPECT_EQ(count, 69);
    EXPECT(below);
}
TEST(string, count_is_ecx_with_32_bit_addresses)
{
    u64 count = 0xffffffff00000004, to = (u64)scratch | 0x5500000000;
    memset(scratch, 0, 16);
    __asm__ volatile("addr32 rep stosb" : "+D"(to), "+c"(count) : "a"(9) : "memory");
    EXPECT_EQ(scratch[3], 9);
    EXPECT_EQ(scratch[4], 0);
    EXPECT_EQ(count, 0);
    EXPECT_EQ(to, (u64)scratch + 4);
}
TEST(string, source_segment_override)
{
    wrmsr(MSR_GS_BASE, 0x1000);
    scratch[0x500] = 0x5c;
    u64 from = (u64)scratch + 0x500 - 0x1000;
    u8 value;
    __asm__ volatile("gs lodsb" : "=a"(value), "+S"(from)::"memory");
    EXPECT_EQ(value, 0x5c);
    wrmsr(MSR_GS_BASE, 0);
}
TEST(string, across_many_pages)
{
    memset(scratch, 0, sizeof scratch);
    void *to = scratch + 5;
    u64 count = 6000;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0x0101010101010101) : "memory");
    EXPECT_EQ(scratch[4], 0);
    EXPECT_EQ(scratch[5], 1);
    EXPECT_EQ(scratch[5 + 48000 - 1], 1);
    EXPECT_EQ(scratch[5 + 48000], 0);
}
TEST(string, lods_repeats)
{
    for (int i = 0; i < 10; i++)
        ((u32 *)scratch)[i] = (u32)i * 3;
    const void *from = scratch;
    u64 count = 10;
    u32 value;
    __asm__ volatile("rep lodsl" : "=a"(value), "+S"(from), "+c"(count)::"memory");
    EXPECT_EQ(value, 27);
    EXPECT_EQ((u64)from, (u64)scratch + 40);
}
TEST(string, outs_and_ins)
{
    const void *from = scratch;
    u64 count = 5;
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0x80) : "memory");
    EXPECT_EQ((u64)from, (u64)scratch + 5);
    EXPECT_EQ(count, 0);
    memset(scratch, 0x55, 8);
    void *to = scratch;
    count = 4;
    outb(0x70, 0x0d); /* RTC register D reads 80 */
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x71) : "memory");
    EXPECT_EQ((u64)to, (u64)scratch + 4);
    EXPECT_EQ(scratch[0], 0x80);
    EXPECT_EQ(scratch[4], 0x55);
}
TEST(string, fault_in_the_source)
{
    TRY("rep movsb", : : "S"(0x7ff0000000), "D"(scratch), "c"(10ull) : "memory");
    EXPECT_FAULT(PF, 0);
    EXPECT_EQ(fault.rcx, 10);
    EXPECT_EQ(fault.rsi, 0x7ff0000000);
    EXPECT_EQ(fault.rdi, (u64)scratch);
}
TEST(string, fault_in_the_middle_backwards)
{
    extern u64 boot_pml4[];
    u64 *pdpt = fresh_page(), *directory = fresh_page(), *table = fresh_page();
    boot_pml4[1] = (u64)pdpt | 3;
    pdpt[0] = (u64)directory | 3;
    directory[0] = (u64)table | 3;
    table[1] = (u64)fresh_page() | 3;
    write_cr3(read_cr3());
    TRY_THEN("std; rep stosl", "cld", : : "D"(0x8000001000 + 36), "c"(100ull), "a"(7) : "memory", "cc");
    EXPECT_FAULT(PF, 2);
    EXPECT_EQ(fault.rcx, 90);
    EXPECT_EQ(fault.rdi, 0x8000001000 - 4);
    EXPECT_EQ(fault.cr2, 0x8000000ffc);
    EXPECT_EQ(fault.rflags & FLAG_DF, FLAG_DF);
}
static volatile u64 seen_rcx, seen_rdi, seen_rip;
static void look(struct interrupt_frame *frame)
{
    seen_rcx = frame->rcx;
    seen_rdi = frame->rdi;
    seen_rip = frame->rip;
}
TEST(string, interrupted_and_continued)
{
    /* 16 MiB of bytes with a timer running: wherever the interrupt falls, the registers tell a consistent tale */
    u8 *memory = (u8 *)0x1000000;
    u64 size = 16 << 20;
    on_any_interrupt = look;
    for (u32 delay = 1000; delay < 1000000; delay *= 10) {
        memory[0] = memory[size - 1] = memory[size] = 0;
        interrupts[0x91] = 0;
        apic_write(APIC_DIVIDE, 0xb);
        apic_write(APIC_TIMER, 0x91);
        apic_write(APIC_INITIAL, delay);
        void *to = memory;
        u64 count = size, at;
        __asm__ volatile("lea 1f(%%rip), %2; sti\n1: rep stosb; cli" : "+D"(to), "+c"(count), "=&r"(at) : "a"(0xab) : "memory");
        EXPECT_EQ((u64)to, (u64)memory + size);
        EXPECT_EQ(memory[0], 0xab);
        EXPECT_EQ(memory[size - 1], 0xab);
        EXPECT_EQ(memory[size], 0);
        if (interrupts[0x91] && seen_rip == at) {
            EXPECT_EQ(seen_rcx + (seen_rdi - (u64)memory), size);
        }
        wait_for(&interrupts[0x91], 1, 10000000);
        EXPECT_EQ(interrupts[0x91], 1);
    }
}
