/*
 * A small KVM user: `vmm 16` runs a real-mode guest (guest16.S), `vmm 32` one of 32-bit protected mode (guest32.S),
 * `vmm 64` a long-mode one (guest64.S), each on one vCPU; `vmm apic` a long-mode one on two vCPUs with KVM's own local
 * APICs (guestapic.S), a thread each.
 * Prints what the guest writes to COM1 prefixed with "L2: ", each exit that leaves the kernel, and a count of them at the end.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    COM1 = 0x3f8,
    DIAGNOSTIC_PORT = 0x80,

    REAL_MODE_MEMORY = 32 << 10,
    REAL_MODE_ENTRY = 0x1000,

    PROTECTED_MODE_ENTRY = 0x10000,

    LONG_MODE_MEMORY = 16 << 20,
    GDT = 0x1000,
    PML4 = 0x2000,
    PDPT = 0x3000,
    LOW_DIRECTORY = 0x4000,
    MMIO_DIRECTORY = 0x5000,
    IDT = 0x9000,
    LONG_MODE_ENTRY = 0x10000,

    END_PORT = 0xf4,
    COUNTS = 0xa000,
    STACKS = 0x7000,
    APIC_VCPUS = 2,
};

#define MMIO_PAGE 0xd0000000ull
#define APIC_PAGE 0xfee00000ull
#define PRESENT_WRITABLE 0x3
#define LARGE_PAGE 0x80

extern const uint8_t guest16_start[], guest16_end[];
extern const uint8_t guest32_start[], guest32_end[];
extern const uint8_t guest64_start[], guest64_end[], guest64_invalid_opcode[], guest64_page_fault[];
extern const uint8_t guestapic_start[], guestapic_end[], guestapic_to_oneself[], guestapic_asking[],
    guestapic_answering[], guestapic_ending[], guestapic_timer[], guestapic_by_msr[];

static int check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}
#define CHECKED_IOCTL(fd, request, argument) check(ioctl(fd, request, argument), #request)

static void interrupt_gate(uint64_t *gate, uint64_t handler)
{
    gate[0] = (handler & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (handler >> 16 & 0xffff) << 48;
}

static void prepare_real_mode(uint8_t *memory, struct kvm_sregs *system, struct kvm_regs *registers)
{
    memcpy(memory + REAL_MODE_ENTRY, guest16_start, guest16_end - guest16_start);
    system->cs.base = 0;
    system->cs.selector = 0;
    registers->rip = REAL_MODE_ENTRY;
}

/* Without paging; the guest makes its own tables. */
static void prepare_protected_mode(uint8_t *memory, struct kvm_sregs *system, struct kvm_regs *registers)
{
    memcpy(memory + PROTECTED_MODE_ENTRY, guest32_start, guest32_end - guest32_start);
    registers->rip = PROTECTED_MODE_ENTRY;

    struct kvm_segment code = {.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_segment data = {.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    system->cs = code;
    system->ds = system->es = system->ss = system->fs = system->gs = data;
    system->cr0 = 0x33; /* NE, ET, MP, PE */
}

static void prepare_long_mode(uint8_t *memory, struct kvm_sregs *system, struct kvm_regs *registers, uint64_t device)
{
    registers->rip = LONG_MODE_ENTRY;

    /* Identity maps of the guest's 16 MiB and of one 2-MiB page without memory behind it. */
    ((uint64_t *)(memory + PML4))[0] = PDPT | PRESENT_WRITABLE;
    ((uint64_t *)(memory + PDPT))[0] = LOW_DIRECTORY | PRESENT_WRITABLE;
    ((uint64_t *)(memory + PDPT))[device >> 30] = MMIO_DIRECTORY | PRESENT_WRITABLE;
    for (uint64_t i = 0; i < LONG_MODE_MEMORY >> 21; i++)
        ((uint64_t *)(memory + LOW_DIRECTORY))[i] = i << 21 | LARGE_PAGE | PRESENT_WRITABLE;
    ((uint64_t *)(memory + MMIO_DIRECTORY))[device >> 21 & 511] = device | LARGE_PAGE | PRESENT_WRITABLE;

    uint64_t *gdt = (uint64_t *)(memory + GDT);
    gdt[1] = 0x00af9b000000ffff;
    gdt[2] = 0x00cf93000000ffff;
    system->gdt.base = GDT;
    system->gdt.limit = 3 * 8 - 1;

    struct kvm_segment code = {.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    system->cs = code;
    system->ds = system->es = system->ss = system->fs = system->gs = data;
    system->cr3 = PML4;
    system->cr4 = 0x20;       /* PAE */
    system->cr0 = 0x80050033; /* PG, AM, WP, NE, ET, MP, PE */
    system->efer = 0x500;     /* LMA, LME */
}

/* The guest loads IDTR itself: #UD and #PF have handlers in it. */
static void load_guest64(uint8_t *memory)
{
    memcpy(memory + LONG_MODE_ENTRY, guest64_start, guest64_end - guest64_start);
    uint64_t *idt = (uint64_t *)(memory + IDT);
    interrupt_gate(&idt[2 * 6], LONG_MODE_ENTRY + (guest64_invalid_opcode - guest64_start));
    interrupt_gate(&idt[2 * 14], LONG_MODE_ENTRY + (guest64_page_fault - guest64_start));
}

static void load_guestapic(uint8_t *memory)
{
    memcpy(memory + LONG_MODE_ENTRY, guestapic_start, guestapic_end - guestapic_start);
    uint64_t *idt = (uint64_t *)(memory + IDT);
    const uint8_t *handlers[] = {guestapic_to_oneself, guestapic_asking, guestapic_answering, guestapic_ending,
                                 guestapic_timer, guestapic_by_msr};
    for (int i = 0; i < 6; i++)
        interrupt_gate(&idt[2 * (0x41 + i)], LONG_MODE_ENTRY + (handlers[i] - guestapic_start));
}

/* Collects what the guest sends to COM1 and prints it a line at a time. */
static void guest_output(const uint8_t *bytes, unsigned count)
{
    static char line[256];
    static unsigned length;
    for (unsigned i = 0; i < count; i++) {
        if (length < sizeof line - 2)
            line[length++] = bytes[i];
        if (bytes[i] == '\n') {
            line[length] = 0;
            printf("L2: %s", line);
            length = 0;
        }
    }
}

static int create_vcpu(int kvm, int vm, int number, struct kvm_run **run)
{
    int vcpu = CHECKED_IOCTL(vm, KVM_CREATE_VCPU, number);
    int run_size = CHECKED_IOCTL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    *run = mmap(0, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

    struct {
        struct kvm_cpuid2 header;
        struct kvm_cpuid_entry2 entries[100];
    } cpuid = {.header = {.nent = 100}};
    CHECKED_IOCTL(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
    CHECKED_IOCTL(vcpu, KVM_SET_CPUID2, &cpuid);
    return vcpu;
}

struct apic_vcpu {
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    long exits;
};

static void *run_apic_vcpu(void *argument)
{
    struct apic_vcpu *vcpu = argument;
    struct kvm_run *run = vcpu->run;
    for (;;) {
        CHECKED_IOCTL(vcpu->fd, KVM_RUN, 0);
        vcpu->exits++;
        if (run->exit_reason == KVM_EXIT_IO && run->io.port == COM1) {
            guest_output((uint8_t *)run + run->io.data_offset, run->io.count);
        } else {
            if (run->exit_reason != KVM_EXIT_IO || run->io.port != END_PORT)
                printf("EXIT reason=%d\n", run->exit_reason);
            return 0;
        }
    }
}

static int run_apic_guest(int kvm, int vm, uint8_t *memory)
{
    struct apic_vcpu vcpus[APIC_VCPUS] = {0};
    load_guestapic(memory);
    for (int i = 0; i < APIC_VCPUS; i++) {
        struct kvm_sregs system;
        struct kvm_regs registers = {.rflags = 2, .rdi = i, .rsp = STACKS + 0x1000 * i + 0xff0};
        struct kvm_mp_state runs = {.mp_state = KVM_MP_STATE_RUNNABLE};
        vcpus[i].fd = create_vcpu(kvm, vm, i, &vcpus[i].run);
        CHECKED_IOCTL(vcpus[i].fd, KVM_GET_SREGS, &system);
        prepare_long_mode(memory, &system, &registers, APIC_PAGE);
        CHECKED_IOCTL(vcpus[i].fd, KVM_SET_SREGS, &system);
        CHECKED_IOCTL(vcpus[i].fd, KVM_SET_REGS, &registers);
        CHECKED_IOCTL(vcpus[i].fd, KVM_SET_MP_STATE, &runs);
    }
    for (int i = 0; i < APIC_VCPUS; i++)
        check(-pthread_create(&vcpus[i].thread, 0, run_apic_vcpu, &vcpus[i]), "pthread_create");
    long total = 0;
    for (int i = 0; i < APIC_VCPUS; i++) {
        check(-pthread_join(vcpus[i].thread, 0), "pthread_join");
        total += vcpus[i].exits;
    }
    uint32_t *counts = (uint32_t *)(memory + COUNTS);
    printf("VMM-DONE mode=apic userspace_exits=%ld to_oneself=%u asking=%u answering=%u timer=%u by_msr=%u\n", total,
           counts[0], counts[1], counts[2], counts[3], counts[4]);
    return 0;
}

int main(int argc, char **argv)
{
    int apic = argc > 1 && !strcmp(argv[1], "apic");
    int mode = apic ? 64 : argc > 1 ? atoi(argv[1]) : 16;

    int kvm = check(open("/dev/kvm", O_RDWR), "open(/dev/kvm)");
    printf("KVM_GET_API_VERSION=%d\n", ioctl(kvm, KVM_GET_API_VERSION, 0));
    int vm = CHECKED_IOCTL(kvm, KVM_CREATE_VM, 0);
    CHECKED_IOCTL(vm, KVM_SET_TSS_ADDR, 0xfffbd000);

    size_t size = mode == 16 ? REAL_MODE_MEMORY : LONG_MODE_MEMORY;
    uint8_t *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region region = {.memory_size = size, .userspace_addr = (uintptr_t)memory};
    CHECKED_IOCTL(vm, KVM_SET_USER_MEMORY_REGION, &region);

    if (apic) {
        CHECKED_IOCTL(vm, KVM_CREATE_IRQCHIP, 0);
        return run_apic_guest(kvm, vm, memory);
    }

    struct kvm_run *run;
    int vcpu = create_vcpu(kvm, vm, 0, &run);

    struct kvm_sregs system;
    struct kvm_regs registers = {.rflags = 2};
    CHECKED_IOCTL(vcpu, KVM_GET_SREGS, &system);
    if (mode == 64) {
        load_guest64(memory);
        prepare_long_mode(memory, &system, &registers, MMIO_PAGE);
    } else if (mode == 32) {
        prepare_protected_mode(memory, &system, &registers);
    } else {
        prepare_real_mode(memory, &system, &registers);
    }
    CHECKED_IOCTL(vcpu, KVM_SET_SREGS, &system);
    CHECKED_IOCTL(vcpu, KVM_SET_REGS, &registers);

    long exits[64] = {0}, total = 0;
    for (int running = 1; running;) {
        CHECKED_IOCTL(vcpu, KVM_RUN, 0);
        exits[run->exit_reason & 63]++;
        total++;
        switch (run->exit_reason) {
        case KVM_EXIT_IO: {
            uint8_t *data = (uint8_t *)run + run->io.data_offset;
            if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == COM1)
                guest_output(data, run->io.count);
            else if (run->io.port != DIAGNOSTIC_PORT)
                printf("EXIT IO port=%x dir=%d size=%d count=%d\n", run->io.port, run->io.direction, run->io.size,
                       run->io.count);
            if (run->io.direction == KVM_EXIT_IO_IN)
                *data = 0x55;
            break;
        }
        case KVM_EXIT_MMIO: {
            uint32_t value;
            memcpy(&value, run->mmio.data, sizeof value);
            printf("EXIT MMIO %s gpa=%llx len=%d data=%08x\n", run->mmio.is_write ? "W" : "R", run->mmio.phys_addr,
                   run->mmio.len, value);
            memset(run->mmio.data, 0x42, 8);
            break;
        }
        case KVM_EXIT_HLT:
            CHECKED_IOCTL(vcpu, KVM_GET_REGS, &registers);
            printf("EXIT HLT rip=%llx rax=%llx\n", registers.rip, registers.rax);
            running = 0;
            break;
        default:
            CHECKED_IOCTL(vcpu, KVM_GET_REGS, &registers);
            printf("EXIT reason=%d rip=%llx hw=%llx sub=%x\n", run->exit_reason, registers.rip,
                   run->fail_entry.hardware_entry_failure_reason, run->internal.suberror);
            running = 0;
        }
    }
    printf("VMM-DONE mode=%d userspace_exits=%ld io=%ld mmio=%ld hlt=%ld\n", mode, total, exits[KVM_EXIT_IO],
           exits[KVM_EXIT_MMIO], exits[KVM_EXIT_HLT]);
    return 0;
}
