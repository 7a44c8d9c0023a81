#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The search on a real model: killed at any time it goes on to the same bytes; so it does with
several processes, with MPI, and when one of these is lost; and plans of its record, drawn at
random, evaluate to the same bits in a fresh process.

    search_test.py HADMCC MODELS DATASETS SPECS WORK MPIEXEC [KILLS [REPLAYS [SEED]]]

MPIEXEC is empty where hadmcc was built without MPI.
"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

HADMCC, MODELS, DATASETS, SPECS, WORK, MPIEXEC = sys.argv[1:7]
KILLS, REPLAYS, SEED = [int(n) for n in (sys.argv[7:10] + ["3", "4", "1"][len(sys.argv) - 7:])[:3]]
EVALUATIONS = 40
BOARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli/models/board.json")
AS_ROOT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none")


def job(folder, *options):
    return [HADMCC, os.path.join(MODELS, "fsdd_m5", "model.onnx"),
            "-o", os.path.join(WORK, folder), "--data", os.path.join(DATASETS, "fsdd"),
            "--data-spec", os.path.join(SPECS, "fsdd_m5.json"), *options]


def command(folder, *options):
    return job(folder, "--target", "host", "--evaluations", str(EVALUATIONS), *options)


def run(folder, *options, before=()):
    return subprocess.run([*before, *command(folder, *options)], capture_output=True, text=True,
                          env=AS_ROOT, check=False)


def read(folder, suffix):
    with open(os.path.join(WORK, folder, "fsdd_m5" + suffix), "rb") as file:
        return file.read()


def n_recorded(folder):
    """Evaluations in the record of a search that is not over."""
    path = os.path.join(WORK, folder + ".search.jsonl")
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        return max(file.read().count(b"\n") - 1, 0)


def stop_at(folder, target, stop, *options, before=()):
    """Starts the search and stops it when so many evaluations are there."""
    victim = subprocess.Popen([*before, *command(folder, *options)], env=AS_ROOT,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              start_new_session=True)
    while n_recorded(folder) < target and victim.poll() is None:
        time.sleep(0.002)
    stop(victim)
    errors = victim.communicate()[1]
    return victim.returncode, errors


def kill_all(victim):
    os.killpg(victim.pid, signal.SIGKILL)


def works(pid):
    """Not the process that only removes what is left behind."""
    with open("/proc/%d/comm" % pid, encoding="ascii") as file:
        return file.read() != "hadmcc-tidy\n"


def kill_a_descendant(victim):
    """Of those that run hadmcc, the last one that was started."""
    below, all_below = [victim.pid], []
    while below:
        children = []
        for pid in below:
            with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
                children += [int(child) for child in file.read().split() if works(int(child))]
        below = children
        all_below += below
    os.kill(max(all_below), signal.SIGKILL)


class Search(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)
        done = run("whole")
        if done.returncode:
            raise AssertionError(done.stderr)

    def check_is_the_same(self, folder):
        for suffix in (".search.jsonl", ".plan.json", ".weights"):
            self.assertEqual(read(folder, suffix), read("whole", suffix), folder + suffix)
        self.assertEqual(n_recorded(folder), 0)

    def test_a_search_killed_at_any_time_goes_on_to_the_same_bytes(self):
        rng = random.Random(SEED)
        at = sorted(rng.randrange(EVALUATIONS) for _ in range(KILLS))
        for n in at:
            stop_at("killed", n, kill_all, "--resume")
        print("killed at evaluations %s" % at)
        self.assertEqual(run("killed", "--resume").returncode, 0)
        self.check_is_the_same("killed")

    def test_two_processes_find_the_same(self):
        self.assertEqual(run("two", "--jobs", "2").returncode, 0)
        self.check_is_the_same("two")

    def test_a_lost_process_ends_the_search_which_goes_on(self):
        code, errors = stop_at("lost", 21, kill_a_descendant, "--jobs", "3")
        self.assertEqual(code, 1)
        self.assertIn("has ended; --resume goes on", errors)
        self.assertGreaterEqual(n_recorded("lost"), 21)
        self.assertEqual(run("lost", "--resume").returncode, 0)
        self.check_is_the_same("lost")

    @unittest.skipUnless(MPIEXEC, "built without MPI")
    def test_three_ranks_of_mpi_find_the_same(self):
        done = run("three", before=(MPIEXEC, "-n", "3"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("tested on"), 1)
        self.check_is_the_same("three")

    @unittest.skipUnless(MPIEXEC, "built without MPI")
    def test_a_lost_rank_of_mpi_ends_the_search_which_goes_on(self):
        code, _ = stop_at("rank", 21, kill_a_descendant, before=(MPIEXEC, "-n", "2"))
        self.assertNotEqual(code, 0)
        self.assertGreaterEqual(n_recorded("rank"), 21)
        self.assertEqual(run("rank", "--resume").returncode, 0)
        self.check_is_the_same("rank")

    def test_recorded_plans_evaluate_to_the_same_bits_in_a_fresh_process(self):
        record = os.path.join(WORK, "whole", "fsdd_m5.search.jsonl")
        for n in random.Random(SEED).sample(range(EVALUATIONS), REPLAYS):
            done = run("again", "--plan-from", "%s:%d" % (record, n))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("plan %d of the %d" % (n, EVALUATIONS), done.stdout)

    def check_is_another_search(self, folder, spec, board, change):
        """`change` comes between a search that was killed and its resumption."""
        path = os.path.join(WORK, folder + ".search.jsonl")
        victim = job(folder, "--target", board, "--emit", "plan", "--evaluations", "400")
        victim[victim.index("--data-spec") + 1] = spec
        begun = subprocess.Popen(victim, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while n_recorded(folder) < 2 and begun.poll() is None:
            time.sleep(0.002)
        begun.kill()
        begun.wait()
        change()
        done = subprocess.run([*victim, "--resume"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is of another search", done.stderr)
        self.assertGreaterEqual(n_recorded(folder), 2)
        with open(path, encoding="utf-8") as file:
            self.assertNotIn(WORK, file.readline())

    def test_other_samples_or_another_device_are_another_search(self):
        spec, board = os.path.join(WORK, "spec.json"), os.path.join(WORK, "board.json")
        with open(os.path.join(SPECS, "fsdd_m5.json"), encoding="utf-8") as file:
            text = file.read()
        with open(BOARD, encoding="utf-8") as file:
            figures = file.read()

        def write(path, what):
            with open(path, "w", encoding="utf-8") as to:
                to.write(what)

        write(spec, text)
        write(board, figures)
        self.check_is_another_search(
            "other_data", spec, board, lambda: write(spec, text.replace('"peak": 1', '"peak": 2')))
        write(spec, text)
        self.check_is_another_search(
            "other_board", spec, board, lambda: write(board, figures.replace("4e9", "2e9")))

    def check_has_units_of_16_bits(self, command_line, folder, activations):
        done = subprocess.run(command_line, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        units = json.loads(read(folder, ".plan.json"))["units"]
        self.assertIn((16, activations), [(u["weight_bits"], u["activation_bits"]) for u in units])

    def test_a_budget_between_8_and_32_bits_gives_units_of_16_which_a_plan_repeats(self):
        self.check_has_units_of_16_bits(command("half", "--max-bytes", "100K"), "half", 32)
        plan = os.path.join(WORK, "half", "fsdd_m5.plan.json")
        self.check_has_units_of_16_bits(job("again", "--target", "host", "--plan", plan),
                                        "again", 32)
        self.assertEqual(read("again", ".plan.json"), read("half", ".plan.json"))
        size = json.loads(read("half", ".report.json"))["payload_bytes"]
        self.assertEqual(read("again", ".weights")[-size:], read("half", ".weights")[-size:])

    def test_a_budget_of_bytes_is_one_of_the_targets_file(self):
        done = subprocess.run(job("firmware", "--target", "cortex-m", "--max-bytes", "24K",
                                  "--evaluations", str(EVALUATIONS)),
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        size = len(read("firmware", ".weights"))
        self.assertLessEqual(size, 24 * 1024)
        self.assertIn("%d in the file" % size, done.stdout)
        plan = os.path.join(WORK, "here.plan.json")
        with open(plan, "wb") as file:
            file.write(read("firmware", ".plan.json").replace(b'"cortex-m"', b'"host"'))
        here = subprocess.run(job("here", "--target", "host", "--plan", plan),
                              capture_output=True, text=True, check=False)
        self.assertEqual(here.returncode, 0, here.stderr)
        self.assertEqual(self.output_of("firmware"), self.output_of("here"))

    def output_of(self, folder):
        data = os.path.join(MODELS, "fsdd_m5", "test_data_set_0")
        to = os.path.join(WORK, folder + ".out")
        subprocess.run([HADMCC, "run", os.path.join(WORK, folder), "--test-data", data,
                        "--save", to], capture_output=True, check=True)
        with open(os.path.join(to, "output_0.pb"), "rb") as file:
            return file.read()

    def test_an_accelerator_multiplies_halves(self):
        self.check_has_units_of_16_bits(
            job("a100", "--target", "a100", "--emit", "plan", "--max-bytes", "100K",
                "--evaluations", str(EVALUATIONS)), "a100", 16)

    def check_replay_names(self, key, words):
        lines = read("whole", ".search.jsonl").decode().split("\n")
        wrong = json.loads(lines[4])
        wrong[key] += 1e-9
        lines[4] = json.dumps(wrong)
        path = os.path.join(WORK, "wrong.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        done = run("again", "--plan-from", path + ":3")
        self.assertEqual(done.returncode, 1)
        self.assertIn("plan 3 evaluates to %s of" % words, done.stderr)

    def test_a_replay_says_where_the_record_is_wrong(self):
        self.check_replay_names("loss", "a loss")
        self.check_replay_names("bytes", "a cost 'bytes'")

    def test_changes_that_are_carried_out_weigh_evaluations(self):
        for folder, more in (("weighed", ()), ("weighed_by_two", ("--jobs", "2"))):
            # so many that channels are in the table of single changes
            subprocess.run(job(folder, "--target", "host", "--evaluations", "120", *more),
                           capture_output=True, check=True, env=AS_ROOT)
        page = read("weighed", ".search.html").decode()
        listed = re.search(r"where plans are compared: (.*?)\.</p>", page).group(1)
        left = [float(unit.split()[-1]) for unit in listed.split(", ")]
        self.assertLess(min(left), 1)
        self.assertGreater(max(left), 1)
        for suffix in (".search.jsonl", ".plan.json", ".weights"):
            self.assertEqual(read("weighed", suffix), read("weighed_by_two", suffix), suffix)

    def test_pages_of_search_and_report_lead_to_each_other(self):
        self.assertIn(b'<a href="fsdd_m5.search.html">', read("whole", ".report.html"))
        self.assertIn(b'<a href="fsdd_m5.report.html">', read("whole", ".search.html"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
