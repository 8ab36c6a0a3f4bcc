/* Runs the legacy tests one by one and puts the machine back in order between them. */
#include "frame.h"

extern const struct test tests_start[], tests_end[];
extern u8 code16_start[], code16_end[], leave_ring[], user_start[];
extern u32 saved_stack, multiboot_info;
extern struct { u16 limit; u32 base; } __attribute__((packed)) protected_idtr;
u32 enter(u32 ss, u32 esp, u32 eflags, u32 cs, u32 eip, u32 eax, const u32 *v86_segments);
void real_mode(u32 offset);

volatile struct fault fault;
volatile u32 resume, resume_stack;
void (*volatile on_vector)(struct interrupt_frame *);
u64 gdt[DESCRIPTORS] ALIGNED(16), idt[256] ALIGNED(16);
u8 scratch[8 * 4096] ALIGNED(4096);
struct tss tss ALIGNED(4096);
static u8 pool[24][4096] ALIGNED(4096);
static unsigned pool_used, passed, failed, skipped, deviating, failures;
static const char *skipped_why;
static const struct test *current;
static bool on_qemu;
static volatile bool away; /* in another ring or in virtual-8086 mode */

void put_char(char c) { serial_put(c); }

void fail(const char *file, int line, const char *what, u32 expected, u32 found, bool values)
{
    failures++;
    if (failures > 5 || (on_qemu && current->not_on_qemu))
        return;
    if (failures == 1)
        print("FAIL  %s\n", current->name);
    print("      %s:%d: %s", file, line, what);
    if (values)
        print(": expected %x, found %x", expected, found);
    print("\n");
}
void skip(const char *why) { skipped_why = why; }

static bool from_outside(const struct interrupt_frame *f) { return (f->eflags & FLAG_VM) || (f->cs & 3); }

/* Builds the frame of an interrupt at the given stack, so that IRET in ring 0 continues there. */
static struct interrupt_frame *go_on_at(const struct interrupt_frame *f, u32 stack, u32 eip)
{
    struct interrupt_frame now = *f;
    u32 size = offsetof(struct interrupt_frame, esp);
    struct interrupt_frame *to = (struct interrupt_frame *)(stack - size);
    now.eip = eip;
    now.cs = CODE;
    now.eflags = 2;
    now.ds = now.es = FLAT;
    now.fs = now.gs = 0;
    memcpy(to, &now, size);
    return to;
}

struct interrupt_frame *handle_interrupt(struct interrupt_frame *f);
struct interrupt_frame *handle_interrupt(struct interrupt_frame *f)
{
    bool outside = from_outside(f);
    if (f->vector >= 0x20 && f->vector != 0x81) {
        if (on_vector)
            on_vector(f);
        return f;
    }
    if (f->vector == 0x81 && away) {
        away = false;
        return go_on_at(f, saved_stack, (u32)leave_ring);
    }
    if (!resume && !away) {
        print("\nunexpected interrupt %u error %x at %x:%x flags %x stack %x cr2 %lx cr0 %lx\n", f->vector, f->error, f->cs, f->eip, f->eflags,
              (u32)f, read_cr2(), read_cr0());
        end_run(EXIT_FAILURE);
    }
    struct fault seen = {true, f->vector, f->error, read_cr2(), (u32)f + offsetof(struct interrupt_frame, esp), {0}};
    memcpy(&seen.frame, f, outside ? (f->eflags & FLAG_VM ? sizeof *f : offsetof(struct interrupt_frame, v86_es)) : offsetof(struct interrupt_frame, esp));
    fault = seen;
    if (away) {
        away = false;
        f->eax = ~0u;
        return go_on_at(f, saved_stack, (u32)leave_ring);
    }
    return go_on_at(f, resume_stack, resume);
}

u32 in_ring_3(u32 (*function)(void), u32 eflags)
{
    fault.taken = false;
    away = true;
    u32 result = enter(USER_FLAT | 3, (u32)user_stack_end - 16, eflags | 2, USER_CODE | 3, (u32)user_start, (u32)function, 0);
    away = false;
    return result;
}

void in_v86(const void *routine, u32 eflags)
{
    static const u32 segments[4] = {0x2000, 0x2000, 0x2000, 0x2000};
    fault.taken = false;
    away = true;
    enter(0x2000, 0xe000, eflags | FLAG_VM | 2, 0x2000, (u32)routine - (u32)code16_start, 0, segments);
    away = false;
}

void in_real_mode(const void *routine)
{
    memset((void *)RESULTS, 0, 64);
    real_mode((u32)routine - (u32)code16_start);
}

u64 descriptor(u32 base, u32 limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

void set_gate(unsigned vector, u16 selector, const void *handler, unsigned type, unsigned dpl, bool present)
{
    u32 at = (u32)handler;
    idt[vector] = (at & 0xffff) | (u64)selector << 16 | (u64)(type | dpl << 5 | (present ? 0x80 : 0)) << 40 | (u64)(at >> 16) << 48;
}

void *fresh_page(void)
{
    if (pool_used == ARRAY_SIZE(pool)) {
        print("the tests' page pool is empty\n");
        end_run(EXIT_FAILURE);
    }
    return memset(pool[pool_used++], 0, PAGE);
}

void load_main_task(void)
{
    gdt[MAIN_TSS / 8] = descriptor((u32)&tss, sizeof tss - 1, 0x89, 0);
    __asm__ volatile("ltr %w0" ::"r"(MAIN_TSS));
}

static void put_in_order(void)
{
    cli();
    resume = 0;
    away = false;
    on_vector = 0;
    pool_used = 0;
    fault = (struct fault){0};
    write_cr0((read_cr0() & 0x7fffffff & ~0x5000full) | 0x33); /* NE, ET, MP, PE */
    write_cr4(0x600);
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400));
    __asm__ volatile("mov %0, %%dr6" ::"r"(0xffff0ff0));

    memset(gdt, 0, sizeof gdt);
    gdt[CODE / 8] = descriptor(0, 0xfffff, 0x9b, 0xc);
    gdt[FLAT / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
    gdt[USER_CODE / 8] = descriptor(0, 0xfffff, 0xfb, 0xc);
    gdt[USER_FLAT / 8] = descriptor(0, 0xfffff, 0xf3, 0xc);
    gdt[CODE16 / 8] = descriptor(0x20000, 0xffff, 0x9b, 0);
    gdt[DATA16 / 8] = descriptor(0x20000, 0xffff, 0x93, 0);
    struct { u16 limit; u32 base; } __attribute__((packed)) gdtr = {sizeof gdt - 1, (u32)gdt};
    __asm__ volatile("lgdt %0; ljmp %1, $1f\n1: mov %2, %%ds; mov %2, %%es; mov %2, %%ss; mov %3, %%fs; mov %3, %%gs; lldt %w3" ::"m"(gdtr), "i"(CODE), "r"(FLAT), "r"(0));
    memset(&tss, 0, sizeof tss);
    tss.ss0 = FLAT;
    tss.io_map = offsetof(struct tss, io);
    memset(tss.io, 0xff, sizeof tss.io);
    load_main_task();
    for (unsigned vector = 0; vector < 256; vector++)
        set_gate(vector, CODE, STUB(vector), 0xe, vector == 0x81 ? 3 : 0, true);
    __asm__ volatile("lidt %0; pushl $2; popfl" ::"m"(protected_idtr) : "cc");
    memcpy((void *)0x20000, code16_start, (u32)(code16_end - code16_start));
}

static bool chosen(const char *name)
{
    const char *only = option_text("only");
    if (!only)
        return true;
    while (*only && *only != ' ' && *only == *name)
        only++, name++;
    return !*only || *only == ' ';
}

static void run(const struct test *test)
{
    current = test;
    failures = 0;
    skipped_why = 0;
    bool excused = on_qemu && test->not_on_qemu;
    put_in_order();
    test->run();
    if (failures && excused) {
        deviating++;
        print("KNOWN %s: %s\n", test->name, test->not_on_qemu);
    } else if (failures) {
        failed++;
    } else if (skipped_why) {
        skipped++;
        print("SKIP  %s: %s\n", test->name, skipped_why);
    } else {
        passed++;
        print("PASS  %s%s\n", test->name, excused ? " (QEMU was expected to fail)" : "");
    }
}

void guest_main(void)
{
    serial_init();
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    struct cpuid h = cpuid(0x40000000, 0);
    on_qemu = (cpuid(1, 0).ecx >> 31) && h.ebx == 0x54474354;
    print("Pacifica legacy-mode tests\n");
    for (const struct test *test = tests_start; test < tests_end; test++)
        if (chosen(test->name))
            run(test);
    print("%u passed, %u failed, %u skipped, %u known to fail here\n", passed, failed, skipped, deviating);
    bool bad = failed || !(passed + deviating);
    print(bad ? "TESTS FAILED\n" : "TESTS PASSED\n");
    end_run(bad ? EXIT_FAILURE : EXIT_SUCCESS);
}
