#!/usr/bin/env bash
# Records the instruction vectors on this host's processor, which must be an AMD one, into the test resources. See README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
module=$(cd "$here/../../.." && pwd)
grep -q AuthenticAMD /proc/cpuinfo || { echo "record-vectors: this host has no AMD processor" >&2; exit 1; }
[ -d "$module/target/test-classes" ] || { echo "record-vectors: build the tests first: ./mvnw -q -pl emulator test-compile" >&2; exit 1; }
zstd=$(find "$HOME/.m2/repository/com/github/luben/zstd-jni" -name 'zstd-jni-*.jar' | sort -V | tail -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -Wall -fno-stack-protector -fcf-protection=none -mgeneral-regs-only -o "$work/silicon" "$here/silicon.c"
"${JAVA_HOME:+$JAVA_HOME/bin/}java" --enable-native-access=ALL-UNNAMED -Xmx3g -cp "$module/target/classes:$module/target/test-classes:$zstd" \
  dev.pacifica.emulator.silicon.RecordVectors "$work/silicon" "$module/src/test/resources/dev/pacifica/emulator/silicon"
