#!/usr/bin/env bash
# Records anew, on this AMD processor, the vectors that SiliconVectorsTest compares with. usage: record-fp-vectors.sh [SEED]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
resources=$here/../resources/dev/pacifica/emulator/fp
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O1 -Wall -o "$work/fpvectors" "$here/fpvectors.c"
record() { "$work/fpvectors" "$1" "$2" "$seed"; }
seed=${1:-20261123}
for each in x87:336 x87mem:324 fbld:8 x87env:54 mmx:480 sse2int:500 ssefloat:512 ssecvt:384 ssemove:280 rcp:32 sse3:95 ssse3:256 sse4:420; do
    record "${each%:*}" "${each#*:}"
done | gzip -9n > "$resources/silicon.vectors.gz"
for each in trig:400 trigedge:240; do
    record "${each%:*}" "${each#*:}"
done | gzip -9n > "$resources/silicon-transcendental.vectors.gz"
ls -l "$resources"
