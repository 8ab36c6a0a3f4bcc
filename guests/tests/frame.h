/*
 * The frame of the system tests: named tests, expectations, faults that are caught and looked at, excursions to ring 3.
 *
 * TEST(area, name) { … } registers a test; EXPECT…() records a failure with its line. After each test the machine is put back
 * into the state of the first.
 */
#ifndef FRAME_H
#define FRAME_H

#include "guest.h"

struct test {
    const char *name;
    void (*run)(void);
    const char *not_on_qemu; /* why QEMU TCG is known to fail it, or null */
    bool destructive;        /* QEMU does not survive it */
};

#define REGISTER_TEST(area, what, why, destructive)                                                                                     \
    static void area##_##what(void);                                                                                       \
    __attribute__((section(".tests"), used, aligned(sizeof(void *)))) static const struct test test_##area##_##what = {#area "." #what, area##_##what, why, destructive}; \
    static void area##_##what(void)
#define TEST(area, what) REGISTER_TEST(area, what, 0, false)
/* A test that QEMU 7.2 TCG fails against the manual; the reason cites the section. */
#define TEST_QEMU_FAILS(area, what, why) REGISTER_TEST(area, what, why, false)
/* The same, and QEMU hangs or ends: not even tried there. */
#define TEST_QEMU_DIES(area, what, why) REGISTER_TEST(area, what, why, true)

void fail(const char *file, int line, const char *what, u64 expected, u64 found, bool values);
void skip(const char *why);
#define EXPECT(condition)                                               \
    do {                                                                \
        if (!(condition))                                               \
            fail(__FILE__, __LINE__, #condition, 0, 0, false);          \
    } while (0)
#define EXPECT_EQ(found, expected)                                                      \
    do {                                                                                \
        u64 found_ = (u64)(found), expected_ = (u64)(expected);                         \
        if (found_ != expected_)                                                        \
            fail(__FILE__, __LINE__, #found, expected_, found_, true);                  \
    } while (0)
#define SKIP_UNLESS(condition, why) \
    do {                            \
        if (!(condition)) {         \
            skip(why);              \
            return;                 \
        }                           \
    } while (0)

/* --- faults --------------------------------------------------------------------------------------------------------------- */
enum { DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17, XM = 19 };

/* The last exception that a TRY, or a function in ring 3, ran into. */
struct fault {
    bool taken;
    u64 vector, error, rip, cs, rflags, rsp, ss, cr2;
    u64 rax, rcx, rdx, rbx, rsi, rdi;
};
extern volatile struct fault fault;
extern volatile u64 resume, resume_stack;

/*
 * Runs assembly that may fault; execution goes on behind it either way. The text is an extended-asm template: %% for registers.
 * Operands follow as in asm, a lone colon at the least. Label 98 is at the start of the text.
 */
#define TRY(code, ...) TRY_THEN(code, "", __VA_ARGS__)
/* The same with text that runs in either case, to put back what the first text changed. */
#define TRY_THEN(code, after, ...)                                                                           \
    do {                                                                                                     \
        fault.taken = false;                                                                                 \
        __asm__ volatile("" ::: "memory");                                                                   \
        __asm__ volatile("movq %%rsp, resume_stack\n\tmovq $99f, resume\n98:\t" code "\n99:\tmovq $0, resume\n\t" after __VA_ARGS__); \
        __asm__ volatile("" ::: "memory");                                                                   \
    } while (0)
#define EXPECT_FAULT(vector_, error_)                                                                              \
    do {                                                                                                           \
        if (!fault.taken)                                                                                          \
            fail(__FILE__, __LINE__, "no fault; vector", vector_, ~0ull, true);                                    \
        else if (fault.vector != (vector_))                                                                        \
            fail(__FILE__, __LINE__, "fault vector", vector_, fault.vector, true);                                 \
        else if (fault.error != (u64)(error_))                                                                     \
            fail(__FILE__, __LINE__, "error code", (u64)(error_), fault.error, true);                              \
    } while (0)
#define EXPECT_NO_FAULT()                                                                                          \
    do {                                                                                                           \
        if (fault.taken)                                                                                           \
            fail(__FILE__, __LINE__, "unexpected fault", 0, fault.vector << 32 | fault.error, true);               \
    } while (0)

/* --- ring 3 --------------------------------------------------------------------------------------------------------------- */
/* Runs a function in ring 3 on a stack of its own; answers its result, or ~0 when it faulted (look at `fault`). */
u64 in_user_mode(u64 (*function)(u64), u64 argument);
u64 in_user_mode_with(u64 (*function)(u64), u64 argument, u64 rflags);
extern u8 user_stack_end[];
void identity_map_for_user(bool on); /* ring 3 may use the identity map: on by default */

/* --- gates, descriptors, memory -------------------------------------------------------------------------------------------- */
enum { GATE_INTERRUPT = 0xe, GATE_TRAP = 0xf, GATE_CALL = 0xc };
void set_gate(unsigned vector, void *handler, unsigned type, unsigned dpl, unsigned ist, bool present);
void load_idt(u16 limit);
extern u64 gdt[];
enum { FREE_SELECTOR = 0x40, GDT_ENTRIES = 32 };
#define TSS_BYTES 0x2100
extern u8 tss[TSS_BYTES]; /* 104 bytes, then the I/O permission bitmap */
void set_tss_io_limit(u32 limit);
void *fresh_page(void);  /* a zeroed page, valid until the end of the test */
extern u8 scratch[16 * 4096];

#define FLAG_CF BIT(0)
#define FLAG_PF BIT(2)
#define FLAG_AF BIT(4)
#define FLAG_ZF BIT(6)
#define FLAG_SF BIT(7)
#define FLAG_TF BIT(8)
#define FLAG_IF BIT(9)
#define FLAG_DF BIT(10)
#define FLAG_OF BIT(11)
#define FLAG_IOPL BIT(12)
#define FLAG_NT BIT(14)
#define FLAG_RF BIT(16)
#define FLAG_AC BIT(18)

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

/* --- interrupts and time --------------------------------------------------------------------------------------------------- */
extern volatile unsigned interrupts[256];     /* how often each vector was taken */
extern volatile u64 interrupt_rip, interrupt_flags;
extern void (*volatile on_any_interrupt)(struct interrupt_frame *frame); /* runs before the end of interrupt */
void count_interrupt(struct interrupt_frame *frame); /* counts it, and ends it at the local APIC */
void let_interrupts_in(void);                 /* STI for two instructions */
bool wait_for(volatile unsigned *counter, unsigned value, u64 nanoseconds); /* with interrupts on */
void spin(u64 nanoseconds);                   /* by the PIT's channel 2 */
void pic_init(u8 base, u8 mask1, u8 mask2);
void apic_on(void);

#endif
