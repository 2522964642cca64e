#!/usr/bin/env bash
# A release build that is arranged by how the program runs: profile-guided, by cargo's own compiler.
#
#   benches/guided.sh           builds the router and prints where it is: under the target folder in guided/
#   benches/guided.sh engine    the same for the engine's bench, which then runs
#
# Builds a program that counts its branches, lets it run, and builds it again with the counts: twice as long as a
# plain build and a minute more. The router is sent the messages of benches/compare/train.py, which are none of
# the benches'; the engine's bench counts over its own rows.
# The counts are read by an llvm-profdata that is as new as the compiler's LLVM or a little older: of the toolchain
# (`rustup component add llvm-tools`), or Debian's llvm-19, which is installed if there is none.
# Loopback only, free ports; ends by itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
what=${1:-router}
if [[ $what != router && $what != engine ]]; then
  echo "benches/guided.sh builds \`router\` or \`engine\`, not \`$what\`" >&2
  exit 2
fi
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "${CARGO_TARGET_DIR:-target}/guided"
guided=$(cd "${CARGO_TARGET_DIR:-target}/guided" && pwd)

profdata=
for found in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" llvm-profdata-{22,21,20,19}; do
  if command -v "$found" >/dev/null; then
    profdata=$found
    break
  fi
done
if [[ -z $profdata ]]; then
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends llvm-19 >/dev/null
  profdata=llvm-profdata-19
fi

# Prints the program. As the target is named, build scripts and macros are not built with the flags.
build() { # FOLDER FLAGS
  local which=(build --release --bin soap-router)
  [[ $what != engine ]] || which=(bench --no-run --bench engine)
  RUSTFLAGS="${RUSTFLAGS:-} $2" cargo "${which[@]}" --quiet --target "$host" --target-dir "$1" \
    --message-format json-render-diagnostics | python3 -c '
import json, sys
print(*[program for line in sys.stdin if (program := json.loads(line).get("executable"))])'
}
counts=$guided/counts
rm -rf "$counts"
counting=$(build "$guided/counting" "-Cprofile-generate=$counts")
if [[ $what == router ]]; then
  python3 benches/compare/train.py --binary "$counting"
else
  for row in header child flat items mixed quick-xml; do
    for bytes in 1024 10240; do ROUNDS=5 BYTES=$bytes "$counting" count "$row"; done
  done
fi
"$profdata" merge --output "$guided/profile-$what" "$counts"/*.profraw
program=$(build "$guided" "-Cprofile-use=$guided/profile-$what")
if [[ $what == engine ]]; then
  exec "$program"
fi
echo "$program"
