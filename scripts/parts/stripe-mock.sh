#!/usr/bin/env bash
# Installs stripe-mock (Stripe's own; the published schema answers) into the parts folder and prints its path.
# Idempotent: a binary that is there is only printed. Needs go.
#   TOLLBOOK_PARTS   the parts folder; ~/.cache/tollbook without it
set -euo pipefail
version=${STRIPE_MOCK_VERSION:-latest}
parts=${TOLLBOOK_PARTS:-$HOME/.cache/tollbook}
binary=$parts/stripe-mock/stripe-mock

mkdir -p "$parts"
exec 9>"$parts/stripe-mock.lock"
flock 9
if [ ! -x "$binary" ]; then
  command -v go >/dev/null || { echo "stripe-mock.sh: go is missing (https://go.dev/dl, or Debian: apt-get install golang)" >&2; exit 1; }
  work=$(mktemp -d "$parts/stripe-mock.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  GOBIN=$work go install "github.com/stripe/stripe-mock@$version" >&2
  mkdir -p "$(dirname "$binary")"
  mv "$work/stripe-mock" "$binary"
fi
echo "$binary"
