#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Latency against ONNX Runtime, interleaved in one process per model.

    python3 -m venv /tmp/ort && /tmp/ort/bin/pip install onnxruntime onnx numpy
    /tmp/ort/bin/python bench/compare_onnxruntime.py --hadmcc build/bin/hadmcc \
        --models MODEL.onnx ... [--threads 1] [--rounds 15] [--out bench/results/NAME.json]

Prints a table with the best round of both, the median of the paired ratios and a
95 % interval of that median (bootstrap over rounds), and the geometric mean per
class.  Everything measured is kept in the JSON file.
"""
import argparse
import glob
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# One entry per architecture; the pattern is matched against the model's name.
CLASSES = [
    ("large CNN", r"resnet(18|20|50|56)|squeezenet|neu_resnet|ic_resnet|resnet8"),
    ("mobile", r"mobilenet|vww|kws|dscnn|fastestdet|ultraface"),
    ("small and other", r"."),
]


def class_of(name):
    return next(label for label, pattern in CLASSES if re.search(pattern, name))


def library():
    import onnxruntime
    found = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__),
                                   "capi", "libonnxruntime.so.*"))
    return found[0]


def build_tool(folder):
    tool = os.path.join(folder, "ort_compare")
    subprocess.run(["cc", "-O2", "-std=gnu17", "-I", ROOT, "-o", tool,
                    os.path.join(HERE, "ort_compare.c"), os.path.join(HERE, "ort_api.c"),
                    os.path.join(ROOT, "runtime", "pool.c"), "-ldl", "-lm", "-lpthread"],
                   check=True)
    return tool


def compile_model(args, model, name, folder):
    bundle = os.path.join(folder, name)
    options = ["--workers", str(args.threads)] if args.threads > 1 else []
    subprocess.run([args.hadmcc, model, "--target", "host", "--no-search", "--prefix", "m",
                    "-o", bundle] + dims(model) + options, check=True,
                   stdout=subprocess.DEVNULL)
    shared = bundle + ".so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-Wl,-Bsymbolic", '-DHEADER="m.h"',
                    "-DLOWER=m", "-DUPPER=M", "-I", bundle,
                    os.path.join(HERE, "model_shim.c"),
                    os.path.join(bundle, "libm.a"), "-o", shared], check=True)
    return shared, os.path.join(bundle, "m.weights")


def dims(model):
    """Every symbolic dimension of the model's inputs becomes 1."""
    import onnx
    graph = onnx.load(model, load_external_data=False).graph
    constant = {i.name for i in graph.initializer}
    names = {d.dim_param for i in graph.input if i.name not in constant
             for d in i.type.tensor_type.shape.dim if d.dim_param}
    return [part for n in sorted(names) for part in ("--dim", n + "=1")]


def interval(ratios, draws=2000):
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios)))
                     for _ in range(draws))
    return medians[int(0.025 * draws)], medians[int(0.975 * draws)]


def measure(args, tool, model, folder):
    name = os.path.basename(os.path.dirname(model)) \
        if os.path.basename(model) == "model.onnx" else os.path.basename(model)[:-5]
    try:
        shared, weights = compile_model(args, model, name, folder)
        out = subprocess.run([tool, library(), model, shared, weights, str(args.threads),
                              str(args.rounds), "1"], check=True, capture_output=True,
                             text=True).stdout
    except subprocess.CalledProcessError as error:
        print("%-28s failed: %s" % (name, error), file=sys.stderr)
        return {"model": name, "class": class_of(name), "failed": str(error)}
    result = json.loads(out)
    ratios = [a / b for a, b in result["rounds"]]
    low, high = interval(ratios)
    result.update(model=name, ratio=statistics.median(ratios), low=low, high=high,
                  ort_us=min(a for a, _ in result["rounds"]),
                  hadmc_us=min(b for _, b in result["rounds"]))
    result["class"] = class_of(name)
    return result


def report(results):
    print("%-28s %-16s %10s %10s %7s %15s %9s" % ("model", "class", "ORT us", "hadmc us",
                                                 "ratio", "95 %", "apart"))
    for r in results:
        if "failed" not in r:
            print("%-28s %-16s %10.1f %10.1f %7.2f [%6.2f, %5.2f] %9.1e"
                  % (r["model"], r["class"], r["ort_us"], r["hadmc_us"], r["ratio"],
                     r["low"], r["high"], r["difference"]))
    for label, _ in CLASSES:
        ratios = [r["ratio"] for r in results if r["class"] == label and "ratio" in r]
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            print("%-28s geometric mean of %d: %.3f" % (label, len(ratios), mean))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hadmcc", required=True)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tool = build_tool(folder)
        results = [measure(args, tool, m, folder) for m in args.models]
    report(results)
    if args.out:
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"],
                                capture_output=True, text=True).stdout.strip()
        with open(args.out, "w") as file:
            json.dump({"commit": commit,
                       "command": "bench/compare_onnxruntime.py --threads %d --rounds %d"
                                  % (args.threads, args.rounds),
                       "results": results}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
