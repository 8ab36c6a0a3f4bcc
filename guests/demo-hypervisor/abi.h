/* What the demo's guest and hypervisor agree on. Everything else the guest learns by CPUID. */
#ifndef ABI_H
#define ABI_H

enum {
    PORT_PRINT = 0xe9,     /* OUT, REP OUTSB: a character for the hypervisor's console */
    PORT_COUNTER = 0xe8,   /* IN: counts up by one a read */

    LEAF_SIGNATURE = 0x40000000, /* EBX:ECX:EDX = "PacificaDemo", EAX = highest leaf */
    LEAF_OPTIONS = 0x40000001,   /* EAX = how often to run the whole programme */

    MSR_SCRATCH = 0x40000100,    /* kept by the hypervisor */
    MSR_FORBIDDEN = 0x40000101,  /* #GP */

    VECTOR_INJECTED = 0x50,
    VECTOR_VIRTUAL = 0x60,
    VECTOR_TIMER = 0x70,
};

/* VMMCALL: RAX = call, RBX, RCX = arguments; the answer is in RAX. */
enum {
    CALL_NOTHING,            /* answers RBX + RCX */
    CALL_INJECT_EXCEPTION,   /* RBX = vector, RCX = error code, or -1 for none: delivered behind the VMMCALL */
    CALL_INJECT_NMI,
    CALL_INJECT_INTERRUPT,   /* RBX = vector, whatever the guest's IF */
    CALL_QUEUE_INTERRUPT,    /* RBX = vector: delivered as soon as the guest can take it (interrupt window exit) */
    CALL_VIRTUAL_INTERRUPT,  /* RBX = vector, RCX = priority: left to the processor (V_IRQ against V_TPR) */
    CALL_VIRTUAL_PENDING,    /* answers whether V_IRQ is still set */
    CALL_START_TIMER,        /* RBX = microseconds: one physical timer interrupt, handed on as VECTOR_TIMER */
    CALL_TSC,                /* answers the guest's time by the hypervisor's clock */
    CALL_DIRTY_PAGES,        /* answers how many pages of the heap were written */
    CALL_INVALIDATE,         /* RBX = address: the hypervisor drops its translation (INVLPGA) */
    CALL_DONE,               /* RBX = checks that passed, RCX = checks that failed */
};

#endif
