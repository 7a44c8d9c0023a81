#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hadmcc compare on the model of examples/fsdd: a comparison that was killed goes on to the same
results, and one that is finished is only read.

    compare_test.py HADMCC EXAMPLES WORK
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

HADMCC, EXAMPLES, WORK = sys.argv[1:4]
MODEL = os.path.join(EXAMPLES, "fsdd", "fsdd_m5.onnx")
SPEC = {"task": "classify", "peak": 1,
        "test": {"samples": "test_wave.npy", "labels": "test_labels.npy"}}


def command(folder, seeds="1", *more):
    return [HADMCC, "compare", MODEL, "--data", os.path.join(EXAMPLES, "fsdd"),
            "--data-spec", os.path.join(WORK, "spec.json"), "--target", "host",
            "--target", "orin", "--methods", "random,surrogate,none", "--seeds", seeds,
            "--evaluations", "14", "--samples", "8", "-o", os.path.join(WORK, folder), *more]


def run(*how):
    return subprocess.run(command(*how), capture_output=True, text=True, check=True).stdout


def contents(folder):
    top = os.path.join(WORK, folder)
    found = {}
    for where, _, names in os.walk(top):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                found[os.path.relpath(os.path.join(where, name), top)] = file.read()
    return found


def children(pid):
    """Those that work: one more only removes what is left behind."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                name, rest = file.read().rsplit(")", 1)
                if int(rest.split()[1]) == pid and not name.endswith("(hadmcc-tidy"):
                    found.append(int(entry))
        except (OSError, ValueError):
            pass  # no process, or no longer
    return found


class Compare(unittest.TestCase):
    def setUp(self):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)
        self.write_spec(SPEC)

    @staticmethod
    def write_spec(spec):
        with open(os.path.join(WORK, "spec.json"), "w", encoding="utf-8") as file:
            json.dump(spec, file)

    @staticmethod
    def forget_hashes(folder, to):
        shutil.copytree(os.path.join(WORK, folder), os.path.join(WORK, to))
        for path, text in contents(to).items():
            text = re.sub(rb'\\?"data_sha256\\?": \\?"[0-9a-f]{64}\\?", ', b"", text)
            if path.endswith("finals.json"):
                text = re.sub(rb'"evaluations": [0-9]+, "test_loss"', b'"test_loss"', text)
            with open(os.path.join(WORK, to, path), "wb") as file:
                file.write(text)

    def lose_a_process(self, *how):
        victim = subprocess.Popen(command(*how), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        while len(children(victim.pid)) < 2 and victim.poll() is None:
            time.sleep(0.01)
        os.kill(children(victim.pid)[0], signal.SIGKILL)
        self.assertIn("ended by signal 9", victim.communicate()[1])
        self.assertEqual(victim.returncode, 1)

    def test_a_killed_comparison_goes_on_to_the_same_results(self):
        printed = run("whole")
        self.assertIn("hadmc against", printed)
        whole = contents("whole")
        result = json.loads(whole["compare.json"])
        self.assertEqual(len(result["runs"]), 2 * 4)
        self.assertEqual(len(result["verdicts"]), 3 * 3)
        self.assertEqual(result["runs"][0]["evaluations"], 14)
        self.assertEqual(whole["runs/fsdd_m5.host.none.1.jsonl"].count(b"\n"), 2)

        # The second run is begun, then nobody cleans up.
        victim = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL)
        part = os.path.join(WORK, "killed/runs/fsdd_m5.host.random.1.jsonl.part")
        while not os.path.exists(part) and victim.poll() is None:
            time.sleep(0.001)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        self.assertNotIn("compare.json", contents("killed"))
        run("killed")
        self.assertEqual(contents("killed"), whole)

        # All is there: nothing is compressed or evaluated.
        before = time.monotonic()
        run("whole")
        self.assertLess(time.monotonic() - before, 5)
        self.assertEqual(contents("whole"), whole)

        # A run that was cut is played to its end.
        for name, n_lines in ("runs/fsdd_m5.host.random.1.jsonl", 6), \
                ("runs/fsdd_m5.orin.hadmc.1.jsonl", 1):
            with open(os.path.join(WORK, "whole", name), "wb") as file:
                file.write(b"\n".join(whole[name].split(b"\n")[:n_lines]) + b"\n{\"n\"")
            run("whole")
            self.assertEqual(contents("whole"), whole)

        # Results from before headers had the hash of the samples can be read.
        self.forget_hashes("whole", "old")
        old = contents("old")
        run("old")
        self.assertEqual(contents("old"), old)

        # Of other samples they are others.
        self.write_spec(dict(SPEC, peak=2))
        other = subprocess.run(command("whole"), capture_output=True, text=True)
        self.assertEqual(other.returncode, 1)
        self.assertIn("another -o begins anew", other.stderr)
        self.assertEqual(contents("whole"), whole)
        self.write_spec(SPEC)

        # A second seed, with two processes: the first one's runs are as they were.
        run("whole", "2", "--jobs", "2")
        self.lose_a_process("side_by_side", "2", "--jobs", "2")
        run("side_by_side", "2", "--jobs", "2")
        self.assertEqual(contents("side_by_side"), contents("whole"))
        self.assertEqual({k: v for k, v in contents("whole").items() if ".1." in k},
                         {k: v for k, v in whole.items() if ".1." in k})

        other = subprocess.run(command("whole") + ["--latency", "0.5"], capture_output=True,
                               text=True)
        self.assertEqual(other.returncode, 1)
        self.assertIn("another -o begins anew", other.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
