#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a model costs to ship and to start.

    bench/footprint.py --hadmcc build/bin/hadmcc MODEL.onnx ...

code      `size` (text + data) of a program with the model minus the same without
weights   the file, and its ratio to the model's raw float parameters
peak RSS  of the process after 21 inferences; "over" is what it needs beyond weights,
          workspace and the caller's inputs and outputs
start     map the weights, open, first inference (median of 9 processes, file cached)
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def text_and_data(path):
    fields = subprocess.run(["size", path], capture_output=True, text=True,
                            check=True).stdout.split("\n")[1].split()
    return int(fields[0]) + int(fields[1])


def build(out, bundle, io_bytes, *more):
    subprocess.run(["cc", "-O2", "-Wl,--gc-sections", "-DIO_BYTES=%d" % io_bytes, "-o", out,
                    os.path.join(HERE, "footprint.c"), *more], check=True)


def measure(hadmcc, model, folder):
    name = os.path.basename(os.path.dirname(model)) \
        if os.path.basename(model) == "model.onnx" else os.path.basename(model)[:-5]
    bundle = os.path.join(folder, name)
    dims = re.findall(r"--dim (\S+)=SIZE",
                      subprocess.run([hadmcc, model, "--target", "host", "-o", bundle],
                                     capture_output=True, text=True).stderr)
    subprocess.run([hadmcc, model, "--target", "host", "--prefix", "m", "-o", bundle]
                   + [p for d in sorted(set(dims)) for p in ("--dim", d + "=1")], check=True,
                   stdout=subprocess.DEVNULL)
    with open(os.path.join(bundle, "m.report.json")) as file:
        report = json.load(file)
    io = report["inputs"] + report["outputs"]
    io_bytes = (max(door["bytes"] for door in io) + 4095) // 4096 * 4096
    program, empty = os.path.join(folder, "program"), os.path.join(folder, "empty")
    build(program, bundle, io_bytes, '-DHEADER="m.h"', "-DLOWER=m", "-DUPPER=M", "-I", bundle,
          os.path.join(bundle, "libm.a"))
    build(empty, bundle, io_bytes, "-DEMPTY")
    weights = os.path.join(bundle, "m.weights")
    runs = [json.loads(subprocess.run([program, weights], capture_output=True, text=True,
                                      check=True).stdout) for _ in range(9)]
    rss = max(r["peak_rss_kb"] for r in runs) * 1024
    size = os.path.getsize(weights)
    touched = sum(door["bytes"] for door in io)
    return {"model": name, "code": text_and_data(program) - text_and_data(empty),
            "weights": size, "ratio": size / max(1, report["payload_bytes"]),
            "workspace": report["workspace_bytes"], "rss": rss,
            "over": rss - size - report["workspace_bytes"] - touched,
            "open_us": statistics.median(r["open_us"] for r in runs),
            "first_us": statistics.median(r["first_us"] for r in runs),
            "best_us": min(r["best_us"] for r in runs)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hadmcc", required=True)
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    print("%-26s %8s %10s %6s %10s %10s %8s %8s %9s %9s"
          % ("model", "code", "weights", "ratio", "workspace", "peak RSS", "over", "open us",
             "first us", "best us"))
    with tempfile.TemporaryDirectory() as folder:
        for model in args.models:
            r = measure(args.hadmcc, model, folder)
            print("%-26s %8d %10d %6.3f %10d %10d %8d %8.0f %9.0f %9.1f"
                  % (r["model"], r["code"], r["weights"], r["ratio"], r["workspace"],
                     r["rss"], r["over"], r["open_us"], r["first_us"], r["best_us"]))


if __name__ == "__main__":
    main()
