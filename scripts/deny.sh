#!/usr/bin/env bash
# What may come in: licences, banned crates, where a crate may be used, registries, known vulnerabilities.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
scripts/setup.sh lint

cargo deny --log-level error check --hide-inclusion-graph bans licenses sources

# The advisory database is a git repository elsewhere; a closed network must not fail every change.
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
if timeout 90 cargo deny fetch db >"$log" 2>&1; then
    cargo deny --log-level error check --hide-inclusion-graph --disable-fetch advisories
else
    say "advisories NOT checked: the advisory database could not be fetched"
    tail -n 3 "$log" | sed 's/^/    /' >&2
fi
