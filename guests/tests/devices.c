/* The PC around the processor: 8259, 8254, RTC, ACPI, PM timer, HPET, 16550, PCI. */
#include "acpi.h"
#include "frame.h"

/* --- 8259 ------------------------------------------------------------------------------------------------------------------------ */
static volatile unsigned pic_taken[16];
static volatile bool pic_eoi;
static void pic_handler(struct interrupt_frame *frame)
{
    unsigned line = (unsigned)frame->vector - 0x20;
    pic_taken[line]++;
    if (!pic_eoi)
        return;
    if (line >= 8)
        outb(0xa0, 0x20);
    outb(0x20, 0x20);
}
static void pic_on(u16 lines, bool automatic)
{
    memset((void *)pic_taken, 0, sizeof pic_taken);
    pic_eoi = !automatic;
    for (u8 i = 0; i < 16; i++)
        on_interrupt(0x20 + i, pic_handler);
    apic_write(APIC_LINT0, 0x700);
    pic_init(0x20, (u8)~lines, (u8)~(lines >> 8));
    if (automatic) {
        outb(0x20, 0x11);
        outb(0x21, 0x20);
        outb(0x21, 4);
        outb(0x21, 3); /* ICW4 with automatic end of interrupt */
        outb(0x21, (u8)~lines);
    }
}
static void tick_after(u16 count)
{
    outb(0x43, 0x30);
    outb(0x40, (u8)count);
    outb(0x40, (u8)(count >> 8));
}
static void pic_settle(void)
{
    tick_after(10); /* the firmware's counter stops here */
    spin(100000);
    pic_on(0, false);
}
TEST(pic, mask_register)
{
    outb(0x21, 0xa5);
    outb(0xa1, 0x5a);
    EXPECT_EQ(inb(0x21), 0xa5);
    EXPECT_EQ(inb(0xa1), 0x5a);
}
TEST(pic, timer_interrupt)
{
    pic_settle();
    pic_on(1, false);
    tick_after(100);
    EXPECT(wait_for(&pic_taken[0], 1, 50000000));
    EXPECT_EQ(pic_taken[0], 1);
}
TEST(pic, masked_line_stays_requested)
{
    pic_settle();
    tick_after(100);
    sti();
    spin(1000000);
    cli();
    EXPECT_EQ(pic_taken[0], 0);
    outb(0x20, 0x0a);
    EXPECT_EQ(inb(0x20) & 1, 1); /* IRR */
    outb(0x21, 0xfe);
    let_interrupts_in();
    EXPECT_EQ(pic_taken[0], 1);
}
TEST(pic, in_service_until_end_of_interrupt)
{
    pic_settle();
    pic_on(1, false);
    pic_eoi = false;
    tick_after(100);
    EXPECT(wait_for(&pic_taken[0], 1, 50000000));
    outb(0x20, 0x0b);
    EXPECT_EQ(inb(0x20), 1); /* ISR */
    tick_after(100);
    sti();
    spin(1000000);
    cli();
    EXPECT_EQ(pic_taken[0], 1);
    outb(0x20, 0x20);
    let_interrupts_in();
    EXPECT_EQ(pic_taken[0], 2);
    outb(0x20, 0x60); /* specific end of interrupt 0 */
    EXPECT_EQ(inb(0x20), 0);
}
TEST(pic, automatic_end_of_interrupt)
{
    pic_settle();
    pic_on(1, true);
    tick_after(100);
    EXPECT(wait_for(&pic_taken[0], 1, 50000000));
    outb(0x20, 0x0b);
    EXPECT_EQ(inb(0x20), 0);
    tick_after(100);
    EXPECT(wait_for(&pic_taken[0], 2, 50000000));
}

/* --- 8254 ------------------------------------------------------------------------------------------------------------------------ */
static u16 count_of_2(void)
{
    outb(0x43, 0x80); /* latch */
    u8 low = inb(0x42);
    return (u16)(low | inb(0x42) << 8);
}
static void start_2(u8 mode, u16 count)
{
    outb(0x61, (inb(0x61) & ~3) | 1);
    outb(0x43, 0xb0 | mode << 1);
    outb(0x42, (u8)count);
    outb(0x42, (u8)(count >> 8));
}
TEST(pit, mode_0_counts_down_once)
{
    start_2(0, 0xffff);
    EXPECT(!(inb(0x61) & 0x20));
    u16 first = count_of_2();
    spin(100000); /* reprograms the channel … */
    start_2(0, 0xffff);
    u16 second = count_of_2();
    for (int i = 0; i < 1000; i++)
        cpu_relax();
    EXPECT(count_of_2() <= second);
    EXPECT(first > 0x8000);
    start_2(0, 50);
    for (int i = 0; i < 10000000 && !(inb(0x61) & 0x20); i++)
        cpu_relax();
    EXPECT(inb(0x61) & 0x20);
}
TEST(pit, latched_count_stays)
{
    start_2(0, 0xffff);
    outb(0x43, 0x80);
    for (int i = 0; i < 1000; i++)
        cpu_relax();
    u16 latched = inb(0x42);
    latched |= (u16)(inb(0x42) << 8);
    EXPECT(latched > 0xc000);
    EXPECT(count_of_2() <= latched);
}
TEST(pit, mode_2_reloads)
{
    start_2(2, 1000);
    u16 top = 0, bottom = 0xffff;
    for (int i = 0; i < 60000; i++) {
        u16 now = count_of_2();
        if (now > top)
            top = now;
        if (now < bottom)
            bottom = now;
    }
    EXPECT(top <= 1000 && top > 500);
    EXPECT(bottom >= 1 && bottom < 500);
}
TEST(pit, mode_3_is_a_square_wave)
{
    start_2(3, 200);
    unsigned high = 0, low = 0;
    for (int i = 0; i < 60000; i++) {
        if (inb(0x61) & 0x20)
            high++;
        else
            low++;
    }
    EXPECT(high > 2000 && low > 2000);
}
TEST(pit, read_back_of_the_status)
{
    start_2(2, 1000);
    outb(0x43, 0xe8); /* status of channel 2 */
    EXPECT_EQ(inb(0x42) & 0x3f, 0x34); /* both bytes, mode 2, binary */
}
TEST(pit, low_byte_only)
{
    outb(0x61, (inb(0x61) & ~3) | 1);
    outb(0x43, 0x90); /* channel 2, low byte, mode 0 */
    outb(0x42, 5);
    for (int i = 0; i < 10000000 && !(inb(0x61) & 0x20); i++)
        cpu_relax();
    EXPECT(inb(0x61) & 0x20);
}
TEST_QEMU_FAILS(pit, gate_stops_mode_0, "QEMU 7.2 ignores the gate in mode 0 (8254 data sheet)")
{
    start_2(0, 2000);
    outb(0x61, inb(0x61) & ~1);
    u16 first = count_of_2();
    for (int i = 0; i < 100000; i++)
        cpu_relax();
    EXPECT_EQ(count_of_2(), first);
    outb(0x61, inb(0x61) | 1);
    for (int i = 0; i < 10000000 && !(inb(0x61) & 0x20); i++)
        cpu_relax();
    EXPECT(inb(0x61) & 0x20);
}

/* --- RTC -------------------------------------------------------------------------------------------------------------------------- */
static u8 cmos(u8 index) { outb(0x70, index); return inb(0x71); }
static void set_cmos(u8 index, u8 value) { outb(0x70, index); outb(0x71, value); }
TEST(rtc, registers_a_b_d)
{
    EXPECT_EQ(cmos(0x0a) & 0x70, 0x20); /* 32,768 Hz */
    EXPECT(cmos(0x0b) & 0x02);          /* 24 hours */
    EXPECT_EQ(cmos(0x0d), 0x80);        /* valid */
}
TEST(rtc, date_is_a_date)
{
    u8 values[6];
    static const u8 at[6] = {0, 2, 4, 7, 8, 9};
    bool bcd = !(cmos(0x0b) & 4);
    while (cmos(0x0a) & 0x80)
        ;
    for (int i = 0; i < 6; i++) {
        u8 v = cmos(at[i]);
        values[i] = bcd ? (u8)((v >> 4) * 10 + (v & 15)) : v;
    }
    EXPECT(values[0] < 60 && values[1] < 60 && values[2] < 24);
    EXPECT(values[3] >= 1 && values[3] <= 31 && values[4] >= 1 && values[4] <= 12 && values[5] < 100);
}
TEST(rtc, memory)
{
    u8 before = cmos(0x50);
    set_cmos(0x50, 0x5a);
    EXPECT_EQ(cmos(0x50), 0x5a);
    set_cmos(0x50, 0xa5);
    EXPECT_EQ(cmos(0x50), 0xa5);
    set_cmos(0x50, before);
}
TEST(rtc, periodic_interrupt)
{
    pic_settle();
    pic_on(0x104, false);
    u8 a = cmos(0x0a), b = cmos(0x0b);
    set_cmos(0x0a, 0x26); /* 1,024 Hz */
    cmos(0x0c);
    set_cmos(0x0b, b | 0x40);
    unsigned served = 0;
    for (int i = 0; i < 400 && served < 5; i++) {
        sti();
        spin(100000);
        cli();
        if (pic_taken[8] > served) {
            served++;
            EXPECT_EQ(cmos(0x0c) & 0xc0, 0xc0);
            EXPECT_EQ(cmos(0x0c) & 0xc0, 0); /* reading clears */
        }
    }
    EXPECT_EQ(served, 5);
    set_cmos(0x0b, b);
    set_cmos(0x0a, a);
    cmos(0x0c);
}
TEST(rtc, no_interrupt_until_c_is_read)
{
    pic_settle();
    pic_on(0x104, false);
    u8 b = cmos(0x0b);
    set_cmos(0x0a, 0x26);
    cmos(0x0c);
    set_cmos(0x0b, b | 0x40);
    EXPECT(wait_for(&pic_taken[8], 1, 50000000));
    sti();
    spin(5000000);
    cli();
    EXPECT_EQ(pic_taken[8], 1);
    set_cmos(0x0b, b);
    cmos(0x0c);
}
TEST(rtc, update_ended_interrupt)
{
    pic_settle();
    u8 b = cmos(0x0b);
    cmos(0x0c);
    pic_on(0x104, false);
    set_cmos(0x0b, b | 0x10);
    u8 second = cmos(0);
    while (!pic_taken[8])
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    EXPECT_EQ(cmos(0x0c) & 0x90, 0x90);
    EXPECT(cmos(0) != second);
    set_cmos(0x0b, b);
}

/* --- ACPI ------------------------------------------------------------------------------------------------------------------------- */
TEST(acpi, root_pointer)
{
    const u8 *rsdp = acpi_rsdp();
    EXPECT(rsdp);
    if (rsdp)
        EXPECT(acpi_sums_to_zero(rsdp, 20));
}
TEST(acpi, tables_and_their_checksums)
{
    static const char *const names[] = {"FACP", "APIC", "HPET"};
    for (u64 i = 0; i < ARRAY_SIZE(names); i++) {
        const struct acpi_table *table = acpi_table(names[i]);
        EXPECT(table);
        if (table)
            EXPECT(acpi_sums_to_zero(table, table->length));
    }
}
TEST(acpi, fixed_table_leads_to_dsdt_and_facs)
{
    const u8 *facp = (const u8 *)acpi_table("FACP");
    SKIP_UNLESS(facp, "no FADT");
    const struct acpi_table *dsdt = (const struct acpi_table *)(u64)*(const u32 *)(facp + 40);
    EXPECT(dsdt && !memcmp(dsdt->signature, "DSDT", 4));
    if (dsdt)
        EXPECT(acpi_sums_to_zero(dsdt, dsdt->length));
    const u8 *facs = (const u8 *)(u64)*(const u32 *)(facp + 36);
    EXPECT(facs && !memcmp(facs, "FACS", 4));
    EXPECT_EQ((u64)facs & 63, 0);
}
TEST(acpi, interrupt_controllers)
{
    const u8 *madt = (const u8 *)acpi_table("APIC");
    SKIP_UNLESS(madt, "no MADT");
    EXPECT_EQ(*(const u32 *)(madt + 36), APIC);
    u32 length = *(const u32 *)(madt + 4), cpus = 0, io = 0;
    bool me = false, timer = false;
    for (u32 at = 44; at + 1 < length && madt[at + 1]; at += madt[at + 1]) {
        const u8 *entry = madt + at;
        if (entry[0] == 0) {
            cpus++;
            me |= entry[3] == apic_read(APIC_ID) >> 24 && (entry[4] & 1);
        }
        if (entry[0] == 1) {
            io++;
            EXPECT_EQ(*(const u32 *)(entry + 4), 0xfec00000);
        }
        if (entry[0] == 2 && entry[3] == 0)
            timer = *(const u32 *)(entry + 4) == 2;
    }
    EXPECT(cpus >= 1 && me);
    EXPECT_EQ(io, 1);
    EXPECT(timer); /* ISA interrupt 0 is on pin 2 */
}

static u16 pm_timer_port(void)
{
    const u8 *facp = (const u8 *)acpi_table("FACP");
    return facp ? (u16) * (const u32 *)(facp + 76) : 0;
}
TEST(pm_timer, runs_at_three_times_the_8254)
{
    u16 port = pm_timer_port();
    SKIP_UNLESS(port, "no PM timer");
    u32 first = inl(port);
    spin(20000000);
    u32 elapsed = (inl(port) - first) & 0xffffff;
    EXPECT(elapsed > 71591 * 98 / 100 && elapsed < 71591 * 2); /* late on a busy host, never early */
}
TEST(pm_timer, never_runs_backwards)
{
    u16 port = pm_timer_port();
    SKIP_UNLESS(port, "no PM timer");
    u32 last = inl(port);
    for (int i = 0; i < 1000; i++) {
        u32 now = inl(port);
        EXPECT(((now - last) & 0xffffff) < 0x800000);
        last = now;
    }
}

/* --- HPET -------------------------------------------------------------------------------------------------------------------------- */
static volatile u64 *hpet(void)
{
    const u8 *table = (const u8 *)acpi_table("HPET");
    return table ? (volatile u64 *)*(const u64 *)(table + 44) : 0;
}
enum { HPET_CONFIGURATION = 0x10 / 8, HPET_STATUS = 0x20 / 8, HPET_COUNTER = 0xf0 / 8, HPET_TIMER0 = 0x100 / 8, HPET_COMPARATOR0 = 0x108 / 8 };
TEST(hpet, capabilities)
{
    volatile u64 *h = hpet();
    SKIP_UNLESS(h, "no HPET");
    u64 capabilities = h[0], period = capabilities >> 32;
    EXPECT(period > 0 && period <= 100000000);
    EXPECT((capabilities >> 8 & 31) >= 2); /* three timers at least */
    EXPECT(capabilities & BIT(15));        /* legacy replacement */
}
TEST(hpet, counter_runs_and_stops)
{
    volatile u64 *h = hpet();
    SKIP_UNLESS(h, "no HPET");
    h[HPET_CONFIGURATION] = 0;
    h[HPET_COUNTER] = 1000;
    spin(100000);
    EXPECT_EQ(h[HPET_COUNTER], 1000);
    h[HPET_CONFIGURATION] = 1;
    spin(100000);
    u64 now = h[HPET_COUNTER];
    EXPECT(now > 1000);
    h[HPET_CONFIGURATION] = 0;
    now = h[HPET_COUNTER];
    spin(100000);
    EXPECT_EQ(h[HPET_COUNTER], now);
    h[HPET_COUNTER] = 0;
}
TEST(hpet, rate)
{
    volatile u64 *h = hpet();
    SKIP_UNLESS(h, "no HPET");
    h[HPET_CONFIGURATION] = 1;
    u64 period = h[0] >> 32, first = h[HPET_COUNTER];
    spin(10000000);
    u64 nanoseconds = (h[HPET_COUNTER] - first) * period / 1000000;
    h[HPET_CONFIGURATION] = 0;
    EXPECT(nanoseconds > 9800000 && nanoseconds < 30000000);
}
TEST(hpet, one_shot_in_legacy_replacement)
{
    volatile u64 *h = hpet();
    SKIP_UNLESS(h, "no HPET");
    *(volatile u32 *)0xfec00000ull = 0x15;
    *(volatile u32 *)0xfec00010ull = apic_read(APIC_ID) & 0xff000000;
    *(volatile u32 *)0xfec00000ull = 0x14;
    *(volatile u32 *)0xfec00010ull = 0x9c;
    h[HPET_CONFIGURATION] = 0;
    h[HPET_COUNTER] = 0;
    h[HPET_TIMER0] = 1 << 2; /* interrupt enabled, edge, one shot */
    h[HPET_COMPARATOR0] = 1000000000000ull / (h[0] >> 32); /* a millisecond */
    h[HPET_CONFIGURATION] = 3;
    EXPECT(wait_for(&interrupts[0x9c], 1, 100000000));
    sti();
    spin(3000000);
    cli();
    EXPECT_EQ(interrupts[0x9c], 1);
    h[HPET_CONFIGURATION] = 0;
    h[HPET_TIMER0] = 0;
    *(volatile u32 *)0xfec00000ull = 0x14;
    *(volatile u32 *)0xfec00010ull = 0x10000;
}
TEST(hpet, periodic)
{
    volatile u64 *h = hpet();
    SKIP_UNLESS(h, "no HPET");
    SKIP_UNLESS(h[HPET_TIMER0] & BIT(4), "timer 0 cannot be periodic");
    *(volatile u32 *)0xfec00000ull = 0x15;
    *(volatile u32 *)0xfec00010ull = apic_read(APIC_ID) & 0xff000000;
    *(volatile u32 *)0xfec00000ull = 0x14;
    *(volatile u32 *)0xfec00010ull = 0x9d;
    u64 period = 1000000000000ull / (h[0] >> 32);
    h[HPET_CONFIGURATION] = 0;
    h[HPET_COUNTER] = 0;
    h[HPET_TIMER0] = BIT(2) | BIT(3) | BIT(6); /* enabled, periodic, the next write sets the accumulator */
    h[HPET_COMPARATOR0] = period;
    h[HPET_COMPARATOR0] = period;
    h[HPET_CONFIGURATION] = 3;
    EXPECT(wait_for(&interrupts[0x9d], 3, 100000000));
    h[HPET_CONFIGURATION] = 0;
    h[HPET_TIMER0] = 0;
    *(volatile u32 *)0xfec00000ull = 0x14;
    *(volatile u32 *)0xfec00010ull = 0x10000;
}

/* --- 16550 (COM1 carries the report: it is in loop-back for a moment only) ------------------------------------------------------------- */
enum { COM1 = 0x3f8 };
static void drain(void)
{
    while ((inb(COM1 + 5) & 0x60) != 0x60)
        ;
}
TEST(uart, scratch_register)
{
    outb(COM1 + 7, 0x5a);
    EXPECT_EQ(inb(COM1 + 7), 0x5a);
    outb(COM1 + 7, 0xa5);
    EXPECT_EQ(inb(COM1 + 7), 0xa5);
}
TEST(uart, divisor_latch)
{
    drain();
    outb(COM1 + 3, 0x83);
    outb(COM1, 0x34);
    outb(COM1 + 1, 0x12);
    u8 low = inb(COM1), high = inb(COM1 + 1);
    outb(COM1, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);
    EXPECT_EQ(low, 0x34);
    EXPECT_EQ(high, 0x12);
}
TEST(uart, fifo_and_no_interrupt)
{
    EXPECT_EQ(inb(COM1 + 2) & 0xc1, 0xc1);
}
TEST(uart, loop_back_of_data)
{
    drain();
    while (inb(COM1 + 5) & 1)
        inb(COM1);
    outb(COM1 + 4, 0x10);
    outb(COM1, 'x');
    for (int i = 0; i < 10000000 && !(inb(COM1 + 5) & 1); i++)
        cpu_relax();
    u8 status = inb(COM1 + 5), data = inb(COM1), after = inb(COM1 + 5);
    outb(COM1 + 4, 3);
    EXPECT(status & 1);
    EXPECT_EQ(data, 'x');
    EXPECT(!(after & 1));
}
TEST(uart, loop_back_of_modem_lines)
{
    drain();
    u8 seen[4];
    for (u8 i = 0; i < 4; i++) {
        outb(COM1 + 4, 0x10 | 1 << i);
        seen[i] = inb(COM1 + 6) & 0xf0;
    }
    outb(COM1 + 4, 3);
    EXPECT_EQ(seen[0], 0x20); /* DTR to DSR */
    EXPECT_EQ(seen[1], 0x10); /* RTS to CTS */
    EXPECT_EQ(seen[2], 0x40); /* OUT1 to RI */
    EXPECT_EQ(seen[3], 0x80); /* OUT2 to DCD */
}
TEST(uart, transmitter_empty_interrupt)
{
    pic_settle();
    drain();
    pic_on(0x10, false);
    outb(COM1 + 4, 0x0b); /* OUT2 lets the interrupt out */
    outb(COM1 + 1, 2);
    EXPECT(wait_for(&pic_taken[4], 1, 50000000));
    outb(COM1 + 1, 0);
    outb(COM1 + 4, 3);
    inb(COM1 + 2);
}

/* --- the rest ------------------------------------------------------------------------------------------------------------------------- */
static u32 pci(u8 bus, u8 device, u8 function, u8 at)
{
    outl(0xcf8, 0x80000000 | (u32)bus << 16 | (u32)device << 11 | (u32)function << 8 | at);
    return inl(0xcfc);
}
TEST(pci, host_bridge)
{
    u32 id = pci(0, 0, 0, 0);
    EXPECT(id != 0xffffffff && id != 0);
    EXPECT_EQ(pci(0, 0, 0, 8) >> 16, 0x0600);
    EXPECT_EQ(inl(0xcf8), 0x80000008);
    pci(0, 0, 0, 0);
    EXPECT_EQ(inw(0xcfe), id >> 16);
    EXPECT_EQ(inb(0xcfd), id >> 8 & 0xff);
}
TEST(pci, absent_device)
{
    EXPECT_EQ(pci(0, 29, 0, 0), 0xffffffff);
    EXPECT_EQ(pci(200, 3, 0, 0), 0xffffffff);
}
TEST(pc, port_61_keeps_gate_and_speaker)
{
    u8 before = inb(0x61);
    outb(0x61, (before & ~3) | 2);
    EXPECT_EQ(inb(0x61) & 3, 2);
    outb(0x61, (before & ~3) | 1);
    EXPECT_EQ(inb(0x61) & 3, 1);
    outb(0x61, before & ~3);
}
TEST(pc, absent_ports_read_ones)
{
    EXPECT_EQ(inb(0x2e9), 0xff);
    EXPECT_EQ(inb(0xed0), 0xff);
    EXPECT_EQ(inl(0xed0), 0xffffffff);
}
TEST(pc, firmware_configuration)
{
    char signature[4];
    outw(0x510, 0);
    for (int i = 0; i < 4; i++)
        signature[i] = (char)inb(0x511);
    EXPECT(!memcmp(signature, "QEMU", 4));
}
