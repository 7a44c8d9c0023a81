#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ResNet-20, one training step (forwards and backwards): hadmc's engine and PyTorch in turn.

    bench/compare_pytorch.py --bench build/bin/bench-training --model MODEL.onnx [--batch 128]
        [--threads 1] [--rounds 15] [--out NAME.json]

MODEL.onnx is a ResNet-20 for 32 x 32 with batch normalization (He et al. 2016, shortcuts without
weights).  A round is one step of each; the figure is processor time of the process.
"""
import argparse
import json
import os
import statistics
import subprocess
import time


def network(torch):
    nn = torch.nn
    functional = nn.functional

    class Block(nn.Module):
        def __init__(self, before, channels, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(channels)
            self.more = (channels - before) // 2

        def forward(self, x):
            y = functional.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            if self.more:
                x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
            return functional.relu(y + x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
            self.bn = nn.BatchNorm2d(16)
            layers = []
            for before, channels in ((16, 16), (16, 32), (32, 64)):
                for i in range(3):
                    layers.append(Block(before if i == 0 else channels, channels,
                                        2 if i == 0 and before != channels else 1))
            self.blocks = nn.Sequential(*layers)
            self.fc = nn.Linear(64, 10)

        def forward(self, x):
            x = self.blocks(functional.relu(self.bn(self.conv(x))))
            return self.fc(x.mean((2, 3)))

    return Net()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out")
    args = parser.parse_args()
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)
    import torch
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)

    ours = subprocess.Popen([args.bench, args.model, str(args.batch), str(args.threads)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask_ours():
        ours.stdin.write("go\n")
        ours.stdin.flush()
        return float(ours.stdout.readline())

    sides = {"hadmc": ask_ours}
    for name, layout in (("pytorch", torch.contiguous_format),
                         ("pytorch channels last", torch.channels_last)):
        net = network(torch).train().to(memory_format=layout)
        x = (torch.rand(args.batch, 3, 32, 32) * 2 - 1).to(memory_format=layout)

        def ask(net=net, x=x):
            begin = time.process_time()
            net.zero_grad(set_to_none=True)
            net(x).mean().backward()
            return 1e3 * (time.process_time() - begin)

        sides[name] = ask
    for ask in sides.values():
        for _ in range(3):
            ask()
    samples = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, ask in sides.items():
            samples[name].append(ask())
    ours.stdin.close()
    print("torch %s, batch %d, %d thread(s), %d rounds, ms of processor time"
          % (torch.__version__, args.batch, args.threads, args.rounds))
    median = {name: statistics.median(s) for name, s in samples.items()}
    for name, ms in median.items():
        ratios = [p / h for p, h in zip(samples[name], samples["hadmc"])]
        print("%-22s median %8.1f   least %8.1f   ratio %.2f"
              % (name, ms, min(samples[name]), statistics.median(ratios)))
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            json.dump({"torch": torch.__version__, "batch": args.batch,
                       "threads": args.threads, "ms": samples}, file, indent=1)


main()
