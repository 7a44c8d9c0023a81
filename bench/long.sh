#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is too long for every change: all tests with Address and UndefinedBehavior
# sanitizers, the whole conformance table included, then ten minutes of each fuzz
# target.  About two hours on two cores.  Ends with an error on any finding; a fuzz
# target leaves the input in build-fuzz/findings.
#
#     bench/long.sh                 everything
#     bench/long.sh fuzz [SECONDS]  only the fuzz targets, SECONDS each
set -eu
cd "$(dirname "$0")/.."

jobs=$(nproc)
seconds=${2:-600}

run_sanitized() {
    cmake --preset asan
    cmake --build --preset asan -j "$jobs"
    ctest --test-dir build-asan --output-on-failure --no-tests=error --timeout 14400 -j "$jobs"
}

# fuzz SOURCE: from the committed corpus and what earlier runs found interesting.
fuzz() {
    subject=$(basename "$1" _fuzz.c)
    found=build-fuzz/corpus/$subject

    mkdir -p "$found" build-fuzz/findings
    echo "== $subject: $seconds s"
    "build-fuzz/bin/${subject}_fuzz" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 \
        -print_final_stats=1 -artifact_prefix="build-fuzz/findings/$subject-" \
        "$found" "tests/fuzz/corpus/$subject"
}

run_fuzzers() {
    failed=
    cmake --preset fuzz
    for source in tests/fuzz/*_fuzz.c; do
        cmake --build --preset fuzz -j "$jobs" --target "$(basename "$source" .c)"
    done
    for source in tests/fuzz/*_fuzz.c; do
        fuzz "$source" || failed="$failed $(basename "$source" .c)"
    done
    if [ -n "$failed" ]; then
        echo "long.sh: findings of$failed lie in build-fuzz/findings" >&2
        exit 1
    fi
}

if [ "${1:-}" != fuzz ]; then
    run_sanitized
fi
run_fuzzers
