/* §15.10: IOIO intercepts, the I/O permissions map, EXITINFO1 and EXITINFO2. */
#include "frame.h"

#define PORT 0x5e0 /* nothing answers here on a PC */

static void intercept_port(unsigned port) { iopm[port / 8] |= (u8)(1 << port % 8); }

/* Figure 15-2. Of IN and OUT the manual does not say whether the address size is told: the tests do not look at it. */
enum { IN = BIT(0), STRING = BIT(2), REP = BIT(3), SIZE_8 = BIT(4), SIZE_16 = BIT(5), SIZE_32 = BIT(6), A16 = BIT(7), A32 = BIT(8), A64 = BIT(9) };
#define PLAIN_MASK (~(u64)(A16 | A32 | A64 | 7 << 10))
#define SEGMENT(n) ((u64)(n) << 10)
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

#define INTERCEPTED(name, mode, before, insn, mask, expected)                           \
    TEST("15.10.2/exitinfo1-of-" name)                                                  \
    {                                                                                   \
        GUEST3(before, insn, "");                                                       \
        mode;                                                                           \
        v.intercept_1 |= BIT(I1_IOIO);                                                  \
        intercept_port(PORT);                                                           \
        intercept_port(0x80);                                                           \
        expect_exit(EXIT_IOIO);                                                         \
        expect_at_insn();                                                               \
        EXPECT_EQ("EXITINFO1", v.exit_info_1 & (mask), expected);                       \
        EXPECT_EQ("EXITINFO2, the next RIP", v.cs.base + v.exit_info_2, insn_next);     \
        expect_next_rip();                                                              \
    }
#define DX "mov $0x5e0, %%edx"
#define PLAIN(name, insn, expected) INTERCEPTED(name, (void)0, DX, insn, PLAIN_MASK, expected)
PLAIN("in-dx-8", "in %%dx, %%al", (u64)PORT << 16 | IN | SIZE_8)
PLAIN("in-dx-16", "in %%dx, %%ax", (u64)PORT << 16 | IN | SIZE_16)
PLAIN("in-dx-32", "in %%dx, %%eax", (u64)PORT << 16 | IN | SIZE_32)
PLAIN("out-dx-8", "out %%al, %%dx", (u64)PORT << 16 | SIZE_8)
PLAIN("out-dx-16", "out %%ax, %%dx", (u64)PORT << 16 | SIZE_16)
PLAIN("out-dx-32", "out %%eax, %%dx", (u64)PORT << 16 | SIZE_32)
PLAIN("in-imm-8", "in $0x80, %%al", 0x80ull << 16 | IN | SIZE_8)
PLAIN("in-imm-16", "in $0x80, %%ax", 0x80ull << 16 | IN | SIZE_16)
PLAIN("in-imm-32", "in $0x80, %%eax", 0x80ull << 16 | IN | SIZE_32)
PLAIN("out-imm-8", "out %%al, $0x80", 0x80ull << 16 | SIZE_8)
PLAIN("out-imm-16", "out %%ax, $0x80", 0x80ull << 16 | SIZE_16)
PLAIN("out-imm-32", "out %%eax, $0x80", 0x80ull << 16 | SIZE_32)
PLAIN("in-with-rex-w-is-32", ".byte 0x48, 0xed", (u64)PORT << 16 | IN | SIZE_32)

#define STRINGS "mov $0x5e0, %%edx; mov $page, %%esi; mov $page, %%edi; mov $3, %%ecx"
#define STRING_IO(name, mode, before, insn, expected) INTERCEPTED(name, mode, before, insn, ~0ull, (u64)PORT << 16 | STRING | (expected))
STRING_IO("insb", (void)0, STRINGS, "insb", IN | SIZE_8 | A64 | SEGMENT(SEG_ES))
STRING_IO("insw", (void)0, STRINGS, "insw", IN | SIZE_16 | A64 | SEGMENT(SEG_ES))
STRING_IO("insd", (void)0, STRINGS, "insl", IN | SIZE_32 | A64 | SEGMENT(SEG_ES))
STRING_IO("outsb", (void)0, STRINGS, "outsb", SIZE_8 | A64 | SEGMENT(SEG_DS))
STRING_IO("outsw", (void)0, STRINGS, "outsw", SIZE_16 | A64 | SEGMENT(SEG_DS))
STRING_IO("outsd", (void)0, STRINGS, "outsl", SIZE_32 | A64 | SEGMENT(SEG_DS))
STRING_IO("rep-insb", (void)0, STRINGS, "rep insb", IN | REP | SIZE_8 | A64 | SEGMENT(SEG_ES))
STRING_IO("rep-insw", (void)0, STRINGS, "rep insw", IN | REP | SIZE_16 | A64 | SEGMENT(SEG_ES))
STRING_IO("rep-insd", (void)0, STRINGS, "rep insl", IN | REP | SIZE_32 | A64 | SEGMENT(SEG_ES))
STRING_IO("rep-outsb", (void)0, STRINGS, "rep outsb", REP | SIZE_8 | A64 | SEGMENT(SEG_DS))
STRING_IO("rep-outsw", (void)0, STRINGS, "rep outsw", REP | SIZE_16 | A64 | SEGMENT(SEG_DS))
STRING_IO("rep-outsd", (void)0, STRINGS, "rep outsl", REP | SIZE_32 | A64 | SEGMENT(SEG_DS))
STRING_IO("repne-outsb", (void)0, STRINGS, ".byte 0xf2; outsb", REP | SIZE_8 | A64 | SEGMENT(SEG_DS))
STRING_IO("outsb-with-an-es-prefix-stays-ds-in-64-bit-mode", (void)0, STRINGS, ".byte 0x26; outsb", SIZE_8 | A64 | SEGMENT(SEG_DS))
STRING_IO("outsb-from-es-protected-mode", mode_protected(), ".code32;" STRINGS, ".byte 0x26; outsb", SIZE_8 | A32 | SEGMENT(SEG_ES))
STRING_IO("outsb-from-fs", (void)0, STRINGS, ".byte 0x64; outsb", SIZE_8 | A64 | SEGMENT(SEG_FS))
STRING_IO("outsb-from-gs", (void)0, STRINGS, ".byte 0x65; outsb", SIZE_8 | A64 | SEGMENT(SEG_GS))
STRING_IO("insb-with-a-prefix-stays-es", (void)0, STRINGS, ".byte 0x64; insb", IN | SIZE_8 | A64 | SEGMENT(SEG_ES))
STRING_IO("insb-a32", (void)0, STRINGS, "addr32 insb", IN | SIZE_8 | A32 | SEGMENT(SEG_ES))
STRING_IO("outsb-a32", (void)0, STRINGS, "addr32 outsb", SIZE_8 | A32 | SEGMENT(SEG_DS))
STRING_IO("rep-outsb-a32", (void)0, STRINGS, "addr32 rep outsb", REP | SIZE_8 | A32 | SEGMENT(SEG_DS))
STRING_IO("insb-protected-mode", mode_protected(), ".code32;" STRINGS, "insb", IN | SIZE_8 | A32 | SEGMENT(SEG_ES))
STRING_IO("outsb-protected-mode", mode_protected(), ".code32;" STRINGS, "outsb", SIZE_8 | A32 | SEGMENT(SEG_DS))
STRING_IO("outsw-protected-mode", mode_protected(), ".code32;" STRINGS, "outsw", SIZE_16 | A32 | SEGMENT(SEG_DS))
STRING_IO("outsb-a16-protected-mode", mode_protected(), ".code32;" STRINGS, "addr16 outsb", SIZE_8 | A16 | SEGMENT(SEG_DS))
STRING_IO("outsb-from-cs-protected-mode", mode_protected(), ".code32;" STRINGS, ".byte 0x2e; outsb", SIZE_8 | A32 | SEGMENT(SEG_CS))
STRING_IO("outsb-from-ss-protected-mode", mode_protected(), ".code32;" STRINGS, ".byte 0x36; outsb", SIZE_8 | A32 | SEGMENT(SEG_SS))
STRING_IO("insb-real-mode", mode_real(), ".code16; mov $0x5e0, %%dx; mov $0x100, %%di", "insb", IN | SIZE_8 | A16 | SEGMENT(SEG_ES))
STRING_IO("outsb-real-mode", mode_real(), ".code16; mov $0x5e0, %%dx; mov $0x100, %%si", "outsb", SIZE_8 | A16 | SEGMENT(SEG_DS))
STRING_IO("outsb-a32-real-mode", mode_real(), ".code16; mov $0x5e0, %%dx; mov $0x100, %%esi", "addr32 outsb", SIZE_8 | A32 | SEGMENT(SEG_DS))
STRING_IO("outsd-real-mode", mode_real(), ".code16; mov $0x5e0, %%dx; mov $0x100, %%si", "outsl", SIZE_32 | A16 | SEGMENT(SEG_DS))

/* --- the map ------------------------------------------------------------------------------------------------------------------- */
#define MAP(name, section, prepare_it, before, insn)   \
    TEST(section "/" name)                             \
    {                                                  \
        GUEST3(before, insn, "");                      \
        v.intercept_1 |= BIT(I1_IOIO);                 \
        prepare_it;                                    \
        expect_exit(EXIT_IOIO);                        \
    }
#define MAP_PASSES(name, section, prepare_it, before, insn) \
    TEST(section "/" name)                                  \
    {                                                       \
        GUEST3(before, insn, "");                           \
        v.intercept_1 |= BIT(I1_IOIO);                      \
        prepare_it;                                         \
        expect_done();                                      \
    }
static void all_ports_but(unsigned first, unsigned count)
{
    memset(iopm, 0xff, sizeof iopm);
    for (unsigned i = first; i < first + count; i++)
        iopm[i / 8] &= (u8)~(1 << i % 8);
}
MAP_PASSES("clear-bit-passes", "15.10.1", all_ports_but(PORT, 1), DX, "in %%dx, %%al")
MAP_PASSES("two-clear-bits-pass-a-word", "15.10.1", all_ports_but(PORT, 2), DX, "in %%dx, %%ax")
MAP_PASSES("four-clear-bits-pass-a-doubleword", "15.10.1", all_ports_but(PORT, 4), DX, "in %%dx, %%eax")
MAP_PASSES("four-clear-bits-across-bytes-pass", "15.10.1", all_ports_but(PORT + 6, 4), "mov $0x5e6, %%edx", "in %%dx, %%eax")
MAP("bit-of-port-0", "15.10.1", intercept_port(0), "xor %%edx, %%edx", "in %%dx, %%al")
MAP("bit-of-the-last-port-of-page-0", "15.10.1", intercept_port(0x7fff), "mov $0x7fff, %%edx", "in %%dx, %%al")
MAP("bit-of-the-first-port-of-page-1", "15.10.1", intercept_port(0x8000), "mov $0x8000, %%edx", "in %%dx, %%al")
MAP("bit-of-port-ffff", "15.10.1", intercept_port(0xffff), "mov $0xffff, %%edx", "in %%dx, %%al")
MAP("word-at-port-ffff-looks-at-the-third-page", "15.10.1", intercept_port(0x10000), "mov $0xffff, %%edx", "in %%dx, %%ax")
MAP("doubleword-at-port-ffff-looks-at-three-bits-of-the-third-page", "15.10.1", intercept_port(0x10002), "mov $0xffff, %%edx", "in %%dx, %%eax")
MAP("second-byte-of-a-word", "15.10.2", intercept_port(PORT + 1), DX, "in %%dx, %%ax")
MAP("second-byte-of-a-doubleword", "15.10.2", intercept_port(PORT + 1), DX, "in %%dx, %%eax")
MAP("third-byte-of-a-doubleword", "15.10.2", intercept_port(PORT + 2), DX, "out %%eax, %%dx")
MAP("fourth-byte-of-a-doubleword", "15.10.2", intercept_port(PORT + 3), DX, "in %%dx, %%eax")
MAP("word-across-the-pages-of-the-map", "15.10.2", intercept_port(0x8000), "mov $0x7fff, %%edx", "in %%dx, %%ax")
MAP("rep-string-second-byte", "15.10.2", intercept_port(PORT + 1), STRINGS, "rep outsw")
MAP("map-is-found-with-low-address-bits-set", "15.10.1", (intercept_port(PORT), v.iopm |= 0xabc), DX, "in %%dx, %%al")
TEST("15.10.1/map-is-not-used-without-ioio-prot")
{
    GUEST3(DX, "in %%dx, %%al", "");
    memset(iopm, 0xff, sizeof iopm);
    expect_done();
}
TEST("15.10.2/byte-below-an-intercepted-port-passes")
{
    GUEST3("mov $0x5df, %%edx", "in %%dx, %%al", "");
    v.intercept_1 |= BIT(I1_IOIO);
    intercept_port(PORT);
    expect_done();
}

/* --- order ---------------------------------------------------------------------------------------------------------------------- */
TEST("15.10.2/iopl-and-tss-are-checked-first")
{
    GUEST3(DX, "in %%dx, %%al", "");
    mode_user();
    v.intercept_1 |= BIT(I1_IOIO);
    intercept_port(PORT);
    expect_exception(GP);
    expect_at_insn();
}

TEST("15.10.2/cpl-3-with-iopl-3-is-intercepted")
{
    GUEST3(DX, "in %%dx, %%al", "");
    mode_user();
    v.rflags |= FLAG_IOPL3;
    v.intercept_1 |= BIT(I1_IOIO);
    intercept_port(PORT);
    expect_exit(EXIT_IOIO);
}

TEST("15.10.2/cpl-3-with-leave-of-the-tss-is-intercepted")
{
    GUEST3(DX, "in %%dx, %%al", "");
    mode_user();
    guest_tss[104 + PORT / 8] = 0;
    v.intercept_1 |= BIT(I1_IOIO);
    intercept_port(PORT);
    expect_exit(EXIT_IOIO);
}

TEST("15.10.2/virtual-8086-mode-tss-is-checked-first")
{
    GUEST3(".code16; mov $0x5e0, %%dx", "in %%dx, %%al", "");
    mode_virtual_8086();
    v.intercept_1 |= BIT(I1_IOIO);
    intercept_port(PORT);
    expect_exception(GP);
}

TEST("15.10.2/intercept-before-the-page-fault-of-ins")
{
    GUEST3(DX "; mov $0xffffffff80000000, %%rdi", "insb", "");
    v.intercept_1 |= BIT(I1_IOIO);
    intercept_port(PORT);
    expect_exit(EXIT_IOIO);
}

TEST("15.10.2/intercept-before-the-page-fault-of-outs")
{
    GUEST3(DX "; mov $0xffffffff80000000, %%rsi", "outsb", "");
    v.intercept_1 |= BIT(I1_IOIO);
    intercept_port(PORT);
    expect_exit(EXIT_IOIO);
}

TEST("15.10.3/rep-string-stops-before-its-first-access")
{
    GUEST3(STRINGS, "rep outsb", "");
    v.intercept_1 |= BIT(I1_IOIO);
    intercept_port(PORT);
    expect_exit(EXIT_IOIO);
    EXPECT_EQ("RCX", r.rcx, 3);
    EXPECT_EQ("RSI", r.rsi, (u64)page[0]);
}
