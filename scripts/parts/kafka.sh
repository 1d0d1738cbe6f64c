#!/usr/bin/env bash
# Installs Apache Kafka (the jars, from Maven Central) into the parts folder and prints the folder of its jars.
# Idempotent: an installation that is complete is only printed. Needs java (17 or later) and mvn.
#   TOLLBOOK_PARTS   the parts folder; ~/.cache/tollbook without it
set -euo pipefail
version=4.1.1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=${TOLLBOOK_PARTS:-$HOME/.cache/tollbook}
libs=$parts/kafka-$version/libs

for tool in java mvn; do
  command -v "$tool" >/dev/null || { echo "kafka.sh: $tool is missing (Debian: apt-get install default-jre-headless maven)" >&2; exit 1; }
done
mkdir -p "$parts"
# Two test runs at once must not download into one folder.
exec 9>"$parts/kafka.lock"
flock 9
if [ ! -d "$libs" ]; then
  work=$(mktemp -d "$parts/kafka.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/libs" >&2
  ls "$work/libs" | grep -q '^kafka_2.13-' || { echo "kafka.sh: Maven brought no broker" >&2; exit 1; }
  mkdir -p "$(dirname "$libs")"
  # The last step, and atomic: a folder that is there is complete.
  mv "$work/libs" "$libs"
fi
echo "$libs"
