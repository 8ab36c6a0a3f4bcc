/* Runs the tests one by one and puts host and guest in order before each of them. */
#include "frame.h"

extern const struct test tests_start[], tests_end[];
extern u64 boot_pml4[], boot_gdt[];
int mark_place(void) __attribute__((returns_twice));
void return_to_place(void) __attribute__((noreturn));

struct vmcb v, w, host;
struct guest_registers r;
u8 iopm[0x3000] ALIGNED(4096), msrpm[0x2000] ALIGNED(4096), host_save[0x1000] ALIGNED(4096);
u64 code_start, insn_at, insn_next, code_end;
volatile u32 guest_vector;
u32 svm_features, svm_asids;
unsigned physical_bits;

u64 guest_gdt[GUEST_GDT_ENTRIES] ALIGNED(16), guest_idt[512] ALIGNED(4096), guest_idt32[256] ALIGNED(4096);
u8 guest_tss[0x2100] ALIGNED(16), guest_tss32[2][0x2100] ALIGNED(16), guest_stack[4096 * 2] ALIGNED(4096), guest_user_stack[4096] ALIGNED(4096);
u64 guest_pml4[512] ALIGNED(4096), guest_pdpt[512] ALIGNED(4096), guest_directories[4][512] ALIGNED(4096);
u64 guest_window[512] ALIGNED(4096);
u64 nested_pml4[512] ALIGNED(4096), nested_pdpt[512] ALIGNED(4096), nested_directories[4][512] ALIGNED(4096);
u64 nested_window[512] ALIGNED(4096);
u8 page[16][4096] ALIGNED(4096);
static u64 guest_window_directory[512] ALIGNED(4096), nested_window_directory[512] ALIGNED(4096);
static u64 pae_pointers[4] ALIGNED(4096);
static u32 legacy_directory[1024] ALIGNED(4096);

volatile struct fault fault;
volatile u64 resume, resume_stack;
volatile unsigned interrupts[256];

static unsigned passed, failed, skipped, failures, runs;
static const char *skipped_why;
static const struct test *current;
static char commands[256];
static u64 first_cr0, first_cr4, first_efer, first_pat;
static u32 watch_count; /* of the APIC timer: a third of a second */

enum { WATCH_VECTOR = 0x41 };

void put_char(char c) { serial_put(c); }

/* --- verdicts -------------------------------------------------------------------------------------------------------------- */
static void begin_failure(const char *what)
{
    print(failures++ ? "      %s: %s" : "FAIL  %s: %s", current->name, what);
}

static void end_failure(void)
{
    if (failures == 1 && runs)
        print(" (exit %lx info %lx %lx event %lx rip %lx vector %d)", v.exit_code, v.exit_info_1, v.exit_info_2, v.exit_interrupt_info, v.rip,
              (int)guest_vector);
    print("\n");
}

void fail(const char *what, u64 expected, u64 found)
{
    if (failures > 5) {
        failures++;
        return;
    }
    begin_failure(what);
    print(": expected %lx, found %lx", expected, found);
    end_failure();
}

void fail_text(const char *what)
{
    if (failures > 5) {
        failures++;
        return;
    }
    begin_failure(what);
    end_failure();
}

void skip(const char *why) { skipped_why = why; }

static u8 own_id(void) { return (u8)(apic_read(APIC_ID) >> 24); }
static u8 runner_id; /* of the processor that runs the tests */

/* --- exceptions and interrupts of the host --------------------------------------------------------------------------------- */
static void take_fault(struct interrupt_frame *f)
{
    if (!current || own_id() != runner_id) /* nobody to come back to */
        unexpected_interrupt(f);
    fault = (struct fault){true, f->vector, f->error, f->rip, f->rflags};
    f->cs = CODE64;
    f->ss = DATA;
    f->rflags = 2;
    if (resume) {
        f->rip = resume;
        f->rsp = resume_stack;
        return;
    }
    begin_failure("unexpected exception in the host");
    print(": vector %lu error %lx rip %lx cr2 %lx", f->vector, f->error, fault.rip, read_cr2());
    end_failure();
    f->rip = (u64)return_to_place;
}

static void count_nmi(struct interrupt_frame *f) { interrupts[f->vector]++; }

static void count_interrupt(struct interrupt_frame *f)
{
    interrupts[f->vector]++;
    apic_write(APIC_EOI, 0);
}

void expect_fault(unsigned vector, u64 error)
{
    if (!fault.taken) {
        fail_text("no exception in the host");
        return;
    }
    EXPECT_EQ("vector of the host's exception", fault.vector, vector);
    EXPECT_EQ("error code of the host's exception", fault.error, error);
}

void expect_no_fault(void)
{
    if (fault.taken)
        fail("unexpected exception in the host, vector", NO_VECTOR, fault.vector);
}

bool write_msr(u32 msr, u64 value)
{
    TRY("wrmsr", ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
    return !fault.taken;
}

bool read_msr(u32 msr, u64 *value)
{
    u32 low = 0, high = 0;
    TRY("rdmsr", : "+a"(low), "+d"(high) : "c"(msr));
    *value = (u64)high << 32 | low;
    return !fault.taken;
}

void take_interrupts(void) { __asm__ volatile("sti; nop; nop; cli" ::: "memory"); }

void self_interrupt(u8 vector)
{
    apic_write(APIC_ICR, 0x44000u | vector);
    for (unsigned i = 0; i < 100000 && !(apic_read(0x200 + vector / 32 * 16) & BIT(vector % 32)); i++)
        cpu_relax();
}

void self_nmi(void)
{
    apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
    apic_write(APIC_ICR, 0x4400);
    for (unsigned i = 0; i < 100000 && (apic_read(APIC_ICR) & 0x1000); i++)
        cpu_relax();
}

/* Channel 2 of the 8254 in mode 0; its output is bit 5 of port 61. */
static void spin_10_ms(void)
{
    outb(0x61, (u8)((inb(0x61) & ~3) | 1));
    outb(0x43, 0xb0);
    outb(0x42, (u8)11932);
    outb(0x42, 11932 >> 8);
    for (unsigned polls = 0; !(inb(0x61) & 0x20) && polls < 10000000; polls++)
        cpu_relax();
}

static void calibrate_watch(void)
{
    apic_write(APIC_SPURIOUS, 0x1ff);
    apic_write(APIC_DIVIDE, 0xb); /* by 1 */
    apic_write(APIC_TIMER, 0x10000);
    apic_write(APIC_INITIAL, 0xffffffff);
    u32 before = apic_read(APIC_CURRENT);
    spin_10_ms();
    u64 ticks = before - apic_read(APIC_CURRENT);
    apic_write(APIC_INITIAL, 0);
    watch_count = ticks * 30 > 0xffffffff ? 0xffffffff : (u32)(ticks * 30);
}

/* --- the guest's tables ---------------------------------------------------------------------------------------------------- */
static u64 descriptor(u32 base, u32 limit, u32 attributes)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attributes & 0xff) << 40 | (u64)(limit >> 16 & 15) << 48 |
           (u64)(attributes >> 8 & 15) << 52 | (u64)(base >> 24) << 56;
}

void guest_gate(unsigned vector, u64 handler, unsigned type, unsigned dpl, unsigned ist, bool present)
{
    guest_idt[2 * vector] = (handler & 0xffff) | GUEST_CODE64 << 16 | (u64)ist << 32 | (u64)(type | dpl << 5 | (present ? 0x80u : 0)) << 40 |
                            (handler >> 16 & 0xffff) << 48;
    guest_idt[2 * vector + 1] = handler >> 32;
}

void guest_gate32(unsigned vector, u32 handler, unsigned type, unsigned dpl, bool present)
{
    guest_idt32[vector] = (handler & 0xffff) | GUEST_CODE32 << 16 | (u64)(type | dpl << 5 | (present ? 0x80u : 0)) << 40 | (u64)(handler >> 16) << 48;
}

static void prepare_descriptors(void)
{
    memset(guest_gdt, 0, sizeof guest_gdt);
    guest_gdt[GUEST_CODE64 / 8] = 0x00af9b000000ffff;
    guest_gdt[GUEST_DATA / 8] = 0x00cf93000000ffff;
    guest_gdt[GUEST_USER_DATA / 8] = 0x00cff3000000ffff;
    guest_gdt[GUEST_USER_CODE / 8] = 0x00affb000000ffff;
    guest_gdt[GUEST_TSS / 8] = descriptor((u32)(u64)guest_tss, sizeof guest_tss - 1, 0x8b);
    guest_gdt[GUEST_CODE32 / 8] = 0x00cf9b000000ffff;
    guest_gdt[GUEST_USER_CODE32 / 8] = 0x00cffb000000ffff;
    guest_gdt[GUEST_TSS32 / 8] = descriptor((u32)(u64)guest_tss32[0], 103, 0x8b);
    guest_gdt[GUEST_TSS32_OTHER / 8] = descriptor((u32)(u64)guest_tss32[1], 103, 0x89);
    guest_gdt[GUEST_TASK_GATE / 8] = (u64)GUEST_TSS32_OTHER << 16 | 0xe5ull << 40;
    memset(guest_tss, 0, sizeof guest_tss);
    memset(guest_tss32, 0, sizeof guest_tss32);
    *(u64 *)(guest_tss + 4) = STACK_TOP;
    *(u16 *)(guest_tss + 102) = 104;
    memset(guest_tss + 104, 0xff, sizeof guest_tss - 104); /* no ports for CPL 3 */
    for (int i = 0; i < 2; i++) {
        *(u32 *)(guest_tss32[i] + 4) = (u32)STACK_TOP;
        *(u32 *)(guest_tss32[i] + 8) = GUEST_DATA;
        *(u16 *)(guest_tss32[i] + 102) = 104;
    }
    for (unsigned vector = 0; vector < 256; vector++) {
        guest_gate(vector, (u64)guest_stubs + vector * 16, 0xe, 0, 0, true);
        guest_gate32(vector, (u32)(u64)guest_stubs32 + vector * 16, 0xe, 0, true);
    }
}

static void prepare_translation(void)
{
    memset(guest_pml4, 0, sizeof guest_pml4);
    memset(guest_pdpt, 0, sizeof guest_pdpt);
    memset(guest_window, 0, sizeof guest_window);
    memset(nested_pml4, 0, sizeof nested_pml4);
    memset(nested_pdpt, 0, sizeof nested_pdpt);
    memset(nested_window, 0, sizeof nested_window);
    memset(guest_window_directory, 0, sizeof guest_window_directory);
    memset(nested_window_directory, 0, sizeof nested_window_directory);
    guest_pml4[0] = (u64)guest_pdpt | A | US | RW | P;
    nested_pml4[0] = (u64)nested_pdpt | A | US | RW | P;
    for (unsigned i = 0; i < 4; i++) {
        guest_pdpt[i] = (u64)guest_directories[i] | A | US | RW | P;
        nested_pdpt[i] = (u64)nested_directories[i] | A | US | RW | P;
        pae_pointers[i] = (u64)guest_directories[i] | P;
    }
    for (u64 i = 0; i < 4 * 512; i++)
        guest_directories[i / 512][i % 512] = nested_directories[i / 512][i % 512] = i << 21 | PS | D | A | US | RW | P;
    for (u32 i = 0; i < 1024; i++)
        legacy_directory[i] = i << 22 | PS | D | A | US | RW | P;
    guest_pdpt[4] = (u64)guest_window_directory | A | US | RW | P;
    guest_window_directory[0] = (u64)guest_window | A | US | RW | P;
    nested_pdpt[4] = (u64)nested_window_directory | A | US | RW | P;
    nested_window_directory[0] = (u64)nested_window | A | US | RW | P;
    for (unsigned i = 0; i < 16; i++)
        guest_window[i] = nested_window[i] = (u64)page[i] | D | A | US | RW | P;
}

/* --- order ----------------------------------------------------------------------------------------------------------------- */
/* Flat memory, all exceptions of the manual intercepted, physical interrupts end the guest's run whatever its IF says. */
static void prepare_guest(void)
{
    memset(&v, 0, sizeof v);
    memset(&w, 0, sizeof w);
    memset(&r, 0, sizeof r);
    memset(iopm, 0, sizeof iopm);
    memset(msrpm, 0, sizeof msrpm);
    memset(page, 0, sizeof page);
    memset(guest_stack, 0, sizeof guest_stack);
    memset(guest_user_stack, 0, sizeof guest_user_stack);
    guest_vector = NO_VECTOR;

    v.intercept_exceptions = 0x400f7dfb; /* 0, 1, 3 to 8, 10 to 14, 16 to 19, 30 */
    v.intercept_1 = BIT(I1_INTR) | BIT(I1_SHUTDOWN);
    v.intercept_2 = BIT(I2_VMRUN) | BIT(I2_VMMCALL);
    v.iopm = (u64)iopm;
    v.msrpm = (u64)msrpm;
    v.asid = 1;
    v.tlb_control = 1;
    v.virtual_interrupt = V_INTR_MASKING;
    v.cs = (struct segment){GUEST_CODE64, 0xa9b, 0xffffffff, 0};
    v.ss = v.ds = v.es = (struct segment){GUEST_DATA, 0xc93, 0xffffffff, 0};
    v.tr = (struct segment){GUEST_TSS, 0x8b, sizeof guest_tss - 1, (u64)guest_tss};
    v.gdtr.base = (u64)guest_gdt;
    v.gdtr.limit = sizeof guest_gdt - 1;
    v.idtr.base = (u64)guest_idt;
    v.idtr.limit = sizeof guest_idt - 1;
    v.cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE;
    v.cr3 = (u64)guest_pml4;
    v.cr4 = CR4_OSXMMEXCPT | CR4_OSFXSR | CR4_PGE | CR4_PAE;
    v.efer = first_efer | EFER_SCE;
    v.dr6 = DR6_FIXED;
    v.dr7 = 0x400;
    v.rflags = 2;
    v.rsp = STACK_TOP;
    v.pat = first_pat;
}

void become_host(void)
{
    cli();
    wrmsr(MSR_EFER, first_efer);
    write_cr3((u64)boot_pml4);
    write_cr0(first_cr0);
    write_cr4(first_cr4);
    wrmsr(MSR_PAT, first_pat);
    wrmsr(MSR_VM_HSAVE_PA, (u64)host_save);
    vmload(&host);
    struct { u16 limit; u64 base; } __attribute__((packed)) gdtr = {0x37, (u64)boot_gdt}, idtr = {4095, (u64)idt};
    __asm__ volatile("lgdt %0; lidt %1" ::"m"(gdtr), "m"(idtr));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" ::"r"(DATA));
    u64 zero = 0;
    __asm__ volatile("mov %0, %%dr7; mov %1, %%dr6; mov %2, %%dr0; mov %2, %%dr1; mov %2, %%dr2; mov %2, %%dr3" ::"r"(0x400ull), "r"(DR6_FIXED), "r"(zero));
    write_cr8(0);
    u32 mxcsr = 0x1f80;
    __asm__ volatile("fninit; ldmxcsr %0" ::"m"(mxcsr));
    apic_write(APIC_SPURIOUS, 0x1ff);
    apic_write(APIC_DIVIDE, 0xb); /* by 1 */
    apic_write(APIC_TIMER, 0x10000);
    apic_write(APIC_INITIAL, 0);
    stgi();
}

static void prepare_host(void)
{
    resume = 0;
    become_host();
    for (int i = 0; i < 4; i++)
        take_interrupts();
    for (int i = 0; i < 4; i++)
        apic_write(APIC_EOI, 0);
    for (unsigned vector = 0; vector < 256; vector++)
        on_interrupt((u8)vector, vector == NMI ? count_nmi : vector < 32 ? take_fault : count_interrupt);
    memset((void *)interrupts, 0, sizeof interrupts);
    fault = (struct fault){0};
    runs = 0;
}

static void prepare(void)
{
    prepare_host();
    prepare_descriptors();
    prepare_translation();
    prepare_guest();
}

/* --- running the guest ----------------------------------------------------------------------------------------------------- */
void watch(bool on)
{
    runs += on;
    apic_write(APIC_TIMER, on ? WATCH_VECTOR : 0x10000);
    apic_write(APIC_INITIAL, on ? watch_count : 0);
}

void run(void)
{
    watch(true);
    enter(&v, &r, &host);
    watch(false);
}

bool exits_with(u64 code)
{
    u64 found = invalid() ? EXIT_INVALID : v.exit_code;
    if (found == code)
        return true;
    fail("exit code", code, found);
    return false;
}

void expect_exit(u64 code)
{
    run();
    exits_with(code);
}

void expect_done(void)
{
    run();
    if (!exits_with(EXIT_VMMCALL))
        return;
    if (guest_vector != NO_VECTOR)
        fail("exception or interrupt in the guest, vector", NO_VECTOR, guest_vector);
    else if (v.cs.base + v.rip != code_end)
        fail("the guest's RIP at its end", code_end, v.cs.base + v.rip);
}

void expect_invalid(void)
{
    run();
    exits_with(EXIT_INVALID);
}

void expect_valid(void)
{
    run();
    if (invalid())
        fail_text("VMRUN refused the VMCB");
}

void expect_vector(unsigned vector)
{
    run();
    if (!exits_with(EXIT_VMMCALL))
        return;
    EXPECT_EQ("vector of the guest's handler", guest_vector, vector);
}

void expect_exception(unsigned vector) { expect_exit(EXIT_EXCEPTION + vector); }

void expect_at_insn(void) { EXPECT_EQ("RIP", v.cs.base + v.rip, insn_at); }

void expect_next_rip(void)
{
    if (svm_features & BIT(HAS_NRIPS))
        EXPECT_EQ("nRIP", v.cs.base + v.next_rip, insn_next);
}

void deliver(unsigned vector) { v.intercept_exceptions &= ~(u32)BIT(vector); }

u64 guest_pushed(unsigned slot) { return ((u64 *)v.rsp)[slot]; }

/* --- the guest's modes ----------------------------------------------------------------------------------------------------- */
void mode_user(void)
{
    v.cs = (struct segment){GUEST_USER_CODE, 0xafb, 0xffffffff, 0};
    v.ss = v.ds = v.es = (struct segment){GUEST_USER_DATA, 0xcf3, 0xffffffff, 0};
    v.cpl = 3;
    v.rsp = (u64)guest_user_stack + sizeof guest_user_stack - 64;
}

void mode_compatibility(void) { v.cs = (struct segment){GUEST_CODE32, 0xc9b, 0xffffffff, 0}; }

void mode_protected(void)
{
    mode_compatibility();
    v.cr0 &= ~CR0_PG;
    v.efer &= ~(EFER_LME | EFER_LMA);
    v.idtr.base = (u64)guest_idt32;
    v.idtr.limit = sizeof guest_idt32 - 1;
    v.tr = (struct segment){GUEST_TSS32, 0x8b, 103, (u64)guest_tss32[0]};
}

void mode_pae(void)
{
    mode_protected();
    v.cr0 |= CR0_PG;
    v.cr3 = (u64)pae_pointers;
}

void mode_legacy_paging(void)
{
    mode_protected();
    v.cr0 |= CR0_PG;
    v.cr4 = (v.cr4 & ~CR4_PAE) | CR4_PSE;
    v.cr3 = (u64)legacy_directory;
}

void mode_real(void)
{
    mode_protected();
    v.cr0 &= ~CR0_PE;
    v.cs = (struct segment){(u16)(code_start >> 4), 0x9b, 0xffff, code_start};
    v.rip = 0;
    v.ss = v.ds = v.es = v.fs = v.gs = (struct segment){0, 0x93, 0xffff, 0};
    v.ss = (struct segment){REAL_IVT >> 4, 0x93, 0xffff, REAL_IVT};
    v.rsp = REAL_STACK - REAL_IVT;
    v.idtr.base = REAL_IVT;
    v.idtr.limit = 0x3ff;
    u32 stubs = REAL_IVT + 0x1000;
    memcpy((void *)(u64)stubs, guest_stubs16, (size_t)(guest_stubs16_end - guest_stubs16));
    for (u32 vector = 0; vector < 256; vector++)
        ((u32 *)(u64)REAL_IVT)[vector] = (stubs >> 4) << 16 | vector * 8;
}

/* Paging stays off: the page tables have nothing to say about this mode. */
void mode_virtual_8086(void)
{
    mode_protected();
    v.rflags |= FLAG_VM | FLAG_IOPL3;
    v.cpl = 3;
    v.cs = (struct segment){(u16)(code_start >> 4), 0xf3, 0xffff, code_start & ~15ull};
    v.rip = code_start & 15;
    v.ss = v.ds = v.es = v.fs = v.gs = (struct segment){REAL_IVT >> 4, 0xf3, 0xffff, REAL_IVT};
    v.rsp = REAL_STACK - REAL_IVT;
}

void use_nested_paging(void)
{
    v.nested_control = 1;
    v.nested_cr3 = (u64)nested_pml4;
}

void use_virtual_idt(void)
{
    memcpy(page[15], v.idtr.base == (u64)guest_idt32 ? (void *)guest_idt32 : (void *)guest_idt, 4096);
    v.idtr.base = WINDOW_PAGE(15);
}

/* --- other processors ------------------------------------------------------------------------------------------------------ */
static u8 target_id;

enum { SLEEP_VECTOR = 0x44, RUNNER_STACK = 0, HELPER_STACK = 1 };

/* By the APIC's timer, once it is calibrated. */
static void sleep_10_ms(void)
{
    apic_write(APIC_TIMER, SLEEP_VECTOR);
    apic_write(APIC_INITIAL, watch_count / 30);
    while (apic_read(APIC_CURRENT))
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    apic_write(APIC_TIMER, 0x10000);
}

bool has_helper(void)
{
    for (unsigned i = 0; i < processor_count; i++)
        if (processor_ids[i] != own_id())
            return true;
    return false;
}

void start_helper(void (*function)(void))
{
    for (unsigned i = 0; i < processor_count; i++) {
        if (processor_ids[i] != own_id()) {
            target_id = own_id();
            start_processor(processor_ids[i], HELPER_STACK, function, sleep_10_ms);
            return;
        }
    }
}

bool wait_for_helper(void)
{
    for (int i = 0; i < 100 && !processor_is_done(HELPER_STACK); i++)
        sleep_10_ms();
    return processor_is_done(HELPER_STACK);
}

u8 helper_target(void) { return target_id; }

/* --- choosing and counting ------------------------------------------------------------------------------------------------- */
static bool is_word(const char *text, const char *whole)
{
    while (*whole && *text == *whole)
        text++, whole++;
    return !*whole && (!*text || *text == ' ');
}

static bool asked_for(const char *what)
{
    for (const char *word = commands; *word;) {
        if (is_word(word, what))
            return true;
        while (*word && *word != ' ')
            word++;
        while (*word == ' ')
            word++;
    }
    return false;
}

/* The value of NAME=, up to a blank, or null; the command line itself may lie where the tests put things. */
static const char *text_of(const char *name)
{
    for (const char *word = commands; *word;) {
        const char *at = word, *n = name;
        while (*n && *at == *n)
            at++, n++;
        if (!*n && *at == '=')
            return at + 1;
        while (*word && *word != ' ')
            word++;
        while (*word == ' ')
            word++;
    }
    return 0;
}

static bool begins_with(const char *name, const char *prefix)
{
    while (*prefix && *prefix != ' ' && *prefix == *name)
        prefix++, name++;
    return !*prefix || *prefix == ' ';
}

static void run_test(const struct test *test)
{
    current = test;
    failures = 0;
    skipped_why = 0;
    if (!mark_place()) {
        prepare();
        test->run();
    }
    if (failures) {
        failed++;
    } else if (skipped_why) {
        skipped++;
        print("SKIP  %s: %s\n", test->name, skipped_why);
    } else {
        passed++;
        print("PASS  %s\n", test->name);
    }
    current = 0;
}

static void enable_svm(void)
{
    const char *why = 0;
    if (cpuid(0x80000000, 0).eax < 0x8000000a || !(cpuid(0x80000001, 0).ecx & BIT(2)))
        why = "this processor has no SVM";
    else if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
        why = "SVM is disabled in VM_CR";
    if (why) {
        print("svm-conformance: %s\n", why);
        end_run(1);
    }
    struct cpuid features = cpuid(0x8000000a, 0);
    svm_features = features.edx;
    svm_asids = features.ebx;
    physical_bits = cpuid(0x80000000, 0).eax >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff : 36;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME | (cpuid_bit(0x80000001, 'd', 20) ? EFER_NXE : 0));
}

/* --- the run ------------------------------------------------------------------------------------------------------------------ */
static unsigned listed;
static u8 boot_id;
static volatile bool run_is_over;
enum { OVER_VECTOR = 0x43 };

static void run_tests(void)
{
    const char *only = text_of("only"), *after = text_of("after");
    runner_id = own_id();
    for (const struct test *test = tests_start; test < tests_end; test++) {
        if (after) {
            if (is_word(after, test->name))
                after = 0;
            continue;
        }
        if (only && !begins_with(test->name, only))
            continue;
        if (asked_for("list"))
            print("%s\n", test->name);
        else
            run_test(test);
        listed++;
    }
}

/* What the processor does that runs the tests instead of the first one. */
static void run_tests_here(void)
{
    become_host();
    run_tests();
    prepare_host();
    run_is_over = true;
    apic_write(APIC_ICR_HIGH, (u32)boot_id << 24);
    apic_write(APIC_ICR, 0x4000 | OVER_VECTOR);
}

/* The first processor sleeps meanwhile; it is woken by the other one at its end. */
static void start_runner(u8 id)
{
    prepare_host();
    run_is_over = false;
    start_processor(id, RUNNER_STACK, run_tests_here, sleep_10_ms);
    while (!run_is_over)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
}

void guest_main(void)
{
    const char *line = command_line();
    for (unsigned i = 0; line[i] && i < sizeof commands - 1; i++)
        commands[i] = line[i];
    serial_init();
    print("Pacifica SVM conformance\n");
    enable_svm();
    first_cr0 = read_cr0() | CR0_WP;
    first_cr4 = read_cr4();
    first_efer = rdmsr(MSR_EFER);
    first_pat = rdmsr(MSR_PAT);
    vmsave(&host);
    outb(0x21, 0xff); /* the 8259s are silent */
    outb(0xa1, 0xff);
    calibrate_watch();
    print("CPUID Fn8000_000A: EDX %08x, %u ASIDs; %u bits of physical address\n", svm_features, svm_asids, physical_bits);

    prepare_host();
    find_processors(sleep_10_ms);

    bool list = asked_for("list");
    const char *where = text_of("cpu");
    if (!where || is_word(where, "all") || list)
        run_tests();
    for (unsigned i = 0; i < processor_count && where && !list; i++) {
        bool last = i + 1 == processor_count;
        if (!is_word(where, "all") && !(is_word(where, "last") && last))
            continue;
        print("processor %u\n", processor_ids[i]);
        boot_id = own_id();
        start_runner(processor_ids[i]);
    }
    if (list)
        print("%u tests\n", listed);
    else
        print("%u tests: %u passed, %u failed, %u skipped\n", passed + failed + skipped, passed, failed, skipped);
    if (!listed)
        print("FAILED: no test fits the command line \"%s\"; the word list shows their names\n", commands);
    end_run(failed || !listed ? 1 : 0);
}
