#!/usr/bin/env bash
# Builds the QEMU workload out of Debian packages: Linux with KVM, Debian's own QEMU, and a Linux guest that it starts by SeaBIOS.
#   make.sh [--force] [OUTDIR]      OUTDIR defaults to .cache/qemu-kvm at the top of the repository
# (guests/linux-kvm is built first, if need be, in the folder linux-kvm beside OUTDIR: its kernel is that of both). Leaves in OUTDIR:
#   vmlinux    L1's kernel, an uncompressed ELF with a PVH entry (linux-image-cloud-amd64)
#   qemu.cpio  L1's initramfs: busybox, KVM's modules, QEMU with its libraries and firmware, the guest's kernel and initramfs (init)
#   versions   the packages these were made from (linux-kvm/versions has the kernel)
# A complete OUTDIR made from the same sources is left as it is. Exit status: 0 made or up to date, 1 failed (one line on stderr says why).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
recipe=qemu-kvm
. "$here/../lib/debian.sh"

force=
[ "${1:-}" != --force ] || { force=yes; shift; }
[[ $# -le 1 && "${1:-}" != -* ]] || fail "usage: make.sh [--force] [OUTDIR]"
out=$(realpath -m -- "${1:-$top/.cache/qemu-kvm}")
base=$(dirname "$out")/linux-kvm
"$here/../linux-kvm/make.sh" "$base" >/dev/null || exit 1 # which has said why

stamp=$(stamp_of "$here/make.sh" "$here/init" "$here/init-guest" "$base/.stamp" "$base/versions")
if [ -z "$force" ] && complete "$out" "$stamp" vmlinux qemu.cpio versions; then echo "$out is up to date"; exit 0; fi
scratch "$out"

# --- tools and packages ---------------------------------------------------------------------------------------------------
need_tools cpio:cpio readelf:binutils

packages=(qemu-system-x86 qemu-system-data seabios busybox-static
  libaio1 libblkid1 libbpf1 libc6 libcapstone4 libdaxctl1 libelf1 libfdt1 libffi8 libfuse3-3 libgcc-s1 libglib2.0-0 libgmp10
  libgnutls30 libhogweed6 libibverbs1 libidn2-0 libjpeg62-turbo libkmod2 liblzma5 libmount1 libndctl6 libnettle8 libnl-3-200
  libnl-route-3-200 libnuma1 libp11-kit0 libpcre2-8-0 libpixman-1-0 libpmem1 libpng16-16 librdmacm1 libsasl2-2 libseccomp2
  libselinux1 libslirp0 libssl3 libtasn1-6 libudev1 libunistring2 liburing2 libuuid1 libvdeplug2 libzstd1 zlib1g)
download "${packages[@]}" || { refresh && download "${packages[@]}"; } || fail "cannot download Debian 12's packages of QEMU 7.2: $(reason)"

# --- what of them is used -------------------------------------------------------------------------------------------------
cd "$work"
mkdir debian
for package in "${packages[@]}"; do unpack "${package}_" debian; done
cp "$base/vmlinux" made/vmlinux

# --- the initramfs images -------------------------------------------------------------------------------------------------
initramfs() { # initramfs TREE PRODUCT
  { newc "$1"; device_nodes; } >"$2"
}
busybox_tree() { # busybox_tree TREE INIT
  mkdir -p "$1/bin" "$1/dev" "$1/proc" "$1/sys" "$1/tmp"
  cp debian/bin/busybox "$1/bin/"
  ln -s busybox "$1/bin/sh"
  install -m 755 "$2" "$1/init"
}
busybox_tree guest "$here/init-guest"
busybox_tree l1 "$here/init"
mkdir l1/guest
initramfs guest l1/guest/guest.cpio
cp "$base/bzImage" l1/guest/
(cd l1 && cpio --quiet -id --no-absolute-filenames 'modc/*.ko' <"$base/kvm.cpio") 2>>"$log" || fail "linux-kvm's kvm.cpio has no modules"

# QEMU where it was built to be, with the firmware of the two PC machines; the modules beside it (sound, displays, remote disks) are not needed.
mkdir -p l1/usr/bin l1/usr/share/qemu l1/usr/share/seabios
cp debian/usr/bin/qemu-system-x86_64 l1/usr/bin/ 2>>"$log" || fail "qemu-system-x86 has no qemu-system-x86_64"
for firmware in qemu/linuxboot_dma.bin qemu/kvmvapic.bin qemu/pvh.bin seabios/bios-256k.bin; do
  cp "debian/usr/share/$firmware" "l1/usr/share/$firmware" 2>>"$log" || fail "qemu-system-data or seabios lacks $firmware"
done
libraries debian l1 debian/usr/bin/qemu-system-x86_64
initramfs l1 made/qemu.cpio
cpio --quiet -t <made/qemu.cpio 2>>"$log" | grep -qx init || fail "qemu.cpio has no init"

hand_over "$out" "$stamp"
