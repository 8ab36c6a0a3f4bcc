/*
 * Runs x87, MMX and SSE instructions on this processor and writes what they did, as expected values for the emulator.
 * usage: fpvectors FAMILY COUNT SEED > vectors        FAMILY: x87 x87mem x87env transcendental mmx sse sse2 ... (see families[])
 *
 * A record (1344 bytes, little-endian): u8 length, u8 fault (0 none, 1 SIGFPE, 2 SIGSEGV, 3 SIGILL), u8 code[14], u64 rax, rax',
 * rflags, rflags', rcx' (0 before), rdx, u8 memory[128], memory'[128], u8 fxsave[512], fxsave'[512]; ' = afterwards, xor before.
 * RSI and RDI point to the memory, which lies at 0x30000000; the code is run at 0x20000000.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

typedef struct __attribute__((packed)) {
    uint8_t length, fault, code[14];
    uint64_t rax, raxAfter, flags, flagsAfter, rcxAfter, rdx;
    uint8_t memory[128], memoryAfter[128];
    uint8_t image[512], imageAfter[512];
} Record;

static uint8_t *code = (uint8_t *)0x20000000, *memory = (uint8_t *)0x30000000;
static uint8_t in[512] __attribute__((aligned(64))), out[512] __attribute__((aligned(64)));
static sigjmp_buf escape;
static volatile int fault;

static uint64_t seed;
static uint64_t rnd(void) {
    seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17;
    return seed * 0x2545F4914F6CDD1DULL;
}
static unsigned pick(unsigned n) { return (unsigned)((rnd() >> 33) % n); }

static void caught(int signal, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *u = context;
    fault = signal == SIGFPE ? 1 : signal == SIGSEGV ? 2 : 3;
    memcpy(out, u->uc_mcontext.fpregs, 512);
    siglongjmp(escape, 1);
}

/* Random significands with few bits set, many bits set, or neither. */
static uint64_t bits(void) {
    switch (pick(6)) {
        case 0: return rnd() & rnd() & rnd();
        case 1: return rnd() | rnd() | rnd();
        case 2: return rnd() << pick(64);
        case 3: return ~0ULL << pick(64);
        case 4: return (1ULL << pick(64)) - 1;
        default: return rnd();
    }
}
static void put80(uint8_t *p) {
    uint64_t sig = bits() | 1ULL << 63;
    unsigned e, sign = pick(2) << 15;
    switch (pick(22)) {
        case 0: e = 0; sig = 0; break;
        case 1: e = 0; sig = bits() >> 1; break;
        case 2: e = 0; break;
        case 3: e = 0x7FFF; sig = 1ULL << 63; break;
        case 4: e = 0x7FFF; sig = bits() | 3ULL << 62; break;
        case 5: e = 0x7FFF; sig = (bits() & ~(3ULL << 62)) | 1ULL << 63; break;
        case 6: if (pick(3)) { e = 16383 + pick(70); break; } e = pick(0x8000); sig &= ~(1ULL << 63); break;
        case 7: e = 1 + pick(70); break;
        case 8: e = 0x7FFE - pick(70); break;
        case 9: e = pick(0x8000); break;
        case 10: case 11: e = 16383 - 1022 - 60 + pick(66); break;
        case 12: e = 16383 + 1020 + pick(6); break;
        case 13: e = 16383 - 126 - 30 + pick(36); break;
        case 14: e = 16383 + 124 + pick(6); break;
        case 15: e = 16383 + pick(66); sig = ~0ULL << (63 - pick(64)); break;
        case 16: { uint64_t v = bits() >> pick(63) | 1; int z = __builtin_clzll(v); sig = v << z; e = 16383 + 63 - z; break; }
        default: e = 16383 - 34 + pick(68);
    }
    e |= sign;
    memcpy(p, &sig, 8);
    memcpy(p + 8, &e, 2);
}
static uint64_t put64(void) {
    uint64_t f = bits() & 0xFFFFFFFFFFFFFULL, s = (uint64_t)pick(2) << 63;
    switch (pick(16)) {
        case 0: return s;
        case 1: return s | f;
        case 2: return s | 0x7FFULL << 52;
        case 3: return s | 0x7FFULL << 52 | f | 1ULL << 51;
        case 4: return s | 0x7FFULL << 52 | 1 | (f & ~(1ULL << 51));
        case 5: return s | (uint64_t)(1 + pick(60)) << 52 | f;
        case 6: return s | (uint64_t)(2046 - pick(60)) << 52 | f;
        case 7: return s | (uint64_t)pick(2047) << 52 | f;
        case 8: return s | (uint64_t)(1023 - 150 + pick(60)) << 52 | f;
        case 9: return s | (uint64_t)(1023 + 100 + pick(60)) << 52 | f;
        case 10: { double d = (double)(int64_t)(bits() >> pick(63)); memcpy(&f, &d, 8); return f ^ s; }
        default: return s | (uint64_t)(1023 - 36 + pick(72)) << 52 | f;
    }
}
static uint32_t put32(void) {
    uint32_t f = bits() & 0x7FFFFF, s = (uint32_t)pick(2) << 31;
    if (pick(2)) f = (uint32_t)(rnd() >> 40) & 0x7FFFFF;
    switch (pick(16)) {
        case 0: return s;
        case 1: return s | f;
        case 2: return s | 0xFFu << 23;
        case 3: return s | 0xFFu << 23 | f | 1u << 22;
        case 4: return s | 0xFFu << 23 | 1 | (f & ~(1u << 22));
        case 5: return s | (1 + pick(28)) << 23 | f;
        case 6: return s | (254 - pick(28)) << 23 | f;
        case 7: return s | pick(255) << 23 | f;
        case 8: { float d = (float)(int32_t)(bits() >> pick(63)); memcpy(&f, &d, 4); return f ^ s; }
        default: return s | (127 - 20 + pick(56)) << 23 | f;
    }
}
static void fill(uint8_t *p, int n, int kind) { /* kind: 0 integer, 1 float, 2 double, 3 extended first */
    for (int i = 0; i + 8 <= n; i += 8) {
        uint64_t v;
        if (kind == 1) v = put32() | (uint64_t)put32() << 32;
        else if (kind == 2) v = put64();
        else v = bits();
        memcpy(p + i, &v, 8);
    }
    if (kind == 3) put80(p);
}

enum { X87 = 1, MMX = 2, TRIG = 4, ENV = 8 };
typedef struct { const char *bytes; int length, memoryKind, flags; } Form;
#define F(s, k, fl) { s, sizeof(s) - 1, k, fl }
#include "fpforms.h"

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const Family *family = 0;
    for (unsigned i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i].name, argv[1])) family = &families[i];
    if (!family) return 2;
    long count = atol(argv[2]);
    seed = strtoull(argv[3], 0, 0) * 0x9E3779B97F4A7C15ULL | 1;
    mmap(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap(memory, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGFPE, &action, 0);
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGILL, &action, 0);
    for (long n = 0; n < count; n++) {
        const Form *form = &family->forms[n % family->count];
        static Record r;
        memset(&r, 0, sizeof r);
        r.length = (uint8_t)form->length;
        memcpy(r.code, form->bytes, form->length);
        /* A byte 0xEE at the end of a form stands for a random immediate. */
        if (r.code[form->length - 1] == 0xEE && (form->flags & 16)) r.code[form->length - 1] = pick(3) ? pick(32) : rnd();
        memset(in, 0, 512);
        uint16_t cw = 0x37F, sw = 0;
        if (family->state & X87) {
            static const uint16_t precisions[] = {0x300, 0x300, 0x200, 0, 0x100};
            cw = 0x40 | precisions[pick(5)] | pick(4) << 10 | (pick(3) ? 0x3F : pick(64));
            if (!pick(8)) cw |= 0x1000;
            sw = pick(8) << 11 | (pick(2) ? 0 : (rnd() & 0x4700));
            if (!pick(4)) sw |= (rnd() & 0x3F) & cw;
            if (!pick(40)) { sw |= rnd() & 0x7F; if (sw & ~cw & 0x3F) sw |= 0x8080; }
        }
        memcpy(in, &cw, 2);
        memcpy(in + 2, &sw, 2);
        in[4] = !(family->state & X87) ? 0 : pick(12) ? 0xFF : (uint8_t)rnd();
        for (int i = 0; i < 8; i++) {
            if (family->state & TRIG && pick(5)) {
                uint64_t s = bits() | 1ULL << 63; uint16_t e = (16383 - 20 + pick(30)) | pick(2) << 15;
                if (i == 1 && pick(2)) e = (16383 - 3 + pick(20)) | pick(2) << 15;
                memcpy(in + 32 + 16 * i, &s, 8); memcpy(in + 40 + 16 * i, &e, 2);
            } else if (family->state & X87) put80(in + 32 + 16 * i);
            else { uint64_t v = bits(); uint16_t e = pick(3) ? 0xFFFF : pick(65536); memcpy(in + 32 + 16 * i, &v, 8); memcpy(in + 40 + 16 * i, &e, 2); }
        }
        if (family->state & X87 && !pick(3)) { /* operands close to one another */
            memcpy(in + 48, in + 32, 10);
            in[48] ^= pick(4);
            if (pick(2)) in[56] ^= pick(4);
            in[57] ^= pick(2) << 7;
        }
        uint32_t mxcsr = 0x1F80;
        if (family->state & 32) {
            mxcsr = (pick(3) ? 0x1F80 : (rnd() & 0x1F80)) | pick(4) << 13 | (pick(4) ? 0 : (rnd() & 0x8040));
            if (pick(2)) mxcsr |= rnd() & 0x3F;
        }
        memcpy(in + 24, &mxcsr, 4);
        int kind = form->memoryKind;
        for (int i = 0; i < 4; i++) fill(in + 160 + 16 * i, 16, kind);
        memset(memory, 0, 128);
        fill(memory, 32, kind);
        if (kind == 2 || kind == 1) { /* special operands in one element only, often enough */
            if (!pick(3)) memcpy(in + 160, in + 176, 16);
        }
        if (form->flags & ENV) {
            static uint8_t scratch[512] __attribute__((aligned(16)));
            memcpy(scratch, in, 512);
            if (family->state & X87) {
                uint16_t ecw = cw, esw = sw, etw = rnd();
                memcpy(memory, &ecw, 2); memcpy(memory + 4, &esw, 2); memcpy(memory + 8, &etw, 2);
                for (int i = 0; i < 8; i++) put80(memory + 28 + 10 * i);
            }
        }
        r.rax = bits();
        r.rdx = pick(2) ? pick(40) - 20 : bits();
        if (form->flags & 32) r.rax = pick(2) ? pick(40) - 20 : bits();
        r.flags = 0x202 | (rnd() & 0x8D5);
        memcpy(r.memory, memory, 128);
        memcpy(r.image, in, 512);
        memcpy(code, r.code, form->length);
        code[form->length] = 0xC3;
        fault = 0;
        uint64_t rax = r.rax, flags = r.flags, rcx = 0, rdx = r.rdx;
        if (!sigsetjmp(escape, 1)) {
            asm volatile(
                "sub $128, %%rsp\n fxrstor %[in]\n push %[flags]\n popf\n call *%[code]\n pushf\n pop %[flags]\n fxsave %[out]\n add $128, %%rsp\n cld\n"
                : "+a"(rax), "+c"(rcx), "+d"(rdx), [flags] "+r"(flags), [out] "=m"(out)
                : [in] "m"(in), [code] "r"(code), "S"(memory), "D"(memory)
                : "memory", "cc");
        } else {
            rax = r.rax;
            flags = r.flags;
            rcx = 0;
        }
        asm volatile("fninit");
        uint32_t plain = 0x1F80;
        asm volatile("ldmxcsr %0" ::"m"(plain));
        r.fault = (uint8_t)fault;
        r.raxAfter = rax ^ r.rax;
        r.flagsAfter = flags ^ r.flags;
        r.rcxAfter = rcx;
        for (int i = 0; i < 128; i++) r.memoryAfter[i] = memory[i] ^ r.memory[i];
        for (int i = 0; i < 512; i++) r.imageAfter[i] = out[i] ^ r.image[i];
        fwrite(&r, sizeof r, 1, stdout);
    }
    return 0;
}
