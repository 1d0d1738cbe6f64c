#!/usr/bin/env bash
# Shows that the kill test can fail: builds tollbook with a wrong lake and expects the test to be red.
#
# `--cfg tollbook_without_txn` (lake/src/commit.rs, `commit_named`) takes the txn action out of every commit that
# carries rows, and records the offsets in a commit of their own behind it, as a consumer group would. Why the test
# must then fail: between the two commits the rows are visible and the frontier is not, so a process that is killed
# there reads those rows again when it comes back, and each of them stands in the table twice. The window is one commit
# of the log (write, fsync, read back) out of the two or three that make a cycle, and the process spends most of its
# time in them. Were the window only a tenth of a cycle, 20 kills would miss it with probability 0.9^20 = 12 %; at a
# quarter it is 0.3 %. Another seed (TOLLBOOK_KILL_SEED) gives another 20.
# (A build without any txn action at all would not even start: the genesis commit could not set a frontier, and
# `ingest` ends with MissingFrontier. That is red too, and says nothing about kills.)
#
# The same claim without a build: `kill::a_commit_without_its_txn_is_doubled_and_seen` runs in every run of the real
# tests. It takes the txn action out of one commit's log entry and sees the next run double exactly that commit's rows.
#
# Not part of .ci/run: it builds the workspace a second time, into a target folder of its own, so that the right
# binary is never replaced by the wrong one. Only our own crates are compiled with the switch (without-txn-rustc.sh);
# the dependencies are taken from target/ where they have been compiled.
#   TOLLBOOK_WRONG_TARGET   that folder; target/without-txn without it (some 7 GB)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
wrong=${TOLLBOOK_WRONG_TARGET:-target/without-txn}
if [ ! -d "$wrong/debug" ] && [ -d target/debug/deps ]; then
  mkdir -p "$wrong/debug"
  # With their times, by which cargo knows that they are fresh; and as copies, because cargo writes into some of them.
  cp -a --reflink=auto target/debug/deps target/debug/build target/debug/.fingerprint "$wrong/debug/"
fi
export CARGO_TARGET_DIR=$wrong
export RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/without-txn-rustc.sh
export TOLLBOOK_REAL=required

cargo test --workspace --test real --no-run
output=$(mktemp)
trap 'rm -f "$output"' EXIT
if cargo test --workspace --test real -- --nocapture kill::kill_9 >"$output" 2>&1; then
  cat "$output"
  echo "prove-kill-test: the kill test passed on a lake without txn actions: it proves nothing" >&2
  exit 1
fi
# Red for the right reason, not because a part was missing or the build was broken.
if ! grep -q "tables and ledger differ" "$output"; then
  cat "$output"
  echo "prove-kill-test: the kill test failed, but not because tables and ledger differ" >&2
  exit 1
fi
grep -E "kills in|doubled" "$output"
echo "prove-kill-test: the kill test is red without the txn action, as it must be"
