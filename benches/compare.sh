#!/usr/bin/env bash
# The router and HAProxy in front of the same nginx, under the same load, in one run.
#
#   benches/compare.sh [ROUNDS] [SECONDS] [GIBIBYTES]     defaults: 5 rounds of 2 seconds a row, 4
#
# Three tables. By wrk, for each row the median (and spread) over the rounds of: proxy CPU microseconds
# a message (user and system, from /proc/PID/stat), throughput at saturation, resident memory under
# it; then system calls a message under strace. Latency at half of HAProxy's saturated rate, sent at a
# constant rate by benches/load.rs (benches/compare/latency.py says how). Messages of so many
# gibibytes (benches/compare/streaming.py); 0 leaves them out.
# Both proxies have one thread, pinned to the first core; nginx and the load share the second.
# Rounds alternate, so that what else the machine does hits both. Every round also goes to
# benches/results/compare.json and the medians into a plot beside it. Installs Debian's haproxy,
# nginx-light, wrk and strace if they are missing. Some twelve minutes.
# Loopback only, free ports; ends by itself and takes its processes along.
# SOAP_ROUTER_BIN names the binary to measure; otherwise benches/guided.sh builds it, and the rows with one XPath
# show the plain release build as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-5}
seconds=${2:-2}
gibibytes=${3:-4}
target=${CARGO_TARGET_DIR:-target}

missing=()
command -v haproxy >/dev/null || missing+=(haproxy)
command -v nginx >/dev/null || missing+=(nginx-light)
command -v wrk >/dev/null || missing+=(wrk)
command -v strace >/dev/null || missing+=(strace)
if ((${#missing[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
binary=${SOAP_ROUTER_BIN:-}
plain=()
if [[ -z $binary ]]; then
  cargo build --release --quiet
  plain=(--plain "$target/release/soap-router")
  binary=$(benches/guided.sh)
fi
mkdir -p "$target/load"
rustc -O --edition 2024 -o "$target/load/load" benches/load.rs
python3 benches/compare/compare.py \
  --binary "$binary" "${plain[@]}" --load "$target/load/load" --rounds "$rounds" --seconds "$seconds" &
# Told to end, it passes that on, so that no process is left.
trap 'kill $!' TERM INT
wait $!
trap - TERM INT
if [[ $gibibytes != 0 ]]; then
  printf '\nMessages of %s GiB:\n\n' "$gibibytes"
  SOAP_ROUTER_BIN=$binary exec benches/streaming.sh "$gibibytes"
fi
