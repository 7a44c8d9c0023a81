#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is too long for every change: all tests with Address and UndefinedBehavior
# sanitizers, the whole conformance table included, then a training and a search that are
# killed 20 times each and 20 plans of its record again, then ten minutes of each fuzz target.  About two hours on two cores.  Ends with
# an error on any finding; a fuzz target leaves the input in build-fuzz/findings.
#
#     bench/long.sh                 everything
#     bench/long.sh kill [KILLS]    only what is killed (MODELS, in the environment: where
#                                   the models and, beside them, the data sets are)
#     bench/long.sh fuzz [SECONDS]  only the fuzz targets, SECONDS each
set -eu
cd "$(dirname "$0")/.."

jobs=$(nproc)

run_sanitized() {
    cmake --preset asan
    cmake --build --preset asan -j "$jobs"
    ctest --test-dir build-asan --output-on-failure --no-tests=error --timeout 14400 -j "$jobs"
}

run_killed() {
    models=${MODELS:-../shared/data/models}
    cmake --preset release
    cmake --build --preset release -j "$jobs" --target hadmcc
    python3 tests/models/distill_test.py build/bin/hadmcc "$models" "$models/../datasets" \
        tests/data_specs build/killed "$1"
    python3 tests/models/search_test.py build/bin/hadmcc "$models" "$models/../datasets" \
        tests/data_specs build/killed "$(command -v mpiexec || true)" "$1" 20
}

# fuzz SOURCE SECONDS: from the committed corpus and what earlier runs found interesting.
fuzz() {
    subject=$(basename "$1" _fuzz.c)
    seconds=$2
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
        fuzz "$source" "$1" || failed="$failed $(basename "$source" .c)"
    done
    if [ -n "$failed" ]; then
        echo "long.sh: findings of$failed lie in build-fuzz/findings" >&2
        exit 1
    fi
}

case "${1:-all}" in
all)
    run_sanitized
    run_killed 20
    run_fuzzers 600
    ;;
kill) run_killed "${2:-20}" ;;
fuzz) run_fuzzers "${2:-600}" ;;
esac
