/* The two-level and the PAE page walk (APM volume 2, §5.2). */
#include "frame.h"

#define P 1u
#define W 2u
#define U 4u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
enum { E_P = 1, E_W = 2, E_U = 4, E_R = 8, E_I = 16 };
#define WINDOW 0x40000000u
#define CR0_WP 0x10000u
#define CR0_PG 0x80000000u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u

#define READ(address) TRY("movb (%0), %%al", : : "r"(address) : "eax")
#define WRITE(address) TRY("movb $1, (%0)", : : "r"(address) : "memory")
#define FETCH(address) TRY("call *%0", : : "r"(address) : "memory")
static void flush(void) { write_cr3(read_cr3()); }

static u32 probe;
static u32 user_read(void) { return *(volatile u8 *)probe; }
static u32 user_write(void) { *(volatile u8 *)probe = 1; return 0; }
static u32 from_ring_3(u32 (*access)(void), u32 address)
{
    probe = address;
    return in_ring_3(access, 0);
}

/* --- two levels ------------------------------------------------------------------------------------------------------------------- */
static u32 *directory, *table;
static void two_levels(void)
{
    directory = fresh_page();
    table = fresh_page();
    for (u32 i = 0; i < 16; i++)
        directory[i] = i << 22 | PS | U | W | P;
    directory[WINDOW >> 22] = (u32)table | U | W | P;
    write_cr4(read_cr4() | CR4_PSE);
    write_cr3((u32)directory);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}
TEST(paging32, small_page)
{
    two_levels();
    u8 *memory = fresh_page();
    table[3] = (u32)memory | U | W | P;
    *(volatile u32 *)(WINDOW + 0x3004) = 0xabcd;
    EXPECT_EQ(*(u32 *)(memory + 4), 0xabcd);
    EXPECT_EQ(table[3] & (A | D), A | D);
    EXPECT_EQ(directory[WINDOW >> 22] & A, A);
}
TEST(paging32, large_page)
{
    two_levels();
    directory[(WINDOW >> 22) + 1] = 0x400000 | PS | U | W | P;
    flush();
    *(volatile u32 *)0x5ffff0 = 0x1234;
    EXPECT_EQ(*(volatile u32 *)(WINDOW + 0x400000 + 0x1ffff0), 0x1234);
    EXPECT_EQ(directory[(WINDOW >> 22) + 1] & (A | D), A);
    WRITE(WINDOW + 0x5ffff0);
    EXPECT_EQ(directory[(WINDOW >> 22) + 1] & (A | D), A | D);
}
TEST(paging32, page_size_bit_without_pse)
{
    /* without PSE the bit is ignored: the entry points to a table */
    two_levels();
    u8 *memory = fresh_page();
    table[0] = (u32)memory | U | W | P;
    memory[7] = 0x55;
    u32 *plain = fresh_page();
    for (u32 i = 0; i < 4; i++) { /* 16 MiB by small pages */
        u32 *low = fresh_page();
        for (u32 j = 0; j < 1024; j++)
            low[j] = i << 22 | j << 12 | U | W | P;
        plain[i] = (u32)low | U | W | P;
    }
    plain[WINDOW >> 22] = (u32)table | PS | U | W | P;
    write_cr3((u32)plain);
    write_cr4(read_cr4() & ~CR4_PSE);
    EXPECT_EQ(*(volatile u8 *)(WINDOW + 7), 0x55);
}
TEST(paging32, error_codes)
{
    two_levels();
    READ(WINDOW);
    EXPECT_FAULT(PF, 0);
    EXPECT_EQ(fault.cr2, WINDOW);
    WRITE(WINDOW + 0x1000000);
    EXPECT_FAULT(PF, E_W);
    EXPECT_EQ(fault.cr2, WINDOW + 0x1000000);
    table[0] = (u32)fresh_page() | P;
    WRITE(WINDOW);
    EXPECT_FAULT(PF, E_W | E_P);
    from_ring_3(user_read, WINDOW);
    EXPECT_FAULT(PF, E_U | E_P);
    from_ring_3(user_write, WINDOW);
    EXPECT_FAULT(PF, E_U | E_W | E_P);
    from_ring_3(user_read, WINDOW + 0x1000);
    EXPECT_FAULT(PF, E_U);
    FETCH(WINDOW + 0x1000);
    EXPECT_FAULT(PF, 0);
}
TEST(paging32, both_levels_must_permit)
{
    two_levels();
    table[0] = (u32)fresh_page() | U | W | P;
    directory[WINDOW >> 22] &= ~W;
    flush();
    WRITE(WINDOW);
    EXPECT_FAULT(PF, E_W | E_P);
    directory[WINDOW >> 22] = (directory[WINDOW >> 22] | W) & ~U;
    flush();
    from_ring_3(user_read, WINDOW);
    EXPECT_FAULT(PF, E_U | E_P);
}
TEST(paging32, supervisor_writes_without_wp)
{
    two_levels();
    table[0] = (u32)fresh_page() | P;
    write_cr0(read_cr0() & ~CR0_WP);
    WRITE(WINDOW);
    EXPECT_NO_FAULT();
    EXPECT_EQ(table[0] & D, D);
}
TEST(paging32, cr3_low_bits_are_ignored)
{
    two_levels();
    table[0] = (u32)fresh_page() | W | P;
    write_cr3((u32)directory | 0x18);
    WRITE(WINDOW);
    EXPECT_NO_FAULT();
    EXPECT_EQ(read_cr3() & 0x18, 0x18);
}
TEST(paging32, linear_addresses_wrap_at_4_gib)
{
    two_levels();
    u32 *top = fresh_page();
    u8 *last = fresh_page();
    top[1023] = (u32)last | W | P;
    directory[1023] = (u32)top | W | P;
    flush();
    last[4094] = 0x11;
    last[4095] = 0x22;
    u32 value;
    gdt[FREE / 8] = descriptor(0xfffff000, 0xfffff, 0x93, 0xc); /* the offset itself must not wrap: that may fault (§4.12) */
    __asm__ volatile("mov %1, %%fs; movl %%fs:0xffe, %0" : "=r"(value) : "r"(FREE));
    EXPECT_EQ(value & 0xffff, 0x2211);
    EXPECT_EQ(value >> 16, *(volatile u16 *)0);
}
TEST(paging32, segment_base_and_paging)
{
    two_levels();
    u8 *memory = fresh_page();
    table[1] = (u32)memory | W | P;
    memory[0x10] = 0x66;
    gdt[FREE / 8] = descriptor(WINDOW, 0xfffff, 0x93, 0xc);
    u8 value;
    __asm__ volatile("mov %1, %%fs; movb %%fs:0x1010, %0" : "=q"(value) : "r"(FREE));
    EXPECT_EQ(value, 0x66);
}

/* --- physical address extension ------------------------------------------------------------------------------------------------------- */
static u64 pointers[4] ALIGNED(32), *low_directory, *high_directory, *wide_table;
#define NX BIT(63)
static void three_levels(void)
{
    low_directory = fresh_page();
    high_directory = fresh_page();
    wide_table = fresh_page();
    for (u32 i = 0; i < 32; i++)
        low_directory[i] = i << 21 | PS | U | W | P;
    high_directory[0] = (u32)wide_table | U | W | P;
    pointers[0] = (u32)low_directory | P;
    pointers[1] = (u32)high_directory | P;
    pointers[2] = pointers[3] = 0;
    write_cr4(read_cr4() | CR4_PAE);
    write_cr3((u32)pointers);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | BIT(11));
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}
TEST(pae, small_page)
{
    three_levels();
    u8 *memory = fresh_page();
    wide_table[2] = (u32)memory | U | W | P;
    *(volatile u32 *)(WINDOW + 0x2008) = 0xabcd;
    EXPECT_EQ(*(u32 *)(memory + 8), 0xabcd);
    EXPECT_EQ(wide_table[2] & (A | D), A | D);
    EXPECT_EQ(high_directory[0] & A, A);
}
TEST_QEMU_FAILS(pae, pointers_have_no_accessed_bit, "QEMU 7.2 sets it (APM 2 §5.2.3)")
{
    three_levels();
    wide_table[2] = (u32)fresh_page() | U | W | P;
    READ(WINDOW + 0x2000);
    EXPECT_EQ(pointers[1], (u64)((u32)high_directory | P));
}
TEST(pae, large_page)
{
    three_levels();
    high_directory[1] = 0x200000 | PS | W | P;
    flush();
    *(volatile u32 *)0x3ffff0 = 0x4321;
    EXPECT_EQ(*(volatile u32 *)(WINDOW + 0x3ffff0), 0x4321);
    EXPECT_EQ(high_directory[1] & (A | D), A);
}
TEST(pae, no_execute)
{
    three_levels();
    u8 *memory = fresh_page();
    *memory = 0xc3;
    wide_table[0] = (u32)memory | W | P | NX;
    FETCH(WINDOW);
    EXPECT_FAULT(PF, E_I | E_P);
    wide_table[0] &= ~NX;
    invlpg(WINDOW);
    FETCH(WINDOW);
    EXPECT_NO_FAULT();
}
TEST(pae, error_codes)
{
    three_levels();
    READ(WINDOW);
    EXPECT_FAULT(PF, 0);
    FETCH(WINDOW);
    EXPECT_FAULT(PF, E_I);
    from_ring_3(user_write, WINDOW);
    EXPECT_FAULT(PF, E_U | E_W);
    READ(0x80000000);
    EXPECT_FAULT(PF, 0);
    EXPECT_EQ(fault.cr2, 0x80000000);
}
TEST_QEMU_FAILS(pae, reserved_bits, "QEMU 7.2 leaves P clear in the error code of reserved bits (APM 2 §8.4.2)")
{
    three_levels();
    wide_table[0] = (u32)fresh_page() | W | P | BIT(62);
    READ(WINDOW);
    EXPECT_FAULT(PF, E_R | E_P);
    high_directory[1] = 0x200000 | BIT(13) | PS | W | P;
    READ(WINDOW + 0x200000);
    EXPECT_FAULT(PF, E_R | E_P);
}
TEST_QEMU_FAILS(pae, reserved_bits_of_the_pointers, "QEMU reads the pointers at each walk and checks no reserved bits (APM 2 §5.2.3)")
{
    three_levels();
    pointers[2] = BIT(1) | P;
    TRY("mov %0, %%cr3", : : "r"(pointers) : "memory");
    EXPECT_FAULT(GP, 0);
    pointers[2] = 0;
}
TEST(pae, pointers_are_loaded_by_cr3)
{
    three_levels();
    u64 *other = fresh_page();
    u8 *memory = fresh_page();
    u64 *other_table = fresh_page();
    other_table[0] = (u32)memory | W | P;
    other[0] = (u32)other_table | W | P;
    memory[0] = 0x3c;
    pointers[1] = (u32)other | P;
    write_cr3((u32)pointers);
    EXPECT_EQ(*(volatile u8 *)WINDOW, 0x3c);
}
