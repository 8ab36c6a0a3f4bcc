/*
 * Several processors: started by INIT and SIPI, they pass messages by IPIs and under a spinlock, see one time, each other's
 * page-table changes and each other's code. Says PASS or FAIL of each test on COM1 and leaves through port F4.
 */
#include "guest.h"

enum { MOST = 64, ROUNDS = 200 };
enum { ASSERT = 0x4000, LEVEL = 0x8000, LOGICAL = 0x800, LOWEST = 0x100, NMI = 0x400, INIT = 0x500, STARTUP = 0x600, OTHERS = 0xc0000, ALL = 0x80000, SELF = 0x40000 };
enum { APIC_LDR = 0xd0, APIC_DFR = 0xe0 };
enum { V_MESSAGE = 0x40, V_REPLY = 0x41, V_WAKE = 0x42, V_FLUSH = 0x43, V_WHO = 0x44, V_TOKEN = 0x45 };

extern u8 processor_start[], processor_start_end[], patched[];
extern volatile u32 patched_value;
extern u64 boot_pml4[];
void processor_main(void);

static unsigned processors;
static volatile u32 started;
static volatile u32 messages[MOST], replies, nmis[MOST], wakes[MOST], who[MOST], tokens;
static volatile u64 mailbox[MOST];
static volatile unsigned work; /* what the others do now */
static volatile u32 finished;
static unsigned failures;

void put_char(char c) { serial_put(c); }

static unsigned id(void) { return apic_read(APIC_ID) >> 24; }
static void send(unsigned to, u32 command)
{
    apic_write(APIC_ICR_HIGH, to << 24);
    apic_write(APIC_ICR, command | ASSERT);
    while (apic_read(APIC_ICR) & 0x1000)
        cpu_relax();
}

/* --- the lock ------------------------------------------------------------------------------------------------------------------ */
static volatile u32 locked;
static u32 exchange(volatile u32 *at, u32 value)
{
    __asm__ volatile("xchg %0, %1" : "+r"(value), "+m"(*at)::"memory");
    return value;
}
static u32 fetch_add(volatile u32 *at, u32 value)
{
    __asm__ volatile("lock xadd %0, %1" : "+r"(value), "+m"(*at)::"memory");
    return value;
}
static void lock(void)
{
    while (exchange(&locked, 1))
        while (locked)
            cpu_relax();
}
static void unlock(void) { exchange(&locked, 0); }

/* --- interrupts ------------------------------------------------------------------------------------------------------------------ */
static void end(void) { apic_write(APIC_EOI, 0); }
static void on_message(struct interrupt_frame *frame)
{
    (void)frame;
    unsigned me = id();
    messages[me]++;
    mailbox[me] = mailbox[me] * 3 + me; /* the answer */
    end();
    send(0, V_REPLY);
}
static void on_reply(struct interrupt_frame *frame) { (void)frame; fetch_add(&replies, 1); end(); }
static void on_wake(struct interrupt_frame *frame) { (void)frame; wakes[id()]++; end(); }
static void on_who(struct interrupt_frame *frame) { (void)frame; who[id()]++; end(); }
static void on_nmi(struct interrupt_frame *frame) { (void)frame; nmis[id()]++; }
static void on_token(struct interrupt_frame *frame)
{
    (void)frame;
    end();
    if (fetch_add(&tokens, 1) < ROUNDS)
        send((id() + 1) % processors, V_TOKEN);
}
static volatile u64 *page = (volatile u64 *)0x40000000ull; /* 1 GiB: mapped anew by the test */
static volatile u32 flushed;
static void on_flush(struct interrupt_frame *frame)
{
    (void)frame;
    invlpg((word)page);
    fetch_add(&flushed, 1);
    end();
}

/* --- work that all processors do --------------------------------------------------------------------------------------------------- */
enum { NOTHING, COUNT, TIME, READ_PAGE, CALL_PATCHED, SLEEP, QUIT };
static volatile u32 counted, added;
static volatile u64 last_time;
static volatile u32 went_back;
static volatile u64 seen[MOST];
static volatile u32 turn;

static void do_work(unsigned what)
{
    switch (what) {
    case COUNT:
        for (int i = 0; i < 1000; i++) {
            lock();
            u32 c = counted; /* not atomic: the lock must do */
            for (int j = 0; j < 3; j++)
                __asm__ volatile("" ::: "memory");
            counted = c + 1;
            unlock();
            fetch_add(&added, 1);
        }
        break;
    case TIME:
        for (int i = 0; i < 1000; i++) {
            lock();
            u64 now = rdtsc();
            if (now < last_time)
                went_back++;
            last_time = now;
            unlock();
        }
        break;
    case READ_PAGE:
        seen[id()] = *page;
        break;
    case CALL_PATCHED: {
        cpuid(0, 0); /* serializes: the changed code is fetched anew */
        u32 value;
        __asm__ volatile("call patched" : "=a"(value)::"memory");
        seen[id()] = value;
        break;
    }
    case SLEEP:
        cli();
        while (!wakes[id()])
            __asm__ volatile("sti; hlt; cli" ::: "memory");
        sti();
        break;
    default:
        break;
    }
}

static void apic_on(void)
{
    apic_write(APIC_SPURIOUS, 0x1ff);
    apic_write(APIC_DFR, 0xffffffff);
    apic_write(APIC_LDR, id() < 8 ? 1u << (24 + id()) : 0);
    apic_write(APIC_TPR, 0);
}

void processor_main(void)
{
    apic_on();
    u32 done = turn;
    fetch_add(&started, 1);
    sti();
    for (;;) {
        while (turn == done)
            cpu_relax();
        done = turn;
        do_work(work);
        fetch_add(&finished, 1);
    }
}

static bool wait_for(volatile u32 *value, u32 wanted)
{
    u64 until = rdtsc() + 20000000000ull;
    while (*value < wanted && rdtsc() < until)
        cpu_relax();
    return *value == wanted;
}
/* Begins work on all other processors. */
static void begin(unsigned what)
{
    finished = 0;
    work = what;
    turn++;
}
static bool ended(void) { return wait_for(&finished, processors - 1); }
static bool everywhere(unsigned what)
{
    begin(what);
    do_work(what);
    return ended();
}

static void verdict(const char *name, bool passed)
{
    print("%s  processors.%s\n", passed ? "PASS" : "FAIL", name);
    failures += !passed;
}

/* --- tests --------------------------------------------------------------------------------------------------------------------------- */
static bool start(void)
{
    memcpy((void *)0x8000, processor_start, (size_t)(processor_start_end - processor_start));
    send(0, OTHERS | INIT | LEVEL);
    apic_write(APIC_ICR, OTHERS | INIT | LEVEL); /* de-assert */
    for (u64 until = rdtsc() + 200000; rdtsc() < until;)
        cpu_relax();
    send(0, OTHERS | STARTUP | 8);
    send(0, OTHERS | STARTUP | 8);
    return wait_for(&started, processors - 1);
}
static bool ping(void)
{
    bool good = true;
    for (unsigned i = 1; i < processors; i++) {
        mailbox[i] = 1000 + i;
        replies = 0;
        send(i, V_MESSAGE);
        good = good && wait_for(&replies, 1) && messages[i] == 1 && mailbox[i] == 3000 + 4ull * i;
    }
    return good;
}
static bool ring(void)
{
    tokens = 0;
    send(1 % processors, V_TOKEN);
    return wait_for(&tokens, ROUNDS + 1);
}
static bool counts(void)
{
    counted = added = 0;
    return everywhere(COUNT) && counted == processors * 1000 && added == counted;
}
static bool one_time(void)
{
    last_time = 0;
    return everywhere(TIME) && !went_back && last_time;
}
static bool received(volatile u32 *by, u64 set)
{
    bool good = true;
    for (unsigned i = 0; i < processors; i++)
        good = (!(set >> i & 1) || wait_for(&by[i], 1)) && good;
    for (u64 until = rdtsc() + 1000000; rdtsc() < until;) /* for those who should not get it */
        cpu_relax();
    for (unsigned i = 0; i < processors; i++) {
        good = good && by[i] == (set >> i & 1);
        by[i] = 0;
    }
    return good;
}
static bool to_others(void) { send(0, OTHERS | V_WHO); return received(who, (BIT(processors - 1) << 1) - 2); }
static bool to_all(void) { send(0, ALL | V_WHO); return received(who, (BIT(processors - 1) << 1) - 1); }
static bool to_self(void) { send(0, SELF | V_WHO); return received(who, 1); }
static bool nmi_to_others(void) { send(0, OTHERS | NMI); return received(nmis, (BIT(processors - 1) << 1) - 2); }
static bool nmi_to_last(void) { send(processors - 1, NMI); return received(nmis, BIT(processors - 1)); }
static bool logical_set(void)
{
    u64 set = 0xaa & ((BIT(processors - 1) << 1) - 1);
    send((unsigned)set, LOGICAL | V_WHO);
    return received(who, set);
}
static bool lowest_priority(void)
{
    unsigned total = 0;
    for (int i = 0; i < 8; i++) {
        send(0xff, LOGICAL | LOWEST | V_WHO);
        for (u64 until = rdtsc() + 100000; rdtsc() < until;) /* one is not merged with the next */
            cpu_relax();
    }
    for (u64 until = rdtsc() + 20000000000ull; total < 8 && rdtsc() < until;) {
        total = 0;
        for (unsigned i = 0; i < processors; i++)
            total += who[i];
    }
    for (unsigned i = 0; i < processors; i++)
        who[i] = 0;
    return total == 8 || processors > 8; /* more cannot be addressed so */
}
static u64 frames[2][512] ALIGNED(4096), table[512] ALIGNED(4096);
static bool shoot_down(void)
{
    u64 *pointers = (u64 *)(boot_pml4[0] & ~0xfffull);
    u64 *directory = (u64 *)(pointers[1] & ~0xfffull);
    u64 before = directory[0];
    frames[0][0] = 11;
    frames[1][0] = 22;
    table[0] = (u64)frames[0] | 3;
    directory[0] = (u64)table | 3;
    write_cr3(read_cr3());
    flushed = 0;
    send(0, OTHERS | V_FLUSH);
    bool good = wait_for(&flushed, processors - 1) && everywhere(READ_PAGE);
    for (unsigned i = 0; i < processors; i++)
        good = good && seen[i] == 11;
    table[0] = (u64)frames[1] | 3;
    invlpg((word)page);
    flushed = 0;
    send(0, OTHERS | V_FLUSH);
    good = wait_for(&flushed, processors - 1) && everywhere(READ_PAGE) && good;
    for (unsigned i = 0; i < processors; i++)
        good = good && seen[i] == 22;
    directory[0] = before;
    write_cr3(read_cr3());
    return good;
}
static bool changed_code(void)
{
    bool good = true;
    for (u32 value = 1; value < 40; value++) {
        patched_value = value;
        good = everywhere(CALL_PATCHED) && good;
        for (unsigned i = 0; i < processors; i++)
            good = good && seen[i] == value;
    }
    return good;
}
static bool sleepers(void)
{
    bool good = true;
    for (int round = 0; round < 5; round++) {
        begin(SLEEP);
        for (u64 until = rdtsc() + 300000; rdtsc() < until;)
            cpu_relax();
        good = good && finished == 0;
        send(0, OTHERS | V_WAKE);
        good = ended() && good;
        for (unsigned i = 1; i < processors; i++) {
            good = good && wakes[i] == 1;
            wakes[i] = 0;
        }
    }
    return good;
}
static bool again(void) /* INIT ends whatever they do; they start anew */
{
    started = 0;
    for (unsigned i = 1; i < processors; i++) {
        send(i, INIT | LEVEL);
        send(i, STARTUP | 8);
        for (u64 until = rdtsc() + 200000; rdtsc() < until;)
            cpu_relax();
        send(i, STARTUP | 8);
    }
    return wait_for(&started, processors - 1);
}
static bool identities(void)
{
    struct cpuid one = cpuid(1, 0), size = cpuid(0x80000008, 0);
    return one.ebx >> 24 == 0 && (size.ecx & 0xff) + 1 == processors && (processors == 1 || (one.edx & BIT(28)));
}

void guest_main(void);
void guest_main(void)
{
    serial_init();
    outb(0x21, 0xff); /* no interrupts of the 8259s */
    outb(0xa1, 0xff);
    processors = cpuid(1, 0).ebx >> 16 & 0xff;
    print("%u processors\n", processors);
    on_interrupt(2, on_nmi);
    on_interrupt(V_MESSAGE, on_message);
    on_interrupt(V_REPLY, on_reply);
    on_interrupt(V_WAKE, on_wake);
    on_interrupt(V_FLUSH, on_flush);
    on_interrupt(V_WHO, on_who);
    on_interrupt(V_TOKEN, on_token);
    apic_on();
    sti();
    verdict("identities", identities());
    verdict("start", start());
    if (!failures) {
        verdict("messages_and_replies", ping());
        verdict("token_goes_round", ring());
        verdict("lock", counts());
        verdict("one_time", one_time());
        verdict("all_but_self", to_others());
        verdict("all", to_all());
        verdict("self", to_self());
        verdict("nmi_to_all_but_self", nmi_to_others());
        verdict("nmi_to_one", nmi_to_last());
        verdict("logical_destination", logical_set());
        verdict("lowest_priority", lowest_priority());
        verdict("tlb_shoot_down", shoot_down());
        verdict("changed_code", changed_code());
        verdict("sleepers_wake", sleepers());
        verdict("start_again", again());
        verdict("lock_again", counts());
    }
    print(failures ? "%u TESTS FAILED\n" : "TESTS PASSED\n", failures);
    end_run(failures ? EXIT_FAILURE : EXIT_SUCCESS);
}
