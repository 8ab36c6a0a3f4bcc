/* §15.25.3, §15.5.1: hosts that run VMRUN in 32-bit code: without paging, with two-level, PAE and compatibility-mode paging. */
#include "frame.h"

enum { NO_PAGING = 0, TWO_LEVELS = 1, PAE = 3, COMPATIBILITY = 4 };
void legacy_host(u32 cr3, struct vmcb *guest, u32 how);
extern u32 legacy_before[4], legacy_after[4];

static u32 two_levels[1024] ALIGNED(4096), nested_two_levels[1024] ALIGNED(4096);
static u64 pointers[4] ALIGNED(4096), nested_pointers[4] ALIGNED(4096);

#define AT 0x4000000u /* what the tests of nested tables take away: 64 MiB, outside the image */

/* A 32-bit guest without paging: its addresses are guest-physical ones. */
static void run_from(u32 how, bool nested)
{
    for (u32 i = 0; i < 1024; i++)
        two_levels[i] = i << 22 | PS | D | A | RW | P;
    for (u32 i = 0; i < 4; i++)
        pointers[i] = (u64)guest_directories[i] | P;
    if (nested) {
        v.nested_control = 1;
        v.nested_cr3 = how == PAE ? (u64)nested_pointers : how == TWO_LEVELS ? (u64)nested_two_levels : (u64)nested_pml4;
    }
    watch(true);
    legacy_host(how == PAE ? (u32)(u64)pointers : how == TWO_LEVELS ? (u32)(u64)two_levels : 0, &v, how);
    watch(false);
}

static void prepare_nested(void)
{
    for (u32 i = 0; i < 1024; i++)
        nested_two_levels[i] = i << 22 | PS | D | A | US | RW | P;
    for (u32 i = 0; i < 4; i++)
        nested_pointers[i] = (u64)nested_directories[i] | P;
}

static void ends_well(void)
{
    if (exits_with(EXIT_VMMCALL))
        EXPECT_EQ("the guest's RIP at its end", v.rip, code_end);
}

#define HOSTS(X) X("host-without-paging", NO_PAGING) X("two-level-host", TWO_LEVELS) X("pae-host", PAE) X("compatibility-mode-host", COMPATIBILITY)
#define PLAIN(name, how)                                                                  \
    TEST("15.5.1/" name "-runs-a-32-bit-guest")                                           \
    {                                                                                     \
        GUEST3(".code32", "mov $0x1234, %%eax", "");                                      \
        mode_protected();                                                                 \
        run_from(how, false);                                                             \
        ends_well();                                                                      \
        EXPECT_EQ("RAX", v.rax, 0x1234);                                                  \
    }                                                                                     \
    TEST("15.5.1/" name "-runs-a-64-bit-guest")                                           \
    {                                                                                     \
        GUEST("movabs $0x123456789abc, %%rax");                                           \
        run_from(how, false);                                                             \
        ends_well();                                                                      \
        EXPECT_EQ("RAX", v.rax, 0x123456789abc);                                          \
    }                                                                                     \
    TEST("15.6/" name "-comes-back")                                                      \
    {                                                                                     \
        GUEST("nop");                                                                     \
        v.cr4 |= CR4_DE | CR4_PSE;                                                        \
        run_from(how, false);                                                             \
        ends_well();                                                                      \
        EXPECT_EQ("CR0", legacy_after[0], legacy_before[0]);                              \
        EXPECT_EQ("CR3", legacy_after[1], legacy_before[1]);                              \
        EXPECT_EQ("CR4", legacy_after[2], legacy_before[2]);                              \
        EXPECT_EQ("EFER", legacy_after[3], legacy_before[3]);                             \
    }
HOSTS(PLAIN)

TEST("15.25.3/nested-paging-without-host-paging-is-refused")
{
    REQUIRE_SVM(HAS_NP, "nested paging");
    GUEST3(".code32", "nop", "");
    mode_protected();
    run_from(NO_PAGING, true);
    exits_with(EXIT_INVALID);
}

/* --- nested tables in the host's format ------------------------------------------------------------------------------------------- */
#define NESTED(name, how, prepare_it, insn, code)   \
    TEST("15.25.3/" name)                           \
    {                                               \
        REQUIRE_SVM(HAS_NP, "nested paging");       \
        GUEST3(".code32", insn, "");                \
        mode_protected();                           \
        prepare_nested();                           \
        prepare_it;                                 \
        run_from(how, true);                        \
        exits_with(code);                           \
    }
#define NESTED_FAULT(name, how, prepare_it, insn, information)      \
    TEST("15.25.6/" name)                                           \
    {                                                               \
        REQUIRE_SVM(HAS_NP, "nested paging");                       \
        GUEST3(".code32", insn, "");                                \
        mode_protected();                                           \
        prepare_nested();                                           \
        prepare_it;                                                 \
        run_from(how, true);                                        \
        exits_with(EXIT_NPF);                                       \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, NPF_FINAL | NPF_USER | (information)); \
        EXPECT_EQ("EXITINFO2", v.exit_info_2, AT + 8);              \
    }
#define READ "mov 0x4000008, %%eax"
#define WRITE "mov %%eax, 0x4000008"
#define FETCH "mov $0x4000008, %%eax; jmp *%%eax"
NESTED("two-level-host", TWO_LEVELS, (void)0, READ, EXIT_VMMCALL)
NESTED("pae-host", PAE, (void)0, READ, EXIT_VMMCALL)
NESTED("compatibility-mode-host", COMPATIBILITY, (void)0, READ, EXIT_VMMCALL)
NESTED_FAULT("two-level-host-read-of-an-absent-page", TWO_LEVELS, nested_two_levels[AT >> 22] = 0, READ, 0)
NESTED_FAULT("two-level-host-write-of-a-read-only-page", TWO_LEVELS, nested_two_levels[AT >> 22] &= ~(u32)RW, WRITE, NPF_WRITE | NPF_PRESENT)
NESTED_FAULT("two-level-host-read-of-a-supervisor-page", TWO_LEVELS, nested_two_levels[AT >> 22] &= ~(u32)US, READ, NPF_PRESENT)
NESTED_FAULT("two-level-host-reserved-bit", TWO_LEVELS, nested_two_levels[AT >> 22] |= 1u << 21, READ, NPF_RESERVED | NPF_PRESENT)
NESTED_FAULT("pae-host-read-of-an-absent-page", PAE, nested_directories[0][AT >> 21] = 0, READ, 0)
NESTED_FAULT("pae-host-write-of-a-read-only-page", PAE, nested_directories[0][AT >> 21] &= ~(u64)RW, WRITE, NPF_WRITE | NPF_PRESENT)
NESTED_FAULT("pae-host-read-of-a-supervisor-page", PAE, nested_directories[0][AT >> 21] &= ~(u64)US, READ, NPF_PRESENT)
NESTED_FAULT("pae-host-fetch-of-a-no-execute-page", PAE, nested_directories[0][AT >> 21] |= NX, FETCH, NPF_FETCH | NPF_PRESENT)
NESTED_FAULT("pae-host-reserved-bit", PAE, nested_directories[0][AT >> 21] |= BIT(52), READ, NPF_RESERVED | NPF_PRESENT)
NESTED_FAULT("compatibility-mode-host-read-of-an-absent-page", COMPATIBILITY, nested_directories[0][AT >> 21] = 0, READ, 0)
