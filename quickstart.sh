#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 to a compiled model: installs what is missing, builds hadmcc,
# compiles the spoken-digit model for this machine, runs it on 120 recordings.
set -eu
cd "$(dirname "$0")"

sh cmake/install_dependencies.sh
cmake --preset release -DBUILD_TESTING=OFF -B build/quickstart >/dev/null
cmake --build build/quickstart --target hadmcc

hadmcc=build/quickstart/bin/hadmcc
bundle=out/fsdd_m5.host
mkdir -p out
$hadmcc examples/fsdd/fsdd_m5.onnx --target host --no-search -o $bundle
cc -std=c11 -O2 -I$bundle examples/fsdd/evaluate.c $bundle/libfsdd_m5.a -o out/evaluate

size() {
    wc -c <"$1"
}

echo
echo "spoken digits (examples/fsdd), compiled for this machine"
out/evaluate $bundle/fsdd_m5.weights examples/fsdd/test_wave.npy examples/fsdd/test_labels.npy
echo "model      $(size examples/fsdd/fsdd_m5.onnx) bytes of ONNX"
echo "library    $(size $bundle/libfsdd_m5.a) bytes: code and runtime, no other library needed"
echo "weights    $(size $bundle/fsdd_m5.weights) bytes"
awk '/_WORKSPACE_BYTES /{print "workspace  " $3 " bytes of memory while it runs"}' $bundle/fsdd_m5.h
echo "bundle     $bundle/ (start with fsdd_m5.h)"
