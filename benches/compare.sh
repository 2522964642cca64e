#!/usr/bin/env bash
# The router and HAProxy in front of the same nginx, under the same wrk load, in one run.
#
#   benches/compare.sh [ROUNDS] [SECONDS]        defaults: 5 rounds of 3 seconds a row
#
# Prints a table, for each row the median (and spread) over the rounds of: proxy CPU microseconds
# a message (user and system, from /proc/PID/stat), throughput at saturation, resident memory under
# it; then latency with as few connections as bring HAProxy to about half of its saturated rate, the
# same for both, and system calls a message under strace.
# Both proxies have one thread, pinned to the first core; nginx and the load share the second.
# Rounds alternate, so that what else the machine does hits both. Every round also goes to
# benches/results/compare.json and the medians into a plot beside it. Installs Debian's haproxy,
# nginx-light, wrk and strace if they are missing.
# Loopback only, free ports; ends by itself and takes its processes along.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-5}
seconds=${2:-3}

missing=()
command -v haproxy >/dev/null || missing+=(haproxy)
command -v nginx >/dev/null || missing+=(nginx-light)
command -v wrk >/dev/null || missing+=(wrk)
command -v strace >/dev/null || missing+=(strace)
if ((${#missing[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
cargo build --release --quiet
exec python3 benches/compare/compare.py \
  --binary "${CARGO_TARGET_DIR:-target}/release/soap-router" --rounds "$rounds" --seconds "$seconds"
