# Shared by the guests' Makefiles: flags, the library's objects, and how an image is made.
# An image is a multiboot-1 ELF32 file holding 64-bit code (loaders, QEMU's among them, take ELF32 only), stripped unless said
# otherwise and reproducible: nothing of the machine that built it is in it.
LIB := $(dir $(lastword $(MAKEFILE_LIST)))
BUILD ?= build
CC := gcc
CFLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-pie -mcmodel=small -mgeneral-regs-only -mno-red-zone \
          -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns \
          -fno-strict-aliasing -ffile-prefix-map=$(CURDIR)=. -I$(LIB)
ASFLAGS := -Wa,--noexecstack -I$(LIB)
LDFLAGS := -n -nostdlib -static -m elf_x86_64 -z max-page-size=4096 --build-id=none --no-warn-rwx-segments -T $(LIB)link.ld

HEADERS := $(wildcard $(LIB)*.h *.h)
LIBRARY := $(addprefix $(BUILD)/lib/,boot.o interrupts.o stubs.o print.o runtime.o)

$(BUILD)/lib/%.o: $(LIB)%.c $(HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -c $< -o $@
$(BUILD)/lib/%.o: $(LIB)%.S $(HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(ASFLAGS) -c $< -o $@
$(BUILD)/%.o: %.c $(HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -c $< -o $@
$(BUILD)/%.o: %.S $(HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(ASFLAGS) -c $< -o $@

# $(call link,IMAGE,OBJECTS[,STRIP]): keeps the symbols beside it in build/; STRIP, --strip-all by default, says what stays in it
define link
	@ld $(LDFLAGS) -o $(BUILD)/$(notdir $1).sym $2
	@objcopy -O elf32-i386 $(or $3,--strip-all) $(BUILD)/$(notdir $1).sym $1
	@chmod 644 $1
endef
