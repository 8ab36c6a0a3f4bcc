/*
 * AMD's Secure Virtual Machine as our hypervisors use it: the VMCB (APM volume 2, appendix B), its bits, the exit codes
 * (appendix C) and the instructions.
 */
#ifndef SVM_H
#define SVM_H

#include "guest.h"

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_SVME BIT(12)
#define VM_CR_SVMDIS BIT(4)

/* CPUID Fn8000_000A EDX */
#define SVM_NESTED_PAGING BIT(0)
#define SVM_NEXT_RIP_SAVE BIT(3)
#define SVM_DECODE_ASSISTS BIT(7)

struct segment {
    u16 selector;
    u16 attributes; /* type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11 */
    u32 limit;
    u64 base;
};

struct vmcb {
    /* control area */
    u16 intercept_cr_read, intercept_cr_write; /* 000 */
    u16 intercept_dr_read, intercept_dr_write; /* 004 */
    u32 intercept_exceptions;                  /* 008 */
    u32 intercept_1;                           /* 00c */
    u32 intercept_2;                           /* 010 */
    u32 intercept_3;                           /* 014 */
    u8 reserved_018[0x3c - 0x18];
    u16 pause_threshold, pause_count;          /* 03c */
    u64 iopm, msrpm;                           /* 040 */
    u64 tsc_offset;                            /* 050 */
    u32 asid;                                  /* 058 */
    u32 tlb_control;                           /* 05c */
    u64 virtual_interrupt;                     /* 060 */
    u64 interrupt_shadow;                      /* 068 */
    u64 exit_code, exit_info_1, exit_info_2;   /* 070 */
    u64 exit_interrupt_info;                   /* 088 */
    u64 nested_control;                        /* 090 */
    u8 reserved_098[0xa8 - 0x98];
    u64 event_injection;                       /* 0a8 */
    u64 nested_cr3;                            /* 0b0 */
    u64 lbr_control;                           /* 0b8 */
    u64 clean;                                 /* 0c0 */
    u64 next_rip;                              /* 0c8 */
    u8 fetched, instruction[15];               /* 0d0 */
    u8 reserved_0e0[0x400 - 0xe0];
    /* state save area */
    struct segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 400 */
    u8 reserved_4a0[0x4cb - 0x4a0];
    u8 cpl;                                    /* 4cb */
    u32 reserved_4cc;
    u64 efer;                                  /* 4d0 */
    u8 reserved_4d8[0x548 - 0x4d8];
    u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;  /* 548 */
    u8 reserved_580[0x5d8 - 0x580];
    u64 rsp;                                   /* 5d8 */
    u8 reserved_5e0[0x5f8 - 0x5e0];
    u64 rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2; /* 5f8 */
    u8 reserved_648[0x668 - 0x648];
    u64 pat, debug_control;                    /* 668 */
    u8 reserved_678[0x1000 - 0x678];
} __attribute__((packed, aligned(4096)));

#define AT(field, offset) _Static_assert(offsetof(struct vmcb, field) == (offset), #field)
AT(iopm, 0x40);
AT(asid, 0x58);
AT(exit_code, 0x70);
AT(event_injection, 0xa8);
AT(next_rip, 0xc8);
AT(es, 0x400);
AT(tr, 0x490);
AT(cpl, 0x4cb);
AT(efer, 0x4d0);
AT(cr4, 0x548);
AT(rsp, 0x5d8);
AT(rax, 0x5f8);
AT(cr2, 0x640);
AT(pat, 0x668);
#undef AT
_Static_assert(sizeof(struct vmcb) == 4096, "a VMCB is a page");

enum { /* bits of intercept_1 */
    INTERCEPT_INTR = 1 << 0, INTERCEPT_NMI = 1 << 1, INTERCEPT_INIT = 1 << 3, INTERCEPT_VINTR = 1 << 4, INTERCEPT_CPUID = 1 << 18,
    INTERCEPT_PAUSE = 1 << 23, INTERCEPT_HLT = 1 << 24, INTERCEPT_INVLPG = 1 << 25, INTERCEPT_INVLPGA = 1 << 26,
    INTERCEPT_IOIO = 1 << 27, INTERCEPT_MSR = 1 << 28, INTERCEPT_SHUTDOWN = 1u << 31,
};
enum { /* bits of intercept_2 */
    INTERCEPT_VMRUN = 1 << 0, INTERCEPT_VMMCALL = 1 << 1, INTERCEPT_VMLOAD = 1 << 2, INTERCEPT_VMSAVE = 1 << 3,
    INTERCEPT_STGI = 1 << 4, INTERCEPT_CLGI = 1 << 5, INTERCEPT_SKINIT = 1 << 6,
};

/* virtual_interrupt */
#define V_TPR 0xffull
#define V_IRQ BIT(8)
#define V_INTR_PRIORITY(p) ((u64)(p) << 16)
#define V_IGNORE_TPR BIT(20)
#define V_INTR_MASKING BIT(24)
#define V_INTR_VECTOR(v) ((u64)(v) << 32)

/* event_injection and exit_interrupt_info */
enum { EVENT_INTERRUPT = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3, EVENT_SOFTWARE = 4 };
#define EVENT_VALID BIT(31)
#define EVENT_HAS_ERROR BIT(11)
#define EVENT(type, vector) (EVENT_VALID | (u64)(type) << 8 | (vector))
#define EVENT_WITH_ERROR(vector, error) (EVENT(EVENT_EXCEPTION, vector) | EVENT_HAS_ERROR | (u64)(error) << 32)

enum {
    EXIT_READ_CR0 = 0x00, EXIT_WRITE_CR0 = 0x10, EXIT_WRITE_CR3 = 0x13, EXIT_WRITE_CR8 = 0x18, EXIT_READ_DR0 = 0x20, EXIT_WRITE_DR0 = 0x30, EXIT_WRITE_DR7 = 0x37,
    EXIT_EXCEPTION = 0x40, EXIT_INTR = 0x60, EXIT_NMI = 0x61, EXIT_VINTR = 0x64, EXIT_CPUID = 0x72, EXIT_HLT = 0x78, EXIT_INVLPG = 0x79,
    EXIT_IOIO = 0x7b, EXIT_MSR = 0x7c, EXIT_SHUTDOWN = 0x7f, EXIT_VMRUN = 0x80, EXIT_VMMCALL = 0x81, EXIT_NPF = 0x400,
};
#define EXIT_INVALID (~0ull)

/* exit_info_1 of a nested page fault */
#define NPF_PRESENT BIT(0)
#define NPF_WRITE BIT(1)
#define NPF_FETCH BIT(4)
#define NPF_FINAL BIT(32)
#define NPF_TABLE_WALK BIT(33)

static inline void clgi(void) { __asm__ volatile("clgi" ::: "memory"); }
static inline void stgi(void) { __asm__ volatile("stgi" ::: "memory"); }
static inline void vmsave(const struct vmcb *vmcb) { __asm__ volatile("vmsave" ::"a"(vmcb) : "memory"); }
static inline void vmload(const struct vmcb *vmcb) { __asm__ volatile("vmload" ::"a"(vmcb) : "memory"); }
static inline void invlpga(u64 address, u32 asid) { __asm__ volatile("invlpga" ::"a"(address), "c"(asid) : "memory"); }

#endif
