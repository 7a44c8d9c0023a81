#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The folder tree is the architecture: includes go one way, file names are unique,
targets are named in targets/ only, every file carries its licence."""
import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOMS = ["support", "kernels", "runtime", "frontend", "train", "hal", "plan", "codegen", "targets",
         "update", "compress", "search", "cli"]
# Stricter than the order: these see only what is listed.
ONLY = {"kernels": {"kernels"}, "runtime": {"runtime", "kernels"}}
CODE = (".c", ".h", ".cc", ".def", ".py", ".sh", ".cmake", ".fbs")
SEVERAL = {"target.c", "device.json", "CMakeLists.txt", "README.md"}


def files():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                         cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [f for f in out.split("\n") if f and os.path.exists(os.path.join(ROOT, f))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


class Rooms(unittest.TestCase):
    def test_a_room_includes_only_rooms_above_it(self):
        wrong = []
        for path in files():
            room = path.split("/")[0]
            if room not in ROOMS or not path.endswith((".c", ".h", ".cc", ".def")):
                continue
            allowed = ONLY.get(room, set(ROOMS[:ROOMS.index(room) + 1]))
            for include in re.findall(r'#\s*include\s+"([a-z_]+)/', read(path)):
                if include in ROOMS and include not in allowed:
                    wrong.append("%s includes %s/" % (path, include))
        self.assertEqual(wrong, [])

    def test_file_names_are_unique(self):
        seen, wrong = {}, []
        for path in files():
            name = os.path.basename(path)
            if not path.split("/")[0] in ROOMS or name in SEVERAL:
                continue
            if name in seen:
                wrong.append("%s and %s" % (seen[name], path))
            seen[name] = path
        self.assertEqual(wrong, [])

    def test_only_targets_spell_a_targets_name(self):
        names = [d for d in os.listdir(os.path.join(ROOT, "targets"))
                 if os.path.exists(os.path.join(ROOT, "targets", d, "target.c"))]
        # An architecture's own name is LLVM's word too.
        names = [n for n in names if n not in ("host", "x86_64", "aarch64")]
        wrong = []
        for path in files():
            if path.split("/")[0] in ("codegen", "compress", "search", "frontend", "plan",
                                      "hal", "runtime", "kernels", "support") \
                    and path.endswith((".c", ".h", ".cc", ".def")):
                for name in names:
                    if re.search(r'"%s"' % re.escape(name), read(path)):
                        wrong.append("%s spells %s" % (path, name))
        self.assertEqual(wrong, [])

    def test_every_source_names_its_licence(self):
        wrong = [p for p in files() if p.endswith(CODE)
                 and "SPDX-License-Identifier: Apache-2.0" not in read(p)[:300]]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
