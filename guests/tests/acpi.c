/* Finds ACPI tables: the root pointer lies on a 16-byte boundary between E0000 and FFFFF. */
#include "acpi.h"

bool acpi_sums_to_zero(const void *at, u64 length)
{
    u8 sum = 0;
    for (u64 i = 0; i < length; i++)
        sum = (u8)(sum + ((const u8 *)at)[i]);
    return !sum;
}

const u8 *acpi_rsdp(void)
{
    for (u64 at = 0xe0000; at < 0x100000; at += 16)
        if (!memcmp((const void *)at, "RSD PTR ", 8) && acpi_sums_to_zero((const void *)at, 20))
            return (const u8 *)at;
    return 0;
}

const struct acpi_table *acpi_table(const char *signature)
{
    const u8 *rsdp = acpi_rsdp();
    if (!rsdp)
        return 0;
    u64 root = rsdp[15] >= 2 && *(const u64 *)(rsdp + 24) ? *(const u64 *)(rsdp + 24) : *(const u32 *)(rsdp + 16);
    const struct acpi_table *list = (const struct acpi_table *)root;
    u64 width = list->signature[0] == 'X' ? 8 : 4;
    for (u64 at = sizeof *list; at + width <= list->length; at += width) {
        const u8 *entry = (const u8 *)root + at;
        const struct acpi_table *table = (const struct acpi_table *)(width == 8 ? *(const u64 *)entry : *(const u32 *)entry);
        if (!memcmp(table->signature, signature, 4))
            return table;
    }
    return 0;
}
