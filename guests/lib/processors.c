/* Starts other processors: INIT, SIPI, and the code in low memory where they begin. */
#include "processors.h"

enum { START_PAGE = 0x8, INIT = 0x4500, START = 0x4600, ALL_OTHERS = 0xc0000 };

extern const u8 trampoline[], trampoline_end[];
extern const u32 trampoline_stack_at, trampoline_count_at, trampoline_ids_at;

unsigned processor_count;
u8 processor_ids[MAX_PROCESSORS];
static struct {
    void (*function)(void);
    volatile bool done;
} processors[2];
static u8 stacks[2][16384] ALIGNED(16);

static u8 *const copy = (u8 *)(START_PAGE * 4096ul);

static volatile u32 *field(u32 at) { return (volatile u32 *)(copy + at); }

static void send(u8 id, u32 command)
{
    apic_write(APIC_ICR_HIGH, (u32)id << 24);
    apic_write(APIC_ICR, command);
    for (unsigned i = 0; i < 1000000 && (apic_read(APIC_ICR) & 0x1000); i++)
        cpu_relax();
}

static void prepare_trampoline(u32 stack_end)
{
    memcpy(copy, trampoline, (size_t)(trampoline_end - trampoline));
    *field(trampoline_stack_at) = stack_end;
}

void find_processors(void (*wait)(void))
{
    prepare_trampoline(0);
    send(0, ALL_OTHERS | INIT);
    wait();
    send(0, ALL_OTHERS | START | START_PAGE);
    wait();
    send(0, ALL_OTHERS | START | START_PAGE);
    for (int i = 0; i < 5; i++)
        wait();
    processor_count = *field(trampoline_count_at);
    if (processor_count > MAX_PROCESSORS)
        processor_count = MAX_PROCESSORS;
    memcpy(processor_ids, copy + trampoline_ids_at, MAX_PROCESSORS);
}

void processor_main(void);
void processor_main(void)
{
    struct { u16 limit; u64 base; } __attribute__((packed)) idtr = {sizeof idt - 1, (u64)idt};
    __asm__ volatile("lidt %0" ::"m"(idtr));
    apic_write(APIC_SPURIOUS, 0x1ff);
    u8 here;
    unsigned stack = &here >= stacks[1];
    processors[stack].function();
    processors[stack].done = true;
}

void start_processor(u8 id, unsigned stack, void (*function)(void), void (*wait)(void))
{
    prepare_trampoline((u32)(u64)(stacks[stack] + sizeof stacks[stack]));
    processors[stack].function = function;
    processors[stack].done = false;
    send(id, INIT);
    wait();
    send(id, START | START_PAGE);
    wait();
    if (!*field(trampoline_count_at)) /* it did not hear the first one */
        send(id, START | START_PAGE);
}

bool processor_is_done(unsigned stack) { return processors[stack].done; }
