#!/usr/bin/env bash
# Runs every benchmark and writes machine, commit, command and figures into benches/README.md.
# Builds the release profile: a second long compile of everything, once. Arguments go to cargo, such as
# `--features kafka-tls`, which shares what a production build with it has compiled.
#   TOLLBOOK_REAL                 how Kafka and DuckDB are had (tests/real): `required` here, unless it is set
#   TOLLBOOK_BENCH_EVENTS, …      sizes: benches/README.md
#   TOLLBOOK_BENCHES              which: `decode encode ingest commit usage refresh growth close verify rating` without it
#   TOLLBOOK_BENCH_BUILT          what an earlier `cargo bench --no-run` printed: measures that build, builds nothing
set -euo pipefail
cd "$(dirname "$0")/.."
export TOLLBOOK_REAL=${TOLLBOOK_REAL:-required}
# An incremental build optimises less across its many parts.
export CARGO_INCREMENTAL=0
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CRITERION_HOME=$target/criterion
load=$(cut -d' ' -f1-3 /proc/loadavg)

command=scripts/bench.sh
if [ $# -gt 0 ]; then command+=" $*"; fi
for setting in TOLLBOOK_BENCHES TOLLBOOK_BENCH_{BUILT,EVENTS,USAGE_ROWS,REFRESH_ROWS,MONTHS_MAX,PARTNERS,VERIFY_ROWS,VERIFY_MONTHS,VERIFY_COMPACTED,GROWTH_ROWS,ROUNDS,LINES,ROWS,COMMITS}; do
  if [ -n "${!setting:-}" ]; then command="$setting='${!setting}' $command"; fi
done

read -ra wanted <<<"${TOLLBOOK_BENCHES:-decode encode ingest commit usage refresh growth close verify rating}"
benches=()
for bench in "${wanted[@]}"; do benches+=(--bench "$bench"); done
printed=$(mktemp)
page=$(mktemp)
trap 'rm -f "$printed" "$page"' EXIT
if [ -n "${TOLLBOOK_BENCH_BUILT:-}" ]; then
  cp "$TOLLBOOK_BENCH_BUILT" "$printed"
else
  cargo bench --no-run "${benches[@]}" "$@" 2>&1 | tee "$printed"
fi
# One after the other, each alone.
for bench in "${wanted[@]}"; do
  program=$(sed -n "s|^ *Executable benches/$bench.rs (\(.*\))\$|\1|p" "$printed")
  [ -x "$program" ] || { echo "bench.sh: $bench was not built" >&2; exit 1; }
  echo "== $bench"
  "$program" --bench
done

python3 benches/report.py "$target" "$command" "$load" >"$page"
cat "$page" >benches/README.md
echo "benches/README.md is written"
