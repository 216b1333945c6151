#!/bin/bash
# Runs the named parts of the tests in order and stops at the first that fails, whose summary is then the last output.
#   lint      ruff, mypy --strict, the contracts between the rooms
#   core      tests of the sans-I/O rooms, compiled: quick
#   compiled  all tests that need no server, with the compiled modules
#   pure      the same with FAIRLEAD_PURE=1
#   server    tests with real MariaDB servers
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH:/usr/sbin:/sbin"
started=$SECONDS
SANS_IO=(tests/protocol tests/sql tests/session tests/routers tests/filters tests/sim)

say() { printf '\n==> %s\n' "$*"; }

tests() {
    local status=0
    python -m pytest -q "$@" || status=$?
    if [ $status -eq 5 ]; then
        echo "(no tests of this kind)"
        return 0
    fi
    return $status
}

lint() {
    say "ruff"
    # No cache: it does not see that a new folder made a name a module of ours.
    ruff check --no-cache .
    say "mypy --strict"
    mypy
    mypy tests/sim
    say "contracts between the rooms"
    lint-imports
}

core() {
    local present=() place
    for place in "${SANS_IO[@]}"; do
        if [ -d "$place" ]; then present+=("$place"); fi
    done
    say "tests of the sans-I/O rooms"
    tests -m "not server" "${present[@]}"
}

compiled() {
    say "tests without servers, compiled"
    tests -m "not server"
}

pure() {
    say "tests without servers, pure Python"
    FAIRLEAD_PURE=1 tests -m "not server"
}

server() {
    say "tests with real servers"
    tests -m server
}

for part in "$@"; do
    before=$SECONDS
    "$part"
    say "$part: $((SECONDS - before)) s"
done
say "all passed in $((SECONDS - started)) s"
