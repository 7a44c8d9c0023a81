#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A search with training on a real model: what it prints and writes, that a command that was killed
goes on to the same bytes, and that the plan repeats them.

    search_training_test.py HADMCC MODELS DATASETS SPECS WORK
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

HADMCC, MODELS, DATASETS, SPECS, WORK = sys.argv[1:6]
SETTINGS = "epochs=2,batch=32,T=4"
DATA = os.path.join(WORK, "data")


def write_data():
    """fsdd with a validation part: its last 120 training samples."""
    os.makedirs(DATA)
    for kind in ("wave", "labels"):
        with open(os.path.join(DATASETS, "fsdd", f"train_{kind}.npy"), "rb") as file:
            head, body = file.read(128), file.read()
        size = len(body) // 480
        for split, part in (("train", body[:360 * size]), ("val", body[360 * size:])):
            with open(os.path.join(DATA, f"{split}_{kind}.npy"), "wb") as file:
                file.write(head.replace(b"(480,", b"(%d," % (len(part) // size)) + part)
        os.symlink(os.path.abspath(os.path.join(DATASETS, "fsdd", f"test_{kind}.npy")),
                   os.path.join(DATA, f"test_{kind}.npy"))
    with open(os.path.join(SPECS, "fsdd_m5.json"), encoding="utf-8") as file:
        spec = json.load(file)
    spec["val"] = {"samples": "val_wave.npy", "labels": "val_labels.npy"}
    with open(os.path.join(DATA, "dataset.json"), "w", encoding="utf-8") as file:
        json.dump(spec, file)


def command(folder, *more):
    return [HADMCC, os.path.join(MODELS, "fsdd_m5", "model.onnx"), "--target", "host",
            "-o", os.path.join(WORK, folder), "--data", DATA, *more]


def search(folder, *more, settings=SETTINGS):
    return command(folder, "--max-drop", "3", "--evaluations", "16", "--distill", settings, *more)


def file_of(folder, end):
    path = glob.glob(os.path.join(WORK, folder, "*" + end))[0]
    with open(path, "rb") as file:
        return file.read()


def leftovers(folder):
    return sorted(os.path.basename(f) for f in glob.glob(os.path.join(WORK, folder + ".*")))


class Search(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)
        write_data()
        cls.out = subprocess.run(search("whole"), capture_output=True, text=True, check=True).stdout
        cls.plan = json.loads(file_of("whole", ".plan.json"))

    def test_the_plan_that_is_delivered_was_trained(self):
        epochs = int(re.search(r"and trained for (\d) epochs? \(T 4, alpha 0.9\)",
                               self.out).group(1))
        self.assertNotIn("distillation (", self.out)
        self.assertEqual({k: self.plan["distillation"][k]
                          for k in ("epochs", "temperature", "alpha", "batch", "norms", "floats")},
                         {"epochs": epochs, "temperature": 4.0, "alpha": 0.9, "batch": 32,
                          "norms": 1, "floats": 1})
        self.assertEqual(leftovers("whole"), [])

    def test_the_page_says_what_was_tried(self):
        page = file_of("whole", ".search.html").decode()
        self.assertIn("<b>distillation</b>: chooses, T = 4, alpha = 0.9, as --distill says", page)
        self.assertIn("1 epochs, T 4, alpha 0.9", page)
        self.assertIn("2 epochs, T 4, alpha 0.9", page)

    def test_a_search_killed_while_it_trains_goes_on_to_the_same_bytes(self):
        victim = subprocess.Popen(search("killed"), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
        while victim.poll() is None and "killed.training.3" not in leftovers("killed"):
            time.sleep(0.002)
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        self.assertIn("killed.search.jsonl", leftovers("killed"))
        subprocess.run(search("killed", "--resume"), capture_output=True, check=True)
        for end in (".weights", ".plan.json", ".search.jsonl", ".search.html"):
            self.assertEqual(file_of("killed", end), file_of("whole", end), end)
        self.assertEqual(leftovers("killed"), [])

    def test_the_plan_repeats_the_training(self):
        path = glob.glob(os.path.join(WORK, "whole", "*.plan.json"))[0]
        subprocess.run(command("again", "--plan", path), capture_output=True, check=True)
        self.assertEqual(file_of("again", ".plan.json"), file_of("whole", ".plan.json"))
        header = 2048  # at most; it has the options
        self.assertGreater(len(file_of("whole", ".weights")), 5000)
        self.assertEqual(file_of("again", ".weights")[header:],
                         file_of("whole", ".weights")[header:])

    def test_an_interrupted_search_delivers_what_it_has(self):
        child = subprocess.Popen(search("stopped"), stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True)
        while child.poll() is None and "stopped.training.2" not in leftovers("stopped"):
            time.sleep(0.002)
        child.send_signal(signal.SIGINT)
        out = child.communicate()[0]
        self.assertEqual(child.returncode, 0, out)
        self.assertIn("evaluated (interrupted)", out)
        self.assertTrue(file_of("stopped", ".weights"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
