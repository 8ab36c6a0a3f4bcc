/*
 * Times VMRUN/#VMEXIT pairs: a guest of two instructions exits for ever, the host does the least it can and enters again.
 * Command line: pairs=N (1,000,000) mode=vmmcall|cpuid|ioio|npf.
 *
 * No VMLOAD or VMSAVE, no CLGI: the guest changes nothing that VMRUN leaves alone, and IF is clear throughout.
 */
#include "guest.h"
#include "svm.h"

extern const u8 guest_vmmcall[], guest_cpuid[], guest_ioio[], guest_npf[];
extern u8 boot_pml4[];

static const struct mode {
    const char *name;
    const u8 *entry;
    u64 exit_code;
    u32 length; /* of the instruction that exits */
} modes[] = {
    {"vmmcall", guest_vmmcall, EXIT_VMMCALL, 3},
    {"cpuid", guest_cpuid, EXIT_CPUID, 2},
    {"ioio", guest_ioio, EXIT_IOIO, 2},
    {"npf", guest_npf, EXIT_NPF, 2},
};

#define UNMAPPED 0x3fe00000ull /* the last 2 MiB of the first GiB; loops.S knows it too */

static struct vmcb vmcb;
static u8 host_save[4096] ALIGNED(4096);
static u8 io_permissions[12288] ALIGNED(4096);
static u64 nested_root[512] ALIGNED(4096), nested_pdpt[512] ALIGNED(4096), nested_directory[512] ALIGNED(4096);

void put_char(char c) { serial_put(c); }

static void refuse(const char *why)
{
    print("vmrun-bench: %s\n", why);
    end_run(EXIT_FAILURE);
}

static const struct mode *chosen_mode(void)
{
    const char *wanted = option_text("mode");
    if (!wanted)
        return &modes[0];
    for (u64 i = 0; i < ARRAY_SIZE(modes); i++) {
        const char *name = modes[i].name, *at = wanted;
        while (*name && *name == *at)
            name++, at++;
        if (!*name && (!*at || *at == ' '))
            return &modes[i];
    }
    refuse("mode must be vmmcall, cpuid, ioio or npf");
    return 0;
}

static void prepare(const struct mode *mode)
{
    if (cpuid(0x80000000, 0).eax < 0x8000000a || !(cpuid(0x80000001, 0).ecx & BIT(2)))
        refuse("this processor has no SVM");
    if (!(cpuid(0x8000000a, 0).edx & SVM_NESTED_PAGING))
        refuse("this processor has no nested paging");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, (u64)host_save);

    nested_root[0] = (u64)nested_pdpt | 7;
    nested_pdpt[0] = (u64)nested_directory | 7;
    for (u64 i = 0; i < 512; i++)
        nested_directory[i] = i << 21 | 0x87;
    nested_directory[UNMAPPED >> 21] = 0;
    memset(io_permissions, 0xff, sizeof io_permissions);

    vmcb.intercept_1 = INTERCEPT_CPUID | INTERCEPT_IOIO | INTERCEPT_SHUTDOWN;
    vmcb.intercept_2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL;
    vmcb.iopm = (u64)io_permissions;
    vmcb.asid = 1;
    vmcb.nested_control = 1;
    vmcb.nested_cr3 = (u64)nested_root;
    vmcb.cs = (struct segment){CODE64, 0xa9b, 0xffffffff, 0};
    vmcb.ss = vmcb.ds = vmcb.es = (struct segment){DATA, 0xc93, 0xffffffff, 0};
    vmcb.cr0 = read_cr0();
    vmcb.cr3 = (u64)boot_pml4;
    vmcb.cr4 = read_cr4();
    vmcb.efer = rdmsr(MSR_EFER);
    vmcb.dr6 = 0xffff0ff0;
    vmcb.dr7 = 0x400;
    vmcb.rflags = 2;
    vmcb.pat = rdmsr(MSR_PAT);
    vmcb.rip = (u64)mode->entry;
}

void guest_main(void)
{
    serial_init();
    const struct mode *mode = chosen_mode();
    u64 pairs = option("pairs", 1000000);
    prepare(mode);

    print("BEGIN mode=%s pairs=%lu\n", mode->name, pairs);
    u64 wrong = 0, start = rdtsc();
    for (u64 i = 0; i < pairs; i++) {
        __asm__ volatile("vmrun" ::"a"(&vmcb) : "memory");
        wrong += vmcb.exit_code != mode->exit_code;
        vmcb.rip += mode->length;
    }
    u64 ticks = rdtsc() - start;
    print("END mode=%s pairs=%lu tsc=%lu unexpected=%lu\n", mode->name, pairs, ticks, wrong);
    if (wrong)
        print("the last exit: code %lx info %lx %lx rip %lx\n", vmcb.exit_code, vmcb.exit_info_1, vmcb.exit_info_2, vmcb.rip);
    end_run(wrong ? EXIT_FAILURE : EXIT_SUCCESS);
}
