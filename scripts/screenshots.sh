#!/usr/bin/env bash
# Takes the pictures of README and documentation anew, from a scratch server with demo data:
#
#   scripts/screenshots.sh                 docs/images/*.png
#   scripts/screenshots.sh FOLDER all      every sort of page, 1280 and 320 px wide, light and dark, to look at
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
scripts/setup.sh test
# shellcheck source=/dev/null
. "$REMIT_CACHE/test.env"
cargo build -p remit

scratch="$(mktemp -d)"
"$CARGO_TARGET_DIR/debug/remit" dev --listen 127.0.0.1:0 --ready-file "$scratch/ready.json" >"$scratch/log" 2>&1 &
server=$!
trap 'kill "$server"; rm -rf "$scratch"' EXIT
until [ -s "$scratch/ready.json" ]; do
    kill -0 "$server" 2>/dev/null || die "the server ended: $(cat "$scratch/log")"
    sleep 0.2
done
TMPDIR="$scratch" "$REMIT_TEST_NODE" tests/browser/screenshots.mjs "$scratch/ready.json" "${1:-docs/images}" "${2:-}"
