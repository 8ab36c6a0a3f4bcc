/* The IDT: every vector leads to a handler; one that nobody asked for ends the run with what is known about it. */
#include "guest.h"

extern u8 interrupt_stubs[];

u64 idt[512] ALIGNED(16);
static interrupt_handler *handlers[256];

void on_interrupt(u8 vector, interrupt_handler *handler) { handlers[vector] = handler; }

void unexpected_interrupt(struct interrupt_frame *f)
{
    print("\nunexpected interrupt %lu error %lx at %lx:%lx flags %lx stack %lx:%lx cr2 %lx\n", f->vector, f->error, f->cs, f->rip,
          f->rflags, f->ss, f->rsp, read_cr2());
    print("rax %lx rcx %lx rdx %lx rbx %lx rbp %lx rsi %lx rdi %lx\n", f->rax, f->rcx, f->rdx, f->rbx, f->rbp, f->rsi, f->rdi);
    end_run(EXIT_FAILURE);
}

void handle_interrupt(struct interrupt_frame *frame);
void handle_interrupt(struct interrupt_frame *frame)
{
    interrupt_handler *handler = handlers[frame->vector];
    if (!handler)
        unexpected_interrupt(frame);
    handler(frame);
}

void interrupts_init(void)
{
    for (u64 vector = 0; vector < 256; vector++) {
        u64 entry = (u64)interrupt_stubs + vector * 16;
        idt[2 * vector] = (entry & 0xffff) | CODE64 << 16 | 0x8e00ull << 32 | (entry >> 16 & 0xffff) << 48;
        idt[2 * vector + 1] = entry >> 32;
    }
    struct { u16 limit; u64 base; } __attribute__((packed)) idtr = {sizeof idt - 1, (u64)idt};
    __asm__ volatile("lidt %0" ::"m"(idtr));
}
