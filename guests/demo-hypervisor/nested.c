/*
 * Nested paging (§15.25). The guest's memory is mapped a 4-KiB page at a time, when first touched; tracked pages are mapped
 * read-only until first written, so that each of them faults twice.
 */
#include "hypervisor.h"

#define PRESENT 1ull
#define WRITABLE 2ull
#define USER 4ull /* nested tables are walked as user accesses */
#define FRAME 0x000ffffffffff000ull

static u64 root[512] ALIGNED(4096), pdpt[512] ALIGNED(4096), directory[512] ALIGNED(4096);
static u64 tables[GUEST_MEMORY_SIZE >> 21][512] ALIGNED(4096);
static bool image_page[GUEST_MEMORY_SIZE / PAGE];

void nested_init(void)
{
    root[0] = (u64)pdpt | USER | WRITABLE | PRESENT;
    pdpt[0] = (u64)directory | USER | WRITABLE | PRESENT;
    for (u64 i = 0; i < ARRAY_SIZE(tables); i++)
        directory[i] = (u64)tables[i] | USER | WRITABLE | PRESENT;
    hv.vmcb.nested_control = 1;
    hv.vmcb.nested_cr3 = (u64)root;
}

/* What the loader puts into the guest's memory must not be cleared when its page is mapped. */
void *guest_memory(u64 physical)
{
    if (physical >= GUEST_MEMORY_SIZE)
        return 0;
    image_page[physical / PAGE] = true;
    return (void *)(GUEST_MEMORY + physical);
}

bool nested_fault(u64 address, u64 information)
{
    if (address >= GUEST_MEMORY_SIZE)
        return false;
    u64 page = address / PAGE, *entry = &tables[page >> 9][page & 511];
    bool write = information & NPF_WRITE;
    if (!(*entry & PRESENT)) {
        u64 frame = GUEST_MEMORY + page * PAGE;
        if (!image_page[page])
            memset((void *)frame, 0, PAGE);
        bool tracked = page * PAGE >= GUEST_TRACKED;
        *entry = frame | USER | PRESENT | (!tracked || write ? WRITABLE : 0);
        hv.pages_mapped++;
        hv.pages_dirtied += tracked && write;
        return true;
    }
    if (write && !(*entry & WRITABLE)) {
        *entry |= WRITABLE;
        hv.pages_dirtied++;
        return true;
    }
    return false;
}

/* Walks the guest's own four-level tables, for instructions that the hypervisor must read memory for. */
bool guest_translate(u64 linear, u64 *physical)
{
    if (!(hv.vmcb.cr0 & BIT(31))) {
        *physical = linear;
        return linear < GUEST_MEMORY_SIZE;
    }
    u64 table = hv.vmcb.cr3 & FRAME;
    for (int shift = 39;; shift -= 9) {
        u64 at = table + (linear >> shift & 511) * 8;
        if (at >= GUEST_MEMORY_SIZE)
            return false;
        u64 entry = *(u64 *)(GUEST_MEMORY + at);
        if (!(entry & PRESENT))
            return false;
        if (shift == 12 || (shift < 39 && (entry & BIT(7)))) {
            *physical = (entry & FRAME & ~(BIT(shift) - 1)) | (linear & (BIT(shift) - 1));
            return *physical < GUEST_MEMORY_SIZE;
        }
        table = entry & FRAME;
    }
}
