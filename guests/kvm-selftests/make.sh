#!/usr/bin/env bash
# Builds Linux's own KVM selftests (tools/testing/selftests/kvm) from Debian's linux-source package of the very kernel that
# guests/linux-kvm has, as static programs in an initramfs.
#   make.sh [--all] [--force] [OUTDIR]      OUTDIR defaults to .cache/kvm-selftests at the top of the repository
# (that is built first, if need be, in the folder linux-kvm beside OUTDIR; and built anew when the archive has that version's
# source no longer). Leaves in OUTDIR:
#   selftests.cpio  initramfs: runs the tests (init) named quick in the list `tests`, with --all those named slow as well
#   versions        the packages these were made from
# A complete OUTDIR made from the same sources is left as it is. Exit status: 0 made or up to date, 1 failed (one line on stderr says why).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
recipe=kvm-selftests
. "$here/../lib/debian.sh"

force= speed=quick
while [[ ${1:-} == -* ]]; do
  case $1 in
    --force) force=yes ;;
    --all) speed='(quick|slow)' ;;
    *) fail "usage: make.sh [--all] [--force] [OUTDIR]" ;;
  esac
  shift
done
[ $# -le 1 ] || fail "usage: make.sh [--all] [--force] [OUTDIR]"
out=$(realpath -m -- "${1:-$top/.cache/kvm-selftests}")
base=$(dirname "$out")/linux-kvm
make_base() { "$here/../linux-kvm/make.sh" "$@" "$base" >/dev/null || exit 1; } # which has said why
make_base

mapfile -t tests < <(awk -v speed="^$speed\$" '$1 !~ /^#/ && $3 ~ speed { print $1 }' "$here/tests")
current_stamp() { stamp_of "$here/make.sh" "$here/init" "$base/.stamp" "$base/versions" <(printf '%s\n' "${tests[@]}"); }
stamp=$(current_stamp)
if [ -z "$force" ] && complete "$out" "$stamp" selftests.cpio versions; then echo "$out is up to date"; exit 0; fi
scratch "$out"

# --- tools and packages ---------------------------------------------------------------------------------------------------
need_tools make:make xz:xz-utils cpio:cpio gcc:gcc strip:binutils

kernel_version() {
  version=$(awk '/^linux-image/ { print $2 }' "$base/versions")
  [[ $version =~ ^([0-9]+\.[0-9]+)\. ]] || fail "no kernel version in $base/versions"
  source=linux-source-${BASH_REMATCH[1]}
}
sources() { download "$source=$version" "linux-libc-dev=$version"; }
kernel_version
if ! sources && ! { refresh && sources; }; then
  # The lists are new and lack it: the archive keeps a version only so long after a newer one has come. Then that one is to be taken.
  old=$version why=$(reason)
  make_base --force
  kernel_version
  [ "$version" != "$old" ] || fail "cannot download $source and linux-libc-dev $version: $why"
  echo "$recipe: the archive has no $source $old any more: built guests/linux-kvm anew, with $version" >&2
  stamp=$(current_stamp)
  sources || fail "cannot download $source and linux-libc-dev $version: $(reason)"
fi

# --- the tests ------------------------------------------------------------------------------------------------------------
unpack linux-libc-dev_ "$work/headers"
cd "$work"
mkdir linux built
# xz's blocks are unpacked on all processors; only what the tests need is kept.
dpkg-deb --fsys-tarfile "$(echo linux-source-*.deb)" | tar xO --wildcards '*.tar.xz' | xz -dc -T0 |
  tar x -C linux --strip-components=1 --wildcards '*/tools/testing/selftests/kvm' '*/tools/testing/selftests/*.[hm]*' \
    '*/tools/testing/selftests/rseq' '*/tools/include' '*/tools/arch/x86/include' '*/tools/build' '*/tools/lib/rbtree.c' '*/scripts/subarch.include' \
    2>>"$log" || fail "$source does not unpack: $(tail -n 1 "$log")"
include=$work/headers/usr/include
make -C linux/tools/testing/selftests/kvm -j"$(nproc)" ARCH=x86_64 OUTPUT="$work/built" \
  EXTRA_CFLAGS="-static -Wl,--build-id=none -I$include -I$include/x86_64-linux-gnu -include $include/linux/stddef.h" \
  "${tests[@]/#/$work/built/}" >>"$log" 2>&1 || fail "the tests do not compile: $(grep -m 1 -E 'error|\*\*\*' "$log")"

# --- the initramfs: that of guests/linux-kvm, with the tests and another init laid over it ---------------------------------
mkdir -p tree/selftests
for test in "${tests[@]}"; do strip -o "tree/selftests/${test##*/}" "built/$test"; done
install -m 755 "$here/init" tree/init
cp "$base/kvm.cpio" made/selftests.cpio
newc tree >>made/selftests.cpio

hand_over "$out" "$stamp"
