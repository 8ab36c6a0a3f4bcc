#!/usr/bin/env bash
# Builds Linux's own KVM selftests (tools/testing/selftests/kvm) from Debian's linux-source package of the very kernel that
# guests/linux-kvm has, as static programs in an initramfs.
#   make.sh [--all] [--force] [OUTDIR]      OUTDIR defaults to .cache/kvm-selftests at the top of the repository
# (built first, if need be, in the folder linux-kvm beside OUTDIR). Leaves in OUTDIR:
#   selftests.cpio  initramfs: runs the tests (init) named quick in the list `tests`, with --all those named slow as well
#   versions        the packages these were made from
# A complete OUTDIR made from the same sources is left as it is. Exit status: 0 made or up to date, 1 failed (one line on stderr says why).
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)

fail() { echo "kvm-selftests: $*" >&2; exit 1; }

force= speed=quick
while [[ ${1:-} == --* ]]; do
  case $1 in
    --force) force=yes ;;
    --all) speed='(quick|slow)' ;;
    *) fail "usage: make.sh [--all] [--force] [OUTDIR]" ;;
  esac
  shift
done
[ $# -le 1 ] || fail "usage: make.sh [--all] [--force] [OUTDIR]"
out=${1:-$top/.cache/kvm-selftests}
mkdir -p "$out"
out=$(cd "$out" && pwd)
base=$(dirname "$out")/linux-kvm
"$here/../linux-kvm/make.sh" "$base" >/dev/null || fail "guests/linux-kvm/make.sh failed"

mapfile -t tests < <(awk -v speed="^$speed\$" '$1 !~ /^#/ && $3 ~ speed { print $1 }' "$here/tests")
stamp=$({ cat "$here/make.sh" "$here/init" "$base/.stamp" "$base/versions"; printf '%s\n' "${tests[@]}"; } | sha256sum | cut -d' ' -f1)
if [ -z "$force" ] && [ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ] && [ -s "$out/selftests.cpio" ]; then
  echo "$out is up to date"
  exit 0
fi

work=$(mktemp -d "$(dirname "$out")/.kvm-selftests.XXXXXX")
trap 'rm -rf "$work"' EXIT
log=$work/log
: >"$log"

# --- tools and packages ---------------------------------------------------------------------------------------------------
apt_options=(-q -o Acquire::Retries=3)
[ "$(id -u)" != 0 ] || apt_options+=(-o APT::Sandbox::User=root)
reason() { grep -E '^(E:|W:|Err)' "$log" | head -n 1 | tr -s ' ' || tail -n 1 "$log"; }
updated=
refresh() { # fetches the package lists once: the system's as root, private ones otherwise
  [ -z "$updated" ] || return 1
  updated=yes
  if [ "$(id -u)" != 0 ]; then
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    apt_options+=(-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/archives")
  fi
  apt-get "${apt_options[@]}" -o APT::Update::Error-Mode=any update >>"$log" 2>&1 || fail "apt-get update failed: $(reason)"
}

missing=()
for tool in make:make xz:xz-utils cpio:cpio gcc:gcc strip:binutils; do
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || fail "missing tools; run as root: apt-get install -y ${missing[*]}"
  install_missing() { DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; }
  install_missing || { refresh && install_missing; } || fail "cannot install ${missing[*]}: $(reason)"
fi

version=$(awk '/^linux-image/ { print $2 }' "$base/versions")
[[ $version =~ ^([0-9]+\.[0-9]+)\. ]] || fail "no kernel version in $base/versions"
source=linux-source-${BASH_REMATCH[1]}
download() { (cd "$work" && rm -f -- *.deb && apt-get "${apt_options[@]}" download "$source=$version" "linux-libc-dev=$version") >>"$log" 2>&1; }
download || { refresh && download; } || fail "cannot download $source and linux-libc-dev $version: $(reason)"

# --- the tests ------------------------------------------------------------------------------------------------------------
cd "$work"
mkdir made linux headers built
for package in *.deb; do dpkg-deb -W "$package"; done >made/versions
dpkg-deb -x "$(echo linux-libc-dev_*.deb)" headers || fail "linux-libc-dev does not unpack"
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
umask 022
mkdir -p tree/selftests
for test in "${tests[@]}"; do strip -o "tree/selftests/${test##*/}" "built/$test"; done
install -m 755 "$here/init" tree/init
find tree -exec touch -h -d @0 {} +
cp "$base/kvm.cpio" made/selftests.cpio
(cd tree && find . -print0 | sort -z | cpio --quiet -0 -o -H newc --reproducible -R 0:0) >>made/selftests.cpio

# --- hand over ------------------------------------------------------------------------------------------------------------
echo "$stamp" >made/.stamp
mv "$out" "$work/old"
mv made "$out"
ls -l "$out"
cat "$out/versions"
