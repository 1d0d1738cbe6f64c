#!/usr/bin/env bash
# Prints the path of an nginx binary; installs Debian's where there is none. Idempotent. As root by apt-get install
# (nginx-light), without starting the system's own nginx; otherwise Debian's package is unpacked into the parts folder.
#   TOLLBOOK_PARTS   the parts folder; ~/.cache/tollbook without it
#   NGINX_UNPACK     any value: unpack, even where root could install or nginx is there
set -euo pipefail
parts=${TOLLBOOK_PARTS:-$HOME/.cache/tollbook}
unpacked=$parts/nginx/usr/sbin/nginx

installed() { PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx; }

if [ -z "${NGINX_UNPACK:-}" ] && installed; then exit 0; fi
mkdir -p "$parts"
exec 9>"$parts/nginx.lock"
flock 9
if [ -x "$unpacked" ]; then echo "$unpacked"; exit 0; fi
command -v apt-get >/dev/null || { echo "nginx.sh: nginx is missing, and so is apt-get: install nginx (1.18 or later) by hand" >&2; exit 1; }

if [ "$(id -u)" = 0 ] && [ -z "${NGINX_UNPACK:-}" ]; then
  # Another run may have installed it while this one waited.
  if installed; then exit 0; fi
  # Debian starts a service that it installs: on port 80, with a configuration that is not ours. This file says no.
  # Where there is one already, whoever wrote it has decided.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light >&2
  installed || { echo "nginx.sh: apt-get brought no nginx" >&2; exit 1; }
  exit 0
fi

# Without root: apt with lists and cache of its own. The binary is in the package nginx; the libraries it needs
# (pcre2, OpenSSL, zlib) are on nearly every Debian.
work=$(mktemp -d "$parts/nginx.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
apt=(apt-get -qq -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "Debug::NoLocking=1"
  -o "APT::Sandbox::User=$(id -un)")
"${apt[@]}" update >&2
(cd "$work" && "${apt[@]}" download nginx >&2)
dpkg -x "$work"/nginx_*.deb "$work/root"
"$work/root/usr/sbin/nginx" -v >&2 || { echo "nginx.sh: the unpacked nginx does not run here; install nginx-light as root" >&2; exit 1; }
mv "$work/root" "$parts/nginx"
echo "$unpacked"
