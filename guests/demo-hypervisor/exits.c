/* One function for each reason to leave the guest. */
#include "hypervisor.h"

/* --- small helpers -------------------------------------------------------------------------------------------------------- */
static void skip(unsigned length)
{
    hv.vmcb.rip = hv.has_next_rip ? hv.vmcb.next_rip : hv.vmcb.rip + length;
    hv.vmcb.interrupt_shadow = 0;
}

static void inject(u64 event) { hv.vmcb.event_injection = event; }
static void inject_general_protection(void) { inject(EVENT_WITH_ERROR(13, 0)); }

static void give_up(const char *why)
{
    print("hypervisor: %s (exit %s, info %lx %lx, rip %lx)\n", why, exit_name(exit_code()), hv.vmcb.exit_info_1, hv.vmcb.exit_info_2,
          hv.vmcb.rip);
    hv.failed = hv.finished = true;
}

static bool fetch(u64 linear, u8 *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        u64 physical;
        if (!guest_translate(linear + i, &physical))
            return false;
        bytes[i] = *(u8 *)(GUEST_MEMORY + physical);
    }
    return true;
}

static u64 *general_register(unsigned number)
{
    struct guest_registers *r = &hv.registers;
    u64 *const all[16] = {&hv.vmcb.rax, &r->rcx, &r->rdx, &r->rbx, &hv.vmcb.rsp, &r->rbp, &r->rsi, &r->rdi,
                          &r->r8,       &r->r9,  &r->r10, &r->r11, &r->r12,      &r->r13, &r->r14, &r->r15};
    return all[number & 15];
}

/*
 * The general register of a MOV to or from a control or debug register: from EXITINFO1 where the processor has decode
 * assists (§15.33), from the instruction's bytes otherwise.
 */
static bool moved_register(u64 **value, unsigned *length)
{
    u8 code[4];
    if (!fetch(hv.vmcb.rip, code, sizeof code))
        return false;
    u8 rex = (code[0] & 0xf0) == 0x40 ? code[0] : 0;
    const u8 *opcode = code + (rex ? 1 : 0);
    if (opcode[0] != 0x0f || (opcode[1] & 0xfc) != 0x20)
        return false;
    unsigned number = hv.has_decode_assists ? hv.vmcb.exit_info_1 & 15 : (opcode[2] & 7u) | (rex & 1u) << 3;
    *value = general_register(number);
    *length = rex ? 4 : 3;
    return true;
}

/* --- interrupts for the guest --------------------------------------------------------------------------------------------- */
static void interrupt_window(void)
{
    hv.window_requested = false;
    hv.vmcb.intercept_1 &= ~(u32)INTERCEPT_VINTR;
    hv.vmcb.virtual_interrupt = (hv.vmcb.virtual_interrupt & V_TPR) | V_INTR_MASKING;
}

/* Gives the guest what is pending if it can take it now, or asks for an exit when it can (§15.21.4). */
void deliver_pending(void)
{
    if (hv.pending_vector < 0)
        return;
    bool ready = (hv.vmcb.rflags & BIT(9)) && !(hv.vmcb.interrupt_shadow & 1) && !(hv.vmcb.event_injection & EVENT_VALID);
    if (ready) {
        if (hv.window_requested)
            interrupt_window();
        inject(EVENT(EVENT_INTERRUPT, (u64)hv.pending_vector));
        hv.pending_vector = -1;
    } else if (!hv.window_requested) {
        hv.window_requested = true;
        hv.vmcb.intercept_1 |= INTERCEPT_VINTR;
        hv.vmcb.virtual_interrupt |= V_IRQ | V_IGNORE_TPR | V_INTR_PRIORITY(15);
    }
}

static void physical_interrupt(void)
{
    let_interrupts_in();
    if (hv.timer_fired) {
        hv.timer_fired = false;
        hv.pending_vector = VECTOR_TIMER;
    }
}

static void halt(void)
{
    skip(1);
    if (hv.pending_vector >= 0)
        return;
    if (!(hv.vmcb.rflags & BIT(9))) {
        give_up("the guest halted for ever");
        return;
    }
    wait_for_timer();
    hv.pending_vector = VECTOR_TIMER;
}

/* --- instructions --------------------------------------------------------------------------------------------------------- */
static void cpuid_exit(void)
{
    u32 leaf = (u32)hv.vmcb.rax;
    struct cpuid r;
    switch (leaf) {
    case LEAF_SIGNATURE: r = (struct cpuid){LEAF_OPTIONS, 0x69636150, 0x61636966, 0x6f6d6544}; break; /* "PacificaDemo" */
    case LEAF_OPTIONS: r = (struct cpuid){(u32)hv.loops, 0, 0, 0}; break;
    default:
        r = cpuid(leaf, (u32)hv.registers.rcx);
        if (leaf == 1)
            r.ecx |= BIT(31); /* a hypervisor is present */
        if (leaf == 0x80000001)
            r.ecx &= ~4u; /* no SVM */
    }
    hv.vmcb.rax = r.eax;
    hv.registers.rbx = r.ebx;
    hv.registers.rcx = r.ecx;
    hv.registers.rdx = r.edx;
    skip(2);
}

static void msr_exit(void)
{
    u32 msr = (u32)hv.registers.rcx;
    u64 value = (u32)hv.vmcb.rax | hv.registers.rdx << 32;
    bool write = hv.vmcb.exit_info_1 & 1;
    switch (msr) {
    case MSR_EFER:
        if (write && (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))) {
            inject_general_protection();
            return;
        }
        if (write)
            hv.vmcb.efer = (value & ~EFER_LMA) | (hv.vmcb.efer & EFER_LMA) | EFER_SVME;
        else
            value = hv.vmcb.efer & ~EFER_SVME;
        break;
    case MSR_SCRATCH:
        if (write)
            hv.scratch_msr = value;
        else
            value = hv.scratch_msr;
        break;
    default: inject_general_protection(); return;
    }
    if (!write) {
        hv.vmcb.rax = (u32)value;
        hv.registers.rdx = value >> 32;
    }
    skip(2);
}

static void guest_character(char c)
{
    if (hv.last_printed == '\n')
        print("guest: ");
    put_char(c);
    hv.last_printed = c;
}

/* EXITINFO1: bit 0 IN, 2 string, 3 REP, 6:4 size, 31:16 port; EXITINFO2: the next instruction (§15.10.2). */
static void ioio_exit(void)
{
    u64 information = hv.vmcb.exit_info_1;
    u16 port = (u16)(information >> 16);
    bool in = information & 1, string = information & 4, repeated = information & 8;
    if (!(information & BIT(4)) || (string && in)) {
        give_up("only byte accesses and no INS are expected of this guest");
        return;
    }
    if (in) {
        u8 value = port == PORT_COUNTER ? hv.counter++ : 0xff;
        hv.vmcb.rax = (hv.vmcb.rax & ~0xffull) | value;
    } else if (string) {
        u64 count = repeated ? hv.registers.rcx : 1;
        int64_t step = hv.vmcb.rflags & BIT(10) ? -1 : 1;
        for (; count; count--, hv.registers.rsi += (u64)step) {
            u8 c;
            if (!fetch(hv.registers.rsi, &c, 1)) {
                give_up("OUTS from memory without translation");
                return;
            }
            if (port == PORT_PRINT)
                guest_character((char)c);
        }
        if (repeated)
            hv.registers.rcx = 0;
    } else if (port == PORT_PRINT) {
        guest_character((char)hv.vmcb.rax);
    }
    hv.vmcb.rip = hv.vmcb.exit_info_2;
    hv.vmcb.interrupt_shadow = 0;
}

static void vmmcall_exit(void)
{
    u64 b = hv.registers.rbx, c = hv.registers.rcx, *answer = &hv.vmcb.rax;
    skip(3);
    switch (*answer) {
    case CALL_NOTHING: *answer = b + c; break;
    case CALL_INJECT_EXCEPTION: inject(c == ~0ull ? EVENT(EVENT_EXCEPTION, b & 0xff) : EVENT_WITH_ERROR(b & 0xff, c & 0xffffffff)); break;
    case CALL_INJECT_NMI: inject(EVENT(EVENT_NMI, 2)); break;
    case CALL_INJECT_INTERRUPT: inject(EVENT(EVENT_INTERRUPT, b & 0xff)); break;
    case CALL_QUEUE_INTERRUPT: hv.pending_vector = (int)(b & 0xff); break;
    case CALL_VIRTUAL_INTERRUPT:
        hv.vmcb.virtual_interrupt = (hv.vmcb.virtual_interrupt & V_TPR) | V_INTR_MASKING | V_IRQ | V_INTR_PRIORITY(c & 15) | V_INTR_VECTOR(b & 0xff);
        break;
    case CALL_VIRTUAL_PENDING: *answer = hv.vmcb.virtual_interrupt & V_IRQ ? 1 : 0; break;
    case CALL_START_TIMER: start_timer(b); break;
    case CALL_TSC: *answer = rdtsc() + hv.vmcb.tsc_offset; break;
    case CALL_DIRTY_PAGES: *answer = hv.pages_dirtied; break;
    case CALL_INVALIDATE: invlpga(b, GUEST_ASID); break;
    case CALL_DONE:
        hv.guest_done = true;
        if (c || !b)
            hv.failed = true;
        break;
    default: *answer = ~0ull;
    }
}

static void write_cr3_exit(void)
{
    u64 *value;
    unsigned length;
    if (!moved_register(&value, &length)) {
        give_up("MOV to CR3 expected");
        return;
    }
    hv.vmcb.cr3 = *value;
    hv.vmcb.tlb_control = 1; /* a guest that loads CR3 expects its old translations gone; flush everything */
    skip(length);
}

/* The new priority threshold is weighed against a pending V_IRQ by the next VMRUN (§15.21.2). */
static void write_cr8_exit(void)
{
    u64 *value;
    unsigned length;
    if (!moved_register(&value, &length)) {
        give_up("MOV to CR8 expected");
        return;
    }
    hv.vmcb.virtual_interrupt = (hv.vmcb.virtual_interrupt & ~V_TPR) | (*value & 15);
    skip(length);
}

static void write_dr7_exit(void)
{
    u64 *value;
    unsigned length;
    if (!moved_register(&value, &length)) {
        give_up("MOV to DR7 expected");
        return;
    }
    hv.vmcb.dr7 = (*value & 0xffff27ff) | 0x400;
    skip(length);
}

/* INVLPG (%reg): the address is in EXITINFO1 with decode assists; the guest uses one register form otherwise. */
static void invlpg_exit(void)
{
    u8 code[4];
    if (!fetch(hv.vmcb.rip, code, sizeof code)) {
        give_up("INVLPG expected");
        return;
    }
    u8 rex = (code[0] & 0xf0) == 0x40 ? code[0] : 0;
    u8 modrm = code[rex ? 3 : 2];
    if ((modrm & 0xc7) == 0x04 || (modrm & 0xc7) == 0x05 || (modrm & 0xc0)) {
        give_up("INVLPG with a plain register operand expected");
        return;
    }
    u64 address = hv.has_decode_assists ? hv.vmcb.exit_info_1 : *general_register((modrm & 7u) | (rex & 1u) << 3);
    invlpga(address, GUEST_ASID);
    skip(rex ? 4 : 3);
}

/* An exception that the hypervisor wanted to see first goes on to the guest. */
static void exception_exit(void)
{
    unsigned vector = (unsigned)(exit_code() - EXIT_EXCEPTION);
    bool has_error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
    inject(has_error ? EVENT_WITH_ERROR(vector, hv.vmcb.exit_info_1) : EVENT(EVENT_EXCEPTION, vector));
}

static void shutdown_exit(void)
{
    if (hv.guest_done)
        hv.finished = true;
    else
        give_up("the guest crashed");
}

/* --- the table ------------------------------------------------------------------------------------------------------------ */
static const struct {
    u64 code;
    const char *name;
    void (*handle)(void);
} reasons[] = {
    {EXIT_WRITE_CR3, "WRITE_CR3", write_cr3_exit},
    {EXIT_WRITE_CR8, "WRITE_CR8", write_cr8_exit},
    {EXIT_WRITE_DR7, "WRITE_DR7", write_dr7_exit},
    {EXIT_EXCEPTION + 0, "EXCP_DE", exception_exit},
    {EXIT_EXCEPTION + 6, "EXCP_UD", exception_exit},
    {EXIT_INTR, "INTR", physical_interrupt},
    {EXIT_VINTR, "VINTR", interrupt_window},
    {EXIT_CPUID, "CPUID", cpuid_exit},
    {EXIT_HLT, "HLT", halt},
    {EXIT_INVLPG, "INVLPG", invlpg_exit},
    {EXIT_IOIO, "IOIO", ioio_exit},
    {EXIT_MSR, "MSR", msr_exit},
    {EXIT_SHUTDOWN, "SHUTDOWN", shutdown_exit},
    {EXIT_VMMCALL, "VMMCALL", vmmcall_exit},
    {EXIT_NPF, "NPF", 0},
    {EXIT_INVALID, "INVALID", 0},
};

/* VMEXIT_INVALID is -1 in 64 bits; QEMU writes only the lower half. */
u64 exit_code(void) { return (u32)hv.vmcb.exit_code == 0xffffffff ? EXIT_INVALID : hv.vmcb.exit_code; }

const char *exit_name(u64 code)
{
    for (u64 i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].code == code)
            return reasons[i].name;
    return "unknown";
}

void handle_exit(void)
{
    u64 code = exit_code();
    hv.vmcb.tlb_control = 0;
    hv.vmcb.event_injection = 0;
    if (hv.vmcb.exit_interrupt_info & EVENT_VALID) /* the exit came between an event and its handler: once more */
        hv.vmcb.event_injection = hv.vmcb.exit_interrupt_info;

    if (code == EXIT_INVALID) {
        hv.exits_invalid++;
        give_up("VMRUN refused the VMCB");
    } else if (code == EXIT_NPF) {
        hv.exits_nested++;
        if (!nested_fault(hv.vmcb.exit_info_2, hv.vmcb.exit_info_1))
            give_up("access outside the guest's memory");
    } else {
        if (code < ARRAY_SIZE(hv.exits_intercepted))
            hv.exits_intercepted[code]++;
        for (u64 i = 0; i < ARRAY_SIZE(reasons); i++) {
            if (reasons[i].code == code && reasons[i].handle) {
                reasons[i].handle();
                return;
            }
        }
        give_up("an exit that was not asked for");
    }
}
