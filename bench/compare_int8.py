#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Latency in 8-bit integers, against ONNX Runtime's best and against our own floats.

    python3 -m venv /tmp/ort && /tmp/ort/bin/pip install onnxruntime onnx numpy sympy
    /tmp/ort/bin/python bench/compare_int8.py --hadmcc build/bin/hadmcc --models MODEL.onnx ... \
        [--rounds 9] [--out bench/results/NAME.json]

From every float model it makes ONNX Runtime's own quantized models (static, weights
per channel, activations uint8 and int8) and hadmcc's (--bits 8), all calibrated with
the same random samples: what is measured does not depend on them.  Each of ONNX
Runtime's three (float32, u8, s8) is then timed in turn with hadmcc's integers, in one
process (compare_onnxruntime.py); its best counts.  One thread, CPU time.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnx.version_converter
import onnxruntime
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType,
                                      quantize_static)

import compare_onnxruntime as one

SAMPLES = 4


class Samples(CalibrationDataReader):
    def __init__(self, name, samples):
        self.rest = [{name: sample[None]} for sample in samples]

    def get_next(self):
        return self.rest.pop() if self.rest else None


def the_input(path):
    """Name and shape of the only input; every symbolic dimension is 1."""
    graph = onnx.load(path).graph
    constant = {i.name for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constant]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise ValueError("has not one input of floats")
    return inputs[0].name, [d.dim_value or 1 for d in inputs[0].type.tensor_type.shape.dim]


def quantize_for_ort(path, name, samples, folder):
    """Scales per channel need opset 13, and ONNX Runtime folds batch normalization only in
    float models: first that, then codes."""
    recent, folded = os.path.join(folder, "recent.onnx"), os.path.join(folder, "folded.onnx")
    model = onnx.load(path)
    constant = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in constant]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    if next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) < 13:
        model.ir_version = max(model.ir_version, 7)
        model = onnx.version_converter.convert_version(model, 13)
    onnx.save(model, recent)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = folded
    onnxruntime.InferenceSession(recent, options, providers=["CPUExecutionProvider"])
    made = {"float32": path}
    for label, kind in (("u8", QuantType.QUInt8), ("s8", QuantType.QInt8)):
        made[label] = os.path.join(folder, label + ".onnx")
        quantize_static(folded, made[label], Samples(name, samples), QuantFormat.QDQ,
                        per_channel=True, activation_type=kind, weight_type=QuantType.QInt8)
    return made


def compile_with(hadmcc, model, bundle, *options):
    subprocess.run([hadmcc, model, "--target", "host", "--no-search", "--prefix", "m", "-o", bundle,
                    *one.dims(model), *options], check=True, capture_output=True, text=True)
    shared = bundle + ".so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-Wl,-Bsymbolic", '-DHEADER="m.h"',
                    "-DLOWER=m", "-DUPPER=M", "-I", bundle,
                    os.path.join(one.HERE, "model_shim.c"),
                    os.path.join(bundle, "libm.a"), "-o", shared], check=True)
    return shared, os.path.join(bundle, "m.weights")


def run(tool, model, compiled, rounds):
    out = subprocess.run([tool, one.library(), model, *compiled, "1", str(rounds), "1"], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)["rounds"]


def measure(args, tool, path, folder):
    name, shape = the_input(path)
    rng = numpy.random.default_rng(1)
    samples = rng.standard_normal([SAMPLES] + shape[1:]).astype(numpy.float32)
    data = os.path.join(folder, "samples.npy")
    numpy.save(data, samples)
    ort = quantize_for_ort(path, name, samples, folder)
    integers = compile_with(args.hadmcc, path, os.path.join(folder, "integers"), "--bits", "8",
                            "--data", data)
    floats = compile_with(args.hadmcc, path, os.path.join(folder, "floats"))
    rounds = {label: run(tool, model, integers, args.rounds) for label, model in ort.items()}
    own = run(tool, ort["float32"], floats, args.rounds)
    ratio = {label: statistics.median(a / b for a, b in r) for label, r in rounds.items()}
    best = min(ratio, key=ratio.get)
    ints_us = min(b for r in rounds.values() for _, b in r)
    return {"rounds": rounds, "own_float32_rounds": own, "best": best, "ratio": ratio[best],
            "ratios": ratio, "ort_us": {k: min(a for a, _ in r) for k, r in rounds.items()},
            "hadmc_us": ints_us, "own": min(b for _, b in own) / ints_us}


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hadmcc", required=True)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out")
    args = parser.parse_args()
    results = []
    print("%-26s %9s %9s %9s %10s %12s %14s" % ("model", "ORT f32", "ORT u8", "ORT s8", "hadmc int8",
                                                "of ORT best", "of own float32"))
    onnxruntime.set_default_logger_severity(3)
    with tempfile.TemporaryDirectory() as folder:
        tool = one.build_tool(folder)
        for model in args.models:
            name = os.path.basename(os.path.dirname(model)) \
                if os.path.basename(model) == "model.onnx" else os.path.basename(model)[:-5]
            own = os.path.join(folder, name)
            os.mkdir(own)
            try:
                r = measure(args, tool, model, own)
            except (ValueError, subprocess.CalledProcessError) as error:
                print("%-26s %s %s" % (name, error, getattr(error, "stderr", "")), file=sys.stderr)
                continue
            results.append(dict(r, model=name))
            print("%-26s %9.1f %9.1f %9.1f %10.1f %8.2f %3s %14.2f"
                  % (name, r["ort_us"]["float32"], r["ort_us"]["u8"], r["ort_us"]["s8"],
                     r["hadmc_us"], r["ratio"], r["best"][:3], r["own"]), flush=True)
    print("geometric mean of %d: %.2f of ONNX Runtime's best, %.2f of own float32"
          % (len(results), mean([r["ratio"] for r in results]), mean([r["own"] for r in results])))
    if args.out:
        commit = subprocess.run(["git", "-C", one.ROOT, "rev-parse", "HEAD"], capture_output=True,
                                text=True).stdout.strip()
        with open(args.out, "w") as file:
            json.dump({"commit": commit, "command": "bench/compare_int8.py --rounds %d" % args.rounds,
                       "results": results}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
