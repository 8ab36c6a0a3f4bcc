/* §15.5.2: VMLOAD and VMSAVE, field by field. */
#include "frame.h"

/* Something that differs in each of the fields and is legal in each of them. */
static void fill(struct vmcb *x)
{
    x->fs = (struct segment){0x1238, 0xcf3, 0x12345fff, 0xffff800011112222};
    x->gs = (struct segment){0x1240, 0x4f1, 0x00012345, 0x0000123433334444};
    x->ldtr = (struct segment){0x1248, 0x082, 0x0000abcd, 0xffff900055556666};
    x->tr = (struct segment){0x1250, 0x08b, 0x00006789, 0xffffa00077778888};
    x->kernel_gs_base = 0xffffb0009999aaaa;
    x->star = 0x1122334455667788;
    x->lstar = 0xffffc00012341234;
    x->cstar = 0xffffd00043214321;
    x->sfmask = 0x00047700;
    x->sysenter_cs = 0x0000beec;
    x->sysenter_esp = 0xffffe00011221122;
    x->sysenter_eip = 0xfffff00022112211;
}

static void round_trip(void)
{
    fill(&v);
    vmload(&v);
    vmsave(&w);
    vmload(&host);
}

#define MOVED(name, field)                                                    \
    TEST("15.5.2/vmload-and-vmsave-" name)                                    \
    {                                                                         \
        round_trip();                                                         \
        EXPECT_EQ("the field saved", w.field, v.field);                       \
    }
#define MOVED_SEGMENT(name, field)                  \
    MOVED(name "-selector", field.selector)         \
    MOVED(name "-attributes", field.attributes)     \
    MOVED(name "-limit", field.limit)               \
    MOVED(name "-base", field.base)
MOVED_SEGMENT("fs", fs)
MOVED_SEGMENT("gs", gs)
MOVED_SEGMENT("ldtr", ldtr)
MOVED_SEGMENT("tr", tr)
MOVED("kernel-gs-base", kernel_gs_base)
MOVED("star", star)
MOVED("lstar", lstar)
MOVED("cstar", cstar)
MOVED("sfmask", sfmask)
MOVED("sysenter-cs", sysenter_cs)
MOVED("sysenter-esp", sysenter_esp)
MOVED("sysenter-eip", sysenter_eip)

#define LOADS_MSR(name, msr, field)                           \
    TEST("15.5.2/vmload-reaches-msr-" name)                   \
    {                                                         \
        fill(&v);                                             \
        vmload(&v);                                           \
        u64 value = rdmsr(msr);                               \
        vmload(&host);                                        \
        EXPECT_EQ("the MSR", value, v.field);                 \
    }
LOADS_MSR("fs-base", MSR_FS_BASE, fs.base)
LOADS_MSR("gs-base", MSR_GS_BASE, gs.base)
LOADS_MSR("kernel-gs-base", MSR_KERNEL_GS_BASE, kernel_gs_base)
LOADS_MSR("star", MSR_STAR, star)
LOADS_MSR("lstar", MSR_LSTAR, lstar)
LOADS_MSR("cstar", 0xc0000083, cstar)
LOADS_MSR("sfmask", MSR_SFMASK, sfmask)
LOADS_MSR("sysenter-cs", 0x174, sysenter_cs)
LOADS_MSR("sysenter-esp", 0x175, sysenter_esp)
LOADS_MSR("sysenter-eip", 0x176, sysenter_eip)

TEST("15.5.2/vmload-reaches-the-selectors")
{
    u16 fs, gs, ldtr, tr;
    fill(&v);
    vmload(&v);
    __asm__ volatile("mov %%fs, %0; mov %%gs, %1; sldt %2; str %3" : "=r"(fs), "=r"(gs), "=r"(ldtr), "=r"(tr));
    vmload(&host);
    EXPECT_EQ("FS", fs, 0x1238);
    EXPECT_EQ("GS", gs, 0x1240);
    EXPECT_EQ("LDTR", ldtr, 0x1248);
    EXPECT_EQ("TR", tr, 0x1250);
}

TEST("15.5.2/vmsave-writes-nothing-else")
{
    memset(&w, 0xa5, sizeof w);
    vmsave(&w);
    const u8 *bytes = (const u8 *)&w;
    unsigned changed = 0;
    for (unsigned i = 0; i < sizeof w; i++) {
        bool its_own = (i >= 0x440 && i < 0x460) || (i >= 0x470 && i < 0x480) || (i >= 0x490 && i < 0x4a0) || (i >= 0x600 && i < 0x640);
        changed += !its_own && bytes[i] != 0xa5;
    }
    EXPECT_EQ("other bytes that changed", changed, 0);
}

TEST("15.5.2/vmload-does-not-load-rax-and-rsp")
{
    u64 rax = (u64)&host, rsp_before, rsp_after;
    w = host;
    w.rax = 0x77;
    w.rsp = 0x88;
    __asm__ volatile("mov %%rsp, %1; vmload; mov %%rsp, %2" : "+a"(rax), "=&b"(rsp_before), "=&c"(rsp_after)::"memory");
    EXPECT_EQ("RAX", rax, (u64)&host);
    EXPECT_EQ("RSP", rsp_after, rsp_before);
}

TEST("15.5.2/vmrun-does-not-load-fs-base")
{
    GUEST3("mov $0xc0000100, %%ecx; rdmsr", "mov %%rax, %%rbx", "");
    v.fs.base = 0x5555;
    wrmsr(MSR_FS_BASE, 0x6666);
    u64 seen;
    TRY("vmrun; mov %%rbx, %0", : "=r"(seen) : "a"(&v) : "memory", "rbx", "rcx", "rdx");
    EXPECT_EQ("FS.base in the guest", seen, 0x6666);
}

TEST("15.5.2/vmload-is-visible-in-the-guest")
{
    GUEST3("", "mov %%fs:0, %%rbx; mov %%gs:0, %%rcx; swapgs; mov %%gs:0, %%rdx", "");
    for (int i = 0; i < 3; i++)
        *(u64 *)page[i] = 0x100u + (u64)i;
    v.fs.base = (u64)page[0];
    v.gs.base = (u64)page[1];
    v.kernel_gs_base = (u64)page[2];
    expect_done();
    EXPECT_EQ("by FS", r.rbx, 0x100);
    EXPECT_EQ("by GS", r.rcx, 0x101);
    EXPECT_EQ("by the swapped GS", r.rdx, 0x102);
}

TEST("15.5.2/guest-changes-are-saved-by-vmsave")
{
    GUEST3("mov $0xc0000082, %%ecx; mov $0x1000, %%eax; xor %%edx, %%edx", "wrmsr", "mov $0x1b, %%ecx; mov %%ecx, %%fs");
    expect_done();
    EXPECT_EQ("LSTAR", v.lstar, 0x1000);
    EXPECT_EQ("FS selector", v.fs.selector, GUEST_USER_DATA);
    EXPECT_EQ("FS attributes", v.fs.attributes, 0xcf3);
}
