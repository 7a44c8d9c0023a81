#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real trained models, whole: compiled, run, compared with recorded outputs.

    models_test.py HADMCC FOLDER_OF_MODELS WORK_FOLDER

Every folder holds model.onnx and test_data_set_k/.  Float models must match the
recorded outputs on the host and, under qemu, on the Orin's CPU, quantized ones those of
ONNX Runtime to the rounding; the workspace must be close to a bound that is computed here, from the report's list of steps alone; the
same command twice must give the same bytes.
"""
import filecmp
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

HADMCC, MODELS, WORK = sys.argv[1:4]
QUANTIZED = re.compile(r"_qdq$")
SLACK_BYTES = 16 * 1024


def models():
    return sorted(os.path.basename(os.path.dirname(p))
                  for p in glob.glob(os.path.join(MODELS, "*", "model.onnx")))


def path_of(name):
    return os.path.join(MODELS, name, "model.onnx")


def hadmcc(*arguments):
    return subprocess.run([HADMCC, *arguments], capture_output=True, text=True)


def open_dims(name):
    """--dim N=1 for every dimension that the error message asks for."""
    asked = re.findall(r"--dim (\S+)=SIZE", hadmcc("check", path_of(name)).stdout
                       + hadmcc(path_of(name), "--target", "host", "-o",
                                os.path.join(WORK, "asked")).stderr)
    return [part for n in sorted(set(asked)) for part in ("--dim", n + "=1")]


def compile_model(name, target, folder, *more):
    shutil.rmtree(folder, ignore_errors=True)
    return hadmcc(path_of(name), "--target", target, "-o", folder, *open_dims(name), *more)


def report_of(folder):
    with open(glob.glob(os.path.join(folder, "*.report.json"))[0]) as file:
        return json.load(file)


def live_bound(report):
    """The largest sum, over steps, of the workspace tensors whose contents matter then:
    written at or before the step and read at or after it, views counted once."""
    tensors = report["memory"]["tensors"]

    def root(t):
        while "alias_of" in tensors[t]:
            t = tensors[t]["alias_of"]
        return t

    first, last = {}, {}
    for k, step in enumerate(report["steps"]):
        for t in map(root, step["reads"] + step["writes"]):
            if tensors[t]["place"] == "workspace":
                first.setdefault(t, k)
                last[t] = k
    return max([0] + [sum(tensors[t]["bytes"] for t in first if first[t] <= k <= last[t])
                      for k in range(len(report["steps"]))])


class Models(unittest.TestCase):
    def check_target(self, target):
        wrong = []
        for name in models():
            if QUANTIZED.search(name):
                continue
            folder = os.path.join(WORK, name + "." + target)
            built = compile_model(name, target, folder)
            if built.returncode:
                wrong.append("%s: %s" % (name, built.stderr))
                continue
            for data in sorted(glob.glob(os.path.join(MODELS, name, "test_data_set_*"))):
                run = hadmcc("verify", folder, "--test-data", data)
                if run.returncode:
                    wrong.append("%s: %s%s" % (name, run.stdout, run.stderr))
        self.assertEqual(wrong, [])

    def test_float_models_match_their_recorded_outputs_on_the_host(self):
        self.check_target("host")

    def test_float_models_match_their_recorded_outputs_on_orin(self):
        self.check_target("orin")

    def test_quantized_models_run_in_integers_and_match_onnx_runtime(self):
        """Codes are exact, so outputs differ by the rounding of the last float operator
        only; what is left in floats between codes has a reason in the report."""
        wrong = []
        for name in filter(QUANTIZED.search, models()):
            for target in ("host", "orin"):
                folder = os.path.join(WORK, name + "." + target)
                built = compile_model(name, target, folder)
                if built.returncode:
                    wrong.append("%s: %s" % (name, built.stderr))
                    continue
                for data in sorted(glob.glob(os.path.join(MODELS, name, "test_data_set_*"))):
                    run = hadmcc("verify", folder, "--test-data", data, "--reference",
                                 "ort_output", "--tolerance", "1e-6")
                    if run.returncode:
                        wrong.append("%s: %s%s" % (name, run.stdout, run.stderr))
                products = [line for line in report_of(folder)["left_in_floats"]
                            if re.search(r"\((Conv|Gemm|MatMul)", line)]
                if products:
                    wrong.append("%s: %s" % (name, products))
        self.assertEqual(wrong, [])

    def test_the_workspace_is_close_to_what_must_be_live(self):
        wrong = []
        for name in models():
            folder = os.path.join(WORK, name + ".workspace")
            if compile_model(name, "host", folder).returncode:
                wrong.append("%s does not compile" % name)
                continue
            report = report_of(folder)
            bound = live_bound(report)
            if report["workspace_bytes"] > 1.15 * bound + SLACK_BYTES:
                wrong.append("%s: workspace %d, live %d" % (name, report["workspace_bytes"],
                                                            bound))
        self.assertEqual(wrong, [])

    def test_the_same_command_gives_the_same_bytes(self):
        for name in ("cifar_resnet20", "silero_vad_16k", "ultraface_rfb320"):
            one, two = (os.path.join(WORK, name + part) for part in (".one", ".two"))
            self.assertEqual(compile_model(name, "host", two).returncode, 0)
            shutil.rmtree(one, ignore_errors=True)
            os.rename(two, one)
            self.assertEqual(compile_model(name, "host", two).returncode, 0)
            same, different, odd = filecmp.cmpfiles(one, two, os.listdir(one), shallow=False)
            self.assertEqual((different, odd), ([], []))
            self.assertEqual(sorted(os.listdir(one)), sorted(os.listdir(two)))


if __name__ == "__main__":
    os.makedirs(WORK, exist_ok=True)
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
