#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the models of examples/ cost on a device, against tests/sizes.tsv.

    sizes_test.py HADMCC WORK_FOLDER [--update]

A row per model, target and processor.  Code and data of the library that stay in
memory (sections with the ALLOC flag): `kernels` from foo_kernels.o, `runtime` from the
other members of libfoo.a; `weights` is the file, `workspace` what the caller gives,
`stack` the deepest frame of foo_run.  `host` has no row: it depends on the machine.
"""
import glob
import json
import os
import struct
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = os.path.join(ROOT, "tests", "sizes.tsv")
PROCESSORS = [("x86_64", "x86-64"), ("x86_64", "haswell"), ("x86_64", "skylake-avx512"),
              ("aarch64", "generic"), ("orin", "cortex-a78ae")]
COLUMNS = ["model", "target", "cpu", "kernels", "runtime", "weights", "workspace", "stack"]
SHF_ALLOC = 2


def loaded_bytes(elf):
    """Sum of the sections of a 64-bit little-endian object that are in memory."""
    table, = struct.unpack_from("<Q", elf, 0x28)
    entry, count = struct.unpack_from("<HH", elf, 0x3a)
    total = 0
    for i in range(count):
        flags, = struct.unpack_from("<Q", elf, table + i * entry + 8)
        size, = struct.unpack_from("<Q", elf, table + i * entry + 32)
        total += size if flags & SHF_ALLOC else 0
    return total


def members(path):
    """(name, bytes) of every object of an archive."""
    with open(path, "rb") as file:
        data = file.read()
    at = 8
    while at < len(data):
        size = int(data[at + 48:at + 58])
        body = data[at + 60:at + 60 + size]
        if body[:4] == b"\x7fELF":
            yield data[at:at + 16].decode().strip(), body
        at += 60 + size + size % 2


def measure(hadmcc, model, target, cpu, work):
    name = os.path.splitext(os.path.basename(model))[0]
    bundle = os.path.join(work, "%s.%s.%s" % (name, target, cpu))
    subprocess.run([hadmcc, model, "--target", target, "--cpu", cpu, "--prefix", "m",
                    "-o", bundle], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(bundle, "m.report.json")) as file:
        report = json.load(file)
    with open(os.path.join(bundle, "m_kernels.o"), "rb") as file:
        kernels = loaded_bytes(file.read())
    library = sum(loaded_bytes(elf) for _, elf in members(os.path.join(bundle, "libm.a")))
    return [name, target, cpu, kernels, library - kernels,
            os.path.getsize(os.path.join(bundle, "m.weights")),
            report["workspace_bytes"], report["stack_bytes"]]


def main():
    hadmcc, work = sys.argv[1:3]
    os.makedirs(work, exist_ok=True)
    rows = [measure(hadmcc, model, target, cpu, work)
            for model in sorted(glob.glob(os.path.join(ROOT, "examples", "*", "*.onnx")))
            for target, cpu in PROCESSORS]
    assert rows, "examples/ has no model"
    now = ["\t".join(map(str, row)) for row in [COLUMNS] + rows]
    if "--update" in sys.argv:
        with open(TABLE, "w") as file:
            file.write("\n".join(now) + "\n")
    with open(TABLE) as file:
        then = file.read().splitlines()
    for line in [row for row in then if row not in now]:
        print("- " + line)
    for line in [row for row in now if row not in then]:
        print("+ " + line)
    if now != then:
        sys.exit("tests/sizes.tsv is stale; if the change is meant, write it again and "
                 "commit it:\n  %s %s %s --update" % (sys.argv[0], hadmcc, work))


if __name__ == "__main__":
    main()
