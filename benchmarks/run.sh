#!/usr/bin/env bash
# Compares Pacifica, recording and not, with QEMU TCG on the same images, whole processes in one run; prints Markdown.
#   run.sh [--scale PERCENT] [--pairs N] [--repeat N] [--only LIST] [--without-qemu] [--keep DIR]
#     --scale    how much of each kernel's full work, 1, 10 (default) or 100
#     --pairs    VMRUN pairs a mode (default 1000000; QEMU needs about 20 s for each million)
#     --repeat   runs of each; the fastest counts (default 1)
#     --only     comma-separated out of kernels, linux, vmrun
#     --keep     puts the logs there and leaves them
# Needs gcc-built images as committed; Linux images come from guests/linux-kvm/make.sh. QEMU: apt-get install qemu-system-x86.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/.." && pwd)

fail() { echo "benchmarks: $*" >&2; exit 1; }
say() { echo "benchmarks: $*" >&2; }

scale=10 pairs=1000000 repeat=1 only=kernels,linux,vmrun keep='' qemu=qemu-system-x86_64
while [ $# -gt 0 ]; do
  case $1 in
    --scale) scale=${2:?}; shift ;;
    --pairs) pairs=${2:?}; shift ;;
    --repeat) repeat=${2:?}; shift ;;
    --only) only=${2:?}; shift ;;
    --keep) keep=${2:?}; shift ;;
    --without-qemu) qemu= ;;
    *) fail "unknown option $1" ;;
  esac
  shift
done
case $scale in 1 | 10 | 100) ;; *) fail "--scale must be 1, 10 or 100: those have known instruction counts" ;; esac
if [ -n "$qemu" ] && ! command -v "$qemu" >/dev/null; then say "no $qemu: its column stays empty"; qemu=; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
logs=${keep:-$work/logs}
mkdir -p "$logs"
wants() { [[ ",$only," == *",$1,"* ]]; }

# --- running one thing ----------------------------------------------------------------------------------------------------
# stamped LOG COMMAND…: standard output with the time before each line, the process's times as first and last line.
stamped() {
  local log=$1 status
  shift
  echo "$EPOCHREALTIME #start" >"$log"
  set +e
  timeout 1800 "$@" 2>"$log.err" </dev/null | while IFS= read -r line; do printf '%s %s\n' "$EPOCHREALTIME" "${line%$'\r'}"; done >>"$log"
  status=${PIPESTATUS[0]}
  set -e
  echo "$EPOCHREALTIME #end $status" >>"$log"
}

# machine ENGINE LOG KERNEL INITRD APPEND MEMORY
machine() {
  local engine=$1 log=$2 kernel=$3 initrd=$4 append=$5 memory=$6 arguments
  case $engine in
    qemu)
      arguments=(-accel tcg -cpu 'max,+svm,+npt' -m "${memory%M}" -display none -monitor none -no-reboot -serial stdio
        -device 'isa-debug-exit,iobase=0xf4,iosize=0x4' -kernel "$kernel" -append "$append")
      [ -z "$initrd" ] || arguments+=(-initrd "$initrd")
      stamped "$log" "$qemu" "${arguments[@]}"
      ;;
    run | record)
      arguments=(--memory "$memory" --serial stdio --kernel "$kernel" --append "$append")
      [ -z "$initrd" ] || arguments+=(--initrd "$initrd")
      [ "$engine" = run ] || arguments=(-o "$work/trace.pacifica" --force "${arguments[@]}")
      rm -rf "$work/trace.pacifica"
      stamped "$log" "$top/pacifica" "$engine" "${arguments[@]}"
      if [ "$engine" = record ] && [ -d "$work/trace.pacifica" ]; then du -s -B1 "$work/trace.pacifica" | cut -f1 >"$log.size"; fi
      ;;
  esac
}

engines=(run record)
[ -z "$qemu" ] || engines=(qemu run record)

# between LOG FROM TO: seconds from the first line that begins with FROM to the first that begins with TO, nothing if either lacks
between() {
  awk -v from="$2" -v to="$3" '{ t = $1; sub(/^[^ ]* /, "") } !a && index($0, from) == 1 { a = t } a && !b && index($0, to) == 1 { b = t } END { if (a && b) printf "%.6f", b - a }' "$1"
}
# fastest of the repeated runs: best NAME FROM TO
best() {
  local log
  for log in "$logs/$1".[0-9]*; do
    case $log in *.err | *.size | *'*') ;; *) between "$log" "$2" "$3"; echo ;; esac
  done | { grep . || true; } | sort -g | head -n 1
}
all_runs() { # all_runs NAME KERNEL INITRD APPEND MEMORY: each engine in turn, so that a slow minute of the host hits all
  local round engine
  for round in $(seq "$repeat"); do
    for engine in "${engines[@]}"; do
      say "$1 $engine (run $round of $repeat)"
      machine "$engine" "$logs/$1-$engine.$round" "$2" "$3" "$4" "$5"
    done
  done
}
# ratio A B: A/B with two digits; "–" when one lacks
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a > 0 && b > 0) printf "%.2f", a / b; else printf "–" }'; }
number() { awk -v a="$1" -v f="${2:-%.2f}" 'BEGIN { if (a != "") printf f, a; else printf "–" }'; }
rate() { awk -v n="$1" -v t="$2" -v f="${3:-%.0f}" 'BEGIN { if (n > 0 && t > 0) printf f, n / t; else printf "–" }'; }
overhead() { awk -v run="$1" -v record="$2" 'BEGIN { if (run > 0 && record > 0) printf "%+.0f %%", (record / run - 1) * 100; else printf "–" }'; }

say "building"
"$top/pacifica" --version >&2 || fail "./pacifica does not run"
host="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors"
echo "Host: $host. $([ -z "$qemu" ] || "$qemu" --version | head -n 1). $(date -u +%Y-%m-%d). Fastest of $repeat; times in seconds; ratios above 1 mean that Pacifica is faster."

# --- kernels --------------------------------------------------------------------------------------------------------------
if wants kernels; then
  all_runs kernels "$here/guest/bench.elf" '' "scale=$scale" 256M
  echo
  echo "### Integer kernels (scale $scale)"
  echo
  echo "| kernel | instructions | QEMU MIPS | run MIPS | record MIPS | run : QEMU | recording |"
  echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
  bad=
  while read -r at kernel instructions sum; do
    [ "$at" = "$scale" ] || continue
    q=$(best kernels-qemu "BEGIN $kernel" "END $kernel")
    r=$(best kernels-run "BEGIN $kernel" "END $kernel")
    c=$(best kernels-record "BEGIN $kernel" "END $kernel")
    for engine in "${engines[@]}"; do
      grep -q " END $kernel .*sum=$sum" "$logs/kernels-$engine.1" || bad="$bad $engine:$kernel"
    done
    if [ "$kernel" = repmovsb ]; then # one instruction a megabyte: the rate is in MiB
      printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$kernel (MiB/s)" "–" "$(rate $((10 * scale)) "$q")" "$(rate $((10 * scale)) "$r")" \
        "$(rate $((10 * scale)) "$c")" "$(ratio "$q" "$r")" "$(overhead "$r" "$c")"
    else
      millions=$(awk -v n="$instructions" 'BEGIN { print n / 1e6 }')
      printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$kernel" "$instructions" "$(rate "$millions" "$q")" "$(rate "$millions" "$r")" "$(rate "$millions" "$c")" \
        "$(ratio "$q" "$r")" "$(overhead "$r" "$c")"
    fi
  done < <(grep -v '^#' "$here/guest/expected.tsv")
  [ -z "$bad" ] || printf '\n**Wrong or missing checksums:**%s\n' "$bad"
fi

# --- Linux ----------------------------------------------------------------------------------------------------------------
if wants linux; then
  "$top/guests/linux-kvm/make.sh" >&2
  images=$top/.cache/linux-kvm
  all_runs boot "$images/vmlinux" "$images/boot.cpio" "console=ttyS0 quiet" 512M
  all_runs kvm-npt1 "$images/vmlinux" "$images/kvm.cpio" "console=ttyS0 quiet hvnpt=1" 512M
  all_runs kvm-npt0 "$images/vmlinux" "$images/kvm.cpio" "console=ttyS0 quiet hvnpt=0" 512M
  echo
  echo "### Debian's Linux, whole process"
  echo
  echo "| workload | QEMU s | run s | record s | run : QEMU | recording | trace |"
  echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
  row() { # row NAME TITLE
    local q r c engine size
    for engine in "${engines[@]}"; do
      grep -q 'MARKER-L1-POWEROFF' "$logs/$1-$engine.1" || { say "$1 $engine did not reach its end"; mv "$logs/$1-$engine.1" "$logs/$1-$engine.failed"; }
    done
    q=$(best "$1-qemu" '#start' '#end') r=$(best "$1-run" '#start' '#end') c=$(best "$1-record" '#start' '#end')
    size=$(cat "$logs/$1-record.1.size" 2>/dev/null || true)
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$2" "$(number "$q")" "$(number "$r")" "$(number "$c")" "$(ratio "$q" "$r")" "$(overhead "$r" "$c")" \
      "$(awk -v b="$size" 'BEGIN { if (b != "") printf "%.1f MB", b / 1e6; else printf "–" }')"
  }
  row boot "boot to user space"
  row kvm-npt1 "KVM with two guests, nested paging"
  row kvm-npt0 "KVM with two guests, shadow paging"
fi

# --- world switches -------------------------------------------------------------------------------------------------------
if wants vmrun; then
  for mode in vmmcall cpuid ioio npf; do
    all_runs "vmrun-$mode" "$top/guests/vmrun-bench/vmrun-bench.elf" '' "pairs=$pairs mode=$mode" 64M
  done
  echo
  echo "### VMRUN/#VMEXIT pairs ($pairs of each)"
  echo
  echo "| exit | QEMU pairs/s | run pairs/s | record pairs/s | run : QEMU | recording | trace bytes a pair |"
  echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
  for mode in vmmcall cpuid ioio npf; do
    q=$(best "vmrun-$mode-qemu" "BEGIN mode=" "END mode=")
    r=$(best "vmrun-$mode-run" "BEGIN mode=" "END mode=")
    c=$(best "vmrun-$mode-record" "BEGIN mode=" "END mode=")
    size=$(cat "$logs/vmrun-$mode-record.1.size" 2>/dev/null || true)
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$mode" "$(rate "$pairs" "$q")" "$(rate "$pairs" "$r")" "$(rate "$pairs" "$c")" "$(ratio "$q" "$r")" \
      "$(overhead "$r" "$c")" "$(rate "${size:-0}" "$pairs" %.1f)"
  done
fi
