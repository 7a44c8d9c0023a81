#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Modelled times against measured ones, on this machine.

    hadmcc targets --probe -o here.json
    latency_model.py --hadmcc build/bin/hadmcc --device here.json MODEL.onnx ...

here.json holds the times of single layers (hal/kernel_table.h).  Each model, none of
which was timed for it, is compiled with --target here.json; its report has the modelled
time of every step, `hadmcc bench` measures them.  A measured time is the least of
--rounds medians.  Steps of less than a microsecond are not compared one by one: a look
at the clock takes 2 or 3 % of that.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

LEAST_US = 1.0


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


def measure(hadmcc, folder, rounds):
    """Least medians of the whole model and of its steps, in us."""
    whole, steps = float("inf"), None
    for _ in range(rounds):
        r = json.loads(run([hadmcc, "bench", folder, "--per-step", "--json"]))
        whole = min(whole, r["cpu_median_us"], r["median_us"])
        us = [s["us"] for s in r["steps"]]
        steps = us if steps is None else [min(x, y) for x, y in zip(steps, us)]
    return whole, steps


def compare(hadmcc, device, model, extra, rounds):
    with tempfile.TemporaryDirectory() as folder:
        bundle = os.path.join(folder, "b")
        run([hadmcc, model, "--target", device, "-o", bundle] + extra)
        report = [f for f in os.listdir(bundle) if f.endswith(".report.json")][0]
        with open(os.path.join(bundle, report), encoding="utf-8") as file:
            report = json.load(file)
        whole, steps = measure(hadmcc, bundle, rounds)
    rows = [{"step": m["name"], "kind": m["kind"], "modelled_us": m["modelled_ns"] / 1e3,
             "measured_us": us} for m, us in zip(report["steps"], steps)]
    return {"model": os.path.basename(model), "measured_us": whole,
            "modelled_us": report["modelled"]["time_ns"] / 1e3, "steps": rows}


def error(row):
    return abs(row["modelled_us"] / row["measured_us"] - 1)


def verdict(name, rows):
    if len(rows) < 2:
        return
    print("%-22s %5d compared   median error %5.1f %%   Spearman %.4f"
          % (name, len(rows), 100 * median([error(r) for r in rows]),
             spearman([r["modelled_us"] for r in rows], [r["measured_us"] for r in rows])))


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
    models = []

    print("%-34s %12s %12s %8s  %s" % ("model", "measured us", "modelled us", "error",
                                       "median error of its layers"))
    for path in o.models:
        try:
            m = compare(o.hadmcc, o.device, path, o.option, o.rounds)
        except subprocess.CalledProcessError as e:
            print("%-34s %s" % (os.path.basename(path), e.stderr.strip().split("\n")[0]))
            continue
        models.append(m)
        layers = [s for s in m["steps"]
                  if s["kind"] != "move" and s["measured_us"] >= LEAST_US]
        print("%-34s %12.1f %12.1f %+7.1f%%  %5.1f %% of %d"
              % (m["model"], m["measured_us"], m["modelled_us"],
                 100 * (m["modelled_us"] / m["measured_us"] - 1),
                 100 * median([error(s) for s in layers]), len(layers)))
        sys.stdout.flush()

    steps = [s for m in models for s in m["steps"] if s["measured_us"] >= LEAST_US]
    print()
    verdict("whole models", models)
    verdict("layers with weights", [s for s in steps if s["kind"] != "move"])
    for kind in sorted({s["kind"] for s in steps}):
        verdict("  " + kind, [s for s in steps if s["kind"] == kind])
    if o.out:
        with open(o.out, "w", encoding="utf-8") as file:
            json.dump(models, file, indent=1)


if __name__ == "__main__":
    main()
