#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The update library as firmware links it.

    update_test.py HADMCC UPDATE_LIBRARY NM SOURCE_FOLDER WORK_FOLDER [MODEL]

The library needs memcpy and memset; a program that does not verify signatures does not
carry the code for it; the example takes an update and computes with it.  MODEL, a folder
with MobileNetV2's model.onnx, is updated in its last layer and must cost little more than
that layer's blocks.
"""
import json
import os
import shutil
import subprocess
import sys
import unittest

HADMCC, LIBRARY, NM, SOURCE, WORK, *MODEL = sys.argv[1:]
EXAMPLE = os.path.join(SOURCE, "examples", "update")


def shell(*command, code=0):
    done = subprocess.run(command, capture_output=True, text=True, cwd=WORK)
    if done.returncode != code:
        raise AssertionError("%s: %s%s" % (" ".join(command), done.stdout, done.stderr))
    return done.stdout


def symbols(path, *options):
    """Member of the archive ("" in a program) -> {name: kind}."""
    members, now = {}, ""
    for line in shell(NM, *options, path).splitlines():
        words = line.split()
        if len(words) == 1 and words[0].endswith(":"):
            now = words[0][:-1]
        elif len(words) >= 2:
            members.setdefault(now, {})[words[-1]] = words[-2]
    return members


class Library(unittest.TestCase):
    def test_only_slots_in_a_file_need_a_c_library(self):
        members = symbols(LIBRARY, "--extern-only")
        defined = {n for names in members.values() for n, kind in names.items() if kind not in "Uw"}
        self.assertLess({"hadm_update_add", "hadm_slots_open", "ed25519_verify"}, defined)
        for member, names in members.items():
            needed = {n for n, kind in names.items() if kind in "Uw"} - defined
            if not member.startswith("slot_file"):
                self.assertLessEqual(needed, {"memcpy", "memset"}, member)


class Device(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name in ("before", "after"):
            shell(HADMCC, os.path.join(EXAMPLE, name + ".onnx"), "--target", "host", "--prefix",
                  "net", "-o", name)
        shell(HADMCC, "update", "keygen", "key")
        shell(HADMCC, "update", "make", "before", "-o", "first.patch", "--strategy", "full")
        shell(HADMCC, "update", "make", "before", "after", "-o", "next.patch", "--number", "2",
              "--sign", "key")

    def build(self, name, *options):
        shell("cc", "-std=c11", "-O2", "-Wall", "-Werror", "-Ibefore", "-I", SOURCE, *options,
              os.path.join(EXAMPLE, "device.c"), "before/libnet.a", LIBRARY, "-o", name)
        if os.path.exists("flash.img"):
            os.remove("flash.img")
        shell(HADMCC, "update", "apply", "first.patch", "--slots", "flash.img", "--create",
              "20000")

    def test_takes_an_update_and_computes_with_it(self):
        self.build("device")
        before = shell("./device", "flash.img")
        both = shell("./device", "flash.img", "next.patch").splitlines()
        after = shell("./device", "flash.img")
        self.assertEqual([both[0] + "\n", both[1] + "\n"], [before, after])
        self.assertIn("update 1 in slot 0", before)
        self.assertIn("update 2 in slot 1", after)
        self.assertNotEqual(before.split(":")[1], after.split(":")[1])
        self.assertIn("refused", shell("./device", "flash.img", "next.patch", code=1))
        shell(HADMCC, "update", "verify", "--slots", "flash.img")
        shell(HADMCC, "update", "rollback", "--slots", "flash.img")
        self.assertEqual(shell("./device", "flash.img"), before)

    def test_is_updated_as_the_plan_says(self):
        shutil.copytree("after", "planned")
        with open("planned/net.plan.json") as file:
            plan = file.read()
        planned = plan.replace('"update": {"strategy": "full", "ratio": 1.0}',
                               '"update": {"strategy": "incremental", "ratio": 0.4}')
        self.assertNotEqual(plan, planned)
        with open("planned/net.plan.json", "w") as file:
            file.write(planned)
        for new, strategy in (("planned", "incremental"), ("after", "hash")):
            said = json.loads(shell(HADMCC, "update", "make", "before", new, "-o", "p",
                                    "--json"))
            self.assertEqual(said["strategy"], strategy)

    def compile_after(self, folder, *options, code=0):
        return shell(HADMCC, os.path.join(EXAMPLE, "after.onnx"), "--target", "host", "--prefix",
                     "net", "-o", folder, *options, code=code)

    def size_of(self, *options):
        shell(HADMCC, "update", "make", *options, "-o", "sized.patch")
        return os.path.getsize(os.path.join(WORK, "sized.patch"))

    def strategy(self, folder):
        with open(os.path.join(WORK, folder, "net.plan.json"), encoding="utf-8") as file:
            return json.load(file)["update"]["strategy"]

    def test_sizes_of_updates_of_what_is_deployed_are_those_of_patches(self):
        out = self.compile_after("sized", "--deployed", "before", "--update", "auto")
        full = self.size_of("sized", "--strategy", "full")
        by_hash = self.size_of("before", "sized", "--strategy", "hash")
        self.assertIn("an update from before: full %d bytes, hash %d, " % (full, by_hash), out)
        self.assertEqual(self.strategy("sized"), "hash" if by_hash < full else "full")

    def test_what_devices_are_sent_has_a_limit(self):
        self.compile_after("limited", "--deployed", "before", "--update", "hash",
                           "--max-update-bytes", "100", code=1)
        self.assertFalse(os.path.exists(os.path.join(WORK, "limited")))

    def test_other_code_is_no_update(self):
        out = self.compile_after("other_code", "--deployed", "before", "--update", "auto",
                                 "--bits", "8")
        self.assertIn("an update from before: other code", out)
        self.assertEqual(self.strategy("other_code"), "full")

    def test_verification_is_linked_when_it_is_used(self):
        with open("key.pub") as file:
            key = bytes.fromhex(file.read().split()[1])
        self.build("without")
        self.assertNotIn("ed25519_verify", symbols("without")[""])
        self.build("with", "-DUPDATE_KEY=" + ",".join(map(str, key)))
        self.assertIn("ed25519_verify", symbols("with")[""])
        self.assertIn("update 2 in slot 1", shell("./with", "flash.img", "next.patch"))
        self.build("other", "-DUPDATE_KEY=" + ",".join(map(str, reversed(key))))
        self.assertIn("refused: the signature",
                      shell("./other", "flash.img", "next.patch", code=1))
        self.assertIn("refused: not signed",
                      shell("./other", "flash.img", "first.patch", code=1))


@unittest.skipUnless(MODEL, "no folder with MobileNetV2")
class LastLayer(unittest.TestCase):
    """Floats of the last layer's array in the ONNX file are moved a little, in place."""

    def test_costs_at_most_1_02_times_the_blocks_that_changed(self):
        with open(os.path.join(MODEL[0], "model.onnx"), "rb") as file:
            model = bytearray(file.read())
        array = max(self.arrays(model), key=lambda a: a[1])
        for at in range(array[0], array[0] + array[1], 4):
            model[at] ^= 1
        for name, content in (("base", None), ("tuned", model)):
            os.makedirs(name + ".model", exist_ok=True)
            path = name + ".model/model.onnx"
            if content is None:
                shutil.copy(os.path.join(MODEL[0], "model.onnx"), path)
            else:
                with open(path, "wb") as file:
                    file.write(content)
            shell(HADMCC, path, "--target", "host", "--prefix", "m", "-o", name)
        with open("base/m.weights", "rb") as file:
            base = file.read()
        with open("tuned/m.weights", "rb") as file:
            tuned = file.read()
        changed = sum(base[i:i + 4096] != tuned[i:i + 4096] for i in range(0, len(tuned), 4096))
        said = json.loads(shell(HADMCC, "update", "make", "base", "tuned", "-o", "tuned.patch",
                                "--json"))
        self.assertGreater(array[1], 5000000)
        self.assertGreater(changed, array[1] // 4096)
        self.assertEqual(said["blocks"], changed)
        self.assertEqual(said["patch_bytes"], os.path.getsize("tuned.patch"))
        self.assertLessEqual(said["patch_bytes"], 1.02 * 4096 * changed)
        # The file's own digests of those blocks included.
        self.assertLessEqual(said["patch_bytes"], 1.02 * array[1])
        print("layer %d bytes, %d blocks changed, patch %d bytes" %
              (array[1], changed, said["patch_bytes"]))

    @staticmethod
    def varint(data, at):
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 128:
                return value, at

    @classmethod
    def fields(cls, data, at, end):
        """(number, begin, end) of the length-delimited fields of a message."""
        while at < end:
            tag, at = cls.varint(data, at)
            if tag & 7 == 2:
                n, at = cls.varint(data, at)
                yield tag >> 3, at, at + n
                at += n
            elif tag & 7 == 0:
                at = cls.varint(data, at)[1]
            else:
                at += 4 if tag & 7 == 5 else 8

    @classmethod
    def arrays(cls, model):
        """(position, bytes) of raw_data (9) of the initializers (5) of the graph (7)."""
        for graph in cls.fields(model, 0, len(model)):
            if graph[0] != 7:
                continue
            for tensor in cls.fields(model, *graph[1:]):
                if tensor[0] != 5:
                    continue
                for field, begin, end in cls.fields(model, *tensor[1:]):
                    if field == 9:
                        yield begin, end - begin


if __name__ == "__main__":
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    HADMCC, LIBRARY = os.path.abspath(HADMCC), os.path.abspath(LIBRARY)
    MODEL = [os.path.abspath(m) for m in MODEL]
    os.chdir(WORK)
    unittest.main(argv=sys.argv[:1])
