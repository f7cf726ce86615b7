#!/usr/bin/env bash
# Everything that can be said without running the code.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
step "format"
cargo fmt --all --check
step "house rules"
cargo xtask tidy
step "clippy"
cargo clippy --workspace --all-targets --quiet -- -D warnings
step "dependencies"
scripts/deny.sh
