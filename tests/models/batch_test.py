#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hadmcc --batch on a real model: the same weights and the same bytes for each sample as one by
one, and plans for so many samples at once.

    batch_test.py HADMCC MODELS DATASETS SPECS WORK
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import unittest

HADMCC, MODELS, DATASETS, SPECS, WORK = sys.argv[1:6]
MODEL = os.path.join(MODELS, "fsdd_m5", "model.onnx")
N, LENGTH, CLASSES = 3, 8000, 10  # samples, numbers of one, results


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def hadmcc(*arguments):
    return subprocess.run([HADMCC, *arguments], capture_output=True, text=True, check=True).stdout


def folder(name):
    return os.path.join(WORK, name)


def compile_to(name, *options, target="host"):
    return hadmcc(MODEL, "--target", target, "-o", folder(name),
                  "--data", os.path.join(DATASETS, "fsdd"),
                  "--data-spec", os.path.join(SPECS, "fsdd_m5.json"), *options)


def read(name, suffix):
    with open(os.path.join(folder(name), "fsdd_m5" + suffix), "rb") as file:
        return file.read()


def payload(name):
    return read(name, ".weights")[-json.loads(read(name, ".report.json"))["payload_bytes"]:]


def tensor_file(dims, floats):
    """TensorProto: dims, data_type, name, raw_data."""
    raw = struct.pack("<%df" % len(floats), *floats)
    return (b"".join(b"\x08" + varint(d) for d in dims) + b"\x10\x01"
            + b"\x42\x05input" + b"\x4a" + varint(len(raw)) + raw)


def outputs(name, n, floats):
    """The bytes of all results, which are the end of the tensor's file."""
    data = folder("data")
    os.makedirs(data, exist_ok=True)
    with open(os.path.join(data, "input_0.pb"), "wb") as file:
        file.write(tensor_file((n, 1, LENGTH), floats))
    hadmcc("run", folder(name), "--test-data", data, "--save", data)
    with open(os.path.join(data, "output_0.pb"), "rb") as file:
        return file.read()[-4 * CLASSES * n:]


class Batch(unittest.TestCase):
    def setUp(self):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)

    def check_is_one_by_one(self, *options):
        compile_to("one", *options)
        compile_to("all", "--batch", str(N), *options)
        rng = random.Random(1)
        samples = [[rng.uniform(-1, 1) for _ in range(LENGTH)] for _ in range(N)]
        self.assertEqual(payload("all"), payload("one"))
        self.assertEqual(outputs("all", N, sum(samples, [])),
                         b"".join(outputs("one", 1, x) for x in samples))

    def test_integers_of_a_batch_are_those_of_its_samples(self):
        self.check_is_one_by_one("--bits", "8")

    def test_channels_and_a_plan_of_a_batch_are_those_of_a_sample(self):
        self.check_is_one_by_one("--bits", "4", "--prune", "0.3", "--channels", "any")
        compile_to("again", "--batch", str(N),
                   "--plan", os.path.join(folder("all"), "fsdd_m5.plan.json"))
        self.assertEqual(payload("again"), payload("all"))

    def test_a_search_meets_budgets_for_all_samples_at_once(self):
        """20000 samples on an A100: more than its launches cost, so that time is the samples'."""
        times = {}
        for batch in (1, 20000):
            options = ("--emit", "plan", "--evaluations", "30", "--batch", str(batch))
            compile_to("a%d" % batch, *options, target="a100")
            times[batch] = json.loads(read("a%d" % batch, ".report.json"))["modelled"]["time_ns"]
        self.assertGreater(times[20000], 10 * times[1])
        self.assertLess(times[20000], 20000 * times[1])
        with self.assertRaises(subprocess.CalledProcessError) as refused:
            compile_to("b", "--emit", "plan", "--batch", "20000", "--evaluations", "1",
                       "--max-ms", "%.6f" % (times[1] / 1e6), target="a100")
        self.assertIn("no plan meets --max-ms", refused.exception.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
