/* The long-mode page walk: protection, accessed and dirty bits, reserved bits, page sizes (APM volume 2, chapter 5). */
#include "frame.h"

extern u64 boot_pml4[];

#define P BIT(0)
#define W BIT(1)
#define U BIT(2)
#define A BIT(5)
#define D BIT(6)
#define PS BIT(7)
#define G BIT(8)
#define NX BIT(63)
#define FRAME 0x000ffffffffff000ull

/* Error code bits */
enum { E_P = 1, E_W = 2, E_U = 4, E_R = 8, E_I = 16 };

#define RESERVED_WITHOUT_PRESENT "QEMU 7.2 leaves P clear in the error code of reserved bits (APM 2 §8.4.2)"

#define WINDOW 0x8000000000ull /* the second PML4 entry: tables of the test's own */
static u64 *pml4e, *pdpt, *directory, *table;

static void window(void)
{
    pdpt = fresh_page();
    directory = fresh_page();
    table = fresh_page();
    pml4e = &boot_pml4[1];
    *pml4e = (u64)pdpt | U | W | P;
    pdpt[0] = (u64)directory | U | W | P;
    directory[0] = (u64)table | U | W | P;
}
static void flush(void) { write_cr3(read_cr3()); }
static u8 *map(unsigned page, u64 flags)
{
    u8 *memory = fresh_page();
    table[page] = (u64)memory | flags;
    flush();
    return memory;
}
static volatile u8 *at(unsigned page, unsigned offset) { return (volatile u8 *)(WINDOW + page * PAGE + offset); }

#define READ(address) TRY("movb (%0), %%al", : : "r"(address) : "rax")
#define WRITE(address) TRY("movb $1, (%0)", : : "r"(address) : "memory")
#define FETCH(address) TRY("call *%0", : : "r"(address) : "memory")

static u64 user_read(u64 address) { return *(volatile u8 *)address; }
static u64 user_write(u64 address)
{
    *(volatile u8 *)address = 1;
    return 0;
}
static u64 user_call(u64 address)
{
    __asm__ volatile("call *%0" ::"r"(address) : "memory");
    return 0;
}

/* --- accessed and dirty bits ------------------------------------------------------------------------------------------------- */
TEST(paging, read_sets_accessed_at_each_level)
{
    window();
    map(0, U | W | P);
    EXPECT(!(*pml4e & A) && !(pdpt[0] & A) && !(directory[0] & A) && !(table[0] & A));
    READ(at(0, 0));
    EXPECT_NO_FAULT();
    EXPECT(*pml4e & A);
    EXPECT(pdpt[0] & A);
    EXPECT(directory[0] & A);
    EXPECT_EQ(table[0] & (A | D), A);
}
TEST(paging, write_sets_dirty_in_the_last_level_only)
{
    window();
    map(0, U | W | P);
    WRITE(at(0, 0));
    EXPECT_NO_FAULT();
    EXPECT_EQ(table[0] & (A | D), A | D);
    EXPECT(!(directory[0] & D) && !(pdpt[0] & D) && !(*pml4e & D));
}
TEST(paging, write_after_read_sets_dirty)
{
    window();
    map(0, U | W | P);
    READ(at(0, 0));
    EXPECT_EQ(table[0] & D, 0);
    WRITE(at(0, 0));
    EXPECT_EQ(table[0] & D, D);
}
TEST(paging, dirty_is_set_again_after_being_cleared)
{
    window();
    map(0, U | W | P);
    WRITE(at(0, 0));
    table[0] &= ~(A | D);
    invlpg(WINDOW);
    READ(at(0, 0));
    EXPECT_EQ(table[0] & (A | D), A);
    WRITE(at(0, 0));
    EXPECT_EQ(table[0] & (A | D), A | D);
}
TEST(paging, refused_write_leaves_dirty_clear)
{
    window();
    map(0, U | P);
    WRITE(at(0, 0));
    EXPECT_FAULT(PF, E_P | E_W);
    EXPECT_EQ(table[0] & D, 0);
}
TEST(paging, fetch_sets_accessed)
{
    window();
    *map(0, U | W | P) = 0xc3;
    FETCH(at(0, 0));
    EXPECT_NO_FAULT();
    EXPECT_EQ(table[0] & (A | D), A);
}
TEST(paging, large_page_accessed_and_dirty)
{
    window();
    directory[1] = 0x200000 | PS | U | W | P;
    flush();
    READ(WINDOW + 0x200000);
    EXPECT_EQ(directory[1] & (A | D), A);
    TRY("lock addb $0, (%0)", : : "r"(WINDOW + 0x200000) : "memory");
    EXPECT_NO_FAULT();
    EXPECT_EQ(directory[1] & (A | D), A | D);
}

/* --- error codes --------------------------------------------------------------------------------------------------------------- */
TEST(paging, not_present_at_each_level)
{
    window();
    map(0, U | W | P);
    table[0] = 0;
    flush();
    READ(at(0, 5));
    EXPECT_FAULT(PF, 0);
    EXPECT_EQ(fault.cr2, WINDOW + 5);
    WRITE(at(0, 0));
    EXPECT_FAULT(PF, E_W);
    READ(WINDOW + 0x200000);
    EXPECT_FAULT(PF, 0);
    EXPECT_EQ(fault.cr2, WINDOW + 0x200000);
    READ(WINDOW + 0x40000000);
    EXPECT_FAULT(PF, 0);
    READ(WINDOW + 0x8000000000);
    EXPECT_FAULT(PF, 0);
    EXPECT_EQ(fault.cr2, WINDOW + 0x8000000000);
}
TEST(paging, present_bit_alone_decides)
{
    window();
    table[0] = 0xfffffffffffffffeull; /* every other bit: available to software */
    flush();
    READ(at(0, 0));
    EXPECT_FAULT(PF, 0);
}
TEST(paging, user_not_present)
{
    window();
    in_user_mode(user_read, (u64)at(3, 0));
    EXPECT_FAULT(PF, E_U);
    in_user_mode(user_write, (u64)at(3, 0));
    EXPECT_FAULT(PF, E_U | E_W);
}
TEST(paging, user_page_from_ring_3)
{
    window();
    u8 *memory = map(0, U | W | P);
    *memory = 0x5a;
    EXPECT_EQ(in_user_mode(user_read, (u64)at(0, 0)), 0x5a);
    EXPECT_EQ(in_user_mode(user_write, (u64)at(0, 0)), 0);
    EXPECT_NO_FAULT();
    EXPECT_EQ(*memory, 1);
}
TEST(paging, supervisor_page_from_ring_3)
{
    window();
    map(0, W | P);
    in_user_mode(user_read, (u64)at(0, 0));
    EXPECT_FAULT(PF, E_U | E_P);
    in_user_mode(user_write, (u64)at(0, 0));
    EXPECT_FAULT(PF, E_U | E_W | E_P);
    READ(at(0, 0));
    EXPECT_NO_FAULT();
}
TEST(paging, user_bit_of_each_level_counts)
{
    window();
    map(0, U | W | P);
    u64 *const levels[] = {pml4e, &pdpt[0], &directory[0], &table[0]};
    for (u64 i = 0; i < 4; i++) {
        *levels[i] &= ~U;
        flush();
        in_user_mode(user_read, (u64)at(0, 0));
        EXPECT_FAULT(PF, E_U | E_P);
        *levels[i] |= U;
        flush();
        in_user_mode(user_read, (u64)at(0, 0));
        EXPECT_NO_FAULT();
    }
}
TEST(paging, write_bit_of_each_level_counts)
{
    window();
    map(0, U | W | P);
    u64 *const levels[] = {pml4e, &pdpt[0], &directory[0], &table[0]};
    for (u64 i = 0; i < 4; i++) {
        *levels[i] &= ~W;
        flush();
        in_user_mode(user_write, (u64)at(0, 0));
        EXPECT_FAULT(PF, E_U | E_W | E_P);
        WRITE(at(0, 0));
        EXPECT_FAULT(PF, E_W | E_P);
        READ(at(0, 0));
        EXPECT_NO_FAULT();
        *levels[i] |= W;
        flush();
    }
}
TEST(paging, supervisor_ignores_read_only_without_wp)
{
    window();
    map(0, U | P);
    write_cr0(read_cr0() & ~CR0_WP);
    WRITE(at(0, 0));
    EXPECT_NO_FAULT();
    EXPECT_EQ(table[0] & D, D);
    in_user_mode(user_write, (u64)at(0, 0));
    EXPECT_FAULT(PF, E_U | E_W | E_P);
    write_cr0(read_cr0() | CR0_WP);
    WRITE(at(0, 0));
    EXPECT_FAULT(PF, E_W | E_P);
}
TEST(paging, read_modify_write_faults_as_a_write)
{
    window();
    map(0, U | P);
    TRY("addb $1, (%0)", : : "r"(at(0, 0)) : "memory");
    EXPECT_FAULT(PF, E_W | E_P);
    TRY("xchgb %%al, (%0)", : : "r"(at(0, 0)) : "rax", "memory");
    EXPECT_FAULT(PF, E_W | E_P);
    TRY("btsl $1, (%0)", : : "r"(at(0, 0)) : "memory");
    EXPECT_FAULT(PF, E_W | E_P);
    TRY("btl $1, (%0)", : : "r"(at(0, 0)) : "memory");
    EXPECT_NO_FAULT();
}
TEST_QEMU_FAILS(paging, read_modify_write_of_an_absent_page, "QEMU reads first, without W (APM 2 §8.4.2)")
{
    window();
    TRY("addb $1, (%0)", : : "r"(at(0, 0)) : "memory");
    EXPECT_FAULT(PF, E_W);
}
TEST(paging, failing_cmpxchg_writes_all_the_same)
{
    window();
    map(0, U | P);
    TRY("mov $1, %%eax; cmpxchg %%ecx, (%0)", : : "r"(at(0, 0)) : "rax", "memory");
    EXPECT_FAULT(PF, E_W | E_P);
}
TEST(paging, push_and_call_fault_as_writes)
{
    window();
    extern u8 interrupt_stubs[];
    set_gate(PF, interrupt_stubs + PF * 16, GATE_INTERRUPT, 0, 1, true);
    TRY("lea 8(%0), %%rsp; push %%rax", : : "r"(at(0, 0)));
    EXPECT_FAULT(PF, E_W);
    EXPECT_EQ(fault.cr2, WINDOW);
    EXPECT_EQ(fault.rsp, WINDOW + 8);
    TRY("lea 8(%0), %%rsp; call 1f; 1:", : : "r"(at(0, 0)));
    EXPECT_FAULT(PF, E_W);
    EXPECT_EQ(fault.rsp, WINDOW + 8);
    TRY("mov %0, %%rsp; pop %%rax", : : "r"(at(0, 0)) : "rax");
    EXPECT_FAULT(PF, 0);
    EXPECT_EQ(fault.rsp, WINDOW);
}

/* --- no execute ------------------------------------------------------------------------------------------------------------------ */
TEST(paging, no_execute)
{
    window();
    *map(0, NX | U | W | P) = 0xc3;
    FETCH(at(0, 0));
    EXPECT_FAULT(PF, E_I | E_P);
    EXPECT_EQ(fault.cr2, WINDOW);
    EXPECT_EQ(fault.rip, WINDOW);
    READ(at(0, 0));
    EXPECT_NO_FAULT();
}
TEST(paging, no_execute_of_each_level_counts)
{
    window();
    *map(0, U | W | P) = 0xc3;
    u64 *const levels[] = {pml4e, &pdpt[0], &directory[0], &table[0]};
    for (u64 i = 0; i < 4; i++) {
        *levels[i] |= NX;
        flush();
        FETCH(at(0, 0));
        EXPECT_FAULT(PF, E_I | E_P);
        *levels[i] &= ~NX;
        flush();
        FETCH(at(0, 0));
        EXPECT_NO_FAULT();
    }
}
TEST(paging, no_execute_from_ring_3)
{
    window();
    *map(0, NX | U | W | P) = 0xc3;
    in_user_mode(user_call, (u64)at(0, 0));
    EXPECT_FAULT(PF, E_I | E_U | E_P);
}
TEST(paging, fetch_from_an_absent_page)
{
    window();
    FETCH(at(0, 0));
    EXPECT_FAULT(PF, E_I);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
    FETCH(at(0, 0));
    EXPECT_FAULT(PF, 0); /* the bit tells of fetches only with EFER.NXE */
}
TEST_QEMU_FAILS(paging, nx_bit_is_reserved_without_nxe, RESERVED_WITHOUT_PRESENT)
{
    window();
    map(0, NX | U | W | P);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
    flush();
    READ(at(0, 0));
    EXPECT_FAULT(PF, E_R | E_P);
    WRITE(at(0, 0));
    EXPECT_FAULT(PF, E_R | E_W | E_P);
}

/* --- reserved bits ---------------------------------------------------------------------------------------------------------------- */
static u64 beyond_physical(void)
{
    unsigned width = cpuid(0x80000008, 0).eax & 0xff;
    return width < 52 ? BIT(width) : 0;
}
TEST_QEMU_FAILS(paging, address_beyond_the_physical_width_is_reserved, RESERVED_WITHOUT_PRESENT)
{
    SKIP_UNLESS(beyond_physical(), "all 52 bits are implemented");
    window();
    map(0, U | W | P);
    u64 *const levels[] = {pml4e, &pdpt[0], &directory[0], &table[0]};
    for (u64 i = 0; i < 4; i++) {
        *levels[i] |= beyond_physical();
        flush();
        READ(at(0, 0));
        EXPECT_FAULT(PF, E_R | E_P);
        in_user_mode(user_write, (u64)at(0, 0));
        EXPECT_FAULT(PF, E_R | E_U | E_W | E_P);
        *levels[i] &= ~beyond_physical();
        flush();
    }
}
TEST_QEMU_FAILS(paging, page_size_bit_of_the_fourth_level_is_reserved, RESERVED_WITHOUT_PRESENT)
{
    window();
    map(0, U | W | P);
    *pml4e |= PS;
    flush();
    READ(at(0, 0));
    EXPECT_FAULT(PF, E_R | E_P);
    *pml4e &= ~PS;
    flush();
}
TEST_QEMU_FAILS(paging, low_address_bits_of_large_pages_are_reserved, RESERVED_WITHOUT_PRESENT)
{
    window();
    for (unsigned bit = 13; bit < 21; bit++) {
        directory[1] = 0x200000 | BIT(bit) | PS | U | W | P;
        flush();
        READ(WINDOW + 0x200000);
        EXPECT_FAULT(PF, E_R | E_P);
    }
    directory[1] = 0x200000 | BIT(12) | PS | U | W | P; /* the PAT bit */
    flush();
    READ(WINDOW + 0x200000);
    EXPECT_NO_FAULT();
}
TEST_QEMU_FAILS(paging, low_address_bits_of_1_gib_pages_are_reserved, RESERVED_WITHOUT_PRESENT)
{
    SKIP_UNLESS(cpuid(0x80000001, 0).edx & BIT(26), "no 1-GiB pages");
    window();
    for (unsigned bit = 13; bit < 30; bit++) {
        pdpt[1] = BIT(bit) | PS | U | W | P;
        flush();
        READ(WINDOW + 0x40000000);
        EXPECT_FAULT(PF, E_R | E_P);
    }
}
TEST_QEMU_FAILS(paging, reserved_beats_protection, RESERVED_WITHOUT_PRESENT)
{
    SKIP_UNLESS(beyond_physical(), "all 52 bits are implemented");
    window();
    map(0, P);
    table[0] |= beyond_physical();
    flush();
    in_user_mode(user_write, (u64)at(0, 0));
    EXPECT_FAULT(PF, E_R | E_U | E_W | E_P);
}
TEST(paging, software_bits_are_ignored)
{
    window();
    u8 *memory = map(0, U | W | P | BIT(9) | BIT(10) | BIT(11) | BIT(52) | BIT(58));
    *memory = 7;
    EXPECT_EQ(*at(0, 0), 7);
}

/* --- page sizes and translation ---------------------------------------------------------------------------------------------------- */
TEST(paging, two_mebibyte_page)
{
    window();
    directory[3] = 0x400000 | PS | U | W | P;
    flush();
    *(volatile u64 *)0x5ff008 = 0x1122334455667788;
    EXPECT_EQ(*(volatile u64 *)(WINDOW + 0x7ff008), 0x1122334455667788);
}
TEST(paging, one_gibibyte_page)
{
    SKIP_UNLESS(cpuid(0x80000001, 0).edx & BIT(26), "no 1-GiB pages");
    window();
    pdpt[2] = PS | U | W | P;
    flush();
    *(volatile u64 *)0x400010 = 0xfeedface;
    EXPECT_EQ(*(volatile u64 *)(WINDOW + 0x80400010), 0xfeedface);
    EXPECT(pdpt[2] & A);
}
TEST(paging, two_linear_pages_on_one_frame)
{
    window();
    u8 *memory = map(0, U | W | P);
    table[1] = (u64)memory | U | W | P;
    *at(0, 100) = 9;
    EXPECT_EQ(*at(1, 100), 9);
    *at(1, 100) = 10;
    EXPECT_EQ(*at(0, 100), 10);
}
TEST(paging, tables_that_map_themselves)
{
    window();
    table[5] = (u64)table | W | P;
    flush();
    volatile u64 *view = (volatile u64 *)at(5, 0);
    EXPECT_EQ(view[5] & FRAME, (u64)table);
    EXPECT_EQ(view[5] & (A | D), A);
    view[6] = (u64)fresh_page() | W | P;
    EXPECT_EQ(table[5] & D, D);
    *at(6, 0) = 1;
    EXPECT_EQ(view[6] & (A | D), A | D);
}
TEST(paging, negative_half)
{
    window();
    boot_pml4[511] = (u64)pdpt | W | P;
    pdpt[511] = (u64)directory | W | P;
    directory[511] = (u64)table | W | P;
    u8 *memory = map(511, W | P);
    *(volatile u8 *)-1ull = 0x77;
    EXPECT_EQ(memory[4095], 0x77);
    boot_pml4[511] = 0;
}

/* --- translation look-aside -------------------------------------------------------------------------------------------------------- */
TEST(paging, invlpg_makes_a_change_visible)
{
    window();
    u8 *first = map(0, U | W | P), *second = fresh_page();
    *first = 1;
    *second = 2;
    EXPECT_EQ(*at(0, 0), 1);
    table[0] = (u64)second | U | W | P;
    invlpg(WINDOW + 0x123);
    EXPECT_EQ(*at(0, 0), 2);
}
TEST(paging, invlpg_drops_a_permission)
{
    window();
    map(0, U | W | P);
    WRITE(at(0, 0));
    table[0] &= ~W;
    invlpg(WINDOW);
    WRITE(at(0, 0));
    EXPECT_FAULT(PF, E_W | E_P);
}
TEST(paging, invlpg_inside_a_large_page_drops_it_whole)
{
    window();
    directory[1] = 0x200000 | PS | U | W | P;
    flush();
    READ(WINDOW + 0x200000);
    READ(WINDOW + 0x3ff000);
    directory[1] = 0;
    invlpg(WINDOW + 0x2ab000);
    READ(WINDOW + 0x200000);
    EXPECT_FAULT(PF, 0);
    READ(WINDOW + 0x3ff000);
    EXPECT_FAULT(PF, 0);
}
TEST(paging, invlpg_drops_cached_upper_levels)
{
    window();
    u8 *first = map(0, U | W | P);
    *first = 1;
    EXPECT_EQ(*at(0, 0), 1);
    u64 *other = fresh_page();
    u8 *second = fresh_page();
    *second = 2;
    other[0] = (u64)second | U | W | P;
    directory[0] = (u64)other | U | W | P;
    invlpg(WINDOW);
    EXPECT_EQ(*at(0, 0), 2);
}
TEST(paging, invlpg_of_a_non_canonical_address_does_nothing)
{
    TRY("invlpg (%0)", : : "r"(0x800000000000) : "memory");
    EXPECT_NO_FAULT();
}
TEST(paging, raising_permissions_needs_no_flush)
{
    window();
    map(0, P);
    READ(at(0, 0));
    table[0] |= W;
    WRITE(at(0, 0));
    if (fault.taken) { /* a stale entry may fault once (§5.5.2) … */
        EXPECT_FAULT(PF, E_W | E_P);
        WRITE(at(0, 0)); /* … which drops it */
    }
    EXPECT_NO_FAULT();
}
TEST(paging, not_present_is_never_cached)
{
    window();
    READ(at(0, 0));
    EXPECT_FAULT(PF, 0);
    table[0] = (u64)fresh_page() | W | P;
    READ(at(0, 0));
    EXPECT_NO_FAULT();
}
TEST(paging, cr3_write_flushes)
{
    window();
    u8 *first = map(0, W | P), *second = fresh_page();
    *first = 1;
    *second = 2;
    EXPECT_EQ(*at(0, 0), 1);
    table[0] = (u64)second | W | P;
    write_cr3(read_cr3());
    EXPECT_EQ(*at(0, 0), 2);
}
TEST(paging, toggling_pge_flushes_global_pages)
{
    window();
    write_cr4(read_cr4() | CR4_PGE);
    u8 *first = map(0, G | W | P), *second = fresh_page();
    *first = 1;
    *second = 2;
    EXPECT_EQ(*at(0, 0), 1);
    table[0] = (u64)second | G | W | P;
    write_cr4(read_cr4() & ~CR4_PGE);
    EXPECT_EQ(*at(0, 0), 2);
}
TEST(paging, invlpg_drops_a_global_page)
{
    window();
    write_cr4(read_cr4() | CR4_PGE);
    u8 *first = map(0, G | W | P), *second = fresh_page();
    *first = 1;
    *second = 2;
    EXPECT_EQ(*at(0, 0), 1);
    table[0] = (u64)second | G | W | P;
    invlpg(WINDOW);
    EXPECT_EQ(*at(0, 0), 2);
}
TEST(paging, another_address_space)
{
    window();
    u64 *other = fresh_page();
    memcpy(other, boot_pml4, PAGE);
    u8 *mine = map(0, W | P);
    *mine = 1;
    u64 *other_pdpt = fresh_page(), *other_directory = fresh_page(), *other_table = fresh_page();
    u8 *theirs = fresh_page();
    *theirs = 2;
    other[1] = (u64)other_pdpt | W | P;
    other_pdpt[0] = (u64)other_directory | W | P;
    other_directory[0] = (u64)other_table | W | P;
    other_table[0] = (u64)theirs | W | P;
    u64 here = read_cr3();
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(*at(0, 0), 1);
        write_cr3((u64)other);
        EXPECT_EQ(*at(0, 0), 2);
        write_cr3(here);
    }
}

/* --- accesses that cross pages ------------------------------------------------------------------------------------------------------ */
TEST(paging, crossing_read_faults_at_the_second_page)
{
    window();
    map(0, W | P);
    TRY("mov (%0), %%rax", : : "r"(at(0, 4093)) : "rax");
    EXPECT_FAULT(PF, 0);
    EXPECT_EQ(fault.cr2, WINDOW + PAGE);
}
TEST(paging, crossing_write_changes_nothing_when_it_faults)
{
    window();
    u8 *memory = map(0, W | P);
    memset(memory + 4090, 0x11, 6);
    TRY("movq %1, (%0)", : : "r"(at(0, 4093)), "r"(~0ull) : "memory");
    EXPECT_FAULT(PF, E_W);
    EXPECT_EQ(fault.cr2, WINDOW + PAGE);
    EXPECT_EQ(memory[4093], 0x11);
    EXPECT_EQ(memory[4095], 0x11);
}
TEST(paging, crossing_write_faults_at_the_first_page)
{
    window();
    map(1, W | P);
    TRY("movq %1, (%0)", : : "r"(at(0, 4093)), "r"(~0ull) : "memory");
    EXPECT_FAULT(PF, E_W);
    EXPECT_EQ(fault.cr2, WINDOW + 4093);
}
TEST(paging, crossing_access_reaches_both_frames)
{
    window();
    u8 *second = map(1, W | P), *first = map(0, W | P); /* not neighbours */
    *(volatile u64 *)at(0, 4092) = 0x1122334455667788;
    EXPECT_EQ(first[4092], 0x88);
    EXPECT_EQ(first[4095], 0x55);
    EXPECT_EQ(second[0], 0x44);
    EXPECT_EQ(second[3], 0x11);
    EXPECT_EQ(*(volatile u64 *)at(0, 4092), 0x1122334455667788);
    TRY("lock addq $1, (%0)", : : "r"(at(0, 4092)) : "memory");
    EXPECT_NO_FAULT();
    EXPECT_EQ(*(volatile u64 *)at(0, 4092), 0x1122334455667789);
}
TEST(paging, crossing_dirty_bits)
{
    window();
    map(0, W | P);
    map(1, W | P);
    *(volatile u16 *)at(0, 4095) = 1;
    EXPECT_EQ(table[0] & D, D);
    EXPECT_EQ(table[1] & D, D);
}
TEST(paging, crossing_instruction_faults_at_the_second_page)
{
    window();
    u8 *memory = map(0, W | P);
    memory[4094] = 0xb8; /* mov eax, imm32 */
    memory[4095] = 1;
    FETCH(at(0, 4094));
    EXPECT_FAULT(PF, E_I);
    EXPECT_EQ(fault.cr2, WINDOW + PAGE);
    EXPECT_EQ(fault.rip, WINDOW + 4094);
}
TEST(paging, instruction_that_ends_with_its_page)
{
    window();
    u8 *memory = map(0, W | P);
    memory[4095] = 0xc3;
    FETCH(at(0, 4095));
    EXPECT_NO_FAULT();
}
TEST(paging, string_copy_stops_exactly_at_the_absent_page)
{
    window();
    u8 *to = map(0, W | P);
    memset(scratch, 0x33, 4096);
    TRY("rep movsb", : : "S"(scratch), "D"(at(0, 4000)), "c"(1000) : "memory");
    EXPECT_FAULT(PF, E_W);
    EXPECT_EQ(fault.cr2, WINDOW + PAGE);
    EXPECT_EQ(fault.rcx, 1000 - 96);
    EXPECT_EQ(fault.rdi, WINDOW + PAGE);
    EXPECT_EQ(fault.rsi, (u64)scratch + 96);
    EXPECT_EQ(to[4095], 0x33);
}

/* --- supervisor access prevention -------------------------------------------------------------------------------------------------- */
TEST(paging, smep)
{
    SKIP_UNLESS(cpuid(7, 0).ebx & BIT(7), "no SMEP");
    window();
    *map(0, U | W | P) = 0xc3;
    identity_map_for_user(false);
    write_cr4(read_cr4() | CR4_SMEP);
    FETCH(at(0, 0));
    EXPECT_FAULT(PF, E_I | E_P);
    READ(at(0, 0));
    EXPECT_NO_FAULT();
    table[0] &= ~U;
    invlpg(WINDOW);
    FETCH(at(0, 0));
    EXPECT_NO_FAULT();
    write_cr4(read_cr4() & ~CR4_SMEP);
    identity_map_for_user(true);
}
TEST(paging, smep_faults_tell_of_the_fetch_without_nxe)
{
    SKIP_UNLESS(cpuid(7, 0).ebx & BIT(7), "no SMEP");
    window();
    *map(0, U | W | P) = 0xc3;
    identity_map_for_user(false);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
    write_cr4(read_cr4() | CR4_SMEP);
    FETCH(at(0, 0));
    EXPECT_FAULT(PF, E_I | E_P);
    write_cr4(read_cr4() & ~CR4_SMEP);
    identity_map_for_user(true);
}
TEST(paging, smap)
{
    SKIP_UNLESS(cpuid(7, 0).ebx & BIT(20), "no SMAP");
    window();
    map(0, U | W | P);
    identity_map_for_user(false);
    write_cr4(read_cr4() | CR4_SMAP);
    READ(at(0, 0));
    EXPECT_FAULT(PF, E_P);
    WRITE(at(0, 0));
    EXPECT_FAULT(PF, E_W | E_P);
    TRY_THEN("stac; movb (%0), %%al; movb %%al, (%0)", "clac", : : "r"(at(0, 0)) : "rax", "memory");
    EXPECT_NO_FAULT();
    READ(at(0, 0));
    EXPECT_FAULT(PF, E_P);
    write_cr4(read_cr4() & ~CR4_SMAP);
    identity_map_for_user(true);
}
TEST(paging, stac_and_clac_are_ring_0_only)
{
    SKIP_UNLESS(cpuid(7, 0).ebx & BIT(20), "no SMAP");
    TRY_THEN("stac; pushfq; pop %0", "clac", : "=r"(fault.rax));
    EXPECT_NO_FAULT();
}

/* --- control registers --------------------------------------------------------------------------------------------------------------- */
#define CONTROL_UNCHECKED "QEMU 7.2 checks no reserved bits or combinations of CR0 and CR4 (APM 2 §3.1)"

TEST(control, cr2_keeps_what_is_written)
{
    write_cr2(0x123456789abcdef0);
    EXPECT_EQ(read_cr2(), 0x123456789abcdef0);
}
TEST_QEMU_DIES(control, cr3_reserved_bits, "QEMU 7.2 takes them (APM 2 §3.1.2)")
{
    SKIP_UNLESS(beyond_physical(), "all 52 bits are implemented");
    TRY("mov %0, %%cr3", : : "r"(read_cr3() | beyond_physical()));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_DIES(control, cr4_reserved_bits, CONTROL_UNCHECKED)
{
    TRY("mov %0, %%cr4", : : "r"(read_cr4() | BIT(31)));
    EXPECT_FAULT(GP, 0);
    TRY("mov %0, %%cr4", : : "r"(read_cr4() | BIT(63)));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_DIES(control, pae_cannot_be_cleared_in_long_mode, CONTROL_UNCHECKED)
{
    TRY("mov %0, %%cr4", : : "r"(read_cr4() & ~CR4_PAE));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_DIES(control, paging_cannot_be_cleared_in_64_bit_code, CONTROL_UNCHECKED)
{
    TRY("mov %0, %%cr0", : : "r"(read_cr0() & ~CR0_PG));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_FAILS(control, cr0_combinations, CONTROL_UNCHECKED)
{
    TRY("mov %0, %%cr0", : : "r"((read_cr0() | CR0_NW) & ~CR0_CD));
    EXPECT_FAULT(GP, 0);
    TRY("mov %0, %%cr0", : : "r"(read_cr0() | BIT(32)));
    EXPECT_FAULT(GP, 0);
}
TEST_QEMU_DIES(control, cr0_without_protection, CONTROL_UNCHECKED)
{
    TRY("mov %0, %%cr0", : : "r"(read_cr0() & ~CR0_PE));
    EXPECT_FAULT(GP, 0);
}
TEST(control, lmsw_sets_pe_mp_em_ts_only)
{
    u64 before = read_cr0();
    TRY("lmsw %w0", : : "r"(0xfffffff0 | CR0_TS | CR0_MP));
    EXPECT_EQ(read_cr0(), (before & ~0xeull) | CR0_TS | CR0_MP);
    EXPECT(read_cr0() & CR0_PE);
    u64 word;
    __asm__ volatile("smsw %0" : "=r"(word));
    EXPECT_EQ(word & 0xffff, read_cr0() & 0xffff);
    __asm__ volatile("clts");
    EXPECT(!(read_cr0() & CR0_TS));
}
TEST(control, cr8_is_the_task_priority)
{
    write_cr8(5);
    EXPECT_EQ(apic_read(APIC_TPR), 0x50);
    apic_write(APIC_TPR, 0x93);
    EXPECT_EQ(read_cr8(), 9);
}
TEST_QEMU_FAILS(control, cr8_reserved_bits, "QEMU takes the low bits (APM 2 §3.1.4)")
{
    TRY("mov %0, %%cr8", : : "r"(0x10ull));
    EXPECT_FAULT(GP, 0);
}
