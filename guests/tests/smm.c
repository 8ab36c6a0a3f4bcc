/*
 * System-management mode (APM volume 2, chapter 10) with a handler of ours. Only a machine without firmware lets us put one there:
 * SMBASE still is 30000h and nothing is locked.
 */
#include "frame.h"

enum { MSR_HWCR = 0xc0010015, MSR_SMM_BASE = 0xc0010111, MSR_SMM_ADDR = 0xc0010112, MSR_SMM_MASK = 0xc0010113, MSR_SMM_CTL = 0xc0010116 };
enum { SMBASE = 0x30000, ENTRY = 0x8000, SAVE_AREA = 0xfe00 };
enum { COMMAND = 0xb2, SMI_EN = 0x630, SMI_STS = 0x634, GLOBAL_AND_COMMAND = 0x21 };
enum { SELF_SMI = 0x40200 };
static volatile u32 smis; /* counted by the handlers */

/* addr32 inc dword [smis]; rsm */
static const u8 count_and_leave[] = {0x66, 0x67, 0xff, 0x05, 0, 0, 0, 0, 0x0f, 0xaa};
/* addr32 inc dword [smis]; mov dword [cs:ff00h], 40000h; rsm */
static const u8 move_smbase[] = {0x66, 0x67, 0xff, 0x05, 0, 0, 0, 0, 0x2e, 0x66, 0xc7, 0x06, 0x00, 0xff, 0, 0, 4, 0, 0x0f, 0xaa};
/* the same back to 30000h */
static const u8 move_smbase_back[] = {0x66, 0x67, 0xff, 0x05, 0, 0, 0, 0, 0x2e, 0x66, 0xc7, 0x06, 0x00, 0xff, 0, 0, 3, 0, 0x0f, 0xaa};
/* addr32 inc dword [smis]; mov byte [cs:fec8h], 1 for the first SMI; rsm */
static const u8 restart_once[] = {0x66, 0x67, 0xff, 0x05, 0, 0, 0, 0,          /* inc dword [smis] */
                                  0x66, 0x67, 0x83, 0x3d, 0, 0, 0, 0, 1,       /* cmp dword [smis], 1 */
                                  0x75, 0x06, 0x2e, 0xc6, 0x06, 0xc8, 0xfe, 1, /* jne; mov byte [cs:fec8h], 1 */
                                  0x0f, 0xaa};

static volatile u8 *handler(u64 smbase, const u8 *code, unsigned bytes)
{
    volatile u8 *at = (volatile u8 *)(smbase + ENTRY);
    u32 counter = (u32)(u64)&smis;
    for (unsigned i = 0; i < bytes; i++)
        at[i] = code[i];
    for (unsigned i = 0; i < 4; i++)
        at[4 + i] = counter >> 8 * i;
    smis = 0;
    return at;
}
#define HANDLER(smbase, code) handler(smbase, code, sizeof code)
static u32 saved32(unsigned offset) { return *(volatile u32 *)(u64)(SMBASE + SAVE_AREA + offset); }
static u64 saved64(unsigned offset) { return *(volatile u64 *)(u64)(SMBASE + SAVE_AREA + offset); }

static bool ours(void)
{
    fault.taken = false;
    TRY("rdmsr", : : "c"(MSR_SMM_BASE) : "rax", "rdx");
    if (fault.taken || rdmsr(MSR_SMM_BASE) != SMBASE)
        return false;
    return !(rdmsr(MSR_HWCR) & 1);
}
#define SKIP_UNLESS_OURS() SKIP_UNLESS(ours(), "SMRAM belongs to the firmware")
static void smi(void)
{
    apic_write(APIC_ICR, SELF_SMI);
    for (int i = 0; i < 100; i++)
        cpu_relax();
}

TEST(smm, rsm_is_undefined_outside)
{
    TRY("rsm", :);
    EXPECT_FAULT(UD, 0);
}
TEST(smm, an_smi_runs_the_handler)
{
    SKIP_UNLESS_OURS();
    HANDLER(SMBASE, count_and_leave);
    u64 cr0, cr3, cr4;
    smi();
    EXPECT_EQ(smis, 1);
    __asm__("movq %%cr0, %0; movq %%cr3, %1; movq %%cr4, %2" : "=r"(cr0), "=r"(cr3), "=r"(cr4));
    EXPECT_EQ(saved64(0x158), cr0);
    EXPECT_EQ(saved64(0x150), cr3);
    EXPECT_EQ(saved64(0x148), cr4);
    EXPECT_EQ(saved64(0xd0), rdmsr(MSR_EFER));
    EXPECT_EQ(saved32(0xfc), 0x30064);
    EXPECT_EQ(saved32(0x100), SMBASE);
    EXPECT_EQ(saved64(0xd8), 0);
}
TEST(smm, the_command_port_tells_of_its_instruction)
{
    SKIP_UNLESS_OURS();
    HANDLER(SMBASE, count_and_leave);
    outb(COMMAND, 1);
    EXPECT_EQ(smis, 0);
    outl(SMI_EN, GLOBAL_AND_COMMAND);
    outb(COMMAND, 2);
    outl(SMI_EN, 0);
    outl(SMI_STS, 0x20);
    EXPECT_EQ(smis, 1);
    u32 io = saved32(0xc0);
    EXPECT_EQ(io >> 16, COMMAND);
    EXPECT_EQ(io & 0x7f, 0x12); /* OUT, valid, 8 bits */
    EXPECT(saved64(0x178) > saved64(0xa0) && saved64(0x178) - saved64(0xa0) <= 2);
}
TEST(smm, the_handler_restarts_an_io_instruction)
{
    SKIP_UNLESS_OURS();
    volatile u8 *at = HANDLER(SMBASE, restart_once);
    for (unsigned i = 0; i < 4; i++)
        at[12 + i] = (u32)(u64)&smis >> 8 * i;
    outl(SMI_EN, GLOBAL_AND_COMMAND);
    outb(COMMAND, 2);
    outl(SMI_EN, 0);
    EXPECT_EQ(smis, 2);
}
TEST(smm, smbase_moves)
{
    SKIP_UNLESS_OURS();
    HANDLER(SMBASE + 0x10000, move_smbase_back);
    HANDLER(SMBASE, move_smbase);
    smi();
    EXPECT_EQ(rdmsr(MSR_SMM_BASE), SMBASE + 0x10000);
    smi();
    EXPECT_EQ(rdmsr(MSR_SMM_BASE), SMBASE);
    EXPECT_EQ(smis, 2);
}
TEST(smm, a_halted_processor_halts_again)
{
    SKIP_UNLESS_OURS();
    volatile u32 *io_apic = (volatile u32 *)0xfec00000;
    HANDLER(SMBASE, count_and_leave);
    /* The 8254's channel 0 asserts an SMI by the I/O APIC; only the APIC's timer, later, ends the halt. */
    io_apic[0] = 0x10 + 2 * 2;
    u32 entry = io_apic[4];
    outb(0x43, 0x30);
    outb(0x40, 0x00);
    outb(0x40, 0x04);
    io_apic[0] = 0x10 + 2 * 2 + 1;
    io_apic[4] = apic_read(APIC_ID) & 0xff000000;
    io_apic[0] = 0x10 + 2 * 2;
    io_apic[4] = 0x200;
    volatile unsigned *taken = &interrupts[0x95];
    unsigned before = *taken;
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_TIMER, 0x95);
    apic_write(APIC_INITIAL, 10000000);
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    EXPECT_EQ(smis, 1);
    EXPECT_EQ(*taken, before + 1);
    EXPECT_EQ(saved32(0xc8) >> 8 & 0xff, 1);
    io_apic[4] = entry;
}
TEST(smm, tseg_is_out_of_reach)
{
    SKIP_UNLESS_OURS();
    volatile u64 *inside = (volatile u64 *)0x2000000, *behind = (volatile u64 *)0x2020000;
    *inside = 0x1234;
    *behind = 0x5678;
    wrmsr(MSR_SMM_ADDR, 0x2000000);
    wrmsr(MSR_SMM_MASK, 0xfffffffe0002);
    EXPECT_EQ(*inside, ~0ull);
    EXPECT_EQ(*behind, 0x5678);
    *inside = 0;
    wrmsr(MSR_SMM_CTL, 2); /* ENTER */
    EXPECT_EQ(*inside, 0x1234);
    wrmsr(MSR_SMM_CTL, 8); /* EXIT */
    EXPECT_EQ(*inside, ~0ull);
    wrmsr(MSR_SMM_MASK, 0);
    EXPECT_EQ(*inside, 0x1234);
}
