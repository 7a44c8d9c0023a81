#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hadmcc --deployed OLD on a real model: what devices have after an update that leaves layers old
is measured, and is what the patch's weights do.

    deployed_test.py HADMCC MODELS DATASETS SPECS WORK
"""
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import unittest

HADMCC, MODELS, DATASETS, SPECS, WORK = sys.argv[1:6]
MODEL = os.path.join(MODELS, "fsdd_m5", "model.onnx")


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def fields(data, at, end):
    """(number, begin, end) of the length-delimited fields of a message."""
    while at < end:
        tag, at = varint(data, at)
        if tag & 7 == 2:
            n, at = varint(data, at)
            yield tag >> 3, at, at + n
            at += n
        elif tag & 7 == 0:
            at = varint(data, at)[1]
        else:
            at += 4 if tag & 7 == 5 else 8


def moved(path):
    """The model with noise on all its weights."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    rng = random.Random(1)
    for number, begin, end in fields(data, 0, len(data)):
        for inner, first, last in fields(data, begin, end) if number == 7 else ():
            for field, at, to in fields(data, first, last) if inner == 5 else ():
                if field != 9 or to - at < 1000:  # raw_data of weights
                    continue
                floats = struct.unpack_from("<%df" % ((to - at) // 4), data, at)
                spread = (sum(x * x for x in floats) / len(floats)) ** 0.5
                struct.pack_into("<%df" % len(floats), data, at,
                                 *[x + rng.gauss(0, 0.7 * spread) for x in floats])
    return bytes(data)


def compile_to(folder, model, *options):
    return subprocess.run([HADMCC, model, "--target", "host", "-o", os.path.join(WORK, folder),
                           "--prefix", "m", "--bits", "8", "--data",
                           os.path.join(DATASETS, "fsdd"), "--data-spec",
                           os.path.join(SPECS, "fsdd_m5.json"), *options],
                          capture_output=True, text=True, check=True).stdout


def report(folder):
    with open(os.path.join(WORK, folder, "m.report.json"), encoding="utf-8") as file:
        return json.load(file)["compression"]


class Deployed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(os.path.join(WORK, "old.model"))
        cls.old_model = os.path.join(WORK, "old.model", "model.onnx")
        with open(cls.old_model, "wb") as file:
            file.write(moved(MODEL))
        compile_to("old", cls.old_model)

    def after(self, *options):
        """What devices have after an update, and what they would have after a full one."""
        out = compile_to("new", MODEL, "--deployed", os.path.join(WORK, "old"), *options)
        found = re.search(r"devices then have ([0-9.]+) % on the test samples, with all layers "
                          r"new ([0-9.]+) %", report("new").get("update", ""))
        if not found:
            self.assertNotIn("devices then have", out)
            return None
        self.assertIn(found.group(0), out)
        return tuple(float(x) for x in found.groups())

    def test_accuracy_of_a_mixture_is_that_of_what_is_old_and_what_is_new(self):
        old = 100 * report("old")["accuracy"]["compressed"]
        some, all_new = self.after("--update", "incremental:0.2")
        self.assertLess(old, 90)
        self.assertAlmostEqual(all_new, 100 * report("new")["accuracy"]["compressed"], delta=0.01)
        self.assertLess(some, all_new)
        most, all_new = self.after("--update", "incremental:1")
        self.assertEqual(most, all_new)

    def test_an_update_of_everything_has_nothing_to_measure(self):
        self.assertIsNone(self.after("--update", "hash"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
