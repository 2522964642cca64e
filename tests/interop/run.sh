#!/usr/bin/env bash
# Real SOAP clients and servers through the router: zeep, spyne, SOAP::Lite, node-soap, curl.
#
#   tests/interop/run.sh [PART OF A CASE'S NAME]
#
# Installs what it needs (Debian packages as root; Python and node packages into target/interop) and
# is quick when it is there. Loopback only. Ends with a line `N passed, N failed`.
# SOAP_ROUTER_BIN names the binary to test; otherwise the release build is made and taken.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${CARGO_TARGET_DIR:-$root/target}/interop
seconds_max=295
mkdir -p "$work"
exec </dev/null

need() { # PACKAGE TEST...
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
missing=()
need libsoap-lite-perl perl -MSOAP::Lite -MHTTP::Daemon -e 1
need curl curl --version
need dnsmasq-base dnsmasq --version
need nginx-light nginx -v
need openssl openssl version
need haproxy haproxy -v
need nghttp2-client nghttp --version
need nghttp2-server nghttpd --version
need python3-venv python3 -c 'import ensurepip, venv'
if ((${#missing[@]})); then
  echo "interop: installing ${missing[*]}"
  {
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
  } >"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log"; exit 2; }
fi

wanted=$(cat "$here/requirements.txt" "$here/node/package.json" | sha256sum)
if [[ $(cat "$work/installed" 2>/dev/null) != "$wanted" || ! -x $work/venv/bin/python ]]; then
  echo "interop: installing Python and node packages into ${work#"$root"/}"
  rm -rf "$work/venv" "$work/node_modules"
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  # node-soap is an extra: without node its cases are skipped.
  if command -v npm >/dev/null; then
    cp "$here/node/package.json" "$work/"
    (cd "$work" && timeout 180 npm install --no-package-lock --no-audit --no-fund --ignore-scripts) \
      >"$work/npm.log" 2>&1 || echo "interop: node-soap cannot be installed, its cases are skipped"
  fi
  echo "$wanted" >"$work/installed"
fi

binary=${SOAP_ROUTER_BIN:-}
if [[ -z $binary ]]; then
  (cd "$root" && cargo build --release --quiet)
  binary=${CARGO_TARGET_DIR:-$root/target}/release/soap-router
fi

# Nothing here may go through a proxy that the environment names.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY HTTP_proxy
export no_proxy='*' NO_PROXY='*' PYTHONDONTWRITEBYTECODE=1
timeout --kill-after=10 "$seconds_max" "$work/venv/bin/python" "$here/interop.py" \
  --binary "$binary" --work "$work" "$@"
