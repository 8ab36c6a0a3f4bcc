/* Runs the tests one by one and puts the machine back in order between them. */
#include "frame.h"

extern const struct test tests_start[], tests_end[];
extern u64 boot_gdt[], boot_pml4[];
extern u8 boot_tss[], user_return[], interrupt_stubs[];
extern u64 user_saved_stack;

volatile struct fault fault;
volatile u64 resume, resume_stack;
volatile unsigned interrupts[256];
volatile u64 interrupt_rip, interrupt_flags;
void (*volatile on_any_interrupt)(struct interrupt_frame *);
u64 gdt[GDT_ENTRIES] ALIGNED(16);
u8 tss[TSS_BYTES] ALIGNED(16);
u8 scratch[16 * 4096] ALIGNED(4096);
static u8 pool[64][4096] ALIGNED(4096);
static u8 double_fault_stack[4096] ALIGNED(16);
static unsigned pool_used;
static volatile bool user_active;

static unsigned passed, failed, skipped, deviating;
static unsigned failures;
static const char *test_skipped;
static const struct test *current;
static bool on_qemu;

void put_char(char c) { serial_put(c); }

/* --- verdicts -------------------------------------------------------------------------------------------------------------- */
void fail(const char *file, int line, const char *what, u64 expected, u64 found, bool values)
{
    failures++;
    if (failures > 5 || (on_qemu && current->not_on_qemu))
        return;
    if (failures == 1)
        print("FAIL  %s\n", current->name);
    print("      %s:%d: %s", file, line, what);
    if (values)
        print(": expected %lx, found %lx", expected, found);
    print("\n");
}

void skip(const char *why) { test_skipped = why; }

/* --- interrupts ------------------------------------------------------------------------------------------------------------ */
void count_interrupt(struct interrupt_frame *frame)
{
    interrupts[frame->vector]++;
    interrupt_rip = frame->rip;
    interrupt_flags = frame->rflags;
    if (on_any_interrupt)
        on_any_interrupt(frame);
    apic_write(APIC_EOI, 0);
}

static void take_fault(struct interrupt_frame *f)
{
    if (!resume && !user_active)
        unexpected_interrupt(f);
    fault = (struct fault){true, f->vector, f->error, f->rip, f->cs, f->rflags, f->rsp, f->ss, read_cr2(), f->rax, f->rcx, f->rdx, f->rbx, f->rsi, f->rdi};
    f->cs = CODE64;
    f->ss = DATA;
    f->rflags = 2;
    if (user_active) {
        user_active = false;
        f->rip = (u64)user_return;
        f->rsp = user_saved_stack;
        f->rax = ~0ull;
    } else {
        f->rip = resume;
        f->rsp = resume_stack;
    }
}

static void leave_user_mode(struct interrupt_frame *f)
{
    if (!user_active)
        unexpected_interrupt(f);
    user_active = false;
    f->cs = CODE64;
    f->ss = DATA;
    f->rflags = 2;
    f->rip = (u64)user_return;
    f->rsp = user_saved_stack;
}

u64 enter_user_mode(u64 (*function)(u64), u64 argument, u64 rflags);
u64 in_user_mode_with(u64 (*function)(u64), u64 argument, u64 rflags)
{
    fault.taken = false;
    user_active = true;
    u64 result = enter_user_mode(function, argument, rflags);
    user_active = false;
    return result;
}
u64 in_user_mode(u64 (*function)(u64), u64 argument) { return in_user_mode_with(function, argument, 2); }

void identity_map_for_user(bool on)
{
    u64 *pml4 = boot_pml4, *pdpt = (u64 *)(pml4[0] & ~0xfffull);
    for (int i = 0; i < 4; i++)
        pdpt[i] = on ? pdpt[i] | 4 : pdpt[i] & ~4ull;
    pml4[0] = on ? pml4[0] | 4 : pml4[0] & ~4ull;
    for (int i = 0; i < 4 * 512; i++) {
        u64 *directory = (u64 *)(pdpt[i >> 9] & ~0xfffull);
        directory[i & 511] = on ? directory[i & 511] | 4 : directory[i & 511] & ~4ull;
    }
    write_cr3(read_cr3());
}

void set_gate(unsigned vector, void *handler, unsigned type, unsigned dpl, unsigned ist, bool present)
{
    u64 at = (u64)handler;
    idt[2 * vector] = (at & 0xffff) | CODE64 << 16 | (u64)ist << 32 | (u64)(type | dpl << 5 | (present ? 0x80 : 0)) << 40 | (at >> 16 & 0xffff) << 48;
    idt[2 * vector + 1] = at >> 32;
}

void load_idt(u16 limit)
{
    struct { u16 limit; u64 base; } __attribute__((packed)) idtr = {limit, (u64)idt};
    __asm__ volatile("lidt %0" ::"m"(idtr));
}

void set_tss_io_limit(u32 limit)
{
    u64 base = (u64)tss;
    gdt[TSS / 8] = (limit & 0xffff) | (base & 0xffffff) << 16 | 0x89ull << 40 | (u64)(limit >> 16 & 15) << 48 | (base >> 24 & 0xff) << 56;
    gdt[TSS / 8 + 1] = base >> 32;
    __asm__ volatile("ltr %w0" ::"r"(TSS));
}

void *fresh_page(void)
{
    if (pool_used == ARRAY_SIZE(pool)) {
        print("the tests' page pool is empty\n");
        end_run(EXIT_FAILURE);
    }
    return memset(pool[pool_used++], 0, PAGE);
}

/* --- time ------------------------------------------------------------------------------------------------------------------ */
/* Channel 2 of the 8254 in mode 0, at most 54 ms at a time; its output is bit 5 of port 61. */
void spin(u64 nanoseconds)
{
    while (nanoseconds) {
        u64 part = nanoseconds > 50000000 ? 50000000 : nanoseconds, count = part * 1193182 / 1000000000 + 1;
        outb(0x61, (inb(0x61) & ~3) | 1);
        outb(0x43, 0xb0);
        outb(0x42, (u8)count);
        outb(0x42, (u8)(count >> 8));
        for (u64 polls = 0; !(inb(0x61) & 0x20) && polls < 100000000; polls++)
            cpu_relax();
        nanoseconds -= part;
    }
}

bool wait_for(volatile unsigned *counter, unsigned value, u64 nanoseconds)
{
    for (u64 waited = 0; *counter < value && waited < nanoseconds; waited += 10000) {
        sti();
        spin(10000);
        cli();
    }
    return *counter >= value;
}

void let_interrupts_in(void) { __asm__ volatile("sti; nop; nop; cli" ::: "memory"); }

void pic_init(u8 base, u8 mask1, u8 mask2)
{
    outb(0x20, 0x11);
    outb(0x21, base);
    outb(0x21, 4);
    outb(0x21, 1);
    outb(0xa0, 0x11);
    outb(0xa1, (u8)(base + 8));
    outb(0xa1, 2);
    outb(0xa1, 1);
    outb(0x21, mask1);
    outb(0xa1, mask2);
}

void apic_on(void)
{
    apic_write(APIC_SPURIOUS, 0x1ff);
    apic_write(APIC_TPR, 0);
}

/* --- order between the tests ------------------------------------------------------------------------------------------------- */
static u64 first_cr0, first_cr4, first_efer;

static void put_in_order(void)
{
    cli();
    resume = 0;
    user_active = false;
    on_any_interrupt = 0;
    pool_used = 0;
    memset((void *)interrupts, 0, sizeof interrupts);
    fault = (struct fault){0};
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ull));
    __asm__ volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ull));
    write_cr0(first_cr0);
    write_cr4(first_cr4);
    write_cr8(0);
    u32 mxcsr = 0x1f80;
    __asm__ volatile("fninit; ldmxcsr %0" ::"m"(mxcsr));
    wrmsr(MSR_EFER, first_efer);
    write_cr3((u64)boot_pml4);

    /* descriptors: those of boot.S, 0x38 is 32-bit code of ring 0, the rest from FREE_SELECTOR on is the tests' */
    memset(gdt, 0, sizeof gdt);
    memcpy(gdt, boot_gdt, 5 * 8);
    gdt[0x38 / 8] = 0x00cf9b000000ffff;
    struct { u16 limit; u64 base; } __attribute__((packed)) gdtr = {sizeof gdt - 1, (u64)gdt};
    __asm__ volatile("lgdt %0" ::"m"(gdtr));
    memset(tss, 0, 104);
    *(u64 *)(tss + 4) = *(u64 *)(boot_tss + 4);
    *(u64 *)(tss + 36) = (u64)double_fault_stack + sizeof double_fault_stack;
    *(u16 *)(tss + 102) = 104;
    set_tss_io_limit(103);
    __asm__ volatile("lldt %w0" ::"r"(0));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" ::"r"(DATA));
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(0));

    for (unsigned vector = 0; vector < 256; vector++) {
        set_gate(vector, interrupt_stubs + vector * 16, GATE_INTERRUPT, 0, vector == DF ? 1 : 0, true);
        on_interrupt((u8)vector, vector < 32 ? take_fault : count_interrupt);
    }
    set_gate(0x81, interrupt_stubs + 0x81 * 16, GATE_INTERRUPT, 3, 0, true);
    on_interrupt(0x81, leave_user_mode);
    load_idt(0xfff);

    /* interrupt sources: all quiet */
    pic_init(0x20, 0xff, 0xff);
    wrmsr(MSR_APIC_BASE, (rdmsr(MSR_APIC_BASE) & ~BIT(10)) | BIT(11));
    apic_on();
    apic_write(APIC_TIMER, 0x10000);
    apic_write(APIC_INITIAL, 0);
    apic_write(APIC_LINT0, 0x10000);
    apic_write(APIC_LINT1, 0x400);
    for (int i = 0; i < 16; i++) /* nothing of an earlier test stays in service or requested */
        apic_write(APIC_EOI, 0);
    sti();
    __asm__ volatile("nop; nop");
    cli();
    memset((void *)interrupts, 0, sizeof interrupts);
}

static bool chosen(const char *name)
{
    const char *only = option_text("only");
    if (!only)
        return true;
    while (*only && *only != ' ' && *only == *name)
        only++, name++;
    return !*only || *only == ' '; /* a prefix is enough: only=paging runs them all */
}

static void run(const struct test *test)
{
    current = test;
    failures = 0;
    test_skipped = 0;
    bool excused = on_qemu && test->not_on_qemu;
    if (excused && test->destructive) {
        failures = 1;
    } else {
        put_in_order();
        test->run();
    }
    if (failures && excused) {
        deviating++;
        print("KNOWN %s: %s\n", test->name, test->not_on_qemu);
    } else if (failures) {
        failed++;
    } else if (test_skipped) {
        skipped++;
        print("SKIP  %s: %s\n", test->name, test_skipped);
    } else {
        passed++;
        print("PASS  %s%s\n", test->name, excused ? " (QEMU was expected to fail)" : "");
    }
}

void guest_main(void)
{
    serial_init();
    struct cpuid h = cpuid(0x40000000, 0);
    on_qemu = (cpuid(1, 0).ecx >> 31) && h.ebx == 0x54474354; /* "TCGT" */
    first_cr0 = read_cr0() | CR0_WP;
    first_cr4 = read_cr4();
    first_efer = rdmsr(MSR_EFER) | EFER_NXE;
    identity_map_for_user(true);
    print("Pacifica system tests\n");
    for (const struct test *test = tests_start; test < tests_end; test++)
        if (chosen(test->name))
            run(test);
    print("%u passed, %u failed, %u skipped, %u known to fail here\n", passed, failed, skipped, deviating);
    print(failed || !(passed + deviating) ? "TESTS FAILED\n" : "TESTS PASSED\n");
    end_run(failed || !(passed + deviating) ? EXIT_FAILURE : EXIT_SUCCESS);
}
