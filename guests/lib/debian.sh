# shellcheck shell=bash
# What the make.sh of guests out of Debian packages share. They source it with `recipe` set, the name in messages, count it
# into their stamps (stamp_of), and work as root and as an ordinary user; nothing but the tools they name is installed.
# Exit status: 0 made or up to date, 1 failed (one line on stderr says why).
set -euo pipefail
export LC_ALL=C
umask 022
: "${recipe:?is to be set before guests/lib/debian.sh is sourced}"

fail() { echo "$recipe: $*" >&2; exit 1; }

# --- a complete OUTDIR is left as it is -----------------------------------------------------------------------------------
stamp_of() { # stamp_of FILE…: what tells whether an OUTDIR was made from these and from this file
  cat "${BASH_SOURCE[0]}" "$@" | sha256sum | cut -d' ' -f1
}
complete() { # complete OUTDIR STAMP PRODUCT…
  local out=$1 product
  [ "$(cat "$out/.stamp" 2>/dev/null)" = "$2" ] || return 1
  for product in "${@:3}"; do [ -s "$out/$product" ] || return 1; done
}
scratch() { # scratch OUTDIR: makes $work beside it, with made/ for the products and $log for what tools say
  mkdir -p "$(dirname "$1")"
  work=$(mktemp -d "$(dirname "$1")/.$recipe.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/made"
  log=$work/log
  : >"$log"
}
hand_over() { # hand_over OUTDIR STAMP: made/ takes the place of OUTDIR
  echo "$2" >"$work/made/.stamp"
  [ ! -e "$1" ] || mv "$1" "$work/old"
  mv "$work/made" "$1"
  ls -l "$1"
  cat "$1/versions"
}

# --- tools and packages ---------------------------------------------------------------------------------------------------
apt_options=(-q -o Acquire::Retries=3)
[ "$(id -u)" != 0 ] || apt_options+=(-o APT::Sandbox::User=root)

reason() { grep -E '^(E:|W:|Err)' "$log" | head -n 1 | tr -s ' ' || tail -n 1 "$log"; }

updated=
refresh() { # fetches the package lists, the system's as root, private ones otherwise; fails when that was done already
  [ -z "$updated" ] || return 1
  updated=yes
  if [ "$(id -u)" != 0 ]; then
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    apt_options+=(-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/archives")
  fi
  apt-get "${apt_options[@]}" -o APT::Update::Error-Mode=any update >>"$log" 2>&1 || fail "apt-get update failed: $(reason)"
}

missing=()
install_missing() {
  DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1
}
need_tools() { # need_tools TOOL:PACKAGE…: installs those that lack if it may; gcc stands for the C library's headers as well
  local tool
  command -v apt-get >/dev/null || fail "needs Debian's apt-get and the package archive behind it; this host has none"
  command -v dpkg-deb >/dev/null || fail "needs dpkg-deb, which is not installed"
  for tool in "$@"; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
    if [ "$tool" = gcc:gcc ] && ! gcc -E -include stdio.h -include linux/kvm.h -xc /dev/null >/dev/null 2>&1; then missing+=(libc6-dev); fi
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || fail "missing tools; run as root: apt-get install -y ${missing[*]}"
  install_missing || { refresh && install_missing; } || fail "cannot install ${missing[*]}: $(reason)"
}

download() { # download PACKAGE[=VERSION]…: into $work, in place of what was downloaded before; they are listed in `versions`
  local package
  (cd "$work" && rm -f -- *.deb && apt-get "${apt_options[@]}" download "$@") >>"$log" 2>&1 || return 1
  for package in "$work"/*.deb; do dpkg-deb -W "$package"; done >"$work/made/versions"
}
unpack() { # unpack PACKAGE FOLDER: a downloaded package, by the beginning of its name
  local package
  package=$(echo "$work/$1"*.deb)
  dpkg-deb -x "$package" "$2" 2>>"$log" || fail "the package $1 does not unpack"
}

of_i386() { # from here on packages are those of i386, by private lists: nothing on the host changes
  mkdir -p "$work/i386/lists/partial" "$work/i386/archives/partial"
  apt_options+=(-o APT::Architecture=i386 -o Acquire::Languages=none -o Dir::State::status=/dev/null
    -o "Dir::State::lists=$work/i386/lists" -o "Dir::Cache=$work/i386/archives")
  # A source that has no i386, or is just being updated, does not matter as long as another one has the packages.
  apt-get "${apt_options[@]}" update >>"$log" 2>&1 || true
}

# --- initramfs images -----------------------------------------------------------------------------------------------------
newc() { # newc FOLDER: it as a "newc" archive, the same bytes whoever runs it, whenever
  find "$1" -exec touch -h -d @0 {} +
  (cd "$1" && find . -print0 | sort -z | cpio --quiet -0 -o -H newc --reproducible -R 0:0)
}
newc_entry() { # newc_entry NAME MODE MAJOR MINOR: one header-only entry of a "newc" archive
  local size=$((${#1} + 1))
  printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\0' 0 "$2" 0 0 1 0 0 0 0 "$3" "$4" "$size" 0 "$1"
  head -c "$(((4 - (110 + size) % 4) % 4))" /dev/zero
}
device_nodes() { # an archive of device nodes, to be put behind another one: making them in its tree would need root
  newc_entry dev/console $((020600)) 5 1
  newc_entry dev/null $((020666)) 1 3
  newc_entry dev/ttyS0 $((020600)) 4 64
  newc_entry dev/kmsg $((020600)) 1 11
  newc_entry 'TRAILER!!!' 0 0 0
}

# --- dynamically linked programs ------------------------------------------------------------------------------------------
libraries() { # libraries PACKAGES TREE PROGRAM…: of the unpacked packages' libraries those that these programs need
  local packages=$1 tree=$2 folder=usr/lib/x86_64-linux-gnu needed=("${@:3}") names name file
  mkdir -p "$tree/$folder" "$tree/lib64"
  cp "$packages/lib/x86_64-linux-gnu/libgcc_s.so.1" "$tree/$folder/" || fail "libgcc-s1 has no library" # libc loads it for pthread_cancel
  while [ ${#needed[@]} -gt 0 ]; do
    mapfile -t names < <(readelf -d "${needed[@]}" 2>>"$log" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u)
    needed=()
    for name in "${names[@]}"; do
      [ ! -e "$tree/$folder/$name" ] || continue
      file=$(find "$packages/lib" "$packages/$folder" -name "$name" | head -n 1)
      [ -n "$file" ] || fail "none of the packages has $name"
      cp -L "$file" "$tree/$folder/"
      needed+=("$file")
    done
  done
  ln -s "../$folder/ld-linux-x86-64.so.2" "$tree/lib64/ld-linux-x86-64.so.2"
  [ -e "$tree/lib64/ld-linux-x86-64.so.2" ] || fail "libc6 has no dynamic linker where it was expected"
}
