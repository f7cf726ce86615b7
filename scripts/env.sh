# Sourced by every script here: where things are built and cached, and where the test tools are.
# shellcheck shell=bash
set -euo pipefail

REMIT_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
REMIT_CACHE="${REMIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/remit}"
REMIT_TOOLS="$REMIT_CACHE/tools"
# One build folder outside the checkout: a second clone, or a container with the same home, builds nothing twice.
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$REMIT_CACHE/target}"
# A Rust toolchain installed by rustup for this user works from a shell that has not read its profile.
PATH="$REMIT_TOOLS/bin:$PATH:$HOME/.cargo/bin"
export REMIT_ROOT REMIT_CACHE REMIT_TOOLS CARGO_TARGET_DIR PATH

# Versions of the tools that scripts/setup.sh installs when they are missing.
NEXTEST_VERSION=0.9.151
DENY_VERSION=0.20.2

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "$*" >&2; }
step() { printf '\n== %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# Written by scripts/setup.sh: REMIT_TEST_* (see there).
if [ -r "$REMIT_CACHE/test.env" ]; then
    # shellcheck source=/dev/null
    . "$REMIT_CACHE/test.env"
fi
cd "$REMIT_ROOT"
