/* §15.25: nested paging. */
#include "frame.h"

/*
 * Linear WINDOW is guest-physical WINDOW, and that is nested_window. TABLED is a linear address whose last-level page table
 * lies in guest-physical page 1 of the window, the directory in page 2, the directory pointers in page 3, the root in page 4.
 */
#define TABLED (5 * BIT(30))
#define LEAF (D | A | US | RW | P)
static void tables_in_the_window(void)
{
    use_nested_paging();
    memcpy(page[4], guest_pml4, 4096);
    memcpy(page[3], guest_pdpt, 4096);
    *(u64 *)page[4] = WINDOW_PAGE(3) | A | US | RW | P;
    ((u64 *)page[3])[5] = WINDOW_PAGE(2) | A | US | RW | P;
    *(u64 *)page[2] = WINDOW_PAGE(1) | A | US | RW | P;
    *(u64 *)page[1] = WINDOW_PAGE(0) | LEAF;
    v.cr3 = WINDOW_PAGE(4);
}
static void window(void)
{
    use_nested_paging();
    for (unsigned i = 0; i < 16; i++)
        guest_window[i] = WINDOW_PAGE(i) | LEAF;
}

#define NPF(name, prepare_it, before, insn, information, address)                           \
    TEST("15.25.6/" name)                                                                   \
    {                                                                                       \
        REQUIRE_SVM(HAS_NP, "nested paging");                                               \
        GUEST3(before, insn, "");                                                           \
        prepare_it;                                                                         \
        v.cr2 = 0x5555;                                                                     \
        v.next_rip = 0x5555;                                                                \
        expect_exit(EXIT_NPF);                                                              \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, information);                                 \
        EXPECT_EQ("EXITINFO2", v.exit_info_2, address);                                     \
        EXPECT_EQ("CR2", v.cr2, 0x5555);                                                    \
        EXPECT_EQ("EXITINTINFO.V", v.exit_interrupt_info & EVENT_VALID, 0);                 \
    }
#define READ "mov 0x100000008, %%rax"
#define WRITE "mov %%rax, 0x100000008"
#define TO_WINDOW "movabs $0x100000008, %%rcx"
#define FETCH "jmp *%%rcx"
NPF("read-of-an-absent-page", (window(), nested_window[0] = 0), "", READ, NPF_FINAL | NPF_USER, WINDOW + 8)
NPF("write-of-an-absent-page", (window(), nested_window[0] = 0), "", WRITE, NPF_FINAL | NPF_USER | NPF_WRITE, WINDOW + 8)
NPF("fetch-of-an-absent-page", (window(), nested_window[0] = 0), TO_WINDOW, FETCH, NPF_FINAL | NPF_USER | NPF_FETCH, WINDOW + 8)
NPF("write-of-a-read-only-page", (window(), nested_window[0] &= ~(u64)RW), "", WRITE, NPF_FINAL | NPF_USER | NPF_WRITE | NPF_PRESENT, WINDOW + 8)
NPF("read-modify-write-of-a-read-only-page", (window(), nested_window[0] &= ~(u64)RW), TO_WINDOW, "lock incl (%%rcx)", NPF_FINAL | NPF_USER | NPF_WRITE | NPF_PRESENT, WINDOW + 8)
NPF("fetch-of-a-no-execute-page", (window(), nested_window[0] |= NX), TO_WINDOW, FETCH, NPF_FINAL | NPF_USER | NPF_FETCH | NPF_PRESENT, WINDOW + 8)
NPF("read-of-a-supervisor-page", (window(), nested_window[0] &= ~(u64)US), "", READ, NPF_FINAL | NPF_USER | NPF_PRESENT, WINDOW + 8)
NPF("write-of-a-supervisor-page", (window(), nested_window[0] &= ~(u64)US), "", WRITE, NPF_FINAL | NPF_USER | NPF_WRITE | NPF_PRESENT, WINDOW + 8)
NPF("fetch-of-a-supervisor-page", (window(), nested_window[0] &= ~(u64)US), TO_WINDOW, FETCH, NPF_FINAL | NPF_USER | NPF_FETCH | NPF_PRESENT, WINDOW + 8)
NPF("read-with-a-reserved-bit", (window(), nested_window[0] |= BIT(51)), "", READ, NPF_FINAL | NPF_USER | NPF_RESERVED | NPF_PRESENT, WINDOW + 8)
NPF("write-with-a-reserved-bit", (window(), nested_window[0] |= BIT(51)), "", WRITE, NPF_FINAL | NPF_USER | NPF_RESERVED | NPF_WRITE | NPF_PRESENT, WINDOW + 8)
NPF("user-read-of-an-absent-page", (window(), mode_user(), nested_window[0] = 0), "", READ, NPF_FINAL | NPF_USER, WINDOW + 8)
NPF("read-through-an-absent-directory-entry", (window(), *(u64 *)(nested_pdpt[4] & ~0xfffull) = 0), "", READ, NPF_FINAL | NPF_USER, WINDOW + 8)
NPF("read-through-an-absent-pointer", (window(), nested_pdpt[4] = 0), "", READ, NPF_FINAL | NPF_USER, WINDOW + 8)
NPF("write-through-a-read-only-directory-entry", (window(), *(u64 *)(nested_pdpt[4] & ~0xfffull) &= ~(u64)RW), "", WRITE, NPF_FINAL | NPF_USER | NPF_WRITE | NPF_PRESENT, WINDOW + 8)
NPF("fetch-through-a-no-execute-directory-entry", (window(), *(u64 *)(nested_pdpt[4] & ~0xfffull) |= NX), TO_WINDOW, FETCH, NPF_FINAL | NPF_USER | NPF_FETCH | NPF_PRESENT, WINDOW + 8)
NPF("read-through-a-supervisor-directory-entry", (window(), *(u64 *)(nested_pdpt[4] & ~0xfffull) &= ~(u64)US), "", READ, NPF_FINAL | NPF_USER | NPF_PRESENT, WINDOW + 8)
NPF("page-size-bit-of-the-root-is-reserved", (window(), guest_window[0] = 1ull << 39 | LEAF, nested_pml4[1] = (u64)nested_pdpt | PS | LEAF), "", READ, NPF_FINAL | NPF_USER | NPF_RESERVED | NPF_PRESENT, (1ull << 39) + 8)
NPF("low-address-bits-of-a-large-page-are-reserved", (window(), guest_window[0] = 0x4000000 | LEAF, nested_directories[0][32] |= BIT(13)), "", READ, NPF_FINAL | NPF_USER | NPF_RESERVED | NPF_PRESENT, 0x4000008)
NPF("second-page-of-an-access-across-two", (window(), nested_window[1] = 0), "movabs $0x100000ffc, %%rcx", "mov (%%rcx), %%rax", NPF_FINAL | NPF_USER, WINDOW_PAGE(1))
NPF("guest-wp-clear-does-not-help", (window(), v.cr0 &= ~CR0_WP, nested_window[0] &= ~(u64)RW), "", WRITE, NPF_FINAL | NPF_USER | NPF_WRITE | NPF_PRESENT, WINDOW + 8)
NPF("host-wp-clear-does-not-help", (window(), write_cr0(read_cr0() & ~CR0_WP), nested_window[0] &= ~(u64)RW), "", WRITE, NPF_FINAL | NPF_USER | NPF_WRITE | NPF_PRESENT, WINDOW + 8)
NPF("guest-without-paging", (mode_protected(), use_nested_paging(), nested_directories[0][32] = 0), ".code32", "mov 0x4000010, %%eax", NPF_FINAL | NPF_USER, 0x4000010)
NPF("guest-without-paging-write", (mode_protected(), use_nested_paging(), nested_directories[0][32] &= ~(u64)RW), ".code32", "mov %%eax, 0x4000010", NPF_FINAL | NPF_USER | NPF_WRITE | NPF_PRESENT, 0x4000010)
NPF("guest-in-pae-mode", (mode_pae(), use_nested_paging(), nested_directories[0][32] = 0), ".code32", "mov 0x4000010, %%eax", NPF_FINAL | NPF_USER, 0x4000010)
NPF("guest-with-two-level-paging", (mode_legacy_paging(), use_nested_paging(), nested_directories[0][32] = 0), ".code32", "mov 0x4000010, %%eax", NPF_FINAL | NPF_USER, 0x4000010)
NPF("guest-in-real-mode", (mode_real(), use_nested_paging(), v.ds.base = 0x4000000, nested_directories[0][32] = 0), ".code16", "mov 0x10, %%ax", NPF_FINAL | NPF_USER, 0x4000010)

/* --- walks of the guest's tables are user writes ------------------------------------------------------------------------------------ */
#define READ_TABLED "movabs $0x140000008, %%rax; mov (%%rax), %%rbx"
#define WALK (NPF_TABLE_WALK | NPF_USER | NPF_WRITE)
NPF("walk-absent-page-table", (tables_in_the_window(), nested_window[1] = 0), "", READ_TABLED, WALK, WINDOW_PAGE(1))
NPF("walk-absent-directory", (tables_in_the_window(), nested_window[2] = 0), "", READ_TABLED, WALK, WINDOW_PAGE(2))
NPF("walk-absent-directory-pointers", (tables_in_the_window(), nested_window[3] = 0), "", READ_TABLED, WALK, WINDOW_PAGE(3))
NPF("walk-absent-root", (tables_in_the_window(), nested_window[4] = 0), "", READ_TABLED, WALK, WINDOW_PAGE(4))
NPF("walk-read-only-page-table", (tables_in_the_window(), nested_window[1] &= ~(u64)RW), "", READ_TABLED, WALK | NPF_PRESENT, WINDOW_PAGE(1))
NPF("walk-read-only-root", (tables_in_the_window(), nested_window[4] &= ~(u64)RW), "", READ_TABLED, WALK | NPF_PRESENT, WINDOW_PAGE(4))
NPF("walk-supervisor-page-table", (tables_in_the_window(), nested_window[1] &= ~(u64)US), "", READ_TABLED, WALK | NPF_PRESENT, WINDOW_PAGE(1))
NPF("walk-page-table-with-a-reserved-bit", (tables_in_the_window(), nested_window[1] |= BIT(51)), "", READ_TABLED, WALK | NPF_RESERVED | NPF_PRESENT, WINDOW_PAGE(1))
NPF("walk-for-a-fetch-is-no-fetch", (tables_in_the_window(), nested_window[1] = 0), "movabs $0x140000008, %%rax", "jmp *%%rax", WALK, WINDOW_PAGE(1))

/* --- what is legal -------------------------------------------------------------------------------------------------------------------- */
#define WORKS(name, section, prepare_it, code, found, expected) \
    TEST(section "/" name)                                      \
    {                                                           \
        REQUIRE_SVM(HAS_NP, "nested paging");                   \
        GUEST(code);                                            \
        prepare_it;                                             \
        expect_done();                                          \
        EXPECT_EQ("the result", found, expected);               \
    }
#define COPY_RAX "mov 0x100000008, %%rax; mov %%rax, %%rbx"
WORKS("two-levels-of-translation", "15.25.5", (window(), *(u64 *)(page[3] + 8) = 0x77, nested_window[0] = (u64)page[3] | LEAF), COPY_RAX, r.rbx, 0x77)
WORKS("guest-tables-are-translated-too", "15.25.5", (tables_in_the_window(), *(u64 *)(page[0] + 8) = 0x78), READ_TABLED, r.rbx, 0x78)
WORKS("tables-may-be-no-execute-in-the-nested-tables", "15.25.5", (tables_in_the_window(), nested_window[1] |= NX, *(u64 *)(page[0] + 8) = 0x79), READ_TABLED, r.rbx, 0x79)
WORKS("read-of-a-read-only-page", "15.25.7", (window(), nested_window[0] &= ~(u64)RW), COPY_RAX, r.rbx, 0)
WORKS("no-execute-page-can-be-read", "15.25.7", (window(), nested_window[0] |= NX), COPY_RAX, r.rbx, 0)
WORKS("host-global-and-pge-do-not-matter", "15.25.7", (window(), nested_window[0] |= G), COPY_RAX, r.rbx, 0)
WORKS("guest-wp-clear-writes-a-guest-read-only-page", "15.25.7", (window(), guest_window[0] &= ~(u64)RW, v.cr0 &= ~CR0_WP), "mov $5, %%eax; mov %%rax, 0x100000008", *(u64 *)(page[0] + 8), 5)
WORKS("guest-pat-is-g-pat", "15.25.4", (use_nested_paging(), v.pat = 0x0606060606060606), "mov $0x277, %%ecx; rdmsr; mov %%eax, %%ebx", r.rbx, 0x06060606)
WORKS("nested-cr3-is-not-written", "15.25.4", use_nested_paging(), "mov %%cr3, %%rax; mov %%rax, %%cr3", v.nested_cr3, (u64)nested_pml4)
WORKS("guest-sees-its-own-cr3", "15.25.2", use_nested_paging(), "mov %%cr3, %%rbx", r.rbx, (u64)guest_pml4)

TEST("15.25.5/1-gib-pages")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    REQUIRE(cpuid_bit(0x80000001, 'd', 26), "no 1-GiB pages");
    GUEST(COPY_RAX);
    window();
    guest_window[0] = ((u64)page[5] + (8ull << 30)) | LEAF;
    nested_pdpt[8] = PS | LEAF;
    *(u64 *)(page[5] + 8) = 0x7a;
    expect_done();
    EXPECT_EQ("what the guest read", r.rbx, 0x7a);
}

/* --- order of the faults, accessed and dirty bits ---------------------------------------------------------------------------------------- */
#define GUEST_FIRST(name, prepare_it, code, error)                      \
    TEST("15.25.6/" name)                                               \
    {                                                                   \
        REQUIRE_SVM(HAS_NP, "nested paging");                           \
        GUEST(code);                                                    \
        prepare_it;                                                     \
        expect_exception(PF);                                           \
        EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, error);   \
        EXPECT_EQ("EXITINFO2, the address", v.exit_info_2, WINDOW + 8); \
    }
GUEST_FIRST("guest-absent-before-nested-absent", (window(), guest_window[0] &= ~(u64)P, nested_window[0] = 0), READ, 0)
GUEST_FIRST("guest-read-only-before-nested-absent", (window(), guest_window[0] &= ~(u64)RW, nested_window[0] = 0), WRITE, 3)
GUEST_FIRST("guest-supervisor-before-nested-absent", (window(), mode_user(), guest_window[0] &= ~(u64)US, nested_window[0] = 0), READ, 5)
GUEST_FIRST("guest-reserved-before-nested-absent", (window(), guest_window[0] |= BIT(51), nested_window[0] = 0), READ, 9)
GUEST_FIRST("guest-no-execute-before-nested-absent", (window(), guest_window[0] |= NX, nested_window[0] = 0), TO_WINDOW "; " FETCH, 0x11)

#define BITS(name, prepare_it, code, found, expected)               \
    TEST("15.25.5/" name)                                           \
    {                                                               \
        REQUIRE_SVM(HAS_NP, "nested paging");                       \
        GUEST(code);                                                \
        prepare_it;                                                 \
        run();                                                      \
        EXPECT_EQ("accessed and dirty bits", (found) & (A | D), expected); \
    }
BITS("read-sets-the-nested-a-bit", (window(), nested_window[0] &= ~(u64)(A | D)), READ, nested_window[0], A)
BITS("write-sets-the-nested-a-and-d-bits", (window(), nested_window[0] &= ~(u64)(A | D)), WRITE, nested_window[0], A | D)
BITS("walk-sets-a-and-d-of-the-nested-entry-of-a-table", (tables_in_the_window(), nested_window[1] &= ~(u64)(A | D)), READ_TABLED, nested_window[1], A | D)
BITS("walk-sets-a-and-d-of-the-nested-entry-of-the-root", (tables_in_the_window(), nested_window[4] &= ~(u64)(A | D)), READ_TABLED, nested_window[4], A | D)
BITS("walk-sets-the-guest-a-bit", (tables_in_the_window(), *(u64 *)page[1] &= ~(u64)(A | D)), READ_TABLED, *(u64 *)page[1], A)
BITS("walk-sets-the-guest-d-bit", (window(), guest_window[0] &= ~(u64)(A | D)), WRITE, guest_window[0], A | D)
BITS("walk-sets-the-guest-a-bit-of-a-directory", (tables_in_the_window(), *(u64 *)page[2] &= ~(u64)A), READ_TABLED, *(u64 *)page[2], A)
BITS("fault-leaves-the-nested-d-bit-clear", (window(), nested_window[0] &= ~(u64)(RW | D)), WRITE, nested_window[0] & D, 0)
BITS("final-fault-comes-behind-the-guest-a-bit", (window(), guest_window[0] &= ~(u64)(A | D), nested_window[0] = 0), READ, guest_window[0], A)

/* --- what VMRUN refuses (§15.25.3, §15.25.4) ------------------------------------------------------------------------------------------------ */
#define REFUSED(name, change)                  \
    TEST("15.25.4/" name)                      \
    {                                          \
        REQUIRE_SVM(HAS_NP, "nested paging");  \
        GUEST("nop");                          \
        use_nested_paging();                   \
        change;                                \
        expect_invalid();                      \
    }
REFUSED("nested-cr3-bit-52", v.nested_cr3 |= BIT(52))
REFUSED("nested-cr3-bit-63", v.nested_cr3 |= BIT(63))
REFUSED("nested-cr3-beyond-the-physical-width", v.nested_cr3 |= physical_bits < 52 ? BIT(physical_bits) : BIT(52))
#define PAT_REFUSED(index, type) REFUSED("g-pat-type-" #type "-in-pa" #index, v.pat = (v.pat & ~(0xffull << 8 * index)) | (u64)type << 8 * index)
PAT_REFUSED(0, 2)
PAT_REFUSED(0, 3)
PAT_REFUSED(0, 8)
PAT_REFUSED(0, 0x80)
PAT_REFUSED(1, 2)
PAT_REFUSED(2, 3)
PAT_REFUSED(3, 2)
PAT_REFUSED(4, 3)
PAT_REFUSED(5, 0x10)
PAT_REFUSED(6, 0x20)
PAT_REFUSED(7, 2)
PAT_REFUSED(7, 3)
PAT_REFUSED(7, 0x40)
TEST("15.25.4/g-pat-is-not-checked-without-nested-paging")
{
    GUEST("nop");
    v.pat = ~0ull;
    expect_done();
}
TEST("15.25.4/nested-cr3-is-not-checked-without-nested-paging")
{
    GUEST("nop");
    v.nested_cr3 = ~0ull;
    expect_done();
}

/* --- §15.25.8: without nested paging there is one PAT --------------------------------------------------------------------------------------- */
TEST("15.25.8/without-nested-paging-a-guest-writes-the-host-pat")
{
    GUEST3("mov $0x277, %%ecx; mov $0x00070406, %%eax; mov $0x00070501, %%edx", "wrmsr", "");
    expect_done();
    EXPECT_EQ("the host's PAT", rdmsr(MSR_PAT), 0x0007050100070406);
}

/* --- §15.25.10: PAE pointers under nested paging ---------------------------------------------------------------------------------------------- */
TEST("15.25.10/pae-pointers-are-not-checked-by-vmrun")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3(".code32", "nop", "");
    mode_pae();
    use_nested_paging();
    memcpy(page[0], (void *)v.cr3, 32);
    ((u64 *)page[0])[3] |= BIT(1);
    v.cr3 = (u64)page[0];
    expect_done();
}

TEST("15.25.10/pae-pointers-are-checked-when-used")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3(".code32", "mov 0xc0000000, %%eax", "");
    mode_pae();
    use_nested_paging();
    memcpy(page[0], (void *)v.cr3, 32);
    ((u64 *)page[0])[3] |= BIT(1);
    v.cr3 = (u64)page[0];
    expect_exception(PF);
    EXPECT_EQ("EXITINFO1, the error code", v.exit_info_1, 9);
}

TEST("15.25.10/mov-cr3-does-not-check-the-pae-pointers")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3(".code32; mov $page, %%ecx", "mov %%ecx, %%cr3", "");
    mode_pae();
    use_nested_paging();
    memcpy(page[0], (void *)v.cr3, 32);
    ((u64 *)page[0])[3] |= BIT(1);
    expect_done();
}

/* --- §15.8.4: instruction bytes of nested faults ------------------------------------------------------------------------------------------------ */
TEST("15.8.4/instruction-bytes-of-a-nested-fault")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    GUEST3("", READ, "nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop");
    window();
    nested_window[0] = 0;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("number of bytes", v.fetched, 15);
    EXPECT_EQ("the bytes differ", memcmp(v.instruction, (void *)insn_at, 15), 0);
}

TEST("15.8.4/no-instruction-bytes-of-a-nested-fetch-fault")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    GUEST3(TO_WINDOW, FETCH, "");
    window();
    nested_window[0] = 0;
    v.fetched = 7;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("number of bytes", v.fetched, 0);
}

TEST("15.8.4/instruction-bytes-end-at-a-nested-absent-page")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    memcpy(page[1] + 4096 - 5, "\x8b\x01\x90\x90\x90", 5);
    window();
    nested_window[0] = nested_window[2] = 0;
    r.rcx = WINDOW + 8;
    v.rip = WINDOW_PAGE(2) - 5;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("number of bytes", v.fetched, 5);
}

/* --- the state behind a nested fault ------------------------------------------------------------------------------------------------------------ */
TEST("15.25.6/nested-fault-can-be-repaired-and-restarted")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3("mov $0x55, %%eax", WRITE, "");
    window();
    nested_window[0] = 0;
    expect_exit(EXIT_NPF);
    expect_at_insn();
    nested_window[0] = (u64)page[0] | LEAF;
    expect_done();
    EXPECT_EQ("what was written", *(u64 *)(page[0] + 8), 0x55);
}

TEST("15.25.6/nested-fault-has-no-nrip")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    REQUIRE_SVM(HAS_NRIPS, "nRIP");
    GUEST(READ);
    window();
    nested_window[0] = 0;
    v.next_rip = 0x5555;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("nRIP", v.next_rip, 0);
}

TEST("15.25.6/rep-movs-stops-where-the-fault-is")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3("movabs $0x100000ff0, %%rdi; mov $page, %%esi; mov $0x20, %%ecx", "rep movsb", "");
    window();
    nested_window[1] = 0;
    expect_exit(EXIT_NPF);
    expect_at_insn();
    EXPECT_EQ("RCX", r.rcx, 0x10);
    EXPECT_EQ("RDI", r.rdi, WINDOW_PAGE(1));
    EXPECT_EQ("EXITINFO2", v.exit_info_2, WINDOW_PAGE(1));
}

TEST("15.25.6/intercepted-page-faults-do-not-see-nested-faults")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST(READ);
    window();
    nested_window[0] = 0;
    EXPECT("#PF is intercepted", v.intercept_exceptions & BIT(PF));
    expect_exit(EXIT_NPF);
}

/* --- §15.25.13: GMET ------------------------------------------------------------------------------------------------------------------------------ */
TEST("15.25.13/without-gmet-its-bit-is-ignored")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    REQUIRE(!(svm_features & BIT(HAS_GMET)), "GMET is offered");
    GUEST("nop");
    use_nested_paging();
    v.nested_control |= BIT(3);
    expect_done();
}

TEST("15.25.13/gmet-supervisor-code-on-a-user-page")
{
    REQUIRE_SVM(HAS_GMET, "GMET");
    GUEST("nop");
    use_nested_paging();
    v.nested_control |= BIT(3);
    expect_exit(EXIT_NPF);
    EXPECT_EQ("EXITINFO2", v.exit_info_2, code_start);
    EXPECT_EQ("EXITINFO1: present, fetch, final", v.exit_info_1 & (NPF_PRESENT | NPF_FETCH | NPF_FINAL), NPF_PRESENT | NPF_FETCH | NPF_FINAL);
}

TEST("15.25.13/gmet-user-code-on-a-user-page")
{
    REQUIRE_SVM(HAS_GMET, "GMET");
    GUEST("nop");
    mode_user();
    use_nested_paging();
    v.nested_control |= BIT(3);
    expect_done();
}

TEST("15.25.5/rogpt-read-only-page-table")
{
    REQUIRE_SVM(HAS_ROGPT, "read-only guest page tables");
    GUEST(READ_TABLED);
    tables_in_the_window();
    *(u64 *)(page[0] + 8) = 0x66;
    for (unsigned i = 1; i < 5; i++)
        nested_window[i] &= ~(u64)RW;
    v.nested_control |= BIT(6);
    expect_done();
    EXPECT_EQ("what the guest read", r.rbx, 0x66);
}

TEST("15.25.5/rogpt-update-of-an-accessed-bit-is-a-write")
{
    REQUIRE_SVM(HAS_ROGPT, "read-only guest page tables");
    GUEST(READ_TABLED);
    tables_in_the_window();
    *(u64 *)page[1] &= ~(u64)A;
    nested_window[1] &= ~(u64)RW;
    v.nested_control |= BIT(6);
    expect_exit(EXIT_NPF);
    EXPECT_EQ("EXITINFO1", v.exit_info_1, WALK | NPF_PRESENT);
}
