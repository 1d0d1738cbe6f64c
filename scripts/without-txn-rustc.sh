#!/usr/bin/env bash
# Compiles the workspace's own crates with the wrong lake (scripts/prove-kill-test.sh). As cargo's
# RUSTC_WORKSPACE_WRAPPER it leaves the dependencies as they are, so they are not compiled again.
exec "$@" --cfg tollbook_without_txn
