/* The frame of the legacy tests: 32-bit protected mode, and from there paging, tasks, virtual-8086 and real mode. */
#ifndef LEGACY_FRAME_H
#define LEGACY_FRAME_H

#include "guest.h"

struct test {
    const char *name;
    void (*run)(void);
    const char *not_on_qemu; /* why QEMU TCG is known to fail it, or null */
};
#define REGISTER_TEST(area, what, why)                                                                                     \
    static void area##_##what(void);                                                                                       \
    __attribute__((section(".tests"), used, aligned(4))) static const struct test test_##area##_##what = {#area "." #what, area##_##what, why}; \
    static void area##_##what(void)
#define TEST(area, what) REGISTER_TEST(area, what, 0)
#define TEST_QEMU_FAILS(area, what, why) REGISTER_TEST(area, what, why)

void fail(const char *file, int line, const char *what, u32 expected, u32 found, bool values);
void skip(const char *why);
#define EXPECT(condition)                                      \
    do {                                                       \
        if (!(condition))                                      \
            fail(__FILE__, __LINE__, #condition, 0, 0, false); \
    } while (0)
#define EXPECT_EQ(found, expected)                                     \
    do {                                                               \
        u32 found_ = (u32)(found), expected_ = (u32)(expected);        \
        if (found_ != expected_)                                       \
            fail(__FILE__, __LINE__, #found, expected_, found_, true); \
    } while (0)
#define SKIP_UNLESS(condition, why) \
    do {                            \
        if (!(condition)) {         \
            skip(why);              \
            return;                 \
        }                           \
    } while (0)

enum { DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TSF = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17, XM = 19 };

/* Selectors; those from FREE on are the tests'. */
enum { CODE = 0x08, FLAT = 0x10, USER_CODE = 0x18, USER_FLAT = 0x20, MAIN_TSS = 0x28, CODE16 = 0x38, DATA16 = 0x40, FREE = 0x48, DESCRIPTORS = 32 };

struct interrupt_frame {
    u32 gs, fs, es, ds, edi, esi, ebp, esp_of_pusha, ebx, edx, ecx, eax, vector, error, eip, cs, eflags;
    u32 esp, ss;             /* only from another ring */
    u32 v86_es, v86_ds, v86_fs, v86_gs;
};
struct fault {
    bool taken;
    u32 vector, error, cr2, stack;
    struct interrupt_frame frame;
};
extern volatile struct fault fault;
extern volatile u32 resume, resume_stack;
extern void (*volatile on_vector)(struct interrupt_frame *frame); /* sees every interrupt of vectors 0x20 and above */

#define TRY_THEN(code, after, ...)                                                                                              \
    do {                                                                                                                        \
        fault.taken = false;                                                                                                    \
        __asm__ volatile("" ::: "memory");                                                                                      \
        __asm__ volatile("movl %%esp, resume_stack\n\tmovl $99f, resume\n98:\t" code "\n99:\tmovl $0, resume\n\t" after __VA_ARGS__); \
        __asm__ volatile("" ::: "memory");                                                                                      \
    } while (0)
#define TRY(code, ...) TRY_THEN(code, "", __VA_ARGS__)
#define EXPECT_FAULT(vector_, error_)                                              \
    do {                                                                           \
        if (!fault.taken)                                                          \
            fail(__FILE__, __LINE__, "no fault; vector", vector_, ~0u, true);      \
        else if (fault.vector != (vector_))                                        \
            fail(__FILE__, __LINE__, "fault vector", vector_, fault.vector, true); \
        else if (fault.error != (u32)(error_))                                     \
            fail(__FILE__, __LINE__, "error code", (u32)(error_), fault.error, true); \
    } while (0)
#define EXPECT_NO_FAULT()                                                                                  \
    do {                                                                                                   \
        if (fault.taken)                                                                                   \
            fail(__FILE__, __LINE__, "unexpected fault", 0, fault.vector << 16 | (fault.error & 0xffff), true); \
    } while (0)

u32 in_ring_3(u32 (*function)(void), u32 eflags);
/* Runs 16-bit code of code16.S in virtual-8086 mode at 2000:offset until an exception; `fault` tells of it. */
void in_v86(const void *routine, u32 eflags);
/* Runs a routine of code16.S in real mode; its results are at RESULTS. */
void in_real_mode(const void *routine);
#define RESULTS ((volatile u16 *)0x2f000)

extern u64 gdt[DESCRIPTORS], idt[256];
extern u8 scratch[8 * 4096];
u64 descriptor(u32 base, u32 limit, unsigned access, unsigned flags); /* flags: 8 G, 4 D/B */
void set_gate(unsigned vector, u16 selector, const void *handler, unsigned type, unsigned dpl, bool present);
extern u8 interrupt_stubs[], user_stack_end[];
#define STUB(vector) (interrupt_stubs + (vector) * 16)
void *fresh_page(void);

/* A 32-bit task state segment (APM volume 2, §12.2.2). */
struct tss {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
    u16 trap, io_map;
    u8 io[0x400];
} __attribute__((packed));
extern struct tss tss;
void load_main_task(void);

#define FLAG_CF 1u
#define FLAG_IF 0x200u
#define FLAG_NT 0x4000u
#define FLAG_VM 0x20000u
#endif
