#!/usr/bin/env bash
# The main job, from nothing: builds the binary and runs the five use-cases. Arguments go to `remit demo`.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
scripts/setup.sh build
step "build"
cargo build -p remit
exec "$CARGO_TARGET_DIR/debug/remit" demo "$@"
