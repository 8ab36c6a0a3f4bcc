#!/usr/bin/env bash
# Builds the Xen workload out of Debian packages: the hypervisor, a PV dom0 with Xen's own tools, and guests for `xl create`.
#   make.sh [--force] [OUTDIR]      OUTDIR defaults to .cache/xen at the top of the repository
# (guests/linux-kvm is built first, if need be, in the folder linux-kvm beside OUTDIR: its kernel is a guest's). Leaves in OUTDIR:
#   xen        the hypervisor, an uncompressed Multiboot ELF (xen-hypervisor-4.17-amd64)
#   vmlinux    dom0's kernel, an uncompressed ELF (linux-image-amd64; the cloud kernel cannot be dom0)
#   dom0.cpio  dom0's initramfs: busybox, xenstored, xenconsoled, xl, their libraries, and the guests' kernels (init)
#   versions   the packages these were made from
# A complete OUTDIR made from the same sources is left as it is. Exit status: 0 made or up to date, 1 failed (one line on stderr says why).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
recipe=xen
. "$here/../lib/debian.sh"

force=
[ "${1:-}" != --force ] || { force=yes; shift; }
[[ $# -le 1 && "${1:-}" != -* ]] || fail "usage: make.sh [--force] [OUTDIR]"
out=$(realpath -m -- "${1:-$top/.cache/xen}")
base=$(dirname "$out")/linux-kvm
"$here/../linux-kvm/make.sh" "$base" >/dev/null || exit 1 # which has said why

stamp=$(stamp_of "$here/make.sh" "$here/init" "$here/init-guest" "$here/pvh.S" "$base/.stamp" "$base/versions")
if [ -z "$force" ] && complete "$out" "$stamp" xen vmlinux dom0.cpio versions; then echo "$out is up to date"; exit 0; fi
scratch "$out"

# --- tools and packages ---------------------------------------------------------------------------------------------------
need_tools xz:xz-utils cpio:cpio gcc:gcc readelf:binutils

kernel_package() {
  apt-cache "${apt_options[@]}" depends linux-image-amd64 2>>"$log" | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1
}
kernel=$(kernel_package)
[ -n "$kernel" ] || { refresh; kernel=$(kernel_package); }
[ -n "$kernel" ] || fail "apt knows no linux-image-amd64 even after apt-get update: is this Debian for amd64?"

packages=(xen-hypervisor-4.17-amd64 xen-utils-4.17 libxenmisc4.17 libxencall1 libxendevicemodel1 libxenevtchn1 libxenforeignmemory1
  libxengnttab1 libxenhypfs1 libxenstore4 libxentoolcore1 libxentoollog1 libyajl2 libzstd1 zlib1g liblzma5 libuuid1 libc6 libgcc-s1 busybox-static)
download "$kernel" "${packages[@]}" || { refresh && kernel=$(kernel_package) && [ -n "$kernel" ] && download "$kernel" "${packages[@]}"; } ||
  fail "cannot download $kernel and Debian 12's packages of Xen 4.17: $(reason)"

# --- hypervisor and dom0's kernel -----------------------------------------------------------------------------------------
cd "$work"
mkdir kernel debian
dpkg-deb --fsys-tarfile "$(echo linux-image-*.deb)" | tar x -C kernel --wildcards './boot/vmlinuz-*' '*/drivers/xen/*' 2>>"$log" || fail "$kernel does not unpack"
for package in "${packages[@]}"; do unpack "${package}_" debian; done
gzip -dc debian/boot/xen-4.17-amd64.gz >made/xen || fail "the hypervisor does not unpack"

# The XZ payload starts at its magic; the kernel puts its own size after it, which xz complains about.
vmlinuz=$(echo kernel/boot/vmlinuz-*)
offset=$(grep -aobP '\xfd7zXZ\x00' "$vmlinuz" | head -n 1 | cut -d: -f1 || true)
[ -n "$offset" ] || fail "no XZ payload in $kernel"
tail -c +"$((offset + 1))" "$vmlinuz" | xz -dc --single-stream 2>>"$log" >made/vmlinux || true
sections_end=$(readelf -h made/vmlinux 2>>"$log" | awk '/Start of section headers/ { s = $5 } /Size of section headers/ { z = $5 } /Number of section headers/ { n = $5 } END { print s + z * n }')
[ "${sections_end:-0}" -gt 0 ] && [ "$(stat -c %s made/vmlinux)" -ge "$sections_end" ] || fail "the payload of $kernel is not a whole ELF file"
readelf -n made/vmlinux 2>>"$log" | grep -q Xen || fail "$kernel has no notes for Xen"

# --- the initramfs images -------------------------------------------------------------------------------------------------
initramfs() { # initramfs TREE PRODUCT
  { newc "$1"; device_nodes; } >"$2"
}
mkdir -p guest/bin guest/dev guest/proc guest/sys dom0/bin dom0/dev dom0/proc dom0/sys dom0/modc dom0/guests
cp debian/bin/busybox guest/bin/
ln -s busybox guest/bin/sh
install -m 755 "$here/init-guest" guest/init
initramfs guest dom0/guests/linux.cpio
cp "$base/vmlinux" dom0/guests/vmlinux
gcc -m32 -nostdlib -static -Wl,--build-id=none -Wl,-Ttext-segment=0x100000 -Wl,-z,noexecstack -o dom0/guests/pvh.elf "$here/pvh.S" 2>>"$log" ||
  fail "the small guest does not assemble: $(tail -n 1 "$log")"

cp debian/bin/busybox dom0/bin/
ln -s busybox dom0/bin/sh
install -m 755 "$here/init" dom0/init
for module in xen-evtchn xen-gntdev xen-privcmd xenfs; do
  cp "$(find kernel/lib/modules -name "$module.ko")" dom0/modc/ 2>>"$log" || fail "$kernel lacks $module.ko"
done

# The tools where they were built to be, and of the libraries those that they need.
tools=usr/lib/xen-4.17/bin
mkdir -p "dom0/$tools"
for tool in xenstored xenconsoled xen-init-dom0 xl; do
  cp "debian/$tools/$tool" "dom0/$tools/" 2>>"$log" || fail "xen-utils-4.17 has no $tools/$tool"
done
libraries debian dom0 "dom0/$tools"/*
initramfs dom0 made/dom0.cpio
cpio --quiet -t <made/dom0.cpio 2>>"$log" | grep -qx init || fail "dom0.cpio has no init"

hand_over "$out" "$stamp"
