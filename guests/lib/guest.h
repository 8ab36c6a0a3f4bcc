/* What every guest of ours stands on: types, port and register access, printing, interrupts, the end of the run. */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned long word; /* as wide as a register */

#define PAGE 4096ull
#define BIT(n) (1ull << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGNED(n) __attribute__((aligned(n)))

enum { CODE64 = 0x08, DATA = 0x10, USER_DATA = 0x18, USER_CODE64 = 0x20, TSS = 0x28 };

enum {
    MSR_APIC_BASE = 0x1b,
    MSR_PAT = 0x277,
    MSR_EFER = 0xc0000080,
    MSR_STAR = 0xc0000081,
    MSR_LSTAR = 0xc0000082,
    MSR_SFMASK = 0xc0000084,
    MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE = 0xc0000101,
    MSR_KERNEL_GS_BASE = 0xc0000102,
    MSR_VM_CR = 0xc0010114,
    MSR_VM_HSAVE_PA = 0xc0010117,
};

/* What debug-exit port 0xf4 is told: the process ends with status (value << 1) | 1. */
enum { EXIT_SUCCESS = 0x10, EXIT_FAILURE = 0x11 };

#ifdef __x86_64__
/* The stack as an interrupt stub leaves it. */
struct interrupt_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error, rip, cs, rflags, rsp, ss;
};
typedef void interrupt_handler(struct interrupt_frame *frame);
#endif

/* runtime.c */
void *memset(void *to, int value, size_t count);
void *memcpy(void *to, const void *from, size_t count);
int memcmp(const void *a, const void *b, size_t count);
bool equal(const char *a, const char *b);
const char *command_line(void);
u64 option(const char *name, u64 otherwise);      /* the value of "name=N" on the command line */
const char *option_text(const char *name);        /* what follows "name=", up to a blank, or null; not terminated */
void serial_init(void);
void serial_put(char c);
__attribute__((noreturn)) void end_run(u32 value);

/* print.c; the guest supplies put_char */
void put_char(char c);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_list(const char *format, va_list arguments);

#ifdef __x86_64__
/* interrupts.c */
void interrupts_init(void);
void on_interrupt(u8 vector, interrupt_handler *handler);
void unexpected_interrupt(struct interrupt_frame *frame) __attribute__((noreturn));
extern u64 idt[512];
#endif

static inline void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline void outw(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static inline void outl(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static inline u8 inb(u16 port) { u8 value; __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port)); return value; }
static inline u16 inw(u16 port) { u16 value; __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port)); return value; }
static inline u32 inl(u16 port) { u32 value; __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port)); return value; }

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}
static inline void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
static inline u64 rdtsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

struct cpuid { u32 eax, ebx, ecx, edx; };
static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

#define CONTROL_REGISTER(n)                                                                                     \
    static inline word read_cr##n(void) { word v; __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)::"memory"); return v; } \
    static inline void write_cr##n(word v) { __asm__ volatile("mov %0, %%cr" #n ::"r"(v) : "memory"); }
CONTROL_REGISTER(0)
CONTROL_REGISTER(2)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)
#ifdef __x86_64__
CONTROL_REGISTER(8)
#endif

static inline word read_flags(void) { word v; __asm__ volatile("pushf; pop %0" : "=r"(v)::"memory"); return v; }
static inline void cli(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void sti(void) { __asm__ volatile("sti" ::: "memory"); }
static inline void cpu_relax(void) { __asm__ volatile("pause" ::: "memory"); }
static inline void invlpg(word address) { __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory"); }

#define APIC 0xfee00000ul
static inline u32 apic_read(u32 at) { return *(volatile u32 *)(APIC + at); }
static inline void apic_write(u32 at, u32 value) { *(volatile u32 *)(APIC + at) = value; }
enum { APIC_ID = 0x20, APIC_TPR = 0x80, APIC_EOI = 0xb0, APIC_SPURIOUS = 0xf0, APIC_ICR = 0x300, APIC_ICR_HIGH = 0x310,
       APIC_TIMER = 0x320, APIC_LINT0 = 0x350, APIC_LINT1 = 0x360, APIC_INITIAL = 0x380, APIC_CURRENT = 0x390, APIC_DIVIDE = 0x3e0 };

#endif
