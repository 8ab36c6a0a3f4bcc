/* The parts of the demo hypervisor and what they know of each other. */
#ifndef HYPERVISOR_H
#define HYPERVISOR_H

#include "abi.h"
#include "guest.h"
#include "guest_registers.h"
#include "svm.h"

#define GUEST_MEMORY 0x1000000ull /* host-physical; the guest sees it at 0 */
#define GUEST_MEMORY_SIZE 0x400000ull
#define GUEST_TRACKED 0x200000ull /* from here on the hypervisor notices the first write to each page */
#define GUEST_ASID 1

struct hypervisor {
    struct vmcb vmcb, host;
    struct guest_registers registers;
    bool has_next_rip, has_decode_assists;
    u64 exits_intercepted[256], exits_nested, exits_invalid; /* by exit code */
    u64 pages_mapped, pages_dirtied;
    int pending_vector;            /* waits for the guest to take it; -1: none */
    bool window_requested;         /* V_IRQ stands for "tell me when", not for an interrupt of the guest */
    volatile bool timer_fired;
    u64 scratch_msr, loops;
    u8 counter;
    char last_printed;
    bool guest_done, finished, failed;
};
extern struct hypervisor hv;

/* enter.S */
void enter_guest(struct guest_registers *registers, struct vmcb *guest, struct vmcb *host);

/* nested.c */
void nested_init(void);
bool nested_fault(u64 address, u64 information);
void *guest_memory(u64 physical);
bool guest_translate(u64 linear, u64 *physical);

/* exits.c */
void handle_exit(void);
void deliver_pending(void);
u64 exit_code(void);
const char *exit_name(u64 code);

/* main.c: the host's own devices */
void start_timer(u64 microseconds);
void wait_for_timer(void);
void let_interrupts_in(void);

#endif
