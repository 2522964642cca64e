#!/usr/bin/env bash
# Messages far larger than memory, through the router and HAProxy: benches/compare/streaming.py
# says what is measured.
#
#   benches/streaming.sh [GIBIBYTES] [ROW]       default: 4, every row; ROW is part of its name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v haproxy >/dev/null || { apt-get update -qq; apt-get install -y -qq haproxy >/dev/null; }
binary=${SOAP_ROUTER_BIN:-}
if [[ -z $binary ]]; then
  cargo build --release --quiet
  binary=${CARGO_TARGET_DIR:-target}/release/soap-router
fi
ulimit -n 16384
exec python3 benches/compare/streaming.py \
  --binary "$binary" --gib "${1:-4}" --rows "${2:-}" \
  --out benches/results/streaming.json
