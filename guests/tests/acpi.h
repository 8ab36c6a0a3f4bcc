/* ACPI tables as a kernel finds them. */
#ifndef ACPI_H
#define ACPI_H
#include "guest.h"
struct acpi_table { char signature[4]; u32 length; u8 revision, checksum; char oem[6], oem_table[8]; u32 oem_revision, creator, creator_revision; } __attribute__((packed));
const u8 *acpi_rsdp(void);
const struct acpi_table *acpi_table(const char *signature);
bool acpi_sums_to_zero(const void *at, u64 length);
#endif
