#!/usr/bin/env bash
# Builds the workloads of guests/linux-kvm for 32-bit hypervisors, out of Debian's i386 packages.
#   make.sh [--force] [OUTDIR]      OUTDIR defaults to .cache/linux-kvm-i386 at the top of the repository
# leaves in OUTDIR:
#   vmlinux-pae        Debian's PAE kernel, an uncompressed ELF with a PVH entry (linux-image-686-pae)
#   bzImage            that without PAE, as packaged (linux-image-686)
#   boot.cpio          initramfs of guests/linux-kvm with an i386 busybox (init-boot)
#   kvm-pae.cpio, kvm.cpio   initramfs: loads either kernel's kvm-amd, runs the small VMM, built for 32 bits, with a real-mode and
#                      a protected-mode guest (init-kvm)
#   versions           the packages these were made from
# A complete OUTDIR made from the same sources is left as it is. Exit status: 0 made or up to date, 1 failed (one line on stderr says why).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
recipe=linux-kvm-i386
. "$here/../lib/debian.sh"

force=
[ "${1:-}" != --force ] || { force=yes; shift; }
[[ $# -le 1 && ${1:-} != -* ]] || fail "usage: make.sh [--force] [OUTDIR]"
out=$(realpath -m -- "${1:-$top/.cache/linux-kvm-i386}")
common=$here/../linux-kvm
sources=("$common"/vmm.c "$common"/guest16.S "$common"/guest32.S "$common"/guest64.S "$common"/guestapic.S)
products=(vmlinux-pae bzImage boot.cpio kvm-pae.cpio kvm.cpio versions)
stamp=$(stamp_of "$here/make.sh" "${sources[@]}" "$common/init-boot" "$common/init-kvm")
if [ -z "$force" ] && complete "$out" "$stamp" "${products[@]}"; then echo "$out is up to date"; exit 0; fi
scratch "$out"

# --- tools and packages ---------------------------------------------------------------------------------------------------
need_tools xz:xz-utils cpio:cpio gcc:gcc readelf:binutils objcopy:binutils
of_i386

kernel_package() { # kernel_package FLAVOUR
  apt-cache "${apt_options[@]}" depends "linux-image-$1" 2>>"$log" | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1
}
pae=$(kernel_package 686-pae)
plain=$(kernel_package 686)
[ -n "$pae" ] && [ -n "$plain" ] || fail "apt finds no linux-image-686-pae and linux-image-686 for i386: $(reason)"
# The C library and GCC's for 32 bits: the host need not have them.
packages=(busybox-static libc6-dev linux-libc-dev libgcc-12-dev)
download "$pae" "$plain" "${packages[@]}" || fail "cannot download $pae, $plain and ${packages[*]} of i386: $(reason)"

# --- the kernels ----------------------------------------------------------------------------------------------------------
cd "$work"
unpack "${pae}_" pae
unpack "${plain}_" plain
for package in "${packages[@]}"; do unpack "${package}_" debian; done
cp plain/boot/vmlinuz-* made/bzImage
chmod 644 made/bzImage

# The XZ payload starts at its magic; the kernel puts its own size after it, which xz complains about.
vmlinuz=$(echo pae/boot/vmlinuz-*)
offset=$(grep -aobP '\xfd7zXZ\x00' "$vmlinuz" | head -n 1 | cut -d: -f1 || true)
[ -n "$offset" ] || fail "no XZ payload in $pae"
tail -c +"$((offset + 1))" "$vmlinuz" | xz -dc --single-stream 2>>"$log" >made/vmlinux-pae || true
sections_end=$(readelf -h made/vmlinux-pae 2>>"$log" | awk '/Start of section headers/ { s = $5 } /Size of section headers/ { z = $5 } /Number of section headers/ { n = $5 } END { print s + z * n }')
[ "${sections_end:-0}" -gt 0 ] && [ "$(stat -c %s made/vmlinux-pae)" -ge "$sections_end" ] || fail "the payload of $pae is not a whole ELF file"
readelf -n made/vmlinux-pae 2>>"$log" | grep -q Xen || fail "$pae has no PVH entry note"

# --- the initramfs images -------------------------------------------------------------------------------------------------
initramfs() { # initramfs INIT PRODUCT: packs tree/ with the given init
  install -m 755 "$1" tree/init
  newc tree >"made/$2"
  device_nodes >>"made/$2"
}
mkdir -p tree/bin tree/dev tree/proc tree/sys tree/tmp
cp debian/bin/busybox tree/bin/
ln -s busybox tree/bin/sh
initramfs "$common/init-boot" boot.cpio

mkdir tree/modc
include=debian/usr/include
library=debian/usr/lib/i386-linux-gnu
compiler=$(echo debian/usr/lib/gcc/i686-linux-gnu/*)
gcc -m32 -O2 -static -s -fno-pie -no-pie -nostdlib -Wl,--build-id=none -isystem $include/i386-linux-gnu -isystem $include -o tree/bin/vmm \
  $library/crt1.o $library/crti.o "${sources[@]}" -Wl,--start-group $library/libc.a "$compiler/libgcc.a" "$compiler/libgcc_eh.a" -Wl,--end-group \
  $library/crtn.o 2>>"$log" || fail "the VMM does not compile for 32 bits: $(tail -n 1 "$log")"
for flavour in pae plain; do
  modules=$(echo $flavour/lib/modules/*/kernel)
  cp "$modules/arch/x86/kvm/kvm.ko" "$modules/arch/x86/kvm/kvm-amd.ko" "$modules/virt/lib/irqbypass.ko" tree/modc/ 2>>"$log" ||
    fail "${!flavour} lacks kvm.ko, kvm-amd.ko or irqbypass.ko where they were expected"
  for module in tree/modc/*.ko; do # objcopy leaves out the signature, which a 32-bit kernel takes long to look at
    objcopy "$module" 2>>"$log" || fail "$module of ${!flavour} is no ELF file"
  done
  product=kvm-$flavour.cpio
  initramfs "$common/init-kvm" "${product/-plain/}"
done

for archive in boot kvm-pae kvm; do
  cpio --quiet -t <"made/$archive.cpio" 2>>"$log" | grep -qx init || fail "$archive.cpio has no init"
done

hand_over "$out" "$stamp"
