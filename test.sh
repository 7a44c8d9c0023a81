#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything that a change must pass, in a few minutes: the release suite, then the
# unit tests, the fuzz corpora and a tenth of the conformance cases with Address and
# UndefinedBehavior sanitizers.  Fails on any failed or skipped test.
set -eu
cd "$(dirname "$0")"

jobs=$(nproc)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# run_ctest PRESET ARGUMENTS...: the summary is printed last; a skipped test fails.
run_ctest() {
    preset=$1
    shift
    code=0
    ctest --test-dir "build${preset:+-$preset}" --output-on-failure --no-tests=error "$@" \
        >"$log" 2>&1 || code=$?
    cat "$log"
    if grep -qE '\*\*\*(Skipped|Not Run)|tests did not run' "$log"; then
        echo "test.sh: tests were skipped" >&2
        code=1
    fi
    return $code
}

sh cmake/install_dependencies.sh

cmake --preset release
cmake --build --preset release -j "$jobs"
cmake --preset clang -DBUILD_TESTING=OFF # both compilers, without a warning
cmake --build --preset clang -j "$jobs"
cmake --preset asan
cmake --build --preset asan -j "$jobs"

run_ctest asan -L sanitize -j "$jobs"
run_ctest "" -j 1
