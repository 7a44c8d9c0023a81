#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hadmcc --distill on a real model: what it prints and writes, and that a command that is killed
again and again, at any time, goes on to the same bytes.

    distill_test.py HADMCC MODELS DATASETS SPECS WORK [KILLS [SEED]]
"""
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

HADMCC, MODELS, DATASETS, SPECS, WORK = sys.argv[1:6]
KILLS = int(sys.argv[6]) if len(sys.argv) > 6 else 5
SEED = int(sys.argv[7]) if len(sys.argv) > 7 else 1
SETTINGS = "epochs=1,batch=2,rate=0.0003,noise=0.05"
STATE = os.path.join(WORK, "killed.training")


def command(folder, settings=SETTINGS, compress=("--bits", "8")):
    return [HADMCC, os.path.join(MODELS, "fsdd_m5", "model.onnx"), "--target", "host",
            "-o", os.path.join(WORK, folder), *compress,
            "--data", os.path.join(DATASETS, "fsdd"),
            "--data-spec", os.path.join(SPECS, "fsdd_m5.json"), "--distill", settings]


def right_answers(text):
    """Of the original and the compressed model."""
    return [int(line.split(" of ")[0].split()[-1]) for line in text.split("\n")
            if line.startswith(("  original", "  compressed"))]


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


def saved_step():
    """Of the state on disk; 0: there is none yet."""
    if not os.path.exists(STATE):
        return 0
    with open(STATE, "rb") as file:
        return struct.unpack_from("<q", file.read(48), 40)[0]


def kill_after(seconds, with_state):
    """After so many seconds, `with_state` those since it has been saved once; the step in the
    state that is left."""
    victim = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True)
    while with_state and not saved_step() and victim.poll() is None:
        time.sleep(0.002)
    try:
        victim.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
    return saved_step()


class Distill(unittest.TestCase):
    def setUp(self):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)

    def test_a_command_killed_at_any_time_goes_on_to_the_same_bytes(self):
        begun = time.monotonic()
        whole = subprocess.run(command("whole"), capture_output=True, text=True, check=True)
        took = time.monotonic() - begun
        self.assertIn("trained in 240 steps on 480 samples", whole.stdout)
        self.assertFalse(os.path.exists(os.path.join(WORK, "whole.training")))
        right = right_answers(whole.stdout)
        self.assertEqual(len(right), 2)
        self.assertGreaterEqual(right[1], right[0] - 4)

        self.assertEqual(plan("whole")["distillation"],
                         {"epochs": 1, "temperature": 4.0, "alpha": 0.7})

        rng = random.Random(SEED)
        steps = [kill_after(rng.uniform(0, 0.2 if last else took), last)
                 for last in [False] * (KILLS - 1) + [True]]
        print("killed %d times, states at steps %s" % (KILLS, steps))
        self.assertGreater(steps[-1], 0)
        subprocess.run(command("killed"), capture_output=True, check=True)
        self.assertEqual(weights("killed"), weights("whole"))
        self.assertFalse(os.path.exists(STATE))

    def test_floats_are_trained_before_bits_are_chosen(self):
        out = subprocess.run(command("floats", "epochs=1,batch=32,rate=0.001,floats=1",
                                     ("--prune", "0.3", "--bits", "4")),
                             capture_output=True, text=True, check=True).stdout
        self.assertEqual(out.count("trained in 15 steps on 480 samples"), 1)
        self.assertLess(out.index("trained in"), out.index("calibrated on"))
        right = right_answers(out)
        self.assertGreaterEqual(right[1], right[0] - 4)
        self.assertFalse(os.path.exists(os.path.join(WORK, "floats.training")))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
