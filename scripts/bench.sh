#!/usr/bin/env bash
# Measures a release build on this machine. Writes benches/RESULTS.md.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
scripts/setup.sh bench
# shellcheck source=/dev/null
. "$REMIT_CACHE/bench.env"
step "release build"
cargo build --release -p remit -p remit-bench
export REMIT_BIN="$CARGO_TARGET_DIR/release/remit"
exec "$CARGO_TARGET_DIR/release/remit-bench" "$REMIT_BIN" --results benches/RESULTS.md \
    --node "$REMIT_BENCH_NODE" --node-modules "$REMIT_BENCH_NODE_MODULES" "$@"
