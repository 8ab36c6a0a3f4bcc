// Executes single instructions on the processor this runs on and reports what they did.
//
// Reads fixed-size cases from standard input, writes one fixed-size result for each to standard output. A case is a
// whole user-mode state; the harness enters it by returning from a signal, and gets the state after the instruction from
// the next signal: #BP of the INT3 bytes that fill the code page, or the fault that the instruction raised.
// The layout is that of SiliconState.java and SiliconCase.java, little-endian throughout.
//
// build: gcc -O2 -Wall -fno-stack-protector -fcf-protection=none -mgeneral-regs-only -o silicon silicon.c
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_PAGE 0x10000000ul
#define CODE_OFFSET 0x400
#define WINDOW 0x10002000ul
#define WINDOW_BYTES 2048
#define BATCH 256
#define LDT_CODE 0x07 // 16-bit code from CODE_PAGE on, 64 KiB; 0x0F is the same as data

struct state {
  uint64_t gpr[16];    // RAX RCX RDX RBX RSP RBP RSI RDI R8..R15
  uint64_t rip;        // after: relative to the instruction's first byte if within the code page
  uint64_t rflags;
  uint64_t segment[6]; // selectors ES CS SS DS FS GS
  uint64_t mxcsr;
  uint64_t fcw, fsw, ftw; // ftw abridged: bit r set = physical register r in use
  uint8_t st[8][16];   // ST(i), 10 bytes used
  uint8_t xmm[16][16];
  uint8_t window[WINDOW_BYTES];
};

struct input {
  uint32_t mode; // 64, 32 or 16
  uint32_t length;
  uint8_t code[16];
  struct state state;
};

struct output {
  uint32_t vector; // exception vector; 3 = executed; 255 = still running after some time
  uint32_t error;
  uint64_t address; // CR2 of a page fault
  struct state state;
};

static struct input inputs[BATCH];
static struct output outputs[BATCH];
static volatile int batch, current, ticks;
static uint64_t own_fs;
static greg_t own_gregs[NGREG];
static struct _libc_fpstate own_fp;

// Order of the x86 encoding against that of the signal context.
static const int reg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static inline void copy(void *to, const void *from, size_t n) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}
static inline void fill(void *to, int value, size_t n) {
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
}

static void enter(ucontext_t *uc, const struct input *in) {
  ticks = 0;
  greg_t *g = uc->uc_mcontext.gregs;
  fill((void *)CODE_PAGE, 0xCC, 4096);
  copy((void *)(CODE_PAGE + CODE_OFFSET), in->code, in->length);
  copy((void *)WINDOW, in->state.window, WINDOW_BYTES);
  for (int i = 0; i < 16; i++) g[reg_of[i]] = in->state.gpr[i];
  g[REG_RIP] = in->mode == 16 ? CODE_OFFSET : CODE_PAGE + CODE_OFFSET;
  g[REG_EFL] = in->state.rflags;
  g[REG_CSGSFS] = in->state.segment[1] | in->state.segment[5] << 16 | in->state.segment[4] << 32 | in->state.segment[2] << 48;
  struct _libc_fpstate *f = uc->uc_mcontext.fpregs;
  f->cwd = in->state.fcw;
  f->swd = in->state.fsw;
  f->ftw = in->state.ftw;
  f->fop = 0;
  f->rip = 0;
  f->rdp = 0;
  f->mxcsr = in->state.mxcsr;
  copy(f->_st, in->state.st, sizeof in->state.st);
  copy(f->_xmm, in->state.xmm, sizeof in->state.xmm);
  *(uint64_t *)((char *)f + 512) |= 3; // XSTATE_BV: x87 and SSE are present
  uint64_t ds = in->state.segment[3], es = in->state.segment[0], fs = in->state.segment[4], gs = in->state.segment[5];
  __asm__ volatile("mov %w0, %%ds; mov %w1, %%es; mov %w2, %%fs; mov %w3, %%gs" : : "r"(ds), "r"(es), "r"(fs), "r"(gs));
}

static void leave(ucontext_t *uc, siginfo_t *si, struct output *out) {
  greg_t *g = uc->uc_mcontext.gregs;
  out->vector = g[REG_TRAPNO];
  out->error = g[REG_ERR];
  out->address = g[REG_TRAPNO] == 14 ? (uint64_t)g[REG_CR2] : 0;
  for (int i = 0; i < 16; i++) out->state.gpr[i] = g[reg_of[i]];
  uint64_t rip = g[REG_RIP];
  if (out->vector == 3) rip--;
  if ((g[REG_CSGSFS] & 0xFFFF) == LDT_CODE) rip += CODE_PAGE;
  out->state.rip = rip - CODE_PAGE < 4096 ? rip - CODE_PAGE - CODE_OFFSET : rip;
  out->state.rflags = g[REG_EFL];
  uint64_t ds, es, fs, gs;
  __asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3" : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
  out->state.segment[0] = es;
  out->state.segment[1] = g[REG_CSGSFS] & 0xFFFF;
  out->state.segment[2] = (uint64_t)g[REG_CSGSFS] >> 48;
  out->state.segment[3] = ds;
  out->state.segment[4] = fs;
  out->state.segment[5] = gs;
  struct _libc_fpstate *f = uc->uc_mcontext.fpregs;
  out->state.mxcsr = f->mxcsr;
  out->state.fcw = f->cwd;
  out->state.fsw = f->swd;
  out->state.ftw = f->ftw & 0xFF;
  for (int i = 0; i < 8; i++) {
    copy(out->state.st[i], &f->_st[i], 10);
    fill(out->state.st[i] + 10, 0, 6);
  }
  copy(out->state.xmm, f->_xmm, sizeof out->state.xmm);
  // The kernel may leave a component out of the frame that is in its initial state.
  uint64_t present = *(uint64_t *)((char *)f + 512);
  if (!(present & 2)) fill(out->state.xmm, 0, sizeof out->state.xmm);
  if (!(present & 1)) {
    fill(out->state.st, 0, sizeof out->state.st);
    out->state.fcw = 0x37F;
    out->state.fsw = 0;
    out->state.ftw = 0;
  }
  copy(out->state.window, (void *)WINDOW, WINDOW_BYTES);
}

static void on_signal(int number, siginfo_t *si, void *context) {
  ucontext_t *uc = context;
  if (number == SIGUSR1) {
    copy(own_gregs, uc->uc_mcontext.gregs, sizeof own_gregs);
    copy(&own_fp, uc->uc_mcontext.fpregs, sizeof own_fp);
    current = 0;
  } else if (number == SIGVTALRM) {
    uint64_t cs = uc->uc_mcontext.gregs[REG_CSGSFS] & 0xFFFF, rip = uc->uc_mcontext.gregs[REG_RIP];
    if (current >= batch || (cs == LDT_CODE ? rip : rip - CODE_PAGE) >= 4096) return;
    ticks = ticks + 1;
    if (ticks < 3) return;
    leave(uc, si, &outputs[current]);
    outputs[current].vector = 255;
    current = current + 1;
  } else {
    leave(uc, si, &outputs[current]);
    current = current + 1;
  }
  if (current < batch) {
    enter(uc, &inputs[current]);
    return;
  }
  copy(uc->uc_mcontext.gregs, own_gregs, sizeof own_gregs);
  copy(uc->uc_mcontext.fpregs, &own_fp, 512 - 48);
  long ignored;
  __asm__ volatile("mov %w0, %%ds; mov %w0, %%es; mov %w0, %%fs; mov %w0, %%gs" : : "r"(0));
  __asm__ volatile("syscall" : "=a"(ignored) : "a"(SYS_arch_prctl), "D"(ARCH_SET_FS), "S"(own_fs) : "rcx", "r11", "memory");
}

static size_t read_all(void *to, size_t n) {
  size_t done = 0;
  while (done < n) {
    ssize_t got = read(0, (char *)to + done, n - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += got;
  }
  return done;
}

int main(void) {
  void *code = mmap((void *)CODE_PAGE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  void *data = mmap((void *)WINDOW, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  void *stack = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code != (void *)CODE_PAGE || data != (void *)WINDOW || stack == MAP_FAILED) {
    perror("silicon: mmap");
    return 1;
  }
  syscall(SYS_arch_prctl, ARCH_GET_FS, &own_fs);
  struct user_desc segment = {.entry_number = 0, .base_addr = CODE_PAGE, .limit = 0xFFFF, .contents = 2};
  long failed = syscall(SYS_modify_ldt, 1, &segment, sizeof segment);
  segment.entry_number = 1;
  segment.contents = 0;
  failed |= syscall(SYS_modify_ldt, 1, &segment, sizeof segment);
  if (failed) {
    perror("silicon: modify_ldt");
    return 1;
  }
  stack_t alternate = {.ss_sp = stack, .ss_size = 1 << 18};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  int signals[] = {SIGUSR1, SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGVTALRM};
  // The faults must not be masked while an instruction runs: the mask is that of the interrupted context.
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  struct itimerval every = {.it_interval = {.tv_usec = 10000}, .it_value = {.tv_usec = 10000}};
  setitimer(ITIMER_VIRTUAL, &every, NULL);
  for (;;) {
    size_t got = read_all(inputs, sizeof inputs) / sizeof *inputs;
    if (got == 0) return 0;
    batch = got;
    memset(outputs, 0, sizeof outputs);
    raise(SIGUSR1);
    size_t n = got * sizeof *outputs, done = 0;
    while (done < n) {
      ssize_t put = write(1, (char *)outputs + done, n - done);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return 1;
      done += put;
    }
  }
}
