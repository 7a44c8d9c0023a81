#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What hadmcc does to files and folders that are there already.

    files_test.py HADMCC MODELS WORK
"""
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

HADMCC, MODELS, WORK = map(os.path.abspath, sys.argv[1:4])
RELU = os.path.join(MODELS, "relu.onnx")
EXAMPLE = os.path.join(MODELS, "..", "..", "..", "examples", "update")
SEARCH = (os.path.join(EXAMPLE, "before.onnx"), "--target", "host", "--max-bytes", "30K",
          "--evaluations", "20")
NOBODY = 65534


def hadmcc(*args, **options):
    return subprocess.run([HADMCC, *args], cwd=WORK, capture_output=True, text=True,
                          timeout=600, **options)


def path(*parts):
    return os.path.join(WORK, *parts)


def write(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


class Files(unittest.TestCase):
    def setUp(self):
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)

    def done(self, *args, **options):
        result = hadmcc(*args, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def refused(self, words, *args, **options):
        result = hadmcc(*args, **options)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(words, result.stderr)

    def bundle(self, folder, *args, **options):
        return self.done(RELU, "--target", "host", "-o", folder, *args, **options)


class Bundles(Files):
    def test_the_target_of_a_link_is_replaced(self):
        self.bundle("real")
        os.symlink("real", path("current"))
        self.bundle("current", "--prefix", "again")
        self.assertTrue(os.path.islink(path("current")))
        self.assertTrue(os.path.exists(path("real", "again.h")))
        self.assertFalse(os.path.exists(path("real", "relu.h")))
        self.assertEqual(sorted(os.listdir(WORK)), ["current", "real"])

    def test_a_link_to_nothing_is_refused(self):
        os.symlink("gone", path("current"))
        self.refused("'current', a link: No such file", RELU, "--target", "host", "-o", "current/")
        self.assertEqual(os.listdir(WORK), ["current"])

    def test_an_older_bundle_that_cannot_be_removed_is_told(self):
        user = {"user": NOBODY} if os.geteuid() == 0 else {}
        os.chmod(WORK, 0o777)
        self.bundle("b", **user)
        os.chmod(path("b"), 0o555)
        said = self.bundle("b", "--prefix", "again", **user).stderr
        self.assertRegex(said, "cannot remove the older bundle, which stays as 'b.new-.*': "
                               "Permission denied")
        self.assertTrue(os.path.exists(path("b", "again.h")))

    def test_a_bundle_of_every_kind_is_replaced(self):
        for kind in ("obj", "llvm", "asm", "c", "plan"):
            for prefix in (["--embed"], ["--prefix", "again"]):
                self.bundle("b", "--emit", kind, *prefix)
        self.assertEqual(os.listdir(WORK), ["b"])

    def test_a_report_alone_makes_no_bundle(self):
        os.mkdir(path("mine"))
        for name in ("thesis.txt", "pytest.report.json"):
            write(path("mine", name), "{}")
        self.refused("'mine' exists and is not a bundle: it holds 'pytest.report.json'", RELU,
                     "--target", "host", "-o", "mine")
        self.assertEqual(len(os.listdir(path("mine"))), 2)

    def test_what_is_no_file_of_a_bundle_is_not_removed(self):
        self.bundle("b")
        os.mkdir(path("b", "relu.pc.d"))
        self.refused("'b' exists and holds more than a bundle: 'relu.pc.d'", RELU, "--target",
                     "host", "-o", "b")
        write(path("b", "notes.txt"), "mine")
        self.refused("'notes.txt'", RELU, "--target", "host", "-o", "b")
        os.rename(path("b", "notes.txt"), path("notes.txt"))
        os.rmdir(path("b", "relu.pc.d"))
        os.remove(path("b", "relu.pc"))
        os.symlink("../notes.txt", path("b", "relu.pc"))
        self.refused("'relu.pc'", RELU, "--target", "host", "-o", "b")


class Searches(Files):
    """Of seconds here, of hours elsewhere."""

    def test_what_would_refuse_the_bundle_does_so_at_once(self):
        os.mkdir(path("keep"))
        write(path("keep", "note.txt"), "mine")
        self.refused("'keep' exists and is not a bundle: it holds 'note.txt'", *SEARCH, "-o", "keep")
        self.refused("beside 'none/b': No such file", *SEARCH, "-o", "none/b")
        self.refused("place of ''", *SEARCH, "-o", "")
        self.refused("while reading what is deployed", *SEARCH, "-o", "b", "--deployed", "none")
        self.assertEqual(os.listdir(WORK), ["keep"])

    def test_the_record_stays_until_the_bundle_is_there(self):
        search = subprocess.Popen([HADMCC, *SEARCH, "-o", "b"], cwd=WORK, text=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while search.poll() is None and not os.path.exists(path("b.search.jsonl")):
            time.sleep(0.01)
        os.mkdir(path("b"))
        write(path("b", "note.txt"), "mine")
        self.assertIn("note.txt", search.communicate(timeout=600)[1])
        self.assertEqual(search.returncode, 1)
        self.assertTrue(os.path.exists(path("b.search.jsonl")))
        shutil.rmtree(path("b"))
        self.done(*SEARCH, "-o", "b", "--resume")
        self.bundle("b")
        self.assertEqual(os.listdir(WORK), ["b"])


class Signals(Files):
    def stop(self, by, *args):
        """Begins the command, stops it when it has a scratch folder, waits until that is gone."""
        tmp = path("tmp")
        os.mkdir(tmp)
        victim = subprocess.Popen([HADMCC, *args], cwd=WORK, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=tmp))

        def left():
            return os.listdir(tmp) + [name for name in os.listdir(WORK) if ".new-" in name]

        while victim.poll() is None and not left():
            time.sleep(0.001)
        victim.send_signal(by)
        self.assertEqual(victim.wait(timeout=60), -by)
        end = time.monotonic() + 60
        while left() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(left(), [])
        os.rmdir(tmp)

    def test_folders_in_tmpdir_are_removed_whatever_ends_the_program(self):
        for by in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
            with self.subTest(by=by):
                self.stop(by, *SEARCH[:3], "--bits", "8", "-o", "b")

    def test_a_bundle_that_was_begun_is_removed(self):
        model = os.path.join(EXAMPLE, "..", "fsdd", "fsdd_m5.onnx")  # takes a while
        self.stop(signal.SIGTERM, model, "--target", "host", "-o", "b")
        self.assertEqual(os.listdir(WORK), [])


def read(name):
    with open(path(name), "rb") as file:
        return file.read()


class Updates(Files):
    MAKE = ("update", "make", "old", "-o", "to/patch", "--strategy", "full")

    def setUp(self):
        super().setUp()
        self.done(os.path.join(EXAMPLE, "before.onnx"), "--target", "host", "-o", "old")
        os.mkdir(path("to"))

    def test_a_full_disk_leaves_the_older_patch_and_nothing_else(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        self.refused("cannot write 'to/patch': File too large", *self.MAKE, preexec_fn=limit)
        self.assertEqual(os.listdir(path("to")), [])
        self.done(*self.MAKE)
        patch = read("to/patch")
        self.refused("cannot write 'to/patch': File too large", *self.MAKE, "--number", "2",
                     preexec_fn=limit)
        self.assertEqual(read("to/patch"), patch)
        self.assertEqual(os.listdir(path("to")), ["patch"])

    def test_links_and_modes_stay(self):
        write(path("real"), "older")
        os.chmod(path("real"), 0o640)
        os.symlink("../real", path("to", "patch"))
        self.done(*self.MAKE)
        self.assertTrue(os.path.islink(path("to", "patch")))
        self.assertEqual(os.stat(path("real")).st_mode & 0o777, 0o640)
        self.done("update", "verify", "real")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
