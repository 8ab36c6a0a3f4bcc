/*
 * The frame of the conformance tests: named tests, one guest that each of them changes to its liking, expectations.
 *
 * TEST("15.5.1/asid-zero") { … } registers a test; its name begins with the section of the AMD64 Architecture Programmer's
 * Manual, volume 2, whose rule it checks. Before each test the host, the guest's memory and its VMCB are put into the state
 * that prepare() describes, so that a test says only what is different.
 */
#ifndef FRAME_H
#define FRAME_H

#include "guest.h"
#include "guest_registers.h"
#include "processors.h"
#include "svm.h"

struct test {
    const char *name;
    void (*run)(void);
};

#define TEST(name) TEST_NUMBERED(name, __COUNTER__)
#define TEST_NUMBERED(name, n) TEST_NAMED(name, n)
#define TEST_NAMED(name_, n)                                                                                                             \
    static void test_##n(void);                                                                                                          \
    __attribute__((section(".tests"), used, aligned(sizeof(void *)))) static const struct test entry_##n = {name_, test_##n};            \
    static void test_##n(void)

/* --- verdicts -------------------------------------------------------------------------------------------------------------- */
void fail(const char *what, u64 expected, u64 found);
void fail_text(const char *what);
void skip(const char *why);
#define EXPECT_EQ(what, found, expected)                                     \
    do {                                                                     \
        u64 found_ = (u64)(found), expected_ = (u64)(expected);              \
        if (found_ != expected_)                                             \
            fail(what, expected_, found_);                                   \
    } while (0)
#define EXPECT(what, condition)      \
    do {                             \
        if (!(condition))            \
            fail_text(what);         \
    } while (0)
#define REQUIRE(condition, why) \
    do {                        \
        if (!(condition)) {     \
            skip(why);          \
            return;             \
        }                       \
    } while (0)
#define REQUIRE_SVM(bit, why) REQUIRE(svm_features & BIT(bit), "CPUID Fn8000_000A EDX does not offer " why)

/* --- the processor --------------------------------------------------------------------------------------------------------- */
enum { /* bits of CPUID Fn8000_000A EDX */
    HAS_NP = 0, HAS_LBRV = 1, HAS_SVML = 2, HAS_NRIPS = 3, HAS_TSC_RATE = 4, HAS_CLEAN = 5, HAS_FLUSH_BY_ASID = 6, HAS_DECODE = 7,
    HAS_PAUSE_FILTER = 10, HAS_PAUSE_THRESHOLD = 12, HAS_AVIC = 13, HAS_VLS = 15, HAS_VGIF = 16, HAS_GMET = 17, HAS_X2AVIC = 18,
    HAS_SPEC_CTRL = 20, HAS_ROGPT = 21, HAS_INVLPGB_CONTROL = 24, HAS_VNMI = 25, HAS_EXTENDED_LVT = 27, HAS_BUS_LOCK = 29, HAS_IDLE_HLT = 30,
};
extern u32 svm_features, svm_asids;
extern unsigned physical_bits;
static inline bool cpuid_bit(u32 leaf, char in, unsigned bit)
{
    struct cpuid c = cpuid(leaf, 0);
    u32 value = in == 'a' ? c.eax : in == 'b' ? c.ebx : in == 'c' ? c.ecx : c.edx;
    return cpuid(leaf & 0x80000000, 0).eax >= leaf && (value & BIT(bit));
}

/* --- the guest ------------------------------------------------------------------------------------------------------------- */
extern struct vmcb v;       /* of the guest */
extern struct vmcb w;       /* a second one, zeroed before each test */
extern struct vmcb host;    /* the host's own VMSAVE state */
extern struct guest_registers r; /* of the guest */
extern u8 iopm[0x3000], msrpm[0x2000], host_save[0x1000];
#define VMCB_U16(offset) (*(volatile u16 *)((u8 *)&v + (offset)))
#define VMCB_U64(offset) (*(volatile u64 *)((u8 *)&v + (offset)))

/*
 * The guest's code: text before the instruction under test, the instruction, text behind it; at the end stands a VMMCALL.
 * In the texts % is written %%.
 */
extern u64 code_start, insn_at, insn_next, code_end;
#define GUEST3(before, insn, after)                                                                                            \
    do {                                                                                                                       \
        __asm__ volatile(".pushsection .text.guest,\"ax\"\n97: " before "\n98: " insn "\n99: " after "\n96: vmmcall\n.code64\n"   \
                         ".popsection\n\tmovq $97b, %0\n\tmovq $98b, %1\n\tmovq $99b, %2\n\tmovq $96b, %3"                     \
                         : "=m"(code_start), "=m"(insn_at), "=m"(insn_next), "=m"(code_end));                                  \
        v.rip = code_start;                                                                                                    \
    } while (0)
#define GUEST(insn) GUEST3("", insn, "")
/* The address of other code for the guest or the host, ended by nothing. */
#define CODE(text)                                                                                            \
    ({                                                                                                        \
        u64 at_;                                                                                              \
        __asm__ volatile(".pushsection .text.guest,\"ax\"\n97: " text "\n.code64\n.popsection\n\tmovq $97b, %0" : "=r"(at_)); \
        at_;                                                                                                  \
    })

void run(void);                         /* VMLOAD, VMRUN, VMSAVE; a watch ends what does not end by itself */
void watch(bool on);                    /* around a VMRUN of the test's own */
bool exits_with(u64 code);              /* what the last run left with; a failure otherwise */
void expect_exit(u64 code);             /* run(), then exits_with() */
void expect_done(void);                 /* run(), and the guest reaches the VMMCALL at its end */
void expect_invalid(void);              /* run(), and VMRUN refuses the VMCB */
void expect_valid(void);                /* run(), and it does not */
void expect_vector(unsigned vector);    /* run(), and the guest enters the handler of that vector */
void expect_exception(unsigned vector); /* run(), and the exception intercept of that vector ends it */
void expect_at_insn(void);              /* RIP is that of the instruction under test */
void expect_next_rip(void);             /* where CPUID offers it, nRIP is that behind the instruction */
void deliver(unsigned vector);          /* this exception is not intercepted: it goes to the guest */
static inline bool invalid(void) { return (u32)v.exit_code == 0xffffffff; } /* QEMU writes the lower half alone */
extern volatile u32 guest_vector;       /* of the handler that the guest entered last; NO_VECTOR before */
#define NO_VECTOR 0xffffffffu
u64 guest_pushed(unsigned slot);        /* the n-th qword on the guest's stack */

/* The modes of the guest; prepare() makes it one of 64 bits at CPL 0. */
void mode_user(void);                   /* 64 bits, CPL 3 */
void mode_compatibility(void);          /* 32-bit code in long mode */
void mode_protected(void);              /* 32 bits, paging off */
void mode_pae(void);                    /* 32 bits, PAE paging, identity */
void mode_legacy_paging(void);          /* 32 bits, two-level paging, identity by 4-MiB pages */
void mode_real(void);                   /* call it behind GUEST(): CS.base is the code's address */
void mode_virtual_8086(void);           /* behind GUEST() too */
void use_nested_paging(void);           /* identity; the tests using it check HAS_NP */
void use_virtual_idt(void);             /* moves the guest's IDT into the window; page 15 */

enum { /* the guest's GDT */
    GUEST_CODE64 = 0x08, GUEST_DATA = 0x10, GUEST_USER_DATA = 0x1b, GUEST_USER_CODE = 0x23, GUEST_TSS = 0x28, GUEST_CODE32 = 0x38,
    GUEST_USER_CODE32 = 0x43, GUEST_TSS32 = 0x48, GUEST_TSS32_OTHER = 0x50, GUEST_TASK_GATE = 0x58, GUEST_FREE = 0x60, GUEST_GDT_ENTRIES = 32,
};
extern u64 guest_gdt[GUEST_GDT_ENTRIES], guest_idt[512], guest_idt32[256];
extern u8 guest_tss[0x2100], guest_tss32[2][0x2100], guest_stack[4096 * 2], guest_user_stack[4096];
extern u64 guest_pml4[512], guest_pdpt[512], guest_directories[4][512];
extern u64 guest_window[512];           /* PTEs of the guest's linear window */
extern u64 nested_pml4[512], nested_pdpt[512], nested_directories[4][512];
extern u64 nested_window[512];          /* PTEs of the guest-physical window, under nested paging */
extern u8 page[16][4096];               /* memory of the test's own, zeroed before it */
#define WINDOW 0x100000000ull           /* linear and guest-physical: 2 MiB by 4-KiB pages; page n shows page[n], n < 16 */
#define WINDOW_PAGE(n) (WINDOW + (n) * 4096ull)
#define STACK_TOP ((u64)guest_stack + sizeof guest_stack - 64)
void guest_gate(unsigned vector, u64 handler, unsigned type, unsigned dpl, unsigned ist, bool present);
void guest_gate32(unsigned vector, u32 handler, unsigned type, unsigned dpl, bool present);
extern u8 guest_stubs[], guest_stubs32[], guest_stubs16[], guest_stubs16_end[];
#define REAL_IVT 0x20000u               /* low memory for real-mode guests */
#define REAL_STACK 0x24000u

enum { P = 1, RW = 2, US = 4, PWT = 8, PCD = 16, A = 32, D = 64, PS = 128, G = 256 };
#define NX BIT(63)

/* --- the host -------------------------------------------------------------------------------------------------------------- */
enum { DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17, MC = 18, XM = 19, SX = 30 };
struct fault {
    bool taken;
    u64 vector, error, rip, rflags;
};
extern volatile struct fault fault;
extern volatile u64 resume, resume_stack;
/* Runs assembly in the host that may fault; execution goes on behind it either way. Operands follow, a lone colon at the least. */
#define TRY(code, ...)                                                                                                                  \
    do {                                                                                                                                \
        fault.taken = false;                                                                                                            \
        __asm__ volatile("" ::: "memory");                                                                                              \
        __asm__ volatile("movq %%rsp, resume_stack\n\tmovq $99f, resume\n\t" code "\n99:\tmovq $0, resume\n\t" __VA_ARGS__);               \
        __asm__ volatile("" ::: "memory");                                                                                              \
    } while (0)
void expect_fault(unsigned vector, u64 error); /* of the last TRY */
void expect_no_fault(void);
bool write_msr(u32 msr, u64 value);            /* false: it faulted */
bool read_msr(u32 msr, u64 *value);
extern volatile unsigned interrupts[256];      /* how often each vector was taken by the host */
void take_interrupts(void);                    /* STI for a moment */
void self_interrupt(u8 vector);                /* by the local APIC; waits until it is requested */
void self_nmi(void);
void enter(struct vmcb *guest, struct guest_registers *registers, struct vmcb *host);
/* Another processor that can be given something to do, if there is one; wait_for_helper() is false when it never ended. */
bool has_helper(void);
void start_helper(void (*function)(void));
bool wait_for_helper(void);
void become_host(void);                        /* what a helper does first: this processor's registers in order, SVM on */
u8 helper_target(void);                        /* APIC identifier of the processor that runs the tests */

/* --- bits ------------------------------------------------------------------------------------------------------------------ */
#define FLAG_CF BIT(0)
#define FLAG_ZF BIT(6)
#define FLAG_TF BIT(8)
#define FLAG_IF BIT(9)
#define FLAG_OF BIT(11)
#define FLAG_IOPL3 (3 * BIT(12))
#define FLAG_NT BIT(14)
#define FLAG_RF BIT(16)
#define FLAG_VM BIT(17)
#define FLAG_AC BIT(18)
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_SMEP BIT(20)
#define DR6_FIXED 0xffff0ff0ull

enum { /* intercept_1 */
    I1_INTR = 0, I1_NMI, I1_SMI, I1_INIT, I1_VINTR, I1_CR0_SELECTIVE, I1_READ_IDTR, I1_READ_GDTR, I1_READ_LDTR, I1_READ_TR, I1_WRITE_IDTR,
    I1_WRITE_GDTR, I1_WRITE_LDTR, I1_WRITE_TR, I1_RDTSC, I1_RDPMC, I1_PUSHF, I1_POPF, I1_CPUID, I1_RSM, I1_IRET, I1_INTN, I1_INVD, I1_PAUSE,
    I1_HLT, I1_INVLPG, I1_INVLPGA, I1_IOIO, I1_MSR, I1_TASK, I1_FERR, I1_SHUTDOWN,
};
enum { /* intercept_2 */
    I2_VMRUN = 0, I2_VMMCALL, I2_VMLOAD, I2_VMSAVE, I2_STGI, I2_CLGI, I2_SKINIT, I2_RDTSCP, I2_ICEBP, I2_WBINVD, I2_MONITOR, I2_MWAIT,
    I2_MWAIT_ARMED, I2_XSETBV, I2_RDPRU, I2_EFER_TRAP, I2_CR0_TRAP, /* and those of CR1 to CR15 */
};
/* Exit codes are the bits' positions in the intercept vectors (appendix C). */
#define EXIT_OF_1(bit) (0x60u + (bit))
#define EXIT_OF_2(bit) (0x80u + (bit))
enum {
    EXIT_SMI = 0x62, EXIT_INIT = 0x63, EXIT_CR0_SELECTIVE = 0x65, EXIT_RSM = 0x73, EXIT_IRET = 0x74, EXIT_INTN = 0x75, EXIT_PAUSE = 0x77,
    EXIT_TASK_SWITCH = 0x7d, EXIT_VMLOAD = 0x82, EXIT_VMSAVE = 0x83, EXIT_STGI = 0x84, EXIT_CLGI = 0x85, EXIT_ICEBP = 0x88,
    EXIT_MWAIT = 0x8b, EXIT_MWAIT_ARMED = 0x8c, EXIT_EFER_TRAP = 0x8f, EXIT_CR0_TRAP = 0x90, EXIT_BUS_LOCK = 0xa5, EXIT_IDLE_HLT = 0xa6,
    EXIT_AVIC_IPI = 0x401, EXIT_AVIC_NOACCEL = 0x402,
};
#define NPF_USER BIT(2)
#define NPF_RESERVED BIT(3)
#define V_GIF BIT(9)
#define V_NMI_PENDING BIT(11)
#define V_NMI_MASK BIT(12)
#define V_GIF_ENABLE BIT(25)
#define V_NMI_ENABLE BIT(26)
#define V_X2AVIC_ENABLE BIT(30)
#define V_AVIC_ENABLE BIT(31)

#endif
