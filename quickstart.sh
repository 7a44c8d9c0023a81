#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 to a compressed and compiled model: installs what is missing,
# builds hadmcc, finds the cheapest compression of the spoken-digit model that loses at most
# a point, compiles it and the model as it is for this machine; runs both on 120 recordings.
set -eu
cd "$(dirname "$0")"

sh cmake/install_dependencies.sh
cmake --preset release -DBUILD_TESTING=OFF -B build/quickstart >/dev/null
cmake --build build/quickstart --target hadmcc

hadmcc=build/quickstart/bin/hadmcc
bundle=out/fsdd_m5.host
mkdir -p out
echo
echo "spoken digits (examples/fsdd): a search for channels and bits that lose at most a point"
$hadmcc examples/fsdd/fsdd_m5.onnx --target host --no-search -o out/fsdd_m5.float
$hadmcc examples/fsdd/fsdd_m5.onnx --target host --data examples/fsdd/recordings.npz \
    --data-spec examples/fsdd/spec.json --max-drop 1 --evaluations 200 -o $bundle

size() {
    wc -c <"$1"
}

# try BUNDLE: on recordings that nothing was decided on.
try() {
    cc -std=c11 -O2 -I"$1" examples/fsdd/evaluate.c "$1/libfsdd_m5.a" -o out/evaluate
    out/evaluate "$1/fsdd_m5.weights" examples/fsdd/test_wave.npy examples/fsdd/test_labels.npy
    echo "weights    $(size "$1/fsdd_m5.weights") bytes"
    echo "library    $(size "$1/libfsdd_m5.a") bytes: code and runtime, no other library needed"
    awk '/_WORKSPACE_BYTES /{print "workspace  " $3 " bytes of memory while it runs"}' "$1/fsdd_m5.h"
}

echo
echo "as it is, $(size examples/fsdd/fsdd_m5.onnx) bytes of ONNX"
try out/fsdd_m5.float
echo
echo "compressed"
try $bundle
echo "bundle     $bundle/ (start with fsdd_m5.h; fsdd_m5.report.html and fsdd_m5.search.html say why)"
