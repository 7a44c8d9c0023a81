#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hadmcc --distill on a real model: what it prints and writes, and that a command that is killed
again and again, at any time, goes on to the same bytes.

    distill_test.py HADMCC MODELS DATASETS SPECS WORK [KILLS [SEED]]
"""
import glob
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
SETTINGS = "epochs=1,batch=2,rate=0.002,noise=0.05"
STATE = os.path.join(WORK, "killed.training")


def command(folder, settings=SETTINGS, compress=("--bits", "8")):
    return [HADMCC, os.path.join(MODELS, "fsdd_m5", "model.onnx"), "--target", "host",
            "-o", os.path.join(WORK, folder), *compress,
            "--data", os.path.join(DATASETS, "fsdd"),
            "--data-spec", os.path.join(SPECS, "fsdd_m5.json"),
            *(("--distill", settings) if settings else ())]


def again(folder, plan_of):
    """The plan of another bundle is carried out, with nothing said of training."""
    (path,) = glob.glob(os.path.join(WORK, plan_of, "*.plan.json"))
    return command(folder, None, ("--plan", path))


def data_with_test_samples(name, n_others):
    """Training samples that are those for testing of fsdd and so many others."""
    folder = os.path.join(WORK, name)
    os.makedirs(folder)
    for kind in ("wave", "labels"):
        files = []
        for split in ("test", "train"):
            with open(os.path.join(DATASETS, "fsdd", f"{split}_{kind}.npy"), "rb") as file:
                files.append(file.read())
        head = files[0][:128].replace(b"(120,", b"(%d," % (120 + n_others))
        size = (len(files[1]) - 128) // 480
        with open(os.path.join(folder, f"train_{kind}.npy"), "wb") as file:
            file.write(head + files[0][128:] + files[1][128:128 + n_others * size])
    return folder


def right_answers(text):
    """Of the original and the compressed model."""
    return [int(line.split(" of ")[0].split()[-1]) for line in text.split("\n")
            if line.startswith(("  original", "  compressed"))]


def weights(folder):
    path = os.path.join(WORK, folder)
    name = [f for f in os.listdir(path) if f.endswith(".weights")][0]
    with open(os.path.join(path, name), "rb") as file:
        return file.read()


def payload(folder):
    """The numbers alone, without the options that the header has (docs/weights-format.md)."""
    data = weights(folder)
    (root,) = struct.unpack_from("<I", data)
    vtable = root - struct.unpack_from("<i", data, root)[0]
    (at,) = struct.unpack_from("<H", data, vtable + 4 + 2 * 3)
    return data[struct.unpack_from("<Q", data, root + at)[0]:]


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
                         {"epochs": 1, "temperature": 4.0, "alpha": 1.0, "batch": 2, "rate": 0.002,
                          "optimizer": "adam", "warmup": 20, "noise": 0.05})

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

    def test_a_plan_repeats_the_training(self):
        for name, settings, compress in (
                ("floats", "epochs=1,batch=32,rate=0.00123,floats=1,momentum=0.8",
                 ("--prune", "0.3", "--bits", "4")),
                ("norms", "epochs=1,batch=32,rate=0.02,norms=1,feature=0.1,noise=0.1",
                 ("--prune", "0.3")),
                ("codes", "epochs=1,batch=32,optimizer=adam,schedule=steps,warmup=3",
                 ("--bits", "8", "--seed", "5"))):
            subprocess.run(command(name, settings, compress), check=True, capture_output=True)
            subprocess.run(again(name + "-again", name), check=True, capture_output=True)
            self.assertGreater(len(payload(name)), 10000)
            self.assertEqual(payload(name), payload(name + "-again"), name)
            self.assertEqual(plan(name), plan(name + "-again"))

    def test_the_state_lies_beside_the_folder_however_it_is_spelled(self):
        os.makedirs(os.path.join(WORK, "slash.training"))  # cannot be read as a state
        out = subprocess.run(command("slash/", "epochs=1,batch=32", ()), capture_output=True,
                             text=True, check=False)
        self.assertEqual(out.returncode, 1)
        self.assertIn(os.path.join(WORK, "slash.training"), out.stderr)

    def test_samples_for_testing_are_not_trained_on(self):
        mixed, leaked = data_with_test_samples("mixed", 40), data_with_test_samples("leaked", 0)
        out = subprocess.run(command("apart", "epochs=1,batch=20", ()) + ["--train", mixed],
                             capture_output=True, text=True, check=True).stdout
        self.assertIn("trained in 2 steps on 40 samples", out)
        out = subprocess.run(command("apart", "epochs=1,batch=20", ()) + ["--train", leaked],
                             capture_output=True, text=True, check=False)
        self.assertEqual(out.returncode, 1)
        self.assertIn(f"'{leaked}' has no samples for training: all are for validation or testing",
                      out.stderr)

    def test_progress_says_how_long_it_will_take(self):
        out = subprocess.run(command("progress", "epochs=3,batch=2", ())
                             + ["--progress", "json"], capture_output=True, text=True,
                             check=True)
        lines = [json.loads(line) for line in out.stderr.splitlines()]
        steps = [line for line in lines if line["stage"] == "training"]
        self.assertTrue(steps)
        self.assertLess(len(steps), 720)
        for line in steps[1:]:
            self.assertEqual(line["of"], 720)
            self.assertGreaterEqual(line["seconds_left"], 0)
            self.assertGreater(line["loss"], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
