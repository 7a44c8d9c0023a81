#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hadmcc --sparse on a real model: how many weights are zero, what a plan repeats, and what a
device that skips zeros gains.

    sparse_test.py HADMCC MODELS DATASETS SPECS WORK
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

HADMCC, MODELS, DATASETS, SPECS, WORK = sys.argv[1:6]
N_WEIGHTS = 64800  # of all units of fsdd_m5


def path_of(folder, ending):
    path = os.path.join(WORK, folder)
    return os.path.join(path, [f for f in os.listdir(path) if f.endswith(ending)][0])


def compile_to(folder, *options, target="host"):
    command = [HADMCC, os.path.join(MODELS, "fsdd_m5", "model.onnx"), "--target", target,
               "-o", os.path.join(WORK, folder), *options,
               "--data", os.path.join(DATASETS, "fsdd"),
               "--data-spec", os.path.join(SPECS, "fsdd_m5.json")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def content(folder, ending):
    with open(path_of(folder, ending), "rb") as file:
        return file.read()


def parsed(folder, ending):
    return json.loads(content(folder, ending))


def points_lost(text):
    """Of 120 test samples."""
    right = [int(line.split(" of ")[0].split()[-1]) for line in text.split("\n")
             if line.startswith(("  original", "  compressed"))]
    return right[0] - right[1]


class Sparse(unittest.TestCase):
    def setUp(self):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)

    def repeat(self, *options):
        out = compile_to("first", *options)
        compile_to("again", "--plan", path_of("first", ".plan.json"))
        first, again = (content(f, ".weights") for f in ("first", "again"))
        header = len(first) // 10  # names the options
        self.assertEqual(again[header:], first[header:])
        self.assertEqual(content("again", ".plan.json"), content("first", ".plan.json"))
        return out

    def test_half_of_the_weights_of_floats_and_a_plan_that_repeats_it(self):
        out = self.repeat("--sparse", "0.5")
        self.assertIn("zeros: %d of %d weights (50.0 %%)" % (N_WEIGHTS // 2, N_WEIGHTS), out)
        self.assertLessEqual(points_lost(out), 2)
        self.assertEqual({u["zeros"] for u in parsed("first", ".plan.json")["units"]}, {"anywhere"})

    def test_two_of_four_codes_and_a_plan_that_repeats_it(self):
        out = self.repeat("--sparse", "2:4", "--bits", "8")
        self.assertLessEqual(points_lost(out), 4)
        # The first layer reads one channel.
        self.assertEqual([u["zeros"] for u in parsed("first", ".plan.json")["units"]],
                         ["none"] + 4 * ["two_of_four"])
        self.assertIn("neither time nor bytes are saved", out)

    def test_a_device_that_skips_zeros_is_faster(self):
        compile_to("dense", "--bits", "8", "--emit", "plan", target="a100")
        out = compile_to("sparse", "--bits", "8", "--sparse", "2:4", "--emit", "plan",
                         target="a100")
        self.assertIn("a100 multiplies codes 2 times as fast", out)
        dense, sparse = (parsed(f, ".report.json")["steps"] for f in ("dense", "sparse"))
        self.assertEqual(len(dense), len(sparse))
        times = [(d["modelled_ns"], s["modelled_ns"]) for d, s in zip(dense, sparse)]
        self.assertTrue(all(s <= d for d, s in times))
        self.assertTrue(any(s < d for d, s in times))

    def test_weights_become_zero_while_they_are_trained_and_a_plan_repeats_it(self):
        out = self.repeat("--sparse", "0.5", "--bits", "8", "--distill",
                          "epochs=4,batch=16,rate=0.02,norms=1,masks=cubic,floats=1")
        self.assertEqual(int(re.search(r"; (\d+) of them are zero", out)[1]),
                         N_WEIGHTS // 2)
        self.assertLessEqual(points_lost(out), 12)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
