/* §15.9: intercepts of control and debug registers; §15.8.1: what EXITINFO1 tells of them. */
#include "frame.h"

#define MOVE(name, section, field, bit, code, before, insn, after)  \
    TEST(section "/" name)                                          \
    {                                                               \
        GUEST3(before, insn, after);                                \
        v.field |= (u16)BIT(bit);                                   \
        expect_exit(code);                                          \
        expect_at_insn();                                           \
        expect_next_rip();                                          \
    }                                                               \
    TEST(section "/" name "-not-intercepted")                       \
    {                                                               \
        GUEST3(before, insn, after);                                \
        v.field = (u16)~BIT(bit);                                   \
        expect_done();                                              \
    }
#define CONTROL(n)                                                                                                               \
    MOVE("read-cr" #n, "15.9", intercept_cr_read, n, n, "", "mov %%cr" #n ", %%rbx", "")                                         \
    MOVE("write-cr" #n, "15.9", intercept_cr_write, n, 0x10 + n, "mov %%cr" #n ", %%rbx", "mov %%rbx, %%cr" #n, "")
#define DEBUG(n)                                                                                                                 \
    MOVE("read-dr" #n, "15.9", intercept_dr_read, n, 0x20 + n, "", "mov %%dr" #n ", %%rbx", "")                                  \
    MOVE("write-dr" #n, "15.9", intercept_dr_write, n, 0x30 + n, "mov %%dr" #n ", %%rbx", "mov %%rbx, %%dr" #n, "")

CONTROL(0)
CONTROL(2)
CONTROL(3)
CONTROL(4)
CONTROL(8)
DEBUG(0)
DEBUG(1)
DEBUG(2)
DEBUG(3)
DEBUG(6)
DEBUG(7)

MOVE("smsw-reads-cr0", "15.9", intercept_cr_read, 0, 0, "", "smsw %%ebx", "")
MOVE("smsw-to-memory-reads-cr0", "15.9", intercept_cr_read, 0, 0, "", "smsw page", "")
MOVE("lmsw-writes-cr0", "15.9", intercept_cr_write, 0, 0x10, "smsw %%ebx", "lmsw %%bx", "")
MOVE("clts-writes-cr0", "15.9", intercept_cr_write, 0, 0x10, "", "clts", "")

#define FIRST(name, mode, field, bit, code, before, insn) \
    TEST("15.9/" name)                                    \
    {                                                     \
        GUEST3(before, insn, "");                         \
        mode;                                             \
        v.field |= (u16)BIT(bit);                         \
        expect_exit(code);                                \
        expect_at_insn();                                 \
    }
FIRST("read-cr0-at-cpl-3-is-gp", mode_user(), intercept_cr_read, 0, EXIT_EXCEPTION + GP, "", "mov %%cr0, %%rbx")
FIRST("write-cr0-at-cpl-3-is-gp", mode_user(), intercept_cr_write, 0, EXIT_EXCEPTION + GP, "", "mov %%rbx, %%cr0")
FIRST("read-cr3-at-cpl-3-is-gp", mode_user(), intercept_cr_read, 3, EXIT_EXCEPTION + GP, "", "mov %%cr3, %%rbx")
FIRST("write-cr3-at-cpl-3-is-gp", mode_user(), intercept_cr_write, 3, EXIT_EXCEPTION + GP, "", "mov %%rbx, %%cr3")
FIRST("write-cr4-at-cpl-3-is-gp", mode_user(), intercept_cr_write, 4, EXIT_EXCEPTION + GP, "", "mov %%rbx, %%cr4")
FIRST("clts-at-cpl-3-is-gp", mode_user(), intercept_cr_write, 0, EXIT_EXCEPTION + GP, "", "clts")
FIRST("lmsw-at-cpl-3-is-gp", mode_user(), intercept_cr_write, 0, EXIT_EXCEPTION + GP, "", "lmsw %%bx")
FIRST("read-dr7-at-cpl-3-is-gp", mode_user(), intercept_dr_read, 7, EXIT_EXCEPTION + GP, "", "mov %%dr7, %%rbx")
FIRST("write-dr7-at-cpl-3-is-gp", mode_user(), intercept_dr_write, 7, EXIT_EXCEPTION + GP, "", "mov %%rbx, %%dr7")
FIRST("write-cr0-of-an-illegal-combination-is-gp", (void)0, intercept_cr_write, 0, EXIT_EXCEPTION + GP, "mov $0x80000000, %%ebx", "mov %%rbx, %%cr0")
FIRST("write-cr0-nw-without-cd-is-gp", (void)0, intercept_cr_write, 0, EXIT_EXCEPTION + GP, "mov $0xa0000011, %%ebx", "mov %%rbx, %%cr0")
FIRST("write-cr4-of-reserved-bits-is-gp", (void)0, intercept_cr_write, 4, EXIT_EXCEPTION + GP, "mov $0x80000020, %%ebx", "mov %%rbx, %%cr4")
FIRST("write-cr8-of-reserved-bits-is-gp", (void)0, intercept_cr_write, 8, EXIT_EXCEPTION + GP, "mov $0x10, %%ebx", "mov %%rbx, %%cr8")
FIRST("read-of-cr1-is-ud", (void)0, intercept_cr_read, 1, EXIT_EXCEPTION + UD, "", ".byte 0x0f, 0x20, 0xcb")
FIRST("write-of-cr5-is-ud", (void)0, intercept_cr_write, 5, EXIT_EXCEPTION + UD, "", ".byte 0x0f, 0x22, 0xeb")
FIRST("read-of-cr15-is-ud", (void)0, intercept_cr_read, 15, EXIT_EXCEPTION + UD, "", ".byte 0x44, 0x0f, 0x20, 0xfb")
FIRST("write-dr7-upper-half-is-gp", (void)0, intercept_dr_write, 7, EXIT_EXCEPTION + GP, "movabs $0x100000400, %%rbx", "mov %%rbx, %%dr7")
FIRST("read-dr4-with-de-is-ud", v.cr4 |= CR4_DE, intercept_dr_read, 4, EXIT_EXCEPTION + UD, "", ".byte 0x0f, 0x21, 0xe3")
FIRST("read-dr0-under-general-detect-is-db", v.dr7 |= BIT(13), intercept_dr_read, 0, EXIT_EXCEPTION + DB, "", "mov %%dr0, %%rbx")
FIRST("lmsw-before-its-page-fault", (void)0, intercept_cr_write, 0, 0x10, "", "lmsw 0xffffffff80000000")
FIRST("smsw-before-its-page-fault", (void)0, intercept_cr_read, 0, 0, "", "smsw 0xffffffff80000000")

TEST("15.9/write-cr3-exit-leaves-cr3")
{
    GUEST3("mov $0x5000, %%ebx", "mov %%rbx, %%cr3", "");
    v.intercept_cr_write |= BIT(3);
    expect_exit(EXIT_WRITE_CR3);
    EXPECT_EQ("CR3", v.cr3, (u64)guest_pml4);
}

TEST("15.9/write-cr3-intercept-before-the-pae-pointers-are-checked")
{
    GUEST3(".code32; mov $page, %%ebx", "mov %%ebx, %%cr3", "");
    mode_pae();
    ((u64 *)page[0])[0] = 0x1e7;
    v.intercept_cr_write |= BIT(3);
    expect_exit(EXIT_WRITE_CR3);
}

TEST("15.9/vmrun-and-exit-do-not-check-cr3-intercepts")
{
    GUEST("nop");
    v.intercept_cr_write |= BIT(3);
    v.intercept_cr_read |= BIT(3);
    expect_done();
}

TEST("15.9/exceptions-write-cr2-and-dr6-without-intercepts")
{
    GUEST("mov 0xffffffff80000000, %%eax");
    v.intercept_cr_write = 0xffff;
    v.intercept_dr_write = 0xffff;
    deliver(PF);
    expect_vector(PF);
    EXPECT_EQ("CR2", v.cr2, 0xffffffff80000000);
}

/* --- the selective CR0 intercept ------------------------------------------------------------------------------------------------ */
#define SELECTIVE(name, more, code, before, insn) \
    TEST("15.9/selective-cr0-" name)              \
    {                                             \
        GUEST3(before, insn, "");                 \
        v.intercept_1 |= BIT(I1_CR0_SELECTIVE);   \
        more;                                     \
        expect_exit(code);                        \
        expect_at_insn();                         \
    }
#define SELECTIVE_PASSES(name, before, insn)      \
    TEST("15.9/selective-cr0-" name)              \
    {                                             \
        GUEST3(before, insn, "");                 \
        v.intercept_1 |= BIT(I1_CR0_SELECTIVE);   \
        expect_done();                            \
    }
SELECTIVE("write-of-am", (void)0, EXIT_CR0_SELECTIVE, "mov %%cr0, %%rbx; btc $18, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE("write-of-wp", (void)0, EXIT_CR0_SELECTIVE, "mov %%cr0, %%rbx; btc $16, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE("write-of-em", (void)0, EXIT_CR0_SELECTIVE, "mov %%cr0, %%rbx; btc $2, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE("write-of-ne", (void)0, EXIT_CR0_SELECTIVE, "mov %%cr0, %%rbx; btc $5, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE("write-of-cd", (void)0, EXIT_CR0_SELECTIVE, "mov %%cr0, %%rbx; btc $30, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE("write-of-ts-and-am", (void)0, EXIT_CR0_SELECTIVE, "mov %%cr0, %%rbx; btc $18, %%rbx; btc $3, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE_PASSES("write-of-ts-passes", "mov %%cr0, %%rbx; btc $3, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE_PASSES("write-of-mp-passes", "mov %%cr0, %%rbx; btc $1, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE_PASSES("write-of-ts-and-mp-passes", "mov %%cr0, %%rbx; xor $10, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE_PASSES("write-of-the-same-passes", "mov %%cr0, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE_PASSES("clts-passes", "", "clts")
SELECTIVE("lmsw-of-the-same", (void)0, EXIT_CR0_SELECTIVE, "smsw %%ebx", "lmsw %%bx")
SELECTIVE("lmsw-of-ts", (void)0, EXIT_CR0_SELECTIVE, "smsw %%ebx; xor $8, %%ebx", "lmsw %%bx")
SELECTIVE("after-the-plain-intercept", v.intercept_cr_write |= 1, EXIT_WRITE_CR0, "mov %%cr0, %%rbx; btc $18, %%rbx", "mov %%rbx, %%cr0")
SELECTIVE("lmsw-after-the-plain-intercept", v.intercept_cr_write |= 1, EXIT_WRITE_CR0, "smsw %%ebx", "lmsw %%bx")
SELECTIVE("after-gp-of-an-illegal-combination", (void)0, EXIT_EXCEPTION + GP, "mov $0x80000000, %%ebx", "mov %%rbx, %%cr0")

/*
 * --- §15.35.10: the write traps, exits 8Fh to 9Fh behind an instruction that has written --------------------------------------------
 * The manual supports them for SEV-ES guests only: a processor that has none for others passes them over.
 */
static bool traps(u64 code)
{
    run();
    if (v.exit_code == EXIT_VMMCALL) {
        skip("no write traps outside SEV-ES guests");
        return false;
    }
    return exits_with(code);
}
#define WRITE_TRAP(name, bit, code, value_of, before, insn) \
    TEST("15.35.10/write-trap-of-" name)                        \
    {                                                       \
        GUEST3(before, insn, "");                           \
        v.intercept_2 |= (u32)BIT(bit);                     \
        if (!traps(code))                                   \
            return;                                         \
        EXPECT_EQ("RIP", v.rip, insn_next);                 \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, value_of);    \
        EXPECT_EQ("what was written", value_of, r.rbx);     \
    }
#define WRITE_TRAP_PASSES(name, more, bit, code, before, insn) \
    TEST("15.35.10/write-trap-of-" name)                           \
    {                                                          \
        GUEST3(before, insn, "");                              \
        v.intercept_2 |= (u32)BIT(bit);                        \
        more;                                                  \
        expect_exit(code);                                     \
    }
WRITE_TRAP("cr0", I2_CR0_TRAP, EXIT_CR0_TRAP, v.cr0, "mov %%cr0, %%rbx; btc $18, %%rbx", "mov %%rbx, %%cr0")
WRITE_TRAP("cr0-by-lmsw", I2_CR0_TRAP, EXIT_CR0_TRAP, v.cr0, "mov %%cr0, %%rbx; btc $3, %%rbx", "lmsw %%bx")
WRITE_TRAP("cr3", I2_CR0_TRAP + 3, EXIT_CR0_TRAP + 3, v.cr3, "mov %%cr3, %%rbx", "mov %%rbx, %%cr3")
WRITE_TRAP("cr4", I2_CR0_TRAP + 4, EXIT_CR0_TRAP + 4, v.cr4, "mov %%cr4, %%rbx; btc $2, %%rbx", "mov %%rbx, %%cr4")
WRITE_TRAP("cr8", I2_CR0_TRAP + 8, EXIT_CR0_TRAP + 8, v.virtual_interrupt & 0xf, "mov $5, %%ebx", "mov %%rbx, %%cr8")
WRITE_TRAP("efer", I2_EFER_TRAP, EXIT_EFER_TRAP, v.efer, "mov $0xc0000080, %%ecx; rdmsr; btc $0, %%eax; mov %%eax, %%ebx", "wrmsr")
TEST("15.35.10/write-trap-of-cr0-by-clts")
{
    GUEST("clts");
    v.cr0 |= CR0_TS;
    v.intercept_2 |= (u32)BIT(I2_CR0_TRAP);
    if (!traps(EXIT_CR0_TRAP))
        return;
    EXPECT_EQ("RIP", v.rip, insn_next);
    EXPECT_EQ("CR0.TS", v.cr0 & CR0_TS, 0);
    EXPECT_EQ("EXITINFO1", v.exit_info_1, v.cr0);
}
WRITE_TRAP_PASSES("cr0-does-not-count-reads", (void)0, I2_CR0_TRAP, EXIT_VMMCALL, "", "mov %%cr0, %%rbx")
WRITE_TRAP_PASSES("cr2-without-its-bit", (void)0, I2_CR0_TRAP, EXIT_VMMCALL, "", "mov %%rbx, %%cr2")
WRITE_TRAP_PASSES("cr0-behind-the-intercept", v.intercept_cr_write |= 1, I2_CR0_TRAP, EXIT_WRITE_CR0, "mov %%cr0, %%rbx", "mov %%rbx, %%cr0")
WRITE_TRAP_PASSES("cr0-behind-gp", (void)0, I2_CR0_TRAP, EXIT_EXCEPTION + GP, "mov $0x80000000, %%ebx", "mov %%rbx, %%cr0")
WRITE_TRAP_PASSES("efer-behind-gp", (void)0, I2_EFER_TRAP, EXIT_EXCEPTION + GP, "mov $0xc0000080, %%ecx; mov $0x40, %%eax; xor %%edx, %%edx", "wrmsr")
WRITE_TRAP_PASSES("efer-behind-the-msr-intercept", (v.intercept_1 |= BIT(I1_MSR), memset(msrpm, 0xff, sizeof msrpm)), I2_EFER_TRAP, EXIT_MSR, "mov $0xc0000080, %%ecx", "wrmsr")

/* --- §15.8.1: the general register -------------------------------------------------------------------------------------------- */
#define REGISTERS(X, a, b) \
    X(rax, 0, a, b) X(rcx, 1, a, b) X(rdx, 2, a, b) X(rbx, 3, a, b) X(rsp, 4, a, b) X(rbp, 5, a, b) X(rsi, 6, a, b) X(rdi, 7, a, b) \
    X(r8, 8, a, b) X(r9, 9, a, b) X(r10, 10, a, b) X(r11, 11, a, b) X(r12, 12, a, b) X(r13, 13, a, b) X(r14, 14, a, b) X(r15, 15, a, b)
#define READ_ONE(reg, n, from, top)                             \
    GUEST("mov %%" from ", %%" #reg);                           \
    run();                                                      \
    EXPECT_EQ("EXITINFO1 with " #reg, v.exit_info_1, (top) | (n));
#define READ_ASSIST(name, which, field, top)      \
    TEST("15.8.1/exitinfo1-of-read-" name)        \
    {                                             \
        REQUIRE_SVM(HAS_DECODE, "decode assists"); \
        v.field = 0xffff;                         \
        REGISTERS(READ_ONE, which, top)           \
    }
#define WRITE_ASSIST(name, which, field, top, value)                                                                               \
    TEST("15.8.1/exitinfo1-of-write-" name)                                                                                        \
    {                                                                                                                              \
        REQUIRE_SVM(HAS_DECODE, "decode assists");                                                                                 \
        v.field = 0xffff;                                                                                                          \
        v.rax = v.rsp = r.rbx = r.rcx = r.rdx = r.rsi = r.rdi = r.rbp = r.r8 = r.r9 = r.r10 = r.r11 = r.r12 = r.r13 = r.r14 = r.r15 = value; \
        u64 kept = value;                                                                                                          \
        REGISTERS(WRITE_ONE, which, top)                                                                                           \
    }
#define WRITE_ONE(reg, n, to, top)                             \
    GUEST("mov %%" #reg ", %%" to);                             \
    v.rax = v.rsp = kept;                                       \
    run();                                                      \
    EXPECT_EQ("EXITINFO1 with " #reg, v.exit_info_1, (top) | (n));
READ_ASSIST("cr0", "cr0", intercept_cr_read, BIT(63))
READ_ASSIST("cr2", "cr2", intercept_cr_read, BIT(63))
READ_ASSIST("cr3", "cr3", intercept_cr_read, BIT(63))
READ_ASSIST("cr4", "cr4", intercept_cr_read, BIT(63))
READ_ASSIST("cr8", "cr8", intercept_cr_read, BIT(63))
WRITE_ASSIST("cr0", "cr0", intercept_cr_write, BIT(63), v.cr0)
WRITE_ASSIST("cr2", "cr2", intercept_cr_write, BIT(63), 0)
WRITE_ASSIST("cr3", "cr3", intercept_cr_write, BIT(63), v.cr3)
WRITE_ASSIST("cr4", "cr4", intercept_cr_write, BIT(63), v.cr4)
WRITE_ASSIST("cr8", "cr8", intercept_cr_write, BIT(63), 0)
READ_ASSIST("dr0", "dr0", intercept_dr_read, 0)
READ_ASSIST("dr7", "dr7", intercept_dr_read, 0)
WRITE_ASSIST("dr0", "dr0", intercept_dr_write, 0, 0)
WRITE_ASSIST("dr7", "dr7", intercept_dr_write, 0, 0x400)

#define NO_REGISTER(name, field, before, insn)                       \
    TEST("15.8.1/exitinfo1-of-" name "-has-no-register")             \
    {                                                                \
        REQUIRE_SVM(HAS_DECODE, "decode assists");                   \
        GUEST3(before, insn, "");                                    \
        v.field |= 1;                                                \
        run();                                                       \
        EXPECT_EQ("EXITINFO1 bit 63", v.exit_info_1 >> 63, 0);       \
    }
NO_REGISTER("smsw", intercept_cr_read, "", "smsw %%ebx")
NO_REGISTER("lmsw", intercept_cr_write, "mov $0x11, %%ebx", "lmsw %%bx")
NO_REGISTER("clts", intercept_cr_write, "", "clts")

TEST("15.8.1/exitinfo1-of-the-selective-cr0-write")
{
    REQUIRE_SVM(HAS_DECODE, "decode assists");
    GUEST3("mov %%cr0, %%r9; btc $18, %%r9", "mov %%r9, %%cr0", "");
    v.intercept_1 |= BIT(I1_CR0_SELECTIVE);
    expect_exit(EXIT_CR0_SELECTIVE);
    EXPECT_EQ("EXITINFO1", v.exit_info_1, BIT(63) | 9);
}

/* --- §15.21.3 ------------------------------------------------------------------------------------------------------------------ */
TEST("15.21.3/lock-mov-from-cr0-reads-cr8")
{
    REQUIRE(cpuid_bit(0x80000001, 'c', 4), "no AltMovCr8");
    GUEST3(".code32", ".byte 0xf0; mov %%cr0, %%ebx", "");
    mode_protected();
    v.virtual_interrupt |= 7;
    expect_done();
    EXPECT_EQ("EBX", r.rbx, 7);
}

TEST("15.21.3/lock-mov-to-cr0-writes-cr8")
{
    REQUIRE(cpuid_bit(0x80000001, 'c', 4), "no AltMovCr8");
    GUEST3(".code32; mov $5, %%ebx", ".byte 0xf0; mov %%ebx, %%cr0", "");
    mode_protected();
    expect_done();
    EXPECT_EQ("V_TPR", v.virtual_interrupt & V_TPR, 5);
}

TEST("15.21.3/lock-mov-from-cr0-checks-the-cr8-intercept")
{
    REQUIRE(cpuid_bit(0x80000001, 'c', 4), "no AltMovCr8");
    GUEST3(".code32", ".byte 0xf0; mov %%cr0, %%ebx", "");
    mode_protected();
    v.intercept_cr_read = BIT(8);
    expect_exit(8);
}

TEST("15.21.3/lock-mov-to-cr0-checks-the-cr8-intercept")
{
    REQUIRE(cpuid_bit(0x80000001, 'c', 4), "no AltMovCr8");
    GUEST3(".code32; mov $5, %%ebx", ".byte 0xf0; mov %%ebx, %%cr0", "");
    mode_protected();
    v.intercept_cr_write = BIT(8);
    expect_exit(EXIT_WRITE_CR8);
}

/* --- §15.8.2, §15.8.3 ----------------------------------------------------------------------------------------------------------- */
#define INTN_ASSIST(n)                                                  \
    TEST("15.8.2/exitinfo1-of-int-" #n)                                 \
    {                                                                   \
        REQUIRE_SVM(HAS_DECODE, "decode assists");                      \
        GUEST(".byte 0xcd, " #n);                                       \
        v.intercept_1 |= BIT(I1_INTN);                                  \
        expect_exit(EXIT_INTN);                                         \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, n);                       \
    }
INTN_ASSIST(0)
INTN_ASSIST(3)
INTN_ASSIST(14)
INTN_ASSIST(128)
INTN_ASSIST(255)

#define INVLPG_ASSIST(name, mode, before, insn, address)         \
    TEST("15.8.3/exitinfo1-of-invlpg-" name)                     \
    {                                                            \
        REQUIRE_SVM(HAS_DECODE, "decode assists");               \
        GUEST3(before, insn, "");                                \
        mode;                                                    \
        v.intercept_1 |= BIT(I1_INVLPG);                         \
        expect_exit(EXIT_INVLPG);                                \
        EXPECT_EQ("EXITINFO1", v.exit_info_1, address);          \
    }
INVLPG_ASSIST("by-register", (void)0, "movabs $0x123456789a, %%rcx", "invlpg (%%rcx)", 0x123456789a)
INVLPG_ASSIST("by-base-index-and-displacement", (void)0, "mov $0x1000, %%ecx; mov $0x20, %%edx", "invlpg 0x5(%%rcx,%%rdx,8)", 0x1105)
INVLPG_ASSIST("relative-to-rip", (void)0, "", "invlpg 99f(%%rip)", insn_next)
INVLPG_ASSIST("with-fs-base", v.fs.base = 0x7000000000, "mov $0x1000, %%ecx", "invlpg %%fs:(%%rcx)", 0x7000001000)
INVLPG_ASSIST("with-a-32-bit-address", (void)0, "movabs $0x1234fffff000, %%rcx", "invlpg 0x2000(%%ecx)", 0x1000)
INVLPG_ASSIST("in-compatibility-mode", mode_compatibility(), ".code32; mov $0xfffff000, %%ecx", "invlpg 0x2000(%%ecx)", 0x1000)
INVLPG_ASSIST("with-a-segment-base-in-protected-mode", (mode_protected(), v.ds.base = 0x10000000), ".code32; mov $0x1234, %%ecx", "invlpg (%%ecx)", 0x10001234)
INVLPG_ASSIST("with-a-16-bit-address", (mode_protected(), v.ds.base = 0x10000000), ".code32; mov $0xff34, %%ebx", ".byte 0x67, 0x0f, 0x01, 0xbf, 0x00, 0x01", 0x10000034)
