#!/usr/bin/env bash
# Instructions a message, counted by callgrind on the real program, against those on record.
#
#   benches/instructions.sh            fails when a row takes 5 % more than benches/results/instructions.json
#   benches/instructions.sh --update   puts what it counts on record
#
# Instructions do not depend on the machine's load, and little on the machine. What is counted is
# the router's own: its half of HTTP on both sides, the engine, the allocator; not the kernel's.
# Takes a minute; installs Debian's valgrind if it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v valgrind >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends valgrind >/dev/null
fi
cargo build --release --quiet
exec python3 benches/compare/instructions.py --binary "${CARGO_TARGET_DIR:-target}/release/soap-router" "$@"
