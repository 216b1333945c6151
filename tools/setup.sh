#!/bin/bash
# Sets up one thing and says what it does: environment | compile | mariadb | haproxy | libssl |
# mariadb-test-data.
# Works on a fresh Debian or Ubuntu; packages of the distribution are installed only when something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=.venv
export PATH="$PATH:/usr/sbin:/sbin"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '==> %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

apt_updated=
install_packages() {
    command -v apt-get >/dev/null || die "please install $* (this is not Debian or Ubuntu, so this script cannot)"
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "please install $* as root (there is no sudo)"
        sudo=(sudo)
    fi
    local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0)
    if [ -z "$apt_updated" ]; then
        say "apt-get update"
        "${apt[@]}" update >/dev/null || say "apt-get update failed; going on with the package lists that are there"
        apt_updated=1
    fi
    say "apt-get install $*"
    "${apt[@]}" install -y --no-install-recommends "$@" | sed -n 's/^Setting up /    /p'
}

# A Python that is new enough, makes environments with pip, and has its C headers.
fit() {
    "$1" - 2>/dev/null <<'PY'
import ensurepip, os, sys, sysconfig, venv
headers = os.path.join(sysconfig.get_paths()["include"], "Python.h")
sys.exit(0 if sys.version_info >= (3, 11) and os.path.exists(headers) else 1)
PY
}

find_python() {
    local candidate
    for candidate in ${PYTHON_FOR_VENV:-} python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && fit "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

set_up_environment() {
    if [ -x $VENV/bin/python ] && ! $VENV/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        say "the environment in $VENV does not work any more: making it again"
        rm -rf $VENV
    fi
    if ! echo '#include <stdio.h>' | gcc -fsyntax-only -x c - 2>/dev/null; then
        install_packages gcc libc6-dev
    fi
    if [ ! -x $VENV/bin/python ]; then
        local python
        if ! python=$(find_python); then
            install_packages python3 python3-venv python3-dev
            python=$(find_python) || die "no Python 3.11 or newer with venv and headers: the distribution's is $(
                /usr/bin/python3 --version 2>&1); set PYTHON_FOR_VENV to another one"
        fi
        say "environment: $VENV with $("$python" --version) ($python)"
        "$python" -m venv $VENV
    fi
    say "packages of PyPI"
    $VENV/bin/python -m pip install -q 'setuptools>=69' wheel 'Cython>=3.0'
    FAIRLEAD_SKIP_CYTHON=1 $VENV/bin/python -m pip install -q --no-build-isolation -e '.[dev]'
}

set_up_compile() {
    say "compiling the hot modules"
    mkdir -p build
    if ! $VENV/bin/python setup.py -q build_ext --inplace >build/compile.log 2>&1; then
        cat build/compile.log >&2
        die "compiling failed (build/compile.log)"
    fi
    say "ready: $VENV/bin/fairlead ($($VENV/bin/fairlead --version))"
}

set_up_mariadb() {
    local missing=()
    { command -v mariadbd && command -v mariadb-install-db; } >/dev/null || missing+=(mariadb-server-core)
    command -v mariadb >/dev/null || missing+=(mariadb-client-core)
    command -v openssl >/dev/null || missing+=(openssl)
    if [ ${#missing[@]} -gt 0 ]; then
        install_packages "${missing[@]}"
    fi
    command -v mariadb-install-db >/dev/null || die "mariadb-install-db is still missing"
    say "$(mariadbd --no-defaults --version)"
}

# The package would start a service; it is needed as a program only.
set_up_haproxy() {
    if ! command -v haproxy >/dev/null; then
        local policy=/usr/sbin/policy-rc.d sudo=()
        [ "$(id -u)" -eq 0 ] || sudo=(sudo)
        if [ ! -e $policy ]; then
            printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
            "${sudo[@]}" chmod +x $policy
            trap '"${sudo[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
        fi
        install_packages haproxy
        if [ -d /run/systemd/system ]; then
            "${sudo[@]}" systemctl -q disable --now haproxy || true
        fi
    fi
    say "$(haproxy -v | head -1)"
}

# The server's own test programs: statements to judge the classifier by.
set_up_test_data() {
    local root=/usr/share/mysql/mysql-test
    [ -d $root/main ] || install_packages mariadb-test-data
    [ -d $root/main ] || die "$root is still missing"
    say "mariadb-test-data: $(find $root -name '*.test' | wc -l) test programs"
}

# The benchmark's load generator is written in C and speaks TLS.
set_up_libssl() {
    if ! echo '#include <openssl/ssl.h>' | gcc -fsyntax-only -x c - 2>/dev/null; then
        install_packages libssl-dev
    fi
}

case "${1:-}" in
    environment | compile | mariadb | haproxy | libssl) "set_up_$1" ;;
    mariadb-test-data) set_up_test_data ;;
    *) die "usage: tools/setup.sh environment|compile|mariadb|haproxy|libssl|mariadb-test-data" ;;
esac
