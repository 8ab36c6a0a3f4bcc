#!/usr/bin/env bash
# Builds the Xen HVM workload out of Debian packages: that of guests/xen, with what an HVM guest needs in dom0.
#   make.sh [--force] [OUTDIR]      OUTDIR defaults to .cache/xen-hvm at the top of the repository
# (guests/xen and guests/linux-kvm are built first, if need be, in folders xen and linux-kvm beside OUTDIR.) Leaves in OUTDIR:
#   xen, vmlinux  as in guests/xen: the hypervisor and dom0's kernel
#   dom0.cpio     guests/xen's initramfs, and behind it a second archive: QEMU as device model with its libraries, hvmloader, SeaBIOS, the guest's bzImage
#   versions      the packages these were made from (xen/versions and linux-kvm/versions have the others)
# A complete OUTDIR made from the same sources is left as it is. Exit status: 0 made or up to date, 1 failed (one line on stderr says why).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
recipe=xen-hvm
. "$here/../lib/debian.sh"

force=
[ "${1:-}" != --force ] || { force=yes; shift; }
[[ $# -le 1 && "${1:-}" != -* ]] || fail "usage: make.sh [--force] [OUTDIR]"
out=$(realpath -m -- "${1:-$top/.cache/xen-hvm}")
base=$(dirname "$out")/xen
kernel=$(dirname "$out")/linux-kvm
"$here/../xen/make.sh" "$base" >/dev/null || exit 1 # which has said why

stamp=$(stamp_of "$here/make.sh" "$base/.stamp" "$base/versions")
if [ -z "$force" ] && complete "$out" "$stamp" xen vmlinux dom0.cpio versions; then echo "$out is up to date"; exit 0; fi
scratch "$out"

# --- tools and packages ---------------------------------------------------------------------------------------------------
need_tools cpio:cpio readelf:binutils

packages=(qemu-system-xen qemu-system-data seabios xen-utils-4.17 libxenmisc4.17 libxencall1 libxendevicemodel1 libxenevtchn1
  libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4 libxentoolcore1 libxentoollog1 libblkid1 libbz2-1.0 libc6 libcap2
  libdw1 libelf1 libfdt1 libffi8 libgcc-s1 libglib2.0-0 libgstreamer-plugins-base1.0-0 libgstreamer1.0-0 libjpeg62-turbo liblz4-1
  liblzma5 libmount1 libopus0 liborc-0.4-0 libpcre2-8-0 libpixman-1-0 libsasl2-2 libselinux1 libspice-server1 libssl3 libstdc++6
  libudev1 libunwind8 libusb-1.0-0 libuuid1 libyajl2 libzstd1 zlib1g)
download "${packages[@]}" || { refresh && download "${packages[@]}"; } || fail "cannot download Debian 12's packages of QEMU for Xen: $(reason)"

# --- what of them is used -------------------------------------------------------------------------------------------------
cd "$work"
mkdir debian
for package in "${packages[@]}"; do unpack "${package}_" debian; done
for product in xen vmlinux; do cp "$base/$product" "made/$product"; done

# Everything where libxl and QEMU were built to find it.
mkdir -p dom0/guests
cp "$kernel/bzImage" dom0/guests/
for file in usr/libexec/xen-qemu-system-i386 usr/lib/xen-4.17/boot/hvmloader usr/share/seabios/bios-256k.bin usr/share/qemu/linuxboot.bin usr/share/qemu/keymaps/en-us; do
  mkdir -p "dom0/$(dirname "$file")"
  cp "debian/$file" "dom0/$file" 2>>"$log" || fail "none of the packages has $file"
done
libraries debian dom0 debian/usr/libexec/xen-qemu-system-i386
{ cat "$base/dom0.cpio"; newc dom0; } >made/dom0.cpio

hand_over "$out" "$stamp"
