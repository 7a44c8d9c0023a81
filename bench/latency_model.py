#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Modelled times against measured ones, on this machine.

    hadmcc targets --probe -o here.json
    latency_model.py --hadmcc build/bin/hadmcc --device here.json MODEL.onnx ...

here.json holds the times of single layers (hal/kernel_table.h).  Each model, none of
which was timed for it, is compiled with --target here.json; its report has the modelled
time of every step, `hadmcc bench` measures them.  A measured time is the least of
--rounds medians; a round measures every model once, so that no model has all of its
rounds while another program is busy.  Steps of less than a microsecond are not compared
one by one: a look at the clock takes 2 or 3 % of that.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

LEAST_US = 1.0
NO_WEIGHTS = ("move", "codes", "function", "pool", "softmax", "normalization")


def run(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ranks(values):
    order = sorted(range(len(values)), key=lambda i: values[i])
    out, i = [0.0] * len(values), 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            out[order[k]] = (i + j) / 2
        i = j + 1
    return out


def spearman(a, b):
    a, b = ranks(a), ranks(b)
    mean = (len(a) - 1) / 2
    over = sum((x - mean) * (y - mean) for x, y in zip(a, b))
    under = (sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)) ** 0.5
    return over / under if under else float("nan")


def median(values):
    values = sorted(values)
    return values[len(values) // 2] if values else float("nan")


def measure(hadmcc, m):
    """Lowers the model's and its steps' times, in us, to this round's medians."""
    r = json.loads(run([hadmcc, "bench", m["bundle"], "--per-step", "--json"]))
    m["measured_us"] = min(m["measured_us"], r["cpu_median_us"], r["median_us"])
    for row, step in zip(m["steps"], r["steps"]):
        row["measured_us"] = min(row["measured_us"], step["us"])


def name_of(path):
    """Of the file, or of its folder where all files are called model.onnx."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.basename(folder) if name == "model.onnx" else name


def build(hadmcc, device, model, extra, bundle):
    run([hadmcc, model, "--target", device, "-o", bundle] + extra)
    report = [f for f in os.listdir(bundle) if f.endswith(".report.json")][0]
    with open(os.path.join(bundle, report), encoding="utf-8") as file:
        report = json.load(file)
    rows = [{"step": m["name"], "covers": m["covers"], "kind": m["kind"],
             "modelled_us": m["modelled_ns"] / 1e3, "measured_us": float("inf")}
            for m in report["steps"]]
    return {"model": name_of(model), "bundle": bundle, "measured_us": float("inf"),
            "modelled_us": report["modelled"]["time_ns"] / 1e3, "steps": rows}


def error(row):
    return abs(row["modelled_us"] / row["measured_us"] - 1)


def has_weights(step):
    return step["kind"] not in NO_WEIGHTS


def verdict(name, rows):
    if len(rows) < 2:
        return
    print("%-22s %5d compared   median error %5.1f %%   Spearman %.4f"
          % (name, len(rows), 100 * median([error(r) for r in rows]),
             spearman([r["modelled_us"] for r in rows], [r["measured_us"] for r in rows])))


def build_all(o, folder):
    models = []
    for i, path in enumerate(o.models):
        try:
            models.append(build(o.hadmcc, o.device, path, o.option,
                                os.path.join(folder, str(i))))
        except subprocess.CalledProcessError as e:
            print("%-34s %s" % (name_of(path), e.stderr.strip().split("\n")[0]))
    return models


def show(m):
    layers = [s for s in m["steps"] if has_weights(s) and s["measured_us"] >= LEAST_US]
    print("%-34s %12.1f %12.1f %+7.1f%%  %5.1f %% of %d"
          % (m["model"], m["measured_us"], m["modelled_us"],
             100 * (m["modelled_us"] / m["measured_us"] - 1),
             100 * median([error(s) for s in layers]), len(layers)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hadmcc", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--option", action="append", default=[],
                        help="for the compiler, e.g. --option=--bits --option=8")
    parser.add_argument("--out", help="JSON with all steps")
    parser.add_argument("models", nargs="+")
    o = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        models = build_all(o, folder)
        for _ in range(o.rounds):
            for m in models:
                measure(o.hadmcc, m)
    print("%-34s %12s %12s %8s  %s" % ("model", "measured us", "modelled us", "error",
                                       "median error of its layers"))
    for m in models:
        show(m)

    steps = [s for m in models for s in m["steps"] if s["measured_us"] >= LEAST_US]
    print()
    verdict("whole models", models)
    verdict("layers with weights", [s for s in steps if has_weights(s)])
    verdict("other steps", [s for s in steps if not has_weights(s)])
    for kind in sorted({s["kind"] for s in steps}):
        verdict("  " + kind, [s for s in steps if s["kind"] == kind])
    if o.out:
        with open(o.out, "w", encoding="utf-8") as file:
            json.dump(models, file, indent=1)


if __name__ == "__main__":
    main()
