/* §15.5.1 "Canonicalization and Consistency Checks": each rule broken alone, and what is legal beside it. */
#include "frame.h"

#define REFUSED(name, change)              \
    TEST(name)                             \
    {                                      \
        GUEST("nop");                      \
        change;                            \
        expect_invalid();                  \
    }
#define ACCEPTED(name, change)             \
    TEST(name)                             \
    {                                      \
        GUEST("nop");                      \
        change;                            \
        expect_done();                     \
    }
#define REFUSED_IF(name, condition, why, change) \
    TEST(name)                                   \
    {                                            \
        REQUIRE(condition, why);                 \
        GUEST("nop");                            \
        change;                                  \
        expect_invalid();                        \
    }

REFUSED("15.5.1/efer-svme-clear", v.efer &= ~EFER_SVME)
REFUSED("15.5.1/cr0-nw-without-cd", v.cr0 |= CR0_NW)
ACCEPTED("15.5.1/cr0-cd-and-nw-are-legal", v.cr0 |= CR0_CD | CR0_NW)
ACCEPTED("15.5.1/cr0-cd-alone-is-legal", v.cr0 |= CR0_CD)
REFUSED("15.5.1/cr0-bit-32", v.cr0 |= BIT(32))
REFUSED("15.5.1/cr0-bit-47", v.cr0 |= BIT(47))
REFUSED("15.5.1/cr0-bit-63", v.cr0 |= BIT(63))
REFUSED_IF("15.5.1/cr3-first-bit-beyond-the-physical-width", physical_bits < 52, "physical addresses have 52 bits", v.cr3 |= BIT(physical_bits))
REFUSED_IF("15.5.1/cr3-bit-51", physical_bits < 52, "physical addresses have 52 bits", v.cr3 |= BIT(51))
REFUSED("15.5.1/cr3-bit-52", v.cr3 |= BIT(52))
REFUSED("15.5.1/cr3-bit-62", v.cr3 |= BIT(62))
ACCEPTED("15.5.1/cr3-pwt-and-pcd-are-legal", v.cr3 |= PWT | PCD)

#define CR4_RESERVED(bit) REFUSED("15.5.1/cr4-bit-" #bit, v.cr4 |= BIT(bit))
CR4_RESERVED(13)
CR4_RESERVED(14)
CR4_RESERVED(15)
CR4_RESERVED(19)
CR4_RESERVED(25)
CR4_RESERVED(26)
CR4_RESERVED(29)
CR4_RESERVED(30)
CR4_RESERVED(31)
CR4_RESERVED(32)
CR4_RESERVED(47)
CR4_RESERVED(63)
REFUSED_IF("15.5.1/cr4-la57-not-offered", !cpuid_bit(7, 'c', 16), "5-level paging is offered", v.cr4 |= BIT(12))
REFUSED_IF("15.5.1/cr4-pcide-not-offered", !cpuid_bit(1, 'c', 17), "PCID is offered", v.cr4 |= BIT(17))
REFUSED_IF("15.5.1/cr4-osxsave-not-offered", !cpuid_bit(1, 'c', 26), "XSAVE is offered", v.cr4 |= BIT(18))
TEST("15.5.1/cr4-osxsave-is-legal")
{
    REQUIRE(cpuid_bit(1, 'c', 26), "no XSAVE");
    GUEST("nop");
    v.cr4 |= BIT(18);
    expect_done();
}
REFUSED_IF("15.5.1/cr4-pke-not-offered", !cpuid_bit(7, 'c', 3), "protection keys are offered", v.cr4 |= BIT(22))
REFUSED_IF("15.5.1/cr4-cet-not-offered", !cpuid_bit(7, 'c', 7), "shadow stacks are offered", v.cr4 |= BIT(23))
REFUSED_IF("15.5.1/cr4-cet-without-wp", cpuid_bit(7, 'c', 7), "no shadow stacks", (v.cr4 |= BIT(23), v.cr0 &= ~CR0_WP))

REFUSED("15.5.1/dr6-bit-32", v.dr6 |= BIT(32))
REFUSED("15.5.1/dr6-bit-63", v.dr6 |= BIT(63))
REFUSED("15.5.1/dr7-bit-32", v.dr7 |= BIT(32))
REFUSED("15.5.1/dr7-bit-63", v.dr7 |= BIT(63))

#define EFER_RESERVED(bit) REFUSED("15.5.1/efer-bit-" #bit, v.efer |= BIT(bit))
EFER_RESERVED(9)
EFER_RESERVED(16)
EFER_RESERVED(19)
EFER_RESERVED(22)
EFER_RESERVED(31)
EFER_RESERVED(32)
EFER_RESERVED(47)
EFER_RESERVED(63)

REFUSED("15.5.1/long-mode-without-pae", v.cr4 &= ~CR4_PAE)
REFUSED("15.5.1/long-mode-without-protection", v.cr0 &= ~CR0_PE)
REFUSED("15.5.1/cs-l-and-d", v.cs.attributes |= 0x400)
TEST("15.5.1/cs-l-and-d-outside-long-mode-is-legal")
{
    GUEST3(".code32", "nop", "");
    mode_protected();
    v.cs.attributes |= 0x200;
    expect_done();
}
TEST("15.5.1/lme-without-paging-is-legal")
{
    GUEST3(".code32", "nop", "");
    mode_protected();
    v.efer |= EFER_LME;
    expect_done();
}
REFUSED("15.5.1/vmrun-intercept-clear", v.intercept_2 &= ~(u32)BIT(I2_VMRUN))
REFUSED("15.5.1/asid-zero", v.asid = 0)
ACCEPTED("15.5.1/highest-asid-is-legal", v.asid = svm_asids - 1)

#define MAP_ADDRESSES(name, section, field, bytes)                                                                                            \
    REFUSED_IF(section "/" name "-beyond-the-physical-width", physical_bits < 52, "physical addresses have 52 bits", v.field = BIT(physical_bits)) \
    REFUSED_IF(section "/" name "-across-the-physical-width", physical_bits <= 52, "", v.field = BIT(physical_bits) - (bytes) + 0x1000)       \
    ACCEPTED(section "/" name "-up-to-the-physical-width-is-legal", v.field = BIT(physical_bits) - (bytes))                                   \
    ACCEPTED(section "/" name "-low-bits-are-ignored", v.field |= 0xfff)
MAP_ADDRESSES("iopm", "15.10.1", iopm, 0x3000)
MAP_ADDRESSES("msrpm", "15.11", msrpm, 0x2000)

/* --- what the checks must not refuse ---------------------------------------------------------------------------------------- */
ACCEPTED("15.5.1/null-data-segments-are-legal", v.ds = v.es = v.fs = v.gs = (struct segment){0})
ACCEPTED("15.5.1/reserved-exitcode-fields-are-ignored", v.exit_code = v.exit_info_1 = v.exit_info_2 = v.exit_interrupt_info = ~0ull)
ACCEPTED("15.5.1/invalid-event-without-v-is-ignored", v.event_injection = EVENT(7, 0xff) & ~EVENT_VALID)
TEST("15.5.1/legal-modes-compatibility")
{
    GUEST3(".code32", "nop", "");
    mode_compatibility();
    expect_done();
}
TEST("15.5.1/legal-modes-protected")
{
    GUEST3(".code32", "nop", "");
    mode_protected();
    expect_done();
}
TEST("15.5.1/legal-modes-pae")
{
    GUEST3(".code32", "nop", "");
    mode_pae();
    expect_done();
}
TEST("15.5.1/legal-modes-two-level-paging")
{
    GUEST3(".code32", "nop", "");
    mode_legacy_paging();
    expect_done();
}
TEST("15.5.1/legal-modes-real")
{
    GUEST3(".code16", "nop", "");
    mode_real();
    expect_done();
}
TEST("15.5.1/legal-modes-virtual-8086")
{
    GUEST3(".code16", "nop", "");
    mode_virtual_8086();
    expect_done();
}
TEST("15.5.1/legal-modes-user")
{
    GUEST("nop");
    mode_user();
    expect_done();
}

/* --- PAE page-directory pointers without nested paging ------------------------------------------------------------------------ */
#define POINTER_RESERVED(bit)                                             \
    TEST("15.5.1/pae-pointer-reserved-bit-" #bit)                         \
    {                                                                     \
        GUEST3(".code32", "nop", "");                                     \
        mode_pae();                                                       \
        memcpy(page[0], (void *)v.cr3, 32);                               \
        ((u64 *)page[0])[3] |= BIT(bit);                                  \
        v.cr3 = (u64)page[0];                                             \
        expect_invalid();                                                 \
    }
POINTER_RESERVED(1)
POINTER_RESERVED(2)
POINTER_RESERVED(8)
POINTER_RESERVED(63)
TEST("15.5.1/pae-pointer-that-is-absent-is-legal")
{
    GUEST3(".code32", "nop", "");
    mode_pae();
    memcpy(page[0], (void *)v.cr3, 32);
    ((u64 *)page[0])[3] = 0x1e6;
    v.cr3 = (u64)page[0];
    expect_done();
}

/* --- §15.19: paged real mode -------------------------------------------------------------------------------------------------- */
TEST("15.19/paged-real-mode-is-legal")
{
    GUEST3(".code16", "nop", "");
    mode_real();
    v.cr0 |= CR0_PG;
    v.cr4 = (v.cr4 & ~CR4_PAE) | CR4_PSE;
    struct vmcb saved = v;
    mode_legacy_paging();
    u64 cr3 = v.cr3;
    v = saved;
    v.cr3 = cr3;
    expect_done();
    EXPECT_EQ("CR0.PE and PG after #VMEXIT", v.cr0 & (CR0_PG | CR0_PE), CR0_PG);
}

TEST("15.19/paged-real-mode-page-fault-has-a-protected-mode-error-code")
{
    GUEST3(".code16; mov $0, %%bx", "mov %%ax, (%%bx)", "");
    mode_real();
    struct vmcb saved = v;
    mode_pae();
    u64 cr3 = v.cr3;
    v = saved;
    v.cr0 |= CR0_PG;
    v.cr3 = cr3;
    v.ds.base = 0x4000000; /* 64 MiB */
    guest_directories[0][32] = 0;
    expect_exception(PF);
    EXPECT_EQ("error code: a write, not present", v.exit_info_1, 2);
    EXPECT_EQ("address", v.exit_info_2, 0x4000000);
}
