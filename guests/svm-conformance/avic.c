/* §15.29: the advanced virtual interrupt controller, xAVIC and x2AVIC. */
#include "frame.h"

/*
 * Three virtual processors with the APIC identifiers 0 (the guest that runs), 1 (not running) and 2 (running, on this
 * processor). The guest's APIC page is page 8 of the window, which the nested tables show somewhere else than the backing page.
 */
enum { APIC_PAGE = 8, ELSEWHERE = 9, OWN = 10, PHYSICAL_TABLE = 11, LOGICAL_TABLE = 12, IDLE = 13, RUNNING = 14 };
#define APIC_AT(offset) (WINDOW_PAGE(APIC_PAGE) + (offset))
#define V_APIC_BAR VMCB_U64(0x098)
#define BACKING_PAGE VMCB_U64(0x0e0)
#define LOGICAL_POINTER VMCB_U64(0x0f0)
#define PHYSICAL_POINTER VMCB_U64(0x0f8)
#define ENTRY_VALID BIT(63)
#define ENTRY_RUNNING BIT(62)
#define REGISTER(of, offset) (*(volatile u32 *)(page[of] + (offset)))
#define EXPECT_REGISTER(what, offset, value) EXPECT_EQ(what, REGISTER(OWN, offset), value)
enum { ID = 0x20, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, DFR = 0xe0, ISR = 0x100, TMR = 0x180, IRR = 0x200, ICRL = 0x300, ICRH = 0x310 };

static bool vector_set(unsigned of, unsigned bank, unsigned vector) { return REGISTER(of, bank + vector / 32 * 16) >> vector % 32 & 1; }
static void set_vector(unsigned bank, unsigned vector) { REGISTER(OWN, bank + vector / 32 * 16) |= (u32)BIT(vector % 32); }

static u64 *physical_table(void) { return (u64 *)page[PHYSICAL_TABLE]; }
static u32 *logical_table(void) { return (u32 *)page[LOGICAL_TABLE]; }

static void avic(void)
{
    u64 host_id = apic_read(APIC_ID) >> 24;
    use_nested_paging();
    for (unsigned i = 0; i < 16; i++)
        guest_window[i] = WINDOW_PAGE(i) | D | A | US | RW | P;
    nested_window[APIC_PAGE] = (u64)page[ELSEWHERE] | D | A | US | RW | P;
    v.virtual_interrupt |= V_AVIC_ENABLE;
    V_APIC_BAR = APIC_AT(0);
    BACKING_PAGE = (u64)page[OWN];
    LOGICAL_POINTER = (u64)page[LOGICAL_TABLE];
    PHYSICAL_POINTER = (u64)page[PHYSICAL_TABLE] | 2;
    physical_table()[0] = ENTRY_VALID | ENTRY_RUNNING | (u64)page[OWN] | host_id;
    physical_table()[1] = ENTRY_VALID | (u64)page[IDLE];
    physical_table()[2] = ENTRY_VALID | ENTRY_RUNNING | (u64)page[RUNNING] | host_id;
    for (unsigned id = 0; id < 3; id++)
        logical_table()[id] = (u32)BIT(31) | id;
    REGISTER(OWN, DFR) = 0xffffffff;
}

#define AVIC_TEST(name)                                              \
    static void CONCAT(avic_, __LINE__)(void);                       \
    TEST(name)                                                       \
    {                                                                \
        REQUIRE_SVM(HAS_NP, "nested paging");                        \
        REQUIRE_SVM(HAS_AVIC, "AVIC");                               \
        avic();                                                      \
        CONCAT(avic_, __LINE__)();                                   \
    }                                                                \
    static void CONCAT(avic_, __LINE__)(void)
#define CONCAT(a, b) CONCAT_(a, b)
#define CONCAT_(a, b) a##b

/* --- Table 15-22: reads and writes, register by register -------------------------------------------------------------------------- */
enum access { ALLOWED, FAULTS, TRAPS };
#define NOACCEL_MASK (BIT(32) | 0xff0)

static void read_register(unsigned offset, enum access access)
{
    GUEST("mov (%%rsi), %%eax");
    r.rsi = APIC_AT(offset);
    v.rax = 0x5555;
    REGISTER(OWN, offset) = 0x5a;
    REGISTER(ELSEWHERE, offset) = 0x77;
    if (access == ALLOWED) {
        expect_done();
        if (offset != PPR) /* the processor's own */
            EXPECT_EQ("what the guest read", (u32)v.rax, 0x5a);
        return;
    }
    expect_exit(EXIT_AVIC_NOACCEL);
    expect_at_insn();
    EXPECT_EQ("EXITINFO1", v.exit_info_1 & NOACCEL_MASK, offset);
    EXPECT_EQ("RAX", v.rax, 0x5555);
}

static void write_register(unsigned offset, enum access access)
{
    GUEST("mov %%eax, (%%rsi)");
    r.rsi = APIC_AT(offset);
    v.rax = 0x33;
    REGISTER(OWN, offset) = 0;
    if (access == ALLOWED) {
        expect_done();
    } else {
        expect_exit(EXIT_AVIC_NOACCEL);
        EXPECT_EQ("EXITINFO1", v.exit_info_1 & NOACCEL_MASK, BIT(32) | offset);
        EXPECT_EQ("RIP", v.rip, access == FAULTS ? insn_at : insn_next);
    }
    EXPECT_REGISTER("the register in the backing page", offset, access == FAULTS ? 0 : 0x33);
    EXPECT_EQ("what the nested tables show", REGISTER(ELSEWHERE, offset), 0);
}

static bool has_extended_lvt(void) { return svm_features & BIT(HAS_EXTENDED_LVT); }

#define READ(name, offset, access) AVIC_TEST("15.29.3/read-of-" name) { read_register(offset, access); }
#define WRITE(name, offset, access) AVIC_TEST("15.29.3/write-of-" name) { write_register(offset, access); }
READ("id-is-allowed", ID, ALLOWED)
WRITE("id-traps", ID, TRAPS)
READ("version-is-allowed", 0x30, ALLOWED)
WRITE("version-faults", 0x30, FAULTS)
READ("tpr-is-allowed", TPR, ALLOWED)
READ("apr-faults", 0x90, FAULTS)
WRITE("apr-faults", 0x90, FAULTS)
READ("ppr-is-allowed", PPR, ALLOWED)
READ("remote-read-is-allowed", 0xc0, ALLOWED)
WRITE("remote-read-traps", 0xc0, TRAPS)
READ("ldr-is-allowed", 0xd0, ALLOWED)
WRITE("ldr-traps", 0xd0, TRAPS)
READ("dfr-is-allowed", DFR, ALLOWED)
WRITE("dfr-traps", DFR, TRAPS)
READ("spurious-vector-is-allowed", 0xf0, ALLOWED)
WRITE("spurious-vector-traps", 0xf0, TRAPS)
READ("isr-is-allowed", 0x150, ALLOWED)
WRITE("isr-faults", 0x150, FAULTS)
READ("tmr-is-allowed", 0x1f0, ALLOWED)
WRITE("tmr-faults", 0x1f0, FAULTS)
READ("irr-is-allowed", 0x230, ALLOWED)
WRITE("irr-faults", 0x230, FAULTS)
READ("esr-is-allowed", 0x280, ALLOWED)
WRITE("esr-traps", 0x280, TRAPS)
READ("icr-low-is-allowed", ICRL, ALLOWED)
READ("icr-high-is-allowed", ICRH, ALLOWED)
WRITE("icr-high-is-allowed", ICRH, ALLOWED)
READ("lvt-timer-is-allowed", 0x320, ALLOWED)
WRITE("lvt-timer-traps", 0x320, TRAPS)
READ("lvt-error-is-allowed", 0x370, ALLOWED)
WRITE("lvt-error-traps", 0x370, TRAPS)
READ("initial-count-is-allowed", 0x380, ALLOWED)
WRITE("initial-count-traps", 0x380, TRAPS)
READ("current-count-faults", 0x390, FAULTS)
WRITE("current-count-faults", 0x390, FAULTS)
READ("divide-is-allowed", 0x3e0, ALLOWED)
WRITE("divide-traps", 0x3e0, TRAPS)
READ("extended-feature-faults", 0x400, FAULTS)
WRITE("extended-feature-faults", 0x400, FAULTS)
READ("specific-eoi-faults", 0x420, FAULTS)
WRITE("specific-eoi-faults", 0x420, FAULTS)
READ("interrupt-enable-faults", 0x480, FAULTS)
WRITE("interrupt-enable-faults", 0x480, FAULTS)
READ("extended-lvt-goes-by-cpuid", 0x500, has_extended_lvt() ? ALLOWED : FAULTS)
WRITE("extended-lvt-goes-by-cpuid", 0x500, has_extended_lvt() ? TRAPS : FAULTS)
READ("extended-lvt-3-goes-by-cpuid", 0x530, has_extended_lvt() ? ALLOWED : FAULTS)
WRITE("extended-lvt-3-goes-by-cpuid", 0x530, has_extended_lvt() ? TRAPS : FAULTS)
READ("reserved-540-faults", 0x540, FAULTS)
WRITE("reserved-540-faults", 0x540, FAULTS)
READ("unnamed-040-is-allowed", 0x40, ALLOWED)
WRITE("unnamed-040-is-allowed", 0x40, ALLOWED)

AVIC_TEST("15.29.3/write-of-ppr-faults")
{
    GUEST("mov %%eax, (%%rsi)");
    r.rsi = APIC_AT(PPR);
    v.rax = 0x33;
    expect_exit(EXIT_AVIC_NOACCEL);
    expect_at_insn();
    EXPECT_EQ("EXITINFO1", v.exit_info_1 & NOACCEL_MASK, BIT(32) | PPR);
    EXPECT_REGISTER("PPR", PPR, 0);
}

AVIC_TEST("15.29.3/nested-tables-permit-the-access")
{
    GUEST("mov %%eax, (%%rsi)");
    r.rsi = APIC_AT(0x310);
    nested_window[APIC_PAGE] &= ~(u64)RW;
    expect_exit(EXIT_NPF);
    EXPECT_EQ("EXITINFO1", v.exit_info_1, NPF_FINAL | NPF_USER | NPF_WRITE | NPF_PRESENT);
    EXPECT_EQ("EXITINFO2", v.exit_info_2, APIC_AT(0x310));
}

AVIC_TEST("15.29.3/other-pages-are-memory")
{
    GUEST("mov (%%rsi), %%eax");
    r.rsi = WINDOW_PAGE(0) + 0x90;
    *(u32 *)(page[0] + 0x90) = 0x1234;
    expect_done();
    EXPECT_EQ("what the guest read", (u32)v.rax, 0x1234);
}

/* --- the accelerated registers ---------------------------------------------------------------------------------------------------- */
static void write_to(unsigned offset, u32 value)
{
    GUEST("mov %%eax, (%%rsi)");
    r.rsi = APIC_AT(offset);
    v.rax = value;
}

AVIC_TEST("15.29.3/write-of-tpr-sets-v-tpr-and-ppr")
{
    write_to(TPR, 0x57);
    expect_done();
    EXPECT_REGISTER("TPR", TPR, 0x57);
    EXPECT_EQ("V_TPR", v.virtual_interrupt & 0xf, 5);
    EXPECT_EQ("PPR's class", REGISTER(OWN, PPR) & 0xf0, 0x50);
}

AVIC_TEST("15.29.3/write-of-cr8-sets-tpr-and-v-tpr")
{
    GUEST("mov %%rbx, %%cr8");
    r.rbx = 6;
    expect_done();
    EXPECT_REGISTER("TPR", TPR, 0x60);
    EXPECT_EQ("V_TPR", v.virtual_interrupt & 0xf, 6);
}

AVIC_TEST("15.29.4/cr8-is-v-tpr-without-v-intr-masking")
{
    GUEST("mov %%cr8, %%rbx");
    v.virtual_interrupt = (v.virtual_interrupt & ~V_INTR_MASKING) | 4;
    REGISTER(OWN, TPR) = 0x40;
    expect_done();
    EXPECT_EQ("CR8", r.rbx, 4);
}

AVIC_TEST("15.29.3/eoi-ends-the-highest-in-service")
{
    write_to(EOI, 0);
    set_vector(ISR, 0x51);
    set_vector(ISR, 0x62);
    expect_done();
    EXPECT("62h is no longer in service", !vector_set(OWN, ISR, 0x62));
    EXPECT("51h still is", vector_set(OWN, ISR, 0x51));
    EXPECT_EQ("PPR's class", REGISTER(OWN, PPR) & 0xf0, 0x50);
}

AVIC_TEST("15.29.9/eoi-of-a-level-triggered-interrupt-exits")
{
    write_to(EOI, 0);
    set_vector(ISR, 0x51);
    set_vector(ISR, 0x62);
    set_vector(TMR, 0x62);
    expect_exit(EXIT_AVIC_NOACCEL);
    EXPECT_EQ("RIP", v.rip, insn_next);
    EXPECT_EQ("EXITINFO1", v.exit_info_1 & NOACCEL_MASK, BIT(32) | EOI);
    EXPECT_EQ("EXITINFO2's vector", v.exit_info_2 & 0xff, 0x62);
}

AVIC_TEST("15.29.9/eoi-where-a-lower-one-is-level-triggered")
{
    write_to(EOI, 0);
    set_vector(ISR, 0x51);
    set_vector(ISR, 0x62);
    set_vector(TMR, 0x51);
    expect_done();
    EXPECT("62h is no longer in service", !vector_set(OWN, ISR, 0x62));
}

/* --- §15.29.6, §15.29.8: delivery ------------------------------------------------------------------------------------------------- */
AVIC_TEST("15.29.8/vmrun-delivers-the-highest-request")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    set_vector(IRR, 0x51);
    set_vector(IRR, 0x62);
    expect_vector(0x62);
    EXPECT("62h is in service", vector_set(OWN, ISR, 0x62));
    EXPECT("62h is not requested", !vector_set(OWN, IRR, 0x62));
    EXPECT("51h is requested", vector_set(OWN, IRR, 0x51));
    EXPECT_EQ("PPR's class", REGISTER(OWN, PPR) & 0xf0, 0x60);
}

AVIC_TEST("15.29.8/rflags-if-holds-requests")
{
    GUEST("nop");
    set_vector(IRR, 0x51);
    expect_done();
    EXPECT("51h is requested", vector_set(OWN, IRR, 0x51));
}

AVIC_TEST("15.29.8/interrupt-shadow-holds-requests")
{
    GUEST3("", "nop", "nop");
    v.rflags |= FLAG_IF;
    v.interrupt_shadow = 1;
    set_vector(IRR, 0x51);
    expect_vector(0x51);
    EXPECT_EQ("the pushed RIP", guest_pushed(0), insn_next);
}

AVIC_TEST("15.29.8/task-priority-holds-requests")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.virtual_interrupt |= 8;
    REGISTER(OWN, TPR) = 0x80;
    set_vector(IRR, 0x81);
    expect_done();
    EXPECT("81h is requested", vector_set(OWN, IRR, 0x81));
}

AVIC_TEST("15.29.8/task-priority-lets-a-higher-class-through")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.virtual_interrupt |= 8;
    REGISTER(OWN, TPR) = 0x80;
    set_vector(IRR, 0x91);
    expect_vector(0x91);
}

AVIC_TEST("15.29.8/lower-tpr-lets-a-request-through")
{
    GUEST3("", "mov %%eax, (%%rsi)", "nop; nop");
    r.rsi = APIC_AT(TPR);
    v.rflags |= FLAG_IF;
    v.virtual_interrupt |= 8;
    REGISTER(OWN, TPR) = 0x80;
    set_vector(IRR, 0x71);
    expect_vector(0x71);
}

AVIC_TEST("15.29.8/eoi-lets-the-next-one-through")
{
    GUEST3("", "mov %%eax, (%%rsi)", "nop; nop");
    r.rsi = APIC_AT(EOI);
    v.rflags |= FLAG_IF;
    set_vector(ISR, 0x81);
    set_vector(IRR, 0x71);
    expect_vector(0x71);
    EXPECT("81h is no longer in service", !vector_set(OWN, ISR, 0x81));
}

AVIC_TEST("15.29.8/v-irq-is-ignored")
{
    GUEST("nop");
    v.rflags |= FLAG_IF;
    v.virtual_interrupt |= V_IRQ | V_INTR_PRIORITY(15) | V_INTR_VECTOR(0x99);
    expect_done();
}

AVIC_TEST("15.29.8/doorbell-register-is-write-only")
{
    u64 value;
    EXPECT("RDMSR of the doorbell register faults", !read_msr(0xc001011b, &value));
    EXPECT("WRMSR of this processor's identifier does not", write_msr(0xc001011b, apic_read(APIC_ID) >> 24));
}

/* --- §15.29.6.1: interprocessor interrupts --------------------------------------------------------------------------------------- */
static void ipi(u32 high, u32 low)
{
    REGISTER(OWN, ICRH) = high;
    write_to(ICRL, low);
}

static void expect_requested(bool own, bool idle, bool running, unsigned vector)
{
    EXPECT_EQ("requested by processor 0", vector_set(OWN, IRR, vector), own);
    EXPECT_EQ("requested by processor 1", vector_set(IDLE, IRR, vector), idle);
    EXPECT_EQ("requested by processor 2", vector_set(RUNNING, IRR, vector), running);
}

static void expect_incomplete(u32 high, u32 low, u64 reason, u64 index)
{
    expect_exit(EXIT_AVIC_IPI);
    EXPECT_EQ("EXITINFO1", v.exit_info_1, (u64)high << 32 | low);
    EXPECT_EQ("EXITINFO2's ID", v.exit_info_2 >> 32, reason);
    if (reason >= 1 && reason <= 3)
        EXPECT_EQ("EXITINFO2's index", v.exit_info_2 & 0xfff, index);
    EXPECT_EQ("RIP", v.rip, insn_next);
}

#define IPI_COMPLETES(name, high, low, own, idle, running) \
    AVIC_TEST("15.29.6/ipi-" name)                         \
    {                                                      \
        ipi(high, low);                                    \
        expect_done();                                     \
        expect_requested(own, idle, running, (low) & 0xff); \
    }
IPI_COMPLETES("to-self", 0, 0x40077, true, false, false)
IPI_COMPLETES("to-a-running-processor", 2u << 24, 0x4077, false, false, true)
IPI_COMPLETES("to-a-flat-logical-destination", 4u << 24, 0x4877, false, false, true)

AVIC_TEST("15.29.6/self-ipi-is-taken-at-once")
{
    GUEST3("", "mov %%eax, (%%rsi)", "nop; nop");
    r.rsi = APIC_AT(ICRL);
    v.rax = 0x40077;
    v.rflags |= FLAG_IF;
    expect_vector(0x77);
    EXPECT("77h is in service", vector_set(OWN, ISR, 0x77));
}

AVIC_TEST("15.29.6/ipi-to-a-cluster")
{
    REGISTER(OWN, DFR) = 0x0fffffff;
    memset(logical_table(), 0, 64);
    logical_table()[4 * 3 + 1] = (u32)BIT(31) | 2;
    ipi(0x32u << 24, 0x4877);
    expect_done();
    expect_requested(false, false, true, 0x77);
}

AVIC_TEST("15.29.6/broadcast-passes-over-invalid-entries")
{
    physical_table()[1] = 0;
    ipi(0xffu << 24, 0x4077);
    expect_done();
    expect_requested(true, false, true, 0x77);
}

AVIC_TEST("15.29.6/broadcast-to-all-but-self")
{
    physical_table()[1] |= ENTRY_RUNNING;
    ipi(0, 0xc4077);
    expect_done();
    expect_requested(false, true, true, 0x77);
}

#define IPI_EXITS(name, prepare_it, high, low, reason, index) \
    AVIC_TEST("15.29.9/ipi-" name)                            \
    {                                                         \
        prepare_it;                                           \
        ipi(high, low);                                       \
        expect_incomplete(high, low, reason, index);          \
    }
IPI_EXITS("that-is-an-nmi", (void)0, 2u << 24, 0x4400, 0, 0)
IPI_EXITS("that-is-an-init", (void)0, 2u << 24, 0x4500, 0, 0)
IPI_EXITS("that-is-level-triggered", (void)0, 2u << 24, 0xc077, 0, 0)
IPI_EXITS("with-an-illegal-vector", (void)0, 2u << 24, 0x400f, 4, 0)
IPI_EXITS("beyond-the-table", (void)0, 9u << 24, 0x4077, 2, 9)
IPI_EXITS("to-an-invalid-entry", physical_table()[2] = 0, 2u << 24, 0x4077, 2, 2)
IPI_EXITS("to-an-invalid-logical-entry", logical_table()[2] = 0, 4u << 24, 0x4877, 2, 2)

AVIC_TEST("15.29.9/ipi-to-a-processor-that-does-not-run")
{
    ipi(1u << 24, 0x4077);
    expect_incomplete(1u << 24, 0x4077, 1, 1);
    expect_requested(false, true, false, 0x77);
}

AVIC_TEST("15.29.9/broadcast-with-one-that-does-not-run")
{
    ipi(0, 0xc4077);
    expect_incomplete(0, 0xc4077, 1, 1);
    expect_requested(false, true, true, 0x77);
}

AVIC_TEST("15.29.9/ipi-to-an-illegal-backing-page")
{
    REQUIRE(physical_bits < 52, "every address is legal");
    physical_table()[2] = ENTRY_VALID | ENTRY_RUNNING | BIT(physical_bits);
    ipi(2u << 24, 0x4077);
    expect_incomplete(2u << 24, 0x4077, 3, 2);
}

/* --- §15.29.4: what VMRUN checks -------------------------------------------------------------------------------------------------- */
#define AVIC_CHECK(name, change, verdict) \
    AVIC_TEST("15.29.4/" name)            \
    {                                     \
        GUEST("nop");                     \
        change;                           \
        verdict();                        \
    }
#define BEYOND BIT(physical_bits < 52 ? physical_bits : 63)
AVIC_CHECK("illegal-backing-page", BACKING_PAGE |= BEYOND, expect_invalid)
AVIC_CHECK("illegal-logical-table", LOGICAL_POINTER |= BEYOND, expect_invalid)
AVIC_CHECK("illegal-physical-table", PHYSICAL_POINTER |= BEYOND, expect_invalid)
AVIC_CHECK("index-255", PHYSICAL_POINTER |= 255, expect_done)
AVIC_CHECK("index-256", PHYSICAL_POINTER = (PHYSICAL_POINTER & ~0xfffull) | 256, expect_invalid)
AVIC_CHECK("pointers-do-not-matter-while-off", (v.virtual_interrupt &= ~V_AVIC_ENABLE, BACKING_PAGE |= BEYOND), expect_done)

AVIC_TEST("15.29.4/x2avic-without-avic")
{
    REQUIRE_SVM(HAS_X2AVIC, "x2AVIC");
    GUEST("nop");
    v.virtual_interrupt = (v.virtual_interrupt & ~V_AVIC_ENABLE) | V_X2AVIC_ENABLE;
    expect_invalid();
}

AVIC_TEST("15.29.4/x2avic-index-511")
{
    REQUIRE_SVM(HAS_X2AVIC, "x2AVIC");
    GUEST("nop");
    v.virtual_interrupt |= V_X2AVIC_ENABLE;
    PHYSICAL_POINTER = (PHYSICAL_POINTER & ~0xfffull) | 511;
    expect_done();
}

AVIC_TEST("15.29.4/x2avic-index-512")
{
    REQUIRE_SVM(HAS_X2AVIC, "x2AVIC");
    REQUIRE(!cpuid_bit(0x8000000a, 'c', 6), "CPUID Fn8000_000A ECX offers x2AVIC_EXT");
    GUEST("nop");
    v.virtual_interrupt |= V_X2AVIC_ENABLE;
    PHYSICAL_POINTER = (PHYSICAL_POINTER & ~0xfffull) | 512;
    expect_invalid();
}

AVIC_TEST("15.29.4/x2avic-index-4095")
{
    REQUIRE_SVM(HAS_X2AVIC, "x2AVIC");
    REQUIRE(cpuid_bit(0x8000000a, 'c', 6), "CPUID Fn8000_000A ECX does not offer x2AVIC_EXT");
    GUEST("nop");
    v.virtual_interrupt |= V_X2AVIC_ENABLE;
    PHYSICAL_POINTER |= 0xfff;
    expect_done();
}

/* --- §15.29.10: x2AVIC -------------------------------------------------------------------------------------------------------------- */
#define X2AVIC_TEST(name)                                            \
    static void CONCAT(x2avic_, __LINE__)(void);                     \
    AVIC_TEST("15.29.10/" name)                                      \
    {                                                                \
        REQUIRE_SVM(HAS_X2AVIC, "x2AVIC");                           \
        v.virtual_interrupt |= V_X2AVIC_ENABLE;                      \
        CONCAT(x2avic_, __LINE__)();                                 \
    }                                                                \
    static void CONCAT(x2avic_, __LINE__)(void)

static void rdmsr_in_guest(u32 msr)
{
    GUEST("rdmsr");
    r.rcx = msr;
}

static void wrmsr_in_guest(u32 msr, u64 value)
{
    GUEST("wrmsr");
    r.rcx = msr;
    v.rax = (u32)value;
    r.rdx = value >> 32;
}

X2AVIC_TEST("rdmsr-reads-the-backing-page")
{
    rdmsr_in_guest(0x803);
    REGISTER(OWN, 0x30) = 0x00050014;
    r.rdx = 0x5555;
    expect_done();
    EXPECT_EQ("EAX", (u32)v.rax, 0x00050014);
    EXPECT_EQ("EDX", (u32)r.rdx, 0);
}

X2AVIC_TEST("rdmsr-of-icr-has-64-bits")
{
    rdmsr_in_guest(0x830);
    REGISTER(OWN, ICRL) = 0x4077;
    REGISTER(OWN, ICRH) = 0x12345678;
    expect_done();
    EXPECT_EQ("EAX", (u32)v.rax, 0x4077);
    EXPECT_EQ("EDX", (u32)r.rdx, 0x12345678);
}

X2AVIC_TEST("rdmsr-of-the-current-count-faults")
{
    rdmsr_in_guest(0x839);
    expect_exit(EXIT_AVIC_NOACCEL);
    expect_at_insn();
    EXPECT_EQ("EXITINFO1", v.exit_info_1 & NOACCEL_MASK, 0x390);
}

X2AVIC_TEST("wrmsr-of-the-spurious-vector-traps")
{
    wrmsr_in_guest(0x80f, 0x1ff);
    expect_exit(EXIT_AVIC_NOACCEL);
    EXPECT_EQ("RIP", v.rip, insn_next);
    EXPECT_EQ("EXITINFO1", v.exit_info_1 & NOACCEL_MASK, BIT(32) | 0xf0);
    EXPECT_REGISTER("the register in the backing page", 0xf0, 0x1ff);
}

X2AVIC_TEST("wrmsr-of-tpr-is-accelerated")
{
    wrmsr_in_guest(0x808, 0x57);
    expect_done();
    EXPECT_REGISTER("TPR", TPR, 0x57);
    EXPECT_EQ("V_TPR", v.virtual_interrupt & 0xf, 5);
}

X2AVIC_TEST("wrmsr-of-eoi-is-accelerated")
{
    wrmsr_in_guest(0x80b, 0);
    set_vector(ISR, 0x62);
    expect_done();
    EXPECT("62h is no longer in service", !vector_set(OWN, ISR, 0x62));
}

X2AVIC_TEST("wrmsr-of-icr-reaches-a-running-processor")
{
    wrmsr_in_guest(0x830, 2ull << 32 | 0x77);
    expect_done();
    expect_requested(false, false, true, 0x77);
}

X2AVIC_TEST("logical-destinations-need-no-table")
{
    LOGICAL_POINTER = (u64)page[0];
    wrmsr_in_guest(0x830, 4ull << 32 | 0x877);
    expect_done();
    expect_requested(false, false, true, 0x77);
}

X2AVIC_TEST("wrmsr-of-icr-to-one-that-does-not-run")
{
    wrmsr_in_guest(0x830, 1ull << 32 | 0x77);
    expect_incomplete(1, 0x77, 1, 1);
    expect_requested(false, true, false, 0x77);
}

X2AVIC_TEST("self-ipi")
{
    wrmsr_in_guest(0x83f, 0x77);
    expect_done();
    expect_requested(true, false, false, 0x77);
}

X2AVIC_TEST("self-ipi-is-taken-at-once")
{
    GUEST3("", "wrmsr", "nop; nop");
    r.rcx = 0x83f;
    v.rax = 0x77;
    v.rflags |= FLAG_IF;
    expect_vector(0x77);
}

X2AVIC_TEST("reserved-bits-of-an-lvt-entry-raise-gp")
{
    wrmsr_in_guest(0x835, BIT(11));
    REGISTER(OWN, 0x350) = 0x10000;
    expect_exception(GP);
    EXPECT_REGISTER("LINT0 in the backing page", 0x350, 0x10000);
}

X2AVIC_TEST("rdmsr-of-seoi-faults-if-there-is-one")
{
    rdmsr_in_guest(0x842);
    if (cpuid_bit(0x80000001, 'c', 3)) {
        expect_exit(EXIT_AVIC_NOACCEL);
        EXPECT_EQ("EXITINFO1", v.exit_info_1 & NOACCEL_MASK, 0x420);
    } else {
        expect_exception(GP);
    }
    expect_at_insn();
}

X2AVIC_TEST("msr-intercepts-come-first")
{
    wrmsr_in_guest(0x808, 0x57);
    v.intercept_1 |= BIT(I1_MSR);
    msrpm[0x808 / 4] |= (u8)(3 << 0x808 % 4 * 2);
    expect_exit(EXIT_MSR);
    EXPECT_EQ("EXITINFO1", v.exit_info_1, 1);
    EXPECT_REGISTER("TPR", TPR, 0);
}

X2AVIC_TEST("the-apic-page-is-memory")
{
    GUEST("mov (%%rsi), %%eax");
    r.rsi = APIC_AT(0x90);
    REGISTER(ELSEWHERE, 0x90) = 0x77;
    expect_done();
    EXPECT_EQ("what the guest read", (u32)v.rax, 0x77);
}
