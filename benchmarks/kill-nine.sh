#!/bin/bash
# Kills a recording with SIGKILL at random moments and proves each time that the trace opens and replays as far as it goes.
# usage: kill-nine.sh TIMES LONGEST-SECONDS RECORD-OPTIONS…       e.g. kill-nine.sh 20 40 --kernel vmlinux --initrd kvm.cpio …
# WHOLE=1 replays from power-on each time, not only from the last checkpoint.
set -euo pipefail
times=$1
longest=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$root/pacifica" --version >/dev/null
failures=0
for ((i = 1; i <= times; i++)); do
  trace=$work/$i.pacifica
  seconds=$((RANDOM % longest + 5)).$((RANDOM % 10))
  # The launcher becomes java by exec, so this is the process that records.
  "$root/pacifica" record -o "$trace" --serial null "$@" </dev/null >/dev/null 2>&1 &
  recorder=$!
  sleep "$seconds"
  kill -9 "$recorder" 2>/dev/null || true
  wait "$recorder" 2>/dev/null || true
  if [ ! -e "$trace/manifest.json" ]; then
    echo "$i: killed after $seconds s, before a trace was begun"
    continue
  fi
  extent=$("$root/pacifica" info "$trace" | grep -E '^(instructions|events|checkpoints|ends)' | tr -s ' ' | tr '\n' ';') || extent="DOES NOT OPEN"
  last=$("$root/pacifica" checkpoints "$trace" | grep -cE "^ +[0-9]+ ") || true
  last=$((last - 1))
  from=()
  if [ "$last" -ge 0 ] && [ -z "${WHOLE-}" ]; then
    from=(--from-checkpoint "$last")
  fi
  if verdict=$("$root/pacifica" replay "$trace" --verify "${from[@]}" 2>&1); then
    echo "$i: killed after $seconds s; $extent $verdict"
  else
    echo "$i: killed after $seconds s; $extent FAILED: $verdict"
    failures=$((failures + 1))
  fi
  rm -rf "$trace"
done
echo "$failures of $times failed"
[ "$failures" -eq 0 ]
