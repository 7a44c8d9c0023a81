#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an update of a model costs to send, by strategy.

    bench/updates.py --hadmcc build/bin/hadmcc MODEL.onnx      (needs numpy and onnx)

Two made-up versions are updated to from the model: `last`, whose last weights moved by
noise of 1 % of their spread, and `all`, where every array moved, from 0.1 % in the first
to 3 % in the last, as fine-tuning does.  Bytes are those of the files, hashes included.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy
import onnx
from onnx import numpy_helper

ROWS = [("last", "full"), ("last", "hash"), ("all", "full"), ("all", "hash")] \
    + [("all", "incremental", ratio) for ratio in ("0.75", "0.5", "0.25", "0.1")]


def moved(path, only_last):
    """The model with noise on its float arrays of at least 16 elements."""
    model, rng = onnx.load(path), numpy.random.default_rng(1)
    arrays = [a for a in model.graph.initializer
              if a.data_type == onnx.TensorProto.FLOAT and numpy.prod(a.dims) >= 16]
    last = max(i for i, a in enumerate(arrays) if len(a.dims) > 1)
    for i, array in enumerate(arrays):
        share = 0.01 if only_last else 0.001 * 30 ** (i / max(1, len(arrays) - 1))
        if only_last and i != last:
            continue
        old = numpy_helper.to_array(array)
        new = old + share * old.std() * rng.standard_normal(old.shape)
        array.CopyFrom(numpy_helper.from_array(new.astype(numpy.float32), array.name))
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hadmcc", default="build/bin/hadmcc")
    parser.add_argument("model")
    args = parser.parse_args()
    hadmcc = os.path.abspath(args.hadmcc)

    model_path = os.path.abspath(args.model)

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)

        def tool(*words):
            return subprocess.run([hadmcc, *words], check=True, capture_output=True,
                                  text=True).stdout

        def make(*words):
            return json.loads(tool("update", "make", *words, "--number", "2", "--json"))

        models = {"base": onnx.load(model_path), "last": moved(model_path, True),
                  "all": moved(model_path, False)}
        for name, model in models.items():
            onnx.save(model, "model.onnx")
            tool("model.onnx", "--target", "host", "--prefix", "m", "-o", name)
        print("weights file %d bytes" % os.path.getsize("base/m.weights"))
        print("%-5s %-17s %7s %11s %11s" % ("new", "strategy", "blocks", "bytes", "zstd"))
        for new, strategy, *ratio in ROWS:
            words = ["base", new, "--strategy", strategy, "-o", "p"] \
                + (["--ratio", ratio[0]] if ratio else [])
            said = make(*words, "--compress")
            print("%-5s %-17s %7d %11d %11d" % (
                new, " ".join([strategy, *ratio]), said["blocks"], said["patch_bytes"],
                said["compressed_bytes"]))


if __name__ == "__main__":
    main()
