#!/bin/sh
# Plants the faults of faults.txt one at a time and tells which test catches each.
# usage: run.sh [--list | --match | NAME...]   all of them without NAME; see README.md
set -eu
cd "$(dirname "$0")/../../.."
here=src/test/mutations
work=target/mutations
. ../.mvn/find-jdk.sh
find_jdk || { echo "run.sh: no JDK $pacifica_jdk or later found; set JAVA_HOME to one" >&2; exit 2; }

mkdir -p "$work"
if [ ! -s "$work/classpath" ] || [ ../pom.xml -nt "$work/classpath" ] || [ pom.xml -nt "$work/classpath" ]; then
  (cd .. && ./mvnw -B -ntp -q -pl emulator dependency:build-classpath -Dmdep.includeScope=test \
    -Dmdep.outputFile="$PWD/emulator/$work/classpath") || { rm -f "$work/classpath"; exit 2; }
fi
tests=$(cat "$work/classpath")

# Surefire took JUnit's launcher from the repository too; it lies beside the engine's API, in the same version.
engine=$(printf '%s\n' "$tests" | tr : '\n' | grep '/junit-platform-engine-[^/]*\.jar$')
launcher=$(printf '%s\n' "$engine" | sed 's/junit-platform-engine/junit-platform-launcher/g')
if [ ! -e "$launcher" ]; then
  version=${engine##*/junit-platform-engine-}
  (cd .. && ./mvnw -B -ntp -q dependency:get -Dartifact="org.junit.platform:junit-platform-launcher:${version%.jar}")
fi

exec "$JAVA_HOME/bin/java" --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow \
  -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$tests:$launcher" "$here/MutationRun.java" "$@"
