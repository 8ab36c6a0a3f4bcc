#!/usr/bin/env bash
# Builds the stock-Linux workloads out of Debian packages.
#   make.sh [--force] [OUTDIR]        OUTDIR defaults to .cache/linux-kvm at the top of the repository
# leaves in OUTDIR:
#   vmlinux    Debian's cloud kernel, an uncompressed ELF with a PVH entry (linux-image-cloud-amd64)
#   bzImage    the same kernel as packaged (LZ4)
#   boot.cpio  initramfs: busybox; prints MARKER-L1-USERSPACE, then powers off (init-boot)
#   kvm.cpio   initramfs: loads kvm-amd, runs the small VMM with a real-mode and a long-mode guest and prints the
#              kernel's own kvm_exit counts (init-kvm); kernel option hvnpt=0|1; the kernel's whole kvm tracepoint log
#              goes to a second serial port when there is one
#   versions   the packages these were made from
# A complete OUTDIR made from the same sources is left as it is. Exit status: 0 made or up to date, 1 failed (one line on stderr says why).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
recipe=linux-kvm
. "$here/../lib/debian.sh"

force=
[ "${1:-}" != --force ] || { force=yes; shift; }
[[ $# -le 1 && ${1:-} != -* ]] || fail "usage: make.sh [--force] [OUTDIR]"
out=$(realpath -m -- "${1:-$top/.cache/linux-kvm}")
stamp=$(cd "$here" && stamp_of make.sh vmm.c guest16.S guest32.S guest64.S guestapic.S init-boot init-kvm)
if [ -z "$force" ] && complete "$out" "$stamp" vmlinux bzImage boot.cpio kvm.cpio versions; then echo "$out is up to date"; exit 0; fi
scratch "$out"

# --- tools and packages ---------------------------------------------------------------------------------------------------
need_tools lz4:lz4 cpio:cpio gcc:gcc readelf:binutils

kernel_package() {
  apt-cache "${apt_options[@]}" depends linux-image-cloud-amd64 2>>"$log" | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1
}
kernel=$(kernel_package)
[ -n "$kernel" ] || { refresh || true; kernel=$(kernel_package); }
[ -n "$kernel" ] || fail "apt knows no linux-image-cloud-amd64 even after apt-get update: is this Debian for amd64?"
download "$kernel" busybox-static || { refresh && kernel=$(kernel_package) && [ -n "$kernel" ] && download "$kernel" busybox-static; } ||
  fail "cannot download the packages $kernel and busybox-static: $(reason)"

# --- the kernel -----------------------------------------------------------------------------------------------------------
unpack linux-image- "$work/kernel"
unpack busybox-static_ "$work/busybox"
cd "$work"
cp kernel/boot/vmlinuz-* made/bzImage
chmod 644 made/bzImage

# The LZ4 payload starts at the legacy-frame magic; the kernel puts its own size after the frame, which lz4 complains about.
offset=$(grep -aobP '\x02\x21\x4c\x18' made/bzImage | head -n 1 | cut -d: -f1 || true)
[ -n "$offset" ] || fail "no LZ4 payload in $kernel"
tail -c +"$((offset + 1))" made/bzImage | lz4 -dc 2>>"$log" >made/vmlinux || true
sections_end=$(readelf -h made/vmlinux 2>>"$log" | awk '/Start of section headers/ { s = $5 } /Size of section headers/ { z = $5 } /Number of section headers/ { n = $5 } END { print s + z * n }')
[ "${sections_end:-0}" -gt 0 ] && [ "$(stat -c %s made/vmlinux)" -ge "$sections_end" ] || fail "the payload of $kernel is not a whole ELF file"
readelf -n made/vmlinux 2>>"$log" | grep -q Xen || fail "$kernel has no PVH entry note"

# --- the initramfs images -------------------------------------------------------------------------------------------------
initramfs() { # initramfs INIT PRODUCT: packs tree/ with the given init
  install -m 755 "$1" tree/init
  newc tree >"made/$2"
  device_nodes >>"made/$2"
}
mkdir -p tree/bin tree/dev tree/proc tree/sys tree/tmp
cp busybox/bin/busybox tree/bin/
ln -s busybox tree/bin/sh
initramfs "$here/init-boot" boot.cpio

mkdir tree/modc
modules=$(echo kernel/lib/modules/*/kernel)
cp "$modules/arch/x86/kvm/kvm.ko" "$modules/arch/x86/kvm/kvm-amd.ko" "$modules/virt/lib/irqbypass.ko" tree/modc/ 2>>"$log" ||
  fail "$kernel lacks kvm.ko, kvm-amd.ko or irqbypass.ko where they were expected"
gcc -O2 -static -s -Wl,--build-id=none -o tree/bin/vmm "$here"/vmm.c "$here"/guest16.S "$here"/guest32.S "$here"/guest64.S "$here"/guestapic.S 2>>"$log" || fail "the VMM does not compile: $(tail -n 1 "$log")"
initramfs "$here/init-kvm" kvm.cpio

for archive in boot kvm; do
  cpio --quiet -t <"made/$archive.cpio" 2>>"$log" | grep -qx init || fail "$archive.cpio has no init"
done

hand_over "$out" "$stamp"
