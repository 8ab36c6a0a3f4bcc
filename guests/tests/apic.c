/* The local APIC (APM volume 2, chapter 16), NMI, the I/O APIC. */
#include "frame.h"

enum { SELF = 0x40000, ALL = 0x80000, DELIVER_NMI = 0x400, LOGICAL = 0x800, PENDING = 0x1000 };
enum { APIC_VERSION = 0x30, APIC_PPR = 0xa0, APIC_LDR = 0xd0, APIC_DFR = 0xe0, APIC_ISR = 0x100, APIC_TMR = 0x180, APIC_IRR = 0x200 };

static void settle(void)
{
    for (int i = 0; i < 1000 && (apic_read(APIC_ICR) & PENDING); i++)
        cpu_relax();
    for (int i = 0; i < 100; i++)
        cpu_relax();
}
static void ipi(u32 command)
{
    apic_write(APIC_ICR_HIGH, apic_read(APIC_ID) & 0xff000000);
    apic_write(APIC_ICR, command);
    settle();
}
static bool bit_of(u32 base, u8 vector) { return apic_read(base + (vector / 32u) * 16) >> vector % 32 & 1; }

TEST(apic, base_register)
{
    u64 base = rdmsr(MSR_APIC_BASE);
    EXPECT_EQ(base & 0xfffff000, APIC);
    EXPECT(base & BIT(8));  /* the boot processor */
    EXPECT(base & BIT(11)); /* enabled */
}
TEST(apic, version)
{
    u32 version = apic_read(APIC_VERSION);
    EXPECT((version & 0xff) >= 0x10 && (version & 0xff) < 0x20);
    EXPECT((version >> 16 & 0xff) >= 3);
    EXPECT_EQ(apic_read(APIC_ID) >> 24, cpuid(1, 0).ebx >> 24);
}
TEST(apic, self_shorthand)
{
    ipi(SELF | 0x90);
    EXPECT_EQ(interrupts[0x90], 0);
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x90], 1);
}
TEST(apic, all_including_self)
{
    ipi(ALL | 0x90);
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x90], 1);
}
TEST(apic, physical_destination)
{
    ipi(0x91);
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x91], 1);
}
TEST(apic, logical_destination)
{
    apic_write(APIC_DFR, 0xffffffff);
    apic_write(APIC_LDR, 0x04000000);
    apic_write(APIC_ICR_HIGH, 0x04000000);
    apic_write(APIC_ICR, LOGICAL | 0x92);
    settle();
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x92], 1);
    apic_write(APIC_ICR_HIGH, 0x08000000);
    apic_write(APIC_ICR, LOGICAL | 0x92);
    settle();
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x92], 1);
}
TEST(apic, requested_then_taken)
{
    ipi(SELF | 0x93);
    EXPECT(bit_of(APIC_IRR, 0x93));
    EXPECT(!bit_of(APIC_ISR, 0x93));
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x93], 1);
    EXPECT(!bit_of(APIC_IRR, 0x93));
    EXPECT(!bit_of(APIC_ISR, 0x93));
}
static volatile bool noted_irr, noted_isr;
static volatile u32 noted_ppr;
static void note(struct interrupt_frame *frame)
{
    noted_irr = bit_of(APIC_IRR, (u8)frame->vector);
    noted_isr = bit_of(APIC_ISR, (u8)frame->vector);
    noted_ppr = apic_read(APIC_PPR);
}
TEST(apic, in_service_during_the_handler)
{
    on_any_interrupt = note;
    ipi(SELF | 0x94);
    let_interrupts_in();
    EXPECT(!noted_irr);
    EXPECT(noted_isr);
    EXPECT_EQ(noted_ppr & 0xf0, 0x90);
    EXPECT_EQ(apic_read(APIC_PPR), 0);
}
static volatile u8 order[8];
static volatile unsigned ordered;
static void keep_order(struct interrupt_frame *frame)
{
    if (ordered < ARRAY_SIZE(order))
        order[ordered++] = (u8)frame->vector;
}
TEST(apic, higher_vectors_come_first)
{
    ordered = 0;
    on_any_interrupt = keep_order;
    ipi(SELF | 0x51);
    ipi(SELF | 0xa1);
    ipi(SELF | 0x71);
    let_interrupts_in();
    let_interrupts_in();
    let_interrupts_in();
    EXPECT_EQ(ordered, 3);
    EXPECT_EQ(order[0], 0xa1);
    EXPECT_EQ(order[1], 0x71);
    EXPECT_EQ(order[2], 0x51);
}
static void open_up(struct interrupt_frame *frame)
{
    if (frame->vector == 0xa1) {
        ipi(SELF | 0x51); /* must wait for the end of this one */
        ipi(SELF | 0xa2); /* same class: must wait too */
        ipi(SELF | 0xb1); /* goes first */
        sti();
        __asm__ volatile("nop; nop");
        cli();
    }
    keep_order(frame);
}
TEST(apic, in_service_blocks_its_class_and_below)
{
    ordered = 0;
    on_any_interrupt = open_up;
    ipi(SELF | 0xa1);
    for (int i = 0; i < 4; i++)
        let_interrupts_in();
    EXPECT_EQ(ordered, 4);
    EXPECT_EQ(order[0], 0xb1);
    EXPECT_EQ(order[1], 0xa1);
    EXPECT_EQ(order[2], 0xa2);
    EXPECT_EQ(order[3], 0x51);
}
TEST(apic, task_priority_holds_back)
{
    write_cr8(9);
    ipi(SELF | 0x95);
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x95], 0);
    ipi(SELF | 0xa5);
    let_interrupts_in();
    EXPECT_EQ(interrupts[0xa5], 1);
    EXPECT_EQ(interrupts[0x95], 0);
    write_cr8(8);
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x95], 1);
}
TEST(apic, a_vector_is_requested_once)
{
    ipi(SELF | 0x96);
    ipi(SELF | 0x96);
    let_interrupts_in();
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x96], 1);
}
TEST_QEMU_FAILS(apic, software_disable_masks_the_local_vectors, "QEMU 7.2 leaves them (APM 2 §16.4.7)")
{
    apic_write(APIC_TIMER, 0x90);
    apic_write(APIC_SPURIOUS, 0xff);
    EXPECT(apic_read(APIC_TIMER) & 0x10000);
    apic_write(APIC_TIMER, 0x90);
    EXPECT(apic_read(APIC_TIMER) & 0x10000); /* cannot be cleared while disabled */
    apic_write(APIC_SPURIOUS, 0x1ff);
    EXPECT(apic_read(APIC_TIMER) & 0x10000);
}

/* --- NMI ----------------------------------------------------------------------------------------------------------------------- */
static volatile unsigned nmis, nmis_inside;
static void nmi_handler(struct interrupt_frame *frame)
{
    (void)frame;
    nmis++;
    if (nmis == 1) {
        apic_write(APIC_ICR_HIGH, apic_read(APIC_ID) & 0xff000000);
        apic_write(APIC_ICR, DELIVER_NMI);
        settle();
        nmis_inside = nmis;
    }
}
TEST(nmi, ignores_if_and_waits_for_iret)
{
    nmis = 0;
    on_interrupt(NMI, nmi_handler);
    ipi(DELIVER_NMI);
    EXPECT_EQ(nmis_inside, 1);
    EXPECT_EQ(nmis, 2); /* the second came behind the first one's IRET */
}
/* --- the timer ------------------------------------------------------------------------------------------------------------------ */
enum { PERIODIC = 0x20000, MASKED = 0x10000, DEADLINE = 0x40000 };
TEST(apic_timer, one_shot)
{
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_TIMER, 0x97);
    apic_write(APIC_INITIAL, 20000);
    EXPECT(wait_for(&interrupts[0x97], 1, 50000000));
    EXPECT_EQ(apic_read(APIC_CURRENT), 0);
    sti();
    spin(1000000);
    cli();
    EXPECT_EQ(interrupts[0x97], 1);
}
TEST(apic_timer, periodic)
{
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_TIMER, PERIODIC | 0x97);
    apic_write(APIC_INITIAL, 100000);
    EXPECT(wait_for(&interrupts[0x97], 5, 100000000));
    apic_write(APIC_INITIAL, 0);
    let_interrupts_in();
    unsigned stopped = interrupts[0x97];
    sti();
    spin(1000000);
    cli();
    EXPECT_EQ(interrupts[0x97], stopped);
}
TEST(apic_timer, masked_counts_silently)
{
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_TIMER, MASKED | 0x97);
    apic_write(APIC_INITIAL, 0xffffffff);
    u32 first = apic_read(APIC_CURRENT);
    spin(100000);
    u32 second = apic_read(APIC_CURRENT);
    EXPECT(first && second < first);
    apic_write(APIC_INITIAL, 1000);
    sti();
    spin(1000000);
    cli();
    EXPECT_EQ(interrupts[0x97], 0);
}
TEST(apic_timer, divider)
{
    u64 rate[2]; /* counts in a million TSC ticks */
    static const u32 divide[2] = {0xb, 0x3}; /* by 1, by 16 */
    for (int i = 0; i < 2; i++) {
        apic_write(APIC_DIVIDE, divide[i]);
        apic_write(APIC_TIMER, MASKED | 0x97);
        apic_write(APIC_INITIAL, 0xffffffff);
        u64 start = rdtsc();
        spin(5000000);
        rate[i] = (0xffffffff - apic_read(APIC_CURRENT)) * 1000000ull / (rdtsc() - start);
    }
    EXPECT(rate[0] > rate[1] * 12 && rate[0] < rate[1] * 20);
}
TEST(apic_timer, tsc_deadline)
{
    SKIP_UNLESS(cpuid(1, 0).ecx & BIT(24), "no TSC deadline");
    apic_write(APIC_TIMER, DEADLINE | 0x98);
    u64 target = rdtsc() + 50000;
    wrmsr(0x6e0, target);
    EXPECT_EQ(rdmsr(0x6e0), target);
    EXPECT(wait_for(&interrupts[0x98], 1, 50000000));
    EXPECT(rdtsc() >= target);
    EXPECT_EQ(rdmsr(0x6e0), 0);
    wrmsr(0x6e0, 1); /* the past: at once */
    let_interrupts_in();
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x98], 2);
    wrmsr(0x6e0, rdtsc() + 50000);
    wrmsr(0x6e0, 0); /* disarmed */
    sti();
    spin(1000000);
    cli();
    EXPECT_EQ(interrupts[0x98], 2);
}
TEST(apic_timer, hlt_sleeps_until_it)
{
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_TIMER, 0x97);
    apic_write(APIC_INITIAL, 2000000);
    while (!interrupts[0x97])
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    EXPECT_EQ(interrupts[0x97], 1);
}

/* --- x2APIC ----------------------------------------------------------------------------------------------------------------------- */
static bool enter_x2apic(void)
{
    if (!(cpuid(1, 0).ecx & BIT(21)))
        return false;
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
    return true;
}
static void leave_x2apic(void)
{
    u64 base = rdmsr(MSR_APIC_BASE);
    wrmsr(MSR_APIC_BASE, base & ~(BIT(10) | BIT(11)));
    wrmsr(MSR_APIC_BASE, (base & ~BIT(10)) | BIT(11));
    apic_on();
}
static void x2_handler(struct interrupt_frame *frame)
{
    interrupts[frame->vector]++;
    wrmsr(0x80b, 0);
}
TEST(x2apic, registers_and_self_ipi)
{
    u32 id = apic_read(APIC_ID) >> 24;
    SKIP_UNLESS(enter_x2apic(), "no x2APIC");
    EXPECT_EQ(rdmsr(0x802), id);
    EXPECT_EQ(rdmsr(0x80d), (id >> 4) << 16 | 1u << (id & 15));
    wrmsr(0x80f, 0x1ff);
    wrmsr(0x808, 0x20);
    EXPECT_EQ(read_cr8(), 2);
    wrmsr(0x808, 0);
    on_interrupt(0x99, x2_handler);
    wrmsr(0x83f, 0x99);
    for (int i = 0; i < 100; i++)
        cpu_relax();
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x99], 1);
    wrmsr(0x830, (u64)id << 32 | 0x99);
    for (int i = 0; i < 100; i++)
        cpu_relax();
    let_interrupts_in();
    EXPECT_EQ(interrupts[0x99], 2);
    leave_x2apic();
}
TEST_QEMU_FAILS(x2apic, faults, "QEMU 7.2 has no x2APIC and no #GP for unknown MSRs (APM 2 §16.11)")
{
    TRY("rdmsr", : : "c"(0x802) : "rax", "rdx");
    EXPECT_FAULT(GP, 0); /* not in xAPIC mode */
    SKIP_UNLESS(enter_x2apic(), "no x2APIC");
    TRY("wrmsr", : : "c"(0x802), "a"(0), "d"(0)); /* the ID is read-only */
    EXPECT_FAULT(GP, 0);
    TRY("wrmsr", : : "c"(0x80b), "a"(1), "d"(0)); /* EOI takes 0 only */
    EXPECT_FAULT(GP, 0);
    u64 base = rdmsr(MSR_APIC_BASE);
    TRY("wrmsr", : : "c"(MSR_APIC_BASE), "a"((u32)base & ~0x400u), "d"(base >> 32)); /* straight back to xAPIC */
    EXPECT_FAULT(GP, 0);
    leave_x2apic();
}

/* --- the I/O APIC ------------------------------------------------------------------------------------------------------------------ */
#define IO_APIC 0xfec00000ull
static u32 io_read(u8 index)
{
    *(volatile u32 *)IO_APIC = index;
    return *(volatile u32 *)(IO_APIC + 0x10);
}
static void io_write(u8 index, u32 value)
{
    *(volatile u32 *)IO_APIC = index;
    *(volatile u32 *)(IO_APIC + 0x10) = value;
}
static void route(u8 pin, u32 low)
{
    io_write((u8)(0x11 + 2 * pin), apic_read(APIC_ID) & 0xff000000);
    io_write((u8)(0x10 + 2 * pin), low);
}
static void one_tick(void) /* of the 8254's channel 0 */
{
    outb(0x43, 0x30);
    outb(0x40, 100);
    outb(0x40, 0);
}
TEST(ioapic, version)
{
    u32 version = io_read(1);
    EXPECT((version & 0xff) >= 0x11 && (version & 0xff) <= 0x20);
    EXPECT_EQ(version >> 16 & 0xff, 23);
}
TEST(ioapic, redirection_entries_keep_what_is_written)
{
    for (u8 pin = 0; pin < 24; pin++) {
        io_write((u8)(0x11 + 2 * pin), 0x5a000000);
        io_write((u8)(0x10 + 2 * pin), 0x1a800u | 0x40u | pin);
    }
    for (u8 pin = 0; pin < 24; pin++) {
        EXPECT_EQ(io_read((u8)(0x10 + 2 * pin)) & 0x1afff, 0x1a840u | pin);
        EXPECT_EQ(io_read((u8)(0x11 + 2 * pin)) >> 24, 0x5a);
        io_write((u8)(0x10 + 2 * pin), 0x10000);
        io_write((u8)(0x11 + 2 * pin), 0);
    }
}
TEST(ioapic, timer_on_pin_2)
{
    route(2, 0x9a);
    one_tick();
    EXPECT(wait_for(&interrupts[0x9a], 1, 50000000));
    route(2, 0x10000);
}
TEST(ioapic, masked_pin)
{
    route(2, 0x10000 | 0x9a);
    one_tick();
    sti();
    spin(1000000);
    cli();
    EXPECT_EQ(interrupts[0x9a], 0);
}
TEST(ioapic, logical_destination)
{
    apic_write(APIC_DFR, 0xffffffff);
    apic_write(APIC_LDR, 0x02000000);
    io_write(0x15, 0x02000000);
    io_write(0x14, LOGICAL | 0x9b);
    one_tick();
    EXPECT(wait_for(&interrupts[0x9b], 1, 50000000));
    route(2, 0x10000);
}
