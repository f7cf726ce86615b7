#!/usr/bin/env bash
# All of it, in the order that fails fastest. Arguments go to nextest, and then only the tests run:
#   scripts/test.sh -p remit-policy
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
scripts/setup.sh test
# Again, for what setup has just written.
. "$REMIT_CACHE/test.env"
export REMIT_BIN="$CARGO_TARGET_DIR/debug/remit"

if [ "$#" -gt 0 ]; then
    cargo build -p remit
    exec cargo nextest run "$@"
fi

step "format"
cargo fmt --all --check
step "house rules"
cargo xtask tidy
step "build"
cargo build --workspace --all-targets
step "clippy"
cargo clippy --workspace --all-targets --quiet -- -D warnings
step "tests"
cargo nextest run --workspace
step "examples in the documentation"
cargo test --workspace --doc --quiet
step "dependencies"
scripts/deny.sh
step "generated files"
cargo xtask generate --check
step "all passed"
