#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hadmcc --distill on a real model: what it prints and writes, and that a command killed in the
middle of training goes on to the same bytes.

    distill_test.py HADMCC MODELS DATASETS SPECS WORK
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

HADMCC, MODELS, DATASETS, SPECS, WORK = sys.argv[1:6]
SETTINGS = "epochs=1,batch=4,rate=0.0005,noise=0.05"


def command(folder):
    return [HADMCC, os.path.join(MODELS, "fsdd_m5", "model.onnx"), "--target", "host",
            "-o", os.path.join(WORK, folder), "--bits", "8",
            "--data", os.path.join(DATASETS, "fsdd"),
            "--data-spec", os.path.join(SPECS, "fsdd_m5.json"), "--distill", SETTINGS]


def weights(folder):
    path = os.path.join(WORK, folder)
    name = [f for f in os.listdir(path) if f.endswith(".weights")][0]
    with open(os.path.join(path, name), "rb") as file:
        return file.read()


def plan(folder):
    path = os.path.join(WORK, folder)
    name = [f for f in os.listdir(path) if f.endswith(".plan.json")][0]
    with open(os.path.join(path, name), encoding="utf-8") as file:
        return json.load(file)


class Distill(unittest.TestCase):
    def setUp(self):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)

    def test_a_killed_command_goes_on_to_the_same_bytes(self):
        whole = subprocess.run(command("whole"), capture_output=True, text=True, check=True)
        self.assertIn("trained in 120 steps on 480 samples", whole.stdout)
        self.assertFalse(os.path.exists(os.path.join(WORK, "whole.training")))
        right = [int(line.split(" of ")[0].split()[-1]) for line in whole.stdout.split("\n")
                 if line.startswith(("  original", "  compressed"))]
        self.assertEqual(len(right), 2)
        self.assertGreaterEqual(right[1], right[0] - 4)

        self.assertEqual(plan("whole")["distillation"],
                         {"epochs": 1, "temperature": 4.0, "alpha": 0.7})

        state = os.path.join(WORK, "killed.training")
        victim = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL,
                                  start_new_session=True)
        while not os.path.exists(state) and victim.poll() is None:
            time.sleep(0.002)
        if victim.poll() is None:
            os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        self.assertTrue(os.path.exists(state))
        self.assertFalse(os.path.exists(os.path.join(WORK, "killed")))
        subprocess.run(command("killed"), capture_output=True, check=True)
        self.assertEqual(weights("killed"), weights("whole"))
        self.assertFalse(os.path.exists(state))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
