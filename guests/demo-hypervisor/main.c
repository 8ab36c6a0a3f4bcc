/* The demo hypervisor: prepares SVM and one guest, runs it to its end, says what happened. */
#include "hypervisor.h"

struct hypervisor hv;
extern const u8 guest_image[], guest_image_end[];

static u8 host_save[4096] ALIGNED(4096);
static u8 io_permissions[12288] ALIGNED(4096);
static u8 msr_permissions[8192] ALIGNED(4096);

void put_char(char c) { serial_put(c); }

static void refuse(const char *why)
{
    print("hypervisor: %s\n", why);
    end_run(EXIT_FAILURE);
}

/* --- the host's timer: channel 0 of the 8254 through the 8259 ------------------------------------------------------------- */
enum { PIC1 = 0x20, PIC2 = 0xa0, PIT = 0x40, HOST_TIMER_VECTOR = 0x20 };

static void timer_interrupt(struct interrupt_frame *frame)
{
    (void)frame;
    hv.timer_fired = true;
    outb(PIC1, 0x20); /* end of interrupt */
}

void wait_for_timer(void)
{
    while (!hv.timer_fired)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    hv.timer_fired = false;
}

/* Mode 0: the output rises once, when the count has run down. */
void start_timer(u64 microseconds)
{
    u64 count = microseconds * 1193182 / 1000000 + 1;
    outb(PIT + 3, 0x30);
    outb(PIT, (u8)count);
    outb(PIT, (u8)(count >> 8));
}

static void timer_init(void)
{
    outb(PIC1, 0x11); /* cascade, ICW4 */
    outb(PIC1 + 1, HOST_TIMER_VECTOR);
    outb(PIC1 + 1, 4);
    outb(PIC1 + 1, 1);
    outb(PIC2, 0x11);
    outb(PIC2 + 1, HOST_TIMER_VECTOR + 8);
    outb(PIC2 + 1, 2);
    outb(PIC2 + 1, 1);
    outb(PIC1 + 1, 0xfe); /* all masked but IRQ 0 */
    outb(PIC2 + 1, 0xff);
    apic_write(APIC_SPURIOUS, 0x1ff);
    apic_write(APIC_LINT0, 0x700); /* ExtINT: the 8259's interrupts pass */
    on_interrupt(HOST_TIMER_VECTOR, timer_interrupt);

    /* The firmware may have left the counter running; after one run in mode 0 it is quiet. */
    start_timer(1);
    wait_for_timer();
}

void let_interrupts_in(void) { __asm__ volatile("sti; nop; cli" ::: "memory"); }

/* --- the guest ------------------------------------------------------------------------------------------------------------ */
/* Loads the ELF32 image as a multiboot loader would; returns its entry. */
static u32 load_guest(void)
{
    struct elf { u8 ident[16]; u16 type, machine; u32 version, entry, phoff, shoff, flags; u16 ehsize, phentsize, phnum; };
    struct program_header { u32 type, offset, vaddr, paddr, filesz, memsz, flags, align; };
    const struct elf *elf = (const struct elf *)guest_image;
    if (memcmp(elf->ident, "\177ELF\1", 5))
        refuse("the guest image is no ELF32 file");
    for (unsigned i = 0; i < elf->phnum; i++) {
        const struct program_header *part = (const struct program_header *)(guest_image + elf->phoff + i * elf->phentsize);
        if (part->type != 1)
            continue;
        if ((u64)part->paddr + part->memsz > GUEST_MEMORY_SIZE)
            refuse("the guest image does not fit");
        for (u32 at = 0; at < part->filesz;) {
            u64 target = part->paddr + at, count = PAGE - target % PAGE;
            if (count > part->filesz - at)
                count = part->filesz - at;
            u8 *page = guest_memory(target & ~(PAGE - 1));
            memcpy(page + target % PAGE, guest_image + part->offset + at, count);
            at += count;
        }
    }
    return elf->entry;
}

static struct segment flat(u16 selector, u16 attributes) { return (struct segment){selector, attributes, 0xffffffff, 0}; }

/* The state in which a multiboot loader hands over: 32-bit protected mode, paging off, EBX = information (none here). */
static void prepare_guest(u32 entry)
{
    struct vmcb *v = &hv.vmcb;
    v->intercept_cr_write = 1 << 3 | 1 << 8;
    v->intercept_dr_write = 1 << 7;
    v->intercept_exceptions = 1 << 0 | 1 << 6;
    v->intercept_1 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_CPUID | INTERCEPT_HLT | INTERCEPT_INVLPG | INTERCEPT_INVLPGA | INTERCEPT_IOIO |
                     INTERCEPT_MSR | INTERCEPT_SHUTDOWN;
    v->intercept_2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE | INTERCEPT_STGI | INTERCEPT_CLGI | INTERCEPT_SKINIT;
    v->iopm = (u64)io_permissions;
    v->msrpm = (u64)msr_permissions;
    v->asid = GUEST_ASID;
    v->tlb_control = 1;
    v->virtual_interrupt = V_INTR_MASKING;
    v->tsc_offset = -rdtsc();

    v->cs = flat(0x08, 0xc9b);
    v->ss = v->ds = v->es = v->fs = v->gs = flat(0x10, 0xc93);
    v->tr = (struct segment){0, 0x8b, 0xffff, 0};
    v->ldtr = (struct segment){0, 0x82, 0xffff, 0};
    v->gdtr.limit = v->idtr.limit = 0xffff;
    v->cr0 = 0x11; /* ET, PE */
    v->dr6 = 0xffff0ff0;
    v->dr7 = 0x400;
    v->efer = EFER_SVME;
    v->rflags = 2;
    v->rip = entry;
    v->rax = 0x2badb002;
    v->pat = rdmsr(MSR_PAT);
}

/* All ports are intercepted. Of the MSRs, those stay the guest's own that VMSAVE and VMLOAD, or VMRUN itself, switch. */
static void prepare_permissions(void)
{
    static const u32 guests_own[] = {MSR_STAR, MSR_LSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};
    memset(io_permissions, 0xff, sizeof io_permissions);
    memset(msr_permissions, 0xff, sizeof msr_permissions);
    for (u64 i = 0; i < ARRAY_SIZE(guests_own); i++) {
        u64 bit = (guests_own[i] & 0x1fff) * 2; /* two bits an MSR: read, write (§15.11) */
        msr_permissions[0x800 + bit / 8] &= (u8)~(3u << bit % 8);
    }
}

static void enable_svm(void)
{
    if (cpuid(0x80000000, 0).eax < 0x8000000a || !(cpuid(0x80000001, 0).ecx & BIT(2)))
        refuse("this processor has no SVM");
    struct cpuid features = cpuid(0x8000000a, 0);
    if (!(features.edx & SVM_NESTED_PAGING))
        refuse("this processor has no nested paging");
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
        refuse("SVM is disabled in VM_CR");
    hv.has_next_rip = features.edx & SVM_NEXT_RIP_SAVE;
    hv.has_decode_assists = features.edx & SVM_DECODE_ASSISTS;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, (u64)host_save);
}

/* --- the end -------------------------------------------------------------------------------------------------------------- */
/* A VMCB without an ASID must be refused (§15.5.1). */
static void try_invalid_vmcb(void)
{
    hv.vmcb.asid = 0;
    hv.vmcb.event_injection = 0;
    enter_guest(&hv.registers, &hv.vmcb, &hv.host);
    if (exit_code() == EXIT_INVALID)
        hv.exits_invalid++;
    else
        hv.failed = true;
}

static void summary(void)
{
    u64 total = 0, kinds = 0;
    print("exits by reason:\n");
    for (u64 code = 0; code < ARRAY_SIZE(hv.exits_intercepted) + 2; code++) {
        bool nested = code == ARRAY_SIZE(hv.exits_intercepted), invalid = code == ARRAY_SIZE(hv.exits_intercepted) + 1;
        u64 count = nested ? hv.exits_nested : invalid ? hv.exits_invalid : hv.exits_intercepted[code];
        if (!count)
            continue;
        total += count;
        kinds++;
        print("  %-12s%6lu\n", exit_name(nested ? EXIT_NPF : invalid ? EXIT_INVALID : code), count);
    }
    print("%lu exits of %lu kinds, %lu pages mapped, %lu dirtied\n", total, kinds, hv.pages_mapped, hv.pages_dirtied);
}

void guest_main(void)
{
    serial_init();
    enable_svm();
    timer_init();
    hv.loops = option("loops", 1);
    hv.pending_vector = -1;
    hv.last_printed = '\n';
    print("Pacifica demo hypervisor: SVM with nested paging\n");

    nested_init();
    prepare_permissions();
    prepare_guest(load_guest());
    vmsave(&hv.host);
    while (!hv.finished) {
        deliver_pending();
        enter_guest(&hv.registers, &hv.vmcb, &hv.host);
        handle_exit();
    }
    try_invalid_vmcb();
    summary();
    print(hv.failed ? "DEMO FAILED\n" : "DEMO PASSED\n");
    end_run(hv.failed ? EXIT_FAILURE : EXIT_SUCCESS);
}
