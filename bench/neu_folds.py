#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Steel surface defects: a compressed model against the float32 one, both trained equally
long on the same images, by cross-validation over all images and on unseen ones.

    bench/neu_folds.py --hadmcc build/bin/hadmcc --root FOLDER --out NAME.json   (needs numpy)

FOLDER has models/neu_resnet64/model.onnx and datasets/neu_det.  The images of all splits
are dealt into folds, each class by itself; a fold is tested on what the others trained.
The model that both sides start from has seen the 1 440 training images, so the folds
show what is lost, not how well defects are told apart: that is `unseen`, trained on the
training images, tested on the test images.  Both learn from labels and, a little, from
that model; the compressed one after channels have gone and before its weights are rounded.

Speed is that of the two libraries of the last split in turn, processor time; size that
of the weights files.
"""
import argparse
import json
import os
import shutil
import subprocess
import tempfile

import numpy


def arrays(root, split):
    folder = os.path.join(root, "datasets", "neu_det")
    return (numpy.load(os.path.join(folder, split + "_images_64.npy")),
            numpy.load(os.path.join(folder, split + "_labels.npy")))


def folds_of(labels, n, seed):
    """The fold of every image: each class is shuffled and dealt out."""
    fold, rng = numpy.zeros(len(labels), int), numpy.random.default_rng(seed)
    for label in numpy.unique(labels):
        at = rng.permutation(numpy.flatnonzero(labels == label))
        fold[at] = numpy.arange(len(at)) % n
    return fold


def write_set(folder, root, train, test):
    os.makedirs(folder)
    shutil.copy(os.path.join(root, "datasets", "neu_det", "classes.txt"), folder)
    spec = {"task": "classify", "classes": "classes.txt", "scale": "1/255", "mean": 0.5,
            "std": 0.25}
    for name, (images, labels) in (("train", train), ("test", test)):
        numpy.save(os.path.join(folder, name + "_x.npy"), images)
        numpy.save(os.path.join(folder, name + "_y.npy"), labels)
        spec[name] = {"samples": name + "_x.npy", "labels": name + "_y.npy"}
    with open(os.path.join(folder, "dataset.json"), "w", encoding="utf-8") as file:
        json.dump(spec, file)


class Bench:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.model = os.path.join(args.root, "models", "neu_resnet64", "model.onnx")

    def tool(self, *words):
        return subprocess.run([self.args.hadmcc, *words], check=True, capture_output=True,
                              text=True, cwd=self.work).stdout

    def compile(self, name, data, *options):
        """The right answers on the test images, and the bytes of the weights."""
        self.tool(self.model, "--target", "host", "-o", name, "--data", data, *options)
        with open(os.path.join(self.work, name, "neu_resnet64.report.json"),
                  encoding="utf-8") as file:
            report = json.load(file)
        accuracy = report["compression"]["accuracy"]
        return {"right": round(accuracy["compressed"] * accuracy["samples"]),
                "untrained": round(accuracy["original"] * accuracy["samples"]),
                "kl": accuracy["kl_nats"], "samples": accuracy["samples"],
                "bytes": report["weights_bytes"]}

    def split(self, name, train, test):
        data = os.path.join(self.work, "data-" + name)
        write_set(data, self.args.root, train, test)
        row = {"name": name,
               "float": self.compile("float", data, "--distill", self.args.train),
               "compressed": self.compile("compressed", data, *self.args.compress.split(),
                                          "--distill", self.args.train + ",floats=1,norms=0")}
        shutil.rmtree(data)
        f, c = row["float"], row["compressed"]
        print("%-7s untrained %d, float %d, compressed %d of %d; %.2f times smaller"
              % (name, f["untrained"], f["right"], c["right"], c["samples"],
                 f["bytes"] / c["bytes"]), flush=True)
        return row

    def times(self):
        """Processor time of one inference in us: both libraries in turn."""
        return [{name: json.loads(self.tool("bench", name, "--json"))["cpu_median_us"]
                 for name in ("float", "compressed")} for _ in range(self.args.rounds)]


def sums(rows):
    n = sum(r["float"]["samples"] for r in rows)
    return (n, *(100 * sum(r[side]["right"] for r in rows) / n
                 for side in ("float", "compressed")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hadmcc", default="build/bin/hadmcc")
    parser.add_argument("--root", required=True)
    parser.add_argument("--out")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train", default="alpha=0.3,T=2,epochs=3,batch=16,rate=0.002,flip=1")
    parser.add_argument("--compress", default="--prune 0.25 --bits 4")
    args = parser.parse_args()
    args.hadmcc, args.root = os.path.abspath(args.hadmcc), os.path.abspath(args.root)
    train, test = arrays(args.root, "train"), arrays(args.root, "test")
    images, labels = (numpy.concatenate(pair) for pair in zip(train, test))
    fold = folds_of(labels, args.folds, args.seed)

    with tempfile.TemporaryDirectory() as work:
        bench = Bench(args, work)
        rows = [bench.split("fold %d" % k, (images[fold != k], labels[fold != k]),
                            (images[fold == k], labels[fold == k]))
                for k in range(args.folds)]
        unseen = bench.split("unseen", train, test)
        times = bench.times()

    n, f, c = sums(rows)
    ratios = sorted(t["float"] / t["compressed"] for t in times)
    print("all folds: float %.2f %%, compressed %.2f %% of %d; %.2f points lost"
          % (f, c, n, f - c))
    print("unseen: float %.2f %%, compressed %.2f %% of %d"
          % (*sums([unseen])[1:], sums([unseen])[0]))
    print("%.2f times as fast (least %.2f, most %.2f of %d)"
          % (ratios[len(ratios) // 2], ratios[0], ratios[-1], len(ratios)))
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            json.dump({"train": args.train, "compress": args.compress, "seed": args.seed,
                       "folds": rows, "unseen": unseen, "times_us": times}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
