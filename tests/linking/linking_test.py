#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Libraries of real models, linked as their users link them.

    linking_test.py HADMCC RUNTIME_LIBRARY NM SOURCE_FOLDER WORK_FOLDER MODEL...

MODEL is an ONNX file or a folder that holds model.onnx; the first two, or the one
there is under two names, are linked into one program.  Whatever the model and the target, a library needs memcpy and
memset and shows the names of its own prefix; and however a step's units are shared
among workers, the outputs have the same bytes.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

HADMCC, RUNTIME, NM, SOURCE, WORK, *MODELS = sys.argv[1:]

# What a split does with the units [0, n) of a step, on workers 0 to 3.
SPLITS = r"""
static void one_by_one_backwards(void *pool, m_body *body, void *arg, int64_t n, int64_t grain)
{
    (void)pool, (void)grain;
    for (int64_t i = n - 1; i >= 0; i--)
        body(arg, i, i + 1, i % 4);
}

static void uneven(void *pool, m_body *body, void *arg, int64_t n, int64_t grain)
{
    int64_t at = 0;

    (void)pool;
    for (int64_t k = 1; at < n; k++) {
        const int64_t end = at + grain + k * k % 5 < n ? at + grain + k * k % 5 : n;

        body(arg, at, end, 3 - k % 4);
        at = end;
    }
}

static void threads_of_one_unit(void *pool, m_body *body, void *arg, int64_t n, int64_t grain)
{
    (void)grain;
    hadm_pool_for(pool, body, arg, n, 1);
}
"""

DRIVER = r"""
#include "m.h"
#include "runtime/pool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

%(splits)s
static _Alignas(64) unsigned char ws[M_WORKSPACE_BYTES + 1];
static struct m m;

%(arrays)s
static uint32_t state = 1;

static uint32_t next(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

/* Runs over memory full of `dirt` and says whether the outputs are those of the
 * first run. */
static int run(const char *how, int dirt)
{
    static unsigned char *first;
    static unsigned char all[%(out_bytes)s + 1];
    size_t n = 0;

    memset(ws, dirt, sizeof ws);
%(clear)s
    m_run(&m, &(struct m_in){%(ins)s}, &(struct m_out){%(outs)s});
%(collect)s
    if (!first) {
        first = malloc(sizeof all);
        memcpy(first, all, sizeof all);
    }
    if (memcmp(first, all, n) == 0)
        return 0;
    printf("%%s: other bytes\n", how);
    return 1;
}

static int run_with(const char *how, m_parallel_for *f, void *pool, int n, int dirt)
{
    if (m_use_workers(&m, f, pool, n) != M_OK) {
        printf("%%s: refused\n", how);
        return 1;
    }
    return run(how, dirt);
}

int main(void)
{
    struct hadm_pool *four = hadm_pool_create(4), *three = hadm_pool_create(3);
    int wrong = 0;

    if (m_open(&m, m_weights, M_WEIGHTS_BYTES, ws, M_WORKSPACE_BYTES, M_CHECK_PAYLOAD))
        return 2;
%(fill)s
    wrong += run("alone", 0);
    wrong += run("alone again", 0xff);
    for (int k = 0; k < 5; k++) {
        wrong += run_with("a pool of 4", hadm_pool_for, four, 4, 0x55);
        wrong += run_with("a pool of 3", hadm_pool_for, three, 3, 0xaa);
        wrong += run_with("a pool, unit by unit", threads_of_one_unit, four, 4, 0x7f);
    }
    wrong += run_with("one by one, backwards", one_by_one_backwards, NULL, 4, 0x11);
    wrong += run_with("uneven", uneven, NULL, 4, 0xee);
    hadm_pool_destroy(four);
    hadm_pool_destroy(three);
    printf("%%d wrong\n", wrong);
    return wrong != 0;
}
"""

BOTH = r"""
#include <stdio.h>
int one_main(void);
int two_main(void);
int main(void) { return one_main() | two_main(); }
"""


def shell(*command, folder=None):
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise AssertionError("%s: %s%s" % (" ".join(command), done.stdout, done.stderr))
    return done.stdout


def path_of(model):
    return model if model.endswith(".onnx") else os.path.join(model, "model.onnx")


def compile_model(model, target, prefix, *more):
    """The folder of the bundle; open dimensions become 1."""
    folder = os.path.join(WORK, prefix)
    shutil.rmtree(folder, ignore_errors=True)
    command = [HADMCC, path_of(model), "--target", target, "--prefix", prefix, "-o", folder,
               "--embed", *more]
    dims = set()
    for _ in range(8):
        done = subprocess.run(command + ["--dim=%s=1" % d for d in sorted(dims)],
                              capture_output=True, text=True)
        asked = set(re.findall(r"--dim (\S+)=SIZE", done.stderr)) - dims
        if not asked:
            break
        dims |= asked
    if done.returncode:
        raise AssertionError(done.stderr)
    return folder


def symbols(library):
    """(needed, defined): names, over all members of the archive."""
    needed, defined = set(), set()
    for line in shell(NM, "--extern-only", library).splitlines():
        words = line.split()
        if len(words) >= 2 and words[-2] in "Uw":
            needed.add(words[-1])
        elif len(words) == 3:
            defined.add(words[-1])
    return needed - defined, defined


CTYPES = {"f32": "float", "f64": "double", "bool": "uint8_t", "f16": "uint16_t",
          "bf16": "uint16_t", "u4": "uint8_t", "i4": "int8_t"}


def ctype(dtype):
    return CTYPES.get(dtype) or "%sint%s_t" % ("u" if dtype[0] == "u" else "", dtype[1:])


def driver(report):
    doors = report["inputs"] + report["outputs"]
    n_in = len(report["inputs"])
    arrays, fill, clear, collect = [], [], [], []
    for i, door in enumerate(doors):
        kind = ctype(door["dtype"])
        arrays.append("static %s d%d[%d / sizeof(%s) + 1];" % (kind, i, door["bytes"], kind))
        if i < n_in:
            value = "(float)next() / 8388608.0f - 1" if kind == "float" else "next() & 1"
            fill.append("    for (size_t i = 0; i < sizeof d%d / sizeof *d%d; i++)\n"
                        "        d%d[i] = (%s)(%s);" % (i, i, i, kind, value))
        else:
            clear.append("    memset(d%d, 0, sizeof d%d);" % (i, i))
            collect.append("    memcpy(all + n, d%d, %d);\n    n += %d;"
                           % (i, door["bytes"], door["bytes"]))
    outs = ["d%d" % i for i in range(n_in, len(doors))]
    for i, door in enumerate(report["outputs"]):
        if door["dynamic"]:
            arrays.append("static int64_t n%d[%d];" % (i, len(door["dims"]) + 1))
            outs.append("n%d" % i)
    return DRIVER % {"splits": SPLITS, "arrays": "\n".join(arrays), "fill": "\n".join(fill),
                     "clear": "\n".join(clear), "collect": "\n".join(collect),
                     "ins": ", ".join("d%d" % i for i in range(n_in)) or "0",
                     "outs": ", ".join(outs),
                     "out_bytes": sum(d["bytes"] for d in report["outputs"])}


class Linking(unittest.TestCase):
    def test_libraries_need_memcpy_and_memset_and_show_only_their_own_names(self):
        for target in ("host", "orin"):
            for model in MODELS:
                folder = compile_model(model, target, "m", "--workers", "4")
                needed, defined = symbols(os.path.join(folder, "libm.a"))
                with self.subTest(model=model, target=target):
                    self.assertLessEqual(needed, {"memcpy", "memset"})
                    self.assertEqual([s for s in defined if not s.startswith("m_")], [])
                    self.assertLessEqual({"m_open", "m_run", "m_use_workers", "m_strerror"},
                                         defined)

    def test_two_models_run_in_one_program(self):
        objects = []
        for prefix, model in zip(("one", "two"), MODELS * 2):
            folder = compile_model(model, "host", prefix)
            objects += [os.path.join(WORK, prefix + ".o"),
                        os.path.join(folder, "lib%s.a" % prefix)]
            shell("cc", "-std=c11", "-Dmain=%s_main" % prefix, "-c",
                  os.path.join(folder, prefix + "_selftest.c"), "-o", objects[-2])
        with open(os.path.join(WORK, "both.c"), "w") as file:
            file.write(BOTH)
        shell("cc", "both.c", *objects, "-lm", "-o", "both", folder=WORK)
        self.assertEqual(shell("./both", folder=WORK),
                         "one: 0 wrong: passed\ntwo: 0 wrong: passed\n")

    def check_splits(self, model, emit, parts):
        folder = compile_model(model, "host", "m", "--workers", "4", "--emit", emit)
        with open(os.path.join(folder, "m.report.json")) as file:
            source = driver(json.load(file))
        with open(os.path.join(WORK, "split.c"), "w") as file:
            file.write(source)
        shell("cc", "-std=c11", "-O1", "-I", SOURCE, "-I", folder, "split.c",
              *[os.path.join(folder, part) for part in parts], RUNTIME, "-pthread",
              "-o", "split", folder=WORK)
        done = subprocess.run(["./split"], cwd=WORK, capture_output=True, text=True)
        with self.subTest(model=model, emit=emit):
            self.assertEqual((done.stdout, done.returncode), ("0 wrong\n", 0))

    def test_outputs_do_not_depend_on_how_work_is_split(self):
        for model in MODELS:
            self.check_splits(model, "obj", ["libm.a"])

    def test_nor_do_they_in_c(self):
        for model in MODELS[:3]:
            self.check_splits(model, "c", ["m.c", "m_kernels.c", "m_weights.c"])


if __name__ == "__main__":
    os.makedirs(WORK, exist_ok=True)
    unittest.main(argv=sys.argv[:1])
