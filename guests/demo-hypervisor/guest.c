/*
 * The guest: a 64-bit program with its own page tables and IDT that makes the hypervisor do each of the things it can.
 * It starts as under a multiboot loader and never touches real hardware.
 */
#include "guest.h"
#include "abi.h"

#define HEAP 0x200000ull /* below the top of the guest's 4 MiB */
#define HEAP_PAGES 32
#define WINDOW 0x40000000ull /* linear page that the second address space maps elsewhere */

static unsigned passed, failed;
static bool quiet;

/* --- output: a line is collected and leaves by one REP OUTSB; the first line goes character by character ---------------- */
static char line[128];
static unsigned length;
static bool slow = true;

void put_char(char c)
{
    if (quiet)
        return;
    if (slow) {
        outb(PORT_PRINT, (u8)c);
        return;
    }
    line[length++] = c;
    if (c == '\n' || length == sizeof line) {
        const char *from = line;
        u64 count = length;
        __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(PORT_PRINT) : "memory");
        length = 0;
    }
}

static void check(bool good, const char *what)
{
    if (good)
        passed++;
    else
        failed++;
    if (good)
        print("ok   %s\n", what);
    else {
        quiet = false;
        print("FAIL %s\n", what);
    }
}

static u64 vmmcall(u64 call, u64 b, u64 c)
{
    __asm__ volatile("vmmcall" : "+a"(call) : "b"(b), "c"(c) : "memory", "cc");
    return call;
}

/* --- interrupts: each remembers what it saw ------------------------------------------------------------------------------ */
static volatile unsigned taken[256];
static volatile u64 last_error, last_rip, resume_at;

static void remember(struct interrupt_frame *frame)
{
    taken[frame->vector]++;
    last_error = frame->error;
    last_rip = frame->rip;
    if (resume_at) {
        frame->rip = resume_at;
        resume_at = 0;
    }
}

/* Runs one faulting instruction; the handler goes on behind it. */
#define FAULT(instruction, ...)                                                                      \
    __asm__ volatile("movq $1f, %0\n\t" instruction "\n1:" : "=m"(resume_at) : __VA_ARGS__)

/* --- the programme ------------------------------------------------------------------------------------------------------- */
static void leaves(void)
{
    struct cpuid r = cpuid(LEAF_SIGNATURE, 0);
    check(!memcmp(&r.ebx, "Paci", 4) && !memcmp(&r.ecx, "fica", 4) && !memcmp(&r.edx, "Demo", 4), "CPUID 40000000 carries the signature");
    check(cpuid(1, 0).ecx >> 31, "CPUID 1 says that a hypervisor is present");
    check(!(cpuid(0x80000001, 0).ecx & BIT(2)), "CPUID 80000001 offers no SVM to the guest");
}

static void model_specific_registers(void)
{
    wrmsr(MSR_SCRATCH, 0x123456789abcdef0);
    check(rdmsr(MSR_SCRATCH) == 0x123456789abcdef0, "WRMSR and RDMSR of the hypervisor's own MSR");
    unsigned before = taken[13];
    FAULT("rdmsr", "c"(MSR_FORBIDDEN) : "rax", "rdx");
    check(taken[13] == before + 1 && last_error == 0, "RDMSR of a forbidden MSR gives #GP(0)");
    check(!(rdmsr(MSR_EFER) & BIT(12)), "EFER.SVME is hidden");
    wrmsr(MSR_KERNEL_GS_BASE, 0xffff800000001000);
    vmmcall(CALL_NOTHING, 0, 0);
    check(rdmsr(MSR_KERNEL_GS_BASE) == 0xffff800000001000, "KernelGSBase survives an exit (VMSAVE, VMLOAD)");
}

static void ports(void)
{
    u8 first = inb(PORT_COUNTER);
    check((u8)(inb(PORT_COUNTER) - first) == 1, "IN from the hypervisor's counter");
}

static void memory(void)
{
    volatile u64 *heap = (volatile u64 *)HEAP;
    u64 sum = 0;
    for (unsigned i = 0; i < HEAP_PAGES; i++)
        sum |= heap[i * PAGE / 8];
    check(quiet || sum == 0, "fresh pages read as zero");
    for (unsigned i = 0; i < HEAP_PAGES / 2; i++)
        heap[i * PAGE / 8] = i + 1;
    u64 wrong = 0;
    for (unsigned i = 0; i < HEAP_PAGES / 2; i++)
        wrong |= heap[i * PAGE / 8] ^ (i + 1);
    check(!wrong, "pages keep what is written");
    check(vmmcall(CALL_DIRTY_PAGES, 0, 0) == HEAP_PAGES / 2, "the hypervisor knows which pages were written");
    vmmcall(CALL_INVALIDATE, HEAP, 0);
    check(heap[0] == 1, "a page survives INVLPGA");
}

static void exceptions(void)
{
    unsigned before = taken[6];
    FAULT("ud2", "i"(0));
    check(taken[6] == before + 1, "#UD: intercepted and handed back");
    before = taken[0];
    FAULT("div %b1", "q"((u8)0) : "rax");
    check(taken[0] == before + 1, "#DE: intercepted and handed back");
    before = taken[3];
    __asm__ volatile("int3");
    check(taken[3] == before + 1, "#BP: delivered without the hypervisor");
    before = taken[14];
    FAULT("movb $1, (%1)", "r"(0x7ff0000000ull));
    check(taken[14] == before + 1 && last_error == 2 && read_cr2() == 0x7ff0000000, "#PF of the guest's own tables: error code and CR2");
}

static void injection(void)
{
    unsigned before = taken[13];
    vmmcall(CALL_INJECT_EXCEPTION, 13, 0x1234);
    check(taken[13] == before + 1 && last_error == 0x1234, "EVENTINJ: exception with error code");
    before = taken[2];
    vmmcall(CALL_INJECT_NMI, 0, 0);
    check(taken[2] == before + 1, "EVENTINJ: NMI");
    before = taken[VECTOR_INJECTED];
    vmmcall(CALL_INJECT_INTERRUPT, VECTOR_INJECTED, 0);
    check(taken[VECTOR_INJECTED] == before + 1, "EVENTINJ: interrupt while IF is clear");
}

static void virtual_interrupts(void)
{
    cli();
    unsigned before = taken[VECTOR_VIRTUAL];
    vmmcall(CALL_QUEUE_INTERRUPT, VECTOR_VIRTUAL, 0);
    check(taken[VECTOR_VIRTUAL] == before, "a queued interrupt waits for IF");
    __asm__ volatile("sti; nop; nop; cli");
    check(taken[VECTOR_VIRTUAL] == before + 1, "the interrupt window delivers it");

    before = taken[VECTOR_VIRTUAL];
    write_cr8(9);
    vmmcall(CALL_VIRTUAL_INTERRUPT, VECTOR_VIRTUAL, 6);
    __asm__ volatile("sti; nop; nop; cli");
    check(taken[VECTOR_VIRTUAL] == before && vmmcall(CALL_VIRTUAL_PENDING, 0, 0), "V_TPR above its priority holds V_IRQ back");
    write_cr8(0);
    __asm__ volatile("sti; nop; nop; cli");
    check(taken[VECTOR_VIRTUAL] == before + 1 && !vmmcall(CALL_VIRTUAL_PENDING, 0, 0), "CR8 lowered: V_IRQ is delivered");
}

static void timer(void)
{
    unsigned before = taken[VECTOR_TIMER];
    sti();
    vmmcall(CALL_START_TIMER, 50, 0);
    while (taken[VECTOR_TIMER] == before) /* a physical interrupt must come between */
        ;
    check(taken[VECTOR_TIMER] == before + 1, "a physical timer interrupt ends the guest's spinning");

    cli();
    vmmcall(CALL_START_TIMER, 20000, 0); /* long enough that HLT comes first on a slow machine too */
    __asm__ volatile("sti; hlt; cli");
    check(taken[VECTOR_TIMER] == before + 2, "HLT sleeps until the timer");

    u64 mine = rdtsc(), theirs = vmmcall(CALL_TSC, 0, 0);
    check(mine < theirs && rdtsc() > theirs, "TSC_OFFSET: guest and hypervisor agree on the guest's time");
}

static u64 other_tables[3][512] ALIGNED(4096);

/* The second address space shares everything but one gigabyte, which shows the heap. */
static void address_spaces(void)
{
    u64 *mine = (u64 *)read_cr3(), *pdpt = (u64 *)(mine[0] & ~0xfffull);
    memcpy(other_tables[0], mine, PAGE);
    memcpy(other_tables[1], pdpt, PAGE);
    other_tables[0][0] = (u64)other_tables[1] | 3;
    other_tables[1][WINDOW >> 30] = (u64)other_tables[2] | 3;
    other_tables[2][0] = HEAP | 0x83;
    u64 sum = 0;
    for (int i = 0; i < 4; i++) {
        write_cr3((u64)other_tables[0]);
        sum += *(volatile u64 *)WINDOW;
        write_cr3((u64)mine);
    }
    check(sum == 4, "CR3 switches between two address spaces");
    invlpg(WINDOW);
    check(read_cr3() == (u64)mine, "INVLPG, intercepted");
}

static void debug_registers(void)
{
    u64 value;
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ull));
    __asm__ volatile("mov %%dr7, %0" : "=r"(value));
    check(value == 0x400, "MOV to DR7, intercepted");
}

/* Ring 3: enters by SYSRET, comes back by SYSCALL. The tables' pages are made user pages for the time being. */
static void user_mode(void)
{
    u64 *pml4 = (u64 *)read_cr3(), *pdpt = (u64 *)(pml4[0] & ~0xfffull), *directory = (u64 *)(pdpt[0] & ~0xfffull);
    pml4[0] |= 4;
    pdpt[0] |= 4;
    directory[0] |= 4;
    write_cr3((u64)pml4);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | BIT(0));
    wrmsr(MSR_STAR, (u64)(DATA | 3) << 48 | (u64)CODE64 << 32);
    wrmsr(MSR_SFMASK, 0x200);
    u64 ring, lstar;
    __asm__ volatile("movq $2f, %1\n\t"
                     "mov %1, %%rdx\n\t"
                     "mov %k1, %%eax\n\t"
                     "shr $32, %%rdx\n\t"
                     "mov %2, %%ecx\n\t"
                     "wrmsr\n\t"
                     "mov $1f, %%ecx\n\t"
                     "mov $2, %%r11d\n\t"
                     "sysretq\n"
                     "1:\tmov %%cs, %%rax\n\t"
                     "syscall\n"
                     "2:\tand $3, %%eax\n\t"
                     "mov %%rax, %0\n\t"
                     "mov %3, %%eax\n\t"
                     "mov %%eax, %%ss"
                     : "=&b"(ring), "=&S"(lstar)
                     : "i"(MSR_LSTAR), "i"(DATA)
                     : "rax", "rcx", "rdx", "r11", "memory", "cc");
    directory[0] &= ~4ull;
    write_cr3((u64)pml4);
    check(ring == 3, "SYSRET to ring 3 and SYSCALL back");
}

static void crash(void)
{
    struct { u16 limit; u64 base; } __attribute__((packed)) none = {0, 0};
    __asm__ volatile("lidt %0; ud2" ::"m"(none));
}

void guest_main(void)
{
    for (unsigned vector = 0; vector < 256; vector++)
        on_interrupt((u8)vector, remember);
    print("64-bit guest, own tables\n");
    slow = false;

    u32 loops = cpuid(LEAF_OPTIONS, 0).eax;
    for (u32 loop = 0; loop < loops; loop++) {
        leaves();
        model_specific_registers();
        ports();
        memory();
        exceptions();
        injection();
        virtual_interrupts();
        timer();
        address_spaces();
        debug_registers();
        user_mode();
        quiet = true;
    }
    quiet = false;
    print("%u checks passed, %u failed; last act: a triple fault\n", passed, failed);
    vmmcall(CALL_DONE, passed, failed);
    crash();
}
