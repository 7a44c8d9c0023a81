#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building and testing hadmc needs on Debian 12, by package name.  Does
# nothing, and needs no network, when all of it is there.
# docs/decisions/0001-dependencies.md says what each package is for.
set -eu

packages="
    cmake ninja-build gcc g++ libc6-dev binutils pkg-config git python3
    clang-19 llvm-19 llvm-19-dev lld-19 libclang-rt-19-dev
    libflatbuffers-dev flatbuffers-compiler libjansson-dev
    libzip-dev libpng-dev libjpeg62-turbo-dev libopenblas-dev
    libsodium-dev libzstd-dev libopenmpi-dev openmpi-bin
    libcmocka-dev libonnx-testdata qemu-user-static
    gcc-arm-none-eabi libnewlib-arm-none-eabi
"

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" \
        || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null; then
    sudo=sudo
else
    echo "these packages are missing and neither root nor sudo is there:$missing" >&2
    exit 1
fi

echo "installing:$missing"
$sudo apt-get update -q
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
